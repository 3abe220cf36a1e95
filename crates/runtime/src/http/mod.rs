//! The AgentCore Runtime HTTP contract, on the wire.
//!
//! This runs on a thread of its own, so that `/ping` is answered however busy the turns keep every
//! other thread.

mod actions;
pub(crate) mod body;
pub(crate) mod context;
pub(crate) mod events;
#[cfg(feature = "websocket")]
pub(crate) mod websocket;

use std::pin::pin;
use std::time::{Duration, Instant};

use agentcore_core::agent::{Agent, Context};
use agentcore_core::memory::sessions::{OpenError, Place};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Request, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{MethodRouter, get, post};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use self::body::Payload;
use self::events::{ConverseEvents, Telling as _};
use crate::admission::Admitted;
use crate::failure::Failure;
use crate::health::Health;
use crate::invocation::{Answered, Invoker};
use crate::telemetry::{Telemetry, invocation};

/// How long a place in a session is kept for a payload that is on its way. AgentCore passes payloads on when it has
/// them; somebody who sends a picture from afar is waited for, a connection that stands still is not.
const PLACE_KEPT: Duration = Duration::from_secs(30);

/// What the handlers share.
pub(crate) struct Http<A> {
    pub(crate) invoker: Invoker<A>,
    pub(crate) health: Health,
    pub(crate) telemetry: Telemetry,
    /// Whether debug actions are answered: `AGENTCORE_DEBUG=1`.
    pub(crate) debug: bool,
    /// How long a request's head may take to come, and its payload beside what its size explains.
    pub(crate) patience: Duration,
    /// Where the platform says that callers reach the agent: `AGENTCORE_RUNTIME_URL`.
    #[cfg(feature = "a2a")]
    pub(crate) runtime_url: Option<std::sync::Arc<str>>,
    #[cfg(feature = "websocket")]
    pub(crate) conversations: websocket::Conversations,
}

// === impl Http ===

impl<A> Clone for Http<A> {
    fn clone(&self) -> Self {
        Self {
            invoker: self.invoker.clone(),
            health: self.health.clone(),
            telemetry: self.telemetry.clone(),
            debug: self.debug,
            patience: self.patience,
            #[cfg(feature = "a2a")]
            runtime_url: self.runtime_url.clone(),
            #[cfg(feature = "websocket")]
            conversations: self.conversations.clone(),
        }
    }
}

impl<A: Agent> Http<A> {
    /// The same, with turns that end when `cut` is cancelled.
    pub(crate) fn cut_by(mut self, cut: CancellationToken) -> Self {
        self.invoker = self.invoker.cut_by(cut);
        self
    }

    /// The same, with conversations that are closed when `end` is cancelled, as soon as their turns have ended.
    #[cfg(feature = "websocket")]
    pub(crate) fn closing_at(mut self, end: CancellationToken) -> Self {
        self.conversations = self.conversations.closing_at(end);
        self
    }
}

/// The routes of the contract.
pub(crate) fn router<A: Agent>(http: Http<A>) -> Router {
    Router::new()
        .route("/ping", get(ping::<A>))
        .route("/invocations", post(invoke::<A>))
        .route("/ws", websocket_route())
        // Starlette, beneath the SDK that callers of the old agents met, redirects like this.
        .route("/invocations/", post(|| async { Redirect::temporary("/invocations") }))
        .method_not_allowed_fallback(|| async { (StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed") })
        .fallback(|| async { (StatusCode::NOT_FOUND, "Not Found") })
        .with_state(http)
}

#[cfg(feature = "websocket")]
fn websocket_route<A: Agent>() -> MethodRouter<Http<A>> {
    get(websocket::open::<websocket::Converse, A>)
}

/// Refused as by an agent of the Python SDK's that has no handler.
#[cfg(not(feature = "websocket"))]
pub(crate) fn websocket_route<A: Agent>() -> MethodRouter<Http<A>> {
    get(|| async {
        let sentence = "this agent has no WebSocket; build it with `--features websocket`, or send POST /invocations";
        (StatusCode::FORBIDDEN, sentence)
    })
}

pub(crate) async fn ping<A: Agent>(State(http): State<Http<A>>) -> Response {
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
    context: Context,
    streamed: bool,
) -> Result<Response, Failure> {
    let began = Instant::now();
    // Held from the first byte on: a session that is being talked to is busy.
    let busy = http.invoker.activity().begin("reading a payload");
    let refused = |failure: Failure| {
        invocation::refused(&failure, began);
        failure
    };
    let (place, (body, admitted)) = read_in_place(http, request, &context).await.map_err(refused)?;
    if http.debug
        && let Some(action) = actions::asked(&body)
    {
        // Asking whether the session is busy does not make it so.
        drop(busy);
        return actions::answer(&action, http);
    }
    if !streamed {
        return Ok(whole(&http.invoker.answer(body, context, admitted, place).await?));
    }
    let request_id = context.request_id.clone();
    let accepted = http.invoker.accept(body, context, admitted).await.map_err(refused)?;
    let mut telling = ConverseEvents::of_request(request_id);
    telling.follow(http.invoker.begin(accepted, place, true));
    Ok(events::response(telling))
}

/// Reads the payload with a place taken for it, so that what comes later to the session is answered later. Where the
/// payload is too long in coming, the others go first.
pub(crate) async fn read_in_place<A: Agent>(
    http: &Http<A>,
    request: Request<Body>,
    context: &Context,
) -> Result<(Result<Place, OpenError>, (Bytes, Admitted)), Failure> {
    let mut place = Some(http.invoker.arrive(context));
    let (head, body) = request.into_parts();
    let mut payload = Payload::of(&head.headers, body, http.patience);
    let read = {
        let mut reading = pin!(payload.read_for_turn(http.invoker.admission()));
        if let Ok(read) = timeout(PLACE_KEPT, &mut reading).await {
            read
        } else {
            place = None;
            reading.await
        }
    };
    match read {
        Ok(read) => Ok((place.unwrap_or_else(|| http.invoker.arrive(context)), read)),
        Err(failure) => {
            drop(place);
            payload.throw_away().await;
            Err(failure)
        }
    }
}

/// Server-sent events where `Accept` names them, JSON otherwise.
fn wants_events(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.into_iter().any(|value| value.to_ascii_lowercase().contains("text/event-stream"))
}

fn whole(answered: &Answered) -> Response {
    match serde_json::to_vec(&answered.whole()) {
        Ok(body) => json_bytes(StatusCode::OK, body),
        Err(_) => failed(&Failure::internal(), ""),
    }
}

/// The answer that a failure is, while there is a status to tell it by.
pub(crate) fn failed(failure: &Failure, request_id: &str) -> Response {
    let mut response = json_bytes(failure.code.status(), failure.told(request_id).to_string());
    if let Some(wait) = failure.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, whole_seconds(wait).into());
    }
    response
}

/// Rounded up: a caller that comes a moment too early is refused again.
pub(crate) fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

fn json_bytes(status: StatusCode, body: impl Into<Bytes>) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.into()).into_response()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;

    use agentcore_core::activity::Activity;
    use agentcore_core::memory::identity::SessionKey;
    use agentcore_core::memory::process::ProcessMemory;
    use agentcore_core::memory::sessions::Sessions;
    use agentcore_core::model::{Model, ModelAnswer, ModelError, ModelEvents, ModelRequest};
    use agentcore_core::payload::{PayloadError, Prompt};
    use agentcore_core::turn::TurnRequest;
    use futures::future::BoxFuture;
    use futures::stream;
    use tokio::time::{Instant, sleep};

    use super::*;

    struct Quiet;

    impl Agent for Quiet {
        type Payload = Prompt;
        const NAME: &'static str = "quiet";

        fn turn(&self, payload: Prompt, _context: &Context) -> Result<TurnRequest, PayloadError> {
            payload.turn()
        }
    }

    /// Nobody asks it.
    impl Model for Quiet {
        fn converse<'a>(&'a self, _: &'a ModelRequest) -> BoxFuture<'a, Result<ModelAnswer, ModelError>> {
            Box::pin(std::future::pending())
        }

        fn converse_stream<'a>(&'a self, _: &'a ModelRequest) -> BoxFuture<'a, Result<ModelEvents, ModelError>> {
            Box::pin(std::future::pending())
        }
    }

    fn http() -> Http<Quiet> {
        let activity = Activity::default();
        let sessions = Sessions::new(Arc::new(ProcessMemory::default()), 1_000, activity.clone());
        let health = Health::new(activity.clone());
        let invoker = Invoker::new(Quiet, Arc::new(Quiet), sessions, activity);
        Http {
            invoker,
            health,
            telemetry: Telemetry::default(),
            debug: false,
            patience: body::PATIENCE,
            #[cfg(feature = "a2a")]
            runtime_url: None,
            #[cfg(feature = "websocket")]
            conversations: websocket::Conversations::default(),
        }
    }

    /// A payload that is there after so many seconds.
    fn after(seconds: u64) -> Request<Body> {
        let payload = async move {
            sleep(Duration::from_secs(seconds)).await;
            Ok::<_, Infallible>(Bytes::from_static(b"{}"))
        };
        Request::new(Body::from_stream(stream::once(payload)))
    }

    #[tokio::test(start_paused = true)]
    async fn a_payload_that_stands_still_keeps_its_place_for_a_while_and_then_comes_after_the_others() {
        let (http, context, began) = (http(), Context::default(), Instant::now());
        let opened = async |seconds| {
            let (place, _) = read_in_place(&http, after(seconds), &context).await.expect("a payload");
            let key = SessionKey::new(None, &context.session_id);
            let opened = http.invoker.sessions().open_from(place.expect("a place"), key).await;
            drop(opened.expect("a session"));
            began.elapsed().as_secs()
        };
        let (standing, slow, quick) = tokio::join!(opened(70), opened(20), opened(0));
        assert_eq!((standing, slow, quick), (70, 30, 30));
        let (slow, quick) = tokio::join!(opened(20), opened(0));
        assert_eq!((slow, quick), (90, 90));
    }

    #[tokio::test(start_paused = true)]
    async fn a_payload_that_stands_still_is_given_up_and_keeps_nobody_busy() {
        let (http, began) = (http(), Instant::now());
        let answer = invoke(State(http.clone()), after(1_000)).await;
        assert_eq!(answer.status(), StatusCode::REQUEST_TIMEOUT);
        assert_eq!(began.elapsed().as_secs(), 75);
        assert!(!http.invoker.activity().is_busy());
        assert_eq!(http.invoker.admission().turn().map(drop), Ok(()));
    }
}
