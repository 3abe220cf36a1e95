//! What Converse refuses in a message, whoever wrote it, and what stands in its place.
//!
//! A model may make up anything, and so may whoever writes into a session's memory. One block that is refused makes every
//! later call of the session fail.

use std::collections::HashSet;

use serde_json::json;

use crate::message::{ContentBlock, Message, ToolResult, ToolResultContent};

/// The longest name of a tool, and the longest id of a call, in characters.
const LONGEST: usize = 64;

/// Stands for a call's name that has nothing a name may have.
const NAMELESS: &str = "nameless";

/// An assistant's message without what Converse refuses in it: blank text, calls that repeat an id or have one that is
/// none, and results, which only the user's side gives. A call of a name that no tool can have gets one that is like it.
pub(crate) fn sendable(mut message: Message) -> Message {
    let mut seen = HashSet::new();
    message.content.retain(|block| match block {
        ContentBlock::Text(_) => !block.is_blank(),
        ContentBlock::ToolUse(call) => is_an_id(&call.tool_use_id) && seen.insert(call.tool_use_id.clone()),
        ContentBlock::ToolResult(_) | ContentBlock::Image(_) | ContentBlock::Document(_) => false,
    });
    for block in &mut message.content {
        if let ContentBlock::ToolUse(call) = block
            && !is_a_name(&call.name)
        {
            call.name = like(&call.name);
        }
    }
    message
}

/// Converse takes objects only as the arguments of a call that is told again.
pub(crate) fn with_object_inputs(mut message: Message) -> Message {
    for block in &mut message.content {
        if let ContentBlock::ToolUse(call) = block
            && !call.input.is_object()
        {
            call.input = json!({ "value": call.input.take() });
        }
    }
    message
}

/// A result that says something, and its JSON in an object. Converse takes no others.
pub(crate) fn acceptable(mut result: ToolResult, nothing: &str) -> ToolResult {
    result.content.retain(|part| !matches!(part, ToolResultContent::Text(text) if text.trim().is_empty()));
    for part in &mut result.content {
        if let ToolResultContent::Json(value) = part
            && !value.is_object()
        {
            *value = json!({ "result": value.take() });
        }
    }
    if result.content.is_empty() {
        result.content.push(ToolResultContent::Text(nothing.to_owned()));
    }
    result
}

fn is_an_id(id: &str) -> bool {
    (1..=LONGEST).contains(&id.len()) && id.chars().all(|c| c.is_ascii_alphanumeric() || "_.:-".contains(c))
}

fn is_in_names(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

fn is_a_name(name: &str) -> bool {
    (1..=LONGEST).contains(&name.len()) && name.chars().all(is_in_names)
}

fn like(name: &str) -> String {
    if name.is_empty() {
        return NAMELESS.to_owned();
    }
    name.chars().take(LONGEST).map(|c| if is_in_names(c) { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_no_tool_can_have_becomes_one_like_it() {
        let named = [("weight.trend", "weight_trend"), ("", NAMELESS), ("é", "_"), ("a_b-C9", "a_b-C9")];
        for (name, expected) in named {
            let call = json!({ "role": "assistant", "content": [{ "toolUse": { "toolUseId": "a", "name": name, "input": {} } }] });
            let message = sendable(serde_json::from_value(call).expect("a message"));
            assert_eq!(message.tool_uses().next().expect("the call").name, expected);
        }
        assert_eq!(like(&"x".repeat(100)).len(), LONGEST);
    }
}
