//! What an agent makes of a payload: everything a turn needs but the history.

use std::sync::Arc;
use std::time::Duration;

use super::output::OutputContract;
use super::route::Route;
use super::{DEFAULT_TOOL_ROUNDS, DEFAULT_TURN_TIME};
use crate::guard::Guard;
use crate::history::{CompleteTurn, estimate_block, estimate_tokens};
use crate::message::ContentBlock;
use crate::model::{ModelParameters, ModelSize};
use crate::settings::{CONTEXT_TOKENS, Overruling};
use crate::tool::typed::JsonSchema;
use crate::tool::{Reply, Tool, ToolRefused, ToolSource, Toolbox};

/// Makes a system prompt of what was said before.
type ComposeSystem = dyn Fn(&[Arc<CompleteTurn>]) -> String + Send + Sync;

/// What an agent makes of a payload: everything a turn needs but the history.
#[derive(Clone)]
pub struct TurnRequest {
    pub(super) system: String,
    pub(super) system_from: Option<Arc<ComposeSystem>>,
    pub(super) content: Vec<ContentBlock>,
    pub(super) replies: Vec<Reply>,
    pub(super) parameters: ModelParameters,
    pub(super) overruling: Overruling,
    pub(super) size: ModelSize,
    pub(super) tools: Toolbox,
    pub(super) sources: Vec<Arc<dyn ToolSource>>,
    pub(super) guards: Vec<Arc<dyn Guard>>,
    pub(super) actor: Option<String>,
    pub(super) tool_rounds: u32,
    pub(super) time: Duration,
    pub(super) pinned: bool,
    pub(super) reusable_for: Option<Duration>,
    pub(super) output: Option<OutputContract>,
    pub(super) routes: Vec<Route>,
    /// As which of several agents it answers.
    pub(super) route: Option<String>,
}

// === impl TurnRequest ===

impl TurnRequest {
    /// A turn in which the user says `text`. It must not be blank: Converse refuses that.
    pub fn new(text: impl Into<String>) -> Self {
        Self::saying(vec![ContentBlock::Text(text.into())])
    }

    /// A turn in which the user says `content`: text, pictures, files. It must not be empty.
    pub fn saying(content: Vec<ContentBlock>) -> Self {
        Self {
            system: String::new(),
            system_from: None,
            content,
            replies: Vec::new(),
            parameters: ModelParameters { max_tokens: 1024, temperature: None, stop_sequences: Vec::new() },
            overruling: Overruling::default(),
            size: ModelSize::Full,
            tools: Toolbox::default(),
            sources: Vec::new(),
            guards: Vec::new(),
            actor: None,
            tool_rounds: DEFAULT_TOOL_ROUNDS,
            time: DEFAULT_TURN_TIME,
            pinned: false,
            reusable_for: None,
            output: None,
            routes: Vec::new(),
            route: None,
        }
    }

    /// A turn that goes on where a tool asked a person: see [`crate::tool::ToolCall::ask`].
    pub fn replying(replies: Vec<Reply>) -> Self {
        Self { replies, ..Self::saying(Vec::new()) }
    }

    /// A turn of which the model chooses the agent: see [`crate::router`]. There is at least one.
    pub(crate) fn choosing(routes: Vec<Route>) -> Self {
        let mut request = Self::saying(Vec::new());
        if let Some(first) = routes.first() {
            let first = &first.request;
            (request.content, request.replies) = (first.content.clone(), first.replies.clone());
            (request.actor, request.time) = (first.actor.clone(), first.time);
        }
        request.routes = routes;
        request
    }

    /// The turn of the agent that a router knows by that name.
    pub(crate) fn of_route(self, name: &str) -> Self {
        Self { route: Some(name.to_owned()), ..self }
    }

    /// The system prompt.
    #[must_use]
    pub fn system(mut self, prompt: impl Into<String>) -> Self {
        self.system = prompt.into();
        self
    }

    /// A system prompt made of all that is known of what was said before in the session, oldest first, when the turn
    /// begins; it takes the place of [`Self::system`].
    #[must_use]
    pub fn system_from(mut self, compose: impl Fn(&[Arc<CompleteTurn>]) -> String + Send + Sync + 'static) -> Self {
        self.system_from = Some(Arc::new(compose));
        self
    }

    /// The longest answer, in tokens; 1024 when not said. An operator's `MAX_TOKENS` overrules it.
    ///
    /// # Panics
    /// When `tokens` is 0: no model answers in nothing.
    #[must_use]
    pub fn max_tokens(mut self, tokens: u32) -> Self {
        assert!(tokens > 0, "max_tokens must be at least 1");
        self.parameters.max_tokens = tokens;
        self
    }

    /// Randomness, 0 to 1. An operator's `TEMPERATURE` overrules it.
    ///
    /// # Panics
    /// When `temperature` is outside 0 to 1.
    #[must_use]
    pub fn temperature(mut self, temperature: f32) -> Self {
        assert!((0.0..=1.0).contains(&temperature), "temperature must be between 0 and 1");
        self.parameters.temperature = Some(temperature);
        self
    }

    /// One more text that ends the answer when the model writes it.
    #[must_use]
    pub fn stop_sequence(mut self, text: impl Into<String>) -> Self {
        self.parameters.stop_sequences.push(text.into());
        self
    }

    /// Whether a smaller model is enough for this turn: the rule is the agent's, the model the
    /// operator's (`MODEL_ID_SMALL`).
    #[must_use]
    pub fn simple(mut self, simple: bool) -> Self {
        self.size = if simple { ModelSize::Small } else { ModelSize::Full };
        self
    }

    /// One more tool the model may ask for.
    ///
    /// # Panics
    /// When another has its name, or Bedrock would refuse how the model is told about it: by a name that is none, a
    /// blank description, or a schema that is not an object's.
    #[must_use]
    pub fn tool(mut self, tool: impl Tool) -> Self {
        self.tools.add(tool);
        self
    }

    /// One more tool, which other turns use as well.
    ///
    /// # Panics
    /// As [`Self::tool`].
    #[must_use]
    pub fn shared_tool(mut self, tool: Arc<dyn Tool>) -> Self {
        self.tools.add_shared(tool);
        self
    }

    /// The tools of a source as they are when the turn begins. One whose name is taken already is left
    /// out, with a warning in the log.
    #[must_use]
    pub fn tool_source(mut self, source: Arc<dyn ToolSource>) -> Self {
        self.sources.push(source);
        self
    }

    /// How often the model may ask for tools; [`DEFAULT_TOOL_ROUNDS`] when not said.
    #[must_use]
    pub fn tool_rounds(mut self, rounds: u32) -> Self {
        self.tool_rounds = rounds;
        self
    }

    /// How long the whole turn may take; [`DEFAULT_TURN_TIME`] when not said. An operator's
    /// `TURN_TIMEOUT_SECONDS` overrules it.
    #[must_use]
    pub fn within(mut self, time: Duration) -> Self {
        self.time = time;
        self
    }

    /// One more guard, asked after those already there.
    #[must_use]
    pub fn guard(mut self, guard: impl Guard) -> Self {
        self.guards.push(Arc::new(guard));
        self
    }

    /// Whose turn it is, where the payload says so and no user id header does.
    #[must_use]
    pub fn actor(mut self, actor: Option<String>) -> Self {
        self.actor = actor;
        self
    }

    /// Keeps the turn in the history when turns of its age are dropped: for what a session is about,
    /// such as an agreed plan.
    #[must_use]
    pub fn pinned(mut self) -> Self {
        self.pinned = true;
        self
    }

    /// Lets the answer be given again for `time` when the same is asked by the same actor after the same
    /// history, with the same prompt, tools and parameters: for questions whose answers do not age. Never
    /// an answer that called tools or that a guard had a word in.
    #[must_use]
    pub fn reusable_for(mut self, time: Duration) -> Self {
        self.reusable_for = Some(time);
        self
    }

    /// The answer must be a `T`: the model is made to give it as the arguments of a tool, and is asked
    /// again, with what was wrong, when it does not fit. [`super::Answer::output`] holds it. Guards review its strings
    /// before it becomes the answer; where one replaces the rest, there is no output. Any type will do: one that is
    /// not an object in JSON is told to the model as an object's one member.
    #[must_use]
    pub fn returning<T: serde::de::DeserializeOwned + JsonSchema + 'static>(mut self) -> Self {
        self.output = Some(OutputContract::of::<T>());
        self
    }

    /// Whose turn the payload says it is.
    pub fn actor_id(&self) -> Option<&str> {
        self.actor.as_deref()
    }

    /// Whether any guard reads what the user says, one of an agent's among several included.
    pub fn is_guarded(&self) -> bool {
        !self.guards.is_empty() || self.routes.iter().any(|route| route.request.is_guarded())
    }

    /// What a person answered to a tool's questions; none in a turn that begins anew.
    pub fn replies(&self) -> &[Reply] {
        &self.replies
    }

    /// How long the whole turn may take.
    pub fn time(&self) -> Duration {
        self.time
    }

    /// Where more tools come from.
    pub fn tool_sources(&self) -> &[Arc<dyn ToolSource>] {
        &self.sources
    }

    /// The tools the model may ask for.
    pub fn toolbox(&self) -> &Toolbox {
        &self.tools
    }

    /// Takes tools of a source in; the names of those come back that are taken, or that Bedrock would refuse.
    pub fn add_from_source(&mut self, tools: Vec<Arc<dyn Tool>>) -> Vec<String> {
        let refused = tools.into_iter().filter_map(|tool| self.tools.try_add(tool).err());
        refused.map(ToolRefused::into_name).collect()
    }

    /// The requests this one may become when the model chooses a route.
    pub fn routes_mut(&mut self) -> impl Iterator<Item = &mut Self> {
        self.routes.iter_mut().map(|route| &mut route.request)
    }

    /// Writes an operator's settings over what the agents asked for: this one, those of the routes, and those
    /// that a model hands tasks to in the course of the turn.
    pub fn overrule(&mut self, overruling: Overruling) {
        overruling.apply(&mut self.parameters);
        self.overruling = overruling;
        self.routes_mut().for_each(|route| route.overrule(overruling));
    }

    /// About how many tokens everything but the history takes, the answer included, on the high side.
    pub fn estimated_tokens(&self) -> usize {
        let system = self.system_from.as_ref().map_or(self.system.len(), |compose| compose(&[]).len());
        let own = estimate_tokens(system)
            + self.content.iter().map(estimate_block).sum::<usize>()
            + self.tools.estimated_tokens()
            + self.parameters.max_tokens as usize;
        self.routes.iter().map(|route| route.request.estimated_tokens()).max().unwrap_or(0).max(own)
    }

    /// Whether the user's words alone cannot fit a model's context, however they are counted.
    pub fn is_beyond_any_context(&self) -> bool {
        /// No tokenizer makes longer tokens of anything: this is a run of spaces.
        const LONGEST_TOKEN_BYTES: usize = 128;
        let texts = self.content.iter().filter_map(ContentBlock::as_text);
        texts.map(str::len).sum::<usize>() / LONGEST_TOKEN_BYTES > CONTEXT_TOKENS
    }
}
