//! A local AWS that hosts `agent.py` under the name `played`, and what is heard of it.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use agentcore_local::{
    Agent, AgentName, AgentSource, InvocationFailure, LocalConfig, Notice, OutputStream, Protocol, SessionEnd,
    SessionTimes,
};
use serde_json::Value;
use tokio::sync::broadcast::Receiver;
use tokio::time::{Instant, sleep};

use crate::aws::{Answer, Aws, SOON, config};

pub(crate) const SESSION_ID: &str = "x-amzn-bedrock-agentcore-runtime-session-id";

/// The program of `agent.py`, without the time that Python's own extensions take to load.
const PROGRAM: [&str; 4] = ["python3", "-I", "-S", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/local/agent.py")];

/// A local AWS with an agent.
pub(crate) struct Hosted {
    pub(crate) aws: Aws,
    heard: Mutex<Heard>,
}

struct Heard {
    notices: Receiver<Notice>,
    so_far: Vec<Notice>,
}

/// Clocks that end nothing while a test runs.
pub(crate) fn patient() -> SessionTimes {
    SessionTimes { ping_interval: Duration::from_millis(40), start_timeout: SOON, ..SessionTimes::default() }
}

/// Clocks that end a session which is idle for a moment.
pub(crate) fn soon_idle() -> SessionTimes {
    SessionTimes { idle_timeout: Duration::from_millis(200), ..patient() }
}

pub(crate) fn agent_name(name: &str) -> AgentName {
    name.parse().expect("a name")
}

/// `agent.py` with variables that choose how it behaves.
pub(crate) fn played(environment: &[(&str, &str)]) -> Agent {
    let python = Command::new(PROGRAM[0]).arg("--version").output();
    assert!(python.is_ok(), "these tests need Python 3 as `python3`, for the agent they host; put it on PATH");
    command(&PROGRAM, environment)
}

/// `agent.py` as the child of a shell that knows nothing of it.
pub(crate) fn played_in_a_shell(environment: &[(&str, &str)]) -> Agent {
    command(&["/bin/sh", "-c", &format!("{}; exit 0", PROGRAM.join(" "))], environment)
}

/// Any command as the agent `played`.
pub(crate) fn command(line: &[&str], environment: &[(&str, &str)]) -> Agent {
    let owned = |text: &&str| (*text).to_owned();
    let environment: BTreeMap<String, String> =
        environment.iter().map(|(name, value)| (owned(name), owned(value))).collect();
    let arguments = line[1..].iter().map(owned).collect();
    let source = AgentSource::Command { program: line[0].to_owned(), arguments, environment };
    Agent { name: agent_name("played"), source, protocol: Protocol::Http }
}

/// A session id of the shortest length that begins with `name`.
pub(crate) fn session(name: &str) -> String {
    format!("{name:-<33}")
}

/// Whether a process runs; one that ended and was not waited for does not.
pub(crate) fn is_running(process: &Value) -> bool {
    let listed = Command::new("ps").args(["-o", "stat=", "-p", &process.to_string()]).output();
    let state = String::from_utf8_lossy(&listed.expect("`ps` lists processes").stdout).trim().to_owned();
    !state.is_empty() && !state.starts_with('Z')
}

/// Looks again and again until a process is gone.
pub(crate) async fn gone(process: &Value) {
    let deadline = Instant::now() + SOON;
    while is_running(process) {
        assert!(Instant::now() < deadline, "process {process} goes on");
        sleep(Duration::from_millis(20)).await;
    }
}

// === impl Hosted ===

impl Hosted {
    pub(crate) async fn start(agent: Agent, times: SessionTimes) -> Self {
        Self::of(LocalConfig { agents: vec![agent], times, ..config() }).await
    }

    pub(crate) async fn of(config: LocalConfig) -> Self {
        let aws = Aws::start(config).await;
        let heard = Mutex::new(Heard { notices: aws.local.notices(), so_far: Vec::new() });
        Self { aws, heard }
    }

    /// An invocation of the agent, not sent yet.
    pub(crate) fn invocation(&self, name: &str, order: &Value) -> reqwest::RequestBuilder {
        let request = self.aws.client.post(self.aws.url("/runtimes/played/invocations"));
        request.header(SESSION_ID, session(name)).body(order.to_string())
    }

    pub(crate) async fn invoke(&self, name: &str, order: &Value) -> Answer {
        Answer::to(self.invocation(name, order)).await
    }

    /// What the agent is and was sent.
    pub(crate) async fn tell(&self, name: &str) -> Value {
        self.invoke(name, &serde_json::json!({ "do": "tell" })).await.json()
    }

    pub(crate) async fn stop(&self, name: &str) -> Answer {
        let request = self.aws.client.post(self.aws.url("/runtimes/played/stopruntimesession"));
        Answer::to(request.header(SESSION_ID, session(name))).await
    }

    /// Waits for a notice in which something is found; those from before count as well.
    pub(crate) async fn hear<T>(&self, what: &str, find: impl Fn(&Notice) -> Option<T>) -> T {
        let deadline = Instant::now() + SOON;
        loop {
            let so_far = self.so_far();
            if let Some(found) = so_far.iter().find_map(&find) {
                return found;
            }
            assert!(Instant::now() < deadline, "{what} is not heard of: {so_far:#?}");
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Every notice until now.
    pub(crate) fn so_far(&self) -> Vec<Notice> {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        while let Ok(notice) = heard.notices.try_recv() {
            heard.so_far.push(notice);
        }
        heard.so_far.clone()
    }

    /// Waits for a line on the agent's standard error.
    pub(crate) async fn hear_line(&self, wanted: &str) {
        let is_wanted = |notice: &Notice| {
            let Notice::AgentLine { stream: OutputStream::Stderr, line, .. } = notice else { return None };
            (line == wanted).then_some(())
        };
        self.hear(wanted, is_wanted).await;
    }

    /// Waits for the first session's end.
    pub(crate) async fn hear_end(&self) -> SessionEnd {
        let end = |notice: &Notice| {
            let Notice::SessionEnded { why, .. } = notice else { return None };
            Some(why.clone())
        };
        self.hear("a session's end", end).await
    }

    /// Waits for the first invocation that fails.
    pub(crate) async fn hear_failure(&self) -> InvocationFailure {
        let failure = |notice: &Notice| {
            let Notice::InvocationFailed { failure, .. } = notice else { return None };
            Some(failure.clone())
        };
        self.hear("a failed invocation", failure).await
    }

    pub(crate) fn count(&self, is_wanted: impl Fn(&Notice) -> bool) -> usize {
        self.so_far().iter().filter(|notice| is_wanted(notice)).count()
    }
}
