//! Bedrock's own guardrails: how they are asked for, and what they found.

use std::borrow::Cow;

use aws_sdk_bedrockruntime::types as sdk;

use crate::guard::{Flag, Severity};
use crate::model::GuardrailTrace;
use crate::settings::{GuardrailSettings, GuardrailStreamMode};

pub(super) fn for_whole(settings: &GuardrailSettings) -> sdk::GuardrailConfiguration {
    sdk::GuardrailConfiguration::builder()
        .guardrail_identifier(&settings.identifier)
        .guardrail_version(&settings.version)
        .trace(sdk::GuardrailTrace::Enabled)
        .build()
}

pub(super) fn for_stream(settings: &GuardrailSettings) -> sdk::GuardrailStreamConfiguration {
    let mode = match settings.stream_mode {
        GuardrailStreamMode::Sync => sdk::GuardrailStreamProcessingMode::Sync,
        GuardrailStreamMode::Async => sdk::GuardrailStreamProcessingMode::Async,
    };
    sdk::GuardrailStreamConfiguration::builder()
        .guardrail_identifier(&settings.identifier)
        .guardrail_version(&settings.version)
        .trace(sdk::GuardrailTrace::Enabled)
        .stream_processing_mode(mode)
        .build()
}

/// What a guardrail found: the names of what matched, and of the user's words those that must not be kept.
pub(super) fn trace_from(found: &sdk::GuardrailTraceAssessment) -> GuardrailTrace {
    let mut trace = GuardrailTrace::default();
    for assessment in found.input_assessment().into_iter().flat_map(|by_guardrail| by_guardrail.values()) {
        flag(&mut trace.flags, assessment);
        redact(&mut trace.redactions, assessment);
    }
    for assessment in found.output_assessments().into_iter().flat_map(|by_guardrail| by_guardrail.values()).flatten() {
        flag(&mut trace.flags, assessment);
    }
    trace
}

/// What was done about a match; none where it was not even reported.
fn severity(action: &str, detected: Option<bool>) -> Option<Severity> {
    match action {
        "BLOCKED" => Some(Severity::Elevated),
        "ANONYMIZED" => Some(Severity::Info),
        // The guardrail only watches.
        _ => detected.unwrap_or(false).then_some(Severity::Info),
    }
}

fn flag(flags: &mut Vec<Flag>, assessment: &sdk::GuardrailAssessment) {
    let mut raise = |kind: &'static str, rule: &str, severity: Option<Severity>| {
        let Some(severity) = severity else { return };
        let flag = Flag { kind: Cow::Borrowed(kind), rule: Cow::Owned(rule.to_owned()), severity };
        if !flags.contains(&flag) {
            flags.push(flag);
        }
    };
    for topic in assessment.topic_policy().into_iter().flat_map(sdk::GuardrailTopicPolicyAssessment::topics) {
        raise("guardrail_topic", topic.name(), severity(topic.action().as_str(), topic.detected()));
    }
    for filter in assessment.content_policy().into_iter().flat_map(sdk::GuardrailContentPolicyAssessment::filters) {
        let found = severity(filter.action().as_str(), filter.detected());
        raise("guardrail_content_filter", filter.r#type().as_str(), found);
    }
    if let Some(words) = assessment.word_policy() {
        for word in words.custom_words() {
            raise("guardrail_word", "CUSTOM", severity(word.action().as_str(), word.detected()));
        }
        for word in words.managed_word_lists() {
            raise("guardrail_word", word.r#type().as_str(), severity(word.action().as_str(), word.detected()));
        }
    }
    if let Some(policy) = assessment.sensitive_information_policy() {
        for entity in policy.pii_entities() {
            let found = severity(entity.action().as_str(), entity.detected());
            raise("guardrail_sensitive_information", entity.r#type().as_str(), found);
        }
        for regex in policy.regexes() {
            let found = severity(regex.action().as_str(), regex.detected());
            raise("guardrail_sensitive_information", regex.name().unwrap_or("REGEX"), found);
        }
    }
    let grounding = assessment.contextual_grounding_policy();
    for filter in grounding.into_iter().flat_map(sdk::GuardrailContextualGroundingPolicyAssessment::filters) {
        let found = severity(filter.action().as_str(), filter.detected());
        raise("guardrail_grounding", filter.r#type().as_str(), found);
    }
}

/// The words that were anonymised or blocked, and in their place what Bedrock writes for them.
fn redact(redactions: &mut Vec<(String, String)>, assessment: &sdk::GuardrailAssessment) {
    let mut redact = |said: &str, name: &str, action: &str| {
        let acted = matches!(action, "BLOCKED" | "ANONYMIZED");
        let redaction = (said.to_owned(), format!("{{{name}}}"));
        if acted && !said.is_empty() && !redactions.contains(&redaction) {
            redactions.push(redaction);
        }
    };
    if let Some(policy) = assessment.sensitive_information_policy() {
        for entity in policy.pii_entities() {
            redact(entity.r#match(), entity.r#type().as_str(), entity.action().as_str());
        }
        for regex in policy.regexes() {
            redact(regex.r#match().unwrap_or_default(), regex.name().unwrap_or("REGEX"), regex.action().as_str());
        }
    }
    if let Some(words) = assessment.word_policy() {
        for word in words.custom_words() {
            redact(word.r#match(), "WORD", word.action().as_str());
        }
        for word in words.managed_word_lists() {
            redact(word.r#match(), word.r#type().as_str(), word.action().as_str());
        }
    }
}
