//! One agent as a process of its own, as AgentCore runs it.

use std::process::{Command, ExitStatus};
use std::time::Duration;

use serde_json::{Value, json};

use crate::local_aws::{START, vitracka};
use crate::process::{Process, free_port, signal};
use crate::socket::{Answer, Request};

/// A served agent.
pub(crate) struct Agent {
    pub(crate) port: u16,
    pub(crate) process: Process,
}

/// The command that is the agent `name`, with the AWS at `endpoint` and credentials nobody checks.
pub(crate) fn agent_command(name: &str, endpoint: &str, environment: &[(&str, &str)]) -> Command {
    let mut command = vitracka();
    agent_environment(command.args(["agent", name]), endpoint, environment);
    command
}

/// Sets what an agent needs beside its port, and `more`.
pub(crate) fn agent_environment(command: &mut Command, endpoint: &str, more: &[(&str, &str)]) {
    command
        .env("HOST", "127.0.0.1")
        .env("AWS_ENDPOINT_URL", endpoint)
        .env("AWS_ACCESS_KEY_ID", "AKIALOCALTESTS000000")
        .env("AWS_SECRET_ACCESS_KEY", "not-a-secret")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_REGION", "eu-west-1")
        .envs(more.iter().copied());
}

// === impl Agent ===

impl Agent {
    /// Starts it and waits until it listens.
    pub(crate) fn start(name: &str, endpoint: &str, environment: &[(&str, &str)]) -> Self {
        Self::start_command(name, agent_command(name, endpoint, environment))
    }

    /// Starts a command that is one, and waits until it listens.
    pub(crate) fn start_command(name: &str, mut command: Command) -> Self {
        let port = free_port();
        command.env("PORT", port.to_string());
        let mut process = Process::start(name, command);
        process.wait_for_port(port, START);
        Self { port, process }
    }

    /// Sends a prompt in a session.
    pub(crate) fn post(&self, session: &str, prompt: &str, accept: &str) -> Answer {
        let body = json!({ "prompt": prompt }).to_string();
        let headers = [("accept", accept), ("x-amzn-bedrock-agentcore-runtime-session-id", session)];
        Request::post("/invocations", body.as_bytes()).with(&headers).send(self.port)
    }

    /// Sends a prompt and gives the answer's text.
    pub(crate) fn say(&self, session: &str, prompt: &str) -> String {
        let answer = self.post(session, prompt, "application/json");
        assert_eq!(answer.status, 200, "{}", answer.body);
        let answer: Value = serde_json::from_str(&answer.body).expect("an answer is JSON");
        let text = answer["response"]["content"][0]["text"].as_str();
        text.unwrap_or_else(|| panic!("no text: {answer}")).to_owned()
    }

    /// Asks it to end, as AgentCore does, and gives its status and what it logged.
    pub(crate) fn end(self) -> (ExitStatus, String) {
        signal("TERM", self.process.id());
        let (status, _, log) = self.process.wait(Duration::from_secs(20));
        (status, log)
    }
}
