//! What an operator sees: traces, metrics and log records in a collector of somebody else's, signatures as botocore
//! makes them, and nowhere a word that is nobody's business.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use agentcore_runtime::core::signal::{MEASURES, instrument};
use serde_json::{Value, json};

use crate::agent::Agent;
use crate::foreign::{Script, collector, telemetry_script};
use crate::local_aws::{LocalAws, START};
use crate::process::{Process, free_port, signal};
use crate::socket::Request;

const SESSION: &str = "a-session-of-the-telemetry-tests-01234567";
const MEMORY: (&str, &str) = ("BEDROCK_AGENTCORE_MEMORY_ID", "telemetry-0123456789");
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

/// A collector that runs.
pub(crate) struct Collector {
    pub(crate) endpoint: String,
    pub(crate) process: Process,
}

/// A span as the collector printed it.
#[derive(Debug, Default)]
struct Span {
    name: String,
    kind: String,
    trace: String,
    id: String,
    parent: String,
    status: String,
    attributes: BTreeMap<String, String>,
}

// === impl Collector ===

impl Collector {
    pub(crate) fn start() -> Self {
        let (http, grpc) = (free_port(), free_port());
        let mut process = Process::start("rotel", collector(http, grpc));
        process.wait_for_port(http, START);
        Self { endpoint: format!("http://127.0.0.1:{http}"), process }
    }

    /// Ends it, and gives what it printed.
    fn end(self) -> String {
        signal("TERM", self.process.id());
        let (_, stdout, stderr) = self.process.wait(START);
        stdout + &stderr
    }
}

/// The spans in what the collector printed.
fn spans(printed: &str) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let mut in_events = false;
    for line in printed.lines() {
        if line.starts_with("Resource") {
            in_events = true;
        }
        if line.starts_with("Span #") {
            spans.push(Span::default());
            in_events = false;
        }
        let Some(span) = spans.last_mut().filter(|_| !in_events) else { continue };
        if line == "Events:" {
            in_events = true;
        } else if let Some((name, value)) = line.trim().strip_prefix("-> ").and_then(|member| member.split_once(": ")) {
            span.attributes.insert(name.to_owned(), value.to_owned());
        } else if let Some((name, value)) = line.split_once(':') {
            let value = value.trim().to_owned();
            match name.trim() {
                "Trace ID" => span.trace = value,
                "Parent ID" => span.parent = value,
                "ID" => span.id = value,
                "Name" => span.name = value,
                "Kind" => span.kind = value,
                "Status code" => span.status = value,
                _ => {}
            }
        }
    }
    spans
}

/// The spans below one, each with those below it, and the attributes that are the same in every run.
fn tree(spans: &[Span], parent: &str, depth: usize, told: &mut String) {
    const CHANGES: [&str; 5] = ["id", "seconds", "ID", "usd", "tokens"];
    for span in spans.iter().filter(|span| span.parent == parent) {
        let fixed = span.attributes.iter().filter(|(name, _)| !CHANGES.iter().any(|end| name.ends_with(end)));
        let fixed: Vec<String> = fixed.map(|(name, value)| format!("{name}={value}")).collect();
        let kind = span.kind.trim_start_matches("SPAN_KIND_").to_lowercase();
        let line = format!("{}{} ({kind}) {}", "  ".repeat(depth), span.name, fixed.join(" "));
        writeln!(told, "{}", line.trim_end()).expect("text");
        tree(spans, &span.id, depth + 1, told);
    }
}

fn invoke(agent: &Agent, payload: &Value, more: &[(&str, &str)]) -> String {
    let mut headers = vec![("x-amzn-bedrock-agentcore-runtime-session-id", SESSION)];
    headers.extend(more);
    Request::post("/invocations", payload.to_string().as_bytes()).with(&headers).send(agent.port).body
}

fn weighed() -> Value {
    json!({
        "prompt": "What is my trend? [[tool weight_trend {}]]",
        "user_context": { "weight_log": [{ "date": "2026-11-01", "kg": 82 }, { "date": "2026-11-20", "kg": 81 }] },
    })
}

#[test]
fn a_collector_of_somebody_elses_gets_the_whole_tree_below_the_callers_own_span() {
    let aws = LocalAws::start();
    let collector = Collector::start();
    let agent = Agent::start(
        "coach_companion",
        &aws.endpoint(),
        &[MEMORY, ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint)],
    );

    let traceparent = format!("00-{TRACE}-{CALLER}-01");
    let streamed = [("traceparent", traceparent.as_str()), ("accept", "text/event-stream")];
    let answer = invoke(&agent, &weighed(), &streamed);
    assert!(answer.contains("end_turn"), "{answer}");
    let (status, log) = agent.end();
    assert!(status.success());
    let printed = collector.end();

    let spans = spans(&printed);
    assert!(spans.iter().all(|span| span.trace == TRACE), "one trace, the caller's: {spans:#?}");
    assert!(spans.iter().all(|span| span.attributes["session.id"] == format!("Str({SESSION})")), "{spans:#?}");
    let mut told = String::new();
    tree(&spans, CALLER, 0, &mut told);
    insta::assert_snapshot!(told, @r"
    invoke_agent coach_companion (server) agentcore.safety.action=Str(none) agentcore.safety.severity=Str(none) agentcore.stop_reason=Str(end_turn) gen_ai.agent.name=Str(coach_companion) gen_ai.operation.name=Str(invoke_agent)
      read_memory (client) agentcore.turns=Int(0)
      guard (internal)
      chat eu.anthropic.claude-3-5-sonnet-20240620-v1:0 (client) agentcore.attempts=Int(1) gen_ai.operation.name=Str(chat) gen_ai.provider.name=Str(aws.bedrock) gen_ai.request.model=Str(eu.anthropic.claude-3-5-sonnet-20240620-v1:0) gen_ai.response.finish_reasons=Slice(Str(tool_use)) gen_ai.response.model=Str(eu.anthropic.claude-3-5-sonnet-20240620-v1:0)
      execute_tool weight_trend (internal) gen_ai.operation.name=Str(execute_tool) gen_ai.tool.name=Str(weight_trend)
      chat eu.anthropic.claude-3-5-sonnet-20240620-v1:0 (client) agentcore.attempts=Int(1) gen_ai.operation.name=Str(chat) gen_ai.provider.name=Str(aws.bedrock) gen_ai.request.model=Str(eu.anthropic.claude-3-5-sonnet-20240620-v1:0) gen_ai.response.finish_reasons=Slice(Str(end_turn)) gen_ai.response.model=Str(eu.anthropic.claude-3-5-sonnet-20240620-v1:0)
      write_memory (client)
    ");
    let chat = spans.iter().find(|span| span.name.starts_with("chat")).expect("a question");
    for name in ["gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"] {
        assert!(chat.attributes[name].starts_with("Int("), "a number, and no text: {chat:#?}");
    }
    assert!(spans.iter().any(|span| span.attributes.contains_key("agentcore.first_token_seconds")), "{spans:#?}");

    for name in [instrument::DURATION, instrument::TOKENS, instrument::FIRST_TOKEN] {
        assert!(printed.contains(&format!("-> Name: {name}\n")), "{name} is no metric there");
    }
    let counted = ["InvocationCount", "InvocationLatency", "FirstTokenLatency", "CostUsd", "MemoryLatency"];
    for measure in MEASURES.iter().filter(|measure| counted.contains(&measure.name)) {
        let name = measure.instrument.expect("these are instruments");
        assert!(printed.contains(&format!("-> Name: {name}\n")), "{name} is no metric there");
    }

    let line = log.lines().find(|line| line.contains("turn answered")).expect("a line");
    let line: Value = serde_json::from_str(line).expect("JSON");
    assert_eq!(line["traceId"], TRACE);
    assert!(spans.iter().any(|span| line["spanId"] == span.id.as_str()), "{line}");
    let records = printed.split("LogRecord #").filter(|record| record.contains("Body: Str(turn answered)"));
    let record = records.last().expect("the line is a record too");
    assert!(record.contains(&format!("Trace ID       : {TRACE}")), "{record}");
}

#[test]
fn a_model_that_is_asked_again_shows_in_its_span_and_a_failure_in_all_above_it() {
    let aws = LocalAws::start_with(&["--fault", "throttle*1"]);
    let collector = Collector::start();
    let environment = [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint.as_str()), ("MODEL_RETRY_SECONDS", "5")];
    let agent = Agent::start("test_agent", &aws.endpoint(), &environment);
    invoke(&agent, &json!({ "prompt": "Hello" }), &[]);
    drop(aws);
    invoke(&agent, &json!({ "prompt": "Are you there?" }), &[]);
    let (_, log) = agent.end();
    let printed = collector.end();

    let spans = spans(&printed);
    let chats: Vec<&Span> = spans.iter().filter(|span| span.name.starts_with("chat")).collect();
    assert_eq!(chats[0].attributes["agentcore.attempts"], "Int(2)", "{chats:#?}");
    assert!(printed.contains("-> Name: asking the model again"), "the retry is an event in its span");
    assert_eq!(
        (chats[1].status.as_str(), &*chats[1].attributes["error.type"]),
        ("STATUS_CODE_ERROR", "Str(Unreachable)")
    );
    let failed =
        spans.iter().filter(|span| span.name.starts_with("invoke_agent")).find(|span| span.status.ends_with("ERROR"));
    assert_eq!(failed.expect("the invocation failed").attributes["error.type"], "Str(Unreachable)");
    let errors: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let counted = |name: &str| errors.iter().filter_map(|line| line[name].as_u64()).sum::<u64>();
    assert_eq!((counted("InvocationCount"), counted("ErrorCount"), counted("Throttles")), (2, 1, 1));
}

#[test]
fn on_agentcore_batches_are_signed_as_botocore_signs_and_what_was_said_leaves_only_where_it_is_asked_for() {
    let aws = LocalAws::start();
    let mut door = Script::start("Amazon's doors", telemetry_script("otlp_door.py"), &aws.endpoint());
    let endpoint = format!("http://127.0.0.1:{}", door.next()["port"]);
    let environment = [
        ("AGENT_OBSERVABILITY_ENABLED", "true"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=coach.DEFAULT,cloud.platform=aws_bedrock_agentcore"),
        ("OTEL_EXPORTER_OTLP_LOGS_HEADERS", "x-aws-log-group=/aws/agents,x-aws-log-stream=runtime"),
        ("AWS_ENDPOINT_URL_XRAY", endpoint.as_str()),
        ("AWS_ENDPOINT_URL_LOGS", endpoint.as_str()),
    ];
    let said = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT";
    for wanted in [false, true] {
        let mut environment = environment.to_vec();
        environment.extend(wanted.then_some((said, "true")));
        let agent = Agent::start("test_agent", &aws.endpoint(), &environment);
        invoke(&agent, &json!({ "prompt": "My name is Aoife" }), &[]);
        let (status, log) = agent.end();
        assert!(status.success() && !log.contains("Aoife"), "{log}");
    }
    let told = door.order(json!({ "do": "told", "batches": 3 }));
    let batches = told["batches"].as_array().expect("a list");
    assert!(batches.iter().all(|batch| batch["right"] == true), "{told}");
    let of = |path: &str| batches.iter().filter(|batch| batch["path"] == path).collect::<Vec<_>>();
    assert!(!of("/v1/traces").iter().any(|batch| batch.to_string().contains("Aoife")), "no span has words: {told}");
    let span = &of("/v1/traces")[0]["content"][0];
    assert_eq!(span["resource"]["service.name"], "coach.DEFAULT", "{span}");
    assert_eq!(span["resource"]["aws.service.type"], "gen_ai_agent", "{span}");

    let records = of("/v1/logs");
    assert_eq!(records.len(), 1, "of the second process alone: {told}");
    assert_eq!(records[0]["group"], "/aws/agents");
    let record = &records[0]["content"][0];
    assert_eq!(record["event"], "gen_ai.client.inference.operation.details");
    assert!(
        record["attributes"]["gen_ai.input.messages"].as_str().is_some_and(|said| said.contains("Aoife")),
        "{record}"
    );
    let spans = of("/v1/traces").into_iter().flat_map(|batch| batch["content"].as_array().expect("a list"));
    let asked: Vec<&Value> = spans.filter(|span| span["span"] == record["span"]).collect();
    assert!(asked.len() == 1 && asked[0]["name"].as_str().is_some_and(|name| name.starts_with("chat")), "{told}");
}

#[test]
fn a_collector_that_is_not_there_costs_one_warning_and_nobody_an_answer() {
    let aws = LocalAws::start();
    let nowhere = format!("http://127.0.0.1:{}", free_port());
    let agent = Agent::start("test_agent", &aws.endpoint(), &[("OTEL_EXPORTER_OTLP_ENDPOINT", &nowhere)]);
    for number in 0..20 {
        assert!(agent.say(SESSION, &format!("Hello {number}")).len() > 1);
    }
    let (status, log) = agent.end();
    assert!(status.success(), "the end waits for nobody");
    let warnings: Vec<&str> = log.lines().filter(|line| line.contains("cannot be handed over")).collect();
    assert_eq!(warnings.len(), 1, "{log}");
    assert!(warnings[0].contains("Connection refused") && warnings[0].contains(r#""SignalsLost":"#), "{warnings:?}");
}

/// Words that no signal may have, whatever way they come in.
const SECRETS: [&str; 8] = [
    "Siobhan-Murphy",
    "wat-secret-1",
    "bearer-secret-2",
    "callback-secret-3",
    "custom-secret-4",
    "tool-secret-5",
    "user-secret-6",
    "note-secret-7",
];

#[test]
fn no_signal_has_a_secret_or_a_word_of_anybodys() {
    let aws = LocalAws::start();
    let collector = Collector::start();
    let environment = [MEMORY, ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint.as_str()), ("RUST_LOG", "debug")];
    let agent = Agent::start("coach_companion", &aws.endpoint(), &environment);
    let headers = [
        ("workloadaccesstoken", "wat-secret-1"),
        ("authorization", "Bearer bearer-secret-2"),
        ("oauth2callbackurl", "https://callback-secret-3.example"),
        ("x-amzn-bedrock-agentcore-runtime-custom-token", "custom-secret-4"),
        ("x-amzn-bedrock-agentcore-runtime-user-id", "user-secret-6"),
        ("baggage", "tier=custom-secret-4"),
    ];
    let context = json!({ "name": "Siobhan-Murphy", "logs": [
        { "date": "2026-11-20", "kind": "meal", "amount": 1, "note": "note-secret-7" },
    ] });
    let prompts = [
        "I am Siobhan-Murphy and had a setback",
        r#"Say it [[tool convert_units {"amount": "tool-secret-5"}]]"#,
        "I, Siobhan-Murphy, want to die",
        "",
    ];
    for prompt in prompts {
        invoke(&agent, &json!({ "prompt": prompt, "user_context": context }), &headers);
    }
    invoke(&agent, &json!({ "prompt": ["Siobhan-Murphy"] }), &headers);
    invoke(&agent, &json!({ "prompt": "x", "user_context": { "name": 5, "plan": "note-secret-7" } }), &headers);
    let (_, log) = agent.end();
    let printed = collector.end();
    assert!(printed.contains("execute_tool") && printed.contains("SafetyFlags"), "it saw all of it");
    for secret in SECRETS {
        let seen = [("the log", &log), ("the collector", &printed)]
            .map(|(place, text)| (place, text.lines().find(|line| line.contains(secret)).map(str::to_owned)));
        assert!(seen.iter().all(|(_, line)| line.is_none()), "{secret} is in {seen:#?}");
    }
}

#[test]
fn without_a_collector_a_line_can_be_joined_to_the_callers_trace_all_the_same() {
    let aws = LocalAws::start();
    let agent = Agent::start("test_agent", &aws.endpoint(), &[]);
    let root = format!("Root=1-{}-{};Parent={CALLER};Sampled=1", &TRACE[..8], &TRACE[8..]);
    invoke(&agent, &json!({ "prompt": "Hello" }), &[("x-amzn-trace-id", &root)]);
    let line = agent.process.wait_for("turn answered", Duration::from_secs(5));
    let line: Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!((&line["traceId"], &line["sessionId"]), (&json!(TRACE), &json!(SESSION)));
}
