//! What an agent's card says, as far as we act on it.

use a2a::{AgentCard, TRANSPORT_PROTOCOL_JSONRPC};
use reqwest::Url;
use serde::Deserialize;
use serde_json::Value;

/// Where a card is.
pub(crate) const PATH: &str = ".well-known/agent-card.json";

/// How much of a description the model is told, in bytes.
const LONGEST: usize = 2_000;

/// A version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// 0.3.
    Older,
    /// 1.0.
    Current,
}

/// An agent by its card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Card {
    /// What it is for, in the card's words.
    pub(crate) description: String,
    pub(crate) url: Url,
    pub(crate) version: Version,
    /// Whether it tells of a task while it works on it.
    pub(crate) streams: bool,
}

/// Why a card is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CardError {
    #[error("its card is none: {0}")]
    NoCard(String),
    #[error("its card names no interface of JSON-RPC in version 1.0 or 0.3")]
    NoInterface,
}

/// The members of a card of 0.3, and those that both versions have.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OlderCard {
    name: String,
    #[serde(default)]
    description: String,
    url: Option<String>,
    preferred_transport: Option<String>,
    #[serde(default)]
    additional_interfaces: Vec<OlderInterface>,
    #[serde(default)]
    capabilities: Capabilities,
    #[serde(default)]
    skills: Vec<Skill>,
}

#[derive(Deserialize)]
struct OlderInterface {
    url: String,
    transport: String,
}

#[derive(Default, Deserialize)]
struct Capabilities {
    #[serde(default)]
    streaming: bool,
}

#[derive(Deserialize)]
struct Skill {
    #[serde(default)]
    name: String,
    #[serde(default)]
    description: String,
}

// === impl Card ===

impl Card {
    /// Reads a card of either version, or one of both.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, CardError> {
        let card: Value = serde_json::from_slice(bytes).map_err(|error| no_card(&error))?;
        let current = AgentCard::deserialize(&card).ok();
        let older = OlderCard::deserialize(&card).map_err(|error| no_card(&error))?;
        let (url, version) =
            current.and_then(|card| interface(&card)).or_else(|| older.interface()).ok_or(CardError::NoInterface)?;
        let streams = older.capabilities.streaming;
        Ok(Self { description: older.told(), url, version, streams })
    }
}

fn no_card(error: &serde_json::Error) -> CardError {
    CardError::NoCard(format!("see line {}, column {}", error.line(), error.column()))
}

/// The newest interface that we speak.
fn interface(card: &AgentCard) -> Option<(Url, Version)> {
    let of = |version: &str| {
        let found = card.supported_interfaces.iter().find(|interface| {
            interface.protocol_binding == TRANSPORT_PROTOCOL_JSONRPC && interface.protocol_version.starts_with(version)
        });
        found.and_then(|interface| Url::parse(&interface.url).ok())
    };
    let current = of("1").map(|url| (url, Version::Current));
    current.or_else(|| of("0.3").map(|url| (url, Version::Older)))
}

// === impl OlderCard ===

impl OlderCard {
    fn interface(&self) -> Option<(Url, Version)> {
        let is_json_rpc = |transport: &str| transport == TRANSPORT_PROTOCOL_JSONRPC;
        let preferred = self.preferred_transport.as_deref().is_none_or(is_json_rpc).then_some(self.url.as_ref());
        let additional = self.additional_interfaces.iter().find(|interface| is_json_rpc(&interface.transport));
        let url = preferred.flatten().or(additional.map(|interface| &interface.url))?;
        Url::parse(url).ok().map(|url| (url, Version::Older))
    }

    /// What the model is told of the agent.
    fn told(&self) -> String {
        let description = if self.description.trim().is_empty() { &self.name } else { &self.description };
        let skills = self.skills.iter().filter(|skill| skill.description != *description);
        let skills = skills.map(|skill| format!("\n- {}: {}", skill.name, skill.description));
        let mut told = skills.fold(description.clone(), |told, skill| told + &skill);
        told.truncate(told.floor_char_boundary(LONGEST));
        told
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(card: &Value) -> Result<Card, CardError> {
        Card::read(card.to_string().as_bytes())
    }

    fn current(interfaces: &Value) -> Value {
        json!({
            "name": "dietician", "description": "Knows food.", "version": "1", "capabilities": { "streaming": true },
            "supportedInterfaces": interfaces, "skills": [{ "id": "1", "name": "Sums", "description": "Adds up.", "tags": [] }],
        })
    }

    #[test]
    fn the_newest_interface_that_we_speak_is_taken() {
        let interface = |url: &str, binding: &str, version: &str| json!({ "url": url, "protocolBinding": binding, "protocolVersion": version });
        let all = [
            interface("https://a/grpc", "GRPC", "1.0"),
            interface("https://a/older", "JSONRPC", "0.3"),
            interface("https://a/", "JSONRPC", "1.0"),
        ];
        let card = read(&current(&json!(all))).expect("a card");
        assert_eq!((card.url.as_str(), card.version, card.streams), ("https://a/", Version::Current, true));
        assert_eq!(card.description, "Knows food.\n- Sums: Adds up.");
        let card = read(&current(&json!(all[..2]))).expect("a card");
        assert_eq!((card.url.as_str(), card.version), ("https://a/older", Version::Older));
        assert_eq!(read(&current(&json!(all[..1]))), Err(CardError::NoInterface));
    }

    #[test]
    fn a_card_of_the_older_version_is_one() {
        let card = json!({ "name": "dietician", "url": "https://a/", "protocolVersion": "0.3.0", "preferredTransport": "JSONRPC" });
        let card = read(&card).expect("a card");
        assert_eq!((card.version, card.streams, card.description.as_str()), (Version::Older, false, "dietician"));
        let other = json!({
            "name": "dietician", "url": "https://a/grpc", "preferredTransport": "GRPC",
            "additionalInterfaces": [{ "url": "https://a/", "transport": "JSONRPC" }],
        });
        assert_eq!(read(&other).expect("a card").url.as_str(), "https://a/");
        assert!(matches!(read(&json!([])), Err(CardError::NoCard(_))));
    }
}
