use std::time::Duration;

use agentcore_core::agent::{Agent, Context};
use agentcore_core::delegate::Delegate;
use agentcore_core::guard::{Flag, Guard, Heard, SafetyAction, Severity, Verdict};
use agentcore_core::history::{PausedTurn, complete};
use agentcore_core::memory::identity::SessionKey;
use agentcore_core::message::{ContentBlock, Message, Role, ToolResult, ToolUse};
use agentcore_core::model::{ModelRequest, ModelSize};
use agentcore_core::payload::{PayloadError, Prompt};
use agentcore_core::response_cache::{Question, ResponseCache};
use agentcore_core::router::Router;
use agentcore_core::settings::Overruling;
use agentcore_core::tool::typed::{JsonSchema, tool};
use agentcore_core::tool::{ToolCall, ToolFailure};
use agentcore_core::turn::{Step, TurnError, TurnRequest};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

use crate::converse_rules::refusal_of;
use crate::outcome::{paused, remembered};
use crate::played::{Played, calls, says, words};

/// Cooks nothing without leave.
#[derive(Deserialize, JsonSchema)]
struct Cooking {
    dish: String,
}

async fn cook(asked: Cooking, call: ToolCall) -> Result<String, ToolFailure> {
    match call.reply {
        None => Err(call.ask(format!("Shall I cook {}?", asked.dish))),
        Some(_) => Ok(format!("{} is served.", asked.dish)),
    }
}

struct Cook;

impl Agent for Cook {
    type Payload = Prompt;
    const NAME: &'static str = "cook";

    fn turn(&self, payload: Prompt, _context: &Context) -> Result<TurnRequest, PayloadError> {
        Ok(payload.turn()?.system("You cook.").tool(tool(cook)))
    }
}

struct Trainer;

impl Agent for Trainer {
    type Payload = Prompt;
    const NAME: &'static str = "trainer";

    fn turn(&self, payload: Prompt, _context: &Context) -> Result<TurnRequest, PayloadError> {
        Ok(payload.turn()?.system("You train."))
    }
}

fn desk() -> Router<Prompt> {
    Router::new("what to eat", Cook).agent("how to move", Trainer)
}

fn prompt(text: &str) -> Prompt {
    Prompt { prompt: Some(text.into()), ..Prompt::default() }
}

fn asked(text: &str) -> TurnRequest {
    desk().turn(prompt(text), &Context::default()).expect("a request")
}

// === router ===

#[tokio::test]
async fn the_model_chooses_who_answers_in_silence_and_that_agent_answers() {
    let model = Played::new([calls(&[("1", "route", json!({"name": "trainer"}))]), says("Take the stairs.")]);
    let (outcome, seen) = model.streams(asked("How do I get fit?").begin(Vec::new())).await;
    assert_eq!(words(&seen), "Take the stairs.");
    assert_eq!(remembered(&outcome), [Message::user("How do I get fit?"), Message::assistant("Take the stairs.")]);
    assert_eq!(outcome.usage.total_tokens, 30, "choosing is counted");
    let [choice, answer] = &model.asked()[..] else { panic!("two questions") };
    assert_eq!(choice.size, ModelSize::Small);
    insta::assert_json_snapshot!(choice.tools[0].input_schema["properties"]["name"]["enum"], @r#"
    [
      "cook",
      "trainer"
    ]
    "#);
    insta::assert_snapshot!(choice.tools[0].description, @"
    Says who answers. The choice is between
    cook: what to eat
    trainer: how to move
    ");
    assert_eq!(answer.system, "You train.");
    assert!(answer.tools.is_empty());
}

#[tokio::test]
async fn when_nobody_there_is_is_chosen_the_first_answers() {
    for choice in [calls(&[("1", "route", json!({"name": "gardener"}))]), says("I would rather chat.")] {
        let model = Played::new([choice, says("Soup.")]);
        let outcome = model.performs(asked("?").begin(Vec::new())).await;
        assert_eq!(outcome.result.expect("an answer").message.text(), "Soup.");
        assert_eq!(model.asked()[1].system, "You cook.");
    }
}

#[tokio::test]
async fn a_rule_is_asked_before_the_model() {
    let ruled = desk().rule(|payload, _| payload.prompt.as_ref()?.contains("run").then_some("trainer"));
    let model = Played::new([says("Run.")]);
    let request = ruled.turn(prompt("May I run?"), &Context::default()).expect("a request");
    model.performs(request.begin(Vec::new())).await;
    assert_eq!(model.asked()[0].system, "You train.");
}

#[tokio::test]
async fn agents_share_a_session_whatever_tools_each_has() {
    let used = complete([
        Message::user("Soup, please"),
        Message {
            role: Role::Assistant,
            content: vec![ContentBlock::ToolUse(ToolUse {
                tool_use_id: "1".into(),
                name: "cooking".into(),
                input: json!({"dish": "soup"}),
            })],
        },
        Message { role: Role::User, content: vec![ContentBlock::ToolResult(ToolResult::error("1", "no pot"))] },
        Message::assistant("There is no pot."),
    ]);
    let history: Vec<_> = used.into_iter().map(Arc::new).collect();
    for name in ["cook", "trainer"] {
        let model = Played::new([calls(&[("1", "route", json!({ "name": name }))]), says("Well.")]);
        model.performs(asked("And now?").begin(history.clone())).await;
        for request in model.asked() {
            assert_eq!(refusal_of(&request), None, "{name}");
        }
    }
}

#[tokio::test]
async fn a_reply_goes_to_the_agent_whose_tool_asked() {
    let model = Played::new([
        calls(&[("1", "route", json!({"name": "cook"}))]),
        calls(&[("2", "cooking", json!({"dish": "soup"}))]),
        says("Enjoy."),
    ]);
    let outcome = model.performs(asked("Soup, please").begin(Vec::new())).await;
    let waiting = paused(&outcome).expect("a paused turn").clone();
    let payload: Prompt = serde_json::from_value(json!({"replies": [{"id": "2", "reply": "yes"}]})).expect("a payload");
    let request = desk().turn(payload, &Context::default()).expect("a request");
    let outcome = model.performs(request.resume(Vec::new(), waiting)).await;
    assert_eq!(outcome.result.expect("an answer").message.text(), "Enjoy.");
    assert_eq!(model.asked()[2].system, "You cook.");
}

/// Says who it is instead of the model.
struct Answers;

impl Guard for Answers {
    fn inspect(&self, heard: &Heard<'_>) -> Verdict {
        let flag = Flag { kind: "test".into(), rule: "test".into(), severity: Severity::Info };
        let is_asked = heard.text.lines().any(|line| line == "Who are you?");
        if is_asked { Verdict::Answer { text: "A guard.".into(), flags: vec![flag] } } else { Verdict::Allow }
    }
}

struct Guarded;

impl Agent for Guarded {
    type Payload = Prompt;
    const NAME: &'static str = "guarded";

    fn turn(&self, payload: Prompt, _context: &Context) -> Result<TurnRequest, PayloadError> {
        Ok(payload.turn()?.guard(Answers))
    }
}

#[tokio::test]
async fn the_guard_of_the_chosen_agent_is_asked_and_its_answer_is_streamed() {
    let router = Router::new("everything", Guarded).agent("how to move", Trainer);
    let payload = json!({ "prompt": "Hello.", "content": [{ "text": "Who are you?" }] });
    let payload = serde_json::from_value(payload).expect("a payload");
    let request = router.turn(payload, &Context::default()).expect("a request");
    let model = Played::new([calls(&[("1", "route", json!({"name": "guarded"}))])]);
    let (outcome, seen) = model.streams(request.begin(Vec::new())).await;
    assert_eq!(outcome.result.expect("an answer").message.text(), "A guard.");
    assert_eq!(words(&seen), "A guard.");
}

// === guards of several agents ===

/// Answers a crisis, answers or annotates what it is told to, and flags all of it.
struct Watches {
    name: &'static str,
    answers: &'static str,
}

impl Guard for Watches {
    fn inspect(&self, heard: &Heard<'_>) -> Verdict {
        let flag = |severity| vec![Flag { kind: heard.text.to_owned().into(), rule: self.name.into(), severity }];
        match heard.text {
            "crisis" => Verdict::Answer { text: format!("{} helps.", self.name), flags: flag(Severity::Crisis) },
            text if text == self.answers => {
                Verdict::Answer { text: format!("{} says no.", self.name), flags: flag(Severity::Elevated) }
            }
            "everybody" => Verdict::Answer { text: "Not here.".into(), flags: flag(Severity::Info) },
            "low" => {
                Verdict::Annotate { instruction: format!("Be gentle, {}.", self.name), flags: flag(Severity::Info) }
            }
            _ => Verdict::Allow,
        }
    }
}

struct GuardedCook;

impl Agent for GuardedCook {
    type Payload = Prompt;
    const NAME: &'static str = "cook";

    fn turn(&self, payload: Prompt, _context: &Context) -> Result<TurnRequest, PayloadError> {
        Ok(payload.turn()?.system("You cook.").tool(tool(cook)).guard(Watches { name: "cook", answers: "squats" }))
    }
}

struct GuardedTrainer;

impl Agent for GuardedTrainer {
    type Payload = Prompt;
    const NAME: &'static str = "trainer";

    fn turn(&self, payload: Prompt, _context: &Context) -> Result<TurnRequest, PayloadError> {
        Ok(payload.turn()?.system("You train.").guard(Watches { name: "trainer", answers: "soup" }))
    }
}

fn guarded(text: &str) -> TurnRequest {
    let desk = Router::new("what to eat", GuardedCook).agent("how to move", GuardedTrainer);
    desk.turn(prompt(text), &Context::default()).expect("a request")
}

fn to(name: &str) -> agentcore_core::model::ModelAnswer {
    calls(&[("1", "route", json!({ "name": name }))])
}

#[tokio::test]
async fn a_crisis_is_answered_before_any_model_reads_it_to_choose() {
    let model = Played::new([]);
    let (outcome, seen) = model.streams(guarded("crisis").begin(Vec::new())).await;
    assert_eq!(outcome.result.expect("an answer").message.text(), "cook helps.");
    assert_eq!(words(&seen), "cook helps.");
    assert!(model.asked().is_empty());
    assert_eq!(outcome.safety.severity, Severity::Crisis);
    assert!(outcome.keepsake.expect("it is kept").pinned);
}

#[tokio::test]
async fn what_all_guards_answer_alike_needs_no_choice() {
    let model = Played::new([]);
    let outcome = model.performs(guarded("everybody").begin(Vec::new())).await;
    assert_eq!(outcome.result.expect("an answer").message.text(), "Not here.");
    assert!(model.asked().is_empty());
}

#[tokio::test]
async fn what_one_agents_guard_would_answer_is_answered_where_that_agent_is_chosen() {
    let asked_trainer = Played::new([to("trainer")]).performs(guarded("soup").begin(Vec::new())).await;
    assert_eq!(asked_trainer.result.expect("an answer").message.text(), "trainer says no.");
    assert_eq!(asked_trainer.safety.action, SafetyAction::Answered);

    let asked_cook = Played::new([to("cook"), says("Soup.")]).performs(guarded("soup").begin(Vec::new())).await;
    assert_eq!(asked_cook.result.expect("an answer").message.text(), "Soup.");
    assert_eq!(asked_cook.safety.action, SafetyAction::None, "it was found, and nothing done about it");
    assert_eq!(asked_cook.safety.flags.len(), 1);
}

#[tokio::test]
async fn only_the_chosen_agents_guards_instruct_and_all_flags_are_told() {
    let model = Played::new([to("trainer"), says("Rest.")]);
    let outcome = model.performs(guarded("low").begin(Vec::new())).await;
    assert_eq!(model.asked()[1].system, "You train.\n\nBe gentle, trainer.");
    let rules: Vec<_> = outcome.safety.flags.iter().map(|flag| flag.rule.as_ref()).collect();
    assert_eq!(rules, ["cook", "trainer"]);
    assert_eq!(outcome.safety.action, SafetyAction::Annotated);
}

// === agents that ask ===

/// Asks as the cook does, and is another.
struct Baker;

impl Agent for Baker {
    type Payload = Prompt;
    const NAME: &'static str = "baker";

    fn turn(&self, payload: Prompt, _context: &Context) -> Result<TurnRequest, PayloadError> {
        Ok(payload.turn()?.system("You bake.").tool(tool(cook)))
    }
}

fn replying() -> Prompt {
    serde_json::from_value(json!({"replies": [{"id": "2", "reply": "yes"}]})).expect("a payload")
}

#[tokio::test]
async fn a_reply_goes_to_who_asked_among_those_with_the_same_tool_whatever_a_rule_says() {
    let kitchen = || Router::new("what to eat", Cook).agent("what to bake", Baker);
    let asks = || calls(&[("2", "cooking", json!({"dish": "bread"}))]);
    let model = Played::new([calls(&[("1", "route", json!({"name": "baker"}))]), asks(), says("Enjoy.")]);
    let request = kitchen().turn(prompt("Bread, please"), &Context::default()).expect("a request");
    let waiting = paused(&model.performs(request.begin(Vec::new())).await).expect("a paused turn").clone();
    let stored: PausedTurn = serde_json::from_value(serde_json::to_value(&waiting).expect("JSON")).expect("the same");

    let ruled = kitchen().rule(|_, _| Some("cook"));
    let request = ruled.turn(replying(), &Context::default()).expect("a request");
    let outcome = model.performs(request.resume(Vec::new(), stored.clone())).await;
    assert_eq!(outcome.result.expect("an answer").message.text(), "Enjoy.");
    assert_eq!(model.asked()[2].system, "You bake.");

    let without = Router::new("what to eat", Cook).agent("how to move", Trainer);
    let request = without.turn(replying(), &Context::default()).expect("a request");
    let outcome = model.performs(request.resume(Vec::new(), stored)).await;
    assert_eq!(outcome.result, Err(TurnError::AskerGone));
    assert_eq!(outcome.keepsake, None);
}

#[tokio::test]
async fn who_was_named_by_a_rule_is_remembered_as_who_asked() {
    let ruled = || {
        Router::new("what to eat", Cook)
            .agent("what to bake", Baker)
            .rule(|payload, _| payload.prompt.as_ref().map(|_| "baker"))
    };
    let model = Played::new([calls(&[("2", "cooking", json!({"dish": "bread"}))]), says("Enjoy.")]);
    let request = ruled().turn(prompt("Bread, please"), &Context::default()).expect("a request");
    let waiting = paused(&model.performs(request.begin(Vec::new())).await).expect("a paused turn").clone();
    let request = ruled().turn(replying(), &Context::default()).expect("a request");
    model.performs(request.resume(Vec::new(), waiting)).await.result.expect("an answer");
    assert_eq!(model.asked()[1].system, "You bake.");
}

#[tokio::test]
async fn a_turn_stored_before_it_was_known_who_asks_goes_on_only_where_that_is_plain() {
    let model = Played::new([to("cook"), calls(&[("2", "cooking", json!({"dish": "soup"}))]), says("Enjoy.")]);
    let waiting = paused(&model.performs(asked("Soup, please").begin(Vec::new())).await).expect("paused").clone();
    let old = PausedTurn { route: None, ..waiting };
    let several = Router::new("what to eat", Cook).agent("what to bake", Baker);
    let request = several.turn(replying(), &Context::default()).expect("a request");
    assert_eq!(model.performs(request.resume(Vec::new(), old.clone())).await.result, Err(TurnError::AskerGone));
    let request = desk().turn(replying(), &Context::default()).expect("a request");
    model.performs(request.resume(Vec::new(), old)).await.result.expect("an answer");
}

// === agents as tools ===

fn with_trainer(text: &str) -> Step {
    let trainer = Delegate::new(Trainer, "Knows how to move. Hand over questions about exercise.", &Context::default());
    TurnRequest::new(text).system("You coach.").tool(trainer).begin(Vec::new())
}

#[tokio::test]
async fn an_agent_can_be_the_tool_of_another() {
    let model = Played::new([
        calls(&[("1", "trainer", json!({"task": "Name one exercise for the back."}))]),
        says("Swimming."),
        says("My trainer says: swim."),
    ]);
    let (outcome, seen) = model.streams(with_trainer("My back hurts")).await;
    assert_eq!(words(&seen), "My trainer says: swim.", "only the answer of the one who was asked is told");
    assert_eq!(outcome.usage.total_tokens, 45, "what the other spends is counted");
    let asked = model.asked();
    assert_eq!(
        (asked[1].system.as_str(), asked[1].messages[0].text().as_str()),
        ("You train.", "Name one exercise for the back.")
    );
    assert!(asked[1].history.is_empty());
    insta::assert_json_snapshot!(remembered(&outcome)[2], @r#"
    {
      "role": "user",
      "content": [
        {
          "toolResult": {
            "toolUseId": "1",
            "content": [
              {
                "text": "Swimming."
              }
            ],
            "status": "success"
          }
        }
      ]
    }
    "#);
}

#[tokio::test]
async fn an_agent_that_fails_as_a_tool_fails_as_a_tool() {
    let model = Played::new([calls(&[("1", "trainer", json!({"task": " "}))]), says("He has no idea.")]);
    let outcome = model.performs(with_trainer("?")).await;
    assert_eq!(outcome.tools.invalid, 1);
    let failing = Played::new([calls(&[("1", "trainer", json!({"task": "x"}))])]);
    let outcome = failing.performs(with_trainer("?")).await;
    assert_eq!(outcome.tools.failed, 1);
}

#[tokio::test]
async fn what_a_task_cost_is_counted_though_nothing_came_of_it() {
    // The task's own turn asks for a tool that is not there, and its model fails after that.
    let model = Played::new([
        calls(&[("1", "cook", json!({"task": "Cook soup."}))]),
        calls(&[("2", "cooking", json!({"dish": "soup"}))]),
        says("No soup today."),
    ]);
    let cook = Delegate::new(Cook, "Cooks.", &Context::default());
    let outcome = model.performs(TurnRequest::new("Soup").tool(cook).begin(Vec::new())).await;
    assert_eq!(outcome.tools.failed, 1, "it would have had to ask a person");
    assert_eq!(outcome.usage.total_tokens, 45, "three answers");
}

#[tokio::test(start_paused = true)]
async fn what_a_task_cost_is_counted_though_it_took_too_long() {
    struct Sleeper;
    impl Agent for Sleeper {
        type Payload = Prompt;
        const NAME: &'static str = "sleeper";

        fn turn(&self, payload: Prompt, _context: &Context) -> Result<TurnRequest, PayloadError> {
            Ok(payload.turn()?.tool(tool(sleep)))
        }
    }
    /// Sleeps.
    #[derive(Deserialize, JsonSchema)]
    struct Sleep {}
    async fn sleep(_: Sleep, _: ToolCall) -> Result<String, ToolFailure> {
        std::future::pending().await
    }
    let model = Played::new([
        calls(&[("1", "sleeper", json!({"task": "Sleep."}))]),
        calls(&[("2", "sleep", json!({}))]),
        says("He is asleep."),
    ]);
    let sleeper = Delegate::new(Sleeper, "Sleeps.", &Context::default()).within(Duration::from_secs(1));
    let outcome = model.performs(TurnRequest::new("?").tool(sleeper).begin(Vec::new())).await;
    assert_eq!((outcome.tools.timed_out, outcome.usage.total_tokens), (1, 45));
}

#[tokio::test]
async fn what_the_guards_of_a_task_found_is_told_with_the_answer() {
    let model = Played::new([calls(&[("1", "guarded", json!({"task": "Who are you?"}))]), says("A guard, it says.")]);
    let guarded = Delegate::new(Guarded, "Knows who it is.", &Context::default());
    let outcome = model.performs(TurnRequest::new("Ask it").tool(guarded).begin(Vec::new())).await;
    assert_eq!(outcome.result.expect("an answer").message.text(), "A guard, it says.");
    insta::assert_json_snapshot!(outcome.safety, @r#"
    {
      "severity": "info",
      "action": "none",
      "flags": [
        {
          "kind": "test",
          "rule": "test"
        }
      ]
    }
    "#);
}

#[tokio::test]
async fn an_operators_settings_hold_for_a_task_and_for_whoever_is_chosen() {
    let overruling = Overruling { max_tokens: Some(77), temperature: Some(0.5), ..Overruling::default() };
    let model = Played::new([calls(&[("1", "trainer", json!({"task": "?"}))]), says("Swim."), says("Swim, he says.")]);
    let trainer = Delegate::new(Trainer, "Knows how to move.", &Context::default());
    let mut request = TurnRequest::new("?").tool(trainer);
    request.overrule(overruling);
    model.performs(request.begin(Vec::new())).await;
    let chosen = Played::new([calls(&[("1", "route", json!({"name": "trainer"}))]), says("Swim.")]);
    let mut request = asked("?");
    request.overrule(overruling);
    chosen.performs(request.begin(Vec::new())).await;
    let parameters = |request: &ModelRequest| (request.parameters.max_tokens, request.parameters.temperature);
    assert_eq!(model.asked().iter().map(parameters).collect::<Vec<_>>(), [(77, Some(0.5)); 3]);
    assert_eq!(parameters(&chosen.asked()[1]), (77, Some(0.5)));
}

// === answers given again ===

fn question(agent: &str, actor: &str, request: &ModelRequest) -> Question {
    Question::new(agent, &SessionKey::new(Some(actor), "session"), request)
}

fn request_of(step: Step) -> ModelRequest {
    match step {
        Step::CallModel(call) => call.request().clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_answer_is_given_again_only_for_the_same_question_of_the_same_actor() {
    let cache = ResponseCache::default();
    let ask = || TurnRequest::new("What is protein?").system("You know food.");
    let request = request_of(ask().begin(Vec::new()));
    let outcome = Played::new([says("A nutrient.")]).performs(ask().begin(Vec::new())).await;
    cache.keep(question("cook", "anna", &request), &outcome, Duration::from_mins(1));

    let found = cache.find(&question("cook", "anna", &request)).expect("the same question");
    assert_eq!((found.message.text().as_str(), found.usage.total_tokens), ("A nutrient.", 0));

    let history: Vec<_> =
        complete([Message::user("Hi"), Message::assistant("Hello")]).into_iter().map(Arc::new).collect();
    let others = [
        question("cook", "bert", &request),
        question("trainer", "anna", &request),
        question("cook", "anna", &request_of(ask().begin(history))),
        question("cook", "anna", &request_of(ask().system("You know cars.").begin(Vec::new()))),
        question("cook", "anna", &request_of(ask().temperature(0.1).begin(Vec::new()))),
        question("cook", "anna", &request_of(ask().simple(true).begin(Vec::new()))),
        question("cook", "anna", &request_of(ask().tool(tool(cook)).begin(Vec::new()))),
        question(
            "cook",
            "anna",
            &request_of(TurnRequest::new("What is fat?").system("You know food.").begin(Vec::new())),
        ),
    ];
    for other in others {
        assert_eq!(cache.find(&other), None);
    }
}

#[tokio::test]
async fn what_may_be_another_answer_next_time_is_not_kept() {
    let cache = ResponseCache::default();
    let request = request_of(TurnRequest::new("?").begin(Vec::new()));
    let key = question("cook", "anna", &request);
    let with_tools = Played::new([calls(&[("1", "trainer", json!({"task": "x"}))]), says("a"), says("b")]);
    cache.keep(key, &with_tools.performs(with_trainer("?")).await, Duration::from_mins(1));
    assert_eq!(cache.find(&key), None, "its tools may say something else");
    let failed = Played::new([]).performs(TurnRequest::new("?").begin(Vec::new())).await;
    cache.keep(key, &failed, Duration::from_mins(1));
    assert_eq!(cache.find(&key), None, "a failure is no answer");
    let answered = Played::new([says("Well.")]).performs(TurnRequest::new("?").begin(Vec::new())).await;
    cache.keep(key, &answered, Duration::ZERO);
    assert_eq!(cache.find(&key), None, "it has aged");
}

#[tokio::test]
async fn the_cache_is_bounded() {
    let cache = ResponseCache::default();
    let outcome = Played::new([says("Well.")]).performs(TurnRequest::new("?").begin(Vec::new())).await;
    let key = |number: usize| {
        let request = request_of(TurnRequest::new(format!("{number}?")).begin(Vec::new()));
        question("cook", "anna", &request)
    };
    for number in 0..1_200 {
        cache.keep(key(number), &outcome, Duration::from_mins(1));
    }
    assert_eq!(cache.find(&key(199)), None, "the oldest has gone");
    assert!(cache.find(&key(200)).is_some());
}
