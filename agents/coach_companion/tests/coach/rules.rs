//! Each rule finds its own examples and none of its counterexamples; the examples are what a clinician reads.

use std::fs;
use std::path::Path;
use std::time::Duration;

use agentcore_runtime::prelude::Severity;
use coach_companion::rules::RuleSet;
use coach_companion::sentinel::rules::find;
use coach_companion::sentinel::text::Text;
use proptest::prelude::*;
use serde::Deserialize;

use crate::work::worked;

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
}

fn files() -> Vec<File> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/sentinel");
    let files = fs::read_dir(folder).expect("the folder is there").map(|file| file.expect("a file").path());
    let read = |file: &Path| toml::from_str(&fs::read_to_string(file).expect("a file")).expect("it is TOML");
    files.map(|file| read(&file)).collect()
}

#[test]
fn each_rule_finds_its_examples_and_no_counterexamples() {
    let mut wrong = Vec::new();
    for File { kind, rule } in files() {
        for Rule { name, severity, about, examples, counterexamples } in rule {
            assert!(examples.len() >= 4 && counterexamples.len() >= 2 && !about.is_empty(), "{kind}/{name} has few");
            for example in examples {
                let found = find(&Text::of(&example));
                let is_found = |finding: &&_| {
                    let coach_companion::sentinel::finding::Finding { kind: found, rule, severity: grave, .. } =
                        finding;
                    found.as_str() == kind && *rule == name && grave.as_str() == severity
                };
                if found.iter().find(is_found).is_none() {
                    wrong.push(format!("{kind}/{name} misses {example:?}: {found:?}"));
                }
            }
            for example in counterexamples {
                let found = find(&Text::of(&example));
                if !found.is_empty() {
                    wrong.push(format!("{kind}/{name} must not find anything in {example:?}: {found:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_said_of_others_is_a_concern_for_them() {
    let found = find(&Text::of("My sister says she wants to die"));
    assert_eq!(found[0].kind.as_str(), "third_party_concern");
    assert_eq!(found[0].severity, Severity::Crisis);
}

#[test]
fn a_pattern_that_cannot_be_read_is_told_with_its_rule() {
    for (pattern, reason) in [
        ("(a|b", "a parenthesis is not closed"),
        ("a)", "a parenthesis closes that was not opened"),
        ("(a|(b|c)", "a parenthesis is not closed"),
        ("<nobody> dies", "there is no list <nobody>"),
        ("a ~x b", "`~` is followed by no number"),
        ("a?", "it says nothing"),
    ] {
        let file = format!(r#"{{"kind":"k","rule":[{{"name":"n","severity":"info","patterns":["{pattern}"]}}]}}"#);
        let error = RuleSet::read([file.as_str()]).err();
        if pattern == "a?" {
            assert!(error.is_none(), "an optional word alone is a word");
        } else {
            assert_eq!(error, Some(format!("k/n: {pattern:?}: {reason}")));
        }
    }
}

/// The beginnings that most rules share, over and over: what costs most.
const NASTY: [&str; 6] = ["i ", "i want to ", "he ", "i am ~ ", "took my wegovy with ", "can i stop "];

#[test]
fn no_input_takes_longer_than_its_length_explains() {
    let time = |text: &str| {
        let best = (0..5).map(|_| {
            let began = worked();
            std::hint::black_box(find(&Text::of(text)));
            worked().saturating_sub(began)
        });
        best.min().unwrap_or_default().max(Duration::from_micros(50))
    };
    find(&Text::of("warm"));
    for nasty in NASTY {
        let (short, long) = (nasty.repeat(2_000 / nasty.len()), nasty.repeat(16_000 / nasty.len()));
        let (short, long) = (time(&short), time(&long));
        assert!(long < short * 8 * 4, "{nasty:?}: {short:?} for 2,000 characters, {long:?} for 16,000");
    }
}

proptest! {
    #[test]
    fn any_text_is_read(text in "\\PC{0,200}") {
        find(&Text::of(&text));
    }
}
