//! Sessions in one file on this machine: for a server of one's own, where AgentCore Memory is not.
//!
//! redb keeps the file: every append is one transaction on disk before it counts, and a process that is
//! killed in the middle leaves the file as it was. One process at a time can have it open.

use std::path::Path;
use std::sync::Arc;

use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use redb::{Database, DatabaseError, ReadableDatabase as _, ReadableTable as _, TableDefinition, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::identity::SessionKey;
use super::{Loaded, MemoryError, RETENTION_DAYS, SessionMemory, TurnRecord};
use crate::history::complete;
use crate::message::Message;

/// Turns by (actor, session, number).
const TURNS: TableDefinition<'_, (&str, &str, u64), &[u8]> = TableDefinition::new("turns");

/// The tokens of turns already appended, as 16 bytes, by (actor, session).
const TOKENS: TableDefinition<'_, (&str, &str, u128), u64> = TableDefinition::new("tokens");

/// When turns happened, in milliseconds since 1970: what is expired is found without reading the rest.
const TIMES: TableDefinition<'_, (i64, &str, &str, u64), u128> = TableDefinition::new("times");

/// How many expired turns one append removes at the most, so that none takes long.
const EXPIRED_AT_ONCE: usize = 64;

/// Keeps sessions in a file.
#[derive(Debug, Clone)]
pub struct FileMemory {
    database: Arc<Database>,
}

/// Why a file cannot keep sessions.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("{path} is open in another process; stop that one, or give SESSION_MEMORY a file of its own")]
    InUse {
        /// The file.
        path: String,
    },
    /// It cannot be opened or made.
    #[error("{path} cannot keep sessions: {reason}; check that its folder exists and can be written to")]
    Unusable {
        /// The file.
        path: String,
        /// What the system or the database said.
        reason: String,
    },
}

/// A turn as the file has it.
#[derive(Serialize, Deserialize)]
struct StoredTurn {
    at_ms: i64,
    messages: Vec<Message>,
}

// === impl FileMemory ===

impl FileMemory {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// When another process has it open, or it is not a session file.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let shown = path.display().to_string();
        let unusable = |reason: String| OpenError::Unusable { path: shown.clone(), reason };
        let database = Database::create(path).map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => OpenError::InUse { path: shown.clone() },
            error => unusable(error.to_string()),
        })?;
        let memory = Self { database: Arc::new(database) };
        memory.make_tables().map_err(|error| unusable(error.to_string()))?;
        Ok(memory)
    }

    fn make_tables(&self) -> Result<(), redb::Error> {
        let writing = self.database.begin_write()?;
        writing.open_table(TURNS)?;
        writing.open_table(TOKENS)?;
        writing.open_table(TIMES)?;
        writing.commit()?;
        Ok(())
    }

    fn read(&self, session: &SessionKey, budget_tokens: usize) -> Result<Loaded, MemoryError> {
        let oldest = retained_from(Timestamp::now());
        let reading = self.database.begin_read().map_err(unavailable)?;
        let turns = reading.open_table(TURNS).map_err(unavailable)?;
        let (actor, id) = (session.actor(), session.session());
        let mut loaded = Loaded::default();
        let mut tokens = 0;
        let newest_first = turns.range((actor, id, 0)..=(actor, id, u64::MAX)).map_err(unavailable)?.rev();
        for entry in newest_first {
            let (key, value) = entry.map_err(unavailable)?;
            let stored: StoredTurn = serde_json::from_slice(value.value()).map_err(|error| not_json(&error))?;
            if stored.at_ms < oldest || tokens > budget_tokens {
                break;
            }
            if loaded.newest.is_none() {
                let at = Timestamp::from_millisecond(stored.at_ms).map_err(corrupt)?;
                loaded.newest = Some((at, key.value().2));
            }
            // A stored turn is one turn; in a file that was edited by hand it may be none or more.
            let repaired = complete(stored.messages);
            tokens += repaired.iter().map(super::super::history::CompleteTurn::estimated_tokens).sum::<usize>();
            loaded.turns.extend(repaired.into_iter().rev().map(Arc::new));
        }
        loaded.turns.reverse();
        Ok(loaded)
    }

    fn write(&self, session: &SessionKey, record: &TurnRecord) -> Result<(), redb::Error> {
        let (actor, id) = (session.actor(), session.session());
        let token = record.token.as_u128();
        let writing = self.database.begin_write()?;
        if writing.open_table(TOKENS)?.get((actor, id, token))?.is_some() {
            return Ok(());
        }
        let stored = StoredTurn { at_ms: record.at.as_millisecond(), messages: record.turn.messages().to_vec() };
        let bytes = serde_json::to_vec(&stored).map_err(|error| redb::Error::Corrupted(error.to_string()))?;
        writing.open_table(TURNS)?.insert((actor, id, record.sequence), bytes.as_slice())?;
        writing.open_table(TOKENS)?.insert((actor, id, token), record.sequence)?;
        writing.open_table(TIMES)?.insert((stored.at_ms, actor, id, record.sequence), token)?;
        remove_expired(&writing, retained_from(record.at))?;
        writing.commit()?;
        Ok(())
    }

    /// Runs `work` where waiting for the disk delays nobody else.
    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, MemoryError> + Send + 'static,
    ) -> Result<T, MemoryError> {
        let memory = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&memory)).await;
        done.unwrap_or_else(|error| Err(MemoryError::Unavailable { reason: error.to_string() }))
    }
}

impl SessionMemory for FileMemory {
    fn load<'a>(&'a self, session: &'a SessionKey, budget_tokens: usize) -> BoxFuture<'a, Result<Loaded, MemoryError>> {
        let session = session.clone();
        Box::pin(self.on_disk(move |memory| memory.read(&session, budget_tokens)))
    }

    fn append<'a>(&'a self, session: &'a SessionKey, turn: &'a TurnRecord) -> BoxFuture<'a, Result<(), MemoryError>> {
        let (session, record) = (session.clone(), turn.clone());
        Box::pin(self.on_disk(move |memory| memory.write(&session, &record).map_err(unavailable)))
    }
}

fn remove_expired(writing: &WriteTransaction, oldest: i64) -> Result<(), redb::Error> {
    let mut times = writing.open_table(TIMES)?;
    let mut turns = writing.open_table(TURNS)?;
    let mut tokens = writing.open_table(TOKENS)?;
    let expired = times.extract_from_if(..(oldest, "", "", 0), |_, _| true)?;
    for entry in expired.take(EXPIRED_AT_ONCE) {
        let (key, token) = entry?;
        let (_, actor, id, sequence) = key.value();
        turns.remove((actor, id, sequence))?;
        tokens.remove((actor, id, token.value()))?;
    }
    Ok(())
}

/// The oldest moment still kept, in milliseconds since 1970.
fn retained_from(now: Timestamp) -> i64 {
    now.as_millisecond()
        - i64::try_from(SignedDuration::from_hours(24 * RETENTION_DAYS).as_millis()).unwrap_or(i64::MAX)
}

fn unavailable(error: impl std::fmt::Display) -> MemoryError {
    MemoryError::Unavailable { reason: error.to_string() }
}

/// Says where, never what: the text is somebody's conversation.
fn not_json(error: &serde_json::Error) -> MemoryError {
    corrupt(format_args!("a turn stops making sense at its byte {}", error.column()))
}

fn corrupt(error: impl std::fmt::Display) -> MemoryError {
    MemoryError::Corrupt { reason: error.to_string() }
}
