//! What a function is invoked with: a payload, as AgentCore would pass it on, or an HTTP request in the
//! envelope of a function URL or of API Gateway's HTTP APIs (payload format 2.0).

use aws_lambda_events::event::apigw::ApiGatewayV2httpRequest;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, Request, header};
use lambda_runtime::{Context, Diagnostic};
use serde::Deserialize;
use serde_json::Value;

use crate::http::context::{REQUEST_ID, SESSION_ID};

const INVOCATIONS: &str = "/invocations";
const TRACE_ID: &str = "x-amzn-trace-id";

/// What came in.
pub(super) enum Event {
    /// `Invoke` with an agent's payload.
    Direct(Value),
    /// An HTTP request.
    Http(Box<ApiGatewayV2httpRequest>),
}

/// Who reads the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sender {
    /// Somebody who called `Invoke`.
    Direct,
    /// Somebody who speaks HTTP.
    Http,
}

/// The one member of a payload that is read before its agent does.
#[derive(Deserialize)]
struct InSession {
    session_id: Option<String>,
}

// === impl Event ===

impl Event {
    /// Tells the envelope by what no payload of an agent has.
    pub(super) fn read(event: Value) -> Result<Self, Diagnostic> {
        if event.pointer("/requestContext/http/method").is_none() {
            return Ok(Self::Direct(event));
        }
        serde_json::from_value(event).map(|request| Self::Http(Box::new(request))).map_err(|_| Diagnostic {
            error_type: "invalid_event".into(),
            error_message: "The event has a `requestContext` but is no HTTP request in payload format 2.0.".into(),
        })
    }

    /// The request that AgentCore would have sent.
    pub(super) fn into_request(self, context: &Context) -> Result<(Sender, Request<Body>), Diagnostic> {
        let (sender, method, path, mut headers, body) = match self {
            Self::Direct(payload) => {
                let body = payload.to_string().into_bytes();
                (Sender::Direct, Method::POST, INVOCATIONS.to_owned(), HeaderMap::new(), body)
            }
            Self::Http(request) => {
                let method = request.request_context.http.method.clone();
                let path = path(&request, &method);
                let body = request.body.as_deref().unwrap_or_default();
                let body = if request.is_base64_encoded { from_base64(body)? } else { body.as_bytes().to_vec() };
                (Sender::Http, method, path, request.headers, body)
            }
        };
        // These described the body as it was on the way here.
        headers.remove(header::CONTENT_LENGTH);
        headers.remove(header::TRANSFER_ENCODING);
        complete(&mut headers, &body, context);
        let mut request =
            Request::builder().method(method).uri(path).body(Body::from(body)).map_err(|_| Diagnostic {
                error_type: "invalid_event".into(),
                error_message: "The event's path is not one of HTTP.".into(),
            })?;
        *request.headers_mut() = headers;
        Ok((sender, request))
    }
}

/// A URL of a function leads to its agent without a path, too. The name of a stage is not part of it.
fn path(request: &ApiGatewayV2httpRequest, method: &Method) -> String {
    let path = request.raw_path.as_deref().unwrap_or("/");
    let stage = request.request_context.stage.as_deref().unwrap_or_default();
    let below = path.strip_prefix('/').and_then(|path| path.strip_prefix(stage));
    let path = below.filter(|below| !stage.is_empty() && (below.is_empty() || below.starts_with('/'))).unwrap_or(path);
    match path {
        "" | "/" if method == Method::POST => INVOCATIONS.to_owned(),
        "" => "/".to_owned(),
        path => path.to_owned(),
    }
}

/// Adds what AgentCore says in headers and Lambda elsewhere; what the caller said stands.
fn complete(headers: &mut HeaderMap, body: &[u8], context: &Context) {
    let mut add = |name: &'static str, value: Option<String>| {
        if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
            headers.entry(name).or_insert(value);
        }
    };
    add(REQUEST_ID, Some(context.request_id.clone()));
    add(TRACE_ID, context.xray_trace_id.clone());
    add(SESSION_ID, serde_json::from_slice::<InSession>(body).ok().and_then(|payload| payload.session_id));
}

fn from_base64(text: &str) -> Result<Vec<u8>, Diagnostic> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).map_err(|_| Diagnostic {
        error_type: "invalid_event".into(),
        error_message: "The event says that its body is base64, and it is not.".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;
    use serde_json::json;

    fn http(method: &str, path: &str, stage: &str) -> Value {
        json!({
            "version": "2.0", "rawPath": path, "rawQueryString": "", "isBase64Encoded": false,
            "headers": { "content-type": "application/json", "content-length": "99" },
            "requestContext": { "stage": stage, "http": { "method": method, "path": path } },
            "body": "{\"prompt\":\"Hi\",\"session_id\":\"in-the-body\"}",
        })
    }

    fn request(event: Value) -> Request<Body> {
        let mut context = Context::default();
        context.request_id = "of-lambda".to_owned();
        Event::read(event).expect("an event").into_request(&context).expect("a request").1
    }

    async fn body(request: Request<Body>) -> String {
        let bytes = request.into_body().collect().await.expect("a body").to_bytes();
        String::from_utf8(bytes.into()).expect("text")
    }

    #[test]
    fn a_path_leads_to_the_agent_with_and_without_a_stage() {
        let path = |method, path, stage| request(http(method, path, stage)).uri().path().to_owned();
        assert_eq!(path("POST", "/", "$default"), "/invocations");
        assert_eq!(path("POST", "/invocations", "$default"), "/invocations");
        assert_eq!(path("POST", "/prod", "prod"), "/invocations");
        assert_eq!(path("POST", "/prod/invocations", "prod"), "/invocations");
        assert_eq!(path("GET", "/prod/ping", "prod"), "/ping");
        assert_eq!(path("GET", "/production", "prod"), "/production");
        assert_eq!(path("GET", "/", "$default"), "/");
    }

    #[tokio::test]
    async fn ids_come_from_headers_and_else_from_the_payload_and_lambda() {
        let plain = request(http("POST", "/", "$default"));
        assert_eq!(
            (&plain.headers()[SESSION_ID], &plain.headers()[REQUEST_ID]),
            (&HeaderValue::from_static("in-the-body"), &HeaderValue::from_static("of-lambda"))
        );
        assert!(!plain.headers().contains_key(header::CONTENT_LENGTH));
        let mut named = http("POST", "/", "$default");
        named["headers"][SESSION_ID] = "in-the-head".into();
        assert_eq!(request(named).headers()[SESSION_ID], "in-the-head");
    }

    #[tokio::test]
    async fn a_payload_is_passed_on_as_it_is_and_base64_is_undone() {
        let payload = json!({ "z": 1.10, "a": { "é": [] } });
        assert_eq!(body(request(payload.clone())).await, payload.to_string());
        let mut encoded = http("POST", "/", "$default");
        (encoded["body"], encoded["isBase64Encoded"]) = ("eyJwcm9tcHQiOiJIaSJ9".into(), true.into());
        assert_eq!(body(request(encoded)).await, r#"{"prompt":"Hi"}"#);
    }

    #[test]
    fn an_envelope_that_is_not_what_it_says_is_refused() {
        let mut encoded = http("POST", "/", "$default");
        (encoded["body"], encoded["isBase64Encoded"]) = ("not base64!".into(), true.into());
        let refused = Event::read(encoded).expect("an event").into_request(&Context::default()).expect_err("refused");
        assert_eq!(refused.error_message, "The event says that its body is base64, and it is not.");
        let halved = json!({ "requestContext": { "http": { "method": 7 } } });
        assert!(Event::read(halved).is_err());
    }
}
