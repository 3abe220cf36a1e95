//! Performs a turn's steps and passes its events on: the only loop that waits.

use std::sync::Arc;

use futures::StreamExt as _;
use futures::future::join_all;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::message::{ContentBlock, Role, ToolResult, ToolResultStatus, ToolUse};
use crate::model::{AnswerInWriting, BlockDelta, Metrics, Model, ModelError, ModelEvent, ModelEvents};
use crate::tool::{Tool, ToolCall, Toolbox};
use crate::turn::{Answer, ModelCall, Step, ToolRound, TurnOutcome};

/// How the caller wants the answer.
#[derive(Debug, Clone)]
pub enum Delivery {
    /// In one piece.
    Whole,
    /// As it is written. A slow reader slows the model down; one that has gone cuts the turn.
    Streamed(mpsc::Sender<ModelEvent>),
}

/// What a turn is performed with.
#[derive(Clone)]
pub struct Stage {
    /// Who answers.
    pub model: Arc<dyn Model>,
    /// What may be called.
    pub tools: Toolbox,
    /// How the answer leaves.
    pub delivery: Delivery,
    /// Cuts the turn when it is cancelled: the caller has gone, or the process ends.
    pub cut: CancellationToken,
}

/// Performs a turn to its end.
pub async fn drive(mut step: Step, stage: &Stage) -> TurnOutcome {
    if let (Step::Done(outcome), Delivery::Streamed(events)) = (&step, &stage.delivery) {
        recite(outcome, events).await;
    }
    loop {
        step = match step {
            Step::CallModel(call) => match &stage.delivery {
                Delivery::Whole => stage.ask(call).await,
                Delivery::Streamed(events) => stage.ask_streaming(call, events).await,
            },
            Step::CallTools(round) => stage.call_tools(round).await,
            Step::Done(outcome) => return outcome,
        };
    }
}

// === impl Stage ===

impl Stage {
    async fn ask(&self, call: ModelCall) -> Step {
        let answer = self.cut.run_until_cancelled(self.model.converse(call.request())).await;
        match answer {
            Some(Ok(answer)) => call.answered(answer),
            Some(Err(error)) => call.failed(error, None),
            None => call.cut(None),
        }
    }

    async fn ask_streaming(&self, call: ModelCall, events: &mpsc::Sender<ModelEvent>) -> Step {
        let mut writing = AnswerInWriting::default();
        let asked = self.cut.run_until_cancelled(self.model.converse_stream(call.request())).await;
        let ended = match asked {
            Some(Ok(stream)) => self.relay(stream, &mut writing, events).await,
            Some(Err(error)) => Ended::Failed(error),
            None => Ended::Cut,
        };
        match (ended, writing.finished()) {
            (Ended::Complete, Some(answer)) => call.answered(answer),
            (Ended::Complete, None) => {
                let reason = "it ended without a stop reason".to_owned();
                call.failed(ModelError::BrokenStream { reason }, Some(writing.so_far()))
            }
            (Ended::Failed(error), _) => call.failed(error, Some(writing.so_far())),
            (Ended::Cut, _) => call.cut(Some(writing.so_far())),
        }
    }

    /// Passes events on as they come and keeps what they add up to.
    async fn relay(
        &self,
        mut stream: ModelEvents,
        writing: &mut AnswerInWriting,
        events: &mpsc::Sender<ModelEvent>,
    ) -> Ended {
        loop {
            let event = match self.cut.run_until_cancelled(stream.next()).await {
                Some(Some(Ok(event))) => event,
                Some(Some(Err(error))) => return Ended::Failed(error),
                Some(None) => return Ended::Complete,
                None => return Ended::Cut,
            };
            writing.take(&event);
            match self.cut.run_until_cancelled(events.send(event)).await {
                Some(Ok(())) => {}
                // Nobody listens any more.
                Some(Err(_)) | None => return Ended::Cut,
            }
        }
    }

    fn call(&self, call: &ToolUse) -> ToolCall {
        ToolCall {
            id: call.tool_use_id.clone(),
            input: call.input.clone(),
            reply: None,
            deadline: tokio::time::Instant::now() + std::time::Duration::from_secs(300),
            cut: self.cut.clone(),
            model: Arc::clone(&self.model),
            tool: call.name.clone(),
            progress: None,
        }
    }

    /// Calls the tools of a round side by side. One that panics fails alone.
    async fn call_tools(&self, round: ToolRound) -> Step {
        let calls =
            round.calls().filter_map(|call| Some(run(Arc::clone(self.tools.get(&call.name)?), self.call(call))));
        let calls: Vec<_> = calls.collect();
        match self.cut.run_until_cancelled(join_all(calls)).await {
            Some(results) => round.returned(results),
            None => round.cut(Vec::new()),
        }
    }
}

/// How a stream of events came to its end.
enum Ended {
    Complete,
    Failed(ModelError),
    Cut,
}

async fn run(tool: Arc<dyn Tool>, call: ToolCall) -> ToolResult {
    let (tool_use_id, name) = (call.id.clone(), call.tool.clone());
    // A task of its own keeps a panic in, and ends with the turn when that is cut.
    let task = AbortOnDropHandle::new(tokio::spawn(async move { tool.call(call).await }));
    let outcome = task.await;
    match outcome {
        Ok(Ok(output)) => ToolResult { tool_use_id, content: output.content, status: ToolResultStatus::Success },
        Ok(Err(failure)) => ToolResult::error(tool_use_id, failure.to_string()),
        Err(_panicked) => ToolResult::error(tool_use_id, format!("The tool {name} failed unexpectedly.")),
    }
}

/// Tells a streaming caller an answer that no model wrote, in the events a model would have sent.
async fn recite(outcome: &TurnOutcome, events: &mpsc::Sender<ModelEvent>) {
    let Ok(Answer { message, stop_reason }) = &outcome.result else {
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
    said.push(ModelEvent::Metadata { usage: outcome.usage, metrics: Metrics::default(), guardrail: None });
    for event in said {
        if events.send(event).await.is_err() {
            return;
        }
    }
}
