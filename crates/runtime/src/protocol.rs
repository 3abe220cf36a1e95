//! The server protocols of AgentCore: which of them a process speaks, and where it is expected.
//!
//! A runtime speaks one of them, named by `AGENTCORE_PROTOCOL` as in `CreateAgentRuntime`. Each beside HTTP is a feature
//! of this crate, so that an agent carries nothing that it does not speak.

use std::fmt;
use std::str::FromStr;

use agentcore_core::agent::Agent;
use axum::Router;

#[cfg(feature = "a2a")]
use crate::a2a;
#[cfg(feature = "ag-ui")]
use crate::ag_ui;
use crate::http::{self, Http};
#[cfg(feature = "mcp")]
use crate::mcp;

/// A server protocol of AgentCore.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Protocol {
    /// AgentCore's own: `POST /invocations` on port 8080.
    #[default]
    Http,
    /// The Model Context Protocol: streamable HTTP at `POST /mcp` on port 8000. The agent is a tool.
    #[cfg(feature = "mcp")]
    Mcp,
    /// The Agent2Agent Protocol: JSON-RPC at `POST /` on port 9000, and the agent's card.
    #[cfg(feature = "a2a")]
    A2a,
    /// The Agent-User Interaction Protocol: `RunAgentInput` at `POST /invocations` on port 8080, and a run's events.
    #[cfg(feature = "ag-ui")]
    AgUi,
}

/// Why a protocol cannot be spoken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// AgentCore has no such protocol.
    #[error("AGENTCORE_PROTOCOL is {0}; it must be HTTP, MCP, A2A or AGUI")]
    Unknown(String),
    /// This program was built without it.
    #[error("AGENTCORE_PROTOCOL={protocol} needs a program that was built with `--features {feature}`")]
    NotBuiltIn {
        /// The protocol.
        protocol: &'static str,
        /// What to build it with.
        feature: &'static str,
    },
}

// === impl Protocol ===

impl Protocol {
    /// Where AgentCore expects a process that speaks it.
    pub fn port(self) -> u16 {
        match self {
            Self::Http => 8080,
            #[cfg(feature = "mcp")]
            Self::Mcp => 8000,
            #[cfg(feature = "a2a")]
            Self::A2a => 9000,
            #[cfg(feature = "ag-ui")]
            Self::AgUi => 8080,
        }
    }

    /// What is served.
    pub(crate) fn router<A: Agent>(self, http: Http<A>) -> Router {
        match self {
            Self::Http => http::router(http),
            #[cfg(feature = "mcp")]
            Self::Mcp => mcp::router(http),
            #[cfg(feature = "a2a")]
            Self::A2a => a2a::router(http),
            #[cfg(feature = "ag-ui")]
            Self::AgUi => ag_ui::router(http),
        }
    }
}

impl FromStr for Protocol {
    type Err = ProtocolError;

    fn from_str(name: &str) -> Result<Self, ProtocolError> {
        match name {
            "" | "HTTP" => Ok(Self::Http),
            #[cfg(feature = "mcp")]
            "MCP" => Ok(Self::Mcp),
            #[cfg(not(feature = "mcp"))]
            "MCP" => Err(ProtocolError::NotBuiltIn { protocol: "MCP", feature: "mcp" }),
            #[cfg(feature = "a2a")]
            "A2A" => Ok(Self::A2a),
            #[cfg(not(feature = "a2a"))]
            "A2A" => Err(ProtocolError::NotBuiltIn { protocol: "A2A", feature: "a2a" }),
            #[cfg(feature = "ag-ui")]
            "AGUI" => Ok(Self::AgUi),
            #[cfg(not(feature = "ag-ui"))]
            "AGUI" => Err(ProtocolError::NotBuiltIn { protocol: "AGUI", feature: "ag-ui" }),
            unknown => Err(ProtocolError::Unknown(unknown.to_owned())),
        }
    }
}

/// As AgentCore writes it.
impl fmt::Display for Protocol {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Http => "HTTP",
            #[cfg(feature = "mcp")]
            Self::Mcp => "MCP",
            #[cfg(feature = "a2a")]
            Self::A2a => "A2A",
            #[cfg(feature = "ag-ui")]
            Self::AgUi => "AGUI",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_protocol_has_agentcores_name() {
        assert_eq!(["", "HTTP"].map(str::parse), [Ok(Protocol::Http), Ok(Protocol::Http)]);
        assert_eq!(Protocol::Http.to_string().parse(), Ok(Protocol::Http));
        #[cfg(feature = "mcp")]
        assert_eq!(Protocol::Mcp.to_string().parse(), Ok(Protocol::Mcp));
        #[cfg(feature = "a2a")]
        assert_eq!(Protocol::A2a.to_string().parse(), Ok(Protocol::A2a));
        #[cfg(feature = "ag-ui")]
        assert_eq!(Protocol::AgUi.to_string().parse(), Ok(Protocol::AgUi));
    }

    #[test]
    fn what_cannot_be_spoken_is_told_with_what_to_do() {
        #[cfg(not(feature = "mcp"))]
        insta::assert_snapshot!(
            "MCP".parse::<Protocol>().expect_err("not built in"),
            @"AGENTCORE_PROTOCOL=MCP needs a program that was built with `--features mcp`"
        );
        #[cfg(not(feature = "a2a"))]
        insta::assert_snapshot!(
            "A2A".parse::<Protocol>().expect_err("not built in"),
            @"AGENTCORE_PROTOCOL=A2A needs a program that was built with `--features a2a`"
        );
        #[cfg(not(feature = "ag-ui"))]
        insta::assert_snapshot!(
            "AGUI".parse::<Protocol>().expect_err("not built in"),
            @"AGENTCORE_PROTOCOL=AGUI needs a program that was built with `--features ag-ui`"
        );
        let error = "grpc".parse::<Protocol>().expect_err("nobody speaks it here");
        insta::assert_snapshot!(error, @"AGENTCORE_PROTOCOL is grpc; it must be HTTP, MCP, A2A or AGUI");
    }
}
