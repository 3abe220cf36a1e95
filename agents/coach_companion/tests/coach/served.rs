//! The coach as it is served: what a caller's stream has of an answer that no coach may give.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use agentcore_runtime::Server;
use agentcore_runtime::core::memory::process::ProcessMemory;
use agentcore_runtime::core::message::{ContentBlock, Message, Role, StopReason, ToolUse, Usage};
use agentcore_runtime::core::model::{
    BlockDelta, Metrics, Model, ModelAnswer, ModelError, ModelEvent, ModelEvents, ModelRequest,
};
use agentcore_runtime::core::settings::Settings;
use coach_companion::CoachCompanion;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt as _};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// Writes one answer, three characters at a time. Asked for a second opinion, it sees danger in every message.
struct Writing(&'static str);

impl Model for Writing {
    fn converse<'a>(&'a self, request: &'a ModelRequest) -> BoxFuture<'a, Result<ModelAnswer, ModelError>> {
        let report = ToolUse {
            tool_use_id: "tooluse_1".into(),
            name: request.tools[0].name.clone(),
            input: json!({ "found": ["self_harm"] }),
        };
        let answer = ModelAnswer {
            message: Message { role: Role::Assistant, content: vec![ContentBlock::ToolUse(report)] },
            stop_reason: StopReason::ToolUse,
            usage: Usage::default(),
            guardrail: None,
            served: None,
        };
        Box::pin(async { Ok(answer) })
    }

    fn converse_stream<'a>(&'a self, _request: &'a ModelRequest) -> BoxFuture<'a, Result<ModelEvents, ModelError>> {
        let letters: Vec<char> = self.0.chars().collect();
        let pieces = letters.chunks(3).map(|piece| ModelEvent::ContentBlockDelta {
            content_block_index: 0,
            delta: BlockDelta::Text(piece.iter().collect()),
        });
        let mut events = vec![ModelEvent::MessageStart { role: Role::Assistant }];
        events.extend(pieces);
        events.extend([
            ModelEvent::ContentBlockStop { content_block_index: 0 },
            ModelEvent::MessageStop { stop_reason: StopReason::EndTurn },
            ModelEvent::Metadata {
                usage: Usage::default(),
                metrics: Metrics { latency_ms: 1 },
                guardrail: None,
                served: None,
            },
        ]);
        Box::pin(async { Ok(stream::iter(events.into_iter().map(Ok)).boxed()) })
    }
}

/// The body of what a served coach answers a caller who streams.
async fn streamed(answer: &'static str, settings: &[(&str, &str)]) -> String {
    let set = |name: &str| settings.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned());
    let overruling = Settings::read(set).expect("settings that make sense").model.overruling();
    let server = Server::new(CoachCompanion, Arc::new(Writing(answer)), Arc::new(ProcessMemory::default()));
    let server = server.overruling(overruling);
    let listening = server.listen().expect("a free port");
    let (address, end) = (listening.address(), CancellationToken::new());
    let ended = tokio::spawn(listening.serve_until(end.clone()));
    let body = tokio::task::spawn_blocking(move || asked(address)).await.expect("no panic");
    end.cancel();
    ended.await.expect("no panic").expect("it was served");
    body
}

fn asked(address: SocketAddr) -> String {
    let payload = r#"{"prompt": "What should I do tonight?"}"#;
    let mut connection = TcpStream::connect(address).expect("a connection");
    write!(
        connection,
        "POST /invocations HTTP/1.1\r\nhost: coach\r\naccept: text/event-stream\r\nconnection: close\r\n\
         x-amzn-bedrock-agentcore-runtime-session-id: a-session\r\ncontent-length: {}\r\n\r\n{payload}",
        payload.len()
    )
    .expect("it takes a request");
    let mut answer = String::new();
    connection.read_to_string(&mut answer).expect("an answer in UTF-8");
    answer
}

/// The texts of a stream's frames, one after the other.
fn told(body: &str) -> String {
    let frames = body.lines().filter_map(|line| line.strip_prefix("data: "));
    let frames = frames.filter_map(|frame| serde_json::from_str::<Value>(frame).ok());
    frames
        .filter_map(|frame| frame["event"]["contentBlockDelta"]["delta"]["text"].as_str().map(str::to_owned))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callers_stream_has_nothing_that_is_forbidden() {
    for answer in [
        "Grand 🌱! Some ideas:\n\n- have a cup of tea\n- you could **skip dinner** tonight\n- rest",
        "Grand. Skip these tonight:\n\n1. Crisps\n2. Dinner\n",
        "Grand. Eat **1,000 kcal** a day and no snacks",
    ] {
        let body = streamed(answer, &[]).await;
        let told = told(&body);
        assert!(told.starts_with("Grand") && told.contains("I'd rather stop here"), "{body}");
        assert!(!["dinner", "Dinner", "1,000"].iter().any(|word| body.contains(word)), "{body}");
        assert!(body.contains(r#""action":"replaced""#), "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callers_stream_has_all_that_is_fine() {
    let fine = "Grand 🌱! Some ideas:\n\n- soup and a roll for **dinner**\n- a walk of 20 minutes\n\nWhich one?";
    assert_eq!(told(&streamed(fine, &[]).await), fine);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_an_operator_wants_it_a_second_reader_is_heard_before_the_coach() {
    let body = streamed("Soup.", &[("SECOND_OPINIONS", "on")]).await;
    assert!(told(&body).contains("116 123") || told(&body).contains("112"), "{body}");
    assert!(!body.contains("Soup"), "{body}");
    assert!(body.contains(r#"{"kind":"self_harm","rule":"second_reader"}"#), "{body}");
    assert_eq!(told(&streamed("Soup.", &[("SECOND_OPINIONS", "off")]).await), "Soup.");
}
