//! Sessions in the process, gone with it: for tests, and for agents that need to remember no longer.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use futures::future::BoxFuture;

use super::identity::SessionKey;
use super::reading::Reading;
use super::{Loaded, MemoryError, Record, SessionMemory};

/// Keeps sessions as long as the process lives.
#[derive(Debug, Default)]
pub struct ProcessMemory {
    sessions: Mutex<HashMap<SessionKey, Vec<Record>>>,
}

// === impl ProcessMemory ===

impl ProcessMemory {
    fn read(&self, session: &SessionKey, budget_tokens: usize) -> Loaded {
        let sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let mut reading = Reading::within(budget_tokens);
        for record in sessions.get(session).into_iter().flatten().rev() {
            if reading.is_enough() {
                break;
            }
            reading.stored(record.at, record.sequence, (&record.entry).into());
        }
        reading.finish()
    }

    fn write(&self, session: &SessionKey, record: &Record) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let records = sessions.entry(session.clone()).or_default();
        if !records.iter().any(|known| known.token == record.token) {
            records.push(record.clone());
        }
    }
}

impl SessionMemory for ProcessMemory {
    fn load<'a>(&'a self, session: &'a SessionKey, budget_tokens: usize) -> BoxFuture<'a, Result<Loaded, MemoryError>> {
        let loaded = self.read(session, budget_tokens);
        Box::pin(async { Ok(loaded) })
    }

    fn append<'a>(&'a self, session: &'a SessionKey, record: &'a Record) -> BoxFuture<'a, Result<(), MemoryError>> {
        self.write(session, record);
        Box::pin(async { Ok(()) })
    }
}
