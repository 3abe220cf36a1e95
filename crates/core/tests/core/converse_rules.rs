//! What Converse refuses, written down apart from the code that avoids it.

use std::collections::HashSet;

use agentcore_core::message::{ContentBlock, Message, Role};
use proptest::prelude::*;

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
