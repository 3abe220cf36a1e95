//! Goals in words and numbers: what is too fast, too little, too low.

use coach_companion::payload::Sex;
use coach_companion::sentinel::goals::{Person, UnsafeGoal, find, find_in_advice};
use coach_companion::sentinel::text::Text;
use proptest::prelude::*;

fn of(message: &str) -> Option<UnsafeGoal> {
    find(&Text::of(message), &Person::default())
}

fn advised(sentence: &str) -> Option<UnsafeGoal> {
    find_in_advice(&Text::of(sentence), &Person::default())
}

fn of_person(message: &str, person: Person) -> Option<UnsafeGoal> {
    find(&Text::of(message), &person)
}

#[test]
fn more_than_a_kilogram_a_week_is_too_fast() {
    for message in [
        "I want to lose 10 kg in two weeks",
        "how do I drop two stone in a month",
        "Need to lose a stone in a fortnight",
        "lose 10kg in 2 weeks",
        "4kg a week is what I'm aiming at",
        "half a stone a week off me",
        "lose 30lbs in a month please",
        "I'd like to lose twenty five kilos in two months",
        "lose one and a half stone in 3 weeks",
        "In two weeks I could lose 10 kg",
        "I'd like to lose a stone in 6 weeks",
        "lose 1.09 kg a week",
        "lose 10 lb in the next couple of weeks",
        "I'm not happy and want to lose 10 kg in two weeks",
        "I know it is dangerous but I want to lose 10 kg in two weeks",
        "lose 10 kg in two weeks without hunger",
        "my wife and I want to lose 10 kg in two weeks",
    ] {
        assert_eq!(of(message), Some(UnsafeGoal::TooFast), "{message}");
    }
    for message in [
        "lose 10kg this year",
        "I want to lose half a kilo a week",
        "2 pounds a week is the target",
        "a stone in 2 months would be lovely to lose",
        "I lost 3 kg in the first week",
        "lose 10 kg in two weeks, what a scam",
        "my friend wants to lose 10 kg in two weeks",
        "lose 4 kg in 4 weeks",
        "lose a kilo a week",
        "In the last two weeks I lost 4 kg",
        "It is unrealistic to lose 10 kg in two weeks",
        "I want to lose 30 kg by next summer",
        "my target is to lose 35 kg",
    ] {
        assert_eq!(of(message), None, "{message}");
    }
}

#[test]
fn a_hundredth_of_the_body_counts_where_the_weight_is_known() {
    let light = Person { weight_kg: Some(60.0), ..Person::default() };
    assert_eq!(of_person("I want to lose 4 kg in 4 weeks", light), Some(UnsafeGoal::TooFast));
    let heavy = Person { weight_kg: Some(120.0), ..Person::default() };
    assert_eq!(of_person("I want to lose 4 kg in 4 weeks", heavy), None);
}

#[test]
fn the_least_of_a_day_depends_on_the_sex() {
    assert_eq!(of("give me a plan for 800 calories a day"), Some(UnsafeGoal::TooLittleFood));
    assert_eq!(of("Set my calories at 900 kcal please"), Some(UnsafeGoal::TooLittleFood));
    for message in [
        "Don't tell my GP but I'm living on 700 kcal a day",
        "I'm eating 1,000 kcal a day",
        "eight hundred calories a day is my plan",
        "one thousand one hundred kcal a day",
        "800 kcal a day and no snacks",
        "I stay under 800 kcal a day",
        "no more than 800 kcal a day for me",
        "800 to 1500 kcal a day",
        "I'm on 1 000 kcal a day",
        "1.1k calories a day is my limit",
        "3000 kJ a day",
    ] {
        assert_eq!(of(message), Some(UnsafeGoal::TooLittleFood), "{message}");
    }
    let man = Person { sex: Some(Sex::Male), ..Person::default() };
    assert_eq!(of_person("I'll eat 1400 kcal a day", man), Some(UnsafeGoal::TooLittleFood));
    for message in [
        "I'll eat 1400 kcal a day",
        "I had a 600 calorie lunch today",
        "burned 700 calories at spin, third day",
        "a 500 kcal deficit a day",
        "my dietitian has me on 800 kcal a day",
        "I used to eat 800 calories a day",
        "I don't want to live on 800 calories a day",
        "2,000 kcal a day",
        "two thousand calories a day",
        "what can I eat under 400 calories",
        "my friend eats 800 calories a day",
        "two 500 kcal meals a day",
        "1 800 kcal a day",
    ] {
        assert_eq!(of(message), None, "{message}");
    }
}

#[test]
fn what_the_coach_says_is_advice_whoever_is_named_in_it() {
    for sentence in [
        "Aim for 800 kcal a day and no snacks.",
        "Aim for **1,000 kcal** a day.",
        "Stay under 800 kcal a day.",
        "Keep it below 800 kcal a day.",
        "Eight hundred calories a day would do.",
        "Try 800 kcal a day, and check with your doctor.",
        "They say 800 kcal a day works best.",
        "Why not eat 800 kcal a day?",
        "It won't hurt to eat 800 kcal a day.",
        "800–1,500 kcal a day is a good range.",
    ] {
        assert_eq!(advised(sentence), Some(UnsafeGoal::TooLittleFood), "{sentence}");
    }
    for sentence in [
        "In two weeks you could lose 10 kg.",
        "You can lose 10 kg in two weeks without hunger.",
        "Your sister can help you lose 10 kg in two weeks.",
    ] {
        assert_eq!(advised(sentence), Some(UnsafeGoal::TooFast), "{sentence}");
    }
    for sentence in [
        "800 kcal a day is not enough.",
        "Eating 800 kcal a day isn't safe without a clinician.",
        "Please don't go under 1,000 kcal a day.",
        "Talk to your doctor before you eat 800 kcal a day.",
        "800 kcal a day, as your dietitian suggested, is for a few weeks only.",
        "Losing 10 kg in two weeks is unrealistic, but half a kilogram a week is fine.",
        "You don't need to lose 5 kg in a week.",
        "A lunch of about 450 kcal leaves room for a snack.",
        "Half a kilogram to a kilogram a week is a steady rate.",
        "Walking an hour can burn 300 kcal a day.",
        "A deficit of 500 kcal a day is plenty.",
    ] {
        assert_eq!(advised(sentence), None, "{sentence}");
    }
}

#[test]
fn an_underweight_target_is_too_low() {
    for message in ["I want a BMI of 17", "my target is BMI 16.5", "I want to be 40 kilos by summer"] {
        assert_eq!(of(message), Some(UnsafeGoal::TooLowAWeight), "{message}");
    }
    let tall = Person { height_cm: Some(175.0), ..Person::default() };
    assert_eq!(of_person("get down to 50kg", tall), Some(UnsafeGoal::TooLowAWeight));
    assert_eq!(of_person("get down to 60kg", tall), None);
    assert_eq!(of("I want to get down to 50 kg, I'm 175 cm"), Some(UnsafeGoal::TooLowAWeight));
    let small = Person { height_cm: Some(160.0), ..Person::default() };
    for message in ["I want to get to 7 stone 10", "my goal is 7 st 10 lb", "I want to be 7st10"] {
        assert_eq!(of_person(message, small), None, "{message}");
    }
    assert_eq!(of_person("my goal is 7 stone 2", small), Some(UnsafeGoal::TooLowAWeight));
    assert_eq!(of("I'm 5 ft 8 and I want to get to 8 stone"), Some(UnsafeGoal::TooLowAWeight));
    assert_eq!(of("I'm 5'8\". I want to get to 8 stone."), Some(UnsafeGoal::TooLowAWeight));
    assert_eq!(of("I'm 5'1\". I want to get to 8 stone."), None);
    for message in ["My BMI is 27 and I'd like it to be 24", "my daughter weighs 30 kg", "I carried 25 kg"] {
        assert_eq!(of(message), None, "{message}");
    }
}

#[test]
fn days_without_food_are_found() {
    for message in [
        "planning a 7 day water fast",
        "eat nothing for ten days",
        "no food for a week",
        "help me fast for 5 days",
        "dry fast for 3 days",
    ] {
        assert_eq!(of(message), Some(UnsafeGoal::DaysWithoutFood), "{message}");
    }
    for message in ["16:8 fasting suits me", "I fast for one day a month", "Fasting for Ramadan, 30 days"] {
        assert_eq!(of(message), None, "{message}");
    }
}

proptest! {
    #[test]
    fn slower_is_never_worse(kilograms in 1_u32..40, weeks in 1_u32..50) {
        let message = |weeks: u32| format!("I want to lose {kilograms} kg in {weeks} weeks");
        prop_assert!(of(&message(weeks)).is_some() || of(&message(weeks + 1)).is_none());
    }

    #[test]
    fn any_text_is_read(text in "\\PC{0,120}") {
        of(&text);
    }
}
