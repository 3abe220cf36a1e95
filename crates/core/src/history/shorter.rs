//! Less of what was said: without pictures and files, and without the ends of what is long.
//!
//! Whatever is left out leaves a line where it was, so that the model knows that there was more, and Converse finds
//! no message empty.

use serde::Serialize;

use crate::message::{ContentBlock, Document, Image, MediaSource, Message, ToolResult, ToolResultContent};

/// Stands where a picture or a file was.
const MEDIA_LEFT_OUT: &str = "[A picture or file was left out: the conversation is too long.]";

/// Stands where the rest of a text was.
const REST_LEFT_OUT: &str = " [The rest was left out: the conversation is too long.]";

/// Text that is never cut further, in bytes: some lines.
const SHORTEST: usize = 500;

/// How long texts may be while a turn is cut, from loose to strict, in bytes.
pub(super) fn lengths() -> impl Iterator<Item = usize> {
    const LONGEST: usize = 1_024_000;
    (0..).map(|halved| LONGEST >> halved).take_while(|longest| *longest >= SHORTEST)
}

/// The messages as later turns read them: no bytes of pictures or files, but a line that says what was there.
///
/// The model looks at bytes in the turn they came in; after that they would be paid for at every call and fill the
/// memory. What is in S3 stays, by reference. No text is lost.
///
/// ```
/// use agentcore_core::history::without_media_bytes;
/// use agentcore_core::message::{ContentBlock, Image, ImageFormat, MediaSource, Message, Role};
///
/// let source = MediaSource::Bytes(vec![0; 34512].into());
/// let picture = ContentBlock::Image(Image { format: ImageFormat::Png, source });
/// let later = without_media_bytes(vec![Message { role: Role::User, content: vec![picture] }]);
/// assert_eq!(later[0].text(), "[An image (png, 34512 bytes) was here.]");
/// ```
pub fn without_media_bytes(mut messages: Vec<Message>) -> Vec<Message> {
    for block in messages.iter_mut().flat_map(|message| &mut message.content) {
        let instead = match block {
            ContentBlock::Image(image) => image_was_here(image),
            ContentBlock::Document(document) => document_was_here(document),
            ContentBlock::ToolResult(result) => {
                leave_out_media_bytes(result);
                None
            }
            ContentBlock::Text(_) | ContentBlock::ToolUse(_) => None,
        };
        if let Some(line) = instead {
            *block = ContentBlock::Text(line);
        }
    }
    messages
}

pub(super) fn leave_out_media_bytes(result: &mut ToolResult) {
    for part in &mut result.content {
        let instead = match part {
            ToolResultContent::Image(image) => image_was_here(image),
            ToolResultContent::Document(document) => document_was_here(document),
            ToolResultContent::Text(_) | ToolResultContent::Json(_) => None,
        };
        if let Some(line) = instead {
            *part = ToolResultContent::Text(line);
        }
    }
}

fn image_was_here(Image { format, source }: &Image) -> Option<String> {
    let MediaSource::Bytes(bytes) = source else { return None };
    Some(format!("[An image ({}, {} bytes) was here.]", spelled(format), bytes.len()))
}

fn document_was_here(Document { format, name, source }: &Document) -> Option<String> {
    let MediaSource::Bytes(bytes) = source else { return None };
    Some(format!("[A document ({}, {} bytes, named \"{name}\") was here.]", spelled(format), bytes.len()))
}

/// A format as Bedrock spells it.
fn spelled(format: &impl Serialize) -> String {
    let json = serde_json::to_value(format).unwrap_or_default();
    json.as_str().unwrap_or("of an unknown kind").to_owned()
}

/// Leaves pictures and files out of a block, wherever they are kept; whether there were any.
pub(crate) fn leave_media_out(block: &mut ContentBlock) -> bool {
    match block {
        ContentBlock::Image(_) | ContentBlock::Document(_) => {
            *block = ContentBlock::Text(MEDIA_LEFT_OUT.to_owned());
            true
        }
        ContentBlock::ToolResult(result) => result.content.iter_mut().fold(false, |any, part| {
            let is_media = matches!(part, ToolResultContent::Image(_) | ToolResultContent::Document(_));
            if is_media {
                *part = ToolResultContent::Text(MEDIA_LEFT_OUT.to_owned());
            }
            is_media || any
        }),
        ContentBlock::Text(_) | ContentBlock::ToolUse(_) => false,
    }
}

/// Halves the longest texts of a tool's result; whether there were any long enough.
pub(crate) fn halve_result(result: &mut ToolResult) -> bool {
    let longest = result.content.iter().filter_map(text_of).map(|text| text.len()).max().unwrap_or(0);
    cut_result(result, longest / 2)
}

/// Cuts the texts of a tool's result that are longer than `longest` bytes; whether there were any.
fn cut_result(result: &mut ToolResult, longest: usize) -> bool {
    let mut changed = false;
    for part in &mut result.content {
        if let Some(shorter) = text_of(part).and_then(|text| cut(&text, longest)) {
            *part = ToolResultContent::Text(shorter);
            changed = true;
        }
    }
    changed
}

/// The same for every tool's result in the messages.
pub(super) fn cut_results(messages: &mut [Message], longest: usize) {
    for block in messages.iter_mut().flat_map(|message| &mut message.content) {
        if let ContentBlock::ToolResult(result) = block {
            cut_result(result, longest);
        }
    }
}

/// Cuts what was said, and what tools were asked, to `longest` bytes a block.
pub(super) fn cut_words(messages: &mut [Message], longest: usize) {
    for block in messages.iter_mut().flat_map(|message| &mut message.content) {
        match block {
            ContentBlock::Text(text) => {
                if let Some(shorter) = cut(text, longest) {
                    *text = shorter;
                }
            }
            // Arguments must stay an object.
            ContentBlock::ToolUse(call) => {
                if let Some(shorter) = cut(&call.input.to_string(), longest) {
                    call.input = serde_json::json!({ "arguments": shorter });
                }
            }
            _ => {}
        }
    }
}

fn text_of(part: &ToolResultContent) -> Option<std::borrow::Cow<'_, str>> {
    match part {
        ToolResultContent::Text(text) => Some(text.into()),
        ToolResultContent::Json(value) => Some(value.to_string().into()),
        ToolResultContent::Image(_) | ToolResultContent::Document(_) => None,
    }
}

/// The beginning of a text that is longer than `longest` bytes, or than the shortest that is worth while.
fn cut(text: &str, longest: usize) -> Option<String> {
    let longest = longest.max(SHORTEST);
    let text = text.strip_suffix(REST_LEFT_OUT).unwrap_or(text);
    if text.len() <= longest {
        return None;
    }
    // A mark in place of a few bytes would make nothing shorter.
    let kept = text.floor_char_boundary(longest.min(text.len() - REST_LEFT_OUT.len()));
    Some(format!("{}{REST_LEFT_OUT}", &text[..kept]))
}
