//! What a local AWS is started with. Every value here has been checked when it exists: an agent's
//! name is one that AgentCore would take, so nothing behind it asks again.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;

use crate::bedrock::Guardrail;
use crate::protocol::Protocol;

/// How a local AWS is set up. [`LocalConfig::default`] has no agents and keeps nothing on disk.
#[derive(Debug, Clone)]
pub struct LocalConfig {
    /// Where to listen. Port 0 picks a free one.
    pub address: SocketAddr,
    /// Who may connect.
    pub exposure: Exposure,
    /// Names beside `localhost` that a `Host` header may carry, as `host.docker.internal`.
    pub allowed_hosts: Vec<String>,
    /// Where memory events are kept, in `memory.redb`; without one they live as long as the server.
    pub data_directory: Option<PathBuf>,
    /// The hosted agents.
    pub agents: Vec<Agent>,
    /// Other names agents answer to.
    pub aliases: BTreeMap<AgentName, AgentName>,
    /// What agents find in `AWS_REGION`.
    pub region: String,
    /// How long Memory keeps an event.
    pub retention: Duration,
    /// The clocks of a session.
    pub times: SessionTimes,
    /// The guardrails that model calls may name.
    pub guardrails: Vec<Guardrail>,
    /// What becomes of agents' traces.
    pub traces: Traces,
}

/// Who may connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Exposure {
    /// Programs on this machine.
    #[default]
    LoopbackOnly,
    /// Whoever reaches the address, without any proof of who they are: containers, an isolated
    /// network. Agents and what they remember are open to all of them.
    Anyone,
}

/// What becomes of agents' traces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Traces {
    /// They go where the environment of whoever started this sends them, or nowhere.
    #[default]
    LeftAlone,
    /// They come here and become notices, unless that environment [sends them elsewhere](crate::traces::sent_elsewhere).
    Told,
}

/// The clocks of a session. The defaults are AgentCore's own where the service states one.
#[derive(Debug, Clone, Copy)]
pub struct SessionTimes {
    /// A session without activity this long is ended. The service's default: 900 s.
    pub idle_timeout: Duration,
    /// An agent answers `/ping` within this time of its start. 30 s, the service's shortest.
    pub start_timeout: Duration,
    /// Between pings. The service polls about every 2 s.
    pub ping_interval: Duration,
    /// From SIGTERM to SIGKILL. 5 s; the service says "soon".
    pub stop_grace: Duration,
    /// No session lives longer. The service's bound: 28 800 s.
    pub maximum_lifetime: Duration,
}

/// A hosted agent.
#[derive(Debug, Clone)]
pub struct Agent {
    /// The runtime name it is invoked by.
    pub name: AgentName,
    /// How it runs.
    pub source: AgentSource,
    /// What it speaks.
    pub protocol: Protocol,
}

/// How an agent runs.
#[derive(Debug, Clone)]
pub enum AgentSource {
    /// A program of which every session gets a process. It serves the agent's
    /// protocol, which it is told in `AGENTCORE_PROTOCOL`, on the port in `PORT`.
    Command {
        /// The program, searched in `PATH` when it is a bare name.
        program: String,
        /// Its arguments.
        arguments: Vec<String>,
        /// Variables it finds beside, and over, those every agent gets.
        environment: BTreeMap<String, String>,
    },
    /// Something that runs already, by its `http://` base address. Its process is left alone, it
    /// shares one among all sessions, and its calls can't be told apart by session.
    Url(Uri),
}

/// A runtime name: a letter, then up to 47 letters, digits and underscores.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AgentName(Arc<str>);

/// A text that is no [`AgentName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` cannot name an agent: a name begins with a letter and has at most 48 letters, digits and underscores")]
pub struct AgentNameError(String);

// === impl LocalConfig ===

impl LocalConfig {
    /// The port `vitracka dev` is documented with.
    pub const DEFAULT_PORT: u16 = 4570;
}

impl Default for LocalConfig {
    fn default() -> Self {
        let alias = |name: &'static str| AgentName(Arc::from(name));
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, Self::DEFAULT_PORT)),
            exposure: Exposure::LoopbackOnly,
            allowed_hosts: Vec::new(),
            data_directory: None,
            agents: Vec::new(),
            // Existing callers of the test agent know it by the name its deployment once had.
            aliases: BTreeMap::from([(alias("agent"), alias("test_agent"))]),
            region: "eu-west-1".to_owned(),
            retention: Duration::from_hours(30 * 24),
            times: SessionTimes::default(),
            guardrails: Vec::new(),
            traces: Traces::default(),
        }
    }
}

// === impl SessionTimes ===

impl Default for SessionTimes {
    fn default() -> Self {
        Self {
            idle_timeout: Duration::from_mins(15),
            start_timeout: Duration::from_secs(30),
            ping_interval: Duration::from_secs(2),
            stop_grace: Duration::from_secs(5),
            maximum_lifetime: Duration::from_hours(8),
        }
    }
}

// === impl AgentName ===

impl AgentName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AgentName {
    type Err = AgentNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let begins_with_letter = text.starts_with(|c: char| c.is_ascii_alphabetic());
        let of_word_characters = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if begins_with_letter && of_word_characters && text.len() <= 48 {
            Ok(Self(Arc::from(text)))
        } else {
            Err(AgentNameError(text.to_owned()))
        }
    }
}

impl fmt::Display for AgentName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

impl fmt::Debug for AgentName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, formatter)
    }
}
