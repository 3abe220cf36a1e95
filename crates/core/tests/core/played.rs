//! A model that answers by a list, and the stage it plays on.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agentcore_core::drive::{Delivery, Stage, TurnEvent, drive};
use agentcore_core::message::{ContentBlock, Message, Role, StopReason, ToolUse, Usage};
use agentcore_core::model::{
    BlockDelta, BlockStart, Metrics, Model, ModelAnswer, ModelError, ModelEvent, ModelEvents, ModelRequest,
};
use agentcore_core::turn::{Step, TurnOutcome};
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt as _};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Answers by its list, and keeps what it was asked.
pub(crate) struct Played {
    answers: Mutex<VecDeque<ModelAnswer>>,
    asked: Mutex<Vec<ModelRequest>>,
}

pub(crate) fn says(words: &str) -> ModelAnswer {
    answers(vec![ContentBlock::Text(words.into())], StopReason::EndTurn)
}

pub(crate) fn calls(calls: &[(&str, &str, Value)]) -> ModelAnswer {
    let calls = calls.iter().map(|(id, name, input)| {
        ContentBlock::ToolUse(ToolUse { tool_use_id: (*id).into(), name: (*name).into(), input: input.clone() })
    });
    answers(calls.collect(), StopReason::ToolUse)
}

pub(crate) fn answers(content: Vec<ContentBlock>, stop_reason: StopReason) -> ModelAnswer {
    let usage = Usage { input_tokens: 10, output_tokens: 5, total_tokens: 15, ..Usage::default() };
    ModelAnswer {
        message: Message { role: Role::Assistant, content },
        stop_reason,
        usage,
        guardrail: None,
        served: None,
    }
}

// === impl Played ===

impl Played {
    pub(crate) fn new(answers: impl IntoIterator<Item = ModelAnswer>) -> Arc<Self> {
        Arc::new(Self { answers: Mutex::new(answers.into_iter().collect()), asked: Mutex::default() })
    }

    pub(crate) fn asked(&self) -> Vec<ModelRequest> {
        self.asked.lock().expect("what was asked").clone()
    }

    /// Performs `step` to its end, in one piece.
    pub(crate) async fn performs(self: &Arc<Self>, step: Step) -> TurnOutcome {
        drive(step, &self.stage(Delivery::Whole)).await
    }

    /// The same, and what a caller saw of it meanwhile.
    pub(crate) async fn streams(self: &Arc<Self>, step: Step) -> (TurnOutcome, Vec<TurnEvent>) {
        let (sender, mut events) = mpsc::channel(1_000);
        let outcome = drive(step, &self.stage(Delivery::Streamed(sender))).await;
        let mut seen = Vec::new();
        while let Some(event) = events.recv().await {
            seen.push(event);
        }
        (outcome, seen)
    }

    pub(crate) fn stage(self: &Arc<Self>, delivery: Delivery) -> Stage {
        let deadline = Instant::now() + Duration::from_mins(1);
        Stage { model: self.clone(), delivery, deadline, cut: CancellationToken::new(), first_token: Arc::default() }
    }

    fn next(&self, request: &ModelRequest) -> Result<ModelAnswer, ModelError> {
        self.asked.lock().expect("what was asked").push(request.clone());
        let next = self.answers.lock().expect("the list").pop_front();
        next.ok_or_else(|| ModelError::Unavailable { reason: "the list is at its end".into(), retry_after: None })
    }
}

impl Model for Played {
    fn converse<'a>(&'a self, request: &'a ModelRequest) -> BoxFuture<'a, Result<ModelAnswer, ModelError>> {
        Box::pin(async { self.next(request) })
    }

    fn converse_stream<'a>(&'a self, request: &'a ModelRequest) -> BoxFuture<'a, Result<ModelEvents, ModelError>> {
        Box::pin(async { Ok(stream::iter(events(self.next(request)?).into_iter().map(Ok)).boxed()) })
    }
}

/// The answer as a model streams it: text in pieces of three letters.
fn events(answer: ModelAnswer) -> Vec<ModelEvent> {
    let mut events = vec![ModelEvent::MessageStart { role: Role::Assistant }];
    for (content_block_index, block) in answer.message.content.into_iter().enumerate() {
        let deltas = match block {
            ContentBlock::Text(text) => {
                let letters: Vec<char> = text.chars().collect();
                letters.chunks(3).map(|letters| BlockDelta::Text(letters.iter().collect())).collect()
            }
            ContentBlock::ToolUse(call) => {
                let start = BlockStart::ToolUse { tool_use_id: call.tool_use_id, name: call.name };
                events.push(ModelEvent::ContentBlockStart { content_block_index, start });
                vec![BlockDelta::ToolUse { input: call.input.to_string() }]
            }
            _ => Vec::new(),
        };
        let told = deltas.into_iter().map(|delta| ModelEvent::ContentBlockDelta { content_block_index, delta });
        events.extend(told);
        events.push(ModelEvent::ContentBlockStop { content_block_index });
    }
    events.push(ModelEvent::MessageStop { stop_reason: answer.stop_reason });
    let ModelAnswer { usage, guardrail, .. } = answer;
    events.push(ModelEvent::Metadata { usage, metrics: Metrics::default(), guardrail, served: None });
    events
}

/// The words among what a caller saw.
pub(crate) fn words(seen: &[TurnEvent]) -> String {
    let words = seen.iter().filter_map(|event| match event {
        TurnEvent::Model(ModelEvent::ContentBlockDelta { delta: BlockDelta::Text(text), .. }) => Some(text.as_str()),
        _ => None,
    });
    words.collect()
}
