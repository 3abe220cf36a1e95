//! What Converse refuses, written down apart from the code that avoids it.

use std::collections::HashSet;

use agentcore_core::message::{ContentBlock, Message, Role, ToolResultContent, ToolResultStatus};
use agentcore_core::model::{ModelRequest, ToolChoice};
use proptest::prelude::*;

/// Says why Converse would refuse this request: the rules of its conversation, and those of its tools.
pub(crate) fn refusal_of(request: &ModelRequest) -> Option<String> {
    let earlier = request.history.iter().flat_map(|turn| turn.messages());
    let messages: Vec<&Message> = earlier.chain(&request.messages).collect();
    if messages.last().map(|message| message.role) != Some(Role::User) {
        return Some("the last message is not the user's".into());
    }
    let is_about_tools = |block: &ContentBlock| matches!(block, ContentBlock::ToolUse(_) | ContentBlock::ToolResult(_));
    if request.tools.is_empty() && messages.iter().flat_map(|message| &message.content).any(is_about_tools) {
        return Some("toolConfig must be defined when using toolUse and toolResult content blocks".into());
    }
    let names: HashSet<&str> = request.tools.iter().map(|tool| tool.name.as_str()).collect();
    if names.len() != request.tools.len() {
        return Some("two tools have one name".into());
    }
    match &request.tool_choice {
        ToolChoice::Tool(name) if !names.contains(name.as_str()) => return Some(format!("there is no tool {name}")),
        ToolChoice::Any if names.is_empty() => return Some("there is no tool to choose".into()),
        _ => {}
    }
    refusal(&messages)
}

/// Says why Converse would refuse these messages as the beginning of a conversation.
pub(crate) fn refusal(messages: &[&Message]) -> Option<String> {
    let mut open_calls: Vec<&str> = Vec::new();
    for (place, message) in messages.iter().enumerate() {
        let expected = if place % 2 == 0 { Role::User } else { Role::Assistant };
        if message.role != expected {
            return Some(format!("message {place} is {:?}: roles must alternate, user first", message.role));
        }
        if message.content.is_empty() {
            return Some(format!("message {place} is empty"));
        }
        if message.content.iter().any(ContentBlock::is_blank) {
            return Some(format!("message {place} holds blank text"));
        }
        if let Some(problem) = message.content.iter().find_map(malformed) {
            return Some(format!("message {place} {problem}"));
        }
        let answered: Vec<&str> = message.tool_results().map(|result| result.tool_use_id.as_str()).collect();
        if answered != open_calls {
            return Some(format!("message {place} answers {answered:?} where {open_calls:?} were asked"));
        }
        open_calls = message.tool_uses().map(|call| call.tool_use_id.as_str()).collect();
        if message.role == Role::User && !open_calls.is_empty() {
            return Some(format!("message {place} is the user's and asks for tools"));
        }
        let different: HashSet<_> = open_calls.iter().collect();
        if different.len() != open_calls.len() {
            return Some(format!("message {place} uses an id twice"));
        }
    }
    None
}

fn malformed(block: &ContentBlock) -> Option<&'static str> {
    match block {
        ContentBlock::ToolUse(call) if !call.input.is_object() => Some("has arguments that are no object"),
        ContentBlock::ToolResult(result) if result.content.is_empty() && result.status == ToolResultStatus::Error => {
            Some("has an error without a reason")
        }
        ContentBlock::ToolResult(result) => result.content.iter().find_map(|part| match part {
            ToolResultContent::Text(text) if text.trim().is_empty() => Some("has a blank result"),
            ToolResultContent::Json(value) if !value.is_object() => Some("has a result that is no object"),
            _ => None,
        }),
        _ => None,
    }
}

/// Fails unless the messages are a conversation that a next user message may follow.
pub(crate) fn assert_can_go_on<'a>(messages: impl IntoIterator<Item = &'a Message>) {
    let messages: Vec<&Message> = messages.into_iter().collect();
    assert_eq!(refusal(&messages), None, "{messages:#?}");
    if let Some(last) = messages.last() {
        assert_eq!(last.role, Role::Assistant, "the next message is the user's");
        assert_eq!(last.tool_uses().count(), 0, "a call at the end is never answered");
    }
}

/// Any text a message may hold, blank ones among them.
pub(crate) fn text() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[a-z]{1,8}", 1 => "[ \n]{0,2}"]
}

/// Few ids, so that they meet.
pub(crate) fn call_id() -> impl Strategy<Value = String> {
    "[a-c]".prop_map(|id| format!("call-{id}"))
}
