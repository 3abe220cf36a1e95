//! The sessions of this process: warm ones at hand, turns in order, writes never lost unnoticed.
//!
//! A session is read from its memory once and then kept at hand, so a warm session reads nothing
//! again. Whoever has a session open has it alone; others wait in the order they came. A turn is
//! written by a task of its own, which keeps the session busy, tries again while that can help, and
//! says so in the log when a turn is lost in the end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;
use uuid::Uuid;

use super::identity::SessionKey;
use super::{Loaded, MemoryError, SessionMemory, TurnRecord};
use crate::activity::Activity;
use crate::history::{CompleteTurn, newest_within};

/// How long an answer waits for its turn to be stored. Beyond it the answer leaves and the write goes
/// on behind it.
const WRITE_PATIENCE: Duration = Duration::from_secs(2);

/// The pause before a failed write is tried again; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// AgentCore Memory takes one event in about four seconds for a session; asking much more seldom than
/// that gains nothing.
const LONGEST_PAUSE: Duration = Duration::from_secs(20);

/// How long a failing write is tried before the turn counts as lost: most of the 15 minutes for which
/// AgentCore keeps a session whose caller has gone.
const WRITE_BOUND: Duration = Duration::from_mins(10);

/// How many sessions stay at hand. AgentCore gives each session a process of its own; a server of
/// one's own may see many.
const WARM_SESSIONS: usize = 4096;

/// All sessions of a process. Clones share them.
#[derive(Clone)]
pub struct Sessions(Arc<Shared>);

/// A session in one caller's hands, until this is dropped.
pub struct OpenSession {
    key: SessionKey,
    sessions: Sessions,
    session: OwnedMutexGuard<Session>,
}

/// How far a turn is stored when its answer leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// It is in the session's memory.
    Already,
    /// It is being written; the session stays busy until it is.
    Soon,
    /// The memory refused it; the log says why.
    Lost,
}

struct Shared {
    memory: Arc<dyn SessionMemory>,
    /// Whether a session may grow in other processes, too.
    with_other_processes: bool,
    history_tokens: usize,
    activity: Activity,
    warm: Mutex<Warm>,
    writes: TaskTracker,
    give_up: CancellationToken,
}

#[derive(Default)]
struct Warm {
    sessions: HashMap<SessionKey, (u64, Arc<AsyncMutex<Session>>)>,
    /// Counts openings, so that the longest unused session can be told.
    openings: u64,
}

/// What is known of a session: nothing, until it has been read.
#[derive(Default)]
struct Session {
    known: Option<Loaded>,
    last_write: Option<JoinHandle<()>>,
}

// === impl Sessions ===

impl Sessions {
    /// Sessions kept in `memory`. A call is sent at most `history_tokens` of what was said before.
    pub fn new(memory: Arc<dyn SessionMemory>, history_tokens: usize, activity: Activity) -> Self {
        Self::kept_in(memory, false, history_tokens, activity)
    }

    /// The same for a process that shares its sessions with others, as the instances of a Lambda function
    /// do: a session is read anew each time it is opened.
    pub fn shared(memory: Arc<dyn SessionMemory>, history_tokens: usize, activity: Activity) -> Self {
        Self::kept_in(memory, true, history_tokens, activity)
    }

    fn kept_in(
        memory: Arc<dyn SessionMemory>,
        with_other_processes: bool,
        history_tokens: usize,
        activity: Activity,
    ) -> Self {
        Self(Arc::new(Shared {
            memory,
            with_other_processes,
            history_tokens,
            activity,
            warm: Mutex::default(),
            writes: TaskTracker::new(),
            give_up: CancellationToken::new(),
        }))
    }

    /// Opens a session, after those who came before have closed it.
    ///
    /// # Errors
    /// When a session that is not at hand cannot be read.
    pub async fn open(&self, key: SessionKey) -> Result<OpenSession, MemoryError> {
        let mut session = self.at_hand(&key).lock_owned().await;
        if self.0.with_other_processes {
            if let Some(write) = session.last_write.take() {
                let _ = write.await;
            }
            session.known = None;
        }
        if session.known.is_none() {
            let loaded = self.0.memory.load(&key, self.0.history_tokens).await?;
            tracing::debug!(turns = loaded.turns.len(), "session loaded");
            session.known = Some(loaded);
        }
        Ok(OpenSession { key, sessions: self.clone(), session })
    }

    /// Waits until every write that has begun has ended, one way or the other.
    pub async fn flush(&self) {
        self.0.writes.close();
        self.0.writes.wait().await;
        self.0.writes.reopen();
    }

    /// Waits until every write has ended, `within` that time; what is not stored by then is given up
    /// and logged as lost.
    pub async fn close(&self, within: Duration) {
        self.0.writes.close();
        if timeout(within, self.0.writes.wait()).await.is_err() {
            self.0.give_up.cancel();
            self.0.writes.wait().await;
        }
    }

    fn at_hand(&self, key: &SessionKey) -> Arc<AsyncMutex<Session>> {
        let mut warm = self.0.warm.lock().unwrap_or_else(PoisonError::into_inner);
        warm.openings += 1;
        let now = warm.openings;
        if !warm.sessions.contains_key(key) && warm.sessions.len() >= WARM_SESSIONS {
            warm.let_go_of_unused();
        }
        let (used, session) = warm.sessions.entry(key.clone()).or_default();
        *used = now;
        Arc::clone(session)
    }
}

// === impl Warm ===

impl Warm {
    /// Forgets the longest unused quarter of the sessions that nobody has open and that are stored.
    fn let_go_of_unused(&mut self) {
        let mut idle: Vec<(u64, SessionKey)> = self
            .sessions
            .iter()
            .filter(|(_, (_, session))| session.try_lock().is_ok_and(|session| session.is_stored()))
            .filter(|(_, (_, session))| Arc::strong_count(session) == 1)
            .map(|(key, (used, _))| (*used, key.clone()))
            .collect();
        idle.sort_unstable_by_key(|(used, _)| *used);
        for (_, key) in idle.into_iter().take(WARM_SESSIONS / 4) {
            self.sessions.remove(&key);
        }
    }
}

// === impl Session ===

impl Session {
    fn is_stored(&self) -> bool {
        self.last_write.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

// === impl OpenSession ===

impl OpenSession {
    /// The newest turns that fit `tokens_left` as well as the session's own budget, oldest first.
    pub fn history(&self, tokens_left: usize) -> Vec<Arc<CompleteTurn>> {
        let turns = self.session.known.as_ref().map_or(&[][..], |known| &known.turns);
        newest_within(turns, tokens_left.min(self.sessions.0.history_tokens)).to_vec()
    }

    /// Adds a turn and stores it. Waits for the memory only so long; the session is busy until the
    /// turn is stored, and the next turn may begin before.
    pub async fn remember(mut self, turn: CompleteTurn) -> Stored {
        let record = self.next_record(Arc::new(turn));
        self.keep_at_hand(&record);
        let before = self.session.last_write.take();
        let (stored, is_stored) = tokio::sync::oneshot::channel();
        let shared = Arc::clone(&self.sessions.0);
        let busy = shared.activity.begin("storing a turn");
        let key = self.key.clone();
        let write = async move {
            if let Some(before) = before {
                let _ = before.await;
            }
            if shared.write(&key, &record).await {
                // Nobody may be waiting any more.
                let _ = stored.send(());
            }
            drop(busy);
        };
        self.session.last_write = Some(self.sessions.0.writes.spawn(write.in_current_span()));
        drop(self.session);
        match timeout(WRITE_PATIENCE, is_stored).await {
            Ok(Ok(())) => Stored::Already,
            Ok(Err(_)) => Stored::Lost,
            Err(_) => Stored::Soon,
        }
    }

    fn next_record(&self, turn: Arc<CompleteTurn>) -> TurnRecord {
        let now = Timestamp::now();
        let newest = self.session.known.as_ref().and_then(|known| known.newest);
        let (at, sequence) = match newest {
            // Clocks step back; a session's turns do not.
            Some((last, sequence)) => (now.max(last + SignedDuration::from_millis(1)), sequence + 1),
            None => (now, 1),
        };
        TurnRecord { token: Uuid::new_v4(), at, sequence, turn }
    }

    fn keep_at_hand(&mut self, record: &TurnRecord) {
        let history_tokens = self.sessions.0.history_tokens;
        let known = self.session.known.get_or_insert_default();
        known.newest = Some((record.at, record.sequence));
        known.turns.push(Arc::clone(&record.turn));
        let beyond = known.turns.len() - newest_within(&known.turns, history_tokens).len();
        known.turns.drain(..beyond);
    }
}

// === impl Shared ===

impl Shared {
    /// Writes a turn, again and again while that can help, and says whether it is stored. A turn that is
    /// lost is an error in the log.
    async fn write(&self, key: &SessionKey, record: &TurnRecord) -> bool {
        let since = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            let error = match self.give_up.run_until_cancelled(self.memory.append(key, record)).await {
                Some(Ok(())) => return true,
                Some(Err(error)) => error,
                None => {
                    return lost(record, "the process ended before the memory could be reached");
                }
            };
            let can_help = matches!(error, MemoryError::Unavailable { .. });
            if !can_help || since.elapsed() + pause > WRITE_BOUND {
                return lost(record, &error.to_string());
            }
            tracing::warn!(turn = %record.token, error = %error, "turn not stored yet; trying again");
            if self.give_up.run_until_cancelled(sleep(pause)).await.is_none() {
                return lost(record, &error.to_string());
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// Says in the log that a turn is lost; the answer to whether it is stored.
fn lost(record: &TurnRecord, reason: &str) -> bool {
    tracing::error!(
        turn = %record.token,
        error_type = "TurnLost",
        error = reason,
        "a turn could not be stored and is lost to later sessions"
    );
    false
}
