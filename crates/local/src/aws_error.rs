//! Errors in the form every AWS SDK understands, so that a client raises its own typed exception.
//!
//! The JSON protocols put the error's name in the `x-amzn-ErrorType` header and the sentence in
//! `{"message": …}`; a request id travels in `x-amzn-RequestId` with every answer.

use axum::Json;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// One refusal by an emulated AWS service.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {message}")]
pub struct AwsError {
    status: StatusCode,
    name: &'static str,
    message: String,
    retry_after_seconds: Option<u32>,
}

// === impl AwsError ===

impl AwsError {
    /// An error called `name` in the service's model, answered with `status`.
    ///
    /// `message` is read by a developer: it says what was wrong, where, and what to do.
    pub fn new(status: StatusCode, name: &'static str, message: impl Into<String>) -> Self {
        Self { status, name, message: message.into(), retry_after_seconds: None }
    }

    /// 400: a member of the request is missing, malformed or out of its bounds.
    pub fn validation(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "ValidationException", message)
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
        let mut response = (self.status, Json(json!({ "message": self.message }))).into_response();
        let headers = response.headers_mut();
        headers.insert("x-amzn-errortype", HeaderValue::from_static(self.name));
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert("retry-after", seconds.into());
        }
        response
    }
}
