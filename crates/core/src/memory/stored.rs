//! An entry as stores write it: JSON that names what it is.
//!
//! Every entry has `messages`, as stored turns have always had: what was written before there were kinds is a whole
//! turn, and a program that knows no kinds reads a paused turn as one that broke off, and a summary as nothing.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Entry, KeptTurn, Summary};
use crate::history::{
    BrokenOff, CompleteTurn, PausedTurn, complete, estimate_message, estimate_result, estimate_tokens,
};
use crate::message::Question;
use crate::message::{Message, ToolResult};

/// An entry, as JSON has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredEntry {
    pub(super) messages: Vec<Message>,
    #[serde(default, skip_serializing_if = "Kind::is_whole")]
    pub(super) kind: Kind,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) pinned: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) resumed: bool,
}

/// What an entry is, and what it has beside messages.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Kind {
    #[default]
    Whole,
    Paused {
        results: Vec<ToolResult>,
        questions: Vec<Question>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        broken_off: Option<BrokenOff>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        route: Option<String>,
    },
    Summary {
        text: String,
        covers: u64,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pinned: Vec<PinnedTurn>,
    },
    Note {
        text: String,
    },
}

/// A pinned turn that a summary carries along.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PinnedTurn {
    number: u64,
    at_ms: i64,
    messages: Vec<Message>,
}

// === impl StoredEntry ===

impl StoredEntry {
    /// Messages somebody wrote who knows nothing of entries.
    pub(super) fn of_messages(messages: Vec<Message>) -> Self {
        Self { messages, kind: Kind::Whole, pinned: false, resumed: false }
    }

    /// Whether there is more to a whole turn than its messages.
    pub(super) fn is_flagged(&self) -> bool {
        self.pinned || self.resumed
    }

    /// About how many tokens were read.
    pub(super) fn estimated_tokens(&self) -> usize {
        let messages = self.messages.iter().map(estimate_message).sum::<usize>();
        match &self.kind {
            Kind::Whole => messages,
            Kind::Paused { results, .. } => messages + results.iter().map(estimate_result).sum::<usize>(),
            Kind::Summary { text, .. } | Kind::Note { text } => estimate_tokens(text.len()),
        }
    }

    /// The entries it is: one, unless somebody else wrote it.
    pub(super) fn entries(self) -> Vec<Entry> {
        let Self { messages, kind, pinned, resumed } = self;
        let whole = |turns: Vec<CompleteTurn>| {
            let first = std::iter::once(resumed).chain(std::iter::repeat(false));
            let turns = turns.into_iter().map(Arc::new).zip(first);
            turns.map(|(turn, resumed)| Entry::Whole { turn, pinned, resumed }).collect()
        };
        match kind {
            Kind::Whole => whole(complete(messages)),
            Kind::Paused { results, questions, broken_off, route } => {
                match (PausedTurn { messages, results, questions, broken_off, route }).mended() {
                    Ok(turn) => vec![Entry::Paused { turn: Arc::new(turn), pinned, resumed }],
                    Err(turns) => whole(turns),
                }
            }
            Kind::Summary { text, covers, pinned } => {
                let pinned = pinned.into_iter().filter_map(PinnedTurn::kept).collect();
                vec![Entry::Summary(Summary { text, covers, pinned })]
            }
            Kind::Note { text } => vec![Entry::Note(text)],
        }
    }
}

impl From<&Entry> for StoredEntry {
    fn from(entry: &Entry) -> Self {
        match entry {
            Entry::Whole { turn, pinned, resumed } => {
                Self { messages: turn.messages().to_vec(), kind: Kind::Whole, pinned: *pinned, resumed: *resumed }
            }
            Entry::Paused { turn, pinned, resumed } => {
                let PausedTurn { messages, results, questions, broken_off, route } = turn.as_ref().clone();
                let kind = Kind::Paused { results, questions, broken_off, route };
                Self { messages, kind, pinned: *pinned, resumed: *resumed }
            }
            Entry::Summary(Summary { text, covers, pinned }) => {
                let pinned = pinned.iter().map(PinnedTurn::of).collect();
                let kind = Kind::Summary { text: text.clone(), covers: *covers, pinned };
                Self { messages: Vec::new(), kind, pinned: false, resumed: false }
            }
            Entry::Note(text) => {
                let kind = Kind::Note { text: text.clone() };
                Self { messages: Vec::new(), kind, pinned: false, resumed: false }
            }
        }
    }
}

// === impl Kind ===

impl Kind {
    /// The kind in a word.
    pub(super) fn as_str(&self) -> &'static str {
        match self {
            Self::Whole => "turn",
            Self::Paused { .. } => "paused",
            Self::Summary { .. } => "summary",
            Self::Note { .. } => "note",
        }
    }

    pub(super) fn is_whole(&self) -> bool {
        matches!(self, Self::Whole)
    }
}

// === impl PinnedTurn ===

impl PinnedTurn {
    fn of(kept: &KeptTurn) -> Self {
        Self { number: kept.number, at_ms: kept.at.as_millisecond(), messages: kept.messages().to_vec() }
    }

    /// The turn, unless it is older than turns are kept: a summary is written anew, its turns are not made younger.
    fn kept(self) -> Option<KeptTurn> {
        let at = Timestamp::from_millisecond(self.at_ms).ok()?;
        let turn = complete(self.messages).into_iter().next()?;
        let kept = KeptTurn { number: self.number, at, pinned: true, turn: Arc::new(turn) };
        (at >= super::retained_from(Timestamp::now())).then_some(kept)
    }
}
