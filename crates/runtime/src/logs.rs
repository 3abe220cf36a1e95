//! The log: one JSON object a line, in the form AgentCore's own SDK writes.
//!
//! Every line has `timestamp`, `level`, `message` and `logger`; lines of an invocation have `requestId`
//! and `sessionId`, errors have `errorType`, `errorMessage` and `location`. Other fields keep their
//! names in camel case. Nothing here ever sees conversation text, because nobody logs it.

use std::fmt;
use std::io::Write as _;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

/// What is logged unless `RUST_LOG` or `LOG_LEVEL` says otherwise: `debug`, or a list of a crate's name and
/// its level, `warn,agentcore_core=debug`.
const DEFAULT_LEVEL: LevelFilter = LevelFilter::INFO;

/// What `lambda_runtime` tells of failed invocations as its own errors was told where it happened, at the
/// level it deserves.
const TOLD_BEFORE: &str = "lambda_runtime::layers::panic";

/// The MCP client's library tells of each attempt to reach a server as an error, and shows what comes
/// from servers, which may be somebody's words. What matters of it, `agentcore_mcp` says.
const TOLD_BY_OURS: &str = "rmcp";

/// A field that makes a line a metric: it becomes the `_aws` member that CloudWatch looks for.
const EMBEDDED_METRIC: &str = "embedded_metric";

/// Begins logging to standard error. Does nothing when somebody already logs.
pub(crate) fn begin() {
    let levels = ["RUST_LOG", "LOG_LEVEL"].into_iter().find_map(|name| std::env::var(name).ok());
    let levels = levels.and_then(|levels| levels.parse().ok());
    let levels = levels.unwrap_or_else(|| Targets::new().with_default(DEFAULT_LEVEL));
    let levels = levels.with_target(TOLD_BEFORE, LevelFilter::OFF).with_target(TOLD_BY_OURS, LevelFilter::OFF);
    let _ = tracing_subscriber::registry().with(levels).with(JsonLines).try_init();
    std::panic::set_hook(Box::new(|panic| {
        // What a panic says may be somebody's words; where it happened is enough to find it.
        let place = panic.location().map_or_else(String::new, ToString::to_string);
        tracing::error!(error_type = "Panic", error = "a task panicked", location = place, "the agent panicked");
    }));
}

/// Writes each event as one line.
struct JsonLines;

/// The fields of a span, kept until its events need them.
struct SpanFields(Map<String, Value>);

// === impl JsonLines ===

impl<S> Layer<S> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(SpanFields(fields.0));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut line = Map::new();
        if let Some(scope) = context.event_scope(event) {
            for span in scope.from_root() {
                if let Some(SpanFields(fields)) = span.extensions().get() {
                    line.extend(fields.clone());
                }
            }
        }
        let line = Line::of(event, line, Timestamp::now());
        if let Ok(line) = serde_json::to_string(&line) {
            // A log that cannot be written must not stop a turn.
            let _ = writeln!(std::io::stderr().lock(), "{line}");
        }
    }
}

/// A line, in the order a person reads it.
#[derive(Serialize)]
struct Line {
    timestamp: String,
    level: &'static str,
    message: Value,
    logger: String,
    #[serde(flatten)]
    fields: Map<String, Value>,
}

// === impl Line ===

impl Line {
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
        }
    }
}

/// Collects fields under camel-case names.
#[derive(Default)]
struct Fields(Map<String, Value>);

// === impl Fields ===

impl Fields {
    fn insert(&mut self, field: &Field, value: Value) {
        self.0.insert(camel_case(field.name()), value);
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.insert(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match (field.name(), serde_json::from_str(value)) {
            (EMBEDDED_METRIC, Ok(metric)) => {
                self.0.insert("_aws".into(), metric);
            }
            _ => self.insert(field, value.into()),
        }
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
