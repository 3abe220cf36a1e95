//! What a model reads in a message that the sentinel does not take for a crisis: the second layer, where an operator
//! wants one. What it is asked is in `data/second_reader.toml`.
//!
//! It can only make more of a message than rules say, and less of it than the classifier fears. Its words are chosen
//! from a list, so that whatever it has been talked into it cannot speak to the user.

use std::sync::LazyLock;

use agentcore_runtime::core::message::{Role, ToolSpec};
use agentcore_runtime::prelude::{Heard, SecondOpinion, Severity};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::classifier;
use super::finding::{Finding, severity};
use super::kind::Kind;
use super::reading::joined;

/// The rule that a flag names where the model found what nobody else did.
pub const SECOND_READER: &str = "second_reader";

/// The form that the model fills in.
const REPORT: &str = "report";

/// How many messages before the last one the model is shown, and how many characters of each at the most.
const EARLIER: usize = 4;
const LONGEST: usize = 600;

static DATA: LazyLock<Data> = LazyLock::new(|| {
    serde_json::from_str(include_str!(concat!(env!("OUT_DIR"), "/second_reader.json"))).expect("the build has read it")
});

#[derive(Deserialize)]
struct Data {
    instruction: String,
    label: Vec<Label>,
}

#[derive(Deserialize)]
struct Label {
    name: String,
    kind: Kind,
    severity: String,
    is: String,
}

/// What the model is shown.
#[derive(Serialize)]
struct Shown<'a> {
    earlier: Vec<Said>,
    message: &'a str,
}

#[derive(Serialize)]
struct Said {
    by: &'static str,
    text: String,
}

/// What the model is asked about a message.
pub fn question(heard: &Heard<'_>) -> SecondOpinion {
    let shown = Shown { earlier: earlier(heard), message: heard.text };
    SecondOpinion {
        instruction: DATA.instruction.trim().to_owned(),
        question: serde_json::to_string(&shown).unwrap_or_default(),
        form: form(),
    }
}

/// What the model may report, as the form names it.
pub fn labels() -> impl Iterator<Item = &'static str> {
    DATA.label.iter().map(|label| label.name.as_str())
}

fn form() -> ToolSpec {
    let names: Vec<&str> = labels().collect();
    let described: Vec<String> = DATA.label.iter().map(|label| format!("{}: {}", label.name, label.is)).collect();
    ToolSpec {
        name: REPORT.to_owned(),
        description: format!("Says what is in the message. The labels:\n{}", described.join("\n")),
        input_schema: json!({
            "type": "object",
            "properties": { "found": { "type": "array", "items": { "type": "string", "enum": names } } },
            "required": ["found"],
        }),
    }
}

/// The last of what was said before, oldest first. A summary is not among it: a model wrote it.
fn earlier(heard: &Heard<'_>) -> Vec<Said> {
    let turns = heard.history.iter().rev().filter(|turn| !turn.is_summary());
    let messages = turns.flat_map(|turn| turn.messages().iter().rev());
    let newest = messages.map(|message| (message.role, message.text())).filter(|(_, text)| !text.trim().is_empty());
    let mut said: Vec<Said> = newest
        .take(EARLIER)
        .map(|(role, text)| Said {
            by: if role == Role::User { "person" } else { "coach" },
            text: text.chars().take(LONGEST).collect(),
        })
        .collect();
    said.reverse();
    said
}

/// What a model reported.
struct Report {
    found: Vec<(Kind, Severity)>,
    /// Whether it named nothing that is no label. Who makes up labels has seen something, and is not believed where it
    /// has seen nothing.
    is_clear: bool,
}

/// What the model reported; none where nothing of it makes sense.
fn reported(told: &Value) -> Option<Report> {
    let names = told["found"].as_array()?;
    let label = |name: &Value| DATA.label.iter().find(|label| Some(label.name.as_str()) == name.as_str());
    let found: Vec<_> = names.iter().filter_map(label).map(|label| (label.kind, severity(&label.severity))).collect();
    let is_clear = found.len() == names.len();
    (is_clear || !found.is_empty()).then_some(Report { found, is_clear })
}

/// What is found in a message when the model's report is heard beside what was found without it; none where it reported
/// nothing that makes sense.
pub fn heard_beside(mut found: Vec<Finding>, told: &Value) -> Option<Vec<Finding>> {
    let Report { found: reported, is_clear } = reported(told)?;
    let is_reported = |kind| reported.iter().any(|(reported, _)| *reported == kind);
    found.retain(|finding| !is_clear || finding.rule != classifier::RULE || is_reported(finding.kind));
    let own = |(kind, severity)| Finding { kind, rule: SECOND_READER, severity, is_certain: false };
    Some(joined(found.into_iter().chain(reported.iter().copied().map(own))))
}
