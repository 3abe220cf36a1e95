//! The service from outside: raw HTTP where the wire is the point, AWS's own SDK where its errors are.

mod caching;
mod faults;
mod flow;
mod guardrails;
mod refusals;
mod relayed;

use std::future::pending;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aws_config::BehaviorVersion;
use aws_sdk_bedrockruntime::Client;
use aws_sdk_bedrockruntime::config::retry::RetryConfig;
use aws_sdk_bedrockruntime::config::timeout::TimeoutConfig;
use aws_sdk_bedrockruntime::config::{Credentials, Region};
use aws_sdk_bedrockruntime::types::{ContentBlock, ConversationRole, ConverseStreamOutput, Message};
use aws_smithy_eventstream::frame::{DecodedFrame, MessageFrameDecoder};
use axum::http::HeaderMap;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::{Bedrock, Brain, Fault, Faults, Guardrail, ModelCall, ModelCallWatch, Refusal, router};
use crate::engine::conversation::{Conversation, StopReason, ToolUse, Usage};
use crate::engine::{Engine, EngineError, Piece, Pieces, Scripted};

const MODEL: &str = "eu.anthropic.claude-3-5-sonnet-20240620-v1:0";

/// The same by the id that counts tokens: inference profiles don't.
const COUNTING_MODEL: &str = "anthropic.claude-3-5-sonnet-20240620-v1:0";

/// Long enough for anything that happens at all.
const SOON: Duration = Duration::from_secs(10);

/// An engine that gives the pieces it was made with.
struct Canned(Vec<Result<Piece, EngineError>>);

impl Engine for Canned {
    fn answer(&self, _conversation: Conversation) -> Pieces {
        Box::pin(futures::stream::iter(self.0.clone()))
    }
}

/// An engine that says one word and then waits for ever.
struct OneWord;

impl Engine for OneWord {
    fn answer(&self, _conversation: Conversation) -> Pieces {
        let word = futures::stream::once(async { Ok(Piece::Text("Hello".into())) });
        Box::pin(word.chain(futures::stream::once(pending())))
    }
}

/// A service on a port of its own.
struct Service {
    base: String,
}

impl Service {
    async fn start(bedrock: Bedrock) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move { axum::serve(listener, router(bedrock)).await });
        Self { base: format!("http://{address}") }
    }

    async fn scripted() -> Self {
        Self::start(Bedrock::new(Brain::Engine(Arc::new(Scripted)))).await
    }

    async fn with_engine(engine: impl Engine) -> Self {
        Self::start(Bedrock::new(Brain::Engine(Arc::new(engine)))).await
    }

    async fn with_faults(plan: &str) -> Self {
        let faults: Faults = plan.parse().expect("a plan of faults");
        let bedrock = Bedrock::new(Brain::Engine(Arc::new(Scripted))).with_faults(faults);
        Self::start(bedrock).await
    }

    async fn post(&self, operation: &str, body: impl Into<reqwest::Body>) -> reqwest::Response {
        self.post_to(MODEL, operation, body).await
    }

    async fn post_to(&self, model: &str, operation: &str, body: impl Into<reqwest::Body>) -> reqwest::Response {
        let model = model.replace(':', "%3A").replace('/', "%2F");
        http_client()
            .post(format!("{}/model/{model}/{operation}", self.base))
            .body(body)
            .send()
            .await
            .expect("an answer")
    }

    /// AWS's SDK, as an agent configures it but for the endpoint; one attempt, to see every error.
    fn sdk(&self) -> Client {
        let connector = aws_smithy_http_client::Builder::new().build_http();
        let config = aws_sdk_bedrockruntime::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .credentials_provider(Credentials::new("AKIDLOCAL", "secret", None, None, "test"))
            .endpoint_url(&self.base)
            .http_client(connector)
            .retry_config(RetryConfig::disabled())
            .timeout_config(TimeoutConfig::disabled())
            .build();
        Client::from_conf(config)
    }
}

fn http_client() -> reqwest::Client {
    crate::engine::http_client::client_for(&"http://127.0.0.1".parse().expect("an address")).expect("a client")
}

fn hello() -> String {
    json!({ "messages": [{ "role": "user", "content": [{ "text": "Hello" }] }] }).to_string()
}

fn hello_message() -> Message {
    Message::builder()
        .role(ConversationRole::User)
        .content(ContentBlock::Text("Hello".into()))
        .build()
        .expect("a message")
}

/// The frames of a stream, one a line: type and payload, latency set to zero.
fn frames(bytes: &[u8]) -> String {
    let mut buffer = BytesMut::from(bytes);
    let mut decoder = MessageFrameDecoder::new();
    let mut lines = Vec::new();
    while let DecodedFrame::Complete(frame) = decoder.decode_frame(&mut buffer).expect("a frame") {
        let headers: Vec<String> = frame
            .headers()
            .iter()
            .map(|header| header.value().as_string().expect("a string").as_str().to_owned())
            .collect();
        let mut payload: Value = serde_json::from_slice(frame.payload()).expect("JSON");
        without_latency(&mut payload);
        lines.push(format!("{} {payload}", headers.join(" ")));
    }
    assert!(buffer.is_empty(), "half a frame is left over");
    lines.join("\n")
}

fn without_latency(answer: &mut Value) {
    if let Some(latency) = answer.pointer_mut("/metrics/latencyMs") {
        assert!(latency.is_u64());
        *latency = json!(0);
    }
}

// === Answers ===

#[tokio::test]
async fn a_whole_answer_has_bedrocks_shape() {
    let answer = Service::scripted().await.post("converse", hello()).await;

    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/json");
    assert_eq!(answer.headers()["x-amzn-requestid"].len(), 36);
    let mut body: Value = answer.json().await.expect("JSON");
    without_latency(&mut body);
    insta::assert_snapshot!(body, @r#"{"usage":{"inputTokens":5,"outputTokens":9,"totalTokens":14},"metrics":{"latencyMs":0},"output":{"message":{"role":"assistant","content":[{"text":"Hello! How can I help you today?"}]}},"stopReason":"end_turn"}"#);
}

#[tokio::test]
async fn a_stream_has_bedrocks_events() {
    let answer = Service::scripted().await.post("converse-stream", hello()).await;

    assert_eq!(answer.headers()["content-type"], "application/vnd.amazon.eventstream");
    assert_eq!(answer.headers()["x-amzn-requestid"].len(), 36);
    insta::assert_snapshot!(frames(&answer.bytes().await.expect("a body")), @r#"
    messageStart application/json event {"role":"assistant"}
    contentBlockDelta application/json event {"contentBlockIndex":0,"delta":{"text":"Hello! How"}}
    contentBlockDelta application/json event {"contentBlockIndex":0,"delta":{"text":" can I help"}}
    contentBlockDelta application/json event {"contentBlockIndex":0,"delta":{"text":" you today?"}}
    contentBlockStop application/json event {"contentBlockIndex":0}
    messageStop application/json event {"stopReason":"end_turn"}
    metadata application/json event {"usage":{"inputTokens":5,"outputTokens":9,"totalTokens":14},"metrics":{"latencyMs":0}}
    "#);
}

#[tokio::test]
async fn a_tool_call_after_words_has_blocks_of_its_own() {
    let call = ToolUse { tool_use_id: "tooluse_1".into(), name: "log".into(), input: json!({ "kilograms": 81.5 }) };
    let usage = Usage { input_tokens: 5, output_tokens: 9 };
    let pieces = vec![
        Ok(Piece::Text("One moment.".into())),
        Ok(Piece::ToolUse(call)),
        Ok(Piece::End { reason: StopReason::ToolUse, usage }),
    ];

    let streamed = Service::with_engine(Canned(pieces.clone())).await.post("converse-stream", hello()).await;
    insta::assert_snapshot!(frames(&streamed.bytes().await.expect("a body")), @r#"
    messageStart application/json event {"role":"assistant"}
    contentBlockDelta application/json event {"contentBlockIndex":0,"delta":{"text":"One moment."}}
    contentBlockStop application/json event {"contentBlockIndex":0}
    contentBlockStart application/json event {"start":{"toolUse":{"toolUseId":"tooluse_1","name":"log"}},"contentBlockIndex":1}
    contentBlockDelta application/json event {"contentBlockIndex":1,"delta":{"toolUse":{"input":"{\"kilograms"}}}
    contentBlockDelta application/json event {"contentBlockIndex":1,"delta":{"toolUse":{"input":"\":81."}}}
    contentBlockDelta application/json event {"contentBlockIndex":1,"delta":{"toolUse":{"input":"5}"}}}
    contentBlockStop application/json event {"contentBlockIndex":1}
    messageStop application/json event {"stopReason":"tool_use"}
    metadata application/json event {"usage":{"inputTokens":5,"outputTokens":9,"totalTokens":14},"metrics":{"latencyMs":0}}
    "#);

    let whole = Service::with_engine(Canned(pieces)).await.post("converse", hello()).await;
    let mut body: Value = whole.json().await.expect("JSON");
    without_latency(&mut body);
    insta::assert_snapshot!(body, @r#"{"usage":{"inputTokens":5,"outputTokens":9,"totalTokens":14},"metrics":{"latencyMs":0},"output":{"message":{"role":"assistant","content":[{"text":"One moment."},{"toolUse":{"toolUseId":"tooluse_1","name":"log","input":{"kilograms":81.5}}}]}},"stopReason":"tool_use"}"#);
}

#[tokio::test]
async fn aws_sdk_reads_both_forms_alike_and_takes_arns() {
    let sdk = Service::scripted().await.sdk();
    let arn = format!("arn:aws:bedrock:eu-west-1:123456789012:inference-profile/{MODEL}");

    let whole = sdk.converse().model_id(arn).messages(hello_message()).send().await.expect("an answer");
    let mut stream =
        sdk.converse_stream().model_id(MODEL).messages(hello_message()).send().await.expect("a stream").stream;

    let mut streamed = String::new();
    let mut metadata = None;
    while let Some(event) = stream.recv().await.expect("events") {
        match event {
            ConverseStreamOutput::ContentBlockDelta(delta) => {
                streamed.push_str(delta.delta().and_then(|delta| delta.as_text().ok()).expect("text"));
            }
            ConverseStreamOutput::Metadata(event) => metadata = Some(event),
            _ => {}
        }
    }
    let message = whole.output().expect("output").as_message().expect("a message");
    assert_eq!(message.content()[0].as_text().expect("text"), &streamed);
    assert_eq!(whole.usage(), metadata.expect("metadata").usage());
}

#[tokio::test]
async fn tokens_are_counted_as_the_call_would_use_them() {
    let service = Service::scripted().await;
    let question: Value = serde_json::from_str(&hello()).expect("JSON");
    let counted =
        service.post_to(COUNTING_MODEL, "count-tokens", json!({ "input": { "converse": question } }).to_string()).await;
    let counted: Value = counted.json().await.expect("JSON");
    let used: Value = service.post("converse", hello()).await.json().await.expect("JSON");
    assert_eq!(counted["inputTokens"], used["usage"]["inputTokens"]);

    let native = aws_smithy_types::base64::encode(r#"{"messages":[{"role":"user","content":"Hello you"}]}"#);
    let counted = service
        .post_to(COUNTING_MODEL, "count-tokens", json!({ "input": { "invokeModel": { "body": native } } }).to_string())
        .await;
    assert_eq!(counted.text().await.expect("a body"), r#"{"inputTokens":2}"#);
}

// === The watch ===

#[derive(Default)]
struct Watch {
    calls: Mutex<Vec<ModelCall>>,
    finished: Notify,
    throttles: AtomicBool,
}

impl ModelCallWatch for Watch {
    fn fault(&self, headers: &HeaderMap) -> Option<Fault> {
        assert!(headers.contains_key("host"));
        self.throttles.load(Ordering::SeqCst).then_some(Refusal::Throttle.into())
    }

    fn finished(&self, _headers: &HeaderMap, call: &ModelCall) {
        self.calls.lock().expect("no panic before").push(call.clone());
        self.finished.notify_one();
    }
}

impl Watch {
    async fn next(&self) -> ModelCall {
        tokio::time::timeout(SOON, self.finished.notified()).await.expect("a finished call");
        self.calls.lock().expect("no panic before").pop().expect("a call")
    }
}

#[tokio::test]
async fn the_watch_learns_how_every_call_went() {
    let watch = Arc::new(Watch::default());
    let brain = Brain::Engine(Arc::new(Scripted));
    let service = Service::start(Bedrock::new(brain).watched_by(Arc::clone(&watch) as _)).await;

    for operation in ["converse", "converse-stream"] {
        service.post(operation, hello()).await.bytes().await.expect("a body");
        let call = watch.next().await;
        assert_eq!((call.model_id.as_str(), call.error), (MODEL, None), "{operation}");
        assert!(call.first_token.expect("a first token") <= call.total, "{operation}");
        assert_eq!((call.input_tokens, call.output_tokens), (5, 9), "{operation}");
    }

    watch.throttles.store(true, Ordering::SeqCst);
    assert_eq!(service.post("converse", hello()).await.status(), 429);
    let call = watch.next().await;
    assert_eq!((call.error, call.first_token), (Some("ThrottlingException"), None));
}

#[tokio::test]
async fn the_watch_learns_of_a_client_that_left() {
    let watch = Arc::new(Watch::default());
    let brain = Brain::Engine(Arc::new(OneWord));
    let service = Service::start(Bedrock::new(brain).watched_by(Arc::clone(&watch) as _)).await;

    drop(service.post("converse-stream", hello()).await);

    assert_eq!(watch.next().await.error, Some("ClientDisconnected"));
}
