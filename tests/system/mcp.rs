//! Must show 3 of the loop: an MCP server on the official Python SDK, over both transports, as an agent's tools; killed
//! and started again in mid-conversation.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use agentcore_mcp::McpServer;
use agentcore_runtime::core::agent::Secret;
use agentcore_runtime::core::aws::Aws;
use agentcore_runtime::core::drive::{Delivery, Stage, TurnEvent, drive, gather_tools};
use agentcore_runtime::core::history::{CompleteTurn, TurnKept};
use agentcore_runtime::core::message::{Message, ToolResult, ToolResultContent, ToolResultStatus};
use agentcore_runtime::core::model::bedrock::Bedrock;
use agentcore_runtime::core::model::residency::{Region, Residency};
use agentcore_runtime::core::settings::Settings;
use agentcore_runtime::prelude::TurnRequest;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::foreign::{Script, mcp_server, python_script};
use crate::local_aws::{LocalAws, START};
use crate::process::{Process, free_port, signal};

/// A conversation of an agent whose only tools are a server's, with the local AWS as its model.
struct Conversation {
    aws: LocalAws,
    server: McpServer,
    history: Vec<Arc<CompleteTurn>>,
}

// === impl Conversation ===

impl Conversation {
    fn with(server: McpServer) -> Self {
        Self { aws: LocalAws::start(), server, history: Vec::new() }
    }

    fn stage(&self, delivery: Delivery) -> Stage {
        let settings = Settings::read(|_| None).expect("the defaults");
        let aws = Aws::at(self.aws.endpoint(), settings.model.region.clone());
        Stage {
            model: Arc::new(Bedrock::new(&settings.model, Arc::new(aws))),
            delivery,
            deadline: Instant::now() + Duration::from_mins(1),
            cut: CancellationToken::new(),
        }
    }

    async fn request(&self, prompt: &str) -> TurnRequest {
        let mut request = TurnRequest::new(prompt).system("You calculate.").tool_source(self.server.source());
        gather_tools(&mut request).await;
        request
    }

    /// The names of the tools that a turn has now.
    async fn tools(&self) -> Vec<String> {
        let request = self.request("Hi").await;
        request.toolbox().specs().iter().map(|tool| tool.name.clone()).collect()
    }

    /// A program that takes long to start is connected behind the turns that come meanwhile.
    async fn until_tools_are_known(&self) {
        let due = Instant::now() + START;
        while self.tools().await.is_empty() && Instant::now() < due {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Calls a tool in a turn of its own and gives what it said to the model.
    async fn call(&mut self, name: &str, arguments: &Value) -> ToolResult {
        let stage = self.stage(Delivery::Whole);
        let request = self.request(&format!("[[tool {name} {arguments}]]")).await;
        let outcome = drive(request.begin(self.history.clone()), &stage).await;
        outcome.result.expect("an answer");
        let Some(TurnKept::Whole(turn)) = outcome.keepsake.map(|kept| kept.turn) else { panic!("a whole turn") };
        let result = turn.messages().iter().flat_map(Message::tool_results).next().expect("a result").clone();
        self.history.push(Arc::new(turn));
        result
    }

    async fn says(&mut self, name: &str, arguments: Value) -> String {
        let result = self.call(name, &arguments).await;
        let content = result.content.into_iter().map(|part| match part {
            ToolResultContent::Text(text) => text,
            ToolResultContent::Json(value) => value.to_string(),
            other => format!("{other:?}"),
        });
        let content: String = content.collect();
        if result.status == ToolResultStatus::Error { format!("error: {content}") } else { content }
    }
}

fn program() -> McpServer {
    let (python, script) = mcp_server();
    McpServer::program("test", python.display().to_string(), ["-B".to_owned(), script.display().to_string()])
}

/// The server over HTTP, on a port.
fn serve(port: u16, environment: &[(&str, &str)]) -> Process {
    let (python, script) = mcp_server();
    let mut command = Command::new(python);
    command.arg("-B").arg(script).arg(port.to_string()).envs(environment.iter().copied());
    let mut process = Process::start("an MCP server", command);
    process.wait_for_port(port, START);
    process
}

fn at(port: u16) -> String {
    format!("http://127.0.0.1:{port}/mcp")
}

/// Everything a server has to offer, whatever it is reached by.
async fn offers_its_tools(conversation: &mut Conversation) {
    let expected = ["test_add", "test_pid", "test_slow", "test_fail", "test_picture", "test_learn"];
    conversation.until_tools_are_known().await;
    assert_eq!(conversation.tools().await, expected);
    assert_eq!(conversation.says("test_add", json!({"a": 2, "b": 40})).await, r#"{"result":42}"#);
    let failed = conversation.says("test_fail", json!({"reason": "no luck"})).await;
    assert!(failed.starts_with("error: ") && failed.contains("no luck"), "{failed}");
    assert!(conversation.says("test_add", json!({"a": "two"})).await.starts_with("error: "));
    assert!(conversation.says("test_picture", json!({})).await.contains("Image(Image { format: Png"));
    assert_eq!(conversation.says("test_learn", json!({})).await, r#"{"result":"learned"}"#);
    let learned = async { conversation.tools().await.contains(&"test_learned".to_owned()) };
    assert!(learned.await, "a changed list is read again");
    assert!(conversation.says("test_learned", json!({})).await.contains("I am new"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_is_an_agents_tools_and_comes_back_when_it_is_killed() {
    let mut conversation = Conversation::with(program());
    offers_its_tools(&mut conversation).await;

    let first = conversation.says("test_pid", json!({})).await;
    let pid = serde_json::from_str::<Value>(&first).expect("JSON")["result"].as_str().expect("text").to_owned();
    signal("KILL", pid.parse().expect("a number"));
    let mut second = conversation.says("test_pid", json!({})).await;
    if second.starts_with("error: ") {
        // The call that found the server dead could not know whether it was done.
        second = conversation.says("test_pid", json!({})).await;
    }
    assert!(second.contains("result") && second != first, "{second}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_over_http_is_an_agents_tools_and_comes_back_when_it_is_started_again() {
    let port = free_port();
    let server = serve(port, &[]);
    let mut conversation = Conversation::with(McpServer::http("test", at(port)));
    offers_its_tools(&mut conversation).await;

    drop(server);
    let gone = conversation.says("test_add", json!({"a": 1, "b": 1})).await;
    assert_eq!(gone, "error: The server of this tool cannot be reached just now.");
    assert!(!conversation.tools().await.is_empty(), "what was known is still told");

    let _again = serve(port, &[]);
    let due = Instant::now() + Duration::from_secs(20);
    let answer = loop {
        let answer = conversation.says("test_add", json!({"a": 1, "b": 1})).await;
        if !answer.starts_with("error: ") || Instant::now() > due {
            break answer;
        }
    };
    assert_eq!(answer, r#"{"result":2}"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_down_takes_only_its_tools_away() {
    let mut conversation = Conversation::with(McpServer::http("test", at(free_port())));
    let began = Instant::now();
    for _ in 0..3 {
        assert_eq!(conversation.tools().await, Vec::<String>::new());
    }
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    let stage = conversation.stage(Delivery::Whole);
    let outcome = drive(conversation.request("Hello").await.begin(Vec::new()), &stage).await;
    outcome.result.expect("the agent answers all the same");

    conversation.server = McpServer::program("test", "no-such-program-anywhere", Vec::<String>::new());
    assert_eq!(conversation.tools().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_tells_its_progress_and_is_cancelled_with_its_turn() {
    let folder = tempfile::tempdir().expect("a folder");
    let told = folder.path().join("cancelled");
    let conversation = Conversation::with(program().variable("CANCELLED", told.display().to_string()));
    conversation.until_tools_are_known().await;
    let (sender, mut events) = mpsc::channel(100);
    let stage = conversation.stage(Delivery::Streamed(sender));
    let request = conversation.request(r#"[[tool test_slow {"seconds": 60}]]"#).await;
    let cut = stage.cut.clone();
    let turn = tokio::spawn(async move { drive(request.begin(Vec::new()), &stage).await });
    let progress = loop {
        match events.recv().await.expect("progress comes before the end") {
            TurnEvent::Progress(progress) => break progress,
            TurnEvent::Model(_) => {}
        }
    };
    assert_eq!((progress.name.as_str(), progress.message.as_str()), ("test_slow", "half way"));
    cut.cancel();
    turn.await.expect("no panic").result.expect_err("the turn is cut");
    let due = Instant::now() + Duration::from_secs(10);
    while !told.exists() {
        assert!(Instant::now() < due, "the server is not told");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_wants_a_token_gets_it() {
    let port = free_port();
    let _server = serve(port, &[("TOKEN", "let-me-in")]);
    let refused = Conversation::with(McpServer::http("test", at(port)).bearer(|| Secret::new("wrong")));
    assert_eq!(refused.tools().await, Vec::<String>::new());
    let mut welcome = Conversation::with(McpServer::http("test", at(port)).bearer(|| Secret::new("let-me-in")));
    assert_eq!(welcome.says("test_add", json!({"a": 1, "b": 2})).await, r#"{"result":3}"#);
}

/// The requests that a server was sent, each checked by botocore's own signer.
fn signatures(log: &Path, port: u16) -> Value {
    let mut botocore = Script::start("botocore", python_script("sigv4.py"), "http://127.0.0.1:1");
    let requests: Vec<Value> =
        fs::read_to_string(log).expect("a log").lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    botocore.order(json!({ "do": "check", "url": at(port), "requests": requests }))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateways_requests_are_signed_as_botocore_signs_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("headers");
    let port = free_port();
    let _server = serve(port, &[("HEADERS", log.to_str().expect("a path"))]);
    let region = Region::parse("eu-west-1", Residency::Eu).expect("Ireland");
    // The local AWS's credentials, which its endpoint brings with it.
    let aws = Arc::new(Aws::at("http://127.0.0.1:1", region));
    let mut conversation = Conversation::with(McpServer::http("test", at(port)).signed(aws));
    assert_eq!(conversation.says("test_add", json!({"a": 1, "b": 2})).await, r#"{"result":3}"#);
    let checked = signatures(&log, port);
    assert_eq!(checked["wrong"], json!([]), "{checked}");
    assert!(checked["right"].as_u64().is_some_and(|count| count >= 3), "{checked}");
}
