//! Images and documents, checked as Converse checks them before a model sees them.
//!
//! The bounds are those of the user guide's page on Converse and of the service's model. Pictures are
//! not decoded: whether the bytes are what the format says, only the real model knows.

use serde_json::Value;

use super::refusal::{out_of_bounds, require_role};
use crate::aws_error::AwsError;
use crate::engine::conversation::{ContentBlock, Conversation, Message, Role};

/// The formats of images.
const IMAGE_FORMATS: [&str; 4] = ["png", "jpeg", "gif", "webp"];

/// The formats of documents.
const DOCUMENT_FORMATS: [&str; 9] = ["pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md"];

/// The most images in one request.
const MOST_IMAGES: usize = 20;

/// The most documents in one request.
const MOST_DOCUMENTS: usize = 5;

/// The largest image, in characters of base64: 3.75 MiB are 5 MiB encoded, which is what is counted.
const LARGEST_ENCODED_IMAGE: usize = 5 * 1024 * 1024;

/// The largest document, in bytes: 4.5 MiB.
const LARGEST_DOCUMENT: usize = 9 * 512 * 1024;

/// The longest name of a document, in characters.
const LONGEST_NAME: usize = 200;

/// The longest `s3://` address, in characters.
const LONGEST_ADDRESS: usize = 1_024;

/// Checks every image and document of a conversation, those in tool results too.
pub(super) fn check(conversation: &Conversation) -> Result<(), AwsError> {
    let mut seen = Seen::default();
    for (at, message) in conversation.messages.iter().enumerate() {
        seen.check_message(message, &format!("messages.{at}"))?;
    }
    Ok(())
}

/// How many there were so far.
#[derive(Default)]
struct Seen {
    images: usize,
    documents: usize,
}

// === impl Seen ===

impl Seen {
    fn check_message(&mut self, message: &Message, place: &str) -> Result<(), AwsError> {
        let mut has_document = false;
        for (index, block) in message.content.iter().enumerate() {
            let place = format!("{place}.content.{index}");
            match block {
                ContentBlock::Image(image) => {
                    require_role(message.role, Role::User, "image", &place)?;
                    self.check_image(image, &format!("{place}.image"))?;
                }
                ContentBlock::Document(document) => {
                    require_role(message.role, Role::User, "document", &place)?;
                    self.check_document(document, &format!("{place}.document"))?;
                    has_document = true;
                }
                ContentBlock::ToolResult(result) => {
                    for (part, value) in result.content.iter().enumerate() {
                        self.check_part(value, &format!("{place}.toolResult.content.{part}"))?;
                    }
                }
                _ => {}
            }
        }
        let has_text = message.content.iter().any(|block| matches!(block, ContentBlock::Text(_)));
        if has_document && !has_text {
            return Err(AwsError::validation(
                "A text block must be included when using documents. Add a text block and retry your request.",
            ));
        }
        Ok(())
    }

    /// A part of a tool result.
    fn check_part(&mut self, part: &Value, place: &str) -> Result<(), AwsError> {
        if let Some(image) = part.get("image") {
            self.check_image(image, &format!("{place}.image"))?;
        }
        if let Some(document) = part.get("document") {
            self.check_document(document, &format!("{place}.document"))?;
        }
        Ok(())
    }

    fn check_image(&mut self, image: &Value, place: &str) -> Result<(), AwsError> {
        self.images += 1;
        if self.images > MOST_IMAGES {
            return Err(too_many("images", MOST_IMAGES));
        }
        let format = image.get("format").ok_or_else(|| missing(place, "format"))?;
        check_format(format, &IMAGE_FORMATS, place)?;
        match source(image, &["bytes", "s3Location"], place)? {
            Source::Bytes(encoded) if encoded.len() > LARGEST_ENCODED_IMAGE => Err(AwsError::validation(format!(
                "The model returned the following errors: {place}.source.bytes: image exceeds 5 MB maximum: \
                 {} bytes > {LARGEST_ENCODED_IMAGE} bytes",
                encoded.len()
            ))),
            Source::Bytes(encoded) => decoded(encoded, place).map(|_| ()),
            Source::Elsewhere => Ok(()),
        }
    }

    fn check_document(&mut self, document: &Value, place: &str) -> Result<(), AwsError> {
        self.documents += 1;
        if self.documents > MOST_DOCUMENTS {
            return Err(too_many("documents", MOST_DOCUMENTS));
        }
        if let Some(format) = document.get("format") {
            check_format(format, &DOCUMENT_FORMATS, place)?;
        }
        let name = document.get("name").and_then(Value::as_str).ok_or_else(|| missing(place, "name"))?;
        check_name(name, place)?;
        let Source::Bytes(encoded) = source(document, &["bytes", "s3Location", "text", "content"], place)? else {
            return Ok(());
        };
        let size = decoded(encoded, place)?.len();
        if size > LARGEST_DOCUMENT {
            return Err(AwsError::validation(format!(
                "The document at {place} is too large: {size} bytes exceed the limit of 4.5 MB. Reduce the size of \
                 the document and retry your request."
            )));
        }
        Ok(())
    }
}

/// Where content comes from, as far as there is more to check.
enum Source<'a> {
    /// Base64.
    Bytes(&'a str),
    /// A bucket, or words.
    Elsewhere,
}

/// The one member of a source, of those it may have.
fn source<'a>(block: &'a Value, members: &[&str], place: &str) -> Result<Source<'a>, AwsError> {
    let source = block.get("source").and_then(Value::as_object).ok_or_else(|| missing(place, "source"))?;
    let mut given = source.iter().filter(|(_, value)| !value.is_null());
    let (Some((name, value)), None) = (given.next(), given.next()) else {
        return Err(one_of(members, place));
    };
    if !members.contains(&name.as_str()) {
        return Err(one_of(members, place));
    }
    match (name.as_str(), value.as_str()) {
        ("bytes", Some(encoded)) => Ok(Source::Bytes(encoded)),
        ("s3Location", None) => check_location(value, place).map(|()| Source::Elsewhere),
        ("text", Some(_)) | ("content", None) => Ok(Source::Elsewhere),
        _ => Err(one_of(members, place)),
    }
}

fn one_of(members: &[&str], place: &str) -> AwsError {
    AwsError::validation(format!(
        "1 validation error detected: Value at '{place}.source' failed to satisfy constraint: Member must be \
         exactly one of: [{}]",
        members.join(", ")
    ))
}

fn check_format(format: &Value, formats: &[&str], place: &str) -> Result<(), AwsError> {
    if format.as_str().is_some_and(|format| formats.contains(&format)) {
        return Ok(());
    }
    let given = format.as_str().map_or_else(|| format.to_string(), str::to_owned);
    Err(out_of_bounds(given, &format!("{place}.format"), &format!("satisfy enum value set: [{}]", formats.join(", "))))
}

fn decoded(encoded: &str, place: &str) -> Result<Vec<u8>, AwsError> {
    let place = format!("{place}.source.bytes");
    let bytes = aws_smithy_types::base64::decode(encoded).map_err(|_| {
        AwsError::validation(format!(
            "1 validation error detected: Value at '{place}' failed to satisfy constraint: Member must be valid base64"
        ))
    })?;
    if bytes.is_empty() {
        return Err(out_of_bounds("", &place, "have length greater than or equal to 1"));
    }
    Ok(bytes)
}

fn check_name(name: &str, place: &str) -> Result<(), AwsError> {
    if !(1..=LONGEST_NAME).contains(&name.chars().count()) {
        return Err(out_of_bounds(
            name,
            &format!("{place}.name"),
            &format!("have length between 1 and {LONGEST_NAME}"),
        ));
    }
    let allowed = |character: char| character.is_ascii_alphanumeric() || " -()[]".contains(character);
    if name.chars().all(allowed) && !name.contains("  ") {
        return Ok(());
    }
    Err(AwsError::validation(
        "The document file name can only contain alphanumeric characters, whitespace characters, hyphens, parentheses, \
         and square brackets. The name can't contain more than one consecutive whitespace character. Check that the \
         file name conforms to these restrictions and retry your request.",
    ))
}

fn check_location(location: &Value, place: &str) -> Result<(), AwsError> {
    let place = format!("{place}.source.s3Location");
    let address = location.get("uri").and_then(Value::as_str).ok_or_else(|| missing(&place, "uri"))?;
    if address.len() > LONGEST_ADDRESS || !is_s3_address(address) {
        return Err(out_of_bounds(
            address,
            &format!("{place}.uri"),
            r"satisfy regular expression pattern: s3://[a-z0-9][\.\-a-z0-9]{1,61}[a-z0-9](/.*)?",
        ));
    }
    match location.get("bucketOwner").map(|owner| owner.as_str().unwrap_or_default()) {
        Some(owner) if owner.len() != 12 || !owner.bytes().all(|byte| byte.is_ascii_digit()) => {
            Err(out_of_bounds(owner, &format!("{place}.bucketOwner"), "satisfy regular expression pattern: [0-9]{12}"))
        }
        _ => Ok(()),
    }
}

fn is_s3_address(address: &str) -> bool {
    let Some(path) = address.strip_prefix("s3://") else {
        return false;
    };
    let bucket = path.split_once('/').map_or(path, |(bucket, _)| bucket);
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends = [bucket.bytes().next(), bucket.bytes().next_back()];
    (3..=63).contains(&bucket.len())
        && ends.into_iter().flatten().all(word)
        && bucket.bytes().all(|byte| word(byte) || b".-".contains(&byte))
}

fn missing(place: &str, member: &str) -> AwsError {
    AwsError::validation(format!(
        "1 validation error detected: Value null at '{place}.{member}' failed to satisfy constraint: Member must not \
         be null"
    ))
}

fn too_many(what: &str, most: usize) -> AwsError {
    AwsError::validation(format!(
        "The number of {what} in the request exceeds the limit of {most}. Reduce the number of {what} and retry your \
         request."
    ))
}
