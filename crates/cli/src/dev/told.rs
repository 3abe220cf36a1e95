//! What `vitracka dev` says: how to begin, and a line for each thing that happens.

use std::net::SocketAddr;
use std::time::Instant;

use agentcore_local::{AgentName, Notice, OutputStream, Protocol, SessionName, traces};
use agentcore_runtime::core::agent::Agent as _;
use coach_companion::CoachCompanion;
use serde_json::Value;

use super::turns::{Door, Heard, Turns};
use crate::arguments::Dev;
use crate::caller::LOCAL_ENDPOINT;

/// Tells what happens, a line each; of a turn one line in all.
#[derive(Default)]
pub(super) struct Teller {
    turns: Turns,
}

/// The first lines: what runs, and some things to paste.
pub(super) fn greeting(address: SocketAddr, dev: &Dev, agents: &[(AgentName, Protocol)]) -> String {
    let names: Vec<String> = agents.iter().map(named).collect();
    let endpoint = format!("http://{address}");
    let (model, other) = match (&dev.model_url, dev.model.as_str()) {
        (Some(url), _) => (url.as_str(), "scripted is the default"),
        (None, "bedrock") => ("bedrock", "the real one, with your credentials"),
        (None, _) => ("scripted", "--model-url http://127.0.0.1:11434/v1  or  --model bedrock"),
    };
    format!(
        "vitracka {version}  local AWS on {endpoint}   (Ctrl-C stops everything)
  model   {model:<16}  {other}
  memory  {memory:<16}  30 days, kept between runs
  agents  {agents}{traces}

Try, in another terminal:
{tries}
",
        version = env!("CARGO_PKG_VERSION"),
        memory = dev.data.display(),
        agents = names.join("  "),
        tries = agents.iter().flat_map(|agent| tries(address, agent)).collect::<Vec<_>>().join("\n"),
        traces = if dev.traces { traces_go() } else { String::new() },
    )
}

/// An agent's name, and what it speaks where that is not what all speak.
fn named((name, protocol): &(AgentName, Protocol)) -> String {
    if *protocol == Protocol::default() { name.to_string() } else { format!("{name} ({protocol})") }
}

/// What to paste, to call an agent.
fn tries(address: SocketAddr, (name, protocol): &(AgentName, Protocol)) -> Vec<String> {
    let endpoint = format!("http://{address}");
    let curl = format!("  curl -s {address}/runtimes/{name}/invocations");
    match protocol {
        Protocol::Http if name.as_str() == CoachCompanion::NAME => {
            // Under cargo the program is not on the PATH.
            let vitracka = if std::env::var_os("CARGO").is_some() { "cargo run --" } else { "vitracka" };
            let elsewhere = if endpoint == LOCAL_ENDPOINT { String::new() } else { format!(" --endpoint {endpoint}") };
            vec![
                format!("  {vitracka} chat {name}{elsewhere}"),
                format!(r#"{curl} -d '{{"prompt":"I had a setback today"}}'"#),
                format!("  AWS_ENDPOINT_URL={endpoint} python3 examples/clients/python/invoke.py"),
            ]
        }
        Protocol::Http => Vec::new(),
        Protocol::Mcp => {
            let headers = "-H 'content-type: application/json' -H 'accept: application/json, text/event-stream'";
            vec![format!(r#"{curl} {headers} -d '{{"jsonrpc":"2.0","id":1,"method":"tools/list"}}'"#)]
        }
        Protocol::A2a => {
            let message = r#"{"messageId":"1","role":"user","parts":[{"kind":"text","text":"I had a setback today"}]}"#;
            let send =
                format!(r#"{{"jsonrpc":"2.0","id":1,"method":"message/send","params":{{"message":{message}}}}}"#);
            vec![format!("{curl}/.well-known/agent-card.json"), format!("{curl} -d '{send}'")]
        }
        Protocol::AgUi => {
            let message = r#"{"id":"1","role":"user","content":"I had a setback today"}"#;
            let headers = "-H 'content-type: application/json' -H 'accept: text/event-stream'";
            vec![format!(r#"{curl} {headers} -d '{{"threadId":"1","runId":"1","messages":[{message}]}}'"#)]
        }
    }
}

/// Where traces go that were asked for.
fn traces_go() -> String {
    let read = |name: &str| std::env::var(name).ok();
    match traces::sent_elsewhere(read) {
        None => "\n  traces  here              the tree of each turn, soon after it".to_owned(),
        Some(name) => {
            let place = read(name).unwrap_or_default();
            format!("\n  traces  {place:<16}  because {name} is set; unset it to see them here")
        }
    }
}

// === impl Teller ===

impl Teller {
    /// The lines that a notice is worth, which may be none.
    pub(super) fn tell(&mut self, notice: &Notice, now: Instant) -> Vec<String> {
        match notice {
            Notice::SessionStarted { session, after } => {
                vec![format!("{}  started in {} ms", head(session), after.as_millis())]
            }
            Notice::SessionEnded { session, why } => {
                let mut lines = self.turns.session_ended(session);
                lines.push(format!("{}  ended: {why}", head(session)));
                lines
            }
            Notice::ModelCalled { session, call } => {
                self.turns.model(session, call.input_tokens, call.output_tokens);
                call.error.map(|error| format!("{}  model call failed: {error}", head(session))).into_iter().collect()
            }
            Notice::InvocationFinished { session, request_id, number, first_byte, total, .. } => {
                let door = Door { number: Some(*number), answered: Ok(*first_byte), total: *total };
                self.turns.door(session, request_id, door, now).into_iter().collect()
            }
            Notice::InvocationFailed { session, request_id, number, failure, total } => {
                let door = Door { number: *number, answered: Err(failure.clone()), total: *total };
                self.turns.door(session, request_id, door, now).into_iter().collect()
            }
            Notice::ConversationBegan { session, request_id } => {
                self.turns.conversation(session, request_id);
                vec![format!("{}  WebSocket open", head(session))]
            }
            Notice::ConversationEnded { session, total, .. } => {
                vec![format!("{}  WebSocket closed after {:.1} s", head(session), total.as_secs_f64())]
            }
            Notice::PingProblem { session, problem } => vec![format!("{}  {problem}", head(session))],
            Notice::AgentLine { session, stream, line } => self.agent_line(session, *stream, line),
            _ => Vec::new(),
        }
    }

    /// When [`Self::overdue`] has something to tell.
    pub(super) fn due(&self) -> Option<Instant> {
        self.turns.due()
    }

    /// Turns of which nobody will say more.
    pub(super) fn overdue(&mut self, now: Instant) -> Vec<String> {
        self.turns.overdue(now)
    }

    fn agent_line(&mut self, session: &SessionName, stream: OutputStream, line: &str) -> Vec<String> {
        let read = serde_json::from_str::<Value>(line).ok();
        let heard = match &read {
            Some(read) if stream == OutputStream::Stderr => self.turns.line(session, read),
            _ => Heard::SomethingElse,
        };
        match heard {
            Heard::PartOfTurn(told) => told.into_iter().collect(),
            Heard::SomethingElse if is_worth_showing(read.as_ref()) => vec![format!("{}  | {line}", head(session))],
            Heard::SomethingElse => Vec::new(),
        }
    }
}

/// The agent's name and the beginning of its session's, enough to tell sessions apart.
pub(super) fn head(session: &SessionName) -> String {
    head_of(session.agent.as_str(), &session.id)
}

/// The same of what only traces tell.
pub(super) fn head_of(agent: &str, session: &str) -> String {
    let beginning: String = session.chars().take(4).collect();
    format!("{agent}  {beginning}…")
}

/// Whatever an agent writes, but for log lines of no concern.
fn is_worth_showing(line: Option<&Value>) -> bool {
    !matches!(line.and_then(|line| line["level"].as_str()), Some("TRACE" | "DEBUG" | "INFO"))
}
