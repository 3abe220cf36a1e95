//! The invoke door: `InvokeAgentRuntime`, its WebSocket, `GetAgentCard` and `StopRuntimeSession` as the service answers
//! them.
//!
//! Bodies pass in both directions as they come, frame by frame; the door keeps none. A caller learns of
//! an agent's failure what AWS would say, `RuntimeClientError` and a status; what the agent really said
//! becomes a [`Notice`], because on a laptop there is no log group to look into.
//!
//! Every `qualifier` leads to the same agent: here is one version of it, the one being written.

mod answer_body;
mod conversation;
mod forwarding;
mod runtime_id;

use std::collections::BTreeMap;
use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use self::answer_body::AnswerBody;
use self::forwarding::{CARD, CUSTOM_FAULT, SESSION_ID};
use crate::aws_error::{AwsError, InvalidField};
use crate::config::AgentName;
use crate::notice::{InvocationFailure, Notice, Notices, SessionName, StartFailure};
use crate::path::Path;
use crate::protocol::Protocol;
use crate::request_id::RequestId;
use crate::sessions::{Exchange, Sessions, Visit};

/// The largest payload, in bytes, of the service's model.
const LARGEST_PAYLOAD: usize = 100_000_000;

/// How much of a failed answer goes into a notice, in bytes, and how long it may take to come.
const EXCERPT: usize = 2048;
const EXCERPT_TIME: Duration = Duration::from_secs(2);

/// How long a process that refuses connections, or breaks them off, may take to be found dead.
const FOUND_DEAD: Duration = Duration::from_secs(1);

/// The door's state.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    pub(crate) sessions: Sessions,
    pub(crate) aliases: Arc<BTreeMap<AgentName, AgentName>>,
    pub(crate) notices: Notices,
}

/// An invocation under way, before its answer began. Dropped before it is settled, the caller has left.
struct Invocation {
    session: SessionName,
    protocol: Protocol,
    request_id: Arc<str>,
    notices: Notices,
    began: Instant,
    /// Absent until it is in a session, and when it never got into one.
    number: Option<u64>,
    settled: bool,
}

/// The routes of the door.
pub(crate) fn router(door: Door) -> Router {
    Router::new()
        .route("/runtimes/{runtime}/invocations", post(invoke))
        // Clients of A2A take the card's path from here.
        .route("/runtimes/{runtime}/invocations/", post(invoke))
        .route(&format!("/runtimes/{{runtime}}/invocations{CARD}"), get(card))
        .route("/runtimes/{runtime}/ws", get(conversation::open))
        .route("/runtimes/{runtime}/stopruntimesession", post(stop))
        .with_state(door)
}

async fn invoke(
    State(door): State<Door>,
    Path(runtime): Path<String>,
    Extension(RequestId(request_id)): Extension<RequestId>,
    request: Request,
) -> Result<Response, AwsError> {
    let (head, body) = request.into_parts();
    refuse_above_the_limit(&head.headers)?;
    let body = Body::new(Limited::new(body, LARGEST_PAYLOAD));
    forward(&door, &runtime, &request_id, &head.headers, |headers, protocol, session_id, request_id| {
        forwarding::invocation(headers, protocol, session_id, request_id, body)
    })
    .await
}

/// `GetAgentCard`: the card of the session's agent, as it is.
async fn card(
    State(door): State<Door>,
    Path(runtime): Path<String>,
    Extension(RequestId(request_id)): Extension<RequestId>,
    headers: HeaderMap,
) -> Result<Response, AwsError> {
    forward(&door, &runtime, &request_id, &headers, forwarding::card).await
}

/// Has a request that is made of the caller's headers answered by the agent of its session.
async fn forward(
    door: &Door,
    runtime: &str,
    request_id: &HeaderValue,
    headers: &HeaderMap,
    make: impl FnOnce(&HeaderMap, Protocol, &HeaderValue, &HeaderValue) -> Result<Request, AwsError>,
) -> Result<Response, AwsError> {
    let began = Instant::now();
    let agent = door.agent(runtime)?;
    let protocol = door.sessions.protocol(&agent).unwrap_or_default();
    let session_id = session_id(headers, protocol)?;
    let session = SessionName { agent, id: printable(&session_id)? };
    let forwarded = make(headers, protocol, &session_id, request_id)?;
    // It is made of visible ASCII, here as everywhere.
    let request_id = request_id.to_str().unwrap_or_default().into();
    let notices = door.notices.clone();
    let mut invocation = Invocation { session, protocol, request_id, notices, began, number: None, settled: false };
    match invocation.carry_out(&door.sessions, forwarded, armed_faults(headers)).await {
        Ok((visit, exchange)) => Ok(answer(visit, exchange, invocation, &session_id)),
        Err((failure, error)) => {
            invocation.failed(failure);
            Err(error)
        }
    }
}

async fn stop(State(door): State<Door>, Path(runtime): Path<String>, headers: HeaderMap) -> Result<Response, AwsError> {
    let agent = door.agent(&runtime)?;
    let Some(session_id) = headers.get(SESSION_ID) else {
        return Err(invalid_session_id("Member must not be null"));
    };
    let session = SessionName { agent, id: checked_session_id(session_id)? };
    let stopped = door.sessions.stop(&session).await;
    stopped.ok_or_else(|| {
        AwsError::not_found(format!("Agent {} has no session {}; it ended, or never began.", session.agent, session.id))
    })?;
    Ok(([(SESSION_ID, session_id.clone())], axum::Json(serde_json::json!({}))).into_response())
}

// === impl Door ===

impl Door {
    fn agent(&self, runtime: &str) -> Result<AgentName, AwsError> {
        let named = runtime_id::agent_name(runtime)?;
        let agent = self.aliases.get(&named).filter(|_| !self.sessions.has(&named)).unwrap_or(&named);
        if self.sessions.has(agent) {
            return Ok(agent.clone());
        }
        let there_are = self.sessions.agents().map(AgentName::as_str).collect::<Vec<_>>().join(", ");
        let there_are = if there_are.is_empty() { "none".to_owned() } else { there_are };
        Err(AwsError::not_found(format!(
            "No endpoint or agent found with qualifier 'DEFAULT' for agent '{named}'. Agents here: {there_are}."
        )))
    }
}

// === impl Invocation ===

impl Invocation {
    /// Takes the request to the session's agent, to the head of its answer. A process that turns out to
    /// have died meanwhile is replaced, as long as nothing of the request was sent.
    async fn carry_out(
        &mut self,
        sessions: &Sessions,
        request: Request,
        faults: Vec<String>,
    ) -> Result<(Visit, Exchange), (InvocationFailure, AwsError)> {
        let mut last_try = false;
        loop {
            let Some(visit) = sessions.enter(&self.session).await else {
                return Err((StartFailure::Stopped.into(), not_started()));
            };
            self.number = Some(visit.number());
            visit.arm_if_any(&faults);
            let upstream = match visit.ready().await {
                Ok(Some(upstream)) => upstream,
                Ok(None) if !last_try => {
                    last_try = true;
                    continue;
                }
                Ok(None) => return Err((StartFailure::Stopped.into(), not_started())),
                Err(failure) => return Err((failure.into(), not_started())),
            };
            let connection = match upstream.connect().await {
                Ok(connection) => connection,
                Err(_) if !last_try && timeout(FOUND_DEAD, visit.ended()).await.is_ok() => {
                    last_try = true;
                    continue;
                }
                Err(error) => {
                    return Err((
                        InvocationFailure::Unreachable(error.to_string()),
                        received_error(StatusCode::BAD_GATEWAY),
                    ));
                }
            };
            return match connection.send(request).await {
                Ok(exchange) => accepted(visit, exchange).await,
                Err(error) => {
                    let failed = no_answer(&error);
                    if matches!(failed.0, InvocationFailure::Unreachable(_)) {
                        // Told at once, the caller's next call could meet the same process while it dies.
                        let _found_dead = timeout(FOUND_DEAD, visit.ended()).await;
                    }
                    Err(failed)
                }
            };
        }
    }

    fn failed(&mut self, failure: InvocationFailure) {
        self.settled = true;
        self.notices.announce(Notice::InvocationFailed {
            session: self.session.clone(),
            request_id: Arc::clone(&self.request_id),
            number: self.number,
            failure,
            total: self.began.elapsed(),
        });
    }
}

impl Drop for Invocation {
    fn drop(&mut self) {
        if !self.settled {
            self.failed(InvocationFailure::CallerLeft);
        }
    }
}

/// Passes a success or a handshake on, and reads what a failure says.
async fn accepted(visit: Visit, exchange: Exchange) -> Result<(Visit, Exchange), (InvocationFailure, AwsError)> {
    let status = exchange.answer.status();
    if status.is_success() || status == StatusCode::SWITCHING_PROTOCOLS {
        return Ok((visit, exchange));
    }
    let body = excerpt(exchange).await;
    Err((InvocationFailure::Answered { status, body }, received_error(status)))
}

fn answer(visit: Visit, exchange: Exchange, mut invocation: Invocation, session_id: &HeaderValue) -> Response {
    let status = exchange.answer.status();
    let headers = forwarding::answer(exchange.answer.headers(), invocation.protocol, session_id);
    // From here on the body tells how it ends.
    invocation.settled = true;
    let body = AnswerBody::new(exchange, visit, &invocation);
    (status, headers, Body::new(body)).into_response()
}

async fn excerpt(exchange: Exchange) -> String {
    let mut body = exchange.answer.into_body();
    let mut read = Vec::new();
    let reading = async {
        while let Some(Ok(frame)) = body.frame().await {
            read.extend_from_slice(frame.data_ref().map_or(&[], |data| &data[..]));
            if read.len() >= EXCERPT {
                break;
            }
        }
    };
    // What has come by then will do.
    let _in_time = timeout(EXCERPT_TIME, reading).await;
    read.truncate(EXCERPT);
    String::from_utf8_lossy(&read).trim().to_owned()
}

// === what is refused ===

fn refuse_above_the_limit(headers: &HeaderMap) -> Result<(), AwsError> {
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    match length {
        Some(length) if length > LARGEST_PAYLOAD as u64 => Err(payload_too_large()),
        _ => Ok(()),
    }
}

fn payload_too_large() -> AwsError {
    AwsError::invalid_fields(vec![InvalidField {
        name: "payload".to_owned(),
        message: format!("Member must have length less than or equal to {LARGEST_PAYLOAD}"),
    }])
}

/// The session of a call: as the agent's protocol names it, as AgentCore does, or a new one. In this order, because
/// AWS's SDKs make up an id of AgentCore's for each call that names none.
fn session_id(headers: &HeaderMap, protocol: Protocol) -> Result<HeaderValue, AwsError> {
    let of_agentcore = headers.get(SESSION_ID);
    of_agentcore.map(checked_session_id).transpose()?;
    let of_the_protocol = protocol.session_id().and_then(|name| headers.get(name));
    Ok(of_the_protocol.or(of_agentcore).cloned().unwrap_or_else(generated_session_id))
}

fn checked_session_id(value: &HeaderValue) -> Result<Arc<str>, AwsError> {
    let id = printable(value)?;
    match id.len() {
        ..33 => Err(invalid_session_id("Member must have length greater than or equal to 33")),
        33..=256 => Ok(id),
        _ => Err(invalid_session_id("Member must have length less than or equal to 256")),
    }
}

fn printable(value: &HeaderValue) -> Result<Arc<str>, AwsError> {
    value.to_str().map(Arc::from).map_err(|_| invalid_session_id("Member must be printable ASCII"))
}

fn invalid_session_id(constraint: &str) -> AwsError {
    AwsError::invalid_fields(vec![InvalidField { name: "runtimeSessionId".to_owned(), message: constraint.to_owned() }])
}

/// The one that the caller names, or a new one.
fn generated_session_id() -> HeaderValue {
    HeaderValue::from_str(&Uuid::new_v4().to_string()).expect("a UUID is made of hexadecimal digits and hyphens")
}

/// One fault a model call, in the header's order.
fn armed_faults(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(CUSTOM_FAULT).into_iter().filter_map(|value| value.to_str().ok());
    let items = values.flat_map(|value| value.split(',')).map(str::trim);
    items.filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

// === what the service says of an agent ===

fn runtime_client_error(message: impl Into<String>) -> AwsError {
    AwsError::new(StatusCode::FAILED_DEPENDENCY, "RuntimeClientError", message)
}

fn received_error(status: StatusCode) -> AwsError {
    runtime_client_error(format!(
        "Received error ({}) from runtime. Please check your CloudWatch logs for more information.",
        status.as_u16()
    ))
}

fn not_started() -> AwsError {
    runtime_client_error(
        "An error occurred when starting the runtime. Please check your CloudWatch logs for more information.",
    )
}

fn no_answer(error: &hyper::Error) -> (InvocationFailure, AwsError) {
    // Each layer the body passed has wrapped it once more.
    let mut causes = std::iter::successors(error.source(), |&cause| cause.source());
    if causes.any(<dyn std::error::Error>::is::<LengthLimitError>) {
        let refusal = payload_too_large();
        return (InvocationFailure::Refused(refusal.message().to_owned()), refusal);
    }
    let reason = error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"));
    (InvocationFailure::Unreachable(reason), received_error(StatusCode::BAD_GATEWAY))
}
