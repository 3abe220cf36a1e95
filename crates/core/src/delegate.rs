//! An agent as the tool of another.
//!
//! The other agent's model hands a task over in words; this one's prompt, tools and guards answer it, in
//! a turn of its own that sees nothing of the conversation but the task. It ends with the turn it is a part
//! of, by the same operator's settings; what it spends is counted there whatever becomes of it, and what its guards
//! found is told there.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use serde::Deserialize;
use tokio::time::Instant;

use crate::agent::{Agent, Context};
use crate::drive::{Delivery, Stage, drive, gather_tools};
use crate::model::{Model, ModelAnswer, ModelError, ModelEvents, ModelRequest};
use crate::payload::Prompt;
use crate::tool::typed::{self, JsonSchema};
use crate::tool::{Account, Tool, ToolCall, ToolFailure, ToolOutput, ToolSpec};
use crate::turn::TurnOutcome;

/// How long a delegated task may take unless something else is said: it asks a model at least once.
pub const DEFAULT_DELEGATE_TIME: Duration = Duration::from_mins(2);

/// An agent that a model can hand tasks to.
pub struct Delegate<A> {
    agent: A,
    description: String,
    context: Context,
    timeout: Duration,
}

/// What the model hands over.
#[derive(Deserialize, JsonSchema)]
#[schemars(crate = "typed::schemars")]
struct Task {
    /// The whole task in words, with everything that is needed for it: nothing else of the conversation is
    /// seen.
    task: String,
}

/// The turn's model, with what it counts taken down at each answer: a task that fails or is given up in the middle
/// has cost what it cost.
struct Metered {
    model: Arc<dyn Model>,
    account: Account,
}

// === impl Delegate ===

impl<A: Agent<Payload = Prompt>> Delegate<A> {
    /// `agent`, on behalf of the invocation of `context`. The model knows it by its name, and by
    /// `description`: what it does, and when to hand a task over.
    pub fn new(agent: A, description: impl Into<String>, context: &Context) -> Self {
        let (description, context) = (description.into(), context.clone());
        Self { agent, description, context, timeout: DEFAULT_DELEGATE_TIME }
    }

    /// How long a task may take; [`DEFAULT_DELEGATE_TIME`] when not said.
    #[must_use]
    pub fn within(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    async fn perform(&self, call: ToolCall) -> Result<ToolOutput, ToolFailure> {
        let Task { task } = typed::read(call.input.clone()).map_err(ToolFailure::InvalidInput)?;
        let payload = Prompt { prompt: Some(task), ..Prompt::default() };
        let request = self.agent.turn(payload, &self.context);
        let mut request = request.map_err(|error| ToolFailure::InvalidInput(error.to_string()))?;
        request.overrule(call.overruling);
        let stage = Stage {
            model: Arc::new(Metered { model: call.model, account: call.account.clone() }),
            delivery: Delivery::Whole,
            deadline: call.deadline.min(Instant::now() + request.time()),
            cut: call.cut.child_token(),
            first_token: Arc::default(),
        };
        gather_tools(&mut request, &stage).await;
        // What it spends is counted as it goes.
        let TurnOutcome { result, safety, .. } = drive(request.begin(Vec::new()), &stage).await;
        call.account.find(safety);
        let answer = result.map_err(|error| {
            tracing::warn!(agent = A::NAME, error = %error, "a delegated task failed");
            ToolFailure::failed(format!("{} could not do it just now.", A::NAME))
        })?;
        if !answer.questions.is_empty() {
            let reason = "it needs a person's answer, which only the agent that was asked first can get";
            return Err(ToolFailure::failed(format!("{} did not do it: {reason}.", A::NAME)));
        }
        Ok(answer.output.map_or_else(|| answer.message.text().into(), Into::into))
    }
}

impl<A: Agent<Payload = Prompt>> Tool for Delegate<A> {
    fn spec(&self) -> ToolSpec {
        let spec = typed::spec_of::<Task>();
        ToolSpec { name: A::NAME.to_owned(), description: self.description.clone(), ..spec }
    }

    fn call(&self, call: ToolCall) -> BoxFuture<'_, Result<ToolOutput, ToolFailure>> {
        Box::pin(self.perform(call))
    }

    fn timeout(&self) -> Duration {
        self.timeout
    }
}

// === impl Metered ===

impl Model for Metered {
    fn converse<'a>(&'a self, request: &'a ModelRequest) -> BoxFuture<'a, Result<ModelAnswer, ModelError>> {
        Box::pin(async {
            let answer = self.model.converse(request).await?;
            self.account.spend(answer.usage);
            Ok(answer)
        })
    }

    /// Nothing of a task is streamed, so nothing is counted here.
    fn converse_stream<'a>(&'a self, request: &'a ModelRequest) -> BoxFuture<'a, Result<ModelEvents, ModelError>> {
        self.model.converse_stream(request)
    }

    fn count_tokens<'a>(&'a self, request: &'a ModelRequest) -> BoxFuture<'a, Result<Option<u64>, ModelError>> {
        self.model.count_tokens(request)
    }
}
