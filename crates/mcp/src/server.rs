//! A server as an agent describes it, and the life of its connection.

use std::fmt;
use std::sync::{Arc, Mutex as SyncMutex, PoisonError};
use std::time::Duration;

use agentcore_core::agent::Secret;
use agentcore_core::aws::Aws;
use agentcore_core::tool::ToolSpec;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::authorization::Authorization;
use crate::connection::{Connection, ConnectionError, Transport};
use crate::name::namespaced;

/// How long a turn waits for a server that is not connected yet. Connecting goes on behind it.
const MOMENT: Duration = Duration::from_secs(3);

/// How long connecting may take in all: programs that are fetched before they start take their time.
const CONNECT: Duration = Duration::from_mins(1);

/// How long listing the tools may take.
const LIST: Duration = Duration::from_secs(10);

/// How long a call may take unless [`McpServer::within`] says otherwise.
const CALL: Duration = Duration::from_mins(1);

/// The longest pause before a server that was down is tried again; the first is a fraction of a second.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// The pause before the first new attempt, at the most.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// An MCP server whose tools are an agent's own. Clones share the connection.
#[derive(Clone)]
pub struct McpServer {
    description: Description,
    shared: Arc<Shared>,
}

#[derive(Clone)]
struct Description {
    name: String,
    transport: Transport,
    call_time: Duration,
}

#[derive(Default)]
struct Shared {
    life: Mutex<Life>,
    /// The tools as they were last listed: at hand while the server is not.
    known: SyncMutex<Vec<Listed>>,
}

/// A tool as it was listed.
#[derive(Clone)]
pub(crate) struct Listed {
    pub(crate) spec: ToolSpec,
    pub(crate) own_name: String,
}

/// The life of the connection.
#[derive(Default)]
enum Life {
    /// Nobody has asked for it yet.
    #[default]
    Unborn,
    Up(Arc<Connection>),
    /// It cannot be had; since how many attempts, why, and when it is tried again.
    Down {
        attempts: u32,
        reason: ConnectionError,
        until: Instant,
    },
}

// === impl McpServer ===

impl McpServer {
    /// A program that speaks MCP on its standard input and output. It is started when a turn first needs it, and again
    /// when it has ended. `name` stands before its tools' names.
    pub fn program<A: Into<String>>(
        name: impl Into<String>,
        program: impl Into<String>,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        let arguments = arguments.into_iter().map(Into::into).collect();
        Self::new(name, Transport::Program { program: program.into(), arguments, environment: Vec::new() })
    }

    /// A server that speaks streamable HTTP at `url`. `name` stands before its tools' names.
    pub fn http(name: impl Into<String>, url: impl Into<String>) -> Self {
        Self::new(name, Transport::Http { url: url.into(), authorization: Authorization::None })
    }

    fn new(name: impl Into<String>, transport: Transport) -> Self {
        let description = Description { name: name.into(), transport, call_time: CALL };
        Self { description, shared: Arc::default() }
    }

    /// One more variable of a program's environment.
    #[must_use]
    pub fn variable(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        if let Transport::Program { environment, .. } = &mut self.description.transport {
            environment.push((name.into(), value.into()));
        }
        self
    }

    /// Sends a bearer token with each request over HTTP. `token` is asked each time, so that it may be renewed.
    #[must_use]
    pub fn bearer(self, token: impl Fn() -> Secret + Send + Sync + 'static) -> Self {
        self.authorized(Authorization::Bearer(Arc::new(token)))
    }

    /// Signs each request over HTTP with the process's AWS credentials, as AgentCore Gateway wants it.
    #[must_use]
    pub fn signed(self, aws: Arc<Aws>) -> Self {
        self.authorized(Authorization::Signed(aws))
    }

    /// How long a call may take; a minute when not said.
    #[must_use]
    pub fn within(mut self, time: Duration) -> Self {
        self.description.call_time = time;
        self
    }

    fn authorized(mut self, with: Authorization) -> Self {
        if let Transport::Http { authorization, .. } = &mut self.description.transport {
            *authorization = with;
        }
        self
    }

    /// The name before its tools' names.
    pub(crate) fn name(&self) -> &str {
        &self.description.name
    }

    pub(crate) fn call_time(&self) -> Duration {
        self.description.call_time
    }

    /// A connection, within a `moment`; connecting goes on behind it.
    pub(crate) async fn connection(&self, moment: Duration) -> Result<Arc<Connection>, ConnectionError> {
        let this = self.clone();
        let connecting = tokio::spawn(async move { this.connected().await });
        match timeout(moment, connecting).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(panicked)) => Err(ConnectionError::Lost(panicked.to_string())),
            Err(_) => Err(ConnectionError::Silent(moment)),
        }
    }

    /// The connection that is there, or a new one; an error at once while the server is left alone.
    async fn connected(&self) -> Result<Arc<Connection>, ConnectionError> {
        let mut life = self.shared.life.lock().await;
        let attempts = match &*life {
            Life::Up(connection) if !connection.is_over() => return Ok(Arc::clone(connection)),
            Life::Down { reason, until, .. } if Instant::now() < *until => return Err(reason.clone()),
            Life::Down { attempts, .. } => *attempts,
            Life::Unborn | Life::Up(_) => 0,
        };
        match self.connect().await {
            Ok(connection) => {
                let connection = Arc::new(connection);
                *life = Life::Up(Arc::clone(&connection));
                Ok(connection)
            }
            Err(reason) => {
                if attempts == 0 {
                    tracing::warn!(server = self.name(), error = %reason, "an MCP server is down; turns go on without it");
                }
                let until = Instant::now() + pause(attempts);
                *life = Life::Down { attempts: attempts + 1, reason: reason.clone(), until };
                Err(reason)
            }
        }
    }

    async fn connect(&self) -> Result<Connection, ConnectionError> {
        let connection = Connection::open(&self.description.transport, CONNECT).await?;
        self.list(&connection).await?;
        tracing::info!(server = self.name(), tools = self.known().len(), "an MCP server is connected");
        Ok(connection)
    }

    async fn list(&self, connection: &Connection) -> Result<(), ConnectionError> {
        let listed = connection.tools(LIST).await?.into_iter().map(|tool| Listed {
            spec: ToolSpec {
                name: namespaced(self.name(), &tool.name),
                description: tool.description.as_deref().unwrap_or_default().to_owned(),
                input_schema: serde_json::Value::Object((*tool.input_schema).clone()),
            },
            own_name: tool.name.into_owned(),
        });
        *self.shared.known.lock().unwrap_or_else(PoisonError::into_inner) = listed.collect();
        Ok(())
    }

    /// The connection broke under a call: the next turn makes another.
    pub(crate) async fn broke(&self, connection: &Arc<Connection>) {
        let mut life = self.shared.life.lock().await;
        if matches!(&*life, Life::Up(current) if Arc::ptr_eq(current, connection)) {
            *life = Life::Unborn;
        }
    }

    fn known(&self) -> Vec<Listed> {
        self.shared.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The tools as they are now: listed again where they have changed, and as they were last where the server is not
    /// at hand.
    pub(crate) async fn listed(&self) -> Vec<Listed> {
        if let Ok(connection) = self.connection(MOMENT).await
            && connection.take_changed()
            && let Err(error) = self.list(&connection).await
        {
            tracing::warn!(server = self.name(), error = %error, "the tools of an MCP server cannot be listed again");
            self.broke(&connection).await;
        }
        self.known()
    }
}

impl fmt::Debug for McpServer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("McpServer").field("name", &self.description.name).finish_non_exhaustive()
    }
}

/// How long a server is left alone after so many failed attempts: anything up to twice as long each time, so that
/// many processes don't come back at once.
fn pause(attempts: u32) -> Duration {
    let longest = FIRST_PAUSE.saturating_mul(1 << attempts.min(16)).min(LONGEST_PAUSE);
    let share = getrandom::u32().unwrap_or(u32::MAX);
    longest.mul_f64(f64::from(share) / f64::from(u32::MAX))
}
