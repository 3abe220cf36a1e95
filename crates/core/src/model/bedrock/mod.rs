//! Claude through Bedrock's Converse and ConverseStream.
//!
//! The only room that knows the SDK's types for models: it translates what is asked (`request`), what is
//! answered (`answer`) and how it fails (`failure`), and bounds how long a silent model is waited for.

mod answer;
mod cache;
mod failure;
mod guardrail;
mod request;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_sdk_bedrockruntime::operation::converse_stream::ConverseStreamOutput as StreamOutput;
use aws_sdk_bedrockruntime::types as sdk;
use aws_sdk_bedrockruntime::{Client, Config};
use aws_smithy_types::retry::RetryConfig;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt as _};
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout, timeout_at};

use self::answer::{event_from, message_from, usage_from};
use self::cache::CachePlan;
use self::failure::Asked;
use self::request::Asking;
use super::capabilities::{Capabilities, foundation_model};
use super::{Model, ModelAnswer, ModelError, ModelEvent, ModelEvents, ModelRequest};
use crate::aws::Aws;
use crate::message::Usage;
use crate::model::residency::ModelId;
use crate::settings::{GuardrailSettings, ModelSettings, Patience};

/// One model or inference profile of Bedrock.
#[derive(Debug)]
pub struct Bedrock {
    model_id: ModelId,
    patience: Patience,
    guardrail: Option<GuardrailSettings>,
    /// Set once the service has said that it does not count this model's tokens.
    does_not_count: AtomicBool,
    aws: Arc<Aws>,
    client: OnceCell<Client>,
}

// === impl Bedrock ===

impl Bedrock {
    /// The model of `settings`. Nothing is connected yet.
    pub fn new(settings: &ModelSettings, aws: Arc<Aws>) -> Self {
        Self::of(&settings.model_id, settings, aws)
    }

    /// Another model than that of `settings`, asked with the same patience.
    pub fn of(model_id: &ModelId, settings: &ModelSettings, aws: Arc<Aws>) -> Self {
        Self {
            model_id: model_id.clone(),
            patience: settings.patience,
            guardrail: settings.guardrail.clone(),
            does_not_count: AtomicBool::new(false),
            aws,
            client: OnceCell::new(),
        }
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

    fn asking(&self, request: &ModelRequest) -> Result<Asking, ModelError> {
        Asking::new(request, &CachePlan::new(request, Capabilities::of(self.model_id.as_str()).cache))
    }

    /// Tokens belong to the model, and CountTokens knows no profiles: it is asked for the model behind one.
    async fn count(&self, request: &ModelRequest) -> Result<Option<u64>, ModelError> {
        if self.does_not_count.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let asking = Asking::new(request, &CachePlan::none())?;
        let conversation = sdk::ConverseTokensRequest::builder()
            .set_system(asking.system)
            .set_messages(Some(asking.messages))
            .set_tool_config(asking.tools)
            .build();
        let model = foundation_model(self.model_id.as_str());
        let input = sdk::CountTokensInput::Converse(conversation);
        let call = self.client().await.count_tokens().model_id(model).input(input);
        let patience = self.patience.first_token;
        let counted = timeout(patience, call.send())
            .await
            .map_err(|_| silent("the count of tokens", patience, Patience::FIRST_TOKEN))?;
        match counted.map_err(|error| self.asked().failed(&error)) {
            Ok(counted) => Ok(u64::try_from(counted.input_tokens).ok()),
            Err(error) if is_for_good(&error) => {
                self.does_not_count.store(true, Ordering::Relaxed);
                tracing::info!(model, error_type = error.name(), error = %error, "tokens are estimated, not counted");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn ask(&self, request: &ModelRequest) -> Result<ModelAnswer, ModelError> {
        let asking = self.asking(request)?;
        let call = self
            .client()
            .await
            .converse()
            .model_id(self.model_id.as_str())
            .set_system(asking.system)
            .set_messages(Some(asking.messages))
            .inference_config(asking.inference)
            .set_tool_config(asking.tools)
            .set_guardrail_config(self.guardrail.as_ref().map(guardrail::for_whole));
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
            usage: output.usage.as_ref().map_or(Usage::UNKNOWN, |usage| usage_from(usage, self.model_id.as_str())),
            guardrail: output.trace.and_then(|trace| trace.guardrail).map(|found| guardrail::trace_from(&found)),
            served: None,
        })
    }

    async fn ask_streaming(&self, request: &ModelRequest) -> Result<ModelEvents, ModelError> {
        let asking = self.asking(request)?;
        let call = self
            .client()
            .await
            .converse_stream()
            .model_id(self.model_id.as_str())
            .set_system(asking.system)
            .set_messages(Some(asking.messages))
            .inference_config(asking.inference)
            .set_tool_config(asking.tools)
            .set_guardrail_config(self.guardrail.as_ref().map(guardrail::for_stream));
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

    fn count_tokens<'a>(&'a self, request: &'a ModelRequest) -> BoxFuture<'a, Result<Option<u64>, ModelError>> {
        Box::pin(self.count(request))
    }
}

/// Whether a model's tokens will not be counted next time either.
fn is_for_good(error: &ModelError) -> bool {
    match error {
        ModelError::UnknownModel { .. } | ModelError::AccessDenied { .. } | ModelError::RetiredModel { .. } => true,
        ModelError::InvalidRequest { reason, .. } => reason.to_ascii_lowercase().contains("support"),
        _ => false,
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
                    if let Some(event) = event_from(event, &self.asked.model) {
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
