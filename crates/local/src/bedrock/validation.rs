//! What Bedrock refuses before a model sees it, in the sentences it refuses with.
//!
//! An agent that passes here should pass there: the checks are those Converse makes, in the order a
//! caller meets them (JSON, shapes, bounds, the conversation's grammar, tools, length).

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;

use super::cache;
use super::media;
use super::model_id::ModelId;
use super::refusal::{out_of_bounds, require_role};
use crate::aws_error::AwsError;
use crate::engine::conversation::{
    ContentBlock, Conversation, InferenceConfig, Message, Role, SystemBlock, Tool, ToolChoice, ToolConfig,
    ToolResultStatus,
};
use crate::engine::tokens;

/// The context window of Claude 3 and later, in tokens.
const CONTEXT_WINDOW: u64 = 200_000;

/// The longest tool name and tool use id, in characters.
const LONGEST_NAME: usize = 64;

/// The most stop sequences.
const MOST_STOP_SEQUENCES: usize = 2_500;

/// Reads and checks the body of `converse` or `converse-stream`.
pub(super) fn conversation(body: &[u8], model: &ModelId) -> Result<Conversation, AwsError> {
    let conversation = shaped::<Conversation>(json(body)?, "")?;
    check_inference(&conversation.inference_config, model)?;
    check_grammar(&conversation)?;
    check_prefill(&conversation, model)?;
    cache::check(&conversation, model)?;
    if tokens::count_conversation(&conversation) > CONTEXT_WINDOW {
        return Err(AwsError::validation("Input is too long for requested model."));
    }
    Ok(conversation)
}

/// Reads and checks the body of `count-tokens`, and counts.
///
/// Cache points and a guardrail change nothing about the count.
pub(super) fn count_tokens(body: &[u8]) -> Result<u64, AwsError> {
    let mut body = json(body)?;
    let input = body.get_mut("input").map(Value::take).unwrap_or_default();
    match input {
        Value::Object(mut members) if members.len() == 1 => {
            if let Some(request) = members.remove("converse") {
                let conversation = shaped::<Conversation>(request, "input.converse.")?;
                check_grammar(&conversation)?;
                return Ok(tokens::count_conversation(&conversation));
            }
            if let Some(request) = members.get("invokeModel") {
                return count_native(request);
            }
            Err(one_input())
        }
        _ => Err(one_input()),
    }
}

fn one_input() -> AwsError {
    AwsError::validation(
        "1 validation error detected: Value at 'input' failed to satisfy constraint: Member must \
         be exactly one of: [invokeModel, converse]",
    )
}

/// Counts a body of `InvokeModel`, base64 within JSON: every text in it, whatever the model's form.
fn count_native(request: &Value) -> Result<u64, AwsError> {
    let malformed = || AwsError::validation("Malformed input request, please reformat your input and try again.");
    let encoded = request.get("body").and_then(Value::as_str).ok_or_else(malformed)?;
    let decoded = aws_smithy_types::base64::decode(encoded).map_err(|_| malformed())?;
    let body: Value = serde_json::from_slice(&decoded).map_err(|_| malformed())?;
    Ok(count_texts(&body))
}

fn count_texts(value: &Value) -> u64 {
    match value {
        Value::String(text) => tokens::count(text),
        Value::Array(items) => items.iter().map(count_texts).sum(),
        Value::Object(members) => members
            .iter()
            .filter(|(name, _)| !matches!(name.as_str(), "anthropic_version" | "role" | "type"))
            .map(|(_, member)| count_texts(member))
            .sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

/// Parses `body` whole first: a lone surrogate is refused wherever it is, in ignored members too.
pub(super) fn json(body: &[u8]) -> Result<Value, AwsError> {
    serde_json::from_slice(body)
        .map_err(|error| AwsError::validation(format!("The request body is not valid JSON: {error}")))
}

/// A request's value as what it should be; `under` is where it is, with a dot at its end.
pub(super) fn shaped<T: for<'de> Deserialize<'de>>(value: Value, under: &str) -> Result<T, AwsError> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let place = format!("{under}{}", place(error.path()));
        AwsError::validation(format!(
            "1 validation error detected: Value at '{}' failed to satisfy constraint: {}",
            place.trim_end_matches('.'),
            error.inner()
        ))
    })
}

/// A path as Bedrock writes it, with dots before indices too.
fn place(path: &serde_path_to_error::Path) -> String {
    path.to_string().replace('[', ".").replace(']', "")
}

fn check_inference(inference: &InferenceConfig, model: &ModelId) -> Result<(), AwsError> {
    if let Some(most) = inference.max_tokens {
        if most < 1 {
            return Err(out_of_bounds(most, "inferenceConfig.maxTokens", "have value greater than or equal to 1"));
        }
        if let Some(limit) = model.output_limit().filter(|limit| most > *limit) {
            return Err(AwsError::validation(format!(
                "The maximum tokens you requested exceeds the model limit of {limit}. Try again \
                 with a maximum tokens value that is lower than {limit}."
            )));
        }
    }
    check_share(inference.temperature, "inferenceConfig.temperature")?;
    check_share(inference.top_p, "inferenceConfig.topP")?;
    if inference.stop_sequences.len() > MOST_STOP_SEQUENCES {
        return Err(out_of_bounds(
            inference.stop_sequences.len(),
            "inferenceConfig.stopSequences",
            "have length less than or equal to 2500",
        ));
    }
    if inference.stop_sequences.iter().any(String::is_empty) {
        return Err(out_of_bounds("", "inferenceConfig.stopSequences", "have length greater than or equal to 1"));
    }
    Ok(())
}

fn check_share(share: Option<f64>, place: &str) -> Result<(), AwsError> {
    match share {
        Some(share) if share < 0.0 => Err(out_of_bounds(share, place, "have value greater than or equal to 0")),
        Some(share) if share > 1.0 => Err(out_of_bounds(share, place, "have value less than or equal to 1")),
        _ => Ok(()),
    }
}

fn check_grammar(conversation: &Conversation) -> Result<(), AwsError> {
    check_system(&conversation.system)?;
    if conversation.messages.first().map(|message| message.role) != Some(Role::User) {
        return Err(AwsError::validation(
            "A conversation must start with a user message. Try again with a conversation that \
             starts with a user message.",
        ));
    }
    for (at, message) in conversation.messages.iter().enumerate() {
        check_content(message, at)?;
    }
    let alternates = conversation.messages.windows(2).all(|pair| pair[0].role != pair[1].role);
    if !alternates {
        return Err(AwsError::validation(
            "A conversation must alternate between user and assistant roles. Make sure the \
             conversation alternates between user and assistant roles and try again.",
        ));
    }
    media::check(conversation)?;
    check_tools(conversation)?;
    check_tool_rounds(&conversation.messages)
}

fn check_system(system: &[SystemBlock]) -> Result<(), AwsError> {
    let blank = system.iter().position(|block| matches!(block, SystemBlock::Text(text) if text.trim().is_empty()));
    match blank {
        Some(at) => Err(AwsError::validation(format!(
            "The text field in the SystemContentBlock object at system.{at} is blank. Add text to \
             the text field, and try again."
        ))),
        None => Ok(()),
    }
}

fn check_content(message: &Message, at: usize) -> Result<(), AwsError> {
    if message.content.is_empty() {
        return Err(AwsError::validation(format!(
            "The content field in the Message object at messages.{at} is empty. Add a ContentBlock \
             object to the content field and try again."
        )));
    }
    for (index, block) in message.content.iter().enumerate() {
        let place = format!("messages.{at}.content.{index}");
        match block {
            ContentBlock::Text(text) if text.trim().is_empty() => {
                return Err(AwsError::validation(format!(
                    "The text field in the ContentBlock object at {place} is blank. Add text to \
                     the text field, and try again."
                )));
            }
            ContentBlock::ToolUse(call) => {
                require_role(message.role, Role::Assistant, "toolUse", &place)?;
                check_name(&call.name, &format!("{place}.toolUse.name"), "_-")?;
                check_name(&call.tool_use_id, &format!("{place}.toolUse.toolUseId"), "_.:-")?;
                if !call.input.is_object() {
                    return Err(AwsError::validation(format!(
                        "The format of the value at {place}.toolUse.input is invalid. Provide a \
                         json object for the field and try again."
                    )));
                }
            }
            ContentBlock::ToolResult(result) => {
                require_role(message.role, Role::User, "toolResult", &place)?;
                if result.content.is_empty() && result.status == Some(ToolResultStatus::Error) {
                    return Err(AwsError::validation(format!(
                        "The content field at {place}.toolResult cannot be empty when status value \
                         is error."
                    )));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn check_name(name: &str, place: &str, marks: &str) -> Result<(), AwsError> {
    let in_bounds = (1..=LONGEST_NAME).contains(&name.len());
    let allowed = name.chars().all(|character| character.is_ascii_alphanumeric() || marks.contains(character));
    if in_bounds && allowed {
        return Ok(());
    }
    Err(out_of_bounds(
        name,
        place,
        &format!(
            "have length between 1 and {LONGEST_NAME} and satisfy regular expression pattern: \
             [a-zA-Z0-9{marks}]+"
        ),
    ))
}

fn check_tools(conversation: &Conversation) -> Result<(), AwsError> {
    let uses_tools = conversation
        .messages
        .iter()
        .any(|message| message.tool_uses().next().is_some() || message.tool_results().next().is_some());
    match &conversation.tool_config {
        Some(config) => check_tool_config(config),
        None if uses_tools => Err(AwsError::validation(
            "The toolConfig field must be defined when using toolUse and toolResult content blocks.",
        )),
        None => Ok(()),
    }
}

fn check_tool_config(config: &ToolConfig) -> Result<(), AwsError> {
    if config.tools.is_empty() {
        return Err(out_of_bounds("[]", "toolConfig.tools", "have length greater than or equal to 1"));
    }
    let mut names = BTreeSet::new();
    for (at, specification) in config.tools.iter().map(Tool::specification).enumerate() {
        let Some(specification) = specification else {
            continue;
        };
        let place = format!("toolConfig.tools.{at}.toolSpec");
        check_name(&specification.name, &format!("{place}.name"), "_-")?;
        if let Some(blank) = specification.description.as_deref().filter(|description| description.trim().is_empty()) {
            let bound = "have length greater than or equal to 1";
            return Err(out_of_bounds(blank, &format!("{place}.description"), bound));
        }
        if !names.insert(specification.name.as_str()) {
            return Err(AwsError::validation(format!(
                "The tool {} is already defined at {place}. Give each tool a name of its own and \
                 try again.",
                specification.name
            )));
        }
        if specification.input_schema.json.get("type").and_then(Value::as_str) != Some("object") {
            return Err(AwsError::validation(format!(
                "The value at {place}.inputSchema.json.type must be one of the following: object."
            )));
        }
    }
    match &config.tool_choice {
        Some(ToolChoice::Tool { name }) if !names.contains(name.as_str()) => Err(AwsError::validation(format!(
            "The tool {name} at toolConfig.toolChoice.tool.name is not defined in toolConfig.tools. Choose a tool \
             that is defined there and try again."
        ))),
        _ => Ok(()),
    }
}

/// The last message may be the assistant's, to be gone on from, where the model does that.
fn check_prefill(conversation: &Conversation, model: &ModelId) -> Result<(), AwsError> {
    let Some(last) = conversation.messages.last().filter(|last| last.role == Role::Assistant) else {
        return Ok(());
    };
    if !model.takes_prefill() {
        return Err(AwsError::validation(
            "This model does not support assistant message prefill. The conversation must end with a user message.",
        ));
    }
    match last.content.last() {
        Some(ContentBlock::Text(text)) if text.ends_with(char::is_whitespace) => Err(AwsError::validation(
            "The model returned the following errors: messages: final assistant content cannot end with \
             trailing whitespace",
        )),
        _ => Ok(()),
    }
}

/// Every tool call is answered in the next message, and nothing else is.
fn check_tool_rounds(messages: &[Message]) -> Result<(), AwsError> {
    let mut called: Vec<&str> = Vec::new();
    for (at, message) in messages.iter().enumerate() {
        let answered: Vec<&str> = message.tool_results().map(|result| result.tool_use_id.as_str()).collect();
        if message.role == Role::User {
            check_answers(&called, &answered, at)?;
        }
        called = message.tool_uses().map(|call| call.tool_use_id.as_str()).collect();
        if let Some(twice) = first_duplicate(&called) {
            return Err(AwsError::validation(format!(
                "The toolUse blocks at messages.{at}.content contain duplicate Ids: {twice}"
            )));
        }
    }
    check_answers(&called, &[], messages.len())
}

fn check_answers(called: &[&str], answered: &[&str], at: usize) -> Result<(), AwsError> {
    if answered.len() > called.len() {
        return Err(AwsError::validation(format!(
            "The number of toolResult blocks at messages.{at}.content exceeds the number of toolUse \
             blocks of previous turn."
        )));
    }
    let missing: Vec<&str> = called.iter().copied().filter(|id| !answered.contains(id)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(AwsError::validation(format!(
        "Expected toolResult blocks at messages.{at}.content for the following Ids: {}",
        missing.join(", ")
    )))
}

fn first_duplicate<'a>(ids: &[&'a str]) -> Option<&'a str> {
    let mut seen = BTreeSet::new();
    ids.iter().copied().find(|id| !seen.insert(*id))
}
