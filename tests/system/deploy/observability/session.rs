//! What agents write into their logs on a day with everything: lines that are queried, filtered and counted.
//!
//! They are agents as they ship, on the local AWS. One that panics is played by this test binary, because none of the
//! shipped ones can be made to.

use agentcore_runtime::Server;
use agentcore_runtime::prelude::*;
use serde_json::{Value, json};

use crate::agent::{Agent as Process, agent_environment};
use crate::local_aws::{LocalAws, unconfigured};
use crate::process::free_port;
use crate::socket::Request;

/// Set for the process that plays an agent.
const PLAYS: &str = "PLAYS_AN_AGENT_THAT_PANICS";

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";

/// What was done, as somebody counts who only sees the answers.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// Invocations that reached an agent.
    pub(super) invocations: u32,
    /// Of those, answered.
    pub(super) answered: u32,
    /// Failed through no fault of the caller's.
    pub(super) failed: u32,
    /// Crises that were answered.
    pub(super) crises: u32,
}

/// A day: its lines, in their order, and what was done.
#[derive(Debug)]
pub(super) struct Day {
    pub(super) lines: Vec<Value>,
    pub(super) done: Done,
}

// === impl Day ===

impl Day {
    /// Lives through it.
    pub(super) fn live() -> Self {
        let mut day = Self { lines: Vec::new(), done: Done::default() };
        day.ordinary();
        day.without_the_right_to_the_model();
        day.without_memory();
        day.memory_goes_away();
        day.panics();
        // As a log group has them.
        day.lines.sort_by(|one, other| one["timestamp"].as_str().cmp(&other["timestamp"].as_str()));
        day
    }

    /// A model that is busy once, a crisis, a dose, a stream, and a payload that makes no sense.
    fn ordinary(&mut self) {
        let aws = LocalAws::start_with(&["--fault", "throttle"]);
        let agent = Process::start("coach_companion", &aws.endpoint(), &[]);
        self.ask(&agent, "a-session-of-an-ordinary-day-0123456789", "I had a setback today", JSON);
        self.ask(&agent, "a-session-of-an-ordinary-day-0123456789", "What is for dinner?", EVENTS);
        self.ask(&agent, "a-session-with-a-crisis-in-it-0123456789", "I want to kill myself", JSON);
        self.done.crises += 1;
        self.ask(&agent, "a-session-about-a-dose-01234567890123456", "Should I double my Wegovy dose?", JSON);
        let refused = Request::post("/invocations", br#"{"prompt": 7}"#).send(agent.port);
        assert_eq!(refused.status, 400, "{}", refused.body);
        self.done.invocations += 1;
        self.take(agent);
    }

    fn without_the_right_to_the_model(&mut self) {
        let aws = LocalAws::start_with(&["--fault", "access-denied*"]);
        let agent = Process::start("coach_companion", &aws.endpoint(), &[]);
        for number in 0..2 {
            let session = format!("a-session-without-a-model-{number}-0123456789");
            let failed = agent.post(&session, "I had a setback today", JSON);
            assert_eq!(failed.status, 500, "{}", failed.body);
            self.done.invocations += 1;
            self.done.failed += 1;
        }
        self.take(agent);
    }

    /// Nothing can be read, and a crisis is answered all the same.
    fn without_memory(&mut self) {
        let nobody_there = format!("http://127.0.0.1:{}", free_port());
        let memory = ("BEDROCK_AGENTCORE_MEMORY_ID", "nobody_keeps_it-0123456789");
        let agent = Process::start("coach_companion", &nobody_there, &[memory]);
        let failed = agent.post("a-session-that-cannot-be-read-0123456789", "I had a setback today", JSON);
        assert_eq!(failed.status, 503, "{}", failed.body);
        self.done.invocations += 1;
        self.done.failed += 1;
        self.ask(&agent, "a-session-that-cannot-be-kept-0123456789", "I want to kill myself", JSON);
        self.done.crises += 1;
        self.take(agent);
    }

    /// Between two turns of a session, of which the second needs no model and can't be stored.
    fn memory_goes_away(&mut self) {
        let aws = LocalAws::start();
        let memory = ("BEDROCK_AGENTCORE_MEMORY_ID", "goes_away-0123456789");
        let agent = Process::start("coach_companion", &aws.endpoint(), &[memory]);
        self.ask(&agent, "a-session-that-loses-a-turn-0123456789012", "I had a setback today", JSON);
        drop(aws);
        self.ask(&agent, "a-session-that-loses-a-turn-0123456789012", "I want to kill myself", JSON);
        self.done.crises += 1;
        self.take(agent);
    }

    fn panics(&mut self) {
        let mut command = unconfigured(std::env::current_exe().expect("a test is a program"));
        command.args(["--exact", "deploy::observability::session::an_agent_that_panics_says_so_in_its_log"]);
        command.args(["--nocapture"]).env(PLAYS, "1");
        agent_environment(&mut command, "http://127.0.0.1:9", &[]);
        let agent = Process::start_command("an agent that panics", command);
        let failed = agent.post("a-session-with-a-panic-01234567890123456", "Hello", JSON);
        assert_eq!(failed.status, 500, "{}", failed.body);
        self.done.invocations += 1;
        self.done.failed += 1;
        self.take(agent);
    }

    fn ask(&mut self, agent: &Process, session: &str, prompt: &str, accept: &str) {
        let answer = agent.post(session, prompt, accept);
        assert_eq!(answer.status, 200, "{}", answer.body);
        self.done.invocations += 1;
        self.done.answered += 1;
    }

    /// Ends an agent and keeps what it logged.
    fn take(&mut self, agent: Process) {
        let (_, log) = agent.end();
        self.lines.extend(log.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")));
    }
}

/// An agent that panics at every turn.
struct Panics;

impl Agent for Panics {
    type Payload = Prompt;
    const NAME: &'static str = "coach_companion";

    fn turn(&self, _payload: Prompt, _context: &Context) -> Result<TurnRequest, PayloadError> {
        panic!("as it was asked to")
    }
}

#[test]
fn an_agent_that_panics_says_so_in_its_log() {
    if std::env::var_os(PLAYS).is_some() {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async { Server::from_environment(Panics)?.run().await }).expect("it ends as it is asked to");
        return;
    }
    let mut day = Day { lines: Vec::new(), done: Done::default() };
    day.panics();
    let told = day.lines.iter().find(|line| line["errorType"] == "Panic").expect("it is told");
    assert_eq!(told["level"], json!("ERROR"));
    assert!(told["location"].as_str().is_some_and(|place| place.contains("session.rs")), "{told}");
    assert!(!told.to_string().contains("as it was asked to"), "what a panic says may be somebody's words");
}
