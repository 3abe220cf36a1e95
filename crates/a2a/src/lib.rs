//! Agents that speak A2A, the Agent2Agent protocol, as an agent's own tools.
//!
//! A [`RemoteAgent`] is somebody else's agent, found by its card. In a session it is a tool: the model is told of it by
//! the card, says something to it, and reads what it answers. Both versions of the protocol in use are spoken, 1.0 and
//! 0.3, over JSON-RPC. An agent that calls nobody does not link any of it.
//!
//! # In an agent
//!
//! Describe the remote agents when the agent is made, and give them to each turn in the turn's session:
//!
//! ```
//! use agentcore_a2a::RemoteAgent;
//! use agentcore_core::agent::{Agent, Context};
//! use agentcore_core::payload::{PayloadError, Prompt};
//! use agentcore_core::turn::TurnRequest;
//!
//! /// Plans meals, and asks a dietician.
//! struct Kitchen {
//!     dietician: RemoteAgent,
//! }
//!
//! impl Agent for Kitchen {
//!     type Payload = Prompt;
//!     const NAME: &str = "kitchen";
//!
//!     fn turn(&self, payload: Prompt, context: &Context) -> Result<TurnRequest, PayloadError> {
//!         Ok(payload.turn()?.tool_source(self.dietician.in_session(&context.session_id)))
//!     }
//! }
//!
//! # fn main() -> Result<(), agentcore_a2a::AddressError> {
//! let kitchen = Kitchen { dietician: RemoteAgent::at("dietician", "https://dietician.example/")? };
//! # let _ = kitchen;
//! # Ok(())
//! # }
//! ```
//!
//! # An agent on AgentCore
//!
//! Its address is that of its invocations, and requests are signed:
//!
//! ```no_run
//! # fn main() -> Result<(), agentcore_a2a::AddressError> {
//! use std::sync::Arc;
//!
//! use agentcore_a2a::{RemoteAgent, SigV4};
//! use agentcore_core::aws::Aws;
//! use agentcore_core::model::residency::{Region, Residency};
//!
//! let region = Region::parse("eu-west-1", Residency::Eu).expect("it is in the EU");
//! let arn = "arn%3Aaws%3Abedrock-agentcore%3Aeu-west-1%3A123456789012%3Aruntime%2Fdietician-0123456789";
//! let address = format!("https://bedrock-agentcore.eu-west-1.amazonaws.com/runtimes/{arn}/invocations/");
//! let dietician = RemoteAgent::at("dietician", &address)?.signed(SigV4::new(Arc::new(Aws::new(region))));
//! # let _ = dietician;
//! # Ok(())
//! # }
//! ```
//!
//! # What happens when
//!
//! - **Nothing** is connected before a turn needs it. The card is read by the first turn that offers the agent, and again
//!   after a quarter of an hour. While it cannot be read, turns go on without the tool, and the log has one warning.
//! - A session of ours is one **context** of theirs. Its id is made of the session's and tells nothing of it, so it is the
//!   same in every process; where an agent insists on an id of its own, that is kept as long as the process lives.
//!   AgentCore is told the same id as its session's, so that the same process is reached again.
//! - What the agent says **meanwhile** goes to [`ToolCall::progress`](agentcore_core::tool::ToolCall::progress).
//! - A **question** of the agent's is told to the model with the id of the task. Who answers calls again with that id, in
//!   the same turn or, when a person had to be asked, in a later one.
//! - A task that **fails**, is rejected or wants credentials is a failed call, in the agent's own words.
//! - A call **ends** with the turn or its own time, and the agent is told to cancel its task.
//! - A connection that is **lost** in the midst of a task is no reason to say everything again: the task is asked for until
//!   it has ended or the time has.
//!
//! # Trust
//!
//! What an agent answers is read by the model as any tool's result is; the guards of the turn read what the model makes of
//! it. Credentials go to the address that was given and to no other, whatever a card says: see [`RemoteAgent::at`].

mod card;
mod door;
mod older;
mod remote;
mod talk;
mod wire;

pub use agentcore_core::aws::sigv4::SigV4;
pub use agentcore_core::identity::BearerToken;
pub use door::AddressError;
pub use remote::{RemoteAgent, Timeouts};
