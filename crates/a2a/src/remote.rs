//! A remote agent, and what it is in a session: a tool.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use agentcore_core::message::ToolResultContent;
use agentcore_core::tool::{Tool, ToolCall, ToolFailure, ToolOutput, ToolSource, ToolSpec};
use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::{Instant, timeout};

use crate::card::{Card, PATH};
use crate::door::{AddressError, Door};
use crate::talk::{Said, Talk};
use agentcore_core::aws::sigv4::SigV4;
use agentcore_core::identity::{BearerToken, Identity};

/// How long a card counts as read.
const CARD_KEPT: Duration = Duration::from_mins(15);

/// How long a card that could not be read is not asked for again.
const CARD_MISSED: Duration = Duration::from_secs(10);

/// How many contexts of an agent's own making are kept; the others are made of their sessions.
const CONTEXTS: usize = 4_096;

/// What the loop waits longer than we do, so that the model reads our words about an agent that takes too long.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Somebody else's agent. Clones are the same.
#[derive(Clone)]
pub struct RemoteAgent(Arc<Remote>);

/// How long to wait for an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For its card, which holds up a turn. Default 3 s.
    pub card: Duration,
    /// For what comes of a call. Default 2 min: an agent asks models and tools of its own.
    pub call: Duration,
}

struct Remote {
    name: String,
    door: Door,
    timeouts: Timeouts,
    card: AsyncMutex<Known>,
    /// The contexts that the agent has named otherwise than we did, by ours.
    contexts: Mutex<HashMap<String, String>>,
}

/// What is known of the card.
#[derive(Default)]
struct Known {
    card: Option<Card>,
    /// When it is asked for again.
    until: Option<Instant>,
    is_missed: bool,
}

/// The agent in a session.
struct InSession {
    remote: Arc<Remote>,
    context: String,
}

/// The agent as a tool.
struct RemoteTool {
    remote: Arc<Remote>,
    card: Card,
    context: String,
}

#[derive(Deserialize)]
struct Arguments {
    message: String,
    reply_to: Option<String>,
}

// === impl RemoteAgent ===

impl RemoteAgent {
    /// The agent whose card is at `{address}/.well-known/agent-card.json`, which the model knows as `name`. Nothing is
    /// asked yet.
    ///
    /// Where the card names another place than the address, messages go there only if they show nobody's credentials and
    /// are encrypted.
    ///
    /// # Errors
    /// When it is not the URL of an HTTP server.
    ///
    /// # Panics
    /// When the name is not of 1 to 64 of `a-z`, `A-Z`, `0-9`, `_` and `-`.
    pub fn at(name: &str, address: &str) -> Result<Self, AddressError> {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        assert!(
            (1..=64).contains(&name.len()) && name.chars().all(is_allowed),
            "`{name}` is no name of a tool: it must be of 1 to 64 of a-z, A-Z, 0-9, _ and -"
        );
        Ok(Self::new(name.to_owned(), Door::to(address)?, Timeouts::default()))
    }

    /// Shows a bearer token: a [`Secret`](agentcore_core::agent::Secret), or a [`BearerToken`] that can change.
    #[must_use]
    pub fn bearer(self, token: impl BearerToken) -> Self {
        self.showing(Identity::Bearer(Arc::new(token)))
    }

    /// Signs each request, as AgentCore wants it where it asks for IAM.
    #[must_use]
    pub fn signed(self, signature: SigV4) -> Self {
        self.showing(Identity::Signed(signature))
    }

    /// The same with other times to wait.
    #[must_use]
    pub fn within(self, timeouts: Timeouts) -> Self {
        Self::new(self.0.name.clone(), self.0.door.clone(), timeouts)
    }

    /// The agent as a tool of a turn in that session.
    pub fn in_session(&self, session_id: &str) -> Arc<dyn ToolSource> {
        let context = context_of(&self.0.door, session_id);
        Arc::new(InSession { remote: Arc::clone(&self.0), context })
    }

    fn new(name: String, door: Door, timeouts: Timeouts) -> Self {
        Self(Arc::new(Remote { name, door, timeouts, card: AsyncMutex::default(), contexts: Mutex::default() }))
    }

    fn showing(self, identity: Identity) -> Self {
        let door = self.0.door.clone().showing(identity);
        Self::new(self.0.name.clone(), door, self.0.timeouts)
    }
}

impl fmt::Debug for RemoteAgent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RemoteAgent")
            .field("name", &self.0.name)
            .field("identity", &self.0.door.identity)
            .finish_non_exhaustive()
    }
}

/// The context of a session: the same in every process, another for each agent, and not to be traced back.
fn context_of(door: &Door, session_id: &str) -> String {
    use fmt::Write as _;
    let digest =
        Sha256::new().chain_update(door.address.as_str()).chain_update([0]).chain_update(session_id).finalize();
    digest.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

// === impl Timeouts ===

impl Default for Timeouts {
    fn default() -> Self {
        Self { card: Duration::from_secs(3), call: Duration::from_mins(2) }
    }
}

// === impl Remote ===

impl Remote {
    /// The card: the one that is known, or a new one where it is time. One that cannot be read leaves the old one.
    async fn card(&self, session: &str) -> Option<Card> {
        let mut known = self.card.lock().await;
        if known.until.is_some_and(|until| until > Instant::now()) {
            return known.card.clone();
        }
        let reading = timeout(self.timeouts.card, self.read_card(session)).await;
        match reading.unwrap_or_else(|_| Err("it did not answer in time".to_owned())) {
            Ok(card) => {
                if known.is_missed {
                    tracing::info!(agent = self.name, "an agent's card is read again");
                }
                *known = Known { card: Some(card), until: Some(Instant::now() + CARD_KEPT), is_missed: false };
            }
            Err(error) if known.is_missed => {
                tracing::debug!(agent = self.name, error, "an agent's card still cannot be read");
            }
            Err(error) => tracing::warn!(
                agent = self.name,
                error,
                "an agent's card cannot be read; turns go on with what is known, and it is tried again when needed"
            ),
        }
        if known.until.is_none_or(|until| until <= Instant::now()) {
            known.until = Some(Instant::now() + CARD_MISSED);
            known.is_missed = true;
        }
        known.card.clone()
    }

    async fn read_card(&self, session: &str) -> Result<Card, String> {
        let url = self.door.address.join(PATH).map_err(|error| error.to_string())?;
        let bytes = self.door.get(&url, session).await.map_err(|error| error.to_string())?;
        let card = Card::read(&bytes).map_err(|error| error.to_string())?;
        if !self.door.may_go_to(&card.url) {
            return Err("its card names another place, where our messages may not go".to_owned());
        }
        Ok(card)
    }

    /// The context as the agent calls it.
    fn context(&self, context: &str) -> String {
        self.contexts().get(context).cloned().unwrap_or_else(|| context.to_owned())
    }

    /// The agent calls a context so.
    fn named(&self, context: &str, name: String) {
        let mut contexts = self.contexts();
        if name == context {
            return;
        }
        if contexts.len() >= CONTEXTS && !contexts.contains_key(context) {
            // Some other conversation begins anew.
            let any = contexts.keys().next().cloned();
            any.and_then(|any| contexts.remove(&any));
        }
        contexts.insert(context.to_owned(), name);
    }

    fn contexts(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.contexts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl InSession ===

impl ToolSource for InSession {
    fn tools(&self) -> BoxFuture<'_, Vec<Arc<dyn Tool>>> {
        Box::pin(async {
            let card = self.remote.card(&self.context).await;
            let tool = card.map(|card| {
                let (remote, context) = (Arc::clone(&self.remote), self.context.clone());
                Arc::new(RemoteTool { remote, card, context }) as Arc<dyn Tool>
            });
            tool.into_iter().collect()
        })
    }
}

// === impl RemoteTool ===

impl RemoteTool {
    async fn ask(&self, call: &ToolCall) -> Result<ToolOutput, ToolFailure> {
        let Arguments { message, reply_to } = Arguments::deserialize(&call.input).map_err(|_| {
            ToolFailure::InvalidInput("`message` must be a string, and `reply_to` one if it is there.".into())
        })?;
        let Remote { name, door, .. } = &*self.remote;
        let talk =
            Talk { name: name.clone(), door: door.clone(), card: self.card.clone(), session: self.context.clone() };
        let said = Said { words: message, context: self.remote.context(&self.context), task: reply_to };
        let (heard, told) = talk.say(said, call).await;
        if let Some(context) = heard.context {
            self.remote.named(&self.context, context);
        }
        told.map(|words| ToolOutput { content: vec![ToolResultContent::Text(words)] })
    }
}

impl Tool for RemoteTool {
    fn spec(&self) -> ToolSpec {
        let input_schema = json!({
            "type": "object",
            "properties": {
                "message": {
                    "type": "string",
                    "description": "What to say to this agent. It remembers what was said to it before in this conversation, \
                                    and has not heard anything else of it."
                },
                "reply_to": {
                    "type": "string",
                    "description": "Only where this agent has asked something: the id that came with its question."
                }
            },
            "required": ["message"]
        });
        ToolSpec { name: self.remote.name.clone(), description: self.card.description.clone(), input_schema }
    }

    fn call(&self, call: ToolCall) -> BoxFuture<'_, Result<ToolOutput, ToolFailure>> {
        Box::pin(async move {
            let patience = self.remote.timeouts.call;
            timeout(patience, self.ask(&call)).await.unwrap_or_else(|_| {
                let (name, seconds) = (&self.remote.name, patience.as_secs_f64());
                Err(ToolFailure::failed(format!("{name} did not answer within {seconds} s and was told to stop.")))
            })
        })
    }

    fn timeout(&self) -> Duration {
        self.remote.timeouts.call + LAST_WORDS
    }
}
