//! A caller over MCP that reads nothing for a while, and one that calls what the agent offers beside itself. What MCP's
//! own clients make of an agent is in `tests/system/mcp.rs`.

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
    message(served, &json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params }))
}

fn measure(served: &Served, params: &Value) -> reqwest::RequestBuilder {
    let mut called = json!({ "name": "measure" });
    called.as_object_mut().expect("it is one").extend(params.as_object().expect("they are one").clone());
    in_a_session(served, &json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": called }))
}

fn in_a_session(served: &Served, told: &Value) -> reqwest::RequestBuilder {
    message(served, told).header("x-amzn-bedrock-agentcore-runtime-session-id", "a-session")
}

fn message(served: &Served, message: &Value) -> reqwest::RequestBuilder {
    let request = served.client.post(served.url("/mcp")).header("content-type", "application/json");
    request.header("accept", "application/json, text/event-stream").body(message.to_string())
}

async fn result(request: reqwest::RequestBuilder) -> Value {
    let body = request.send().await.expect("an answer").text().await.expect("a body");
    serde_json::from_str::<Value>(&body).unwrap_or_else(|_| panic!("{body}"))["result"].take()
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

// === what is offered beside the agent ===

#[tokio::test]
async fn what_is_offered_is_listed_after_the_agent_and_called_without_a_turn() {
    let served = served();
    let listed = result(message(&served, &json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" }))).await;
    insta::assert_json_snapshot!(listed["tools"][1], @r#"
    {
      "name": "measure",
      "description": "Measures what it is shown.",
      "inputSchema": {
        "type": "object",
        "properties": {
          "what": {
            "type": "string"
          }
        },
        "required": [
          "what"
        ]
      }
    }
    "#);
    let told = result(measure(&served, &json!({ "arguments": { "what": "a book" } }))).await;
    insta::assert_json_snapshot!(told, @r#"
    {
      "content": [
        {
          "type": "text",
          "text": "{\"of\":\"a book\",\"cm\":21}"
        }
      ],
      "structuredContent": {
        "of": "a book",
        "cm": 21
      },
      "isError": false
    }
    "#);
    assert_eq!(served.model.asked(), 0, "no model was asked");
}

#[tokio::test]
async fn progress_of_what_is_offered_comes_before_its_result() {
    let served = served();
    let watched = json!({ "arguments": { "what": "a book" }, "_meta": { "progressToken": 1 } });
    let body = measure(&served, &watched).send().await.expect("an answer").text().await.expect("a body");
    let [progress, end] = &messages(&body)[..] else { panic!("{body}") };
    assert_eq!(progress["params"]["message"], "measure: laying the ruler down");
    assert_eq!(end["result"]["structuredContent"]["cm"], 21);
}

#[tokio::test]
async fn what_goes_wrong_in_what_is_offered_is_told_as_the_tools_own_failure() {
    let served = served();
    let mut told = Vec::new();
    for arguments in
        [json!({ "what": "a hair" }), json!({ "what": "a stranger" }), json!({ "what": "a ghost" }), json!({})]
    {
        let failed = result(measure(&served, &json!({ "arguments": arguments }))).await;
        assert_eq!(failed["isError"], true, "{failed}");
        told.push(failed["content"][0]["text"].as_str().expect("words").to_owned());
    }
    insta::assert_snapshot!(told.join("\n"), @"
    a hair is too thin for this ruler; measure something larger
    A person must answer first, and nobody can here: May I measure you?
    The tool failed unexpectedly.
    The arguments do not fit the schema: missing field `what`.
    ");
    let none = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "weigh" } });
    let body = message(&served, &none).send().await.expect("an answer").text().await.expect("a body");
    assert!(body.contains("There is no such tool here; there are obedient, measure."), "{body}");
}

#[tokio::test]
async fn a_call_of_what_is_offered_ends_when_its_caller_cancels_or_leaves() {
    let served = served();
    let forever = measure(&served, &json!({ "arguments": { "what": "the sky" } }));
    let waiting = tokio::spawn(result(forever));
    served.until(async || served.ping().await["status"] == "HealthyBusy").await;
    let cancelled = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 7 } });
    in_a_session(&served, &cancelled).send().await.expect("an answer");
    assert_eq!(waiting.await.expect("no panic")["isError"], true);
    served.until(async || served.ping().await["status"] == "Healthy").await;

    let leaving = tokio::spawn(result(measure(&served, &json!({ "arguments": { "what": "the sky" } }))));
    served.until(async || served.ping().await["status"] == "HealthyBusy").await;
    leaving.abort();
    served.until(async || served.ping().await["status"] == "Healthy").await;
}
