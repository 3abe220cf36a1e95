//! The AgentCore Runtime HTTP contract, on the wire.
//!
//! This runs on a thread of its own, so that `/ping` is answered however busy the turns keep every
//! other thread.

mod actions;
mod body;
pub(crate) mod context;
mod events;

use std::time::{Duration, Instant};

use agentcore_core::agent::Agent;
use agentcore_core::guard::Safety;
use agentcore_core::message::{Message, StopReason, Usage};
use agentcore_core::tool::Question;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Request, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use serde::Serialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::failure::Failure;
use crate::health::Health;
use crate::invocation::{Answered, Invoker};
use crate::telemetry::{Telemetry, invocation};

/// What the handlers share.
pub(crate) struct Http<A> {
    pub(crate) invoker: Invoker<A>,
    pub(crate) health: Health,
    pub(crate) telemetry: Telemetry,
    /// Whether debug actions are answered: `AGENTCORE_DEBUG=1`.
    pub(crate) debug: bool,
}

/// A whole answer, as callers of the old agents read it, and the members they gained.
#[derive(Serialize)]
struct WholeAnswer<'a> {
    response: &'a Message,
    session_id: &'a str,
    stop_reason: &'a StopReason,
    usage: Usage,
    safety: &'a Safety,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<&'a Value>,
    #[serde(skip_serializing_if = "<[Question]>::is_empty")]
    questions: &'a [Question],
}

// === impl Http ===

impl<A> Clone for Http<A> {
    fn clone(&self) -> Self {
        Self {
            invoker: self.invoker.clone(),
            health: self.health.clone(),
            telemetry: self.telemetry.clone(),
            debug: self.debug,
        }
    }
}

impl<A: Agent> Http<A> {
    /// The same, with turns that end when `cut` is cancelled.
    pub(crate) fn cut_by(mut self, cut: CancellationToken) -> Self {
        self.invoker = self.invoker.cut_by(cut);
        self
    }
}

/// The routes of the contract.
pub(crate) fn router<A: Agent>(http: Http<A>) -> Router {
    Router::new()
        .route("/ping", get(ping::<A>))
        .route("/invocations", post(invoke::<A>))
        // Starlette, beneath the SDK that callers of the old agents met, redirects like this.
        .route("/invocations/", post(|| async { Redirect::temporary("/invocations") }))
        .method_not_allowed_fallback(|| async { (StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed") })
        .fallback(|| async { (StatusCode::NOT_FOUND, "Not Found") })
        .with_state(http)
}

async fn ping<A: Agent>(State(http): State<Http<A>>) -> Response {
    json_bytes(StatusCode::OK, ping_body(&http.health))
}

/// `time_of_last_update` is always there and always whole Unix seconds: without it a busy session is
/// ended, and any other form breaks the platform's parser.
fn ping_body(health: &Health) -> String {
    let (status, since) = health.read();
    format!(r#"{{"status":"{}","time_of_last_update":{since}}}"#, status.as_str())
}

async fn invoke<A: Agent>(State(http): State<Http<A>>, request: Request<Body>) -> Response {
    let context = context::read(request.headers());
    let request_id = context.request_id.clone();
    let span = invocation::begin(A::NAME, request.headers(), &request_id, &context.session_id);
    let answering = async {
        let streamed = wants_events(request.headers());
        answer(&http, request, context, streamed).await.unwrap_or_else(|failure| failed(&failure, &request_id))
    };
    answering.instrument(span).await
}

async fn answer<A: Agent>(
    http: &Http<A>,
    request: Request<Body>,
    context: agentcore_core::agent::Context,
    streamed: bool,
) -> Result<Response, Failure> {
    let began = Instant::now();
    // Held from the first byte on: a session that is being talked to is busy.
    let busy = http.invoker.activity().begin("reading a payload");
    let refused = |failure: Failure| {
        invocation::refused(&failure, began);
        failure
    };
    let (body, admitted) = body::read(request, http.invoker.admission()).await.map_err(refused)?;
    if http.debug
        && let Some(action) = actions::asked(&body)
    {
        // Asking whether the session is busy does not make it so.
        drop(busy);
        return actions::answer(&action, http);
    }
    let request_id = context.request_id.clone();
    let accepted = http.invoker.accept(body, context, admitted).await.map_err(refused)?;
    let invocation = http.invoker.begin(accepted, streamed);
    if streamed {
        return Ok(events::response(invocation, request_id));
    }
    Ok(whole(&invocation.end().await?))
}

/// Server-sent events where `Accept` names them, JSON otherwise.
fn wants_events(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.into_iter().any(|value| value.to_ascii_lowercase().contains("text/event-stream"))
}

fn whole(answered: &Answered) -> Response {
    let answer = WholeAnswer {
        response: &answered.message,
        session_id: &answered.session_id,
        stop_reason: &answered.stop_reason,
        usage: answered.usage,
        safety: &answered.safety,
        output: answered.output.as_ref(),
        questions: &answered.questions,
    };
    match serde_json::to_vec(&answer) {
        Ok(body) => json_bytes(StatusCode::OK, body),
        Err(_) => failed(&Failure::internal(), ""),
    }
}

fn failed(failure: &Failure, request_id: &str) -> Response {
    let mut body = json!({
        "error": failure.sentence,
        "code": failure.code.as_str(),
        "request_id": request_id,
    });
    if let Some(details) = &failure.details {
        body["details"] = details.as_str().into();
    }
    let mut response = json_bytes(failure.code.status(), body.to_string());
    if let Some(wait) = failure.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, whole_seconds(wait).into());
    }
    response
}

/// Rounded up: a caller that comes a moment too early is refused again.
fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

fn json_bytes(status: StatusCode, body: impl Into<Bytes>) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.into()).into_response()
}
