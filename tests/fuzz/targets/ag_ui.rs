//! A `RunAgentInput`, to an agent that speaks AG-UI: refused with a sentence, or a run that ends.

use std::sync::LazyLock;

use agentcore_runtime::Protocol;

use super::answer;
use super::aws::Aws;
use super::served::Served;

/// What an input may be refused for.
const CODES: &[&str] =
    &["invalid_json", "invalid_encoding", "invalid_payload", "context_too_long", "nothing_asked", "payload_too_large"];

static COACH: LazyLock<(Aws, Served)> = LazyLock::new(|| Aws::behind_the_coach(Protocol::AgUi));

pub(crate) fn run(bytes: &[u8]) {
    let (aws, served) = &*COACH;
    aws.say([], None);
    let answer = served.ask(b"POST /invocations", b"accept: text/event-stream", bytes).expect("an answer");
    if answer.status == 200 {
        let events = answer::frames(answer.text());
        let (first, last) = (&events[0], &events[events.len() - 1]);
        assert!(first["type"] == "RUN_STARTED" || first["type"] == "RUN_ERROR", "{first}");
        let is_over = last["type"] == "RUN_FINISHED" || last["type"] == "RUN_ERROR";
        assert!(is_over, "{last}");
        assert!(last.get("code").is_none_or(|code| code != "INTERNAL_ERROR"), "{last}");
    } else {
        answer::of_an_invocation(&answer, CODES);
    }
    aws.assert_was_asked_well();
}
