//! What Converse refuses, written down apart from the code that avoids it: the conversation's rules here, and those of
//! the emulated Bedrock, which nobody wrote for this crate.

use std::collections::HashSet;

use agentcore_core::message::{ContentBlock, Message, Role, ToolResultContent, ToolResultStatus};
use agentcore_core::model::{ModelRequest, ToolChoice};
use proptest::prelude::*;
use serde_json::{Value, json};

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
    refusal(&messages).or_else(|| refusal_by_bedrock(request, &messages))
}

/// What the emulated Bedrock says of the request, as it goes over the wire.
fn refusal_by_bedrock(request: &ModelRequest, messages: &[&Message]) -> Option<String> {
    let mut body = json!({
        "messages": messages,
        "inferenceConfig": { "maxTokens": request.parameters.max_tokens },
    });
    if !request.system.is_empty() {
        body["system"] = json!([{ "text": request.system }]);
    }
    if !request.tools.is_empty() {
        let tools: Vec<Value> = request
            .tools
            .iter()
            .map(|tool| {
                json!({ "toolSpec": {
                    "name": tool.name, "description": tool.description, "inputSchema": { "json": tool.input_schema },
                }})
            })
            .collect();
        body["toolConfig"] = json!({ "tools": tools });
        match &request.tool_choice {
            ToolChoice::Auto => {}
            ToolChoice::Any => body["toolConfig"]["toolChoice"] = json!({ "any": {} }),
            ToolChoice::Tool(name) => body["toolConfig"]["toolChoice"] = json!({ "tool": { "name": name } }),
        }
    }
    let model = "eu.anthropic.claude-3-5-sonnet-20240620-v1:0";
    agentcore_local::bedrock::refusal_of(body.to_string().as_bytes(), model).map(|refusal| refusal.to_string())
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
