//! Errors in the form every AWS SDK understands, so that a client raises its own typed exception.
//!
//! The JSON protocols put the error's name in the `x-amzn-ErrorType` header and the sentence in
//! `{"message": …}`; a request id travels in `x-amzn-RequestId` with every answer.

use axum::Json;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;

/// One refusal by an emulated AWS service.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {message}")]
pub struct AwsError {
    status: StatusCode,
    name: &'static str,
    message: String,
    retry_after_seconds: Option<u32>,
    validation: Option<Validation>,
}

/// What AgentCore's `ValidationException` says beside its message. Bedrock's says nothing more.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Validation {
    reason: &'static str,
    fields: Vec<InvalidField>,
}

/// A member of a request that breaks its constraint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InvalidField {
    /// The member's path, as in `payload.0.conversational.role`.
    pub name: String,
    /// What it fails to satisfy.
    pub message: String,
}

// === impl AwsError ===

impl AwsError {
    /// An error called `name` in the service's model, answered with `status`.
    ///
    /// `message` is read by a developer: it says what was wrong, where, and what to do.
    pub fn new(status: StatusCode, name: &'static str, message: impl Into<String>) -> Self {
        Self { status, name, message: message.into(), retry_after_seconds: None, validation: None }
    }

    /// 400: a member of the request is missing, malformed or out of its bounds.
    pub fn validation(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "ValidationException", message)
    }

    /// 400 of AgentCore: members of the request break their constraints.
    pub fn invalid_fields(fields: Vec<InvalidField>) -> Self {
        let count = fields.len();
        let plural = if count == 1 { "" } else { "s" };
        let each = fields
            .iter()
            .map(|field| format!("Value at '{}' failed to satisfy constraint: {}", field.name, field.message));
        let message = format!("{count} validation error{plural} detected: {}", each.collect::<Vec<_>>().join("; "));
        Self::validation(message).because("FieldValidationFailed", fields)
    }

    /// 400 of AgentCore: the body is not what the operation takes.
    pub fn cannot_parse(message: impl Into<String>) -> Self {
        Self::validation(message).because("CannotParse", Vec::new())
    }

    /// Adds a `reason` of the model's `ValidationExceptionReason`, and the members it is about.
    #[must_use]
    pub(crate) fn because(mut self, reason: &'static str, fields: Vec<InvalidField>) -> Self {
        self.validation = Some(Validation { reason, fields });
        self
    }

    /// 403: the caller may not do this, or not with this model.
    pub fn access_denied(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "AccessDeniedException", message)
    }

    /// 404: what the request names does not exist.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "ResourceNotFoundException", message)
    }

    /// Adds a `Retry-After` header, in whole seconds.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The error's name in the service's model.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The sentence for the developer.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl IntoResponse for AwsError {
    fn into_response(self) -> Response {
        let body = match &self.validation {
            None => json!({ "message": self.message }),
            Some(Validation { reason, fields }) if fields.is_empty() => {
                json!({ "message": self.message, "reason": reason })
            }
            Some(Validation { reason, fields }) => {
                json!({ "message": self.message, "reason": reason, "fieldList": fields })
            }
        };
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert("x-amzn-errortype", HeaderValue::from_static(self.name));
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert("retry-after", seconds.into());
        }
        response
    }
}
