//! The events of AG-UI 1.0 that an agent of ours has something to tell by, as they are written.
//!
//! By hand: the crates that have AG-UI's types are from before its versions had numbers, and know neither outcomes nor
//! usage.

use agentcore_core::message::Usage;
use agentcore_core::tool::{Question, ToolProgress};
use serde::Serialize;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::http::whole_seconds;

/// The version of the protocol that is spoken.
pub(super) const PROTOCOL_VERSION: &str = "1.0";

/// Why a run stops at a question of the agent's.
const INPUT_REQUIRED: &str = "input_required";

/// One event of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE", rename_all_fields = "camelCase")]
pub(super) enum Event {
    RunStarted {
        thread_id: String,
        run_id: String,
        protocol_version: &'static str,
    },
    StepStarted {
        step_name: Step,
    },
    StepFinished {
        step_name: Step,
    },
    TextMessageStart {
        message_id: String,
        role: &'static str,
    },
    TextMessageContent {
        message_id: String,
        delta: String,
    },
    TextMessageEnd {
        message_id: String,
    },
    ToolCallStart {
        tool_call_id: String,
        tool_call_name: String,
        parent_message_id: String,
    },
    ToolCallArgs {
        tool_call_id: String,
        delta: String,
    },
    ToolCallEnd {
        tool_call_id: String,
    },
    ToolCallResult {
        message_id: String,
        tool_call_id: String,
        content: &'static str,
    },
    StateSnapshot {
        /// All of it: a snapshot takes the place of what the client had.
        snapshot: Value,
    },
    Custom {
        name: &'static str,
        value: ToolProgress,
    },
    RunFinished {
        thread_id: String,
        run_id: String,
        outcome: Outcome,
        /// What an answer over HTTP has beside its message and its questions.
        result: Value,
        usage: [TokenUsage; 1],
    },
    RunError {
        message: String,
        code: String,
        metadata: Value,
    },
}

/// What a run is doing: the steps of a turn, which take turns themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Step {
    /// The model writes.
    Model,
    /// Its tools work.
    Tools,
}

/// Why a run ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(super) enum Outcome {
    Success {
        /// Calls of the client's tools whose results the next run brings.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pending_tool_call_ids: Vec<String>,
    },
    Interrupt {
        interrupts: Vec<Interrupt>,
    },
}

/// A question to a person.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Interrupt {
    id: String,
    reason: &'static str,
    message: String,
    tool_call_id: String,
    metadata: Value,
}

/// Tokens, in the protocol's accounting: the counts of the cache are a part of the input's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "so the protocol calls them")]
pub(super) struct TokenUsage {
    input_tokens: u64,
    output_tokens: u64,
    total_tokens: u64,
    cached_input_tokens: u64,
    cache_write_input_tokens: u64,
}

// === impl Event ===

impl Event {
    /// What a failure is told by.
    pub(super) fn failed(failure: Failure, request_id: &str) -> Self {
        let mut metadata = json!({ "request_id": request_id });
        if let Some(details) = failure.details {
            metadata["details"] = details.into();
        }
        if let Some(wait) = failure.retry_after {
            metadata["retry_after"] = whole_seconds(wait).into();
        }
        // As AgentCore's own agents write theirs.
        Self::RunError { message: failure.sentence, code: failure.code.as_str().to_ascii_uppercase(), metadata }
    }
}

// === impl Interrupt ===

impl From<Question> for Interrupt {
    fn from(Question { id, tool, question, details }: Question) -> Self {
        let metadata =
            if details.is_null() { json!({ "tool": tool }) } else { json!({ "tool": tool, "details": details }) };
        Self { tool_call_id: id.clone(), id, reason: INPUT_REQUIRED, message: question, metadata }
    }
}

// === impl TokenUsage ===

impl From<Usage> for TokenUsage {
    fn from(usage: Usage) -> Self {
        let Usage { input_tokens, output_tokens, cache_read_input_tokens, cache_write_input_tokens, .. } = usage;
        let input_tokens = input_tokens + cache_read_input_tokens + cache_write_input_tokens;
        Self {
            input_tokens,
            output_tokens,
            total_tokens: input_tokens + output_tokens,
            cached_input_tokens: cache_read_input_tokens,
            cache_write_input_tokens,
        }
    }
}
