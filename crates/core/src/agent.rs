//! What an agent is: a name, a payload, and what it makes of it.
//!
//! An agent decides what is said to the model and nothing else. How it is called, how the model is
//! reached and where the session's memory lives is the business of other rooms.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::activity::{Activity, Busy};
use crate::payload::{PayloadError, Prompt};
use crate::tool::Tool;
use crate::tool::typed::schema_of;
use crate::turn::TurnRequest;

/// Turns payloads into turns.
///
/// ```
/// use agentcore_core::agent::{Agent, Context};
/// use agentcore_core::payload::{PayloadError, Prompt};
/// use agentcore_core::turn::TurnRequest;
///
/// /// Answers in one line.
/// struct Haiku;
///
/// impl Agent for Haiku {
///     type Payload = Prompt;
///     const NAME: &str = "haiku";
///
///     fn turn(&self, payload: Prompt, _context: &Context) -> Result<TurnRequest, PayloadError> {
///         Ok(TurnRequest::new(payload.text()?).system("You answer in haiku.").max_tokens(64))
///     }
/// }
/// ```
pub trait Agent: Send + Sync + 'static {
    /// What callers send: a JSON object. Members it does not name are ignored.
    type Payload: DeserializeOwned + Send + 'static;

    /// The agent's name: `[a-zA-Z][a-zA-Z0-9_]{0,47}`, as AgentCore allows it.
    const NAME: &'static str;

    /// What the agent is for, in a sentence or two. A model that may call the agent as a tool chooses it by this.
    const DESCRIPTION: &'static str = "";

    /// The payload that `--local-test` sends.
    const SAMPLE: &'static str = r#"{"prompt": "Hello! What can you do for me?"}"#;

    /// The JSON schema of the payload, an object's, for callers who are told what to send: that of [`Prompt`]. An agent
    /// with a payload of its own says [`schema_of::<Self::Payload>()`](schema_of).
    fn payload_schema() -> Value {
        schema_of::<Prompt>()
    }

    /// What the agent can do, for those who choose between agents by their cards, as A2A has them. None, when not said:
    /// then the agent as a whole is one, and [`Self::DESCRIPTION`] tells of it.
    fn skills() -> Vec<Skill> {
        Vec::new()
    }

    /// Tools that callers of a protocol which has tools, as MCP does, may call by themselves beside the agent: none, when
    /// not said. Asked once when the process listens. No turn is made of such a call, no session remembers it and no guard
    /// reads what it answers, and what it spends on models of its own is not counted: only what knows nothing of a user and
    /// asks no model belongs here.
    fn offers(&self) -> Vec<Arc<dyn Tool>> {
        Vec::new()
    }

    /// Does what is better done before somebody asks, such as reading tables: called once when the process listens, on a
    /// thread of its own. Turns do not wait for it.
    fn prepare(&self) {}

    /// Makes a turn of a payload. Must not block: it runs on the path of every invocation.
    ///
    /// # Errors
    /// When the payload is well-formed and yet makes no sense; the caller is told with status 400.
    fn turn(&self, payload: Self::Payload, context: &Context) -> Result<TurnRequest, PayloadError>;
}

/// One thing that an agent can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Skill {
    /// What programs call it: unique within the agent.
    pub id: &'static str,
    /// What people call it.
    pub name: &'static str,
    /// What it is, in a sentence or two.
    pub description: &'static str,
    /// Words that it is found by.
    pub tags: &'static [&'static str],
    /// What somebody would say who wants it.
    pub examples: &'static [&'static str],
}

/// What is known of an invocation beside its payload.
#[derive(Debug, Clone, Default)]
pub struct Context {
    /// The session this invocation belongs to.
    pub session_id: String,
    /// This one invocation; callers are told it, and logs carry it.
    pub request_id: String,
    /// The caller's user, where the caller names one.
    pub user_id: Option<String>,
    /// The workload access token of AgentCore Identity.
    pub workload_access_token: Option<Secret>,
    /// Where AgentCore Identity sends a user back to.
    pub oauth2_callback_url: Option<String>,
    /// The caller's `Authorization` header, where the runtime lets it through.
    pub authorization: Option<Secret>,
    /// The other headers a handler may see, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// What the process is busy with.
    pub activity: Activity,
}

/// A value that never shows in a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

// === impl Context ===

impl Context {
    /// Keeps the session busy, and so alive, until the guard is dropped: for work that goes on after
    /// the answer.
    pub fn busy(&self, job: impl Into<String>) -> Busy {
        self.activity.begin(job)
    }
}

// === impl Secret ===

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}
