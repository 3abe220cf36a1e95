//! Conversations over a WebSocket: AWS's SDK for Python signs and connects as its users do, a browser's WebSocket takes a
//! presigned URL, and neither knows that AWS is on this machine.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::agent::Agent;
use crate::footprint::{Memory, kilobytes, open_files};
use crate::foreign::{Script, browser_script, tests, websocket_script};
use crate::local_aws::{COACH_ARN, LocalAws, START};
use crate::process::{poll, signal};
use crate::socket::{Connection, Request};

const SESSION: &str = "session-of-aoife-0123456789-0123456789";
const ANOTHER: &str = "session-of-conor-0123456789-0123456789";

/// A pause before every word, so that a turn lasts until something has happened in its middle.
const SLOW: &[&str] = &["--fault", "slow=100*"];

/// Somebody with as many connections as they like.
struct Caller(Script);

// === impl Caller ===

impl Caller {
    fn of(endpoint: &str) -> Self {
        Self(Script::start("AgentCore SDK for Python", websocket_script("websocket.py"), endpoint))
    }

    /// Connects to the coach through AWS's door.
    fn connect(&mut self, name: &str, session: &str, by: &str) -> Value {
        self.0.order(json!({ "do": "connect", "as": name, "arn": COACH_ARN, "session": session, "by": by }))
    }

    /// Connects to an agent itself.
    fn connect_to(&mut self, agent: &Agent, name: &str, session: &str) {
        let url = format!("ws://127.0.0.1:{}/ws", agent.port);
        let answer = self.0.order(json!({ "do": "connect", "as": name, "url": url, "session": session }));
        assert_eq!(answer["status"], 101, "{answer}");
    }

    fn say(&mut self, name: &str, message: &Value) {
        self.0.order(json!({ "do": "say", "as": name, "json": message }));
    }

    fn prompt(&mut self, name: &str, prompt: &str) {
        self.say(name, &json!({ "prompt": prompt }));
    }

    fn hear(&mut self, name: &str, until: &str) -> Value {
        self.0.order(json!({ "do": "hear", "as": name, "until": until }))
    }

    /// Asks, and gives the text of the answer.
    fn ask(&mut self, name: &str, prompt: &str) -> String {
        self.prompt(name, prompt);
        let heard = self.hear(name, "end");
        let text = heard["last"]["message"]["content"][0]["text"].as_str();
        text.unwrap_or_else(|| panic!("no answer: {heard}")).to_owned()
    }

    /// Sends what closes the connection, and gives how it was closed.
    fn closed_by(&mut self, name: &str, saying: &Value) -> Value {
        let mut order = json!({ "do": "say", "as": name });
        order.as_object_mut().expect("an object").extend(saying.as_object().expect("an object").clone());
        self.0.order(order);
        self.hear(name, "close")
    }
}

/// An agent with nobody between it and the caller.
fn agent(aws: &LocalAws, environment: &[(&str, &str)]) -> (Agent, Caller) {
    let agent = Agent::start("coach_companion", &aws.endpoint(), environment);
    (agent, Caller::of(&aws.endpoint()))
}

fn status(agent: &Agent) -> String {
    let ping: Value = serde_json::from_str(&Request::get("/ping").send(agent.port).body).expect("JSON");
    ping["status"].as_str().expect("a status").to_owned()
}

fn is_idle_soon(agent: &Agent) -> bool {
    poll(START, || (status(agent) == "Healthy").then_some(())).is_some()
}

/// How many of the agent's log lines have a message.
fn count(log: &str, message: &str) -> usize {
    log.matches(&format!(r#""message":"{message}""#)).count()
}

// === through AWS's door ===

#[test]
fn the_sdk_converses_by_signed_headers_and_by_a_presigned_url_and_the_session_is_one() {
    let aws = LocalAws::start();
    let mut caller = Caller::of(&aws.endpoint());
    let by_headers = caller.connect("headers", SESSION, "headers");
    assert_eq!((&by_headers["status"], &by_headers["session"]), (&json!(101), &json!(SESSION)));
    caller.ask("headers", "Hello! My name is Aoife.");
    caller.prompt("headers", "What is my name?");
    let heard = caller.hear("headers", "end");
    assert!(heard["text"].as_str().expect("text").contains("Aoife"), "{heard}");
    assert_eq!(heard["last"]["message"]["content"][0]["text"], heard["text"], "the events add up to the message");
    assert_eq!(heard["last"]["session_id"], SESSION);
    assert!(heard["count"].as_u64().expect("a number") > 3, "it came in pieces: {heard}");
    let sessions = aws.sessions();

    assert_eq!(caller.connect("presigned", SESSION, "presigned")["session"], SESSION);
    assert!(caller.ask("presigned", "What is my name?").contains("Aoife"));
    assert_eq!(aws.sessions(), sessions, "it is the same process");
    assert_eq!(caller.0.order(json!({ "do": "leave", "as": "headers" }))["closed"], 1000);
}

#[test]
fn a_caller_without_a_session_is_told_the_one_it_gets() {
    let aws = LocalAws::start();
    let mut caller = Caller::of(&aws.endpoint());
    let answer = caller.0.order(json!({ "do": "connect", "as": "a", "arn": "coach_companion", "by": "name" }));
    let session = answer["session"].as_str().expect("a session").to_owned();
    assert!(session.len() >= 33, "{session}");
    caller.prompt("a", "Hello!");
    assert_eq!(caller.hear("a", "end")["last"]["session_id"], session);
}

#[test]
fn a_browser_converses_by_a_presigned_url() {
    let aws = LocalAws::start();
    let mut caller = Caller::of(&aws.endpoint());
    let url = &caller.0.order(json!({ "do": "presign", "arn": COACH_ARN, "session": SESSION }))["url"];
    let mut page = Script::start("a web page", browser_script("websocket.cjs"), &aws.endpoint());
    assert_eq!(page.order(json!({ "do": "connect", "url": url })), json!({}));
    for prompt in ["My name is Aoife.", "What is my name?"] {
        page.order(json!({ "do": "say", "json": { "prompt": prompt } }));
    }
    assert_eq!(page.order(json!({ "do": "hear" }))["last"]["session_id"], SESSION);
    let answer = page.order(json!({ "do": "hear" }));
    assert!(answer["text"].as_str().is_some_and(|text| text.contains("Aoife")), "{answer}");
    assert_eq!(page.order(json!({ "do": "leave" }))["closed"], 1000);
}

#[test]
fn what_cannot_be_connected_to_is_told_in_the_handshake() {
    let aws = LocalAws::start();
    let mut caller = Caller::of(&aws.endpoint());
    let mut refusal = |arn: &str, session: &str| {
        let order = json!({ "do": "connect", "as": "a", "arn": arn, "session": session, "by": "headers" });
        let answer = caller.0.order(order);
        format!("{} {}", answer["status"], answer["body"].as_str().unwrap_or_default())
    };
    let nobody = COACH_ARN.replace("coach_companion", "nobody");
    insta::assert_snapshot!(refusal(&nobody, SESSION), @r#"404 {"message":"No endpoint or agent found with qualifier 'DEFAULT' for agent 'nobody'. Agents here: coach_companion, test_agent."}"#);
    let short = refusal(COACH_ARN, "short");
    assert!(short.starts_with("400") && short.contains("'runtimeSessionId' failed to satisfy constraint"), "{short}");
}

#[test]
fn a_session_somebody_is_connected_to_is_not_idle_and_one_that_is_stopped_says_goodbye() {
    let aws = LocalAws::start_with(&["--idle-timeout", "1"]);
    let mut caller = Caller::of(&aws.endpoint());
    caller.connect("a", SESSION, "headers");
    caller.ask("a", "Hello!");
    let sessions = aws.sessions();
    let silence = caller.0.order(json!({ "do": "hear", "as": "a", "until": "event", "within": 4 }));
    assert_eq!(silence["silent"], true, "{silence}");
    assert_eq!(aws.sessions(), sessions);

    let mut other = Script::start("boto3", crate::foreign::python_script("invoke.py"), &aws.endpoint());
    other.order(json!({ "do": "stop", "arn": COACH_ARN, "session": SESSION }));
    assert_eq!(caller.hear("a", "close")["closed"], 1001);
    assert!(aws.sessions().is_empty());

    caller.connect("b", ANOTHER, "headers");
    caller.0.order(json!({ "do": "break", "as": "b" }));
    assert!(poll(START, || aws.sessions().is_empty().then_some(())).is_some(), "nobody is connected any more");
}

#[test]
fn a_turn_whose_connection_breaks_at_the_door_goes_on_and_is_remembered() {
    let aws = LocalAws::start_with(SLOW);
    let mut caller = Caller::of(&aws.endpoint());
    caller.connect("first", SESSION, "headers");
    caller.prompt("first", "Hello! My name is Aoife.");
    caller.hear("first", "event");
    caller.0.order(json!({ "do": "break", "as": "first" }));
    caller.connect("second", SESSION, "presigned");
    assert!(caller.ask("second", "What is my name?").contains("Aoife"));
}

#[test]
fn an_agent_on_somebody_elses_runtime_is_reached_the_same_way() {
    let script = websocket_script("echo_agent.py");
    let interpreter = script.get_program().to_str().expect("a path is text");
    let echo = format!("echo={interpreter} {}", tests("foreign/echo_agent.py").display());
    let aws = LocalAws::start_with(&["--agent", &echo]);
    let mut caller = Caller::of(&aws.endpoint());
    let arn = COACH_ARN.replace("coach_companion", "echo");
    let connect = json!({ "do": "connect", "as": "a", "arn": arn, "session": SESSION, "by": "headers" });
    assert_eq!(caller.0.order(connect)["status"], 101);
    caller.say("a", &json!({ "greeting": "Dia duit!" }));
    let heard = caller.hear("a", "end");
    assert_eq!(heard["last"]["message"]["greeting"], "Dia duit!");
    assert_eq!(heard["last"]["session"], SESSION);
}

// === what a connection can bear ===

#[test]
fn a_turn_whose_connection_breaks_goes_on_and_is_remembered() {
    let aws = LocalAws::start_with(SLOW);
    let (agent, mut caller) = agent(&aws, &[]);
    caller.connect_to(&agent, "first", SESSION);
    caller.prompt("first", "Hello! My name is Aoife.");
    assert_eq!(caller.hear("first", "event")["count"], 1);
    caller.0.order(json!({ "do": "break", "as": "first" }));
    caller.connect_to(&agent, "second", SESSION);
    assert!(caller.ask("second", "What is my name?").contains("Aoife"));
    assert!(is_idle_soon(&agent));
    let (_, log) = agent.end();
    assert_eq!((count(&log, "turn answered"), count(&log, "turn cut")), (2, 0), "{log}");
}

#[test]
fn a_session_is_busy_during_a_turn_and_idle_while_a_connection_is_merely_open() {
    let aws = LocalAws::start_with(SLOW);
    let (agent, mut caller) = agent(&aws, &[]);
    caller.connect_to(&agent, "a", SESSION);
    assert_eq!(status(&agent), "Healthy");
    caller.prompt("a", "Hello!");
    caller.hear("a", "event");
    assert_eq!(status(&agent), "HealthyBusy");
    caller.hear("a", "end");
    assert!(is_idle_soon(&agent));
    let since = || Request::get("/ping").send(agent.port).body;
    let before = since();
    let silence = caller.0.order(json!({ "do": "hear", "as": "a", "until": "event", "within": 2 }));
    assert_eq!((&silence["silent"], since()), (&json!(true), before), "the time stands still");
}

#[test]
fn a_cancelled_turn_says_so_and_the_next_one_is_answered() {
    let aws = LocalAws::start_with(SLOW);
    let (agent, mut caller) = agent(&aws, &[]);
    caller.connect_to(&agent, "a", SESSION);
    caller.say("a", &json!({ "cancel": true }));
    caller.prompt("a", "Hello!");
    caller.prompt("a", "Hello again!");
    caller.hear("a", "event");
    caller.say("a", &json!({ "cancel": true }));
    let mut cancelled = caller.hear("a", "end")["last"].clone();
    assert!(cancelled["request_id"].as_str().is_some_and(|id| id.ends_with("-1")), "{cancelled}");
    cancelled["request_id"] = "<id>".into();
    insta::assert_snapshot!(cancelled, @r#"{"error":"The turn was cancelled, as asked. What was said of its answer is remembered.","error_type":"cancelled","message":"An error occurred during streaming","code":"cancelled","request_id":"<id>"}"#);
    assert_eq!(caller.hear("a", "end")["last"]["stop_reason"], "end_turn");
    let (_, log) = agent.end();
    assert_eq!((count(&log, "turn answered"), count(&log, "turn cut")), (1, 1), "{log}");
}

#[test]
fn a_message_that_makes_no_sense_is_told_so_while_the_turn_goes_on() {
    let aws = LocalAws::start_with(SLOW);
    let (agent, mut caller) = agent(&aws, &[]);
    caller.connect_to(&agent, "a", SESSION);
    caller.prompt("a", "Hello!");
    caller.hear("a", "event");
    let mut refusals = Vec::new();
    for text in ["{bad", r#"{"prompt": 7}"#, "[1, 2]", ""] {
        caller.0.order(json!({ "do": "say", "as": "a", "text": text }));
        let error = &caller.hear("a", "end")["last"];
        refusals.push(format!("{text}: {} | {} | {}", error["code"], error["error"], error["details"]));
    }
    insta::assert_snapshot!(refusals.join("\n"), @r#"
    {bad: "invalid_json" | "Invalid JSON" | "key must be a string at line 1 column 2"
    {"prompt": 7}: "invalid_payload" | "`prompt` must be a string" | null
    [1, 2]: "invalid_payload" | "the payload must be a JSON object" | null
    : "invalid_json" | "Invalid JSON" | "EOF while parsing a value at line 1 column 0"
    "#);
    assert_eq!(caller.hear("a", "end")["last"]["stop_reason"], "end_turn", "the turn went on");
}

#[test]
fn what_no_conversation_is_made_of_closes_it_with_its_code() {
    let aws = LocalAws::start();
    let (agent, mut caller) = agent(&aws, &[]);
    let sayings = [
        ("binary", json!({ "bytes": 3, "kind": "binary" })),
        ("not UTF-8", json!({ "hex": "7b22ff227d" })),
        ("a byte too long", json!({ "bytes": 100_000_001 })),
    ];
    let ends = sayings.map(|(name, saying)| {
        caller.connect_to(&agent, name, SESSION);
        let end = caller.closed_by(name, &saying);
        format!("{name}: {} {}", end["closed"], end["reason"])
    });
    insta::assert_snapshot!(ends.join("\n"), @r#"
    binary: 1003 "send JSON in text messages"
    not UTF-8: 1007 "the text is not UTF-8"
    a byte too long: 1009 "a message has 100,000,000 bytes at the most"
    "#);
    let plain = Request::get("/ws").send(agent.port);
    assert_eq!((plain.status, plain.header("upgrade")), (426, Some("websocket")), "{}", plain.body);
    insta::assert_snapshot!(plain.body, @r#"WebSocket protocol error: No "Connection: upgrade" header; open /ws as a WebSocket, or send POST /invocations"#);
}

#[test]
fn where_payloads_have_no_room_the_connection_is_asked_to_come_again() {
    let aws = LocalAws::start();
    let (agent, mut caller) = agent(&aws, &[("MAX_PAYLOAD_BYTES", "1000000")]);
    caller.connect_to(&agent, "a", SESSION);
    assert_eq!(caller.closed_by("a", &json!({ "bytes": 2_000_000 }))["closed"], 1013);
    caller.connect_to(&agent, "b", SESSION);
    assert!(!caller.ask("b", "Hello!").is_empty(), "the room is free again");
}

#[test]
fn what_does_not_fit_in_the_queue_is_refused_and_those_before_it_are_answered() {
    let aws = LocalAws::start_with(SLOW);
    let (agent, mut caller) = agent(&aws, &[("SESSION_QUEUE", "1")]);
    caller.connect_to(&agent, "a", SESSION);
    caller.prompt("a", "Hello!");
    caller.hear("a", "event");
    for _ in 0..3 {
        caller.prompt("a", "And?");
    }
    let ends = [(); 4].map(|()| {
        let end = &caller.hear("a", "end")["last"];
        format!("{} {} {}", end["stop_reason"], end["code"], end["retry_after"])
    });
    insta::assert_snapshot!(ends.join("\n"), @r#"
    null "session_busy" 2
    null "session_busy" 2
    "end_turn" null null
    "end_turn" null null
    "#);
    // Somebody in danger is answered all the same.
    caller.prompt("a", "Hello!");
    caller.hear("a", "event");
    caller.prompt("a", "And?");
    caller.prompt("a", "I want to kill myself");
    let crisis = &caller.hear("a", "end")["last"];
    assert_eq!(crisis["safety"]["severity"], "crisis", "{crisis}");
}

#[test]
fn a_connection_is_closed_when_nothing_was_asked_for_long_and_dropped_when_nobody_is_there() {
    let aws = LocalAws::start();
    let (agent, mut caller) = agent(&aws, &[("WEBSOCKET_PING_SECONDS", "1"), ("WEBSOCKET_IDLE_SECONDS", "3")]);
    caller.connect_to(&agent, "idle", SESSION);
    let closed = caller.hear("idle", "close");
    insta::assert_snapshot!(format!("{} {}", closed["closed"], closed["reason"]), @r#"1000 "nothing was asked for a long time""#);

    // It answers no ping.
    let mut dead = handshake(agent.port, "/ws");
    let began = Instant::now();
    dead.read_to_end();
    assert!((Duration::from_secs(2)..Duration::from_secs(20)).contains(&began.elapsed()), "{:?}", began.elapsed());
}

#[test]
fn when_the_process_ends_a_turn_is_told_to_its_end_and_then_goodbye_is_said() {
    let aws = LocalAws::start_with(SLOW);
    let (agent, mut caller) = agent(&aws, &[("DRAIN_SECONDS", "30")]);
    caller.connect_to(&agent, "talking", SESSION);
    caller.connect_to(&agent, "quiet", ANOTHER);
    caller.prompt("talking", "Hello!");
    caller.hear("talking", "event");
    signal("TERM", agent.process.id());
    assert_eq!(caller.hear("quiet", "close")["closed"], 1001);
    assert_eq!(caller.hear("talking", "end")["last"]["stop_reason"], "end_turn");
    assert_eq!(caller.hear("talking", "close")["closed"], 1001);
    let (status, log) = agent.end();
    assert!(status.success() && count(&log, "ended") == 1, "{log}");
}

// === what is left over ===

/// The handshake of a client of few words.
const HANDSHAKE: &[(&str, &str)] = &[
    ("connection", "upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

fn handshake(port: u16, path: &str) -> Connection {
    let mut connection = Connection::to(port);
    connection.send(&Request::get(path).with(HANDSHAKE));
    connection.read_until("\r\n\r\n");
    assert!(connection.text().starts_with("HTTP/1.1 101"), "{}", connection.text());
    connection
}

/// A text message as a client sends it, with a mask that changes nothing.
fn message(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).ok().filter(|length| *length < 126).expect("a short one");
    [&[0x81, 0x80 | length, 0, 0, 0, 0], text.as_bytes()].concat()
}

/// Breaks connections off: most after the handshake, some within a message, some within a turn.
fn break_off(port: u16, path: &str, count: usize) {
    for number in 0..count {
        let mut connection = handshake(port, path);
        match number % 100 {
            0 => connection.write(&message(r#"{"prompt": "Hello!"}"#)),
            1..20 => connection.write(&message(r#"{"prompt": "Hello!"}"#)[..9]),
            _ => {}
        }
    }
}

/// How many files more a process may have, because it keeps connections to the local AWS for next time: as many as it
/// once had turns at the same moment.
const POOLED: usize = 16;

/// How much an allocator may have kept: half of what the read buffers of 2,000 connections have, 16 KB each.
const KEPT: u64 = 16_000_000 / 1_024;

/// What a process has now must be no more than it had before, but for what it keeps on purpose.
fn nothing_is_left_over(process: u32, (files, size): (usize, u64)) {
    let as_before = poll(START, || (open_files(process) <= files + POOLED).then_some(()));
    assert!(as_before.is_some(), "{files} files before, {} now", open_files(process));
    let grown = kilobytes(process, Memory::Now).saturating_sub(size);
    println!("{files} files as before; of {size} kB, {grown} more");
    assert!(grown < KEPT, "{grown} kB more than {size}");
}

#[test]
fn after_ten_thousand_broken_connections_nothing_is_left_over_in_the_agent() {
    let aws = LocalAws::start();
    let (agent, mut caller) = agent(&aws, &[("AGENTCORE_DEBUG", "1")]);
    let process = agent.process.id();
    break_off(agent.port, "/ws", 500);
    assert!(is_idle_soon(&agent));
    let before = (open_files(process), kilobytes(process, Memory::Now));

    break_off(agent.port, "/ws", 10_000);

    assert!(is_idle_soon(&agent));
    nothing_is_left_over(process, before);
    let jobs = Request::post("/invocations", br#"{"_agent_core_app_action": "job_status"}"#).send(agent.port);
    assert!(jobs.body.contains(r#""active_count":0"#), "{}", jobs.body);
    caller.connect_to(&agent, "a", SESSION);
    assert!(!caller.ask("a", "Hello!").is_empty());
}

#[test]
fn after_two_thousand_connections_broken_at_the_door_nothing_is_left_over_in_it_or_behind_it() {
    let aws = LocalAws::start();
    let path = format!("/runtimes/coach_companion/ws?X-Amzn-Bedrock-AgentCore-Runtime-Session-Id={SESSION}");
    break_off(aws.port(), &path, 200);
    let (door, sessions) = (aws.process().id(), aws.sessions());
    let [agent] = sessions[..] else { panic!("one session has one process: {sessions:?}") };
    let before = [door, agent].map(|process| (open_files(process), kilobytes(process, Memory::Now)));

    break_off(aws.port(), &path, 2_000);

    for (process, before) in [door, agent].into_iter().zip(before) {
        nothing_is_left_over(process, before);
    }
    assert_eq!(aws.sessions(), sessions);
}
