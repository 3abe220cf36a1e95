//! An agent as one of A2A's, called by the protocol's official Python SDK in both versions, and by the SDK of the older
//! one; and by boto3 and these through the door, as AgentCore's callers do.

use std::time::Duration;

use serde_json::{Value, json};

use crate::agent::{Agent, agent_environment, lines};
use crate::examples::example;
use crate::footprint::{Memory, kilobytes};
use crate::foreign::{Script, a2a_program, a2a_script, older_a2a_script, python_script};
use crate::local_aws::{COACH_ARN, LocalAws, unconfigured};
use crate::process::{poll, signal};
use crate::socket::{Answer, Connection, Request};

const SPEAKS_A2A: (&str, &str) = ("AGENTCORE_PROTOCOL", "A2A");

const SESSION: &str = "a-session-of-the-tests-of-a2a-0123456789";

const SESSION_HEADER: &str = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id";

/// How long something may take that takes no time.
const PATIENCE: Duration = Duration::from_secs(20);

/// An agent, with an AWS that was started like this.
fn agent(name: &str, aws: &[&str], environment: &[(&str, &str)]) -> (LocalAws, Agent) {
    let aws = LocalAws::start_with(aws);
    let agent = Agent::start(name, &aws.endpoint(), &[&[SPEAKS_A2A], environment].concat());
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
    let answer = send(&agent, &call("message/send", &message("Hello!")));
    assert_eq!(body(&answer)["result"]["status"]["state"], "completed", "{}", answer.body);
    agent.until_status("Healthy");
    (aws, agent)
}

/// The example that asks a person.
fn diary(aws: &LocalAws) -> Agent {
    let mut command = unconfigured(example("food_diary"));
    agent_environment(
        &mut command,
        &aws.endpoint(),
        &[SPEAKS_A2A, ("BEDROCK_AGENTCORE_MEMORY_ID", "diary-0123456789")],
    );
    Agent::start_command("food_diary", command)
}

// === clients ===

/// A client that has read the card; its first line is that.
fn connected(mut command: std::process::Command, base: &str, arguments: &[&str]) -> (Value, Script) {
    command.arg(base).args(arguments);
    let mut client = Script::start("A2A", command, "http://127.0.0.1:9");
    (client.next(), client)
}

/// A2A's clients, by what they are called in a failing test.
const CLIENTS: [&str; 3] = ["1.0", "0.3", OLDER_SDK];

const OLDER_SDK: &str = "the older SDK";

fn client_at(name: &str, base: &str, headers: &[&str]) -> Script {
    let (_card, client) = match name {
        OLDER_SDK => connected(older_a2a_script("a2a_client_older.py"), base, headers),
        version => connected(a2a_script("a2a_client.py"), base, &[&[version], headers].concat()),
    };
    client
}

fn base(agent: &Agent) -> String {
    format!("http://127.0.0.1:{}", agent.port)
}

fn client(name: &str, agent: &Agent) -> Script {
    client_at(name, &base(agent), &[])
}

fn clients(agent: &Agent) -> Vec<(&'static str, Script)> {
    CLIENTS.map(|name| (name, client(name, agent))).into()
}

fn events(told: &Value) -> &[Value] {
    told["events"].as_array().unwrap_or_else(|| panic!("no events: {told}"))
}

/// The one task that a message came to.
fn task(told: &Value) -> &Value {
    let [task] = events(told) else { panic!("not one event: {told}") };
    task
}

/// The words of a stream's artifacts.
fn streamed_words(told: &Value) -> String {
    events(told).iter().filter(|event| event["kind"] == "artifact").filter_map(|event| event["text"].as_str()).collect()
}

/// The kinds of events and the states they tell, one after another; what comes several times in a row, once.
fn course(told: &Value) -> String {
    let kinds = events(told).iter().map(|event| match event["state"].as_str() {
        Some(state) => format!("{}:{state}", event["kind"].as_str().expect("a kind")),
        None => event["kind"].as_str().expect("a kind").to_owned(),
    });
    let mut kinds: Vec<String> = kinds.collect();
    kinds.dedup();
    kinds.join(" ")
}

// === plain messages ===

fn call(method: &str, params: &Value) -> String {
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string()
}

fn message(words: &str) -> Value {
    let parts = json!([{ "kind": "text", "text": words }]);
    json!({ "message": { "messageId": "1", "role": "user", "parts": parts } })
}

fn open(agent: &Agent, message: &str) -> Connection {
    Request::post("/", message.as_bytes()).open(agent.port)
}

fn send(agent: &Agent, message: &str) -> Answer {
    open(agent, message).finish()
}

fn body(answer: &Answer) -> Value {
    serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{error}: {}", answer.body))
}

/// The task that a stream is of.
fn task_of(stream: &Connection) -> String {
    let id = stream.text().split(r#""taskId":""#).nth(1).and_then(|rest| rest.split('"').next()).map(str::to_owned);
    id.expect("an id")
}

// === the card ===

#[test]
fn the_card_is_read_in_both_versions_and_says_where_the_agent_is() {
    let (aws, agent) = coach();
    let (card, _) = connected(a2a_script("a2a_client.py"), &base(&agent), &["1.0"]);
    let url = format!("{}/", base(&agent));
    assert_eq!(card["name"], "coach_companion", "{card}");
    assert!(card["description"].as_str().is_some_and(|words| words.starts_with("Company for people")), "{card}");
    let versions = [0, 1].map(|place| &card["supportedInterfaces"][place]).map(|interface| {
        assert_eq!((&interface["url"], &interface["protocolBinding"]), (&json!(url), &json!("JSONRPC")), "{card}");
        &interface["protocolVersion"]
    });
    assert_eq!(versions, ["1.0", "0.3"]);
    let skills = card["skills"].as_array().expect("skills");
    assert!(skills.len() > 1 && skills.iter().all(|skill| skill["tags"].is_array()), "{card}");

    let (older, _) = connected(older_a2a_script("a2a_client_older.py"), &base(&agent), &[]);
    assert_eq!((&older["url"], &older["protocolVersion"]), (&json!(url), &json!("0.3.0")), "{older}");
    assert_eq!(older["skills"].as_array().map(Vec::len), Some(skills.len()), "{older}");

    let elsewhere = "https://bedrock-agentcore.eu-west-1.amazonaws.com/runtimes/an-arn/invocations/";
    let agent = Agent::start("test_agent", &aws.endpoint(), &[SPEAKS_A2A, ("AGENTCORE_RUNTIME_URL", elsewhere)]);
    let (card, _) = connected(a2a_script("a2a_client.py"), &base(&agent), &["1.0"]);
    assert_eq!(card["supportedInterfaces"][0]["url"], elsewhere, "{card}");
    assert_eq!(card["skills"][0]["id"], "test_agent", "an agent that names no skills is one: {card}");
}

// === the SDKs ===

#[test]
fn the_sdks_send_stream_and_go_on_in_a_context() {
    let (_aws, agent) = coach();
    for (name, mut client) in clients(&agent) {
        let told = client.order(json!({ "do": "send", "text": "My name is Aoife." }));
        let answered = task(&told);
        assert_eq!(answered["state"], "completed", "{name}: {told}");
        assert!(answered["text"].as_str().is_some_and(|text| text.contains("Aoife")), "{name}: {told}");
        assert_eq!(answered["history"], json!([["user", "My name is Aoife."]]), "{name}");
        assert_eq!(answered["metadata"]["stop_reason"], "end_turn", "{name}: {told}");
        assert_eq!(answered["metadata"]["session_id"], answered["context"], "{name}: a context is a session");

        let context = &answered["context"];
        let told = client.order(json!({ "do": "stream", "text": "What is my name?", "context": context }));
        assert_eq!(course(&told), "task:working artifact status:completed", "{name}: {told}");
        assert!(streamed_words(&told).contains("Aoife"), "{name}: {told}");
        let last = events(&told).last().expect("an end");
        assert_eq!((&last["context"], &last["task"]), (context, &events(&told)[0]["task"]), "{name}: {told}");
        assert!(
            last["metadata"]["usage"]["outputTokens"].as_f64().is_some_and(|tokens| tokens > 0.0),
            "{name}: {told}"
        );

        let task = client.order(json!({ "do": "get", "task": last["task"], "history": 0 }));
        assert_eq!(task["text"].as_str(), Some(streamed_words(&told).as_str()), "{name}: {task}");
        assert_eq!((&task["state"], &task["history"]), (&json!("completed"), &json!([])), "{name}: {task}");

        let elsewhere = client.order(json!({ "do": "send", "text": "What is my name?" }));
        assert!(!elsewhere.to_string().contains("Aoife"), "{name}: another context is another session: {elsewhere}");
    }
}

#[test]
fn data_is_the_payload_and_pictures_are_seen() {
    let (_aws, agent) = coach();
    for (name, mut client) in clients(&agent) {
        let style = json!({ "user_context": { "coaching_style": "loud" } });
        let refused = client.order(json!({ "do": "send", "text": "Hello!", "data": style }));
        assert!(refused["message"].to_string().contains("coaching_style"), "{name}: {refused}");
        let style = json!({ "user_context": { "coaching_style": "gentle", "name": "Sorcha" } });
        let told = client.order(json!({ "do": "send", "text": "Hello!", "data": style }));
        assert_eq!(task(&told)["state"], "completed", "{name}: {told}");

        // One pixel.
        let picture =
            "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
        let file = json!({ "bytes": picture, "type": "image/png", "name": "lunch.png" });
        let told = client.order(json!({ "do": "send", "text": "What do you see?", "file": file }));
        assert_eq!(task(&told)["state"], "completed", "{name}: {told}");
        assert_eq!(task(&told)["history"][0][1], "What do you see?[lunch.png]", "{name}: {told}");
        let file = json!({ "bytes": picture, "type": "audio/wav", "name": "words.wav" });
        let refused = client.order(json!({ "do": "send", "text": "Hear!", "file": file }));
        assert!(refused["message"].to_string().contains("media type"), "{name}: {refused}");
    }
}

#[test]
fn a_question_to_a_person_is_input_required_and_the_next_message_replies() {
    let aws = LocalAws::start();
    for name in CLIENTS {
        let before = diary(&aws);
        let mut asking = client(name, &before);
        let asked =
            asking.order(json!({ "do": "stream", "text": r#"Delete Monday [[tool delete_day {"day": "Monday"}]]"# }));
        let last = events(&asked).last().expect("an end");
        assert_eq!(last["state"], "input-required", "{name}: {asked}");
        assert!(last["said"].to_string().contains("Delete everything you logged on Monday?"), "{name}: {asked}");
        assert_eq!(last["said_data"][0]["questions"][0]["details"]["choices"], json!(["yes", "no"]), "{name}: {asked}");

        // The process goes, and with it all that it knew.
        signal("KILL", before.process.id());
        let after = diary(&aws);
        let mut client = client(name, &after);
        let (task_id, context) = (&last["task"], &last["context"]);
        let waiting = client.order(json!({ "do": "get", "task": task_id }));
        assert_eq!(
            (&waiting["state"], &waiting["said"]),
            (&json!("input-required"), &last["said"]),
            "{name}: {waiting}"
        );
        let wrong = client.order(json!({ "do": "send", "text": "yes", "task": task_id, "context": "another" }));
        assert!(wrong["message"].to_string().contains("contextId"), "{name}: {wrong}");

        let answered = client.order(json!({ "do": "send", "text": "yes", "task": task_id, "context": context }));
        let answered = task(&answered);
        assert_eq!((&answered["state"], &answered["task"]), (&json!("completed"), task_id), "{name}: {answered}");
        assert!(answered["text"].to_string().contains("All entries of Monday are deleted"), "{name}: {answered}");
        let speakers: Vec<&Value> =
            answered["history"].as_array().expect("a history").iter().map(|said| &said[0]).collect();
        assert_eq!(speakers, ["user", "agent", "user"], "{name}: {answered}");

        let over = client.order(json!({ "do": "send", "text": "yes", "task": task_id }));
        assert!(over["message"].to_string().contains("The task has ended"), "{name}: {over}");
    }
}

#[test]
fn a_question_may_be_taken_back() {
    let aws = LocalAws::start();
    let diary = diary(&aws);
    for (name, mut client) in clients(&diary) {
        let asked =
            client.order(json!({ "do": "send", "text": r#"Delete Monday [[tool delete_day {"day": "Monday"}]]"# }));
        let id = &task(&asked)["task"];
        let cancelled = client.order(json!({ "do": "cancel", "task": id }));
        assert_eq!((&cancelled["state"], &cancelled["said"]), (&json!("canceled"), &json!("")), "{name}: {cancelled}");
        let again = client.order(json!({ "do": "cancel", "task": id }));
        assert!(again["message"].to_string().contains("cannot be cancelled"), "{name}: {again}");
    }
}

#[test]
fn a_task_is_followed_again_and_cancelled_while_it_is_under_way() {
    let (_aws, agent) = falling_silent("4*", &[("MODEL_TOKEN_GAP_TIMEOUT_SECONDS", "60")]);
    for (name, mut client) in clients(&agent) {
        let begun = client.order(json!({ "do": "begin", "text": "Tell me a story" }));
        assert_eq!(course(&begun), "task:working artifact", "{name}: {begun}");
        let id = &events(&begun)[0]["task"];
        let said = streamed_words(&begun);

        // The connection breaks; the task goes on, and who knows its id follows it.
        client.order(json!({ "do": "leave" }));
        let seen = poll(PATIENCE, || {
            let seen = client.order(json!({ "do": "get", "task": id }));
            seen["text"].as_str().is_some_and(|text| text.starts_with(&said)).then_some(seen)
        });
        let seen = seen.unwrap_or_else(|| panic!("{name}: the words so far are never told"));
        assert_eq!(seen["state"], "working", "{name}: {seen}");
        let busy = client.order(json!({ "do": "send", "text": "And now?", "task": id }));
        assert!(busy["message"].to_string().contains("being worked on"), "{name}: {busy}");

        let mut other = self::client(CLIENTS[0], &agent);
        let cancel = std::thread::spawn({
            let id = id.clone();
            move || other.order(json!({ "do": "cancel", "task": id }))
        });
        let followed = client.order(json!({ "do": "resubscribe", "task": id }));
        let cancelled = cancel.join().expect("no panic");
        assert_eq!(cancelled["state"], "canceled", "{name}: {cancelled}");
        // It may have been cancelled before it was followed.
        if followed["exception"] == Value::Null {
            assert_eq!(course(&followed), "task:working status:canceled", "{name}: {followed}");
        }
        let last = client.order(json!({ "do": "get", "task": id }));
        assert_eq!(last["state"], "canceled", "{name}: {last}");
        let again = client.order(json!({ "do": "cancel", "task": id }));
        assert!(again["message"].to_string().contains("cannot be cancelled"), "{name}: {again}");
        let gone = client.order(json!({ "do": "resubscribe", "task": id }));
        assert!(gone["exception"].is_string(), "{name}: {gone}");
        agent.until_status("Healthy");
    }
    let (_, log) = agent.end();
    assert_eq!(lines(&log, "turn cut").len(), 3, "{log}");
}

#[test]
fn who_does_not_wait_is_answered_at_once_and_asks_again() {
    let (_aws, agent) = agent("coach_companion", &["--fault", "slow=400*"], &[]);
    for (name, mut client) in clients(&agent) {
        let told = client.order(json!({ "do": "send", "text": "My name is Aoife.", "at_once": true }));
        assert_eq!((&task(&told)["state"], &task(&told)["text"]), (&json!("working"), &json!("")), "{name}: {told}");
        let id = &task(&told)["task"];
        let done = poll(PATIENCE, || {
            let seen = client.order(json!({ "do": "get", "task": id }));
            (seen["state"] == "completed").then_some(seen)
        });
        let done = done.unwrap_or_else(|| panic!("{name}: it never ends"));
        assert!(done["text"].to_string().contains("Aoife"), "{name}: {done}");
    }
}

#[test]
fn tasks_survive_their_process_and_are_their_users_alone() {
    let aws = LocalAws::start();
    let start = || {
        let memory = ("BEDROCK_AGENTCORE_MEMORY_ID", "coach-0123456789");
        Agent::start("coach_companion", &aws.endpoint(), &[SPEAKS_A2A, memory])
    };
    let before = start();
    let ended = clients(&before).into_iter().map(|(name, mut client)| {
        let told = client.order(json!({ "do": "stream", "text": "My name is Aoife." }));
        (name, events(&told)[0]["task"].clone(), streamed_words(&told))
    });
    let ended: Vec<_> = ended.collect();
    signal("KILL", before.process.id());
    let after = start();
    for ((name, mut client), (_, id, words)) in clients(&after).into_iter().zip(&ended) {
        let task = client.order(json!({ "do": "get", "task": id }));
        assert_eq!(
            (&task["state"], task["text"].as_str()),
            (&json!("completed"), Some(words.as_str())),
            "{name}: {task}"
        );
        assert_eq!(task["history"], json!([["user", "My name is Aoife."]]), "{name}: {task}");
    }
    let user = "X-Amzn-Bedrock-AgentCore-Runtime-User-Id=somebody";
    let session = format!("{SESSION_HEADER}={SESSION}");
    for header in [user, session.as_str()] {
        let (_, mut stranger) = connected(a2a_script("a2a_client.py"), &base(&after), &["1.0", header]);
        let refused = stranger.order(json!({ "do": "get", "task": ended[0].1 }));
        assert_eq!(refused["exception"], "TaskNotFoundError", "{header}: {refused}");
    }
}

/// A process tells the memory of a task that takes long, so others know of it, also when the process is killed. When its
/// time is over it counts as failed: see `crates/runtime/tests/runtime/a2a.rs`.
#[test]
fn a_long_task_is_known_elsewhere_and_only_its_own_process_cancels_it() {
    let aws = LocalAws::start_with(&["--fault", "silence@4*"]);
    let start = |seconds: &str| {
        let memory = ("BEDROCK_AGENTCORE_MEMORY_ID", "test-0123456789");
        let patient = ("MODEL_TOKEN_GAP_TIMEOUT_SECONDS", "120");
        Agent::start("test_agent", &aws.endpoint(), &[SPEAKS_A2A, memory, patient, ("TURN_TIMEOUT_SECONDS", seconds)])
    };
    let before = start("60");
    let begun = streaming(&before, "Tell me a story");
    let id = begun.text().split(r#""id":""#).nth(1).and_then(|rest| rest.split('"').next()).expect("an id").to_owned();
    let get = call("tasks/get", &json!({ "id": id }));
    // Longer than most tasks take.
    let after = start("60");
    let known = poll(PATIENCE, || {
        let seen = body(&send(&after, &get));
        (seen["result"]["status"]["state"] == "working").then_some(seen)
    });
    assert!(known.is_some(), "another process never hears of it");
    signal("KILL", before.process.id());
    let seen = body(&send(&after, &get));
    assert_eq!(seen["result"]["status"]["state"], "working", "its time is not over: {seen}");
    let refused = body(&send(&after, &call("tasks/cancel", &json!({ "id": id }))));
    assert_eq!(refused["error"]["code"], -32002, "{refused}");
}

/// A stream that has told its first words.
fn streaming(agent: &Agent, words: &str) -> Connection {
    let mut stream = open(agent, &call("message/stream", &message(words)));
    stream.read_until("artifact-update");
    stream
}

#[test]
fn failures_are_failed_tasks_with_the_sentence_that_callers_see_elsewhere() {
    let aws = LocalAws::start_with(&["--fault", "access-denied*"]);
    let agent = Agent::start("test_agent", &aws.endpoint(), &[SPEAKS_A2A]);
    let over_http = Agent::start("test_agent", &aws.endpoint(), &[]);
    let sentence = body(&over_http.post(SESSION, "Hello!", "application/json"))["error"].clone();
    for (name, mut client) in clients(&agent) {
        let told = client.order(json!({ "do": "send", "text": "Hello!" }));
        assert_eq!((&task(&told)["state"], &task(&told)["said"]), (&json!("failed"), &sentence), "{name}: {told}");
        assert!(task(&told)["metadata"]["request_id"].is_string(), "{name}: {told}");
        let told = client.order(json!({ "do": "stream", "text": "Hello!" }));
        assert_eq!(course(&told), "task:working status:failed", "{name}: {told}");
        assert_eq!(events(&told)[1]["said"], sentence, "{name}: {told}");
    }
}

/// A linter of agents that nobody here wrote.
#[test]
fn a_linter_of_agents_finds_nothing() {
    let (_aws, agent) = coach();
    let mut linter = a2a_program("a2a-lint");
    linter.args([&base(&agent), "--live", "--strict", "--json"]);
    let output = linter.output().expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

// === what is no message ===

#[test]
fn what_is_wrong_has_the_code_of_the_protocol() {
    let (_aws, agent) = coach();
    let codes = |requests: &[(&str, Value)]| {
        let lines = requests.iter().map(|(method, params)| {
            let answer = send(&agent, &call(method, params));
            assert_eq!(answer.status, 200, "JSON-RPC has its own: {}", answer.body);
            let error = &body(&answer)["error"];
            format!("{method} {} {}", error["code"], error["message"])
        });
        lines.collect::<Vec<_>>().join("\n")
    };
    let unknown = json!({ "id": "6b0f9a4c-0c7e-4c39-9d5c-0d1b3b7b8a11" });
    let mut follows = message("Hello!");
    follows["message"]["taskId"] = unknown["id"].clone();
    let mut calls_back = message("Hello!");
    calls_back["configuration"] = json!({ "pushNotificationConfig": { "url": "https://a.example" } });
    let mut wants_pictures = message("Hello!");
    wants_pictures["configuration"] = json!({ "acceptedOutputModes": ["image/png"] });
    insta::assert_snapshot!(codes(&[
        ("tasks/get", unknown.clone()),
        ("GetTask", json!({ "id": "../../etc" })),
        ("tasks/cancel", unknown.clone()),
        ("SubscribeToTask", unknown.clone()),
        ("message/send", follows),
        ("message/send", calls_back),
        ("message/send", wants_pictures),
        ("message/send", json!({ "message": { "role": "user", "parts": [] } })),
        ("message/send", json!({ "message": { "messageId": "1", "role": "user", "parts": [] } })),
        ("message/stream", json!({ "message": { "messageId": "1", "role": "king", "parts": [] } })),
        ("SendMessage", json!({ "message": { "messageId": "1", "role": "ROLE_USER", "parts": [{ "words": "" }] } })),
        ("GetTask", json!({ "id": unknown["id"], "historyLength": -1 })),
        ("ListTasks", json!({})),
        ("tasks/pushNotificationConfig/set", json!({})),
        ("GetExtendedAgentCard", json!({})),
        ("agent/getAuthenticatedExtendedCard", json!({})),
        ("no/such", json!({})),
    ]), @r#"
    tasks/get -32001 "There is no such task, or it is not yours."
    GetTask -32001 "There is no such task, or it is not yours."
    tasks/cancel -32001 "There is no such task, or it is not yours."
    SubscribeToTask -32001 "There is no such task, or it is not yours."
    message/send -32001 "There is no such task, or it is not yours."
    message/send -32003 "This agent calls nobody back; stream the answer, or ask for the task."
    message/send -32005 "This agent answers in text/plain, and in application/json where its answer is a type."
    message/send -32602 "In `params`, `message` has a missing field `messageId`."
    message/send -32602 "In `params`, `message.parts` is empty; say something."
    message/stream -32602 "In `params`, `message.role` must be `user` or `agent`."
    SendMessage -32602 "In `params`, `message.parts[0]` is not what it should be."
    GetTask -32602 "In `params`, `historyLength` must be a whole number, 0 or more."
    ListTasks -32004 "Tasks are not listed here; ask for one by its id, with GetTask."
    tasks/pushNotificationConfig/set -32003 "This agent calls nobody back; stream the answer, or ask for the task."
    GetExtendedAgentCard -32004 "There is no card but the public one."
    agent/getAuthenticatedExtendedCard -32007 "extended agent card not configured"
    no/such -32601 "A2A has no such method, in its versions 1.0 and 0.3."
    "#);
    for (request, code) in [("{", -32700), ("[]", -32600), (r#"{"jsonrpc":"2.0","id":1}"#, -32600)] {
        assert_eq!(body(&send(&agent, request))["error"]["code"], code, "{request}");
    }
    let of_the_future = [("a2a-version", "2.0"), ("content-type", "application/json")];
    let get = call("GetTask", &unknown);
    let refused = body(&Request::post("/", get.as_bytes()).with(&of_the_future).send(agent.port));
    assert_eq!(refused["error"]["code"], -32009, "{refused}");
    for (method, path, status) in
        [("GET", "/", 405), ("POST", "/.well-known/agent-card.json", 405), ("POST", "/invocations", 404)]
    {
        let answer = Request { method, ..Request::post(path, b"{}") }.send(agent.port);
        assert_eq!(answer.status, status, "{method} {path}");
    }
}

#[test]
fn a_body_beyond_the_bound_is_refused_and_the_largest_is_read() {
    const LARGEST: usize = 100_000_000;
    let (_aws, agent) = coach();
    let sized = |bytes: usize| {
        let mut whole = message("Hello!");
        whole["pad"] = "".into();
        let whole = call("message/send", &whole);
        whole.replace(r#""pad":"""#, &format!(r#""pad":"{}""#, "x".repeat(bytes - whole.len())))
    };
    let before = kilobytes(agent.process.id(), Memory::Peak);
    let largest = send(&agent, &sized(LARGEST));
    assert_eq!(body(&largest)["result"]["status"]["state"], "completed", "{}", largest.body);
    let grown = kilobytes(agent.process.id(), Memory::Peak) - before;
    println!("a message of {LARGEST} bytes took {grown} kB at the most");
    assert!(grown < 300_000, "{grown} kB");

    let refused = send(&agent, &sized(LARGEST + 1));
    assert_eq!((refused.status, &body(&refused)["error"]["code"]), (413, &json!(-32602)), "{}", refused.body);
    assert_eq!(Request::get("/ping").send(agent.port).status, 200);
}

#[test]
fn a_process_that_is_full_refuses_messages_and_still_cancels() {
    let (_aws, agent) =
        falling_silent("4*", &[("MAX_CONCURRENT_TURNS", "1"), ("MODEL_TOKEN_GAP_TIMEOUT_SECONDS", "60")]);
    let served = streaming(&agent, "Tell me a story");
    let refused = body(&send(&agent, &call("message/send", &message("Hello!"))));
    assert_eq!(refused["error"]["code"], -32603, "{refused}");
    let about = &refused["error"]["data"][0]["metadata"];
    assert_eq!((&about["code"], &about["retry_after"]), (&json!("overloaded"), &json!("1")), "{refused}");

    let id = task_of(&served);
    let cancelled = body(&send(&agent, &call("tasks/cancel", &json!({ "id": id }))));
    assert_eq!(cancelled["result"]["status"]["state"], "canceled", "{cancelled}");
    assert!(served.finish().body.contains(r#""final":true"#));
    agent.until_status("Healthy");
}

#[test]
fn who_waits_for_a_new_task_and_leaves_cuts_it() {
    let kept = [("MODEL_FIRST_TOKEN_TIMEOUT_SECONDS", "60"), ("BEDROCK_AGENTCORE_MEMORY_ID", "leaving-0123456789")];
    let (_aws, agent) = falling_silent("0*", &kept);
    let mut said = message("Hello!");
    said["message"]["contextId"] = "of-one-who-leaves".into();
    let leaving = open(&agent, &call("message/send", &said));
    // The first that is told of a turn is that its session has been read.
    agent.process.wait_for(r#""sessionId":"of-one-who-leaves""#, PATIENCE);
    drop(leaving);
    agent.until_status("Healthy");
    let (_, log) = agent.end();
    assert_eq!(lines(&log, "turn cut").len(), 1, "{log}");
    assert_eq!(lines(&log, "the agent panicked").len(), 0, "{log}");
}

/// Connections broken at every stage: in a message's head, in its body, while its answer is waited for, and in the midst
/// of its stream. Those of streams go on, and come to their ends.
#[test]
fn ten_thousand_broken_connections_leave_nothing_behind() {
    let (_aws, agent) = falling_silent("4*", &[("MODEL_TOKEN_GAP_TIMEOUT_SECONDS", "60")]);
    let head = b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n".to_vec();
    let half = [&head[..], b"content-type: application/json\r\n\r\n{\"jsonrpc\""].concat();
    let calls = agent.forgets_ten_thousand_connections(|number| {
        for part in [&head, &half] {
            Connection::to(agent.port).send_bytes(part);
        }
        let mut said = message("Hello!");
        said["message"]["contextId"] = format!("context-{}", number % 50).into();
        drop(open(&agent, &call("message/send", &said)));
        let mut stream = open(&agent, &call("message/stream", &said));
        stream.read_until(r#""taskId":""#);
        let id = task_of(&stream);
        drop(stream);
        send(&agent, &call("tasks/cancel", &json!({ "id": id })));
    });
    let (_, log) = agent.end();
    let cut = lines(&log, "turn cut").len();
    println!("{cut} turns were cut");
    assert!(cut >= calls, "{cut}");
}

// === what an operator sees ===

#[test]
fn a_task_has_the_line_and_the_metrics_of_an_invocation_over_http() {
    let aws = LocalAws::start();
    let members = [&[][..], &[SPEAKS_A2A]].map(|speaks| {
        let agent = Agent::start("coach_companion", &aws.endpoint(), &[speaks, &[("RUST_LOG", "debug")]].concat());
        let words = "My cat is called Marmalade.";
        if speaks.is_empty() {
            agent.post(SESSION, words, "text/event-stream");
        } else {
            send(&agent, &call("message/stream", &message(words)));
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
fn the_sdks_find_the_agent_by_its_card_through_the_door() {
    let aws = LocalAws::start_with(&["--protocol", "coach_companion=A2A"]);
    let base =
        format!("{}/runtimes/{}/invocations/", aws.endpoint(), COACH_ARN.replace(':', "%3A").replace('/', "%2F"));
    let sessions = ["one", "two", "three"].map(|name| format!("{SESSION_HEADER}={SESSION}-{name}"));
    for (name, session) in CLIENTS.into_iter().zip(&sessions) {
        let mut client = client_at(name, &base, &[session]);
        let told = client.order(json!({ "do": "send", "text": "My name is Aoife.", "context": "a-context" }));
        let answered = task(&told);
        assert_eq!(
            (&answered["state"], &answered["context"]),
            (&json!("completed"), &json!("a-context")),
            "{name}: {told}"
        );
        let id = session.split_once('=').expect("a value").1;
        assert_eq!(answered["metadata"]["session_id"], id, "{name}: the header names the session: {told}");
        let told = client.order(json!({ "do": "stream", "text": "What is my name?", "context": "a-context" }));
        assert_eq!(course(&told), "task:working artifact status:completed", "{name}: {told}");
        assert!(streamed_words(&told).contains("Aoife"), "{name}: {told}");
        let seen = client.order(json!({ "do": "get", "task": events(&told)[0]["task"] }));
        assert_eq!(seen["state"], "completed", "{name}: {seen}");
        let refused = client.order(json!({ "do": "cancel", "task": events(&told)[0]["task"] }));
        assert!(refused["message"].to_string().contains("cannot be cancelled"), "{name}: {refused}");
    }
}

#[test]
fn boto3_reads_the_card_and_passes_json_rpc_through_the_door() {
    let aws = LocalAws::start_with(&["--protocol", "coach_companion=A2A"]);
    let mut boto3 = Script::start("boto3", python_script("invoke.py"), &aws.endpoint());
    let read = boto3.order(json!({ "do": "card", "arn": COACH_ARN, "session": SESSION }));
    assert_eq!((&read["status"], &read["session"]), (&json!(200), &json!(SESSION)), "{read}");
    let url = format!("{}/runtimes/coach_companion/invocations/", aws.endpoint());
    assert_eq!((&read["card"]["name"], &read["card"]["url"]), (&json!("coach_companion"), &json!(url)), "{read}");

    let mut invoke = |message: &str, accept: &str| {
        let payload: Value = serde_json::from_str(message).expect("JSON");
        boto3.order(json!({
            "do": "invoke", "arn": COACH_ARN, "session": SESSION, "payload": payload, "accept": accept,
            "contentType": "application/json",
        }))
    };
    let told = invoke(&call("message/send", &message("My name is Aoife.")), "application/json");
    let task: Value = serde_json::from_str(told["body"].as_str().expect("a body")).expect("JSON");
    assert_eq!(task["result"]["contextId"], SESSION, "without a context it is the session's: {told}");
    let told = invoke(&call("message/stream", &message("What is my name?")), "text/event-stream");
    assert_eq!(told["content_type"], "text/event-stream", "{told}");
    assert!(told["body"].to_string().contains("Aoife"), "{told}");
    let told = invoke(&call("no/such", &json!({})), "application/json");
    assert_eq!((&told["status"], told["body"].to_string().contains("-32601")), (&json!(200), true), "{told}");

    let no_card = boto3
        .order(json!({ "do": "card", "arn": COACH_ARN.replace("coach_companion", "test_agent"), "session": SESSION }));
    assert_eq!((&no_card["exception"], &no_card["status"]), (&json!("RuntimeClientError"), &json!(424)), "{no_card}");
}
