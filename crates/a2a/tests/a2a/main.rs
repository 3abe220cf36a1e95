//! An agent of A2A's that nobody here wrote, as a tool of turns that are performed to their end: the official Python SDK's,
//! in both versions of the protocol, well and ill.

mod cook;
mod talking;

/// Other people's programs, and processes that end with their test: from the system tests.
#[expect(dead_code, unused_imports, reason = "the system tests, whose these are, need more of them")]
#[path = "../../../../tests/system"]
mod system {
    pub(crate) mod foreign;
    pub(crate) mod process;
}

use system::{foreign, process};
