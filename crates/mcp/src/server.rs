//! A server as an agent has it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use agentcore_core::model::retry::Backoff;
use agentcore_core::tool::{DEFAULT_TOOL_TIMEOUT, Tool, ToolSource};
use futures::future::BoxFuture;

use crate::http_server::HttpServer;
use crate::link::Link;
use crate::name::Namespace;
use crate::stdio_server::StdioServer;
use crate::tool::McpTool;

/// An MCP server whose tools an agent offers to its model. Clones share the connection.
#[derive(Clone)]
pub struct McpServer(Arc<Link>);

/// How a server is reached.
#[derive(Debug, Clone)]
pub enum Transport {
    /// As a process of ours.
    Stdio(StdioServer),
    /// Over HTTP.
    Http(HttpServer),
}

/// How long to wait for a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection, the start of a process included. Default 20 s: a server that knows nothing of the
    /// newest protocol and is silent about it is greeted the old way after 10 s.
    pub connect: Duration,
    /// For a list of its tools. Default 10 s.
    pub list: Duration,
    /// For a call's result. Default [`DEFAULT_TOOL_TIMEOUT`].
    pub call: Duration,
    /// How long a turn is held up by a server that is being reached or listed. Default 3 s: an interpreter
    /// starts in that time.
    pub turn: Duration,
    /// The longest first and the longest last pause between two attempts to reach a server that is down.
    /// Default 0.5 s to 60 s.
    pub backoff: Backoff,
}

// === impl McpServer ===

impl McpServer {
    /// A server whose tools the model knows as `{namespace}__{tool}`. Nothing is started yet.
    ///
    /// # Panics
    /// When the namespace is not of 1 to 24 of `a-z`, `A-Z`, `0-9`, `_` and `-`, has `__` in it or ends in `_`.
    pub fn new(namespace: &str, transport: impl Into<Transport>) -> Self {
        Self::with_timeouts(namespace, transport, Timeouts::default())
    }

    /// The same with other times to wait.
    ///
    /// # Panics
    /// As [`Self::new`].
    pub fn with_timeouts(namespace: &str, transport: impl Into<Transport>, timeouts: Timeouts) -> Self {
        let Some(parsed) = Namespace::parse(namespace) else {
            panic!(
                "`{namespace}` is no namespace: it must be of 1 to 24 of a-z, A-Z, 0-9, _ and -, without __ and \
                 without _ at its end"
            );
        };
        Self(Arc::new(Link::new(parsed, transport.into(), timeouts)))
    }

    /// The server's tools, for a turn: connects where there is no connection and lists where something has
    /// changed, and waits for that up to [`Timeouts::turn`] at the most, and not for a server that has been
    /// down for a while. What is known then is given; it is empty where nothing is.
    pub async fn tools(&self) -> Vec<Arc<dyn Tool>> {
        self.0.wake();
        self.0.settle().await;
        self.known()
    }

    /// The server's tools as far as they are known now. Where there is no connection, one is begun in the
    /// background, if this is called within a Tokio runtime, as an agent's `turn` is.
    pub fn known_tools(&self) -> Vec<Arc<dyn Tool>> {
        self.0.wake();
        self.known()
    }

    fn known(&self) -> Vec<Arc<dyn Tool>> {
        let tool = |card| Arc::new(McpTool::new(Arc::clone(&self.0), card)) as Arc<dyn Tool>;
        self.0.tools().into_iter().map(tool).collect()
    }
}

impl ToolSource for McpServer {
    fn tools(&self) -> BoxFuture<'_, Vec<Arc<dyn Tool>>> {
        Box::pin(self.tools())
    }
}

impl fmt::Debug for McpServer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("McpServer")
            .field("namespace", &self.0.namespace().as_str())
            .field("transport", self.0.transport())
            .finish_non_exhaustive()
    }
}

// === impl Transport ===

impl From<StdioServer> for Transport {
    fn from(server: StdioServer) -> Self {
        Self::Stdio(server)
    }
}

impl From<HttpServer> for Transport {
    fn from(server: HttpServer) -> Self {
        Self::Http(server)
    }
}

// === impl Timeouts ===

impl Default for Timeouts {
    fn default() -> Self {
        let backoff = Backoff::new(Duration::from_millis(500), Duration::from_mins(1));
        Self {
            connect: Duration::from_secs(20),
            list: Duration::from_secs(10),
            call: DEFAULT_TOOL_TIMEOUT,
            turn: Duration::from_secs(3),
            backoff: backoff.unwrap_or(Backoff::DEFAULT),
        }
    }
}
