//! The words a turn is made of, in the JSON shapes of Bedrock's Converse API.
//!
//! Every other room of the house speaks in these types: the model is asked with them, memory stores
//! them, callers read them. Keeping Bedrock's own shapes means that what already reads Converse
//! answers keeps working, and that nothing is translated twice. No AWS SDK type appears here.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Who says it.
    pub role: Role,
    /// What is said, in order.
    pub content: Vec<ContentBlock>,
}

/// Who says a message. Converse knows two sides; tool results come from the user's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The person, the calling backend, or a tool's result.
    User,
    /// The model.
    Assistant,
}

/// A part of a message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ContentBlock {
    /// Plain text. Converse refuses blank text, so histories never keep it.
    Text(String),
    /// The model asks for a tool to be called.
    ToolUse(ToolUse),
    /// What a tool answered.
    ToolResult(ToolResult),
}

/// A tool call the model asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolUse {
    /// The model's name for this one call; its result carries the same.
    pub tool_use_id: String,
    /// The tool's name.
    pub name: String,
    /// The arguments, as the model wrote them: not yet checked against the tool's schema.
    pub input: Value,
}

/// The answer to one [`ToolUse`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolResult {
    /// Which call this answers.
    pub tool_use_id: String,
    /// What the tool says to the model.
    pub content: Vec<ToolResultContent>,
    /// Whether the call worked.
    #[serde(default)]
    pub status: ToolResultStatus,
}

/// A part of a tool's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ToolResultContent {
    /// Text for the model to read.
    Text(String),
    /// A JSON document for the model to read.
    Json(Value),
}

/// Whether a tool call worked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ToolResultStatus {
    /// It did.
    #[default]
    Success,
    /// It did not; the content says why, and the model may try another way.
    Error,
}

/// Why the model stopped, as Converse says it, and one reason of our own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopReason {
    /// The answer is complete.
    EndTurn,
    /// The answer was cut at the request's token limit.
    MaxTokens,
    /// The model wrote one of the request's stop sequences.
    StopSequence,
    /// The model asks for tools.
    ToolUse,
    /// A Bedrock guardrail replaced the answer.
    GuardrailIntervened,
    /// The model's own content filter withheld the answer or its rest.
    ContentFiltered,
    /// The conversation filled the model's context window before the answer was complete.
    ModelContextWindowExceeded,
    /// Ours: the model kept asking for tools beyond the turn's bound.
    ToolRoundsExceeded,
    /// A reason this version does not know, kept as it was spelled.
    Other(String),
}

/// Tokens counted by the model, summed over the model calls of a turn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Usage {
    /// Tokens the model read.
    pub input_tokens: u64,
    /// Tokens the model wrote.
    pub output_tokens: u64,
    /// Both.
    pub total_tokens: u64,
}

// === impl Message ===

impl Message {
    /// A user's message of one text.
    pub fn user(text: impl Into<String>) -> Self {
        Self { role: Role::User, content: vec![ContentBlock::Text(text.into())] }
    }

    /// An assistant's message of one text.
    pub fn assistant(text: impl Into<String>) -> Self {
        Self { role: Role::Assistant, content: vec![ContentBlock::Text(text.into())] }
    }

    /// The message's text blocks, joined.
    pub fn text(&self) -> String {
        self.content.iter().filter_map(ContentBlock::as_text).collect()
    }

    /// The tool calls this message asks for, in order.
    pub fn tool_uses(&self) -> impl Iterator<Item = &ToolUse> {
        self.content.iter().filter_map(|block| match block {
            ContentBlock::ToolUse(call) => Some(call),
            _ => None,
        })
    }

    /// The tool results this message carries, in order.
    pub fn tool_results(&self) -> impl Iterator<Item = &ToolResult> {
        self.content.iter().filter_map(|block| match block {
            ContentBlock::ToolResult(result) => Some(result),
            _ => None,
        })
    }
}

// === impl ContentBlock ===

impl ContentBlock {
    /// The block's text, if it is text.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Whether Converse would refuse this block for saying nothing.
    pub fn is_blank(&self) -> bool {
        self.as_text().is_some_and(|text| text.trim().is_empty())
    }
}

// === impl ToolResult ===

impl ToolResult {
    /// A failed call, with a sentence for the model.
    pub fn error(tool_use_id: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            tool_use_id: tool_use_id.into(),
            content: vec![ToolResultContent::Text(reason.into())],
            status: ToolResultStatus::Error,
        }
    }
}

// === impl StopReason ===

impl StopReason {
    /// The reason as it is spelled on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Self::EndTurn => "end_turn",
            Self::MaxTokens => "max_tokens",
            Self::StopSequence => "stop_sequence",
            Self::ToolUse => "tool_use",
            Self::GuardrailIntervened => "guardrail_intervened",
            Self::ContentFiltered => "content_filtered",
            Self::ModelContextWindowExceeded => "model_context_window_exceeded",
            Self::ToolRoundsExceeded => "tool_rounds_exceeded",
            Self::Other(name) => name,
        }
    }
}

impl From<&str> for StopReason {
    fn from(name: &str) -> Self {
        match name {
            "end_turn" => Self::EndTurn,
            "max_tokens" => Self::MaxTokens,
            "stop_sequence" => Self::StopSequence,
            "tool_use" => Self::ToolUse,
            "guardrail_intervened" => Self::GuardrailIntervened,
            "content_filtered" => Self::ContentFiltered,
            "model_context_window_exceeded" => Self::ModelContextWindowExceeded,
            "tool_rounds_exceeded" => Self::ToolRoundsExceeded,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl Serialize for StopReason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for StopReason {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::from(String::deserialize(deserializer)?.as_str()))
    }
}

// === impl Usage ===

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.input_tokens = self.input_tokens.saturating_add(other.input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(other.output_tokens);
        self.total_tokens = self.total_tokens.saturating_add(other.total_tokens);
    }
}
