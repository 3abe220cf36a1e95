//! Claude through Bedrock's Converse and ConverseStream.
//!
//! The only file that knows the SDK's types for models: it translates what is asked, what is answered
//! and how it fails, and bounds how long a silent model is waited for.

use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_bedrockruntime::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_bedrockruntime::operation::converse_stream::ConverseStreamOutput as StreamOutput;
use aws_sdk_bedrockruntime::types as sdk;
use aws_sdk_bedrockruntime::types::error::ConverseStreamOutputError as StreamFailure;
use aws_sdk_bedrockruntime::{Client, Config};
use aws_smithy_runtime_api::http::Response as HttpResponse;
use aws_smithy_types::retry::RetryConfig;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt as _};
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout, timeout_at};

use super::{
    BlockDelta, BlockStart, Metrics, Model, ModelAnswer, ModelError, ModelEvent, ModelEvents, ModelParameters,
    ModelRequest,
};
use crate::aws::{Aws, document, json};
use crate::message::{
    ContentBlock, Message, Role, StopReason, ToolResult, ToolResultContent, ToolResultStatus, ToolUse, Usage,
};
use crate::model::residency::ModelId;
use crate::settings::{ModelSettings, Patience};
use crate::tool::ToolSpec;

/// One model or inference profile of Bedrock.
#[derive(Debug)]
pub struct Bedrock {
    model_id: ModelId,
    patience: Patience,
    aws: Arc<Aws>,
    client: OnceCell<Client>,
}

/// Where an error happened, for its advice.
#[derive(Debug, Clone)]
struct Asked {
    model: String,
    region: String,
}

// === impl Bedrock ===

impl Bedrock {
    /// The model of `settings`. Nothing is connected yet.
    pub fn new(settings: &ModelSettings, aws: Arc<Aws>) -> Self {
        Self::of(&settings.model_id, settings, aws)
    }

    /// Another model than that of `settings`, asked with the same patience.
    pub fn of(model_id: &ModelId, settings: &ModelSettings, aws: Arc<Aws>) -> Self {
        Self { model_id: model_id.clone(), patience: settings.patience, aws, client: OnceCell::new() }
    }

    async fn client(&self) -> &Client {
        self.client.get_or_init(|| async { Client::from_conf(self.configured().await) }).await
    }

    /// A call is made once: [`super::resilient`] tries again, with the whole answer in view.
    async fn configured(&self) -> Config {
        let shared = self.aws.config().await;
        aws_sdk_bedrockruntime::config::Builder::from(shared).retry_config(RetryConfig::disabled()).build()
    }

    fn asked(&self) -> Asked {
        Asked { model: self.model_id.to_string(), region: self.aws.region().to_owned() }
    }

    async fn ask(&self, request: &ModelRequest) -> Result<ModelAnswer, ModelError> {
        let call = self
            .client()
            .await
            .converse()
            .model_id(self.model_id.as_str())
            .set_system(system(&request.system))
            .set_messages(Some(messages(request)?))
            .inference_config(inference(&request.parameters))
            .set_tool_config(tools(&request.tools)?);
        let patience = self.patience.whole_answer;
        let output = timeout(patience, call.send())
            .await
            .map_err(|_| silent("the answer", patience, Patience::WHOLE_ANSWER))?
            .map_err(|error| self.asked().failed(&error))?;
        let message = match output.output {
            Some(sdk::ConverseOutput::Message(message)) => message_from(message),
            _ => {
                return Err(ModelError::BrokenStream { reason: "the answer holds no message".into() });
            }
        };
        Ok(ModelAnswer {
            message,
            stop_reason: output.stop_reason.as_str().into(),
            usage: output.usage.as_ref().map(usage_from).unwrap_or_default(),
            guardrail: None,
            served: None,
        })
    }

    async fn ask_streaming(&self, request: &ModelRequest) -> Result<ModelEvents, ModelError> {
        let call = self
            .client()
            .await
            .converse_stream()
            .model_id(self.model_id.as_str())
            .set_system(system(&request.system))
            .set_messages(Some(messages(request)?))
            .inference_config(inference(&request.parameters))
            .set_tool_config(tools(&request.tools)?);
        let patience = self.patience;
        let first_due = Instant::now() + patience.first_token;
        let output = timeout_at(first_due, call.send())
            .await
            .map_err(|_| silent("the first token", patience.first_token, Patience::FIRST_TOKEN))?
            .map_err(|error| self.asked().failed(&error))?;
        let reading = Reading { output, asked: self.asked(), patience, first_due: Some(first_due), over: false };
        Ok(stream::unfold(reading, Reading::next).boxed())
    }
}

impl Model for Bedrock {
    fn converse<'a>(&'a self, request: &'a ModelRequest) -> BoxFuture<'a, Result<ModelAnswer, ModelError>> {
        Box::pin(self.ask(request))
    }

    fn converse_stream<'a>(&'a self, request: &'a ModelRequest) -> BoxFuture<'a, Result<ModelEvents, ModelError>> {
        Box::pin(self.ask_streaming(request))
    }
}

// === impl Reading ===

/// A streamed answer while it is read.
struct Reading {
    output: StreamOutput,
    asked: Asked,
    patience: Patience,
    /// When the first event must have come; none once it has.
    first_due: Option<Instant>,
    over: bool,
}

impl Reading {
    /// The next event that means something to a turn.
    async fn next(mut self) -> Option<(Result<ModelEvent, ModelError>, Self)> {
        while !self.over {
            match self.receive().await {
                Ok(Some(event)) => {
                    if let Some(event) = event_from(event) {
                        return Some((Ok(event), self));
                    }
                }
                Ok(None) => return None,
                Err(error) => {
                    self.over = true;
                    return Some((Err(error), self));
                }
            }
        }
        None
    }

    async fn receive(&mut self) -> Result<Option<sdk::ConverseStreamOutput>, ModelError> {
        let (due, error) = match self.first_due.take() {
            Some(due) => (due, silent("the first token", self.patience.first_token, Patience::FIRST_TOKEN)),
            None => (
                Instant::now() + self.patience.token_gap,
                silent("the next token", self.patience.token_gap, Patience::TOKEN_GAP),
            ),
        };
        match timeout_at(due, self.output.stream.recv()).await {
            Ok(Ok(event)) => Ok(event),
            Ok(Err(failure)) => Err(self.asked.broke_off(&failure)),
            Err(_) => Err(error),
        }
    }
}

fn silent(waiting_for: &'static str, waited: Duration, variable: &'static str) -> ModelError {
    ModelError::Silent { waiting_for, waited, variable }
}

// === impl Asked ===

impl Asked {
    /// A call that was never answered, or was answered with a refusal.
    fn failed<E>(&self, error: &SdkError<E, HttpResponse>) -> ModelError
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        match error {
            SdkError::ServiceError(refusal) => {
                let wait = refusal.raw().headers().get("retry-after").and_then(|value| value.parse().ok());
                self.refused(refusal.err().code(), reason(refusal.err()), wait)
            }
            SdkError::ResponseError(_) => ModelError::BrokenStream { reason: innermost(error) },
            other if is_about_credentials(other) => ModelError::NoCredentials { reason: innermost(error) },
            _ => ModelError::Unreachable { reason: innermost(error) },
        }
    }

    /// An answer that broke off in the middle.
    fn broke_off<R: std::fmt::Debug + 'static>(&self, error: &SdkError<StreamFailure, R>) -> ModelError {
        match error {
            SdkError::ServiceError(refusal) => self.refused(name_in_stream(refusal.err()), reason(refusal.err()), None),
            _ => ModelError::BrokenStream { reason: innermost(error) },
        }
    }

    /// Sorts a refusal by Bedrock's name for it and, where that says too little, by its sentence.
    fn refused(&self, code: Option<&str>, reason: String, retry_after: Option<u64>) -> ModelError {
        let model = self.model.clone();
        let says = |part: &str| reason.to_ascii_lowercase().contains(part);
        match code.unwrap_or_default() {
            "ThrottlingException" | "TooManyRequestsException" | "ServiceQuotaExceededException" => {
                ModelError::Throttled { model, retry_after }
            }
            "ResourceNotFoundException" | "ValidationException" if says("end of its life") || says("legacy") => {
                ModelError::RetiredModel { model, reason }
            }
            "ResourceNotFoundException" => ModelError::UnknownModel { model, region: self.region.clone(), reason },
            "ValidationException" if says("model identifier") || says("on-demand throughput") => {
                ModelError::UnknownModel { model, region: self.region.clone(), reason }
            }
            "ValidationException" if says("too long") || says("tokens exceed") || says("context") => {
                ModelError::ContextTooLong { model }
            }
            "ValidationException" => ModelError::InvalidRequest { model, reason },
            "AccessDeniedException"
            | "UnrecognizedClientException"
            | "InvalidSignatureException"
            | "ExpiredTokenException" => ModelError::AccessDenied { model, reason },
            "ModelStreamErrorException" => ModelError::BrokenStream { reason },
            _ => ModelError::Unavailable { reason },
        }
    }
}

/// In mid-stream an exception is named by its frame's header, which the SDK turns into a variant and keeps
/// nowhere as text.
fn name_in_stream(failure: &StreamFailure) -> Option<&str> {
    match failure {
        StreamFailure::InternalServerException(_) => Some("InternalServerException"),
        StreamFailure::ModelStreamErrorException(_) => Some("ModelStreamErrorException"),
        StreamFailure::ServiceUnavailableException(_) => Some("ServiceUnavailableException"),
        StreamFailure::ThrottlingException(_) => Some("ThrottlingException"),
        StreamFailure::ValidationException(_) => Some("ValidationException"),
        other => other.code(),
    }
}

fn reason(error: &impl ProvideErrorMetadata) -> String {
    error.message().or(error.code()).unwrap_or("no reason given").to_owned()
}

/// The cause at the bottom of an error's chain says what went wrong; those above say where.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    chain(error).last().map_or_else(String::new, ToString::to_string)
}

fn is_about_credentials(error: &(dyn std::error::Error + 'static)) -> bool {
    chain(error).any(<dyn std::error::Error + 'static>::is::<CredentialsError>)
}

fn chain<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |cause| cause.source())
}

// === what is asked ===

fn system(prompt: &str) -> Option<Vec<sdk::SystemContentBlock>> {
    (!prompt.is_empty()).then(|| vec![sdk::SystemContentBlock::Text(prompt.to_owned())])
}

fn messages(request: &ModelRequest) -> Result<Vec<sdk::Message>, ModelError> {
    let earlier = request.history.iter().flat_map(|turn| turn.messages());
    earlier.chain(&request.messages).map(message_to).collect()
}

fn message_to(message: &Message) -> Result<sdk::Message, ModelError> {
    let role = match message.role {
        Role::User => sdk::ConversationRole::User,
        Role::Assistant => sdk::ConversationRole::Assistant,
    };
    let content = message.content.iter().map(block_to).collect::<Result<_, _>>()?;
    built(sdk::Message::builder().role(role).set_content(Some(content)).build())
}

fn block_to(block: &ContentBlock) -> Result<sdk::ContentBlock, ModelError> {
    Ok(match block {
        ContentBlock::Text(text) => sdk::ContentBlock::Text(text.clone()),
        ContentBlock::Image(_) | ContentBlock::Document(_) => sdk::ContentBlock::Text("[A picture or file.]".into()),
        ContentBlock::ToolUse(call) => sdk::ContentBlock::ToolUse(built(
            sdk::ToolUseBlock::builder()
                .tool_use_id(&call.tool_use_id)
                .name(&call.name)
                .input(document(call.input.clone()))
                .build(),
        )?),
        ContentBlock::ToolResult(result) => sdk::ContentBlock::ToolResult(result_to(result)?),
    })
}

fn result_to(result: &ToolResult) -> Result<sdk::ToolResultBlock, ModelError> {
    let content = result.content.iter().map(|part| match part {
        ToolResultContent::Text(text) => sdk::ToolResultContentBlock::Text(text.clone()),
        ToolResultContent::Json(value) => sdk::ToolResultContentBlock::Json(document(value.clone())),
        ToolResultContent::Image(_) | ToolResultContent::Document(_) => {
            sdk::ToolResultContentBlock::Text("[A picture or file.]".into())
        }
    });
    let status = match result.status {
        ToolResultStatus::Success => sdk::ToolResultStatus::Success,
        ToolResultStatus::Error => sdk::ToolResultStatus::Error,
    };
    built(
        sdk::ToolResultBlock::builder()
            .tool_use_id(&result.tool_use_id)
            .set_content(Some(content.collect()))
            .status(status)
            .build(),
    )
}

fn inference(parameters: &ModelParameters) -> sdk::InferenceConfiguration {
    let stop = &parameters.stop_sequences;
    sdk::InferenceConfiguration::builder()
        .max_tokens(i32::try_from(parameters.max_tokens).unwrap_or(i32::MAX))
        .set_temperature(parameters.temperature)
        .set_stop_sequences((!stop.is_empty()).then(|| stop.clone()))
        .build()
}

fn tools(specs: &[ToolSpec]) -> Result<Option<sdk::ToolConfiguration>, ModelError> {
    if specs.is_empty() {
        return Ok(None);
    }
    let tools = specs.iter().map(tool_to).collect::<Result<_, _>>()?;
    built(sdk::ToolConfiguration::builder().set_tools(Some(tools)).build()).map(Some)
}

fn tool_to(spec: &ToolSpec) -> Result<sdk::Tool, ModelError> {
    let schema = sdk::ToolInputSchema::Json(document(spec.input_schema.clone()));
    let specification =
        sdk::ToolSpecification::builder().name(&spec.name).description(&spec.description).input_schema(schema).build();
    Ok(sdk::Tool::ToolSpec(built(specification)?))
}

/// The SDK's builders check that required members are set, which they always are here.
fn built<T>(result: Result<T, aws_sdk_bedrockruntime::error::BuildError>) -> Result<T, ModelError> {
    result.map_err(|error| ModelError::InvalidRequest { model: "the request".into(), reason: error.to_string() })
}

// === what is answered ===

fn message_from(message: sdk::Message) -> Message {
    let content = message.content.into_iter().filter_map(|block| match block {
        sdk::ContentBlock::Text(text) => Some(ContentBlock::Text(text)),
        sdk::ContentBlock::ToolUse(call) => Some(ContentBlock::ToolUse(ToolUse {
            tool_use_id: call.tool_use_id,
            name: call.name,
            input: json(call.input),
        })),
        // Kinds of blocks that are never asked for, such as reasoning, mean nothing to a turn.
        _ => None,
    });
    Message { role: Role::Assistant, content: content.collect() }
}

/// The event in our terms; none for kinds of blocks that are never asked for.
fn event_from(event: sdk::ConverseStreamOutput) -> Option<ModelEvent> {
    use sdk::ConverseStreamOutput as Event;
    Some(match event {
        Event::MessageStart(_) => ModelEvent::MessageStart { role: Role::Assistant },
        Event::ContentBlockStart(event) => {
            let Some(sdk::ContentBlockStart::ToolUse(call)) = event.start else {
                return None;
            };
            let start = BlockStart::ToolUse { tool_use_id: call.tool_use_id, name: call.name };
            ModelEvent::ContentBlockStart { content_block_index: index(event.content_block_index), start }
        }
        Event::ContentBlockDelta(event) => {
            let delta = match event.delta? {
                sdk::ContentBlockDelta::Text(text) => BlockDelta::Text(text),
                sdk::ContentBlockDelta::ToolUse(fragment) => BlockDelta::ToolUse { input: fragment.input },
                _ => return None,
            };
            ModelEvent::ContentBlockDelta { content_block_index: index(event.content_block_index), delta }
        }
        Event::ContentBlockStop(event) => {
            ModelEvent::ContentBlockStop { content_block_index: index(event.content_block_index) }
        }
        Event::MessageStop(event) => {
            ModelEvent::MessageStop { stop_reason: StopReason::from(event.stop_reason.as_str()) }
        }
        Event::Metadata(event) => ModelEvent::Metadata {
            usage: event.usage.as_ref().map(usage_from).unwrap_or_default(),
            metrics: Metrics {
                latency_ms: event.metrics.map_or(0, |metrics| u64::try_from(metrics.latency_ms).unwrap_or(0)),
            },
            guardrail: None,
            served: None,
        },
        _ => return None,
    })
}

fn index(index: i32) -> usize {
    usize::try_from(index).unwrap_or(0)
}

fn usage_from(usage: &sdk::TokenUsage) -> Usage {
    let tokens = |count: i32| u64::try_from(count).unwrap_or(0);
    Usage {
        input_tokens: tokens(usage.input_tokens),
        output_tokens: tokens(usage.output_tokens),
        total_tokens: tokens(usage.total_tokens),
        ..Usage::default()
    }
}
