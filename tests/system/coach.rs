//! What Vitracka's backend may send to the coach, and what it is told of what it may not.

use serde_json::{Value, json};

use crate::agent::Agent;
use crate::local_aws::LocalAws;
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
