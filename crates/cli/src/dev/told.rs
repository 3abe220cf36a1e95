//! What `vitracka dev` says: how to begin, and a line for each thing that happens.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::SocketAddr;

use agentcore_local::{AgentName, Notice, SessionName};

use crate::arguments::Dev;
use crate::caller::LOCAL_ENDPOINT;

/// Tells what happens, a line each. Remembers the tokens of each session's turn until the turn is told.
#[derive(Default)]
pub(crate) struct Teller {
    tokens: HashMap<SessionName, (u64, u64)>,
}

/// The first lines: what runs, and three things to paste.
pub(crate) fn greeting(address: SocketAddr, dev: &Dev, agents: &[AgentName]) -> String {
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
  agents  {agents}

Try, in another terminal:
  {vitracka} chat coach_companion{elsewhere}
  curl -s {address}/runtimes/coach_companion/invocations -d '{{\"prompt\":\"I had a setback today\"}}'
  AWS_ENDPOINT_URL={endpoint} python3 examples/clients/python/invoke.py
",
        version = env!("CARGO_PKG_VERSION"),
        memory = dev.data.display(),
        agents = names.join("  "),
    )
}

// === impl Teller ===

impl Teller {
    /// The line for a notice, where it deserves one.
    pub(crate) fn tell(&mut self, notice: &Notice) -> Option<String> {
        Some(match notice {
            Notice::SessionStarted { session, after } => {
                format!("{}  started in {} ms", head(session), after.as_millis())
            }
            Notice::SessionEnded { session, why } => {
                self.tokens.remove(session);
                format!("{}  ended: {why}", head(session))
            }
            Notice::ModelCalled { session, call } => {
                let (input, output) = self.tokens.entry(session.clone()).or_default();
                *input += call.input_tokens;
                *output += call.output_tokens;
                let error = call.error?;
                format!("{}  model call failed: {error}", head(session))
            }
            Notice::InvocationFinished { session, number, first_byte, total, .. } => {
                let mut line = format!(
                    "{}  turn {number:<3} first byte {} ms   total {} ms",
                    head(session),
                    first_byte.as_millis(),
                    total.as_millis()
                );
                if let Some((input, output)) = self.tokens.remove(session) {
                    // Writing to a string does not fail.
                    let _ = write!(line, "   {input} in  {output} out");
                }
                line
            }
            Notice::InvocationFailed { session, failure, .. } => {
                self.tokens.remove(session);
                format!("{}  {failure}", head(session))
            }
            Notice::PingProblem { session, problem } => format!("{}  {problem}", head(session)),
            Notice::AgentLine { session, line, .. } if is_worth_showing(line) => format!("{}  | {line}", head(session)),
            _ => return None,
        })
    }
}

/// The agent's name and the beginning of its session's, enough to tell sessions apart.
fn head(session: &SessionName) -> String {
    let beginning: String = session.id.chars().take(4).collect();
    format!("{}  {beginning}…", session.agent)
}

/// Whatever an agent writes, but for log lines of no concern.
fn is_worth_showing(line: &str) -> bool {
    let level =
        serde_json::from_str::<serde_json::Value>(line).ok().and_then(|line| line["level"].as_str().map(str::to_owned));
    !matches!(level.as_deref(), Some("TRACE" | "DEBUG" | "INFO"))
}
