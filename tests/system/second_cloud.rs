//! Must show 3: the agent runs, unchanged, against a Bedrock and a Memory that somebody else wrote.
//!
//! ministack's model answers with a digest over the system prompt and every message it was sent. So the
//! same answer means the same prompt to the last byte: an agent that has read its history back sends
//! what one sends that never lost it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::agent::Agent;
use crate::foreign::{Script, ministack, python_script};
use crate::local_aws::START;
use crate::process::{Process, free_port, poll, signal};

const WARM: &str = "session-that-stays-warm-0123456789-0123";
const COLD: &str = "session-that-grows-cold-0123456789-0123";
const FRESH: &str = "session-without-a-past-0123456789-01234";

const FIRST: &str = "Hello, my name is Aoife and I slipped today.";
const SECOND: &str = "What is my name?";

struct Cloud {
    port: u16,
    memory: String,
    operator: Script,
    _process: Process,
}

impl Cloud {
    fn start() -> Self {
        let port = free_port();
        let mut process = Process::start("ministack", ministack(port));
        process.wait_for_port(port, START);
        let endpoint = format!("http://127.0.0.1:{port}");
        let mut operator = Script::start("boto3", python_script("memory.py"), &endpoint);
        let memory = operator.order(json!({ "do": "create", "name": "sessions" }));
        let memory = memory["id"].as_str().unwrap_or_else(|| panic!("no memory: {memory}")).to_owned();
        Self { port, memory, operator, _process: process }
    }

    fn agent(&self) -> Agent {
        let endpoint = format!("http://127.0.0.1:{}", self.port);
        Agent::start("coach_companion", &endpoint, &[("BEDROCK_AGENTCORE_MEMORY_ID", &self.memory)])
    }

    /// What is remembered of a session, an event each: who said what.
    fn remembered(&mut self, session: &str) -> Vec<Value> {
        let found = self.operator.order(json!({ "do": "turns", "memory": self.memory }));
        let turns = found["turns"].as_array().unwrap_or_else(|| panic!("no turns: {found}"));
        turns.iter().filter(|turn| turn["session"] == session).map(|turn| turn["said"].clone()).collect()
    }

    /// Waits until a session has so many events: an agent may answer first and store afterwards.
    fn wait_for_turns(&mut self, session: &str, turns: usize) -> Vec<Value> {
        poll(Duration::from_secs(20), || Some(self.remembered(session)).filter(|said| said.len() >= turns))
            .unwrap_or_else(|| panic!("{turns} turns of {session} were never stored: {:?}", self.remembered(session)))
    }
}

#[test]
fn an_agent_that_lost_everything_sends_the_model_what_a_warm_one_sends() {
    let mut cloud = Cloud::start();
    let first = cloud.agent();
    let opening = first.say(WARM, FIRST);
    let warm = first.say(WARM, SECOND);
    assert_eq!(first.say(COLD, FIRST), opening, "the foreign model is a function of what it is sent");
    cloud.wait_for_turns(COLD, 1);

    signal("KILL", first.process.id());
    let second = cloud.agent();

    assert_eq!(second.say(COLD, SECOND), warm, "the history is back, whole and in order");
    assert_ne!(second.say(FRESH, SECOND), warm, "and only in its own session");
}

#[test]
fn a_turn_is_one_event_that_says_who_said_what() {
    let mut cloud = Cloud::start();
    let agent = cloud.agent();
    let answers = [agent.say(WARM, FIRST), agent.say(WARM, SECOND)];

    let remembered = cloud.wait_for_turns(WARM, 2);

    assert_eq!(
        remembered,
        [json!([["USER", FIRST], ["ASSISTANT", answers[0]]]), json!([["USER", SECOND], ["ASSISTANT", answers[1]]]),]
    );
}

#[test]
fn a_foreign_models_stream_is_passed_on_and_remembered() {
    let mut cloud = Cloud::start();
    let agent = cloud.agent();

    let body = agent.post(WARM, FIRST, "text/event-stream").body;

    let last = body.trim_end().rsplit("\n\n").next().and_then(|frame| frame.strip_prefix("data: "));
    let last: Value = serde_json::from_str(last.unwrap_or_else(|| panic!("no frames: {body}"))).expect("JSON");
    let text = &last["message"]["content"][0]["text"];
    assert!(text.as_str().is_some_and(|text| text.starts_with("[ministack mock")), "{last}");
    assert_eq!(cloud.wait_for_turns(WARM, 1), [json!([["USER", FIRST], ["ASSISTANT", text]])]);
}
