//! All tasks: those that are worked on in this process, and those that the session memory keeps.
//!
//! A task is kept as a note beside the sessions, where it is found by its id alone: a client need not name the session
//! that it is of. Whose it is, is a part of the note's place, so nobody finds the tasks of another user; and where the
//! platform's header names a session, only that one's are found.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use a2a::{A2AError, error_code};
use agentcore_core::memory::identity::SessionKey;
use agentcore_core::memory::note::{Note, Writing};
use agentcore_core::memory::sessions::Sessions;
use agentcore_core::turn::TurnError;
use uuid::Uuid;

use super::live::Live;
use super::record::Record;
use crate::failure::Failure;

/// Who asks.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) user: Option<String>,
    /// The session that the platform's header names.
    pub(super) session: Option<String>,
    pub(super) request_id: String,
}

/// The tasks. Clones share them.
#[derive(Clone)]
pub(super) struct Tasks {
    sessions: Sessions,
    at_hand: Arc<Mutex<HashMap<SessionKey, Arc<Live>>>>,
}

/// A task that was found, by who only looks at it.
pub(super) enum Seen {
    /// It is worked on here, or was a moment ago.
    Live(Arc<Live>),
    /// It is kept.
    Kept(Box<Record>),
}

/// A task that was found, by who will change it.
pub(super) enum Taken {
    /// It is worked on here.
    UnderWay(Arc<Live>),
    /// Nobody works on it here.
    Free(Box<Record>, Note),
}

// === impl Tasks ===

impl Tasks {
    pub(super) fn kept_with(sessions: Sessions) -> Self {
        Self { sessions, at_hand: Arc::default() }
    }

    /// Looks at a task.
    pub(super) async fn see(&self, id: &str, caller: &Caller) -> Result<Seen, A2AError> {
        match self.live(id, caller)? {
            Some(live) => Ok(Seen::Live(live)),
            None => self.kept(id, caller).await.map(|(record, _note)| Seen::Kept(record)),
        }
    }

    /// Takes a task, to change it.
    pub(super) async fn take(&self, id: &str, caller: &Caller) -> Result<Taken, A2AError> {
        let Some(live) = self.live(id, caller)? else {
            return self.kept(id, caller).await.map(|(record, note)| Taken::Free(record, note));
        };
        Ok(match live.take_note() {
            Some(note) => Taken::Free(Box::new(live.record()), note),
            None => Taken::UnderWay(live),
        })
    }

    fn live(&self, id: &str, caller: &Caller) -> Result<Option<Arc<Live>>, A2AError> {
        // Ids are ours to make; what is no such id is not looked up.
        if Uuid::parse_str(id).is_err() {
            return Err(not_found());
        }
        let live = self.list().get(&caller.key(id)).cloned();
        match live {
            Some(live) if !caller.may_see(&live.record()) => Err(not_found()),
            live => Ok(live),
        }
    }

    async fn kept(&self, id: &str, caller: &Caller) -> Result<(Box<Record>, Note), A2AError> {
        let note = self.sessions.note(caller.key(id)).await.map_err(|error| {
            tracing::error!(error_type = "MemoryError", error = %error, "a task could not be read");
            of_failure(&Failure::from(&error), &caller.request_id)
        })?;
        let record: Option<Record> = note.text().and_then(|text| serde_json::from_str(text).ok());
        let mut record = record.filter(|record| caller.may_see(record)).ok_or_else(not_found)?;
        if record.is_abandoned() {
            record.fail(&Failure::from(&TurnError::Cut), &caller.request_id);
        }
        Ok((Box::new(record), note))
    }

    /// From now on it is found here; false where it is worked on already.
    pub(super) fn begin(&self, key: SessionKey, live: &Arc<Live>) -> bool {
        let mut list = self.list();
        if list.get(&key).is_some_and(|known| !known.is_over()) {
            return false;
        }
        list.insert(key, Arc::clone(live));
        true
    }

    /// Begins to write a task's note.
    pub(super) fn keep(&self, note: &mut Note, record: &Record) -> Writing {
        self.sessions.keep(note, record.stored())
    }

    /// From now on it is found in the memory, if it could be stored.
    pub(super) fn end(&self, key: &SessionKey, live: &Arc<Live>) {
        let mut list = self.list();
        if list.get(key).is_some_and(|known| Arc::ptr_eq(known, live)) {
            list.remove(key);
        }
    }

    fn list(&self) -> MutexGuard<'_, HashMap<SessionKey, Arc<Live>>> {
        self.at_hand.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Caller ===

impl Caller {
    /// Where the note of a task of theirs is kept.
    pub(super) fn key(&self, id: &str) -> SessionKey {
        SessionKey::of_note(self.user.as_deref(), id)
    }

    fn may_see(&self, record: &Record) -> bool {
        self.session.as_ref().is_none_or(|session| *session == record.session)
    }
}

pub(super) fn not_found() -> A2AError {
    A2AError::new(error_code::TASK_NOT_FOUND, "There is no such task, or it is not yours.")
}

/// A failure where there is no task to tell it by.
pub(super) fn of_failure(failure: &Failure, request_id: &str) -> A2AError {
    let code = if failure.is_callers() { error_code::INVALID_PARAMS } else { error_code::INTERNAL_ERROR };
    let sentence = match &failure.details {
        Some(details) => format!("{}: {details}", failure.sentence),
        None => failure.sentence.clone(),
    };
    let mut metadata = HashMap::from([
        ("code".to_owned(), failure.code.as_str().to_owned()),
        ("request_id".to_owned(), request_id.to_owned()),
    ]);
    if let Some(wait) = failure.retry_after {
        metadata.insert("retry_after".to_owned(), crate::http::whole_seconds(wait).to_string());
    }
    let about = a2a::TypedDetail::error_info(failure.code.as_str(), a2a::PROTOCOL_DOMAIN, Some(metadata));
    A2AError::new(code, sentence).with_details(vec![about])
}
