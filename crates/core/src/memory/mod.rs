//! Where sessions are kept between turns.
//!
//! A [`SessionMemory`] loads a session and appends to it; [`agentcore`] keeps sessions in AgentCore Memory,
//! [`mod@file`] in a file on this machine, [`process`] in the process. What is appended is an [`Entry`]: a whole
//! turn, a turn that waits for a person, or a summary of the turns before it. [`reading`] makes a session of
//! entries again, the same way for every store. Beside sessions there are [`note`]s: one text each, written anew as a
//! whole.
//!
//! [`sessions`] stands before all of them: it keeps warm sessions at hand, puts turns of one session in order, sees
//! that no write is lost, and has turns summarized that no longer fit.

pub mod agentcore;
mod arrivals;
#[cfg(feature = "file-memory")]
pub mod file;
pub mod identity;
pub mod note;
pub mod process;
pub mod reading;
pub mod sessions;
pub mod stored;
mod summary;

use std::sync::Arc;

use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::history::{CompleteTurn, Earlier, Keepsake, PausedTurn, SentTurn, TurnKept, newest_within};
use identity::SessionKey;

/// How long a turn is kept, in days: Vitracka's promise to its users, and the `eventExpiryDuration` of
/// its AgentCore Memory.
pub const RETENTION_DAYS: i64 = 30;

/// Keeps the entries of sessions.
pub trait SessionMemory: Send + Sync + 'static {
    /// The newest part of a session: at least as many turns as fit `budget_tokens`, where there are that many, and
    /// about twice as many at the most. A session nobody has spoken in has none.
    ///
    /// # Errors
    /// When they cannot be read. Never an empty history in place of an error: a coach that forgets
    /// who it talks to is worse than one that asks to try again.
    fn load<'a>(&'a self, session: &'a SessionKey, budget_tokens: usize) -> BoxFuture<'a, Result<Loaded, MemoryError>>;

    /// Appends an entry, as one write. Appending the same [`Record::token`] again changes nothing.
    ///
    /// # Errors
    /// When it is not certain that the entry is stored.
    fn append<'a>(&'a self, session: &'a SessionKey, record: &'a Record) -> BoxFuture<'a, Result<(), MemoryError>>;
}

/// What a store keeps of a session, piece by piece.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// A turn that is over.
    Whole {
        /// What was said.
        turn: Arc<CompleteTurn>,
        /// Whether it stays in the history when turns of its age are dropped.
        pinned: bool,
        /// Whether it takes the place of the paused turn before it.
        resumed: bool,
    },
    /// A turn that waits for a person.
    Paused {
        /// How far it came.
        turn: Arc<PausedTurn>,
        /// Whether it stays in the history when turns of its age are dropped.
        pinned: bool,
        /// Whether it takes the place of the paused turn before it.
        resumed: bool,
    },
    /// What was said in turns that no longer fit.
    Summary(Summary),
    /// A text that is no part of a conversation: see [`note`].
    Note(String),
}

/// An entry and what a store needs to keep it in its place, once.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Makes a repeated append harmless.
    pub token: Uuid,
    /// When the entry was made; later than any earlier entry of its session.
    pub at: Timestamp,
    /// The entry's number in its session, from 1: the order where timestamps are too coarse for it.
    pub sequence: u64,
    /// What is kept.
    pub entry: Entry,
}

/// What is known of a session when it is opened.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Loaded {
    /// The turns, oldest first. A paused one among them is closed by repair.
    pub turns: Vec<KeptTurn>,
    /// The paused turn, where the session ends with one.
    pub paused: Option<Waiting>,
    /// What was said before the turns.
    pub summary: Option<Summary>,
    /// The newest note, where it is one that is kept here.
    pub note: Option<String>,
    /// When the newest entry was made and its number, so that the next comes after it.
    pub newest: Option<(Timestamp, u64)>,
}

/// A turn in its session.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptTurn {
    /// Its number, by which a summary says whether it covers the turn.
    pub number: u64,
    /// When it ended.
    pub at: Timestamp,
    /// Whether it stays when turns of its age are dropped.
    pub pinned: bool,
    /// What was said.
    pub turn: Arc<CompleteTurn>,
}

/// The paused turn at a session's end.
#[derive(Debug, Clone, PartialEq)]
pub struct Waiting {
    /// How far it came.
    pub turn: Arc<PausedTurn>,
    /// The same among the session's turns, as they show it until it is resumed.
    closed: Vec<Arc<CompleteTurn>>,
}

/// A summary of a session's older turns.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// What the model wrote.
    pub text: String,
    /// Every turn up to this number is told by the text.
    pub covers: u64,
    /// Pinned turns up to that number, in full: whoever finds the summary need not look for them further back.
    pub pinned: Vec<KeptTurn>,
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

// === impl Entry ===

/// What is kept of a turn holds no bytes of pictures and files: see [`crate::history::without_media_bytes`].
impl From<Keepsake> for Entry {
    fn from(Keepsake { turn, pinned, resumed }: Keepsake) -> Self {
        match turn {
            TurnKept::Whole(turn) => Self::Whole { turn: Arc::new(turn.without_media_bytes()), pinned, resumed },
            TurnKept::Paused(turn) => Self::Paused { turn: Arc::new(turn.without_media_bytes()), pinned, resumed },
        }
    }
}

// === impl KeptTurn ===

impl KeptTurn {
    /// The turn's messages, oldest first.
    pub fn messages(&self) -> &[crate::message::Message] {
        self.turn.messages()
    }
}

// === impl Loaded ===

impl Loaded {
    /// Takes in the next entry. All rules of what takes the place of what are here.
    pub(crate) fn take(&mut self, at: Timestamp, number: u64, entry: Entry) {
        match entry {
            Entry::Whole { turn, pinned, resumed } => {
                self.settle_paused(resumed);
                self.turns.push(KeptTurn { number, at, pinned, turn });
            }
            Entry::Paused { turn, pinned, resumed } => {
                self.settle_paused(resumed);
                let closed: Vec<_> = turn.closed().into_iter().map(Arc::new).collect();
                let shown = closed.iter().map(|turn| KeptTurn { number, at, pinned, turn: Arc::clone(turn) });
                self.turns.extend(shown);
                self.paused = Some(Waiting { turn, closed });
            }
            Entry::Summary(summary) => self.take_summary(summary),
            Entry::Note(text) => self.note = Some(text),
        }
    }

    /// Whatever comes after a paused turn, it waits no longer; its own rest takes its place.
    fn settle_paused(&mut self, resumed: bool) {
        if let Some(waiting) = self.paused.take().filter(|_| resumed) {
            self.turns.retain(|kept| !waiting.shows(&kept.turn));
        }
    }

    fn take_summary(&mut self, summary: Summary) {
        if summary.covers <= self.covers() {
            return;
        }
        self.turns.retain(|kept| kept.pinned || kept.number > summary.covers);
        let known = |pinned: &&KeptTurn| !self.turns.iter().any(|kept| kept.turn == pinned.turn);
        let unknown: Vec<KeptTurn> = summary.pinned.iter().filter(known).cloned().collect();
        self.turns.splice(0..0, unknown);
        self.turns.sort_by_key(|kept| kept.number);
        self.summary = Some(summary);
    }

    /// The number up to which turns are told by the summary; 0 without one.
    pub(crate) fn covers(&self) -> u64 {
        self.summary.as_ref().map_or(0, |summary| summary.covers)
    }

    /// What was said before the next turn. It is sent within `budget_tokens`, oldest first: the summary, pinned turns,
    /// and as many of the newest turns as fit. Known of it is all that is held.
    pub(crate) fn earlier(&self, budget_tokens: usize) -> Earlier {
        let (summary, window) = self.choose(budget_tokens);
        let summary = summary.map(|turn| SentTurn { turn, stays: true });
        let turns = self.turns.iter().zip(window);
        let turns = turns.filter_map(|(kept, turn)| Some(SentTurn { turn: turn?, stays: kept.pinned }));
        Earlier { sent: summary.into_iter().chain(turns).collect(), known: self.known() }
    }

    /// The same for the paused turn, which goes on: it is not sent beside itself, and yet known.
    pub(crate) fn earlier_than_paused(&self, budget_tokens: usize) -> Earlier {
        let earlier = self.turns.iter().filter(|kept| !self.is_paused(kept)).cloned().collect();
        let before = Self { turns: earlier, summary: self.summary.clone(), ..Self::default() };
        Earlier { known: self.known(), ..before.earlier(budget_tokens) }
    }

    fn known(&self) -> Vec<Arc<CompleteTurn>> {
        let summary = self.summary.as_ref().and_then(summary::as_turn);
        summary.into_iter().chain(self.turns.iter().map(|kept| Arc::clone(&kept.turn))).collect()
    }

    fn is_paused(&self, kept: &KeptTurn) -> bool {
        self.paused.as_ref().is_some_and(|waiting| waiting.shows(&kept.turn))
    }

    /// As what each turn is sent within `budget_tokens`, none where it is not, and the summary before them if it is.
    fn choose(&self, budget_tokens: usize) -> (Option<Arc<CompleteTurn>>, Vec<Option<Arc<CompleteTurn>>>) {
        let summary = self.summary.as_ref().and_then(summary::as_turn);
        let summary = summary.filter(|turn| turn.estimated_tokens() <= budget_tokens / 2);
        let left = budget_tokens - summary.as_ref().map_or(0, |turn| turn.estimated_tokens());
        (summary, window(&self.turns, left))
    }

    /// The turns that are not sent within `budget_tokens` and that no summary tells, oldest first. The paused turn
    /// is never one of them.
    pub(crate) fn dropped(&self, budget_tokens: usize) -> Vec<&KeptTurn> {
        let (_, chosen) = self.choose(budget_tokens);
        let dropped = self.turns.iter().zip(chosen).filter(|(_, chosen)| chosen.is_none()).map(|(kept, _)| kept);
        dropped.filter(|kept| kept.number > self.covers() && !self.is_paused(kept)).collect()
    }

    /// The pinned turns up to that number that are sent within `budget_tokens`.
    pub(crate) fn pinned_up_to(&self, number: u64, budget_tokens: usize) -> Vec<KeptTurn> {
        let (_, chosen) = self.choose(budget_tokens);
        let sent = self.turns.iter().zip(chosen).filter(|(_, chosen)| chosen.is_some()).map(|(kept, _)| kept);
        sent.filter(|kept| kept.pinned && kept.number <= number).cloned().collect()
    }

    /// Forgets turns that are not sent within `budget_tokens`, but for the newest of those that no summary tells:
    /// `dropped_tokens` of them, one at the least where that is not 0.
    pub(crate) fn let_go(&mut self, budget_tokens: usize, dropped_tokens: usize) {
        let (_, chosen) = self.choose(budget_tokens);
        let mut keep: Vec<bool> = chosen.iter().map(Option::is_some).collect();
        let (covers, mut left, mut any) = (self.covers(), dropped_tokens, false);
        for (kept, keep) in self.turns.iter().zip(&mut keep).rev().filter(|(_, keep)| !**keep) {
            let tokens = kept.turn.estimated_tokens();
            *keep = kept.number > covers && (tokens <= left || (!any && dropped_tokens > 0));
            // What is older than the first that goes, goes as well.
            left = if *keep { left.saturating_sub(tokens) } else { 0 };
            any = true;
        }
        let mut keep = keep.into_iter();
        self.turns.retain(|_| keep.next().unwrap_or(true));
    }

    /// About how many tokens are held.
    pub(crate) fn estimated_tokens(&self) -> usize {
        self.turns.iter().map(|kept| kept.turn.estimated_tokens()).sum::<usize>()
            + self.summary.as_ref().map_or(0, Summary::estimated_tokens)
    }
}

// === impl Waiting ===

impl Waiting {
    fn shows(&self, turn: &Arc<CompleteTurn>) -> bool {
        self.closed.iter().any(|closed| Arc::ptr_eq(closed, turn))
    }
}

// === impl Summary ===

impl Summary {
    pub(crate) fn estimated_tokens(&self) -> usize {
        crate::history::estimate_tokens(self.text.len())
    }
}

/// As what each turn is sent within `budget_tokens`, none where it is not: pinned ones, the newest first, in up to half
/// of it, and in the rest the longest end of the others that fits.
///
/// The newest turn is always among them: where it is too long, it is cut to half of what is left for it, so that
/// there is room for those before it.
fn window(turns: &[KeptTurn], budget_tokens: usize) -> Vec<Option<Arc<CompleteTurn>>> {
    let mut left = budget_tokens;
    let mut sent = vec![None; turns.len()];
    let mut pin_room = budget_tokens / 2;
    for (kept, sent) in turns.iter().zip(&mut sent).rev().filter(|(kept, _)| kept.pinned) {
        if let Some(room) = pin_room.checked_sub(kept.turn.estimated_tokens()) {
            left -= pin_room - room;
            pin_room = room;
            *sent = Some(Arc::clone(&kept.turn));
        }
    }
    if let (Some(newest), Some(place @ None)) = (turns.last(), sent.last_mut())
        && newest.turn.estimated_tokens() > left
        && let Some(cut) = newest.turn.cut_to(left / 2)
    {
        left -= cut.estimated_tokens();
        *place = Some(Arc::new(cut));
    }
    let others = turns.iter().zip(&sent).filter(|(_, sent)| sent.is_none());
    let others: Vec<Arc<CompleteTurn>> = others.map(|(kept, _)| Arc::clone(&kept.turn)).collect();
    let fitting = newest_within(&others, left);
    let places = sent.iter_mut().rev().filter(|sent| sent.is_none());
    places.zip(fitting.iter().rev()).for_each(|(place, turn)| *place = Some(Arc::clone(turn)));
    sent
}

/// The oldest moment still kept.
fn retained_from(now: Timestamp) -> Timestamp {
    now.checked_sub(SignedDuration::from_hours(24 * RETENTION_DAYS)).unwrap_or(Timestamp::MIN)
}
