//! How Bedrock fails, sorted by what can be done about it.

use http::HeaderMap;
use http::response::Parts;
use serde::Deserialize;

use crate::aws::exchange::ExchangeError;
use crate::aws::service::CallError;
use crate::aws::sigv4::SigningError;
use crate::model::ModelError;

/// Where an error happened, for its advice.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) model: String,
    pub(super) region: String,
}

/// What a refusal says of itself.
#[derive(Default, Deserialize)]
struct Refusal {
    #[serde(alias = "Message")]
    message: Option<String>,
    #[serde(rename = "__type", alias = "code")]
    code: Option<String>,
}

// === impl Asked ===

impl Asked {
    /// A call that was never answered.
    pub(super) fn unanswered(&self, error: &CallError) -> ModelError {
        match error {
            CallError::Identity(SigningError::Request(reason)) => {
                ModelError::InvalidRequest { model: self.model.clone(), reason: reason.clone() }
            }
            CallError::Identity(error) => ModelError::NoCredentials { reason: crate::aws::innermost(error) },
            CallError::Exchange(error) => ModelError::Unreachable { reason: error.to_string() },
        }
    }

    /// A call that was answered with a refusal.
    pub(super) fn refused(&self, head: &Parts, body: &[u8]) -> ModelError {
        let refusal: Refusal = serde_json::from_slice(body).unwrap_or_default();
        let named = header(&head.headers, "x-amzn-errortype").or(refusal.code.as_deref());
        let code = named.map(bare).unwrap_or_default();
        let reason = match refusal.message {
            Some(message) => message,
            None if code.is_empty() => format!("no reason given (HTTP {})", head.status.as_u16()),
            None => code.to_owned(),
        };
        let retry_after = header(&head.headers, "retry-after").and_then(|seconds| seconds.parse().ok());
        self.sorted(code, reason, retry_after)
    }

    /// An answer that breaks off with an exception; in mid-stream their names begin small.
    pub(super) fn broke_off(&self, exception: &str, body: &[u8]) -> ModelError {
        let refusal: Refusal = serde_json::from_slice(body).unwrap_or_default();
        let mut code = bare(exception).to_owned();
        if let Some(first) = code.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        let reason = refusal.message.unwrap_or_else(|| code.clone());
        self.sorted(&code, reason, None)
    }

    /// Sorts a refusal by Bedrock's name for it and, where that says too little, by its sentence.
    fn sorted(&self, code: &str, reason: String, retry_after: Option<u64>) -> ModelError {
        let model = self.model.clone();
        let says = |part: &str| reason.to_ascii_lowercase().contains(part);
        match code {
            "ThrottlingException" | "TooManyRequestsException" | "ServiceQuotaExceededException" => {
                ModelError::Throttled { model, retry_after }
            }
            "ResourceNotFoundException" | "ValidationException" if says("end of its life") || says("legacy") => {
                ModelError::RetiredModel { model, reason }
            }
            "ResourceNotFoundException" => ModelError::UnknownModel { model, region: self.region.clone(), reason },
            "ValidationException" if says("model identifier") || says("on-demand throughput") => {
                ModelError::UnknownModel { model, region: self.region.clone(), reason }
            }
            "ValidationException" if says("too long") || says("tokens exceed") || says("context") => {
                ModelError::ContextTooLong { model }
            }
            "ValidationException" => ModelError::InvalidRequest { model, reason },
            "AccessDeniedException"
            | "UnrecognizedClientException"
            | "InvalidSignatureException"
            | "ExpiredTokenException" => ModelError::AccessDenied { model, reason },
            "ModelStreamErrorException" => ModelError::BrokenStream { reason },
            _ => ModelError::Unavailable { reason, retry_after },
        }
    }
}

/// An answer that is none, or no whole one.
pub(super) fn broken(error: &ExchangeError) -> ModelError {
    ModelError::BrokenStream { reason: error.to_string() }
}

/// An answer that makes no sense.
pub(super) fn senseless(error: &serde_json::Error) -> ModelError {
    ModelError::BrokenStream { reason: format!("the answer is not what Converse answers: {error}") }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// A name may come with its namespace before it and an address behind it.
fn bare(name: &str) -> &str {
    let without_address = name.split(':').next().unwrap_or_default();
    without_address.rsplit('#').next().unwrap_or_default().trim()
}
