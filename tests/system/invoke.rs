//! Must show 1: AWS's own clients invoke the coach by its production ARN and are remembered, whatever
//! happens to the process behind the session.

use serde_json::{Value, json};

use crate::foreign::{Script, node_script, python_script};
use crate::local_aws::{COACH_ARN, LocalAws, START};
use crate::process::{children, poll, signal};

/// A conversation's id, 33 characters at least.
const SESSION: &str = "session-of-aoife-0123456789-0123456789";
const ANOTHER: &str = "session-of-conor-0123456789-0123456789";

const NAME: &str = "Aoife";

/// A client of AWS's, and what it is called in a failing test.
fn clients(endpoint: &str) -> Vec<Script> {
    vec![
        Script::start("boto3", python_script("invoke.py"), endpoint),
        Script::start("AWS SDK for JavaScript", node_script("invoke.cjs"), endpoint),
    ]
}

fn invoke(client: &mut Script, session: &str, prompt: &str) -> Value {
    client.order(json!({ "do": "invoke", "arn": COACH_ARN, "session": session, "payload": { "prompt": prompt } }))
}

fn introduce(client: &mut Script, session: &str) {
    let answer = invoke(client, session, &format!("Hello! My name is {NAME} and I want to lose 6 kg."));
    assert_eq!(answer["status"], 200, "{answer}");
}

/// What the coach says when asked for the user's name.
fn asked_for_the_name(client: &mut Script, session: &str) -> String {
    text(&invoke(client, session, "What is my name?"))
}

/// The text of an answer in JSON, joined as Vitracka's backend joins it.
fn text(answer: &Value) -> String {
    let body: Value = serde_json::from_str(answer["body"].as_str().unwrap_or_else(|| panic!("no body: {answer}")))
        .expect("the body is JSON");
    let content = body["response"]["content"].as_array().unwrap_or_else(|| panic!("no content: {body}"));
    content.iter().filter_map(|block| block["text"].as_str()).collect()
}

/// The JSON of each frame of a stream.
fn frames(answer: &Value) -> Vec<Value> {
    let body = answer["body"].as_str().unwrap_or_else(|| panic!("no body: {answer}"));
    let frames = body.split_terminator("\n\n").map(|frame| {
        let json = frame.strip_prefix("data: ").unwrap_or_else(|| panic!("not a frame: {frame:?}"));
        serde_json::from_str(json).expect("a frame is JSON")
    });
    frames.collect()
}

#[test]
fn an_answer_in_json_has_the_old_shape_and_says_more() {
    let aws = LocalAws::start();
    for mut client in clients(&aws.endpoint()) {
        let answer = invoke(&mut client, SESSION, "I had a setback today");

        assert_eq!((&answer["status"], &answer["content_type"]), (&json!(200), &json!("application/json")));
        assert_eq!(answer["session"], SESSION);
        let body: Value = serde_json::from_str(answer["body"].as_str().expect("text")).expect("JSON");
        assert_eq!(body["response"]["role"], "assistant");
        assert!(!text(&answer).trim().is_empty());
        assert_eq!((&body["session_id"], &body["stop_reason"]), (&json!(SESSION), &json!("end_turn")));
        assert!(body["usage"]["inputTokens"].as_u64().is_some_and(|tokens| tokens > 0), "{body}");
    }
}

#[test]
fn a_stream_is_bedrocks_events_and_then_the_whole() {
    let aws = LocalAws::start();
    for mut client in clients(&aws.endpoint()) {
        let answer = client.order(json!({
            "do": "invoke", "arn": COACH_ARN, "session": SESSION, "accept": "text/event-stream",
            "payload": { "prompt": "I had a setback today" },
        }));

        assert_eq!(answer["content_type"], "text/event-stream; charset=utf-8");
        let mut frames = frames(&answer);
        let last = frames.pop().expect("a stream has frames");
        let deltas = frames.iter().filter_map(|frame| frame["event"]["contentBlockDelta"]["delta"]["text"].as_str());
        let deltas = deltas.collect::<Vec<_>>();
        assert!(deltas.len() > 1, "it came in pieces: {deltas:?}");
        assert_eq!(last["message"]["content"][0]["text"], deltas.concat());
        assert_eq!((&last["message"]["role"], &last["stop_reason"]), (&json!("assistant"), &json!("end_turn")));
        assert!(last["usage"]["outputTokens"].as_u64().is_some_and(|tokens| tokens > 0), "{last}");
        assert!(frames.iter().all(|frame| frame["event"].is_object()), "nothing but events before the last");
    }
}

#[test]
fn a_session_knows_what_was_said_in_it_and_another_does_not() {
    for index in 0..2 {
        let aws = LocalAws::start();
        let mut client = clients(&aws.endpoint()).swap_remove(index);
        introduce(&mut client, SESSION);

        assert!(asked_for_the_name(&mut client, SESSION).contains(NAME));
        assert!(!asked_for_the_name(&mut client, ANOTHER).contains(NAME));
    }
}

#[test]
fn what_one_client_said_the_other_is_answered_from() {
    let aws = LocalAws::start();
    let mut clients = clients(&aws.endpoint());
    introduce(&mut clients[0], SESSION);

    assert!(asked_for_the_name(&mut clients[1], SESSION).contains(NAME));
}

#[test]
fn a_stopped_session_has_its_history_back() {
    let aws = LocalAws::start();
    for (mut client, session) in clients(&aws.endpoint()).into_iter().zip([SESSION, ANOTHER]) {
        introduce(&mut client, session);
        let before = aws.sessions();
        assert_eq!(before.len(), 1, "one session, one process");

        let stopped = client.order(json!({ "do": "stop", "arn": COACH_ARN, "session": session }));
        assert_eq!(stopped["status"], 200, "{stopped}");
        assert!(poll(START, || aws.sessions().is_empty().then_some(())).is_some(), "its process has ended");

        assert!(asked_for_the_name(&mut client, session).contains(NAME));
        assert_ne!(aws.sessions(), before, "a new process answered");
        client.order(json!({ "do": "stop", "arn": COACH_ARN, "session": session }));
        assert!(poll(START, || aws.sessions().is_empty().then_some(())).is_some());
    }
}

#[test]
fn a_killed_agent_has_its_history_back() {
    let aws = LocalAws::start();
    let mut client = clients(&aws.endpoint()).swap_remove(0);
    introduce(&mut client, SESSION);
    let before = aws.sessions();

    for &process in &before {
        for child in children(process) {
            signal("KILL", child);
        }
        signal("KILL", process);
    }
    let gone = poll(START, || aws.sessions().iter().all(|process| !before.contains(process)).then_some(()));
    assert!(gone.is_some(), "the agent is dead");

    // The call that finds the process gone may be told so; the session itself must go on.
    let answer = poll(START, || {
        let answer = invoke(&mut client, SESSION, "What is my name?");
        (answer["exception"] != "RuntimeClientError").then_some(answer)
    });
    assert!(text(&answer.expect("the session is answered again")).contains(NAME));
    assert_ne!(aws.sessions(), before, "a new process answered");
}

#[test]
fn errors_are_raised_as_the_clients_own_exceptions() {
    let aws = LocalAws::start();
    let unknown = COACH_ARN.replace("coach_companion", "no_such_agent");
    for mut client in clients(&aws.endpoint()) {
        let nobody = client.order(json!({ "do": "invoke", "arn": unknown, "session": SESSION, "payload": {} }));
        assert_eq!((&nobody["exception"], &nobody["status"]), (&json!("ResourceNotFoundException"), &json!(404)));

        let blank = invoke(&mut client, SESSION, "   ");
        assert_eq!((&blank["exception"], &blank["status"]), (&json!("RuntimeClientError"), &json!(424)));
        let message = blank["message"].as_str().expect("a sentence");
        assert!(message.starts_with("Received error (400) from runtime."), "{message}");

        let never = client.order(json!({ "do": "stop", "arn": COACH_ARN, "session": ANOTHER }));
        assert_eq!((&never["exception"], &never["status"]), (&json!("ResourceNotFoundException"), &json!(404)));
    }
}
