//! Where sessions are kept between turns.
//!
//! A [`SessionMemory`] loads a session's turns and appends one more; [`agentcore`] keeps them in
//! AgentCore Memory, [`mod@file`] in a file on this machine, [`process`] in the process. [`sessions`] stands
//! before all of them: it keeps warm sessions at hand, puts turns of one session in order and sees
//! that no write is lost.

pub mod agentcore;
pub mod file;
pub mod identity;
pub mod process;
pub mod sessions;

use std::sync::Arc;

use futures::future::BoxFuture;
use jiff::Timestamp;
use uuid::Uuid;

use crate::history::CompleteTurn;
use identity::SessionKey;

/// How long a turn is kept, in days: Vitracka's promise to its users, and the `eventExpiryDuration` of
/// its AgentCore Memory.
pub const RETENTION_DAYS: i64 = 30;

/// Keeps the turns of sessions.
pub trait SessionMemory: Send + Sync + 'static {
    /// The newest turns of a session, oldest first: at least as many as fit `budget_tokens`, where
    /// there are that many. A session nobody has spoken in has none.
    ///
    /// # Errors
    /// When they cannot be read. Never an empty history in place of an error: a coach that forgets
    /// who it talks to is worse than one that asks to try again.
    fn load<'a>(&'a self, session: &'a SessionKey, budget_tokens: usize) -> BoxFuture<'a, Result<Loaded, MemoryError>>;

    /// Appends a turn, as one write. Appending the same [`TurnRecord::token`] again changes nothing.
    ///
    /// # Errors
    /// When it is not certain that the turn is stored.
    fn append<'a>(&'a self, session: &'a SessionKey, turn: &'a TurnRecord) -> BoxFuture<'a, Result<(), MemoryError>>;
}

/// What is known of a session when it is opened.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Loaded {
    /// The turns, oldest first.
    pub turns: Vec<Arc<CompleteTurn>>,
    /// When the newest of them happened and its number, so that the next comes after it.
    pub newest: Option<(Timestamp, u64)>,
}

/// A turn as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct TurnRecord {
    /// Makes a repeated append harmless.
    pub token: Uuid,
    /// When the turn ended; later than any earlier turn of its session.
    pub at: Timestamp,
    /// The turn's number in its session, from 1: the order where timestamps are too coarse for it.
    pub sequence: u64,
    /// What was said.
    pub turn: Arc<CompleteTurn>,
}

/// Why a session could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MemoryError {
    /// The memory may answer if it is asked again.
    #[error("session memory cannot be reached: {reason}; ask again")]
    Unavailable {
        /// What the store said.
        reason: String,
    },
    /// The memory refuses, and will again until somebody changes something.
    #[error(
        "session memory refuses: {reason}; check BEDROCK_AGENTCORE_MEMORY_ID or SESSION_MEMORY, and the role's rights"
    )]
    Refused {
        /// What the store said.
        reason: String,
    },
    /// What was read cannot be understood.
    #[error("session memory holds something unreadable: {reason}")]
    Corrupt {
        /// What was met.
        reason: String,
    },
}
