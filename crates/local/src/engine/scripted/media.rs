//! What the model says of images and documents it is shown, so that a caller can tell that they arrived.

use serde_json::Value;

use crate::engine::conversation::{ContentBlock, Message};

/// A sentence that names every image and document in `message`, its tool results included.
pub(super) fn seen(message: &Message) -> Option<String> {
    let names: Vec<String> = message.content.iter().flat_map(names).collect();
    let (last, others) = names.split_last()?;
    let names = if others.is_empty() { last.clone() } else { format!("{} and {last}", others.join(", ")) };
    Some(format!("I have seen {names}."))
}

fn names(block: &ContentBlock) -> Vec<String> {
    match block {
        ContentBlock::Image(image) => vec![image_name(image)],
        ContentBlock::Document(document) => vec![document_name(document)],
        ContentBlock::ToolResult(result) => result
            .content
            .iter()
            .filter_map(|part| part.get("image").map(image_name).or_else(|| part.get("document").map(document_name)))
            .collect(),
        _ => Vec::new(),
    }
}

fn image_name(image: &Value) -> String {
    format!("a {} image", image.get("format").and_then(Value::as_str).unwrap_or("plain"))
}

fn document_name(document: &Value) -> String {
    format!("the document {}", document.get("name").and_then(Value::as_str).unwrap_or("without a name"))
}
