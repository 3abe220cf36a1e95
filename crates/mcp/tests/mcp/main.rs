//! MCP servers nobody here wrote, as tools of turns that are performed to their end: the official Python
//! SDK's and MCP's own example server, over both transports, well and ill.

mod conversation;
mod door;
mod down;
mod everything;
mod killed;
mod kitchen;
mod log;
mod servers;
mod tools;

/// Other people's programs, and processes that end with their test: from the system tests.
#[expect(dead_code, unused_imports, reason = "the system tests, whose these are, need more of them")]
#[path = "../../../../tests/system"]
mod system {
    pub(crate) mod foreign;
    pub(crate) mod process;
}

use system::{foreign, process};
