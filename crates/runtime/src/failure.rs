//! What a caller may know of an error.
//!
//! Inside, errors name models, stores and services' own words; those go to the log. A caller gets a
//! code to act on, a sentence, and the request id to ask an operator with: never internals, other
//! people's data or prompt text.

use std::time::Duration;

use agentcore_core::memory::MemoryError;
use agentcore_core::memory::sessions::OpenError;
use agentcore_core::model::ModelError;
use agentcore_core::payload::PayloadError;
use agentcore_core::turn::TurnError;
use axum::http::StatusCode;
use serde_json::{Value, json};

/// How long a throttled caller is asked to wait when the model service does not say: Bedrock's quotas
/// are counted by the minute, and a few seconds spread the callers out.
const THROTTLED_WAIT: Duration = Duration::from_secs(5);

/// How long to wait for something that is down.
const UNAVAILABLE_WAIT: Duration = Duration::from_secs(2);

/// How long to wait for somebody else's turn to end.
const OVERLOADED_WAIT: Duration = Duration::from_secs(1);

/// How long to wait for a queue of turns to become shorter: about as long as a short turn takes.
const BUSY_WAIT: Duration = Duration::from_secs(2);

/// An error as the caller gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    pub(crate) sentence: String,
    /// More about a body that could not be read.
    pub(crate) details: Option<String>,
    pub(crate) retry_after: Option<Duration>,
}

/// What went wrong, in a word that programs act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    InvalidJson,
    InvalidEncoding,
    InvalidPayload,
    UnknownAction,
    PayloadTooLarge,
    PayloadTooSlow,
    ContextTooLong,
    ModelThrottled,
    ModelUnavailable,
    ModelTimeout,
    ModelRefused,
    MemoryUnavailable,
    Overloaded,
    SessionBusy,
    NothingAsked,
    Cut,
    #[cfg(feature = "websocket")]
    Cancelled,
    Internal,
}

// === impl Code ===

impl Code {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::InvalidJson => "invalid_json",
            Self::InvalidEncoding => "invalid_encoding",
            Self::InvalidPayload => "invalid_payload",
            Self::UnknownAction => "unknown_action",
            Self::PayloadTooLarge => "payload_too_large",
            Self::PayloadTooSlow => "payload_too_slow",
            Self::ContextTooLong => "context_too_long",
            Self::ModelThrottled => "model_throttled",
            Self::ModelUnavailable => "model_unavailable",
            Self::ModelTimeout => "model_timeout",
            Self::ModelRefused => "model_refused",
            Self::MemoryUnavailable => "memory_unavailable",
            Self::Overloaded => "overloaded",
            Self::SessionBusy => "session_busy",
            Self::NothingAsked => "nothing_asked",
            Self::Cut => "cut",
            #[cfg(feature = "websocket")]
            Self::Cancelled => "cancelled",
            Self::Internal => "internal_error",
        }
    }

    /// The caller's fault is 4xx, what may pass is 409, 429 or 503, the rest is ours: 500.
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::InvalidJson
            | Self::InvalidEncoding
            | Self::InvalidPayload
            | Self::UnknownAction
            | Self::ContextTooLong => StatusCode::BAD_REQUEST,
            Self::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::PayloadTooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::SessionBusy | Self::NothingAsked => StatusCode::CONFLICT,
            Self::ModelThrottled | Self::Overloaded => StatusCode::TOO_MANY_REQUESTS,
            Self::ModelUnavailable | Self::ModelTimeout | Self::MemoryUnavailable | Self::Cut => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            // Told over WebSockets only, where there is no status.
            #[cfg(feature = "websocket")]
            Self::Cancelled => StatusCode::CONFLICT,
            Self::ModelRefused | Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

// === impl Failure ===

impl Failure {
    pub(crate) fn new(code: Code, sentence: impl Into<String>) -> Self {
        Self { code, sentence: sentence.into(), details: None, retry_after: None }
    }

    pub(crate) fn with_details(code: Code, sentence: &str, details: impl Into<String>) -> Self {
        Self { details: Some(details.into()), ..Self::new(code, sentence) }
    }

    /// Something of ours broke; the log says what.
    pub(crate) fn internal() -> Self {
        Self::new(Code::Internal, "The agent failed unexpectedly. Please try again.")
    }

    /// Whether the caller alone can mend it, or wanted no answer any more.
    pub(crate) fn is_callers(&self) -> bool {
        match self.code {
            Code::InvalidJson
            | Code::InvalidEncoding
            | Code::InvalidPayload
            | Code::UnknownAction
            | Code::PayloadTooLarge
            | Code::PayloadTooSlow
            | Code::ContextTooLong
            | Code::NothingAsked
            | Code::Cut => true,
            #[cfg(feature = "websocket")]
            Code::Cancelled => true,
            Code::ModelThrottled
            | Code::ModelUnavailable
            | Code::ModelTimeout
            | Code::ModelRefused
            | Code::MemoryUnavailable
            | Code::Overloaded
            | Code::SessionBusy
            | Code::Internal => false,
        }
    }

    /// What a caller reads of it.
    pub(crate) fn told(&self, request_id: &str) -> Value {
        let mut told = json!({ "error": self.sentence, "code": self.code.as_str(), "request_id": request_id });
        if let Some(details) = &self.details {
            told["details"] = details.as_str().into();
        }
        told
    }

    fn passing(code: Code, sentence: &str, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..Self::new(code, sentence) }
    }
}

impl From<PayloadError> for Failure {
    fn from(error: PayloadError) -> Self {
        Self::new(Code::InvalidPayload, error.to_string())
    }
}

impl From<&OpenError> for Failure {
    fn from(error: &OpenError) -> Self {
        match error {
            OpenError::Crowded { .. } => Self::passing(
                Code::SessionBusy,
                "Too many messages of this session are waiting for their answers. Please try again when they have come.",
                BUSY_WAIT,
            ),
            OpenError::Memory(error) => error.into(),
        }
    }
}

impl From<&MemoryError> for Failure {
    fn from(error: &MemoryError) -> Self {
        match error {
            MemoryError::Unavailable { .. } => Self::passing(
                Code::MemoryUnavailable,
                "What was said before cannot be read just now. Please try again.",
                UNAVAILABLE_WAIT,
            ),
            MemoryError::Refused { .. } | MemoryError::Corrupt { .. } => Self::internal(),
        }
    }
}

impl From<&TurnError> for Failure {
    fn from(error: &TurnError) -> Self {
        match error {
            TurnError::Model(error) => error.into(),
            TurnError::NotTheType { .. } => Self::passing(
                Code::ModelUnavailable,
                "The model's answer did not have the form it must have. Please try again.",
                UNAVAILABLE_WAIT,
            ),
            TurnError::OutOfTime => {
                Self::passing(Code::ModelTimeout, "The answer took too long. Please try again.", UNAVAILABLE_WAIT)
            }
            TurnError::NothingAsked => Self::new(
                Code::NothingAsked,
                "No question of this session waits for these replies. Send what the user says as a new message.",
            ),
            TurnError::AskerGone => {
                Self::new(Code::NothingAsked, "Who asked is no longer there. Send what the user says as a new message.")
            }
            TurnError::EmptyAnswer { .. } => {
                Self::passing(Code::ModelUnavailable, "The model gave no answer. Please try again.", UNAVAILABLE_WAIT)
            }
            TurnError::Cut => Self::passing(
                Code::Cut,
                "The turn was cut before its answer was complete. Please try again.",
                UNAVAILABLE_WAIT,
            ),
        }
    }
}

impl From<&ModelError> for Failure {
    fn from(error: &ModelError) -> Self {
        match error {
            ModelError::Throttled { retry_after, .. } => Self::passing(
                Code::ModelThrottled,
                "The model is busy. Please try again in a moment.",
                retry_after.map_or(THROTTLED_WAIT, Duration::from_secs),
            ),
            ModelError::ContextTooLong { .. } => Self::too_long(),
            ModelError::Silent { .. } => Self::passing(
                Code::ModelTimeout,
                "The model did not answer in time. Please try again.",
                UNAVAILABLE_WAIT,
            ),
            ModelError::Unreachable { .. } | ModelError::Unavailable { .. } | ModelError::BrokenStream { .. } => {
                Self::passing(
                    Code::ModelUnavailable,
                    "The model cannot be reached just now. Please try again.",
                    error.retry_after().map_or(UNAVAILABLE_WAIT, Duration::from_secs),
                )
            }
            ModelError::AccessDenied { .. }
            | ModelError::UnknownModel { .. }
            | ModelError::RetiredModel { .. }
            | ModelError::InvalidRequest { .. }
            | ModelError::NoCredentials { .. } => {
                Self::new(Code::ModelRefused, "The agent cannot ask its model. Its operator has to look at the log.")
            }
        }
    }
}

impl Failure {
    /// More is asked of this process than it can hold.
    pub(crate) fn overloaded() -> Self {
        Self::passing(Code::Overloaded, "The agent is serving as many as it can. Please try again.", OVERLOADED_WAIT)
    }

    /// The caller said so.
    #[cfg(feature = "websocket")]
    pub(crate) fn cancelled() -> Self {
        Self::new(Code::Cancelled, "The turn was cancelled, as asked. What was said of its answer is remembered.")
    }

    pub(crate) fn too_long() -> Self {
        Self::new(Code::ContextTooLong, "The message is too long for the model. Please send a shorter one.")
    }
}
