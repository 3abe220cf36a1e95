//! What single models can do beyond Converse's common ground.
//!
//! Bedrock has no call that tells, so the facts are here, each with its source, as of November 2026. A
//! model that is not here is taken to do none of it: every answer is still right then, only dearer, or
//! not mended where its stream broke.

/// The geographies of Bedrock's inference profiles. Source: "Supported Regions and models for inference
/// profiles" in the Bedrock user guide.
const GEOGRAPHIES: [&str; 8] = ["eu", "us", "us-gov", "apac", "global", "jp", "au", "ca"];

/// A model's version, major and minor.
type Version = (u32, u32);

/// What a model can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Whether a conversation may end with the assistant's words, for the model to go on from.
    ///
    /// Claude does it from 3 to 4.5; from 4.6 on it is an error ("Prefill removal" in Anthropic's
    /// "What's new in Claude 4.6"; strands-agents/sdk-python issue 1694 has Bedrock's refusal). For models
    /// of other makers nothing is documented.
    pub goes_on: bool,
    /// How prompts are cached; none where they cannot be.
    pub cache: Option<CacheRules>,
}

/// How a model's prompt cache is used. At most four points a call, whichever model (Bedrock user guide,
/// "Prompt caching").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheRules {
    /// The shortest prefix that is cached, in tokens. A point before that does no harm and nothing else.
    pub least_tokens: usize,
    /// Whether a point may stand behind the tools.
    pub after_tools: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tier {
    Haiku,
    Sonnet,
    Opus,
    Other,
}

// === impl Capabilities ===

impl Capabilities {
    /// Of the model behind an id, an inference profile or the ARN of either.
    pub fn of(model_id: &str) -> Self {
        let model = foundation_model(model_id);
        match claude(model) {
            Some((tier, version)) => {
                Self { goes_on: ((3, 0)..=(4, 5)).contains(&version), cache: claude_cache(tier, version) }
            }
            None => Self { goes_on: false, cache: nova_cache(model) },
        }
    }
}

/// The foundation model's id behind an inference profile's, or behind the ARN of either.
pub fn foundation_model(model_id: &str) -> &str {
    let id = profile(model_id);
    geography(id).map_or(id, |geography| &id[geography.len() + 1..])
}

/// Whether the id is that of a profile that stays within a geography: not of a model itself, and not of
/// the global profile.
pub fn is_geographic(model_id: &str) -> bool {
    geography(profile(model_id)).is_some_and(|geography| geography != "global")
}

/// The id at the end of an ARN, or the id itself.
fn profile(model_id: &str) -> &str {
    model_id.rsplit('/').next().unwrap_or(model_id)
}

fn geography(id: &str) -> Option<&str> {
    id.split_once('.').map(|(first, _)| first).filter(|first| GEOGRAPHIES.contains(first))
}

/// Anthropic has written the version before the tier and after it: `claude-3-5-sonnet-20240620-v1:0` and
/// `claude-sonnet-4-5-20250929-v1:0`.
fn claude(model: &str) -> Option<(Tier, Version)> {
    let name = model.strip_prefix("anthropic.claude-")?;
    let tier = match name {
        _ if name.contains("haiku") => Tier::Haiku,
        _ if name.contains("sonnet") => Tier::Sonnet,
        _ if name.contains("opus") => Tier::Opus,
        _ => Tier::Other,
    };
    // Longer numbers are dates.
    let mut numbers = name.split('-').filter(|part| part.len() <= 2).filter_map(|part| part.parse::<u32>().ok());
    let major = numbers.next()?;
    Some((tier, (major, numbers.next().unwrap_or(0))))
}

/// From Bedrock's user guide, "Prompt caching" (3.7 Sonnet 1024, 3.5 Haiku 2048), the same table as Spring
/// AI's Bedrock notes have it (Sonnet 4 and 4.5, Opus 4: 1024; Haiku 4.5: 4096), and Anthropic's own table
/// as anthropics/anthropic-sdk-python issue 1194 quotes it (Opus 4.1: 1024; Opus 4.5 and 4.6: 4096). For
/// Sonnet 4.6 the sources say 1024 and 2048; the larger stands. Claude 3.5 Sonnet of June 2024 has no
/// cache on Bedrock, that of October 2024 has one for the accounts of a closed preview only.
fn claude_cache(tier: Tier, version: Version) -> Option<CacheRules> {
    let least_tokens = match (tier, version) {
        (Tier::Haiku, (3, 5)) | (Tier::Sonnet, (4, 6)) => 2048,
        (Tier::Sonnet, (3, 7) | (4, 0..=5)) | (Tier::Opus, (4, 0..=1)) => 1024,
        (Tier::Haiku | Tier::Opus, (4, 5)) => 4096,
        // The largest that any Claude has had.
        (_, later) if later >= (4, 6) => 4096,
        _ => return None,
    };
    Some(CacheRules { least_tokens, after_tools: true })
}

/// From Bedrock's user guide, "Prompt caching": 1000 tokens, in system and messages only.
fn nova_cache(model: &str) -> Option<CacheRules> {
    let name = model.strip_prefix("amazon.nova-")?;
    let cached = ["micro-v1", "lite-v1", "pro-v1", "premier-v1"].iter().any(|known| name.starts_with(known));
    cached.then_some(CacheRules { least_tokens: 1000, after_tools: false })
}

#[cfg(test)]
mod tests {
    use super::{Capabilities, foundation_model, is_geographic};

    /// Whether it goes on, and from how many tokens it caches.
    fn told(model_id: &str) -> (bool, Option<usize>) {
        let capabilities = Capabilities::of(model_id);
        (capabilities.goes_on, capabilities.cache.map(|rules| rules.least_tokens))
    }

    #[test]
    fn models_are_known_by_id_profile_and_arn() {
        let arn =
            "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.anthropic.claude-sonnet-4-5-20250929-v1:0";
        for id in ["anthropic.claude-sonnet-4-5-20250929-v1:0", "eu.anthropic.claude-sonnet-4-5-20250929-v1:0", arn] {
            assert_eq!(foundation_model(id), "anthropic.claude-sonnet-4-5-20250929-v1:0");
            assert_eq!(told(id), (true, Some(1024)), "{id}");
        }
        assert!(is_geographic(arn));
        assert!(!is_geographic("global.anthropic.claude-sonnet-4-6"));
        assert!(!is_geographic("anthropic.claude-3-haiku-20240307-v1:0"));
    }

    #[test]
    fn claude_goes_on_from_its_own_words_up_to_4_5() {
        assert_eq!(told("eu.anthropic.claude-3-haiku-20240307-v1:0"), (true, None));
        assert_eq!(told("eu.anthropic.claude-3-5-sonnet-20240620-v1:0"), (true, None));
        assert_eq!(told("us.anthropic.claude-3-5-haiku-20241022-v1:0"), (true, Some(2048)));
        assert_eq!(told("eu.anthropic.claude-3-7-sonnet-20250219-v1:0"), (true, Some(1024)));
        assert_eq!(told("eu.anthropic.claude-sonnet-4-20250514-v1:0"), (true, Some(1024)));
        assert_eq!(told("us.anthropic.claude-opus-4-1-20250805-v1:0"), (true, Some(1024)));
        assert_eq!(told("eu.anthropic.claude-opus-4-5-20251101-v1:0"), (true, Some(4096)));
        assert_eq!(told("eu.anthropic.claude-haiku-4-5-20251001-v1:0"), (true, Some(4096)));
        assert_eq!(told("eu.anthropic.claude-sonnet-4-6"), (false, Some(2048)));
        assert_eq!(told("eu.anthropic.claude-opus-4-6-v1"), (false, Some(4096)));
        assert_eq!(told("global.anthropic.claude-opus-5"), (false, Some(4096)));
    }

    #[test]
    fn of_models_that_are_not_known_nothing_is_assumed() {
        for id in ["anthropic.claude-v2:1", "anthropic.claude-instant-v1", "mistral.mistral-large-2402-v1:0"] {
            assert_eq!(told(id), (false, None), "{id}");
        }
        let own = "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/abcdefghijkl";
        assert_eq!(told(own), (false, None));
        assert_eq!(told("eu.amazon.nova-lite-v1:0"), (false, Some(1000)));
    }
}
