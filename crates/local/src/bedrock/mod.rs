//! An emulated Bedrock Runtime: Converse, ConverseStream and CountTokens.
//!
//! Clients of the real service can't tell the difference: the same checks in the same words, the
//! same shapes, the same framing and checksums, the same exceptions. What answers is a [`Brain`];
//! what goes wrong is chosen with [`Fault`]s. Signatures are not checked.

mod answer;
mod cache;
mod call;
mod event_stream;
mod fault;
mod guardrail;
mod media;
mod model_id;
mod part;
mod refusal;
mod relay;
mod stream;
#[cfg(test)]
mod tests;
mod validation;
mod watch;
mod whole;

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use futures::StreamExt;
use serde_json::json;
use tokio::time::Instant;

use self::cache::{Prompt, PromptCache};
use self::call::Call;
use self::guardrail::{Guardrails, Input};
use self::model_id::ModelId;
use self::part::{Parts, parts};
use self::stream::AnswerStream;
use self::watch::CallRecord;
use crate::aws_error::AwsError;
use crate::engine::conversation::Conversation;
use crate::engine::{Engine, EngineError};
use crate::request_id::with_request_id;

pub use self::fault::{Fault, FaultSyntaxError, Faults, Refusal};
pub use self::guardrail::{Guardrail, GuardrailError};
pub use self::relay::{Relay, RelayError};
pub use self::watch::{ModelCall, ModelCallWatch};

/// The header that asks for a [`Fault`] in the answer to the request that carries it.
pub const FAULT_HEADER: HeaderName = HeaderName::from_static("x-local-fault");

/// The largest body accepted, in bytes: the 20 MB of the service, and room for base64.
const LARGEST_BODY: usize = 28_000_000;

/// Why Converse would refuse this body for that model, in its own words; none where it would take it.
///
/// For those who want to know without a server.
pub fn refusal_of(body: &[u8], model_id: &str) -> Option<AwsError> {
    ModelId::parse(model_id).and_then(|model| validation::conversation(body, &model)).err()
}

/// Where answers come from.
#[derive(Clone)]
pub enum Brain {
    /// Requests are checked here and answered by an engine.
    Engine(Arc<dyn Engine>),
    /// Requests go to the real service and its answers come back byte for byte.
    Relay(Relay),
}

/// An emulated Bedrock Runtime.
#[derive(Clone)]
pub struct Bedrock {
    brain: Brain,
    faults: Faults,
    guardrails: Guardrails,
    cache: PromptCache,
    watch: Option<Arc<dyn ModelCallWatch>>,
}

/// The operations that produce text.
#[derive(Clone, Copy)]
enum Form {
    Whole,
    Stream,
}

/// An answer that can be begun.
enum Reply {
    Done(Response),
    Stream { parts: Parts, fault: Option<Fault> },
    Relayed(reqwest::Response),
}

/// The routes of the service.
pub fn router(bedrock: Bedrock) -> Router {
    Router::new()
        .route("/model/{model_id}/converse", post(converse))
        .route("/model/{model_id}/converse-stream", post(converse_stream))
        .route("/model/{model_id}/count-tokens", post(count_tokens))
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .layer(axum::middleware::from_fn(with_request_id))
        .with_state(bedrock)
}

async fn converse(State(bedrock): State<Bedrock>, call: Call) -> Response {
    bedrock.serve(call, Form::Whole).await
}

async fn converse_stream(State(bedrock): State<Bedrock>, call: Call) -> Response {
    bedrock.serve(call, Form::Stream).await
}

async fn count_tokens(State(bedrock): State<Bedrock>, call: Call) -> Result<Response, AwsError> {
    if let Some(refusal) = call.asked_fault()?.and_then(Fault::refusal) {
        return Err(refusal);
    }
    match &bedrock.brain {
        Brain::Engine(_) => {
            ModelId::check_countable(&call.model_id)?;
            let input_tokens = validation::count_tokens(&call.body)?;
            Ok(Json(json!({ "inputTokens": input_tokens })).into_response())
        }
        Brain::Relay(relay) => {
            let answer = relay.send(&call.uri, &call.headers, call.body).await?;
            Ok(relay::into_response(answer, None))
        }
    }
}

// === impl Bedrock ===

impl Bedrock {
    /// A service that answers from `brain`.
    pub fn new(brain: Brain) -> Self {
        Self {
            brain,
            faults: Faults::default(),
            guardrails: Guardrails::default(),
            cache: PromptCache::default(),
            watch: None,
        }
    }

    /// Takes faults for calls that ask for none themselves from `faults`.
    #[must_use]
    pub fn with_faults(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }

    /// Applies `guardrails` to calls that name them. A relay leaves that to the real service.
    #[must_use]
    pub fn with_guardrails(mut self, guardrails: impl IntoIterator<Item = Guardrail>) -> Self {
        for guardrail in guardrails {
            self.guardrails.add(guardrail);
        }
        self
    }

    /// Lets `watch` follow every model call, and choose faults before the plan does.
    #[must_use]
    pub fn watched_by(mut self, watch: Arc<dyn ModelCallWatch>) -> Self {
        self.watch = Some(watch);
        self
    }

    async fn serve(&self, call: Call, form: Form) -> Response {
        let mut record = CallRecord::begin(self.watch.clone(), call.headers.clone(), call.model_id.clone());
        match self.reply(call, form, &mut record).await {
            Ok(Reply::Done(response)) => response,
            Ok(Reply::Stream { parts, fault }) => AnswerStream::new(parts, fault, record).into_response(),
            Ok(Reply::Relayed(answer)) => relay::into_response(answer, Some(record)),
            Err(error) => {
                record.failed(error.name());
                error.into_response()
            }
        }
    }

    async fn reply(&self, call: Call, form: Form, record: &mut CallRecord) -> Result<Reply, AwsError> {
        let fault = self.fault_for(&call)?;
        if let Some(refusal) = fault.and_then(Fault::refusal) {
            return Err(refusal);
        }
        let engine = match &self.brain {
            Brain::Engine(engine) => engine,
            Brain::Relay(_) if fault.is_some() => return Err(not_in_a_relay()),
            Brain::Relay(relay) => {
                let answer = relay.send(&call.uri, &call.headers, call.body).await?;
                return Ok(Reply::Relayed(answer));
            }
        };
        let model = ModelId::parse(&call.model_id)?;
        let conversation = validation::conversation(&call.body, &model)?;
        let parts = self.answer(engine.as_ref(), &call, &model, conversation, form)?;
        match form {
            Form::Whole => whole::answer(parts, fault, record).await.map(Reply::Done),
            Form::Stream => Ok(Reply::Stream { parts: begun(parts).await?, fault }),
        }
    }

    /// What `engine` answers, through the guardrail that the call names.
    fn answer(
        &self,
        engine: &dyn Engine,
        call: &Call,
        model: &ModelId,
        mut conversation: Conversation,
        form: Form,
    ) -> Result<Parts, AwsError> {
        let applied = match conversation.guardrail_config.take() {
            None => None,
            Some(configuration) => match self.guardrails.applied(configuration, form)?.check_input(&mut conversation) {
                Input::Passed(applied) => Some(applied),
                Input::Blocked(answer) => return Ok(answer),
            },
        };
        let cache = match model.caching() {
            None => None,
            Some(caching) => {
                let prompt = Prompt::of(&validation::json(&call.body)?, &conversation, &call.model_id, caching);
                Some(self.cache.charge(&prompt, Instant::now()))
            }
        };
        let parts = parts(engine.answer(conversation), cache);
        Ok(match applied {
            Some(applied) => applied.guard(parts),
            None => parts,
        })
    }

    /// The call's own wish comes first, then the watch's, then what is armed.
    fn fault_for(&self, call: &Call) -> Result<Option<Fault>, AwsError> {
        if let Some(fault) = call.asked_fault()? {
            return Ok(Some(fault));
        }
        let watched = self.watch.as_ref().and_then(|watch| watch.fault(&call.headers));
        Ok(watched.or_else(|| self.faults.take()))
    }
}

/// Waits for the first part, so that an early failure is the call's and not the stream's.
async fn begun(mut parts: Parts) -> Result<Parts, AwsError> {
    match parts.next().await {
        Some(Ok(first)) => Ok(Box::pin(futures::stream::once(async { Ok(first) }).chain(parts))),
        Some(Err(error)) => Err(error.into()),
        None => Err(EngineError::Failed("The model gave no answer.".into()).into()),
    }
}

fn not_in_a_relay() -> AwsError {
    AwsError::validation(
        "This fault changes an answer, and answers relayed from Bedrock stay as they are. Ask for \
         one that refuses the call (throttle, unavailable, server-error, model-timeout, \
         model-not-ready, access-denied), or use another model.",
    )
}

// === impl AwsError ===

impl From<EngineError> for AwsError {
    fn from(error: EngineError) -> Self {
        let message = error.to_string();
        let (status, name) = match error {
            EngineError::Unacceptable(_) | EngineError::TooLong | EngineError::UnknownModel(_) => {
                return Self::validation(message);
            }
            EngineError::AccessDenied(_) => (StatusCode::FORBIDDEN, "AccessDeniedException"),
            EngineError::Throttled(_) => (StatusCode::TOO_MANY_REQUESTS, "ThrottlingException"),
            EngineError::TimedOut(_) => (StatusCode::REQUEST_TIMEOUT, "ModelTimeoutException"),
            EngineError::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailableException"),
            EngineError::Failed(_) => (StatusCode::FAILED_DEPENDENCY, "ModelErrorException"),
        };
        Self::new(status, name, message)
    }
}
