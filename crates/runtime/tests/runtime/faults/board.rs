//! What was seen in a simulation, by clients, models and tools, and what was wrong with it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use agentcore_runtime::core::model::ModelRequest;

use super::answer::Answer;
use super::model::history;
use super::script::{Turn, marks};

/// What was seen.
#[derive(Default)]
pub(super) struct Board {
    seen: Mutex<BTreeMap<(usize, usize), Seen>>,
    violations: Mutex<Vec<String>>,
}

/// What one client saw of its turn.
#[derive(Clone, Default)]
pub(super) struct Seen {
    /// When its first byte was sent, in milliseconds of its life.
    pub(super) began: u64,
    /// Every byte of the answer that it has read.
    pub(super) bytes: Vec<u8>,
    /// When it was over for the client; none when the process ended before.
    pub(super) ended: Option<u64>,
    /// Whether the client went away by itself.
    pub(super) left: bool,
    /// Whether it was told, to the end, that its turn is answered.
    is_answered: bool,
    /// In which life; none when it never got to the process.
    pub(super) life: Option<usize>,
}

// === impl Board ===

impl Board {
    pub(super) fn violated(&self, what: String) {
        self.violations.lock().expect("nobody panics with it").push(what);
    }

    pub(super) fn violations(&self) -> Vec<String> {
        self.violations.lock().expect("nobody panics with it").clone()
    }

    fn seen(&self) -> MutexGuard<'_, BTreeMap<(usize, usize), Seen>> {
        self.seen.lock().expect("nobody panics with it")
    }

    /// The client has nothing more to see.
    pub(super) fn ended(&self, turn: &Turn, at: u64) {
        self.of(turn, |seen| {
            seen.is_answered = seen.answer().is_answered();
            seen.ended = Some(at);
        });
    }

    /// The turns of a life that are not over for their clients, and when each began.
    pub(super) fn under_way(&self, life: usize) -> Vec<((usize, usize), u64)> {
        let seen = self.seen();
        let under_way = seen.iter().filter(|(_, seen)| seen.life == Some(life) && seen.ended.is_none());
        under_way.map(|(turn, seen)| (*turn, seen.began)).collect()
    }

    /// Changes what is known of a turn.
    pub(super) fn of<T>(&self, turn: &Turn, change: impl FnOnce(&mut Seen) -> T) -> T {
        change(self.seen().entry((turn.session, turn.number)).or_default())
    }

    pub(super) fn find(&self, turn: &Turn) -> Option<Seen> {
        self.seen().get(&(turn.session, turn.number)).cloned()
    }

    /// Looks at what a model is asked: nobody else's words, and what was answered before this was sent.
    /// Where `all_fit`, all that was said in the session fits what a model is sent.
    pub(super) fn asked(&self, life: usize, turn: &Turn, request: &ModelRequest, all_fit: bool) {
        let mark = turn.mark();
        let history = history(request);
        for (session, _) in history.iter().flat_map(|shown| &shown.texts).flat_map(|text| marks(text)) {
            if session != turn.session {
                self.violated(format!("{mark}: the model is shown words of session {session}"));
            }
        }
        let known: Vec<usize> = history.iter().filter_map(|shown| Some(shown.turn?.1)).collect();
        let mut once = known.clone();
        once.sort_unstable();
        once.dedup();
        if once.len() != known.len() || once.contains(&turn.number) {
            self.violated(format!("{mark}: the model is shown a turn twice: {known:?}"));
        }
        let Some(began) = self.seen().get(&(turn.session, turn.number)).map(|seen| seen.began) else {
            return self.violated(format!("{mark}: the model is asked of a turn that nobody sent"));
        };
        for number in 0..turn.number {
            let seen = self.seen();
            let before = seen.get(&(turn.session, number)).filter(|seen| seen.life == Some(life) && seen.is_answered);
            let was_answered = before.and_then(|seen| seen.ended).is_some_and(|ended| ended < began);
            drop(seen);
            if all_fit && was_answered && !known.contains(&number) {
                self.violated(format!("{mark}: the model is not shown turn {number}, which was answered: {known:?}"));
            }
        }
    }
}

// === impl Seen ===

impl Seen {
    pub(super) fn answer(&self) -> Answer {
        Answer::of(&self.bytes)
    }
}
