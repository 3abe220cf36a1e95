//! The log: one JSON object a line, in the form AgentCore's own SDK writes.
//!
//! Every line has `timestamp`, `level`, `message` and `logger`; lines of an invocation have `requestId`
//! and `sessionId`, and `traceId` and `spanId` where a trace is known; errors have `errorType`, `errorMessage` and
//! `location`. Other fields keep their names in camel case. A line that is a metric says so to CloudWatch, see
//! [`super::embedded`]. Nothing here ever sees conversation text, because nobody logs it.

use std::fmt;
use std::io::Write as _;
use std::sync::{Arc, OnceLock};

use agentcore_core::signal;
use jiff::Timestamp;
use opentelemetry::trace::{SpanContext, TraceContextExt as _};
use opentelemetry_sdk::trace::SdkTracer;
use serde::Serialize;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Event, Level, Subscriber, dispatcher::WeakDispatch};
use tracing_subscriber::filter::{LevelFilter, Targets, filter_fn};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::embedded::{self, Embedded};
use super::instruments::Instruments;
use super::records::Records;

/// What is logged unless `RUST_LOG` or `LOG_LEVEL` says otherwise: `debug`, or a list of a crate's name and
/// its level, `warn,agentcore_core=debug`.
const DEFAULT_LEVEL: LevelFilter = LevelFilter::INFO;

/// What `lambda_runtime` tells of failed invocations as its own errors was told where it happened, at the
/// level it deserves.
const TOLD_BEFORE: &str = "lambda_runtime::layers::panic";

/// The MCP client's library tells of each attempt to reach a server as an error, and shows what comes
/// from servers, which may be somebody's words. What matters of it, `agentcore_mcp` says.
const TOLD_BY_OURS: &str = "rmcp";

/// Fields that are for OpenTelemetry alone begin so.
const FOR_TRACES: &str = "otel.";

/// Begins logging to standard error, and tracing where there is a tracer. Does nothing when somebody already logs.
pub(super) fn begin(
    agent: &'static str,
    tracer: Option<SdkTracer>,
    records: Option<Records>,
    instruments: Arc<Instruments>,
) {
    let levels = ["RUST_LOG", "LOG_LEVEL"].into_iter().find_map(|name| std::env::var(name).ok());
    let levels = levels.and_then(|levels| levels.parse().ok());
    let levels = levels.unwrap_or_else(|| Targets::new().with_default(DEFAULT_LEVEL));
    let levels = levels.with_target(TOLD_BEFORE, LevelFilter::OFF).with_target(TOLD_BY_OURS, LevelFilter::OFF);
    // Spans that are for traces alone cost nothing where there are none, and are there whatever is logged.
    let spans = if tracer.is_some() { LevelFilter::INFO } else { LevelFilter::OFF };
    let levels = levels.with_target(signal::SPANS, spans);
    let spans_out = tracer.map(|tracer| {
        tracing_opentelemetry::layer()
            .with_tracer(tracer)
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            // A span's parent is the span around it. Nobody asks OpenTelemetry for a current one, and telling it at
            // each poll of a turn costs more than the turn's spans.
            .with_context_activation(false)
            // Not every error that is told of within a span is the span's.
            .with_error_events_to_status(false)
            // What went as it should, the span itself tells; a retry is an event in it.
            .with_filter(filter_fn(|metadata| metadata.is_span() || *metadata.level() <= Level::WARN))
    });
    let lines = JsonLines { namespace: signal::namespace(agent), records, instruments, dispatch: OnceLock::new() };
    let _ = tracing_subscriber::registry().with(levels).with(spans_out).with(lines).try_init();
    std::panic::set_hook(Box::new(|panic| {
        // What a panic says may be somebody's words; where it happened is enough to find it.
        let place = panic.location().map_or_else(String::new, ToString::to_string);
        tracing::error!(error_type = "Panic", error = "a task panicked", location = place, "the agent panicked");
    }));
}

/// Writes each event as one line.
struct JsonLines {
    /// Where CloudWatch keeps the agent's metrics.
    namespace: String,
    /// Where lines go as records, beside standard error.
    records: Option<Records>,
    instruments: Arc<Instruments>,
    /// The whole of what listens, which knows the traces.
    dispatch: OnceLock<WeakDispatch>,
}

/// The fields of a span, kept until its events need them.
struct SpanFields(Map<String, Value>);

// === impl JsonLines ===

impl<S> Layer<S> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        let _ = self.dispatch.set(dispatch.downgrade());
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if attributes.metadata().target() == signal::SPANS {
            return;
        }
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(SpanFields(fields.0));
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(SpanFields(known)) = span.extensions_mut().get_mut()
        {
            let mut fields = Fields::default();
            values.record(&mut fields);
            known.append(&mut fields.0);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Map::new();
        if let Some(scope) = context.event_scope(event) {
            for span in scope.from_root() {
                if let Some(SpanFields(known)) = span.extensions().get() {
                    fields.extend(known.clone());
                }
            }
        }
        let span = context.event_span(event).and_then(|span| self.traced(&span.id()));
        if let Some(span) = &span {
            fields.insert("traceId".into(), span.trace_id().to_string().into());
            fields.insert("spanId".into(), span.span_id().to_string().into());
        }
        let now = Timestamp::now();
        let mut line = Line::of(event, fields, now);
        self.instruments.count_line(&line.fields);
        if let Some(records) = &self.records {
            let members = line.fields.iter().map(|(name, value)| (name.as_str(), value));
            records.put((*event.metadata().level(), None), line.message.as_str(), members, span.as_ref());
        }
        line.metrics = embedded::metrics(&self.namespace, &line.fields, now);
        if let Ok(mut line) = serde_json::to_vec(&line) {
            // Standard error has no buffer: what is written in one piece is one call of the system, and one line also
            // where other processes write to the same place.
            line.push(b'\n');
            // A log that cannot be written must not stop a turn.
            let _ = std::io::stderr().lock().write_all(&line);
        }
    }
}

impl JsonLines {
    /// The span as the trace knows it, where there is a trace.
    fn traced(&self, span: &Id) -> Option<SpanContext> {
        let dispatch = self.dispatch.get()?.upgrade()?;
        let context = tracing_opentelemetry::get_otel_context(span, &dispatch)?;
        Some(context.span().span_context().clone()).filter(SpanContext::is_valid)
    }
}

/// A line, in the order a person reads it.
#[derive(Serialize)]
struct Line<'a> {
    timestamp: String,
    level: &'static str,
    message: Value,
    logger: String,
    #[serde(flatten)]
    fields: Map<String, Value>,
    #[serde(rename = "_aws", skip_serializing_if = "Option::is_none")]
    metrics: Option<Embedded<'a>>,
}

// === impl Line ===

impl Line<'_> {
    fn of(event: &Event<'_>, mut context: Map<String, Value>, now: Timestamp) -> Self {
        let metadata = event.metadata();
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut fields = fields.0;
        // The SDKs log events that are all fields; those have a name at least.
        let message = fields.remove("message").unwrap_or_else(|| metadata.name().into());
        if let Some(error) = fields.remove("error") {
            fields.insert("errorMessage".into(), error);
        }
        if *metadata.level() == Level::ERROR && !fields.contains_key("location") {
            let (file, number) = (metadata.file().unwrap_or("?"), metadata.line().unwrap_or(0));
            fields.insert("location".into(), format!("{file}:{number}").into());
        }
        context.append(&mut fields);
        Self {
            timestamp: format!("{now:.3}"),
            level: metadata.level().as_str(),
            message,
            logger: metadata.target().to_owned(),
            fields: context,
            metrics: None,
        }
    }
}

/// Collects fields under camel-case names.
#[derive(Default)]
struct Fields(Map<String, Value>);

// === impl Fields ===

impl Fields {
    fn insert(&mut self, field: &Field, value: Value) {
        if field.name().starts_with(FOR_TRACES) {
            return;
        }
        self.0.insert(camel_case(field.name()), value);
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.insert(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.insert(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.insert(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.insert(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.insert(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.insert(field, value.into());
    }
}

fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |mut text, word| {
        let mut letters = word.chars();
        text.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        text.push_str(letters.as_str());
        text
    })
}
