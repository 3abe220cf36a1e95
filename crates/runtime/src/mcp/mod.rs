//! The agent as an MCP server: streamable HTTP at `POST /mcp`, with one tool, which is the agent, and those that it
//! offers beside itself.
//!
//! The server keeps nothing between two requests, because the next one may reach another process. What a conversation
//! is told by is the id in its headers, whatever it is: MCP's own `Mcp-Session-Id`, or the platform's
//! `X-Amzn-Bedrock-AgentCore-Runtime-Session-Id`, which AWS's SDKs make up for each call that names none. Who sends neither is given one by the answer to `initialize`; where there is no
//! `initialize` either, as from the protocol's version of 2026-07-28 on, each call is a conversation of its own.
//!
//! The protocol itself is rmcp's: versions, messages, JSON or server-sent events. Three things are not, because rmcp
//! serves each request by itself: bodies are read within the bounds of [`crate::admission`], a message that is none is
//! told so as JSON-RPC tells it, and `notifications/cancelled`, a request of its own, finds the call it means.
//!
//! The tools that the agent uses in its turns are not offered by that: they are made for each turn, of its payload and
//! session, and guards read what they say before anybody does. What an agent [offers](Agent::offers) is called without.

mod calls;
mod message;
mod offered;
mod tool;

use std::sync::Arc;

use agentcore_core::agent::Agent;
use agentcore_core::chance;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use http_body_util::Full;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use tokio_util::task::AbortOnDropHandle;

use self::calls::{Call, Calls};
use self::message::{Asked, refused};
use self::tool::Tools;
use crate::admission::Room;
use crate::failure::Failure;
use crate::http::body::{LARGEST, Payload};
use crate::http::{Http, context, ping};

/// MCP's own name of a session.
const SESSION_ID: &str = "mcp-session-id";

/// The path of the protocol, as AgentCore calls it.
const PATH: &str = "/mcp";

/// What the handlers share.
struct Server<A: Agent> {
    http: Http<A>,
    calls: Calls,
    protocol: StreamableHttpService<Tools<A>, NeverSessionManager>,
}

/// The routes of the protocol.
pub(crate) fn router<A: Agent>(http: Http<A>) -> Router {
    let health = Router::new().route("/ping", get(ping::<A>)).with_state(http.clone());
    let server = Arc::new(Server::new(http));
    Router::new()
        .route(PATH, post(answer::<A>))
        .with_state(server)
        .merge(health)
        .method_not_allowed_fallback(|| async { (StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed") })
        .fallback(|| async { (StatusCode::NOT_FOUND, "Not Found") })
}

/// Reads a message here, on the thread of the wire, and answers it where turns run.
async fn answer<A: Agent>(State(server): State<Arc<Server<A>>>, request: Request<Body>) -> Response {
    let (head, body) = request.into_parts();
    let mut payload = Payload::of(&head.headers, body, server.http.patience);
    let (body, room) = match payload.read(server.http.invoker.admission()).await {
        Ok(read) => read,
        Err(failure) => {
            payload.throw_away().await;
            return message::failed(&failure);
        }
    };
    let work = server.http.invoker.work().clone();
    // Dropped with this future, when the caller is gone.
    let answering = AbortOnDropHandle::new(work.spawn(async move { server.take(head, body, room).await }));
    answering.await.unwrap_or_else(|_panicked| message::failed(&Failure::internal()))
}

// === impl Server ===

impl<A: Agent> Server<A> {
    fn new(http: Http<A>) -> Self {
        let calls = Calls::default();
        let tools = Tools::new(http.invoker.clone(), calls.clone());
        let config = StreamableHttpServerConfig::default()
            .with_legacy_session_mode(false)
            .with_json_response(true)
            .disable_allowed_hosts()
            // Bodies have been read within bounds before they come here.
            .with_max_request_body_bytes(LARGEST);
        let protocol = StreamableHttpService::new(move || Ok(tools.clone()), Arc::default(), config);
        Self { http, calls, protocol }
    }

    /// Takes one message.
    async fn take(&self, mut head: Parts, body: Bytes, room: Room) -> Response {
        let asked = match Asked::read(&body) {
            Ok(asked) => asked,
            Err(why) => return refused(StatusCode::BAD_REQUEST, &why),
        };
        let session = name_session(&mut head);
        if let Some(request_id) = asked.cancels {
            self.calls.cut(&Call { session_id: session_id(&head), request_id });
        }
        // The platform's host is none of ours, and rmcp would refuse one it cannot read.
        head.headers.insert(header::HOST, HeaderValue::from_static("localhost"));
        // It is held as long as the message is: rmcp hands both on to the call.
        head.extensions.insert(Arc::new(room));
        let is_json = says_json(&head.headers);
        let request = Request::from_parts(head, Full::new(body));
        let mut answer = self.protocol.handle(request).await.map(Body::new);
        if is_json && answer.status() == StatusCode::UNSUPPORTED_MEDIA_TYPE {
            // So rmcp answers what is JSON and no message, as if the type of the content were wrong.
            return refused(StatusCode::BAD_REQUEST, &message::not_of_the_protocol());
        }
        if asked.begins {
            answer.headers_mut().insert(HeaderName::from_static(SESSION_ID), session);
        }
        answer.into_response()
    }
}

/// The id of the session, which from here on is where the platform would have put it.
fn name_session(head: &mut Parts) -> HeaderValue {
    let given = [SESSION_ID, context::SESSION_ID].map(|name| head.headers.get(name));
    let given = given.into_iter().flatten().find(|id| !id.as_bytes().trim_ascii().is_empty());
    let session = given.cloned().unwrap_or_else(|| {
        HeaderValue::from_str(&chance::uuid().to_string()).expect("a UUID is made of hexadecimal digits and hyphens")
    });
    head.headers.insert(HeaderName::from_static(context::SESSION_ID), session.clone());
    session
}

fn says_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    content_type.split(';').next().is_some_and(|media_type| media_type.trim().eq_ignore_ascii_case("application/json"))
}

/// The session's id as an agent sees it.
fn session_id(head: &Parts) -> String {
    context::read(&head.headers).session_id
}
