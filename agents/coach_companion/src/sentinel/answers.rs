//! What the sentinel says in the coach's place, and what it tells the model: the texts of `data/answers.toml`.

use std::sync::LazyLock;

use agentcore_runtime::prelude::Severity;
use foldhash::HashMap;
use serde::Deserialize;

use super::kind::Kind;
use super::resources::Resources;

static DATA: LazyLock<Data> = LazyLock::new(|| {
    serde_json::from_str(include_str!(concat!(env!("OUT_DIR"), "/answers.json"))).expect("the build has read it")
});

/// Every answer with the numbers of every place, and what it answers.
static ANSWERS: LazyLock<HashMap<String, (Kind, Severity)>> = LazyLock::new(|| {
    let in_place = |resources: &'static Resources| {
        DATA.answer.iter().flat_map(move |answer| {
            let severity = if answer.severity == Grade::Crisis { Severity::Crisis } else { Severity::Elevated };
            answer.say.iter().map(move |text| (resources.fill_in(text), (answer.kind, severity)))
        })
    };
    Resources::all().iter().flat_map(in_place).collect()
});

#[derive(Deserialize)]
struct Data {
    answer: Vec<Answer>,
    instruction: Vec<Text>,
    replacement: Vec<Text>,
}

#[derive(Deserialize)]
struct Answer {
    kind: Kind,
    severity: Grade,
    /// Whether it is for somebody who stands beside the person it is about.
    #[serde(default)]
    of_another: bool,
    say: Vec<String>,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Grade {
    Elevated,
    Crisis,
}

#[derive(Deserialize)]
struct Text {
    kind: String,
    say: String,
}

/// Whose matter a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// The writer's.
    Own,
    /// Somebody's beside the writer.
    Anothers,
}

/// What takes the place of words of the model's that must not leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replacement {
    /// Anything around weight and food, in a session that is gentle.
    Gentle,
    /// What could do harm.
    Harm,
}

/// How many different answers there are to a kind.
pub fn count(kind: Kind, severity: Severity) -> usize {
    found(kind, severity, Whose::Own).map_or(0, |answer| answer.say.len())
}

/// The whole answer to a message of a kind; `before` counts how often the session has had one of its kind, so that
/// the same words are not said twice in a row. None for kinds that the model answers.
pub fn answer(kind: Kind, severity: Severity, whose: Whose, resources: &Resources, before: usize) -> Option<String> {
    let texts = &found(kind, severity, whose)?.say;
    let text = texts.iter().cycle().nth(before % texts.len().max(1))?;
    Some(resources.fill_in(text))
}

/// What words answer, where they are an answer of the sentinel's, in whatever place.
pub fn answers_what(words: &str) -> Option<(Kind, Severity)> {
    ANSWERS.get(words).copied()
}

fn found(kind: Kind, severity: Severity, whose: Whose) -> Option<&'static Answer> {
    let grade = if severity == Severity::Crisis { Grade::Crisis } else { Grade::Elevated };
    let of_kind = || DATA.answer.iter().filter(|answer| answer.kind == kind);
    let own = || of_kind().filter(|answer| !answer.of_another);
    let anothers = of_kind().find(|answer| answer.of_another && answer.severity == grade);
    let anothers = anothers.filter(|_| whose == Whose::Anothers);
    anothers.or_else(|| own().find(|answer| answer.severity == grade)).or_else(|| own().next())
}

/// What the model is told about a message of a kind that it answers.
pub fn instruction(kind: Kind, resources: &Resources) -> Option<String> {
    text_of(&DATA.instruction, kind.as_str(), resources)
}

/// What the model is told in a session in which something of a kind has come up.
pub fn gentle_instruction(about: Kind, resources: &Resources) -> String {
    let name = match about {
        Kind::DomesticAbuse => "gentle_after_abuse",
        Kind::Minor => "gentle_with_a_minor",
        _ => "gentle",
    };
    text_of(&DATA.instruction, name, resources).unwrap_or_default()
}

/// What is said in the place of the rest of an answer.
pub fn replacement(of: Replacement, resources: &Resources) -> String {
    let name = match of {
        Replacement::Gentle => "gentle",
        Replacement::Harm => "harm",
    };
    text_of(&DATA.replacement, name, resources).unwrap_or_default()
}

fn text_of(texts: &[Text], name: &str, resources: &Resources) -> Option<String> {
    texts.iter().find(|text| text.kind == name).map(|text| resources.fill_in(&text.say))
}
