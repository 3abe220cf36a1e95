//! A turn whose model calls one tool and then has nothing more to say.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use agentcore_core::drive::{Delivery, Stage, TurnEvent, drive, gather_tools};
use agentcore_core::message::{ContentBlock, Message, Role, StopReason, ToolResult, ToolUse, Usage};
use agentcore_core::model::{
    BlockDelta, BlockStart, Metrics, Model, ModelAnswer, ModelError, ModelEvent, ModelEvents, ModelRequest,
};
use agentcore_core::tool::ToolSource;
use agentcore_core::turn::TurnRequest;
use agentcore_mcp::{McpServer, Timeouts};
use futures::StreamExt as _;
use futures::future::BoxFuture;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Longest wait for a thing that comes by itself.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// What came of a call, as the model reads it, and what a caller was told meanwhile.
#[derive(Debug, PartialEq)]
pub(crate) struct Called {
    pub(crate) result: Value,
    pub(crate) progress: Vec<String>,
}

/// Time-outs for a busy machine, and pauses that a test can sit out.
pub(crate) fn patient() -> Timeouts {
    let backoff = agentcore_core::model::retry::Backoff::new(Duration::from_millis(1), Duration::from_millis(50));
    Timeouts {
        connect: Duration::from_mins(1),
        list: SOON,
        call: SOON,
        turn: SOON,
        backoff: backoff.expect("pauses that grow"),
    }
}

/// The names of the tools that a turn begins with.
pub(crate) async fn offered(server: &McpServer) -> Vec<String> {
    server.tools().await.into_iter().map(|tool| tool.spec().name).collect()
}

/// A turn in which the model calls `tool`.
pub(crate) async fn call(server: &McpServer, tool: &str, input: Value) -> Called {
    call_until(server, tool, input, CancellationToken::new()).await.expect("the turn was not cut")
}

/// The same with a cut; none when the turn was cut.
pub(crate) async fn call_until(server: &McpServer, tool: &str, input: Value, cut: CancellationToken) -> Option<Called> {
    let source: Arc<dyn ToolSource> = Arc::new(server.clone());
    let mut request = TurnRequest::new("Do it.").tool_source(source);
    let model = Arc::new(Caller { tool: tool.to_owned(), input, told: Mutex::default() });
    let (sender, mut events) = mpsc::channel(1_000);
    let deadline = Instant::now() + SOON * 4;
    let stage = Stage {
        model: model.clone(),
        delivery: Delivery::Streamed(sender),
        deadline,
        cut,
        first_token: Arc::default(),
    };
    gather_tools(&mut request, &stage).await;
    drive(request.begin(Vec::new()), &stage).await;
    drop(stage);
    let mut progress = Vec::new();
    while let Some(event) = events.recv().await {
        if let TurnEvent::Progress(word) = event {
            progress.push(word.message);
        }
    }
    let result = model.told.lock().expect("what it was told").take()?;
    Some(Called { result: serde_json::to_value(result).expect("it is JSON"), progress })
}

/// A turn in which the model calls `tool` twice, with something that happens between the two rounds: both results.
pub(crate) async fn call_twice(
    server: &McpServer,
    tool: &str,
    input: Value,
    between: impl Fn() -> BoxFuture<'static, ()> + Send + Sync + 'static,
) -> [Called; 2] {
    let source: Arc<dyn ToolSource> = Arc::new(server.clone());
    let mut request = TurnRequest::new("Do it twice.").tool_source(source);
    let model =
        Arc::new(CallsTwice { tool: tool.to_owned(), input, between: Box::new(between), told: Mutex::default() });
    let stage = Stage {
        model: model.clone(),
        delivery: Delivery::Whole,
        deadline: Instant::now() + SOON * 4,
        cut: CancellationToken::new(),
        first_token: Arc::default(),
    };
    gather_tools(&mut request, &stage).await;
    drive(request.begin(Vec::new()), &stage).await.result.expect("an answer");
    let told = model.told.lock().expect("what it was told").clone();
    let called = told
        .iter()
        .map(|result| Called { result: serde_json::to_value(result).expect("it is JSON"), progress: Vec::new() });
    called.collect::<Vec<_>>().try_into().expect("two results")
}

/// The text of a successful result.
pub(crate) fn text(called: &Called) -> &str {
    assert_eq!(called.result["status"], "success", "{called:?}");
    let content = &called.result["content"][0];
    content["json"]["result"].as_str().or(content["text"].as_str()).unwrap_or_else(|| panic!("no text: {called:?}"))
}

/// The sentence of a failed result.
pub(crate) fn failure(called: &Called) -> &str {
    assert_eq!(called.result["status"], "error", "{called:?}");
    called.result["content"][0]["text"].as_str().expect("a sentence")
}

/// Asks again and again until the answer is the one that is waited for.
pub(crate) async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + SOON;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "{what} did not come about within {SOON:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Calls its tool once.
struct Caller {
    tool: String,
    input: Value,
    told: Mutex<Option<ToolResult>>,
}

// === impl Caller ===

impl Caller {
    fn answer(&self, request: &ModelRequest) -> ModelAnswer {
        let result = request.messages.last().and_then(|message| message.tool_results().next().cloned());
        let (block, stop_reason) = match result {
            None => {
                let (tool_use_id, name, input) = ("call-1".into(), self.tool.clone(), self.input.clone());
                (ContentBlock::ToolUse(ToolUse { tool_use_id, name, input }), StopReason::ToolUse)
            }
            Some(result) => {
                *self.told.lock().expect("what it was told") = Some(result);
                (ContentBlock::Text("Done.".into()), StopReason::EndTurn)
            }
        };
        let message = Message { role: Role::Assistant, content: vec![block] };
        ModelAnswer { message, stop_reason, usage: Usage::default(), guardrail: None, served: None }
    }
}

impl Model for Caller {
    fn converse<'a>(&'a self, request: &'a ModelRequest) -> BoxFuture<'a, Result<ModelAnswer, ModelError>> {
        Box::pin(async { Ok(self.answer(request)) })
    }

    fn converse_stream<'a>(&'a self, request: &'a ModelRequest) -> BoxFuture<'a, Result<ModelEvents, ModelError>> {
        let ModelAnswer { mut message, stop_reason, usage, .. } = self.answer(request);
        let mut events = vec![ModelEvent::MessageStart { role: Role::Assistant }];
        let content_block_index = 0;
        let delta = match message.content.remove(0) {
            ContentBlock::ToolUse(call) => {
                let start = BlockStart::ToolUse { tool_use_id: call.tool_use_id, name: call.name };
                events.push(ModelEvent::ContentBlockStart { content_block_index, start });
                BlockDelta::ToolUse { input: call.input.to_string() }
            }
            block => BlockDelta::Text(block.as_text().unwrap_or_default().to_owned()),
        };
        events.push(ModelEvent::ContentBlockDelta { content_block_index, delta });
        events.push(ModelEvent::ContentBlockStop { content_block_index });
        events.push(ModelEvent::MessageStop { stop_reason });
        events.push(ModelEvent::Metadata { usage, metrics: Metrics::default(), guardrail: None, served: None });
        Box::pin(async { Ok(futures::stream::iter(events.into_iter().map(Ok)).boxed()) })
    }
}

/// Calls its tool in two rounds.
struct CallsTwice {
    tool: String,
    input: Value,
    between: Box<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>,
    told: Mutex<Vec<ToolResult>>,
}

// === impl CallsTwice ===

impl CallsTwice {
    async fn answer(&self, request: &ModelRequest) -> ModelAnswer {
        let told: Vec<ToolResult> = request.messages.iter().flat_map(Message::tool_results).cloned().collect();
        if told.len() == 1 {
            (self.between)().await;
        }
        let (block, stop_reason) = if told.len() < 2 {
            let tool_use_id = format!("call-{}", told.len() + 1);
            let call = ToolUse { tool_use_id, name: self.tool.clone(), input: self.input.clone() };
            (ContentBlock::ToolUse(call), StopReason::ToolUse)
        } else {
            (ContentBlock::Text("Done.".into()), StopReason::EndTurn)
        };
        *self.told.lock().expect("what it was told") = told;
        let message = Message { role: Role::Assistant, content: vec![block] };
        ModelAnswer { message, stop_reason, usage: Usage::default(), guardrail: None, served: None }
    }
}

impl Model for CallsTwice {
    fn converse<'a>(&'a self, request: &'a ModelRequest) -> BoxFuture<'a, Result<ModelAnswer, ModelError>> {
        Box::pin(async { Ok(self.answer(request).await) })
    }

    fn converse_stream<'a>(&'a self, _request: &'a ModelRequest) -> BoxFuture<'a, Result<ModelEvents, ModelError>> {
        Box::pin(async { Err(ModelError::BrokenStream { reason: "answers whole only".into() }) })
    }
}
