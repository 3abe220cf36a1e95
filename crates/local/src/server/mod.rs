//! The server that holds the services together: one port, one address, one end.

mod gate;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::middleware::{from_fn, from_fn_with_state};
use http::StatusCode;
use tokio::net::TcpListener;
use tokio::sync::broadcast;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::AbortOnDropHandle;

use self::gate::Gate;
use crate::aws_error::AwsError;
use crate::bedrock::{self, Bedrock};
use crate::config::{Agent, AgentName, Exposure, LocalConfig};
use crate::door::{self, Door};
use crate::memory::{self, StoreError};
use crate::notice::{Notice, Notices};
use crate::request_id::with_request_id;
use crate::sessions::{Attribution, BaseAddressError, Host, Hosted, Sessions, Settings};
use crate::traces;
use crate::watch::SessionWatch;

/// How long open connections may take to finish once every agent is gone.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// A local AWS that is up.
///
/// Dropped, it stops listening at once and its agents are killed without a chance to finish;
/// [`Local::shutdown`] is the orderly end.
#[derive(Debug)]
pub struct Local {
    address: SocketAddr,
    notices: Notices,
    sessions: Sessions,
    memory: memory::Store,
    stop_accepting: DropGuard,
    server: AbortOnDropHandle<io::Result<()>>,
    _kill_agents: DropGuard,
}

/// Why a local AWS cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another program listens there.
    #[error(
        "{address} is in use, perhaps by another local AWS; stop that one, or choose another port (0 picks a free one)"
    )]
    AddressInUse {
        /// The address asked for.
        address: SocketAddr,
    },
    /// The address cannot be listened on.
    #[error("{address} cannot be listened on: {source}")]
    CannotListen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The address can be reached from other machines.
    #[error(
        "{address} can be reached from other machines, and nobody has to prove who they are here; listen on 127.0.0.1, or allow it on purpose"
    )]
    NotLoopback {
        /// The address asked for.
        address: SocketAddr,
    },
    /// Two agents have one name.
    #[error("there are two agents called {0}; give one of them another name")]
    DuplicateAgent(AgentName),
    /// An agent's base address is none.
    #[error("agent {agent}: {reason}")]
    AgentAddress {
        /// The agent.
        agent: AgentName,
        /// What is wrong, with an example of what is right.
        reason: String,
    },
    /// The memory cannot be kept.
    #[error(transparent)]
    Memory(#[from] StoreError),
}

// === impl Local ===

impl Local {
    /// Starts listening, with `bedrock` to answer model calls.
    ///
    /// # Errors
    /// When the address, an agent or the data directory cannot be used. Nothing runs then.
    pub async fn start(config: LocalConfig, bedrock: Bedrock) -> Result<Self, StartError> {
        let hosts = hosts(config.agents)?;
        let listener = listen(config.address, config.exposure).await?;
        let cannot_listen = |source| StartError::CannotListen { address: config.address, source };
        let address = listener.local_addr().map_err(cannot_listen)?;
        let memory = memory::Store::open(config.data_directory.as_deref(), config.retention)?;
        let notices = Notices::new();
        let settings =
            Settings { endpoint: endpoint(address), region: config.region, times: config.times, traces: config.traces };
        let sessions = Sessions::new(hosts, settings, notices.clone());
        let door = Door { sessions: sessions.clone(), aliases: Arc::new(config.aliases), notices: notices.clone() };
        let gate = Gate::new(config.exposure, config.allowed_hosts);
        let watch = SessionWatch::new(Attribution::new(sessions.clone()), notices.clone());
        let router = door::router(door)
            .merge(memory::router(memory.clone()))
            .merge(traces::router(config.traces, notices.clone()))
            .merge(bedrock::router(bedrock.with_guardrails(config.guardrails).watched_by(Arc::new(watch))))
            .fallback(unknown_operation)
            .method_not_allowed_fallback(unknown_operation)
            .layer(from_fn_with_state(Arc::new(gate), gate::check))
            .layer(from_fn(with_request_id));
        let stop_accepting = CancellationToken::new();
        let stopping = stop_accepting.clone().cancelled_owned();
        let server = axum::serve(listener, router).with_graceful_shutdown(stopping);
        let server = AbortOnDropHandle::new(tokio::spawn(server.into_future()));
        let (stop_accepting, kill_agents) = (stop_accepting.drop_guard(), sessions.killed_on_drop());
        Ok(Self { address, notices, sessions, memory, stop_accepting, server, _kill_agents: kill_agents })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What happens from now on. A reader that falls 4096 notices behind loses the oldest.
    pub fn notices(&self) -> broadcast::Receiver<Notice> {
        self.notices.subscribe()
    }

    /// Ends every session's process, SIGTERM before SIGKILL, and stops listening. Meanwhile agents reach
    /// the services, so that what they have to store is stored. Then the data directory is free for
    /// another.
    pub async fn shutdown(self) {
        self.sessions.shut_down().await;
        drop(self.stop_accepting);
        // Clients that keep connections open are not waited for.
        if let Ok(Ok(Err(error))) = timeout(LAST_ANSWERS, self.server).await {
            tracing::error!(%error, "the local AWS stopped listening with an error");
        }
        self.memory.close().await;
    }
}

fn hosts(agents: Vec<Agent>) -> Result<BTreeMap<AgentName, Hosted>, StartError> {
    let mut hosts = BTreeMap::new();
    for Agent { name, source, protocol } in agents {
        let unusable =
            |error: BaseAddressError| StartError::AgentAddress { agent: name.clone(), reason: error.to_string() };
        let host = Host::try_from(source).map_err(unusable)?;
        if hosts.insert(name.clone(), Hosted { host, protocol }).is_some() {
            return Err(StartError::DuplicateAgent(name));
        }
    }
    Ok(hosts)
}

async fn listen(address: SocketAddr, exposure: Exposure) -> Result<TcpListener, StartError> {
    if exposure == Exposure::LoopbackOnly && !address.ip().is_loopback() {
        return Err(StartError::NotLoopback { address });
    }
    TcpListener::bind(address).await.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => StartError::AddressInUse { address },
        _ => StartError::CannotListen { address, source },
    })
}

/// How processes on this machine reach `address`.
fn endpoint(address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(address) if address.ip().is_unspecified() => format!("http://127.0.0.1:{}", address.port()),
        SocketAddr::V6(address) if address.ip().is_unspecified() => format!("http://[::1]:{}", address.port()),
        address => format!("http://{address}"),
    }
}

async fn unknown_operation(request: Request) -> AwsError {
    let message = format!("There is no {} {} here.", request.method(), request.uri().path());
    AwsError::new(StatusCode::NOT_FOUND, "UnknownOperationException", message)
}
