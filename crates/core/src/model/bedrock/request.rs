//! What is asked, in the SDK's types.

use aws_sdk_bedrockruntime::error::BuildError;
use aws_sdk_bedrockruntime::primitives::Blob;
use aws_sdk_bedrockruntime::types as sdk;

use super::cache::CachePlan;
use crate::aws::document;
use crate::message::ToolSpec;
use crate::message::{
    ContentBlock, Document, DocumentFormat, Image, ImageFormat, MediaSource, Message, Role, ToolResult,
    ToolResultContent, ToolResultStatus, ToolUse,
};
use crate::model::{ModelError, ModelParameters, ModelRequest, ToolChoice};

/// A request as Converse, ConverseStream and CountTokens share it.
pub(super) struct Asking {
    pub(super) system: Option<Vec<sdk::SystemContentBlock>>,
    pub(super) messages: Vec<sdk::Message>,
    pub(super) inference: sdk::InferenceConfiguration,
    pub(super) tools: Option<sdk::ToolConfiguration>,
}

// === impl Asking ===

impl Asking {
    pub(super) fn new(request: &ModelRequest, cache: &CachePlan) -> Result<Self, ModelError> {
        Ok(Self {
            system: system(&request.system, cache)?,
            messages: messages(request, cache)?,
            inference: inference(&request.parameters),
            tools: tools(request, cache)?,
        })
    }
}

fn system(prompt: &str, cache: &CachePlan) -> Result<Option<Vec<sdk::SystemContentBlock>>, ModelError> {
    if prompt.is_empty() {
        return Ok(None);
    }
    let mut blocks = vec![sdk::SystemContentBlock::Text(prompt.to_owned())];
    if cache.system {
        blocks.push(sdk::SystemContentBlock::CachePoint(cache_point()?));
    }
    Ok(Some(blocks))
}

fn messages(request: &ModelRequest, cache: &CachePlan) -> Result<Vec<sdk::Message>, ModelError> {
    let earlier = request.history.iter().flat_map(|turn| turn.messages());
    let all = earlier.chain(&request.messages).enumerate();
    all.map(|(place, message)| message_to(message, cache.messages.contains(&Some(place)))).collect()
}

fn message_to(message: &Message, cached: bool) -> Result<sdk::Message, ModelError> {
    let role = match message.role {
        Role::User => sdk::ConversationRole::User,
        Role::Assistant => sdk::ConversationRole::Assistant,
    };
    let mut content = message.content.iter().map(block_to).collect::<Result<Vec<_>, _>>()?;
    if cached {
        content.push(sdk::ContentBlock::CachePoint(cache_point()?));
    }
    built(sdk::Message::builder().role(role).set_content(Some(content)).build())
}

fn cache_point() -> Result<sdk::CachePointBlock, ModelError> {
    built(sdk::CachePointBlock::builder().r#type(sdk::CachePointType::Default).build())
}

fn block_to(block: &ContentBlock) -> Result<sdk::ContentBlock, ModelError> {
    Ok(match block {
        ContentBlock::Text(text) => sdk::ContentBlock::Text(text.clone()),
        ContentBlock::Image(image) => sdk::ContentBlock::Image(image_to(image)?),
        ContentBlock::Document(document) => sdk::ContentBlock::Document(document_to(document)?),
        ContentBlock::ToolUse(call) => sdk::ContentBlock::ToolUse(call_to(call)?),
        ContentBlock::ToolResult(result) => sdk::ContentBlock::ToolResult(result_to(result)?),
    })
}

fn call_to(call: &ToolUse) -> Result<sdk::ToolUseBlock, ModelError> {
    let input = document(call.input.clone());
    built(sdk::ToolUseBlock::builder().tool_use_id(&call.tool_use_id).name(&call.name).input(input).build())
}

fn result_to(result: &ToolResult) -> Result<sdk::ToolResultBlock, ModelError> {
    let content = result.content.iter().map(part_to).collect::<Result<_, _>>()?;
    let status = match result.status {
        ToolResultStatus::Success => sdk::ToolResultStatus::Success,
        ToolResultStatus::Error => sdk::ToolResultStatus::Error,
    };
    built(
        sdk::ToolResultBlock::builder()
            .tool_use_id(&result.tool_use_id)
            .set_content(Some(content))
            .status(status)
            .build(),
    )
}

fn part_to(part: &ToolResultContent) -> Result<sdk::ToolResultContentBlock, ModelError> {
    Ok(match part {
        ToolResultContent::Text(text) => sdk::ToolResultContentBlock::Text(text.clone()),
        ToolResultContent::Json(value) => sdk::ToolResultContentBlock::Json(document(value.clone())),
        ToolResultContent::Image(image) => sdk::ToolResultContentBlock::Image(image_to(image)?),
        ToolResultContent::Document(document) => sdk::ToolResultContentBlock::Document(document_to(document)?),
    })
}

fn image_to(image: &Image) -> Result<sdk::ImageBlock, ModelError> {
    let format = match image.format {
        ImageFormat::Png => sdk::ImageFormat::Png,
        ImageFormat::Jpeg => sdk::ImageFormat::Jpeg,
        ImageFormat::Gif => sdk::ImageFormat::Gif,
        ImageFormat::Webp => sdk::ImageFormat::Webp,
    };
    let source = match &image.source {
        MediaSource::Bytes(bytes) => sdk::ImageSource::Bytes(Blob::new(&bytes[..])),
        MediaSource::S3Location { uri, bucket_owner } => {
            sdk::ImageSource::S3Location(s3_to(uri, bucket_owner.as_ref())?)
        }
    };
    built(sdk::ImageBlock::builder().format(format).source(source).build())
}

fn document_to(document: &Document) -> Result<sdk::DocumentBlock, ModelError> {
    let source = match &document.source {
        MediaSource::Bytes(bytes) => sdk::DocumentSource::Bytes(Blob::new(&bytes[..])),
        MediaSource::S3Location { uri, bucket_owner } => {
            sdk::DocumentSource::S3Location(s3_to(uri, bucket_owner.as_ref())?)
        }
    };
    let format = document_format_to(document.format);
    built(sdk::DocumentBlock::builder().format(format).name(&document.name).source(source).build())
}

fn document_format_to(format: DocumentFormat) -> sdk::DocumentFormat {
    match format {
        DocumentFormat::Pdf => sdk::DocumentFormat::Pdf,
        DocumentFormat::Csv => sdk::DocumentFormat::Csv,
        DocumentFormat::Doc => sdk::DocumentFormat::Doc,
        DocumentFormat::Docx => sdk::DocumentFormat::Docx,
        DocumentFormat::Xls => sdk::DocumentFormat::Xls,
        DocumentFormat::Xlsx => sdk::DocumentFormat::Xlsx,
        DocumentFormat::Html => sdk::DocumentFormat::Html,
        DocumentFormat::Txt => sdk::DocumentFormat::Txt,
        DocumentFormat::Md => sdk::DocumentFormat::Md,
    }
}

fn s3_to(uri: &str, bucket_owner: Option<&String>) -> Result<sdk::S3Location, ModelError> {
    built(sdk::S3Location::builder().uri(uri).set_bucket_owner(bucket_owner.cloned()).build())
}

fn inference(parameters: &ModelParameters) -> sdk::InferenceConfiguration {
    let stop = &parameters.stop_sequences;
    sdk::InferenceConfiguration::builder()
        .max_tokens(i32::try_from(parameters.max_tokens).unwrap_or(i32::MAX))
        .set_temperature(parameters.temperature)
        .set_stop_sequences((!stop.is_empty()).then(|| stop.clone()))
        .build()
}

fn tools(request: &ModelRequest, cache: &CachePlan) -> Result<Option<sdk::ToolConfiguration>, ModelError> {
    if request.tools.is_empty() {
        return Ok(None);
    }
    let mut tools = request.tools.iter().map(tool_to).collect::<Result<Vec<_>, _>>()?;
    if cache.tools {
        tools.push(sdk::Tool::CachePoint(cache_point()?));
    }
    let choice = choice_to(&request.tool_choice)?;
    built(sdk::ToolConfiguration::builder().set_tools(Some(tools)).set_tool_choice(choice).build()).map(Some)
}

/// None where the model may choose: that is the default, and some models refuse to be told so.
fn choice_to(choice: &ToolChoice) -> Result<Option<sdk::ToolChoice>, ModelError> {
    Ok(match choice {
        ToolChoice::Auto => None,
        ToolChoice::Any => Some(sdk::ToolChoice::Any(sdk::AnyToolChoice::builder().build())),
        ToolChoice::Tool(name) => {
            Some(sdk::ToolChoice::Tool(built(sdk::SpecificToolChoice::builder().name(name).build())?))
        }
    })
}

fn tool_to(spec: &ToolSpec) -> Result<sdk::Tool, ModelError> {
    let schema = sdk::ToolInputSchema::Json(document(spec.input_schema.clone()));
    let specification =
        sdk::ToolSpecification::builder().name(&spec.name).description(&spec.description).input_schema(schema).build();
    Ok(sdk::Tool::ToolSpec(built(specification)?))
}

/// The SDK's builders check that required members are set, which they always are here.
fn built<T>(result: Result<T, BuildError>) -> Result<T, ModelError> {
    result.map_err(|error| ModelError::InvalidRequest { model: "the request".into(), reason: error.to_string() })
}
