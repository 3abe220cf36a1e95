//! How Bedrock fails, sorted by what can be done about it.

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_bedrockruntime::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_bedrockruntime::types::error::ConverseStreamOutputError as StreamFailure;
use aws_smithy_runtime_api::http::Response as HttpResponse;

use crate::aws::{chain, innermost};
use crate::model::ModelError;

/// Where an error happened, for its advice.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) model: String,
    pub(super) region: String,
}

// === impl Asked ===

impl Asked {
    /// A call that was never answered, or was answered with a refusal.
    pub(super) fn failed<E>(&self, error: &SdkError<E, HttpResponse>) -> ModelError
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        match error {
            SdkError::ServiceError(refusal) => {
                let wait = refusal.raw().headers().get("retry-after").and_then(|value| value.parse().ok());
                self.refused(refusal.err().code(), reason(refusal.err()), wait)
            }
            SdkError::ResponseError(_) => ModelError::BrokenStream { reason: innermost(error) },
            other if is_about_credentials(other) => ModelError::NoCredentials { reason: innermost(error) },
            _ => ModelError::Unreachable { reason: innermost(error) },
        }
    }

    /// An answer that broke off in the middle.
    pub(super) fn broke_off<R: std::fmt::Debug + 'static>(&self, error: &SdkError<StreamFailure, R>) -> ModelError {
        match error {
            SdkError::ServiceError(refusal) => self.refused(name_in_stream(refusal.err()), reason(refusal.err()), None),
            _ => ModelError::BrokenStream { reason: innermost(error) },
        }
    }

    /// Sorts a refusal by Bedrock's name for it and, where that says too little, by its sentence.
    fn refused(&self, code: Option<&str>, reason: String, retry_after: Option<u64>) -> ModelError {
        let model = self.model.clone();
        let says = |part: &str| reason.to_ascii_lowercase().contains(part);
        match code.unwrap_or_default() {
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

/// In mid-stream an exception is named by its frame's header, which the SDK turns into a variant and keeps
/// nowhere as text.
fn name_in_stream(failure: &StreamFailure) -> Option<&str> {
    match failure {
        StreamFailure::InternalServerException(_) => Some("InternalServerException"),
        StreamFailure::ModelStreamErrorException(_) => Some("ModelStreamErrorException"),
        StreamFailure::ServiceUnavailableException(_) => Some("ServiceUnavailableException"),
        StreamFailure::ThrottlingException(_) => Some("ThrottlingException"),
        StreamFailure::ValidationException(_) => Some("ValidationException"),
        other => other.code(),
    }
}

fn reason(error: &impl ProvideErrorMetadata) -> String {
    error.message().or(error.code()).unwrap_or("no reason given").to_owned()
}

fn is_about_credentials(error: &(dyn std::error::Error + 'static)) -> bool {
    chain(error).any(<dyn std::error::Error + 'static>::is::<CredentialsError>)
}
