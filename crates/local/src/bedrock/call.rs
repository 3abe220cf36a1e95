//! A call as it comes in, before anything is checked that Bedrock itself would check.

use axum::RequestExt;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, Uri};
use bytes::Bytes;

use super::FAULT_HEADER;
use super::fault::Fault;
use crate::aws_error::AwsError;
use crate::path::Path;

/// A call of any operation, as it came in.
pub(super) struct Call {
    /// The model, percent-decoded.
    pub(super) model_id: String,
    pub(super) headers: HeaderMap,
    /// As it was sent, for a relay to send on.
    pub(super) uri: Uri,
    pub(super) body: Bytes,
}

// === impl Call ===

impl Call {
    /// The fault this call asks for in its header.
    pub(super) fn asked_fault(&self) -> Result<Option<Fault>, AwsError> {
        let Some(text) = self.headers.get(FAULT_HEADER) else {
            return Ok(None);
        };
        String::from_utf8_lossy(text.as_bytes())
            .parse()
            .map(Some)
            .map_err(|error| AwsError::validation(format!("Header {FAULT_HEADER}: {error}.")))
    }
}

impl<S: Send + Sync> FromRequest<S> for Call {
    type Rejection = AwsError;

    async fn from_request(mut request: Request, _state: &S) -> Result<Self, Self::Rejection> {
        let Path(model_id) = request.extract_parts::<Path<String>>().await?;
        let headers = request.headers().clone();
        let uri = request.uri().clone();
        let body = request
            .extract::<Bytes, _>()
            .await
            .map_err(|error: BytesRejection| AwsError::new(error.status(), "ValidationException", error.body_text()))?;
        Ok(Self { model_id, headers, uri, body })
    }
}
