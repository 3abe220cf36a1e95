//! Tools of MCP servers as an agent's own.
//!
//! An agent describes a server once and hands it to its turns. Nothing is connected before the first turn; the
//! server's tools are listed then, called as the agent's own, and listed again when the server says that they have
//! changed.
//!
//! ```no_run
//! use agentcore_core::agent::{Agent, Context};
//! use agentcore_core::payload::{PayloadError, Prompt};
//! use agentcore_core::turn::TurnRequest;
//! use agentcore_mcp::McpServer;
//!
//! struct Librarian {
//!     files: McpServer,
//!     gateway: McpServer,
//! }
//!
//! impl Librarian {
//!     fn new() -> Self {
//!         Self {
//!             files: McpServer::program("files", "mcp-server-files", ["/srv/books"]),
//!             gateway: McpServer::http("shop", "https://example.org/mcp"),
//!         }
//!     }
//! }
//!
//! impl Agent for Librarian {
//!     type Payload = Prompt;
//!     const NAME: &'static str = "librarian";
//!
//!     fn turn(&self, payload: Prompt, _context: &Context) -> Result<TurnRequest, PayloadError> {
//!         let request = payload.turn()?.system("You find books.");
//!         Ok(request.tool_source(self.files.source()).tool_source(self.gateway.source()))
//!     }
//! }
//! ```
//!
//! The model knows a tool `search` of the server `files` as `files_search`, so that no two servers' tools can meet.
//! A server that is down takes nothing but its tools away: the log says so once, the turn waits no longer than a
//! moment, and the server is tried again after a pause that grows. Tools that were known before are still told to the
//! model, and a call of one says that its server cannot be reached.
//!
//! AgentCore Gateway is such a server: [`McpServer::bearer`] for one that wants a token, [`McpServer::signed`] for one
//! that checks the caller's role. rmcp, the official SDK, speaks the protocol; here is only what makes of it an agent's
//! tools. Rooms: `server` is the description and the life of its connection, `connection` one connection, `tool` a
//! call, `name` what the model knows a tool by, `authorization` what goes with each HTTP request.

mod authorization;
mod connection;
mod name;
mod server;
mod tool;

pub use server::McpServer;
