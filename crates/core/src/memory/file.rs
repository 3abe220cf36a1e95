//! Sessions in one file on this machine: for a server of one's own, where AgentCore Memory is not.
//!
//! redb keeps the file: every append is one transaction on disk before it counts, and a process that is
//! killed in the middle leaves the file as it was. One process at a time can have it open.
//!
//! After a disk has failed once, as one that is full does, redb answers nothing more. Then the file is opened anew, so
//! that the memory is there again when the disk is.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use futures::future::BoxFuture;
use jiff::Timestamp;
use redb::{Database, DatabaseError, ReadableDatabase as _, ReadableTable as _, TableDefinition, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::identity::SessionKey;
use super::reading::Reading;
use super::stored::StoredEntry;
use super::{Loaded, MemoryError, Record, SessionMemory, retained_from};

/// Entries by (actor, session, number).
const TURNS: TableDefinition<'_, (&str, &str, u64), &[u8]> = TableDefinition::new("turns");

/// The tokens of entries already appended, as 16 bytes, by (actor, session).
const TOKENS: TableDefinition<'_, (&str, &str, u128), u64> = TableDefinition::new("tokens");

/// When entries were made, in milliseconds since 1970: what is expired is found without reading the rest.
const TIMES: TableDefinition<'_, (i64, &str, &str, u64), u128> = TableDefinition::new("times");

/// How many expired entries one append removes at the most, so that none takes long.
const EXPIRED_AT_ONCE: usize = 64;

/// Keeps sessions in a file.
#[derive(Debug, Clone)]
pub struct FileMemory {
    path: Arc<Path>,
    file: Arc<RwLock<File>>,
}

/// The file as it is open now.
#[derive(Debug)]
struct File {
    /// None where it could not be opened again.
    database: Option<Database>,
    /// How often it has been opened.
    openings: u64,
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

/// An entry as the file gets it.
#[derive(Serialize)]
struct Written {
    at_ms: i64,
    #[serde(flatten)]
    entry: StoredEntry,
}

/// The part of it that tells whether the rest is wanted.
#[derive(Deserialize)]
struct Dated {
    at_ms: i64,
}

// === impl FileMemory ===

impl FileMemory {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// When another process has it open, or it is not a session file.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let file = File { database: Some(open(path)?), openings: 1 };
        Ok(Self { path: path.into(), file: Arc::new(RwLock::new(file)) })
    }

    /// Does `work` on the file. Where the disk has failed, the file is opened anew and the work done once more.
    fn attempt<T>(&self, work: impl Fn(&Database) -> Result<T, MemoryError>) -> Result<T, MemoryError> {
        let (failed, openings) = {
            let file = self.file.read().unwrap_or_else(PoisonError::into_inner);
            let attempted = file.database.as_ref().map_or_else(|| Err(closed()), &work);
            match attempted {
                Err(error @ MemoryError::Unavailable { .. }) => (error, file.openings),
                done => return done,
            }
        };
        let mut file = self.file.write().unwrap_or_else(PoisonError::into_inner);
        if file.openings == openings {
            tracing::warn!(error = %failed, "the session file is opened anew");
            file.open_again(&self.path)?;
        }
        file.database.as_ref().map_or_else(|| Err(closed()), work)
    }

    /// Runs `work` where waiting for the disk delays nobody else.
    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl Fn(&Database) -> Result<T, MemoryError> + Send + 'static,
    ) -> Result<T, MemoryError> {
        let memory = self.clone();
        let done = tokio::task::spawn_blocking(move || memory.attempt(work)).await;
        done.unwrap_or_else(|error| Err(MemoryError::Unavailable { reason: error.to_string() }))
    }
}

impl SessionMemory for FileMemory {
    fn load<'a>(&'a self, session: &'a SessionKey, budget_tokens: usize) -> BoxFuture<'a, Result<Loaded, MemoryError>> {
        let session = session.clone();
        Box::pin(self.on_disk(move |database| read(database, &session, budget_tokens)))
    }

    fn append<'a>(&'a self, session: &'a SessionKey, record: &'a Record) -> BoxFuture<'a, Result<(), MemoryError>> {
        let (session, record) = (session.clone(), record.clone());
        Box::pin(self.on_disk(move |database| write(database, &session, &record).map_err(unavailable)))
    }
}

// === impl File ===

impl File {
    /// Closes the file, as far as that goes, and opens it as it is on disk.
    fn open_again(&mut self, path: &Path) -> Result<(), MemoryError> {
        self.database = None;
        self.database = Some(open(path).map_err(unavailable)?);
        self.openings += 1;
        Ok(())
    }
}

fn open(path: &Path) -> Result<Database, OpenError> {
    let shown = path.display().to_string();
    let unusable = |reason: String| OpenError::Unusable { path: shown.clone(), reason };
    make_private(path).map_err(|error| unusable(error.to_string()))?;
    let database = Database::create(path).map_err(|error| match error {
        DatabaseError::DatabaseAlreadyOpen => OpenError::InUse { path: shown.clone() },
        error => unusable(error.to_string()),
    })?;
    make_tables(&database).map_err(|error| unusable(error.to_string()))?;
    Ok(database)
}

fn make_tables(database: &Database) -> Result<(), redb::Error> {
    let writing = database.begin_write()?;
    writing.open_table(TURNS)?;
    writing.open_table(TOKENS)?;
    writing.open_table(TIMES)?;
    writing.commit()?;
    Ok(())
}

fn read(database: &Database, session: &SessionKey, budget_tokens: usize) -> Result<Loaded, MemoryError> {
    let oldest = retained_from(Timestamp::now());
    let reading = database.begin_read().map_err(unavailable)?;
    let entries = reading.open_table(TURNS).map_err(unavailable)?;
    let (actor, id) = (session.actor(), session.session());
    let mut reading = Reading::within(budget_tokens);
    let newest_first = entries.range((actor, id, 0)..=(actor, id, u64::MAX)).map_err(unavailable)?.rev();
    for entry in newest_first {
        let (key, value) = entry.map_err(unavailable)?;
        let Dated { at_ms } = serde_json::from_slice(value.value()).map_err(|error| not_json(&error))?;
        let at = Timestamp::from_millisecond(at_ms).map_err(corrupt)?;
        if at < oldest || reading.is_enough() {
            break;
        }
        let stored = serde_json::from_slice(value.value()).map_err(|error| not_json(&error))?;
        reading.stored(at, key.value().2, stored);
    }
    Ok(reading.finish())
}

fn write(database: &Database, session: &SessionKey, record: &Record) -> Result<(), redb::Error> {
    let (actor, id) = (session.actor(), session.session());
    let token = record.token.as_u128();
    let writing = database.begin_write()?;
    if writing.open_table(TOKENS)?.get((actor, id, token))?.is_some() {
        return Ok(());
    }
    let stored = Written { at_ms: record.at.as_millisecond(), entry: (&record.entry).into() };
    let bytes = serde_json::to_vec(&stored).map_err(|error| redb::Error::Corrupted(error.to_string()))?;
    let sequence = next_free(&writing, session, record.sequence)?;
    writing.open_table(TURNS)?.insert((actor, id, sequence), bytes.as_slice())?;
    writing.open_table(TOKENS)?.insert((actor, id, token), sequence)?;
    writing.open_table(TIMES)?.insert((stored.at_ms, actor, id, sequence), token)?;
    remove_expired(&writing, retained_from(record.at).as_millisecond())?;
    writing.commit()?;
    Ok(())
}

/// The number itself, unless an entry has it already: nothing is ever written over.
fn next_free(writing: &WriteTransaction, session: &SessionKey, sequence: u64) -> Result<u64, redb::Error> {
    let entries = writing.open_table(TURNS)?;
    let (actor, id) = (session.actor(), session.session());
    if entries.get((actor, id, sequence))?.is_none() {
        return Ok(sequence);
    }
    let last = entries.range((actor, id, sequence)..=(actor, id, u64::MAX))?.next_back().transpose()?;
    Ok(last.map_or(sequence, |(key, _)| key.value().2.saturating_add(1)))
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

/// Makes the file, where there is none, so that nobody else on the machine reads what was said.
fn make_private(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.create(true).truncate(false).read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

/// It could not be opened when the disk had failed. The next who comes tries again.
fn closed() -> MemoryError {
    unavailable("the session file is not open")
}

fn unavailable(error: impl std::fmt::Display) -> MemoryError {
    MemoryError::Unavailable { reason: error.to_string() }
}

/// Says where, never what: the text is somebody's conversation.
fn not_json(error: &serde_json::Error) -> MemoryError {
    corrupt(format_args!("an entry stops making sense at its byte {}", error.column()))
}

fn corrupt(error: impl std::fmt::Display) -> MemoryError {
    MemoryError::Corrupt { reason: error.to_string() }
}
