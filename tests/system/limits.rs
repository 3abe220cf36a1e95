//! What an operator lets a process take on, set in its environment and seen by its callers.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::agent::Agent;
use crate::local_aws::LocalAws;
use crate::process::poll;
use crate::socket::{Answer, Connection, Request};

const ONE: &str = "the-first-session-of-the-limits-tests-0123";
const OTHER: &str = "another-session-of-the-limits-tests-012345";

const SESSION: &str = "x-amzn-bedrock-agentcore-runtime-session-id";

/// Long beside what a busy machine takes.
const PATIENCE: Duration = Duration::from_secs(20);

fn prompt(text: &str) -> Vec<u8> {
    serde_json::json!({ "prompt": text }).to_string().into_bytes()
}

/// Begins an invocation and does not wait for its answer.
fn begin(agent: &Agent, session: &str) -> Connection {
    Request::post("/invocations", &prompt("Hello!")).with(&[(SESSION, session)]).open(agent.port)
}

/// The same, and the model has begun to answer it: a fault that stops an answer is taken, and no later call meets it.
fn begin_at_the_model(agent: &Agent, session: &str) -> Connection {
    let streamed = [(SESSION, session), ("accept", "text/event-stream")];
    let mut served = Request::post("/invocations", &prompt("Hello!")).with(&streamed).open(agent.port);
    served.read_until("data: ");
    served
}

/// How many invocations the process has understood and not yet answered.
fn under_way(agent: &Agent) -> usize {
    let asked = br#"{"_agent_core_app_action": "job_status"}"#;
    let told = Request::post("/invocations", asked).send(agent.port).body;
    let told: Value = serde_json::from_str(&told).unwrap_or_else(|error| panic!("{error}: {told}"));
    let jobs = told["running_jobs"].as_array().expect("jobs");
    jobs.iter().filter(|job| job["name"] == "invocation").count()
}

fn wait_until_under_way(agent: &Agent, invocations: usize) {
    let seen = poll(PATIENCE, || (under_way(agent) == invocations).then_some(()));
    seen.unwrap_or_else(|| panic!("{} invocations are under way, not {invocations}", under_way(agent)));
}

fn code(answer: &Answer) -> String {
    let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let retry = answer.header("retry-after").map(|seconds| format!(", retry-after {seconds}"));
    format!("{} {}{}", answer.status, body["code"].as_str().unwrap_or("answered"), retry.unwrap_or_default())
}

#[test]
fn a_turn_takes_as_long_as_turn_timeout_seconds_says() {
    let aws = LocalAws::start_with(&["--fault", "silence@0,silence@4"]);
    let agent = Agent::start("test_agent", &aws.endpoint(), &[("TURN_TIMEOUT_SECONDS", "1")]);
    let began = Instant::now();
    let nothing = agent.post(ONE, "Hello!", "application/json");
    assert_eq!(code(&nothing), "503 model_timeout, retry-after 2");
    let some = agent.post(OTHER, "Hello!", "text/event-stream").body;
    assert!(some.contains(r#""stop_reason":"deadline_exceeded""#), "what had been said is the answer: {some}");
    let took = began.elapsed();
    assert!((Duration::from_secs(2)..PATIENCE).contains(&took), "{took:?} for two turns");
}

#[test]
fn as_many_wait_for_a_session_as_session_queue_says() {
    let aws = LocalAws::start_with(&["--fault", "silence@1"]);
    let agent = Agent::start("test_agent", &aws.endpoint(), &[("SESSION_QUEUE", "1"), ("AGENTCORE_DEBUG", "1")]);
    let served = begin_at_the_model(&agent, ONE);
    wait_until_under_way(&agent, 1);
    let waiting = begin(&agent, ONE);
    wait_until_under_way(&agent, 2);
    assert_eq!(code(&agent.post(ONE, "Hello!", "application/json")), "409 session_busy, retry-after 2");

    drop(served);
    let next = waiting.finish();
    assert_eq!(code(&next), "200 answered", "who left has given the place back");
    assert_eq!(code(&agent.post(ONE, "Hello!", "application/json")), "200 answered");
}

#[test]
fn as_many_turns_run_as_max_concurrent_turns_says() {
    let aws = LocalAws::start_with(&["--fault", "silence@1"]);
    let agent = Agent::start("test_agent", &aws.endpoint(), &[("MAX_CONCURRENT_TURNS", "1")]);
    let served = begin_at_the_model(&agent, ONE);
    assert!(Request::get("/ping").send(agent.port).body.contains(r#""status":"HealthyBusy""#));
    assert_eq!(code(&agent.post(OTHER, "Hello!", "application/json")), "429 overloaded, retry-after 1");
    assert_eq!(Request::get("/ping").send(agent.port).status, 200, "a process that is full is well");

    drop(served);
    let now = poll(PATIENCE, || {
        Some(code(&agent.post(OTHER, "Hello!", "application/json"))).filter(|told| told.starts_with("200"))
    });
    assert_eq!(now.as_deref(), Some("200 answered"), "there is room again");
}

#[test]
fn payloads_are_as_large_together_as_max_payload_bytes_says() {
    let aws = LocalAws::start();
    let agent = Agent::start("test_agent", &aws.endpoint(), &[("MAX_PAYLOAD_BYTES", "20480")]);
    let send = |bytes: usize| {
        let mut payload = prompt("Hello!");
        payload.resize(bytes, b' ');
        code(&Request::post("/invocations", &payload).with(&[(SESSION, ONE)]).send(agent.port))
    };
    assert_eq!(send(20_481), "429 overloaded, retry-after 1");
    assert_eq!(send(20_480), "200 answered");
    assert_eq!(send(20_480), "200 answered", "and gave its room back");
}

#[test]
fn how_long_the_model_service_asks_to_wait_is_passed_on_and_waited() {
    let aws = LocalAws::start_with(&["--fault", "throttle=7,unavailable=8,throttle=1"]);
    let agent = Agent::start("test_agent", &aws.endpoint(), &[("MODEL_ATTEMPTS", "1")]);
    let told = ["a", "b"].map(|_| code(&agent.post(ONE, "Hello!", "application/json")));
    assert_eq!(told, ["429 model_throttled, retry-after 7", "503 model_unavailable, retry-after 8"]);

    let patient = Agent::start("test_agent", &aws.endpoint(), &[]);
    let began = Instant::now();
    patient.say(ONE, "Hello!");
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
}
