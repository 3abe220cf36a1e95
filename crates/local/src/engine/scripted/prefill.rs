//! Going on where a final message of the assistant ends.
//!
//! A caller whose stream broke sends back what arrived of the answer and wants the rest. The answer to the
//! conversation without that message is the same every time, so the rest of it is known.

use super::Line;
use crate::engine::conversation::{ContentBlock, Conversation, Role};

/// What follows words the engine would not have said.
const GOING_ON: &str = " That is as far as I would go for now; tell me what you think.";

/// The conversation up to the user's last message, and the words after it that the caller lays in the
/// assistant's mouth.
pub(super) fn split(mut conversation: Conversation) -> (Conversation, Option<String>) {
    let last = conversation.messages.pop_if(|message| message.role == Role::Assistant);
    let said = last.map(|message| {
        let texts = message.content.into_iter().filter_map(|block| match block {
            ContentBlock::Text(text) => Some(text),
            _ => None,
        });
        texts.collect::<String>()
    });
    (conversation, said)
}

/// What is left to say of `line` after `said`.
///
/// White space that was trimmed from the end of `said` is what the rest begins with. A tool call is still
/// to be made, whatever was said before it.
pub(super) fn continued(line: Line, said: Option<&str>) -> Line {
    match (line, said) {
        (Line::Words(text), Some(said)) => {
            Line::Words(text.strip_prefix(said).map_or_else(|| GOING_ON.to_owned(), str::to_owned))
        }
        (line, _) => line,
    }
}
