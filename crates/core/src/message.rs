//! The words a turn is made of, in the JSON shapes of Bedrock's Converse API.
//!
//! Every other room of the house speaks in these types: the model is asked with them, memory stores
//! them, callers read them. Keeping Bedrock's own shapes means that what already reads Converse
//! answers keeps working, and that nothing is translated twice. No AWS SDK type appears here.

use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use schemars::JsonSchema;
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
    /// A picture.
    Image(Image),
    /// A file to read.
    Document(Document),
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
    /// A picture for the model to look at.
    Image(Image),
    /// A file for the model to read.
    Document(Document),
}

/// A picture, as Bedrock takes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Image {
    /// What its bytes are.
    pub format: ImageFormat,
    /// The picture itself.
    pub source: MediaSource,
}

/// The formats of pictures that Bedrock takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "each is its own name")]
pub enum ImageFormat {
    Png,
    Jpeg,
    Gif,
    Webp,
}

/// A file to read, as Bedrock takes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// What its bytes are.
    pub format: DocumentFormat,
    /// What the model knows it by: letters, digits, single spaces, hyphens, parentheses and brackets, at
    /// most 200. Source: Converse's reference.
    pub name: String,
    /// The file itself.
    pub source: MediaSource,
}

/// The formats of files that Bedrock takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "each is its own name")]
pub enum DocumentFormat {
    Pdf,
    Csv,
    Doc,
    Docx,
    Xls,
    Xlsx,
    Html,
    Txt,
    Md,
}

/// Where the bytes of a picture or a file are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MediaSource {
    /// Here. In JSON they are base64.
    #[serde(with = "as_base64")]
    Bytes(Bytes),
    /// In S3; the role needs to be allowed to read it.
    #[serde(rename_all = "camelCase")]
    S3Location {
        /// Where.
        uri: String,
        /// The account that owns the bucket, where it is another.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bucket_owner: Option<String>,
    },
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

/// How the model is told about a tool.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolSpec {
    /// The name the model calls it by: `[a-zA-Z0-9_-]{1,64}`.
    pub name: String,
    /// What it does and when to use it.
    pub description: String,
    /// The JSON schema of its input, an object schema.
    pub input_schema: Value,
}

/// What a person is asked in the middle of a turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Question {
    /// The call that waits; its answer names it.
    pub id: String,
    /// The tool that asks.
    pub tool: String,
    /// What is asked.
    pub question: String,
    /// What an app needs beside the words, such as choices.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub details: Value,
}

/// A person's answer to a [`Question`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(description = "A person's answer to a question of the turn before.")]
pub struct Reply {
    /// The question's id.
    pub id: String,
    /// The answer, in whatever form the tool understands.
    pub reply: Value,
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
    /// Ours: the turn's time was over; what had been said by then is the answer.
    DeadlineExceeded,
    /// Ours: a tool needs a person's answer before the turn can go on.
    Interrupted,
    /// A reason this version does not know, kept as it was spelled.
    Other(String),
}

/// Tokens counted by the model and what they cost, summed over the model calls of a turn.
///
/// A call that is broken off, by the model, by a guard or by the end of the turn's time, is mostly never counted: the count is the
/// last thing that Bedrock sends. Its tokens are not among these then, and the cost is unknown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Tokens the model read anew.
    pub input_tokens: u64,
    /// Tokens the model wrote.
    pub output_tokens: u64,
    /// All of them, those read from and written to the prompt cache included.
    pub total_tokens: u64,
    /// Tokens of the prompt that came from the prompt cache.
    pub cache_read_input_tokens: u64,
    /// Tokens of the prompt that were put into the prompt cache.
    pub cache_write_input_tokens: u64,
    /// What they cost by the price table; left out of the JSON where it is unknown.
    #[serde(rename = "usd", skip_serializing_if = "Cost::is_unknown")]
    pub cost: Cost,
}

/// What model calls cost, in billionths of a US dollar, so that sums are exact; unknown as soon as one
/// call's model has no price, or its count never came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost(Option<u64>);

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
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::Interrupted => "interrupted",
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
            "deadline_exceeded" => Self::DeadlineExceeded,
            "interrupted" => Self::Interrupted,
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

impl Usage {
    /// That of a call whose count never came: it adds nothing to what is counted, and what it costs is not known.
    pub const UNKNOWN: Self = Self {
        input_tokens: 0,
        output_tokens: 0,
        total_tokens: 0,
        cache_read_input_tokens: 0,
        cache_write_input_tokens: 0,
        cost: Cost::UNKNOWN,
    };
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        let add = |sum: &mut u64, more: u64| *sum = sum.saturating_add(more);
        add(&mut self.input_tokens, other.input_tokens);
        add(&mut self.output_tokens, other.output_tokens);
        add(&mut self.total_tokens, other.total_tokens);
        add(&mut self.cache_read_input_tokens, other.cache_read_input_tokens);
        add(&mut self.cache_write_input_tokens, other.cache_write_input_tokens);
        self.cost = self.cost + other.cost;
    }
}

// === impl Cost ===

impl Cost {
    /// The cost of a call whose model has no price, or that nobody counted.
    pub const UNKNOWN: Self = Self(None);

    /// So many billionths of a US dollar.
    pub const fn from_nano_usd(nano_usd: u64) -> Self {
        Self(Some(nano_usd))
    }

    /// In US dollars, where it is known.
    #[expect(clippy::cast_precision_loss, reason = "a bill beyond 9 million dollars may be rounded")]
    pub fn usd(self) -> Option<f64> {
        self.0.map(|nano_usd| nano_usd as f64 / 1e9)
    }

    /// Whether a call took part that has no price.
    pub fn is_unknown(&self) -> bool {
        self.0.is_none()
    }
}

impl Default for Cost {
    fn default() -> Self {
        Self(Some(0))
    }
}

impl std::ops::Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.zip(other.0).map(|(one, more)| one.saturating_add(more)))
    }
}

impl Serialize for Cost {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.usd().serialize(serializer)
    }
}

/// Bytes as JSON can carry them.
mod as_base64 {
    use super::{BASE64_STANDARD, Bytes, Deserialize, Deserializer, Serializer};
    use base64::Engine as _;

    pub(super) fn serialize<S: Serializer>(bytes: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&base64::display::Base64Display::new(bytes, &BASE64_STANDARD))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let bytes = BASE64_STANDARD.decode(text.as_bytes()).map_err(|_| serde::de::Error::custom("not base64"))?;
        Ok(bytes.into())
    }
}
