//! What is answered, in our words. What is not known here, such as kinds of blocks that are never asked for, means
//! nothing to a turn and is passed over.

use serde::Deserialize;

use super::guardrail::Assessments;
use crate::message::{ContentBlock, Message, Role, StopReason, ToolUse, Usage};
use crate::model::{BlockDelta, BlockStart, GuardrailTrace, Metrics, ModelAnswer, ModelEvent, prices};

/// An answer of Converse.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Answer {
    output: Output,
    stop_reason: StopReason,
    usage: Option<TokenUsage>,
    trace: Option<Trace>,
}

#[derive(Deserialize)]
struct Output {
    message: AnsweredMessage,
}

#[derive(Deserialize)]
struct AnsweredMessage {
    content: Vec<AnsweredBlock>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AnsweredBlock {
    text: Option<String>,
    tool_use: Option<ToolUse>,
}

/// An answer of CountTokens.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Count {
    input_tokens: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Start {
    content_block_index: usize,
    start: StartOf,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StartOf {
    tool_use: Option<StartOfCall>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StartOfCall {
    tool_use_id: String,
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Delta {
    content_block_index: usize,
    delta: Added,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Added {
    text: Option<String>,
    tool_use: Option<AddedToCall>,
}

#[derive(Deserialize)]
struct AddedToCall {
    input: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stop {
    content_block_index: usize,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MessageStop {
    stop_reason: StopReason,
}

#[derive(Deserialize)]
struct Metadata {
    usage: Option<TokenUsage>,
    metrics: Option<Latency>,
    trace: Option<Trace>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Latency {
    latency_ms: i64,
}

#[derive(Deserialize)]
struct Trace {
    guardrail: Option<Assessments>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "so Bedrock calls them")]
struct TokenUsage {
    input_tokens: i64,
    output_tokens: i64,
    total_tokens: i64,
    cache_read_input_tokens: Option<i64>,
    cache_write_input_tokens: Option<i64>,
}

// === impl Answer ===

impl Answer {
    pub(super) fn into_ours(self, model_id: &str) -> ModelAnswer {
        let content = self.output.message.content.into_iter().filter_map(AnsweredBlock::into_ours).collect();
        ModelAnswer {
            message: Message { role: Role::Assistant, content },
            stop_reason: self.stop_reason,
            usage: counted(self.usage, model_id),
            guardrail: found(self.trace),
            served: None,
        }
    }
}

impl AnsweredBlock {
    fn into_ours(self) -> Option<ContentBlock> {
        self.text.map(ContentBlock::Text).or(self.tool_use.map(ContentBlock::ToolUse))
    }
}

// === impl Count ===

impl Count {
    pub(super) fn tokens(&self) -> Option<u64> {
        u64::try_from(self.input_tokens).ok()
    }
}

/// The event of that name; none for what means nothing to a turn.
pub(super) fn event(name: &str, told: &[u8], model_id: &str) -> Result<Option<ModelEvent>, serde_json::Error> {
    Ok(match name {
        "messageStart" => Some(ModelEvent::MessageStart { role: Role::Assistant }),
        "contentBlockStart" => serde_json::from_slice::<Start>(told)?.into_ours(),
        "contentBlockDelta" => serde_json::from_slice::<Delta>(told)?.into_ours(),
        "contentBlockStop" => {
            let Stop { content_block_index } = serde_json::from_slice(told)?;
            Some(ModelEvent::ContentBlockStop { content_block_index })
        }
        "messageStop" => {
            let MessageStop { stop_reason } = serde_json::from_slice(told)?;
            Some(ModelEvent::MessageStop { stop_reason })
        }
        "metadata" => Some(serde_json::from_slice::<Metadata>(told)?.into_ours(model_id)),
        _ => None,
    })
}

impl Start {
    fn into_ours(self) -> Option<ModelEvent> {
        let StartOfCall { tool_use_id, name } = self.start.tool_use?;
        let start = BlockStart::ToolUse { tool_use_id, name };
        Some(ModelEvent::ContentBlockStart { content_block_index: self.content_block_index, start })
    }
}

impl Delta {
    fn into_ours(self) -> Option<ModelEvent> {
        let call = self.delta.tool_use.map(|added| BlockDelta::ToolUse { input: added.input });
        let delta = self.delta.text.map(BlockDelta::Text).or(call)?;
        Some(ModelEvent::ContentBlockDelta { content_block_index: self.content_block_index, delta })
    }
}

impl Metadata {
    fn into_ours(self, model_id: &str) -> ModelEvent {
        let latency_ms = self.metrics.map_or(0, |metrics| u64::try_from(metrics.latency_ms).unwrap_or(0));
        ModelEvent::Metadata {
            usage: counted(self.usage, model_id),
            metrics: Metrics { latency_ms },
            guardrail: found(self.trace),
            served: None,
        }
    }
}

fn found(trace: Option<Trace>) -> Option<GuardrailTrace> {
    Some(trace?.guardrail?.trace())
}

fn counted(usage: Option<TokenUsage>, model_id: &str) -> Usage {
    let Some(usage) = usage else {
        return Usage::UNKNOWN;
    };
    let tokens = |count: i64| u64::try_from(count).unwrap_or(0);
    let mut counted = Usage {
        input_tokens: tokens(usage.input_tokens),
        output_tokens: tokens(usage.output_tokens),
        total_tokens: tokens(usage.total_tokens),
        cache_read_input_tokens: usage.cache_read_input_tokens.map_or(0, tokens),
        cache_write_input_tokens: usage.cache_write_input_tokens.map_or(0, tokens),
        ..Usage::default()
    };
    counted.cost = prices::cost(model_id, &counted);
    counted
}
