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
//! Over `GET /ws` each message is an input, and each event a message. There the session is the connection's, whatever the
//! thread. A `RUN_ERROR` of an input that was refused may come in the midst of another run; `metadata.request_id` tells
//! them apart, and ends with the input's number.
//!
//! Rooms: `input` reads what a client sends, `narration` makes events of a turn, `telling` texts of these as the turn goes
//! on, `event` is how they are written, `client_tool` the tools that the client has.

mod client_tool;
mod event;
mod input;
mod narration;
mod telling;

use std::time::Instant;

use agentcore_core::agent::{Agent, Context};
use agentcore_core::memory::sessions::{OpenError, Place};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Request, StatusCode};
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};
use tracing::Instrument as _;

#[cfg(feature = "websocket")]
use self::event::Event;
use self::input::Run;
use self::narration::Narration;
use self::telling::RunEvents;
use crate::admission::Admitted;
use crate::failure::{Code, Failure};
#[cfg(feature = "websocket")]
use crate::http::events::json;
use crate::http::events::{self, Telling as _};
#[cfg(feature = "websocket")]
use crate::http::websocket;
use crate::http::{Http, context, failed, ping, read_in_place};
use crate::invocation::{Accepted, Invoker};
use crate::telemetry::invocation;

/// The routes of the protocol.
pub(crate) fn router<A: Agent>(http: Http<A>) -> Router {
    Router::new()
        .route("/ping", get(ping::<A>))
        .route("/invocations", post(run::<A>))
        .route("/ws", websocket_route())
        .method_not_allowed_fallback(|| async { (StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed") })
        .fallback(|| async { (StatusCode::NOT_FOUND, "Not Found") })
        .with_state(http)
}

#[cfg(feature = "websocket")]
fn websocket_route<A: Agent>() -> MethodRouter<Http<A>> {
    get(websocket::open::<AgUi, A>)
}

/// Refused as by an agent of the Python SDK's that has no handler.
#[cfg(not(feature = "websocket"))]
fn websocket_route<A: Agent>() -> MethodRouter<Http<A>> {
    crate::http::websocket_route()
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
            Ok(telling) => events::response(telling),
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

/// Takes the input in and reads it.
async fn read<A: Agent>(
    http: &Http<A>,
    request: Request<Body>,
    headers: &HeaderMap,
    context: &mut Context,
) -> Result<Asked, Failure> {
    let (mut place, (body, admitted)) = read_in_place(http, request, context).await?;
    let run = read_run(&http.invoker, body).await?;
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

/// Reads an input where turns run: a large one would keep `/ping` waiting here.
async fn read_run<A: Agent>(invoker: &Invoker<A>, body: Bytes) -> Result<Run, Failure> {
    let reading = invoker.work().spawn(async move { Run::read(&body) });
    reading.await.unwrap_or_else(|_panicked| Err(Failure::internal()))
}

/// Begins the turn of a run.
async fn begin<A: Agent>(http: &Http<A>, asked: Asked, context: Context) -> Result<RunEvents, Failure> {
    let Asked { run, place, admitted } = asked;
    let (accepted, mut telling) = accept(&http.invoker, run, context, admitted).await?;
    telling.follow(http.invoker.begin(accepted, place, true));
    Ok(telling)
}

/// Asks the agent what to make of a run.
async fn accept<A: Agent>(
    invoker: &Invoker<A>,
    run: Run,
    context: Context,
    admitted: Admitted,
) -> Result<(Accepted, RunEvents), Failure> {
    let telling = RunEvents::of(Narration::of(&run, &context.request_id));
    let Run { payload, tools, .. } = run;
    let accepted = invoker.accept_with(payload, context, admitted, |request| tools.offer(request)).await?;
    Ok((accepted, telling))
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

/// AG-UI over a WebSocket.
#[cfg(feature = "websocket")]
enum AgUi {}

#[cfg(feature = "websocket")]
impl websocket::Language for AgUi {
    type Telling = RunEvents;

    async fn accept<A: Agent>(
        invoker: &Invoker<A>,
        message: Bytes,
        context: Context,
        admitted: Admitted,
    ) -> Result<(Accepted, RunEvents), Failure> {
        let run = read_run(invoker, message).await?;
        accept(invoker, run, context, admitted).await
    }

    fn refused(failure: Failure, request_id: &str) -> Vec<u8> {
        json(&Event::failed(of_the_protocol(failure), request_id))
    }
}
