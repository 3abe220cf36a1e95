//! What may veto a user's message before the model sees it, and an answer before it leaves.
//!
//! A guard is pure and quick: it looks at text and decides, so the turn machine can ask it without
//! waiting. What it flags travels with the answer, so that an app can act, and into the log without
//! the text. [`outgoing`] holds an answer back, a sentence at a time, for those that review it.

pub mod outgoing;

use std::borrow::Cow;

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use crate::history::{CompleteTurn, words};
use crate::message::{Role, ToolSpec};

/// Looks at a user's words before the model does and, if it wants to, at the model's before the user does.
pub trait Guard: Send + Sync + 'static {
    /// Decides about one message. Must be quick (below a millisecond) and must not block: it runs on
    /// the path of every turn.
    fn inspect(&self, heard: &Heard<'_>) -> Verdict;

    /// Whether the turn must stay known for as long as the session lasts, by what the guard decided about its message:
    /// the turn is pinned. A crisis is; a guard whose decisions hang on other turns as well, such as one in which a
    /// crisis ends, names those here.
    fn keeps(&self, heard: &Heard<'_>, verdict: &Verdict) -> bool {
        let _ = heard;
        verdict.flags().iter().any(|flag| flag.severity == Severity::Crisis)
    }

    /// What a model is asked about the message before `verdict` counts, where the guard would hear a second opinion.
    /// Asked only where an operator has set `SECOND_OPINIONS`, and only of a message that begins a turn: not of what
    /// replies to a tool's question. Of several guards the first that doubts is heard; those of a request that chooses
    /// between agents are not, those of the agent that is chosen are.
    fn doubts(&self, heard: &Heard<'_>, verdict: &Verdict) -> Option<SecondOpinion> {
        let _ = (heard, verdict);
        None
    }

    /// Decides again, knowing what the model said: the arguments of [`SecondOpinion::form`], as the model wrote them.
    /// Where the model fails, or is late, or does not fill in the form, this is not called and `verdict` stands.
    fn reconsiders(&self, heard: &Heard<'_>, verdict: Verdict, told: &Value) -> Verdict {
        let _ = (heard, told);
        verdict
    }

    /// Whether it looks at answers as well. Those that nobody looks at are held back by nothing.
    fn reviews(&self) -> bool {
        false
    }

    /// Decides about one sentence of an answer. Must be as quick as [`Guard::inspect`]: it stands between
    /// the model and a reader.
    fn review(&self, leaving: &Leaving<'_>) -> Review {
        let _ = leaving;
        Review::Pass
    }
}

/// A user's message, and what it follows.
#[derive(Debug, Clone, Copy)]
pub struct Heard<'a> {
    /// The words of the message, all its texts.
    pub text: &'a str,
    /// What is known of what was said before in the session, oldest first: also what is too much for the model. Of a turn
    /// that goes on by somebody's reply, it is known as far as it came.
    pub history: &'a [Arc<CompleteTurn>],
}

/// What a guard would know of a message that only a model can tell.
#[derive(Debug, Clone, PartialEq)]
pub struct SecondOpinion {
    /// What the model is told to do.
    pub instruction: String,
    /// What it is asked: the message, and whatever of the conversation it takes to understand it.
    pub question: String,
    /// What it fills in.
    pub form: ToolSpec,
}

/// A sentence of an answer that is about to leave.
#[derive(Debug, Clone, Copy)]
pub struct Leaving<'a> {
    /// The sentence, as the model wrote it, white space included.
    pub sentence: &'a str,
    /// What of the answer has left before it.
    pub said: &'a str,
    /// What the guards found in the turn so far, in the user's message above all.
    pub safety: &'a Safety,
}

/// What a guard decides about a sentence of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Review {
    /// It may leave.
    Pass,
    /// It may leave, and somebody should know.
    Flag(Flag),
    /// Other words leave in its place, and the answer goes on.
    Repair {
        /// What is said instead, white space included; nothing where it is empty.
        text: String,
        /// Why.
        flag: Flag,
    },
    /// Neither it nor anything after it may leave.
    ReplaceRest {
        /// What is said instead; it follows what has left already.
        text: String,
        /// Why.
        flag: Flag,
    },
}

/// What a guard decides about a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing to see.
    Allow,
    /// The model answers, with one more instruction in its system prompt.
    Annotate {
        /// What is added to the system prompt of this turn.
        instruction: String,
        /// Why: one or more.
        flags: Vec<Flag>,
    },
    /// The guard answers, and the model is not asked.
    Answer {
        /// The whole answer.
        text: String,
        /// Why: one or more.
        flags: Vec<Flag>,
    },
}

/// Why a guard acted: names only, never the user's words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Flag {
    /// What it is about, such as `self_harm`.
    pub kind: Cow<'static, str>,
    /// The rule that matched.
    pub rule: Cow<'static, str>,
    /// How grave it is.
    #[serde(skip)]
    pub severity: Severity,
}

/// How grave a flag is, mildest first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing was flagged.
    #[default]
    None,
    /// Worth knowing.
    Info,
    /// Somebody should look.
    Elevated,
    /// A person may be in danger.
    Crisis,
}

/// What was done about a message, mildest first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SafetyAction {
    /// Nothing.
    #[default]
    None,
    /// The model was given an instruction.
    Annotated,
    /// The guard answered instead of the model.
    Answered,
    /// A guard put its words in the place of the model's: of a sentence, or of the rest of an answer.
    Replaced,
}

/// What the guards of a turn found, in sum; part of every answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Safety {
    /// The gravest flag's severity.
    pub severity: Severity,
    /// The strongest thing done.
    pub action: SafetyAction,
    /// Every flag, in the order the guards were asked.
    pub flags: Vec<Flag>,
    /// The strongest thing done because of each flag, in their order.
    #[serde(skip)]
    pub done: Vec<SafetyAction>,
}

// === impl Heard ===

impl Heard<'_> {
    /// What the user said before, a message at a time, oldest first. A summary is not among it: it stands in a user's
    /// place, and a model wrote it.
    pub fn earlier(&self) -> impl DoubleEndedIterator<Item = String> {
        let messages = self.history.iter().filter(|turn| !turn.is_summary()).flat_map(|turn| turn.messages());
        let said = messages.filter(|message| message.role == Role::User).map(|message| words(&message.content));
        said.filter(|said| !said.is_empty())
    }
}

// === impl Verdict ===

impl Verdict {
    /// Why it was decided so; nothing where there is nothing to see.
    pub fn flags(&self) -> &[Flag] {
        match self {
            Self::Allow => &[],
            Self::Annotate { flags, .. } | Self::Answer { flags, .. } => flags,
        }
    }
}

// === impl Severity ===

impl Severity {
    /// All of them, the mildest first.
    pub const ALL: [Self; 4] = [Self::None, Self::Info, Self::Elevated, Self::Crisis];

    /// Its name, as callers read it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Info => "info",
            Self::Elevated => "elevated",
            Self::Crisis => "crisis",
        }
    }
}

// === impl SafetyAction ===

impl SafetyAction {
    /// Its name, as callers read it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Annotated => "annotated",
            Self::Answered => "answered",
            Self::Replaced => "replaced",
        }
    }
}

// === impl Safety ===

impl Safety {
    /// Each flag with what was done because of it, where that is known.
    pub fn flags_and_done(&self) -> impl Iterator<Item = (&Flag, Option<SafetyAction>)> {
        self.flags.iter().enumerate().map(|(place, flag)| (flag, self.done.get(place).copied()))
    }

    pub(crate) fn raise(&mut self, flag: Flag, action: SafetyAction) {
        self.action = self.action.max(action);
        self.add(flag, action);
    }

    pub(crate) fn raise_all(&mut self, flags: Vec<Flag>, action: SafetyAction) {
        for flag in flags {
            self.raise(flag, action);
        }
    }

    /// Takes down what was found, and nothing of what was to be done about it.
    pub(crate) fn take_note(&mut self, found: Self) {
        self.merge(Self { action: SafetyAction::None, ..found });
    }

    pub(crate) fn merge(&mut self, more: Self) {
        self.action = self.action.max(more.action);
        let done = more.done.into_iter().chain(std::iter::repeat(SafetyAction::None));
        for (flag, done) in more.flags.into_iter().zip(done) {
            self.add(flag, done);
        }
    }

    /// A rule that matches again in the same turn is told once, as grave as it was at its gravest.
    fn add(&mut self, flag: Flag, done: SafetyAction) {
        self.severity = self.severity.max(flag.severity);
        self.done.resize(self.flags.len(), SafetyAction::None);
        let known = self.flags.iter().position(|known| known.kind == flag.kind && known.rule == flag.rule);
        if let Some(place) = known {
            let known = &mut self.flags[place];
            known.severity = known.severity.max(flag.severity);
            self.done[place] = self.done[place].max(done);
        } else {
            self.flags.push(flag);
            self.done.push(done);
        }
    }
}
