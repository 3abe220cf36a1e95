//! Bedrock's own guardrails: how they are asked for, and what they found.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::guard::{Flag, Severity};
use crate::model::GuardrailTrace;
use crate::settings::{GuardrailSettings, GuardrailStreamMode};

/// A guardrail as it is asked for.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "so Bedrock calls them")]
pub(super) struct Guardrail<'a> {
    guardrail_identifier: &'a str,
    guardrail_version: &'a str,
    trace: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_processing_mode: Option<&'static str>,
}

/// What it says of a message and its answer, each by the name of the guardrail.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Assessments {
    input_assessment: BTreeMap<String, Assessment>,
    output_assessments: BTreeMap<String, Vec<Assessment>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(clippy::struct_field_names, reason = "so Bedrock calls them")]
struct Assessment {
    topic_policy: Topics,
    content_policy: Filters,
    word_policy: Words,
    sensitive_information_policy: SensitiveInformation,
    contextual_grounding_policy: Filters,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Topics {
    topics: Vec<Match>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Filters {
    filters: Vec<Match>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Words {
    custom_words: Vec<Match>,
    managed_word_lists: Vec<Match>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SensitiveInformation {
    pii_entities: Vec<Match>,
    regexes: Vec<Match>,
}

/// What every kind of finding says of itself, as far as it does.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Match {
    name: Option<String>,
    r#type: Option<String>,
    /// The words that it is about.
    #[serde(rename = "match")]
    said: Option<String>,
    action: String,
    detected: Option<bool>,
}

// === impl Guardrail ===

impl<'a> Guardrail<'a> {
    pub(super) fn for_whole(settings: &'a GuardrailSettings) -> Self {
        Self {
            guardrail_identifier: &settings.identifier,
            guardrail_version: &settings.version,
            trace: "enabled",
            stream_processing_mode: None,
        }
    }

    pub(super) fn for_stream(settings: &'a GuardrailSettings) -> Self {
        let mode = match settings.stream_mode {
            GuardrailStreamMode::Sync => "sync",
            GuardrailStreamMode::Async => "async",
        };
        Self { stream_processing_mode: Some(mode), ..Self::for_whole(settings) }
    }
}

// === impl Assessments ===

impl Assessments {
    /// The names of what matched, and of the user's words those that must not be kept.
    pub(super) fn trace(&self) -> GuardrailTrace {
        let mut trace = GuardrailTrace::default();
        for assessment in self.input_assessment.values() {
            assessment.flag(&mut trace.flags);
            assessment.redact(&mut trace.redactions);
        }
        for assessment in self.output_assessments.values().flatten() {
            assessment.flag(&mut trace.flags);
        }
        trace
    }
}

// === impl Assessment ===

impl Assessment {
    fn flag(&self, flags: &mut Vec<Flag>) {
        let mut raise = |kind: &'static str, rule: Option<&str>, found: &Match| {
            let Some(severity) = found.severity() else { return };
            let rule = Cow::Owned(rule.unwrap_or_default().to_owned());
            let flag = Flag { kind: Cow::Borrowed(kind), rule, severity };
            if !flags.contains(&flag) {
                flags.push(flag);
            }
        };
        for topic in &self.topic_policy.topics {
            raise("guardrail_topic", topic.name.as_deref(), topic);
        }
        for filter in &self.content_policy.filters {
            raise("guardrail_content_filter", filter.r#type.as_deref(), filter);
        }
        for word in &self.word_policy.custom_words {
            raise("guardrail_word", Some("CUSTOM"), word);
        }
        for word in &self.word_policy.managed_word_lists {
            raise("guardrail_word", word.r#type.as_deref(), word);
        }
        for found in self.sensitive_information_policy.all() {
            raise("guardrail_sensitive_information", Some(found.sensitive_kind()), found);
        }
        for filter in &self.contextual_grounding_policy.filters {
            raise("guardrail_grounding", filter.r#type.as_deref(), filter);
        }
    }

    /// The words that were anonymised or blocked, and in their place what Bedrock writes for them.
    fn redact(&self, redactions: &mut Vec<(String, String)>) {
        let sensitive = self.sensitive_information_policy.all().map(|found| (found, found.sensitive_kind()));
        let words = self.word_policy.custom_words.iter().chain(&self.word_policy.managed_word_lists);
        for (found, name) in sensitive.chain(words.map(|word| (word, "WORD"))) {
            let said = found.said.as_deref().unwrap_or_default();
            let redaction = (said.to_owned(), format!("{{{name}}}"));
            let has_acted = matches!(found.action.as_str(), "BLOCKED" | "ANONYMIZED");
            if has_acted && !said.is_empty() && !redactions.contains(&redaction) {
                redactions.push(redaction);
            }
        }
    }
}

impl SensitiveInformation {
    fn all(&self) -> impl Iterator<Item = &Match> {
        self.pii_entities.iter().chain(&self.regexes)
    }
}

// === impl Match ===

impl Match {
    /// What was done about it; none where it was not even reported.
    fn severity(&self) -> Option<Severity> {
        match self.action.as_str() {
            "BLOCKED" => Some(Severity::Elevated),
            "ANONYMIZED" => Some(Severity::Info),
            // The guardrail only watches.
            _ => self.detected.unwrap_or(false).then_some(Severity::Info),
        }
    }

    /// Kinds of personal data have a type, and expressions of the operator's own a name, if that.
    fn sensitive_kind(&self) -> &str {
        self.r#type.as_deref().or(self.name.as_deref()).unwrap_or("REGEX")
    }
}
