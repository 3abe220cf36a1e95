//! One session: who is in it, what phase it is in, and whether it still lets anybody in.
//!
//! The race this module rules out: an invocation enters a session at the moment its process is reaped.
//! Entering and closing take the same lock, so either the visit keeps the session open or the visitor
//! learns that the session is on its way out and waits for the next process.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::upstream::Upstream;
use crate::notice::{SessionEnd, SessionName, StartFailure};

/// A session and, where the agent is a command, its process.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) name: SessionName,
    /// The key the agent signs with; no other session has it.
    pub(super) access_key_id: String,
    /// Asks for the session's end.
    pub(super) stop: CancellationToken,
    phase: watch::Sender<Phase>,
    visits: Mutex<Visits>,
    faults: Mutex<VecDeque<String>>,
}

#[derive(Debug, Clone)]
enum Phase {
    Starting,
    Ready(Upstream),
    Ended(SessionEnd),
}

#[derive(Debug)]
struct Visits {
    in_flight: usize,
    /// When the last one ended, or the session began.
    quiet_since: Instant,
    /// How many there have been.
    numbered: u64,
    closed: bool,
}

/// An invocation's stay in a session. While one exists the session is not idle.
#[derive(Debug)]
pub(crate) struct Visit {
    session: Arc<Session>,
    number: u64,
}

// === impl Session ===

impl Session {
    pub(super) fn new(name: SessionName, access_key_id: String) -> Self {
        let visits = Visits { in_flight: 0, quiet_since: Instant::now(), numbered: 0, closed: false };
        Self {
            name,
            access_key_id,
            stop: CancellationToken::new(),
            phase: watch::Sender::new(Phase::Starting),
            visits: Mutex::new(visits),
            faults: Mutex::default(),
        }
    }

    /// Enters the session, unless it is closed.
    pub(super) fn visit(self: &Arc<Self>) -> Option<Visit> {
        let mut visits = self.visits();
        if visits.closed {
            return None;
        }
        visits.in_flight += 1;
        visits.numbered += 1;
        Some(Visit { session: Arc::clone(self), number: visits.numbered })
    }

    /// Lets nobody in any more.
    pub(super) fn close(&self) {
        self.visits().closed = true;
    }

    /// Lets nobody in any more, if nobody is in it.
    pub(super) fn close_if_quiet(&self) -> bool {
        let mut visits = self.visits();
        visits.closed |= visits.in_flight == 0;
        visits.closed
    }

    pub(super) fn is_closed(&self) -> bool {
        self.visits().closed
    }

    /// The last moment somebody was in it; absent while somebody is.
    pub(super) fn quiet_since(&self) -> Option<Instant> {
        let visits = self.visits();
        (visits.in_flight == 0).then_some(visits.quiet_since)
    }

    pub(super) fn is_ready(&self, upstream: Upstream) {
        self.phase.send_replace(Phase::Ready(upstream));
    }

    pub(super) fn has_ended(&self, why: SessionEnd) {
        self.phase.send_replace(Phase::Ended(why));
    }

    /// Waits until the session and its process are gone.
    pub(super) async fn ended(&self) {
        let mut phase = self.phase.subscribe();
        // The sender is ours, so it cannot be gone.
        let _ended = phase.wait_for(|phase| matches!(phase, Phase::Ended(_))).await;
    }

    /// Replaces the faults armed for model calls to come.
    fn arm(&self, faults: &[String]) {
        *self.faults.lock().unwrap_or_else(PoisonError::into_inner) = faults.iter().cloned().collect();
    }

    pub(super) fn take_fault(&self) -> Option<String> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    fn visits(&self) -> MutexGuard<'_, Visits> {
        self.visits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Visit ===

impl Visit {
    /// The session.
    pub(crate) fn name(&self) -> &SessionName {
        &self.session.name
    }

    /// Its number among the visits of this process, from 1.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Arms faults for the model calls this session makes next; none leave what is armed as it is.
    pub(crate) fn arm_if_any(&self, faults: &[String]) {
        if !faults.is_empty() {
            self.session.arm(faults);
        }
    }

    /// Waits until the agent is healthy. Nothing when the session is over that once was.
    pub(crate) async fn ready(&self) -> Result<Option<Upstream>, StartFailure> {
        let mut phase = self.session.phase.subscribe();
        let settled = phase.wait_for(|phase| !matches!(phase, Phase::Starting)).await;
        match settled.as_deref() {
            Ok(Phase::Ready(upstream)) => Ok(Some(upstream.clone())),
            Ok(Phase::Ended(SessionEnd::NotStarted(failure))) => Err(failure.clone()),
            Ok(Phase::Ended(_) | Phase::Starting) | Err(_) => Ok(None),
        }
    }

    /// Waits until the session and its process are gone.
    pub(crate) async fn ended(&self) {
        self.session.ended().await;
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let mut visits = self.session.visits();
        visits.in_flight -= 1;
        visits.quiet_since = Instant::now();
    }
}
