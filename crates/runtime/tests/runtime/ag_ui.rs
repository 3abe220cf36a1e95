//! An app over AG-UI that reads nothing for a while. What AG-UI's own client makes of an agent is in
//! `tests/system/ag_ui.rs`.

use std::sync::Arc;

use agentcore_runtime::Protocol;
use agentcore_runtime::core::memory::process::ProcessMemory;
use serde_json::{Value, json};

use crate::played::Served;

fn served() -> Served {
    Served::of(Arc::new(ProcessMemory::default()), |server| server.speaking(Protocol::AgUi))
}

fn run(served: &Served, prompt: &str) -> reqwest::RequestBuilder {
    run_in(served, "a-thread", prompt)
}

fn run_in(served: &Served, thread: &str, prompt: &str) -> reqwest::RequestBuilder {
    let message = json!({ "id": "1", "role": "user", "content": prompt });
    let input = json!({ "threadId": thread, "runId": "a-run", "messages": [message] });
    served.client.post(served.url("/invocations")).body(input.to_string())
}

/// The events of a stream.
fn events(body: &str) -> Vec<Value> {
    let frames = body.split("\n\n").filter_map(|frame| frame.strip_prefix("data: "));
    frames.map(|text| serde_json::from_str(text).expect("a frame is JSON")).collect()
}

fn said(body: &str) -> String {
    let events = events(body);
    assert_eq!(events.last().expect("an end")["type"], "RUN_FINISHED", "{body}");
    events.iter().filter_map(|event| event["delta"].as_str()).collect()
}

/// The answer is larger than all that sockets hold.
#[tokio::test]
async fn a_slow_reader_keeps_nobody_else_waiting_and_misses_nothing() {
    let served = served();
    let long = "word ".repeat(1_600_000);
    let slow = run_in(&served, "a slow one", &long).send().await.expect("a stream");
    assert_eq!(slow.headers()["content-type"], "text/event-stream; charset=utf-8");

    for number in 0..20 {
        let quick = run_in(&served, &format!("thread-{number}"), "Hello!").send().await.expect("a stream");
        assert_eq!(said(&quick.text().await.expect("a body")), "before: []; now: Hello!");
    }

    let text = said(&slow.text().await.expect("the whole of it"));
    assert!(text.ends_with(&long), "{} bytes of more than {}", text.len(), long.len());
    served.until(async || served.ping().await["status"] == "Healthy").await;
}

#[tokio::test]
async fn an_agent_that_panics_fails_alone() {
    let served = served();
    let failed = run(&served, "panic").send().await.expect("an answer");
    assert_eq!(failed.status(), 500);
    assert!(failed.text().await.expect("a body").contains("internal_error"));
    let next = run(&served, "Hello!").send().await.expect("an answer").text().await.expect("a body");
    assert_eq!(said(&next), "before: []; now: Hello!");
}

#[tokio::test]
async fn somebody_in_danger_is_answered_by_the_guard() {
    let served = served();
    let told = run(&served, "danger").send().await.expect("a stream").text().await.expect("a body");
    assert_eq!(said(&told), "Help is on its way.");
    assert_eq!(events(&told).last().expect("an end")["result"]["safety"]["severity"], "crisis");
}

#[tokio::test]
async fn there_is_no_websocket_and_a_sentence_says_so() {
    let served = served();
    let answer = served.answer(served.client.get(served.url("/ws")).header("upgrade", "websocket")).await;
    insta::assert_snapshot!(answer, @r"
    403
    this agent speaks AG-UI over server-sent events alone; send POST /invocations
    ");
}
