//! Must show 4: what AgentCore asks of the process it hosts, byte by byte over a plain socket, beside what
//! the Python SDK answers to the same requests.
//!
//! Ours is a snapshot. The SDK's is `tests/contract/python-sdk-1.25.0.txt`, and every difference between
//! the two is on the list in `tests/contract/differences.md`, with its reason.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use crate::agent::Agent;
use crate::foreign::repository;
use crate::local_aws::LocalAws;
use crate::socket::{Answer, Request};

const INVOCATIONS: &str = "/invocations";
const HELLO: &[u8] = br#"{"prompt":"Hello!"}"#;

/// The test agent with debug actions on.
fn agent(aws: &LocalAws) -> Agent {
    Agent::start("test_agent", &aws.endpoint(), &[("AGENTCORE_DEBUG", "1")])
}

fn line(agent: &Agent, name: &str, request: &Request<'_>) -> String {
    format!("{name}: {}\n", shown(&request.send(agent.port)))
}

fn post(body: &[u8]) -> Request<'_> {
    Request::post(INVOCATIONS, body)
}

/// What our agent answers to each request, a line each.
fn answers() -> String {
    let (aws, failing_aws) = (LocalAws::start(), LocalAws::start_with(&["--fault", "throttle*"]));
    let (agent, failing) = (agent(&aws), agent(&failing_aws));

    let mut lines = String::new();
    let mut ask = |name: &str, request: Request<'_>| lines += &line(&agent, name, &request);
    let debug = |action: &str| json!({ "_agent_core_app_action": action }).to_string().into_bytes();
    ask("ping", Request::get("/ping"));
    ask("ping by HEAD", Request { method: "HEAD", ..Request::get("/ping") });
    ask("ping by POST", Request::post("/ping", b"{}"));
    ask("invocations by GET", Request::get(INVOCATIONS));
    ask("unknown path", Request::get("/nope"));
    ask("slash at the end", Request::post("/invocations/", HELLO));
    ask("value", post(HELLO));
    ask("value with content type text/plain", post(HELLO).with(&[("content-type", "text/plain")]));
    ask("stream", post(HELLO).with(&[("accept", "text/event-stream")]));
    ask("malformed JSON", post(b"{bad"));
    ask("empty body", post(b""));
    ask("bad UTF-8", post(b"{\"a\":\"\xff\"}"));
    ask("array", post(b"[1,2]"));
    ask("string", post(br#""hi""#));
    ask("NaN", post(br#"{"prompt":"Hello!","v":NaN}"#));
    ask("action ping_status", post(&debug("ping_status")));
    ask("action job_status", post(&debug("job_status")));
    ask("action force_busy", post(&debug("force_busy")));
    ask("ping while forced busy", Request::get("/ping"));
    ask("action force_healthy", post(&debug("force_healthy")));
    ask("action clear_forced_status", post(&debug("clear_forced_status")));
    ask("action bogus", post(&debug("bogus")));
    lines += &line(&failing, "failure", &post(HELLO));
    lines += &line(&failing, "failure in a stream", &post(HELLO).with(&[("accept", "text/event-stream")]));
    lines
}

// === answers as lines ===

fn shown(answer: &Answer) -> String {
    let mut parts = vec![answer.status.to_string(), answer.header("content-type").unwrap_or("-").to_owned()];
    if let Some(allow) = answer.header("allow") {
        // Their order means nothing.
        let mut methods = allow.split(',').map(str::trim).collect::<Vec<_>>();
        methods.sort_unstable();
        parts.push(format!("allow={}", methods.join(",")));
    }
    for name in ["location", "retry-after"] {
        if let Some(value) = answer.header(name) {
            parts.push(format!("{name}={value}"));
        }
    }
    parts.push(match answer.header("content-type") {
        Some(kind) if kind.starts_with("text/event-stream") => frames(&answer.body),
        _ => body(&answer.body),
    });
    parts.join(" ").trim_end().to_owned()
}

fn body(text: &str) -> String {
    serde_json::from_str(text).map_or_else(|_| text.to_owned(), |value| unchanging(None, &value))
}

/// The frames of a stream, with one for many that only carry other text.
fn frames(body: &str) -> String {
    let frames = body.split_terminator("\n\n").map(|frame| match frame.strip_prefix("data: ") {
        Some(json) => format!("data: {}", self::body(json)),
        None => format!("not a frame: {frame:?}"),
    });
    let mut frames = frames.collect::<Vec<_>>();
    frames.dedup();
    frames.join(" | ")
}

/// JSON with its members sorted and a name in place of what changes from run to run.
fn unchanging(member: Option<&str>, value: &Value) -> String {
    match (member, value) {
        (Some("time_of_last_update"), Value::Number(seconds)) if seconds.is_u64() => "<seconds>".to_owned(),
        (Some("request_id" | "session_id"), Value::String(_)) => r#""<id>""#.to_owned(),
        (Some("details"), Value::String(_)) => r#""<details>""#.to_owned(),
        (Some("text"), Value::String(_)) => r#""<text>""#.to_owned(),
        (Some("usage" | "metrics"), Value::Object(_)) => "<counts>".to_owned(),
        (_, Value::Object(members)) => {
            let mut members = members.iter().collect::<Vec<_>>();
            members.sort_by_key(|(name, _)| *name);
            let members = members.iter().map(|(name, value)| format!("{name:?}:{}", unchanging(Some(name), value)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(","))
        }
        (_, Value::Array(items)) => {
            let items = items.iter().map(|item| unchanging(None, item)).collect::<Vec<_>>();
            format!("[{}]", items.join(","))
        }
        (_, value) => value.to_string(),
    }
}

// === the comparison ===

/// The names of the requests that are answered otherwise.
fn differing(ours: &str, theirs: &str) -> BTreeSet<String> {
    let read = |lines: &str| -> Vec<(String, String)> {
        let lines = lines.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(": "));
        lines.map(|(name, answer)| (name.to_owned(), answer.to_owned())).collect()
    };
    let (ours, theirs) = (read(ours), read(theirs));
    let names = |lines: &[(String, String)]| lines.iter().map(|(name, _)| name.clone()).collect::<BTreeSet<_>>();
    assert_eq!(names(&ours), names(&theirs), "both sides answer the same requests");
    let same = |ours: &str, theirs: &str| match theirs.strip_suffix('*') {
        Some(head) => ours.starts_with(head),
        None => ours == theirs,
    };
    let otherwise = ours.into_iter().filter(|(name, answer)| {
        let (_, theirs) = theirs.iter().find(|(other, _)| other == name).expect("the names are the same");
        !same(answer, theirs)
    });
    otherwise.map(|(name, _)| name).collect()
}

/// The names on the list of intended differences.
fn intended(list: &str) -> BTreeSet<String> {
    let items = list.lines().filter_map(|line| line.strip_prefix("- `")?.split_once("`: "));
    items.map(|(name, _)| name.to_owned()).collect()
}

#[test]
fn every_answer_is_as_recorded_and_differs_from_the_python_sdks_only_where_intended() {
    let folder = repository().join("tests/contract");
    let read = |name: &str| fs::read_to_string(folder.join(name)).expect("the contract's files are in the repository");

    let ours = answers();

    assert_eq!(
        differing(&ours, &read("python-sdk-1.25.0.txt")),
        intended(&read("differences.md")),
        "left: what differs; right: tests/contract/differences.md. Ours:\n{ours}"
    );
    insta::assert_snapshot!("answers", ours);
}

#[test]
fn an_answer_that_differs_is_found_unless_the_body_is_the_handlers_own() {
    let theirs = "# a comment\na: 200 x *\nb: 200 x body\nc: 404 x gone\n";
    assert_eq!(differing("a: 200 x anything\nb: 200 x body\nc: 404 x gone\n", theirs), BTreeSet::new());
    assert_eq!(
        differing("a: 500 x anything\nb: 200 x other\nc: 404 x gone\n", theirs),
        ["a", "b"].map(str::to_owned).into()
    );
}

#[test]
fn what_changes_from_run_to_run_has_a_name_instead() {
    let body = r#"{"time_of_last_update":1795406591,"status":"Healthy","error":"kept","request_id":"r-17"}"#;
    insta::assert_snapshot!(self::body(body), @r#"{"error":"kept","request_id":"<id>","status":"Healthy","time_of_last_update":<seconds>}"#);
    assert_eq!(self::body(r#"{"time_of_last_update":"2026-01-01"}"#), r#"{"time_of_last_update":"2026-01-01"}"#);
}
