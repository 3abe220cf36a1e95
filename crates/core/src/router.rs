//! One agent in front of several: each has a prompt and tools of its own, and they share the session.
//!
//! A rule may say who answers; where it doesn't, the model does, by one short question to the small model.
//! Before anybody chooses, the guards of all of them read the message: a crisis is answered at once, whoever would have
//! been chosen, and so is what all of them would answer alike. What else they find is told, and what they would answer or
//! tell the model counts where their agent is chosen.
//!
//! Whoever answers reads the session's history and the whole turn is remembered as one, so a session never
//! holds two halves of two agents. Tool calls of an agent with tools are left out of what one without them
//! is shown, because Converse would refuse them. A reply to a question goes to the agent that asked.
//!
//! ```
//! use agentcore_core::agent::{Agent, Context};
//! use agentcore_core::payload::{PayloadError, Prompt};
//! use agentcore_core::router::Router;
//! use agentcore_core::turn::TurnRequest;
//!
//! # struct Cook; struct Trainer;
//! # impl Agent for Cook { type Payload = Prompt; const NAME: &'static str = "cook";
//! #   fn turn(&self, p: Prompt, _: &Context) -> Result<TurnRequest, PayloadError> { Ok(TurnRequest::new(p.text()?)) } }
//! # impl Agent for Trainer { type Payload = Prompt; const NAME: &'static str = "trainer";
//! #   fn turn(&self, p: Prompt, _: &Context) -> Result<TurnRequest, PayloadError> { Ok(TurnRequest::new(p.text()?)) } }
//! struct FrontDesk(Router<Prompt>);
//!
//! impl Agent for FrontDesk {
//!     type Payload = Prompt;
//!     const NAME: &'static str = "front_desk";
//!
//!     fn turn(&self, payload: Prompt, context: &Context) -> Result<TurnRequest, PayloadError> {
//!         self.0.turn(payload, context)
//!     }
//! }
//!
//! let desk = FrontDesk(Router::new("what to eat", Cook).agent("how to move", Trainer));
//! ```

use std::sync::Arc;

use crate::agent::{Agent, Context};
use crate::payload::PayloadError;
use crate::turn::TurnRequest;
use crate::turn::route::Route;

/// Gives each invocation to one of several agents that take the same payload.
pub struct Router<P> {
    agents: Vec<Routed<P>>,
    rule: Option<Rule<P>>,
}

/// Says who answers a payload, by name; none leaves it to the model.
type Rule<P> = Arc<dyn Fn(&P, &Context) -> Option<&'static str> + Send + Sync>;

/// Makes an agent's turn of a payload.
type MakeTurn<P> = Box<dyn Fn(P, &Context) -> Result<TurnRequest, PayloadError> + Send + Sync>;

struct Routed<P> {
    name: &'static str,
    description: String,
    turn: MakeTurn<P>,
}

// === impl Router ===

impl<P: Clone + Send + 'static> Router<P> {
    /// A router to `agent`, which also answers when the model chooses none there is. `description` says what
    /// it is good at, for the model that chooses.
    pub fn new<A: Agent<Payload = P>>(description: impl Into<String>, agent: A) -> Self {
        Self { agents: Vec::new(), rule: None }.agent(description, agent)
    }

    /// One more agent.
    ///
    /// # Panics
    /// When another has its name.
    #[must_use]
    pub fn agent<A: Agent<Payload = P>>(mut self, description: impl Into<String>, agent: A) -> Self {
        assert!(self.named(A::NAME).is_none(), "two agents of a router are called {}", A::NAME);
        let turn: MakeTurn<P> = Box::new(move |payload, context| agent.turn(payload, context));
        self.agents.push(Routed { name: A::NAME, description: description.into(), turn });
        self
    }

    /// A rule that is asked before the model: the name of the agent that answers, or none.
    #[must_use]
    pub fn rule(mut self, rule: impl Fn(&P, &Context) -> Option<&'static str> + Send + Sync + 'static) -> Self {
        self.rule = Some(Arc::new(rule));
        self
    }

    /// The turn of whoever answers.
    ///
    /// # Errors
    /// What that agent says of the payload.
    #[expect(clippy::needless_pass_by_value, reason = "as every agent takes its payload")]
    pub fn turn(&self, payload: P, context: &Context) -> Result<TurnRequest, PayloadError> {
        let ruled = self.rule.as_ref().and_then(|rule| rule(&payload, context)).and_then(|name| self.named(name));
        if let Some(Routed { name, turn, .. }) = ruled.or(self.agents.first().filter(|_| self.agents.len() == 1)) {
            let request = turn(payload.clone(), context)?.of_route(name);
            // A reply is for who asked, whatever the rule says of it.
            if request.replies().is_empty() {
                return Ok(request);
            }
        }
        let mut routes = Vec::with_capacity(self.agents.len());
        for Routed { name, description, turn } in &self.agents {
            let request = turn(payload.clone(), context)?.of_route(name);
            routes.push(Route { name: (*name).to_owned(), description: description.clone(), request });
        }
        Ok(TurnRequest::choosing(routes))
    }

    fn named(&self, name: &str) -> Option<&Routed<P>> {
        self.agents.iter().find(|agent| agent.name == name)
    }
}
