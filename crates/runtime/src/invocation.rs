//! One invocation, from the bytes of its payload to the turn its session remembers.
//!
//! Nothing here knows how the bytes came or how the answer leaves: the wire reads a payload in, and gets
//! an [`Invocation`] back whose events and end it can wait for, or drop to cut the turn.

use std::sync::Arc;
use std::time::Instant;

use agentcore_core::activity::{Activity, Busy};
use agentcore_core::agent::{Agent, Context};
use agentcore_core::drive::{Delivery, Stage, drive};
use agentcore_core::guard::Safety;
use agentcore_core::memory::identity::SessionKey;
use agentcore_core::memory::sessions::{OpenSession, Sessions, Stored};
use agentcore_core::message::{Message, StopReason, Usage};
use agentcore_core::model::{Model, ModelEvent};
use agentcore_core::settings::{CONTEXT_TOKENS, ModelSettings};
use agentcore_core::turn::{Answer, TurnError, TurnOutcome, TurnRequest};
use bytes::Bytes;
use serde::Serialize;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::failure::Failure;
use crate::payload;

/// How many events may wait for a slow reader before the model is made to wait as well.
const EVENTS_AHEAD: usize = 32;

/// Leads payloads through turns. Clones share everything.
pub(crate) struct Invoker<A> {
    agent: Arc<A>,
    model: Arc<dyn Model>,
    overruling: Option<ModelSettings>,
    sessions: Sessions,
    activity: Activity,
    /// Where turns run: never on the thread that answers `/ping`.
    work: Handle,
    turns: TaskTracker,
    ending: CancellationToken,
}

/// A payload that made sense, and what came with it.
pub(crate) struct Accepted {
    request: TurnRequest,
    context: Context,
    busy: Busy,
}

/// An invocation that is under way. Dropping it cuts the turn.
pub(crate) struct Invocation {
    /// The model's events, where they were asked for.
    pub(crate) events: Option<mpsc::Receiver<ModelEvent>>,
    end: JoinHandle<Result<Answered, Failure>>,
    _cut: DropGuard,
}

/// The end of a turn that was answered, in the members callers read.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Answered {
    pub(crate) message: Message,
    pub(crate) session_id: String,
    pub(crate) stop_reason: StopReason,
    pub(crate) usage: Usage,
    pub(crate) safety: Safety,
}

// === impl Invoker ===

impl<A> Clone for Invoker<A> {
    fn clone(&self) -> Self {
        Self {
            agent: Arc::clone(&self.agent),
            model: Arc::clone(&self.model),
            overruling: self.overruling.clone(),
            sessions: self.sessions.clone(),
            activity: self.activity.clone(),
            work: self.work.clone(),
            turns: self.turns.clone(),
            ending: self.ending.clone(),
        }
    }
}

impl<A: Agent> Invoker<A> {
    /// Runs turns on the runtime this is called in.
    pub(crate) fn new(
        agent: A,
        model: Arc<dyn Model>,
        overruling: Option<ModelSettings>,
        sessions: Sessions,
        activity: Activity,
    ) -> Self {
        Self {
            agent: Arc::new(agent),
            model,
            overruling,
            sessions,
            activity,
            work: Handle::current(),
            turns: TaskTracker::new(),
            ending: CancellationToken::new(),
        }
    }

    pub(crate) fn activity(&self) -> &Activity {
        &self.activity
    }

    pub(crate) fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// Every turn under way.
    pub(crate) fn turns(&self) -> &TaskTracker {
        &self.turns
    }

    /// Cuts every turn when it is cancelled.
    pub(crate) fn ending(&self) -> &CancellationToken {
        &self.ending
    }

    /// The same, with turns that end when `cut` is cancelled.
    pub(crate) fn cut_by(mut self, cut: CancellationToken) -> Self {
        self.ending = cut;
        self
    }

    /// Reads a payload and asks the agent what to make of it. An agent that panics fails alone.
    pub(crate) async fn accept(&self, body: Bytes, context: Context) -> Result<Accepted, Failure> {
        let busy = self.activity.begin("invocation");
        let agent = Arc::clone(&self.agent);
        let mut settled = context;
        settled.activity = self.activity.clone();
        let overruling = self.overruling.clone();
        let reading = self.work.spawn(
            async move {
                let payload = payload::read::<A::Payload>(&body)?;
                drop(body);
                let mut request = agent.turn(payload, &settled)?;
                if let Some(settings) = overruling {
                    settings.overrule(request.parameters_mut());
                }
                if request.is_beyond_any_context() {
                    return Err(Failure::too_long());
                }
                Ok(Accepted { request, context: settled, busy })
            }
            .in_current_span(),
        );
        reading.await.unwrap_or_else(|_panicked| Err(Failure::internal()))
    }

    /// Begins the turn. It goes on until it ends, or until the [`Invocation`] is dropped.
    pub(crate) fn begin(&self, accepted: Accepted, streamed: bool) -> Invocation {
        let cut = self.ending.child_token();
        let (delivery, events) = if streamed {
            let (sender, receiver) = mpsc::channel(EVENTS_AHEAD);
            (Delivery::Streamed(sender), Some(receiver))
        } else {
            (Delivery::Whole, None)
        };
        let stage = Stage {
            model: Arc::clone(&self.model),
            tools: accepted.request.toolbox().clone(),
            delivery,
            cut: cut.clone(),
        };
        let turn = turn(self.sessions.clone(), accepted, stage).in_current_span();
        let end = self.turns.spawn_on(turn, &self.work);
        Invocation { events, end, _cut: cut.drop_guard() }
    }
}

// === impl Invocation ===

impl Invocation {
    /// Waits for the turn to end and to be stored.
    pub(crate) async fn end(self) -> Result<Answered, Failure> {
        self.end.await.unwrap_or_else(|_panicked| Err(Failure::internal()))
    }
}

/// The whole way of a turn: its session's history in, the model's answer out, the turn remembered.
async fn turn(sessions: Sessions, accepted: Accepted, stage: Stage) -> Result<Answered, Failure> {
    let began = Instant::now();
    let Accepted { request, context, busy } = accepted;
    let actor = context.user_id.as_deref().or(request.actor_id());
    let key = SessionKey::new(actor, &context.session_id);
    let session = match stage.cut.run_until_cancelled(sessions.open(key)).await {
        Some(Ok(session)) => session,
        Some(Err(error)) => {
            tracing::error!(error_type = "MemoryError", error = %error, "the session could not be read");
            return Err((&error).into());
        }
        None => return Err((&TurnError::Cut).into()),
    };
    let room = CONTEXT_TOKENS.saturating_sub(request.estimated_tokens());
    let step = request.begin(session.history(room));
    let outcome = drive(step, &stage).await;
    report(&outcome, began);
    let TurnOutcome { result, remember, usage, safety } = outcome;
    if let Some(turn) = remember {
        remember_turn(session, turn).await;
    }
    drop(busy);
    let Answer { message, stop_reason } = result.map_err(|error| Failure::from(&error))?;
    Ok(Answered { message, session_id: context.session_id, stop_reason, usage, safety })
}

async fn remember_turn(session: OpenSession, turn: agentcore_core::history::CompleteTurn) {
    if session.remember(turn).await == Stored::Soon {
        tracing::warn!("the memory is slow; the answer leaves before its turn is stored");
    }
}

/// One line a turn: numbers and names, no words of anybody.
fn report(outcome: &TurnOutcome, began: Instant) {
    let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let usage = outcome.usage;
    for flag in &outcome.safety.flags {
        tracing::warn!(kind = %flag.kind, rule = %flag.rule, severity = ?flag.severity, "a guard acted");
    }
    match &outcome.result {
        Ok(answer) => tracing::info!(
            duration_ms,
            stop_reason = answer.stop_reason.as_str(),
            input_tokens = usage.input_tokens,
            output_tokens = usage.output_tokens,
            "turn answered"
        ),
        Err(TurnError::Cut) => tracing::info!(duration_ms, "turn cut"),
        Err(error) => {
            tracing::error!(duration_ms, error_type = error_type(error), error = %error, "turn failed");
        }
    }
}

fn error_type(error: &TurnError) -> &'static str {
    match error {
        TurnError::Model(_) => "ModelError",
        TurnError::EmptyAnswer { .. } => "EmptyAnswer",
        TurnError::Cut => "Cut",
    }
}
