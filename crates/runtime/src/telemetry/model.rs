//! A model, watched: the span of each question, its tokens and times, and how it ends.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use agentcore_core::message::{StopReason, Usage};
use agentcore_core::model::{
    AnswerInWriting, BlockDelta, Model, ModelAnswer, ModelError, ModelEvent, ModelEvents, ModelRequest, ModelSize,
    Served,
};
use agentcore_core::settings::ModelSettings;
use agentcore_core::signal::{self, PROVIDER, attribute, span};
use futures::future::BoxFuture;
use futures::stream::{Stream, StreamExt as _};
use opentelemetry::{Array, StringValue, Value};
use tracing::field::Empty;
use tracing::{Instrument as _, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::Telemetry;
use super::content::Content;
use super::instruments::{Instruments, ModelCalled};
use super::invocation::signed;

/// The kind of error of an answer that nobody waited for.
const ABANDONED: &str = "Abandoned";

/// Watches another model.
pub(crate) struct WatchedModel {
    model: Arc<dyn Model>,
    instruments: Arc<Instruments>,
    content: Option<Content>,
    full: Arc<str>,
    small: Arc<str>,
}

/// A question that is being answered. Dropped before its end, it was abandoned.
struct Asked {
    requested: Arc<str>,
    instruments: Arc<Instruments>,
    content: Option<(Content, Box<(ModelRequest, AnswerInWriting)>)>,
    span: Span,
    began: Instant,
    first_token: Option<Duration>,
    stop_reason: Option<StopReason>,
    is_over: bool,
}

/// An answer that is watched as it comes.
struct WatchedEvents {
    events: ModelEvents,
    asked: Asked,
}

// === impl WatchedModel ===

impl WatchedModel {
    /// Watches `model`, which is asked as the settings say.
    pub(crate) fn new(model: Arc<dyn Model>, settings: &ModelSettings, telemetry: &Telemetry) -> Self {
        let full: Arc<str> = settings.model_id.as_str().into();
        let small = settings.small.as_ref().map_or_else(|| Arc::clone(&full), |small| small.model_id.as_str().into());
        let (instruments, content) = (Arc::clone(telemetry.instruments()), telemetry.content().cloned());
        Self { model, instruments, content, full, small }
    }

    fn ask(&self, request: &ModelRequest) -> Asked {
        let requested = match request.size {
            ModelSize::Full => &self.full,
            ModelSize::Small => &self.small,
        };
        Asked {
            requested: Arc::clone(requested),
            instruments: Arc::clone(&self.instruments),
            content: self
                .content
                .clone()
                .map(|content| (content, Box::new((request.clone(), AnswerInWriting::default())))),
            span: chat(requested, request),
            began: Instant::now(),
            first_token: None,
            stop_reason: None,
            is_over: false,
        }
    }
}

/// The span of a question, which has nothing of what is asked but how much may be answered.
fn chat(model: &str, request: &ModelRequest) -> Span {
    tracing::info_span!(
        target: signal::SPANS,
        span::CHAT,
        otel.name = format_args!("{} {model}", span::CHAT),
        otel.kind = "client",
        otel.status_code = Empty,
        { attribute::OPERATION } = span::CHAT,
        { attribute::PROVIDER } = PROVIDER,
        { attribute::REQUEST_MODEL } = model,
        { attribute::MAX_TOKENS } = i64::from(request.parameters.max_tokens),
        { attribute::RESPONSE_MODEL } = Empty,
        { attribute::ATTEMPTS } = Empty,
        { attribute::INPUT_TOKENS } = Empty,
        { attribute::OUTPUT_TOKENS } = Empty,
        { attribute::CACHE_READ_TOKENS } = Empty,
        { attribute::CACHE_WRITE_TOKENS } = Empty,
        { attribute::USD } = Empty,
        { attribute::FIRST_TOKEN } = Empty,
        { attribute::ERROR } = Empty,
    )
}

impl Model for WatchedModel {
    fn converse<'a>(&'a self, request: &'a ModelRequest) -> BoxFuture<'a, Result<ModelAnswer, ModelError>> {
        Box::pin(async move {
            let mut asked = self.ask(request);
            let answered = self.model.converse(request).instrument(asked.span.clone()).await;
            match &answered {
                Ok(ModelAnswer { message, stop_reason, usage, served, .. }) => {
                    asked.stop_reason = Some(stop_reason.clone());
                    if let Some((content, said)) = asked.content.take() {
                        content.put(&said.0, Some(message), &asked.span);
                    }
                    asked.answered(*usage, served.as_ref());
                }
                Err(error) => asked.failed(error.name()),
            }
            answered
        })
    }

    fn converse_stream<'a>(&'a self, request: &'a ModelRequest) -> BoxFuture<'a, Result<ModelEvents, ModelError>> {
        Box::pin(async move {
            let mut asked = self.ask(request);
            match self.model.converse_stream(request).instrument(asked.span.clone()).await {
                Ok(events) => Ok(WatchedEvents { events, asked }.boxed()),
                Err(error) => {
                    asked.failed(error.name());
                    Err(error)
                }
            }
        })
    }

    fn count_tokens<'a>(&'a self, request: &'a ModelRequest) -> BoxFuture<'a, Result<Option<u64>, ModelError>> {
        self.model.count_tokens(request)
    }
}

// === impl WatchedEvents ===

impl Stream for WatchedEvents {
    type Item = Result<ModelEvent, ModelError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { events, asked } = &mut *self;
        let polled = asked.span.in_scope(|| events.poll_next_unpin(context));
        let event = ready!(polled);
        match &event {
            Some(Ok(event)) => asked.take(event),
            Some(Err(error)) => asked.failed(error.name()),
            None => {}
        }
        Poll::Ready(event)
    }
}

// === impl Asked ===

impl Asked {
    fn take(&mut self, event: &ModelEvent) {
        if let Some((_, said)) = &mut self.content {
            said.1.take(event);
        }
        match event {
            ModelEvent::ContentBlockDelta { delta: BlockDelta::Text(_), .. } if self.first_token.is_none() => {
                self.first_token = Some(self.began.elapsed());
            }
            ModelEvent::MessageStop { stop_reason } => self.stop_reason = Some(stop_reason.clone()),
            ModelEvent::Metadata { usage, served, .. } => {
                if let Some((content, said)) = self.content.take() {
                    content.put(&said.0, said.1.finished().map(|answer| answer.message).as_ref(), &self.span);
                }
                self.answered(*usage, served.as_ref());
            }
            _ => {}
        }
    }

    fn answered(&mut self, usage: Usage, served: Option<&Served>) {
        if let Some(served) = served {
            self.span.record(attribute::RESPONSE_MODEL, served.model.as_str());
            self.span.record(attribute::ATTEMPTS, i64::from(served.attempts));
        }
        self.span.record(attribute::INPUT_TOKENS, signed(usage.input_tokens));
        self.span.record(attribute::OUTPUT_TOKENS, signed(usage.output_tokens));
        self.span.record(attribute::CACHE_READ_TOKENS, signed(usage.cache_read_input_tokens));
        self.span.record(attribute::CACHE_WRITE_TOKENS, signed(usage.cache_write_input_tokens));
        self.span.record(attribute::USD, usage.cost.usd());
        if let Some(stop_reason) = &self.stop_reason {
            let reasons = vec![StringValue::from(stop_reason.as_str().to_owned())];
            self.span.set_attribute(attribute::FINISH_REASONS, Value::Array(Array::String(reasons)));
        }
        self.end(Some(usage), served, None);
    }

    fn failed(&mut self, error: &'static str) {
        self.span.record(attribute::ERROR, error);
        self.span.record("otel.status_code", "ERROR");
        self.end(None, None, Some(error));
    }

    fn end(&mut self, usage: Option<Usage>, served: Option<&Served>, error: Option<&'static str>) {
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        if let Some(first_token) = self.first_token {
            self.span.record(attribute::FIRST_TOKEN, first_token.as_secs_f64());
        }
        self.instruments.count_call(&ModelCalled {
            requested: &self.requested,
            answered: served.map(|served| served.model.as_str()),
            duration: self.began.elapsed(),
            first_token: self.first_token,
            usage,
            error,
        });
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if !self.is_over {
            self.failed(ABANDONED);
        }
    }
}
