//! Pictures and files that callers send: what Bedrock takes, checked before it is asked.
//!
//! Bounds are Converse's own, from its API reference: 20 pictures of 3.75 MB, 5 documents of 4.5 MB. A
//! caller's S3 locations are refused: they would let whoever may call the agent read whatever its role may.

use super::PayloadError;
use crate::message::{ContentBlock, Document, DocumentFormat, Image, ImageFormat, MediaSource};

/// The most pictures in a message.
const MOST_IMAGES: usize = 20;

/// The largest picture, in bytes.
const LARGEST_IMAGE: usize = 3_750_000;

/// The most documents in a message.
const MOST_DOCUMENTS: usize = 5;

/// The largest document, in bytes.
const LARGEST_DOCUMENT: usize = 4_500_000;

/// The longest name of a document, in characters.
const LONGEST_NAME: usize = 200;

/// Checks what a caller sends as content beside a prompt or without one: text, pictures and files as
/// Bedrock takes them.
pub(super) fn check(content: &[ContentBlock], has_prompt: bool) -> Result<(), PayloadError> {
    for (place, block) in content.iter().enumerate() {
        let problem = match block {
            ContentBlock::Text(_) if block.is_blank() => Some("is blank; leave it out".to_owned()),
            ContentBlock::Text(_) => None,
            ContentBlock::Image(image) => wrong_image(image),
            ContentBlock::Document(document) => wrong_document(document),
            ContentBlock::ToolUse(_) | ContentBlock::ToolResult(_) => {
                Some("must be text, an image or a document".to_owned())
            }
        };
        if let Some(problem) = problem {
            return Err(PayloadError::Invalid { member: format!("content[{place}]").into(), problem });
        }
    }
    check_together(content, has_prompt)
        .map_or(Ok(()), |problem| Err(PayloadError::Invalid { member: "content".into(), problem: problem.to_owned() }))
}

fn check_together(content: &[ContentBlock], has_prompt: bool) -> Option<&'static str> {
    let count = |kind: fn(&ContentBlock) -> bool| content.iter().filter(|block| kind(block)).count();
    let documents = count(|block| matches!(block, ContentBlock::Document(_)));
    if content.is_empty() {
        return Some("is empty; send what the user wrote, or leave it out");
    }
    if count(|block| matches!(block, ContentBlock::Image(_))) > MOST_IMAGES {
        return Some("has too many images; send 20 at the most");
    }
    if documents > MOST_DOCUMENTS {
        return Some("has too many documents; send 5 at the most");
    }
    let names: Vec<&str> = content.iter().filter_map(document_name).collect();
    if names.iter().enumerate().any(|(place, name)| names[..place].contains(name)) {
        return Some("has two documents of one name; give each its own");
    }
    // Claude is given no document without a word about it.
    let has_text = has_prompt || count(|block| block.as_text().is_some()) > 0;
    (documents > 0 && !has_text).then_some("has a document and no text; say in words what to do with it")
}

fn document_name(block: &ContentBlock) -> Option<&str> {
    match block {
        ContentBlock::Document(document) => Some(&document.name),
        _ => None,
    }
}

fn wrong_image(image: &Image) -> Option<String> {
    let MediaSource::Bytes(bytes) = &image.source else {
        return Some(ONLY_BYTES.to_owned());
    };
    let (begins, name): (&[&[u8]], _) = match image.format {
        ImageFormat::Png => (&[b"\x89PNG\r\n\x1a\n"], "PNG"),
        ImageFormat::Jpeg => (&[b"\xff\xd8\xff"], "JPEG"),
        ImageFormat::Gif => (&[b"GIF87a", b"GIF89a"], "GIF"),
        ImageFormat::Webp => (&[b"RIFF"], "WebP"),
    };
    let is_what_it_says = begins.iter().any(|begin| bytes.starts_with(begin))
        && (image.format != ImageFormat::Webp || bytes.get(8..12) == Some(b"WEBP"));
    wrong_bytes(bytes, LARGEST_IMAGE, is_what_it_says, name)
}

fn wrong_document(document: &Document) -> Option<String> {
    let MediaSource::Bytes(bytes) = &document.source else {
        return Some(ONLY_BYTES.to_owned());
    };
    if !is_a_name(&document.name) {
        return Some(
            "has a name that Bedrock does not take; use 1 to 200 letters, digits, single spaces, hyphens, parentheses \
             and square brackets"
                .to_owned(),
        );
    }
    let (is_what_it_says, name) = match document.format {
        DocumentFormat::Pdf => (bytes.starts_with(b"%PDF-"), "PDF"),
        DocumentFormat::Docx | DocumentFormat::Xlsx => (bytes.starts_with(b"PK\x03\x04"), "Office Open XML"),
        DocumentFormat::Doc | DocumentFormat::Xls => (bytes.starts_with(b"\xd0\xcf\x11\xe0"), "Office"),
        DocumentFormat::Csv | DocumentFormat::Html | DocumentFormat::Txt | DocumentFormat::Md => {
            (std::str::from_utf8(bytes).is_ok_and(|text| !text.trim().is_empty()), "UTF-8 text")
        }
    };
    wrong_bytes(bytes, LARGEST_DOCUMENT, is_what_it_says, name)
}

const ONLY_BYTES: &str = "must hold its bytes; an S3 location is not taken from callers";

fn wrong_bytes(bytes: &[u8], most: usize, is_what_it_says: bool, name: &str) -> Option<String> {
    if bytes.len() > most {
        return Some(format!("is {} bytes long; Bedrock takes {most} at the most", bytes.len()));
    }
    (!is_what_it_says).then(|| format!("is not what its format says; its bytes are no {name}"))
}

fn is_a_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || " -()[]".contains(c);
    (1..=LONGEST_NAME).contains(&name.len()) && name.chars().all(allowed) && !name.contains("  ")
}
