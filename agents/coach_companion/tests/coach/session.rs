//! When a session turns gentle, how long it stays so, and by what words it is over.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use agentcore_runtime::core::history::{CompleteTurn, complete};
use agentcore_runtime::core::message::Message;
use agentcore_runtime::prelude::*;
use coach_companion::payload::UserContext;
use coach_companion::sentinel::bystander::is_beside_somebody;
use coach_companion::sentinel::session::is_resolved;
use coach_companion::sentinel::text::Text;
use coach_companion::sentinel::{GENTLE, Sentinel};
use serde::Deserialize;
use serde_json::{Value, json};

fn sentinel(context: &Value) -> Sentinel {
    Sentinel::for_user(&serde_json::from_value::<UserContext>(context.clone()).expect("a context"))
}

fn turn(user: &str, coach: &str) -> Vec<Arc<CompleteTurn>> {
    complete([Message::user(user), Message::assistant(coach)]).into_iter().map(Arc::new).collect()
}

fn session(earlier: &[&str]) -> Vec<Arc<CompleteTurn>> {
    earlier.iter().flat_map(|said| turn(said, "I'm here.")).collect()
}

/// The kind that keeps a session gentle at its next, harmless message.
fn gentle_after(earlier: &[&str]) -> Option<String> {
    let verdict = sentinel(&json!({})).inspect(&Heard { text: "And lunch?", history: &session(earlier) });
    verdict.flags().iter().find(|flag| flag.rule == GENTLE).map(|flag| flag.kind.to_string())
}

#[derive(Deserialize)]
struct File {
    rule: Vec<Rule>,
}

#[derive(Deserialize)]
struct Rule {
    name: String,
    examples: Vec<String>,
    counterexamples: Vec<String>,
}

fn wrong_examples(file: &str, finds: impl Fn(&Text) -> bool) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(file);
    let File { rule } = toml::from_str(&fs::read_to_string(path).expect("a file")).expect("it is TOML");
    let mut wrong = Vec::new();
    for Rule { name, examples, counterexamples } in rule {
        assert!(examples.len() >= 3 && counterexamples.len() >= 3, "{name} has few");
        let missed = examples.iter().filter(|example| !finds(&Text::of(example)));
        wrong.extend(missed.map(|example| format!("{name} misses {example:?}")));
        let taken = counterexamples.iter().filter(|example| finds(&Text::of(example)));
        wrong.extend(taken.map(|example| format!("{name} must not find {example:?}")));
    }
    wrong
}

#[test]
fn each_way_to_say_that_it_is_over_is_found_and_what_only_looks_like_it_is_not() {
    let wrong = wrong_examples("session.toml", is_resolved);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn somebody_elses_emergency_is_told_from_the_writers() {
    let wrong = wrong_examples("bystander.toml", is_beside_somebody);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_crisis_is_not_over_because_a_doctor_is_named_or_somebody_is_polite() {
    for said in [
        "My doctor said I need to lose 10 kg",
        "I rang Samaritans and nobody answered",
        "I rang Samaritans",
        "My wife saw the doctor about her knee",
        "I saw a doctor in 2019",
        "I'm fine thanks",
        "the hospital sent me home",
        "My brother is safe now",
        "My husband says he is okay now",
        "I'm safe for now",
        "I wish I could say I'm safe",
    ] {
        assert_eq!(gentle_after(&["I want to die", said]).as_deref(), Some("self_harm"), "{said}");
    }
}

#[test]
fn a_crisis_is_over_when_the_person_says_so_in_whatever_words() {
    for said in [
        "Yes, I'm safe",
        "I am okay, my sister is with me",
        "I don't feel like that any more",
        "I'm grand now, thanks a million",
        "I feel much better, I slept",
        "I spoke to my GP this morning and it helped",
    ] {
        assert_eq!(gentle_after(&["I want to die", said]), None, "{said}");
    }
    let heart = "My chest is crushing and my left arm is numb";
    for said in ["It was only heartburn, the hospital sent me home", "I got the all clear", "I'm fine now"] {
        assert_eq!(gentle_after(&[heart, said]), None, "{said}");
    }
    assert!(gentle_after(&[heart, "It's only heartburn I think"]).is_some(), "nobody who can tell has said so");
}

#[test]
fn what_ends_one_matter_does_not_end_another() {
    let both = ["I want to die", "My chest is crushing and my left arm is numb", "the hospital sent me home"];
    assert_eq!(gentle_after(&both).as_deref(), Some("self_harm"));
    let purging = "I make myself sick after dinner most days";
    assert_eq!(gentle_after(&[purging, "I'm fine now"]).as_deref(), Some("eating_disorder"));
    assert_eq!(gentle_after(&[purging, "That was ten years ago, I'm recovered"]), None);
    let his = "My husband collapsed and is not breathing";
    assert_eq!(gentle_after(&[his, "What do I do?"]).as_deref(), Some("medical_emergency"));
    assert_eq!(gentle_after(&[his, "The ambulance took him, he is awake again"]), None);
    assert_eq!(gentle_after(&["I'm 15, help me lose weight", "I'm safe now"]).as_deref(), Some("minor"));
}

#[test]
fn a_bystander_is_told_what_a_bystander_can_do() {
    let answer = |said: &str, history: &[Arc<CompleteTurn>]| match sentinel(&json!({ "country": "IE" }))
        .inspect(&Heard { text: said, history })
    {
        Verdict::Answer { text, .. } => text,
        other => panic!("{said}: {other:?}"),
    };
    let his = "My husband collapsed and is not breathing";
    for history in [session(&[]), session(&[his])] {
        let text = answer(his, &history);
        assert!(text.contains("speaker") && text.contains("middle of the") && text.contains("112 or 999"), "{text}");
        assert!(!text.contains("lie down") && !text.contains("unlock"), "{text}");
    }
    let own = answer("I have crushing chest pain", &session(&[]));
    assert!(own.contains("don't drive yourself") && !own.contains("press"), "{own}");
}

// === what a long session still knows ===

/// Whether the turn of a message stays in the history when turns of its age are dropped.
fn is_kept(context: &Value, history: &[Arc<CompleteTurn>], text: &str) -> bool {
    let sentinel = sentinel(context);
    let heard = Heard { text, history };
    sentinel.keeps(&heard, &sentinel.inspect(&heard))
}

#[test]
fn what_makes_a_session_gentle_or_ends_that_stays_known() {
    let none = session(&[]);
    for said in ["I want to die", "I'm 15, help me lose weight", "I make myself sick after dinner most days"] {
        assert!(is_kept(&json!({}), &none, said), "{said}");
    }
    let after = session(&["I want to die"]);
    assert!(is_kept(&json!({}), &after, "I'm safe now"));
    for (history, said) in
        [(&after, "And lunch?"), (&none, "I'm safe now"), (&none, "Good morning"), (&none, "I feel hopeless")]
    {
        assert!(!is_kept(&json!({}), history, said), "{said}");
    }
}

// === what the app sends ===

#[test]
fn an_underweight_target_of_the_apps_is_flagged() {
    let found = |context: Value| {
        let verdict = sentinel(&context).inspect(&Heard { text: "What is for lunch?", history: &[] });
        verdict.flags().iter().map(|flag| format!("{} {}", flag.kind, flag.rule)).collect::<Vec<_>>()
    };
    assert_eq!(found(json!({ "height_cm": 175, "target_weight_kg": 45 })), ["unsafe_goal too_low_a_weight"]);
    assert_eq!(found(json!({ "target_weight_kg": 30 })), ["unsafe_goal too_low_a_weight"]);
    assert!(found(json!({ "height_cm": 175, "target_weight_kg": 65 })).is_empty());
    assert!(found(json!({ "target_weight_kg": 55 })).is_empty());
    assert!(found(json!({ "height_cm": 150, "target_weight_kg": 45 })).is_empty());
}

fn noting(note: &str) -> Value {
    let today = jiff::Zoned::now().with_time_zone(jiff::tz::TimeZone::UTC).date().to_string();
    json!({ "logs": [{ "date": today, "kind": "mood", "note": note }] })
}

#[test]
fn a_crisis_in_the_diary_is_answered_once_and_keeps_the_session_gentle() {
    let context = noting("I want to die");
    let inspect = |text: &str, history: &[Arc<CompleteTurn>]| sentinel(&context).inspect(&Heard { text, history });

    let Verdict::Answer { text, flags } = inspect("What is for lunch?", &[]) else { panic!("it is a crisis") };
    assert_eq!(flags[0].kind, "self_harm");

    let mut history = turn("What is for lunch?", &text);
    let Verdict::Annotate { flags, .. } = inspect("Soup?", &history) else { panic!("once is enough") };
    assert!(flags.iter().any(|flag| flag.rule == GENTLE), "{flags:?}");

    history.extend(turn("I'm safe now", "Good."));
    assert_eq!(inspect("Soup?", &history), Verdict::Allow);
}

#[test]
fn a_diary_of_ordinary_days_is_no_alarm() {
    for note in ["crisps after work", "took my Wegovy", "tired but proud", "this cake was to die for"] {
        let context = noting(note);
        let verdict = sentinel(&context).inspect(&Heard { text: "What is for lunch?", history: &[] });
        assert_eq!(verdict, Verdict::Allow, "{note}");
    }
    let old = json!({ "logs": [{ "date": "2020-01-02", "kind": "mood", "note": "I want to die" }] });
    assert_eq!(sentinel(&old).inspect(&Heard { text: "What is for lunch?", history: &[] }), Verdict::Allow);
}
