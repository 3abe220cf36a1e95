//! Must show 4: every kind of trouble at every event of a streamed answer, over the wire. Whoever reads the
//! answer sees it once and whole, or as far as it came and then an error that names its kind.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agentcore_runtime::core::aws::Aws;
use agentcore_runtime::core::message::{ContentBlock, Message};
use agentcore_runtime::core::model::bedrock::Bedrock;
use agentcore_runtime::core::model::residency::{ModelId, Region, Residency};
use agentcore_runtime::core::model::resilient::Resilient;
use agentcore_runtime::core::model::retry::{Backoff, RetryPolicy};
use agentcore_runtime::core::model::{
    AnswerInWriting, BlockDelta, Model, ModelAnswer, ModelError, ModelEvent, ModelRequest, ToolChoice,
};
use agentcore_runtime::core::settings::{ModelSettings, Patience};
use agentcore_runtime::core::tool::ToolSpec;
use futures::StreamExt as _;
use serde_json::{Value, json};

use crate::agent::Agent;
use crate::foreign::{Script, python_script};
use crate::local_aws::LocalAws;
use crate::process::poll;
use crate::socket::Request;

/// Goes on from its own words.
const GOES_ON: &str = "eu.anthropic.claude-3-5-sonnet-20240620-v1:0";

/// Refuses to.
const BEGINS_ANEW: &str = "eu.anthropic.claude-sonnet-4-6";

/// Trouble before an answer begins.
const REFUSALS: [&str; 5] = ["throttle", "unavailable", "server-error", "model-timeout", "model-not-ready"];

/// Trouble after so many events. The Nth event is corrupt, where for the others N went well.
const BREAKS: [&str; 5] = ["cut", "stream-error", "throttle-stream", "corrupt", "silence"];

/// A call with which nothing is wrong, where a plan of faults needs one.
const WELL: &str = "slow=0";

const SESSION: &str = "a-session-of-the-resilience-tests-0123456789";

/// How long a model may be silent: long beside what a busy machine takes, short beside a test.
const SILENCE: Duration = Duration::from_millis(600);

/// How long one answer may take: one silence, one attempt more, and the machine's own time.
const DEADLINE: Duration = Duration::from_secs(5);

fn settings(model_id: &str) -> ModelSettings {
    let region = Region::parse("eu-west-1", Residency::Eu).expect("Ireland is in the EU");
    let model_id = ModelId::parse(model_id, Residency::Eu).expect("an id");
    let pauses = Backoff::new(Duration::from_millis(1), Duration::from_millis(2)).expect("good bounds");
    ModelSettings {
        patience: Patience { first_token: SILENCE, token_gap: SILENCE, whole_answer: SILENCE },
        retry: RetryPolicy::default().backoff(pauses),
        ..ModelSettings::new(model_id, region)
    }
}

fn aws(local: &LocalAws, settings: &ModelSettings) -> Arc<Aws> {
    Arc::new(Aws::at(local.endpoint(), settings.region.clone()))
}

fn resilient(local: &LocalAws, model_id: &str) -> Resilient {
    let settings = settings(model_id);
    Resilient::from_settings(&settings, &aws(local, &settings))
}

fn words() -> ModelRequest {
    ModelRequest::question("I had a setback today", 300)
}

fn a_tool_call() -> ModelRequest {
    let schema = json!({ "type": "object", "properties": { "kg": { "type": "number" } }, "required": ["kg"] });
    let weigh =
        ToolSpec { name: "log_weight".into(), description: "Takes down a weight.".into(), input_schema: schema };
    let tool_choice = ToolChoice::Tool("log_weight".into());
    ModelRequest { tools: Arc::new([weigh]), tool_choice, ..words() }
}

/// What came of a streamed answer, and the error that ended it, if one did.
async fn streamed(model: &impl Model, request: &ModelRequest) -> (Vec<ModelEvent>, Option<ModelError>) {
    let mut events = match model.converse_stream(request).await {
        Ok(events) => events,
        Err(error) => return (Vec::new(), Some(error)),
    };
    let mut came = Vec::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => came.push(event),
            Err(error) => return (came, Some(error)),
        }
    }
    (came, None)
}

fn collected(events: &[ModelEvent]) -> Option<ModelAnswer> {
    let mut writing = AnswerInWriting::default();
    for event in events {
        writing.take(event);
    }
    writing.finished()
}

fn text(events: &[ModelEvent]) -> String {
    let texts = events.iter().filter_map(|event| match event {
        ModelEvent::ContentBlockDelta { delta: BlockDelta::Text(text), .. } => Some(text.as_str()),
        _ => None,
    });
    texts.collect()
}

/// What a call asks for, without the name that each attempt gives it anew.
fn content(message: &Message) -> Vec<Value> {
    let said = message.content.iter().map(|block| match block {
        ContentBlock::ToolUse(call) => json!({ "name": call.name, "input": call.input }),
        block => serde_json::to_value(block).expect("JSON"),
    });
    said.collect()
}

/// How many events the wire carries for the answer when nothing goes wrong.
async fn length(model_id: &str, request: &ModelRequest) -> usize {
    let local = LocalAws::start();
    let settings = settings(model_id);
    let (events, error) = streamed(&Bedrock::new(&settings, aws(&local, &settings)), request).await;
    assert_eq!(error, None);
    events.len()
}

/// Every refusal, and every break at every event before the last, which only tells the count of tokens.
fn faults(length: usize) -> Vec<String> {
    let breaks = BREAKS.iter().flat_map(|kind| {
        let places = if *kind == "corrupt" { 1..length } else { 0..length - 1 };
        places.map(move |place| format!("{kind}@{place}"))
    });
    REFUSALS.iter().map(|kind| (*kind).to_owned()).chain(breaks).collect()
}

#[tokio::test]
async fn every_fault_at_every_event_ends_in_the_same_answer() {
    for request in [words(), a_tool_call()] {
        let unbroken = {
            let local = LocalAws::start();
            collected(&streamed(&resilient(&local, GOES_ON), &request).await.0).expect("an answer")
        };
        let faults = faults(length(GOES_ON, &request).await);
        assert!(faults.len() > 20, "{faults:?}");
        let plan: Vec<&str> = faults.iter().flat_map(|fault| [fault.as_str(), WELL]).collect();
        let local = LocalAws::start_with(&["--fault", &plan.join(",")]);
        let model = resilient(&local, GOES_ON);
        for fault in &faults {
            let began = Instant::now();
            let (events, error) = streamed(&model, &request).await;
            assert_eq!(error, None, "{fault}");
            assert!(began.elapsed() < DEADLINE, "{fault}: {:?}", began.elapsed());
            let answer = collected(&events).expect("an answer");
            assert_eq!(content(&answer.message), content(&unbroken.message), "{fault}");
            assert_eq!(answer.stop_reason, unbroken.stop_reason, "{fault}");
            assert_eq!(answer.served.map(|served| served.attempts), Some(2), "{fault}");
            assert!(answer.usage.total_tokens > 0, "{fault}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_lacks_only_its_last_event_is_not_asked_for_again() {
    let length = length(GOES_ON, &words()).await;
    let before_the_last = |kind: &&str| match *kind {
        "corrupt" => format!("{kind}@{length}"),
        kind => format!("{kind}@{}", length - 1),
    };
    let plan: Vec<String> = BREAKS.iter().map(before_the_last).collect();
    let local = LocalAws::start_with(&["--fault", &plan.join(",")]);
    let model = resilient(&local, GOES_ON);
    let mut answers = Vec::new();
    for fault in plan.iter().map(String::as_str).chain(["nothing"]) {
        let (events, error) = streamed(&model, &words()).await;
        assert_eq!(error, None, "{fault}");
        let answer = collected(&events).expect("an answer");
        assert_eq!(answer.served.map(|served| served.attempts), Some(1), "{fault}");
        answers.push(answer.message);
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
}

#[tokio::test]
async fn a_model_that_does_not_go_on_ends_with_what_broke_it_and_nothing_said_twice() {
    let faults = faults(length(BEGINS_ANEW, &words()).await);
    let whole = {
        let local = LocalAws::start();
        text(&streamed(&resilient(&local, BEGINS_ANEW), &words()).await.0)
    };
    let mut ends = String::new();
    for kind in BREAKS {
        let faults: Vec<&str> = faults.iter().map(String::as_str).filter(|fault| fault.starts_with(kind)).collect();
        let local = LocalAws::start_with(&["--fault", &faults.join(",")]);
        let model = resilient(&local, BEGINS_ANEW);
        // The first faults come before a word is said: one answer bears them all, and breaks at the next.
        let mut errors = Vec::new();
        for _ in &faults {
            let began = Instant::now();
            let (events, error) = streamed(&model, &words()).await;
            assert!(began.elapsed() < DEADLINE, "{kind}: {:?}", began.elapsed());
            assert!(whole.starts_with(&text(&events)), "{kind}: {:?}", text(&events));
            match error {
                Some(error) => errors.push(error.name()),
                None => assert_eq!(text(&events), whole, "{kind}"),
            }
        }
        errors.dedup();
        writeln!(ends, "{kind}: {}", errors.join(", ")).expect("a text takes more");
    }
    insta::assert_snapshot!(ends, @"
    cut: BrokenStream
    stream-error: BrokenStream
    throttle-stream: Throttled
    corrupt: BrokenStream
    silence: Silent
    ");
}

#[tokio::test]
async fn an_answer_in_one_piece_is_asked_for_again_too() {
    let unbroken = {
        let local = LocalAws::start();
        resilient(&local, GOES_ON).converse(&words()).await.expect("an answer").message
    };
    let faults: Vec<String> =
        REFUSALS.iter().map(|kind| (*kind).to_owned()).chain(BREAKS.iter().map(|kind| format!("{kind}@2"))).collect();
    let plan: Vec<&str> = faults.iter().flat_map(|fault| [fault.as_str(), WELL]).collect();
    let local = LocalAws::start_with(&["--fault", &plan.join(",")]);
    let model = resilient(&local, GOES_ON);
    for fault in &faults {
        let answer = model.converse(&words()).await.unwrap_or_else(|error| panic!("{fault}: {error}"));
        assert_eq!(answer.message, unbroken, "{fault}");
        assert_eq!(answer.served.map(|served| served.attempts), Some(2), "{fault}");
    }
}

#[test]
fn a_turn_that_broke_is_whole_for_its_caller_and_in_its_session() {
    let first = "My name is Aoife. I had a setback today.";
    let unbroken = {
        let local = LocalAws::start();
        Agent::start("coach_companion", &local.endpoint(), &[]).post(SESSION, first, "text/event-stream").body
    };
    let local = LocalAws::start_with(&["--fault", "throttle,cut@5,stream-error@3"]);
    let agent = Agent::start("coach_companion", &local.endpoint(), &[]);
    let mended = agent.post(SESSION, first, "text/event-stream").body;
    let told = |body: &str| {
        let mut frames = body.lines().filter_map(|line| line.strip_prefix("data: "));
        let last = frames.next_back().unwrap_or_else(|| panic!("no frames: {body}"));
        serde_json::from_str::<Value>(last).expect("a frame is JSON")["message"].clone()
    };
    assert_eq!(told(&mended), told(&unbroken));
    assert!(agent.say(SESSION, "What is my name?").contains("Aoife"));
    let (_, log) = agent.end();
    let again = log.lines().filter(|line| line.contains(r#""message":"asking the model again""#)).count();
    assert_eq!(again, 3, "{log}");
}

/// What one caller saw of a streamed turn: the words as they came, and whether an answer or an error ended it.
fn seen(body: &str) -> (String, Value) {
    let frames: Vec<Value> = body
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|frame| serde_json::from_str(frame).expect("a frame is JSON"))
        .collect();
    let words = frames.iter().filter_map(|frame| frame["event"]["contentBlockDelta"]["delta"]["text"].as_str());
    (words.collect(), frames.last().cloned().unwrap_or_else(|| panic!("no frames: {body}")))
}

/// What is said to the agent in every session.
const SWEPT: &str = "Good morning to you!";

/// Gives each of `faults` to a turn of its own, in a session of its own, of one agent; then looks at what AgentCore
/// Memory has of each. `whole` is the answer when nothing goes wrong. How many turns were answered and how many ended
/// with an error.
fn sweep(model_id: &str, faults: &[String], whole: &str) -> (usize, usize) {
    let goes_on = model_id == GOES_ON;
    // A call that goes well follows each fault where there is one more call.
    let well = if goes_on { &[WELL][..] } else { &[] };
    let plan: Vec<&str> = faults.iter().flat_map(|fault| [&[fault.as_str()], well].concat()).collect();
    let local = LocalAws::start_with(&["--fault", &plan.join(",")]);
    let environment = [
        ("MODEL_ID", model_id),
        ("BEDROCK_AGENTCORE_MEMORY_ID", "swept-0123456789"),
        ("MODEL_FIRST_TOKEN_TIMEOUT_SECONDS", "0.5"),
        ("MODEL_TOKEN_GAP_TIMEOUT_SECONDS", "0.5"),
    ];
    let agent = Agent::start("test_agent", &local.endpoint(), &environment);
    let session = |place: usize| format!("swept-session-{place:03}-0123456789-0123456789");
    let mut told = Vec::new();
    for (place, fault) in faults.iter().enumerate() {
        let began = Instant::now();
        let (words, last) = seen(&agent.post(&session(place), SWEPT, "text/event-stream").body);
        assert!(began.elapsed() < DEADLINE, "{fault}: {:?}", began.elapsed());
        match last["code"].as_str() {
            None => {
                assert_eq!(
                    last["message"]["content"][0]["text"],
                    words.as_str(),
                    "{fault}: the answer is what was told"
                );
                assert_eq!(words, whole, "{fault}");
            }
            Some(code) => {
                assert!(!goes_on && !words.is_empty() && whole.starts_with(&words), "{fault}: {code} after {words:?}");
                assert!(["model_unavailable", "model_throttled", "model_timeout"].contains(&code), "{fault}: {code}");
            }
        }
        told.push((words, last["code"].is_string()));
    }
    let idle = || Request::get("/ping").send(agent.port).body.contains(r#""status":"Healthy""#).then_some(());
    poll(Duration::from_secs(20), idle).expect("every turn is stored");
    let mut boto3 = Script::start("boto3", python_script("memory.py"), &local.endpoint());
    for (place, (words, _)) in told.iter().enumerate() {
        let session = session(place);
        let actor = format!("session/{session}");
        let order = json!({ "do": "session", "memory": "swept-0123456789", "actor": actor, "session": session });
        let kept: Vec<Value> = boto3.order(order)["turns"].as_array().expect("turns").clone();
        let [turn] = &kept[..] else { panic!("{}: one turn, once: {kept:?}", faults[place]) };
        assert_eq!(turn["said"], json!([["USER", SWEPT], ["ASSISTANT", words]]), "{}", faults[place]);
    }
    let failed = told.iter().filter(|(_, failed)| *failed).count();
    (told.len() - failed, failed)
}

/// Must show 4, for the whole agent: the caller reads the answer once and whole, or as far as it came and an error
/// with its kind; the session has the same, once. Each kind of fault has an agent of its own, all at the same time.
#[test]
fn every_fault_at_every_event_of_an_agents_answer_is_one_turn_in_its_session() {
    let unbroken = {
        let local = LocalAws::start();
        Agent::start("test_agent", &local.endpoint(), &[]).post(SESSION, SWEPT, "text/event-stream").body
    };
    let (whole, events) = (seen(&unbroken).0, unbroken.matches(r#"data: {"event""#).count());
    let all = faults(events);
    let began = Instant::now();
    let swept: Vec<(usize, usize)> = std::thread::scope(|scope| {
        let parts = [GOES_ON, BEGINS_ANEW].into_iter().flat_map(|model_id| {
            let kinds = BREAKS.into_iter().map(move |kind| (kind, model_id));
            kinds.chain((model_id == GOES_ON).then_some(("", model_id)))
        });
        let sweeping: Vec<_> = parts
            .map(|(kind, model_id)| {
                let is_of = |fault: &&String| match fault.split_once('@') {
                    Some((of, _)) => of == kind,
                    None => kind.is_empty(),
                };
                let part: Vec<String> = all.iter().filter(is_of).cloned().collect();
                let whole = whole.as_str();
                scope.spawn(move || sweep(model_id, &part, whole))
            })
            .collect();
        sweeping.into_iter().map(|part| part.join().expect("no panic")).collect()
    });
    let (answered, failed) = swept.iter().fold((0, 0), |sum, part| (sum.0 + part.0, sum.1 + part.1));
    println!("{answered} answered, {failed} broken off, of {events} events each, in {:?}", began.elapsed());
    assert!(answered >= all.len() && failed > BREAKS.len(), "{answered} answered, {failed} broken off");
}

#[test]
fn a_retired_model_is_stood_in_for_and_named_once_in_the_log() {
    let local = LocalAws::start();
    let environment = [("MODEL_ID", "eu.anthropic.claude-v2:1"), ("MODEL_FALLBACKS", GOES_ON)];
    let agent = Agent::start("coach_companion", &local.endpoint(), &environment);
    for _ in 0..3 {
        agent.say(SESSION, "Hello!");
    }
    let (_, log) = agent.end();
    let errors: Vec<&str> = log.lines().filter(|line| line.contains(r#""level":"ERROR""#)).collect();
    let [error] = errors[..] else { panic!("{log}") };
    let error: Value = serde_json::from_str(error).expect("a line is JSON");
    assert_eq!((&error["errorType"], &error["model"]), (&json!("RetiredModel"), &json!("eu.anthropic.claude-v2:1")));
}
