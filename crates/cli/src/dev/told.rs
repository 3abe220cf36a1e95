//! What `vitracka dev` says: how to begin, and a line for each thing that happens.

use std::net::SocketAddr;
use std::time::Instant;

use agentcore_local::{AgentName, Notice, OutputStream, SessionName, traces};
use serde_json::Value;

use super::turns::{Door, Heard, Turns};
use crate::arguments::Dev;
use crate::caller::LOCAL_ENDPOINT;

/// Tells what happens, a line each; of a turn one line in all.
#[derive(Default)]
pub(super) struct Teller {
    turns: Turns,
}

/// The first lines: what runs, and three things to paste.
pub(super) fn greeting(address: SocketAddr, dev: &Dev, agents: &[AgentName]) -> String {
    let names: Vec<&str> = agents.iter().map(AgentName::as_str).collect();
    let endpoint = format!("http://{address}");
    let (model, other) = match (&dev.model_url, dev.model.as_str()) {
        (Some(url), _) => (url.as_str(), "scripted is the default"),
        (None, "bedrock") => ("bedrock", "the real one, with your credentials"),
        (None, _) => ("scripted", "--model-url http://127.0.0.1:11434/v1  or  --model bedrock"),
    };
    // Under cargo the program is not on the PATH.
    let vitracka = if std::env::var_os("CARGO").is_some() { "cargo run --" } else { "vitracka" };
    let elsewhere = if endpoint == LOCAL_ENDPOINT { String::new() } else { format!(" --endpoint {endpoint}") };
    format!(
        "vitracka {version}  local AWS on {endpoint}   (Ctrl-C stops everything)
  model   {model:<16}  {other}
  memory  {memory:<16}  30 days, kept between runs
  agents  {agents}{traces}

Try, in another terminal:
  {vitracka} chat coach_companion{elsewhere}
  curl -s {address}/runtimes/coach_companion/invocations -d '{{\"prompt\":\"I had a setback today\"}}'
  AWS_ENDPOINT_URL={endpoint} python3 examples/clients/python/invoke.py
",
        version = env!("CARGO_PKG_VERSION"),
        memory = dev.data.display(),
        agents = names.join("  "),
        traces = if dev.traces { traces_go() } else { String::new() },
    )
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
