//! Which model ids Bedrock would know.
//!
//! A list of today's models would refuse tomorrow's, so this checks how ids are built: an optional
//! geography, a provider, a name, for Anthropic the pattern of Claude's names. That is enough to catch
//! what people get wrong (a dot in `3-5`, a missing provider, a model of another service), and the
//! few facts about single models that callers meet as errors are here too.

use axum::http::StatusCode;

use crate::aws_error::AwsError;

/// The geographies of Bedrock's inference profiles.
const GEOGRAPHIES: [&str; 8] = ["eu", "us", "us-gov", "apac", "global", "jp", "au", "ca"];

/// The providers with models on Bedrock that Converse serves.
const PROVIDERS: [&str; 16] = [
    "ai21",
    "amazon",
    "anthropic",
    "cohere",
    "deepseek",
    "google",
    "luma",
    "meta",
    "minimax",
    "mistral",
    "moonshot",
    "moonshotai",
    "nvidia",
    "openai",
    "qwen",
    "zai",
];

/// Claude models whose end of life on Bedrock has passed.
const RETIRED: [&str; 3] = ["claude-instant-v1", "claude-v2", "claude-v2:1"];

/// What follows `arn:aws:bedrock:REGION:ACCOUNT:` when the rest names no model of the catalogue.
const OWN_MODELS: [&str; 6] = [
    "application-inference-profile/",
    "custom-model/",
    "custom-model-deployment/",
    "imported-model/",
    "provisioned-model/",
    "default-prompt-router/",
];

/// A model that exists, as far as an id can tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ModelId {
    /// One of Anthropic's, by the name behind geography and provider.
    Claude(String),
    /// One of Amazon's Nova.
    Nova,
    /// Any other of the catalogue.
    Other,
    /// A model or profile of the account's own, of which the id tells nothing.
    Own,
}

/// How a model caches prompts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Caching {
    /// A shorter prompt, in tokens, is not kept.
    pub(super) least_tokens: u64,
    /// Whether tools may be followed by a cache point.
    pub(super) of_tools: bool,
}

// === impl ModelId ===

impl ModelId {
    /// Recognises a model id, an inference profile id, or the ARN of either.
    pub(super) fn parse(text: &str) -> Result<Self, AwsError> {
        let named = Named::parse(text)?;
        match &named.model {
            Self::Claude(name) if named.geography.is_none() && needs_profile(name) => {
                Err(AwsError::validation(format!(
                    "Invocation of model ID {} with on-demand throughput isn’t supported. Retry your request with the \
                     ID or ARN of an inference profile that contains this model.",
                    named.id
                )))
            }
            _ => Ok(named.model),
        }
    }

    /// Refuses what `CountTokens` refuses.
    ///
    /// It takes the ids of models alone and no inference profiles, though the model behind one may count;
    /// and it does not ask whether the model is to be had on demand. Claude counts from 3.5 on.
    pub(super) fn check_countable(text: &str) -> Result<(), AwsError> {
        let named = Named::parse(text)?;
        match &named.model {
            Self::Claude(name) if named.geography.is_none() && version_in(name) >= (3, 5) => Ok(()),
            _ => Err(AwsError::validation("The provided model doesn't support counting tokens.")),
        }
    }

    /// The most `maxTokens` may ask for, where Bedrock is known to check it.
    ///
    /// From Anthropic's model table: 4096 for Claude 3, 8192 for Claude 3.5.
    pub(super) fn output_limit(&self) -> Option<i64> {
        let claude = self.claude()?;
        if claude.starts_with("claude-3-5-") {
            Some(8_192)
        } else if ["claude-3-haiku", "claude-3-sonnet", "claude-3-opus"].iter().any(|model| claude.starts_with(model)) {
            Some(4_096)
        } else {
            None
        }
    }

    /// Whether a conversation may end with a message of the assistant, for the model to go on from.
    ///
    /// Claude refuses it from 4.6 on.
    pub(super) fn takes_prefill(&self) -> bool {
        self.claude_version().is_none_or(|version| version < (4, 6))
    }

    /// Major and minor version, when the model is a Claude.
    fn claude_version(&self) -> Option<(u32, u32)> {
        self.claude().map(version_in)
    }

    fn claude(&self) -> Option<&str> {
        match self {
            Self::Claude(name) => Some(name),
            Self::Nova | Self::Other | Self::Own => None,
        }
    }

    /// How the model caches prompts; none when it does not.
    ///
    /// From the user guide's page on prompt caching: Claude from 3.5 Haiku and 3.7 Sonnet on, and Nova.
    pub(super) fn caching(&self) -> Option<Caching> {
        let of_tools = |least_tokens| Some(Caching { least_tokens, of_tools: true });
        match self {
            Self::Nova => Some(Caching { least_tokens: 1_000, of_tools: false }),
            Self::Other => None,
            // The second 3.5 Sonnet caches for accounts that tried it in its preview, and for nobody else.
            Self::Claude(name) if version_in(name) < (3, 5) || name.starts_with("claude-3-5-sonnet") => None,
            Self::Claude(name) if name.starts_with("claude-3-5-haiku") => of_tools(2_048),
            Self::Claude(name) if version_in(name) >= (4, 5) && !name.contains("sonnet") => of_tools(4_096),
            Self::Claude(_) | Self::Own => of_tools(1_024),
        }
    }
}

/// A model as an id names it.
struct Named<'a> {
    model: ModelId,
    /// Where an inference profile answers.
    geography: Option<&'a str>,
    /// Without the rest of an ARN.
    id: &'a str,
}

// === impl Named ===

impl<'a> Named<'a> {
    fn parse(text: &'a str) -> Result<Self, AwsError> {
        let id = match text.strip_prefix("arn:") {
            None => text,
            Some(_) => match resource_of(text).ok_or_else(invalid)? {
                Resource::Catalogue(id) => id,
                Resource::Own => return Ok(Self { model: ModelId::Own, geography: None, id: text }),
            },
        };
        let (geography, rest) = split_geography(id);
        let (provider, name) = rest.split_once('.').ok_or_else(invalid)?;
        if !PROVIDERS.contains(&provider) || !is_name(name) {
            return Err(invalid());
        }
        let model = match provider {
            "anthropic" => {
                check_claude(name)?;
                ModelId::Claude(name.to_owned())
            }
            "amazon" if name.starts_with("nova-") => ModelId::Nova,
            _ => ModelId::Other,
        };
        Ok(Self { model, geography, id })
    }
}

enum Resource<'a> {
    Catalogue(&'a str),
    Own,
}

/// What the ARN of a model names; none when it is not the ARN of a model.
fn resource_of(arn: &str) -> Option<Resource<'_>> {
    let mut parts = arn.splitn(6, ':');
    let (_arn, partition) = (parts.next()?, parts.next()?);
    let (service, _region, _account) = (parts.next()?, parts.next()?, parts.next()?);
    let resource = parts.next()?;
    if !partition.starts_with("aws") || service != "bedrock" {
        return None;
    }
    if let Some(id) = resource.strip_prefix("foundation-model/").or_else(|| resource.strip_prefix("inference-profile/"))
    {
        return Some(Resource::Catalogue(id));
    }
    OWN_MODELS.iter().any(|kind| resource.strip_prefix(kind).is_some_and(|id| !id.is_empty())).then_some(Resource::Own)
}

fn split_geography(id: &str) -> (Option<&str>, &str) {
    match id.split_once('.') {
        Some((first, rest)) if GEOGRAPHIES.contains(&first) => (Some(first), rest),
        _ => (None, id),
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.:".contains(&byte))
}

/// Checks a Claude name: words and one- or two-digit numbers, a date, a version.
fn check_claude(name: &str) -> Result<(), AwsError> {
    if RETIRED.contains(&name) {
        return Err(AwsError::new(
            StatusCode::NOT_FOUND,
            "ResourceNotFoundException",
            "This model version has reached the end of its life. Please refer to the AWS \
             documentation for more details.",
        ));
    }
    let segments = name.strip_prefix("claude-").ok_or_else(invalid)?;
    let well_formed = segments.split('-').all(is_claude_segment);
    let versioned = segments.bytes().any(|byte| byte.is_ascii_digit());
    if !well_formed || !versioned {
        return Err(invalid());
    }
    Ok(())
}

fn is_claude_segment(segment: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(version) = segment.strip_prefix('v') {
        return version.split(':').all(|part| digits(part.trim_end_matches('k')));
    }
    let word = !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_lowercase());
    word || (digits(segment) && matches!(segment.len(), 1 | 2 | 8))
}

/// Models from Claude 3.7 on are reached through inference profiles only.
fn needs_profile(name: &str) -> bool {
    version_in(name) >= (3, 7)
}

/// The first two numbers of a Claude's name that are no date; what is missing is 0.
fn version_in(name: &str) -> (u32, u32) {
    let mut numbers =
        name.split('-').filter(|segment| segment.len() <= 2).filter_map(|segment| segment.parse::<u32>().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

fn invalid() -> AwsError {
    AwsError::validation("The provided model identifier is invalid.")
}

#[cfg(test)]
mod tests {
    use super::ModelId;

    fn verdict(id: &str) -> String {
        match ModelId::parse(id) {
            Ok(_) => "known".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn ids_profiles_and_arns_of_models_are_known() {
        for id in [
            "eu.anthropic.claude-3-5-sonnet-20240620-v1:0",
            "anthropic.claude-3-5-sonnet-20240620-v1:0",
            "anthropic.claude-3-haiku-20240307-v1:0:48k",
            "global.anthropic.claude-sonnet-4-5-20250929-v1:0",
            "eu.anthropic.claude-opus-4-6-v1",
            "eu.anthropic.claude-sonnet-4-6",
            "amazon.nova-lite-v1:0",
            "mistral.mistral-large-2402-v1:0",
            "zai.glm-4.7",
            "arn:aws:bedrock:eu-west-1::foundation-model/anthropic.claude-3-haiku-20240307-v1:0",
            "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.anthropic.claude-sonnet-4-6",
            "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/abcdefghijkl",
        ] {
            assert_eq!(verdict(id), "known", "{id}");
        }
    }

    #[test]
    fn what_people_mistype_is_unknown() {
        for id in [
            "eu.anthropic.claude-3.5-sonnet-20240620-v1:0",
            "claude-3-5-sonnet-20240620",
            "anthropic.claude-nope",
            "anthropic.sonnet",
            "xx.anthropic.claude-3-haiku-20240307-v1:0",
            "gpt-4o",
            "no-such-model",
            "arn:aws:s3:::bucket/anthropic.claude-3-haiku-20240307-v1:0",
            "",
        ] {
            assert_eq!(verdict(id), "ValidationException: The provided model identifier is invalid.", "{id}");
        }
    }

    #[test]
    fn retired_models_and_models_without_on_demand_say_so() {
        insta::assert_snapshot!(verdict("anthropic.claude-v2:1"), @"ResourceNotFoundException: This model version has reached the end of its life. Please refer to the AWS documentation for more details.");
        insta::assert_snapshot!(verdict("anthropic.claude-sonnet-4-5-20250929-v1:0"), @"ValidationException: Invocation of model ID anthropic.claude-sonnet-4-5-20250929-v1:0 with on-demand throughput isn’t supported. Retry your request with the ID or ARN of an inference profile that contains this model.");
    }

    #[test]
    fn older_models_bound_the_answer() {
        let limit = |id: &str| ModelId::parse(id).expect("a known model").output_limit();
        assert_eq!(limit("eu.anthropic.claude-3-5-sonnet-20240620-v1:0"), Some(8_192));
        assert_eq!(limit("anthropic.claude-3-haiku-20240307-v1:0"), Some(4_096));
        assert_eq!(limit("eu.anthropic.claude-sonnet-4-6"), None);
    }

    #[test]
    fn claude_takes_prefill_up_to_4_5() {
        let takes = |id: &str| ModelId::parse(id).expect("a known model").takes_prefill();
        assert!(takes("eu.anthropic.claude-3-5-sonnet-20240620-v1:0"));
        assert!(takes("eu.anthropic.claude-sonnet-4-5-20250929-v1:0"));
        assert!(takes("eu.anthropic.claude-opus-4-20250514-v1:0"));
        assert!(takes("amazon.nova-lite-v1:0"));
        assert!(!takes("eu.anthropic.claude-opus-4-6-v1"));
        assert!(!takes("eu.anthropic.claude-sonnet-4-6"));
        assert!(!takes("global.anthropic.claude-opus-5"));
    }

    #[test]
    fn models_cache_prompts_from_3_5_haiku_and_3_7_sonnet_on() {
        let least = |id: &str| {
            let model = ModelId::parse(id).expect("a known model");
            model.caching().map(|caching| caching.least_tokens)
        };
        assert_eq!(least("eu.anthropic.claude-3-5-sonnet-20240620-v1:0"), None);
        assert_eq!(least("anthropic.claude-3-haiku-20240307-v1:0"), None);
        assert_eq!(least("mistral.mistral-large-2402-v1:0"), None);
        assert_eq!(least("us.anthropic.claude-3-5-sonnet-20241022-v2:0"), None);
        assert_eq!(least("eu.anthropic.claude-3-7-sonnet-20250219-v1:0"), Some(1_024));
        assert_eq!(least("us.anthropic.claude-3-5-haiku-20241022-v1:0"), Some(2_048));
        assert_eq!(least("eu.anthropic.claude-sonnet-4-5-20250929-v1:0"), Some(1_024));
        assert_eq!(least("eu.anthropic.claude-haiku-4-5-20251001-v1:0"), Some(4_096));
        assert_eq!(least("amazon.nova-lite-v1:0"), Some(1_000));
    }

    #[test]
    fn models_count_tokens_under_their_own_ids_alone() {
        let verdict = |id: &str| ModelId::check_countable(id).map_err(|error| error.to_string());
        for id in [
            "anthropic.claude-3-5-sonnet-20240620-v1:0",
            "anthropic.claude-sonnet-4-5-20250929-v1:0",
            "arn:aws:bedrock:eu-west-1::foundation-model/anthropic.claude-haiku-4-5-20251001-v1:0",
        ] {
            assert_eq!(verdict(id), Ok(()), "{id}");
        }
        for id in [
            "eu.anthropic.claude-3-5-sonnet-20240620-v1:0",
            "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.anthropic.claude-sonnet-4-6",
            "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/abcdefghijkl",
            "anthropic.claude-3-haiku-20240307-v1:0",
            "amazon.nova-lite-v1:0",
        ] {
            let refused = "ValidationException: The provided model doesn't support counting tokens.";
            assert_eq!(verdict(id), Err(refused.to_owned()), "{id}");
        }
    }
}
