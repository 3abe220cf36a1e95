//! What the sentinel says: short, with the numbers of the user's country, and without a word of advice on food.

use std::fmt::Write as _;

use agentcore_runtime::prelude::Severity;
use coach_companion::language::{Opinion, opinion_of};
use coach_companion::payload::{CountryCode, LanguageTag};
use coach_companion::sentinel::answers::{Replacement, answer, gentle_instruction, instruction, replacement};
use coach_companion::sentinel::kind::Kind;
use coach_companion::sentinel::resources::Resources;

fn country(code: &str) -> &'static Resources {
    Resources::of(CountryCode::new(code))
}

/// Every answer there is, with what it answers.
fn answers(resources: &Resources) -> Vec<(Kind, Severity, String)> {
    let of_kind = |kind: Kind| {
        [Severity::Crisis, Severity::Elevated].into_iter().flat_map(move |severity| {
            (0..3).filter_map(move |before| Some((kind, severity, answer(kind, severity, resources, before)?)))
        })
    };
    Kind::ALL.into_iter().flat_map(of_kind).collect()
}

#[test]
fn each_answer_reads_as_a_clinician_would_read_it() {
    let mut told = String::new();
    let mut last = String::new();
    for (kind, severity, text) in answers(country("IE")) {
        if text != last && !told.contains(&text) {
            let _ = writeln!(told, "{kind}, {}\n    {text}\n", severity.as_str());
        }
        last = text;
    }
    insta::assert_snapshot!(told);
}

#[test]
fn each_place_has_its_numbers() {
    let told: Vec<String> = Resources::all()
        .iter()
        .map(|place| {
            let filled = place.fill_in("{emergency} | {listening} | {eating} | {abuse} | {child} | {doctor}");
            format!("{}\n    {filled}", place.name)
        })
        .collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn what_the_sentinel_says_is_held_to_the_same_rules_as_what_the_model_says() {
    for resources in Resources::all() {
        for (kind, _, text) in answers(resources) {
            for sentence in text.split_inclusive(['.', '?', '!']).chain([text.as_str()]) {
                assert_eq!(opinion_of(sentence, ""), Opinion::Fine, "{kind} in {}: {sentence}", resources.name);
            }
        }
    }
}

#[test]
fn an_answer_is_short_whole_and_free_of_advice_on_food() {
    for resources in Resources::all() {
        for (kind, severity, text) in answers(resources) {
            let words = text.split_whitespace().count();
            assert!((40..=130).contains(&words), "{kind} {severity:?} in {}: {words} words", resources.name);
            assert!(!text.contains(['{', '}']), "{text}");
            let said = text.to_lowercase();
            let forbidden =
                ["calorie", "diet", " lose ", "kilo", "exercise", "protein", "as an ai", "i understand how"];
            for words in forbidden {
                assert!(!said.contains(words), "{kind} says {words:?}: {text}");
            }
            if severity == Severity::Crisis && kind != Kind::Minor {
                assert!(text.contains(&resources.fill_in("{emergency}")) || text.contains("local emergency"), "{text}");
            }
        }
    }
}

#[test]
fn somebody_who_says_it_again_reads_other_words() {
    for (kind, severity, text) in answers(country("GB")) {
        if kind.is_left_to_the_model() {
            continue;
        }
        let next =
            (1..=3).filter_map(|before| answer(kind, severity, country("GB"), before)).find(|next| *next != text);
        assert!(next.is_some(), "{kind}");
    }
}

#[test]
fn kinds_that_the_model_answers_have_an_instruction_and_the_others_an_answer() {
    for kind in Kind::ALL {
        let is_answered = answer(kind, Severity::Crisis, country("DE"), 0).is_some();
        assert_eq!(is_answered, !kind.is_left_to_the_model(), "{kind}");
        assert_eq!(instruction(kind, country("DE")).is_some(), kind.is_left_to_the_model(), "{kind}");
    }
    assert!(gentle_instruction(Kind::SelfHarm, country("DE")).contains("112"));
    assert!(gentle_instruction(Kind::DomesticAbuse, country("GB")).contains("0808 2000 247"));
    assert!(replacement(Replacement::Gentle, country("IE")).contains("116 123"));
    assert!(replacement(Replacement::Harm, country("IE")).contains("GP"));
}

#[test]
fn a_country_is_known_by_its_code_or_the_languages_region() {
    let named = |code: &str| country(code).name.as_str();
    assert_eq!((named("ie"), named("UK"), named("GB")), ("Ireland", "United Kingdom", "United Kingdom"));
    assert_eq!((named("de"), named("US"), named("??")), ("European Union", "anywhere", "anywhere"));
    let region = |tag: &str| LanguageTag::new(tag).and_then(|tag| tag.region());
    assert_eq!(region("en-IE"), CountryCode::new("IE"));
    assert_eq!(region("en_GB"), CountryCode::new("GB"));
    assert_eq!((region("en"), region("zh-Hant")), (None, None));
}
