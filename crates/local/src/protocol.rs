//! The server protocols of AgentCore, as far as the door has to know them: which path of an agent a payload is for, and
//! what of it names a session.

use std::fmt;
use std::str::FromStr;

use http::HeaderName;

/// What an agent speaks. `CreateAgentRuntime` is told it in `serverProtocol`; the agent, in `AGENTCORE_PROTOCOL`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// AgentCore's own.
    #[default]
    Http,
    /// The Model Context Protocol.
    Mcp,
    /// The Agent2Agent Protocol.
    A2a,
    /// The Agent-User Interaction Protocol.
    AgUi,
}

/// A text that names no protocol of an agent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no protocol that an agent can be called by here; there are HTTP, MCP, A2A and AGUI")]
pub struct ProtocolError(String);

// === impl Protocol ===

impl Protocol {
    const ALL: [Self; 4] = [Self::Http, Self::Mcp, Self::A2a, Self::AgUi];

    /// The name, as AgentCore writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "HTTP",
            Self::Mcp => "MCP",
            Self::A2a => "A2A",
            Self::AgUi => "AGUI",
        }
    }

    /// Where an agent takes payloads.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Http | Self::AgUi => "/invocations",
            Self::Mcp => "/mcp",
            Self::A2a => "/",
        }
    }

    /// What names a session in the protocol itself, beside the header of AgentCore.
    pub(crate) fn session_id(self) -> Option<HeaderName> {
        match self {
            // A thread's id, or a context's, is in the payload, where the service does not look.
            Self::Http | Self::A2a | Self::AgUi => None,
            Self::Mcp => Some(HeaderName::from_static("mcp-session-id")),
        }
    }

    /// The headers of the protocol itself that pass beside those of the service's model.
    pub(crate) fn headers(self) -> impl Iterator<Item = HeaderName> {
        let names: &[_] = match self {
            // Those of MCP are in the service's model.
            Self::Http | Self::Mcp | Self::AgUi => &[],
            Self::A2a => &["a2a-version", "a2a-extensions"],
        };
        names.iter().map(|name| HeaderName::from_static(name))
    }

    /// Whether an agent has to serve `GET /ping`. AgentCore asks it of servers of MCP nowhere, and most have none.
    pub(crate) fn has_ping(self) -> bool {
        match self {
            Self::Http | Self::A2a | Self::AgUi => true,
            Self::Mcp => false,
        }
    }
}

impl FromStr for Protocol {
    type Err = ProtocolError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let named = Self::ALL.into_iter().find(|protocol| protocol.as_str() == name);
        named.ok_or_else(|| ProtocolError(name.to_owned()))
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}
