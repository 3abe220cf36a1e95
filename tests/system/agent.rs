//! One agent as a process of its own, as AgentCore runs it.

use std::process::{Command, ExitStatus};
use std::time::Duration;

use serde_json::{Value, json};

use crate::footprint::{Memory, kilobytes, open_files};
use crate::local_aws::{START, vitracka};
use crate::process::{Process, free_port, poll, signal};
use crate::socket::{Answer, Request};

/// How long an agent that has nothing to do may take to say so.
const PATIENCE: Duration = Duration::from_secs(20);

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

/// The lines of a log with this message.
pub(crate) fn lines(log: &str, message: &str) -> Vec<Value> {
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line is JSON"));
    lines.filter(|line| line["message"] == message).collect()
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

    /// Waits until `/ping` has a status.
    pub(crate) fn until_status(&self, status: &str) {
        let status = format!(r#""status":"{status}""#);
        let seen = poll(PATIENCE, || Request::get("/ping").send(self.port).body.contains(&status).then_some(()));
        seen.unwrap_or_else(|| panic!("/ping never says {status}"));
    }

    /// Has ten thousand connections broken, four of them by a call, and asserts that they leave no file behind and no
    /// memory but what sessions take. Gives how often it called.
    pub(crate) fn forgets_ten_thousand_connections(&self, break_four: impl Fn(usize)) -> usize {
        const EACH: usize = 4;
        const ROUNDS: usize = 5;
        /// What memory may grow by from the first round on, in kilobytes: one for each connection.
        const GROWTH: u64 = 8_000;
        let calls = 10_000 / EACH / ROUNDS;
        let descriptors = || open_files(self.process.id());
        let before = descriptors();
        let after_each: Vec<u64> = (0..ROUNDS)
            .map(|_| {
                (0..calls).for_each(&break_four);
                self.until_status("Healthy");
                kilobytes(self.process.id(), Memory::Now)
            })
            .collect();
        // The last connections are closed by and by.
        let after = poll(PATIENCE, || Some(descriptors()).filter(|now| *now <= before));
        println!(
            "{before} file descriptors, then {after:?}; kB after each {} connections: {after_each:?}",
            calls * EACH
        );
        assert!(after.is_some(), "{before} file descriptors have become {}", descriptors());
        assert!(after_each[ROUNDS - 1] <= after_each[0] + GROWTH, "{after_each:?}");
        calls * ROUNDS
    }

    /// Asks it to end, as AgentCore does, and gives its status and what it logged.
    pub(crate) fn end(self) -> (ExitStatus, String) {
        signal("TERM", self.process.id());
        let (status, _, log) = self.process.wait(Duration::from_secs(20));
        (status, log)
    }
}
