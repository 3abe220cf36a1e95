//! Conversations over `GET /ws`: one connection, many invocations.
//!
//! Each text message is an invocation's payload, as `POST /invocations` takes it: which that is, and how its turn is told,
//! is the protocol's [`Language`]. They are answered one after another,
//! in the texts of its events, a message each. What comes while a turn runs waits in the session's row, and
//! is refused by a message when that is full; `{"cancel": true}` ends the turn that is being told. Whatever becomes of
//! the connection, a turn that has begun goes on and its session remembers it: the next connection finds it there.
//!
//! The connection ends with a code of RFC 6455: 1000 after a long time without an invocation, 1001 when the process
//! ends, 1003 for a binary message, 1007 for text that is not UTF-8, 1009 for a message above 100 MB, 1011 for a failure
//! of ours, 1013 where the payloads of all callers together leave no room. Here is the handshake; `conversation` is what
//! follows, `listener` what is heard of it, `speaker` how what is told leaves, and `meter` counts what comes in.

mod conversation;
mod listener;
mod meter;
mod speaker;

use std::time::Duration;

use agentcore_core::agent::{Agent, Context};
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::conversation::Conversation;
use super::events::{ConverseEvents, Telling, failed, json};
use super::{Http, context};
use crate::admission::Admitted;
use crate::failure::Failure;
use crate::invocation::{Accepted, Invoker};

/// What the names of the contract's headers begin with. In a presigned URL the same names are parameters: a browser can
/// set no header of a WebSocket's.
const OF_THE_RUNTIME: &str = "x-amzn-bedrock-agentcore-runtime-";

/// All conversations of a process. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Conversations {
    limits: Limits,
    open: TaskTracker,
    end: CancellationToken,
}

/// How long a connection may be silent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// How often a silent client is asked whether it is there. One that lets three of these times pass without a word,
    /// or takes none of what is sent for two, is gone.
    pub(crate) ping: Duration,
    /// How long a connection is kept without an invocation.
    pub(crate) idle: Duration,
}

/// What is spoken over a connection.
pub(crate) trait Language: 'static {
    /// What tells of a turn.
    type Telling: Telling;

    /// Reads a message and asks the agent what to make of it.
    fn accept<A: Agent>(
        invoker: &Invoker<A>,
        message: Bytes,
        context: Context,
        admitted: Admitted,
    ) -> impl Future<Output = Result<(Accepted, Self::Telling), Failure>> + Send;

    /// The text that refuses a message of which no turn comes.
    fn refused(failure: Failure, request_id: &str) -> Vec<u8>;
}

/// The contract's own: the payload of the agent, and Bedrock's events.
pub(super) enum Converse {}

// === impl Converse ===

impl Language for Converse {
    type Telling = ConverseEvents;

    async fn accept<A: Agent>(
        invoker: &Invoker<A>,
        message: Bytes,
        context: Context,
        admitted: Admitted,
    ) -> Result<(Accepted, ConverseEvents), Failure> {
        let telling = ConverseEvents::of_request(context.request_id.clone());
        Ok((invoker.accept(message, context, admitted).await?, telling))
    }

    fn refused(failure: Failure, request_id: &str) -> Vec<u8> {
        json(&failed(&failure, request_id))
    }
}

// === impl Limits ===

impl Default for Limits {
    /// A question after 20 s, or a little less than 40 s where the client spoke in between, comes before proxies close
    /// what they take for dead: AWS's load balancers and nginx wait 60 s. 15 minutes are AgentCore's own default for an
    /// idle session.
    fn default() -> Self {
        Self { ping: Duration::from_secs(20), idle: Duration::from_mins(15) }
    }
}

// === impl Conversations ===

impl Conversations {
    pub(crate) fn within(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// The same, with connections that are closed when `end` is cancelled, as soon as their turns have ended.
    pub(crate) fn closing_at(self, end: CancellationToken) -> Self {
        Self { end, ..self }
    }

    /// Waits until none is open. To be called when nobody is let in any more.
    pub(crate) async fn ended(&self) {
        self.open.close();
        self.open.wait().await;
    }
}

/// Answers the handshake, and has the conversation beside the other requests.
pub(crate) async fn open<L: Language, A: Agent>(State(http): State<Http<A>>, mut request: Request<Body>) -> Response {
    let answer = match create_response_with_body(&request, Body::empty) {
        Ok(answer) => answer,
        Err(problem) => return not_a_handshake(&problem.to_string()),
    };
    let headers = with_parameters(request.headers().clone(), request.uri());
    let conversation = Conversation::new(http.clone(), context::read(&headers), headers);
    let upgrade = hyper::upgrade::on(&mut request);
    let Conversations { limits, open, end } = http.conversations;
    open.spawn(async move {
        match upgrade.await {
            Ok(upgraded) => conversation.hold::<L, _>(TokioIo::new(upgraded), limits, end).await,
            Err(error) => tracing::debug!(error = %error, "a caller left before the WebSocket was open"),
        }
    });
    answer
}

fn not_a_handshake(problem: &str) -> Response {
    let sentence = format!("{problem}; open /ws as a WebSocket, or send POST /invocations");
    (StatusCode::UPGRADE_REQUIRED, [(header::UPGRADE, "websocket")], sentence).into_response()
}

/// The headers, and the parameters that stand for headers. A header wins.
fn with_parameters(mut headers: HeaderMap, uri: &Uri) -> HeaderMap {
    let parameters = Query::<Vec<(String, String)>>::try_from_uri(uri).map(|Query(pairs)| pairs).unwrap_or_default();
    for (name, value) in parameters {
        let name = name.to_ascii_lowercase();
        if !name.starts_with(OF_THE_RUNTIME) {
            continue;
        }
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.entry(name).or_insert(value);
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_presigned_urls_parameters_stand_for_headers_and_a_header_wins() {
        let uri: Uri = "/ws?X-Amzn-Bedrock-AgentCore-Runtime-Session-Id=a%20session&X-Amz-Signature=f00\
                        &X-Amzn-Bedrock-AgentCore-Runtime-User-Id=aoife&authorization=mine"
            .parse()
            .expect("a URI");
        let sent =
            [(HeaderName::from_static("x-amzn-bedrock-agentcore-runtime-user-id"), HeaderValue::from_static("conor"))];
        let context = context::read(&with_parameters(sent.into_iter().collect(), &uri));
        assert_eq!((context.session_id.as_str(), context.user_id.as_deref()), ("a session", Some("conor")));
        assert!(context.authorization.is_none() && context.headers.is_empty(), "{context:?}");
    }
}
