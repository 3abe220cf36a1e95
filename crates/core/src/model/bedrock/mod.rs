//! Claude through Bedrock's Converse and ConverseStream.
//!
//! The only room that knows their wire: it writes what is asked (`request`), reads what is answered (`answer`, and the
//! frames of a stream in `events`) and how it fails (`failure`), and bounds how long a silent model is waited for.

mod answer;
mod cache;
mod events;
mod failure;
mod guardrail;
mod request;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{self, StreamExt as _};
use http::Response;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout, timeout_at};

use self::answer::{Answer, Count, event};
use self::cache::CachePlan;
use self::events::{Events, Frame, FrameError};
use self::failure::{Asked, broken, senseless};
use self::guardrail::Guardrail;
use self::request::{Asking, Counting};
use super::capabilities::{Capabilities, foundation_model};
use super::{Model, ModelAnswer, ModelError, ModelEvent, ModelEvents, ModelRequest};
use crate::aws::Aws;
use crate::aws::exchange::Body;
use crate::aws::service::{Service, ServiceNames};
use crate::model::residency::ModelId;
use crate::settings::{GuardrailSettings, ModelSettings, Patience};

/// The id has its blank written as in configuration files; AWS's crate would look there for a hyphen, which none has.
const BEDROCK: ServiceNames = ServiceNames { id: "Bedrock_Runtime", host: "bedrock-runtime", signing: "bedrock" };

const JSON: &str = "application/json";
const EVENT_STREAM: &str = "application/vnd.amazon.eventstream";

/// One model or inference profile of Bedrock.
#[derive(Debug)]
pub struct Bedrock {
    model_id: ModelId,
    patience: Patience,
    guardrail: Option<GuardrailSettings>,
    /// Set once the service has said that it does not count this model's tokens.
    does_not_count: AtomicBool,
    service: Service,
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
            service: Service::new(BEDROCK, aws),
        }
    }

    fn asked(&self) -> Asked {
        Asked { model: self.model_id.to_string(), region: self.service.region().to_owned() }
    }

    /// Where a prompt is worth caching.
    fn cache_plan(&self, request: &ModelRequest) -> CachePlan {
        CachePlan::new(request, Capabilities::of(self.model_id.as_str()).cache)
    }

    /// Tokens belong to the model, and CountTokens knows no profiles: it is asked for the model behind one.
    async fn count(&self, request: &ModelRequest) -> Result<Option<u64>, ModelError> {
        if self.does_not_count.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let model = foundation_model(self.model_id.as_str());
        let patience = self.patience.first_token;
        let counting = async { whole(self.call(model, "count-tokens", JSON, &Counting::new(request)).await?).await };
        let counted = timeout(patience, counting)
            .await
            .map_err(|_| silent("the count of tokens", patience, Patience::FIRST_TOKEN))?;
        match counted {
            Ok(counted) => Ok(Count::tokens(&counted)),
            Err(error) if is_for_good(&error) => {
                self.does_not_count.store(true, Ordering::Relaxed);
                tracing::info!(model, error_type = error.name(), error = %error, "tokens are estimated, not counted");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn ask(&self, request: &ModelRequest) -> Result<ModelAnswer, ModelError> {
        let guardrail = self.guardrail.as_ref().map(Guardrail::for_whole);
        let asking = Asking::new(request, &self.cache_plan(request), guardrail);
        let patience = self.patience.whole_answer;
        let model = self.model_id.as_str();
        let answering = async { whole::<Answer>(self.call(model, "converse", JSON, &asking).await?).await };
        let answer = timeout(patience, answering)
            .await
            .map_err(|_| silent("the answer", patience, Patience::WHOLE_ANSWER))??;
        Ok(answer.into_ours(model))
    }

    async fn ask_streaming(&self, request: &ModelRequest) -> Result<ModelEvents, ModelError> {
        let guardrail = self.guardrail.as_ref().map(Guardrail::for_stream);
        let asking = Asking::new(request, &self.cache_plan(request), guardrail);
        let patience = self.patience;
        let first_due = Instant::now() + patience.first_token;
        let call = self.call(self.model_id.as_str(), "converse-stream", EVENT_STREAM, &asking);
        let answer = timeout_at(first_due, call)
            .await
            .map_err(|_| silent("the first token", patience.first_token, Patience::FIRST_TOKEN))??;
        let events = Events::new(answer.into_body());
        let reading = Reading { events, asked: self.asked(), patience, first_due: Some(first_due), over: false };
        Ok(stream::unfold(reading, Reading::next).boxed())
    }

    /// A call is made once: [`super::resilient`] tries again, with the whole answer in view.
    async fn call(
        &self,
        model: &str,
        operation: &str,
        accept: &'static str,
        asking: &impl Serialize,
    ) -> Result<Response<Body>, ModelError> {
        let body = serde_json::to_vec(asking).map_err(|error| ModelError::InvalidRequest {
            model: self.model_id.to_string(),
            reason: error.to_string(),
        })?;
        let path = format!("/model/{}/{operation}", in_path(model));
        let called = self.service.post(&path, accept, body.into()).await;
        let answer = called.map_err(|error| self.asked().unanswered(&error))?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let (head, body) = answer.into_parts();
        let body = body.whole().await.map_err(|error| broken(&error))?;
        Err(self.asked().refused(&head, &body))
    }
}

async fn whole<T: DeserializeOwned>(answer: Response<Body>) -> Result<T, ModelError> {
    let body = answer.into_body().whole().await.map_err(|error| broken(&error))?;
    serde_json::from_slice(&body).map_err(|error| senseless(&error))
}

/// An id or ARN as one segment of a path: of what may stand in a [`ModelId`], these two may not stand there.
fn in_path(model_id: &str) -> String {
    model_id.replace(':', "%3A").replace('/', "%2F")
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
    events: Events,
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
                Ok(Some(Frame::Event { name, told })) => match event(&name, &told, &self.asked.model) {
                    Ok(Some(event)) => return Some((Ok(event), self)),
                    Ok(None) => {}
                    Err(error) => return Some(self.broken(senseless(&error))),
                },
                Ok(Some(Frame::Exception { name, told })) => {
                    let error = self.asked.broke_off(&name, &told);
                    return Some(self.broken(error));
                }
                Ok(None) => return None,
                Err(error) => return Some(self.broken(error)),
            }
        }
        None
    }

    fn broken(mut self, error: ModelError) -> (Result<ModelEvent, ModelError>, Self) {
        self.over = true;
        (Err(error), self)
    }

    async fn receive(&mut self) -> Result<Option<Frame>, ModelError> {
        let (due, error) = match self.first_due.take() {
            Some(due) => (due, silent("the first token", self.patience.first_token, Patience::FIRST_TOKEN)),
            None => (
                Instant::now() + self.patience.token_gap,
                silent("the next token", self.patience.token_gap, Patience::TOKEN_GAP),
            ),
        };
        match timeout_at(due, self.events.next()).await {
            Ok(frame) => frame.map_err(|error: FrameError| ModelError::BrokenStream { reason: error.to_string() }),
            Err(_) => Err(error),
        }
    }
}

fn silent(waiting_for: &'static str, waited: Duration, variable: &'static str) -> ModelError {
    ModelError::Silent { waiting_for, waited, variable }
}
