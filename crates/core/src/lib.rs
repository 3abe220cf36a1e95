//! What an agent is and how a turn runs.
//!
//! An [`agent::Agent`] makes a [`turn::TurnRequest`] of a payload. The turn is decided by a machine
//! without IO ([`turn`]) and performed by one loop ([`drive`]), which asks a [`model::Model`] and calls
//! [`tool`]s. What was said is kept by a [`memory::SessionMemory`] in the form of
//! [`history::CompleteTurn`]s; an answer may be given again by [`response_cache`]. Agents are put together
//! with [`router`], which lets one of several answer, and [`delegate`], which makes one the tool of another.
//! To servers of others we show who we are by an [`identity`]; [`chance`] makes ids that no snapshot repeats.
//! This crate knows nothing of HTTP servers. AWS's crates are seen in [`aws`] and in two rooms more: its SDK in the
//! AgentCore store of [`memory`], its reader of frames in [`model::bedrock`].

pub mod activity;
pub mod agent;
pub mod aws;
pub mod chance;
pub mod delegate;
pub mod drive;
pub mod guard;
pub mod history;
pub mod identity;
pub mod memory;
pub mod message;
pub mod model;
pub mod payload;
pub mod response_cache;
pub mod router;
pub mod settings;
pub mod signal;
pub mod tool;
pub mod turn;
