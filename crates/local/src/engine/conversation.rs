//! What a model is asked, in the JSON shapes of Bedrock's Converse.
//!
//! Engines read these and nothing else of a call: no headers, no address, no state. A value here has
//! passed Bedrock's checks (`bedrock::validation`), so engines may rely on alternating roles, a first
//! message from the user and tool results that answer tool calls.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One request to a model: what was said so far and how to answer.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Conversation {
    /// The turns, oldest first.
    #[serde(default)]
    pub messages: Vec<Message>,
    /// The system prompt, in blocks.
    #[serde(default)]
    pub system: Vec<SystemBlock>,
    /// Sampling and length.
    #[serde(default)]
    pub inference_config: InferenceConfig,
    /// The tools the model may call.
    pub tool_config: Option<ToolConfig>,
    /// A guardrail to apply; engines don't look at it.
    pub guardrail_config: Option<Value>,
}

/// One turn.
#[derive(Debug, Clone, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    #[serde(default)]
    pub content: Vec<ContentBlock>,
}

/// Who speaks in a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The person, or the program in the person's place.
    User,
    /// The model.
    Assistant,
}

/// A part of a turn.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ContentBlock {
    /// Words.
    Text(String),
    /// An image: `format` and `source`.
    Image(Value),
    /// A document: `format`, `name` and `source`.
    Document(Value),
    /// A video.
    Video(Value),
    /// A recording.
    Audio(Value),
    /// The model calls a tool.
    ToolUse(ToolUse),
    /// The answer to such a call.
    ToolResult(ToolResult),
    /// Content for a guardrail to look at.
    GuardContent(Value),
    /// A mark up to which the prompt may be cached.
    CachePoint(Value),
    /// The model's reasoning, sent back.
    ReasoningContent(Value),
    /// Cited text.
    CitationsContent(Value),
    /// A search result to cite from.
    SearchResult(Value),
}

/// A call of a tool by the model.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolUse {
    /// Joins the call to its result.
    pub tool_use_id: String,
    /// The tool's name in the tool configuration.
    pub name: String,
    /// Arguments by the tool's schema.
    pub input: Value,
}

/// What a tool answered.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolResult {
    /// The call this answers.
    pub tool_use_id: String,
    /// Blocks of `text`, `json` and others.
    #[serde(default)]
    pub content: Vec<Value>,
    /// Whether the tool failed; absent means success.
    pub status: Option<ToolResultStatus>,
}

/// How a tool call went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ToolResultStatus {
    /// It worked.
    Success,
    /// It failed, and the content says why.
    Error,
}

/// A part of the system prompt.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SystemBlock {
    /// Words.
    Text(String),
    /// Content for a guardrail to look at.
    GuardContent(Value),
    /// A mark up to which the prompt may be cached.
    CachePoint(Value),
}

/// Sampling and length.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InferenceConfig {
    /// The most tokens to produce.
    pub max_tokens: Option<i64>,
    /// Randomness, 0 to 1.
    pub temperature: Option<f64>,
    /// Share of probability to choose from, 0 to 1.
    pub top_p: Option<f64>,
    /// Texts that end the answer where they would appear.
    #[serde(default)]
    pub stop_sequences: Vec<String>,
}

/// The tools the model may call, and whether it must.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolConfig {
    /// The tools.
    #[serde(default)]
    pub tools: Vec<Tool>,
    /// Which to call; absent leaves it to the model.
    pub tool_choice: Option<ToolChoice>,
}

/// One entry of a tool configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Tool {
    /// A tool the caller runs.
    ToolSpec(ToolSpecification),
    /// A tool the service runs.
    SystemTool(Value),
    /// A mark up to which the tools may be cached.
    CachePoint(Value),
}

/// A tool's name, purpose and arguments.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolSpecification {
    /// Unique in the configuration.
    pub name: String,
    /// When to use it, for the model.
    pub description: Option<String>,
    /// The arguments' schema.
    pub input_schema: InputSchema,
}

/// A JSON schema, in the union Bedrock wraps it in.
#[derive(Debug, Clone, Deserialize)]
pub struct InputSchema {
    /// The schema itself, an object's.
    pub json: Value,
}

/// Whether the model must call a tool.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ToolChoice {
    /// As the model sees fit.
    Auto(Value),
    /// Any one of them.
    Any(Value),
    /// This one.
    Tool {
        /// The tool's name.
        name: String,
    },
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// The model said all it wanted to say.
    EndTurn,
    /// The model waits for the results of its tool calls.
    ToolUse,
    /// `maxTokens` was reached.
    MaxTokens,
    /// One of `stopSequences` came up.
    StopSequence,
    /// The model's provider withheld the answer.
    ContentFiltered,
    /// A guardrail blocked the prompt or the answer, or masked words of the answer.
    GuardrailIntervened,
}

/// Tokens of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// What the model was sent.
    pub input_tokens: u64,
    /// What it produced.
    pub output_tokens: u64,
}

// === impl Conversation ===

impl Conversation {
    /// The texts of the system prompt, in order.
    pub fn system_texts(&self) -> impl Iterator<Item = &str> {
        self.system.iter().filter_map(SystemBlock::text)
    }

    /// The configured tools; empty when there are none.
    pub fn tools(&self) -> &[Tool] {
        self.tool_config.as_ref().map_or(&[], |config| config.tools.as_slice())
    }

    /// The turns of the user, oldest first.
    pub fn user_messages(&self) -> impl DoubleEndedIterator<Item = &Message> {
        self.messages.iter().filter(|message| message.role == Role::User)
    }
}

// === impl SystemBlock ===

impl SystemBlock {
    /// The words of the block, if it has any.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::GuardContent(content) => content.pointer("/text/text")?.as_str(),
            Self::CachePoint(_) => None,
        }
    }
}

// === impl Message ===

impl Message {
    /// The words of the turn, one block a line.
    pub fn text(&self) -> String {
        let texts: Vec<&str> = self
            .content
            .iter()
            .filter_map(|block| match block {
                ContentBlock::Text(text) => Some(text.as_str()),
                ContentBlock::GuardContent(content) => content.pointer("/text/text")?.as_str(),
                _ => None,
            })
            .collect();
        texts.join("\n")
    }

    /// The tool calls in the turn.
    pub fn tool_uses(&self) -> impl Iterator<Item = &ToolUse> {
        self.content.iter().filter_map(|block| match block {
            ContentBlock::ToolUse(call) => Some(call),
            _ => None,
        })
    }

    /// The tool results in the turn.
    pub fn tool_results(&self) -> impl Iterator<Item = &ToolResult> {
        self.content.iter().filter_map(|block| match block {
            ContentBlock::ToolResult(result) => Some(result),
            _ => None,
        })
    }
}

// === impl ToolResult ===

impl ToolResult {
    /// The result as a model would read it: texts as they are, JSON written out.
    pub fn text(&self) -> String {
        let parts: Vec<String> = self
            .content
            .iter()
            .filter_map(|block| {
                if let Some(text) = block.get("text").and_then(Value::as_str) {
                    return Some(text.to_owned());
                }
                block.get("json").map(Value::to_string)
            })
            .collect();
        parts.join("\n")
    }
}

// === impl Tool ===

impl Tool {
    /// The specification, where the caller runs the tool.
    pub fn specification(&self) -> Option<&ToolSpecification> {
        match self {
            Self::ToolSpec(specification) => Some(specification),
            Self::SystemTool(_) | Self::CachePoint(_) => None,
        }
    }
}

// === impl Role ===

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::User => "user",
            Self::Assistant => "assistant",
        })
    }
}

// === impl Usage ===

impl Usage {
    /// Input and output together.
    pub fn total_tokens(&self) -> u64 {
        self.input_tokens + self.output_tokens
    }
}
