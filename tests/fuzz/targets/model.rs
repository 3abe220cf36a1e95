//! What a model answers, in the middle of a turn of the coach: a stream of events, or JSON in one piece where the input
//! begins with `{`. Nothing of it may be a failure of ours, and what the model is asked after it must be what Bedrock
//! takes. An input is a line an event, `NAME JSON`, or after a byte 0 the stream itself.

use std::sync::LazyLock;

use agentcore_runtime::Protocol;

use super::answer;
use super::aws::{Aws, framed};
use super::served::Served;

/// What may be told of a model that makes no sense.
const CODES: &[&str] = &["model_unavailable", "model_throttled", "model_timeout", "model_refused", "context_too_long"];

static COACH: LazyLock<(Aws, Served)> = LazyLock::new(|| Aws::behind_the_coach(Protocol::Http));

pub(crate) fn run(bytes: &[u8]) {
    let (aws, served) = &*COACH;
    let is_whole = bytes.first() == Some(&b'{');
    let answer = match bytes.strip_prefix(b"\0") {
        Some(stream) => stream.to_vec(),
        None if is_whole => bytes.to_vec(),
        None => bytes.split(|byte| *byte == b'\n').flat_map(framed).collect(),
    };
    aws.say([answer], None);
    let accept: &[u8] = if is_whole { b"accept: application/json" } else { b"accept: text/event-stream" };
    let answer = served.ask(b"POST /invocations", accept, br#"{"prompt":"Hello!"}"#).expect("an answer");
    answer::of_an_invocation(&answer, CODES);
    aws.assert_was_asked_well();
}
