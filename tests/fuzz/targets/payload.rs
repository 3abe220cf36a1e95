//! A payload, to the coach: refused with a sentence, or answered, and then by asking the model what it may be asked.
//! Every other one is streamed.

use std::sync::LazyLock;

use agentcore_runtime::Protocol;

use super::answer;
use super::aws::Aws;
use super::served::Served;

/// What a payload may be refused for.
const CODES: &[&str] =
    &["invalid_json", "invalid_encoding", "invalid_payload", "context_too_long", "nothing_asked", "payload_too_large"];

static COACH: LazyLock<(Aws, Served)> = LazyLock::new(|| Aws::behind_the_coach(Protocol::Http));

pub(crate) fn run(bytes: &[u8]) {
    let (aws, served) = &*COACH;
    aws.say([], None);
    let lines: &[u8] = if bytes.len() % 2 == 1 { b"accept: text/event-stream" } else { b"accept: application/json" };
    let answer = served.ask(b"POST /invocations", lines, bytes).expect("an answer");
    answer::of_an_invocation(&answer, CODES);
    aws.assert_was_asked_well();
}
