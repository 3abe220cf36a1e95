//! A client over A2A that reads nothing for a while, and agents that panic. What A2A's own clients make of an agent is in
//! `tests/system/a2a.rs`.

use std::sync::Arc;

use agentcore_runtime::Protocol;
use agentcore_runtime::core::memory::identity::SessionKey;
use agentcore_runtime::core::memory::process::ProcessMemory;
use agentcore_runtime::core::memory::{Entry, Record, SessionMemory};
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::played::{Served, Unreadable};

fn served() -> Served {
    Served::of(Arc::new(ProcessMemory::default()), |server| server.speaking(Protocol::A2a))
}

fn call(served: &Served, method: &str, params: &Value) -> reqwest::RequestBuilder {
    let message = json!({ "jsonrpc": "2.0", "id": "one", "method": method, "params": params });
    served.client.post(served.url("/")).body(message.to_string())
}

fn message(prompt: &str) -> Value {
    json!({ "message": { "messageId": "1", "role": "ROLE_USER", "parts": [{ "text": prompt }] } })
}

async fn answer(request: reqwest::RequestBuilder) -> Value {
    let answer = request.send().await.expect("an answer").text().await.expect("a body");
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    assert_eq!((&answer["jsonrpc"], &answer["id"]), (&json!("2.0"), &json!("one")), "{answer}");
    answer
}

/// What a stream tells.
fn events(body: &str) -> Vec<Value> {
    let frames = body.split("\n\n").filter_map(|frame| frame.strip_prefix("data: "));
    frames.map(|text| serde_json::from_str::<Value>(text).expect("a frame is JSON")["result"].take()).collect()
}

fn said(events: &[Value]) -> String {
    let parts = events.iter().map(|event| &event["artifactUpdate"]["artifact"]["parts"][0]["text"]);
    parts.filter_map(Value::as_str).collect()
}

/// The answer is larger than all that sockets hold.
#[tokio::test]
async fn a_slow_reader_keeps_nobody_else_waiting_and_misses_nothing() {
    let served = served();
    let long = "word ".repeat(1_600_000);
    let slow = call(&served, "SendStreamingMessage", &message(&long)).send().await.expect("a stream");
    assert_eq!(slow.headers()["content-type"], "text/event-stream");

    for _ in 0..20 {
        let quick = call(&served, "SendStreamingMessage", &message("Hello!")).send().await.expect("a stream");
        let told = events(&quick.text().await.expect("a body"));
        assert_eq!(said(&told), "before: []; now: Hello!");
        assert_eq!(told.last().expect("an end")["statusUpdate"]["status"]["state"], "TASK_STATE_COMPLETED");
    }
    // Its turn has not waited for it.
    served.until(async || served.ping().await["status"] == "Healthy").await;

    let told = events(&slow.text().await.expect("the whole of it"));
    let text = said(&told);
    assert!(text.ends_with(&long), "{} bytes of more than {}", text.len(), long.len());
}

#[tokio::test]
async fn an_agent_that_panics_fails_alone() {
    let served = served();
    let failed = answer(call(&served, "SendMessage", &message("panic"))).await;
    assert_eq!(failed["error"]["code"], -32603, "{failed}");
    assert_eq!(failed["error"]["message"], "The agent failed unexpectedly. Please try again.");
    let next = answer(call(&served, "SendMessage", &message("Hello!"))).await;
    assert_eq!(next["result"]["task"]["artifacts"][0]["parts"][0]["text"], "before: []; now: Hello!", "{next}");
}

#[tokio::test]
async fn somebody_in_danger_is_answered_by_the_guard() {
    let served = served();
    let told = answer(call(&served, "SendMessage", &message("danger"))).await;
    let task = &told["result"]["task"];
    assert_eq!(task["artifacts"][0]["parts"][0]["text"], "Help is on its way.", "{told}");
    assert_eq!(task["metadata"]["safety"]["severity"], "crisis", "{told}");
}

/// As its process would have left it.
#[tokio::test]
async fn a_task_that_nobody_works_on_any_more_is_told_as_failed() {
    let memory = Arc::new(ProcessMemory::default());
    let id = "6b0f9a4c-0c7e-4c39-9d5c-0d1b3b7b8a11";
    let status = json!({ "state": "TASK_STATE_WORKING" });
    let task = json!({ "id": id, "contextId": "a-context", "status": status });
    let now = Timestamp::now();
    for (sequence, until_ms, expected) in [
        (1, now.as_millisecond() + 60_000, ("TASK_STATE_WORKING", -32002)),
        (2, now.as_millisecond() - 1, ("TASK_STATE_FAILED", -32002)),
    ] {
        let note = json!({ "task": task, "session": "a-context", "until_ms": until_ms }).to_string();
        let record = Record { token: Uuid::new_v4(), at: now, sequence, entry: Entry::Note(note) };
        memory.append(&SessionKey::of_note(None, id), &record).await.expect("stored");
        let served = Served::of(Arc::clone(&memory) as Arc<dyn SessionMemory>, |server| server.speaking(Protocol::A2a));
        let told = answer(call(&served, "GetTask", &json!({ "id": id }))).await;
        assert_eq!(told["result"]["status"]["state"], expected.0, "{told}");
        let refused = answer(call(&served, "CancelTask", &json!({ "id": id }))).await;
        assert_eq!(refused["error"]["code"], expected.1, "{refused}");
    }
}

#[tokio::test]
async fn a_memory_that_cannot_be_read_fails_tasks_and_is_told_of_without_internals() {
    let served = Served::of(Arc::new(Unreadable), |server| server.speaking(Protocol::A2a));
    let told = answer(call(&served, "SendMessage", &message("Hello!"))).await;
    let status = &told["result"]["task"]["status"];
    assert_eq!(status["state"], "TASK_STATE_FAILED", "{told}");
    assert_eq!(
        status["message"]["parts"][0]["text"], "What was said before cannot be read just now. Please try again.",
        "{told}"
    );
    let get = json!({ "id": "6b0f9a4c-0c7e-4c39-9d5c-0d1b3b7b8a11" });
    let told = answer(call(&served, "GetTask", &get)).await;
    assert_eq!(told["error"]["code"], -32603, "{told}");
    assert!(!told.to_string().contains("secret internals"), "{told}");
}
