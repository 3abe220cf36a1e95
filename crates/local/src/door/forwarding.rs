//! Which headers pass the door. The service lets through what its model names and the caller's own
//! `…-Custom-` headers, and nothing else, in either direction; an agent that relies on more would find
//! it missing in production.

use axum::body::Body;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Request};

use crate::aws_error::{AwsError, InvalidField};
use crate::protocol::Protocol;

pub(super) const SESSION_ID: HeaderName = HeaderName::from_static("x-amzn-bedrock-agentcore-runtime-session-id");
pub(super) const CUSTOM_FAULT: HeaderName = HeaderName::from_static("x-amzn-bedrock-agentcore-runtime-custom-fault");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-bedrock-agentcore-runtime-request-id");
const CUSTOM_PREFIX: &str = "x-amzn-bedrock-agentcore-runtime-custom-";

/// The modelled members of a request, with the bounds of their lengths.
const TO_THE_AGENT: [(HeaderName, usize, usize); 11] = [
    (CONTENT_TYPE, 1, 256),
    (ACCEPT, 1, 256),
    (HeaderName::from_static("mcp-session-id"), 1, 1024),
    (HeaderName::from_static("mcp-protocol-version"), 1, 1024),
    (HeaderName::from_static("mcp-method"), 1, 1024),
    (HeaderName::from_static("mcp-name"), 1, 1024),
    (HeaderName::from_static("x-amzn-bedrock-agentcore-runtime-user-id"), 1, 1024),
    (HeaderName::from_static("x-amzn-trace-id"), 0, 128),
    (HeaderName::from_static("traceparent"), 0, 128),
    (HeaderName::from_static("tracestate"), 0, 512),
    (HeaderName::from_static("baggage"), 0, 8192),
];

/// The modelled members of an answer.
const TO_THE_CALLER: [HeaderName; 7] = [
    CONTENT_TYPE,
    HeaderName::from_static("mcp-session-id"),
    HeaderName::from_static("mcp-protocol-version"),
    HeaderName::from_static("x-amzn-trace-id"),
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    HeaderName::from_static("baggage"),
];

/// The most custom headers of a request, and the most bytes of one, as AWS documents them.
const MOST_CUSTOM: usize = 20;
const LONGEST_CUSTOM: usize = 4096;

/// The request for the agent, at the path of its protocol and with the headers that pass.
pub(super) fn invocation(
    headers: &HeaderMap,
    protocol: Protocol,
    session_id: &HeaderValue,
    request_id: &HeaderValue,
    body: Body,
) -> Result<Request<Body>, AwsError> {
    let mut request = Request::new(body);
    *request.method_mut() = http::Method::POST;
    *request.uri_mut() = http::Uri::from_static(protocol.path());
    let passed = request.headers_mut();
    pass_modelled(headers, passed)?;
    pass_custom(headers, passed)?;
    if let Some(length) = headers.get(CONTENT_LENGTH) {
        passed.insert(CONTENT_LENGTH, length.clone());
    }
    // A signature is for the door; a bearer token is for the agent.
    let bearer = headers.get(AUTHORIZATION).filter(|value| !value.as_bytes().starts_with(b"AWS4-"));
    if let Some(token) = bearer {
        passed.insert(AUTHORIZATION, token.clone());
    }
    name_session(passed, protocol, session_id);
    passed.insert(REQUEST_ID, request_id.clone());
    Ok(request)
}

/// The headers of an agent's answer that pass.
pub(super) fn answer(from: &HeaderMap, protocol: Protocol, session_id: &HeaderValue) -> HeaderMap {
    let mut passed = HeaderMap::new();
    for name in TO_THE_CALLER {
        if let Some(value) = from.get(&name) {
            passed.insert(name, value.clone());
        }
    }
    // Required of the service's answers, whatever the agent forgot.
    passed.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/octet-stream"));
    name_session(&mut passed, protocol, session_id);
    passed
}

/// Names the session, also as the agent's protocol does where nobody has yet.
fn name_session(passed: &mut HeaderMap, protocol: Protocol, session_id: &HeaderValue) {
    passed.insert(SESSION_ID, session_id.clone());
    if let Some(name) = protocol.session_id() {
        passed.entry(name).or_insert_with(|| session_id.clone());
    }
}

fn pass_modelled(headers: &HeaderMap, passed: &mut HeaderMap) -> Result<(), AwsError> {
    for (name, shortest, longest) in TO_THE_AGENT {
        let Some(value) = headers.get(&name) else { continue };
        if !(shortest..=longest).contains(&value.len()) {
            return Err(refused(&name, format!("Member must have length between {shortest} and {longest}")));
        }
        passed.insert(name, value.clone());
    }
    Ok(())
}

fn pass_custom(headers: &HeaderMap, passed: &mut HeaderMap) -> Result<(), AwsError> {
    let custom = headers.keys().filter(|name| name.as_str().starts_with(CUSTOM_PREFIX));
    for (count, name) in custom.enumerate() {
        if count == MOST_CUSTOM {
            return Err(refused(name, format!("A request has at most {MOST_CUSTOM} custom headers")));
        }
        for value in headers.get_all(name) {
            if value.len() > LONGEST_CUSTOM {
                return Err(refused(name, format!("Member must have length less than or equal to {LONGEST_CUSTOM}")));
            }
            passed.append(name.clone(), value.clone());
        }
    }
    Ok(())
}

fn refused(name: &HeaderName, message: String) -> AwsError {
    AwsError::invalid_fields(vec![InvalidField { name: name.to_string(), message }])
}
