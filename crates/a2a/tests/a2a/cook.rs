//! The cook: an agent on the official Python SDK (`tests/foreign/a2a_server.py`), and turns in which a model calls it.

use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agentcore_a2a::{RemoteAgent, Timeouts};
use agentcore_core::drive::{Delivery, Stage, TurnEvent, drive, gather_tools};
use agentcore_core::message::{Message, Role, StopReason, ToolResult, ToolUse, Usage};
use agentcore_core::model::{
    BlockDelta, BlockStart, Metrics, Model, ModelAnswer, ModelError, ModelEvent, ModelEvents, ModelRequest,
};
use agentcore_core::turn::TurnRequest;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::foreign::{python, tests};
use crate::process::{Process, free_port};

/// Longest wait for a thing that comes by itself.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// A served cook.
pub(crate) struct Cook {
    pub(crate) agent: RemoteAgent,
    journal: TempDir,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    port: u16,
    process: Option<Process>,
}

/// What came of a call, as the model reads it, and what a caller was told meanwhile.
#[derive(Debug, PartialEq)]
pub(crate) struct Called {
    pub(crate) result: Option<Value>,
    pub(crate) progress: Vec<String>,
}

// === impl Cook ===

impl Cook {
    /// Both versions, and one that does not stream.
    pub(crate) fn all() -> [(&'static str, Self); 3] {
        [
            ("1.0", Self::with(&["1.0"], &[])),
            ("0.3", Self::with(&["0.3"], &[])),
            ("1.0, still", Self::with(&["1.0", "still"], &[])),
        ]
    }

    pub(crate) fn with(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let (port, journal) = (free_port(), tempfile::tempdir().expect("a temporary folder"));
        let agent = RemoteAgent::at("cook", &format!("http://127.0.0.1:{port}")).expect("an address");
        let agent = agent.within(Timeouts { card: SOON, call: SOON });
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut cook = Self { agent, journal, arguments, environment, port, process: None };
        cook.open();
        cook
    }

    /// Serves it, where it was before.
    pub(crate) fn open(&mut self) {
        let mut command = Command::new(python::interpreter("a2a", &tests("requirements-a2a.txt")));
        command.arg("-B").arg(tests("foreign").join("a2a_server.py")).arg(self.port.to_string()).args(&self.arguments);
        command.env("JOURNAL", self.journal.path().join("journal")).envs(self.environment.iter().cloned());
        let mut process = Process::start("cook", command);
        process.wait_for_port(self.port, SOON);
        self.process = Some(process);
    }

    pub(crate) fn address(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    pub(crate) fn close(&mut self) {
        drop(self.process.take());
    }

    /// What it has told so far.
    pub(crate) fn journal(&self) -> Vec<String> {
        let told = std::fs::read_to_string(self.journal.path().join("journal")).unwrap_or_default();
        told.lines().map(str::to_owned).collect()
    }

    /// Waits until it has told this.
    pub(crate) async fn until_told(&self, line: &str) {
        let told = async {
            while !self.journal().iter().any(|told| told == line) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(SOON, told).await.unwrap_or_else(|_| panic!("`{line}` is not in {:?}", self.journal()));
    }

    /// Says something in a session of ours.
    pub(crate) async fn say(&self, session: &str, words: &str) -> Called {
        self.call(session, json!({ "message": words })).await
    }

    pub(crate) async fn call(&self, session: &str, input: Value) -> Called {
        call_until(&self.agent, session, input, None).await
    }
}

// === impl Called ===

impl Called {
    fn result(&self) -> &Value {
        self.result.as_ref().expect("the turn was not cut")
    }

    pub(crate) fn text(&self) -> &str {
        self.result()["content"][0]["text"].as_str().unwrap_or_else(|| panic!("no text: {self:?}"))
    }

    pub(crate) fn failed(&self) -> bool {
        self.result()["status"] == "error"
    }
}

/// How the model is told of the agent; nothing where it is not.
pub(crate) async fn offered(agent: &RemoteAgent) -> Option<String> {
    let tools = agent.in_session("a-session").tools().await;
    tools.first().map(|tool| format!("{}: {}", tool.spec().name, tool.spec().description))
}

/// A turn in which the model calls the cook, cut as soon as it is told of that progress; without a result when it was.
pub(crate) async fn call_until(agent: &RemoteAgent, session: &str, input: Value, cut_at: Option<&str>) -> Called {
    let mut request = TurnRequest::new("Do it.").tool_source(agent.in_session(session));
    let model = Arc::new(Caller { input, told: Mutex::default() });
    let (sender, mut events) = mpsc::channel(1_000);
    let cut = CancellationToken::new();
    let stage = Stage {
        model: model.clone(),
        delivery: Delivery::Streamed(sender),
        deadline: Instant::now() + SOON * 4,
        cut: cut.clone(),
        first_token: Arc::default(),
    };
    let performing = async move {
        gather_tools(&mut request, &stage).await;
        drive(request.begin(Vec::new()), &stage).await;
        drop(stage);
    };
    let listening = async {
        let mut progress = Vec::new();
        while let Some(event) = events.recv().await {
            if let TurnEvent::Progress(word) = event {
                if cut_at == Some(&word.message) {
                    cut.cancel();
                }
                progress.push(word.message);
            }
        }
        progress
    };
    let ((), progress) = tokio::join!(performing, listening);
    let told = model.told.lock().expect("no panic").take();
    Called { result: told.map(|result| serde_json::to_value(result).expect("JSON")), progress }
}

/// Calls the cook once, and then has nothing more to say.
struct Caller {
    input: Value,
    told: Mutex<Option<ToolResult>>,
}

// === impl Caller ===

impl Model for Caller {
    fn converse<'a>(&'a self, _: &'a ModelRequest) -> BoxFuture<'a, Result<ModelAnswer, ModelError>> {
        Box::pin(async { Err(ModelError::BrokenStream { reason: "answers in streams only".into() }) })
    }

    fn converse_stream<'a>(&'a self, request: &'a ModelRequest) -> BoxFuture<'a, Result<ModelEvents, ModelError>> {
        let result = request.messages.last().and_then(|message: &Message| message.tool_results().next().cloned());
        let mut events = vec![ModelEvent::MessageStart { role: Role::Assistant }];
        let content_block_index = 0;
        let (delta, stop_reason) = match result {
            None => {
                let call = ToolUse { tool_use_id: "call-1".into(), name: "cook".into(), input: self.input.clone() };
                let start = BlockStart::ToolUse { tool_use_id: call.tool_use_id, name: call.name };
                events.push(ModelEvent::ContentBlockStart { content_block_index, start });
                (BlockDelta::ToolUse { input: call.input.to_string() }, StopReason::ToolUse)
            }
            Some(result) => {
                *self.told.lock().expect("no panic") = Some(result);
                (BlockDelta::Text("Done.".into()), StopReason::EndTurn)
            }
        };
        events.push(ModelEvent::ContentBlockDelta { content_block_index, delta });
        events.push(ModelEvent::ContentBlockStop { content_block_index });
        events.push(ModelEvent::MessageStop { stop_reason });
        let (usage, metrics) = (Usage::default(), Metrics::default());
        events.push(ModelEvent::Metadata { usage, metrics, guardrail: None, served: None });
        Box::pin(async { Ok(futures::stream::iter(events.into_iter().map(Ok)).boxed()) })
    }
}
