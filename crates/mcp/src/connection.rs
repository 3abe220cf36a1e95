//! One connection to a server, from its handshake to its end.

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use agentcore_core::tool::ToolCall;
use rmcp::model::{
    CallToolRequest, CallToolRequestParams, CallToolResult, CancelledNotificationParam, ClientRequest,
    ProgressNotificationParam, ProgressToken, RequestId, ServerResult, Tool,
};
use rmcp::service::{NotificationContext, Peer, PeerRequestOptions, RunningService};
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::transport::{StreamableHttpClientTransport, TokioChildProcess};
use rmcp::{ClientHandler, RoleClient, ServiceError, ServiceExt as _};
use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

use crate::authorization::{Authorization, AuthorizedClient};

/// How a server is reached.
#[derive(Clone)]
pub(crate) enum Transport {
    /// A program of our own, by its standard input and output.
    Program { program: String, arguments: Vec<String>, environment: Vec<(String, String)> },
    /// Streamable HTTP.
    Http { url: String, authorization: Authorization },
}

/// Why there is no connection, or no answer on it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ConnectionError {
    /// It cannot be made, or is lost.
    #[error("{0}")]
    Lost(String),
    /// The server answers with an error.
    #[error("{0}")]
    Refused(String),
    /// It did not answer in time.
    #[error("it did not answer within {} s", .0.as_secs_f32())]
    Silent(Duration),
}

/// A server that has shaken hands.
pub(crate) struct Connection {
    service: RunningService<RoleClient, Listener>,
}

/// Hears what the server says of itself.
#[derive(Clone, Default)]
struct Listener {
    /// Whether the list of tools has changed since it was read.
    changed: Arc<AtomicBool>,
    calls: Calls,
}

/// The calls under way, for their progress.
type Calls = Arc<Mutex<HashMap<ProgressToken, ToolCall>>>;

/// A request that is under way. Dropped before its answer, it is cancelled at the server.
struct UnderWay {
    peer: Peer<RoleClient>,
    request: Option<RequestId>,
    token: ProgressToken,
    calls: Calls,
}

// === impl Connection ===

impl Connection {
    /// Connects and shakes hands, `within` that time.
    pub(crate) async fn open(transport: &Transport, within: Duration) -> Result<Self, ConnectionError> {
        let opened = timeout(within, Self::handshake(transport)).await;
        opened.map_err(|_| ConnectionError::Silent(within))?
    }

    async fn handshake(transport: &Transport) -> Result<Self, ConnectionError> {
        let listener = Listener::default();
        let lost = |error: &dyn std::fmt::Display| ConnectionError::Lost(error.to_string());
        let service = match transport {
            Transport::Program { program, arguments, environment } => {
                let mut command = Command::new(program);
                command.args(arguments).envs(environment.iter().cloned());
                // What the program writes beside the protocol may be anybody's words.
                let builder = TokioChildProcess::builder(command).stderr(Stdio::null());
                let (child, _) =
                    builder.spawn().map_err(|error| lost(&format!("{program} does not start: {error}")))?;
                listener.serve(child).await
            }
            Transport::Http { url, authorization } => {
                // A process has one provider of cryptography; whoever came first has chosen the same.
                let _ = rustls::crypto::ring::default_provider().install_default();
                let client = reqwest::Client::builder().build().map_err(|error| lost(&error))?;
                let client = AuthorizedClient { client, authorization: authorization.clone() };
                let config = StreamableHttpClientTransportConfig::with_uri(url.as_str());
                listener.serve(StreamableHttpClientTransport::with_client(client, config)).await
            }
        };
        service.map(|service| Self { service }).map_err(|error| lost(&error))
    }

    /// Whether it is known to be over.
    pub(crate) fn is_over(&self) -> bool {
        self.service.is_closed() || self.service.peer().is_transport_closed()
    }

    /// Whether the list of tools has to be read again; asking settles it.
    pub(crate) fn take_changed(&self) -> bool {
        self.service.service().changed.swap(false, Ordering::SeqCst)
    }

    /// All tools, page after page.
    pub(crate) async fn tools(&self, within: Duration) -> Result<Vec<Tool>, ConnectionError> {
        let listed = timeout(within, self.service.peer().list_all_tools()).await;
        listed.map_err(|_| ConnectionError::Silent(within))?.map_err(|error| failed(error, within))
    }

    /// Calls a tool. Dropped before the answer, the call is cancelled at the server as well.
    pub(crate) async fn call(
        &self,
        name: &str,
        arguments: serde_json::Map<String, Value>,
        call: &ToolCall,
        within: Duration,
    ) -> Result<CallToolResult, ConnectionError> {
        let params = CallToolRequestParams::new(name.to_owned()).with_arguments(arguments);
        let request = ClientRequest::CallToolRequest(CallToolRequest::new(params));
        let peer = self.service.peer();
        let sent = peer.send_cancellable_request(request, PeerRequestOptions::no_options()).await;
        let handle = sent.map_err(|error| failed(error, within))?;
        let calls = Arc::clone(&self.service.service().calls);
        let under_way = UnderWay::begin(peer.clone(), handle.id.clone(), handle.progress_token.clone(), calls, call);
        let answered = timeout(within, handle.rx).await.map_err(|_| ConnectionError::Silent(within))?;
        under_way.end();
        match answered {
            Ok(Ok(ServerResult::CallToolResult(result))) => Ok(result),
            Ok(Ok(_)) => Err(ConnectionError::Refused("it answers with something else than a result".to_owned())),
            Ok(Err(error)) => Err(failed(error, within)),
            Err(_) => Err(ConnectionError::Lost("the connection was closed".to_owned())),
        }
    }
}

fn failed(error: ServiceError, within: Duration) -> ConnectionError {
    match error {
        ServiceError::McpError(error) => ConnectionError::Refused(error.message.into_owned()),
        ServiceError::Timeout { .. } => ConnectionError::Silent(within),
        other => ConnectionError::Lost(other.to_string()),
    }
}

// === impl Listener ===

impl ClientHandler for Listener {
    async fn on_tool_list_changed(&self, _context: NotificationContext<RoleClient>) {
        self.changed.store(true, Ordering::SeqCst);
    }

    async fn on_progress(&self, told: ProgressNotificationParam, _context: NotificationContext<RoleClient>) {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(call) = calls.get(&told.progress_token) {
            call.progress(told.message.unwrap_or_else(|| match told.total {
                Some(total) => format!("{} of {total}", told.progress),
                None => told.progress.to_string(),
            }));
        }
    }
}

// === impl UnderWay ===

impl UnderWay {
    fn begin(peer: Peer<RoleClient>, id: RequestId, token: ProgressToken, calls: Calls, call: &ToolCall) -> Self {
        calls.lock().unwrap_or_else(PoisonError::into_inner).insert(token.clone(), call.clone());
        Self { peer, request: Some(id), token, calls }
    }

    /// The answer has come: there is nothing to cancel.
    fn end(mut self) {
        self.request = None;
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.token);
        if let (Some(id), Ok(runtime)) = (self.request.take(), tokio::runtime::Handle::try_current()) {
            let peer = self.peer.clone();
            let reason = Some("the turn it was a part of is over".to_owned());
            runtime.spawn(async move {
                // A server that has gone needs no cancelling.
                let _ = peer.notify_cancelled(CancelledNotificationParam::new(Some(id), reason)).await;
            });
        }
    }
}
