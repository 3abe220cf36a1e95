//! What the sentinel says: short, with the numbers of the user's country, and without a word of advice on food.

use std::fmt::Write as _;

use agentcore_runtime::prelude::Severity;
use coach_companion::language::{Opinion, opinion_of};
use coach_companion::payload::{CountryCode, LanguageTag};
use coach_companion::sentinel::answers::{Replacement, Whose, answer, gentle_instruction, instruction, replacement};
use coach_companion::sentinel::kind::Kind;
use coach_companion::sentinel::resources::Resources;

fn country(code: &str) -> &'static Resources {
    Resources::of(CountryCode::new(code))
}

/// Every answer there is, with what it answers: to the writer, and to somebody who stands beside another.
fn answers(resources: &Resources) -> Vec<(Kind, Severity, String)> {
    let mut all = Vec::new();
    for kind in Kind::ALL {
        for severity in [Severity::Crisis, Severity::Elevated] {
            for whose in [Whose::Own, Whose::Anothers] {
                let said = (0..3).filter_map(|before| answer(kind, severity, whose, resources, before));
                all.extend(said.map(|text| (kind, severity, text)));
            }
        }
    }
    all
}

#[test]
fn each_answer_reads_as_a_clinician_would_read_it() {
    for place in Resources::all() {
        let mut told = String::new();
        for (kind, severity, text) in answers(place) {
            if !told.contains(&text) {
                let _ = writeln!(told, "{kind}, {}\n    {text}\n", severity.as_str());
            }
        }
        insta::assert_snapshot!(format!("each_answer_in_{}", place.name.to_lowercase().replace(' ', "_")), told);
    }
}

#[test]
fn each_instruction_and_replacement_reads_as_a_clinician_would_read_it() {
    let place = country("IE");
    let instructions =
        Kind::ALL.into_iter().filter_map(|kind| Some(format!("{kind}\n    {}", instruction(kind, place)?)));
    let gentle = [Kind::SelfHarm, Kind::DomesticAbuse, Kind::Minor]
        .map(|kind| format!("gentle, after {kind}\n    {}", gentle_instruction(kind, place)));
    let instead =
        [Replacement::Gentle, Replacement::Harm].map(|of| format!("instead, {of:?}\n    {}", replacement(of, place)));
    let told: Vec<String> = instructions.chain(gentle).chain(instead).collect();
    insta::assert_snapshot!(told.join("\n\n"));
}

/// What a country's entry must have: who says so, and when that was looked up.
#[test]
fn each_number_has_its_own_sources_and_the_month_it_was_checked_in() {
    let file: toml::Table = include_str!("../../data/resources.toml").parse().expect("it is TOML");
    let mut wrong = Vec::new();
    for place in file["place"].as_array().expect("places") {
        let place = place.as_table().expect("a place");
        let resources = place.iter().filter(|(member, _)| !["name", "countries"].contains(&member.as_str()));
        for (name, resource) in resources {
            let sources = resource.get("source").and_then(toml::Value::as_array).cloned().unwrap_or_default();
            let is_https = |source: &toml::Value| source.as_str().is_some_and(|source| source.starts_with("https://"));
            let checked = resource.get("checked").and_then(toml::Value::as_str).unwrap_or_default();
            let is_month = matches!(checked.split_once('-'), Some((year, month))
                if year.len() == 4 && month.len() == 2 && month.parse().is_ok_and(|month: u8| (1..=12).contains(&month)));
            if sources.is_empty() || !sources.iter().all(is_https) || !is_month {
                wrong.push(format!("{name} of {:?}: {sources:?}, checked {checked:?}", place["name"]));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_place_has_its_numbers() {
    let told: Vec<String> = Resources::all()
        .iter()
        .map(|place| {
            let filled =
                place.fill_in("{emergency} | {listening} | {eating} | {abuse} | {child} | {doctor} | {silently}");
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
        let next = (1..=3)
            .filter_map(|before| answer(kind, severity, Whose::Own, country("GB"), before))
            .find(|next| *next != text);
        assert!(next.is_some(), "{kind}");
    }
}

#[test]
fn kinds_that_the_model_answers_have_an_instruction_and_the_others_an_answer() {
    for kind in Kind::ALL {
        let is_answered = answer(kind, Severity::Crisis, Whose::Own, country("DE"), 0).is_some();
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
