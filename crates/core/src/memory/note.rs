//! Notes: small texts that are kept beside sessions in the same memory, such as what became of a task.
//!
//! A note is no conversation: no model is sent it, and of one that is written again only the newest counts. It is kept as
//! long as a turn. [`Sessions`](super::sessions::Sessions) reads and writes it.

use jiff::Timestamp;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::identity::SessionKey;
use super::sessions::{Stored, stored};

/// A note in one writer's hands.
#[derive(Debug)]
pub struct Note {
    pub(super) key: SessionKey,
    pub(super) text: Option<String>,
    pub(super) newest: Option<(Timestamp, u64)>,
    pub(super) last_write: Option<JoinHandle<()>>,
}

/// A note that is being written. It goes on when this is dropped.
#[derive(Debug)]
pub struct Writing(pub(super) oneshot::Receiver<()>);

// === impl Note ===

impl Note {
    /// One that has never been written.
    pub fn new(key: SessionKey) -> Self {
        Self { key, text: None, newest: None, last_write: None }
    }

    /// What it says, where it has been written.
    pub fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }
}

// === impl Writing ===

impl Writing {
    /// Waits for the note to be stored, as long as an answer waits for its turn.
    pub async fn patiently(&mut self) -> Stored {
        stored(&mut self.0).await
    }

    /// Waits until the note is stored or lost, however long that takes.
    pub async fn ended(self) {
        // Whoever was patient may have heard of the end already, and it is told once.
        if !self.0.is_terminated() {
            let _ = self.0.await;
        }
    }
}
