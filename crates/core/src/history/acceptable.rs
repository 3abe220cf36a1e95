//! What Converse refuses in a message, whoever wrote it, and what stands in its place.
//!
//! A model may make up anything, and so may whoever writes into a session's memory. One block that is refused makes
//! every later call of the session fail.

use std::collections::HashSet;

use serde_json::json;

use crate::message::{ContentBlock, Message, ToolResult, ToolResultContent};

/// The longest name of a tool, and the longest id of a call, in characters.
const LONGEST: usize = 64;

/// Stands where a name is empty.
const NAMELESS: &str = "nameless";

/// An assistant's message without what Converse refuses in it: blank text, calls that repeat an id, and results, which
/// only the user's side gives. A call of a name that no tool can have, or with an id that is none, gets one that is
/// like it.
pub(crate) fn sendable(mut message: Message) -> Message {
    for block in &mut message.content {
        if let ContentBlock::ToolUse(call) = block {
            mend(&mut call.name, "_-");
            mend(&mut call.tool_use_id, "_.:-");
        }
    }
    let mut seen = HashSet::new();
    message.content.retain(|block| match block {
        ContentBlock::Text(_) => !block.is_blank(),
        ContentBlock::ToolUse(call) => seen.insert(call.tool_use_id.clone()),
        ContentBlock::ToolResult(_) | ContentBlock::Image(_) | ContentBlock::Document(_) => false,
    });
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

/// Makes a name of it that Converse takes: of letters, digits and `marks`.
fn mend(name: &mut String, marks: &str) {
    let fits = |c: char| c.is_ascii_alphanumeric() || marks.contains(c);
    if name.is_empty() {
        NAMELESS.clone_into(name);
    } else if name.len() > LONGEST || !name.chars().all(fits) {
        *name = name.chars().take(LONGEST).map(|c| if fits(c) { c } else { '_' }).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_converse_would_refuse_is_told_as_one_like_it() {
        let call = |id: &str, name: &str| json!({ "toolUse": { "toolUseId": id, "name": name, "input": {} } });
        let long = "x".repeat(100);
        let calls =
            [call("a", "weight.trend"), call("b#1", ""), call("b_1", "again"), call("", "é"), call(&long, &long)];
        let message = json!({ "role": "assistant", "content": calls });
        let message = sendable(serde_json::from_value(message).expect("a message"));
        let told: Vec<_> = message.tool_uses().map(|call| (call.tool_use_id.as_str(), call.name.as_str())).collect();
        let long = &long[..LONGEST];
        assert_eq!(told, [("a", "weight_trend"), ("b_1", NAMELESS), (NAMELESS, "_"), (long, long)]);
    }
}
