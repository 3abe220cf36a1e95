//! About how many tokens something costs, before anybody counts.
//!
//! Estimates decide how much of a session goes with a call and when it is worth while to count exactly. They are on
//! the high side, and bounded for what is not text: the bytes of a picture or a file say little about what the
//! model reads of it, and a file must not drive the session's history out of the call.

use crate::message::{
    ContentBlock, Document, DocumentFormat, MediaSource, Message, ToolResult, ToolResultContent, ToolUse,
};

/// Role markers and separators around a message.
const FRAMING: usize = 4;

/// The name and the id of a call or a result, and what stands around them.
const CALL: usize = 30;

/// What Claude reads of a picture at the most, whatever its bytes: 1568 pixels on the longer side. Source:
/// Anthropic's guide to vision.
const IMAGE: usize = 1_600;

/// How many bytes of a file that is not plain text there are to a token, at the least: text is packed in them,
/// and pictures and typefaces stand beside it.
const FILE_BYTES_A_TOKEN: usize = 8;

/// What a file that is not plain text counts for at the least: three pages, read as pictures as well. Source:
/// the Bedrock User Guide on documents for Claude, which puts a PDF of three pages at 1 000 tokens as text, at
/// 7 000 as text and pictures.
const SMALL_FILE: usize = 1_000;

/// And at the most: some 60 pages as text. Converse takes five files in a call, so that half of the context is left
/// for everything else; a call that is too long all the same is counted, or refused, and made shorter.
const LARGE_FILE: usize = 20_000;

/// What a file counts for that lies in S3, where nobody has looked at it: three pages, read as pictures as well.
const UNSEEN_FILE: usize = 7_000;

/// Estimates how many tokens a text of `bytes` UTF-8 bytes costs, on the high side.
///
/// Claude's English runs at 3.5 to 4 bytes a token; 3 leaves room for other languages and markup.
pub fn estimate_tokens(bytes: usize) -> usize {
    bytes.div_ceil(3)
}

/// About how many tokens a message costs, its framing included, on the high side.
pub fn estimate_message(message: &Message) -> usize {
    FRAMING + message.content.iter().map(estimate_block).sum::<usize>()
}

/// About how many tokens a block costs, on the high side.
///
/// Text is estimated by its bytes, a picture at 1600 tokens. A file of text is estimated as text; another at an
/// eighth of its bytes, between 1000 and 20 000 tokens; one that lies in S3 at 7000.
pub fn estimate_block(block: &ContentBlock) -> usize {
    match block {
        ContentBlock::Text(text) => estimate_tokens(text.len()),
        ContentBlock::Image(_) => IMAGE,
        ContentBlock::Document(document) => estimate_document(document),
        ContentBlock::ToolUse(ToolUse { input, .. }) => CALL + estimate_tokens(input.to_string().len()),
        ContentBlock::ToolResult(result) => estimate_result(result),
    }
}

/// About how many tokens a tool's result costs, on the high side: its parts as [`estimate_block`] has them.
pub fn estimate_result(result: &ToolResult) -> usize {
    let part = |part: &ToolResultContent| match part {
        ToolResultContent::Text(text) => estimate_tokens(text.len()),
        ToolResultContent::Json(value) => estimate_tokens(value.to_string().len()),
        ToolResultContent::Image(_) => IMAGE,
        ToolResultContent::Document(document) => estimate_document(document),
    };
    CALL + result.content.iter().map(part).sum::<usize>()
}

fn estimate_document(Document { format, name, source }: &Document) -> usize {
    let MediaSource::Bytes(bytes) = source else {
        return UNSEEN_FILE;
    };
    let file = match format {
        DocumentFormat::Csv | DocumentFormat::Html | DocumentFormat::Txt | DocumentFormat::Md => {
            estimate_tokens(bytes.len())
        }
        DocumentFormat::Pdf
        | DocumentFormat::Doc
        | DocumentFormat::Docx
        | DocumentFormat::Xls
        | DocumentFormat::Xlsx => (bytes.len() / FILE_BYTES_A_TOKEN).clamp(SMALL_FILE, LARGE_FILE),
    };
    file + estimate_tokens(name.len())
}
