//! Who wants a session, in the order they came.
//!
//! Somebody comes before it is known what they want: an invocation's headers are there while its payload still
//! travels, and a picture travels longer than the words sent after it. So a [`Place`] is taken at once, and whoever
//! comes later goes to the session later, however soon they are ready. A place that is dropped is free, and holds
//! nobody up.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use super::identity::SessionKey;

/// The rows before all sessions. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Arrivals {
    rows: Arc<Mutex<HashMap<SessionKey, Row>>>,
}

/// A place in the row before a session, until it is dropped or used: see
/// [`Sessions::arrive`](super::sessions::Sessions::arrive).
pub struct Place {
    pub(super) counted: Counted,
    pub(super) door: Queued<()>,
}

/// One of those who wait for a session or have it, until this is dropped.
#[derive(Debug)]
pub(super) struct Counted {
    arrivals: Arrivals,
    key: SessionKey,
}

/// A lock whose queue has been joined, whether or not anybody waits for the lock yet.
pub(super) enum Queued<T> {
    Free(OwnedMutexGuard<T>),
    Behind(BoxFuture<'static, OwnedMutexGuard<T>>),
}

#[derive(Debug, Default)]
struct Row {
    places: usize,
    /// Whoever has it is the next to go to the session.
    door: Arc<AsyncMutex<()>>,
}

// === impl Arrivals ===

impl Arrivals {
    /// The next place before the session `key`, or how many have one where these are `most`.
    pub(super) fn take(&self, key: &SessionKey, most: usize) -> Result<Place, usize> {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let row = rows.entry(key.clone()).or_default();
        if row.places >= most {
            return Err(row.places);
        }
        row.places += 1;
        let door = Queued::join(&row.door);
        Ok(Place { counted: Counted { arrivals: self.clone(), key: key.clone() }, door })
    }
}

// === impl Place ===

impl fmt::Debug for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.counted.fmt(formatter)
    }
}

// === impl Counted ===

impl Drop for Counted {
    fn drop(&mut self) {
        let mut rows = self.arrivals.rows.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(row) = rows.get_mut(&self.key) {
            row.places -= 1;
            if row.places == 0 {
                rows.remove(&self.key);
            }
        }
    }
}

// === impl Queued ===

impl<T: Send + 'static> Queued<T> {
    /// Joins the queue now: Tokio's lock is given to those who ask in the order in which they were first polled.
    pub(super) fn join(lock: &Arc<AsyncMutex<T>>) -> Self {
        // A task that has used up its share of time would be told to come again, and would not be in the queue.
        let mut joined = tokio::task::unconstrained(Arc::clone(lock).lock_owned()).boxed();
        match (&mut joined).now_or_never() {
            Some(guard) => Self::Free(guard),
            None => Self::Behind(joined),
        }
    }

    pub(super) async fn wait(self) -> OwnedMutexGuard<T> {
        match self {
            Self::Free(guard) => guard,
            Self::Behind(joined) => joined.await,
        }
    }
}
