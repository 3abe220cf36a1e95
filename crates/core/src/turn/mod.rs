//! A turn, decided without doing any of it.
//!
//! A turn is a machine that says what it needs next and is told what happened. It reads no clock, no
//! socket and no environment, so every stop reason, every cut and every tool that fails can be tested
//! in microseconds. [`crate::drive`] performs its steps.
//!
//! ```text
//!            ┌───────────── returned(results) ──────────────┐
//!            ▼                                              │
//! begin ─▶ CallModel ── answered(tool_use) ───────────▶ CallTools ◀─ resume(replies)
//!   │        │  ▲                                           │
//!   │        │  ├─ failed(too long): a shorter history ─┐   │
//!   │        │  ├─ not what must be returned: ask again ┤   ├─ a tool asks a person ─▶ Done
//!   │        │  └─ a route is chosen ───────────────────┤   │
//!   │        ├──────────────────────────────────────────┘   │
//!   │        ├─ answered(any other reason) ─▶ Done          │
//!   │        ├─ failed(error, so far) ──────▶ Done          │
//!   │        └─ cut, out of time ───────────▶ Done ◀────────┘ cut, out of time
//!   └─ a guard answers ─────────────────────▶ Done
//! ```
//!
//! Each state is a type of its own, and its methods consume it: a turn cannot be told of results it
//! did not ask for. Rooms: `request` is what an agent asks for, `machine` decides, `output` is the answer
//! that must be a Rust type, `hearing` what guards make of a message, `route` the choice between several agents, `shrink` what is left out when a
//! conversation is too long.

mod hearing;
mod machine;
mod output;
mod request;
pub(crate) mod route;
mod shrink;

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use crate::guard::Safety;
use crate::history::Keepsake;
use crate::message::{Message, StopReason, Usage};
use crate::model::ModelError;
use crate::tool::{Question, ToolFailure, ToolOutput};

pub use machine::{ModelCall, ToolRound};
pub use request::TurnRequest;

/// How often a model may ask for tools in one turn, unless the agent says otherwise.
pub const DEFAULT_TOOL_ROUNDS: u32 = 10;

/// How long a whole turn may take, unless the agent or the operator says otherwise: a person has long
/// given up, and AgentCore's own bound of 15 minutes for an answer in one piece is far.
pub const DEFAULT_TURN_TIME: Duration = Duration::from_mins(5);

/// Remembered in place of words that a guardrail stopped: sent again, they would stop every later turn.
pub const WITHHELD: &str = "[This message was withheld by a guardrail.]";

/// What a turn needs next.
#[derive(Debug)]
pub enum Step {
    /// Ask the model.
    CallModel(ModelCall),
    /// Call the tools that the model asked for.
    CallTools(ToolRound),
    /// Nothing: this is what became of the turn.
    Done(TurnOutcome),
}

/// What became of a turn.
#[derive(Debug, Clone, PartialEq)]
pub struct TurnOutcome {
    /// The answer, or why there is none.
    pub result: Result<Answer, TurnError>,
    /// What the session keeps: the whole turn, or as much of it as was said. None when nothing was.
    pub keepsake: Option<Keepsake>,
    /// Tokens counted over all model calls of the turn.
    pub usage: Usage,
    /// What the guards found.
    pub safety: Safety,
    /// What became of the tool calls.
    pub tools: ToolCounts,
}

/// What the caller gets.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The model's last message, its text only.
    pub message: Message,
    /// Why it ends where it ends.
    pub stop_reason: StopReason,
    /// The answer as the type it must be: see [`TurnRequest::returning`].
    pub output: Option<Value>,
    /// What a person must answer before the turn goes on: see [`TurnRequest::replying`].
    pub questions: Vec<Question>,
}

/// Why a turn has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TurnError {
    /// The model failed.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The model stopped without a word.
    #[error("the model ended its answer ({}) without a word; ask again", .stop_reason.as_str())]
    EmptyAnswer {
        /// Why it stopped.
        stop_reason: StopReason,
    },
    /// The model did not give what must be returned, however often it was asked.
    #[error("the model's answer is not what must be returned: {reason}; ask again, or make the type simpler")]
    NotTheType {
        /// What was wrong in the end.
        reason: String,
    },
    /// The turn's time was over before a word was said.
    #[error("the turn's time was over before the model said a word; ask again, or raise TURN_TIMEOUT_SECONDS")]
    OutOfTime,
    /// Somebody answers what nobody asked.
    #[error("no question waits for this reply; send what the user says as a new message")]
    NothingAsked,
    /// Somebody answers an agent that is not there any more.
    #[error("the agent that asked is no longer there; send what the user says as a new message")]
    AskerGone,
    /// The caller went away, or the process is ending.
    #[error("the turn was cut before its answer was complete")]
    Cut,
}

/// What became of one tool call.
#[derive(Debug, Clone, PartialEq)]
pub struct CallOutcome {
    /// The model's name for the call.
    pub tool_use_id: String,
    /// What the tool gave, or why it gave nothing.
    pub result: Result<ToolOutput, CallFailure>,
}

/// Why a tool gave nothing.
#[derive(Debug, Clone, PartialEq)]
pub enum CallFailure {
    /// It says so itself.
    Tool(ToolFailure),
    /// It took longer than it may.
    TimedOut(Duration),
    /// It panicked.
    Panicked,
}

/// What became of a turn's tool calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ToolCounts {
    /// How many calls the model asked for.
    pub calls: u32,
    /// Calls that failed, by the tool's own word.
    pub failed: u32,
    /// Calls of tools that do not exist.
    pub unknown: u32,
    /// Calls whose arguments did not fit the schema.
    pub invalid: u32,
    /// Calls that took too long.
    pub timed_out: u32,
    /// Calls in which the tool panicked.
    pub panicked: u32,
}

// === impl ToolCounts ===

impl ToolCounts {
    /// Calls that gave the model nothing to go on with.
    pub fn in_vain(&self) -> u32 {
        self.failed + self.unknown + self.invalid + self.timed_out + self.panicked
    }
}

// === impl CallFailure ===

impl CallFailure {
    /// The kind of failure, for traces.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Tool(_) => "ToolFailure",
            Self::TimedOut(_) => "TimedOut",
            Self::Panicked => "Panicked",
        }
    }
}

// === impl Step ===

impl Step {
    /// The turn's outcome, where it is over.
    pub fn outcome(&self) -> Option<&TurnOutcome> {
        match self {
            Self::Done(outcome) => Some(outcome),
            _ => None,
        }
    }
}
