//! A server's tool as an agent's own, and what its results become.

use std::sync::Arc;
use std::time::Duration;

use agentcore_core::message::{Document, DocumentFormat, Image, ImageFormat, MediaSource, ToolResultContent};
use agentcore_core::tool::{Tool, ToolCall, ToolFailure, ToolOutput, ToolSource, ToolSpec};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use futures::future::BoxFuture;
use rmcp::model::{CallToolResult, ContentBlock, ResourceContents};
use serde_json::Value;

use crate::connection::ConnectionError;
use crate::server::{Listed, McpServer};

/// A tool of a server.
struct McpTool {
    server: McpServer,
    spec: ToolSpec,
    /// What the server knows it by.
    own_name: String,
}

// === impl McpServer ===

impl McpServer {
    /// Its tools, for [`agentcore_core::turn::TurnRequest::tool_source`].
    pub fn source(&self) -> Arc<dyn ToolSource> {
        Arc::new(self.clone())
    }
}

impl ToolSource for McpServer {
    fn tools(&self) -> BoxFuture<'_, Vec<Arc<dyn Tool>>> {
        let tool =
            |Listed { spec, own_name }| -> Arc<dyn Tool> { Arc::new(McpTool { server: self.clone(), spec, own_name }) };
        Box::pin(async move { self.listed().await.into_iter().map(tool).collect() })
    }
}

// === impl McpTool ===

impl McpTool {
    async fn perform(&self, call: ToolCall) -> Result<ToolOutput, ToolFailure> {
        let Value::Object(arguments) = call.input.clone() else {
            return Err(ToolFailure::InvalidInput("The arguments must be a JSON object.".to_owned()));
        };
        let connection = self.server.connection(call.time_left()).await.map_err(|error| self.failure(&error))?;
        let within = self.server.call_time().min(call.time_left());
        let result = match connection.call(&self.own_name, arguments, &call, within).await {
            Ok(result) => result,
            Err(error) => {
                if matches!(error, ConnectionError::Lost(_)) {
                    self.server.broke(&connection).await;
                }
                return Err(self.failure(&error));
            }
        };
        told(result)
    }

    /// What the model is told; the log has the rest.
    fn failure(&self, error: &ConnectionError) -> ToolFailure {
        tracing::warn!(server = self.server.name(), tool = self.own_name, error = %error, "an MCP call failed");
        let sentence = match error {
            ConnectionError::Lost(_) => "The server of this tool cannot be reached just now.".to_owned(),
            ConnectionError::Refused(reason) => format!("The tool refuses: {reason}"),
            ConnectionError::Silent(_) => "The server of this tool did not answer in time.".to_owned(),
        };
        ToolFailure::Failed(sentence)
    }
}

impl Tool for McpTool {
    fn spec(&self) -> ToolSpec {
        self.spec.clone()
    }

    fn call(&self, call: ToolCall) -> BoxFuture<'_, Result<ToolOutput, ToolFailure>> {
        Box::pin(self.perform(call))
    }

    /// A moment more than the call itself, so that its own error is told.
    fn timeout(&self) -> Duration {
        self.server.call_time() + Duration::from_secs(1)
    }
}

/// The result as the model reads it: what is structured as JSON, unless the content has more to show than words.
fn told(result: CallToolResult) -> Result<ToolOutput, ToolFailure> {
    let only_words = result.content.iter().all(|block| matches!(block, ContentBlock::Text(_)));
    let content = match result.structured_content {
        Some(structured) if only_words => vec![ToolResultContent::Json(structured)],
        _ => result.content.into_iter().map(part).collect::<Vec<_>>(),
    };
    if result.is_error == Some(true) {
        let words = content.iter().map(|part| match part {
            ToolResultContent::Text(text) => text.clone(),
            ToolResultContent::Json(value) => value.to_string(),
            _ => String::new(),
        });
        return Err(ToolFailure::Failed(words.collect::<Vec<_>>().join("\n")));
    }
    Ok(content.into())
}

fn part(block: ContentBlock) -> ToolResultContent {
    match block {
        ContentBlock::Text(text) => ToolResultContent::Text(text.text),
        ContentBlock::Image(image) => picture(&image.mime_type, &image.data)
            .unwrap_or_else(|| ToolResultContent::Text(format!("[An image of the kind {}.]", image.mime_type))),
        ContentBlock::Audio(audio) => {
            ToolResultContent::Text(format!("[A recording of the kind {}.]", audio.mime_type))
        }
        ContentBlock::Resource(embedded) => resource(embedded.resource),
        ContentBlock::ResourceLink(link) => {
            ToolResultContent::Text(format!("[A resource: {} at {}]", link.name, link.uri))
        }
        _ => ToolResultContent::Text("[Something of a kind that is not known here.]".to_owned()),
    }
}

fn resource(resource: ResourceContents) -> ToolResultContent {
    match resource {
        ResourceContents::TextResourceContents { text, .. } => ToolResultContent::Text(text),
        ResourceContents::BlobResourceContents { uri, mime_type, blob, .. } => {
            let kind = mime_type.unwrap_or_default();
            let shown = picture(&kind, &blob).or_else(|| document(&kind, &blob));
            shown.unwrap_or_else(|| ToolResultContent::Text(format!("[A file of the kind {kind}: {uri}]")))
        }
        _ => ToolResultContent::Text("[A resource of a kind that is not known here.]".to_owned()),
    }
}

fn picture(kind: &str, base64: &str) -> Option<ToolResultContent> {
    let format = match kind {
        "image/png" => ImageFormat::Png,
        "image/jpeg" => ImageFormat::Jpeg,
        "image/gif" => ImageFormat::Gif,
        "image/webp" => ImageFormat::Webp,
        _ => return None,
    };
    Some(ToolResultContent::Image(Image { format, source: bytes(base64)? }))
}

fn document(kind: &str, base64: &str) -> Option<ToolResultContent> {
    let format = match kind {
        "application/pdf" => DocumentFormat::Pdf,
        "text/csv" => DocumentFormat::Csv,
        "text/html" => DocumentFormat::Html,
        "text/markdown" => DocumentFormat::Md,
        "text/plain" => DocumentFormat::Txt,
        _ => return None,
    };
    Some(ToolResultContent::Document(Document { format, name: "resource".to_owned(), source: bytes(base64)? }))
}

fn bytes(base64: &str) -> Option<MediaSource> {
    BASE64_STANDARD.decode(base64).ok().map(|bytes| MediaSource::Bytes(bytes.into()))
}
