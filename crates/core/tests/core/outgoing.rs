use std::borrow::Cow;

use agentcore_core::guard::outgoing::Outgoing;
use agentcore_core::guard::{Flag, Guard, Heard, Leaving, Review, Safety, SafetyAction, Severity, Verdict};
use agentcore_core::message::{Message, Role, StopReason};
use agentcore_core::model::{BlockDelta, ModelEvent};
use agentcore_core::turn::TurnRequest;
use proptest::prelude::*;
use std::sync::Arc;

use crate::outcome::remembered;
use crate::played::{Played, says, words};

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
