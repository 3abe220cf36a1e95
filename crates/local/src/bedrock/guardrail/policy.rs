//! What a guardrail looks for, and what it found.

use std::ops::Range;

use regex_lite::Regex;
use serde::Deserialize;
use serde_json::{Value, json};

use super::GuardrailError;

/// An e-mail address, as people write them.
const EMAIL: &str = r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}";

/// Digits with the marks that people set between them.
const PHONE: &str = r"\+?[0-9(][0-9 ().-]{5,}[0-9]";

/// Digits of a telephone number, with and without the country.
const PHONE_DIGITS: Range<usize> = 7..16;

/// What is done about a match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Action {
    /// The whole text is replaced by the guardrail's message.
    Block,
    /// The match is replaced by its kind in braces.
    Anonymize,
    /// It is told in the trace.
    None,
}

/// One thing to look for.
#[derive(Debug)]
pub(super) struct Rule {
    kind: Kind,
    pattern: Regex,
    action: Action,
}

/// What a rule is of.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Topic(String),
    Word,
    Email,
    Phone,
    Regex { name: String, pattern: String },
}

/// What was found in one text.
#[derive(Debug, Default)]
pub(super) struct Assessment {
    findings: Vec<Finding>,
    /// Characters looked at.
    characters: usize,
}

#[derive(Debug)]
struct Finding {
    kind: Kind,
    matched: String,
    action: Action,
}

// === impl Rule ===

impl Rule {
    pub(super) fn topic(name: &str, examples: &[String]) -> Result<Self, GuardrailError> {
        let phrases: Vec<String> = examples.iter().map(String::as_str).chain([name]).map(phrase).collect();
        Self::new(Kind::Topic(name.to_owned()), &phrases.join("|"), Action::Block)
    }

    pub(super) fn word(text: &str) -> Result<Self, GuardrailError> {
        Self::new(Kind::Word, &phrase(text), Action::Block)
    }

    pub(super) fn pii(kind: &str, action: Action) -> Result<Self, GuardrailError> {
        match kind {
            "EMAIL" => Self::new(Kind::Email, EMAIL, action),
            "PHONE" => Self::new(Kind::Phone, PHONE, action),
            other => Err(GuardrailError::Pii(other.to_owned())),
        }
    }

    pub(super) fn regex(name: &str, pattern: &str, action: Action) -> Result<Self, GuardrailError> {
        let kind = Kind::Regex { name: name.to_owned(), pattern: pattern.to_owned() };
        Self::new(kind, pattern, action)
    }

    fn new(kind: Kind, pattern: &str, action: Action) -> Result<Self, GuardrailError> {
        let compiled =
            Regex::new(pattern).map_err(|source| GuardrailError::Pattern { pattern: pattern.to_owned(), source })?;
        Ok(Self { kind, pattern: compiled, action })
    }

    fn matches<'a>(&'a self, text: &'a str) -> impl Iterator<Item = Range<usize>> + 'a {
        let found = self.pattern.find_iter(text).filter(|found| !found.is_empty());
        found.filter(|found| self.kind != Kind::Phone || is_phone(found.as_str())).map(|found| found.range())
    }

    /// What stands for a match.
    fn mask(&self) -> String {
        let name = match &self.kind {
            Kind::Topic(name) | Kind::Regex { name, .. } => name,
            Kind::Word => "WORD",
            Kind::Email => "EMAIL",
            Kind::Phone => "PHONE",
        };
        format!("{{{name}}}")
    }
}

/// `text` as whole words, in any case.
fn phrase(text: &str) -> String {
    let text = text.trim();
    let edge = |character: Option<char>| {
        if character.is_some_and(|character| character.is_ascii_alphanumeric() || character == '_') {
            r"\b"
        } else {
            ""
        }
    };
    format!("(?i:{}{}{})", edge(text.chars().next()), regex_lite::escape(text), edge(text.chars().next_back()))
}

/// Whether digits with marks are a number to call, and no date.
fn is_phone(text: &str) -> bool {
    let digits = text.chars().filter(char::is_ascii_digit).count();
    let parts: Vec<usize> = text.split('-').map(str::len).collect();
    PHONE_DIGITS.contains(&digits) && parts != [4, 2, 2]
}

// === impl Assessment ===

impl Assessment {
    /// What `rules` find in `text`.
    pub(super) fn of(rules: &[Rule], text: &str) -> Self {
        let findings = rules.iter().flat_map(|rule| {
            rule.matches(text).map(|range| Finding {
                kind: rule.kind.clone(),
                matched: text[range].to_owned(),
                action: rule.action,
            })
        });
        Self { findings: findings.collect(), characters: text.chars().count() }
    }

    /// Both together.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.findings.extend(other.findings);
        self.characters += other.characters;
        self
    }

    pub(super) fn blocks(&self) -> bool {
        self.has(Action::Block)
    }

    pub(super) fn masks(&self) -> bool {
        self.has(Action::Anonymize)
    }

    fn has(&self, action: Action) -> bool {
        self.findings.iter().any(|finding| finding.action == action)
    }

    /// In the shape of the service's `GuardrailAssessment`.
    pub(super) fn to_json(&self) -> Value {
        let mut assessment = json!({});
        let mut add = |policy: &str, list: &str, entries: Vec<Value>| {
            if !entries.is_empty() {
                assessment[policy][list] = json!(entries);
            }
        };
        let all = |select: fn(&Finding) -> Option<Value>| self.findings.iter().filter_map(select).collect::<Vec<_>>();
        add("topicPolicy", "topics", topics(&self.findings));
        add("wordPolicy", "customWords", all(Finding::as_word));
        add("sensitiveInformationPolicy", "piiEntities", all(Finding::as_pii));
        add("sensitiveInformationPolicy", "regexes", all(Finding::as_regex));
        complete(&mut assessment);
        assessment["invocationMetrics"] = self.metrics();
        assessment
    }

    fn metrics(&self) -> Value {
        // A unit is a thousand characters.
        let units = self.characters.div_ceil(1_000);
        json!({
            "guardrailProcessingLatency": 1,
            "usage": {
                "topicPolicyUnits": units,
                "contentPolicyUnits": 0,
                "wordPolicyUnits": units,
                "sensitiveInformationPolicyUnits": units,
                "sensitiveInformationPolicyFreeUnits": units,
                "contextualGroundingPolicyUnits": 0,
            },
            "guardrailCoverage": { "textCharacters": { "guarded": self.characters, "total": self.characters } },
        })
    }
}

/// Every topic once, however many of its phrases were found.
fn topics(findings: &[Finding]) -> Vec<Value> {
    let mut names: Vec<&str> = Vec::new();
    for finding in findings {
        if let Kind::Topic(name) = &finding.kind
            && !names.contains(&name.as_str())
        {
            names.push(name);
        }
    }
    let topic = |name| json!({ "name": name, "type": "DENY", "action": "BLOCKED", "detected": true });
    names.into_iter().map(topic).collect()
}

/// The lists that the service's shapes require beside those that have something in them.
fn complete(assessment: &mut Value) {
    for (policy, lists) in [
        ("wordPolicy", ["customWords", "managedWordLists"]),
        ("sensitiveInformationPolicy", ["piiEntities", "regexes"]),
    ] {
        let Some(found) = assessment.get_mut(policy) else {
            continue;
        };
        for list in lists {
            if found.get(list).is_none() {
                found[list] = json!([]);
            }
        }
    }
}

// === impl Finding ===

impl Finding {
    fn as_word(&self) -> Option<Value> {
        (self.kind == Kind::Word).then(|| self.entry(json!({})))
    }

    fn as_pii(&self) -> Option<Value> {
        match self.kind {
            Kind::Email => Some(self.entry(json!({ "type": "EMAIL" }))),
            Kind::Phone => Some(self.entry(json!({ "type": "PHONE" }))),
            _ => None,
        }
    }

    fn as_regex(&self) -> Option<Value> {
        match &self.kind {
            Kind::Regex { name, pattern } => Some(self.entry(json!({ "name": name, "regex": pattern }))),
            _ => None,
        }
    }

    fn entry(&self, mut entry: Value) -> Value {
        entry["match"] = json!(self.matched);
        entry["action"] = json!(match self.action {
            Action::Block => "BLOCKED",
            Action::Anonymize => "ANONYMIZED",
            Action::None => "NONE",
        });
        entry["detected"] = json!(true);
        entry
    }
}

/// `text` with what `rules` anonymise replaced.
pub(super) fn masked(rules: &[Rule], text: &str) -> String {
    let masking = rules.iter().filter(|rule| rule.action == Action::Anonymize);
    let mut found: Vec<(Range<usize>, String)> =
        masking.flat_map(|rule| rule.matches(text).map(|range| (range, rule.mask()))).collect();
    found.sort_by_key(|(range, _)| range.start);
    let (mut masked, mut done) = (String::new(), 0);
    for (range, mask) in found {
        // One that begins within another is gone with it.
        if range.start >= done {
            masked.push_str(&text[done..range.start]);
            masked.push_str(&mask);
            done = range.end;
        }
    }
    masked.push_str(&text[done..]);
    masked
}

#[cfg(test)]
mod tests {
    use super::{Action, Assessment, Rule, masked};

    fn rules() -> Vec<Rule> {
        [
            Rule::topic("Investment", &["which shares should I buy".to_owned()]),
            Rule::word("snake oil"),
            Rule::pii("EMAIL", Action::Anonymize),
            Rule::pii("PHONE", Action::Anonymize),
            Rule::regex("case", r"CASE-\d+", Action::Anonymize),
        ]
        .into_iter()
        .collect::<Result<_, _>>()
        .expect("rules")
    }

    #[test]
    fn words_and_topics_are_whole_words_in_any_case() {
        let blocks = |text: &str| Assessment::of(&rules(), text).blocks();
        assert!(blocks("Buy Snake Oil!"));
        assert!(blocks("So, WHICH shares should I buy?"));
        assert!(blocks("about investment"));
        assert!(!blocks("snake oils, investments"));
    }

    #[test]
    fn what_is_anonymised_is_replaced_by_its_kind() {
        let text = "Write to aoife.b@mail.example.ie or call +353 1 234 5678 (CASE-12, 2026-06-20, 81.5 kg).";
        insta::assert_snapshot!(masked(&rules(), text), @"Write to {EMAIL} or call {PHONE} ({case}, 2026-06-20, 81.5 kg).");
    }
}
