use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use agentcore_core::drive::{Delivery, Stage, TurnEvent, drive};
use agentcore_core::guard::outgoing::Outgoing;
use agentcore_core::guard::{Flag, Guard, Heard, Leaving, Review, Safety, SafetyAction, Severity, Verdict};
use agentcore_core::message::{Message, Role, StopReason, Usage};
use agentcore_core::model::{BlockDelta, Model, ModelAnswer, ModelError, ModelEvent, ModelEvents, ModelRequest};
use agentcore_core::tool::typed::JsonSchema;
use agentcore_core::turn::{TurnOutcome, TurnRequest};
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt as _};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::outcome::remembered;
use crate::played::{Played, calls, says, words};

const FLAG: Flag =
    Flag { kind: Cow::Borrowed("unsafe_goal"), rule: Cow::Borrowed("too_few_calories"), severity: Severity::Elevated };

/// Lets no sentence pass that tells somebody to starve, or the tired to run.
struct NoStarving;

impl Guard for NoStarving {
    fn inspect(&self, heard: &Heard<'_>) -> Verdict {
        if heard.text.contains("tired") {
            return Verdict::Annotate { instruction: "Be gentle.".into(), flags: vec![FLAG] };
        }
        Verdict::Allow
    }

    fn reviews(&self) -> bool {
        true
    }

    fn review(&self, leaving: &Leaving<'_>) -> Review {
        let Leaving { sentence, safety, .. } = leaving;
        if safety.severity == Severity::Elevated && sentence.contains("Run") {
            return Review::Repair { text: "Rest a little. ".into(), flag: FLAG };
        }
        if sentence.contains("500 kcal") {
            return Review::ReplaceRest { text: "Please eat enough.".into(), flag: FLAG };
        }
        if sentence.contains("fasting") {
            return Review::Flag(FLAG);
        }
        Review::Pass
    }
}

fn delta(text: &str) -> ModelEvent {
    ModelEvent::ContentBlockDelta { content_block_index: 0, delta: BlockDelta::Text(text.into()) }
}

fn stop() -> ModelEvent {
    ModelEvent::ContentBlockStop { content_block_index: 0 }
}

fn told(events: &[ModelEvent]) -> String {
    let texts = events.iter().filter_map(|event| match event {
        ModelEvent::ContentBlockDelta { delta: BlockDelta::Text(text), .. } => Some(text.as_str()),
        _ => None,
    });
    texts.collect()
}

fn watched() -> Outgoing {
    Outgoing::new(&[Arc::new(NoStarving)], Safety::default())
}

#[test]
fn no_more_is_held_back_than_a_sentence() {
    let mut outgoing = watched();
    let mut left = Vec::new();
    for piece in ["Well", " done.", " You", " ate ", "well.\nNext", ": water", " 1.5 l", " a day"] {
        left.push(told(&outgoing.take(delta(piece))));
    }
    left.push(told(&outgoing.take(stop())));
    assert_eq!(left, ["", "", "Well done. ", "", "You ate well.\n", "", "", "", "Next: water 1.5 l a day"]);
}

#[test]
fn a_sentence_without_an_end_leaves_after_three_lines() {
    let mut outgoing = watched();
    let mut held = 0;
    for _ in 0..200 {
        held += "word ".len();
        held -= told(&outgoing.take(delta("word "))).len();
        assert!(held <= 330, "{held} bytes are held back");
    }
}

#[test]
fn a_long_sentence_leaves_after_a_part_of_it_where_it_has_parts() {
    let mut outgoing = watched();
    let part = "word ".repeat(50);
    assert_eq!(told(&outgoing.take(delta(&format!("{}, {part}", part.trim_end())))), format!("{}, ", part.trim_end()));
}

/// A model may send all of a long answer at once.
#[test]
fn a_long_piece_costs_what_its_length_explains() {
    let time = |sentences: usize| {
        let piece = "Well done. ".repeat(sentences);
        let best = (0..3).map(|_| {
            let mut outgoing = watched();
            let began = std::time::Instant::now();
            assert_eq!(told(&outgoing.take(delta(&piece))).len(), piece.len());
            began.elapsed()
        });
        best.min().unwrap_or_default()
    };
    time(100);
    let (short, long) = (time(4_000), time(32_000));
    assert!(long < short * 8 * 4, "{short:?} for 4,000 sentences, {long:?} for 32,000");
}

#[test]
fn emphasis_belongs_to_the_sentence_it_closes() {
    let left = told(&watched().take(delta("**Well done.** You")));
    assert_eq!(left, "**Well done.** ");
}

#[tokio::test]
async fn what_a_guard_stops_is_replaced_before_it_leaves_whole_and_streamed() {
    let answer = "Good that you ask. Eat 500 kcal a day. Then you lose weight.";
    let request = || TurnRequest::new("How?").guard(NoStarving).begin(Vec::new());
    let whole = Played::new([says(answer)]).performs(request()).await;
    let (streamed, seen) = Played::new([says(answer)]).streams(request()).await;
    for outcome in [&whole, &streamed] {
        let told = outcome.result.clone().expect("an answer");
        assert_eq!(told.message.text(), "Good that you ask. Please eat enough.");
        assert_eq!(told.stop_reason, StopReason::GuardrailIntervened);
        assert_eq!(outcome.safety.action, SafetyAction::Replaced);
        assert_eq!(
            remembered(outcome),
            [Message::user("How?"), Message::assistant("Good that you ask. Please eat enough.")]
        );
    }
    assert_eq!(words(&seen), "Good that you ask. Please eat enough.");
    assert!(!format!("{seen:?}").contains("500"));
}

#[tokio::test]
async fn a_flagged_sentence_leaves_and_is_told_of() {
    let (outcome, seen) = Played::new([says("Some like fasting. I do not.")])
        .streams(TurnRequest::new("How?").guard(NoStarving).begin(Vec::new()))
        .await;
    assert_eq!(words(&seen), "Some like fasting. I do not.");
    assert_eq!((outcome.safety.severity, outcome.safety.flags.len()), (Severity::Elevated, 1));
}

#[tokio::test]
async fn a_sentence_can_be_repaired_by_what_the_user_said_and_the_answer_goes_on() {
    let answer = "Good evening. Run five miles. Sleep well.";
    let request = |said: &str| TurnRequest::new(said).guard(NoStarving).begin(Vec::new());
    let (lively, _) = Played::new([says(answer)]).streams(request("I am well")).await;
    assert_eq!(lively.result.expect("an answer").message.text(), answer);

    let (tired, seen) = Played::new([says(answer)]).streams(request("I am tired")).await;
    assert_eq!(words(&seen), "Good evening. Rest a little. Sleep well.");
    assert_eq!(remembered(&tired)[1], Message::assistant("Good evening. Rest a little. Sleep well."));
    assert_eq!(tired.result.expect("an answer").stop_reason, StopReason::EndTurn);
    assert_eq!(tired.safety.action, SafetyAction::Replaced);
}

// === what a replaced answer costs ===

/// Counts what it wrote a while after its last word.
struct Counts(Duration);

impl Model for Counts {
    fn converse<'a>(&'a self, _request: &'a ModelRequest) -> BoxFuture<'a, Result<ModelAnswer, ModelError>> {
        unreachable!("it streams")
    }

    fn converse_stream<'a>(&'a self, _request: &'a ModelRequest) -> BoxFuture<'a, Result<ModelEvents, ModelError>> {
        let usage = Usage { input_tokens: 10, output_tokens: 5, total_tokens: 15, ..Usage::default() };
        let (metrics, guardrail, served) = Default::default();
        let events = [
            delta("Eat 500 kcal a day. "),
            delta("You will be thin."),
            stop(),
            ModelEvent::MessageStop { stop_reason: StopReason::EndTurn },
            ModelEvent::Metadata { usage, metrics, guardrail, served },
        ];
        let after = self.0;
        let told = stream::iter(events).then(move |event| async move {
            if matches!(event, ModelEvent::Metadata { .. }) {
                tokio::time::sleep(after).await;
            }
            Ok(event)
        });
        Box::pin(async { Ok(told.boxed()) })
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_replaced_answer_costs_is_waited_for_a_moment_and_then_unknown() {
    for (after, counted, events_of_count) in [(500, 15, 1), (5_000, 0, 0)] {
        let (events, mut seen) = mpsc::channel(100);
        let stage = Stage {
            model: Arc::new(Counts(Duration::from_millis(after))),
            delivery: Delivery::Streamed(events),
            deadline: Instant::now() + Duration::from_mins(1),
            cut: CancellationToken::new(),
            first_token: Arc::default(),
        };
        let began = Instant::now();
        let outcome = drive(TurnRequest::new("How?").guard(NoStarving).begin(Vec::new()), &stage).await;
        assert!(began.elapsed() <= Duration::from_secs(1));
        drop(stage);
        let mut told = Vec::new();
        while let Some(event) = seen.recv().await {
            told.push(event);
        }
        assert_eq!(outcome.result.expect("an answer").message.text(), "Please eat enough.");
        assert_eq!(words(&told), "Please eat enough.");
        assert_eq!((outcome.usage.total_tokens, outcome.usage.cost.is_unknown()), (counted, counted == 0));
        let counts = told.iter().filter(|event| matches!(event, TurnEvent::Model(ModelEvent::Metadata { .. })));
        assert_eq!(counts.count(), events_of_count);
    }
}

// === answers that are types ===

/// What to do today.
#[derive(Deserialize, JsonSchema)]
#[expect(dead_code, reason = "only read")]
struct Plan {
    title: String,
    steps: Vec<String>,
    notes: BTreeMap<String, String>,
    level: Level,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Level {
    Easy,
    #[serde(rename = "Run")]
    Hard,
}

fn plan(title: &str, step: &str, note: &str, level: &str) -> ModelAnswer {
    let plan = json!({"title": title, "steps": ["Walk.", step], "notes": {note: "ok"}, "level": level});
    calls(&[("1", "plan", plan)])
}

async fn planned(said: &str, answers: impl IntoIterator<Item = ModelAnswer>) -> TurnOutcome {
    let request = || TurnRequest::new(said).guard(NoStarving).returning::<Plan>().begin(Vec::new());
    let answers: Vec<_> = answers.into_iter().collect();
    let whole = Played::new(answers.clone()).performs(request()).await;
    let (streamed, _) = Played::new(answers).streams(request()).await;
    assert_eq!(whole.result, streamed.result);
    assert_eq!(whole.safety, streamed.safety);
    whole
}

#[tokio::test]
async fn the_strings_of_an_answer_that_is_a_type_are_reviewed_before_it_is_the_answer() {
    let fine = planned("How?", [plan("Today", "Rest.", "fasting", "easy")]).await;
    assert!(fine.result.expect("an answer").output.is_some());
    assert_eq!((fine.safety.flags.len(), fine.safety.action), (1, SafetyAction::None), "a name is a string as well");

    for harmful in [
        plan("Today", "Eat well. Eat 500 kcal.", "ok", "easy"),
        plan("500 kcal", "Rest.", "ok", "easy"),
        plan("Today", "Rest.", "500 kcal", "easy"),
    ] {
        let stopped = planned("How?", [harmful]).await;
        let told = stopped.result.clone().expect("an answer");
        assert_eq!((told.message.text().as_str(), told.output), ("Please eat enough.", None));
        assert_eq!(told.stop_reason, StopReason::GuardrailIntervened);
        assert_eq!(stopped.safety.action, SafetyAction::Replaced);
        assert_eq!(remembered(&stopped), [Message::user("How?"), Message::assistant("Please eat enough.")]);
    }
}

#[tokio::test]
async fn a_string_can_be_repaired_and_what_then_does_not_fit_is_asked_for_again() {
    let repaired = planned("I am tired", [plan("Today", "Run five miles.", "ok", "easy")]).await;
    let output = repaired.result.expect("an answer").output.expect("a plan");
    assert_eq!(output["steps"], json!(["Walk.", "Rest a little. "]));
    assert_eq!(repaired.safety.action, SafetyAction::Replaced);

    let tries = [plan("Today", "Rest.", "ok", "Run"), plan("Today", "Rest.", "ok", "easy")];
    let again = planned("I am tired", tries).await;
    assert_eq!(again.result.expect("an answer").output.expect("a plan")["level"], "easy");
    assert_eq!(again.safety.action, SafetyAction::Annotated, "what was asked for again never left");
}

#[test]
fn nothing_is_held_where_nobody_reviews() {
    struct Blind;
    impl Guard for Blind {
        fn inspect(&self, _heard: &Heard<'_>) -> Verdict {
            Verdict::Allow
        }
    }
    assert!(!Outgoing::new(&[Arc::new(Blind)], Safety::default()).is_watched());
}

proptest! {
    /// However an answer is cut into pieces, the same words leave, and none of them twice.
    #[test]
    fn pieces_do_not_matter(
        text in "([a-z]{1,6}[ .!?\n\"é。]{0,2}|500 kcal ){0,40}",
        cuts in prop::collection::vec(0_usize..200, 0..20),
    ) {
        let mut places: Vec<usize> = cuts.into_iter().map(|cut| text.floor_char_boundary(cut.min(text.len()))).collect();
        places.extend([0, text.len()]);
        places.sort_unstable();
        let mut outgoing = watched();
        let mut events = outgoing.take(ModelEvent::MessageStart { role: Role::Assistant });
        for pair in places.windows(2) {
            events.extend(outgoing.take(delta(&text[pair[0]..pair[1]])));
        }
        events.extend(outgoing.take(stop()));
        let streamed = told(&events);

        let mut one_piece = watched();
        let whole = one_piece.whole(says(&text)).message.text();
        prop_assert_eq!(&streamed, &whole);
        if text.contains("500 kcal") {
            prop_assert!(streamed.ends_with("Please eat enough.") && !streamed.contains("500 kcal"));
        } else {
            prop_assert_eq!(streamed, text);
        }
    }
}
