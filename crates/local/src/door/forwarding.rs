//! Which headers pass the door. The service lets through what its model names and the caller's own
//! `…-Custom-` headers, with A2A those of the protocol, and nothing else, in either direction; an agent that relies on more would find
//! it missing in production.

use axum::body::Body;
use axum::extract::Query;
use http::header::{
    ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS,
    SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri};

use crate::aws_error::{AwsError, InvalidField};
use crate::protocol::Protocol;

pub(super) const SESSION_ID: HeaderName = HeaderName::from_static("x-amzn-bedrock-agentcore-runtime-session-id");
pub(super) const CUSTOM_FAULT: HeaderName = HeaderName::from_static("x-amzn-bedrock-agentcore-runtime-custom-fault");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-bedrock-agentcore-runtime-request-id");
/// Where an agent of A2A's has its card, and `GetAgentCard` has it behind the path of invocations.
pub(super) const CARD: &str = "/.well-known/agent-card.json";
/// What the names of the runtime's own headers begin with.
const RUNTIME_PREFIX: &str = "x-amzn-bedrock-agentcore-runtime-";
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

/// How the two ends of a WebSocket agree on it: they do so with each other.
const OF_A_HANDSHAKE: [HeaderName; 5] =
    [SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION];

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
    *request.uri_mut() = Uri::from_static(protocol.path());
    let passed = request.headers_mut();
    pass_what_an_agent_may_see(headers, protocol, session_id, request_id, passed)?;
    if let Some(length) = headers.get(CONTENT_LENGTH) {
        passed.insert(CONTENT_LENGTH, length.clone());
    }
    Ok(request)
}

/// The request for the card of an agent, with the same headers but for those of a body.
pub(super) fn card(
    headers: &HeaderMap,
    protocol: Protocol,
    session_id: &HeaderValue,
    request_id: &HeaderValue,
) -> Result<Request<Body>, AwsError> {
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = Uri::from_static(CARD);
    pass_what_an_agent_may_see(headers, protocol, session_id, request_id, request.headers_mut())?;
    Ok(request)
}

/// The request for the agent's `/ws`, with the same headers and those of the handshake.
pub(super) fn handshake(
    headers: &HeaderMap,
    session_id: &HeaderValue,
    request_id: &HeaderValue,
) -> Result<Request<Body>, AwsError> {
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = Uri::from_static("/ws");
    let passed = request.headers_mut();
    pass_what_an_agent_may_see(headers, Protocol::Http, session_id, request_id, passed)?;
    pass_handshake(headers, passed);
    Ok(request)
}

/// The agent's side of a handshake.
pub(super) fn handshake_answer(from: &HeaderMap) -> HeaderMap {
    let mut passed = HeaderMap::new();
    pass_handshake(from, &mut passed);
    passed
}

/// The headers, and those that a presigned URL has as parameters. A header wins.
pub(super) fn with_parameters(mut headers: HeaderMap, uri: &Uri) -> HeaderMap {
    let parameters = Query::<Vec<(String, String)>>::try_from_uri(uri).map(|Query(pairs)| pairs).unwrap_or_default();
    for (name, value) in parameters {
        let name = name.to_ascii_lowercase();
        if !name.starts_with(RUNTIME_PREFIX) {
            continue;
        }
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.entry(name).or_insert(value);
        }
    }
    headers
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

fn pass_what_an_agent_may_see(
    headers: &HeaderMap,
    protocol: Protocol,
    session_id: &HeaderValue,
    request_id: &HeaderValue,
    passed: &mut HeaderMap,
) -> Result<(), AwsError> {
    pass_modelled(headers, passed)?;
    pass_custom(headers, passed)?;
    for name in protocol.headers() {
        if let Some(value) = headers.get(&name) {
            passed.insert(name, value.clone());
        }
    }
    // A signature is for the door; a bearer token is for the agent.
    let bearer = headers.get(AUTHORIZATION).filter(|value| !value.as_bytes().starts_with(b"AWS4-"));
    if let Some(token) = bearer {
        passed.insert(AUTHORIZATION, token.clone());
    }
    name_session(passed, protocol, session_id);
    passed.insert(REQUEST_ID, request_id.clone());
    Ok(())
}

/// The first of each: clients of AWS's SDK for Python send its headers beside their own.
fn pass_handshake(headers: &HeaderMap, passed: &mut HeaderMap) {
    passed.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    passed.insert(UPGRADE, HeaderValue::from_static("websocket"));
    for name in OF_A_HANDSHAKE {
        if let Some(value) = headers.get(&name) {
            passed.insert(name, value.clone());
        }
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
