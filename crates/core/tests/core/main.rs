//! The core from outside: what turns, histories and memories promise.

mod converse_rules;
mod drive;
mod history;
mod memory;
mod outcome;
mod outgoing;
mod payload;
mod played;
mod resilience;
mod sessions;
mod sessions_summary;
mod settings;
mod several_agents;
mod tools;
mod turn;
