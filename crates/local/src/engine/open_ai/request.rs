//! A Converse request in the words of OpenAI.

use serde_json::{Value, json};

use super::super::conversation::{ContentBlock, Conversation, Message, Role, ToolChoice, ToolResult, ToolResultStatus};

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
    let has_images = message.content.iter().any(|block| matches!(block, ContentBlock::Image(_)));
    if has_images {
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
