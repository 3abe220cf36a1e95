//! An answer while it is being written: events in, a message out, whole or as far as it came.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{BlockDelta, BlockStart, GuardrailTrace, ModelAnswer, ModelEvent, Served};
use crate::message::{ContentBlock, Message, Role, StopReason, ToolUse, Usage};

/// Collects the events of one answer.
///
/// It can be asked at any moment for what has been written so far, which is what a turn that is cut
/// remembers.
#[derive(Debug, Default)]
pub struct AnswerInWriting {
    blocks: BTreeMap<usize, Block>,
    stop_reason: Option<StopReason>,
    /// None until the model has counted.
    usage: Option<Usage>,
    guardrail: Option<GuardrailTrace>,
    served: Option<Served>,
}

#[derive(Debug)]
enum Block {
    Text(String),
    ToolUse { tool_use_id: String, name: String, input: String },
}

// === impl AnswerInWriting ===

impl AnswerInWriting {
    /// Takes one event.
    pub fn take(&mut self, event: &ModelEvent) {
        match event {
            ModelEvent::MessageStart { .. } | ModelEvent::ContentBlockStop { .. } => {}
            ModelEvent::ContentBlockStart { content_block_index, start } => {
                let BlockStart::ToolUse { tool_use_id, name } = start;
                let block =
                    Block::ToolUse { tool_use_id: tool_use_id.clone(), name: name.clone(), input: String::new() };
                self.blocks.insert(*content_block_index, block);
            }
            ModelEvent::ContentBlockDelta { content_block_index, delta } => {
                self.extend(*content_block_index, delta);
            }
            ModelEvent::MessageStop { stop_reason } => self.stop_reason = Some(stop_reason.clone()),
            ModelEvent::Metadata { usage, guardrail, served, .. } => {
                self.usage = Some(*usage);
                self.guardrail.clone_from(guardrail);
                self.served.clone_from(served);
            }
        }
    }

    /// What has been written so far: all text, and the tool calls whose arguments are whole JSON.
    pub fn so_far(&self) -> Message {
        Message { role: Role::Assistant, content: self.blocks.values().filter_map(Block::finished).collect() }
    }

    /// The answer, once the model has said why it stopped; until then, none.
    pub fn finished(&self) -> Option<ModelAnswer> {
        Some(ModelAnswer {
            message: self.so_far(),
            stop_reason: self.stop_reason.clone()?,
            usage: self.usage.unwrap_or(Usage::UNKNOWN),
            guardrail: self.guardrail.clone(),
            served: self.served.clone(),
        })
    }

    fn extend(&mut self, index: usize, delta: &BlockDelta) {
        let block = self.blocks.entry(index).or_insert_with(|| Block::Text(String::new()));
        match (block, delta) {
            (Block::Text(text), BlockDelta::Text(more)) => text.push_str(more),
            (Block::ToolUse { input, .. }, BlockDelta::ToolUse { input: more }) => input.push_str(more),
            // A block changes its kind only in a corrupt stream; what it was stays.
            _ => {}
        }
    }
}

// === impl Block ===

impl Block {
    fn finished(&self) -> Option<ContentBlock> {
        match self {
            Self::Text(text) => Some(ContentBlock::Text(text.clone())),
            Self::ToolUse { tool_use_id, name, input } => {
                let input = match input.trim() {
                    // A call without arguments is streamed without a fragment.
                    "" => Value::Object(serde_json::Map::new()),
                    json => serde_json::from_str(json).ok()?,
                };
                Some(ContentBlock::ToolUse(ToolUse { tool_use_id: tool_use_id.clone(), name: name.clone(), input }))
            }
        }
    }
}
