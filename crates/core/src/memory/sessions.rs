//! The sessions of this process: warm ones at hand, turns in order, writes never lost unnoticed.
//!
//! A session is read from its memory once and then kept at hand, so a warm session reads nothing
//! again. Whoever has a session open has it alone; others wait in the order they came, and only so many of them. A
//! turn is written by a task of its own, which keeps the session busy, tries again while that can help, and
//! says so in the log when a turn is lost in the end.
//!
//! Turns that no longer fit the budget are told by a [summary](Sessions::summarized_by). The model writes it behind
//! the answers, while nobody waits for it and nothing depends on it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use super::arrivals::{Arrivals, Counted, Queued};
use super::identity::SessionKey;
use super::note::{Note, Writing};
use super::summary::{self, Draft};
use super::{Entry, Loaded, MemoryError, Record, SessionMemory, Summary};
use crate::activity::Activity;
use crate::chance;
use crate::history::{Earlier, Keepsake, PausedTurn};
use crate::model::Model;

pub use super::arrivals::Place;

/// How long an answer waits for its turn to be stored. Beyond it the answer leaves and the write goes
/// on behind it.
const WRITE_PATIENCE: Duration = Duration::from_secs(2);

/// The pause before a failed write is tried again; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// AgentCore Memory takes one event in about four seconds for a session; asking much more seldom than
/// that gains nothing.
const LONGEST_PAUSE: Duration = Duration::from_secs(20);

/// How long a failing write is tried before the turn counts as lost: most of the 15 minutes for which
/// AgentCore keeps a session whose caller has gone. Each turn has this time for itself: those of a session are written one
/// after another, and one that is lost takes none of those behind it along.
const WRITE_BOUND: Duration = Duration::from_mins(10);

/// How many sessions stay at hand. AgentCore gives each session a process of its own; a server of
/// one's own may see many.
const WARM_SESSIONS: usize = 4096;

/// How many tokens of turns stay at hand, as estimated, over all sessions: about 120 MB of text. Sessions in use and
/// those not stored yet stay beyond it.
const WARM_TOKENS: usize = 40_000_000;

/// How many may wait for one session unless [`Sessions::queue`] says otherwise. A person types one message at a
/// time; who sends this many at once gains nothing from a longer queue.
pub const DEFAULT_QUEUE: usize = 16;

/// How long a model may take for a summary.
const SUMMARY_TIME: Duration = Duration::from_mins(2);

/// After failures in a row, so many turns go by at the most before a summary is tried again.
const LONGEST_SULK: u32 = 16;

/// All sessions of a process. Clones share them.
#[derive(Clone)]
pub struct Sessions {
    shared: Arc<Shared>,
    most_waiting: usize,
    summarizer: Option<Arc<dyn Model>>,
}

/// A session in one caller's hands, until this is dropped.
pub struct OpenSession {
    key: SessionKey,
    counted: Counted,
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

/// Why a session cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Too many wait for it already.
    #[error("{waiting} turns of this session are waiting already; ask again when they are answered")]
    Crowded {
        /// How many wait.
        waiting: usize,
    },
    /// It cannot be read.
    #[error(transparent)]
    Memory(#[from] MemoryError),
}

struct Shared {
    memory: Arc<dyn SessionMemory>,
    /// Whether a session may grow in other processes, too.
    with_other_processes: bool,
    history_tokens: usize,
    activity: Activity,
    arrivals: Arrivals,
    warm: Mutex<Warm>,
    warm_tokens: Arc<AtomicUsize>,
    writes: TaskTracker,
    give_up: CancellationToken,
    summaries: TaskTracker,
    no_more_summaries: CancellationToken,
}

#[derive(Default)]
struct Warm {
    sessions: HashMap<SessionKey, AtHand>,
    /// Counts openings, so that the longest unused session can be told.
    openings: u64,
}

#[derive(Clone)]
struct AtHand {
    used: u64,
    session: Arc<AsyncMutex<Session>>,
}

/// What is known of a session: nothing, until it has been read.
struct Session {
    known: Option<Loaded>,
    weight: Weight,
    last_write: Option<JoinHandle<()>>,
    summarizing: Option<JoinHandle<()>>,
    sulk: Sulk,
}

/// What a session adds to the tokens at hand, until it is let go.
struct Weight {
    tokens: usize,
    all: Arc<AtomicUsize>,
}

/// How summaries of a session have failed.
#[derive(Default)]
struct Sulk {
    failures: u32,
    turns_left: u32,
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
        let shared = Shared {
            memory,
            with_other_processes,
            history_tokens,
            activity,
            arrivals: Arrivals::default(),
            warm: Mutex::default(),
            warm_tokens: Arc::default(),
            writes: TaskTracker::new(),
            give_up: CancellationToken::new(),
            summaries: TaskTracker::new(),
            no_more_summaries: CancellationToken::new(),
        };
        Self { shared: Arc::new(shared), most_waiting: DEFAULT_QUEUE, summarizer: None }
    }

    /// The same, with summaries by `model` of turns that no longer fit; without it such turns are forgotten.
    ///
    /// A summary is written when the turns that no summary tells and that the session's own budget no longer holds
    /// are a quarter of it in four turns or more, or half of it in fewer. Until then, and while the model writes,
    /// they are kept, up to once more the budget. A model that fails is asked again at a later turn.
    #[must_use]
    pub fn summarized_by(self, model: Arc<dyn Model>) -> Self {
        Self { summarizer: Some(model), ..self }
    }

    /// The same, with at most `most_waiting` waiting for one session, 16 when not said.
    #[must_use]
    pub fn queue(self, most_waiting: usize) -> Self {
        Self { most_waiting, ..self }
    }

    /// Takes a place in the row before a session, after those who came before. Nobody need know yet what they want of
    /// it, nor even whose it is: `expected` is the session as far as it can be told, and places are kept in order and
    /// counted among those who expect the same. A place that is dropped holds nobody up.
    ///
    /// # Errors
    /// At once when too many are waiting already.
    pub fn arrive(&self, expected: &SessionKey) -> Result<Place, OpenError> {
        // One of them has the session, or will.
        let taken = self.shared.arrivals.take(expected, self.most_waiting.saturating_add(1));
        taken.map_err(|places| OpenError::Crowded { waiting: places.saturating_sub(1) })
    }

    /// Opens a session, after those who came before have closed it. Who stops waiting leaves the queue.
    ///
    /// # Errors
    /// At once when too many are waiting already, and when a session that is not at hand cannot be read.
    pub async fn open(&self, key: SessionKey) -> Result<OpenSession, OpenError> {
        let place = self.arrive(&key)?;
        self.open_from(place, key).await
    }

    /// Opens a session for who has a place before it.
    ///
    /// # Errors
    /// When a session that is not at hand cannot be read.
    pub async fn open_from(&self, place: Place, key: SessionKey) -> Result<OpenSession, OpenError> {
        let Place { counted, door } = place;
        let through = door.wait().await;
        // In the session's own queue before the next one comes through the door: they may have expected another.
        let queued = Queued::join(&self.at_hand(&key).session);
        drop(through);
        let mut session = queued.wait().await;
        if self.shared.with_other_processes {
            if let Some(write) = &mut session.last_write {
                let _ = write.await;
            }
            session.last_write = None;
            session.know(None);
        }
        if session.known.is_none() {
            let loaded = self.shared.memory.load(&key, self.shared.history_tokens).await?;
            tracing::debug!(turns = loaded.turns.len(), summary = loaded.summary.is_some(), "session loaded");
            session.know(Some(loaded));
        }
        Ok(OpenSession { key, counted, sessions: self.clone(), session })
    }

    /// Waits until every write that has begun has ended, one way or the other. Summaries go on: no answer waits
    /// for them.
    pub async fn flush(&self) {
        self.shared.writes.close();
        self.shared.writes.wait().await;
        self.shared.writes.reopen();
    }

    /// Gives summaries up that are being made, then waits until every write has ended, `within` that time; what
    /// is not stored by then is given up and logged as lost.
    pub async fn close(&self, within: Duration) {
        self.shared.no_more_summaries.cancel();
        self.shared.summaries.close();
        self.shared.summaries.wait().await;
        self.shared.writes.close();
        if timeout(within, self.shared.writes.wait()).await.is_err() {
            self.shared.give_up.cancel();
            self.shared.writes.wait().await;
        }
    }

    /// Reads the note that is kept at `key`; it is empty where there is none.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn note(&self, key: SessionKey) -> Result<Note, MemoryError> {
        let Loaded { note, newest, .. } = self.shared.memory.load(&key, 0).await?;
        Ok(Note { text: note, newest, ..Note::new(key) })
    }

    /// Begins to write a note, as a session's turns are written: one write after another, again and again while that can
    /// help, and the process is busy until it is stored.
    pub fn keep(&self, note: &mut Note, text: String) -> Writing {
        let record = next_record(note.newest, Entry::Note(text.clone()));
        note.text = Some(text);
        note.newest = Some((record.at, record.sequence));
        let before = note.last_write.take();
        let (write, is_stored) = self.shared.begin_to_write(note.key.clone(), record, before, "storing a note");
        note.last_write = Some(write);
        Writing(is_stored)
    }

    fn at_hand(&self, key: &SessionKey) -> AtHand {
        let mut warm = self.shared.warm.lock().unwrap_or_else(PoisonError::into_inner);
        warm.openings += 1;
        let used = warm.openings;
        let full =
            warm.sessions.len() >= WARM_SESSIONS || self.shared.warm_tokens.load(Ordering::Relaxed) >= WARM_TOKENS;
        if full && !warm.sessions.contains_key(key) {
            warm.let_go_of_unused();
        }
        let at_hand = warm.sessions.entry(key.clone()).or_insert_with(|| self.shared.unknown());
        at_hand.used = used;
        at_hand.clone()
    }
}

// === impl Warm ===

impl Warm {
    /// Forgets the longest unused quarter of the sessions, of those that nobody has open and that are stored.
    fn let_go_of_unused(&mut self) {
        let idle = self.sessions.iter().filter(|(_, at_hand)| at_hand.is_idle());
        let mut idle: Vec<(u64, SessionKey)> = idle.map(|(key, at_hand)| (at_hand.used, key.clone())).collect();
        idle.sort_unstable_by_key(|(used, _)| *used);
        for (_, key) in idle.into_iter().take(self.sessions.len().div_ceil(4)) {
            self.sessions.remove(&key);
        }
    }
}

// === impl AtHand ===

impl AtHand {
    fn is_idle(&self) -> bool {
        self.session.try_lock().is_ok_and(|session| session.is_stored()) && Arc::strong_count(&self.session) == 1
    }
}

// === impl Session ===

impl Session {
    fn is_stored(&self) -> bool {
        self.last_write.as_ref().is_none_or(JoinHandle::is_finished) && !self.is_summarizing()
    }

    fn is_summarizing(&self) -> bool {
        self.summarizing.as_ref().is_some_and(|summarizing| !summarizing.is_finished())
    }

    fn know(&mut self, known: Option<Loaded>) {
        self.known = known;
        self.weigh();
    }

    fn weigh(&mut self) {
        self.weight.set(self.known.as_ref().map_or(0, Loaded::estimated_tokens));
    }

    /// Takes in an entry: the record to write.
    fn take(&mut self, entry: Entry) -> Record {
        let known = self.known.get_or_insert_default();
        let record = next_record(known.newest, entry);
        known.newest = Some((record.at, record.sequence));
        known.take(record.at, record.sequence, record.entry.clone());
        record
    }

    /// Begins to write a turn, after those before it. The answer comes when it is stored.
    fn write(&mut self, shared: &Arc<Shared>, key: SessionKey, record: Record) -> oneshot::Receiver<()> {
        let (write, is_stored) = shared.begin_to_write(key, record, self.last_write.take(), "storing a turn");
        self.last_write = Some(write);
        is_stored
    }

    /// Takes in what the model wrote, unless another process was faster: the record to write.
    fn take_summary(&mut self, text: String, covers: u64, budget_tokens: usize) -> Option<Record> {
        let known = self.known.as_ref().filter(|known| known.covers() < covers)?;
        let pinned = known.pinned_up_to(covers, budget_tokens);
        let record = self.take(Entry::Summary(Summary { text, covers, pinned }));
        self.weigh();
        Some(record)
    }
}

fn next_record(newest: Option<(Timestamp, u64)>, entry: Entry) -> Record {
    let now = Timestamp::now();
    let (at, sequence) = match newest {
        // Clocks step back; a session's entries do not.
        Some((last, sequence)) => (now.max(last + SignedDuration::from_millis(1)), sequence + 1),
        None => (now, 1),
    };
    Record { token: chance::uuid(), at, sequence, entry }
}

// === impl Weight ===

impl Weight {
    fn set(&mut self, tokens: usize) {
        self.all.fetch_add(tokens, Ordering::Relaxed);
        self.all.fetch_sub(self.tokens, Ordering::Relaxed);
        self.tokens = tokens;
    }
}

impl Drop for Weight {
    fn drop(&mut self) {
        self.set(0);
    }
}

// === impl Sulk ===

impl Sulk {
    /// Counts a turn that wants a summary; whether enough have gone by since the last failure.
    fn is_over(&mut self) -> bool {
        let over = self.turns_left == 0;
        self.turns_left = self.turns_left.saturating_sub(1);
        over
    }

    fn begin(&mut self, reason: &str) {
        if self.failures == 0 {
            tracing::warn!(error = reason, "turns could not be summarized; it is tried again at a later turn");
        } else {
            tracing::debug!(error = reason, failures = self.failures, "turns could not be summarized again");
        }
        // The first failure may pass with the next turn; each further one doubles the wait.
        self.turns_left = (1_u32.checked_shl(self.failures).unwrap_or(LONGEST_SULK) - 1).min(LONGEST_SULK);
        self.failures = self.failures.saturating_add(1);
    }
}

// === impl OpenSession ===

impl OpenSession {
    /// What was said before a new turn.
    ///
    /// It is sent the summary of what is no longer sent, pinned turns, and the newest turns, oldest first. Together they
    /// fit `tokens_left` as well as the session's own budget; pinned turns take half of that at the most, and the newest
    /// turn is cut where it is too long by itself. A paused turn that nobody answered is among them, closed by repair.
    /// Known is all that the session holds, whatever fits.
    pub fn earlier(&self, tokens_left: usize) -> Earlier {
        let budget = tokens_left.min(self.sessions.shared.history_tokens);
        self.session.known.as_ref().map_or_else(Earlier::default, |known| known.earlier(budget))
    }

    /// What was said before the paused turn, when it goes on: it is not sent beside itself and takes its part of
    /// `tokens_left`, but is known as far as it came.
    pub fn earlier_than_paused(&self, tokens_left: usize) -> Earlier {
        let itself = self.paused().map_or(0, PausedTurn::estimated_tokens);
        let budget = tokens_left.saturating_sub(itself).min(self.sessions.shared.history_tokens);
        self.session.known.as_ref().map_or_else(Earlier::default, |known| known.earlier_than_paused(budget))
    }

    /// The turn that waits for a person's answer, where the session ends with one.
    pub fn paused(&self) -> Option<&PausedTurn> {
        self.session.known.as_ref()?.paused.as_ref().map(|waiting| waiting.turn.as_ref())
    }

    /// Adds a turn and stores it. Waits for the memory only so long; the session is busy until the
    /// turn is stored, and the next turn may begin before.
    ///
    /// Bytes of pictures and files are not kept beyond their own turn, and a paused turn goes on without them: see
    /// [`crate::history::without_media_bytes`].
    pub async fn remember(mut self, keepsake: Keepsake) -> Stored {
        let record = self.session.take(keepsake.into());
        let mut is_stored = self.session.write(&self.sessions.shared, self.key.clone(), record);
        self.let_go_of_dropped();
        self.summarize_dropped();
        drop((self.session, self.counted));
        stored(&mut is_stored).await
    }

    fn let_go_of_dropped(&mut self) {
        let budget = self.sessions.shared.history_tokens;
        let dropped = if self.sessions.summarizer.is_some() { budget } else { 0 };
        if let Some(known) = &mut self.session.known {
            known.let_go(budget, dropped);
        }
        self.session.weigh();
    }

    /// Has the model summarize what no longer fits, if enough has gathered. The session is not held meanwhile.
    fn summarize_dropped(&mut self) {
        let Some(model) = self.sessions.summarizer.clone() else {
            return;
        };
        if self.session.is_summarizing() {
            return;
        }
        let budget = self.sessions.shared.history_tokens;
        let draft = self.session.known.as_ref().and_then(|known| Draft::due(known, budget));
        let Some(draft) = draft.filter(|_| self.session.sulk.is_over()) else {
            return;
        };
        let shared = Arc::clone(&self.sessions.shared);
        let busy = shared.activity.begin("summarizing a session");
        let (key, session) = (self.key.clone(), Arc::clone(OwnedMutexGuard::mutex(&self.session)));
        let ending = shared.no_more_summaries.clone();
        let summaries = shared.summaries.clone();
        let summarizing = async move {
            // What is left undone is done at a later turn, in this process or another.
            ending.run_until_cancelled(shared.summarize(model, draft, key, session)).await;
            drop(busy);
        };
        self.session.summarizing = Some(summaries.spawn(summarizing.in_current_span()));
    }
}

// === impl Shared ===

impl Shared {
    /// A session that has not been read.
    fn unknown(&self) -> AtHand {
        let weight = Weight { tokens: 0, all: Arc::clone(&self.warm_tokens) };
        let session = Session { known: None, weight, last_write: None, summarizing: None, sulk: Sulk::default() };
        AtHand { used: 0, session: Arc::new(AsyncMutex::new(session)) }
    }

    /// Asks the model first, and only then for the session.
    async fn summarize(
        self: &Arc<Self>,
        model: Arc<dyn Model>,
        draft: Draft,
        key: SessionKey,
        session: Arc<AsyncMutex<Session>>,
    ) {
        let written = match timeout(SUMMARY_TIME, model.converse(&draft.request)).await {
            Ok(Ok(answer)) => summary::written(&answer).map(|text| (text, answer.usage)),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("the model took too long".to_owned()),
        };
        let mut session = session.lock().await;
        let record = match written {
            Ok((text, usage)) => {
                let (input_tokens, output_tokens) = (usage.input_tokens, usage.output_tokens);
                tracing::info!(turns = draft.turns, input_tokens, output_tokens, "turns summarized");
                session.sulk = Sulk::default();
                session.take_summary(text, draft.covers, self.history_tokens)
            }
            Err(reason) => {
                session.sulk.begin(&reason);
                None
            }
        };
        drop(session);
        if let Some(record) = record {
            // Not in the row of turns: none of them waits for it. It goes on when summaries are given up.
            let shared = Arc::clone(self);
            let write = async move { shared.write(&key, &record).await };
            let _ = self.writes.spawn(write.in_current_span()).await;
        }
    }

    /// Begins to write an entry, after the write before it. The answer comes when it is stored.
    fn begin_to_write(
        self: &Arc<Self>,
        key: SessionKey,
        record: Record,
        before: Option<JoinHandle<()>>,
        job: &'static str,
    ) -> (JoinHandle<()>, oneshot::Receiver<()>) {
        let (stored, is_stored) = oneshot::channel();
        let busy = self.activity.begin(job);
        let shared = Arc::clone(self);
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
        (self.writes.spawn(write.in_current_span()), is_stored)
    }

    /// Writes an entry, again and again while that can help, and says whether it is stored. One that is
    /// lost is an error in the log.
    async fn write(&self, key: &SessionKey, record: &Record) -> bool {
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
            tracing::warn!(turn = %record.token, error = %error, "not stored yet; trying again");
            if self.give_up.run_until_cancelled(sleep(pause)).await.is_none() {
                return lost(record, &error.to_string());
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// Waits for an entry to be stored, as long as an answer waits for its turn.
pub(super) async fn stored(is_stored: &mut oneshot::Receiver<()>) -> Stored {
    match timeout(WRITE_PATIENCE, is_stored).await {
        Ok(Ok(())) => Stored::Already,
        Ok(Err(_)) => Stored::Lost,
        Err(_) => Stored::Soon,
    }
}

/// Says in the log that a turn is lost; the answer to whether it is stored.
fn lost(record: &Record, reason: &str) -> bool {
    tracing::error!(
        turn = %record.token,
        error_type = "TurnLost",
        error = reason,
        "a turn, a summary or a note could not be stored and is lost to later sessions"
    );
    false
}
