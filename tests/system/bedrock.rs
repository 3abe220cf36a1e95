//! Must show 2: AWS's own Bedrock clients read every answer of the emulator, and raise their own typed
//! exceptions for the faults it is told to have.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::foreign::{Script, node_script, python_script};
use crate::local_aws::LocalAws;

fn boto3(aws: &LocalAws) -> Script {
    Script::start("boto3", python_script("bedrock.py"), &aws.endpoint())
}

fn clients(aws: &LocalAws) -> [Script; 2] {
    [boto3(aws), Script::start("AWS SDK for JavaScript", node_script("bedrock.cjs"), &aws.endpoint())]
}

fn converse(client: &mut Script) -> Value {
    client.order(json!({ "do": "converse", "prompt": "I had a setback today" }))
}

fn stream_with(client: &mut Script, fault: &str) -> Value {
    client.order(json!({ "do": "converse_stream", "prompt": "I had a setback today", "fault": fault }))
}

fn events(result: &Value) -> &[Value] {
    result["events"].as_array().unwrap_or_else(|| panic!("no stream began: {result}"))
}

/// The name of an event: its one member.
fn kind(event: &Value) -> &str {
    event.as_object().and_then(|event| event.keys().next()).unwrap_or_else(|| panic!("no event: {event}"))
}

fn text(events: &[Value]) -> String {
    events.iter().filter_map(|event| event["contentBlockDelta"]["delta"]["text"].as_str()).collect()
}

#[test]
fn an_answer_in_one_piece_has_every_member() {
    let aws = LocalAws::start();
    for mut client in clients(&aws) {
        let result = converse(&mut client);

        let answer = &result["answer"];
        assert_eq!(answer["output"]["message"]["role"], "assistant", "{result}");
        assert!(answer["output"]["message"]["content"][0]["text"].as_str().is_some_and(|text| !text.is_empty()));
        assert_eq!(answer["stopReason"], "end_turn");
        assert!(answer["metrics"]["latencyMs"].is_u64(), "{answer}");
        let tokens = |name: &str| answer["usage"][name].as_u64().unwrap_or_else(|| panic!("no {name}: {answer}"));
        assert_eq!(tokens("totalTokens"), tokens("inputTokens") + tokens("outputTokens"));
    }
}

#[test]
fn a_streamed_answer_has_the_events_in_bedrocks_order_and_the_same_text() {
    let aws = LocalAws::start();
    for mut client in clients(&aws) {
        let whole = converse(&mut client);
        let streamed = client.order(json!({ "do": "converse_stream", "prompt": "I had a setback today" }));

        let events = events(&streamed);
        let mut kinds = events.iter().map(kind).collect::<Vec<_>>();
        assert!(kinds.iter().filter(|kind| **kind == "contentBlockDelta").count() > 1, "it comes in pieces");
        kinds.dedup();
        assert_eq!(kinds, ["messageStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata"]);
        assert_eq!(text(events), whole["answer"]["output"]["message"]["content"][0]["text"]);
        assert_eq!(events[events.len() - 1]["metadata"]["usage"], whole["answer"]["usage"]);
    }
}

#[test]
fn an_answer_keeps_to_the_tokens_it_is_given() {
    let aws = LocalAws::start();
    let order =
        json!({ "do": "converse", "prompt": "I had a setback", "more": { "inferenceConfig": { "maxTokens": 3 } } });
    let answer = boto3(&aws).order(order);
    assert_eq!(answer["answer"]["stopReason"], "max_tokens", "{answer}");
    assert!(answer["answer"]["usage"]["outputTokens"].as_u64().is_some_and(|tokens| tokens <= 3), "{answer}");
}

#[test]
fn tokens_are_counted_as_an_answer_counts_them() {
    let aws = LocalAws::start();
    let mut client = boto3(&aws);
    let counted = client.order(json!({ "do": "count_tokens", "prompt": "I had a setback today" }));
    assert_eq!(counted["answer"]["inputTokens"], converse(&mut client)["answer"]["usage"]["inputTokens"], "{counted}");
}

#[test]
fn a_conversation_bedrock_would_not_take_is_refused() {
    let aws = LocalAws::start();
    let mut client = boto3(&aws);
    let said = |role: &str| json!({ "role": role, "content": [{ "text": "Hello" }] });
    for messages in [json!([said("assistant")]), json!([{ "role": "user", "content": [] }])] {
        let refused = client.order(json!({ "do": "converse", "messages": messages }));
        assert_eq!(
            (&refused["exception"], &refused["status"]),
            (&json!("ValidationException"), &json!(400)),
            "{messages}"
        );
    }
}

#[test]
fn a_refusal_is_the_clients_own_exception() {
    let aws = LocalAws::start();
    let faults = [
        ("throttle", "ThrottlingException", 429),
        ("unavailable", "ServiceUnavailableException", 503),
        ("server-error", "InternalServerException", 500),
        ("model-timeout", "ModelTimeoutException", 408),
        ("model-not-ready", "ModelNotReadyException", 429),
        ("access-denied", "AccessDeniedException", 403),
    ];
    for mut client in clients(&aws) {
        for call in ["converse", "converse_stream"] {
            for (fault, exception, status) in faults {
                let result = client.order(json!({ "do": call, "prompt": "Hello", "fault": fault }));
                assert_eq!(
                    (&result["exception"], &result["status"], result["events"].is_null()),
                    (&json!(exception), &json!(status), true),
                    "{call} with {fault}: {result}"
                );
            }
        }
    }
}

#[test]
fn a_failure_in_a_stream_comes_after_the_events_before_it() {
    let aws = LocalAws::start();
    let mut client = boto3(&aws);
    let faults = [
        ("stream-error@2", "EventStreamError", "modelStreamErrorException"),
        ("throttle-stream@3", "EventStreamError", "throttlingException"),
    ];
    for (fault, exception, code) in faults {
        let result = stream_with(&mut client, fault);
        assert_eq!((&result["exception"], &result["code"]), (&json!(exception), &json!(code)), "{fault}: {result}");
        assert_eq!(format!("{}", events(&result).len()), fault[fault.len() - 1..], "{fault}: {result}");
    }

    let mut client = Script::start("AWS SDK for JavaScript", node_script("bedrock.cjs"), &aws.endpoint());
    assert_eq!(stream_with(&mut client, "stream-error@2")["exception"], "ModelStreamErrorException");
    assert_eq!(stream_with(&mut client, "throttle-stream@2")["exception"], "ThrottlingException");
}

#[test]
fn a_stream_that_breaks_is_noticed() {
    let aws = LocalAws::start();
    let mut client = boto3(&aws);
    // (fault, what boto3 raises, events that came whole)
    let faults =
        [("cut@2", "ProtocolError", 2), ("corrupt@3", "ChecksumMismatch", 2), ("silence@2", "ReadTimeoutError", 2)];
    for (fault, exception, whole) in faults {
        let result = stream_with(&mut client, fault);
        assert_eq!((&result["exception"], events(&result).len()), (&json!(exception), whole), "{fault}: {result}");
    }
}

#[test]
fn slowness_changes_nothing_but_the_time() {
    let aws = LocalAws::start();
    let mut client = boto3(&aws);
    let undisturbed = client.order(json!({ "do": "converse_stream", "prompt": "I had a setback today" }));
    let deltas = events(&undisturbed).iter().filter(|event| kind(event) == "contentBlockDelta").count();

    let begun = Instant::now();
    let slow = stream_with(&mut client, "slow=15");

    assert!(begun.elapsed() >= Duration::from_millis(15) * u32::try_from(deltas).expect("few"), "{deltas} deltas");
    assert_eq!(text(events(&slow)), text(events(&undisturbed)));
}

#[test]
fn a_fault_that_does_not_exist_is_refused_with_those_that_do() {
    let aws = LocalAws::start();
    let result = boto3(&aws).order(json!({ "do": "converse", "prompt": "Hello", "fault": "gremlins" }));
    assert_eq!(result["exception"], "ValidationException", "{result}");
    assert!(result["message"].as_str().is_some_and(|sentence| sentence.contains("throttle")), "{result}");
}

const CACHING_MODEL: &str = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0";

#[test]
fn inference_profiles_count_no_tokens() {
    let aws = LocalAws::start();
    let refused = boto3(&aws).order(json!({ "do": "count_tokens", "prompt": "Hello", "model": CACHING_MODEL }));
    assert_eq!(refused["exception"], "ValidationException", "{refused}");
}

#[test]
fn a_beginning_of_the_answer_is_gone_on_from() {
    let aws = LocalAws::start();
    let mut client = boto3(&aws);
    let whole = converse(&mut client)["answer"]["output"]["message"]["content"][0]["text"].clone();
    let (said, rest) = whole.as_str().and_then(|text| text.split_once(", ")).expect("a sentence of two parts");

    let answer = client.order(json!({ "do": "converse", "messages": [
        { "role": "user", "content": [{ "text": "I had a setback today" }] },
        { "role": "assistant", "content": [{ "text": format!("{said},") }] },
    ]}));

    assert_eq!(answer["answer"]["output"]["message"]["content"][0]["text"], format!(" {rest}"), "{answer}");
}

#[test]
fn calls_ordered_in_the_prompt_are_made() {
    let aws = LocalAws::start();
    let tool = json!({ "toolSpec": { "name": "weigh", "inputSchema": { "json": { "type": "object" } } } });
    let answer = boto3(&aws).order(json!({
        "do": "converse",
        "prompt": r#"[[tool weigh {"kilograms": "much"}; tool nope {}]]"#,
        "more": { "toolConfig": { "tools": [tool] } },
    }));

    let content = answer["answer"]["output"]["message"]["content"].as_array().expect("content");
    let calls: Vec<_> = content.iter().map(|block| (&block["toolUse"]["name"], &block["toolUse"]["input"])).collect();
    assert_eq!(calls, [(&json!("weigh"), &json!({ "kilograms": "much" })), (&json!("nope"), &json!({}))], "{answer}");
    assert_eq!(answer["answer"]["stopReason"], "tool_use");
}

#[test]
fn a_cached_prompt_is_written_and_then_read() {
    let aws = LocalAws::start();
    let mut client = boto3(&aws);
    let order = json!({
        "do": "converse",
        "model": CACHING_MODEL,
        "prompt": "Hello",
        "more": { "system": [{ "text": "Be brief. ".repeat(400) }, { "cachePoint": { "type": "default" } }] },
    });
    let written = client.order(order.clone());
    let read = client.order(order);

    let tokens = |result: &Value, name: &str| result["answer"]["usage"][name].as_u64().expect("tokens");
    assert!(tokens(&written, "cacheWriteInputTokens") > 1_024, "{written}");
    assert_eq!(tokens(&read, "cacheReadInputTokens"), tokens(&written, "cacheWriteInputTokens"), "{read}");
    assert_eq!((tokens(&written, "cacheReadInputTokens"), tokens(&read, "cacheWriteInputTokens")), (0, 0));
}

#[test]
fn a_guardrail_from_a_file_is_applied_and_traced() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("guardrail.json");
    let definition = json!({
        "name": "clinic",
        "blockedInputMessaging": "I cannot talk about that.",
        "blockedOutputsMessaging": "I would rather not say.",
        "wordPolicyConfig": { "wordsConfig": [{ "text": "snake oil" }] },
        "sensitiveInformationPolicyConfig": { "piiEntitiesConfig": [{ "type": "EMAIL", "action": "ANONYMIZE" }] },
    });
    std::fs::write(&file, definition.to_string()).expect("a file");
    let aws = LocalAws::start_with(&["--guardrail", file.to_str().expect("a path in UTF-8")]);
    let mut client = boto3(&aws);
    let mut ask = |call: &str, prompt: &str| {
        let guardrail = json!({ "guardrailIdentifier": "clinic", "guardrailVersion": "DRAFT", "trace": "enabled" });
        client.order(json!({ "do": call, "prompt": prompt, "more": { "guardrailConfig": guardrail } }))
    };

    let blocked = ask("converse", "Have you got snake oil?");
    assert_eq!(blocked["answer"]["stopReason"], "guardrail_intervened", "{blocked}");
    assert_eq!(blocked["answer"]["output"]["message"]["content"][0]["text"], "I cannot talk about that.");
    let word = &blocked["answer"]["trace"]["guardrail"]["inputAssessment"]["clinic"]["wordPolicy"]["customWords"][0];
    assert_eq!(*word, json!({ "match": "snake oil", "action": "BLOCKED", "detected": true }), "{blocked}");

    let masked = ask("converse_stream", "I write from a@b.ie");
    let events = events(&masked);
    assert!(text(events).contains("{EMAIL}"), "{masked}");
    let trace = &events[events.len() - 1]["metadata"]["trace"]["guardrail"];
    assert_eq!(trace["actionReason"], "Guardrail masked.", "{masked}");
    assert!(trace["outputAssessments"]["clinic"][0]["invocationMetrics"].is_object(), "{masked}");
}
