//! The sentinel's rules: the files of `data/sentinel`, one a kind.

use std::cmp::Reverse;
use std::io::Read as _;
use std::sync::LazyLock;

use flate2::read::DeflateDecoder;

use super::finding::{Finding, severity};
use super::kind::Kind;
use super::text::Text;
use super::theirs;
use crate::rules::RuleSet;

/// The rules, as the build packed them: a file a line.
static PACKED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/sentinel.deflate"));

static RULES: LazyLock<RuleSet> = LazyLock::new(|| {
    let mut files = String::new();
    DeflateDecoder::new(PACKED).read_to_string(&mut files).expect("the build has packed it");
    RuleSet::read(files.lines()).expect("the tests read every rule")
});

/// What the rules find in a message, each rule once, the gravest first. What it tells of others is read as they would
/// tell it.
pub fn find(text: &Text) -> Vec<Finding> {
    let mut findings = found_by(text);
    // Whether a line's end is a sentence's cannot be told: both are read.
    for finding in text.with_lines_joined().map(|text| found_by(&text)).unwrap_or_default() {
        if !findings.contains(&finding) {
            findings.push(finding);
        }
    }
    findings.sort_by_key(|finding| (Reverse(finding.severity), finding.kind));
    findings
}

fn found_by(text: &Text) -> Vec<Finding> {
    let mut findings = found_in(text, false);
    let theirs = theirs::as_they_would_say(text).map(|text| found_in(&text, true)).unwrap_or_default();
    for finding in theirs {
        // What the writer says of themselves is theirs already.
        let is_own = findings.iter().any(|own| own.rule == finding.rule && own.kind != Kind::ThirdPartyConcern);
        if !is_own && !findings.contains(&finding) {
            findings.push(finding);
        }
    }
    findings
}

fn found_in(text: &Text, are_theirs: bool) -> Vec<Finding> {
    let rules = &*RULES;
    let mut findings: Vec<Finding> = Vec::new();
    for found in rules.find(text) {
        let rule = rules.rule(found.rule);
        let kind = Kind::ALL.into_iter().find(|kind| kind.as_str() == rule.kind);
        let is_of_other = are_theirs || found.of_other.is_some();
        let Some(kind) = kind.and_then(|kind| concerning(kind, is_of_other)) else {
            continue;
        };
        let is_theirs_to_tell = !are_theirs || kind == Kind::ThirdPartyConcern;
        let finding =
            Finding { kind, rule: &rule.name, severity: severity(&rule.severity), is_certain: rule.is_certain };
        if is_theirs_to_tell && !findings.contains(&finding) {
            findings.push(finding);
        }
    }
    findings
}

/// What a kind is when it is said of somebody else: danger is a concern for a third party, an emergency is one
/// whoever has it, and the rest is not the writer's.
fn concerning(kind: Kind, of_other: bool) -> Option<Kind> {
    match kind {
        _ if !of_other => Some(kind),
        Kind::SelfHarm | Kind::EatingDisorder | Kind::LowMood | Kind::ThirdPartyConcern => {
            Some(Kind::ThirdPartyConcern)
        }
        Kind::MedicalEmergency | Kind::DomesticAbuse | Kind::Medication => Some(kind),
        Kind::Minor | Kind::UnsafeGoal | Kind::Pregnancy => None,
    }
}
