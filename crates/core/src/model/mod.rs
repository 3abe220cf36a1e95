//! Asking a model: what is asked, what comes back, and how it can fail.
//!
//! [`Model`] is the one seam between the turn and whoever generates text. The shapes are Converse's;
//! [`bedrock`] is the implementation that calls AWS, and [`resilient`] makes one that bears failures of
//! several that do not.

pub mod bedrock;
pub mod breaker;
pub mod capabilities;
pub mod prices;
pub mod residency;
pub mod resilient;
pub mod retry;
mod seam;
mod writing;

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use serde::Serialize;

use crate::guard::{Flag, Severity};
use crate::history::{CompleteTurn, estimate_message, estimate_tokens};
use crate::message::{Message, Role, StopReason, ToolSpec, Usage};

pub use writing::AnswerInWriting;

/// Something that answers a conversation.
pub trait Model: Send + Sync + 'static {
    /// Answers in one piece.
    fn converse<'a>(&'a self, request: &'a ModelRequest) -> BoxFuture<'a, Result<ModelAnswer, ModelError>>;

    /// Answers piece by piece. The stream ends after [`ModelEvent::Metadata`] or with one error.
    fn converse_stream<'a>(&'a self, request: &'a ModelRequest) -> BoxFuture<'a, Result<ModelEvents, ModelError>>;

    /// Counts the tokens the model would read, exactly; none where it cannot count.
    fn count_tokens<'a>(&'a self, _request: &'a ModelRequest) -> BoxFuture<'a, Result<Option<u64>, ModelError>> {
        Box::pin(async { Ok(None) })
    }
}

/// A model's answer as it is written.
pub type ModelEvents = BoxStream<'static, Result<ModelEvent, ModelError>>;

/// What a model is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelRequest {
    /// The system prompt; none when empty.
    pub system: String,
    /// The turns before this one, oldest first, shared with the session.
    pub history: Vec<Arc<CompleteTurn>>,
    /// This turn's messages so far: the user's, then tool rounds.
    pub messages: Vec<Message>,
    /// How the answer is sampled and bounded.
    pub parameters: ModelParameters,
    /// The tools the model may ask for.
    pub tools: Arc<[ToolSpec]>,
    /// Whether it must ask for one.
    pub tool_choice: ToolChoice,
    /// Which model is enough.
    pub size: ModelSize,
}

impl ModelRequest {
    /// One question and nothing else.
    pub fn question(text: impl Into<String>, max_tokens: u32) -> Self {
        Self {
            system: String::new(),
            history: Vec::new(),
            messages: vec![Message::user(text)],
            parameters: ModelParameters { max_tokens, temperature: None, stop_sequences: Vec::new() },
            tools: Arc::default(),
            tool_choice: ToolChoice::default(),
            size: ModelSize::default(),
        }
    }

    /// About how many tokens the model would read, on the high side.
    pub fn estimated_tokens(&self) -> usize {
        let told = |tool: &ToolSpec| estimate_tokens(tool.description.len() + tool.input_schema.to_string().len());
        estimate_tokens(self.system.len())
            + self.history.iter().map(|turn| turn.estimated_tokens()).sum::<usize>()
            + self.messages.iter().map(estimate_message).sum::<usize>()
            + self.tools.iter().map(told).sum::<usize>()
    }
}

/// Whether a model must ask for a tool.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ToolChoice {
    /// It may.
    #[default]
    Auto,
    /// It must ask for one of them.
    Any,
    /// It must ask for the one of that name.
    Tool(String),
}

/// Which model is enough for a turn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum ModelSize {
    /// The agent's own: `MODEL_ID`.
    #[default]
    Full,
    /// `MODEL_ID_SMALL`, where an operator has set one.
    Small,
}

/// How an answer is sampled and bounded.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelParameters {
    /// The longest answer, in tokens; at least 1.
    pub max_tokens: u32,
    /// Randomness, 0 to 1; the model's own default when absent.
    pub temperature: Option<f32>,
    /// Texts that end the answer when the model writes them.
    pub stop_sequences: Vec<String>,
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelAnswer {
    /// What the model said.
    pub message: Message,
    /// Why it stopped.
    pub stop_reason: StopReason,
    /// What it counted.
    pub usage: Usage,
    /// What a Bedrock guardrail found, where one is set.
    pub guardrail: Option<GuardrailTrace>,
    /// Who answered in the end, where several might have.
    pub served: Option<Served>,
}

/// Who answered, and after how much trouble.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// The model, as the settings name it.
    pub model: String,
    /// How many calls it took, of all models; 1 when nothing went wrong.
    pub attempts: u32,
}

/// What a Bedrock guardrail found, in names only but for [`Self::redactions`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct GuardrailTrace {
    /// What it flagged.
    #[serde(skip)]
    pub flags: Vec<Flag>,
    /// What must not be stored: words of the user's message, and what stands in their place.
    #[serde(skip)]
    pub redactions: Vec<(String, String)>,
}

impl GuardrailTrace {
    /// Whether it put other words in the place of some, and stopped nothing.
    pub(crate) fn only_masks(&self) -> bool {
        !self.flags.is_empty() && self.flags.iter().all(|flag| flag.severity <= Severity::Info)
    }
}

/// A piece of an answer, in the JSON shape of Bedrock's ConverseStream.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ModelEvent {
    /// The answer begins.
    MessageStart {
        /// Always the assistant.
        role: Role,
    },
    /// A block begins that is not plain text.
    ContentBlockStart {
        /// The block's place in the message, from 0.
        content_block_index: usize,
        /// What kind of block.
        start: BlockStart,
    },
    /// A block goes on.
    ContentBlockDelta {
        /// The block's place in the message, from 0.
        content_block_index: usize,
        /// What is added.
        delta: BlockDelta,
    },
    /// A block is complete.
    ContentBlockStop {
        /// The block's place in the message, from 0.
        content_block_index: usize,
    },
    /// The answer is complete.
    MessageStop {
        /// Why.
        stop_reason: StopReason,
    },
    /// What it cost; the last event.
    Metadata {
        /// Tokens counted.
        usage: Usage,
        /// The model service's own timing.
        metrics: Metrics,
        /// What a Bedrock guardrail found; not for callers.
        #[serde(skip)]
        guardrail: Option<GuardrailTrace>,
        /// Who answered in the end, where several might have; not for callers.
        #[serde(skip)]
        served: Option<Served>,
    },
}

/// How a block that is not plain text begins.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum BlockStart {
    /// A tool call.
    ToolUse {
        /// The model's name for the call.
        tool_use_id: String,
        /// The tool's name.
        name: String,
    },
}

/// What is added to a block.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum BlockDelta {
    /// More text.
    Text(String),
    /// More of a tool call's arguments: a fragment of JSON text.
    ToolUse {
        /// The fragment.
        input: String,
    },
}

/// The model service's own timing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Metrics {
    /// Milliseconds from request to the end of the answer, as the service measured it.
    pub latency_ms: u64,
}

/// Why a model did not answer, each with what can be done about it.
///
/// The sentences name the model and the service's own reason, which is for operators and logs; what
/// callers may see is decided where callers are answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// Too many requests or tokens a minute.
    #[error("the model is throttled; ask again later, or raise the quota of {model} in Service Quotas")]
    Throttled {
        /// The model asked.
        model: String,
        /// Seconds the service asks to wait, where it says so.
        retry_after: Option<u64>,
    },
    /// The role may not call this model.
    #[error(
        "no access to {model}: {reason}; allow bedrock:InvokeModel and \
         bedrock:InvokeModelWithResponseStream on the inference profile and on the model in every \
         region it routes to"
    )]
    AccessDenied {
        /// The model asked.
        model: String,
        /// The service's reason.
        reason: String,
    },
    /// No such model or profile in this region.
    #[error("{model} is not known in {region}: {reason}; check MODEL_ID and AWS_REGION")]
    UnknownModel {
        /// The model asked.
        model: String,
        /// Where it was asked.
        region: String,
        /// The service's reason.
        reason: String,
    },
    /// The model has reached the end of its life.
    #[error("{model} is retired: {reason}; set MODEL_ID to its successor")]
    RetiredModel {
        /// The model asked.
        model: String,
        /// The service's reason.
        reason: String,
    },
    /// The conversation does not fit the model's context.
    #[error("the conversation is too long for {model}; send a shorter message or lower HISTORY_TOKENS")]
    ContextTooLong {
        /// The model asked.
        model: String,
    },
    /// The service refuses the request as malformed: a defect of the agent or of this runtime.
    #[error("{model} refused the request: {reason}")]
    InvalidRequest {
        /// The model asked.
        model: String,
        /// The service's reason.
        reason: String,
    },
    /// No credentials could be had.
    #[error("no AWS credentials: {reason}; on AgentCore check the execution role, elsewhere the AWS profile")]
    NoCredentials {
        /// What the credential chain said.
        reason: String,
    },
    /// The service could not be reached at all.
    #[error("the model service cannot be reached: {reason}; check AWS_REGION, AWS_ENDPOINT_URL and the network")]
    Unreachable {
        /// What the connection said.
        reason: String,
    },
    /// The service answered, and cannot serve now.
    #[error("the model service cannot answer now: {reason}; ask again")]
    Unavailable {
        /// The service's reason.
        reason: String,
        /// Seconds the service asks to wait, where it says so.
        retry_after: Option<u64>,
    },
    /// Nothing came within the time allowed.
    #[error("the model was silent for {} ms while {waiting_for} was due; ask again, or raise {variable}", waited.as_millis())]
    Silent {
        /// What was due.
        waiting_for: &'static str,
        /// How long was waited.
        waited: Duration,
        /// The setting that bounds it.
        variable: &'static str,
    },
    /// The answer broke off in the middle.
    #[error("the answer broke off: {reason}; ask again")]
    BrokenStream {
        /// What broke.
        reason: String,
    },
}

/// What can be done about a [`ModelError`] at once, without a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// To ask the same model again: the trouble passes.
    AskAgain,
    /// To ask another model: this one will fail until somebody mends it.
    AskAnother,
    /// To ask otherwise: the request is what is wrong.
    AskOtherwise,
    /// Nothing.
    Nothing,
}

// === impl ModelError ===

impl ModelError {
    /// What can be done about it at once.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Throttled { .. }
            | Self::Unreachable { .. }
            | Self::Unavailable { .. }
            | Self::Silent { .. }
            | Self::BrokenStream { .. } => Remedy::AskAgain,
            Self::AccessDenied { .. } | Self::UnknownModel { .. } | Self::RetiredModel { .. } => Remedy::AskAnother,
            Self::ContextTooLong { .. } | Self::InvalidRequest { .. } => Remedy::AskOtherwise,
            Self::NoCredentials { .. } => Remedy::Nothing,
        }
    }

    /// Whether the model refuses to go on from the assistant's own words, whatever they are. Claude does so from
    /// its 4.6 on, in these words.
    pub fn refuses_prefill(&self) -> bool {
        let Self::InvalidRequest { reason, .. } = self else {
            return false;
        };
        let reason = reason.to_ascii_lowercase();
        reason.contains("prefill") || reason.contains("must end with a user message")
    }

    /// Seconds the service asks to wait, where it says so.
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Throttled { retry_after, .. } | Self::Unavailable { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The kind of failure, for logs and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Throttled { .. } => "Throttled",
            Self::AccessDenied { .. } => "AccessDenied",
            Self::UnknownModel { .. } => "UnknownModel",
            Self::RetiredModel { .. } => "RetiredModel",
            Self::ContextTooLong { .. } => "ContextTooLong",
            Self::InvalidRequest { .. } => "InvalidRequest",
            Self::NoCredentials { .. } => "NoCredentials",
            Self::Unreachable { .. } => "Unreachable",
            Self::Unavailable { .. } => "Unavailable",
            Self::Silent { .. } => "Silent",
            Self::BrokenStream { .. } => "BrokenStream",
        }
    }
}
