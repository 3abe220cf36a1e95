//! An agent and a model that do what the prompt says, served on a free loopback port.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use agentcore_runtime::core::memory::process::ProcessMemory;
use agentcore_runtime::core::memory::{MemoryError, SessionMemory};
use agentcore_runtime::core::message::{Message, Role, StopReason, Usage};
use agentcore_runtime::core::model::{
    BlockDelta, Metrics, Model, ModelAnswer, ModelError, ModelEvent, ModelEvents, ModelRequest,
};
use agentcore_runtime::core::tool::typed::{JsonSchema, tool};
use agentcore_runtime::core::tool::{Tool, ToolCall, ToolFailure};
use agentcore_runtime::prelude::*;
use agentcore_runtime::{ServeError, Server};
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt as _};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Passes prompts on, but for those that ask it to misbehave.
pub(crate) struct Obedient;

impl Agent for Obedient {
    type Payload = Prompt;
    const NAME: &'static str = "obedient";

    fn offers(&self) -> Vec<Arc<dyn Tool>> {
        vec![Arc::new(tool(measure))]
    }

    fn turn(&self, payload: Prompt, context: &Context) -> Result<TurnRequest, PayloadError> {
        let user = payload.user_id.clone();
        let text = payload.text()?;
        match text.as_str() {
            "panic" => panic!("this panics on purpose"),
            "block" => block_this_thread(),
            "background" => {
                let busy = context.busy("counting sheep");
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(300)).await;
                    drop(busy);
                });
            }
            _ => {}
        }
        if text.starts_with("desk:") {
            return Router::new("anything", Ageless)
                .agent("nothing", Aging)
                .turn(Prompt { prompt: Some(text), ..Prompt::default() }, context);
        }
        let request = TurnRequest::new(text.clone()).actor(user).guard(Lifeguard);
        Ok(match text.split_once(':') {
            Some(("for good", _)) => request.reusable_for(Duration::from_mins(10)),
            Some(("for a moment", _)) => request.reusable_for(Duration::from_millis(100)),
            _ => request,
        })
    }
}

/// Measures what it is shown.
#[derive(Deserialize, JsonSchema)]
#[schemars(crate = "agentcore_runtime::core::tool::typed::schemars")]
struct Measure {
    what: String,
}

async fn measure(Measure { what }: Measure, call: ToolCall) -> Result<Value, ToolFailure> {
    match what.as_str() {
        "a hair" => Err(ToolFailure::failed("a hair is too thin for this ruler; measure something larger")),
        "a stranger" => Err(call.ask("May I measure you?")),
        "a ghost" => panic!("this panics on purpose"),
        "the sky" => std::future::pending().await,
        _ => {
            call.progress("laying the ruler down");
            Ok(json!({ "of": what, "cm": 21 }))
        }
    }
}

/// Says what stays true.
struct Ageless;

impl Agent for Ageless {
    type Payload = Prompt;
    const NAME: &'static str = "ageless";

    fn turn(&self, payload: Prompt, _context: &Context) -> Result<TurnRequest, PayloadError> {
        Ok(payload.turn()?.reusable_for(Duration::from_mins(10)))
    }
}

/// Says what does not.
struct Aging;

impl Agent for Aging {
    type Payload = Prompt;
    const NAME: &'static str = "aging";

    fn turn(&self, payload: Prompt, _context: &Context) -> Result<TurnRequest, PayloadError> {
        payload.turn()
    }
}

/// Answers who is in danger, and remembers them.
struct Lifeguard;

impl Guard for Lifeguard {
    fn inspect(&self, heard: &Heard<'_>) -> Verdict {
        let flag = Flag { kind: "danger".into(), rule: "said_so".into(), severity: Severity::Crisis };
        match heard.text {
            "danger" => Verdict::Answer { text: "Help is on its way.".into(), flags: vec![flag] },
            again if again.starts_with("look") && heard.earlier().any(|said| said == "danger") => {
                Verdict::Answer { text: "Are you safe now?".into(), flags: vec![flag] }
            }
            _ => Verdict::Allow,
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this agent does what agents must not do")]
fn block_this_thread() {
    std::thread::sleep(Duration::from_secs(2));
}

/// Answers with what it was asked: what was said before and the prompt. Prompts name failures,
/// and `slow` waits for leave before every word.
#[derive(Clone)]
pub(crate) struct Playing {
    /// Leave for slow words.
    pub(crate) words: Arc<Semaphore>,
    asked: Arc<AtomicUsize>,
}

impl Playing {
    pub(crate) fn new() -> Self {
        Self { words: Arc::new(Semaphore::new(0)), asked: Arc::default() }
    }

    /// How often it was asked.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn failure(prompt: &str) -> Option<ModelError> {
        let model = "the-model".to_owned();
        let reason = "secret internals".to_owned();
        Some(match prompt {
            "throttled" => ModelError::Throttled { model, retry_after: Some(7) },
            "unavailable" => ModelError::Unavailable { reason, retry_after: None },
            "unavailable for a while" => ModelError::Unavailable { reason, retry_after: Some(9) },
            "unreachable" => ModelError::Unreachable { reason },
            "silent" => ModelError::Silent {
                waiting_for: "the first token",
                waited: Duration::from_secs(30),
                variable: "MODEL_FIRST_TOKEN_TIMEOUT_SECONDS",
            },
            "denied" => ModelError::AccessDenied { model, reason },
            "retired" => ModelError::RetiredModel { model, reason },
            "too long" => ModelError::ContextTooLong { model },
            "broken" => ModelError::BrokenStream { reason },
            _ => return None,
        })
    }

    fn words(&self, request: &ModelRequest) -> (String, Vec<String>) {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let earlier = request.history.iter().flat_map(|turn| turn.messages()).map(Message::text);
        let prompt = request.messages[0].text();
        let said: Vec<String> = earlier.collect();
        (prompt.clone(), vec![format!("before: {said:?}; "), format!("now: {prompt}")])
    }
}

impl Model for Playing {
    fn converse<'a>(&'a self, request: &'a ModelRequest) -> BoxFuture<'a, Result<ModelAnswer, ModelError>> {
        let (prompt, words) = self.words(request);
        Box::pin(async move {
            if let Some(failure) = Self::failure(&prompt) {
                return Err(failure);
            }
            if prompt.starts_with("slow") {
                let _word = self.words.acquire().await;
            }
            let usage = Usage { input_tokens: 12, output_tokens: 3, total_tokens: 15, ..Usage::default() };
            Ok(ModelAnswer {
                message: Message::assistant(words.concat()),
                stop_reason: StopReason::EndTurn,
                usage,
                guardrail: None,
                served: None,
            })
        })
    }

    fn converse_stream<'a>(&'a self, request: &'a ModelRequest) -> BoxFuture<'a, Result<ModelEvents, ModelError>> {
        let (prompt, words) = self.words(request);
        Box::pin(async move {
            if let Some(failure) = Self::failure(&prompt) {
                return Err(failure);
            }
            let mut events = vec![Ok(ModelEvent::MessageStart { role: Role::Assistant })];
            events.extend(words.into_iter().map(|word| {
                Ok(ModelEvent::ContentBlockDelta { content_block_index: 0, delta: BlockDelta::Text(word) })
            }));
            if prompt == "breaks off" {
                events.push(Err(ModelError::BrokenStream { reason: "secret internals".into() }));
            }
            events.push(Ok(ModelEvent::ContentBlockStop { content_block_index: 0 }));
            events.push(Ok(ModelEvent::MessageStop { stop_reason: StopReason::EndTurn }));
            let usage = Usage { input_tokens: 12, output_tokens: 3, total_tokens: 15, ..Usage::default() };
            events.push(Ok(ModelEvent::Metadata {
                usage,
                metrics: Metrics { latency_ms: 1 },
                guardrail: None,
                served: None,
            }));
            let (slow, leave) = (prompt.starts_with("slow"), Arc::clone(&self.words));
            let played = stream::iter(events).then(move |event| {
                let leave = Arc::clone(&leave);
                async move {
                    if slow && matches!(event, Ok(ModelEvent::ContentBlockDelta { .. })) {
                        leave.acquire().await.expect("leave").forget();
                    }
                    event
                }
            });
            Ok(played.boxed())
        })
    }
}

/// A served agent, its model and a client.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    pub(crate) model: Playing,
    pub(crate) client: reqwest::Client,
    end: CancellationToken,
    ended: JoinHandle<Result<(), ServeError>>,
}

impl Served {
    pub(crate) fn start() -> Self {
        Self::with_memory(Arc::new(ProcessMemory::default()))
    }

    pub(crate) fn with_memory(memory: Arc<dyn SessionMemory>) -> Self {
        Self::of(memory, |server| server)
    }

    pub(crate) fn of(memory: Arc<dyn SessionMemory>, changed: fn(Server<Obedient>) -> Server<Obedient>) -> Self {
        // Nothing here is encrypted; the client wants to know how it would be.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let model = Playing::new();
        let server = changed(Server::new(Obedient, Arc::new(model.clone()), memory));
        let listening = server.listen().expect("a free port");
        let address = listening.address();
        let end = CancellationToken::new();
        let ended = tokio::spawn(listening.serve_until(end.clone()));
        Self { address, model, client: reqwest::Client::builder().build().expect("a client"), end, ended }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn invocation(&self, session: &str, body: impl Into<reqwest::Body>) -> reqwest::RequestBuilder {
        self.client
            .post(self.url("/invocations"))
            .header("x-amzn-bedrock-agentcore-runtime-session-id", session)
            .header("x-amzn-bedrock-agentcore-runtime-request-id", "request-1")
            .body(body)
    }

    pub(crate) fn prompt(&self, session: &str, prompt: &str) -> reqwest::RequestBuilder {
        self.invocation(session, serde_json::json!({ "prompt": prompt }).to_string())
    }

    /// The answer's status, its retry hint and its body.
    pub(crate) async fn answer(&self, request: reqwest::RequestBuilder) -> String {
        let response = request.send().await.expect("an answer");
        let (status, retry_after) = (response.status(), response.headers().get("retry-after").cloned());
        let retry = retry_after.map(|value| format!(" retry-after: {}", value.to_str().expect("ASCII")));
        format!("{}{}\n{}", status.as_u16(), retry.unwrap_or_default(), response.text().await.expect("a body"))
    }

    pub(crate) async fn ping(&self) -> Value {
        let response = self.client.get(self.url("/ping")).send().await.expect("a ping");
        serde_json::from_str(&response.text().await.expect("a body")).expect("JSON")
    }

    /// Asks for the end, and waits for it.
    pub(crate) async fn end(self) -> Result<(), ServeError> {
        self.end.cancel();
        self.ended.await.expect("no panic")
    }

    /// Asks for the end.
    pub(crate) fn begin_to_end(&self) {
        self.end.cancel();
    }

    /// Asks again until the answer is as hoped for; fails after ten seconds.
    pub(crate) async fn until(&self, hoped_for: impl AsyncFn() -> bool) {
        let hoping = async {
            while !hoped_for().await {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), hoping).await.expect("what was hoped for");
    }
}

/// A memory that cannot be read.
pub(crate) struct Unreadable;

impl SessionMemory for Unreadable {
    fn load<'a>(
        &'a self,
        _session: &'a agentcore_runtime::core::memory::identity::SessionKey,
        _budget: usize,
    ) -> BoxFuture<'a, Result<agentcore_runtime::core::memory::Loaded, MemoryError>> {
        Box::pin(async { Err(MemoryError::Unavailable { reason: "secret internals".into() }) })
    }

    fn append<'a>(
        &'a self,
        _session: &'a agentcore_runtime::core::memory::identity::SessionKey,
        _record: &'a agentcore_runtime::core::memory::Record,
    ) -> BoxFuture<'a, Result<(), MemoryError>> {
        Box::pin(async { Ok(()) })
    }
}
