//! When the scripted model calls tools, and what it makes of the results.
//!
//! It calls what a script in the prompt orders (see [`script`]), a tool that the user asks for by name,
//! or the one that the request says it must call. Arguments come from the user's message: a JSON object in
//! it as it is, else values that fit the tool's schema.

use serde_json::Value;

use super::super::conversation::{
    Conversation, Message, Role, ToolChoice, ToolConfig, ToolResultStatus, ToolSpecification, ToolUse,
};
use super::schema;
use super::script::{self, Order};
use super::words::Words;

/// The calls to make next; none to speak instead.
pub(super) fn calls(conversation: &Conversation) -> Vec<ToolUse> {
    let Some(config) = &conversation.tool_config else {
        return Vec::new();
    };
    let turn = Turn::of(conversation);
    let ordered = script::round(&turn.prompt, turn.rounds);
    let prompt = script::without_orders(&turn.prompt);
    let orders = ordered.unwrap_or_else(|| {
        chosen(config, &prompt, turn.rounds)
            .into_iter()
            .map(|tool| Order { name: tool.name.clone(), input: None })
            .collect()
    });
    let number = conversation.messages.len();
    orders.into_iter().enumerate().map(|(index, order)| call(config, &prompt, order, number, index)).collect()
}

/// What the user asked last, and how far the answer is.
struct Turn {
    prompt: String,
    /// Rounds of tool calls made for it already.
    rounds: usize,
}

impl Turn {
    fn of(conversation: &Conversation) -> Self {
        let is_prompt = |message: &Message| message.role == Role::User && message.tool_results().next().is_none();
        let begin = conversation.messages.iter().rposition(is_prompt).unwrap_or(0);
        let turn = &conversation.messages[begin..];
        Self {
            prompt: turn.first().map(Message::text).unwrap_or_default(),
            rounds: turn.iter().filter(|message| message.tool_uses().next().is_some()).count(),
        }
    }
}

fn call(config: &ToolConfig, prompt: &str, order: Order, number: usize, index: usize) -> ToolUse {
    let input = order.input.unwrap_or_else(|| {
        let tool = specifications(config).find(|tool| tool.name == order.name);
        tool.map_or_else(|| Value::Object(serde_json::Map::new()), |tool| arguments(&tool.input_schema.json, prompt))
    });
    // Unique within the conversation, and the same when the conversation is asked again.
    let tool_use_id = match index {
        0 => format!("tooluse_scripted_{number:04}"),
        _ => format!("tooluse_scripted_{number:04}_{index}"),
    };
    ToolUse { tool_use_id, name: order.name, input }
}

/// The answer that the results in `message` give, if it has any.
pub(super) fn report(message: &Message) -> Option<String> {
    let reports: Vec<String> = message
        .tool_results()
        .map(|result| match result.status {
            Some(ToolResultStatus::Error) => format!("That didn't work: {}", result.text()),
            Some(ToolResultStatus::Success) | None => {
                format!("Here is what I found: {}", result.text())
            }
        })
        .collect();
    (!reports.is_empty()).then(|| reports.join("\n"))
}

fn specifications(config: &ToolConfig) -> impl Iterator<Item = &ToolSpecification> + Clone {
    config.tools.iter().filter_map(|tool| tool.specification())
}

/// The tool to call: one that must be called, or one that was asked for and not called yet.
fn chosen<'a>(config: &'a ToolConfig, prompt: &str, rounds: usize) -> Option<&'a ToolSpecification> {
    let words = Words::of(prompt);
    let mut tools = specifications(config);
    let asked_for = |tool: &&ToolSpecification| {
        let spoken = Words::of(&tool.name);
        let spoken: Vec<&str> = spoken.iter().collect();
        words.has(&spoken.join(" "))
    };
    match &config.tool_choice {
        Some(ToolChoice::Tool { name }) => tools.find(|tool| tool.name == *name),
        Some(ToolChoice::Any(_)) => tools.clone().find(asked_for).or_else(|| tools.next()),
        Some(ToolChoice::Auto(_)) | None => tools.find(asked_for).filter(|_| rounds == 0),
    }
}

fn arguments(schema: &Value, prompt: &str) -> Value {
    object_in(prompt).unwrap_or_else(|| schema::fitting(schema, prompt))
}

fn object_in(text: &str) -> Option<Value> {
    let begin = text.find('{')?;
    let end = text.rfind('}')?;
    let object = serde_json::from_str::<Value>(text.get(begin..=end)?).ok()?;
    object.is_object().then_some(object)
}
