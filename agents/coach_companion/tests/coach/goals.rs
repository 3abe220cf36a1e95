//! Goals in words and numbers: what is too fast, too little, too low.

use coach_companion::payload::Sex;
use coach_companion::sentinel::goals::{Person, UnsafeGoal, find};
use coach_companion::sentinel::text::Text;
use proptest::prelude::*;

fn of(message: &str) -> Option<UnsafeGoal> {
    find(&Text::of(message), &Person::default())
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
    let man = Person { sex: Some(Sex::Male), ..Person::default() };
    assert_eq!(of_person("I'll eat 1400 kcal a day", man), Some(UnsafeGoal::TooLittleFood));
    for message in [
        "I'll eat 1400 kcal a day",
        "I had a 600 calorie lunch today",
        "burned 700 calories at spin, third day",
        "a 500 kcal deficit a day",
        "my dietitian has me on 800 kcal a day",
        "I used to eat 800 calories a day",
    ] {
        assert_eq!(of(message), None, "{message}");
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
