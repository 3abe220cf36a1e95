//! A caller over MCP that reads nothing for a while. What MCP's own clients make of an agent is in `tests/system/mcp.rs`.

use std::sync::Arc;

use agentcore_runtime::Protocol;
use agentcore_runtime::core::memory::process::ProcessMemory;
use serde_json::{Value, json};

use crate::played::Served;

fn served() -> Served {
    Served::of(Arc::new(ProcessMemory::default()), |server| server.speaking(Protocol::Mcp))
}

fn watched_call(served: &Served, prompt: &str) -> reqwest::RequestBuilder {
    let params = json!({ "name": "obedient", "arguments": { "prompt": prompt }, "_meta": { "progressToken": 1 } });
    let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
    let request = served.client.post(served.url("/mcp")).header("content-type", "application/json");
    request.header("accept", "application/json, text/event-stream").body(message.to_string())
}

/// The messages of a stream.
fn messages(body: &str) -> Vec<Value> {
    let frames = body.split("\n\n").filter_map(|frame| frame.trim().strip_prefix("data: "));
    frames.map(|json| serde_json::from_str(json).expect("a frame is JSON")).collect()
}

/// The answer is larger than all that sockets hold.
#[tokio::test]
async fn a_slow_reader_keeps_nobody_else_waiting_and_misses_nothing() {
    let served = served();
    let long = "word ".repeat(1_600_000);
    let slow = watched_call(&served, &long).send().await.expect("a stream");
    assert_eq!(slow.headers()["content-type"], "text/event-stream");

    for _ in 0..20 {
        let quick = watched_call(&served, "Hello!").send().await.expect("a stream");
        let told = messages(&quick.text().await.expect("a body"));
        let said: String = told.iter().filter_map(|message| message["params"]["message"].as_str()).collect();
        assert_eq!(said, "before: []; now: Hello!");
        assert_eq!(told.last().expect("a result")["result"]["content"][0]["text"], said);
    }

    let told = messages(&slow.text().await.expect("the whole of it"));
    let text = told.last().expect("a result")["result"]["content"][0]["text"].as_str().expect("words").to_owned();
    assert!(text.ends_with(&long), "{} bytes of more than {}", text.len(), long.len());
    served.until(async || served.ping().await["status"] == "Healthy").await;
}

#[tokio::test]
async fn an_agent_that_panics_fails_alone() {
    let served = served();
    let failed = watched_call(&served, "panic").send().await.expect("an answer").text().await.expect("a body");
    let result = serde_json::from_str::<Value>(&failed).expect("JSON")["result"].take();
    assert_eq!((&result["isError"], &result["structuredContent"]["code"]), (&json!(true), &json!("internal_error")));
    let next = watched_call(&served, "Hello!").send().await.expect("an answer").text().await.expect("a body");
    assert!(next.contains("now: Hello!"), "{next}");
}
