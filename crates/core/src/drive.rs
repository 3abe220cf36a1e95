//! Performs a turn's steps and passes its events on: the only loop that waits.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::join_all;
use futures::stream;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

use crate::chance;
use crate::guard::outgoing::Outgoing;
use crate::message::{ContentBlock, Role, ToolUse};
use crate::model::{AnswerInWriting, BlockDelta, Metrics, Model, ModelError, ModelEvent, ModelEvents};
use crate::settings::{CONTEXT_TOKENS, Overruling};
use crate::signal::{self, attribute};
use crate::tool::{Account, Tool, ToolCall, ToolProgress, ToolSource};
use crate::turn::{Answer, CallFailure, CallOutcome, ModelCall, Step, ToolRound, TurnOutcome, TurnRequest};

/// How many tools of a round run at the same time.
const TOOLS_AT_ONCE: usize = 8;

/// From which share of the context, as estimated, the model is asked to count: below it even a bad estimate
/// fits.
const COUNT_FROM: usize = CONTEXT_TOKENS / 5 * 4;

/// How long counting may take; it is a question of manners, and the answer comes without it.
const COUNT_TIME: Duration = Duration::from_secs(3);

/// How long a turn waits for where its tools come from. What has not come by then is not among them.
const SOURCE_TIME: Duration = Duration::from_secs(5);

/// How long an answer whose rest a guard has replaced is read on for its count. The words have left; the end waits.
const LAST_WORD: Duration = Duration::from_secs(1);

/// How the caller wants the answer.
#[derive(Debug, Clone)]
pub enum Delivery {
    /// In one piece.
    Whole,
    /// As it is written. A slow reader slows the model down; one that has gone cuts the turn.
    Streamed(mpsc::Sender<TurnEvent>),
}

/// What a caller sees of a turn while it goes on.
#[derive(Debug, Clone, PartialEq)]
pub enum TurnEvent {
    /// The model writes.
    Model(ModelEvent),
    /// A tool tells how far it is.
    Progress(ToolProgress),
}

/// What a turn is performed with.
#[derive(Clone)]
pub struct Stage {
    /// Who answers.
    pub model: Arc<dyn Model>,
    /// How the answer leaves.
    pub delivery: Delivery,
    /// When the turn must be over.
    pub deadline: Instant,
    /// Cuts the turn when it is cancelled: the caller has gone, or the process ends.
    pub cut: CancellationToken,
    /// Set when the first words leave, of an answer that is streamed.
    pub first_token: Arc<OnceLock<Instant>>,
}

/// What a source had to give.
struct Gathered {
    source: Arc<dyn ToolSource>,
    tools: Vec<Arc<dyn Tool>>,
}

/// Collects the tools that are known only now: of the request and of its routes, from all sources at once. None is
/// waited for longer than 5 s, nor for more than half of the time that is left: the turn goes on without it.
pub async fn gather_tools(request: &mut TurnRequest, stage: &Stage) {
    let mut sources = Vec::new();
    collect_sources(request, &mut sources);
    if sources.is_empty() {
        return;
    }
    let patience = SOURCE_TIME.min(stage.deadline.saturating_duration_since(Instant::now()) / 2);
    let asking = join_all(sources.iter().map(|source| timeout(patience, source.tools())));
    // A turn that is cut meanwhile ends at its first step.
    let Some(found) = stage.cut.run_until_cancelled(asking).await else {
        return;
    };
    let mut gathered = Vec::with_capacity(sources.len());
    for (source, found) in sources.iter().zip(found) {
        if let Ok(tools) = found {
            gathered.push(Gathered { source: Arc::clone(source), tools });
        } else {
            tracing::warn!("a source of tools did not answer in time; the turn goes on without it");
        }
    }
    hand_out(request, &gathered);
}

/// Every source once, however many routes share it.
fn collect_sources(request: &mut TurnRequest, sources: &mut Vec<Arc<dyn ToolSource>>) {
    for source in request.tool_sources() {
        if !sources.iter().any(|known| is_same(known, source)) {
            sources.push(Arc::clone(source));
        }
    }
    request.routes_mut().for_each(|route| collect_sources(route, sources));
}

fn hand_out(request: &mut TurnRequest, gathered: &[Gathered]) {
    for source in request.tool_sources().to_vec() {
        let tools =
            gathered.iter().find(|gathered| is_same(&gathered.source, &source)).map(|gathered| gathered.tools.clone());
        for name in request.add_from_source(tools.unwrap_or_default()) {
            tracing::warn!(tool = name, "a tool is left out: its name is taken or Bedrock would refuse it");
        }
    }
    request.routes_mut().for_each(|route| hand_out(route, gathered));
}

fn is_same(one: &Arc<dyn ToolSource>, other: &Arc<dyn ToolSource>) -> bool {
    std::ptr::addr_eq(Arc::as_ptr(one), Arc::as_ptr(other))
}

/// Has the model asked what must be settled in silence: who answers, and what guards doubt. What comes next is the
/// first that the caller hears of.
pub async fn settle(mut step: Step, stage: &Stage) -> Step {
    loop {
        step = match step {
            Step::CallModel(call) if !call.is_heard() => stage.ask(call).await,
            settled => return settled,
        };
    }
}

/// Performs a turn to its end.
pub async fn drive(mut step: Step, stage: &Stage) -> TurnOutcome {
    if let (Step::Done(outcome), Delivery::Streamed(events)) = (&step, &stage.delivery) {
        stage.recite(outcome, events).await;
    }
    loop {
        step = match step {
            Step::CallModel(call) => stage.call_model(call).await,
            Step::CallTools(round) => stage.call_tools(round).await,
            Step::Done(outcome) => return outcome,
        };
    }
}

/// Calls one tool outside of a turn, for a caller who chose it. Dropping what this returns ends the call.
pub async fn call_alone(tool: Arc<dyn Tool>, input: Value, overruling: Overruling, stage: &Stage) -> CallOutcome {
    let call = ToolCall {
        id: format!("tooluse_{}", chance::uuid().simple()),
        input,
        reply: None,
        deadline: stage.deadline,
        cut: stage.cut.clone(),
        model: Arc::clone(&stage.model),
        tool: tool.spec().name,
        progress: stage.progress(),
        account: Account::default(),
        overruling,
    };
    run(tool, call).await
}

/// How waiting came to its end.
enum Ended<T> {
    Well(T),
    OutOfTime,
    Cut,
}

/// How a stream of events came to its end.
enum StreamEnd {
    Complete,
    Replaced,
    Failed(ModelError),
    OutOfTime,
    Cut,
}

// === impl Stage ===

impl Stage {
    /// Waits for `work` as long as the turn may go on.
    async fn wait<T>(&self, work: impl Future<Output = T>) -> Ended<T> {
        match self.cut.run_until_cancelled(timeout_at(self.deadline, work)).await {
            Some(Ok(done)) => Ended::Well(done),
            Some(Err(_)) => Ended::OutOfTime,
            None => Ended::Cut,
        }
    }

    /// Tells an answer that no model streams. A reader who reads nothing is not waited for beyond the turn's time.
    async fn recite(&self, outcome: &TurnOutcome, events: &mpsc::Sender<TurnEvent>) {
        let _ = timeout_at(self.deadline, recite(outcome, events)).await;
    }

    async fn call_model(&self, call: ModelCall) -> Step {
        if self.is_too_long(&call).await {
            let model = "the model".to_owned();
            return call.failed(ModelError::ContextTooLong { model }, None);
        }
        match &self.delivery {
            Delivery::Streamed(events) if call.is_heard() => self.ask_streaming(call, events).await,
            Delivery::Whole => self.ask(call).await,
            // Nothing of this was told; if it was the turn's last word all the same, it is told now.
            Delivery::Streamed(events) => {
                let step = self.ask(call).await;
                if let Step::Done(outcome) = &step {
                    self.recite(outcome, events).await;
                }
                step
            }
        }
    }

    /// Whether the conversation, counted exactly, leaves no room for the answer. Most are so far from it
    /// that nobody counts.
    async fn is_too_long(&self, call: &ModelCall) -> bool {
        let request = call.request();
        if call.estimated_tokens() < COUNT_FROM {
            return false;
        }
        let counted = self.wait(timeout(COUNT_TIME, self.model.count_tokens(request))).await;
        match counted {
            Ended::Well(Ok(Ok(Some(tokens)))) => {
                tracing::debug!(tokens, "conversation counted");
                tokens + u64::from(request.parameters.max_tokens) > CONTEXT_TOKENS as u64
            }
            _ => false,
        }
    }

    async fn ask(&self, call: ModelCall) -> Step {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let patience = call.patience().map(|patience| patience.min(left / 2));
        let asking = timeout(patience.unwrap_or(Duration::MAX), self.model.converse(call.request()));
        let answer = match self.wait(asking).await {
            Ended::Well(Ok(Ok(answer))) => {
                if !call.understands(&answer) {
                    tracing::warn!(
                        error_type = "NotFilledIn",
                        "a second opinion on a message that says nothing; its guards decide by themselves"
                    );
                }
                answer
            }
            Ended::Well(Ok(Err(error))) => {
                if patience.is_some() {
                    tracing::warn!(error_type = error.name(), error = %error, "no second opinion on a message; its guards decide by themselves");
                }
                return call.failed(error, None);
            }
            Ended::Well(Err(_)) => {
                tracing::warn!(
                    error_type = "Late",
                    "no second opinion on a message in time; its guards decide by themselves"
                );
                return call.given_up();
            }
            Ended::OutOfTime => return call.out_of_time(None),
            Ended::Cut => return call.cut(None),
        };
        let mut outgoing = call.outgoing();
        if !outgoing.is_watched() {
            return call.answered(answer);
        }
        let answer = outgoing.whole(answer);
        let is_replaced = outgoing.is_replaced();
        let call = call.reviewed(outgoing.safety());
        if is_replaced { call.replaced(answer) } else { call.answered(answer) }
    }

    async fn ask_streaming(&self, call: ModelCall, events: &mpsc::Sender<TurnEvent>) -> Step {
        let mut writing = AnswerInWriting::default();
        let mut outgoing = call.outgoing();
        let ended = match self.wait(self.model.converse_stream(call.request())).await {
            Ended::Well(Ok(stream)) => self.relay(stream, &mut writing, &mut outgoing, events).await,
            Ended::Well(Err(error)) => StreamEnd::Failed(error),
            Ended::OutOfTime => StreamEnd::OutOfTime,
            Ended::Cut => StreamEnd::Cut,
        };
        let call = call.reviewed(outgoing.safety());
        match (ended, writing.finished()) {
            (StreamEnd::Replaced, Some(answer)) => call.replaced(answer),
            (StreamEnd::Complete, Some(answer)) => call.answered(answer),
            (StreamEnd::Complete | StreamEnd::Replaced, None) => {
                let reason = "it ended without a stop reason".to_owned();
                call.failed(ModelError::BrokenStream { reason }, Some(writing.so_far()))
            }
            (StreamEnd::Failed(error), _) => call.failed(error, Some(writing.so_far())),
            (StreamEnd::OutOfTime, _) => call.out_of_time(Some(writing.so_far())),
            (StreamEnd::Cut, _) => call.cut(Some(writing.so_far())),
        }
    }

    /// Passes events on as they come, as far as the guards let them, and keeps what they add up to.
    async fn relay(
        &self,
        mut stream: ModelEvents,
        writing: &mut AnswerInWriting,
        outgoing: &mut Outgoing,
        events: &mpsc::Sender<TurnEvent>,
    ) -> StreamEnd {
        loop {
            let event = match self.wait(stream.next()).await {
                Ended::Well(Some(Ok(event))) => event,
                Ended::Well(Some(Err(error))) => return StreamEnd::Failed(error),
                Ended::Well(None) => return StreamEnd::Complete,
                Ended::OutOfTime => return StreamEnd::OutOfTime,
                Ended::Cut => return StreamEnd::Cut,
            };
            if outgoing.is_watched() {
                for event in outgoing.take(event) {
                    if let Some(end) = self.tell(event, writing, events).await {
                        return end;
                    }
                }
                if outgoing.is_replaced() {
                    self.count(stream, writing, events).await;
                    return StreamEnd::Replaced;
                }
            } else if let Some(end) = self.tell(event, writing, events).await {
                return end;
            }
        }
    }

    /// Reads on, a moment long and without telling any of it, for the count of an answer whose rest a guard has
    /// replaced: it comes last. Without it nobody knows what the answer costs.
    async fn count(&self, stream: ModelEvents, writing: &mut AnswerInWriting, events: &mpsc::Sender<TurnEvent>) {
        let mut counts = stream.filter_map(async |event| event.ok().filter(is_count)).boxed();
        if let Ended::Well(Ok(Some(count))) = self.wait(timeout(LAST_WORD, counts.next())).await {
            // Whoever has gone by now has heard all of the answer.
            let _ = self.tell(count, writing, events).await;
        }
    }

    async fn tell(
        &self,
        event: ModelEvent,
        writing: &mut AnswerInWriting,
        events: &mpsc::Sender<TurnEvent>,
    ) -> Option<StreamEnd> {
        writing.take(&event);
        if matches!(event, ModelEvent::ContentBlockDelta { delta: BlockDelta::Text(_), .. }) {
            self.first_token.get_or_init(Instant::now);
        }
        match self.wait(events.send(TurnEvent::Model(event))).await {
            Ended::Well(Ok(())) => None,
            Ended::OutOfTime => Some(StreamEnd::OutOfTime),
            // Nobody listens any more.
            Ended::Well(Err(_)) | Ended::Cut => Some(StreamEnd::Cut),
        }
    }

    /// Calls the tools of a round side by side, so many at a time. One that fails, hangs or panics does
    /// so alone.
    async fn call_tools(&self, round: ToolRound) -> Step {
        let account = Account::default();
        let calls = round.calls().map(|(call, tool, reply)| {
            let call = self.call(call, reply, &round, account.clone());
            run(Arc::clone(tool), call)
        });
        let calls: Vec<_> = calls.collect();
        let mut outcomes = Vec::with_capacity(calls.len());
        let ended = self
            .wait(async {
                let mut running = stream::iter(calls).buffer_unordered(TOOLS_AT_ONCE);
                while let Some(outcome) = running.next().await {
                    outcomes.push(outcome);
                }
            })
            .await;
        let (usage, safety) = account.taken();
        let round = round.accounted(usage, safety);
        match ended {
            Ended::Well(()) => round.returned(outcomes),
            Ended::OutOfTime => round.out_of_time(outcomes),
            Ended::Cut => round.cut(outcomes),
        }
    }

    fn call(&self, call: &ToolUse, reply: Option<&Value>, round: &ToolRound, account: Account) -> ToolCall {
        ToolCall {
            id: call.tool_use_id.clone(),
            input: call.input.clone(),
            reply: reply.cloned(),
            deadline: self.deadline,
            cut: self.cut.clone(),
            model: Arc::clone(&self.model),
            tool: call.name.clone(),
            progress: self.progress(),
            account,
            overruling: round.overruling(),
        }
    }

    /// Where tools tell how far they are. It keeps nobody waiting for the end: a tool may keep its call
    /// beyond the turn.
    fn progress(&self) -> Option<Arc<dyn Fn(ToolProgress) + Send + Sync>> {
        let Delivery::Streamed(events) = &self.delivery else {
            return None;
        };
        let events = events.downgrade();
        Some(Arc::new(move |progress| {
            if let Some(events) = events.upgrade() {
                let _ = events.try_send(TurnEvent::Progress(progress));
            }
        }))
    }
}

async fn run(tool: Arc<dyn Tool>, call: ToolCall) -> CallOutcome {
    let tool_use_id = call.id.clone();
    let bound = tool.timeout();
    let span = tool_span(&call);
    // A task of its own keeps a panic in, and ends with the turn when that is cut.
    let call = async move { tool.call(call).await }.instrument(span.clone());
    let task = AbortOnDropHandle::new(tokio::spawn(call));
    let result = match timeout(bound, task).await {
        Ok(Ok(Ok(output))) => Ok(output),
        Ok(Ok(Err(failure))) => Err(CallFailure::Tool(failure)),
        Ok(Err(_panicked)) => Err(CallFailure::Panicked),
        Err(_) => Err(CallFailure::TimedOut(bound)),
    };
    if let Err(failure) = &result {
        span.record(attribute::ERROR, failure.name());
        span.record("otel.status_code", "ERROR");
    }
    CallOutcome { tool_use_id, result }
}

/// The span of a tool's call: its name, and never what it is asked or answers.
fn tool_span(call: &ToolCall) -> Span {
    tracing::info_span!(
        target: signal::SPANS,
        signal::span::EXECUTE_TOOL,
        otel.name = format_args!("{} {}", signal::span::EXECUTE_TOOL, call.tool),
        otel.status_code = Empty,
        { attribute::OPERATION } = signal::span::EXECUTE_TOOL,
        { attribute::TOOL } = call.tool,
        { attribute::TOOL_CALL } = call.id,
        { attribute::ERROR } = Empty,
    )
}

fn is_count(event: &ModelEvent) -> bool {
    matches!(event, ModelEvent::Metadata { .. })
}

/// Tells a streaming caller an answer that no model wrote, in the events a model would have sent.
async fn recite(outcome: &TurnOutcome, events: &mpsc::Sender<TurnEvent>) {
    let Ok(Answer { message, stop_reason, .. }) = &outcome.result else {
        return;
    };
    let texts = message.content.iter().filter_map(ContentBlock::as_text).enumerate();
    let blocks = texts.flat_map(|(content_block_index, text)| {
        let delta = BlockDelta::Text(text.to_owned());
        [
            ModelEvent::ContentBlockDelta { content_block_index, delta },
            ModelEvent::ContentBlockStop { content_block_index },
        ]
    });
    let mut said = vec![ModelEvent::MessageStart { role: Role::Assistant }];
    said.extend(blocks);
    said.push(ModelEvent::MessageStop { stop_reason: stop_reason.clone() });
    said.push(ModelEvent::Metadata {
        usage: outcome.usage,
        metrics: Metrics::default(),
        guardrail: None,
        served: None,
    });
    for event in said {
        if events.send(TurnEvent::Model(event)).await.is_err() {
            return;
        }
    }
}
