//! When the scripted model calls a tool, and what it makes of the result.
//!
//! It calls a tool that the user asks for by name, or that the request says it must call. Arguments
//! come from the user's message: a JSON object in it as it is, else a value for each required member.

use serde_json::{Map, Value, json};

use super::super::conversation::{Conversation, Message, ToolChoice, ToolResultStatus, ToolSpecification, ToolUse};
use super::words::Words;

/// The call to make in answer to `message`, the last of `conversation`; none to speak instead.
pub(super) fn call(conversation: &Conversation, message: &Message) -> Option<ToolUse> {
    if message.tool_results().next().is_some() {
        return None;
    }
    let text = message.text();
    let tool = chosen(conversation, &text)?;
    Some(ToolUse {
        // Unique within the conversation, and the same when the conversation is asked again.
        tool_use_id: format!("tooluse_scripted_{:04}", conversation.messages.len()),
        name: tool.name.clone(),
        input: arguments(&tool.input_schema.json, &text),
    })
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

fn chosen<'a>(conversation: &'a Conversation, text: &str) -> Option<&'a ToolSpecification> {
    let config = conversation.tool_config.as_ref()?;
    let words = Words::of(text);
    let mut tools = config.tools.iter().filter_map(|tool| tool.specification());
    let asked_for = |tool: &&ToolSpecification| {
        let spoken = Words::of(&tool.name);
        let spoken: Vec<&str> = spoken.iter().collect();
        words.has(&spoken.join(" "))
    };
    match &config.tool_choice {
        Some(ToolChoice::Tool { name }) => tools.find(|tool| tool.name == *name),
        Some(ToolChoice::Any(_)) => tools.clone().find(asked_for).or_else(|| tools.next()),
        Some(ToolChoice::Auto(_)) | None => tools.find(asked_for),
    }
}

fn arguments(schema: &Value, text: &str) -> Value {
    if let Some(given) = object_in(text) {
        return given;
    }
    let required = schema.get("required").and_then(Value::as_array);
    let arguments: Map<String, Value> = required
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(|name| (name.to_owned(), argument(&schema["properties"][name], text)))
        .collect();
    Value::Object(arguments)
}

fn argument(schema: &Value, text: &str) -> Value {
    if let Some(first) = schema.pointer("/enum/0") {
        return first.clone();
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("number") => first_number(text).map_or(json!(1), |number| json!(number)),
        #[expect(clippy::cast_possible_truncation, reason = "an integer is asked for")]
        Some("integer") => json!(first_number(text).unwrap_or(1.0) as i64),
        Some("boolean") => json!(true),
        Some("array") => json!([]),
        Some("object") => arguments(schema, ""),
        _ => json!(text),
    }
}

fn object_in(text: &str) -> Option<Value> {
    let begin = text.find('{')?;
    let end = text.rfind('}')?;
    let object = serde_json::from_str::<Value>(text.get(begin..=end)?).ok()?;
    object.is_object().then_some(object)
}

fn first_number(text: &str) -> Option<f64> {
    text.split(|character: char| !character.is_ascii_digit() && character != '.')
        .map(|candidate| candidate.trim_matches('.'))
        .find_map(|candidate| candidate.parse().ok())
}
