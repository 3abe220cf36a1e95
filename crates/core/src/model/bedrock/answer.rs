//! What is answered, in our words.

use aws_sdk_bedrockruntime::types as sdk;

use super::guardrail;
use crate::aws::json;
use crate::message::{ContentBlock, Message, Role, StopReason, ToolUse, Usage};
use crate::model::{BlockDelta, BlockStart, Metrics, ModelEvent, prices};

pub(super) fn message_from(message: sdk::Message) -> Message {
    let content = message.content.into_iter().filter_map(|block| match block {
        sdk::ContentBlock::Text(text) => Some(ContentBlock::Text(text)),
        sdk::ContentBlock::ToolUse(call) => Some(ContentBlock::ToolUse(ToolUse {
            tool_use_id: call.tool_use_id,
            name: call.name,
            input: json(call.input),
        })),
        // Kinds of blocks that are never asked for, such as reasoning, mean nothing to a turn.
        _ => None,
    });
    Message { role: Role::Assistant, content: content.collect() }
}

/// The event in our terms; none for kinds of blocks that are never asked for.
pub(super) fn event_from(event: sdk::ConverseStreamOutput, model_id: &str) -> Option<ModelEvent> {
    use sdk::ConverseStreamOutput as Event;
    Some(match event {
        Event::MessageStart(_) => ModelEvent::MessageStart { role: Role::Assistant },
        Event::ContentBlockStart(event) => {
            let Some(sdk::ContentBlockStart::ToolUse(call)) = event.start else {
                return None;
            };
            let start = BlockStart::ToolUse { tool_use_id: call.tool_use_id, name: call.name };
            ModelEvent::ContentBlockStart { content_block_index: index(event.content_block_index), start }
        }
        Event::ContentBlockDelta(event) => {
            let delta = match event.delta? {
                sdk::ContentBlockDelta::Text(text) => BlockDelta::Text(text),
                sdk::ContentBlockDelta::ToolUse(fragment) => BlockDelta::ToolUse { input: fragment.input },
                _ => return None,
            };
            ModelEvent::ContentBlockDelta { content_block_index: index(event.content_block_index), delta }
        }
        Event::ContentBlockStop(event) => {
            ModelEvent::ContentBlockStop { content_block_index: index(event.content_block_index) }
        }
        Event::MessageStop(event) => {
            ModelEvent::MessageStop { stop_reason: StopReason::from(event.stop_reason.as_str()) }
        }
        Event::Metadata(event) => ModelEvent::Metadata {
            usage: event.usage.as_ref().map_or(Usage::UNKNOWN, |usage| usage_from(usage, model_id)),
            metrics: Metrics {
                latency_ms: event.metrics.map_or(0, |metrics| u64::try_from(metrics.latency_ms).unwrap_or(0)),
            },
            guardrail: event.trace.and_then(|trace| trace.guardrail).map(|found| guardrail::trace_from(&found)),
            served: None,
        },
        _ => return None,
    })
}

fn index(index: i32) -> usize {
    usize::try_from(index).unwrap_or(0)
}

pub(super) fn usage_from(usage: &sdk::TokenUsage, model_id: &str) -> Usage {
    let tokens = |count: i32| u64::try_from(count).unwrap_or(0);
    let more_tokens = |count: Option<i32>| count.map_or(0, tokens);
    let mut counted = Usage {
        input_tokens: tokens(usage.input_tokens),
        output_tokens: tokens(usage.output_tokens),
        total_tokens: tokens(usage.total_tokens),
        cache_read_input_tokens: more_tokens(usage.cache_read_input_tokens),
        cache_write_input_tokens: more_tokens(usage.cache_write_input_tokens),
        ..Usage::default()
    };
    counted.cost = prices::cost(model_id, &counted);
    counted
}
