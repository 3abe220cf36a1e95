//! Must show 5 of the loop: a crowd at one process, and a model that is throttled. Everybody is answered or
//! turned away with 429, what was answered is remembered whole and in order, and memory stays bounded.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::agent::{Agent, agent_command};
use crate::foreign::{Script, python_script};
use crate::local_aws::LocalAws;
use crate::process::poll;
use crate::socket::Request;

const SESSIONS: usize = 100;
const EACH: usize = 10;

/// What a process may grow by for a thousand invocations at once, in kilobytes: measured 51 000 of a debug build.
const GROWTH: u64 = 100_000;

/// Who was answered how: by status and code, the session and the place of each message.
type Statuses = BTreeMap<(u16, String), Vec<(usize, usize)>>;

/// The most memory the process has had, in kilobytes.
fn peak(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("the kernel says so");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
}

fn session(number: usize) -> String {
    format!("session-{number:03}-of-the-crowd-0123456789")
}

#[test]
fn a_thousand_invocations_at_once_are_answered_or_shed_and_no_session_is_mixed_up() {
    let aws = LocalAws::start_with(&["--fault", "throttle*60"]);
    let memory = ("BEDROCK_AGENTCORE_MEMORY_ID", "crowd-0123456789");
    let limits = [memory, ("MAX_CONCURRENT_TURNS", "600"), ("MODEL_RETRY_SECONDS", "30")];
    let agent = Agent::start_command("crowded", agent_command("test_agent", &aws.endpoint(), &limits));
    let before = peak(agent.process.id());

    let statuses: Mutex<Statuses> = Mutex::default();
    thread::scope(|scope| {
        for number in 0..SESSIONS * EACH {
            let (of, place) = (number % SESSIONS, number / SESSIONS);
            let (agent, statuses) = (&agent, &statuses);
            scope.spawn(move || {
                let answer = agent.post(&session(of), &format!("message {place} of {of}"), "application/json");
                let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
                let code = body["code"].as_str().unwrap_or_default().to_owned();
                let mut statuses = statuses.lock().expect("no panic");
                statuses.entry((answer.status, code)).or_default().push((of, place));
            });
        }
    });

    let statuses = statuses.into_inner().expect("no panic");
    let counted: BTreeMap<_, _> = statuses.iter().map(|(status, who)| (status, who.len())).collect();
    let grown = peak(agent.process.id()) - before;
    println!("answered and shed: {counted:?}; grown by {grown} kB at the most");
    let allowed = [200, 429];
    assert!(statuses.keys().all(|(status, _)| allowed.contains(status)), "{counted:?}");
    assert!(grown < GROWTH, "{grown} kB");
    let answered = statuses.get(&(200, String::new())).expect("some are answered");
    assert!(answered.len() >= 500, "{counted:?}");

    agent.say(&session(SESSIONS), "Still there?");
    wait_until_stored(&agent);

    // What the sessions remember, by AWS's own client.
    let mut boto3 = Script::start("boto3", python_script("memory.py"), &aws.endpoint());
    for of in 0..SESSIONS {
        let mut told: Vec<usize> =
            answered.iter().filter(|(session, _)| *session == of).map(|(_, place)| *place).collect();
        let mut kept = remembered(&mut boto3, of);
        told.sort_unstable();
        kept.sort_unstable();
        assert_eq!(kept, told, "session {of}: each answered message once, and no other");
    }
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
