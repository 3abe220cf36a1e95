//! An agent behind an app that speaks AG-UI: called by the protocol's own client, which verifies the events of every run,
//! and by boto3 through the door, as AgentCore's callers do.

use serde_json::{Value, json};

use crate::agent::{Agent, agent_environment, lines};
use crate::examples::example;
use crate::footprint::{Memory, kilobytes};
use crate::foreign::{Script, ag_ui_script, browser_script, python_script, websocket_script};
use crate::local_aws::{COACH_ARN, LocalAws, unconfigured};
use crate::socket::{Answer, Connection, Request};

const SPEAKS_AG_UI: (&str, &str) = ("AGENTCORE_PROTOCOL", "AGUI");

const SESSION: &str = "a-session-of-the-tests-of-ag-ui-0123456789";

/// An agent, with an AWS that was started like this.
fn agent(name: &str, aws: &[&str], environment: &[(&str, &str)]) -> (LocalAws, Agent) {
    let aws = LocalAws::start_with(aws);
    let agent = Agent::start(name, &aws.endpoint(), &[&[SPEAKS_AG_UI], environment].concat());
    (aws, agent)
}

fn coach() -> (LocalAws, Agent) {
    agent("coach_companion", &[], &[])
}

/// The test agent, whose model falls silent after so many events of each answer but the first. That one takes its time to
/// set AWS up.
fn falling_silent(after: &str, environment: &[(&str, &str)]) -> (LocalAws, Agent) {
    let fault = format!("slow=0,silence@{after}");
    let (aws, agent) = agent("test_agent", &["--fault", &fault], environment);
    let answer = send(&agent, &input("Hello!"));
    assert!(answer.body.contains("RUN_FINISHED"), "{}", answer.body);
    agent.until_status("Healthy");
    (aws, agent)
}

/// AG-UI's client, in a thread of an agent's.
fn client_of(agent: &Agent, headers: &Value) -> Script {
    let mut command = ag_ui_script("ag_ui_client.cjs");
    command.arg(format!("http://127.0.0.1:{}/invocations", agent.port)).arg(headers.to_string());
    Script::start("AG-UI", command, "http://127.0.0.1:9")
}

fn client(agent: &Agent) -> Script {
    client_of(agent, &json!({}))
}

/// A run in which the user says something, without tools.
fn say(client: &mut Script, words: &str) -> Value {
    let told = client.order(json!({ "say": words }));
    assert_eq!(told["exception"], Value::Null, "{told}");
    told
}

/// The words of the last message.
fn last_words(told: &Value) -> &str {
    let last = told["messages"].as_array().and_then(|messages| messages.last());
    last.and_then(|message| message["content"].as_str()).unwrap_or_else(|| panic!("no words: {told}"))
}

/// The kinds of a run's events, one after another; what comes several times in a row, once.
fn kinds(told: &Value) -> String {
    let events = told["events"].as_array().unwrap_or_else(|| panic!("no events: {told}"));
    let mut kinds: Vec<&str> = events.iter().map(|event| event["type"].as_str().expect("a type")).collect();
    kinds.dedup();
    kinds.join(" ")
}

fn events<'a>(told: &'a Value, kind: &str) -> Vec<&'a Value> {
    told["events"].as_array().expect("events").iter().filter(|event| event["type"] == kind).collect()
}

/// An input of a thread of its own.
fn input(words: &str) -> String {
    input_with(&json!({ "messages": [{ "id": "1", "role": "user", "content": words }] }))
}

fn input_with(members: &Value) -> String {
    let mut input = json!({ "threadId": "a-thread", "runId": "a-run", "messages": [], "tools": [], "context": [] });
    input.as_object_mut().expect("members").extend(members.as_object().expect("members").clone());
    input.to_string()
}

/// Sends an input over a plain socket.
fn open(agent: &Agent, input: &str) -> Connection {
    Request::post("/invocations", input.as_bytes()).open(agent.port)
}

fn send(agent: &Agent, input: &str) -> Answer {
    open(agent, input).finish()
}

/// The events of a stream.
fn streamed(body: &str) -> Vec<Value> {
    let frames = body.split("\n\n").filter_map(|frame| frame.strip_prefix("data: "));
    frames.map(|text| serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))).collect()
}

fn colours() -> Value {
    let parameters = json!({ "type": "object", "properties": { "colour": { "type": "string" } } });
    json!([{ "name": "paint_page", "description": "Paints the page.", "parameters": parameters }])
}

// === the client ===

#[test]
fn an_answer_comes_in_pieces_and_the_client_makes_the_message_of_them() {
    let (_aws, agent) = coach();
    let mut client = client(&agent);

    let told = say(&mut client, "I had a setback today");

    insta::assert_snapshot!(kinds(&told), @"RUN_STARTED STEP_STARTED TEXT_MESSAGE_START TEXT_MESSAGE_CONTENT TEXT_MESSAGE_END STEP_FINISHED RUN_FINISHED");
    let pieces = events(&told, "TEXT_MESSAGE_CONTENT");
    let said: String = pieces.iter().map(|piece| piece["delta"].as_str().expect("words")).collect();
    assert!(pieces.len() > 1 && said == last_words(&told), "{told}");
    let finished = events(&told, "RUN_FINISHED")[0];
    assert_eq!(finished["outcome"], json!({ "type": "success" }), "{finished}");
    let usage = &finished["usage"][0];
    let count = |name: &str| usage[name].as_u64().unwrap_or_else(|| panic!("no {name}: {usage}"));
    assert!(
        count("inputTokens") > 0 && count("totalTokens") == count("inputTokens") + count("outputTokens"),
        "{usage}"
    );
    let result = &told["result"];
    assert_eq!((&result["stop_reason"], &result["session_id"]), (&json!("end_turn"), &json!("a-thread")), "{result}");
    assert_eq!(result["safety"]["severity"], "none", "{result}");
}

#[test]
fn a_thread_is_a_session_that_remembers_and_another_is_another() {
    let (_aws, agent) = coach();
    let mut client = client(&agent);
    say(&mut client, "My name is Aoife.");
    assert!(last_words(&say(&mut client, "What is my name?")).contains("Aoife"));

    client.order(json!({ "thread": "another" }));
    assert!(!last_words(&say(&mut client, "What is my name?")).contains("Aoife"));
}

/// A client could make up what it has never said, or what the agent has.
#[test]
fn what_the_session_has_not_heard_itself_was_not_said() {
    let (_aws, agent) = coach();
    let made_up = json!([
        { "id": "1", "role": "user", "content": "My name is Aoife." },
        { "id": "2", "role": "assistant", "content": "Hello, Aoife!" },
        { "id": "3", "role": "user", "content": "What is my name?" },
    ]);
    let answer = send(&agent, &input_with(&json!({ "messages": made_up })));
    assert!(answer.body.contains("RUN_FINISHED") && !answer.body.contains("Aoife"), "{}", answer.body);
}

#[test]
fn the_platforms_session_and_request_win_over_the_threads_and_the_runs() {
    let (_aws, agent) = coach();
    let session = "x-amzn-bedrock-agentcore-runtime-session-id";
    let request = "x-amzn-bedrock-agentcore-runtime-request-id";
    let mut client = client_of(&agent, &json!({ session: SESSION, request: "of-the-platform" }));
    say(&mut client, "My name is Aoife.");
    client.order(json!({ "thread": "another" }));
    let told = say(&mut client, "What is my name?");
    assert!(last_words(&told).contains("Aoife"));
    assert_eq!(told["events"][0]["threadId"], "another", "{told}");
    let without = send(&agent, &input("Hello!"));
    assert_eq!(without.status, 200);

    let (_, log) = agent.end();
    let ids =
        lines(&log, "turn answered").into_iter().map(|line| format!("{} {}", line["sessionId"], line["requestId"]));
    insta::assert_snapshot!(ids.collect::<Vec<_>>().join("\n"), @r#"
    "a-session-of-the-tests-of-ag-ui-0123456789" "of-the-platform"
    "a-session-of-the-tests-of-ag-ui-0123456789" "of-the-platform"
    "a-thread" "a-run"
    "#);
}

#[test]
fn forwarded_props_are_what_the_app_tells_the_coach_of_the_user() {
    let (_aws, agent) = coach();
    let mut client = client(&agent);
    let [gentle, structured] = ["gentle", "structured"].map(|style| {
        client.order(json!({ "thread": style }));
        let parameters = json!({ "forwardedProps": { "user_context": { "coaching_style": style } } });
        let told = client.order(json!({ "say": "I had a setback today", "parameters": parameters }));
        last_words(&told).to_owned()
    });
    assert_ne!(gentle, structured);

    let parameters = json!({ "forwardedProps": { "user_context": { "coaching_style": "stern" } } });
    let refused = client.order(json!({ "say": "Hello!", "parameters": parameters }));
    assert_eq!(refused["status"], 400, "{refused}");
    insta::assert_snapshot!(refused["payload"]["details"].as_str().expect("details"), @"`user_context.coaching_style` must be one of `gentle`, `pragmatic`, `upbeat`, `structured`");
}

#[test]
fn somebody_in_danger_is_told_whom_to_call_and_the_app_knows() {
    let (_aws, agent) = coach();
    let mut client = client(&agent);
    let told = say(&mut client, "I want to kill myself");
    assert_eq!(told["result"]["safety"]["severity"], "crisis", "{told}");
    assert_eq!(told["state"], json!({ "safety": told["result"]["safety"] }), "{told}");
    insta::assert_snapshot!(kinds(&told), @"RUN_STARTED STEP_STARTED TEXT_MESSAGE_START TEXT_MESSAGE_CONTENT TEXT_MESSAGE_END STEP_FINISHED STATE_SNAPSHOT RUN_FINISHED");

    let later = say(&mut client, "I rang them. What can I cook tonight?");
    assert_eq!(later["result"]["safety"]["severity"], "info", "the session is gentle: {later}");
    assert_eq!(later["state"], json!({ "safety": later["result"]["safety"] }), "{later}");
}

// === tools and interrupts ===

#[test]
fn a_tool_of_the_clients_is_called_by_the_client_and_its_result_used() {
    let (_aws, agent) = coach();
    let mut client = client(&agent);
    let tools = json!({ "tools": colours() });

    let order = r#"Make it green [[tool paint_page {"colour": "green"}]]"#;
    let called = client.order(json!({ "say": order, "parameters": tools }));

    insta::assert_snapshot!(kinds(&called), @"RUN_STARTED STEP_STARTED TOOL_CALL_START TOOL_CALL_ARGS TOOL_CALL_END STEP_FINISHED STEP_STARTED STEP_FINISHED RUN_FINISHED");
    let call = &called["messages"].as_array().expect("messages").last().expect("the call")["toolCalls"][0];
    assert_eq!(call["function"]["name"], "paint_page", "{called}");
    assert_eq!(call["function"]["arguments"], r#"{"colour":"green"}"#, "{called}");
    let outcome = &events(&called, "RUN_FINISHED")[0]["outcome"];
    assert_eq!(*outcome, json!({ "type": "success", "pendingToolCallIds": [call["id"]] }), "{outcome}");

    let result = json!({ "toolCallId": call["id"], "content": "The page is green now." });
    let told = client.order(json!({ "result": result, "parameters": tools }));
    assert!(last_words(&told).contains("The page is green now."), "{told}");
    insta::assert_snapshot!(kinds(&told), @"RUN_STARTED STEP_STARTED TEXT_MESSAGE_START TEXT_MESSAGE_CONTENT TEXT_MESSAGE_END STEP_FINISHED RUN_FINISHED");
}

/// A client sends everything back that it was told, and what the agent's own tool is said to have answered is no reply.
#[test]
fn a_tool_of_the_agents_is_called_beside_a_clients_and_what_it_says_stays_with_the_agent() {
    let (_aws, agent) = coach();
    let mut client = client(&agent);
    let tools = json!({ "tools": colours() });

    let called = client.order(json!({ "say": "[[tool week_review; tool paint_page {}]]", "parameters": tools }));
    let steps = events(&called, "STEP_STARTED").into_iter().map(|event| event["stepName"].as_str().expect("a name"));
    assert_eq!(steps.collect::<Vec<_>>(), ["model", "tools"], "{called}");

    let heard =
        events(&called, "TOOL_CALL_START").into_iter().map(|event| event["toolCallName"].as_str().expect("a name"));
    assert_eq!(heard.collect::<Vec<_>>(), ["week_review", "paint_page"], "{called}");
    let answered = events(&called, "TOOL_CALL_RESULT");
    assert_eq!(answered.len(), 1, "{called}");
    assert_eq!(answered[0]["content"], "The agent has the answer.");
    let pending = &events(&called, "RUN_FINISHED")[0]["outcome"]["pendingToolCallIds"];
    assert_eq!(*pending, json!([events(&called, "TOOL_CALL_START")[1]["toolCallId"]]), "{called}");

    let result = json!({ "toolCallId": pending[0], "content": "The page is painted." });
    let told = client.order(json!({ "result": result, "parameters": tools }));
    assert!(last_words(&told).contains("The page is painted."), "{told}");
}

/// The next run may reach another process, which does not offer the tool any more.
#[test]
fn the_result_of_a_clients_tool_is_used_by_another_process_too() {
    let aws = LocalAws::start();
    let folder = tempfile::tempdir().expect("a folder");
    let memory = format!("file:{}", folder.path().join("sessions.redb").display());
    let start = || Agent::start("coach_companion", &aws.endpoint(), &[SPEAKS_AG_UI, ("SESSION_MEMORY", &memory)]);
    let message = json!({ "id": "1", "role": "user", "content": "[[tool paint_page {}]]" });
    let first = start();
    let called = send(&first, &input_with(&json!({ "messages": [message], "tools": colours() })));
    let call = streamed(&called.body).into_iter().find(|event| event["type"] == "TOOL_CALL_START").expect("a call");
    first.end();

    let second = start();
    let function = json!({ "name": "paint_page", "arguments": "{}" });
    let calls = json!([{ "id": call["toolCallId"], "type": "function", "function": function }]);
    let result = json!({ "id": "3", "role": "tool", "toolCallId": call["toolCallId"], "content": "no paint", "error": "It failed." });
    let messages = json!([message, { "id": "2", "role": "assistant", "toolCalls": calls }, result]);
    let told = send(&second, &input_with(&json!({ "messages": messages })));
    let said: String = streamed(&told.body).iter().filter_map(|event| event["delta"].as_str()).collect();
    insta::assert_snapshot!(said, @"
    That didn't work: It failed.
    no paint
    ");
}

#[test]
fn who_goes_on_without_waiting_for_a_tool_is_answered() {
    let (_aws, agent) = coach();
    let mut client = client(&agent);
    let called = client.order(json!({ "say": "[[tool paint_page {}]]", "parameters": { "tools": colours() } }));
    assert!(kinds(&called).contains("TOOL_CALL_START"), "{called}");
    say(&mut client, "Never mind. My name is Aoife.");
    assert!(last_words(&say(&mut client, "What is my name?")).contains("Aoife"));
}

fn food_diary() -> (LocalAws, Agent) {
    let aws = LocalAws::start();
    let mut command = unconfigured(example("food_diary"));
    agent_environment(&mut command, &aws.endpoint(), &[SPEAKS_AG_UI]);
    let agent = Agent::start_command("food_diary", command);
    (aws, agent)
}

#[test]
fn a_question_of_the_agents_interrupts_the_run_and_another_resumes_it() {
    let (_aws, agent) = food_diary();
    let mut client = client(&agent);

    let asked = say(&mut client, r#"Delete Monday [[tool delete_day {"day": "Monday"}]]"#);
    insta::assert_snapshot!(kinds(&asked), @"RUN_STARTED STEP_STARTED TOOL_CALL_START TOOL_CALL_END STEP_FINISHED STEP_STARTED STEP_FINISHED RUN_FINISHED");
    let interrupt = &asked["interrupts"][0];
    assert_eq!(interrupt["message"], "Delete everything you logged on Monday?", "{asked}");
    assert_eq!(interrupt["metadata"], json!({ "tool": "delete_day", "details": { "choices": ["yes", "no"] } }));

    let resume = json!([{ "interruptId": interrupt["id"], "status": "resolved", "payload": "yes" }]);
    let told = client.order(json!({ "parameters": { "resume": resume } }));
    assert!(last_words(&told).contains("All entries of Monday are deleted."), "{told}");
    assert_eq!(told["interrupts"], json!([]), "{told}");
    insta::assert_snapshot!(kinds(&told), @"RUN_STARTED TOOL_CALL_RESULT STEP_STARTED TEXT_MESSAGE_START TEXT_MESSAGE_CONTENT TEXT_MESSAGE_END STEP_FINISHED RUN_FINISHED");
}

#[test]
fn an_abandoned_question_is_answered_with_nothing() {
    let (_aws, agent) = food_diary();
    let mut client = client(&agent);
    let asked = say(&mut client, r#"Delete Monday [[tool delete_day {"day": "Monday"}]]"#);
    let resume = json!([{ "interruptId": asked["interrupts"][0]["id"], "status": "cancelled" }]);
    let told = client.order(json!({ "parameters": { "resume": resume } }));
    assert!(last_words(&told).contains("Nothing was."), "{told}");
}

#[test]
fn an_agents_tool_and_a_clients_of_one_name_are_told_apart_at_once() {
    let (_aws, agent) = food_diary();
    let tools = json!([{ "name": "delete_day", "description": "Mine." }]);
    let told = client(&agent).order(json!({ "say": "Hello!", "parameters": { "tools": tools } }));
    insta::assert_snapshot!(told["payload"]["details"].as_str().expect("details"), @"`tools[0].name` is one of the agent's own tools'; give it another");
}

// === what goes wrong ===

#[test]
fn a_failure_is_a_run_error_with_the_sentence_that_callers_over_http_get() {
    let (_aws, agent) = agent("coach_companion", &["--fault", "access-denied*"], &[("MODEL_ATTEMPTS", "1")]);
    let told = client(&agent).order(json!({ "say": "Hello!" }));
    insta::assert_snapshot!(kinds(&told), @"RUN_STARTED RUN_ERROR");
    let error = events(&told, "RUN_ERROR")[0];
    insta::assert_snapshot!(format!("{}: {}", error["code"], error["message"]), @r#""MODEL_REFUSED": "The agent cannot ask its model. Its operator has to look at the log.""#);
    assert!(error["metadata"]["request_id"].is_string(), "{error}");
}

#[test]
fn an_answer_that_breaks_off_ends_its_message_before_the_run() {
    let (_aws, agent) = agent("test_agent", &["--fault", "cut@4*"], &[("MODEL_ATTEMPTS", "1")]);
    let told = client(&agent).order(json!({ "say": "Hello!" }));
    insta::assert_snapshot!(kinds(&told), @"RUN_STARTED STEP_STARTED TEXT_MESSAGE_START TEXT_MESSAGE_CONTENT TEXT_MESSAGE_END STEP_FINISHED RUN_ERROR");
}

#[test]
fn replies_to_what_nobody_asked_are_told_so() {
    let (_aws, agent) = coach();
    let resume = json!([{ "interruptId": "nobody", "status": "resolved" }]);
    let told = client(&agent).order(json!({ "parameters": { "resume": resume } }));
    assert_eq!(events(&told, "RUN_ERROR")[0]["code"], "NOTHING_ASKED", "{told}");
}

#[test]
fn what_is_no_input_is_refused_with_status_400_and_why() {
    let (_aws, agent) = coach();
    let told = |body: &str| {
        let answer = send(&agent, body);
        let refusal: Value =
            serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{error}: {}", answer.body));
        assert!(refusal["request_id"].is_string(), "{refusal}");
        format!("{} {} {}", answer.status, refusal["error"], refusal["details"])
    };
    let inputs = [
        "{bad",
        "",
        "[]",
        "{}",
        r#"{"prompt":"Hello!"}"#,
        &input_with(&json!({ "messages": "Hello!" })),
        &input_with(&json!({ "messages": [{ "id": "1", "role": "user", "content": "  " }] })),
    ];
    insta::assert_snapshot!(inputs.map(told).join("\n"), @r#"
    400 "Invalid RunAgentInput" "Invalid JSON: key must be a string at line 1 column 2"
    400 "Invalid RunAgentInput" "Invalid JSON: EOF while parsing a value at line 1 column 0"
    400 "Invalid RunAgentInput" "the payload must be a JSON object"
    400 "Invalid RunAgentInput" "the payload has a missing field `threadId`"
    400 "Invalid RunAgentInput" "the payload has a missing field `threadId`"
    400 "Invalid RunAgentInput" "`messages` must be a sequence"
    400 "Invalid RunAgentInput" "`prompt` is blank; send what the user wrote, or leave it out to let the agent open the conversation"
    "#);
    let nothing_else = [("GET", "/invocations", 405), ("POST", "/mcp", 404), ("GET", "/ping", 200)];
    for (method, path, status) in nothing_else {
        assert_eq!(Request { method, ..Request::post(path, b"{}") }.send(agent.port).status, status, "{method} {path}");
    }
}

#[test]
fn an_input_beyond_the_bound_is_refused_and_the_largest_is_read() {
    const LARGEST: usize = 100_000_000;
    let (_aws, agent) = coach();
    let sized = |bytes: usize| {
        let whole = input_with(&json!({ "forwardedProps": { "pad": "" } }));
        whole.replace(r#""pad":"""#, &format!(r#""pad":"{}""#, "x".repeat(bytes - whole.len())))
    };
    // What is read once, such as the coach's rules, is no part of an input.
    assert!(send(&agent, &input("Hello!")).body.contains("RUN_FINISHED"));
    let before = kilobytes(agent.process.id(), Memory::Peak);
    let largest = send(&agent, &sized(LARGEST));
    assert!(largest.body.contains("RUN_FINISHED"), "{}", largest.body);
    let grown = kilobytes(agent.process.id(), Memory::Peak) - before;
    println!("an input of {LARGEST} bytes took {grown} kB at the most");
    assert!(grown < 300_000, "{grown} kB");

    let refused = send(&agent, &sized(LARGEST + 1));
    assert!(refused.status == 413 && refused.body.contains("payload_too_large"), "{} {}", refused.status, refused.body);
    assert_eq!(Request::get("/ping").send(agent.port).status, 200);
}

#[test]
fn a_process_that_is_full_refuses_runs() {
    let (_aws, agent) = falling_silent("0*", &[("MAX_CONCURRENT_TURNS", "1")]);
    let served = open(&agent, &input("Hello!"));
    agent.until_status("HealthyBusy");
    let refused = send(&agent, &input("Hello!"));
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")), "{}", refused.body);
    drop(served);
    agent.until_status("Healthy");
}

#[test]
fn a_run_that_its_app_gives_up_is_cut() {
    let (_aws, agent) = falling_silent("4*", &[]);
    let told = client(&agent).order(json!({ "say": "Tell me a story", "abortAt": "TEXT_MESSAGE_CONTENT" }));
    assert!(kinds(&told).starts_with("RUN_STARTED STEP_STARTED TEXT_MESSAGE_START TEXT_MESSAGE_CONTENT"), "{told}");
    agent.until_status("Healthy");
    let (_, log) = agent.end();
    assert_eq!(lines(&log, "turn cut").len(), 1, "{log}");
}

/// Connections broken at every stage: in an input's head, in its body, and in the middle of its run.
#[test]
fn ten_thousand_broken_connections_leave_nothing_behind() {
    let (_aws, agent) = falling_silent("4*", &[]);
    let head = b"POST /invocations HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n".to_vec();
    let half = [&head[..], b"content-type: application/json\r\n\r\n{\"threadId\""].concat();
    let calls = agent.forgets_ten_thousand_connections(|number| {
        for part in [&head, &half] {
            Connection::to(agent.port).send_bytes(part);
        }
        drop(open(&agent, &input("Hello!")));
        let thread = json!({ "threadId": format!("thread-{}", number % 50) });
        open(&agent, &input_with(&thread)).read_until("TEXT_MESSAGE_CONTENT");
    });
    let (_, log) = agent.end();
    let cut = lines(&log, "turn cut").len();
    println!("{cut} turns were cut");
    assert!(cut >= calls, "{cut}");
}

// === what an operator sees ===

#[test]
fn a_run_has_the_line_and_the_metrics_of_an_invocation_over_http() {
    let aws = LocalAws::start();
    let members = [&[][..], &[SPEAKS_AG_UI]].map(|speaks| {
        let agent = Agent::start("coach_companion", &aws.endpoint(), &[speaks, &[("RUST_LOG", "debug")]].concat());
        let words = "My cat is called Marmalade.";
        if speaks.is_empty() {
            agent.post(SESSION, words, "text/event-stream");
        } else {
            send(&agent, &input(words));
        }
        let (_, log) = agent.end();
        assert!(!log.contains("Marmalade"), "no word of a conversation: {log}");
        let line = lines(&log, "turn answered").pop().expect("a line");
        line.as_object().expect("members").keys().cloned().collect::<Vec<_>>()
    });
    assert_eq!(members[0], members[1]);
    assert!(members[1].iter().any(|member| member == "InvocationLatency"), "{members:?}");
}

// === through the door ===

#[test]
fn boto3_runs_the_agent_through_the_door() {
    let aws = LocalAws::start_with(&["--protocol", "coach_companion=AGUI"]);
    let mut boto3 = Script::start("boto3", python_script("invoke.py"), &aws.endpoint());
    let mut run = |input: &str| {
        let payload: Value = serde_json::from_str(input).expect("JSON");
        boto3.order(json!({
            "do": "invoke", "arn": COACH_ARN, "session": SESSION, "payload": payload, "accept": "text/event-stream",
            "contentType": "application/json",
        }))
    };
    let said = |answer: &Value| {
        assert_eq!(answer["content_type"], "text/event-stream; charset=utf-8", "{answer}");
        let events = streamed(answer["body"].as_str().expect("a body"));
        let deltas: Vec<&str> = events.iter().filter_map(|event| event["delta"].as_str()).collect();
        assert!(deltas.len() > 1, "{answer}");
        deltas.concat()
    };
    said(&run(&input("My name is Aoife.")));
    assert!(said(&run(&input("What is my name?"))).contains("Aoife"));

    let refused = run(r#"{"prompt": "Hello!"}"#);
    assert_eq!((&refused["exception"], &refused["status"]), (&json!("RuntimeClientError"), &json!(424)), "{refused}");
    assert!(refused["message"].to_string().contains("(400)"), "{refused}");
}

#[test]
fn a_browser_has_runs_over_a_websocket_through_the_door() {
    let aws = LocalAws::start_with(&["--protocol", "coach_companion=AGUI"]);
    let mut sdk = Script::start("AgentCore SDK for Python", websocket_script("websocket.py"), &aws.endpoint());
    let url = &sdk.order(json!({ "do": "presign", "arn": COACH_ARN, "session": SESSION }))["url"];
    let mut page = Script::start("a web page", browser_script("websocket.cjs"), &aws.endpoint());
    assert_eq!(page.order(json!({ "do": "connect", "url": url })), json!({}));
    let mut run = |input: &str| {
        let input: Value = serde_json::from_str(input).expect("JSON");
        page.order(json!({ "do": "say", "json": input }));
        page.order(json!({ "do": "hear" }))
    };

    run(&input("My name is Aoife."));
    let refused = run(r#"{"prompt": "What is my name?"}"#);
    let told = run(&input("What is my name?"));

    let last = &refused["last"];
    insta::assert_snapshot!(format!("{} {} {}", last["code"], last["message"], last["metadata"]["details"]), @r#""INVALID_PAYLOAD" "Invalid RunAgentInput" "the payload has a missing field `threadId`""#);
    assert!(told["text"].as_str().is_some_and(|text| text.contains("Aoife")), "{told}");
    assert_eq!(told["last"]["type"], "RUN_FINISHED", "{told}");
    assert_eq!(told["last"]["result"]["session_id"], SESSION, "{told}");
}
