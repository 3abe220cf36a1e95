//! What Vitracka's backend may send to the coach, and what it is told of what it may not.

use std::collections::BTreeMap;

use agentcore_runtime::core::signal::measure;
use serde_json::{Value, json};

use crate::agent::Agent;
use crate::local_aws::LocalAws;
use crate::process::free_port;
use crate::socket::{Answer, Request};

const SESSION: &str = "a-session-of-the-coachs-tests-0123456789";

fn post(agent: &Agent, session: &str, payload: &str) -> Answer {
    let headers = [("x-amzn-bedrock-agentcore-runtime-session-id", session)];
    Request::post("/invocations", payload.as_bytes()).with(&headers).send(agent.port)
}

#[test]
fn what_makes_no_sense_is_refused_with_the_member_and_what_it_may_be() {
    let aws = LocalAws::start();
    let agent = Agent::start("coach_companion", &aws.endpoint(), &[]);
    let refused = [
        r#"{"prompt":"Hi","user_context":{"coaching_style":"gentel"}}"#,
        r#"{"prompt":"Hi","user_context":{"coaching_style":["gentle"]}}"#,
        r#"{"prompt":"Hi","user_context":{"on_glp1":"yes"}}"#,
        r#"{"prompt":"Hi","user_context":{"goal_type":"LOSS"}}"#,
        r#"{"prompt":"Hi","user_context":{"gamification_preference":7}}"#,
        r#"{"prompt":"Hi","user_context":"gentle"}"#,
        r#"{"prompt":"Hi","user_context":["gentle"]}"#,
        r#"{"prompt":"   "}"#,
        r#"{"message":""}"#,
        r#"{"prompt":null,"message":"\n"}"#,
        r#"{"prompt":["Hi"]}"#,
        r#"{"prompt":"half a character \ud83d"}"#,
        r#""Hi""#,
    ];
    let told = refused.map(|payload| {
        let answer = post(&agent, SESSION, payload);
        let body: Value = serde_json::from_str(&answer.body).expect("an error is JSON");
        assert_eq!(answer.status, 400, "{payload}: {body}");
        let details = body["details"].as_str().map(|details| format!(" ({details})")).unwrap_or_default();
        format!("{payload}\n  {}{details}", body["error"].as_str().expect("a sentence"))
    });
    insta::assert_snapshot!(told.join("\n"), @r#"
    {"prompt":"Hi","user_context":{"coaching_style":"gentel"}}
      `user_context.coaching_style` must be one of `gentle`, `pragmatic`, `upbeat`, `structured`
    {"prompt":"Hi","user_context":{"coaching_style":["gentle"]}}
      `user_context.coaching_style` must be one of `gentle`, `pragmatic`, `upbeat`, `structured`
    {"prompt":"Hi","user_context":{"on_glp1":"yes"}}
      `user_context.on_glp1` must be a boolean
    {"prompt":"Hi","user_context":{"goal_type":"LOSS"}}
      `user_context.goal_type` must be one of `loss`, `maintenance`, `transition`
    {"prompt":"Hi","user_context":{"gamification_preference":7}}
      `user_context.gamification_preference` must be one of `high`, `moderate`, `low`
    {"prompt":"Hi","user_context":"gentle"}
      `user_context` must be a JSON object
    {"prompt":"Hi","user_context":["gentle"]}
      `user_context` must be a JSON object
    {"prompt":"   "}
      `prompt` is blank; send what the user wrote, or leave it out to let the agent open the conversation
    {"message":""}
      `message` is blank; send what the user wrote, or leave it out to let the agent open the conversation
    {"prompt":null,"message":"\n"}
      `message` is blank; send what the user wrote, or leave it out to let the agent open the conversation
    {"prompt":["Hi"]}
      `prompt` must be a string
    {"prompt":"half a character \ud83d"}
      Invalid JSON (unexpected end of hex escape at line 1 column 35)
    "Hi"
      the payload must be a JSON object
    "#);
}

#[test]
fn what_the_old_agent_was_sent_is_answered() {
    let aws = LocalAws::start();
    let agent = Agent::start("coach_companion", &aws.endpoint(), &[]);
    let accepted = [
        json!({ "prompt": "Hi" }),
        json!({ "message": "Hi" }),
        json!({ "prompt": "Hi", "message": "not looked at" }),
        json!({ "prompt": "Hi", "user_context": null }),
        json!({ "prompt": "Hi", "user_context": {} }),
        json!({ "prompt": "Hi", "user_context": { "coaching_style": null, "shoe_size": 43 }, "client": "ios" }),
        json!({ "prompt": "Hi", "user_context": {
            "coaching_style": "upbeat", "on_glp1": true, "goal_type": "transition", "gamification_preference": "low"
        } }),
    ];
    for (number, payload) in accepted.into_iter().enumerate() {
        let session = format!("{SESSION}-{number}");
        let answer = post(&agent, &session, &payload.to_string());
        assert_eq!(answer.status, 200, "{payload}: {}", answer.body);
    }
}

#[test]
fn an_app_that_opens_the_conversation_is_greeted_and_that_is_remembered() {
    let aws = LocalAws::start();
    let agent = Agent::start("coach_companion", &aws.endpoint(), &[]);
    let greeting = post(&agent, SESSION, "{}");
    assert_eq!(greeting.status, 200, "{}", greeting.body);
    let greeting: Value = serde_json::from_str(&greeting.body).expect("an answer is JSON");
    let greeting = greeting["response"]["content"][0]["text"].as_str().expect("a text").to_owned();

    let said_before = agent.say(SESSION, "What did you say before?");

    let beginning: String = greeting.chars().take(30).collect();
    assert!(said_before.contains(&beginning), "{greeting} / {said_before}");
}

/// The safety member of a JSON answer.
fn safety(agent: &Agent, session: &str, prompt: &str) -> Value {
    let answer = post(agent, session, &json!({ "prompt": prompt }).to_string());
    assert_eq!(answer.status, 200, "{}", answer.body);
    serde_json::from_str::<Value>(&answer.body).expect("an answer is JSON")["safety"].clone()
}

/// What CloudWatch makes of lines in its embedded metric format: how often each metric was counted, by the values of
/// its dimensions.
fn flags_counted(lines: &[Value]) -> BTreeMap<String, u64> {
    let mut counted = BTreeMap::new();
    for line in lines {
        for directive in line["_aws"]["CloudWatchMetrics"].as_array().into_iter().flatten() {
            for (metric, dimensions) in list(&directive["Metrics"])
                .flat_map(|metric| list(&directive["Dimensions"]).map(move |dimensions| (metric, dimensions)))
            {
                let name = metric["Name"].as_str().expect("a metric has a name");
                if name != measure::SAFETY_FLAGS {
                    continue;
                }
                let of =
                    |dimension: &Value| line[dimension.as_str().expect("a name")].as_str().expect("a value").to_owned();
                let values: Vec<String> = list(dimensions).map(of).collect();
                let key = format!("{} {name} [{}]", directive["Namespace"].as_str().expect("one"), values.join(", "));
                *counted.entry(key).or_default() += line[name].as_u64().expect("a number");
            }
        }
    }
    counted
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// Must show 6 of what makes the coach worth trusting.
#[test]
fn a_flag_is_in_the_answer_in_the_log_and_in_the_metrics_and_no_word_is() {
    let aws = LocalAws::start();
    let agent = Agent::start("coach_companion", &aws.endpoint(), &[]);
    let told = [
        safety(&agent, SESSION, "What goes well with salmon?"),
        safety(&agent, SESSION, "I want to kill myself"),
        safety(&agent, SESSION, "Anyway, what is for dinner?"),
    ];
    let stream = agent.post(SESSION, "Should I double my Wegovy dose?", "text/event-stream");

    insta::assert_snapshot!(told.map(|safety| safety.to_string()).join("\n"), @r#"
    {"severity":"none","action":"none","flags":[]}
    {"severity":"crisis","action":"answered","flags":[{"kind":"self_harm","rule":"wish_to_die"}]}
    {"severity":"info","action":"replaced","flags":[{"kind":"self_harm","rule":"gentle_session"}]}
    "#);
    let last = stream.body.lines().rfind(|line| line.starts_with("data: ")).expect("a last frame");
    let last: Value = serde_json::from_str(&last["data: ".len()..]).expect("a frame is JSON");
    insta::assert_snapshot!(last["safety"], @r#"{"severity":"info","action":"replaced","flags":[{"kind":"medication","rule":"dose"},{"kind":"self_harm","rule":"gentle_session"}]}"#);

    let (_, log) = agent.end();
    assert!(!["salmon", "kill", "Wegovy"].iter().any(|word| log.contains(word)), "{log}");
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect();
    let flags: Vec<&Value> = lines.iter().filter(|line| line["message"] == "a guard raised a flag").collect();
    let members = ["kind", "rule", "severity", "action", "sessionId"];
    let row = |line: &&Value| members.map(|member| line[member].as_str().expect("a text").to_owned()).join(" ");
    insta::assert_snapshot!(flags.iter().map(row).collect::<Vec<_>>().join("\n"), @"
    self_harm wish_to_die crisis answered a-session-of-the-coachs-tests-0123456789
    self_harm gentle_session info replaced a-session-of-the-coachs-tests-0123456789
    medication dose info annotated a-session-of-the-coachs-tests-0123456789
    self_harm gentle_session info replaced a-session-of-the-coachs-tests-0123456789
    ");
    assert!(flags.iter().all(|line| line["actor"] == flags[0]["actor"] && line["requestId"].is_string()), "{flags:?}");
    insta::assert_debug_snapshot!(flags_counted(&lines), @r#"
    {
        "AgentCore/coach_companion SafetyFlags []": 4,
        "AgentCore/coach_companion SafetyFlags [crisis]": 1,
        "AgentCore/coach_companion SafetyFlags [info]": 3,
        "AgentCore/coach_companion SafetyFlags [medication]": 1,
        "AgentCore/coach_companion SafetyFlags [self_harm]": 3,
    }
    "#);
}

#[test]
fn a_crisis_is_answered_when_neither_model_nor_memory_can_be_had() {
    let nobody_there = format!("http://127.0.0.1:{}", free_port());
    let memory = ("BEDROCK_AGENTCORE_MEMORY_ID", "nobody_keeps_it-0123456789");
    let agent = Agent::start("coach_companion", &nobody_there, &[memory]);

    let answer = post(&agent, SESSION, r#"{"prompt":"I want to kill myself","user_context":{"country":"IE"}}"#);

    assert_eq!(answer.status, 200, "{}", answer.body);
    let answer: Value = serde_json::from_str(&answer.body).expect("an answer is JSON");
    assert_eq!(answer["safety"]["action"], "answered");
    let text = answer["response"]["content"][0]["text"].as_str().expect("a text");
    assert!(text.contains("112") && text.contains("Samaritans"), "{text}");
}
