//! A guard that doubts has a model asked, in silence, and decides by itself where that says nothing.

use std::sync::Arc;
use std::time::Duration;

use agentcore_core::agent::{Agent, Context};
use agentcore_core::drive::{Delivery, drive};
use agentcore_core::guard::{Flag, Guard, Heard, SafetyAction, SecondOpinion, Severity, Verdict};
use agentcore_core::message::{Cost, Message, StopReason, ToolSpec};
use agentcore_core::model::{Model, ModelAnswer, ModelError, ModelEvents, ModelRequest, ModelSize, ToolChoice};
use agentcore_core::payload::{PayloadError, Prompt};
use agentcore_core::router::Router;
use agentcore_core::settings::Overruling;
use agentcore_core::turn::{Step, TurnError, TurnRequest};
use futures::future::BoxFuture;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::converse_rules::refusal_of;
use crate::outcome::{done, remembered};
use crate::played::{Played, calls, says, words};

/// Hears danger in "fire", is uneasy about "smoke", and doubts everything but danger.
struct Nurse;

fn flag(rule: &'static str, severity: Severity) -> Vec<Flag> {
    vec![Flag { kind: "test".into(), rule: rule.into(), severity }]
}

fn help(rule: &'static str) -> Verdict {
    Verdict::Answer { text: "Help is on its way.".into(), flags: flag(rule, Severity::Crisis) }
}

impl Guard for Nurse {
    fn inspect(&self, heard: &Heard<'_>) -> Verdict {
        match heard.text {
            "fire" => help("word"),
            "smoke" => Verdict::Answer { text: "Open a window.".into(), flags: flag("word", Severity::Elevated) },
            _ => Verdict::Allow,
        }
    }

    fn doubts(&self, heard: &Heard<'_>, verdict: &Verdict) -> Option<SecondOpinion> {
        let is_sure = verdict.flags().iter().any(|flag| flag.severity == Severity::Crisis);
        (!is_sure).then(|| SecondOpinion {
            instruction: "Say whether it burns.".into(),
            question: format!("They wrote: {}", heard.text),
            form: ToolSpec {
                name: "burns".into(),
                description: "Whether it burns.".into(),
                input_schema: json!({ "type": "object" }),
            },
        })
    }

    fn reconsiders(&self, _heard: &Heard<'_>, verdict: Verdict, told: &Value) -> Verdict {
        match told["burns"].as_bool() {
            Some(true) => help("model"),
            Some(false) => Verdict::Allow,
            None => verdict,
        }
    }
}

const ASKED: Overruling = Overruling { max_tokens: None, temperature: None, second_opinions: true };

fn heard(text: &str, overruling: Overruling) -> TurnRequest {
    let mut request = TurnRequest::new(text).system("You cook.").guard(Nurse);
    request.overrule(overruling);
    request
}

fn burns(burns: &Value) -> ModelAnswer {
    calls(&[("1", "burns", json!({ "burns": burns }))])
}

#[tokio::test]
async fn what_a_model_sees_and_the_guard_did_not_is_answered_by_the_guard() {
    let model = Played::new([burns(&json!(true))]);
    let (outcome, seen) = model.streams(heard("It is warm here.", ASKED).begin(Vec::new())).await;
    assert_eq!(words(&seen), "Help is on its way.");
    assert_eq!(remembered(&outcome), [Message::user("It is warm here."), Message::assistant("Help is on its way.")]);
    assert_eq!(outcome.safety.severity, Severity::Crisis);
    assert_eq!(outcome.safety.action, SafetyAction::Answered);
    assert!(outcome.keepsake.expect("a turn").pinned, "a crisis stays known");
    assert_eq!(outcome.usage.total_tokens, 15, "the question is counted");
}

#[tokio::test]
async fn the_question_is_the_guards_own_and_goes_to_the_small_model() {
    let model = Played::new([burns(&json!(false)), says("Soup.")]);
    let (outcome, seen) = model.streams(heard("Hungry.", ASKED).begin(Vec::new())).await;
    assert_eq!(words(&seen), "Soup.", "nobody hears the question");
    assert_eq!(outcome.safety.severity, Severity::None);
    let [question, turn] = &model.asked()[..] else { panic!("two questions") };
    assert_eq!(refusal_of(question), None);
    assert_eq!(question.system, "Say whether it burns.");
    assert_eq!(question.messages, [Message::user("They wrote: Hungry.")]);
    assert_eq!((question.size, &question.tool_choice), (ModelSize::Small, &ToolChoice::Tool("burns".into())));
    assert_eq!((turn.system.as_str(), &turn.messages[..]), ("You cook.", &[Message::user("Hungry.")][..]));
    assert!(turn.tools.is_empty(), "the form is not the agent's");
}

#[tokio::test]
async fn a_model_may_take_back_what_the_guard_only_feared() {
    let model = Played::new([burns(&json!(false)), says("Bacon.")]);
    let outcome = model.performs(heard("smoke", ASKED).begin(Vec::new())).await;
    assert_eq!(outcome.result.expect("an answer").message.text(), "Bacon.");
}

#[tokio::test]
async fn where_the_guard_is_sure_nobody_is_asked() {
    let outcome = done(heard("fire", ASKED).begin(Vec::new()));
    assert_eq!(outcome.result.expect("an answer").message.text(), "Help is on its way.");
}

#[tokio::test]
async fn nobody_is_asked_unless_an_operator_wants_it() {
    let model = Played::new([says("Soup.")]);
    model.performs(heard("Hungry.", Overruling::default()).begin(Vec::new())).await;
    assert_eq!(model.asked().len(), 1);
}

#[tokio::test]
async fn a_model_that_does_not_fill_in_the_form_leaves_the_guard_to_itself() {
    for told in [says("I would rather not."), burns(&json!("perhaps")), calls(&[("1", "route", json!({}))])] {
        let model = Played::new([told]);
        let outcome = model.performs(heard("smoke", ASKED).begin(Vec::new())).await;
        assert_eq!(outcome.result.expect("an answer").message.text(), "Open a window.");
    }
}

#[tokio::test]
async fn a_model_that_fails_leaves_the_guard_to_itself() {
    let model = Played::new([]);
    let outcome = model.performs(heard("smoke", ASKED).begin(Vec::new())).await;
    assert_eq!(outcome.result.expect("an answer").message.text(), "Open a window.");
    assert_eq!(outcome.safety.severity, Severity::Elevated);
}

/// Never says anything.
struct Mute;

impl Model for Mute {
    fn converse<'a>(&'a self, _request: &'a ModelRequest) -> BoxFuture<'a, Result<ModelAnswer, ModelError>> {
        Box::pin(std::future::pending())
    }

    fn converse_stream<'a>(&'a self, _request: &'a ModelRequest) -> BoxFuture<'a, Result<ModelEvents, ModelError>> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test(start_paused = true)]
async fn a_model_that_is_silent_is_not_waited_for_long() {
    let mut stage = Played::new([]).stage(Delivery::Whole);
    stage.model = Arc::new(Mute);
    let began = Instant::now();
    let outcome = drive(heard("smoke", ASKED).begin(Vec::new()), &stage).await;
    assert_eq!(outcome.result.expect("an answer").message.text(), "Open a window.");
    assert_eq!(began.elapsed(), Duration::from_secs(4));
    assert_eq!(outcome.usage.cost, Cost::UNKNOWN, "what the model would have charged is not known");
}

#[tokio::test(start_paused = true)]
async fn when_the_turns_time_is_over_meanwhile_the_guard_still_answers() {
    let mut stage = Played::new([]).stage(Delivery::Whole);
    stage.model = Arc::new(Mute);
    stage.deadline = Instant::now() + Duration::from_secs(1);
    let answered = drive(heard("smoke", ASKED).begin(Vec::new()), &stage).await;
    assert_eq!(answered.result.expect("an answer").message.text(), "Open a window.");
    let not_answered = drive(heard("Hungry.", ASKED).begin(Vec::new()), &stage).await;
    assert_eq!(not_answered.result, Err(TurnError::OutOfTime));
    assert_eq!(not_answered.keepsake, None);
}

#[tokio::test]
async fn who_leaves_meanwhile_is_answered_by_the_guard_all_the_same_and_remembered() {
    let asked = |text| match heard(text, ASKED).begin(Vec::new()) {
        Step::CallModel(call) => call,
        other => panic!("the model is asked, not {other:?}"),
    };
    let answered = done(asked("smoke").cut(None));
    assert_eq!(remembered(&answered)[1], Message::assistant("Open a window."));
    assert_eq!(answered.safety.severity, Severity::Elevated);
    assert_eq!(done(asked("Hungry.").cut(None)).result, Err(TurnError::Cut));
}

#[tokio::test]
async fn a_form_that_was_cut_says_nothing() {
    let cut = ModelAnswer { stop_reason: StopReason::MaxTokens, ..burns(&json!(false)) };
    let outcome = Played::new([cut]).performs(heard("smoke", ASKED).begin(Vec::new())).await;
    assert_eq!(outcome.result.expect("an answer").message.text(), "Open a window.");
}

#[tokio::test]
async fn who_is_in_danger_by_one_guard_does_not_wait_for_what_another_doubts() {
    let mut request = heard("It burns, help!", ASKED).guard(Alarm);
    request.overrule(ASKED);
    assert_eq!(done(request.begin(Vec::new())).safety.severity, Severity::Crisis);
}

/// Sure of what it hears.
struct Alarm;

impl Guard for Alarm {
    fn inspect(&self, heard: &Heard<'_>) -> Verdict {
        if heard.text.contains("help") { help("alarm") } else { Verdict::Allow }
    }
}

// === among several agents ===

struct Kitchen;

impl Agent for Kitchen {
    type Payload = Prompt;
    const NAME: &'static str = "kitchen";

    fn turn(&self, payload: Prompt, _context: &Context) -> Result<TurnRequest, PayloadError> {
        Ok(payload.turn()?.system("You cook.").guard(Nurse))
    }
}

struct Stable;

impl Agent for Stable {
    type Payload = Prompt;
    const NAME: &'static str = "stable";

    fn turn(&self, payload: Prompt, _context: &Context) -> Result<TurnRequest, PayloadError> {
        Ok(payload.turn()?.system("You groom."))
    }
}

#[tokio::test]
async fn the_guard_of_the_agent_that_answers_may_doubt() {
    let router = || Router::new("food", Kitchen).agent("horses", Stable);
    let payload = || Prompt { prompt: Some("It is warm here.".into()), ..Prompt::default() };
    for (name, questions, answer) in [("kitchen", 2, "Help is on its way."), ("stable", 2, "Neigh.")] {
        let second = if name == "kitchen" { burns(&json!(true)) } else { says("Neigh.") };
        let model = Played::new([calls(&[("1", "route", json!({ "name": name }))]), second]);
        let mut request = router().turn(payload(), &Context::default()).expect("a request");
        request.overrule(ASKED);
        let outcome = model.performs(request.begin(Vec::new())).await;
        assert_eq!(outcome.result.expect("an answer").message.text(), answer);
        assert_eq!(model.asked().len(), questions);
    }
}
