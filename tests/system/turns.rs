//! What a turn does beside talking: guardrails, pictures, money, the small model, tools and what is stored of
//! all that, with the local AWS behind a real agent and AWS's own client reading its memory.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use agentcore_runtime::core::aws::Aws;
use agentcore_runtime::core::drive::{Delivery, Stage, drive};
use agentcore_runtime::core::message::StopReason;
use agentcore_runtime::core::model::bedrock::Bedrock;
use agentcore_runtime::core::settings::Settings;
use agentcore_runtime::core::turn::ToolCounts;
use agentcore_runtime::prelude::{JsonSchema, ToolCall, TurnRequest, tool};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::agent::Agent;
use crate::foreign::{Script, python_script};
use crate::local_aws::LocalAws;
use crate::socket::Request;

const SESSION: &str = "a-session-of-the-turns-tests-0123456789";
const MEMORY: (&str, &str) = ("BEDROCK_AGENTCORE_MEMORY_ID", "turns-0123456789");

/// The smallest picture there is: one transparent pixel.
const PIXEL: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==";

fn invoke(agent: &Agent, payload: &Value) -> Value {
    let headers = [("x-amzn-bedrock-agentcore-runtime-session-id", SESSION)];
    let answer = Request::post("/invocations", payload.to_string().as_bytes()).with(&headers).send(agent.port);
    assert_eq!(answer.status, 200, "{}", answer.body);
    serde_json::from_str(&answer.body).expect("an answer is JSON")
}

fn say(agent: &Agent, prompt: &str) -> Value {
    invoke(agent, &json!({ "prompt": prompt }))
}

fn text(answer: &Value) -> &str {
    answer["response"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("no text: {answer}"))
}

/// What the session remembers, by boto3.
fn remembered(aws: &LocalAws) -> String {
    let mut boto3 = Script::start("boto3", python_script("memory.py"), &aws.endpoint());
    boto3.order(json!({ "do": "turns", "memory": MEMORY.1 }))["turns"].to_string()
}

#[test]
fn a_guardrail_of_bedrocks_stops_masks_and_leaves_no_trace_of_the_words() {
    let folder = tempfile::tempdir().expect("a folder");
    let guardrail = folder.path().join("guardrail.json");
    let policies = json!({
        "name": "calm",
        "blockedInputMessaging": "I cannot talk about that.",
        "blockedOutputsMessaging": "I would rather not say.",
        "wordPolicyConfig": { "wordsConfig": [{ "text": "forbidden fruit" }] },
        "sensitiveInformationPolicyConfig": { "piiEntitiesConfig": [{ "type": "EMAIL", "action": "ANONYMIZE" }] },
    });
    fs::write(&guardrail, policies.to_string()).expect("written");
    let aws = LocalAws::start_with(&["--guardrail", guardrail.to_str().expect("a path")]);
    let settings = [MEMORY, ("GUARDRAIL_ID", "calm"), ("GUARDRAIL_VERSION", "DRAFT")];
    let agent = Agent::start("test_agent", &aws.endpoint(), &settings);

    let stopped = say(&agent, "Tell me about the forbidden fruit");
    assert_eq!(
        (text(&stopped), &stopped["stop_reason"]),
        ("I cannot talk about that.", &json!("guardrail_intervened"))
    );
    assert_eq!(stopped["safety"]["action"], "answered", "{stopped}");
    assert_eq!(stopped["safety"]["flags"][0]["kind"], "guardrail_word", "{stopped}");
    let next = say(&agent, "And how are you?");
    assert_eq!(next["stop_reason"], "end_turn", "what was stopped does not stop every later turn: {next}");

    let masked = say(&agent, "Write to me at aoife@example.org, please");
    assert_eq!(masked["safety"]["severity"], "info", "{masked}");
    let kept = remembered(&aws);
    for words in ["forbidden fruit", "aoife@example.org"] {
        assert!(!kept.contains(words), "{words} is stored: {kept}");
    }
    assert!(kept.contains("Write to me at {EMAIL}, please"), "{kept}");
    let (_, log) = agent.end();
    assert!(!log.contains("forbidden fruit") && !log.contains("aoife@"), "{log}");
}

#[test]
fn a_picture_reaches_the_model_once_and_is_told_of_later() {
    let aws = LocalAws::start();
    let agent = Agent::start("coach_companion", &aws.endpoint(), &[MEMORY]);
    let picture = json!({ "image": { "format": "png", "source": { "bytes": PIXEL } } });
    let seen = invoke(&agent, &json!({ "prompt": "Is this a good lunch?", "content": [picture] }));
    assert!(text(&seen).contains("a png image"), "{seen}");
    let later = say(&agent, "Thank you!");
    assert!(!text(&later).contains("a png image"), "{later}");
    let kept = remembered(&aws);
    assert!(!kept.contains(PIXEL) && kept.contains("Is this a good lunch?"), "{kept}");
}

#[test]
fn a_turn_says_what_it_cost_and_a_greeting_costs_less() {
    let aws = LocalAws::start();
    let small = ("MODEL_ID_SMALL", "eu.anthropic.claude-3-haiku-20240307-v1:0");
    let agent = Agent::start("coach_companion", &aws.endpoint(), &[small]);
    let cost = |answer: &Value, input: f64, output: f64| {
        let usage = &answer["usage"];
        let tokens = |member: &str| usage[member].as_f64().unwrap_or_else(|| panic!("no {member}: {usage}"));
        let expected = (tokens("inputTokens") * input + tokens("outputTokens") * output) / 1e6;
        let told = tokens("usd");
        assert!((told - expected).abs() < 1e-9, "{told} is not {expected}: {usage}");
    };
    cost(&say(&agent, "I had a setback today"), 3.0, 15.0);
    cost(&invoke(&agent, &json!({})), 0.25, 1.25);
}

/// Weighs.
#[derive(Deserialize, JsonSchema)]
#[schemars(crate = "agentcore_runtime::core::tool::typed::schemars")]
struct Weigh {}

/// Must show 2 of the loop, over the real wire; `cargo bench -p agentcore-core` has the loop's own part of it.
#[tokio::test]
async fn three_hundred_tool_rounds_are_one_turn() {
    let aws = LocalAws::start();
    let settings = Settings::read(|_| None).expect("the defaults");
    let reached = Aws::at(aws.endpoint(), settings.model.region.clone());
    let request = TurnRequest::new("How heavy am I? [[tool weigh {} *300]]").system("You weigh people.");
    let request = request.tool(tool(|_: Weigh, _: ToolCall| async { Ok("72 kg") })).tool_rounds(300);
    let stage = Stage {
        model: Arc::new(Bedrock::new(&settings.model, Arc::new(reached))),
        delivery: Delivery::Whole,
        deadline: Instant::now() + Duration::from_mins(5),
        cut: CancellationToken::new(),
        first_token: Arc::default(),
    };
    let began = Instant::now();
    let outcome = drive(request.begin(Vec::new()), &stage).await;
    println!("300 rounds in {} ms", began.elapsed().as_millis());
    assert_eq!(outcome.result.expect("an answer").stop_reason, StopReason::EndTurn);
    assert_eq!(outcome.tools, ToolCounts { calls: 300, ..ToolCounts::default() });
}
