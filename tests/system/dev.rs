//! What `vitracka dev` says while agents work: a line for each turn, and its tree of spans.

use std::fs;
use std::io::Read as _;
use std::net::TcpListener;

use serde_json::json;

use crate::foreign::{Script, websocket_script};
use crate::local_aws::{COACH_ARN, LocalAws, START, vitracka};
use crate::socket::Request;

const SESSION: &str = "a-session-of-the-dev-tests-0123456789012";

/// A message that the coach's sentinel flags.
const IN_DANGER: &str = "I want to kill myself";

/// Calls an agent, and reads its answer to the end.
fn invoke(aws: &LocalAws, agent: &str, accept: &str, prompt: &str) -> u16 {
    let path = format!("/runtimes/{agent}/invocations");
    let headers = [
        ("accept", accept),
        ("content-type", "application/json"),
        ("x-amzn-bedrock-agentcore-runtime-session-id", SESSION),
    ];
    let body = format!(r#"{{"prompt": "{prompt}"}}"#);
    Request::post(&path, body.as_bytes()).with(&headers).send(aws.port()).status
}

/// What was said, without what changes from run to run: times, bars, ids.
fn unchanging(said: &str) -> String {
    let mut kept = String::new();
    let mut words = said.split_inclusive(' ').peekable();
    while let Some(word) = words.next() {
        let is_time = words.peek().is_some_and(|next| next.trim_end().starts_with("ms"));
        if is_time && word.trim_end().parse::<f64>().is_ok() {
            kept.push_str("<n> ");
        } else {
            kept.push_str(word);
        }
    }
    match kept.split_once(r#""request_id":""#) {
        Some((before, after)) => format!(r#"{before}"request_id":"<id>{}"#, after.trim_start_matches(|c| c != '"')),
        None => kept,
    }
}

#[test]
fn a_turn_is_one_line_with_what_it_took_and_cost() {
    let aws = LocalAws::start_with(&["--fault", "throttle*1"]);
    let asked = [
        invoke(&aws, "coach_companion", "text/event-stream", "Hello!"),
        invoke(&aws, "coach_companion", "application/json", "Hello!"),
        invoke(&aws, "coach_companion", "application/json", IN_DANGER),
        invoke(&aws, "coach_companion", "application/json", " "),
    ];
    assert_eq!(asked, [200, 200, 200, 424]);
    aws.process().wait_for("the agent answered 400", START);
    // What came before another whole line is whole.
    assert_eq!(invoke(&aws, "test_agent", "application/json", "Hello!"), 200);
    let said = aws.process().wait_for_text("test_agent  a-se…  turn 1", START);
    assert!(!said.contains("InvocationCount"), "no line of the agent's log is shown as well: {said}");
    let turns: Vec<_> = said.lines().filter(|line| line.starts_with("coach_companion  a-se…  turn ")).collect();
    insta::assert_snapshot!(unchanging(&turns.join("\n")), @r#"
    coach_companion  a-se…  turn 1   first token <n> ms   total <n> ms   1292 in  36 out   0.0044 USD   end_turn   1 retry  0 flags
    coach_companion  a-se…  turn 2   first token -   total <n> ms   1338 in  38 out   0.0046 USD   end_turn   0 retries  0 flags
    coach_companion  a-se…  turn 3   first token -   total <n> ms   0 in  0 out   0.0000 USD   end_turn   0 retries  1 flag
    coach_companion  a-se…  turn 4   first token -   total <n> ms   0 retries  0 flags   the agent answered 400 Bad Request: {"error":"`prompt` is blank; send what the user wrote, or leave it out to let the agent open the conversation","code":"invalid_payload","request_id":"<id>"}
    "#);
}

#[test]
fn a_websocket_is_told_from_its_beginning_to_its_end_with_every_turn_in_it() {
    let aws = LocalAws::start();
    let mut caller = Script::start("AgentCore SDK for Python", websocket_script("websocket.py"), &aws.endpoint());
    let connect = json!({ "do": "connect", "as": "a", "arn": COACH_ARN, "session": SESSION, "by": "headers" });
    assert_eq!(caller.order(connect)["status"], 101);
    for said in [r#"{"prompt": "Hello!"}"#, "{bad", r#"{"prompt": "Hello again!"}"#] {
        caller.order(json!({ "do": "say", "as": "a", "text": said }));
        caller.order(json!({ "do": "hear", "as": "a", "until": "end" }));
    }
    // The agent's own lines come through a pipe of their own.
    aws.process().wait_for("turn 3", START);
    caller.order(json!({ "do": "leave", "as": "a" }));
    aws.process().wait_for("WebSocket closed", START);
    let said = aws.process().wait_for_text(" s\n", START);
    let told: Vec<_> = said.lines().filter(|line| line.starts_with("coach_companion  a-se…  ")).collect();
    let [_started, lines @ .., closed] = &told[..] else { panic!("two lines at least: {said}") };
    insta::assert_snapshot!(unchanging(&lines.join("\n")), @r"
    coach_companion  a-se…  WebSocket open
    coach_companion  a-se…  turn 1   first token <n> ms   total <n> ms   1292 in  36 out   0.0044 USD   end_turn   0 retries  0 flags
    coach_companion  a-se…  turn 2   first token -   total <n> ms   0 retries  0 flags   failed: invalid_json
    coach_companion  a-se…  turn 3   first token <n> ms   total <n> ms   1339 in  38 out   0.0046 USD   end_turn   0 retries  0 flags
    ");
    assert!(closed.starts_with("coach_companion  a-se…  WebSocket closed after "), "{closed}");
}

#[test]
fn an_agent_of_somebody_elses_is_told_from_outside() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let program = folder.path().join("agent.py");
    fs::write(&program, crate::command::FOREIGN_AGENT).expect("a file");
    let aws = LocalAws::start_with(&["--agent", &format!("haiku=python3 {}", program.display())]);
    invoke(&aws, "haiku", "application/json", "Hello!");
    let line = aws.process().wait_for("haiku  a-se…  turn 1", START);
    insta::assert_snapshot!(unchanging(&line), @"haiku  a-se…  turn 1   first byte <n> ms   total <n> ms");
}

#[test]
fn traces_are_printed_as_a_tree_for_each_turn() {
    let aws = LocalAws::start_with(&["--traces"]);
    assert_eq!(invoke(&aws, "coach_companion", "text/event-stream", "Hello!"), 200);
    aws.process().wait_for("write_memory", START);
    // A tree is whole when another begins.
    assert_eq!(invoke(&aws, "test_agent", "application/json", "Hello!"), 200);
    let said = aws.process().wait_for_text("  invoke_agent test_agent", START);
    assert!(!said.contains('\u{1b}'), "a pipe has no colours: {said:?}");
    let mut lines = said.lines().skip_while(|line| !line.starts_with("coach_companion  a-se…  trace "));
    let id = lines.next().and_then(|heading| heading.rsplit(' ').next()).expect("a heading");
    assert!(id.len() == 32 && id.bytes().all(|digit| digit.is_ascii_hexdigit()), "{id}");
    let rows: Vec<_> = lines.take_while(|line| line.starts_with("  ")).collect();
    let of = |name: &str| rows.iter().find(|row| row.contains(name)).unwrap_or_else(|| panic!("no {name}: {said}"));
    assert!(rows[0].starts_with("  invoke_agent coach_companion ") && rows[0].contains(&"━".repeat(24)), "{said}");
    assert!(rows[0].contains(" in  ") && rows[0].ends_with("USD   end_turn"), "{said}");
    let chat = of("chat eu.anthropic.");
    assert!(chat.contains('━') && chat.contains("first token "), "{chat}");
    assert!(of("write_memory").trim_start().starts_with('└'), "what is stored is stored last: {said}");
    assert!(rows[1..].iter().all(|row| row.starts_with("  ├ ") || row.starts_with("  └ ")), "{said}");
}

#[test]
fn a_viewer_of_the_users_own_gets_the_traces() {
    let viewer = TcpListener::bind("127.0.0.1:0").expect("the loopback has free ports");
    let place = format!("http://{}", viewer.local_addr().expect("an address"));
    let mut command = vitracka();
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", &place);
    let aws = LocalAws::start_as(command, &["--traces"]);
    let line = aws.process().wait_for("  traces  ", START);
    insta::assert_snapshot!(line.replace(&place, "<place>"), @"  traces  <place>  because OTEL_EXPORTER_OTLP_ENDPOINT is set; unset it to see them here");

    assert_eq!(invoke(&aws, "test_agent", "application/json", "Hello!"), 200);

    let paths = viewer.incoming().map(|caller| {
        let mut beginning = [0; 64];
        caller.and_then(|mut caller| caller.read(&mut beginning)).expect("a request");
        String::from_utf8_lossy(&beginning).into_owned()
    });
    // Logs may come first.
    assert!(paths.take(8).any(|request| request.starts_with("POST /v1/traces ")));
}
