//! The tools that an agent offers beside itself: called as they are, without a turn.

use std::sync::Arc;

use agentcore_core::message::{Document, Image, ImageFormat, MediaSource, ToolResultContent};
use agentcore_core::tool::{Tool, ToolFailure, ToolOutput, ToolSpec};
use agentcore_core::turn::CallFailure;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rmcp::model::{self as mcp, CallToolResult, ContentBlock};
use serde_json::Value;

use super::tool::input_schema;

/// What is offered, each as a client is told about it. Clones are the same.
#[derive(Clone)]
pub(super) struct Offered(Arc<[(mcp::Tool, Arc<dyn Tool>)]>);

// === impl Offered ===

impl Offered {
    /// # Panics
    /// When one has the agent's name, or two have the same: no client could tell them apart.
    pub(super) fn new(agent: &str, tools: Vec<Arc<dyn Tool>>) -> Self {
        let mut offered: Vec<(mcp::Tool, Arc<dyn Tool>)> = Vec::with_capacity(tools.len());
        for tool in tools {
            let ToolSpec { name, description, input_schema: schema } = tool.spec();
            let is_taken = name == agent || offered.iter().any(|(known, _)| known.name == name);
            assert!(!is_taken, "two tools are called {name}; give one of them another name");
            let told = mcp::Tool::new_with_raw(name, Some(description.into()), input_schema(schema));
            offered.push((told, tool));
        }
        Self(offered.into())
    }

    /// How clients are told about them.
    pub(super) fn told(&self) -> impl Iterator<Item = &mcp::Tool> {
        self.0.iter().map(|(told, _)| told)
    }

    pub(super) fn find(&self, name: &str) -> Option<&Arc<dyn Tool>> {
        self.0.iter().find(|(told, _)| told.name == name).map(|(_, tool)| tool)
    }
}

/// What a call came to, as MCP tells it.
pub(super) fn result(called: Result<ToolOutput, CallFailure>) -> CallToolResult {
    match called {
        Ok(output) => worked(output),
        Err(failure) => CallToolResult::error(vec![ContentBlock::text(reason(failure))]),
    }
}

/// One JSON object is the structured content, which is repeated in words for clients that do not read it.
fn worked(output: ToolOutput) -> CallToolResult {
    let mut objects = output.content.iter().filter_map(|content| match content {
        ToolResultContent::Json(value @ Value::Object(_)) => Some(value.clone()),
        _ => None,
    });
    let structured = objects.next().filter(|_| objects.next().is_none());
    let mut result = CallToolResult::success(output.content.into_iter().map(block).collect());
    result.structured_content = structured;
    result
}

fn block(content: ToolResultContent) -> ContentBlock {
    match content {
        ToolResultContent::Text(text) => ContentBlock::text(text),
        ToolResultContent::Json(value) => ContentBlock::text(value.to_string()),
        ToolResultContent::Image(image) => picture(image),
        ToolResultContent::Document(document) => ContentBlock::text(file(document)),
    }
}

fn picture(Image { format, source }: Image) -> ContentBlock {
    let media_type = match format {
        ImageFormat::Png => "image/png",
        ImageFormat::Jpeg => "image/jpeg",
        ImageFormat::Gif => "image/gif",
        ImageFormat::Webp => "image/webp",
    };
    match source {
        MediaSource::Bytes(bytes) => ContentBlock::image(BASE64_STANDARD.encode(bytes), media_type),
        MediaSource::S3Location { uri, .. } => ContentBlock::text(format!("A picture at {uri}.")),
    }
}

/// Files are for models that Bedrock reads them to; who calls a tool is told what there is.
fn file(Document { name, source, .. }: Document) -> String {
    match source {
        MediaSource::Bytes(bytes) => format!("A file, {name}, of {} bytes.", bytes.len()),
        MediaSource::S3Location { uri, .. } => format!("A file, {name}, at {uri}."),
    }
}

/// Why there is no result, for whoever called.
fn reason(failure: CallFailure) -> String {
    match failure {
        CallFailure::Tool(ToolFailure::Ask(question)) => {
            format!("A person must answer first, and nobody can here: {}", question.question)
        }
        CallFailure::Tool(failure) => failure.to_string(),
        CallFailure::TimedOut(bound) => format!("The tool gave no result within {} s.", bound.as_secs_f32()),
        CallFailure::Panicked => "The tool failed unexpectedly.".to_owned(),
    }
}
