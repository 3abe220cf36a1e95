//! What an MCP tool answers, in the words of Bedrock.

use agentcore_core::message::{Document, DocumentFormat, Image, ImageFormat, MediaSource, ToolResultContent};
use agentcore_core::tool::ToolOutput;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rmcp::model::{CallToolResult, ContentBlock, EmbeddedResource, Resource, ResourceContents};
use serde_json::{Value, json};

/// Said where a tool says nothing: Converse wants a word.
const NOTHING: &str = "The tool has nothing to say.";

/// Said where a tool fails without a word.
const SILENT_FAILURE: &str = "The tool failed and does not say why.";

/// The longest name of a document, in characters. Source: Converse's reference.
const LONGEST_DOCUMENT_NAME: usize = 200;

/// What a tool answered.
///
/// # Errors
/// When the tool reports a failure: its words, for the model.
pub(crate) fn output(result: CallToolResult) -> Result<ToolOutput, String> {
    let failed = result.is_error == Some(true);
    let content = content(result);
    if failed {
        let words: Vec<String> = content.iter().filter_map(words).collect();
        return Err(if words.is_empty() {
            SILENT_FAILURE.to_owned()
        } else {
            words.join(
                "
",
            )
        });
    }
    Ok(if content.is_empty() { nothing() } else { content.into() })
}

/// The output of a tool that says nothing.
pub(crate) fn nothing() -> ToolOutput {
    NOTHING.into()
}

fn content(result: CallToolResult) -> Vec<ToolResultContent> {
    let structured = result.structured_content.filter(|value| !value.is_null());
    let blocks = result.content.into_iter().filter(|block| !repeats(block, structured.as_ref()));
    let mut content: Vec<ToolResultContent> = blocks.filter_map(block).collect();
    content.extend(structured.map(|value| match value {
        // Converse takes nothing but objects as JSON.
        Value::Object(_) => ToolResultContent::Json(value),
        other => ToolResultContent::Text(other.to_string()),
    }));
    content
}

/// Whether a block says in text what the structured content says: servers do that for clients that do
/// not know the latter, and the model would read it twice. Lists come one block an item, so only whole
/// values are seen.
fn repeats(block: &ContentBlock, structured: Option<&Value>) -> bool {
    let (ContentBlock::Text(text), Some(structured)) = (block, structured) else {
        return false;
    };
    // Python's SDK puts what is no object into one as `result`.
    let wrapped = structured.as_object().filter(|object| object.len() == 1).and_then(|object| object.get("result"));
    if wrapped.and_then(Value::as_str) == Some(&text.text) {
        return true;
    }
    serde_json::from_str::<Value>(&text.text).is_ok_and(|said| said == *structured || Some(&said) == wrapped)
}

fn block(block: ContentBlock) -> Option<ToolResultContent> {
    match block {
        ContentBlock::Text(text) => said(text.text),
        ContentBlock::Image(image) => {
            Some(picture(&image.data, &image.mime_type).unwrap_or_else(|| cannot_be_shown("picture", &image.mime_type)))
        }
        ContentBlock::Audio(audio) => Some(cannot_be_shown("recording", &audio.mime_type)),
        ContentBlock::Resource(EmbeddedResource { resource, .. }) => embedded(resource),
        ContentBlock::ResourceLink(link) => Some(reference(&link)),
        other => serde_json::to_value(other).ok().map(ToolResultContent::Json),
    }
}

/// Text, unless it is blank: Converse refuses that.
fn said(text: String) -> Option<ToolResultContent> {
    (!text.trim().is_empty()).then_some(ToolResultContent::Text(text))
}

fn embedded(resource: ResourceContents) -> Option<ToolResultContent> {
    match resource {
        ResourceContents::TextResourceContents { text, .. } => said(text),
        ResourceContents::BlobResourceContents { uri, mime_type, blob, .. } => {
            let mime_type = mime_type.unwrap_or_default();
            let file = picture(&blob, &mime_type).or_else(|| document(&uri, &blob, &mime_type));
            Some(file.unwrap_or_else(|| cannot_be_shown("file", &mime_type)))
        }
        _ => Some(cannot_be_shown("file", "")),
    }
}

fn picture(data: &str, mime_type: &str) -> Option<ToolResultContent> {
    let format = match essence(mime_type) {
        "image/png" => ImageFormat::Png,
        "image/jpeg" | "image/jpg" => ImageFormat::Jpeg,
        "image/gif" => ImageFormat::Gif,
        "image/webp" => ImageFormat::Webp,
        _ => return None,
    };
    Some(ToolResultContent::Image(Image { format, source: bytes(data)? }))
}

fn document(uri: &str, data: &str, mime_type: &str) -> Option<ToolResultContent> {
    let format = match essence(mime_type) {
        "application/pdf" => DocumentFormat::Pdf,
        "text/csv" => DocumentFormat::Csv,
        "application/msword" => DocumentFormat::Doc,
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document" => DocumentFormat::Docx,
        "application/vnd.ms-excel" => DocumentFormat::Xls,
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" => DocumentFormat::Xlsx,
        "text/html" => DocumentFormat::Html,
        "text/plain" => DocumentFormat::Txt,
        "text/markdown" => DocumentFormat::Md,
        _ => return None,
    };
    Some(ToolResultContent::Document(Document { format, name: document_name(uri), source: bytes(data)? }))
}

/// The last part of a URI as Bedrock allows a document's name.
fn document_name(uri: &str) -> String {
    let last = uri.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let name: String = last.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let name: String = name.trim_matches('-').chars().take(LONGEST_DOCUMENT_NAME).collect();
    if name.is_empty() { "file".to_owned() } else { name }
}

fn bytes(data: &str) -> Option<MediaSource> {
    BASE64_STANDARD.decode(data).ok().map(|bytes| MediaSource::Bytes(bytes.into()))
}

/// A media type without its parameters.
fn essence(mime_type: &str) -> &str {
    mime_type.split(';').next().unwrap_or_default().trim()
}

fn cannot_be_shown(what: &str, mime_type: &str) -> ToolResultContent {
    let kind = if mime_type.is_empty() { "unknown type" } else { mime_type };
    ToolResultContent::Text(format!("[The tool gave a {what} ({kind}) that cannot be shown here.]"))
}

fn reference(link: &Resource) -> ToolResultContent {
    let mut reference = json!({ "name": link.name, "uri": link.uri });
    if let Some(description) = &link.description {
        reference["description"] = description.as_str().into();
    }
    ToolResultContent::Json(reference)
}

/// What a block says in words.
fn words(content: &ToolResultContent) -> Option<String> {
    match content {
        ToolResultContent::Text(text) => Some(text.clone()),
        ToolResultContent::Json(value) => Some(value.to_string()),
        ToolResultContent::Image(_) | ToolResultContent::Document(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The result as it comes over the wire, and what the model is told.
    fn told(result: Value) -> Result<Value, String> {
        let result = serde_json::from_value(result).expect("a result");
        let content = output(result)?.content;
        Ok(serde_json::to_value(content).expect("it is JSON"))
    }

    fn text(text: &str) -> Value {
        json!({ "type": "text", "text": text })
    }

    #[test]
    fn what_is_said_twice_is_told_once() {
        let object = json!({ "content": [text(r#"{"kcal": 52}"#)], "structuredContent": { "kcal": 52 } });
        assert_eq!(told(object), Ok(json!([{ "json": { "kcal": 52 } }])));

        let wrapped = json!({ "content": [text("52")], "structuredContent": { "result": 52 } });
        assert_eq!(told(wrapped), Ok(json!([{ "json": { "result": 52 } }])));

        let words = json!({ "content": [text("an apple")], "structuredContent": { "result": "an apple" } });
        assert_eq!(told(words), Ok(json!([{ "json": { "result": "an apple" } }])));

        let more = json!({ "content": [text("An apple has 52 kcal.")], "structuredContent": { "kcal": 52 } });
        assert_eq!(told(more), Ok(json!([{ "text": "An apple has 52 kcal." }, { "json": { "kcal": 52 } }])));
    }

    #[test]
    fn json_that_is_no_object_is_told_as_text() {
        assert_eq!(told(json!({ "content": [], "structuredContent": [1, 2] })), Ok(json!([{ "text": "[1,2]" }])));
    }

    #[test]
    fn pictures_and_files_are_shown_where_bedrock_can() {
        let blob = |uri: &str, kind: &str| json!({ "type": "resource", "resource": { "uri": uri, "mimeType": kind, "blob": "JVBERg==" } });
        let result = json!({ "content": [
            { "type": "image", "data": "iVBORw==", "mimeType": "image/png" },
            { "type": "image", "data": "iVBORw==", "mimeType": "image/tiff" },
            { "type": "image", "data": "no base64", "mimeType": "image/png" },
            { "type": "audio", "data": "UklGRg==", "mimeType": "audio/wav" },
            blob("file:///plans/week 1.pdf", "application/pdf; v=1"),
            blob("file:///plans/", "application/zip"),
            { "type": "resource", "resource": { "uri": "note://1", "text": "Eat well." } },
            { "type": "resource_link", "uri": "note://2", "name": "second" },
        ] });
        insta::assert_json_snapshot!(told(result).expect("it worked"), @r#"
        [
          {
            "image": {
              "format": "png",
              "source": {
                "bytes": "iVBORw=="
              }
            }
          },
          {
            "text": "[The tool gave a picture (image/tiff) that cannot be shown here.]"
          },
          {
            "text": "[The tool gave a picture (image/png) that cannot be shown here.]"
          },
          {
            "text": "[The tool gave a recording (audio/wav) that cannot be shown here.]"
          },
          {
            "document": {
              "format": "pdf",
              "name": "week-1-pdf",
              "source": {
                "bytes": "JVBERg=="
              }
            }
          },
          {
            "text": "[The tool gave a file (application/zip) that cannot be shown here.]"
          },
          {
            "text": "Eat well."
          },
          {
            "json": {
              "name": "second",
              "uri": "note://2"
            }
          }
        ]
        "#);
    }

    #[test]
    fn a_failure_is_told_in_the_tools_words() {
        let failed = json!({ "content": [text("No such food."), text("Try `apple`.")], "isError": true });
        assert_eq!(told(failed), Err("No such food.\nTry `apple`.".to_owned()));

        let silent = json!({ "content": [], "isError": true });
        assert_eq!(told(silent), Err(SILENT_FAILURE.to_owned()));
    }

    #[test]
    fn silence_is_told_in_words() {
        assert_eq!(told(json!({ "content": [text("  ")] })), Ok(json!([{ "text": NOTHING }])));
    }

    #[test]
    fn a_document_has_a_name_that_bedrock_takes() {
        for (uri, name) in [("file:///a/b.pdf", "b-pdf"), ("https://x/%20/", "20"), ("", "file"), ("///", "file")] {
            assert_eq!(document_name(uri), name, "{uri}");
        }
    }
}
