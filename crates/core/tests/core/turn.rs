use std::borrow::Cow;
use std::sync::Arc;

use agentcore_core::guard::{Flag, Guard, Severity, Verdict};
use agentcore_core::history::complete;
use agentcore_core::message::{
    ContentBlock, Message, Role, StopReason, ToolResult, ToolResultContent, ToolResultStatus, ToolUse, Usage,
};
use agentcore_core::model::{ModelAnswer, ModelError};
use agentcore_core::tool::{Tool, ToolCall, ToolFailure, ToolOutput, ToolSpec};
use agentcore_core::turn::{ModelCall, Step, ToolRound, TurnError, TurnOutcome, TurnRequest, WITHHELD};
use futures::future::BoxFuture;
use proptest::prelude::*;
use serde_json::json;

use crate::converse_rules::{assert_can_go_on, call_id, refusal, text};

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

fn done(step: Step) -> TurnOutcome {
    match step {
        Step::Done(outcome) => outcome,
        other => panic!("the turn should be over, not {other:?}"),
    }
}

fn answer(content: Vec<ContentBlock>, stop_reason: &str) -> ModelAnswer {
    ModelAnswer {
        message: Message { role: Role::Assistant, content },
        stop_reason: stop_reason.into(),
        usage: Usage { input_tokens: 10, output_tokens: 5, total_tokens: 15, ..Usage::default() },
        guardrail: None,
    }
}

fn said(words: &str) -> ContentBlock {
    ContentBlock::Text(words.into())
}

fn call(id: &str, name: &str) -> ContentBlock {
    ContentBlock::ToolUse(ToolUse { tool_use_id: id.into(), name: name.into(), input: json!({}) })
}

fn result(id: &str) -> ToolResult {
    ToolResult {
        tool_use_id: id.into(),
        content: vec![ToolResultContent::Text("72 kg".into())],
        status: ToolResultStatus::default(),
    }
}

fn remembered(outcome: &TurnOutcome) -> &[Message] {
    outcome.remember.as_ref().expect("something is remembered").messages()
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
    assert_eq!(round.calls().map(|call| call.name.as_str()).collect::<Vec<_>>(), ["weigh"]);
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
    let known: Vec<_> = round.calls().map(|call| call.tool_use_id.clone()).collect();
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
    assert_eq!(outcome.remember, None);
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
    assert_eq!(outcome.remember, None);
}

#[test]
fn a_cut_in_the_middle_of_an_answer_keeps_what_was_said() {
    let step = TurnRequest::new("Hi").begin(Vec::new());
    let outcome = done(asked(step).cut(Some(Message::assistant("Hel"))));
    assert_eq!(outcome.result, Err(TurnError::Cut));
    assert_eq!(remembered(&outcome), [Message::user("Hi"), Message::assistant("Hel")]);
}

#[test]
fn a_cut_while_tools_run_keeps_the_results_that_came() {
    let step = TurnRequest::new("?").tool(Weigh).begin(Vec::new());
    let calls = vec![call("1", "weigh"), call("2", "weigh")];
    let outcome = done(tools(asked(step).answered(answer(calls, "tool_use"))).cut(vec![result("2")]));
    let messages = remembered(&outcome);
    assert_can_go_on(messages);
    assert_eq!(messages[2].tool_results().nth(1), Some(&result("2")));
}

// === guards ===

struct Says(fn() -> Verdict);

impl Guard for Says {
    fn inspect(&self, _text: &str) -> Verdict {
        (self.0)()
    }
}

const FLAG: Flag =
    Flag { kind: Cow::Borrowed("low_mood"), rule: Cow::Borrowed("hopelessness"), severity: Severity::Elevated };

#[test]
fn a_guard_can_answer_instead_of_the_model() {
    let request = TurnRequest::new("Hi").guard(Says(|| Verdict::Answer { text: "I hear you.".into(), flag: FLAG }));
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
        .guard(Says(|| Verdict::Annotate { instruction: "Be gentle.".into(), flag: FLAG }));
    let call = asked(request.begin(Vec::new()));
    assert_eq!(call.request().system, "You coach.\n\nBe gentle.");
}

// === anything a model and its tools may do ===

#[derive(Debug, Clone)]
enum Happening {
    Answer { content: Vec<ContentBlock>, stop_reason: String },
    Failure(Option<String>),
    Cut(Option<String>),
    Results(Vec<String>),
    CutTools(Vec<String>),
}

fn happening() -> impl Strategy<Value = Happening> {
    let block = prop_oneof![
        2 => text().prop_map(ContentBlock::Text),
        2 => (call_id(), prop_oneof![Just("weigh"), Just("no_such_tool")]).prop_map(|(id, name)| call(&id, name)),
    ];
    let stop_reason = prop_oneof![
        4 => Just("tool_use"),
        1 => prop_oneof![
            Just("end_turn"), Just("max_tokens"), Just("stop_sequence"), Just("guardrail_intervened"),
            Just("content_filtered"), Just("model_context_window_exceeded"), Just("malformed_tool_use"),
        ],
    ];
    let ids = || prop::collection::vec(call_id(), 0..4);
    prop_oneof![
        6 => (prop::collection::vec(block, 0..4), stop_reason)
            .prop_map(|(content, reason)| Happening::Answer { content, stop_reason: reason.into() }),
        1 => prop::option::of(text()).prop_map(Happening::Failure),
        1 => prop::option::of(text()).prop_map(Happening::Cut),
        4 => ids().prop_map(Happening::Results),
        1 => ids().prop_map(Happening::CutTools),
    ]
}

/// Tells a turn what happened; what does not fit its state stands for the nearest thing that does.
fn happen(step: Step, happening: Happening) -> Step {
    let results = |ids: Vec<String>| ids.iter().map(|id| result(id)).collect();
    let so_far = |text: Option<String>| text.map(Message::assistant);
    match (step, happening) {
        (Step::CallModel(call), Happening::Answer { content, stop_reason }) => {
            call.answered(answer(content, &stop_reason))
        }
        (Step::CallModel(call), Happening::Failure(text)) => call.failed(unreachable_model(), so_far(text)),
        (Step::CallModel(call), Happening::Cut(text)) => call.cut(so_far(text)),
        (Step::CallModel(call), _) => call.answered(answer(vec![said("well")], "end_turn")),
        (Step::CallTools(round), Happening::Results(ids)) => round.returned(results(ids)),
        (Step::CallTools(round), Happening::CutTools(ids)) => round.cut(results(ids)),
        (Step::CallTools(round), _) => round.returned(Vec::new()),
        (Step::Done(outcome), _) => Step::Done(outcome),
    }
}

proptest! {
    #[test]
    fn whatever_happens_every_question_and_every_memory_is_acceptable(
        happenings in prop::collection::vec(happening(), 40),
        rounds in 0_u32..6,
    ) {
        let history: Vec<_> = complete([Message::user("Hi"), Message::assistant("Hello")]).into_iter().map(Arc::new).collect();
        let mut step = TurnRequest::new("How heavy am I?").tool(Weigh).tool_rounds(rounds).begin(history.clone());
        let mut questions = 0;
        for happening in happenings {
            if let Step::CallModel(call) = &step {
                questions += 1;
                let earlier = call.request().history.iter().flat_map(|turn| turn.messages());
                let asked: Vec<&Message> = earlier.chain(&call.request().messages).collect();
                prop_assert_eq!(refusal(&asked), None);
                prop_assert_eq!(asked.last().map(|message| message.role), Some(Role::User));
            }
            step = happen(step, happening);
        }
        let outcome = done(step);
        prop_assert!(questions <= rounds + 1, "{} questions in {} rounds", questions, rounds);
        if let Some(turn) = &outcome.remember {
            let earlier = history.iter().flat_map(|turn| turn.messages());
            assert_can_go_on(earlier.chain(turn.messages()));
        }
        if let Ok(answer) = &outcome.result {
            let kept = remembered(&outcome).last().expect("an end");
            prop_assert!(kept.text() == answer.message.text() || answer.message.content.is_empty());
        }
    }
}
