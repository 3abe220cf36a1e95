//! Events on disk: redb, one transaction an event, so that a server killed at any moment loses nothing it
//! has answered for. Without a directory the same database lives in memory.

use std::fs::DirBuilder;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use jiff::Timestamp;
use redb::backends::InMemoryBackend;
use redb::{
    Database, DatabaseError, ReadTransaction, ReadableDatabase as _, ReadableTable, TableDefinition, WriteTransaction,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::page_token::hexadecimal;
use super::shapes::{CreateEvent, Event, EventFilter};
use crate::aws_error::AwsError;

/// Events by (memory, actor, session, event id). Ids begin with the event's time, so their order is it.
const EVENTS: TableDefinition<'_, EventKey<'_>, &[u8]> = TableDefinition::new("events");

/// When sessions began, in Unix milliseconds, by (memory, actor, session).
const SESSIONS: TableDefinition<'_, (&str, &str, &str), i64> = TableDefinition::new("sessions");

/// What client tokens have made, by (memory, token).
const TOKENS: TableDefinition<'_, (&str, &str), &[u8]> = TableDefinition::new("tokens");

/// The client token of each event, by when it was written and its key: what is expired is found without
/// reading the rest.
const WRITTEN: TableDefinition<'_, (i64, &str, &str, &str, &str), &str> = TableDefinition::new("written");

/// The number in the id that was given last.
const LATEST: TableDefinition<'_, (), u32> = TableDefinition::new("latest");

/// How many expired events one write removes at the most, so that none takes long.
const EXPIRED_AT_ONCE: usize = 64;

/// Greater than every identifier: all of them are ASCII.
const AFTER_ALL: &str = "\u{10FFFF}";

type EventKey<'a> = (&'a str, &'a str, &'a str, &'a str);

/// The events of all memories. Clones are the same store.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    /// Absent once it is closed: connections that are on their way out hold clones of the store, and the
    /// file has to be free without them.
    database: Arc<RwLock<Option<Database>>>,
    retention_ms: i64,
}

/// The database during one operation.
struct Open<'a>(RwLockReadGuard<'a, Option<Database>>);

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has it.
    #[error("{path} is open in another local AWS; stop that one, or give this one a data directory of its own")]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be opened or made.
    #[error("{path} cannot keep memory events: {reason}; check that its directory can be written to")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What the system or the database said.
        reason: String,
    },
}

/// Why an operation failed.
#[derive(Debug)]
pub(super) enum Failure {
    Refused(AwsError),
    Database(redb::Error),
    Closed,
}

/// The session that events are listed of.
#[derive(Debug, Clone)]
pub(super) struct SessionKey {
    pub(super) memory: String,
    pub(super) actor: String,
    pub(super) session: String,
}

/// One page, and where the next begins.
#[derive(Debug)]
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    /// The last item's name, when there are more.
    pub(super) last: Option<String>,
}

/// A session in a list.
#[derive(Debug)]
pub(super) struct SessionSummary {
    pub(super) session: String,
    /// Unix milliseconds.
    pub(super) created_ms: i64,
}

#[derive(Serialize, Deserialize)]
struct StoredEvent {
    written_ms: i64,
    event: Event,
}

/// What a client token has made.
#[derive(Serialize, Deserialize)]
struct Spent {
    /// SHA-256 of the request, in hexadecimal.
    request: String,
    session: String,
    event_id: String,
}

/// The branches a list follows, from the leaf to the trunk, each with the last event that counts.
struct Lineage(Vec<(Option<String>, Option<String>)>);

// === impl Store ===

impl Store {
    /// Opens `memory.redb` in the directory, or makes both; without one, keeps events in memory.
    pub(crate) fn open(directory: Option<&Path>, retention: Duration) -> Result<Self, StoreError> {
        let path = directory.map(|directory| directory.join("memory.redb"));
        let shown = || path.clone().unwrap_or_default();
        let unusable = |reason: String| StoreError::Unusable { path: shown(), reason };
        let opened = match (directory, &path) {
            (Some(directory), Some(path)) => {
                make_private(directory).map_err(|error| unusable(error.to_string()))?;
                Database::create(path)
            }
            _ => Database::builder().create_with_backend(InMemoryBackend::new()),
        };
        let database = opened.map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => StoreError::InUse { path: shown() },
            error => unusable(error.to_string()),
        })?;
        let retention_ms = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
        prepare(&database, now_ms().saturating_sub(retention_ms)).map_err(|error| unusable(error.to_string()))?;
        let store = Self { database: Arc::new(RwLock::new(Some(database))), retention_ms };
        Ok(store)
    }

    /// Stores an event, or finds the one that its client token has made before.
    pub(super) fn create(&self, memory: &str, request: CreateEvent) -> Result<Event, Failure> {
        let now = now_ms();
        let fingerprint = fingerprint(&request)?;
        let database = self.open_now()?;
        let writing = database.begin_write()?;
        // First, for a token that is spent on an expired event is free again.
        remove_expired(&writing, now.saturating_sub(self.retention_ms), EXPIRED_AT_ONCE)?;
        let spent = match &request.client_token {
            Some(token) => spent(&writing, memory, token)?,
            None => None,
        };
        if let Some(spent) = spent {
            if spent.request != fingerprint {
                return Err(Failure::Refused(token_of_another_request()));
            }
            return Ok(event(memory, request, spent.session, spent.event_id));
        }
        let session = request.session_id.clone().unwrap_or_else(|| Uuid::new_v4().to_string());
        let token = request.client_token.clone().unwrap_or_default();
        let event_id = next_event_id(&writing, &request)?;
        let event = event(memory, request, session, event_id);
        check_root(&writing, &event)?;
        insert(&writing, now, &token, &event)?;
        if !token.is_empty() {
            let spent =
                Spent { request: fingerprint, session: event.session_id.clone(), event_id: event.event_id.clone() };
            writing.open_table(TOKENS)?.insert((memory, token.as_str()), to_json(&spent)?.as_slice())?;
        }
        writing.commit()?;
        Ok(event)
    }

    pub(super) fn get(&self, key: &SessionKey, event_id: &str) -> Result<Option<Event>, Failure> {
        let database = self.open_now()?;
        let events = database.begin_read()?.open_table(EVENTS)?;
        let Some(stored) = events.get(key.event(event_id))? else { return Ok(None) };
        let stored = from_json::<StoredEvent>(stored.value())?;
        Ok((stored.written_ms >= self.oldest()).then_some(stored.event))
    }

    /// Whether there was such an event.
    pub(super) fn delete(&self, key: &SessionKey, event_id: &str) -> Result<bool, Failure> {
        if self.get(key, event_id)?.is_none() {
            return Ok(false);
        }
        let database = self.open_now()?;
        let writing = database.begin_write()?;
        // Its token stays spent until it expires: a late retry must not bring the event back.
        let removed = writing.open_table(EVENTS)?.remove(key.event(event_id))?.is_some();
        writing.commit()?;
        Ok(removed)
    }

    /// A page of a session's events, newest first, from below `after`.
    pub(super) fn events(
        &self,
        key: &SessionKey,
        filter: &EventFilter,
        after: Option<&str>,
        size: usize,
    ) -> Result<Page<Event>, Failure> {
        let database = self.open_now()?;
        let reading = database.begin_read()?;
        let lineage = match &filter.branch {
            Some(branch) => {
                Some(Lineage::of(&reading, key, &branch.name, branch.include_parent_branches == Some(true))?)
            }
            None => None,
        };
        let oldest = self.oldest();
        let table = reading.open_table(EVENTS)?;
        let newest_first = table.range(key.event("")..key.event(after.unwrap_or(AFTER_ALL)))?.rev();
        let mut events: Vec<Event> = Vec::new();
        for entry in newest_first {
            let StoredEvent { written_ms, event } = from_json(entry?.1.value())?;
            let in_lineage = lineage.as_ref().is_none_or(|lineage| lineage.has(&event));
            if written_ms < oldest || !in_lineage || !filter.passes(event.metadata.as_ref()) {
                continue;
            }
            if events.len() == size {
                let last = events.last().map(|event| event.event_id.clone());
                return Ok(Page { items: events, last });
            }
            events.push(event);
        }
        Ok(Page { items: events, last: None })
    }

    /// A page of an actor's sessions, by their ids, from above `after`.
    pub(super) fn sessions(
        &self,
        memory: &str,
        actor: &str,
        with_events_only: bool,
        after: Option<&str>,
        size: usize,
    ) -> Result<Page<SessionSummary>, Failure> {
        let database = self.open_now()?;
        let reading = database.begin_read()?;
        let (sessions, events) = (reading.open_table(SESSIONS)?, reading.open_table(EVENTS)?);
        let mut found: Vec<SessionSummary> = Vec::new();
        for entry in sessions.range((memory, actor, after.unwrap_or(""))..(memory, actor, AFTER_ALL))? {
            let (key, created) = entry?;
            let session = key.value().2.to_owned();
            if Some(session.as_str()) == after || (with_events_only && is_empty(&events, (memory, actor, &session))?) {
                continue;
            }
            if found.len() == size {
                let last = found.last().map(|summary| summary.session.clone());
                return Ok(Page { items: found, last });
            }
            found.push(SessionSummary { session, created_ms: created.value() });
        }
        Ok(Page { items: found, last: None })
    }

    /// A page of a memory's actors, by their ids, from above `after`.
    pub(super) fn actors(&self, memory: &str, after: Option<&str>, size: usize) -> Result<Page<String>, Failure> {
        let database = self.open_now()?;
        let sessions = database.begin_read()?.open_table(SESSIONS)?;
        let mut found: Vec<String> = Vec::new();
        let mut above = after.map(str::to_owned);
        loop {
            // One seek an actor, however many sessions it has.
            let from = above.as_deref().map_or((memory, "", ""), |actor| (memory, actor, AFTER_ALL));
            let next = sessions.range(from..(memory, AFTER_ALL, ""))?.next().transpose()?;
            let Some((key, _)) = next else { return Ok(Page { items: found, last: None }) };
            if found.len() == size {
                return Ok(Page { last: found.last().cloned(), items: found });
            }
            let actor = key.value().1.to_owned();
            found.push(actor.clone());
            above = Some(actor);
        }
    }

    /// Closes the file when every operation under way has ended; those that come later are refused.
    pub(crate) async fn close(self) {
        let closing = tokio::task::spawn_blocking(move || {
            drop(self.database.write().unwrap_or_else(PoisonError::into_inner).take());
        });
        if let Err(error) = closing.await {
            tracing::error!(%error, "the memory store was not closed in order");
        }
    }

    fn open_now(&self) -> Result<Open<'_>, Failure> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        if database.is_some() { Ok(Open(database)) } else { Err(Failure::Closed) }
    }

    /// The oldest moment still kept, in Unix milliseconds.
    fn oldest(&self) -> i64 {
        now_ms().saturating_sub(self.retention_ms)
    }
}

// === impl Open ===

impl Deref for Open<'_> {
    type Target = Database;

    fn deref(&self) -> &Database {
        self.0.as_ref().expect("it was there when the lock was taken")
    }
}

// === impl SessionKey ===

impl SessionKey {
    fn event<'a>(&'a self, event_id: &'a str) -> EventKey<'a> {
        (&self.memory, &self.actor, &self.session, event_id)
    }
}

// === impl Lineage ===

impl Lineage {
    /// The trunk's name; events without a branch are on it.
    const TRUNK: &str = "main";

    fn of(reading: &ReadTransaction, key: &SessionKey, branch: &str, with_parents: bool) -> Result<Self, Failure> {
        let table = reading.open_table(EVENTS)?;
        let mut lineage = Vec::new();
        let mut next = Some((Some(branch.to_owned()).filter(|name| name != Self::TRUNK), None));
        while let Some((name, last)) = next.take() {
            if with_parents && let Some(name) = &name {
                next = root_of(&table, key, name)?.and_then(|(parent, root)| {
                    // Branches that root in each other would never end.
                    let seen = lineage.iter().any(|(known, _)| *known == parent);
                    (!seen).then_some((parent, Some(root)))
                });
            }
            lineage.push((name, last));
        }
        Ok(Self(lineage))
    }

    fn has(&self, event: &Event) -> bool {
        let name = branch_of(event);
        let on = self.0.iter().find(|(branch, _)| branch.as_deref() == name);
        on.is_some_and(|(_, last)| last.as_ref().is_none_or(|last| event.event_id <= *last))
    }
}

/// The branch that `branch` left, and the event it left it after.
fn root_of(
    table: &impl ReadableTable<EventKey<'static>, &'static [u8]>,
    key: &SessionKey,
    branch: &str,
) -> Result<Option<(Option<String>, String)>, Failure> {
    for entry in table.range(key.event("")..key.event(AFTER_ALL))? {
        let event = from_json::<StoredEvent>(entry?.1.value())?.event;
        let root = event.branch.filter(|own| own.name == branch).and_then(|own| own.root_event_id);
        let Some(root) = root else { continue };
        let Some(stored) = table.get(key.event(&root))? else { return Ok(None) };
        let parent = from_json::<StoredEvent>(stored.value())?.event;
        return Ok(Some((branch_of(&parent).map(str::to_owned), root)));
    }
    Ok(None)
}

fn branch_of(event: &Event) -> Option<&str> {
    event.branch.as_ref().map(|branch| branch.name.as_str()).filter(|name| *name != Lineage::TRUNK)
}

fn prepare(database: &Database, oldest: i64) -> Result<(), redb::Error> {
    let writing = database.begin_write()?;
    writing.open_table(EVENTS)?;
    writing.open_table(SESSIONS)?;
    writing.open_table(TOKENS)?;
    writing.open_table(WRITTEN)?;
    remove_expired(&writing, oldest, usize::MAX)?;
    writing.commit()?;
    Ok(())
}

// === one write ===

fn spent(writing: &WriteTransaction, memory: &str, token: &str) -> Result<Option<Spent>, Failure> {
    let tokens = writing.open_table(TOKENS)?;
    let found = tokens.get((memory, token))?;
    Ok(found.map(|spent| from_json(spent.value())).transpose()?)
}

/// An id that no event had before, also none that was deleted; of two in one millisecond the later one's is
/// the greater.
fn next_event_id(writing: &WriteTransaction, request: &CreateEvent) -> Result<String, Failure> {
    let mut latest = writing.open_table(LATEST)?;
    let before = latest.get(())?.map(|number| number.value());
    // The lower half, to begin with, leaves room for two thousand million events.
    let number = before.map_or_else(|| Uuid::new_v4().as_fields().0 >> 1, |before| before.wrapping_add(1));
    latest.insert((), number)?;
    Ok(format!("{:019}#{number:08x}", request.milliseconds().unwrap_or_default()))
}

fn check_root(writing: &WriteTransaction, event: &Event) -> Result<(), Failure> {
    let Some(root) = event.branch.as_ref().and_then(|branch| branch.root_event_id.as_deref()) else { return Ok(()) };
    let (memory, actor) = (event.memory_id.as_str(), event.actor_id.as_str());
    let events = writing.open_table(EVENTS)?;
    if events.get((memory, actor, event.session_id.as_str(), root))?.is_some() {
        return Ok(());
    }
    for entry in writing.open_table(SESSIONS)?.range((memory, actor, "")..(memory, actor, AFTER_ALL))? {
        if events.get((memory, actor, entry?.0.value().2, root))?.is_some() {
            let refusal = AwsError::validation(format!("Root event {root} belongs to another session of this actor."));
            return Err(Failure::Refused(refusal.because("EventInOtherSession", Vec::new())));
        }
    }
    Err(Failure::Refused(AwsError::not_found(format!("Root event {root} was not found in this session."))))
}

fn insert(writing: &WriteTransaction, now: i64, token: &str, event: &Event) -> Result<(), Failure> {
    let (memory, actor, session) = (event.memory_id.as_str(), event.actor_id.as_str(), event.session_id.as_str());
    let event_id = event.event_id.as_str();
    let stored = to_json(&StoredEvent { written_ms: now, event: event.clone() })?;
    writing.open_table(EVENTS)?.insert((memory, actor, session, event_id), stored.as_slice())?;
    writing.open_table(WRITTEN)?.insert((now, memory, actor, session, event_id), token)?;
    let mut sessions = writing.open_table(SESSIONS)?;
    if sessions.get((memory, actor, session))?.is_none() {
        sessions.insert((memory, actor, session), now)?;
    }
    Ok(())
}

fn remove_expired(writing: &WriteTransaction, oldest: i64, at_most: usize) -> Result<(), redb::Error> {
    let mut written = writing.open_table(WRITTEN)?;
    let mut events = writing.open_table(EVENTS)?;
    let mut sessions = writing.open_table(SESSIONS)?;
    let mut tokens = writing.open_table(TOKENS)?;
    for entry in written.extract_from_if(..(oldest, "", "", "", ""), |_, _| true)?.take(at_most) {
        let (key, token) = entry?;
        let (_, memory, actor, session, event_id) = key.value();
        events.remove((memory, actor, session, event_id))?;
        tokens.remove((memory, token.value()))?;
        if is_empty(&events, (memory, actor, session))? {
            sessions.remove((memory, actor, session))?;
        }
    }
    Ok(())
}

fn is_empty(
    events: &impl ReadableTable<EventKey<'static>, &'static [u8]>,
    (memory, actor, session): (&str, &str, &str),
) -> Result<bool, redb::Error> {
    let mut range = events.range((memory, actor, session, "")..(memory, actor, session, AFTER_ALL))?;
    Ok(range.next().transpose()?.is_none())
}

fn event(memory: &str, request: CreateEvent, session: String, event_id: String) -> Event {
    Event {
        memory_id: memory.to_owned(),
        actor_id: request.actor_id,
        session_id: session,
        event_id,
        event_timestamp: request.event_timestamp,
        payload: Some(request.payload),
        branch: request.branch,
        metadata: request.metadata,
    }
}

fn token_of_another_request() -> AwsError {
    let message = "The clientToken was used with other parameters before; a retry repeats the request unchanged.";
    AwsError::validation(message).because("IdempotentParameterMismatchException", Vec::new())
}

fn fingerprint(request: &CreateEvent) -> Result<String, redb::Error> {
    Ok(hexadecimal(&Sha256::digest(to_json(request)?)))
}

fn to_json(value: &impl Serialize) -> Result<Vec<u8>, redb::Error> {
    serde_json::to_vec(value).map_err(|error| redb::Error::Corrupted(error.to_string()))
}

/// An error says where, never what: the text is somebody's conversation.
fn from_json<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, redb::Error> {
    let place = |error: serde_json::Error| format!("a record stops making sense at its byte {}", error.column());
    serde_json::from_slice(bytes).map_err(|error| redb::Error::Corrupted(place(error)))
}

fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

/// Conversations are nobody else's.
fn make_private(directory: &Path) -> std::io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

// === impl Failure ===

impl<E: Into<redb::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Database(error.into())
    }
}

impl From<Failure> for AwsError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(error) => error,
            Failure::Closed => {
                let status = http::StatusCode::INTERNAL_SERVER_ERROR;
                Self::new(status, "ServiceException", "The memory store is closed: the local AWS shuts down.")
            }
            Failure::Database(error) => {
                tracing::error!(%error, "the memory store failed");
                let status = http::StatusCode::INTERNAL_SERVER_ERROR;
                Self::new(status, "ServiceException", format!("The memory store failed: {error}."))
            }
        }
    }
}
