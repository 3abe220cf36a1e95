use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use agentcore_core::agent::{Agent, Context};
use agentcore_core::guard::{Flag, Guard, Heard, Leaving, Review, SecondOpinion, Severity, Verdict};
use agentcore_core::history::{CompleteTurn, Earlier, INTERRUPTED, PausedTurn, SentTurn, complete};
use agentcore_core::message::{
    ContentBlock, Image, ImageFormat, MediaSource, Message, Role, StopReason, ToolResult, ToolResultContent,
    ToolResultStatus, ToolUse, Usage,
};
use agentcore_core::model::{ModelAnswer, ModelError, ModelRequest};
use agentcore_core::payload::{PayloadError, Prompt};
use agentcore_core::router::Router;
use agentcore_core::settings::Overruling;
use agentcore_core::tool::typed::JsonSchema;
use agentcore_core::tool::{Question, Reply, Tool, ToolCall, ToolFailure, ToolOutput, ToolSpec};
use agentcore_core::turn::{
    CallFailure, CallOutcome, ModelCall, Step, ToolRound, TurnError, TurnOutcome, TurnRequest, WITHHELD,
};
use futures::future::BoxFuture;
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::converse_rules::{assert_can_go_on, call_id, refusal_of, text};
use crate::outcome::{done, paused, remembered, whole};

/// A tool that is only ever named here: the machine calls nothing.
struct Weigh;

impl Tool for Weigh {
    fn spec(&self) -> ToolSpec {
        ToolSpec { name: "weigh".into(), description: "Weighs.".into(), input_schema: json!({"type": "object"}) }
    }

    fn call(&self, _call: ToolCall) -> BoxFuture<'_, Result<ToolOutput, ToolFailure>> {
        unreachable!("the machine performs nothing")
    }
}

fn asked(step: Step) -> ModelCall {
    match step {
        Step::CallModel(call) => call,
        other => panic!("the model should be asked, not {other:?}"),
    }
}

fn tools(step: Step) -> ToolRound {
    match step {
        Step::CallTools(round) => round,
        other => panic!("tools should be called, not {other:?}"),
    }
}

fn answer(content: Vec<ContentBlock>, stop_reason: &str) -> ModelAnswer {
    ModelAnswer {
        message: Message { role: Role::Assistant, content },
        stop_reason: stop_reason.into(),
        usage: Usage { input_tokens: 10, output_tokens: 5, total_tokens: 15, ..Usage::default() },
        guardrail: None,
        served: None,
    }
}

fn said(words: &str) -> ContentBlock {
    ContentBlock::Text(words.into())
}

fn call(id: &str, name: &str) -> ContentBlock {
    ContentBlock::ToolUse(ToolUse { tool_use_id: id.into(), name: name.into(), input: json!({}) })
}

fn result(id: &str) -> CallOutcome {
    CallOutcome { tool_use_id: id.into(), result: Ok("72 kg".into()) }
}

fn failure(id: &str, failure: CallFailure) -> CallOutcome {
    CallOutcome { tool_use_id: id.into(), result: Err(failure) }
}

// === every stop reason ===

#[test]
fn an_answer_is_given_and_remembered_whatever_completed_or_shortened_it() {
    for reason in ["end_turn", "stop_sequence", "max_tokens", "model_context_window_exceeded", "a_reason_of_2030"] {
        let step = TurnRequest::new("Hi").begin(Vec::new());
        let outcome = done(asked(step).answered(answer(vec![said("Hello")], reason)));
        let answer = outcome.result.clone().expect("an answer");
        assert_eq!(answer.stop_reason.as_str(), reason);
        assert_eq!(answer.message, Message::assistant("Hello"));
        assert_eq!(remembered(&outcome), [Message::user("Hi"), Message::assistant("Hello")]);
    }
}

#[test]
fn a_tool_call_cut_off_by_the_token_limit_is_neither_made_nor_remembered() {
    let step = TurnRequest::new("Hi").tool(Weigh).begin(Vec::new());
    let outcome = done(asked(step).answered(answer(vec![said("Let me see."), call("1", "weigh")], "max_tokens")));
    assert_eq!(remembered(&outcome)[1], Message::assistant("Let me see."));
}

#[test]
fn tool_use_leads_through_the_tools_back_to_the_model() {
    let step = TurnRequest::new("How heavy am I?").tool(Weigh).begin(Vec::new());
    let step = asked(step).answered(answer(vec![said("Let me look."), call("1", "weigh")], "tool_use"));
    let round = tools(step);
    assert_eq!(round.calls().map(|(call, ..)| call.name.as_str()).collect::<Vec<_>>(), ["weigh"]);
    let step = round.returned(vec![result("1")]);
    let outcome = done(asked(step).answered(answer(vec![said("72 kg.")], "end_turn")));
    assert_eq!(outcome.result.clone().expect("an answer").message.text(), "72 kg.");
    assert_eq!(outcome.usage.total_tokens, 30);
    assert_eq!(remembered(&outcome).len(), 4);
    assert_can_go_on(remembered(&outcome));
}

#[test]
fn results_reach_the_model_in_the_order_of_the_calls_and_unknown_tools_are_answered() {
    let step = TurnRequest::new("?").tool(Weigh).begin(Vec::new());
    let calls = vec![call("1", "weigh"), call("2", "measure"), call("3", "weigh"), call("4", "weigh")];
    let round = tools(asked(step).answered(answer(calls, "tool_use")));
    let known: Vec<_> = round.calls().map(|(call, ..)| call.tool_use_id.clone()).collect();
    assert_eq!(known, ["1", "3", "4"]);
    let again = asked(round.returned(vec![result("3"), result("1"), result("9")]));
    insta::assert_json_snapshot!(again.request().messages[2], @r#"
    {
      "role": "user",
      "content": [
        {
          "toolResult": {
            "toolUseId": "1",
            "content": [
              {
                "text": "72 kg"
              }
            ],
            "status": "success"
          }
        },
        {
          "toolResult": {
            "toolUseId": "2",
            "content": [
              {
                "text": "There is no tool measure. The tools are: weigh."
              }
            ],
            "status": "error"
          }
        },
        {
          "toolResult": {
            "toolUseId": "3",
            "content": [
              {
                "text": "72 kg"
              }
            ],
            "status": "success"
          }
        },
        {
          "toolResult": {
            "toolUseId": "4",
            "content": [
              {
                "text": "The tool weigh gave no result."
              }
            ],
            "status": "error"
          }
        }
      ]
    }
    "#);
}

#[test]
fn tool_use_without_a_tool_is_an_answer() {
    let step = TurnRequest::new("Hi").begin(Vec::new());
    let outcome = done(asked(step).answered(answer(vec![said("Hello")], "tool_use")));
    assert_eq!(outcome.result.expect("an answer").stop_reason, StopReason::EndTurn);
}

#[test]
fn tool_rounds_are_bounded() {
    let mut step = TurnRequest::new("?").tool(Weigh).tool_rounds(2).begin(Vec::new());
    for round in 0..2 {
        step = tools(asked(step).answered(answer(vec![call("1", "weigh")], "tool_use"))).returned(vec![result("1")]);
        assert!(matches!(step, Step::CallModel(_)), "round {round}");
    }
    let outcome = done(asked(step).answered(answer(vec![said("Once more."), call("1", "weigh")], "tool_use")));
    assert_eq!(outcome.result.clone().expect("an answer").stop_reason, StopReason::ToolRoundsExceeded);
    assert_can_go_on(remembered(&outcome));
}

#[test]
fn the_bound_of_rounds_is_told_also_where_the_model_says_nothing_beside_its_call() {
    let step = TurnRequest::new("?").tool(Weigh).tool_rounds(0).begin(Vec::new());
    let outcome = done(asked(step).answered(answer(vec![call("1", "weigh")], "tool_use")));
    let told = outcome.result.clone().expect("an answer");
    assert_eq!((told.stop_reason, told.message.content.len()), (StopReason::ToolRoundsExceeded, 0));
    assert_can_go_on(remembered(&outcome));
}

#[test]
fn what_a_guardrail_stopped_is_not_sent_again() {
    let step = TurnRequest::new("something forbidden").begin(Vec::new());
    let outcome = done(asked(step).answered(answer(vec![said("I cannot talk about that.")], "guardrail_intervened")));
    assert_eq!(outcome.result.clone().expect("an answer").stop_reason, StopReason::GuardrailIntervened);
    assert_eq!(remembered(&outcome), [Message::user(WITHHELD), Message::assistant("I cannot talk about that.")]);
}

#[test]
fn a_filter_that_takes_every_word_away_is_an_answer_without_words() {
    let step = TurnRequest::new("Hi").begin(Vec::new());
    let outcome = done(asked(step).answered(answer(vec![], "content_filtered")));
    assert!(outcome.result.clone().expect("an answer").message.content.is_empty());
    assert_can_go_on(remembered(&outcome));
}

#[test]
fn silence_is_an_error_and_leaves_no_trace() {
    let step = TurnRequest::new("Hi").begin(Vec::new());
    let outcome = done(asked(step).answered(answer(vec![said("  \n")], "end_turn")));
    assert_eq!(outcome.result, Err(TurnError::EmptyAnswer { stop_reason: StopReason::EndTurn }));
    assert_eq!(outcome.keepsake, None);
}

// === failures and cuts ===

fn unreachable_model() -> ModelError {
    ModelError::Unreachable { reason: "connection refused".into() }
}

#[test]
fn a_failure_before_a_word_leaves_no_trace() {
    let step = TurnRequest::new("Hi").begin(Vec::new());
    let outcome = done(asked(step).failed(unreachable_model(), None));
    assert_eq!(outcome.result, Err(TurnError::Model(unreachable_model())));
    assert_eq!(outcome.keepsake, None);
}

#[test]
fn a_cut_in_the_middle_of_an_answer_keeps_what_was_said() {
    let step = TurnRequest::new("Hi").begin(Vec::new());
    let outcome = done(asked(step).cut(Some(Message::assistant("Hel"))));
    assert_eq!(outcome.result, Err(TurnError::Cut));
    assert_eq!(remembered(&outcome), [Message::user("Hi"), Message::assistant("Hel")]);
}

#[test]
fn what_a_call_costs_that_broke_off_is_not_known() {
    let call = || asked(TurnRequest::new("Hi").begin(Vec::new()));
    let so_far = || Some(Message::assistant("Hel"));
    let broke = ModelError::BrokenStream { reason: "reset".into() };
    let cost = |step| done(step).usage.cost.usd();
    assert_eq!(cost(call().out_of_time(so_far())), None);
    assert_eq!(cost(call().out_of_time(None)), None);
    assert_eq!(cost(call().cut(so_far())), None);
    assert_eq!(cost(call().failed(broke, None)), None);
    assert_eq!(cost(call().failed(unreachable_model(), so_far())), None);
    assert_eq!(cost(call().failed(unreachable_model(), None)), Some(0.0), "nobody was asked");
}

#[test]
fn a_cut_while_tools_run_keeps_the_results_that_came() {
    let step = TurnRequest::new("?").tool(Weigh).begin(Vec::new());
    let calls = vec![call("1", "weigh"), call("2", "weigh")];
    let outcome = done(tools(asked(step).answered(answer(calls, "tool_use"))).cut(vec![result("2")]));
    let messages = remembered(&outcome);
    assert_can_go_on(messages);
    assert_eq!(messages[2].tool_results().nth(1).map(|result| result.status), Some(ToolResultStatus::Success));
}

// === guards ===

struct Says(fn() -> Verdict);

impl Guard for Says {
    fn inspect(&self, _heard: &Heard<'_>) -> Verdict {
        (self.0)()
    }
}

const FLAG: Flag =
    Flag { kind: Cow::Borrowed("low_mood"), rule: Cow::Borrowed("hopelessness"), severity: Severity::Elevated };

#[test]
fn a_guard_can_answer_instead_of_the_model() {
    let request =
        TurnRequest::new("Hi").guard(Says(|| Verdict::Answer { text: "I hear you.".into(), flags: vec![FLAG] }));
    let outcome = done(request.begin(Vec::new()));
    assert_eq!(outcome.result.clone().expect("an answer").message.text(), "I hear you.");
    assert_eq!(remembered(&outcome), [Message::user("Hi"), Message::assistant("I hear you.")]);
    insta::assert_json_snapshot!(outcome.safety, @r#"
    {
      "severity": "elevated",
      "action": "answered",
      "flags": [
        {
          "kind": "low_mood",
          "rule": "hopelessness"
        }
      ]
    }
    "#);
}

#[test]
fn a_guard_can_instruct_the_model() {
    let request = TurnRequest::new("Hi")
        .system("You coach.")
        .guard(Says(|| Verdict::Allow))
        .guard(Says(|| Verdict::Annotate { instruction: "Be gentle.".into(), flags: vec![FLAG] }));
    let call = asked(request.begin(Vec::new()));
    assert_eq!(call.request().system, "You coach.\n\nBe gentle.");
}

/// Finds nothing grave, and wants the turn kept all the same.
struct Keeps;

impl Guard for Keeps {
    fn inspect(&self, _heard: &Heard<'_>) -> Verdict {
        Verdict::Allow
    }

    fn keeps(&self, heard: &Heard<'_>, _verdict: &Verdict) -> bool {
        heard.text == "I'm safe now"
    }
}

#[test]
fn a_guard_says_which_turns_a_session_must_still_know() {
    let pinned = |text: &str| {
        let call = asked(TurnRequest::new(text).guard(Keeps).begin(Vec::new()));
        done(call.answered(answer(vec![said("Good.")], "end_turn"))).keepsake.expect("it is kept").pinned
    };
    assert!(pinned("I'm safe now") && !pinned("And lunch?"));
}

/// Each flag with what was done because of it, not with what was done in the turn.
#[test]
fn each_flag_knows_what_was_done_because_of_it() {
    const OTHER: Flag =
        Flag { kind: Cow::Borrowed("medication"), rule: Cow::Borrowed("dose"), severity: Severity::Info };
    let request = TurnRequest::new("Hi")
        .guard(Says(|| Verdict::Annotate { instruction: "Be gentle.".into(), flags: vec![OTHER] }))
        .guard(Says(|| Verdict::Answer { text: "I hear you.".into(), flags: vec![FLAG] }));
    let safety = done(request.begin(Vec::new())).safety;
    let told: Vec<(&str, &str)> = safety
        .flags_and_done()
        .map(|(flag, done)| (flag.rule.as_ref(), done.map_or("unknown", |done| done.as_str())))
        .collect();
    assert_eq!(told, [("dose", "annotated"), ("hopelessness", "answered")]);
}

/// Answers whoever says something for the second time.
struct Repeats;

impl Guard for Repeats {
    fn inspect(&self, heard: &Heard<'_>) -> Verdict {
        let flag = Flag { severity: Severity::Crisis, ..FLAG };
        if heard.earlier().any(|said| said == heard.text) {
            return Verdict::Answer { text: "Again?".into(), flags: vec![flag] };
        }
        Verdict::Allow
    }
}

#[test]
fn a_guard_hears_what_was_said_before_and_a_crisis_stays_in_the_history() {
    let before = complete([Message::user("Help"), Message::assistant("How?")]);
    let before: Vec<_> = before.into_iter().map(Arc::new).collect();
    let calm = asked(TurnRequest::new("Hello").guard(Repeats).begin(before.clone()));
    assert!(!done(calm.answered(answer(vec![said("Hi.")], "end_turn"))).keepsake.expect("it is kept").pinned);

    let again = done(TurnRequest::new("Help").guard(Repeats).begin(before));
    assert_eq!(again.result.clone().expect("an answer").message.text(), "Again?");
    assert!(again.keepsake.expect("it is kept").pinned);
}

#[test]
fn a_guard_hears_what_the_session_knows_and_not_only_what_the_model_is_sent() {
    let known = complete([Message::user("Help"), Message::assistant("How?")]).into_iter().map(Arc::new).collect();
    let earlier = Earlier { sent: Vec::new(), known };
    let asking = TurnRequest::new("Help").guard(Repeats).system_from(|history| format!("{} turns", history.len()));
    let outcome = done(asking.clone().begin(earlier.clone()));
    assert_eq!(outcome.result.expect("an answer").message.text(), "Again?");
    let call = asked(
        TurnRequest::new("Hello")
            .guard(Repeats)
            .system_from(|history| format!("{} turns", history.len()))
            .begin(earlier),
    );
    assert_eq!((call.request().system.as_str(), call.request().history.len()), ("1 turns", 0));
}

#[test]
fn a_system_prompt_can_be_made_of_what_was_said_before() {
    let before = complete([Message::user("I am Dee"), Message::assistant("Hello, Dee.")]);
    let request = TurnRequest::new("Hello").system_from(|history| {
        let said: Vec<String> = history.iter().map(|turn| turn.user_words()).collect();
        format!("You coach. They said: {said:?}")
    });
    let call = asked(request.begin(before.into_iter().map(Arc::new).collect::<Vec<_>>()));
    assert_eq!(call.request().system, r#"You coach. They said: ["I am Dee"]"#);
}

// === what tools may do ===

fn asks(id: &str) -> CallOutcome {
    let question = Question { id: id.into(), tool: "weigh".into(), question: "May I?".into(), details: Value::Null };
    failure(id, CallFailure::Tool(ToolFailure::Ask(Box::new(question))))
}

#[test]
fn every_way_a_tool_can_fail_is_told_to_the_model_and_counted() {
    let step = TurnRequest::new("?").tool(Weigh).begin(Vec::new());
    let calls = (1..=6).map(|id| call(&id.to_string(), if id == 6 { "measure" } else { "weigh" })).collect();
    let round = tools(asked(step).answered(answer(calls, "tool_use")));
    let again = asked(round.returned(vec![
        failure("3", CallFailure::TimedOut(Duration::from_secs(30))),
        failure("1", CallFailure::Tool(ToolFailure::failed("The scale is broken."))),
        failure("4", CallFailure::Panicked),
        result("5"),
        failure("2", CallFailure::Tool(ToolFailure::InvalidInput("There is no such unit.".into()))),
    ]));
    let told: Vec<String> = again.request().messages[2]
        .tool_results()
        .map(|result| format!("{} {:?} {:?}", result.tool_use_id, result.status, result.content))
        .collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    1 Error [Text("The scale is broken.")]
    2 Error [Text("There is no such unit.")]
    3 Error [Text("The tool gave no result within 30 s.")]
    4 Error [Text("The tool failed unexpectedly.")]
    5 Success [Text("72 kg")]
    6 Error [Text("There is no tool measure. The tools are: weigh.")]
    "#);
    let outcome = done(again.answered(answer(vec![said("Sorry.")], "end_turn")));
    insta::assert_json_snapshot!(outcome.tools, @r#"
    {
      "calls": 6,
      "failed": 1,
      "unknown": 1,
      "invalid": 1,
      "timed_out": 1,
      "panicked": 1
    }
    "#);
}

#[test]
fn what_a_tool_gives_is_made_acceptable_to_converse() {
    for output in ["".into(), "  ".into(), json!([1, 2]).into(), json!(null).into(), ToolOutput::default()] {
        let step = TurnRequest::new("?").tool(Weigh).begin(Vec::new());
        let round = tools(asked(step).answered(answer(vec![call("1", "weigh")], "tool_use")));
        let again = asked(round.returned(vec![CallOutcome { tool_use_id: "1".into(), result: Ok(output) }]));
        assert_eq!(refusal_of(again.request()), None, "{:?}", again.request().messages);
    }
}

// === questions to a person ===

#[test]
fn a_tool_that_asks_a_person_ends_the_turn_with_the_question_and_loses_nothing() {
    let step = TurnRequest::new("Delete it all").tool(Weigh).begin(Vec::new());
    let calls = vec![said("I will ask."), call("1", "weigh"), call("2", "weigh"), call("3", "weigh")];
    let outcome =
        done(tools(asked(step).answered(answer(calls, "tool_use"))).returned(vec![asks("3"), result("2"), asks("1")]));
    let told = outcome.result.clone().expect("questions");
    assert_eq!(told.stop_reason, StopReason::Interrupted);
    assert_eq!(told.message, Message::assistant("I will ask."));
    assert_eq!(told.questions.iter().map(|question| question.id.as_str()).collect::<Vec<_>>(), ["1", "3"]);
    let paused = paused(&outcome).expect("a paused turn");
    assert_eq!(paused.results.iter().map(|result| result.tool_use_id.as_str()).collect::<Vec<_>>(), ["2"]);
    assert_can_go_on(complete(paused.messages.clone())[0].messages());
}

#[test]
fn the_reply_leads_on_in_another_process_with_only_the_calls_that_asked_made_again() {
    let step = TurnRequest::new("Delete it all").tool(Weigh).begin(Vec::new());
    let calls = vec![call("1", "weigh"), call("2", "weigh"), call("3", "weigh")];
    let outcome =
        done(tools(asked(step).answered(answer(calls, "tool_use"))).returned(vec![asks("1"), result("2"), asks("3")]));
    let stored = serde_json::to_string(paused(&outcome).expect("paused")).expect("JSON");

    let read = || serde_json::from_str::<PausedTurn>(&stored).expect("the same");
    let reply = |id: &str| Reply { id: id.into(), reply: json!("yes") };
    let one_reply = TurnRequest::replying(vec![reply("3")]).tool(Weigh).resume(Vec::new(), read());
    let round = tools(one_reply);
    let made: Vec<_> = round.calls().map(|(call, _, reply)| (call.tool_use_id.as_str(), reply.cloned())).collect();
    assert_eq!(made, [("3", Some(json!("yes")))]);
    let still = done(round.returned(vec![result("3")]));
    assert_eq!(still.result.clone().expect("a question").questions[0].id, "1", "the other question still stands");
    assert!(still.keepsake.clone().expect("kept").resumed);

    let round = tools(
        TurnRequest::replying(vec![reply("1")]).tool(Weigh).resume(Vec::new(), paused(&still).expect("paused").clone()),
    );
    let again = asked(round.returned(vec![result("1")]));
    assert_eq!(refusal_of(again.request()), None);
    let outcome = done(again.answered(answer(vec![said("Done.")], "end_turn")));
    assert_eq!(remembered(&outcome).len(), 4, "question, calls, results, answer: one turn");
    assert_eq!(remembered(&outcome)[0], Message::user("Delete it all"));
}

fn yes(id: &str) -> Reply {
    Reply { id: id.into(), reply: json!("yes") }
}

/// The calls that a round makes, each with its reply.
fn made(round: &ToolRound) -> Vec<(String, Option<Value>)> {
    round.calls().map(|(call, _, reply)| (call.tool_use_id.clone(), reply.cloned())).collect()
}

fn unreached() -> ModelError {
    ModelError::Unreachable { reason: "played".into() }
}

/// A turn whose one call asked, that went on by the reply, and whose model then failed after `so_far`.
fn answered_and_broken_off(so_far: Option<Message>) -> TurnOutcome {
    let step = TurnRequest::new("Delete it all").tool(Weigh).begin(Vec::new());
    let outcome =
        done(tools(asked(step).answered(answer(vec![call("1", "weigh")], "tool_use"))).returned(vec![asks("1")]));
    let waiting = paused(&outcome).expect("paused").clone();
    let round = tools(TurnRequest::replying(vec![yes("1")]).tool(Weigh).resume(Vec::new(), waiting));
    let outcome = done(asked(round.returned(vec![result("1")])).failed(unreached(), so_far));
    assert_eq!(outcome.result, Err(TurnError::Model(unreached())));
    assert!(outcome.keepsake.as_ref().expect("kept").resumed, "it takes the place of what waited");
    outcome
}

#[test]
fn given_a_model_that_fails_after_the_reply_then_the_same_reply_leads_on_and_nothing_is_done_twice() {
    for so_far in [None, Some(Message::assistant("It is "))] {
        let outcome = answered_and_broken_off(so_far);
        let stored = serde_json::to_string(paused(&outcome).expect("it can go on")).expect("JSON");
        let read = || serde_json::from_str::<PausedTurn>(&stored).expect("the same");

        let other = TurnRequest::replying(vec![yes("9")]).tool(Weigh).resume(Vec::new(), read());
        assert_eq!(done(other).result, Err(TurnError::NothingAsked), "other replies are still nobody's");
        let round = tools(TurnRequest::replying(vec![yes("1")]).tool(Weigh).resume(Vec::new(), read()));
        assert_eq!(made(&round), [], "what was done is known");
        let again = asked(round.returned(Vec::new()));
        assert_eq!(refusal_of(again.request()), None);
        let outcome = done(again.answered(answer(vec![said("Done.")], "end_turn")));
        let kept: Vec<Message> = remembered(&outcome).to_vec();
        assert_eq!((kept.len(), &kept[3]), (4, &Message::assistant("Done.")), "one turn: {kept:?}");
    }
}

#[test]
fn given_a_turn_that_broke_off_rounds_after_the_reply_then_it_goes_on_from_the_last_round() {
    let broken = paused(&answered_and_broken_off(None)).expect("paused").clone();
    let round = tools(TurnRequest::replying(vec![yes("1")]).tool(Weigh).resume(Vec::new(), broken));
    let further =
        asked(round.returned(Vec::new())).answered(answer(vec![call("2", "weigh"), call("3", "weigh")], "tool_use"));
    let outcome = done(tools(further).cut(vec![result("3")]));
    assert_eq!(outcome.result, Err(TurnError::Cut));

    let broken = paused(&outcome).expect("it can go on").clone();
    let round = tools(TurnRequest::replying(vec![yes("1")]).tool(Weigh).resume(Vec::new(), broken));
    assert_eq!(made(&round), [("2".to_owned(), None)], "only what did not come to an end is called");
    let again = asked(round.returned(vec![result("2")]));
    assert_eq!((refusal_of(again.request()), again.request().messages.len()), (None, 5));
}

#[test]
fn a_turn_that_broke_off_after_the_reply_is_told_with_what_was_done_and_said_when_the_talk_goes_on_otherwise() {
    let told = |so_far| {
        let broken = paused(&answered_and_broken_off(so_far)).expect("paused").clone();
        let [turn] = &broken.closed()[..] else { panic!("one turn") };
        assert_can_go_on(turn.messages());
        let results: Vec<_> = turn.messages()[2].tool_results().map(|result| result.status).collect();
        assert_eq!(results, [ToolResultStatus::Success]);
        turn.messages()[3].text()
    };
    assert_eq!(told(Some(Message::assistant("It is "))), "It is ");
    assert_eq!(told(None), INTERRUPTED);
}

#[test]
fn a_guard_that_answers_a_reply_loses_neither_results_nor_what_was_said() {
    let step = TurnRequest::new("Delete it all").tool(Weigh).begin(Vec::new());
    let calls = vec![call("1", "weigh"), call("2", "weigh")];
    let outcome = done(tools(asked(step).answered(answer(calls, "tool_use"))).returned(vec![asks("1"), result("2")]));
    let reply = Reply { id: "1".into(), reply: json!("Help") };
    let known =
        complete([Message::user("Help"), Message::assistant("How?")]).into_iter().map(Arc::new).collect::<Vec<_>>();
    let request = TurnRequest::replying(vec![reply]).tool(Weigh).guard(Repeats);
    let outcome = done(request.resume(known, paused(&outcome).expect("paused").clone()));
    assert_eq!(outcome.result.as_ref().expect("an answer").message.text(), "Again?");
    let kept = outcome.keepsake.as_ref().expect("kept");
    assert!(kept.resumed && kept.pinned);
    assert_can_go_on(remembered(&outcome));
    insta::assert_json_snapshot!(remembered(&outcome)[2], @r#"
    {
      "role": "user",
      "content": [
        {
          "toolResult": {
            "toolUseId": "1",
            "content": [
              {
                "text": "A person was asked. What the person said follows; it was answered without the tool."
              }
            ],
            "status": "error"
          }
        },
        {
          "toolResult": {
            "toolUseId": "2",
            "content": [
              {
                "text": "72 kg"
              }
            ],
            "status": "success"
          }
        },
        {
          "text": "Help"
        }
      ]
    }
    "#);

    let later = Heard { text: "Hello", history: &[Arc::new(complete(remembered(&outcome).to_vec()).remove(0))] };
    assert_eq!(later.earlier().collect::<Vec<_>>(), ["Delete it all", "Help"], "a later guard hears it");
}

#[test]
fn a_reply_to_what_nobody_asked_is_refused_and_changes_nothing() {
    let reply = Reply { id: "9".into(), reply: json!("yes") };
    let outcome = done(TurnRequest::replying(vec![reply]).tool(Weigh).resume(Vec::new(), PausedTurn::default()));
    assert_eq!(outcome.result, Err(TurnError::NothingAsked));
    assert_eq!(outcome.keepsake, None);
}

// === time, length, and other agents' tools ===

#[test]
fn when_time_is_over_what_was_said_is_the_answer() {
    let step = TurnRequest::new("Hi").begin(Vec::new());
    let outcome = done(asked(step).out_of_time(Some(Message::assistant("Well, "))));
    assert_eq!(outcome.result.clone().expect("an answer").stop_reason, StopReason::DeadlineExceeded);
    assert_can_go_on(remembered(&outcome));
    let silent = done(asked(TurnRequest::new("Hi").begin(Vec::new())).out_of_time(None));
    assert_eq!(silent.result, Err(TurnError::OutOfTime));
}

#[test]
fn a_conversation_that_is_too_long_is_made_shorter_and_asked_again() {
    let history: Vec<_> = (0..10)
        .flat_map(|turn| complete([Message::user(format!("q{turn}")), Message::assistant("a")]))
        .map(Arc::new)
        .collect();
    let mut step = TurnRequest::new("Hi").begin(history);
    let mut lengths = Vec::new();
    let outcome = loop {
        match step {
            Step::CallModel(call) => {
                lengths.push(call.request().history.len());
                assert_eq!(refusal_of(call.request()), None);
                step = call.failed(too_long(), None);
            }
            Step::Done(outcome) => break outcome,
            Step::CallTools(_) => unreachable!(),
        }
    };
    assert_eq!(lengths, [10, 5, 2, 0]);
    assert_eq!(outcome.result, Err(TurnError::Model(too_long())));
}

fn too_long() -> ModelError {
    ModelError::ContextTooLong { model: "m".into() }
}

fn picture() -> Image {
    Image { format: ImageFormat::Png, source: MediaSource::Bytes(vec![1, 2, 3].into()) }
}

/// A conversation in which there is something of every kind to leave out: so many turns, a summary and a pinned turn
/// before them, and pictures everywhere.
fn with_everything(turns: usize) -> ModelCall {
    let turn = |content| complete([Message { role: Role::User, content }, Message::assistant("a")]).remove(0);
    let sent = |turn, stays| SentTurn { turn: Arc::new(turn), stays };
    let mut earlier = vec![sent(turn(vec![said("The summary.")]), true), sent(turn(vec![said("Pinned.")]), true)];
    let content = || vec![said("q"), ContentBlock::Image(picture())];
    earlier.extend((0..turns).map(|_| sent(turn(content()), false)));
    let asking = TurnRequest::saying(vec![said("Hi"), ContentBlock::Image(picture())]).tool(Weigh);
    let step = asking.begin(Earlier { sent: earlier, known: Vec::new() });
    let round = tools(asked(step).answered(answer(vec![call("1", "weigh")], "tool_use")));
    let output = vec![ToolResultContent::Text("x".repeat(5_000)), ToolResultContent::Image(picture())];
    asked(round.returned(vec![CallOutcome { tool_use_id: "1".into(), result: Ok(output.into()) }]))
}

/// What a request holds: turns of history, pictures there, in the message and in the results, bytes of result text.
fn holds(request: &ModelRequest) -> String {
    let pictures = |messages: &[Message], of_tools: bool| {
        let blocks = messages.iter().flat_map(|message| &message.content);
        let counts = blocks.map(|block| match block {
            ContentBlock::Image(_) if !of_tools => 1,
            ContentBlock::ToolResult(result) if of_tools => {
                result.content.iter().filter(|part| matches!(part, ToolResultContent::Image(_))).count()
            }
            _ => 0,
        });
        counts.sum::<usize>()
    };
    let past = request.history.iter().map(|turn| pictures(turn.messages(), false)).sum::<usize>();
    let stays = request.history.iter().map(|turn| turn.user_words()).filter(|words| words.ends_with('.'));
    let texts = request.messages.iter().flat_map(Message::tool_results).flat_map(|result| &result.content);
    let longest = texts.filter_map(|part| match part {
        ToolResultContent::Text(text) => Some(text.len()),
        _ => None,
    });
    format!(
        "{} turns ({}), pictures {past} {} {}, results {}",
        request.history.len(),
        stays.collect::<Vec<_>>().join(" "),
        pictures(&request.messages, true),
        pictures(&request.messages, false),
        longest.max().unwrap_or(0)
    )
}

#[test]
fn pictures_go_before_text_and_the_summary_goes_last() {
    let mut step = Step::CallModel(with_everything(8));
    let mut held = Vec::new();
    while let Step::CallModel(call) = step {
        assert_eq!(refusal_of(call.request()), None);
        assert_eq!(call.estimated_tokens(), call.request().estimated_tokens());
        held.push(holds(call.request()));
        step = call.failed(too_long(), None);
    }
    insta::assert_snapshot!(held.join("\n"), @"
    10 turns (The summary. Pinned.), pictures 8 1 1, results 5000
    10 turns (The summary. Pinned.), pictures 0 1 1, results 5000
    10 turns (The summary. Pinned.), pictures 0 0 1, results 5000
    10 turns (The summary. Pinned.), pictures 0 0 0, results 5000
    6 turns (The summary. Pinned.), pictures 0 0 0, results 5000
    4 turns (The summary. Pinned.), pictures 0 0 0, results 5000
    2 turns (The summary. Pinned.), pictures 0 0 0, results 5000
    2 turns (The summary. Pinned.), pictures 0 0 0, results 2555
    2 turns (The summary. Pinned.), pictures 0 0 0, results 1332
    2 turns (The summary. Pinned.), pictures 0 0 0, results 721
    2 turns (The summary. Pinned.), pictures 0 0 0, results 555
    1 turns (The summary.), pictures 0 0 0, results 555
    0 turns (), pictures 0 0 0, results 555
    ");
}

#[test]
fn a_session_of_any_length_leaves_steps_to_cut_tool_results() {
    let mut step = Step::CallModel(with_everything(500));
    let mut shortest = usize::MAX;
    while let Step::CallModel(call) = step {
        shortest = shortest.min(call.request().estimated_tokens());
        step = call.failed(too_long(), None);
    }
    assert!(shortest < 500, "{shortest} tokens are left");
}

#[test]
fn long_tool_results_are_cut_before_the_turn_is_given_up() {
    let step = TurnRequest::new("?").tool(Weigh).begin(Vec::new());
    let round = tools(asked(step).answered(answer(vec![call("1", "weigh")], "tool_use")));
    let long = CallOutcome { tool_use_id: "1".into(), result: Ok("é".repeat(10_000).into()) };
    let again = asked(round.returned(vec![long]));
    let before = again.request().estimated_tokens();
    let shorter = asked(again.failed(ModelError::ContextTooLong { model: "m".into() }, None));
    assert!(shorter.request().estimated_tokens() < before * 2 / 3);
    assert_eq!(shorter.estimated_tokens(), shorter.request().estimated_tokens());
    assert_eq!(refusal_of(shorter.request()), None);
}

#[test]
fn an_agent_without_tools_reads_a_history_of_tools_as_words() {
    let used = complete([
        Message::user("How heavy am I?"),
        Message { role: Role::Assistant, content: vec![said("Let me look."), call("1", "weigh")] },
        Message { role: Role::User, content: vec![ContentBlock::ToolResult(ToolResult::error("1", "broken"))] },
        Message::assistant("I cannot say."),
    ]);
    let history: Vec<_> = used.into_iter().map(Arc::new).collect();
    let without = asked(TurnRequest::new("Hi").begin(history.clone()));
    assert_eq!(refusal_of(without.request()), None);
    assert_eq!(without.request().history[0].messages()[1].text(), "Let me look.I cannot say.");
    let with = asked(TurnRequest::new("Hi").tool(Weigh).begin(history));
    assert_eq!(with.request().history[0].messages().len(), 4);
}

// === anything a model and its tools may do ===

#[derive(Debug, Clone)]
enum Happening {
    Answer { content: Vec<ContentBlock>, stop_reason: String },
    Failure(Option<String>),
    TooLong,
    Replaced(String),
    Cut(Option<String>),
    OutOfTime(Option<String>),
    Results(Vec<CallOutcome>),
    CutTools(Vec<CallOutcome>),
    ToolsOutOfTime(Vec<CallOutcome>),
}

fn call_outcome() -> impl Strategy<Value = CallOutcome> {
    (call_id(), 0..7_u8).prop_map(|(id, kind)| match kind {
        0 => failure(&id, CallFailure::Panicked),
        1 => failure(&id, CallFailure::TimedOut(Duration::from_secs(1))),
        2 => failure(&id, CallFailure::Tool(ToolFailure::failed(""))),
        3 => failure(&id, CallFailure::Tool(ToolFailure::InvalidInput("no".into()))),
        4 => asks(&id),
        5 => CallOutcome { tool_use_id: id, result: Ok(json!([1]).into()) },
        _ => result(&id),
    })
}

fn happening() -> impl Strategy<Value = Happening> {
    let input = prop_oneof![3 => Just(json!({})), 1 => Just(json!(7)), 1 => Just(json!({"kg": 72}))];
    let names = prop_oneof![4 => Just("weigh"), 1 => Just("no_such_tool"), 2 => Just("kilograms")];
    let block = prop_oneof![
        2 => text().prop_map(ContentBlock::Text),
        3 => (call_id(), names, input).prop_map(|(id, name, input)| {
            ContentBlock::ToolUse(ToolUse { tool_use_id: id, name: name.into(), input })
        }),
    ];
    let stop_reason = prop_oneof![
        5 => Just("tool_use"),
        1 => prop_oneof![
            Just("end_turn"), Just("max_tokens"), Just("stop_sequence"), Just("guardrail_intervened"),
            Just("content_filtered"), Just("model_context_window_exceeded"), Just("malformed_tool_use"),
        ],
    ];
    let outcomes = || prop::collection::vec(call_outcome(), 0..4);
    let so_far = || prop::option::of(text());
    prop_oneof![
        8 => (prop::collection::vec(block, 0..4), stop_reason)
            .prop_map(|(content, reason)| Happening::Answer { content, stop_reason: reason.into() }),
        1 => so_far().prop_map(Happening::Failure),
        1 => Just(Happening::TooLong),
        1 => text().prop_map(Happening::Replaced),
        1 => so_far().prop_map(Happening::Cut),
        1 => so_far().prop_map(Happening::OutOfTime),
        6 => outcomes().prop_map(Happening::Results),
        1 => outcomes().prop_map(Happening::CutTools),
        1 => outcomes().prop_map(Happening::ToolsOutOfTime),
    ]
}

/// Tells a turn what happened; what does not fit its state stands for the nearest thing that does.
fn happen(step: Step, happening: Happening) -> Step {
    let so_far = |text: Option<String>| text.map(Message::assistant);
    match (step, happening) {
        (Step::CallModel(call), Happening::Answer { content, stop_reason }) => {
            call.answered(answer(content, &stop_reason))
        }
        (Step::CallModel(call), Happening::Failure(text)) => call.failed(unreachable_model(), so_far(text)),
        (Step::CallModel(call), Happening::TooLong) => {
            call.failed(ModelError::ContextTooLong { model: "m".into() }, None)
        }
        (Step::CallModel(call), Happening::Replaced(text)) if call.is_heard() => {
            call.replaced(answer(vec![said(&text)], "guardrail_intervened"))
        }
        (Step::CallModel(call), Happening::Cut(text)) => call.cut(so_far(text)),
        (Step::CallModel(call), Happening::OutOfTime(text)) => call.out_of_time(so_far(text)),
        (Step::CallModel(call), _) => call.answered(answer(vec![said("well")], "end_turn")),
        (Step::CallTools(round), Happening::Results(outcomes)) => round.returned(outcomes),
        (Step::CallTools(round), Happening::CutTools(outcomes)) => round.cut(outcomes),
        (Step::CallTools(round), Happening::ToolsOutOfTime(outcomes)) => round.out_of_time(outcomes),
        (Step::CallTools(round), _) => round.returned(Vec::new()),
        (Step::Done(outcome), _) => Step::Done(outcome),
    }
}

/// What one of the session's agents asks for.
#[derive(Debug, Clone, Copy)]
enum Kind {
    WithTools,
    WithoutTools,
    Returning,
    ReturningWithTools,
    Routed,
}

/// What a guard makes of every message.
#[derive(Debug, Clone, Copy)]
enum Mood {
    Allows,
    Annotates,
    Answers,
    Crisis,
    Doubts,
}

impl Guard for Mood {
    fn inspect(&self, _heard: &Heard<'_>) -> Verdict {
        let answer = |severity| Verdict::Answer { text: "I hear you.".into(), flags: vec![Flag { severity, ..FLAG }] };
        match self {
            Self::Allows | Self::Doubts => Verdict::Allow,
            Self::Annotates => Verdict::Annotate { instruction: "Be gentle.".into(), flags: vec![FLAG] },
            Self::Answers => answer(Severity::Elevated),
            Self::Crisis => answer(Severity::Crisis),
        }
    }

    fn doubts(&self, heard: &Heard<'_>, _verdict: &Verdict) -> Option<SecondOpinion> {
        let (instruction, question) = ("What is it about?".to_owned(), heard.text.to_owned());
        matches!(self, Self::Doubts).then(|| SecondOpinion { instruction, question, form: Weigh.spec() })
    }

    fn reconsiders(&self, _heard: &Heard<'_>, _verdict: Verdict, told: &Value) -> Verdict {
        let text = told.to_string();
        if text.len().is_multiple_of(2) { Verdict::Answer { text, flags: vec![FLAG] } } else { Verdict::Allow }
    }

    fn reviews(&self) -> bool {
        true
    }

    fn review(&self, leaving: &Leaving<'_>) -> Review {
        match self {
            Self::Annotates if leaving.sentence.contains('a') => Review::Repair { text: String::new(), flag: FLAG },
            Self::Allows if leaving.sentence.contains('z') => Review::ReplaceRest { text: "No.".into(), flag: FLAG },
            _ => Review::Pass,
        }
    }
}

/// One of two agents of a router: the one has tools, the other has none.
struct Weigher(u32, Mood);

impl Agent for Weigher {
    type Payload = Prompt;
    const NAME: &'static str = "weigher";

    fn turn(&self, payload: Prompt, _context: &Context) -> Result<TurnRequest, PayloadError> {
        Ok(payload.turn()?.tool(Weigh).tool_rounds(self.0).guard(self.1))
    }
}

struct Talker(Mood);

impl Agent for Talker {
    type Payload = Prompt;
    const NAME: &'static str = "talker";

    fn turn(&self, payload: Prompt, _context: &Context) -> Result<TurnRequest, PayloadError> {
        Ok(payload.turn()?.guard(self.0))
    }
}

/// What must be returned.
#[derive(Deserialize, JsonSchema)]
struct Kilograms {
    #[expect(dead_code, reason = "only read")]
    kg: f64,
}

fn of_kind(kind: Kind, payload: &Value, rounds: u32, mood: Mood) -> TurnRequest {
    let payload: Prompt = serde_json::from_value(payload.clone()).expect("a payload");
    let request = || payload.clone().turn().expect("a request").tool_rounds(rounds).guard(mood);
    let mut request = match kind {
        Kind::WithTools => request().tool(Weigh),
        Kind::WithoutTools => request(),
        Kind::Returning => request().returning::<Kilograms>(),
        Kind::ReturningWithTools => request().tool(Weigh).returning::<Kilograms>(),
        Kind::Routed => Router::new("weighing", Weigher(rounds, mood))
            .agent("talking", Talker(Mood::Allows))
            .turn(payload, &Context::default())
            .expect("a request"),
    };
    request.overrule(Overruling { second_opinions: true, ..Overruling::default() });
    request
}

/// The history as a process reads it that has just begun: by way of JSON.
fn stored_and_read(turns: &[Vec<Message>]) -> Vec<Arc<CompleteTurn>> {
    let stored = serde_json::to_string(turns).expect("JSON");
    let read: Vec<Vec<Message>> = serde_json::from_str(&stored).expect("the same");
    read.into_iter().flat_map(complete).map(Arc::new).collect()
}

/// The same for a turn that waits.
fn as_read_again(paused: &PausedTurn) -> PausedTurn {
    let stored = serde_json::to_string(&paused.clone().without_media_bytes()).expect("JSON");
    serde_json::from_str(&stored).expect("the same")
}

proptest! {
    /// Sessions of several agents whose tools work, fail, hang, panic and ask, whose streams are cut, and
    /// whose processes restart between any two turns.
    #[test]
    fn whatever_happens_every_question_and_every_memory_is_acceptable(
        session in prop::collection::vec(
            (
                prop_oneof![
                    Just(Kind::WithTools), Just(Kind::WithoutTools), Just(Kind::Returning),
                    Just(Kind::ReturningWithTools), Just(Kind::Routed),
                ],
                prop::collection::vec(happening(), 24),
                0_u32..6,
                any::<bool>(),
                prop_oneof![
                    6 => Just(Mood::Allows), 2 => Just(Mood::Annotates), 1 => Just(Mood::Answers), 1 => Just(Mood::Crisis),
                    2 => Just(Mood::Doubts),
                ],
            ),
            1..5,
        ),
    ) {
        let mut stored: Vec<Vec<Message>> = Vec::new();
        let mut waiting: Option<PausedTurn> = None;
        for (kind, happenings, rounds, answers, mood) in session {
            let mut step = match waiting.take() {
                Some(paused) if answers => {
                    let replies: Vec<Value> =
                        paused.answerable().map(|question| json!({"id": question.id, "reply": "yes"})).collect();
                    let request = of_kind(kind, &json!({ "replies": replies }), rounds, mood);
                    request.resume(stored_and_read(&stored), paused)
                }
                Some(paused) => {
                    stored.extend(paused.closed().iter().map(|turn| turn.messages().to_vec()));
                    of_kind(kind, &json!({"prompt": "Never mind."}), rounds, mood).begin(stored_and_read(&stored))
                }
                None => {
                    of_kind(kind, &json!({"prompt": "How heavy am I?"}), rounds, mood).begin(stored_and_read(&stored))
                }
            };
            let mut questions = 0;
            for happening in happenings {
                if let Step::CallModel(call) = &step {
                    questions += 1;
                    prop_assert_eq!(refusal_of(call.request()), None, "{:#?}", call.request());
                    prop_assert_eq!(call.estimated_tokens(), call.request().estimated_tokens());
                }
                step = happen(step, happening);
            }
            // Rounds, a choice, a second opinion, attempts to return a type, and attempts to be shorter are all bounded.
            prop_assert!(questions <= rounds + 1 + 1 + 1 + 3 + 16, "{} questions in {} rounds", questions, rounds);
            let Step::Done(outcome) = step else { continue };
            if let Some(messages) = whole(&outcome) {
                stored.push(messages.to_vec());
                assert_can_go_on(stored.iter().flatten());
            }
            if let (Some(messages), Ok(answer)) = (whole(&outcome), &outcome.result) {
                let kept = messages.last().expect("an end");
                prop_assert!(kept.text() == answer.message.text() || answer.message.content.is_empty());
            }
            waiting = paused(&outcome).map(as_read_again);
            let is_asked = matches!(&outcome.result, Ok(answer) if answer.stop_reason == StopReason::Interrupted);
            let broke_off = waiting.as_ref().is_some_and(|paused| paused.broken_off.is_some());
            prop_assert_eq!(waiting.is_some(), is_asked || broke_off);
            prop_assert!(!broke_off || outcome.result.is_err());
        }
    }
}
