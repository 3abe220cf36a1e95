//! A model made of models: what it does when they fail, and that nobody sees the seam.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agentcore_core::message::{ContentBlock, Message, Role, StopReason, ToolUse, Usage};
use agentcore_core::model::breaker::{Breaker, Failure};
use agentcore_core::model::resilient::{Candidate, Resilient};
use agentcore_core::model::retry::{Backoff, RetryPolicy};
use agentcore_core::model::{
    AnswerInWriting, BlockDelta, BlockStart, Metrics, Model, ModelAnswer, ModelError, ModelEvent, ModelEvents,
    ModelRequest, ModelSize, Served,
};
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt as _};
use proptest::prelude::*;
use serde_json::json;
use tokio::time::{Instant, advance, sleep};

/// A model that knows its answer, and fails as it is told.
#[derive(Debug, Clone, Default)]
struct Played {
    /// Pieces of text, which the answer is streamed in.
    text: Vec<String>,
    /// Names of the tools it asks for then.
    tools: Vec<String>,
    /// What becomes of each call; after the last, all goes well.
    calls: Arc<Mutex<VecDeque<Fate>>>,
    asked: Arc<Mutex<Vec<ModelRequest>>>,
}

/// What becomes of a call.
#[derive(Debug, Clone)]
enum Fate {
    Refused(ModelError),
    /// So many events, then this.
    BrokenAfter(usize, ModelError),
    /// So many events, then the end, without a word.
    EndsAfter(usize),
    Answered,
}

const USAGE: Usage = Usage {
    input_tokens: 7,
    output_tokens: 3,
    total_tokens: 10,
    cache_read_input_tokens: 0,
    cache_write_input_tokens: 0,
    cost: agentcore_core::message::Cost::from_nano_usd(66_000),
};

impl Played {
    fn saying(text: &[&str]) -> Self {
        Self { text: text.iter().map(|&piece| piece.to_owned()).collect(), ..Self::default() }
    }

    fn then(self, fates: impl IntoIterator<Item = Fate>) -> Self {
        self.calls.lock().expect("the fates").extend(fates);
        self
    }

    fn calls(&self) -> usize {
        self.asked.lock().expect("the calls").len()
    }

    /// What the model says, from the words on that it is asked to go on from.
    fn events(&self, request: &ModelRequest) -> Vec<ModelEvent> {
        let whole: String = self.text.concat();
        let last = request.messages.last().expect("a message");
        let said = if last.role == Role::Assistant { last.text() } else { String::new() };
        assert_eq!(said, said.trim_end(), "Converse refuses white space at the end");
        assert!(whole.starts_with(&said), "{said:?} was never said by {whole:?}");
        let mut events = vec![ModelEvent::MessageStart { role: Role::Assistant }];
        let mut skip = said.len();
        for piece in &self.text {
            let skipped = skip.min(piece.len());
            skip -= skipped;
            if !piece[skipped..].is_empty() {
                let delta = BlockDelta::Text(piece[skipped..].to_owned());
                events.push(ModelEvent::ContentBlockDelta { content_block_index: 0, delta });
            }
        }
        let has_text = events.len() > 1;
        if has_text {
            events.push(ModelEvent::ContentBlockStop { content_block_index: 0 });
        }
        for (place, name) in self.tools.iter().enumerate() {
            let content_block_index = place + usize::from(has_text);
            let start = BlockStart::ToolUse { tool_use_id: format!("call-{place}"), name: name.clone() };
            events.push(ModelEvent::ContentBlockStart { content_block_index, start });
            for input in [r#"{"of":"#, &format!("{place}}}")] {
                let delta = BlockDelta::ToolUse { input: input.to_owned() };
                events.push(ModelEvent::ContentBlockDelta { content_block_index, delta });
            }
            events.push(ModelEvent::ContentBlockStop { content_block_index });
        }
        let stop_reason = if self.tools.is_empty() { StopReason::EndTurn } else { StopReason::ToolUse };
        events.push(ModelEvent::MessageStop { stop_reason });
        let metrics = Metrics { latency_ms: 5 };
        events.push(ModelEvent::Metadata { usage: USAGE, metrics, guardrail: None, served: None });
        events
    }

    fn fate(&self, request: &ModelRequest) -> Fate {
        self.asked.lock().expect("the calls").push(request.clone());
        self.calls.lock().expect("the fates").pop_front().unwrap_or(Fate::Answered)
    }
}

impl Model for Played {
    fn converse<'a>(&'a self, request: &'a ModelRequest) -> BoxFuture<'a, Result<ModelAnswer, ModelError>> {
        Box::pin(async {
            match self.fate(request) {
                Fate::Refused(error) | Fate::BrokenAfter(_, error) => Err(error),
                Fate::EndsAfter(_) => Err(broken()),
                Fate::Answered => Ok(collected(&self.events(request))),
            }
        })
    }

    fn converse_stream<'a>(&'a self, request: &'a ModelRequest) -> BoxFuture<'a, Result<ModelEvents, ModelError>> {
        Box::pin(async {
            let mut events: Vec<_> = self.events(request).into_iter().map(Ok).collect();
            match self.fate(request) {
                Fate::Refused(error) => return Err(error),
                Fate::BrokenAfter(after, error) => {
                    events.truncate(after);
                    events.push(Err(error));
                }
                Fate::EndsAfter(after) => events.truncate(after),
                Fate::Answered => {}
            }
            Ok(stream::iter(events).boxed())
        })
    }
}

fn collected(events: &[ModelEvent]) -> ModelAnswer {
    let mut writing = AnswerInWriting::default();
    for event in events {
        writing.take(event);
    }
    writing.finished().expect("a stop reason")
}

fn throttled(retry_after: Option<u64>) -> ModelError {
    ModelError::Throttled { model: "played".into(), retry_after }
}

fn broken() -> ModelError {
    ModelError::BrokenStream { reason: "the connection was cut".into() }
}

fn unavailable() -> ModelError {
    ModelError::Unavailable { reason: "played".into(), retry_after: None }
}

fn denied() -> ModelError {
    ModelError::AccessDenied { model: "played".into(), reason: "not allowed".into() }
}

fn retired() -> ModelError {
    ModelError::RetiredModel { model: "played".into(), reason: "end of its life".into() }
}

fn silent() -> ModelError {
    let waited = Duration::from_secs(30);
    ModelError::Silent { waiting_for: "the first token", waited, variable: "MODEL_FIRST_TOKEN_TIMEOUT_SECONDS" }
}

fn attempts(attempts: u32) -> RetryPolicy {
    RetryPolicy::new(NonZeroU32::new(attempts).expect("not 0"), Duration::from_secs(20))
}

fn candidate(name: &str, model: &Played) -> Candidate {
    Candidate::new(name, Arc::new(model.clone()), true)
}

fn alone(model: &Played) -> Resilient {
    Resilient::new(RetryPolicy::default(), candidate("first", model))
}

fn question() -> ModelRequest {
    ModelRequest::question("How are you?", 200)
}

/// The events that came, and the error after them, if one did.
async fn streamed(model: &Resilient) -> (Vec<ModelEvent>, Option<ModelError>) {
    let mut events = match model.converse_stream(&question()).await {
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

async fn answered(model: &Resilient) -> ModelAnswer {
    let (events, error) = streamed(model).await;
    assert_eq!(error, None);
    assert_well_formed(&events);
    collected(&events)
}

#[expect(clippy::unnecessary_wraps, reason = "it is compared with what may be none")]
fn served(model: &str, attempts: u32) -> Option<Served> {
    Some(Served { model: model.into(), attempts })
}

/// The order that ConverseStream promises: a start, blocks one after another, a stop, the count.
fn assert_well_formed(events: &[ModelEvent]) {
    assert!(matches!(events.first(), Some(ModelEvent::MessageStart { .. })), "{events:?}");
    let [middle @ .., stop, last] = &events[1..] else { panic!("no end: {events:?}") };
    assert!(matches!(stop, ModelEvent::MessageStop { .. }), "{events:?}");
    assert!(matches!(last, ModelEvent::Metadata { .. }), "{events:?}");
    let mut open = None;
    let mut next = 0;
    for event in middle {
        match event {
            ModelEvent::ContentBlockStart { content_block_index, .. } => {
                assert_eq!((open, *content_block_index), (None, next), "{events:?}");
                open = Some(next);
                next += 1;
            }
            ModelEvent::ContentBlockDelta { content_block_index, .. } => {
                if open.is_none() {
                    assert_eq!(*content_block_index, next, "{events:?}");
                    open = Some(next);
                    next += 1;
                }
                assert_eq!(open, Some(*content_block_index), "{events:?}");
            }
            ModelEvent::ContentBlockStop { content_block_index } => {
                assert_eq!(open.take(), Some(*content_block_index), "{events:?}");
            }
            _ => panic!("{event:?} in the middle: {events:?}"),
        }
    }
    assert_eq!(open, None, "{events:?}");
}

// === without a seam ===

fn passing() -> impl Strategy<Value = ModelError> {
    prop_oneof![Just(broken()), Just(throttled(None)), Just(unavailable()), Just(silent())]
}

fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let fate = prop_oneof![
        passing().prop_map(Fate::Refused),
        (0_usize..14, passing()).prop_map(|(after, error)| Fate::BrokenAfter(after, error)),
        (0_usize..14).prop_map(Fate::EndsAfter),
    ];
    prop::collection::vec(fate, 0..4)
}

fn whole_answers() -> impl Strategy<Value = Played> {
    let text = prop::collection::vec("[a-c é\n]{1,4}", 0..8);
    let tools = prop::collection::vec("weigh|plan", 0..3);
    (text, tools).prop_filter_map("an answer says something", |(text, tools)| {
        let says_something = !text.concat().trim().is_empty() || !tools.is_empty();
        says_something.then(|| Played { text, tools, ..Played::default() })
    })
}

fn paused<F: Future>(test: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(test)
}

proptest! {
    #[test]
    fn an_answer_that_breaks_anywhere_up_to_three_times_reads_as_if_it_had_not(
        whole in whole_answers(), fates in fates(),
    ) {
        paused(async {
            let unbroken = answered(&alone(&whole)).await;
            let played = Played { calls: Arc::default(), ..whole }.then(fates);
            let mended = answered(&alone(&played)).await;
            prop_assert_eq!(mended.message, unbroken.message);
            prop_assert_eq!(mended.stop_reason, unbroken.stop_reason);
            Ok(())
        })?;
    }

    #[test]
    fn what_was_passed_on_is_never_taken_back(whole in whole_answers(), fates in fates()) {
        paused(async {
            let full: String = whole.text.concat();
            let played = Played { calls: Arc::default(), ..whole }.then(fates);
            let lone = Resilient::new(attempts(1), Candidate::new("first", Arc::new(played), false));
            let (events, _) = streamed(&lone).await;
            let texts = events.iter().filter_map(|event| match event {
                ModelEvent::ContentBlockDelta { delta: BlockDelta::Text(text), .. } => Some(text.as_str()),
                _ => None,
            });
            prop_assert!(full.starts_with(&texts.collect::<String>()));
            Ok(())
        })?;
    }
}

#[tokio::test(start_paused = true)]
async fn a_broken_answer_is_gone_on_with_from_its_own_words() {
    let model = Played::saying(&["It is ", "a fine ", "day."]).then([Fate::BrokenAfter(3, broken())]);
    let answer = answered(&alone(&model)).await;
    assert_eq!(answer.message, Message::assistant("It is a fine day."));
    assert_eq!(answer.served, served("first", 2));
    let asked = model.asked.lock().expect("the calls");
    let [first, second] = &asked[..] else { panic!("two calls") };
    assert_eq!(second.messages.len(), first.messages.len() + 1);
    assert_eq!(second.messages[1], Message::assistant("It is a fine"));
    assert_eq!((first.parameters.max_tokens, second.parameters.max_tokens), (200, 197));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_broke_off_in_its_arguments_is_asked_for_again_and_seen_once() {
    let tools = vec!["weigh".to_owned(), "plan".to_owned()];
    let whole = Played { tools, ..Played::saying(&["Let me ", "look."]) };
    // The second call is announced and has half its arguments.
    let model = whole.then([Fate::BrokenAfter(10, broken())]);
    let answer = answered(&alone(&model)).await;
    let call = |place: usize, name: &str| {
        let (tool_use_id, input) = (format!("call-{place}"), json!({ "of": place }));
        ContentBlock::ToolUse(ToolUse { tool_use_id, name: name.into(), input })
    };
    let said = ContentBlock::Text("Let me look.".into());
    assert_eq!(answer.message.content, [said, call(0, "weigh"), call(1, "plan")]);
}

#[tokio::test(start_paused = true)]
async fn white_space_at_the_seam_is_neither_doubled_nor_lost_whoever_writes_it() {
    struct GoesOn(&'static str);
    impl Model for GoesOn {
        fn converse<'a>(&'a self, _: &'a ModelRequest) -> BoxFuture<'a, Result<ModelAnswer, ModelError>> {
            Box::pin(async { Err(unavailable()) })
        }

        fn converse_stream<'a>(&'a self, request: &'a ModelRequest) -> BoxFuture<'a, Result<ModelEvents, ModelError>> {
            let goes_on = request.messages.len() > 1;
            let text = if goes_on { self.0 } else { "One:\n" };
            let delta = BlockDelta::Text(text.into());
            let mut events = vec![Ok(ModelEvent::ContentBlockDelta { content_block_index: 0, delta })];
            let stop = ModelEvent::MessageStop { stop_reason: StopReason::EndTurn };
            events.push(if goes_on { Ok(stop) } else { Err(broken()) });
            Box::pin(async { Ok(stream::iter(events).boxed()) })
        }
    }
    for (rest, whole) in [
        ("\ntwo", "One:\ntwo"),
        ("\n\n two", "One:\n\n two"),
        ("two", "One:\ntwo"),
        (" two", "One:\ntwo"),
        ("\n", "One:\n"),
        ("\n\n", "One:\n\n"),
        ("", "One:\n"),
    ] {
        let model = Resilient::new(RetryPolicy::default(), Candidate::new("first", Arc::new(GoesOn(rest)), true));
        let (events, error) = streamed(&model).await;
        assert_eq!((collected(&events).message, error), (Message::assistant(whole), None), "{rest:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_only_lacks_its_count_is_whole_and_what_it_costs_is_not_known() {
    let model = Played::saying(&["Yes."]).then([Fate::BrokenAfter(4, broken())]);
    let answer = answered(&alone(&model)).await;
    assert_eq!((answer.message, answer.usage), (Message::assistant("Yes."), Usage::UNKNOWN));
    assert_eq!(model.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_model_that_cannot_go_on_ends_with_the_error_that_broke_it_unless_another_can() {
    let first = Played::saying(&["It is ", "fine."]).then([Fate::BrokenAfter(2, broken())]);
    let cannot = |model: &Played| Candidate::new("first", Arc::new(model.clone()), false);
    let (events, error) = streamed(&Resilient::new(RetryPolicy::default(), cannot(&first))).await;
    assert_eq!((events.len(), error), (2, Some(broken())));

    first.calls.lock().expect("the fates").push_back(Fate::BrokenAfter(2, broken()));
    let (second, third) = (Played::saying(&["It is no."]), Played::saying(&["It is ", "fine."]));
    let model = Resilient::new(RetryPolicy::default(), cannot(&first)).fallback(cannot(&second));
    let answer = answered(&model.fallback(candidate("third", &third))).await;
    assert_eq!((answer.message.text(), answer.served), ("It is fine.".into(), served("third", 2)));
    assert_eq!(second.calls(), 0, "it could only have begun anew");
}

#[tokio::test(start_paused = true)]
async fn a_model_that_refuses_to_go_on_against_its_table_is_not_asked_to_again() {
    let refusal = ModelError::InvalidRequest {
        model: "first".into(),
        reason: "This model does not support assistant message prefill.".into(),
    };
    let fates = [Fate::BrokenAfter(2, broken()), Fate::Refused(refusal), Fate::BrokenAfter(2, broken())];
    let model = Played::saying(&["It is ", "fine."]).then(fates);
    let resilient = alone(&model);
    assert_eq!(streamed(&resilient).await.1, Some(broken()));
    assert_eq!(model.calls(), 2);
    assert_eq!(streamed(&resilient).await.1, Some(broken()));
    assert_eq!(model.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_something_else_while_going_on_does_not_keep_the_model_from_it_next_time() {
    let model = || "first".to_owned();
    for refusal in [
        ModelError::InvalidRequest { model: model(), reason: "the picture cannot be read".into() },
        ModelError::ContextTooLong { model: model() },
    ] {
        let fates = [Fate::BrokenAfter(2, broken()), Fate::Refused(refusal), Fate::BrokenAfter(2, broken())];
        let model = Played::saying(&["It is ", "fine."]).then(fates);
        let resilient = alone(&model);
        assert_eq!(streamed(&resilient).await.1, Some(broken()));
        assert_eq!(answered(&resilient).await.message, Message::assistant("It is fine."));
        assert_eq!(model.calls(), 4);
    }
}

// === again ===

#[tokio::test(start_paused = true)]
async fn what_passes_is_tried_again_and_the_answer_tells_how_often() {
    let fates = [throttled(None), unavailable(), silent()].map(Fate::Refused);
    let model = Played::saying(&["Yes."]).then(fates.clone());
    assert_eq!(answered(&alone(&model)).await.served, served("first", 4));
    let model = Played::saying(&["Yes."]).then(fates);
    let answer = alone(&model).converse(&question()).await.expect("an answer");
    assert_eq!(answer.served, served("first", 4));
}

#[tokio::test(start_paused = true)]
async fn what_does_not_pass_is_not_tried_again() {
    let reason = || "because".to_owned();
    for error in [
        ModelError::InvalidRequest { model: "first".into(), reason: reason() },
        ModelError::ContextTooLong { model: "first".into() },
        ModelError::NoCredentials { reason: reason() },
        denied(),
        retired(),
    ] {
        let model = Played::saying(&["Yes."]).then([Fate::Refused(error.clone())]);
        assert_eq!(streamed(&alone(&model)).await.1, Some(error));
        assert_eq!(model.calls(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn attempts_are_bounded_by_number() {
    let model = Played::saying(&["Yes."]).then(vec![Fate::Refused(throttled(None)); 9]);
    assert_eq!(streamed(&alone(&model)).await.1, Some(throttled(None)));
    assert_eq!(model.calls(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_asked_for_is_kept_where_there_is_time_for_it() {
    let model = Played::saying(&["Yes."]).then([Fate::Refused(throttled(Some(7)))]);
    let began = Instant::now();
    answered(&alone(&model)).await;
    assert!(began.elapsed() >= Duration::from_secs(7), "{:?}", began.elapsed());

    let model = Played::saying(&["Yes."]).then([Fate::Refused(throttled(Some(21)))]);
    let began = Instant::now();
    assert_eq!(streamed(&alone(&model)).await.1, Some(throttled(Some(21))));
    assert_eq!((began.elapsed(), model.calls()), (Duration::ZERO, 1), "an answer beyond the time helps nobody");
}

#[test]
fn pauses_are_drawn_from_zero_to_a_bound_that_doubles_up_to_the_longest() {
    let backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5)).expect("good bounds");
    let bounds: Vec<u128> = (1..8).map(|failures| backoff.bound(failures).as_millis()).collect();
    assert_eq!(bounds, [200, 400, 800, 1600, 3200, 5000, 5000]);
    assert_eq!(backoff.bound(u32::MAX), Duration::from_secs(5));
    let drawn: Vec<Duration> = (0..200).map(|_| backoff.pause(3)).collect();
    assert!(drawn.iter().all(|pause| *pause <= backoff.bound(3)));
    // 200 draws of even chance miss a quarter of the range once in 10^25.
    assert!(drawn.iter().any(|pause| *pause < backoff.bound(3) / 4));
    assert!(drawn.iter().any(|pause| *pause > backoff.bound(3) / 4 * 3));
}

#[test]
fn pauses_that_shrink_cannot_be_made() {
    let second = Duration::from_secs(1);
    insta::assert_snapshot!(Backoff::new(second, second / 2).expect_err("shrinks"), @"the first pause, 1s, must be above zero and at most the longest, 500ms");
    assert!(Backoff::new(Duration::ZERO, second).is_err());
}

// === another ===

#[tokio::test(start_paused = true)]
async fn a_retired_model_is_left_at_once_and_not_asked_again_for_a_while() {
    let first = Played::saying(&["No."]).then(vec![Fate::Refused(retired()); 2]);
    let second = Played::saying(&["Yes."]);
    let model = alone(&first).fallback(candidate("second", &second));
    let began = Instant::now();
    assert_eq!(answered(&model).await.served, served("second", 2));
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(answered(&model).await.served, served("second", 1));
    assert_eq!(first.calls(), 1);
    advance(Duration::from_mins(6)).await;
    assert_eq!(answered(&model).await.served, served("second", 2), "it is tried again, once");
    advance(Duration::from_mins(6)).await;
    assert_eq!(answered(&model).await.message.text(), "No.", "somebody has mended it");
}

#[tokio::test(start_paused = true)]
async fn a_model_that_keeps_failing_is_stood_in_for() {
    let first = Played::saying(&["No."]).then(vec![Fate::Refused(unavailable()); 5]);
    let second = Played::saying(&["Yes."]);
    let model = alone(&first).fallback(candidate("second", &second));
    assert_eq!(answered(&model).await.served, served("second", 5));
    assert_eq!(answered(&model).await.served, served("second", 2), "its fifth failure in a row opens the breaker");
    assert_eq!(answered(&model).await.served, served("second", 1));
    advance(Duration::from_secs(16)).await;
    assert_eq!(answered(&model).await.served, served("first", 1));
}

#[tokio::test(start_paused = true)]
async fn a_silent_model_is_not_waited_for_twice_where_there_is_another() {
    let first = Played::saying(&["No."]).then([Fate::Refused(silent())]);
    let second = Played::saying(&["Yes."]);
    assert_eq!(answered(&alone(&first).fallback(candidate("second", &second))).await.served, served("second", 2));
}

#[tokio::test(start_paused = true)]
async fn a_lone_model_is_asked_even_when_it_keeps_failing() {
    let model = Played::saying(&["Yes."]).then(vec![Fate::Refused(throttled(None)); 8]);
    let resilient = alone(&model);
    for _ in 0..2 {
        assert_eq!(streamed(&resilient).await.1, Some(throttled(None)));
    }
    assert_eq!(answered(&resilient).await.served, served("first", 1));
}

#[tokio::test(start_paused = true)]
async fn the_error_that_passes_is_told_before_one_that_only_concerns_a_stand_in() {
    let first = Played::saying(&["No."]).then(vec![Fate::Refused(throttled(Some(3))); 4]);
    let second = Played::saying(&["No."]).then([Fate::Refused(denied())]);
    let model = Resilient::new(attempts(2), candidate("first", &first)).fallback(candidate("second", &second));
    assert_eq!(streamed(&model).await.1, Some(throttled(Some(3))));
}

#[tokio::test(start_paused = true)]
async fn a_small_turn_asks_the_small_model_and_when_that_fails_the_full_one() {
    let too_long = ModelError::ContextTooLong { model: "small".into() };
    let small = Played::saying(&["Hi."]).then([Fate::Answered, Fate::Refused(too_long), Fate::Refused(denied())]);
    let full = Played::saying(&["Hello."]);
    let model = alone(&full).small(candidate("small", &small));
    let request = ModelRequest { size: ModelSize::Small, ..question() };
    let ask = async || model.converse(&request).await.expect("an answer").served;
    assert_eq!(ask().await, served("small", 1));
    assert_eq!(ask().await, served("first", 2));
    assert_eq!(ask().await, served("first", 2));
    assert_eq!(ask().await, served("first", 1));
    assert_eq!(answered(&model).await.served, served("first", 1), "other turns never ask the small one");
    assert_eq!(small.calls(), 3);
}

// === the breaker ===

#[tokio::test(start_paused = true)]
async fn a_breaker_lets_one_turn_try_when_its_time_is_over() {
    let breaker = Breaker::new();
    for _ in 0..5 {
        breaker.admit().expect("closed").failed(Failure::Passing);
    }
    assert!(breaker.admit().is_none());
    advance(Duration::from_secs(15)).await;
    let probe = breaker.admit().expect("half-open");
    assert!(breaker.admit().is_none(), "one tries, the others do without");
    probe.failed(Failure::Passing);
    assert!(breaker.admit().is_none(), "open again");
    advance(Duration::from_secs(15)).await;
    breaker.admit().expect("half-open").succeeded();
    assert!(breaker.admit().is_some() && breaker.closed_until().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_dropped_hands_its_turn_on() {
    let breaker = Breaker::new();
    breaker.admit().expect("closed").failed(Failure::Lasting);
    advance(Duration::from_mins(5)).await;
    drop(breaker.admit().expect("half-open"));
    assert!(breaker.admit().is_some());
}

#[tokio::test(start_paused = true)]
async fn only_failures_in_a_row_open_a_breaker() {
    let breaker = Breaker::new();
    for _ in 0..20 {
        for _ in 0..4 {
            breaker.admit().expect("closed").failed(Failure::Passing);
        }
        breaker.admit().expect("closed").succeeded();
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_nobody_waits_for_any_more_leaves_nothing_behind() {
    let first = Played::saying(&["No."]).then([Fate::Refused(throttled(Some(10)))]);
    let resilient = alone(&first);
    let cut = tokio::time::timeout(Duration::from_secs(1), resilient.converse(&question())).await;
    assert!(cut.is_err());
    sleep(Duration::from_mins(1)).await;
    assert_eq!(first.calls(), 1);
}
