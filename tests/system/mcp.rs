//! An agent as an MCP server, called by MCP's own clients: its two official SDKs, its Inspector and its conformance
//! suite; and by boto3 through the door, as AgentCore's callers do.

use std::process::Command;

use serde_json::{Value, json};

use crate::agent::{Agent, lines};
use crate::examples::example;
use crate::footprint::{Memory, kilobytes};
use crate::foreign::{Script, mcp_conformance, mcp_inspector, mcp_node_script, mcp_python_script, python_script};
use crate::local_aws::{COACH_ARN, LocalAws, START};
use crate::process::{Process, free_port};
use crate::socket::{Answer, Connection, Request};

const SPEAKS_MCP: (&str, &str) = ("AGENTCORE_PROTOCOL", "MCP");

const SESSION: &str = "a-session-of-the-tests-of-mcp-0123456789";

/// The headers that every message has to have.
const HEADERS: [(&str, &str); 2] =
    [("content-type", "application/json"), ("accept", "application/json, text/event-stream")];

/// An agent, with an AWS that was started like this.
fn agent(name: &str, aws: &[&str], environment: &[(&str, &str)]) -> (LocalAws, Agent) {
    let aws = LocalAws::start_with(aws);
    let agent = Agent::start(name, &aws.endpoint(), &[&[SPEAKS_MCP], environment].concat());
    (aws, agent)
}

fn coach() -> (LocalAws, Agent) {
    agent("coach_companion", &[], &[])
}

/// The test agent, whose model has something to say once and then falls silent in the middle of each answer, after so
/// many events. The first call takes its time to set AWS up; the next one asks the model at once.
fn falling_silent(after: &str, environment: &[(&str, &str)]) -> (LocalAws, Agent) {
    let fault = format!("slow=0,silence@{after}");
    let (aws, agent) = agent("test_agent", &["--fault", &fault], environment);
    let answer = send(&agent, None, &call(1, "test_agent", &json!({ "prompt": "Hello!" })));
    assert_eq!(body(&answer)["result"]["isError"], false, "{}", answer.body);
    agent.until_status("Healthy");
    (aws, agent)
}

fn url(agent: &Agent) -> String {
    format!("http://127.0.0.1:{}/mcp", agent.port)
}

/// MCP's clients, connected, by what they are called in a failing test and the version they agreed on.
fn clients(agent: &Agent) -> Vec<(String, Script)> {
    let python = |mode: &str| {
        let mut command = mcp_python_script("mcp_client.py");
        command.arg(url(agent)).arg(mode);
        command
    };
    let mut node = mcp_node_script("mcp_client.cjs");
    node.arg(url(agent));
    let commands = [("Python", python("legacy")), ("Python", python("auto")), ("TypeScript", node)];
    let connected = commands.into_iter().map(|(name, command)| {
        let mut client = Script::start(name, command, "http://127.0.0.1:9");
        let version = client.next()["version"].as_str().expect("a version is agreed on").to_owned();
        (format!("{name} {version}"), client)
    });
    connected.collect()
}

/// Sends a message over a plain socket.
fn open(agent: &Agent, session: Option<&str>, message: &str) -> Connection {
    let session = session.map(|session| ("mcp-session-id", session));
    let headers: Vec<_> = HEADERS.into_iter().chain(session).collect();
    Request::post("/mcp", message.as_bytes()).with(&headers).open(agent.port)
}

fn send(agent: &Agent, session: Option<&str>, message: &str) -> Answer {
    open(agent, session, message).finish()
}

fn request(id: u32, method: &str, params: &Value) -> String {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string()
}

fn call(id: u32, tool: &str, arguments: &Value) -> String {
    request(id, "tools/call", &json!({ "name": tool, "arguments": arguments }))
}

/// A call whose progress is to be told.
fn watched_call(id: u32, tool: &str, arguments: &Value) -> String {
    let params = json!({ "name": tool, "arguments": arguments, "_meta": { "progressToken": "watching" } });
    request(id, "tools/call", &params)
}

fn body(answer: &Answer) -> Value {
    serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{error}: {}", answer.body))
}

/// What the coach says to a prompt in a session.
fn say(agent: &Agent, session: Option<&str>, prompt: &str) -> String {
    let answer = body(&send(agent, session, &call(1, "coach_companion", &json!({ "prompt": prompt }))));
    answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("no text: {answer}")).to_owned()
}

// === the SDKs ===

#[test]
fn the_official_sdks_list_and_call_the_agent_and_what_it_offers() {
    let (_aws, agent) = coach();
    let mut versions = Vec::new();
    for (name, mut client) in clients(&agent) {
        let listed = client.order(json!({ "do": "list" }));
        let tools = listed["tools"].as_array().unwrap_or_else(|| panic!("{name}: {listed}"));
        let names: Vec<&str> = tools.iter().filter_map(|tool| tool["name"].as_str()).collect();
        assert_eq!(names, ["coach_companion", "convert_units"], "{name}");
        assert!(
            tools[0]["description"].as_str().is_some_and(|words| words.starts_with("Company for people")),
            "{name}"
        );
        let styles = &tools[0]["inputSchema"]["properties"]["user_context"]["properties"]["coaching_style"];
        assert!(styles.to_string().contains(r#""const":"gentle""#), "{name}: {styles}");

        let arguments = json!({ "prompt": "I had a setback today", "user_context": { "coaching_style": "gentle" } });
        let called = client.order(json!({ "do": "call", "tool": "coach_companion", "arguments": arguments }));
        let (result, whole) = (&called["result"], &called["result"]["structuredContent"]);
        assert_eq!(
            (&result["isError"], &whole["stop_reason"]),
            (&json!(false), &json!("end_turn")),
            "{name}: {called}"
        );
        let text = result["content"][0]["text"].as_str().expect("an answer has words");
        assert_eq!(whole["response"]["content"][0]["text"], text, "{name}");
        let progress = called["progress"].as_array().expect("it came in pieces");
        let pieces = progress.iter().map(|told| told[1].as_str().expect("words")).collect::<Vec<_>>();
        assert!(pieces.len() > 1 && pieces.concat() == text, "{name}: {pieces:?} are not {text}");
        let places = progress.iter().map(|told| told[0].as_f64().expect("a number")).collect::<Vec<_>>();
        assert!(places.is_sorted_by(|one, next| one < next), "{name}: {places:?}");

        let arguments = json!({ "weight": { "value": 80, "unit": "kg" } });
        let called = client.order(json!({ "do": "call", "tool": "convert_units", "arguments": arguments }));
        assert_eq!(called["result"]["structuredContent"]["lb"], "176.4 lb", "{name}: {called}");
        versions.push(name);
    }
    insta::assert_snapshot!(versions.join("\n"), @r#"
    Python 2025-11-25
    Python 2026-07-28
    TypeScript 2025-11-25
    "#);
}

#[test]
fn every_version_of_the_protocol_is_agreed_on_and_one_that_is_none_is_not() {
    let (_aws, agent) = coach();
    let agreed = |version: &str| {
        let client = json!({ "name": "tests", "version": "1" });
        let params = json!({ "protocolVersion": version, "capabilities": {}, "clientInfo": client });
        let answer = body(&send(&agent, None, &request(1, "initialize", &params)));
        format!("{version}: {}", answer["result"]["protocolVersion"])
    };
    let versions = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "1999-01-01"];
    insta::assert_snapshot!(versions.map(agreed).join("\n"), @r#"
    2024-11-05: "2024-11-05"
    2025-03-26: "2025-03-26"
    2025-06-18: "2025-06-18"
    2025-11-25: "2025-11-25"
    1999-01-01: "2025-11-25"
    "#);

    let unknown = [&HEADERS[..], &[("mcp-protocol-version", "1999-01-01")]].concat();
    let ping = request(1, "ping", &json!({}));
    let refused = Request::post("/mcp", ping.as_bytes()).with(&unknown).send(agent.port);
    assert_eq!(refused.status, 400, "{}", refused.body);
}

#[test]
fn a_call_that_its_caller_gives_up_is_cut() {
    for index in 0..3 {
        let (_aws, agent) = falling_silent("4", &[]);
        let (name, mut client) = clients(&agent).swap_remove(index);

        let arguments = json!({ "prompt": "Tell me a story" });
        let order = json!({ "do": "cancel", "tool": "test_agent", "arguments": arguments });
        assert_eq!(client.order(order), json!({ "cancelled": true }), "{name}");

        agent.until_status("Healthy");
        drop(client);
        let (_, log) = agent.end();
        assert_eq!(lines(&log, "turn cut").len(), 1, "{name}: {log}");
    }
}

// === sessions ===

#[test]
fn a_session_is_told_by_mcps_header_or_by_agentcores_and_remembered() {
    let (_aws, agent) = coach();
    say(&agent, Some(SESSION), "My name is Aoife.");
    assert!(say(&agent, Some(SESSION), "What is my name?").contains("Aoife"));
    assert!(!say(&agent, Some("another"), "What is my name?").contains("Aoife"));
    assert!(!say(&agent, None, "What is my name?").contains("Aoife"));

    let question = call(1, "coach_companion", &json!({ "prompt": "What is my name?" }));
    let of_agentcore = ("x-amzn-bedrock-agentcore-runtime-session-id", SESSION);
    let headers = [&HEADERS[..], &[of_agentcore]].concat();
    let answer = Request::post("/mcp", question.as_bytes()).with(&headers).send(agent.port);
    assert!(answer.body.contains("Aoife"), "{}", answer.body);
    assert_eq!(body(&answer)["result"]["structuredContent"]["session_id"], SESSION);
}

#[test]
fn who_names_no_session_is_given_one_and_is_remembered_by_it() {
    let (_aws, agent) = coach();
    // Of these two the first greets as clients did when there were sessions, and keeps what it is given.
    let mut clients = clients(&agent);
    let (_, mut with_session) = clients.swap_remove(0);
    let mut say = |prompt: &str| {
        let order = json!({ "do": "call", "tool": "coach_companion", "arguments": { "prompt": prompt } });
        with_session.order(order)["result"]["content"][0]["text"].to_string()
    };
    say("My name is Aoife.");
    assert!(say("What is my name?").contains("Aoife"));

    let client = json!({ "name": "tests", "version": "1" });
    let params = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client });
    let greeting = request(1, "initialize", &params);
    let [one, other] = [(); 2].map(|()| send(&agent, None, &greeting).header("mcp-session-id").map(str::to_owned));
    assert!(one.is_some() && one != other, "{one:?} {other:?}");
    let named = send(&agent, Some(SESSION), &greeting);
    assert_eq!(named.header("mcp-session-id"), Some(SESSION), "who names one keeps it");
}

#[test]
fn a_question_is_a_part_of_the_answer_and_another_call_replies() {
    let aws = LocalAws::start();
    let mut command = crate::local_aws::unconfigured(example("food_diary"));
    crate::agent::agent_environment(&mut command, &aws.endpoint(), &[SPEAKS_MCP]);
    let agent = Agent::start_command("food_diary", command);
    let ask = |arguments: &Value| body(&send(&agent, Some(SESSION), &call(1, "food_diary", arguments)));

    let asked = ask(&json!({ "prompt": r#"Delete Monday [[tool delete_day {"day": "Monday"}]]"# }));
    let whole = &asked["result"]["structuredContent"];
    assert_eq!(whole["stop_reason"], "interrupted", "{asked}");
    let words = asked["result"]["content"].as_array().expect("words").last().expect("words").clone();
    assert_eq!(words["text"], "Delete everything you logged on Monday?", "{asked}");

    let replies = json!({ "replies": [{ "id": whole["questions"][0]["id"], "reply": "yes" }] });
    let answered = ask(&replies);
    assert_eq!(answered["result"]["structuredContent"]["stop_reason"], "end_turn", "{answered}");
    assert!(answered["result"]["content"][0]["text"].to_string().contains("Monday"), "{answered}");

    let again = ask(&replies);
    assert_eq!(again["result"]["isError"], true, "an answered question is no question: {again}");
}

// === what goes wrong ===

/// A failed call is told as over HTTP, by agents with the same model.
#[test]
fn a_failure_is_the_tools_and_has_the_sentence_that_callers_over_http_get() {
    let aws = LocalAws::start_with(&["--fault", "access-denied*"]);
    let [over_http, over_mcp] = [&[][..], &[SPEAKS_MCP]]
        .map(|speaks| Agent::start("coach_companion", &aws.endpoint(), &[speaks, &[("MODEL_ATTEMPTS", "1")]].concat()));
    let payloads = [
        json!({ "prompt": "Hello!" }),
        json!({ "prompt": "   " }),
        json!({ "prompt": 7 }),
        json!({ "prompt": "Hello!", "user_context": { "coaching_style": "stern" } }),
        json!({ "replies": [{ "id": "nobody-asked", "reply": "yes" }] }),
    ];
    let told = payloads.map(|payload| {
        let http = body(&Request::post("/invocations", payload.to_string().as_bytes()).send(over_http.port));
        let mcp = body(&send(&over_mcp, None, &call(1, "coach_companion", &payload)));
        let (result, whole) = (&mcp["result"], &mcp["result"]["structuredContent"]);
        assert_eq!(result["isError"], true, "{mcp}");
        assert_eq!((&whole["error"], &whole["code"]), (&http["error"], &http["code"]), "{mcp}");
        assert!(whole["request_id"].is_string(), "{mcp}");
        format!("{}: {}", whole["code"].as_str().expect("a code"), result["content"][0]["text"])
    });
    insta::assert_snapshot!(told.join("\n"), @r#"
    model_refused: "The agent cannot ask its model. Its operator has to look at the log."
    invalid_payload: "`prompt` is blank; send what the user wrote, or leave it out to let the agent open the conversation"
    invalid_payload: "`prompt` must be a string"
    invalid_payload: "`user_context.coaching_style` must be one of `gentle`, `pragmatic`, `upbeat`, `structured`"
    nothing_asked: "No question of this session waits for these replies. Send what the user says as a new message."
    "#);
}

#[test]
fn what_cannot_be_read_is_told_in_json_rpcs_own_way() {
    let (_aws, agent) = coach();
    let told = |message: &str| {
        let answer = send(&agent, None, message);
        format!("{} {}", answer.status, answer.body)
    };
    let messages = [
        "{bad",
        "",
        "[]",
        r#"{"jsonrpc":"2.0","id":1}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"no/such"}"#,
        &call(1, "no_such_tool", &json!({})),
        r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
    ];
    insta::assert_snapshot!(messages.map(told).join("\n"), @r#"
    400 {"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"The message is no JSON: see line 1, column 2."}}
    400 {"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"The message is no JSON: see line 1, column 0."}}
    400 {"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"The message is no JSON-RPC message: see line 1, column 0."}}
    400 {"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"The message is no request, notification or answer of JSON-RPC 2.0 and MCP."}}
    200 {"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no/such"}}
    200 {"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"There is no such tool here; there are coach_companion, convert_units."}}
    200 {"jsonrpc":"2.0","id":1,"result":{}}
    202 
    "#);
    for (method, path, status) in [("GET", "/mcp", 405), ("DELETE", "/mcp", 405), ("POST", "/invocations", 404)] {
        let answer = Request { method, ..Request::post(path, b"{}") }.send(agent.port);
        assert_eq!(answer.status, status, "{method} {path}");
    }
}

/// A host of AgentCore's is no reason to refuse a call.
#[test]
fn nobodys_host_is_asked_for() {
    let (_aws, agent) = coach();
    for host in ["bedrock-agentcore.eu-west-1.amazonaws.com", "evil.example:1", "no host:at/all"] {
        let mut connection = Connection::to(agent.port);
        let ping = request(1, "ping", &json!({}));
        connection.send_bytes(format!(
            "POST /mcp HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-type: application/json\r\naccept: \
             application/json, text/event-stream\r\ncontent-length: {}\r\n\r\n{ping}",
            ping.len()
        ));
        let answer = connection.finish();
        assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"jsonrpc":"2.0","id":1,"result":{}}"#), "{host}");
    }
}

#[test]
fn a_body_beyond_the_bound_is_refused_and_the_largest_is_read() {
    const LARGEST: usize = 100_000_000;
    let (_aws, agent) = coach();
    let sized = |bytes: usize| {
        let whole = call(1, "coach_companion", &json!({ "prompt": "Hello!", "pad": "" }));
        whole.replace(r#""pad":"""#, &format!(r#""pad":"{}""#, "x".repeat(bytes - whole.len())))
    };
    let before = kilobytes(agent.process.id(), Memory::Peak);
    let largest = send(&agent, None, &sized(LARGEST));
    assert_eq!(body(&largest)["result"]["isError"], false, "{}", largest.body);
    let grown = kilobytes(agent.process.id(), Memory::Peak) - before;
    println!("a call of {LARGEST} bytes took {grown} kB at the most");
    assert!(grown < 300_000, "{grown} kB");

    let refused = send(&agent, None, &sized(LARGEST + 1));
    assert_eq!((refused.status, &body(&refused)["error"]["data"]["code"]), (413, &json!("payload_too_large")));
    assert_eq!(Request::get("/ping").send(agent.port).status, 200);
}

#[test]
fn a_process_that_is_full_refuses_calls_and_hears_cancellations() {
    let (_aws, agent) = falling_silent("0*", &[("MAX_CONCURRENT_TURNS", "1")]);
    let arguments = json!({ "prompt": "Hello!" });
    let served = open(&agent, Some(SESSION), &call(7, "test_agent", &arguments));
    agent.until_status("HealthyBusy");

    let refused = body(&send(&agent, None, &call(7, "test_agent", &arguments)));
    let whole = &refused["result"]["structuredContent"];
    assert_eq!((&whole["code"], &whole["retry_after"]), (&json!("overloaded"), &json!(1)), "{refused}");
    assert_eq!(send(&agent, None, &request(1, "ping", &json!({}))).status, 200, "a process that is full is well");

    let cancelled = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}"#;
    for elsewhere in [None, Some("another")] {
        assert_eq!(send(&agent, elsewhere, cancelled).status, 202);
    }
    agent.until_status("HealthyBusy");
    assert_eq!(send(&agent, Some(SESSION), cancelled).status, 202);
    let cut = body(&served.finish());
    assert_eq!(cut["result"]["structuredContent"]["code"], "cut", "{cut}");
    agent.until_status("Healthy");
}

#[test]
fn a_caller_who_leaves_cuts_the_turn_whether_it_listens_to_progress_or_not() {
    let (_aws, agent) = falling_silent("0*", &[]);
    for message in [call, watched_call] {
        agent.until_status("Healthy");
        let leaving = open(&agent, None, &message(1, "test_agent", &json!({ "prompt": "Hello!" })));
        agent.until_status("HealthyBusy");
        drop(leaving);
        agent.until_status("Healthy");
    }
    let (_, log) = agent.end();
    assert_eq!(lines(&log, "turn cut").len(), 2, "{log}");
}

/// Connections broken at every stage: in a message's head, in its body, and in the middle of its call.
#[test]
fn ten_thousand_broken_connections_leave_nothing_behind() {
    let (_aws, agent) = falling_silent("4*", &[]);
    let arguments = json!({ "prompt": "Hello!" });
    let head = b"POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n".to_vec();
    let half = [&head[..], b"content-type: application/json\r\n\r\n{\"jsonrpc\""].concat();
    let calls = agent.forgets_ten_thousand_connections(|number| {
        for part in [&head, &half] {
            Connection::to(agent.port).send_bytes(part);
        }
        drop(open(&agent, None, &call(1, "test_agent", &arguments)));
        let session = format!("{SESSION}-{}", number % 50);
        open(&agent, Some(&session), &watched_call(1, "test_agent", &arguments)).read_until("notifications/progress");
    });
    assert_eq!(send(&agent, None, &request(1, "ping", &json!({}))).status, 200);
    let (_, log) = agent.end();
    let cut = lines(&log, "turn cut").len();
    println!("{cut} turns were cut");
    assert!(cut >= calls, "{cut}");
}

// === what an operator sees ===

#[test]
fn a_call_has_the_line_the_metrics_and_the_words_in_the_log_of_an_invocation_over_http() {
    let aws = LocalAws::start();
    let members = [&[][..], &[SPEAKS_MCP]].map(|speaks| {
        let agent = Agent::start("coach_companion", &aws.endpoint(), &[speaks, &[("RUST_LOG", "debug")]].concat());
        if speaks.is_empty() {
            agent.say(SESSION, "My cat is called Marmalade.");
        } else {
            say(&agent, Some(SESSION), "My cat is called Marmalade.");
        }
        let (_, log) = agent.end();
        assert!(!log.contains("Marmalade"), "no word of a conversation: {log}");
        let line = lines(&log, "turn answered").pop().expect("a line");
        assert_eq!(line["sessionId"], SESSION);
        assert!(line["requestId"].is_string(), "{line}");
        line.as_object().expect("members").keys().cloned().collect::<Vec<_>>()
    });
    assert_eq!(members[0], members[1]);
    assert!(members[1].iter().any(|member| member == "InvocationLatency"), "{members:?}");
}

// === the Inspector and the conformance suite ===

fn run(mut command: Command) -> (bool, String, String) {
    let output = command.output().expect("it starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.success(), text(output.stdout), text(output.stderr))
}

#[test]
fn mcps_inspector_lists_and_calls_the_agent() {
    let (_aws, agent) = coach();
    let inspect = |arguments: &[&str]| -> Value {
        let mut command = mcp_inspector();
        command.args([&url(&agent), "--transport", "http"]).args(arguments);
        let (success, said, errors) = run(command);
        assert!(success, "{said}{errors}");
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
    };
    let listed = inspect(&["--method", "tools/list"]);
    assert_eq!(listed["tools"][0]["name"], "coach_companion", "{listed}");
    let tool = ["--method", "tools/call", "--tool-name", "coach_companion"];
    let called = inspect(&[&tool[..], &["--tool-arg", "prompt=Hello!"]].concat());
    assert_eq!(called["structuredContent"]["stop_reason"], "end_turn", "{called}");
}

/// The suite itself compares with the list of what has to fail, which says why.
#[test]
fn mcps_conformance_suite_finds_nothing_wanting_but_what_is_on_the_list() {
    let (_aws, agent) = coach();
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = mcp_conformance(folder.path());
    command.args(["--url", &url(&agent)]);
    let (success, said, errors) = run(command);
    assert!(success, "{said}{errors}");
    let passed: Vec<&str> = said.lines().filter(|line| line.starts_with('✓')).collect();
    insta::assert_snapshot!(passed.join("\n"), @r#"
    ✓ server-initialize: 1 passed, 0 failed
    ✓ ping: 1 passed, 0 failed
    ✓ tools-list: 1 passed, 0 failed
    ✓ server-sse-multiple-streams: 1 passed, 0 failed
    "#);
}

// === through the door ===

/// boto3, and a local AWS in which the coach speaks MCP.
fn door(more: &[&str]) -> (LocalAws, Script) {
    let aws = LocalAws::start_with(&[&["--protocol", "coach_companion=MCP"], more].concat());
    let boto3 = Script::start("boto3", python_script("invoke.py"), &aws.endpoint());
    (aws, boto3)
}

fn invoke(boto3: &mut Script, arn: &str, more: &Value, message: &str) -> Value {
    let payload: Value = serde_json::from_str(message).expect("a message is JSON");
    let mut order = json!({
        "do": "invoke", "arn": arn, "payload": payload, "accept": "application/json, text/event-stream",
        "contentType": "application/json",
    });
    for (member, value) in more.as_object().expect("members") {
        order[member] = value.clone();
    }
    boto3.order(order)
}

#[test]
fn boto3_calls_the_agent_through_the_door_by_either_name_of_a_session() {
    let (_aws, mut boto3) = door(&[]);
    let mut say = |session: &Value, prompt: &str| {
        let answer = invoke(&mut boto3, COACH_ARN, session, &call(1, "coach_companion", &json!({ "prompt": prompt })));
        assert_eq!(answer["status"], 200, "{answer}");
        answer
    };
    let of_agentcore = json!({ "session": SESSION, "mcpProtocolVersion": "2025-11-25" });
    let answer = say(&of_agentcore, "My name is Aoife.");
    assert_eq!((&answer["session"], &answer["mcp_session"]), (&json!(SESSION), &json!(SESSION)));
    assert_eq!(answer["content_type"], "application/json");
    assert!(say(&of_agentcore, "What is my name?")["body"].to_string().contains("Aoife"));

    let of_mcp = json!({ "mcpSessionId": "short-0123456789" });
    let answer = say(&of_mcp, "My name is Conor.");
    assert_eq!(answer["mcp_session"], "short-0123456789");
    assert!(say(&of_mcp, "What is my name?")["body"].to_string().contains("Conor"));

    let fresh = say(&json!({}), "What is my name?");
    assert!(fresh["session"].is_string() && fresh["session"] == fresh["mcp_session"], "{fresh}");
}

#[test]
fn progress_passes_the_door_as_it_comes_and_a_refusal_is_the_runtimes() {
    let (_aws, mut boto3) = door(&[]);
    let session = json!({ "session": SESSION });
    let message = watched_call(1, "coach_companion", &json!({ "prompt": "I had a setback today" }));
    let answer = invoke(&mut boto3, COACH_ARN, &session, &message);
    assert_eq!(answer["content_type"], "text/event-stream", "{answer}");
    assert!(answer["body"].as_str().expect("text").matches("notifications/progress").count() > 1, "{answer}");

    let refused = invoke(&mut boto3, COACH_ARN, &json!({ "session": SESSION, "accept": "text/html" }), &message);
    assert_eq!((&refused["exception"], &refused["status"]), (&json!("RuntimeClientError"), &json!(424)), "{refused}");
    assert!(refused["message"].to_string().contains("(406)"), "{refused}");
}

/// A server of the official Python SDK, which has no `/ping`.
#[test]
fn the_door_hosts_other_peoples_mcp_servers_too() {
    let server = mcp_python_script("mcp_server.py");
    let words = std::iter::once(server.get_program()).chain(server.get_args());
    let words: Vec<&str> = words.map(|word| word.to_str().expect("a path of the tests")).collect();
    let kitchen = format!(r#"kitchen={} stateless "$PORT""#, words.join(" "));
    let (_aws, mut boto3) = door(&["--agent", &kitchen, "--protocol", "kitchen=MCP"]);
    let arn = COACH_ARN.replace("coach_companion", "kitchen");
    let client = json!({ "name": "tests", "version": "1" });
    let params = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client });
    let answer = invoke(&mut boto3, &arn, &json!({ "session": SESSION }), &request(1, "initialize", &params));
    assert_eq!(answer["status"], 200, "{answer}");
    assert!(answer["body"].to_string().contains("kitchen"), "{answer}");
}

#[test]
fn a_protocol_that_nobody_speaks_is_told_with_what_there_is() {
    let refused = |protocol: &str| {
        let mut command = crate::local_aws::vitracka();
        command.args(["dev", "--port", "0", "--protocol", protocol]);
        let (status, _, said) = Process::start("vitracka dev", command).wait(START);
        assert_eq!(status.code(), Some(1), "{said}");
        said.trim().to_owned()
    };
    insta::assert_snapshot!(["coach_companion=GRPC", "coach_companion", "nobody=MCP"].map(refused).join("\n"), @r#"
    vitracka: --protocol coach_companion=GRPC: `GRPC` is no protocol that an agent can be called by here; there are HTTP, MCP, A2A and AGUI
    vitracka: --protocol coach_companion names no agent and what it speaks; write it as --protocol coach_companion=MCP
    vitracka: --protocol nobody=MCP: there is no agent of that name here; there are coach_companion, test_agent
    "#);

    let port = free_port().to_string();
    let mut command =
        crate::agent::agent_command("test_agent", "http://127.0.0.1:9", &[("AGENTCORE_PROTOCOL", "GRPC")]);
    command.env("PORT", port);
    let (status, _, said) = Process::start("agent", command).wait(START);
    assert_eq!(status.code(), Some(1));
    insta::assert_snapshot!(said.lines().last().unwrap_or_default(), @"vitracka: AGENTCORE_PROTOCOL is GRPC; it must be HTTP, MCP, A2A or AGUI");
}
