//! One invocation, from the bytes of its payload to the turn its session remembers.
//!
//! Nothing here knows how the bytes came or how the answer leaves: the wire reads a payload in, and gets
//! an [`Invocation`] back whose events and end it can wait for, or drop to cut the turn.

use std::sync::Arc;
use std::time::{Duration, Instant};

use agentcore_core::activity::{Activity, Busy};
use agentcore_core::agent::{Agent, Context};
#[cfg(feature = "mcp")]
use agentcore_core::drive::call_alone;
use agentcore_core::drive::{Delivery, Stage, TurnEvent, drive, gather_tools, settle};
use agentcore_core::guard::Safety;
use agentcore_core::history::Keepsake;
use agentcore_core::memory::identity::SessionKey;
use agentcore_core::memory::sessions::{OpenError, OpenSession, Place, Sessions, Stored};
use agentcore_core::message::{Message, StopReason, Usage};
use agentcore_core::model::Model;
use agentcore_core::response_cache::{Question as CachedQuestion, ResponseCache};
use agentcore_core::settings::{CONTEXT_TOKENS, Overruling};
use agentcore_core::signal::attribute;
use agentcore_core::tool::Question;
#[cfg(feature = "mcp")]
use agentcore_core::tool::{Tool, ToolOutput};
#[cfg(feature = "mcp")]
use agentcore_core::turn::CallFailure;
use agentcore_core::turn::{Answer, Step, TurnError, TurnOutcome, TurnRequest};
use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout_at;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use tracing::{Instrument as _, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::admission::{Admission, Admitted};
use crate::audit;
use crate::failure::Failure;
use crate::payload;
use crate::telemetry::invocation as telemetry;

/// How many events may wait for a slow reader before the model is made to wait as well.
pub(crate) const EVENTS_AHEAD: usize = 32;

/// Leads payloads through turns. Clones share everything.
pub(crate) struct Invoker<A> {
    agent: Arc<A>,
    model: Arc<dyn Model>,
    overruling: Overruling,
    /// What the operator says a turn may take.
    turn_time: Option<Duration>,
    sessions: Sessions,
    answers: Arc<ResponseCache>,
    admission: Admission,
    activity: Activity,
    /// Where turns run: never on the thread that answers `/ping`.
    work: Handle,
    turns: TaskTracker,
    #[cfg(feature = "a2a")]
    followers: TaskTracker,
    ending: CancellationToken,
}

/// A payload that made sense, and what came with it.
pub(crate) struct Accepted {
    request: TurnRequest,
    context: Context,
    busy: Busy,
    admitted: Admitted,
}

/// An invocation that is under way. Dropping it cuts the turn.
pub(crate) struct Invocation {
    /// What the model and its tools say meanwhile, where it was asked for.
    pub(crate) events: Option<mpsc::Receiver<TurnEvent>>,
    began: Instant,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) output: Option<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) questions: Vec<Question>,
}

/// A whole answer, as callers of the old agents read it, and the members they gained.
#[derive(Serialize)]
pub(crate) struct WholeAnswer<'a> {
    response: &'a Message,
    session_id: &'a str,
    stop_reason: &'a StopReason,
    usage: Usage,
    safety: &'a Safety,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<&'a Value>,
    #[serde(skip_serializing_if = "<[Question]>::is_empty")]
    questions: &'a [Question],
}

// === impl Answered ===

impl Answered {
    /// The answer in one piece.
    pub(crate) fn whole(&self) -> WholeAnswer<'_> {
        WholeAnswer {
            response: &self.message,
            session_id: &self.session_id,
            stop_reason: &self.stop_reason,
            usage: self.usage,
            safety: &self.safety,
            output: self.output.as_ref(),
            questions: &self.questions,
        }
    }
}

// === impl Invoker ===

impl<A> Clone for Invoker<A> {
    fn clone(&self) -> Self {
        Self {
            agent: Arc::clone(&self.agent),
            model: Arc::clone(&self.model),
            overruling: self.overruling,
            turn_time: self.turn_time,
            sessions: self.sessions.clone(),
            answers: Arc::clone(&self.answers),
            admission: self.admission.clone(),
            activity: self.activity.clone(),
            work: self.work.clone(),
            turns: self.turns.clone(),
            #[cfg(feature = "a2a")]
            followers: self.followers.clone(),
            ending: self.ending.clone(),
        }
    }
}

impl<A: Agent> Invoker<A> {
    /// Runs turns on the runtime this is called in.
    pub(crate) fn new(agent: A, model: Arc<dyn Model>, sessions: Sessions, activity: Activity) -> Self {
        Self {
            agent: Arc::new(agent),
            model,
            overruling: Overruling::default(),
            turn_time: None,
            sessions,
            answers: Arc::default(),
            admission: Admission::default(),
            activity,
            work: Handle::current(),
            turns: TaskTracker::new(),
            #[cfg(feature = "a2a")]
            followers: TaskTracker::new(),
            ending: CancellationToken::new(),
        }
    }

    /// Lets the agent prepare itself, beside whatever else is done.
    pub(crate) fn prepare(&self) {
        let agent = Arc::clone(&self.agent);
        std::thread::spawn(move || agent.prepare());
    }

    pub(crate) fn activity(&self) -> &Activity {
        &self.activity
    }

    pub(crate) fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// Where turns run.
    #[cfg(any(feature = "a2a", feature = "ag-ui", feature = "mcp"))]
    pub(crate) fn work(&self) -> &Handle {
        &self.work
    }

    pub(crate) fn admission(&self) -> &Admission {
        &self.admission
    }

    /// The same, with what an operator sets over what the agent asks for.
    pub(crate) fn overruled_by(mut self, overruling: Overruling) -> Self {
        self.overruling = overruling;
        self
    }

    /// The same, with turns that take so long at the most.
    pub(crate) fn within(mut self, time: Option<Duration>) -> Self {
        self.turn_time = time;
        self
    }

    /// The same, with room for as much as `admission` lets in.
    pub(crate) fn admitting(mut self, admission: Admission) -> Self {
        self.admission = admission;
        self
    }

    /// Every turn under way.
    pub(crate) fn turns(&self) -> &TaskTracker {
        &self.turns
    }

    /// What follows turns to keep what became of them; it ends soon after them.
    #[cfg(feature = "a2a")]
    pub(crate) fn followers(&self) -> &TaskTracker {
        &self.followers
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

    /// Takes the invocation's place among those of its session, before anything but its headers is known. Where the
    /// payload names whose session it is, the place is still the one among those of that session id.
    pub(crate) fn arrive(&self, context: &Context) -> Result<Place, OpenError> {
        self.sessions.arrive(&SessionKey::new(context.user_id.as_deref(), &context.session_id))
    }

    /// Reads a payload and asks the agent what to make of it. An agent that panics fails alone.
    pub(crate) async fn accept(&self, body: Bytes, context: Context, admitted: Admitted) -> Result<Accepted, Failure> {
        self.accept_with(body, context, admitted, Ok).await
    }

    /// The same, with what the protocol adds to the agent's request.
    pub(crate) async fn accept_with(
        &self,
        body: Bytes,
        context: Context,
        admitted: Admitted,
        add: impl FnOnce(TurnRequest) -> Result<TurnRequest, Failure> + Send + 'static,
    ) -> Result<Accepted, Failure> {
        let invoker = self.clone();
        let reading = async move { invoker.accept_here(body, context, admitted, add) };
        let reading = self.work.spawn(reading.in_current_span());
        reading.await.unwrap_or_else(|_panicked| Err(Failure::internal()))
    }

    /// Runs the agent's own code, so never on the thread that answers `/ping`.
    fn accept_here(
        &self,
        body: Bytes,
        context: Context,
        admitted: Admitted,
        add: impl FnOnce(TurnRequest) -> Result<TurnRequest, Failure>,
    ) -> Result<Accepted, Failure> {
        let busy = self.activity.begin("invocation");
        let mut settled = context;
        settled.activity = self.activity.clone();
        let payload = payload::read::<A::Payload>(&body)?;
        drop(body);
        let mut request = add(self.agent.turn(payload, &settled)?)?;
        request.overrule(self.overruling);
        if request.is_beyond_any_context() {
            return Err(Failure::too_long());
        }
        Ok(Accepted { request, context: settled, busy, admitted })
    }

    /// Reads a payload and leads it through its turn, to an answer in one piece. All of it happens where turns run: a
    /// thread that is woken for each part of the way costs more than the parts. Dropping it cuts the turn.
    pub(crate) async fn answer(
        &self,
        body: Bytes,
        context: Context,
        admitted: Admitted,
        place: Result<Place, OpenError>,
    ) -> Result<Answered, Failure> {
        let invoker = self.clone();
        let began = Instant::now();
        let answering = async move {
            let accepted = invoker.accept_here(body, context, admitted, Ok).inspect_err(|failure| {
                telemetry::refused(failure, began);
            })?;
            invoker.begin(accepted, place, false).end().await
        };
        let answering = AbortOnDropHandle::new(self.work.spawn(answering.in_current_span()));
        answering.await.unwrap_or_else(|_panicked| {
            let failure = Failure::internal();
            telemetry::refused(&failure, began);
            Err(failure)
        })
    }

    /// What callers may call by themselves beside the agent.
    #[cfg(feature = "mcp")]
    pub(crate) fn offered(&self) -> Vec<Arc<dyn Tool>> {
        self.agent.offers()
    }

    /// Calls a tool by itself; what it says of its progress comes as `events`. Dropping the call ends it.
    #[cfg(feature = "mcp")]
    pub(crate) async fn call(
        &self,
        tool: Arc<dyn Tool>,
        input: Value,
        admitted: Admitted,
        events: Option<mpsc::Sender<TurnEvent>>,
    ) -> Result<Result<ToolOutput, CallFailure>, Failure> {
        let (began, name) = (Instant::now(), tool.spec().name);
        let (busy, cut) = (self.activity.begin("tool"), self.ending.child_token());
        let stage = Stage {
            model: Arc::clone(&self.model),
            delivery: events.map_or(Delivery::Whole, Delivery::Streamed),
            deadline: tokio::time::Instant::now() + tool.timeout(),
            cut: cut.clone(),
            first_token: Arc::default(),
        };
        let overruling = self.overruling;
        let ending = cut.clone();
        let calling = async move {
            let outcome = ending.run_until_cancelled(call_alone(tool, input, overruling, &stage)).await;
            drop((busy, admitted));
            outcome.map(|outcome| outcome.result)
        };
        // Among the turns, so that a process that ends waits for it as well. Whoever drops this is not listening any more.
        let _cut = cut.drop_guard();
        let called = self.turns.spawn_on(calling.in_current_span(), &self.work).await;
        let called = called.map_err(|_panicked| Failure::internal())?.ok_or_else(|| Failure::from(&TurnError::Cut));
        telemetry::tool_called(&name, called.as_ref().is_ok_and(Result::is_ok), began);
        called
    }

    /// How long the turn may take.
    pub(crate) fn time(&self, accepted: &Accepted) -> Duration {
        self.turn_time.unwrap_or(accepted.request.time())
    }

    /// Begins the turn, from its place. It goes on until it ends, or until the [`Invocation`] is dropped.
    pub(crate) fn begin(&self, accepted: Accepted, place: Result<Place, OpenError>, streamed: bool) -> Invocation {
        let cut = self.ending.child_token();
        let (delivery, events) = if streamed {
            let (sender, receiver) = mpsc::channel(EVENTS_AHEAD);
            (Delivery::Streamed(sender), Some(receiver))
        } else {
            (Delivery::Whole, None)
        };
        let time = self.time(&accepted);
        let stage = Stage {
            model: Arc::clone(&self.model),
            delivery,
            deadline: tokio::time::Instant::now() + time,
            cut: cut.clone(),
            first_token: Arc::default(),
        };
        let performance =
            Performance { agent: A::NAME, sessions: self.sessions.clone(), answers: Arc::clone(&self.answers), stage };
        // A turn is large, and what is spawned is moved several times: that is, its address is.
        let turn = Box::pin(performance.turn(accepted, place)).in_current_span();
        let end = self.turns.spawn_on(turn, &self.work);
        Invocation { events, began: Instant::now(), end, _cut: cut.drop_guard() }
    }
}

// === impl Invocation ===

impl Invocation {
    /// Waits for the turn to end and to be stored.
    pub(crate) async fn end(self) -> Result<Answered, Failure> {
        self.end.await.unwrap_or_else(|_panicked| {
            // The turn itself can no longer say what became of it.
            let failure = Failure::internal();
            telemetry::refused(&failure, self.began);
            Err(failure)
        })
    }
}

/// What a turn is led through by.
struct Performance {
    agent: &'static str,
    sessions: Sessions,
    answers: Arc<ResponseCache>,
    stage: Stage,
}

// === impl Performance ===

impl Performance {
    /// The whole way of a turn: its session's history in, the model's answer out, the turn remembered.
    async fn turn(self, accepted: Accepted, place: Result<Place, OpenError>) -> Result<Answered, Failure> {
        let began = Instant::now();
        let Accepted { mut request, context, busy, admitted } = accepted;
        let actor = context.user_id.as_deref().or(request.actor_id());
        let key = SessionKey::new(actor, &context.session_id);
        // Others of the same session come first; the wait is a part of the turn's time.
        let opening = timeout_at(self.stage.deadline, self.open(place, &key));
        let session = match self.stage.cut.run_until_cancelled(opening).await {
            Some(Ok(Ok(session))) => session,
            Some(Ok(Err(error))) => return self.without_session(request, context, &key, &error, began).await,
            Some(Err(_)) => return Err(refused(&TurnError::OutOfTime, began)),
            None => return Err(refused(&TurnError::Cut, began)),
        };
        gather_tools(&mut request, &self.stage).await;
        let outcome = self.perform(request, &key, &session).await;
        telemetry::report(&outcome, began, self.first_token());
        audit::record(self.agent, &key, &outcome.safety);
        let (answered, keepsake) = answered(outcome, context);
        if let Some(keepsake) = keepsake {
            remember(session, keepsake).await;
        }
        drop((busy, admitted));
        answered
    }

    fn first_token(&self) -> Option<Instant> {
        self.stage.first_token.get().map(|at| at.into_std())
    }

    async fn open(&self, place: Result<Place, OpenError>, key: &SessionKey) -> Result<OpenSession, OpenError> {
        let opened = match place {
            Ok(place) => self.sessions.open_from(place, key.clone()).await,
            Err(crowded) => Err(crowded),
        };
        match &opened {
            Err(error @ OpenError::Crowded { .. }) => tracing::warn!(error = %error, "a turn was turned away"),
            Err(OpenError::Memory(error)) => {
                tracing::error!(error_type = "MemoryError", error = %error, "the session could not be read");
            }
            Ok(_) => {}
        }
        opened
    }

    /// Nothing can be said without the session but what the guards answer: somebody in danger is
    /// not told to try again. The session does not remember it.
    async fn without_session(
        &self,
        request: TurnRequest,
        context: Context,
        key: &SessionKey,
        error: &OpenError,
        began: Instant,
    ) -> Result<Answered, Failure> {
        let is_lost = matches!(error, OpenError::Memory(_));
        let step = match request.begin(Vec::new()) {
            Step::CallModel(call) if call.patience().is_some() && is_lost => {
                settle(Step::CallModel(call), &self.stage).await
            }
            // Who is only turned away for now costs no call of a model.
            Step::CallModel(call) if call.patience().is_some() => call.given_up(),
            step => step,
        };
        match step {
            step @ Step::Done(TurnOutcome { result: Ok(_), .. }) => {
                let outcome = drive(step, &self.stage).await;
                telemetry::report(&outcome, began, self.first_token());
                audit::record(self.agent, key, &outcome.safety);
                answered(outcome, context).0
            }
            _ => Err(refused(error, began)),
        }
    }

    async fn perform(&self, request: TurnRequest, key: &SessionKey, session: &OpenSession) -> TurnOutcome {
        let room = CONTEXT_TOKENS.saturating_sub(request.estimated_tokens());
        let step = telemetry::guards(&request).in_scope(|| {
            if request.replies().is_empty() {
                request.begin(session.earlier(room))
            } else {
                let paused = session.paused().cloned().unwrap_or_default();
                request.resume(session.earlier_than_paused(room), paused)
            }
        });
        let call = match settle(step, &self.stage).await {
            Step::CallModel(call) => call,
            step => return drive(step, &self.stage).await,
        };
        let Some(time) = call.reusable() else {
            return drive(Step::CallModel(call), &self.stage).await;
        };
        let question = CachedQuestion::new(self.agent, key, call.request());
        if let Some(answer) = self.answers.find(&question) {
            tracing::debug!("the same was asked before; its answer is given again");
            Span::current().set_attribute(attribute::REUSED, true);
            return drive(call.answered(answer), &self.stage).await;
        }
        let outcome = drive(Step::CallModel(call), &self.stage).await;
        self.answers.keep(question, &outcome, time);
        outcome
    }
}

/// An invocation that never became a turn.
fn refused<'a, E>(error: &'a E, began: Instant) -> Failure
where
    Failure: From<&'a E>,
{
    let failure = Failure::from(error);
    telemetry::refused(&failure, began);
    failure
}

/// What callers are told of a turn, and what its session keeps.
fn answered(outcome: TurnOutcome, context: Context) -> (Result<Answered, Failure>, Option<Keepsake>) {
    let TurnOutcome { result, keepsake, usage, safety, .. } = outcome;
    let answered = result.map_err(|error| Failure::from(&error)).map(|answer| {
        let Answer { message, stop_reason, output, questions } = answer;
        Answered { message, session_id: context.session_id, stop_reason, usage, safety, output, questions }
    });
    (answered, keepsake)
}

async fn remember(session: OpenSession, keepsake: Keepsake) {
    if session.remember(keepsake).await == Stored::Soon {
        tracing::warn!("the memory is slow; the answer leaves before its turn is stored");
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;
    use std::sync::Mutex;

    use agentcore_core::signal::measure;
    use tracing::field::{Field, Visit};
    use tracing_subscriber::layer::{Context as LayerContext, Layer, SubscriberExt as _};

    use super::*;

    /// What lines counted, by metric.
    #[derive(Clone, Default)]
    struct Counted(Arc<Mutex<Vec<(String, u64)>>>);

    impl<S: tracing::Subscriber> Layer<S> for Counted {
        fn on_event(&self, event: &tracing::Event<'_>, _: LayerContext<'_, S>) {
            event.record(&mut self.clone());
        }
    }

    impl Visit for Counted {
        fn record_u64(&mut self, field: &Field, value: u64) {
            self.0.lock().expect("no panic").push((field.name().to_owned(), value));
        }

        fn record_i64(&mut self, field: &Field, value: i64) {
            self.record_u64(field, value.unsigned_abs());
        }

        fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
    }

    #[tokio::test]
    async fn a_turn_that_panics_is_counted_as_an_error_all_the_same() {
        let counted = Counted::default();
        let _heard = tracing::subscriber::set_default(tracing_subscriber::registry().with(counted.clone()));
        let end = tokio::spawn(async { panic!("as an agent's tool must not") });
        let invocation =
            Invocation { events: None, began: Instant::now(), end, _cut: CancellationToken::new().drop_guard() };
        assert_eq!(invocation.end().await.err(), Some(Failure::internal()));
        let counted = counted.0.lock().expect("no panic");
        for measure in [measure::INVOCATIONS, measure::ERRORS] {
            assert!(counted.contains(&(measure.to_owned(), 1)), "{measure} is not among {counted:?}");
        }
    }
}
