//! What memory gives of a session, before a turn of the coach: whatever is there, the model is asked what Bedrock
//! takes, and the caller is answered. An input is a line an event, the oldest first: an entry's JSON as it was stored,
//! or what somebody else wrote, after `u ` for the user and `a ` for the assistant. One that begins with `{"events"` is
//! the whole answer of ListEvents. Every other one is asked for by a reply to a question.

use std::sync::LazyLock;

use agentcore_runtime::Protocol;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::answer;
use super::aws::Aws;
use super::served::Served;

/// What may be told of a session that makes no sense as it is, or in which nothing was asked.
const CODES: &[&str] = &["nothing_asked"];

/// The same where not even the list of events makes sense.
const CODES_OF_A_LIST: &[&str] = &["nothing_asked", "memory_unavailable", "internal_error"];

static COACH: LazyLock<(Aws, Served)> = LazyLock::new(|| Aws::behind_the_coach(Protocol::Http));

pub(crate) fn run(bytes: &[u8]) {
    let (aws, served) = &*COACH;
    let is_list = bytes.starts_with(br#"{"events""#);
    let events = if is_list { bytes.to_vec() } else { listed(&String::from_utf8_lossy(bytes)) };
    aws.say([], Some(events));
    let asks: &[u8] = br#"{"prompt":"Hello!"}"#;
    let replies: &[u8] = br#"{"replies":[{"id":"call-1","reply":"yes"}]}"#;
    let payload = if bytes.len() % 2 == 1 { replies } else { asks };
    let answer = served.ask(b"POST /invocations", b"accept: application/json", payload).expect("an answer");
    answer::of_an_invocation(&answer, if is_list { CODES_OF_A_LIST } else { CODES });
    aws.assert_was_asked_well();
}

/// What ListEvents answers for such lines.
fn listed(lines: &str) -> Vec<u8> {
    let began = Timestamp::now().as_second() - 3_600;
    let events = lines.lines().zip(0_i32..).map(|(line, number)| event(line, number, began));
    let mut events: Vec<Value> = events.collect();
    events.reverse();
    json!({ "events": events }).to_string().into_bytes()
}

fn event(line: &str, number: i32, began: i64) -> Value {
    let said = |role: &str, text: &str| json!({ "conversational": { "content": { "text": text }, "role": role } });
    let mut event = json!({
        "memoryId": "a_memory-0123456789", "actorId": "a", "sessionId": "s",
        "eventId": format!("0000001795405591000#{number:08x}"),
        "eventTimestamp": began + i64::from(number),
    });
    if let Some(text) = line.strip_prefix("u ") {
        event["payload"] = json!([said("USER", text)]);
    } else if let Some(text) = line.strip_prefix("a ") {
        event["payload"] = json!([said("ASSISTANT", text)]);
    } else {
        event["payload"] = json!([{ "blob": line }]);
        event["metadata"] = json!({ "sequence": { "stringValue": (number + 1).to_string() } });
    }
    event
}
