//! What is found in a message by all who look: the rules, the arithmetic of goals, the classifier.

use std::cmp::Reverse;

use agentcore_runtime::prelude::{Flag, Severity};

use super::goals::{self, Person};
use super::kind::Kind;
use super::text::Text;
use super::{classifier, rules};
use crate::payload::OPENING;

/// What was found in a message: names only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finding {
    /// What it is about.
    pub kind: Kind,
    /// The rule.
    pub rule: &'static str,
    /// How grave it is.
    pub severity: Severity,
    /// Whether nothing may doubt it: arithmetic, what the app says, words that leave no other reading.
    pub is_certain: bool,
}

/// Everything found in what stands in a user's place: nothing where the app opened the conversation in words of ours.
pub fn find_in(message: &str, person: &Person) -> Vec<Finding> {
    if message == OPENING { Vec::new() } else { find(&Text::of(message), person) }
}

/// Everything found in a message, each kind once, the gravest first. A clinician can read why a rule found something;
/// the classifier hears what the rules found, doubts it where all the words around it are ordinary, and finds what no
/// rule names.
pub fn find(text: &Text, person: &Person) -> Vec<Finding> {
    let found = rules::find(text);
    joined(classifier::judge(text, found).into_iter().chain(goal(text, person)))
}

fn goal(text: &Text, person: &Person) -> Option<Finding> {
    let goal = goals::find(text, person)?;
    Some(Finding { kind: Kind::UnsafeGoal, rule: goal.rule(), severity: Severity::Elevated, is_certain: true })
}

fn joined(found: impl Iterator<Item = Finding>) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    for finding in found {
        match findings.iter_mut().find(|known| known.kind == finding.kind) {
            Some(known) if known.severity < finding.severity => *known = finding,
            Some(_) => {}
            None => findings.push(finding),
        }
    }
    findings.sort_by_key(|finding| (Reverse(finding.severity), finding.kind));
    findings
}

/// A severity by its name in a file of rules.
pub fn severity(name: &str) -> Severity {
    match name {
        "crisis" => Severity::Crisis,
        "elevated" => Severity::Elevated,
        _ => Severity::Info,
    }
}

// === impl Finding ===

impl Finding {
    /// It as an answer tells it.
    pub fn flag(self) -> Flag {
        Flag { kind: self.kind.as_str().into(), rule: self.rule.into(), severity: self.severity }
    }
}
