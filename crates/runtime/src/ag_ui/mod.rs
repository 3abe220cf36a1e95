//! The agent as one of AG-UI's, the Agent-User Interaction Protocol 1.0: `POST /invocations` takes a `RunAgentInput` and
//! answers with a run's events, as server-sent events.
//!
//! A thread is a session: where the platform names one in its header, that one counts, else `threadId` is its id. A run
//! is an invocation, and `runId` the request's id where no header has one. What was said before is what the session's
//! memory has: of `messages`, those after the last of the assistant's are the invocation, and the others are not read.
//! So nothing is counted twice, and nobody can put words into the agent's mouth that its guards never saw; a thread that
//! this memory does not know begins anew.
//!
//! Frontend tools, `tools` of the input, are offered to the model beside the agent's own. A call of one pauses the turn
//! as a question to a person does, and the `tool` message of the next run is the reply: see `client_tool`. Questions of
//! the agent's own tools are AG-UI's interrupts, and `resume` replies.
//!
//! Rooms: `input` reads what a client sends, `narration` makes events of a turn, `event` is how these are written,
//! `client_tool` the tools that the client has.

mod client_tool;
mod event;
mod input;
mod narration;

use std::convert::Infallible;
use std::time::Instant;

use agentcore_core::agent::{Agent, Context};
use agentcore_core::memory::sessions::{OpenError, Place};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Request, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use futures::stream;
use tracing::Instrument as _;

use self::event::Event;
use self::input::Run;
use self::narration::Narration;
use crate::admission::Admitted;
use crate::failure::{Code, Failure};
use crate::http::{Http, context, failed, ping, read_in_place};
use crate::invocation::Invocation;
use crate::telemetry::invocation;

/// The routes of the protocol.
pub(crate) fn router<A: Agent>(http: Http<A>) -> Router {
    Router::new()
        .route("/ping", get(ping::<A>))
        .route("/invocations", post(run::<A>))
        .route("/ws", get(no_websocket))
        .method_not_allowed_fallback(|| async { (StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed") })
        .fallback(|| async { (StatusCode::NOT_FOUND, "Not Found") })
        .with_state(http)
}

/// Refused as by an agent of the Python SDK's that has no handler.
async fn no_websocket() -> (StatusCode, &'static str) {
    (StatusCode::FORBIDDEN, "this agent speaks AG-UI over server-sent events alone; send POST /invocations")
}

async fn run<A: Agent>(State(http): State<Http<A>>, request: Request<Body>) -> Response {
    let began = Instant::now();
    // Held from the first byte on: a session that is being talked to is busy.
    let _busy = http.invoker.activity().begin("reading a payload");
    let headers = request.headers().clone();
    let mut context = context::read(&headers);
    let asked = read(&http, request, &headers, &mut context).await;
    let request_id = context.request_id.clone();
    let span = invocation::begin(A::NAME, &headers, &request_id, &context.session_id);
    let answering = async {
        let telling = match asked {
            Ok(asked) => begin(&http, asked, context).await,
            Err(failure) => Err(failure),
        };
        match telling {
            Ok(telling) => told(telling),
            Err(failure) => {
                let failure = of_the_protocol(failure);
                invocation::refused(&failure, began);
                failed(&failure, &request_id)
            }
        }
    };
    answering.instrument(span).await
}

/// A run that was read, with its place in the session.
struct Asked {
    run: Run,
    place: Result<Place, OpenError>,
    admitted: Admitted,
}

/// Takes the input in and reads it, where turns run: a large one would keep `/ping` waiting here.
async fn read<A: Agent>(
    http: &Http<A>,
    request: Request<Body>,
    headers: &HeaderMap,
    context: &mut Context,
) -> Result<Asked, Failure> {
    let (mut place, (body, admitted)) = read_in_place(http, request, context).await?;
    let reading = http.invoker.work().spawn(async move { Run::read(&body) });
    let run = reading.await.unwrap_or_else(|_panicked| Err(Failure::internal()))?;
    let is_named = |name| headers.get(name).is_some_and(|value| !value.as_bytes().trim_ascii().is_empty());
    if !is_named(context::REQUEST_ID) {
        context.request_id.clone_from(&run.id);
    }
    if !is_named(context::SESSION_ID) {
        context.session_id.clone_from(&run.thread);
        // Only now is it known which session it comes to.
        place = http.invoker.arrive(context);
    }
    Ok(Asked { run, place, admitted })
}

/// Begins the turn of a run.
async fn begin<A: Agent>(http: &Http<A>, asked: Asked, context: Context) -> Result<Telling, Failure> {
    let Asked { run, place, admitted } = asked;
    let narration = Narration::of(&run, &context.request_id);
    let Run { payload, tools, .. } = run;
    let accepted = http.invoker.accept_with(payload, context, admitted, |request| tools.offer(request)).await?;
    let invocation = http.invoker.begin(accepted, place, true);
    Ok(Telling { narration, under_way: Some(invocation), has_begun: false })
}

/// What cannot be read, or makes no sense to the agent, as AgentCore's agents refuse it.
fn of_the_protocol(failure: Failure) -> Failure {
    match failure.code {
        Code::InvalidJson | Code::InvalidEncoding | Code::InvalidPayload => {
            let why = match failure.details {
                Some(details) => format!("{}: {details}", failure.sentence),
                None => failure.sentence,
            };
            Failure::with_details(failure.code, "Invalid RunAgentInput", why)
        }
        _ => failure,
    }
}

/// What there is to tell of a run. Dropping it cuts the turn.
struct Telling {
    narration: Narration,
    under_way: Option<Invocation>,
    has_begun: bool,
}

// === impl Telling ===

impl Telling {
    /// The events that come next; none after the run's end.
    async fn next(&mut self) -> Option<Vec<Event>> {
        if !std::mem::replace(&mut self.has_begun, true) {
            return Some(vec![self.narration.begin()]);
        }
        while let Some(events) = &mut self.under_way.as_mut()?.events
            && let Some(event) = events.recv().await
        {
            let told = self.narration.take(event);
            if !told.is_empty() {
                return Some(told);
            }
        }
        let ended = self.under_way.take()?.end().await;
        Some(self.narration.end(ended))
    }
}

/// Answers with the run's events. A client that goes away drops the body, and that cuts the turn.
fn told(telling: Telling) -> Response {
    let frames = stream::unfold(telling, async |mut telling| {
        let frames: Vec<u8> = telling.next().await?.iter().flat_map(Event::frame).collect();
        Some((Ok::<_, Infallible>(Bytes::from(frames)), telling))
    });
    ([(header::CONTENT_TYPE, "text/event-stream; charset=utf-8")], Body::from_stream(frames)).into_response()
}
