//! The life of the process: settings read, the port opened, turns served, and a quiet end.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use agentcore_core::activity::Activity;
use agentcore_core::agent::Agent;
use agentcore_core::aws::Aws;
use agentcore_core::memory::SessionMemory;
use agentcore_core::memory::agentcore::AgentCoreMemory;
#[cfg(feature = "file-memory")]
use agentcore_core::memory::file::{FileMemory, OpenError};
use agentcore_core::memory::process::ProcessMemory;
use agentcore_core::memory::sessions::{DEFAULT_QUEUE, Sessions};
use agentcore_core::model::Model;
use agentcore_core::model::resilient::Resilient;
use agentcore_core::settings::{DEFAULT_HISTORY_TOKENS, MemorySettings, Overruling, Settings, SettingsError};
use axum::Router;
use axum::serve::{Listener, ListenerExt as _};
use tokio::net::{TcpListener, TcpSocket};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::admission::{Admission, DEFAULT_PAYLOAD_BYTES, DEFAULT_TURNS};
#[cfg(feature = "jwt")]
use crate::bearer::Bearers;
use crate::connections;
use crate::health::Health;
#[cfg(feature = "websocket")]
use crate::http::websocket::{Conversations, Limits};
use crate::http::{Http, body};
use crate::invocation::Invoker;
use crate::lambda::{self, InvokeMode, LambdaError};
use crate::local_test;
use crate::protocol::{Protocol, ProtocolError};
use crate::telemetry::Telemetry;
use crate::telemetry::memory::WatchedMemory;
use crate::telemetry::model::WatchedModel;

/// How long turns may go on after SIGTERM unless `DRAIN_SECONDS` says otherwise. AgentCore follows soon
/// with SIGKILL; how soon is not documented.
const DRAIN: Duration = Duration::from_secs(5);

/// How long writes to memory may go on after the turns have ended.
const FLUSH: Duration = Duration::from_secs(3);

/// How long traces and metrics may still be handed over, when everything else is done.
const LAST_SIGNALS: Duration = Duration::from_secs(2);

/// How long a turn that is cut may take to notice, and the last answers to leave.
const FAREWELL: Duration = Duration::from_secs(1);

/// Serves `agent` as its environment says until SIGTERM or Ctrl-C, then ends quietly: all of an agent's
/// `main`. With `--local-test` on the command line it sends the agent's sample payload through the same
/// handler instead, prints the answer and exits, with status 0 if it was one.
///
/// # Errors
/// When the environment does not let the process start, or its port cannot be opened. Returned from
/// `main`, the error prints as a sentence.
pub async fn serve<A: Agent>(agent: A) -> Result<(), ServeError> {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        None => Server::from_environment(agent)?.run().await,
        Some("--local-test") => match Server::from_environment(agent)?.local_test().await {
            code if code == ExitCode::SUCCESS => Ok(()),
            _ => Err(ServeError::LocalTest),
        },
        Some(unknown) => Err(ServeError::UnknownArgument(unknown.to_owned())),
    }
}

/// An agent, ready to be served.
pub struct Server<A> {
    http: Http<A>,
    protocol: Protocol,
    address: SocketAddr,
    drain: Duration,
    /// Set where callers have to show tokens.
    #[cfg(feature = "jwt")]
    bearers: Option<Bearers>,
    /// Set where the process is a Lambda function's.
    function: Option<InvokeMode>,
}

/// A server that listens.
pub struct Listening<A> {
    server: Server<A>,
    listener: std::net::TcpListener,
    address: SocketAddr,
}

/// Why an agent cannot be served.
#[derive(thiserror::Error)]
pub enum ServeError {
    /// The environment says something that cannot be.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The protocol that is asked for cannot be spoken.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// The session file cannot be used.
    #[cfg(feature = "file-memory")]
    #[error(transparent)]
    Memory(#[from] OpenError),
    /// A session file is asked for, and the program cannot keep one.
    #[cfg(not(feature = "file-memory"))]
    #[error(
        "SESSION_MEMORY=file:{path} needs a program that was built with `--features file-memory`; on AgentCore set \
         BEDROCK_AGENTCORE_MEMORY_ID instead"
    )]
    NoFileMemory {
        /// The file.
        path: String,
    },
    /// Callers shall show tokens, and the program cannot check any.
    #[cfg(not(feature = "jwt"))]
    #[error(
        "JWT_DISCOVERY_URL needs a program that was built with `--features jwt`; on AgentCore leave it unset, and give the \
         runtime an authorizer"
    )]
    NoTokens,
    /// The port cannot be opened.
    #[error("cannot listen on {address}: {reason}; set PORT to a free port, or stop what uses this one")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        reason: String,
    },
    /// The process cannot serve a Lambda function.
    #[error(transparent)]
    Lambda(#[from] LambdaError),
    /// The threads of a server cannot be started.
    #[error("cannot start the server's thread: {0}")]
    Thread(#[source] std::io::Error),
    /// The sample payload was not answered.
    #[error("the local test failed; the lines above say why")]
    LocalTest,
    /// The command line says something that means nothing.
    #[error("unknown argument {0}; an agent takes none, or --local-test")]
    UnknownArgument(String),
}

// === impl ServeError ===

/// `main` prints errors with `Debug`; an operator should read a sentence.
impl fmt::Debug for ServeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

// === impl Server ===

impl<A: Agent> Server<A> {
    /// Reads the environment, and touches nothing else but a session file where one is set.
    ///
    /// # Errors
    /// When a setting cannot be used.
    pub fn from_environment(agent: A) -> Result<Self, ServeError> {
        let read = |name: &str| std::env::var(name).ok();
        let settings = Settings::read(read)?;
        let telemetry = Telemetry::begin(A::NAME, &settings.model.region, read);
        let aws = Arc::new(Aws::new(settings.model.region.clone()));
        let model = Arc::new(Resilient::from_settings(&settings.model, &aws));
        let model = Arc::new(WatchedModel::new(model, &settings.model, &telemetry));
        let memory: Arc<dyn SessionMemory> = match &settings.memory {
            MemorySettings::AgentCore { memory_id } => Arc::new(AgentCoreMemory::new(memory_id, aws)),
            #[cfg(feature = "file-memory")]
            MemorySettings::File(path) => Arc::new(FileMemory::open(path)?),
            #[cfg(not(feature = "file-memory"))]
            MemorySettings::File(path) => {
                return Err(ServeError::NoFileMemory { path: path.display().to_string() });
            }
            MemorySettings::Process => Arc::new(ProcessMemory::default()),
        };
        let memory = match settings.memory {
            // What a process keeps for itself takes no time that anybody would want to read of.
            MemorySettings::Process => memory,
            _ => Arc::new(WatchedMemory(memory)),
        };
        tracing::info!(
            agent = A::NAME,
            model = %settings.model.model_id,
            region = %settings.model.region,
            memory = %settings.memory,
            "agent configured"
        );
        let activity = Activity::default();
        let function = read(lambda::RUNTIME_API).map(|_| function(read)).transpose()?;
        let sessions = match function {
            Some(_) => Sessions::shared(memory, settings.history_tokens, activity.clone()),
            None => Sessions::new(memory, settings.history_tokens, activity.clone()),
        };
        let queue = parsed(read, "SESSION_QUEUE", "must be a whole number of invocations")?.unwrap_or(DEFAULT_QUEUE);
        let sessions = sessions.summarized_by(model.clone()).queue(queue);
        let mut server = Self::assemble(agent, model, sessions, activity).overruling(settings.model.overruling());
        server.function = function;
        server.protocol = read("AGENTCORE_PROTOCOL").unwrap_or_default().parse()?;
        server.address = SocketAddr::new(
            parsed(read, "HOST", "must be an IP address")?.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            parsed(read, "PORT", "must be a port number, 0 for any free one")?.unwrap_or(server.protocol.port()),
        );
        if let Some(seconds) = parsed::<u32>(read, "DRAIN_SECONDS", "must be a whole number of seconds")? {
            server.drain = Duration::from_secs(seconds.into());
        }
        server.http.invoker = limited(server.http.invoker, read)?;
        if let Some(seconds) =
            parsed::<NonZeroU32>(read, "REQUEST_TIMEOUT_SECONDS", "must be a whole number of seconds above 0")?
        {
            server.http.patience = Duration::from_secs(seconds.get().into());
        }
        server.http.debug = read("AGENTCORE_DEBUG").is_some_and(|value| value == "1");
        server.http.telemetry = telemetry;
        #[cfg(feature = "a2a")]
        {
            server.http.runtime_url = runtime_url(read)?;
        }
        #[cfg(feature = "websocket")]
        {
            server.http.conversations = conversations(read)?;
        }
        server.asking_for_tokens(read)
    }

    /// Asks callers for tokens where the environment says so, or does not start: an agent that an operator believes to be
    /// closed must not be open.
    fn asking_for_tokens(self, read: impl Fn(&str) -> Option<String>) -> Result<Self, ServeError> {
        let Some(url) = read("JWT_DISCOVERY_URL").filter(|url| !url.is_empty()) else { return Ok(self) };
        if self.function.is_some() {
            let problem = "is not for Lambda: there the function URL or the API in front asks who calls; unset it";
            return Err(SettingsError::invalid("JWT_DISCOVERY_URL", &url, problem).into());
        }
        #[cfg(feature = "jwt")]
        return Ok(Self { bearers: Bearers::read(read)?, ..self });
        #[cfg(not(feature = "jwt"))]
        Err(ServeError::NoTokens)
    }

    /// An agent with a model and a memory of the caller's choosing, on a free loopback port: for tests,
    /// and for hosts of their own.
    pub fn new(agent: A, model: Arc<dyn Model>, memory: Arc<dyn SessionMemory>) -> Self {
        let activity = Activity::default();
        let sessions = Sessions::new(memory, DEFAULT_HISTORY_TOKENS, activity.clone());
        Self::assemble(agent, model, sessions, activity)
    }

    /// The same, with what the operator of a host of its own sets over what the agent asks for.
    #[must_use]
    pub fn overruling(mut self, overruling: Overruling) -> Self {
        self.http.invoker = self.http.invoker.overruled_by(overruling);
        self
    }

    fn assemble(agent: A, model: Arc<dyn Model>, sessions: Sessions, activity: Activity) -> Self {
        let health = Health::new(activity.clone());
        let invoker = Invoker::new(agent, model, sessions, activity);
        Self {
            http: Http {
                invoker,
                health,
                telemetry: Telemetry::default(),
                debug: false,
                patience: body::PATIENCE,
                #[cfg(feature = "a2a")]
                runtime_url: None,
                #[cfg(feature = "websocket")]
                conversations: Conversations::default(),
            },
            protocol: Protocol::default(),
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            drain: DRAIN,
            #[cfg(feature = "jwt")]
            bearers: None,
            function: None,
        }
    }

    /// Speaks `protocol`, as `AGENTCORE_PROTOCOL` does.
    #[must_use]
    pub fn speaking(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self
    }

    /// Answers debug actions, as `AGENTCORE_DEBUG=1` does.
    #[must_use]
    pub fn debug(mut self) -> Self {
        self.http.debug = true;
        self
    }

    /// Takes on so many turns at once, with payloads of so many bytes together, as `MAX_CONCURRENT_TURNS` and
    /// `MAX_PAYLOAD_BYTES` do.
    #[must_use]
    pub fn admitting(mut self, turns: usize, payload_bytes: usize) -> Self {
        self.http.invoker = self.http.invoker.admitting(Admission::new(turns, payload_bytes));
        self
    }

    /// Waits so long for a request's head, and for its payload, as `REQUEST_TIMEOUT_SECONDS` does.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.http.patience = patience;
        self
    }

    /// Lets turns go on for `bound` after the end has been asked for.
    #[must_use]
    pub fn drain(mut self, bound: Duration) -> Self {
        self.drain = bound;
        self
    }

    /// Serves until SIGTERM or Ctrl-C; on Lambda, until the process is ended there.
    ///
    /// # Errors
    /// When the port cannot be opened, or Lambda's runtime API fails.
    pub async fn run(self) -> Result<(), ServeError> {
        if let Some(invoke_mode) = self.function {
            self.http.invoker.prepare();
            return Ok(lambda::serve(self.http, invoke_mode).await?);
        }
        let end = CancellationToken::new();
        let protocol = self.protocol;
        let listening = self.listen()?;
        tracing::info!(agent = A::NAME, protocol = %protocol, address = %listening.address(), "agent listening");
        tokio::spawn({
            let end = end.clone();
            async move {
                asked_to_end().await;
                end.cancel();
            }
        });
        listening.serve_until(end).await
    }

    /// Opens the port.
    ///
    /// # Errors
    /// When it cannot be opened.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn listen(self) -> Result<Listening<A>, ServeError> {
        let refused = |error: std::io::Error| ServeError::Bind { address: self.address, reason: error.to_string() };
        let listener = listener(self.address).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        Ok(Listening { server: self, listener, address })
    }

    /// Serves the connections of a listener of the caller's own, in the runtime this is called in, until `end`; ends as
    /// [`Listening::serve_until`] does. For hosts of their own, and for tests without a network: there a whole process runs
    /// on one thread and on a clock of the test's.
    pub async fn serve_on<L: Listener<Addr: fmt::Debug>>(self, listener: L, end: CancellationToken) {
        let (wire, ending) = self.parts(end.clone());
        let served = AbortOnDropHandle::new(tokio::spawn(wire.serve(listener)));
        ending.follow(end, served).await;
    }

    fn parts(self, end: CancellationToken) -> (Wire, Ending<A>) {
        let invoker = self.http.invoker.clone();
        let ending = Ending { invoker, telemetry: self.http.telemetry.clone(), drain: self.drain };
        #[cfg(feature = "websocket")]
        let conversations = self.http.conversations.clone();
        #[cfg(feature = "websocket")]
        let http = self.http.closing_at(end.clone());
        #[cfg(not(feature = "websocket"))]
        let http = self.http;
        let patience = http.patience;
        let routes = self.protocol.router(http);
        #[cfg(feature = "jwt")]
        let routes = match self.bearers {
            Some(bearers) => bearers.before(routes),
            None => routes,
        };
        let wire = Wire {
            routes,
            patience,
            stop_accepting: end,
            #[cfg(feature = "websocket")]
            conversations,
        };
        (wire, ending)
    }

    /// Sends the agent's sample payload through the handler that serves callers, and prints the answer.
    pub async fn local_test(self) -> ExitCode {
        let sessions = self.http.invoker.sessions().clone();
        let code = local_test::run(self.http).await;
        sessions.close(FLUSH).await;
        code
    }
}

// === impl Listening ===

impl<A: Agent> Listening<A> {
    /// Where callers reach it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `end`, then stops accepting, lets turns finish within the drain bound, cuts the
    /// rest, and waits for memory.
    ///
    /// # Errors
    /// When the thread for HTTP cannot be started.
    pub async fn serve_until(self, end: CancellationToken) -> Result<(), ServeError> {
        let (wire, ending) = self.server.parts(end.clone());
        let (closed, is_closed) = tokio::sync::oneshot::channel();
        let listener = self.listener;
        let door = std::thread::Builder::new().name("http".into());
        door.spawn(move || {
            wire.serve_alone(listener);
            let _ = closed.send(());
        })
        .map_err(ServeError::Thread)?;
        ending.follow(end, is_closed).await;
        Ok(())
    }
}

/// What answers on the wire, until it is told to stop accepting.
struct Wire {
    routes: Router,
    /// How long the head of a request may take.
    patience: Duration,
    stop_accepting: CancellationToken,
    #[cfg(feature = "websocket")]
    conversations: Conversations,
}

/// What a server needs for its end.
struct Ending<A> {
    invoker: Invoker<A>,
    telemetry: Telemetry,
    drain: Duration,
}

// === impl Wire ===

impl Wire {
    /// Serves on this thread, apart from the threads that run turns.
    fn serve_alone(self, listener: std::net::TcpListener) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let served = runtime.and_then(|runtime| {
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener)?.tap_io(|connection| {
                    // Events are small and must not wait for each other.
                    let _ = connection.set_nodelay(true);
                });
                self.serve(listener).await;
                Ok(())
            })
        });
        if let Err(error) = served {
            tracing::error!(error_type = "ServerError", error = %error, "the server ended");
        }
    }

    /// Serves until every connection that was accepted is closed.
    async fn serve(self, listener: impl Listener) {
        connections::serve(listener, self.routes, self.patience, &self.stop_accepting).await;
        #[cfg(feature = "websocket")]
        self.conversations.ended().await;
    }
}

// === impl Ending ===

impl<A: Agent> Ending<A> {
    /// Waits for `end`, lets turns finish within the drain bound, cuts the rest, and waits for memory and, for a
    /// moment, until the wire `is_closed`.
    async fn follow<C>(self, end: CancellationToken, is_closed: impl Future<Output = C>) {
        let Self { invoker, telemetry, drain } = self;
        invoker.prepare();
        end.cancelled().await;
        tracing::info!(turns = invoker.turns().len(), "ending");
        invoker.turns().close();
        if timeout(drain, invoker.turns().wait()).await.is_err() {
            invoker.ending().cancel();
            let _ = timeout(FAREWELL, invoker.turns().wait()).await;
        }
        #[cfg(feature = "a2a")]
        {
            invoker.followers().close();
            let _ = timeout(FAREWELL, invoker.followers().wait()).await;
        }
        invoker.sessions().close(FLUSH).await;
        let _ = timeout(FAREWELL, is_closed).await;
        tracing::info!("ended");
        telemetry.flush(LAST_SIGNALS).await;
    }
}

/// Opens the port for a crowd that comes at once.
fn listener(address: SocketAddr) -> std::io::Result<std::net::TcpListener> {
    /// Connections that wait to be accepted; the standard library's 128 are too few for a thousand callers.
    const WAITING: u32 = 1_024;
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(WAITING)?.into_std()
}

/// Waits for SIGTERM or Ctrl-C.
pub async fn asked_to_end() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        let _ = tokio::signal::ctrl_c().await;
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

/// How much the operator lets it take on at once, and how long a turn may take.
fn limited<A: Agent>(
    invoker: Invoker<A>,
    read: impl Fn(&str) -> Option<String> + Copy,
) -> Result<Invoker<A>, SettingsError> {
    let turns = parsed(read, "MAX_CONCURRENT_TURNS", "must be a whole number of turns")?;
    let payload_bytes = parsed(read, "MAX_PAYLOAD_BYTES", "must be a whole number of bytes")?;
    let seconds = parsed::<NonZeroU32>(read, "TURN_TIMEOUT_SECONDS", "must be a whole number of seconds above 0")?;
    let admission = Admission::new(turns.unwrap_or(DEFAULT_TURNS), payload_bytes.unwrap_or(DEFAULT_PAYLOAD_BYTES));
    Ok(invoker.admitting(admission).within(seconds.map(|seconds| Duration::from_secs(seconds.get().into()))))
}

/// Where the agent's card says that it is reached.
#[cfg(feature = "a2a")]
fn runtime_url(read: impl Fn(&str) -> Option<String>) -> Result<Option<Arc<str>>, SettingsError> {
    const VARIABLE: &str = "AGENTCORE_RUNTIME_URL";
    let Some(url) = parsed::<axum::http::Uri>(&read, VARIABLE, "must be a URL")? else { return Ok(None) };
    if !matches!(url.scheme_str(), Some("http" | "https")) {
        return Err(SettingsError::invalid(VARIABLE, &url.to_string(), "must begin with http:// or https://"));
    }
    // As it was written: a client may compare it.
    Ok(read(VARIABLE).map(Arc::from))
}

/// How long a WebSocket may be silent.
#[cfg(feature = "websocket")]
fn conversations(read: impl Fn(&str) -> Option<String> + Copy) -> Result<Conversations, SettingsError> {
    let seconds = |variable: &'static str, default: Duration| {
        let seconds = parsed::<NonZeroU32>(read, variable, "must be a whole number of seconds above 0")?;
        Ok::<_, SettingsError>(seconds.map_or(default, |seconds| Duration::from_secs(seconds.get().into())))
    };
    let Limits { ping, idle } = Limits::default();
    let ping = seconds("WEBSOCKET_PING_SECONDS", ping)?;
    Ok(Conversations::within(Limits { ping, idle: seconds("WEBSOCKET_IDLE_SECONDS", idle)? }))
}

fn function(read: impl Fn(&str) -> Option<String>) -> Result<InvokeMode, SettingsError> {
    let mode =
        parsed(read, "FUNCTION_URL_INVOKE_MODE", "must be BUFFERED or RESPONSE_STREAM, as the function URL says")?;
    Ok(mode.unwrap_or_default())
}

fn parsed<T: std::str::FromStr>(
    read: impl Fn(&str) -> Option<String>,
    variable: &'static str,
    problem: &str,
) -> Result<Option<T>, SettingsError> {
    match read(variable).filter(|value| !value.is_empty()) {
        None => Ok(None),
        Some(value) => value.parse().map(Some).map_err(|_| SettingsError::invalid(variable, &value, problem)),
    }
}
