//! AWS on a laptop: the services an agent needs, on one loopback port.
//!
//! [`Local`] is the server. It hosts agents as AgentCore Runtime does, each session in a process of
//! its own, behind the service's own invoke door; it keeps AgentCore Memory's events; and it carries
//! the routes of an emulated Bedrock. Agents are known here by the wire alone, so they may be written
//! in any language.
//!
//! Signatures are not verified: whoever reaches the port may use it, which is why it listens on
//! loopback only and answers no web page from elsewhere.

mod aws_error;
pub mod bedrock;
mod config;
mod door;
pub mod engine;
mod memory;
mod notice;
mod path;
mod protocol;
mod request_id;
mod server;
mod sessions;
pub mod traces;
mod watch;

pub use aws_error::{AwsError, InvalidField};
pub use config::{Agent, AgentName, AgentNameError, AgentSource, Exposure, LocalConfig, SessionTimes, Traces};
pub use memory::StoreError;
pub use notice::{InvocationFailure, Notice, OutputStream, PingProblem, SessionEnd, SessionName, StartFailure};
pub use protocol::{Protocol, ProtocolError};
pub use server::{Local, StartError};
