//! A Converse request in the words of OpenAI.

use serde_json::{Value, json};

use super::super::EngineError;
use super::super::conversation::{ContentBlock, Conversation, Message, Role, ToolChoice, ToolResult, ToolResultStatus};

/// Refuses what cannot be said in OpenAI's words, rather than leave it out.
pub(super) fn check(conversation: &Conversation) -> Result<(), EngineError> {
    let unsaid = conversation.messages.iter().flat_map(|message| &message.content).find_map(|block| match block {
        ContentBlock::Image(image) if image.pointer("/source/bytes").is_none() => {
            Some("an image in a bucket".to_owned())
        }
        ContentBlock::Document(document) if words_of(document).is_none() => {
            let format = document.get("format").and_then(Value::as_str).unwrap_or("unknown");
            Some(format!("a document of format {format}"))
        }
        ContentBlock::Video(_) => Some("a video".to_owned()),
        ContentBlock::Audio(_) => Some("a recording".to_owned()),
        _ => None,
    });
    match unsaid {
        Some(what) => Err(EngineError::Unacceptable(format!(
            "The model server takes words and images, not {what}. Send the words of it, or use another model."
        ))),
        None => Ok(()),
    }
}

/// The words of a document that consists of words.
fn words_of(document: &Value) -> Option<String> {
    let source = document.get("source")?;
    if let Some(text) = source.get("text").and_then(Value::as_str) {
        return Some(text.to_owned());
    }
    if let Some(blocks) = source.get("content").and_then(Value::as_array) {
        let texts: Vec<&str> = blocks.iter().filter_map(|block| block.get("text")?.as_str()).collect();
        return Some(texts.join("\n"));
    }
    let format = document.get("format").and_then(Value::as_str).unwrap_or("txt");
    if !["txt", "md", "csv", "html"].contains(&format) {
        return None;
    }
    let bytes = aws_smithy_types::base64::decode(source.get("bytes")?.as_str()?).ok()?;
    String::from_utf8(bytes).ok()
}

/// The body of `/chat/completions` that asks `model` the same as `conversation`.
pub(super) fn body(conversation: &Conversation, model: &str) -> Value {
    let mut body = json!({
        "model": model,
        "messages": messages(conversation),
        "stream": true,
        "stream_options": { "include_usage": true },
    });
    let inference = &conversation.inference_config;
    if let Some(most) = inference.max_tokens {
        body["max_tokens"] = json!(most);
    }
    if let Some(temperature) = inference.temperature {
        body["temperature"] = json!(temperature);
    }
    if let Some(share) = inference.top_p {
        body["top_p"] = json!(share);
    }
    if !inference.stop_sequences.is_empty() {
        body["stop"] = json!(inference.stop_sequences);
    }
    if conversation.messages.last().is_some_and(|last| last.role == Role::Assistant) {
        // Ollama and llama.cpp go on from a final assistant message anyway; vLLM and SGLang only when told.
        // A server that knows neither word refuses, which is better than an answer that begins anew.
        body["continue_final_message"] = json!(true);
        body["add_generation_prompt"] = json!(false);
    }
    add_tools(conversation, &mut body);
    body
}

fn add_tools(conversation: &Conversation, body: &mut Value) {
    let tools: Vec<Value> = conversation
        .tools()
        .iter()
        .filter_map(|tool| tool.specification())
        .map(|specification| {
            let mut function = json!({
                "name": specification.name,
                "parameters": specification.input_schema.json,
            });
            if let Some(description) = &specification.description {
                function["description"] = json!(description);
            }
            json!({ "type": "function", "function": function })
        })
        .collect();
    if tools.is_empty() {
        return;
    }
    body["tools"] = json!(tools);
    let choice = conversation.tool_config.as_ref().and_then(|config| config.tool_choice.as_ref());
    body["tool_choice"] = match choice {
        None | Some(ToolChoice::Auto(_)) => json!("auto"),
        Some(ToolChoice::Any(_)) => json!("required"),
        Some(ToolChoice::Tool { name }) => {
            json!({ "type": "function", "function": { "name": name } })
        }
    };
}

fn messages(conversation: &Conversation) -> Vec<Value> {
    let system: Vec<&str> = conversation.system_texts().collect();
    let mut messages = Vec::new();
    if !system.is_empty() {
        messages.push(json!({ "role": "system", "content": system.join("\n\n") }));
    }
    for message in &conversation.messages {
        match message.role {
            Role::User => add_user_message(message, &mut messages),
            Role::Assistant => messages.push(assistant_message(message)),
        }
    }
    messages
}

/// Tool results are messages of their own there, and come before what the user adds.
fn add_user_message(message: &Message, messages: &mut Vec<Value>) {
    messages.extend(message.tool_results().map(tool_message));
    let is_medium = |block: &ContentBlock| matches!(block, ContentBlock::Image(_) | ContentBlock::Document(_));
    if message.content.iter().any(is_medium) {
        let parts: Vec<Value> = message.content.iter().filter_map(part).collect();
        messages.push(json!({ "role": "user", "content": parts }));
        return;
    }
    let text = message.text();
    if !text.is_empty() {
        messages.push(json!({ "role": "user", "content": text }));
    }
}

fn tool_message(result: &ToolResult) -> Value {
    let text = result.text();
    let content = match result.status {
        Some(ToolResultStatus::Error) => format!("The tool failed: {text}"),
        Some(ToolResultStatus::Success) | None => text,
    };
    json!({ "role": "tool", "tool_call_id": result.tool_use_id, "content": content })
}

/// Converse carries image bytes in base64 already.
fn part(block: &ContentBlock) -> Option<Value> {
    match block {
        ContentBlock::Text(text) => Some(json!({ "type": "text", "text": text })),
        ContentBlock::Image(image) => {
            let format = image.get("format")?.as_str()?;
            let encoded = image.pointer("/source/bytes")?.as_str()?;
            let address = format!("data:image/{format};base64,{encoded}");
            Some(json!({ "type": "image_url", "image_url": { "url": address } }))
        }
        ContentBlock::Document(document) => {
            let name = document.get("name").and_then(Value::as_str).unwrap_or("document");
            let text = format!("Document \"{name}\":\n{}", words_of(document)?);
            Some(json!({ "type": "text", "text": text }))
        }
        _ => None,
    }
}

fn assistant_message(message: &Message) -> Value {
    let text = message.text();
    let content = if text.is_empty() { Value::Null } else { json!(text) };
    let mut assistant = json!({ "role": "assistant", "content": content });
    let calls: Vec<Value> = message
        .tool_uses()
        .map(|call| {
            json!({
                "id": call.tool_use_id,
                "type": "function",
                "function": { "name": call.name, "arguments": call.input.to_string() },
            })
        })
        .collect();
    if !calls.is_empty() {
        assistant["tool_calls"] = json!(calls);
    }
    assistant
}
