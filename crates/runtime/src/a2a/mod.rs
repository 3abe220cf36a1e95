//! The agent as one of A2A's, the Agent2Agent protocol: JSON-RPC at `POST /`, in its versions 1.0 and 0.3, and the card
//! at `GET /.well-known/agent-card.json`.
//!
//! A message makes a task, which is a turn. A context is a session, unless the platform's header names another: then it
//! is an id that the client may choose and gets back. The task's artifact is the answer; a turn that waits for a person
//! is `input-required`, and the next message of the task replies; a failure is a failed task with the sentence that
//! callers read everywhere. What is wrong before there is a task is an error of JSON-RPC, with status 200 as that has it,
//! but for bodies that there is no room for.
//!
//! A task goes on when the connection of who asked for it breaks, because the client can ask for it, follow it again or
//! cancel it by its id. Only who waits for the end of a new task, and so has not been told its id, cuts it by leaving.
//! What became of a task is kept in the session memory, and found by other processes: see `tasks`.
//!
//! The types are those of a2a-lf, which belongs to the protocol's project. Its server, a2a-server-lf, is not used: it
//! refuses version 0.3, and brings gRPC with a compiler for it, HTTP/2 and an HTTP client for callbacks, 170 crates in
//! all, into a process that should start in milliseconds. So JSON-RPC and streams are by hand, and so are the shapes of
//! 0.3, which the types do not have. Not served are lists of tasks, which the memory could only give by reading all that
//! it has, callbacks ("push notifications") and cards for known callers; each is refused with the protocol's own code.
//!
//! Rooms: `request` reads what comes, `older` has the shapes of 0.3 and `version` what is answered in each, `input` makes
//! a payload of a message, `work` leads a task through its turn, `record` is a task as it stands, `live` one that is worked
//! on, `tasks` finds them, and `card` is the card.

mod card;
mod input;
mod live;
mod older;
mod record;
mod request;
mod tasks;
mod version;
mod work;

use std::convert::Infallible;
use std::sync::Arc;

use a2a::{A2AError, JsonRpcId, JsonRpcResponse, SendMessageConfiguration, SendMessageRequest, TaskState, error_code};
use agentcore_core::agent::{Agent, Context};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Request, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use futures::stream;
use serde::Serialize;
use serde_json::Value;
use tokio_util::sync::DropGuard;
use tokio_util::task::AbortOnDropHandle;

use self::live::{Live, Telling, Told};
use self::request::{Asked, Call, Refused};
use self::tasks::{Caller, Seen, Taken, Tasks, of_failure};
use self::version::Version;
use crate::admission::Room;
use crate::failure::Failure;
use crate::http::body::Payload;
use crate::http::{Http, context, events, ping, whole_seconds};

/// Where a card is, as A2A has it and AgentCore asks for it.
const CARD: &str = "/.well-known/agent-card.json";

/// What the handlers share.
struct Server<A: Agent> {
    http: Http<A>,
    tasks: Tasks,
}

/// How a client wants to be answered.
struct Wish {
    history_length: Option<i32>,
    /// Before the task has ended.
    at_once: bool,
}

/// What a request came to.
enum Answer {
    Result(Value),
    Stream(Box<Telling>),
}

/// The routes of the protocol.
pub(crate) fn router<A: Agent>(http: Http<A>) -> Router {
    let tasks = Tasks::kept_with(http.invoker.sessions().clone());
    let health = Router::new().route("/ping", get(ping::<A>)).with_state(http.clone());
    Router::new()
        .route("/", post(answer::<A>))
        .route(CARD, get(card::<A>))
        .with_state(Arc::new(Server { http, tasks }))
        .merge(health)
        .method_not_allowed_fallback(|| async { (StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed") })
        .fallback(|| async { (StatusCode::NOT_FOUND, "Not Found") })
}

async fn card<A: Agent>(State(server): State<Arc<Server<A>>>, headers: HeaderMap) -> Response {
    json(StatusCode::OK, &card::card::<A>(server.http.runtime_url.as_deref(), &headers))
}

/// Takes a message in here, on the thread of the wire, and answers it where turns run.
async fn answer<A: Agent>(State(server): State<Arc<Server<A>>>, request: Request<Body>) -> Response {
    // Held from the first byte on: a session that is being talked to is busy.
    let busy = server.http.invoker.activity().begin("reading a payload");
    let (head, body) = request.into_parts();
    let mut payload = Payload::of(&head.headers, body, server.http.patience);
    let (body, room) = match payload.read(server.http.invoker.admission()).await {
        Ok(read) => read,
        Err(failure) => {
            payload.throw_away().await;
            return no_room(&failure, &context::read(&head.headers).request_id);
        }
    };
    let work = server.http.invoker.work().clone();
    // Dropped with this future, when the caller is gone.
    let answering = AbortOnDropHandle::new(work.spawn(async move { server.take(&head, &body, room).await }));
    let answer = answering.await.unwrap_or_else(|_panicked| {
        let error = of_failure(&Failure::internal(), "");
        refused(Refused { id: JsonRpcId::Null, error })
    });
    drop(busy);
    answer
}

// === impl Server ===

impl<A: Agent> Server<A> {
    /// Takes one message.
    async fn take(&self, head: &Parts, body: &Bytes, room: Room) -> Response {
        let Call { id, version, asked } = match Call::read(&head.headers, body) {
            Ok(call) => call,
            Err(why) => return refused(why),
        };
        let caller = Caller::of(&head.headers);
        let answered = match asked {
            Asked::Send { request, streamed } => self.send(head, &caller, *request, streamed, room, version).await,
            Asked::Get(asked) => self.get(&asked.id, asked.history_length, &caller, version).await,
            Asked::Cancel(asked) => self.cancel(&asked.id, &caller, version).await,
            Asked::Subscribe(asked) => self.subscribe(&asked.id, &caller).await,
        };
        match answered {
            Ok(Answer::Result(result)) => json(StatusCode::OK, &JsonRpcResponse::success(id, result)),
            Ok(Answer::Stream(telling)) => stream_of(id, version, *telling),
            Err(error) => refused(Refused { id, error }),
        }
    }

    /// Has a message answered.
    async fn send(
        &self,
        head: &Parts,
        caller: &Caller,
        request: SendMessageRequest,
        streamed: bool,
        room: Room,
        version: Version,
    ) -> Result<Answer, A2AError> {
        let SendMessageRequest { message, configuration, .. } = request;
        let Wish { history_length, at_once } = Wish::read(configuration)?;
        let (live, cut) = self.begin(head, caller, &message, room, streamed || at_once).await?;
        if streamed {
            return Ok(Answer::Stream(Box::new(live.tell(history_length))));
        }
        if !at_once {
            live.over().await;
        }
        cut.map(DropGuard::disarm);
        Ok(Answer::Result(version.sent(&live.record().shown(history_length))))
    }

    /// Tells how a task stands.
    async fn get(
        &self,
        id: &str,
        history_length: Option<i32>,
        caller: &Caller,
        version: Version,
    ) -> Result<Answer, A2AError> {
        check_length("historyLength", history_length)?;
        let record = match self.tasks.see(id, caller).await? {
            Seen::Live(live) => live.record(),
            Seen::Kept(record) => *record,
        };
        Ok(Answer::Result(version.task(&record.shown(history_length))))
    }

    /// Ends a task: cuts its turn, or takes back what it asks.
    async fn cancel(&self, id: &str, caller: &Caller, version: Version) -> Result<Answer, A2AError> {
        let record = match self.tasks.take(id, caller).await? {
            Taken::UnderWay(live) => {
                live.cut();
                live.over().await;
                live.record()
            }
            Taken::Free(mut record, mut note) if record.task.status.state == TaskState::InputRequired => {
                record.end(TaskState::Canceled, None);
                self.tasks.keep(&mut note, &record).patiently().await;
                *record
            }
            Taken::Free(..) => return Err(not_cancelable()),
        };
        // Its turn may have come to its end before it was cut.
        if record.task.status.state != TaskState::Canceled {
            return Err(not_cancelable());
        }
        Ok(Answer::Result(version.task(&record.shown(None))))
    }

    /// Tells of a task from now on. One that waits for its client, or that another process works on, is told as it stands.
    async fn subscribe(&self, id: &str, caller: &Caller) -> Result<Answer, A2AError> {
        let live = match self.tasks.see(id, caller).await? {
            Seen::Live(live) => live,
            Seen::Kept(record) => Arc::new(Live::of_the_past(*record)),
        };
        if live.record().task.status.state.is_terminal() {
            return Err(A2AError::unsupported_operation("The task has ended; ask for it by its id instead."));
        }
        Ok(Answer::Stream(Box::new(live.tell(None))))
    }
}

fn not_cancelable() -> A2AError {
    let sentence = "The task cannot be cancelled: it has ended, or another process works on it.";
    A2AError::new(error_code::TASK_NOT_CANCELABLE, sentence)
}

// === impl Wish ===

impl Wish {
    fn read(configuration: Option<SendMessageConfiguration>) -> Result<Self, A2AError> {
        let Some(configuration) = configuration else {
            return Ok(Self { history_length: None, at_once: false });
        };
        let SendMessageConfiguration {
            accepted_output_modes,
            task_push_notification_config,
            history_length,
            return_immediately,
        } = configuration;
        check_length("configuration.historyLength", history_length)?;
        if task_push_notification_config.is_some() {
            return Err(request::no_push_notifications());
        }
        if !input::accepts_words(&accepted_output_modes.unwrap_or_default()) {
            let sentence = "This agent answers in text/plain, and in application/json where its answer is a type.";
            return Err(A2AError::new(error_code::CONTENT_TYPE_NOT_SUPPORTED, sentence));
        }
        Ok(Self { history_length, at_once: return_immediately.unwrap_or(false) })
    }
}

fn check_length(member: &str, history_length: Option<i32>) -> Result<(), A2AError> {
    match history_length {
        Some(..0) => Err(input::invalid(member, "must be a whole number, 0 or more")),
        _ => Ok(()),
    }
}

// === impl Caller ===

impl Caller {
    fn of(headers: &HeaderMap) -> Self {
        let Context { session_id, request_id, user_id, .. } = context::read(headers);
        let is_named = headers.get(context::SESSION_ID).is_some_and(|id| !id.as_bytes().trim_ascii().is_empty());
        Self { user: user_id, session: is_named.then_some(session_id), request_id }
    }
}

// === how it leaves ===

/// Tells of a task as server-sent events, each the answer to the one request. Who goes away is not told any more.
fn stream_of(id: JsonRpcId, version: Version, telling: Telling) -> Response {
    let frames = stream::unfold(telling, move |mut telling| {
        let id = id.clone();
        async move {
            let Told { event, last } = telling.next().await?;
            let told = JsonRpcResponse::success(id, version.told(&event, last));
            let frame = [b"data: ", &events::json(&told)[..], b"\n\n"].concat();
            Some((Ok::<_, Infallible>(Bytes::from(frame)), telling))
        }
    });
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(frames)).into_response()
}

fn refused(Refused { id, error }: Refused) -> Response {
    json(StatusCode::OK, &JsonRpcResponse::error(id, error.to_jsonrpc_error()))
}

/// Refuses a body that was not taken in, with the status that says so everywhere.
fn no_room(failure: &Failure, request_id: &str) -> Response {
    let error = of_failure(failure, request_id).to_jsonrpc_error();
    let mut response = json(failure.code.status(), &JsonRpcResponse::error(JsonRpcId::Null, error));
    if let Some(wait) = failure.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, whole_seconds(wait).into());
    }
    response
}

fn json(status: StatusCode, body: &impl Serialize) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], events::json(body)).into_response()
}
