//! Cache points: where they may be, and what usage tells of them.

use super::*;

const CACHING_MODEL: &str = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0";

fn point() -> Value {
    json!({ "cachePoint": { "type": "default" } })
}

/// A request with a long system prompt and a point after it, and `more` messages.
fn request(more: &[Value]) -> Value {
    let mut messages = vec![json!({ "role": "user", "content": [{ "text": "Hello" }] })];
    messages.extend_from_slice(more);
    json!({ "system": [{ "text": "Be brief. ".repeat(400) }, point()], "messages": messages })
}

async fn usage(service: &Service, model: &str, request: &Value) -> Value {
    let answer = service.post_to(model, "converse", request.to_string()).await;
    let mut body: Value = answer.json().await.expect("JSON");
    body["usage"].take()
}

#[tokio::test]
async fn a_prompt_is_written_the_first_time_and_read_after_it() {
    let service = Service::scripted().await;

    let first = usage(&service, CACHING_MODEL, &request(&[])).await;
    let again = usage(&service, CACHING_MODEL, &request(&[])).await;
    let other_model = usage(&service, "eu.anthropic.claude-sonnet-4-20250514-v1:0", &request(&[])).await;

    insta::assert_snapshot!(first, @r#"{"inputTokens":5,"outputTokens":9,"totalTokens":1215,"cacheReadInputTokens":0,"cacheWriteInputTokens":1201}"#);
    insta::assert_snapshot!(again, @r#"{"inputTokens":5,"outputTokens":9,"totalTokens":1215,"cacheReadInputTokens":1201,"cacheWriteInputTokens":0}"#);
    assert_eq!(other_model, first);
}

#[tokio::test]
async fn a_stream_tells_the_same() {
    let service = Service::scripted().await;
    let answer = service.post_to(CACHING_MODEL, "converse-stream", request(&[]).to_string()).await;
    let frames = frames(&answer.bytes().await.expect("a body"));
    insta::assert_snapshot!(frames.lines().last().expect("metadata"), @r#"metadata application/json event {"usage":{"inputTokens":5,"outputTokens":9,"totalTokens":1215,"cacheReadInputTokens":0,"cacheWriteInputTokens":1201},"metrics":{"latencyMs":0}}"#);
}

#[tokio::test]
async fn the_tokens_of_a_prompt_are_the_same_however_they_are_charged() {
    let service = Service::scripted().await;
    let mut request = request(&[
        json!({ "role": "assistant", "content": [{ "toolUse": { "toolUseId": "a", "name": "log", "input": {} } }] }),
        json!({ "role": "user", "content": [{ "toolResult": { "toolUseId": "a", "content": [{ "text": "ok" }] } }, point()] }),
    ]);
    request["toolConfig"] = json!({ "tools": [{ "toolSpec": { "name": "log", "inputSchema": { "json": { "type": "object" } } } }, point()] });

    let cached = usage(&service, CACHING_MODEL, &request).await;
    let again = usage(&service, CACHING_MODEL, &request).await;
    let text = request.to_string().replace(&format!(",{}", point()), "");
    let uncached = usage(&service, CACHING_MODEL, &serde_json::from_str(&text).expect("JSON")).await;

    assert_eq!((&cached["inputTokens"], &cached["cacheWriteInputTokens"]), (&json!(0), &uncached["inputTokens"]));
    assert_eq!(
        (&again["cacheWriteInputTokens"], &again["cacheReadInputTokens"]),
        (&json!(0), &uncached["inputTokens"])
    );
    assert_eq!(cached["totalTokens"], uncached["totalTokens"]);
}

#[tokio::test]
async fn cache_points_that_are_refused() {
    let service = Service::scripted().await;
    let mut told = Vec::new();
    let mut refuse = async |model: &str, body: Value| {
        let answer = service.post_to(model, "converse", body.to_string()).await;
        let name = answer.headers()["x-amzn-errortype"].to_str().expect("a name").to_owned();
        let status = answer.status().as_u16();
        let body: Value = answer.json().await.expect("JSON");
        told.push(format!("{status} {name}: {}", body["message"].as_str().expect("a sentence")));
    };
    let said = |content: Value| json!({ "messages": [{ "role": "user", "content": content }] });
    let words = json!({ "text": "Hello" });
    refuse(MODEL, request(&[])).await;
    refuse(
        CACHING_MODEL,
        said(json!([words, point(), words, point(), words, point(), words, point(), words, point()])),
    )
    .await;
    refuse(CACHING_MODEL, said(json!([words, { "cachePoint": {} }]))).await;
    refuse(CACHING_MODEL, said(json!([words, { "cachePoint": { "type": "mine" } }]))).await;
    refuse(CACHING_MODEL, said(json!([words, { "cachePoint": { "type": "default", "ttl": "1d" } }]))).await;
    let mut tools = said(json!([words]));
    tools["toolConfig"] = json!({ "tools": [{ "toolSpec": { "name": "log", "inputSchema": { "json": { "type": "object" } } } }, point()] });
    refuse("amazon.nova-lite-v1:0", tools).await;
    insta::assert_snapshot!(told.join("\n"), @"
    403 AccessDeniedException: You invoked an unsupported model or your request did not allow prompt caching. See the documentation for more information.
    400 ValidationException: The model returned the following errors: A maximum of 4 blocks with cache_control may be provided. Found 5.
    400 ValidationException: 1 validation error detected: Value null at 'messages.0.content.1.cachePoint.type' failed to satisfy constraint: Member must not be null
    400 ValidationException: 1 validation error detected: Value 'mine' at 'messages.0.content.1.cachePoint.type' failed to satisfy constraint: Member must satisfy enum value set: [default]
    400 ValidationException: 1 validation error detected: Value '1d' at 'messages.0.content.1.cachePoint.ttl' failed to satisfy constraint: Member must satisfy enum value set: [5m, 1h]
    400 ValidationException: Malformed input request: #/toolConfig/tools/1: extraneous key [cachePoint] is not permitted, please reformat your input and try again.
    ");
}
