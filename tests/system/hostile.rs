//! What somebody who means ill costs a process: its connections, its memory, its time. What each is told is in
//! `crates/runtime/tests/runtime/hostile.rs`.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::agent::Agent;
use crate::footprint::{Memory, kilobytes, open_files};
use crate::foreign::repository;
use crate::local_aws::LocalAws;
use crate::process::poll;
use crate::socket::{Answer, Connection, Request};

/// Long beside what a busy machine takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Most of these take none of it; what is read and refused is given back to the system late.
const LITTLE_MEMORY: u64 = 64 * 1024;

/// An agent that waits a second for a request, and has told its first turn.
fn agent(aws: &LocalAws) -> Agent {
    let agent = Agent::start("test_agent", &aws.endpoint(), &[("REQUEST_TIMEOUT_SECONDS", "1")]);
    agent.say("a-session-before-anybody-is-hostile-012345", "Hello!");
    agent
}

fn ping(agent: &Agent) -> Duration {
    let began = Instant::now();
    assert_eq!(Request::get("/ping").send(agent.port).status, 200);
    began.elapsed()
}

fn code(answer: &Answer) -> String {
    let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    format!("{} {}", answer.status, body["code"].as_str().unwrap_or("answered"))
}

/// How many kilobytes more than before a process has had at its peak.
fn grown(agent: &Agent, before: u64) -> u64 {
    kilobytes(agent.process.id(), Memory::Peak).saturating_sub(before)
}

fn now(agent: &Agent) -> u64 {
    kilobytes(agent.process.id(), Memory::Now)
}

#[test]
fn connections_that_never_say_what_they_want_are_closed_and_cost_little() {
    let aws = LocalAws::start();
    let agent = agent(&aws);
    let (files, memory) = (open_files(agent.process.id()), now(&agent));

    let silent = (0..100).map(|_| Connection::to(agent.port));
    let half = (0..100).map(|_| {
        let mut connection = Connection::to(agent.port);
        connection.write(b"POST /invocations HTTP/1.1\r\nhost: localhost\r\nx-half: ");
        connection
    });
    let endless = (0..100).map(|_| {
        let mut connection = Connection::to(agent.port);
        connection.write(format!("GET /ping HTTP/1.1\r\nx: {}", "a".repeat(60_000)).as_bytes());
        connection
    });
    let held: Vec<Connection> = silent.chain(half).chain(endless).collect();

    assert!(ping(&agent) < PATIENCE, "others are served meanwhile");
    agent.say("a-session-among-many-who-say-nothing-0123456", "Hello!");
    let closed = poll(PATIENCE, || (open_files(agent.process.id()) <= files + 10).then_some(()));
    assert_eq!(closed, Some(()), "{} files are open, {files} were", open_files(agent.process.id()));
    assert!(grown(&agent, memory) < LITTLE_MEMORY, "{} KB for {} connections", grown(&agent, memory), held.len());
}

#[test]
fn payloads_that_never_come_are_refused_and_their_places_given_back() {
    let aws = LocalAws::start();
    let limits = [("REQUEST_TIMEOUT_SECONDS", "1"), ("MAX_CONCURRENT_TURNS", "5")];
    let agent = Agent::start("test_agent", &aws.endpoint(), &limits);
    let head = b"POST /invocations HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 1000\r\n\r\n{";
    let slow: Vec<Connection> = (0..5)
        .map(|_| {
            let mut connection = Connection::to(agent.port);
            connection.write(head);
            connection
        })
        .collect();
    let told: Vec<String> = slow.into_iter().map(|connection| code(&connection.finish())).collect();
    assert_eq!(told, vec!["408 payload_too_slow"; 5]);
    agent.say("a-session-after-many-who-stood-still-0123456", "Hello!");
}

#[test]
fn a_document_that_would_be_large_is_passed_on_as_it_is() {
    let aws = LocalAws::start();
    let agent = agent(&aws);
    let bomb = zip_bomb();
    let memory = now(&agent);
    let document = json!({ "format": "docx", "name": "report", "source": { "bytes": base64(&bomb) } });
    let payload = json!({ "prompt": "Read it", "content": [{ "document": document }] }).to_string();
    let began = Instant::now();
    let answer = Request::post("/invocations", payload.as_bytes()).send(agent.port);
    assert_eq!(code(&answer), "200 answered", "{}", answer.body);
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
    let most = 12 * payload.len() as u64 / 1024;
    assert!(grown(&agent, memory) < most, "{} KB for a payload of {}", grown(&agent, memory), payload.len());

    let document = json!({ "format": "docx", "name": "report", "source": { "bytes": base64(&vec![0x50; 5_000_000]) } });
    let payload = json!({ "prompt": "Read it", "content": [{ "document": document }] }).to_string();
    let answer = Request::post("/invocations", payload.as_bytes()).send(agent.port);
    insta::assert_snapshot!(sentence(&answer), @"`content[0]` is 5000000 bytes long; Bedrock takes 4500000 at the most");
}

#[test]
fn large_payloads_of_nothing_are_refused_without_growing() {
    let aws = LocalAws::start();
    let agent = agent(&aws);
    let memory = now(&agent);
    let bodies = [
        ("lists in lists", "[".repeat(20_000_000)),
        ("a prompt of zeros", format!(r#"{{"prompt":"{}"}}"#, "\\u0000".repeat(3_000_000))),
        ("a number", format!(r#"{{"prompt":{}}}"#, "9".repeat(20_000_000))),
        ("blanks", " ".repeat(20_000_000)),
    ];
    let mut told = String::new();
    for (name, body) in &bodies {
        let began = Instant::now();
        let answer = Request::post("/invocations", body.as_bytes()).send(agent.port);
        assert!(began.elapsed() < PATIENCE, "{name}: {:?}", began.elapsed());
        let _ = writeln!(told, "{name}: {} {}", code(&answer), sentence(&answer));
    }
    insta::assert_snapshot!(told, @"
    lists in lists: 400 invalid_payload the payload must be a JSON object 
    a prompt of zeros: 400 context_too_long The message is too long for the model. Please send a shorter one. 
    a number: 400 invalid_json Invalid JSON number out of range at line 1 column 20000010
    blanks: 400 invalid_json Invalid JSON EOF while parsing a value at line 1 column 20000000
    ");
    let most = 8 * 20_000_000 / 1024;
    assert!(grown(&agent, memory) < most, "{} KB for payloads of 20 MB", grown(&agent, memory));
}

/// Ids that would be paths, if somebody made paths of them.
const PATHS: [&str; 4] = ["../../outside", "a/../../outside", "..%2f..%2foutside", "/tmp/outside"];

#[test]
fn no_id_becomes_a_path_of_a_session_file_which_is_its_owners() {
    let aws = LocalAws::start();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("sessions");
    let memory = format!("file:{}", file.display());
    let agent = Agent::start("test_agent", &aws.endpoint(), &[("SESSION_MEMORY", &memory)]);
    for id in PATHS {
        agent.say(id, "Hello!");
        let actor = json!({ "prompt": "Hello!", "user_id": id }).to_string();
        assert_eq!(Request::post("/invocations", actor.as_bytes()).send(agent.port).status, 200);
    }
    drop(agent.end());
    let kept: Vec<_> = fs::read_dir(folder.path()).expect("a folder").flatten().map(|entry| entry.path()).collect();
    assert_eq!(kept, std::slice::from_ref(&file));
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&file).expect("a file").permissions());
    assert_eq!(mode & 0o777, 0o600, "nobody else reads it");
}

#[test]
fn no_id_becomes_a_path_of_the_local_aws() {
    let aws = LocalAws::start();
    for id in ["..%2F..%2Foutside", "%00", "a%0Ab", "%FF"] {
        let paths = [
            format!("/memories/{id}/events"),
            format!("/memories/a_memory-0123456789/actor/{id}/sessions/{id}"),
            format!("/runtimes/{id}/invocations"),
            format!("/model/{id}/converse"),
        ];
        for path in paths {
            let body = br#"{"messages":[{"role":"user","content":[{"text":"Hi"}]}]}"#;
            let answer = Request::post(&path, body).send(aws.port());
            let name = answer.header("x-amzn-errortype").unwrap_or_default();
            assert_eq!((answer.status, name), (400, "ValidationException"), "{path}");
        }
    }
}

#[test]
fn no_crate_of_ours_may_have_unsafe_code() {
    let read = |path: PathBuf| fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let workspace = read(repository().join("Cargo.toml"));
    assert!(workspace.contains("members = [\"agents/*\", \"crates/*\"]"), "these are all of them");
    assert!(workspace.contains("[workspace.lints.rust]\nunsafe_code = \"forbid\"\n"), "nothing may allow it again");
    for folder in ["agents", "crates"] {
        for member in fs::read_dir(repository().join(folder)).expect("a folder").flatten() {
            let manifest = read(member.path().join("Cargo.toml"));
            assert!(manifest.contains("\n[lints]\nworkspace = true\n"), "{}", member.path().display());
        }
    }
}

fn sentence(answer: &Answer) -> String {
    let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    format!("{} {}", body["error"].as_str().unwrap_or_default(), body["details"].as_str().unwrap_or_default())
}

/// The beginning of a zip archive, of 4 MB in which some 4 GB of zeros are.
fn zip_bomb() -> Vec<u8> {
    use std::io::Write as _;
    let mut deflated = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    let zeros = vec![0; 1 << 20];
    for _ in 0..64 {
        deflated.write_all(&zeros).expect("memory takes it");
    }
    let once = deflated.finish().expect("memory takes it");
    let mut archive = b"PK\x03\x04\x14\0\0\0\x08\0\0\0\0\0".to_vec();
    archive.extend_from_slice(&[0; 12]);
    archive.extend_from_slice(b"\x08\0\0\0word.xml");
    while archive.len() + once.len() < 4_400_000 {
        archive.extend_from_slice(&once);
    }
    archive
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
