//! Must show 5 of the loop: a crowd at one process, and a model that is throttled over and over. Everybody is
//! answered or turned away with 429, what was answered is remembered whole and in the order in which it was sent, and
//! memory stays bounded.

use std::collections::BTreeMap;
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::agent::{Agent, agent_command};
use crate::footprint::{Memory, kilobytes};
use crate::foreign::{Script, python_script};
use crate::local_aws::LocalAws;
use crate::process::poll;
use crate::socket::{Connection, Request};

const SESSIONS: usize = 100;
const EACH: usize = 10;

/// How many turns the process takes on at once: fewer than come.
const AT_ONCE: usize = 600;

/// How often the model is throttled: everybody who is let in at first, then every other call.
const THROTTLES_AT_FIRST: usize = 200;
const THROTTLES_AFTER: usize = 500;

/// What a process may grow by for a thousand invocations at once, in kilobytes: measured 51 000 of a debug build.
const GROWTH: u64 = 100_000;

/// Who was answered how: by status and code, the session and the place of each message.
type Statuses = BTreeMap<(u16, String), Vec<(usize, usize)>>;

fn session(number: usize) -> String {
    format!("session-{number:03}-of-the-crowd-0123456789")
}

#[test]
fn a_thousand_invocations_at_once_are_answered_in_the_order_they_were_sent_or_shed() {
    let faults = format!("throttle*{THROTTLES_AT_FIRST}{}", ",throttle,slow=1".repeat(THROTTLES_AFTER));
    let aws = LocalAws::start_with(&["--fault", &faults]);
    let memory = ("BEDROCK_AGENTCORE_MEMORY_ID", "crowd-0123456789");
    let at_once = AT_ONCE.to_string();
    let patient = [("MODEL_ATTEMPTS", "10"), ("MODEL_RETRY_SECONDS", "60")];
    let limits = [&[memory, ("MAX_CONCURRENT_TURNS", &at_once)], &patient[..]].concat();
    let agent = Agent::start_command("crowded", agent_command("test_agent", &aws.endpoint(), &limits));
    let before = kilobytes(agent.process.id(), Memory::Peak);

    let statuses = invoke_all(&agent);
    let counted: BTreeMap<_, _> = statuses.iter().map(|(status, who)| (status, who.len())).collect();
    let grown = kilobytes(agent.process.id(), Memory::Peak) - before;
    println!("answered and shed: {counted:?}; grown by {grown} kB at the most");
    let of = |status, code: &str| statuses.get(&(status, code.to_owned())).map_or(0, Vec::len);
    let (shed, throttled) = (of(429, "overloaded"), of(429, "model_throttled"));
    assert!(shed > 0, "some are one too many: {counted:?}");
    // Ten refusals in a row are as likely as ten heads of a coin.
    assert!(throttled <= AT_ONCE / 50, "{counted:?}");
    let answered = statuses.get(&(200, String::new())).expect("some are answered");
    assert_eq!(answered.len() + shed + throttled, SESSIONS * EACH, "nothing else becomes of anybody: {counted:?}");
    assert!(grown < GROWTH, "{grown} kB");

    agent.say(&session(SESSIONS), "Still there?");
    wait_until_stored(&agent);

    // What the sessions remember, by AWS's own client.
    let mut boto3 = Script::start("boto3", python_script("memory.py"), &aws.endpoint());
    for of in 0..SESSIONS {
        let mut sent: Vec<usize> =
            answered.iter().filter(|(session, _)| *session == of).map(|(_, place)| *place).collect();
        sent.sort_unstable();
        assert_eq!(remembered(&mut boto3, of), sent, "session {of}: each answered message once, as they were sent");
    }
    let (_, log) = agent.end();
    let refusals = log.lines().filter(|line| line.contains(r#""errorType":"Throttled""#)).count();
    assert!(refusals >= THROTTLES_AT_FIRST + THROTTLES_AFTER / 2, "the model was throttled {refusals} times");
}

/// Sends every session its messages one after another without waiting for an answer, all sessions at once.
/// The server listens to everybody before the first word: in what order it hears of connections that are new says nothing
/// of the order of what is sent.
fn invoke_all(agent: &Agent) -> Statuses {
    let statuses: Mutex<Statuses> = Mutex::default();
    let connected = Barrier::new(SESSIONS);
    thread::scope(|scope| {
        for of in 0..SESSIONS {
            let (statuses, connected) = (&statuses, &connected);
            scope.spawn(move || {
                let mut connections: Vec<Connection> = (0..EACH).map(|_| Connection::heard_by(agent.port)).collect();
                // It serves one at a time: when it has answered somebody else, it waits for word on all of these.
                Request::get("/ping").send(agent.port);
                connected.wait();
                let session = session(of);
                for (place, connection) in connections.iter_mut().enumerate() {
                    let body = json!({ "prompt": format!("message {place} of {of}") }).to_string();
                    let headers = [("x-amzn-bedrock-agentcore-runtime-session-id", session.as_str())];
                    connection.send(&Request::post("/invocations", body.as_bytes()).with(&headers));
                }
                for (place, connection) in connections.into_iter().enumerate() {
                    let answer = connection.finish();
                    let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
                    let code = body["code"].as_str().unwrap_or_default().to_owned();
                    let mut statuses = statuses.lock().expect("no panic");
                    statuses.entry((answer.status, code)).or_default().push((of, place));
                }
            });
        }
    });
    statuses.into_inner().expect("no panic")
}

/// Under such a load answers leave before a slow memory has their turns; the agent says that it is busy until then.
fn wait_until_stored(agent: &Agent) {
    let is_idle = || Request::get("/ping").send(agent.port).body.contains(r#""status":"Healthy""#).then_some(());
    poll(Duration::from_mins(3), is_idle).expect("every turn is stored");
}

/// Which messages a session remembers, in their order; each is one event of one question and one answer, so
/// no two turns are interleaved.
fn remembered(boto3: &mut Script, of: usize) -> Vec<usize> {
    let session = session(of);
    let order = json!({
        "do": "session", "memory": "crowd-0123456789", "actor": format!("session/{session}"), "session": session,
    });
    let answer = boto3.order(order);
    let turns = answer["turns"].as_array().unwrap_or_else(|| panic!("no turns: {answer}"));
    let places = turns.iter().map(|turn| {
        let said = turn["said"].as_array().expect("what was said");
        let roles: Vec<&Value> = said.iter().map(|item| &item[0]).collect();
        assert_eq!(roles, ["USER", "ASSISTANT"], "{turn}");
        let question = said[0][1].as_str().expect("words");
        let (place, session) = question.trim_start_matches("message ").split_once(" of ").expect("a message");
        assert_eq!(session, of.to_string(), "nobody else's words");
        place.parse().expect("a number")
    });
    places.collect()
}
