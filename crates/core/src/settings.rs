//! What an operator sets in the environment, checked before anything runs.
//!
//! A process that would refuse its first user refuses to start instead, in a sentence that names the
//! variable, its value and the remedy. Nothing here touches the network or the disk.

use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::model::ModelParameters;
use crate::model::residency::{DEFAULT_MODEL_ID, DEFAULT_REGION, ModelId, Region, Residency, ResidencyError};
use crate::model::retry::RetryPolicy;

/// How many tokens of earlier turns go with a call unless `HISTORY_TOKENS` says otherwise: some
/// hundred short turns, at 0.07 USD of input tokens a call at the most for Claude 3.5 Sonnet.
pub const DEFAULT_HISTORY_TOKENS: usize = 24_000;

/// The context of Claude 3.5 Sonnet, in tokens; request and answer share it.
pub const CONTEXT_TOKENS: usize = 200_000;

/// Everything the turn loop takes from the environment.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Whom to ask, and where.
    pub model: ModelSettings,
    /// Where sessions are kept.
    pub memory: MemorySettings,
    /// `HISTORY_TOKENS`: how many tokens of earlier turns go with a call, at the most.
    pub history_tokens: usize,
}

/// Whom to ask, where, and how long to wait.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelSettings {
    /// `MODEL_ID`.
    pub model_id: ModelId,
    /// `AWS_REGION`.
    pub region: Region,
    /// `MAX_TOKENS`: overrules what agents ask for.
    pub max_tokens: Option<u32>,
    /// `TEMPERATURE`: overrules what agents ask for.
    pub temperature: Option<f32>,
    /// `SECOND_OPINIONS`: whether a model is asked about messages that guards doubt.
    pub second_opinions: bool,
    /// How long a silent model is waited for.
    pub patience: Patience,
    /// `MODEL_FALLBACKS`: who stands in when `MODEL_ID` fails, in this order.
    pub fallbacks: Vec<ModelPlace>,
    /// `MODEL_ID_SMALL`: who is asked for turns that need no more.
    pub small: Option<ModelPlace>,
    /// `MODEL_ATTEMPTS` and `MODEL_RETRY_SECONDS`.
    pub retry: RetryPolicy,
    /// `GUARDRAIL_ID` and its companions.
    pub guardrail: Option<GuardrailSettings>,
}

/// What an operator sets over what agents ask for: `MAX_TOKENS`, `TEMPERATURE` and `SECOND_OPINIONS`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Overruling {
    /// The longest answer, in tokens.
    pub max_tokens: Option<u32>,
    /// Randomness, 0 to 1.
    pub temperature: Option<f32>,
    /// Whether a model is asked about messages that guards doubt: see [`crate::guard::Guard::doubts`].
    pub second_opinions: bool,
}

/// A guardrail of Bedrock, which looks at what is said to the model and by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardrailSettings {
    /// `GUARDRAIL_ID`: its id or ARN.
    pub identifier: String,
    /// `GUARDRAIL_VERSION`: a number, or `DRAFT`.
    pub version: String,
    /// `GUARDRAIL_STREAM_MODE`.
    pub stream_mode: GuardrailStreamMode,
}

/// When a guardrail looks at an answer that is streamed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum GuardrailStreamMode {
    /// `sync`: before a piece of it is passed on. Nothing leaves unseen, and each piece waits for it.
    #[default]
    Sync,
    /// `async`: while it is passed on. Nothing waits, and words may have left when they are found wrong.
    Async,
}

/// A model, and the region where it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelPlace {
    /// The model or inference profile.
    pub model_id: ModelId,
    /// Where.
    pub region: Region,
}

/// How long a silent model is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// `MODEL_FIRST_TOKEN_TIMEOUT_SECONDS`: from the call to the first event of a streamed answer.
    pub first_token: Duration,
    /// `MODEL_TOKEN_GAP_TIMEOUT_SECONDS`: between two events of a streamed answer.
    pub token_gap: Duration,
    /// `MODEL_ANSWER_TIMEOUT_SECONDS`: for an answer in one piece.
    pub whole_answer: Duration,
}

/// Where sessions are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemorySettings {
    /// `BEDROCK_AGENTCORE_MEMORY_ID`: the AgentCore Memory of that id.
    AgentCore {
        /// The memory's id or ARN.
        memory_id: String,
    },
    /// `SESSION_MEMORY=file:PATH`: one file on this machine.
    File(PathBuf),
    /// In the process, and gone with it.
    Process,
}

/// Why the environment does not let the process start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// A value is not what its variable takes.
    #[error("{variable}={value} {problem}")]
    Invalid {
        /// The variable.
        variable: &'static str,
        /// Its value.
        value: String,
        /// What is wrong, as the rest of the sentence.
        problem: String,
    },
    /// The model or the region may not be used.
    #[error(transparent)]
    Residency(#[from] ResidencyError),
    /// A guardrail is named in part.
    #[error("{set} is set without {missing}; set both, or neither for no guardrail")]
    HalfAGuardrail {
        /// What is set.
        set: &'static str,
        /// What is not.
        missing: &'static str,
    },
    /// Two places for one memory.
    #[error(
        "SESSION_MEMORY={session_memory} and BEDROCK_AGENTCORE_MEMORY_ID={memory_id} are both set; \
         unset the one that should not keep the sessions"
    )]
    TwoMemories {
        /// The value of `SESSION_MEMORY`.
        session_memory: String,
        /// The value of `BEDROCK_AGENTCORE_MEMORY_ID`.
        memory_id: String,
    },
}

// === impl Settings ===

impl Settings {
    /// Reads the environment through `read`, which gives a variable's value. Empty values count as
    /// not set, as AWS's own tools take them.
    ///
    /// # Errors
    /// The first variable whose value cannot be used.
    pub fn read(read: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let environment = Environment(&|name| read(name).filter(|value| !value.is_empty()));
        Ok(Self {
            model: ModelSettings::read(&environment)?,
            memory: MemorySettings::read(&environment)?,
            history_tokens: environment
                .parse("HISTORY_TOKENS", "must be a number of tokens from 0 to 200000", |&tokens| {
                    tokens <= CONTEXT_TOKENS
                })?
                .unwrap_or(DEFAULT_HISTORY_TOKENS),
        })
    }
}

// === impl ModelSettings ===

impl ModelSettings {
    /// The variable that names the models that stand in.
    pub const FALLBACKS: &str = "MODEL_FALLBACKS";
    /// The variable that names the model for turns that need no more.
    pub const SMALL: &str = "MODEL_ID_SMALL";
    /// The variable that says whether a model is asked about messages that guards doubt.
    pub const SECOND_OPINIONS: &str = "SECOND_OPINIONS";

    /// One model in one region, and everything else as when nothing is set.
    pub fn new(model_id: ModelId, region: Region) -> Self {
        Self {
            model_id,
            region,
            max_tokens: None,
            temperature: None,
            second_opinions: false,
            patience: Patience::default(),
            fallbacks: Vec::new(),
            small: None,
            retry: RetryPolicy::default(),
            guardrail: None,
        }
    }

    fn read(environment: &Environment<'_>) -> Result<Self, SettingsError> {
        let residency =
            environment.get("DATA_RESIDENCY").map_or(Ok(Residency::Eu), |value| Residency::parse(&value))?;
        let model_id = environment.get("MODEL_ID").unwrap_or_else(|| DEFAULT_MODEL_ID.to_owned());
        let region = environment.get("AWS_REGION").unwrap_or_else(|| DEFAULT_REGION.to_owned());
        let region = Region::parse(&region, residency)?;
        let place = |variable, entry: &str| ModelPlace::parse(variable, entry.trim(), &region, residency);
        let fallbacks = environment.get(Self::FALLBACKS).unwrap_or_default();
        let fallbacks = fallbacks.split(',').filter(|entry| !entry.trim().is_empty());
        Ok(Self {
            model_id: ModelId::parse(&model_id, residency)?,
            fallbacks: fallbacks.map(|entry| place(Self::FALLBACKS, entry)).collect::<Result<_, _>>()?,
            small: environment.get(Self::SMALL).map(|entry| place(Self::SMALL, &entry)).transpose()?,
            retry: read_retry(environment)?,
            guardrail: GuardrailSettings::read(environment)?,
            region: region.clone(),
            max_tokens: environment
                .parse("MAX_TOKENS", "must be a whole number of tokens, at least 1", |&tokens| tokens > 0)?,
            temperature: environment
                .parse("TEMPERATURE", "must be a number from 0 to 1", |value| (0.0..=1.0).contains(value))?,
            second_opinions: read_second_opinions(environment)?,
            patience: Patience::read(environment)?,
        })
    }

    /// What the operator has set over what agents ask for.
    pub fn overruling(&self) -> Overruling {
        let Self { max_tokens, temperature, second_opinions, .. } = *self;
        Overruling { max_tokens, temperature, second_opinions }
    }
}

// === impl Overruling ===

impl Overruling {
    /// Writes what the operator has set over what the agent asked for.
    pub fn apply(&self, parameters: &mut ModelParameters) {
        if let Some(max_tokens) = self.max_tokens {
            parameters.max_tokens = max_tokens;
        }
        if self.temperature.is_some() {
            parameters.temperature = self.temperature;
        }
    }
}

fn read_second_opinions(environment: &Environment<'_>) -> Result<bool, SettingsError> {
    match environment.get(ModelSettings::SECOND_OPINIONS).as_deref() {
        None | Some("off") => Ok(false),
        Some("on") => Ok(true),
        Some(other) => Err(SettingsError::invalid(ModelSettings::SECOND_OPINIONS, other, "must be `on` or `off`")),
    }
}

fn read_retry(environment: &Environment<'_>) -> Result<RetryPolicy, SettingsError> {
    let default = RetryPolicy::default();
    let attempts = environment
        .parse(RetryPolicy::ATTEMPTS, "must be a number of attempts from 1 to 10", |attempts: &NonZeroU32| {
            attempts.get() <= 10
        })?
        .unwrap_or(default.attempts());
    let seconds = environment
        .parse(RetryPolicy::SECONDS, "must be a number of seconds from 0 to 600", |value: &f64| {
            (0.0..=600.0).contains(value)
        })?
        .map_or(default.within(), Duration::from_secs_f64);
    Ok(RetryPolicy::new(attempts, seconds))
}

// === impl GuardrailSettings ===

impl GuardrailSettings {
    /// The variable that names the guardrail.
    pub const IDENTIFIER: &str = "GUARDRAIL_ID";
    /// The variable that names its version.
    pub const VERSION: &str = "GUARDRAIL_VERSION";
    /// The variable that says when it looks at a stream.
    pub const STREAM_MODE: &str = "GUARDRAIL_STREAM_MODE";

    fn read(environment: &Environment<'_>) -> Result<Option<Self>, SettingsError> {
        let half = |set, missing| Err(SettingsError::HalfAGuardrail { set, missing });
        let stream_mode = environment.get(Self::STREAM_MODE);
        let (identifier, version) = match (environment.get(Self::IDENTIFIER), environment.get(Self::VERSION)) {
            (Some(identifier), Some(version)) => (identifier, version),
            (Some(_), None) => return half(Self::IDENTIFIER, Self::VERSION),
            (None, Some(_)) => return half(Self::VERSION, Self::IDENTIFIER),
            (None, None) if stream_mode.is_some() => return half(Self::STREAM_MODE, Self::IDENTIFIER),
            (None, None) => return Ok(None),
        };
        let stream_mode = match stream_mode.as_deref() {
            None | Some("sync") => GuardrailStreamMode::Sync,
            Some("async") => GuardrailStreamMode::Async,
            Some(other) => return Err(SettingsError::invalid(Self::STREAM_MODE, other, "must be `sync` or `async`")),
        };
        let is_number = !version.starts_with('0') && version.len() <= 8 && version.bytes().all(|b| b.is_ascii_digit());
        if version != "DRAFT" && !is_number {
            return Err(SettingsError::invalid(Self::VERSION, &version, "must be a version's number, or DRAFT"));
        }
        Ok(Some(Self { identifier, version, stream_mode }))
    }
}

// === impl ModelPlace ===

impl ModelPlace {
    /// Reads `MODEL` or `MODEL@REGION`, as `variable` takes it.
    ///
    /// # Errors
    /// When the model may not be asked, or not there.
    pub fn parse(
        variable: &'static str,
        entry: &str,
        region: &Region,
        residency: Residency,
    ) -> Result<Self, ResidencyError> {
        let (model_id, region) = match entry.split_once('@') {
            Some((model_id, region)) => (model_id.trim(), Region::parse_for(variable, region.trim(), residency)?),
            None => (entry, region.clone()),
        };
        Ok(Self { model_id: ModelId::parse_for(variable, model_id, residency)?, region })
    }

    /// The model's id, with its region where that is another than `usual`.
    pub fn name_beside(&self, usual: &Region) -> String {
        if self.region == *usual { self.model_id.to_string() } else { format!("{}@{}", self.model_id, self.region) }
    }
}

// === impl Patience ===

impl Patience {
    fn read(environment: &Environment<'_>) -> Result<Self, SettingsError> {
        let default = Self::default();
        let seconds = |variable, otherwise| {
            let problem = "must be a number of seconds above 0, at most 3600";
            let read = environment.parse(variable, problem, |&value: &f64| value > 0.0 && value <= 3600.0)?;
            Ok::<_, SettingsError>(read.map_or(otherwise, Duration::from_secs_f64))
        };
        Ok(Self {
            first_token: seconds(Self::FIRST_TOKEN, default.first_token)?,
            token_gap: seconds(Self::TOKEN_GAP, default.token_gap)?,
            whole_answer: seconds(Self::WHOLE_ANSWER, default.whole_answer)?,
        })
    }

    /// The variable that bounds the wait for the first event.
    pub const FIRST_TOKEN: &str = "MODEL_FIRST_TOKEN_TIMEOUT_SECONDS";
    /// The variable that bounds the wait between two events.
    pub const TOKEN_GAP: &str = "MODEL_TOKEN_GAP_TIMEOUT_SECONDS";
    /// The variable that bounds the wait for an answer in one piece.
    pub const WHOLE_ANSWER: &str = "MODEL_ANSWER_TIMEOUT_SECONDS";
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            first_token: Duration::from_secs(30),
            token_gap: Duration::from_secs(15),
            whole_answer: Duration::from_mins(2),
        }
    }
}

// === impl MemorySettings ===

impl MemorySettings {
    fn read(environment: &Environment<'_>) -> Result<Self, SettingsError> {
        let session_memory = environment.get("SESSION_MEMORY");
        match (environment.get("BEDROCK_AGENTCORE_MEMORY_ID"), session_memory) {
            (Some(memory_id), None) => Ok(Self::AgentCore { memory_id }),
            (Some(memory_id), Some(session_memory)) => Err(SettingsError::TwoMemories { session_memory, memory_id }),
            (None, None) => Ok(Self::Process),
            (None, Some(value)) if value == "process" => Ok(Self::Process),
            (None, Some(value)) => match value.strip_prefix("file:") {
                Some(path) if !path.is_empty() => Ok(Self::File(PathBuf::from(path))),
                _ => Err(SettingsError::invalid("SESSION_MEMORY", &value, "must be `file:PATH` or `process`")),
            },
        }
    }
}

impl fmt::Display for MemorySettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AgentCore { memory_id } => write!(formatter, "AgentCore Memory {memory_id}"),
            Self::File(path) => write!(formatter, "file {}", path.display()),
            Self::Process => formatter.write_str("this process"),
        }
    }
}

// === impl SettingsError ===

impl SettingsError {
    /// A value its variable does not take; `problem` ends the sentence.
    pub fn invalid(variable: &'static str, value: &str, problem: impl Into<String>) -> Self {
        Self::Invalid { variable, value: value.to_owned(), problem: problem.into() }
    }
}

/// The environment, as a function, so that tests need not change the process's own.
struct Environment<'a>(&'a dyn Fn(&str) -> Option<String>);

impl Environment<'_> {
    fn get(&self, variable: &str) -> Option<String> {
        (self.0)(variable)
    }

    fn parse<T: FromStr>(
        &self,
        variable: &'static str,
        problem: &str,
        allowed: impl Fn(&T) -> bool,
    ) -> Result<Option<T>, SettingsError> {
        let Some(value) = self.get(variable) else {
            return Ok(None);
        };
        match value.parse().ok().filter(allowed) {
            Some(parsed) => Ok(Some(parsed)),
            None => Err(SettingsError::invalid(variable, &value, problem)),
        }
    }
}
