//! What a model may ask an agent to do.
//!
//! A [`Tool`] names itself to the model with a [`ToolSpec`] and is called with the JSON the model wrote;
//! [`typed`] makes one of an async function over a struct. Whether it is called, how often and what
//! becomes of its answer is the turn machine's business.

mod bounds;
pub mod typed;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::guard::Safety;
use crate::history::estimate_tokens;
use crate::message::{ToolResultContent, Usage};
use crate::model::Model;
use crate::settings::Overruling;

pub use crate::message::{Question, Reply, ToolSpec};

/// How long a tool may take unless it says otherwise.
pub const DEFAULT_TOOL_TIMEOUT: Duration = Duration::from_secs(30);

/// Something a model can ask for in the middle of a turn.
pub trait Tool: Send + Sync + 'static {
    /// How the model is told about it. Asked once a turn.
    fn spec(&self) -> ToolSpec;

    /// Does it. A call that ends with the turn's cut or its time-out is dropped where it stands.
    fn call(&self, call: ToolCall) -> BoxFuture<'_, Result<ToolOutput, ToolFailure>>;

    /// How long a call may take.
    fn timeout(&self) -> Duration {
        DEFAULT_TOOL_TIMEOUT
    }
}

/// Tools that are known only when they are asked for, such as a server's.
pub trait ToolSource: Send + Sync + 'static {
    /// The tools as they are now. Must not wait longer than a moment for a source that is down.
    fn tools(&self) -> BoxFuture<'_, Vec<Arc<dyn Tool>>>;
}

/// One call, as a tool gets it.
#[derive(Clone)]
pub struct ToolCall {
    /// The model's name for the call.
    pub id: String,
    /// The model's own JSON, not yet checked against the schema.
    pub input: Value,
    /// What the person answered, where an earlier call of the same id asked: see [`ToolCall::ask`].
    pub reply: Option<Value>,
    /// When the turn must be over.
    pub deadline: Instant,
    /// Cancelled when the caller has gone or the process ends.
    pub cut: CancellationToken,
    /// The turn's model, for tools that ask it themselves.
    pub model: Arc<dyn Model>,
    pub(crate) tool: String,
    pub(crate) progress: Progress,
    pub(crate) account: Account,
    pub(crate) overruling: Overruling,
}

/// What calls spend and find beside what they answer. It stays however they end: a call that fails or is given
/// up has cost what it cost. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Account(Arc<Mutex<(Usage, Safety)>>);

/// Where a call's progress is told, if anywhere.
pub(crate) type Progress = Option<Arc<dyn Fn(ToolProgress) + Send + Sync>>;

/// Word of a call that is under way, for the caller who waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolProgress {
    /// The call.
    pub tool_use_id: String,
    /// The tool.
    pub name: String,
    /// How far it is, in words for a person.
    pub message: String,
}

/// What a tool answers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ToolOutput {
    /// What it says to the model.
    pub content: Vec<ToolResultContent>,
}

/// Why a call gave nothing the model can use.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ToolFailure {
    /// It did not work; the sentence is for the model, which may try another way.
    #[error("{0}")]
    Failed(String),
    /// The arguments are not what the tool takes; the sentence is for the model and says where.
    #[error("{0}")]
    InvalidInput(String),
    /// It must not go on before a person has answered. The turn ends with the question and goes on, in
    /// this process or another, when the answer comes.
    #[error("a person must answer first: {}", .0.question)]
    Ask(Box<Question>),
}

/// The tools of one turn, in the order they were given. Clones share them.
#[derive(Clone, Default)]
pub struct Toolbox {
    tools: Vec<Arc<dyn Tool>>,
    specs: Vec<ToolSpec>,
}

/// Why a tool cannot be one of a turn's. Bedrock would refuse every call that tells of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ToolRefused {
    #[error("the tool name `{0}` is not of 1 to 64 of a-z, A-Z, 0-9, _ and -; give it another")]
    Name(String),
    #[error("the tool name `{0}` is taken already; give one of the two another")]
    NameTaken(String),
    #[error("the tool `{0}` has no description; say what it does and when to use it")]
    NoDescription(String),
    #[error("the input schema of the tool `{0}` is not an object's; give it \"type\": \"object\" at its root")]
    NoObject(String),
}

// === impl ToolRefused ===

impl ToolRefused {
    /// The tool's name.
    pub(crate) fn into_name(self) -> String {
        let (Self::Name(name) | Self::NameTaken(name) | Self::NoDescription(name) | Self::NoObject(name)) = self;
        name
    }
}

/// Whether Bedrock takes this as a tool's name.
pub(crate) fn is_tool_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    (1..=64).contains(&name.len()) && name.chars().all(allowed)
}

// === impl ToolCall ===

impl ToolCall {
    /// A call outside of a turn, for those who try a tool in a test of their own: with a minute of time, and
    /// nobody to tell of progress.
    pub fn alone(input: Value, model: Arc<dyn Model>) -> Self {
        Self {
            id: "tooluse_alone".to_owned(),
            input,
            reply: None,
            deadline: Instant::now() + Duration::from_mins(1),
            cut: CancellationToken::new(),
            model,
            tool: String::new(),
            progress: None,
            account: Account::default(),
            overruling: Overruling::default(),
        }
    }

    /// Tells the caller how far the call is. Never waits: a caller who reads slowly misses some.
    pub fn progress(&self, message: impl Into<String>) {
        if let Some(progress) = &self.progress {
            let word = ToolProgress { tool_use_id: self.id.clone(), name: self.tool.clone(), message: message.into() };
            progress(word);
        }
    }

    /// The failure that asks a person. The tool is called again with the answer in [`ToolCall::reply`];
    /// what it does before it asks, it does twice.
    pub fn ask(&self, question: impl Into<String>) -> ToolFailure {
        self.ask_with(question, Value::Null)
    }

    /// The same, with what an app needs beside the words.
    pub fn ask_with(&self, question: impl Into<String>, details: Value) -> ToolFailure {
        let (id, tool, question) = (self.id.clone(), self.tool.clone(), question.into());
        ToolFailure::Ask(Box::new(Question { id, tool, question, details }))
    }

    /// Counts what the call spends on models of its own with the turn, whatever becomes of the call.
    pub fn spent(&self, usage: Usage) {
        self.account.spend(usage);
    }

    /// How long the turn may still go on.
    pub fn time_left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

// === impl Account ===

impl Account {
    pub(crate) fn spend(&self, usage: Usage) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0 += usage;
    }

    pub(crate) fn find(&self, safety: Safety) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1.merge(safety);
    }

    /// What has gathered.
    pub(crate) fn taken(&self) -> (Usage, Safety) {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

// === impl ToolOutput ===

impl From<String> for ToolOutput {
    fn from(text: String) -> Self {
        ToolResultContent::Text(text).into()
    }
}

impl From<&str> for ToolOutput {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<Value> for ToolOutput {
    fn from(value: Value) -> Self {
        ToolResultContent::Json(value).into()
    }
}

impl From<ToolResultContent> for ToolOutput {
    fn from(content: ToolResultContent) -> Self {
        vec![content].into()
    }
}

impl From<Vec<ToolResultContent>> for ToolOutput {
    fn from(content: Vec<ToolResultContent>) -> Self {
        Self { content }
    }
}

// === impl ToolFailure ===

impl ToolFailure {
    /// A call that did not work, and why.
    pub fn failed(reason: impl Into<String>) -> Self {
        Self::Failed(reason.into())
    }
}

// === impl Toolbox ===

impl Toolbox {
    /// Puts one more tool in.
    ///
    /// # Panics
    /// When another has its name, or Bedrock would refuse how the model is told about it, which the error says.
    pub fn add(&mut self, tool: impl Tool) {
        self.add_shared(Arc::new(tool));
    }

    /// Puts one more tool in that others use as well.
    ///
    /// # Panics
    /// As [`Self::add`].
    pub fn add_shared(&mut self, tool: Arc<dyn Tool>) {
        if let Err(refused) = self.try_add(tool) {
            panic!("{refused}");
        }
    }

    /// Puts one more tool in, unless that would make Bedrock refuse every call of the turn.
    pub(crate) fn try_add(&mut self, tool: Arc<dyn Tool>) -> Result<(), ToolRefused> {
        let spec = tool.spec();
        if let Some(refused) = self.refusal_of(&spec) {
            return Err(refused);
        }
        self.specs.push(spec);
        self.tools.push(tool);
        Ok(())
    }

    fn refusal_of(&self, spec: &ToolSpec) -> Option<ToolRefused> {
        let name = || spec.name.clone();
        if !is_tool_name(&spec.name) {
            Some(ToolRefused::Name(name()))
        } else if self.get(&spec.name).is_some() {
            Some(ToolRefused::NameTaken(name()))
        } else if spec.description.trim().is_empty() {
            Some(ToolRefused::NoDescription(name()))
        } else if spec.input_schema.get("type").and_then(Value::as_str) != Some("object") {
            Some(ToolRefused::NoObject(name()))
        } else {
            None
        }
    }

    /// About how many tokens it takes to tell a model of all of them, on the high side.
    pub fn estimated_tokens(&self) -> usize {
        let told = |spec: &ToolSpec| spec.description.len() + spec.name.len() + spec.input_schema.to_string().len();
        self.specs.iter().map(|spec| estimate_tokens(told(spec))).sum()
    }

    /// How the model is told about all of them.
    pub fn specs(&self) -> &[ToolSpec] {
        &self.specs
    }

    /// The tool of that name.
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Tool>> {
        let place = self.specs.iter().position(|spec| spec.name == name)?;
        self.tools.get(place)
    }
}

impl std::fmt::Debug for Toolbox {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_list().entries(self.specs.iter().map(|spec| &spec.name)).finish()
    }
}
