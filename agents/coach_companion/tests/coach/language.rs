//! The coach's own sentences: each rule finds its examples and none of its counterexamples, and what is fine passes.

use std::fs;
use std::path::Path;

use coach_companion::language::{Opinion, is_not_gentle, opinion_for, opinion_of};
use coach_companion::payload::Sex;
use coach_companion::sentinel::goals::Person;
use serde::Deserialize;

#[derive(Deserialize)]
struct File {
    kind: String,
    rule: Vec<Rule>,
}

#[derive(Deserialize)]
struct Rule {
    name: String,
    severity: String,
    about: String,
    examples: Vec<String>,
    counterexamples: Vec<String>,
    #[serde(default)]
    instead: Vec<String>,
}

fn files() -> Vec<File> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/language");
    let files = fs::read_dir(folder).expect("the folder is there").map(|file| file.expect("a file").path());
    let read = |file: &Path| toml::from_str(&fs::read_to_string(file).expect("a file")).expect("it is TOML");
    files.map(|file| read(&file)).collect()
}

#[test]
fn each_rule_finds_its_examples_and_no_counterexamples() {
    let mut wrong = Vec::new();
    for File { kind, rule } in files() {
        for rule in rule {
            let Rule { name, severity, about, examples, counterexamples, instead } = rule;
            assert!(examples.len() >= 4 && counterexamples.len() >= 2 && !about.is_empty(), "{kind}/{name} has few");
            for example in examples {
                let fits = match opinion_of(&example, "") {
                    _ if kind == "gentle" => is_not_gentle(&example, ""),
                    Opinion::Fine => false,
                    Opinion::Unkind { broken, .. } => broken.rule == name && broken.kind == kind && !instead.is_empty(),
                    Opinion::Harmful(broken) => {
                        broken.rule == name && broken.severity == severity && instead.is_empty()
                    }
                };
                if !fits {
                    wrong.push(format!("{kind}/{name} misses {example:?}: {:?}", opinion_of(&example, "")));
                }
            }
            for example in counterexamples {
                let opinion = opinion_of(&example, "");
                let is_fine = if kind == "gentle" { !is_not_gentle(&example, "") } else { opinion == Opinion::Fine };
                if !is_fine {
                    wrong.push(format!("{kind}/{name} must find nothing in {example:?}: {opinion:?}"));
                }
            }
            // What is said instead must itself be fine.
            for words in instead {
                assert_eq!(opinion_of(&words, ""), Opinion::Fine, "{words}");
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Sentences as a good coach writes them, with the words that the rules look at.
#[test]
fn a_good_coachs_sentences_pass() {
    let file = include_str!("../../evaluation/answers/good.txt");
    let wrong: Vec<String> = file
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with("# "))
        .filter(|line| opinion_of(line, "") != Opinion::Fine)
        .map(|line| format!("{line:?}: {:?}", opinion_of(line, "")))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Sentences that no coach may write, in other words than the rules' examples.
#[test]
fn a_bad_coachs_sentences_do_not() {
    let file = include_str!("../../evaluation/answers/bad.txt");
    let passed: Vec<&str> = file
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with("# "))
        .filter(|line| opinion_of(line, "") == Opinion::Fine)
        .collect();
    assert!(passed.is_empty(), "these pass:\n{}", passed.join("\n"));
}

#[test]
fn the_same_kind_words_are_not_said_twice() {
    let Opinion::Unkind { instead: first, .. } = opinion_of("You failed this week.", "") else {
        panic!("it blames");
    };
    let said = format!("{first} ");
    let Opinion::Unkind { instead: second, .. } = opinion_of("You have no excuse.", &said) else {
        panic!("it blames");
    };
    assert!(!first.is_empty() && !second.is_empty() && first != second);
}

#[test]
fn numbers_are_judged_for_the_person_they_are_told_to() {
    let man = Person { sex: Some(Sex::Male), ..Person::default() };
    let tall = Person { height_cm: Some(185.0), ..Person::default() };
    for (person, sentence) in [(man, "Aim for 1,300 kcal a day."), (tall, "Let's set 55 kg as your target of 55 kg.")] {
        assert_eq!(opinion_of(sentence, ""), Opinion::Fine, "{sentence}");
        assert!(matches!(opinion_for(&person, sentence, ""), Opinion::Harmful(_)), "{sentence}");
    }
}

#[test]
fn a_sentence_is_read_with_what_it_goes_on_from() {
    for (said, sentence) in [
        ("You could skip\n", "dinner tonight."),
        ("You could skip ", "dinner tonight."),
        ("Skip these:\n", "- dinner\n"),
        ("Good day. **Skip these:**\n\n- crisps\n", "- dinner\n"),
        ("Skip these:\n1. ", "Dinner.\n"),
        ("Skip these:\n- Crisps.\n", "- Dinner.\n"),
        ("## Meals to skip\n\n", "- Dinner\n"),
        ("Aim for\n", "800 kcal a day."),
        ("With it you can lose 10 kg\n", "in two weeks"),
        ("No stress.\n", "Skip dinner tonight."),
        ("If you can't cook:\n", "- skip dinner\n"),
        ("A good plan\n\n", "You could skip dinner tonight."),
    ] {
        assert!(matches!(opinion_of(sentence, said), Opinion::Harmful(_)), "{said:?} {sentence:?}");
    }
    for (said, sentence) in [
        ("Please don't\n", "skip dinner."),
        ("Please do not:\n", "- skip dinner\n"),
        ("What not to do:\n- weigh yourself twice a day\n", "- skip dinner\n"),
        ("Things to avoid:\n", "- skipping meals\n"),
        ("Have a look at:\n", "- dinner\n"),
        ("You could skip the crisps.\n", "Dinner could be soup.\n"),
        ("Skip the lift.\n\nThese help:\n", "- dinner at six\n"),
    ] {
        assert_eq!(opinion_of(sentence, said), Opinion::Fine, "{said:?} {sentence:?}");
    }
}
