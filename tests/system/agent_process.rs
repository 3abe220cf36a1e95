//! An agent as a process: how it starts, ends, logs, keeps sessions and bears large payloads.

use std::time::Duration;

use serde_json::Value;

use crate::agent::{Agent, agent_command};
use crate::footprint::{Memory, kilobytes};
use crate::local_aws::{LocalAws, START};
use crate::process::{Process, free_port};
use crate::socket::Request;

const SESSION: &str = "a-session-of-the-process-tests-0123456789";

#[test]
fn given_sigterm_then_it_ends_with_status_0() {
    let aws = LocalAws::start();
    let agent = Agent::start("test_agent", &aws.endpoint(), &[]);
    agent.say(SESSION, "Hello!");
    let (status, log) = agent.end();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains(r#""message":"ended""#), "{log}");
}

#[test]
fn given_a_model_outside_the_eu_then_it_does_not_start_and_says_why() {
    let outside = [("MODEL_ID", "us.anthropic.claude-3-5-sonnet-20240620-v1:0")];
    let refused = Process::start("coach", agent_command("coach_companion", "http://127.0.0.1:9", &outside));
    let (status, _, said) = refused.wait(START);
    assert_eq!(status.code(), Some(1));
    insta::assert_snapshot!(said, @"vitracka: MODEL_ID=us.anthropic.claude-3-5-sonnet-20240620-v1:0 is not an EU inference profile (their ids begin with `eu.`). Data stays in the EU unless DATA_RESIDENCY=any is set on purpose");
}

#[test]
fn given_a_port_in_use_then_it_says_so_in_a_sentence() {
    let aws = LocalAws::start();
    let agent = Agent::start("test_agent", &aws.endpoint(), &[]);
    let port = agent.port.to_string();
    let second = Process::start("second", agent_command("test_agent", &aws.endpoint(), &[("PORT", &port)]));
    let (status, _, said) = second.wait(START);
    assert_eq!(status.code(), Some(1));
    assert!(said.contains("set PORT to a free port"), "{said}");
}

#[test]
fn local_test_sends_a_sample_through_the_handler_and_exits_by_success() {
    let aws = LocalAws::start();
    let test = |name: &str, endpoint: &str| {
        let mut command = agent_command(name, endpoint, &[]);
        command.arg("--local-test");
        Process::start(name, command).wait(Duration::from_mins(1))
    };
    for name in ["test_agent", "coach_companion"] {
        let (status, said, log) = test(name, &aws.endpoint());
        assert_eq!(status.code(), Some(0), "{said}{log}");
        assert!(said.contains("200 OK") && said.contains(r#""role":"assistant""#), "{said}");
    }
    let nobody_there = format!("http://127.0.0.1:{}", free_port());
    let (status, said, _) = test("test_agent", &nobody_there);
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("model_unavailable"), "{said}");
}

#[test]
fn every_log_line_is_an_object_with_the_contracts_members_and_no_word_of_the_conversation() {
    let aws = LocalAws::start();
    let agent = Agent::start("coach_companion", &aws.endpoint(), &[("RUST_LOG", "debug")]);
    agent.say(SESSION, "My cat Marmalade knocked over the zucchini.");
    agent.post(SESSION, "My cat Marmalade again", "text/event-stream");
    let refused = [("x-amzn-bedrock-agentcore-runtime-request-id", "a-request"), ("authorization", "Bearer t0psecret")];
    Request::post("/invocations", br#"{"prompt": 7, "message": "Marmalade"}"#).with(&refused).send(agent.port);
    let (_, log) = agent.end();
    assert!(!log.contains("Marmalade") && !log.contains("zucchini") && !log.contains("t0psecret"), "{log}");
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect();
    for line in &lines {
        for member in ["timestamp", "level", "message", "logger"] {
            assert!(line[member].is_string(), "no {member}: {line}");
        }
    }
    let turn = lines.iter().find(|line| line["message"] == "turn answered").expect("a turn is logged");
    assert_eq!(turn["sessionId"], SESSION);
    assert!(turn["requestId"].is_string());
    let timestamp = turn["timestamp"].as_str().expect("text");
    assert!(timestamp.len() == "2026-11-23T10:00:00.000Z".len() && timestamp.ends_with('Z'), "{timestamp}");
    let refusal = lines.iter().find(|line| line["message"] == "invocation refused").expect("a refusal is logged");
    assert_eq!(refusal["requestId"], "a-request");
}

#[test]
fn an_error_in_the_log_has_its_type_its_sentence_and_its_place() {
    let aws = LocalAws::start_with(&["--fault", "access-denied*"]);
    let agent = Agent::start("coach_companion", &aws.endpoint(), &[]);
    let answer = agent.post(SESSION, "Hello!", "application/json");
    assert_eq!(answer.status, 500, "{}", answer.body);
    let (_, log) = agent.end();
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line is JSON"));
    let error = lines.into_iter().find(|line| line["message"] == "turn failed").expect("the failure is logged");
    assert_eq!((&error["level"], &error["errorType"]), (&"ERROR".into(), &"AccessDenied".into()));
    assert!(error["errorMessage"].as_str().expect("a sentence").contains("bedrock:InvokeModel"), "{error}");
    assert!(error["location"].as_str().expect("a place").contains(".rs:"), "{error}");
}

#[test]
fn a_session_in_a_file_outlives_the_process() {
    let aws = LocalAws::start();
    let folder = tempfile::tempdir().expect("a folder");
    let memory = format!("file:{}", folder.path().join("sessions.redb").display());
    let in_a_file = [("SESSION_MEMORY", memory.as_str())];
    let first = Agent::start("coach_companion", &aws.endpoint(), &in_a_file);
    first.say(SESSION, "My name is Aoife.");
    crate::process::signal("KILL", first.process.id());
    drop(first);
    let second = Agent::start("coach_companion", &aws.endpoint(), &in_a_file);
    let answer = second.say(SESSION, "What is my name?");
    assert!(answer.contains("Aoife"), "{answer}");
}

/// Must show 7. Peak memory is the kernel's own account of the process.
#[test]
fn a_hundred_megabytes_are_accepted_within_three_hundred_and_one_byte_more_is_refused() {
    const LARGEST: usize = 100_000_000;
    let aws = LocalAws::start();
    let agent = Agent::start("test_agent", &aws.endpoint(), &[]);
    let mut body = br#"{"prompt": "Hello!", "pad": ""#.to_vec();
    body.resize(LARGEST - 2, b'x');
    body.extend_from_slice(b"\"}");
    let answer = Request::post("/invocations", &body).send(agent.port);
    assert_eq!(answer.status, 200, "{}", answer.body);
    let mut prompt = br#"{"prompt": ""#.to_vec();
    prompt.resize(LARGEST - 2, b'x');
    prompt.extend_from_slice(b"\"}");
    let answer = Request::post("/invocations", &prompt).send(agent.port);
    assert!(answer.status == 400 && answer.body.contains("context_too_long"), "{}", answer.body);
    let peak = kilobytes(agent.process.id(), Memory::Peak) * 1024;
    assert!(peak < 300_000_000, "{peak} bytes");

    body.insert(body.len() - 2, b'x');
    let answer = Request::post("/invocations", &body).send(agent.port);
    assert_eq!(answer.status, 413, "{}", answer.body);
    assert_eq!(Request::get("/ping").send(agent.port).status, 200);
}
