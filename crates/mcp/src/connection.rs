//! One connection to a server, from the first greeting to its end.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use agentcore_core::tool::{ToolCall, ToolFailure, ToolOutput};
use rmcp::model::{
    CallToolRequest, CallToolRequestParams, ClientCapabilities, ClientConfig, ClientRequest, ErrorCode, ErrorData,
    Implementation, JsonObject, ProgressNotificationParam, ProgressToken, ProtocolVersion, ServerResult,
    SubscriptionFilter,
};
use rmcp::service::{
    ClientInitializeError, ClientLifecycleMode, NotificationContext, Peer, PeerRequestOptions, RequestHandle,
    RoleClient, RunningService, ServiceError, Subscription, serve_client_with_lifecycle,
};
use rmcp::{ClientHandler, model::Tool};
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::departure::{Departing, Departure};
use crate::http_server::{causes, has_not_arrived, reason, refusal};
use crate::link::Link;
use crate::result;
use crate::server::{Timeouts, Transport};

/// A connection that has been made. It ends when it is dropped.
pub(crate) struct Connection {
    service: RunningService<RoleClient, Listener>,
    heard: Arc<Heard>,
}

/// Why there is no connection, for the log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("its program does not start: {0}")]
    Start(#[source] std::io::Error),
    #[error("no HTTP client can be made: {0}")]
    Client(#[source] reqwest::Error),
    #[error("it did not greet us: {}", greeting_failure(.0))]
    Greeting(#[source] Box<ClientInitializeError>),
    #[error("it did not list its tools: {}", request_failure(.0))]
    Listing(#[source] ServiceError),
    #[error("it took longer than {0:?}")]
    TooSlow(Duration),
}

/// Why a call has no result.
pub(crate) enum CallError {
    /// The connection is gone, and the server has not seen the call.
    NotSent,
    /// The connection is gone, and nobody knows what became of the call.
    Lost,
    /// The server is there, and this is for the model.
    Failed(ToolFailure),
}

/// What comes from the server unasked.
pub(crate) struct Heard {
    link: Weak<Link>,
    progress: Mutex<HashMap<ProgressToken, Waiting>>,
    list_changed: AtomicBool,
}

/// A call that waits for its answer.
struct Waiting {
    call: ToolCall,
    /// How far the server has said it is. It only grows; what says less was overtaken on its way.
    reached: f64,
}

/// Whom rmcp tells what comes.
struct Listener(Arc<Heard>);

// === impl Connection ===

impl Connection {
    /// Connects and greets. rmcp asks first whether the server speaks the newest protocol, which needs no
    /// greeting, and falls back to the one that does.
    pub(crate) async fn open(
        namespace: &str,
        transport: &Transport,
        timeouts: &Timeouts,
        link: Weak<Link>,
    ) -> Result<Self, ConnectError> {
        let heard = Arc::new(Heard { link, progress: Mutex::default(), list_changed: AtomicBool::new(false) });
        let listener = Listener(Arc::clone(&heard));
        let mode = ClientLifecycleMode::Auto {
            preferred_versions: vec![ProtocolVersion::LATEST],
            legacy_version: Some(ProtocolVersion::LATEST_WITH_INITIALIZE),
        };
        let greeting = async {
            match transport {
                Transport::Stdio(server) => {
                    let process = server.start(namespace).map_err(ConnectError::Start)?;
                    serve_client_with_lifecycle(listener, Departing(process), mode)
                        .await
                        .map_err(ConnectError::greeting)
                }
                Transport::Http(server) => {
                    let transport = server.connect().map_err(ConnectError::Client)?;
                    serve_client_with_lifecycle(listener, Departing(transport), mode)
                        .await
                        .map_err(ConnectError::greeting)
                }
            }
        };
        let greeted = timeout(timeouts.connect, greeting).await;
        let service = greeted.map_err(|_| ConnectError::TooSlow(timeouts.connect))??;
        let connection = Self { service, heard };
        // rmcp would answer from a cache of its own; when to list is decided here.
        connection.peer().set_response_cache_config(rmcp::service::ClientCacheConfig::disabled()).await;
        Ok(connection)
    }

    /// The server's tools, all pages of them.
    pub(crate) async fn list(&self, timeouts: &Timeouts) -> Result<Vec<Tool>, ConnectError> {
        self.heard.list_changed.store(false, Ordering::SeqCst);
        let listed = timeout(timeouts.list, self.peer().list_all_tools()).await;
        listed.map_err(|_| ConnectError::TooSlow(timeouts.list))?.map_err(ConnectError::Listing)
    }

    /// Whether the server has said since the last listing that its tools have changed.
    pub(crate) fn has_changed(&self) -> bool {
        self.heard.list_changed.load(Ordering::SeqCst)
    }

    /// Whether this is the connection that `heard` belongs to.
    pub(crate) fn hears(&self, heard: &Weak<Heard>) -> bool {
        std::ptr::eq(heard.as_ptr(), Arc::as_ptr(&self.heard))
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.service.is_closed() || self.peer().is_transport_closed()
    }

    /// In the newest protocol changes are told only to who asks for them.
    pub(crate) fn listen_for_changes(&self) {
        let Some(server) = self.peer().peer_info() else {
            return;
        };
        let tells = server.capabilities.tools.as_ref().is_some_and(|tools| tools.list_changed == Some(true));
        if tells && !server.protocol_version.has_initialize() {
            let (peer, heard) = (self.peer().clone(), Arc::downgrade(&self.heard));
            tokio::spawn(async move {
                let filter = SubscriptionFilter::builder().tools_list_changed().build();
                match peer.listen(filter).await {
                    Ok(subscription) => pass_on(subscription, heard).await,
                    Err(error) => tracing::debug!(%error, "an MCP server does not tell of changes"),
                }
            });
        }
    }

    /// Calls a tool and waits for what it answers. When this is dropped, the server is told to stop.
    pub(crate) async fn call(&self, tool: &str, call: &ToolCall) -> Result<ToolOutput, CallError> {
        let Some(arguments) = arguments(&call.input) else {
            let reason = "The arguments must be a JSON object.".to_owned();
            return Err(CallError::Failed(ToolFailure::InvalidInput(reason)));
        };
        let parameters = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
        let mut request = CallToolRequest::new(parameters);
        let departure = Departure::default();
        departure.go_with(&mut request.extensions);
        let request = ClientRequest::CallToolRequest(request);
        let sent = self.peer().send_request_with_option(request, PeerRequestOptions::no_options()).await;
        let mut call = InFlight::new(sent.map_err(|_| CallError::NotSent)?, call, &self.heard);
        match call.answer().await {
            Err(CallError::Lost) if !departure.has_left() => Err(CallError::NotSent),
            answered => answered,
        }
    }

    fn peer(&self) -> &Peer<RoleClient> {
        self.service.peer()
    }
}

/// A model may have written something else than an object.
fn arguments(input: &serde_json::Value) -> Option<JsonObject> {
    match input {
        serde_json::Value::Object(arguments) => Some(arguments.clone()),
        serde_json::Value::Null => Some(JsonObject::new()),
        _ => None,
    }
}

async fn pass_on(mut subscription: Subscription, heard: Weak<Heard>) {
    while let Ok(Some(_changed)) = subscription.next().await {
        match heard.upgrade() {
            Some(heard) => heard.tools_changed(),
            None => return,
        }
    }
    // Changes may be missed from here on. The next listing comes with the next connection.
    if let Some(link) = heard.upgrade().and_then(|heard| heard.link.upgrade()) {
        link.stream_ended(&heard);
    }
}

// === impl InFlight ===

/// A call that is under way.
struct InFlight<'a> {
    request: Option<RequestHandle<RoleClient>>,
    token: ProgressToken,
    heard: &'a Heard,
}

impl<'a> InFlight<'a> {
    fn new(request: RequestHandle<RoleClient>, call: &ToolCall, heard: &'a Heard) -> Self {
        let token = request.progress_token.clone();
        let waiting = Waiting { call: call.clone(), reached: f64::NEG_INFINITY };
        heard.progress().insert(token.clone(), waiting);
        Self { request: Some(request), token, heard }
    }

    async fn answer(&mut self) -> Result<ToolOutput, CallError> {
        let Some(request) = &mut self.request else {
            return Err(CallError::Lost);
        };
        let answered = (&mut request.rx).await;
        // It has been answered: there is nothing left to stop.
        self.request = None;
        match answered {
            Ok(Ok(result)) => output(result).map_err(|words| CallError::Failed(ToolFailure::Failed(words))),
            Ok(Err(error)) => Err(CallError::of(error)),
            Err(_closed) => Err(CallError::Lost),
        }
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.heard.progress().remove(&self.token);
        if let (Some(request), Ok(runtime)) = (self.request.take(), Handle::try_current()) {
            runtime.spawn(request.cancel(Some("nobody waits for the result any more".to_owned())));
        }
    }
}

/// What a tool answered, or what the model is told instead.
fn output(result: ServerResult) -> Result<ToolOutput, String> {
    match result {
        ServerResult::CallToolResult(result) => result::output(result),
        ServerResult::EmptyResult(_) => Ok(result::nothing()),
        ServerResult::InputRequiredResult(_) => {
            Err("The tool asks for more than its arguments, which cannot be given here.".to_owned())
        }
        _ => Err("The tool answered in a way that is not understood here.".to_owned()),
    }
}

// === impl ConnectError ===

impl ConnectError {
    fn greeting(error: ClientInitializeError) -> Self {
        Self::Greeting(Box::new(error))
    }
}

// === impl CallError ===

impl CallError {
    fn of(error: ServiceError) -> Self {
        match error {
            ServiceError::McpError(error) => Self::Failed(refused(&error)),
            ServiceError::TransportSend(error) => match refusal(error.error.as_ref()) {
                Some(reason) => {
                    Self::Failed(ToolFailure::failed(format!("The tool's server did not take the call: {reason}.")))
                }
                None if has_not_arrived(error.error.as_ref()) => Self::NotSent,
                None => Self::Lost,
            },
            _ => Self::Lost,
        }
    }
}

/// The server's own words are for the model: it may have got an argument wrong.
fn refused(error: &ErrorData) -> ToolFailure {
    let words = error.message.trim();
    match error.code {
        ErrorCode::INVALID_PARAMS => ToolFailure::InvalidInput(format!("The call was not accepted: {words}")),
        _ => ToolFailure::failed(format!("The tool's server failed: {words}")),
    }
}

fn greeting_failure(error: &ClientInitializeError) -> String {
    match error {
        ClientInitializeError::TransportError { error, .. } => reason(error.error.as_ref()),
        ClientInitializeError::LegacyFallbackFailed { fallback, .. } => greeting_failure(fallback),
        ClientInitializeError::ConnectionClosed(_) => "it ended".to_owned(),
        other => causes(other),
    }
}

fn request_failure(error: &ServiceError) -> String {
    match error {
        ServiceError::TransportSend(error) => reason(error.error.as_ref()),
        ServiceError::TransportClosed => "it ended".to_owned(),
        other => causes(other),
    }
}

// === impl Heard ===

impl Heard {
    fn tools_changed(&self) {
        self.list_changed.store(true, Ordering::SeqCst);
        if let Some(link) = self.link.upgrade() {
            link.list_again();
        }
    }

    fn progress(&self) -> MutexGuard<'_, HashMap<ProgressToken, Waiting>> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Listener ===

impl ClientHandler for Listener {
    fn get_info(&self) -> ClientConfig {
        let us = Implementation::new("vitracka", env!("CARGO_PKG_VERSION"));
        ClientConfig::new(ClientCapabilities::default(), us)
    }

    async fn on_progress(&self, progress: ProgressNotificationParam, _context: NotificationContext<RoleClient>) {
        let mut all = self.0.progress();
        let Some(waiting) = all.get_mut(&progress.progress_token) else {
            return;
        };
        if progress.progress > waiting.reached {
            waiting.reached = progress.progress;
            waiting.call.progress(match (progress.message, progress.total) {
                (Some(message), _) => message,
                (None, Some(total)) => format!("{} of {total}", progress.progress),
                (None, None) => progress.progress.to_string(),
            });
        }
    }

    async fn on_tool_list_changed(&self, _context: NotificationContext<RoleClient>) {
        self.0.tools_changed();
    }
}
