//! What a user said in words need not be said twice, and nothing is remembered that was not said.

use coach_companion::payload::{CoachingStyle, Gamification, GoalType, Name, WeightUnit};
use coach_companion::remembered::Remembered;
use proptest::prelude::*;

fn name_in(message: &str) -> Option<String> {
    Remembered::from_words([message]).name.map(|name| name.as_str().to_owned())
}

#[test]
fn a_name_is_remembered_as_it_was_written() {
    for (message, name) in [
        ("Hi, my name is Aoife.", "Aoife"),
        ("my name's Tomás and I need help", "Tomás"),
        ("Call me Mary Kate, everybody does", "Mary Kate"),
        ("call me dee", "dee"),
        ("I go by O'Brien!", "O'Brien"),
        ("My name is Ana. What now?", "Ana"),
    ] {
        assert_eq!(name_in(message).as_deref(), Some(name), "{message}");
    }
}

#[test]
fn what_is_no_name_is_not_taken_for_one() {
    for message in [
        "I'm starving",
        "I'm Irish, so potatoes",
        "I'm on Mounjaro",
        "don't call me fat",
        "they call me Biscuit at work",
        "call me lazy but I skipped the gym",
        "Call me when you know",
        "my name is",
        "my name is 4<script>",
        "",
    ] {
        assert_eq!(name_in(message), None, "{message}");
    }
}

#[test]
fn the_last_word_counts() {
    let said = ["I'd like to lose weight. Use stone please.", "Actually I just want to maintain!", "in kilos, please"];
    let known = Remembered::from_words(said);
    assert_eq!((known.goal, known.units), (Some(GoalType::Maintenance), Some(WeightUnit::Kg)));
    let known = Remembered::from_words(["I'm on Wegovy since May", "I came off Wegovy last week"]);
    assert_eq!(known.on_glp1, Some(false));
    let known = Remembered::from_words(["be gentle with me, no streaks", "no, be straight with me"]);
    assert_eq!((known.style, known.gamification), (Some(CoachingStyle::Pragmatic), Some(Gamification::Low)));
    let known = Remembered::from_words(["My name is Ann", "call me Annie"]);
    assert_eq!(known.name, Name::new("Annie"));
}

#[test]
fn ordinary_talk_leaves_nothing_to_remember() {
    for message in ["I had a setback today", "Should I use stone fruit?", "What is a good goal?", "I take the bus"] {
        assert!(Remembered::from_words([message]).is_empty(), "{message}");
    }
}

proptest! {
    #[test]
    fn any_words_leave_something_valid(message in "(my name is |call me |I'm |[A-Za-z'<>. \u{202e}é]){0,30}") {
        if let Some(name) = Remembered::from_words([message.as_str()]).name {
            prop_assert_eq!(Name::new(name.as_str()), Some(name));
        }
    }
}
