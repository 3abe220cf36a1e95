//! The id of a request, `x-amzn-RequestId`: every answer has one, and an agent is told the one of its call.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderName, HeaderValue};
use uuid::Uuid;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

/// The id, as a request under way has it in its extensions.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(pub(crate) HeaderValue);

/// Gives the request an id, and its answer the same, unless it has one from further up or from a service
/// that it was relayed to.
pub(crate) async fn with_request_id(mut request: Request, next: Next) -> Response {
    let id = request.extensions_mut().get_or_insert_with(RequestId::generate).0.clone();
    let mut response = next.run(request).await;
    response.headers_mut().entry(REQUEST_ID).or_insert(id);
    response
}

// === impl RequestId ===

impl RequestId {
    fn generate() -> Self {
        let id = Uuid::new_v4().to_string();
        Self(HeaderValue::from_str(&id).expect("a UUID is made of hexadecimal digits and hyphens"))
    }
}
