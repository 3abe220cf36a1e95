//! A message to an agent that speaks A2A, in either of its versions: told what is wrong with it by one of the protocol's
//! codes, or answered, whole or as a stream. Every other one comes with the header of version 1.0.

use std::sync::LazyLock;

use agentcore_runtime::Protocol;
use serde_json::Value;

use super::answer;
use super::aws::Aws;
use super::served::Served;

/// JSON-RPC's code for a failure of ours.
const INTERNAL_ERROR: i64 = -32603;

static COACH: LazyLock<(Aws, Served)> = LazyLock::new(|| Aws::behind_the_coach(Protocol::A2a));

pub(crate) fn run(bytes: &[u8]) {
    let (aws, served) = &*COACH;
    aws.say([], None);
    let lines: &[u8] = if bytes.len() % 2 == 1 { b"a2a-version: 1.0" } else { b"content-type: application/json" };
    let answer = served.ask(b"POST /", lines, bytes).expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let told = match answer.header("content-type") {
        Some(kind) if kind.starts_with("text/event-stream") => answer::frames(answer.text()),
        _ => vec![serde_json::from_str(answer.text()).unwrap_or_else(|error| panic!("{error}: {}", answer.text()))],
    };
    assert!(!told.is_empty(), "a stream has a frame");
    told.iter().for_each(is_of_json_rpc);
    aws.assert_was_asked_well();
}

fn is_of_json_rpc(told: &Value) {
    assert_eq!(told["jsonrpc"], "2.0", "{told}");
    match told.get("error") {
        None => assert!(told.get("result").is_some(), "{told}"),
        Some(error) => {
            assert!(error["message"].as_str().is_some_and(|sentence| !sentence.is_empty()), "{told}");
            let code = error["code"].as_i64().unwrap_or_else(|| panic!("no code: {told}"));
            assert_ne!(code, INTERNAL_ERROR, "{told}");
        }
    }
}
