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
mod second_opinion;
mod sessions;
mod sessions_summary;
mod settings;
mod several_agents;
mod tools;
mod turn;
mod wire;

/// Other people's programs, and processes that end with their test: from the system tests.
#[expect(dead_code, unused_imports, reason = "the system tests, whose these are, need more of them")]
#[path = "../../../../tests/system"]
mod system {
    pub(crate) mod foreign;
    pub(crate) mod process;
}

use system::{foreign, process};
