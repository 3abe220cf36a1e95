//! A script that holds one foreign client and does what it is told, one JSON line an order and one an
//! answer: the client lives as long as a real caller's does, and the test can act between its calls.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::process::Process;

/// Longest wait for an answer: a session's cold start, or an interpreter's on a busy machine.
const ANSWER: Duration = Duration::from_mins(1);

/// A running script.
#[derive(Debug)]
pub(crate) struct Script(Process);

impl Script {
    /// Starts a script whose client talks to `endpoint`.
    pub(crate) fn start(name: &str, mut command: Command, endpoint: &str) -> Self {
        command.env("AWS_ENDPOINT_URL", endpoint);
        Self(Process::start(name, command))
    }

    /// What it says by itself.
    pub(crate) fn next(&mut self) -> Value {
        let line = self.0.next_line(ANSWER);
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("not a JSON line ({error}): {line}"))
    }

    /// Gives an order, and waits for what came of it.
    #[expect(clippy::needless_pass_by_value, reason = "orders are written where they are given")]
    pub(crate) fn order(&mut self, order: Value) -> Value {
        self.0.tell(&order.to_string());
        self.next()
    }
}
