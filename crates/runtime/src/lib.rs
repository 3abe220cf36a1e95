//! How AgentCore reaches an agent.
//!
//! [`serve`] is all of an agent's `main`:
//!
//! ```no_run
//! use agentcore_runtime::prelude::*;
//!
//! /// Answers in one line.
//! struct Haiku;
//!
//! impl Agent for Haiku {
//!     type Payload = Prompt;
//!     const NAME: &str = "haiku";
//!
//!     fn turn(&self, payload: Prompt, _context: &Context) -> Result<TurnRequest, PayloadError> {
//!         Ok(TurnRequest::new(payload.text()?).system("You answer in haiku.").max_tokens(64))
//!     }
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), ServeError> {
//!     agentcore_runtime::serve(Haiku).await
//! }
//! ```
//!
//! The process listens on `0.0.0.0:8080` and speaks the AgentCore Runtime HTTP contract: `GET /ping` and
//! `POST /invocations`, JSON or server-sent events, with the feature `websocket` also `GET /ws`; or another of
//! AgentCore's protocols, see [`Protocol`]. Rooms: [`server`] starts and ends the process, `protocol` knows which of
//! AgentCore's protocols it speaks, `connections` bounds how long a caller may take to say what it wants, `http` speaks
//! AgentCore's own protocol, and `mcp`, `a2a` and `ag_ui` those of these names where they are built in, as `bearer` is, which
//! asks callers for tokens. `payload` reads what was sent, `invocation` leads it through the turn to its answer, `lambda` is
//! the other wire, for a process that Lambda started, `admission` bounds how much is taken on at once, `failure` decides what
//! a caller may know of an error, `health` answers whether the session is busy, `audit` writes down what guards found,
//! `telemetry` is what an operator sees, and `local_test` tries one payload without a server.

#[cfg(feature = "a2a")]
mod a2a;
mod admission;
#[cfg(feature = "ag-ui")]
mod ag_ui;
mod audit;
#[cfg(feature = "jwt")]
mod bearer;
mod connections;
mod failure;
mod health;
mod http;
mod invocation;
mod lambda;
mod local_test;
#[cfg(feature = "mcp")]
mod mcp;
mod payload;
mod protocol;
pub mod server;
mod telemetry;

pub use lambda::LambdaError;
pub use protocol::{Protocol, ProtocolError};
pub use server::{ServeError, Server, asked_to_end, serve};

/// What an agent's file needs.
pub mod prelude {
    pub use crate::{ServeError, serve};
    pub use agentcore_core::agent::{Agent, Context, Skill};
    pub use agentcore_core::delegate::Delegate;
    pub use agentcore_core::guard::{Flag, Guard, Heard, Leaving, Review, Safety, SecondOpinion, Severity, Verdict};
    pub use agentcore_core::message::ContentBlock;
    pub use agentcore_core::payload::{Object, PayloadError, Prompt};
    pub use agentcore_core::router::Router;
    pub use agentcore_core::tool::typed::{JsonSchema, schema_of, tool};
    pub use agentcore_core::tool::{Reply, Tool, ToolCall, ToolFailure, ToolOutput, ToolSpec};
    pub use agentcore_core::turn::TurnRequest;
}

/// The core, for whoever needs more of it than the [`prelude`].
pub use agentcore_core as core;
