//! What is left out when a conversation is too long for the model.
//!
//! First the older half of the history, as often as it takes; then pictures and files that tools gave;
//! then the ends of long tool results. The user's own words are never cut.

use crate::message::{ContentBlock, Message, ToolResult, ToolResultContent};
use crate::model::ModelRequest;

/// Text of a tool's result that is never cut further, in bytes.
const SHORTEST_RESULT: usize = 2_000;

/// Stands where the rest of a result was.
const REST_LEFT_OUT: &str = " [The rest was left out: the conversation is too long.]";

/// Stands where a picture or a file was.
const MEDIA_LEFT_OUT: &str = "[A picture or file was left out: the conversation is too long.]";

/// Makes the request shorter; false when there is nothing left to leave out.
pub(super) fn shrink(request: &mut ModelRequest) -> bool {
    if !request.history.is_empty() {
        let oldest = request.history.len().div_ceil(2);
        request.history.drain(..oldest);
        return true;
    }
    each_result(request, leave_media_out) || each_result(request, halve)
}

/// Whether `change` changed any tool result of the turn.
fn each_result(request: &mut ModelRequest, change: impl Fn(&mut ToolResult) -> bool) -> bool {
    let blocks = request.messages.iter_mut().flat_map(|Message { content, .. }| content);
    blocks.fold(false, |changed, block| match block {
        ContentBlock::ToolResult(result) => change(result) || changed,
        _ => changed,
    })
}

fn leave_media_out(result: &mut ToolResult) -> bool {
    let mut changed = false;
    for part in &mut result.content {
        if matches!(part, ToolResultContent::Image(_) | ToolResultContent::Document(_)) {
            *part = ToolResultContent::Text(MEDIA_LEFT_OUT.to_owned());
            changed = true;
        }
    }
    changed
}

fn halve(result: &mut ToolResult) -> bool {
    let mut changed = false;
    for part in &mut result.content {
        let text = match &*part {
            ToolResultContent::Text(text) => text.clone(),
            ToolResultContent::Json(value) => value.to_string(),
            _ => continue,
        };
        if text.len() > SHORTEST_RESULT + REST_LEFT_OUT.len() {
            let kept = text.floor_char_boundary((text.len() / 2).max(SHORTEST_RESULT));
            *part = ToolResultContent::Text(format!("{}{REST_LEFT_OUT}", &text[..kept]));
            changed = true;
        }
    }
    changed
}
