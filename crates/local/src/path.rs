//! What stands in a request's path, refused in AWS's form where it can't be read.

use axum::extract::{FromRequestParts, Path as PlainPath};
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::aws_error::AwsError;

/// The members in a path.
pub(crate) struct Path<T>(pub(crate) T);

// === impl Path ===

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = AwsError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, AwsError> {
        match PlainPath::from_request_parts(parts, state).await {
            Ok(PlainPath(members)) => Ok(Self(members)),
            Err(rejection) => Err(AwsError::validation(rejection.body_text())),
        }
    }
}
