//! Guardrails that exist locally, applied as Bedrock applies its own.
//!
//! A guardrail is read from a file in the shape of the request that creates one in the cloud
//! (`CreateGuardrail`), its name being its identifier. What can be decided without a model is decided
//! here: words, e-mail addresses, telephone numbers, patterns, and topics by their example phrases.
//! A policy that needs a model is refused when the file is read, so that nobody believes it is applied.

mod applied;
mod policy;

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use self::policy::{Action, Rule};
use super::{Form, validation};
use crate::aws_error::AwsError;

pub(super) use self::applied::{Applied, Input};

/// A guardrail as `CreateGuardrail` defines one, read from JSON.
///
/// Members: `name` (which identifies it, alone or at the end of an ARN), `version` (`DRAFT` or a number;
/// without one both `DRAFT` and `1` find it), `blockedInputMessaging`, `blockedOutputsMessaging`,
/// `wordPolicyConfig.wordsConfig[].text`, `topicPolicyConfig.topicsConfig[]` with `name` and `examples`,
/// and `sensitiveInformationPolicyConfig` with `piiEntitiesConfig[]` (`EMAIL`, `PHONE`) and
/// `regexesConfig[]`. Letters are compared without case where they are ASCII.
#[derive(Debug, Clone)]
pub struct Guardrail {
    name: String,
    version: Option<String>,
    blocked_input: String,
    blocked_output: String,
    rules: Arc<[Rule]>,
}

/// Why a text is no guardrail that can be applied here.
#[derive(Debug, thiserror::Error)]
pub enum GuardrailError {
    /// It is no definition, or has policies that only the real service can apply.
    #[error(
        "it is not what CreateGuardrail takes, or more than is applied here: {0}; leave out policies that need a model"
    )]
    Definition(#[from] serde_json::Error),
    /// Only a model can find such personal data.
    #[error("personal data of type {0} are not found here; give EMAIL, PHONE, or a pattern in regexesConfig")]
    Pii(String),
    /// The pattern is none, or has what this engine lacks.
    #[error("`{pattern}` is not a pattern: {source}")]
    Pattern {
        /// What was given.
        pattern: String,
        /// What is wrong with it.
        source: regex_lite::Error,
    },
}

/// The guardrails there are, by name.
#[derive(Debug, Clone, Default)]
pub(super) struct Guardrails(BTreeMap<String, Vec<Guardrail>>);

/// What a request says of guardrails.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Configuration {
    #[serde(default)]
    guardrail_identifier: String,
    #[serde(default)]
    guardrail_version: String,
    #[serde(default)]
    trace: Trace,
    #[serde(default)]
    stream_processing_mode: Mode,
}

/// Whether the caller wants to know what was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Trace {
    Enabled,
    EnabledFull,
    #[default]
    Disabled,
}

/// When the words of a stream are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    /// Before they are sent.
    #[default]
    Sync,
    /// While they are sent.
    Async,
}

/// `CreateGuardrail`'s request, as far as it is applied here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Definition {
    name: String,
    version: Option<String>,
    blocked_input_messaging: String,
    blocked_outputs_messaging: String,
    word_policy_config: Option<WordPolicy>,
    topic_policy_config: Option<TopicPolicy>,
    sensitive_information_policy_config: Option<SensitivePolicy>,
    #[serde(rename = "description")]
    _description: Option<IgnoredAny>,
    #[serde(rename = "tags")]
    _tags: Option<IgnoredAny>,
    #[serde(rename = "kmsKeyId")]
    _kms_key_id: Option<IgnoredAny>,
    #[serde(rename = "clientRequestToken")]
    _client_request_token: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WordPolicy {
    words_config: Vec<Word>,
}

#[derive(Deserialize)]
struct Word {
    text: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TopicPolicy {
    topics_config: Vec<Topic>,
}

#[derive(Deserialize)]
struct Topic {
    name: String,
    #[serde(default)]
    examples: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SensitivePolicy {
    #[serde(default)]
    pii_entities_config: Vec<PiiEntity>,
    #[serde(default)]
    regexes_config: Vec<NamedRegex>,
}

#[derive(Deserialize)]
struct PiiEntity {
    #[serde(rename = "type")]
    kind: String,
    action: Action,
}

#[derive(Deserialize)]
struct NamedRegex {
    name: String,
    pattern: String,
    action: Action,
}

// === impl Guardrail ===

impl Guardrail {
    /// What a request identifies it by.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn has_version(&self, version: &str) -> bool {
        self.version.as_deref().map_or(["DRAFT", "1"].contains(&version), |own| own == version)
    }
}

impl FromStr for Guardrail {
    type Err = GuardrailError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let definition: Definition = serde_json::from_str(text)?;
        let rules = rules(&definition)?;
        Ok(Self {
            name: definition.name,
            version: definition.version,
            blocked_input: definition.blocked_input_messaging,
            blocked_output: definition.blocked_outputs_messaging,
            rules: rules.into(),
        })
    }
}

fn rules(definition: &Definition) -> Result<Vec<Rule>, GuardrailError> {
    let mut rules = Vec::new();
    for topic in definition.topic_policy_config.iter().flat_map(|policy| &policy.topics_config) {
        rules.push(Rule::topic(&topic.name, &topic.examples)?);
    }
    for word in definition.word_policy_config.iter().flat_map(|policy| &policy.words_config) {
        rules.push(Rule::word(&word.text)?);
    }
    if let Some(policy) = &definition.sensitive_information_policy_config {
        for entity in &policy.pii_entities_config {
            rules.push(Rule::pii(&entity.kind, entity.action)?);
        }
        for pattern in &policy.regexes_config {
            rules.push(Rule::regex(&pattern.name, &pattern.pattern, pattern.action)?);
        }
    }
    Ok(rules)
}

// === impl Guardrails ===

impl Guardrails {
    pub(super) fn add(&mut self, guardrail: Guardrail) {
        self.0.entry(guardrail.name.clone()).or_default().push(guardrail);
    }

    /// The guardrail that the `guardrailConfig` of a request names.
    pub(super) fn applied(&self, configuration: Value, form: Form) -> Result<Applied, AwsError> {
        let wanted: Configuration = validation::shaped(configuration, "guardrailConfig.")?;
        let identifier = wanted.guardrail_identifier.as_str();
        let name = identifier.rsplit_once(":guardrail/").map_or(identifier, |(_, name)| name);
        let found = self.0.get(name).into_iter().flatten();
        let guardrail =
            found.rev().find(|guardrail| guardrail.has_version(&wanted.guardrail_version)).ok_or_else(|| {
                AwsError::validation("The guardrail identifier or version provided in the request does not exist.")
            })?;
        let mode = match form {
            // A whole answer is always checked before it is sent.
            Form::Whole => Mode::Sync,
            Form::Stream => wanted.stream_processing_mode,
        };
        Ok(Applied::new(guardrail.clone(), mode, wanted.trace != Trace::Disabled))
    }
}
