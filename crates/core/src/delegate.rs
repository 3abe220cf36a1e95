//! An agent as the tool of another.
//!
//! The other agent's model hands a task over in words; this one's prompt, tools and guards answer it, in
//! a turn of its own that sees nothing of the conversation but the task. It ends with the turn it is a part
//! of, and what it spends is counted there.

use std::time::Duration;

use futures::future::BoxFuture;
use serde::Deserialize;

use crate::agent::{Agent, Context};
use crate::drive::{Delivery, Stage, drive, gather_tools};
use crate::payload::Prompt;
use crate::tool::typed::{self, JsonSchema};
use crate::tool::{Tool, ToolCall, ToolFailure, ToolOutput, ToolSpec};
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
        gather_tools(&mut request).await;
        let deadline = call.deadline.min(tokio::time::Instant::now() + request.time());
        let stage = Stage {
            model: call.model,
            delivery: Delivery::Whole,
            deadline,
            cut: call.cut.child_token(),
            first_token: std::sync::Arc::default(),
        };
        let TurnOutcome { result, usage, .. } = drive(request.begin(Vec::new()), &stage).await;
        let answer = result.map_err(|error| {
            tracing::warn!(agent = A::NAME, error = %error, "a delegated task failed");
            ToolFailure::failed(format!("{} could not do it just now.", A::NAME))
        })?;
        if !answer.questions.is_empty() {
            let reason = "it needs a person's answer, which only the agent that was asked first can get";
            return Err(ToolFailure::failed(format!("{} did not do it: {reason}.", A::NAME)));
        }
        let said: ToolOutput = answer.output.map_or_else(|| answer.message.text().into(), Into::into);
        Ok(ToolOutput { usage, ..said })
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
