//! Sessions in the process, gone with it: for tests, and for agents that need to remember no longer.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use futures::future::BoxFuture;

use super::identity::SessionKey;
use super::{Loaded, MemoryError, SessionMemory, TurnRecord};

/// Keeps sessions as long as the process lives.
#[derive(Debug, Default)]
pub struct ProcessMemory {
    sessions: Mutex<HashMap<SessionKey, Vec<TurnRecord>>>,
}

// === impl ProcessMemory ===

impl SessionMemory for ProcessMemory {
    fn load<'a>(
        &'a self,
        session: &'a SessionKey,
        _budget_tokens: usize,
    ) -> BoxFuture<'a, Result<Loaded, MemoryError>> {
        let sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let loaded = sessions.get(session).map_or_else(Loaded::default, |records| Loaded {
            turns: records.iter().map(|record| record.turn.clone()).collect(),
            newest: records.last().map(|record| (record.at, record.sequence)),
        });
        Box::pin(async { Ok(loaded) })
    }

    fn append<'a>(&'a self, session: &'a SessionKey, turn: &'a TurnRecord) -> BoxFuture<'a, Result<(), MemoryError>> {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let records = sessions.entry(session.clone()).or_default();
        if !records.iter().any(|record| record.token == turn.token) {
            records.push(turn.clone());
        }
        Box::pin(async { Ok(()) })
    }
}
