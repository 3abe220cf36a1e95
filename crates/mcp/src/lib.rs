//! Tools of MCP servers, as an agent's own.
//!
//! An MCP server is a program somebody else wrote that offers tools: over its standard input and output
//! ([`StdioServer`]) or over HTTP ([`HttpServer`]; AgentCore Gateway is one of these). A [`McpServer`]
//! makes [`Tool`](agentcore_core::tool::Tool)s of them that a model calls like any other. The protocol
//! itself is spoken by rmcp, the official SDK; an agent that uses no MCP does not link it.
//!
//! # In an agent
//!
//! Describe the servers when the agent is made, and give them to each turn as a source of tools:
//!
//! ```
//! use std::sync::Arc;
//!
//! use agentcore_core::agent::{Agent, Context};
//! use agentcore_core::payload::{PayloadError, Prompt};
//! use agentcore_core::turn::TurnRequest;
//! use agentcore_mcp::{McpServer, StdioServer};
//!
//! /// Answers questions about dates.
//! struct Calendar {
//!     time: Arc<McpServer>,
//! }
//!
//! impl Calendar {
//!     fn new() -> Self {
//!         let server = StdioServer::new("mcp-server-time").arg("--local-timezone=Europe/Dublin");
//!         Self { time: Arc::new(McpServer::new("time", server)) }
//!     }
//! }
//!
//! impl Agent for Calendar {
//!     type Payload = Prompt;
//!     const NAME: &str = "calendar";
//!
//!     fn turn(&self, payload: Prompt, _context: &Context) -> Result<TurnRequest, PayloadError> {
//!         Ok(TurnRequest::new(payload.text()?).tool_source(self.time.clone()))
//!     }
//! }
//! ```
//!
//! The model is told of `time__get_current_time` and `time__convert_time`: each name begins with the
//! server's, so that two servers can offer a tool of the same name.
//!
//! `tool_source` waits a moment for a server that is being reached for the first time. An agent that
//! must not wait at all takes what is known instead, which also begins to connect in the background:
//!
//! ```
//! # use std::sync::Arc;
//! # use agentcore_core::turn::TurnRequest;
//! # use agentcore_mcp::McpServer;
//! # fn turn(server: &McpServer) -> TurnRequest {
//! let mut request = TurnRequest::new("What is the time in Cork?");
//! for tool in server.known_tools() {
//!     request = request.shared_tool(tool);
//! }
//! # request
//! # }
//! ```
//!
//! # A server with a lock on its door
//!
//! ```no_run
//! # fn main() -> Result<(), agentcore_mcp::AddressError> {
//! use std::sync::Arc;
//!
//! use agentcore_core::agent::Secret;
//! use agentcore_core::aws::Aws;
//! use agentcore_core::model::residency::{Region, Residency};
//! use agentcore_mcp::{HttpServer, McpServer, SigV4};
//!
//! let token = Secret::new("from a safe place");
//! let wiki = McpServer::new("wiki", HttpServer::at("https://wiki.example/mcp")?.bearer(token));
//!
//! let region = Region::parse("eu-west-1", Residency::Eu).expect("it is in the EU");
//! let gateway = HttpServer::at("https://id.gateway.bedrock-agentcore.eu-west-1.amazonaws.com/mcp")?;
//! let gateway = McpServer::new("gateway", gateway.signed(SigV4::new(Arc::new(Aws::new(region)))));
//! # Ok(())
//! # }
//! ```
//!
//! A token that changes is a [`BearerToken`] of your own; it is asked before every request.
//!
//! # What happens when
//!
//! - **Nothing** is started or connected before a turn or a call needs it: AgentCore may snapshot a
//!   started process and revive it in many places.
//! - The tools are **listed once**, and again when the server says that they have changed and after every
//!   new connection.
//! - A server that is **down** takes nothing from the agent but its tools. If it was up before, its last
//!   known tools stay, and each call answers the model that the server cannot be reached. The log has one
//!   warning for the whole outage. Turns do not wait; attempts are made when something needs the server,
//!   and ever less often, with pauses drawn at random.
//! - A connection that is **lost** is made anew by the next call or turn; a process that ended is started
//!   again. A call that had not left yet is sent over the new connection. One that was under way is not
//!   repeated, because the server may have done its work: the model is told.
//! - A **call** ends with the turn or its own time-out, and the server is told to stop. What it says of its
//!   progress goes to [`ToolCall::progress`](agentcore_core::tool::ToolCall::progress).
//! - **Errors** that a tool reports go to the model in the tool's own words.
//!
//! A process of ours is started with `PATH`, `HOME` and a few more of our variables and with what
//! [`StdioServer::env`] says, and nothing else: it does not see the agent's credentials.

mod connection;
mod departure;
mod http_server;
mod link;
mod name;
mod result;
mod server;
mod stdio_server;
mod tool;

pub use agentcore_core::aws::sigv4::SigV4;
pub use agentcore_core::identity::BearerToken;
pub use http_server::{AddressError, HttpServer};
pub use server::{McpServer, Timeouts, Transport};
pub use stdio_server::StdioServer;
