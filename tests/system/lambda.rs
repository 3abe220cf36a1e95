//! The same agent as a Lambda function, on cargo-lambda's emulator of the service: called by boto3, and over
//! a function URL.

use std::process::Command;

use serde_json::{Value, json};

use crate::agent::{agent_command, agent_environment};
use crate::foreign::{Script, lambda_emulator, python_script};
use crate::local_aws::{LocalAws, START};
use crate::process::{Process, free_port, signal};
use crate::socket::{Answer, Connection, Request};
use crate::telemetry::Collector;

const SESSION: &str = "a-session-of-the-lambda-tests-0123456789";
const MEMORY: (&str, &str) = ("BEDROCK_AGENTCORE_MEMORY_ID", "local_memory-0000000000");
const STREAMED: (&str, &str) = ("FUNCTION_URL_INVOKE_MODE", "RESPONSE_STREAM");

/// A function's instances, and where they are invoked.
pub(crate) struct Function {
    pub(crate) port: u16,
    instances: Vec<Process>,
    _emulator: Process,
}

impl Function {
    /// An emulator with one instance of the coach.
    fn start(aws: &LocalAws, environment: &[(&str, &str)]) -> Self {
        Self::of(agent_command("coach_companion", &aws.endpoint(), &[]), aws, environment)
    }

    /// An emulator with one instance, which is this command.
    pub(crate) fn of(command: Command, aws: &LocalAws, environment: &[(&str, &str)]) -> Self {
        let port = free_port();
        let mut emulator = Process::start("the Lambda emulator", lambda_emulator(port));
        emulator.wait_for_port(port, START);
        let mut function = Self { port, instances: Vec::new(), _emulator: emulator };
        function.add_instance(command, aws, environment);
        function
    }

    fn add_instance(&mut self, mut command: Command, aws: &LocalAws, environment: &[(&str, &str)]) {
        agent_environment(&mut command, &aws.endpoint(), environment);
        command
            .env("AWS_LAMBDA_RUNTIME_API", format!("http://127.0.0.1:{}/.rt", self.port))
            .env("AWS_LAMBDA_FUNCTION_NAME", "_")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128");
        let instance = Process::start("the function", command);
        instance.wait_for("serving a Lambda function", START);
        self.instances.push(instance);
    }

    fn caller(&self) -> Script {
        Script::start("boto3", python_script("lambda.py"), &format!("http://127.0.0.1:{}", self.port))
    }

    /// Opens a request to the function's URL.
    fn open(&self, path: &str, headers: &[(&str, &str)], payload: &Value) -> Connection {
        let path = format!("/lambda-url/_{path}");
        Request::post(&path, payload.to_string().as_bytes()).with(headers).open(self.port)
    }

    fn post(&self, path: &str, headers: &[(&str, &str)], payload: &Value) -> Answer {
        self.open(path, headers, payload).finish()
    }
}

fn say(caller: &mut Script, prompt: &str) -> Value {
    caller.order(json!({ "do": "invoke", "payload": { "prompt": prompt, "session_id": SESSION } }))
}

fn text(answer: &Value) -> &str {
    answer["payload"]["response"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("no text: {answer}"))
}

#[test]
fn an_invocation_with_the_same_payload_has_the_same_answer_and_the_session_is_remembered() {
    let aws = LocalAws::start();
    let function = Function::start(&aws, &[MEMORY]);
    let mut caller = function.caller();

    let first = say(&mut caller, "Hi, I'm Aoife.");

    assert_eq!(first["payload"]["session_id"], SESSION, "{first}");
    assert_eq!(first["payload"]["response"]["role"], "assistant");
    assert!(text(&say(&mut caller, "What is my name?")).contains("Aoife"));
}

#[test]
fn an_instance_knows_what_was_said_to_another_since_its_own_last_turn() {
    let aws = LocalAws::start();
    let mut function = Function::start(&aws, &[MEMORY]);
    let mut caller = function.caller();
    say(&mut caller, "Hello!");
    // Another instance of the function, as Lambda adds them: it is served from the same memory.
    let other = crate::agent::Agent::start("coach_companion", &aws.endpoint(), &[MEMORY]);
    other.say(SESSION, "Hi, I'm Aoife.");

    assert!(text(&say(&mut caller, "What is my name?")).contains("Aoife"), "read anew, not remembered from before");

    function.instances.clear();
    function.add_instance(agent_command("coach_companion", &aws.endpoint(), &[]), &aws, &[MEMORY]);
    assert!(text(&say(&mut caller, "And what is my name now?")).contains("Aoife"));
}

#[test]
fn an_invocations_trace_has_left_when_the_process_comes_to_a_stand() {
    let aws = LocalAws::start();
    let collector = Collector::start();
    let function = Function::start(&aws, &[MEMORY, ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint)]);

    say(&mut function.caller(), "Hello!");
    // As Lambda does between invocations.
    signal("STOP", function.instances[0].id());

    collector.process.wait_for("invoke_agent coach_companion", START);
    collector.process.wait_for("gen_ai.client.operation.duration", START);
    signal("CONT", function.instances[0].id());
}

#[test]
fn a_failure_has_lambdas_form() {
    let aws = LocalAws::start_with(&["--fault", "access-denied"]);
    let function = Function::start(&aws, &[]);
    // Over a socket: the emulator answers a failed function with status 500, where Lambda says 200 and names
    // the failure in a header, so that boto3 would try again. What the function said is the body of both.
    let invoke = |payload: &str| {
        Request::post("/2015-03-31/functions/_/invocations", payload.as_bytes()).send(function.port).body
    };
    let told = [r#"{"prompt":"Hello!"}"#, r#"{"prompt":"   "}"#, r#"["Hello!"]"#].map(invoke);
    insta::assert_snapshot!(told.join("\n"), @r#"
    {"errorType":"model_refused","errorMessage":"The agent cannot ask its model. Its operator has to look at the log."}
    {"errorType":"invalid_payload","errorMessage":"`prompt` is blank; send what the user wrote, or leave it out to let the agent open the conversation"}
    {"errorType":"invalid_payload","errorMessage":"the payload must be a JSON object"}
    "#);
}

#[test]
fn a_function_url_answers_as_the_agents_own_port_does() {
    let aws = LocalAws::start();
    let function = Function::start(&aws, &[]);
    let session = [("x-amzn-bedrock-agentcore-runtime-session-id", SESSION)];

    let answer = function.post("/", &session, &json!({ "prompt": "Hello!" }));
    let refused = function.post("/invocations", &session, &json!({ "prompt": 7 }));
    let lost = function.post("/elsewhere", &session, &json!({}));

    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")), "{}", answer.body);
    let answer: Value = serde_json::from_str(&answer.body).expect("an answer is JSON");
    assert_eq!(answer["session_id"], SESSION);
    assert_eq!(refused.status, 400, "{}", refused.body);
    assert!(refused.body.contains("`prompt` must be a string"), "{}", refused.body);
    assert_eq!(lost.status, 404);
}

#[test]
fn a_streaming_function_url_gives_each_event_as_it_comes() {
    let aws = LocalAws::start_with(&["--fault", "slow=400*"]);
    let function = Function::start(&aws, &[STREAMED]);
    let headers = [("accept", "text/event-stream"), ("x-amzn-bedrock-agentcore-runtime-session-id", SESSION)];

    let mut answer = function.open("/", &headers, &json!({ "prompt": "Hello!" }));
    answer.read_until("contentBlockDelta");
    assert!(!answer.text().contains("stop_reason"), "the first words come before the last: {}", answer.text());
    let answer = answer.finish();

    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/event-stream; charset=utf-8")));
    let last = answer.body.trim_end().rsplit("\n\n").next().and_then(|frame| frame.strip_prefix("data: "));
    let last: Value = serde_json::from_str(last.expect("a frame")).expect("JSON");
    assert_eq!((&last["stop_reason"], &last["session_id"]), (&json!("end_turn"), &json!(SESSION)));
}

#[test]
fn a_process_that_is_not_on_lambda_after_all_says_so() {
    let half = [("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9")];
    let process = Process::start("the function", agent_command("coach_companion", "http://127.0.0.1:9", &half));
    let (status, _, said) = process.wait(START);
    assert_eq!(status.code(), Some(1));
    let sentence = said.lines().last().unwrap_or_default();
    insta::assert_snapshot!(sentence, @"vitracka: AWS_LAMBDA_RUNTIME_API is set but AWS_LAMBDA_FUNCTION_NAME is not; on Lambda both are, elsewhere unset the first to serve HTTP");
}
