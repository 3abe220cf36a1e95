//! The agent's card: one that clients of both versions read.

use a2a::{AgentCapabilities, AgentCard, AgentInterface, AgentSkill, TRANSPORT_PROTOCOL_JSONRPC, VERSION};
use agentcore_core::agent::{Agent, Skill};
use axum::http::{HeaderMap, header};
use serde_json::{Value, json};

use super::input::OUTPUT_MODES;
use super::version::written;

/// The older version, as interfaces name it, and in full, as its own cards do.
const OLDER: &str = "0.3";
const OLDER_IN_FULL: &str = "0.3.0";

/// What is taken beside words and data.
const INPUT_MODES: [&str; 5] = ["text/plain", "application/json", "image/png", "image/jpeg", "application/pdf"];

/// The card as JSON. The agent is reached where the runtime's URL says, else where the card was asked for.
pub(super) fn card<A: Agent>(runtime_url: Option<&str>, headers: &HeaderMap) -> Value {
    let url = runtime_url.map_or_else(|| own_url(headers), str::to_owned);
    let interface = AgentInterface::new(&url, TRANSPORT_PROTOCOL_JSONRPC);
    let older = AgentInterface { protocol_version: OLDER.to_owned(), ..interface.clone() };
    let modes = |modes: &[&str]| modes.iter().map(|mode| (*mode).to_owned()).collect();
    let description = if A::DESCRIPTION.is_empty() { A::NAME } else { A::DESCRIPTION };
    let card = AgentCard {
        name: A::NAME.to_owned(),
        description: description.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        supported_interfaces: vec![interface, older],
        capabilities: AgentCapabilities {
            streaming: Some(true),
            push_notifications: Some(false),
            ..Default::default()
        },
        default_input_modes: modes(&INPUT_MODES),
        default_output_modes: modes(&OUTPUT_MODES),
        skills: skills::<A>(description),
        provider: None,
        documentation_url: None,
        icon_url: None,
        security_schemes: None,
        security_requirements: None,
        signatures: None,
    };
    debug_assert_eq!(VERSION, "1.0", "the crate's version is the one that the card tells of first");
    let mut card = written(&card);
    card["url"] = url.into();
    card["preferredTransport"] = TRANSPORT_PROTOCOL_JSONRPC.into();
    card["protocolVersion"] = json!(OLDER_IN_FULL);
    card
}

fn own_url(headers: &HeaderMap) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).filter(|host| !host.is_empty());
    format!("http://{}/", host.unwrap_or("127.0.0.1:9000"))
}

/// An agent that names no skills has one, which is the agent.
fn skills<A: Agent>(description: &str) -> Vec<AgentSkill> {
    let skills = A::skills();
    if skills.is_empty() {
        return vec![skill(A::NAME, A::NAME, description, &["agent"], &[])];
    }
    let told = |Skill { id, name, description, tags, examples }| skill(id, name, description, tags, examples);
    skills.into_iter().map(told).collect()
}

fn skill(id: &str, name: &str, description: &str, tags: &[&str], examples: &[&str]) -> AgentSkill {
    let all = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    AgentSkill {
        id: id.to_owned(),
        name: name.to_owned(),
        description: description.to_owned(),
        tags: all(tags),
        examples: Some(all(examples)).filter(|examples| !examples.is_empty()),
        input_modes: None,
        output_modes: None,
        security_requirements: None,
    }
}
