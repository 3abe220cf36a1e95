//! Lines as OpenTelemetry's log records.

use std::sync::Arc;
use std::time::SystemTime;

use opentelemetry::InstrumentationScope;
use opentelemetry::logs::{AnyValue, LogRecord as _, Logger as _, LoggerProvider as _, Severity};
use opentelemetry::trace::SpanContext;
use opentelemetry_sdk::logs::{SdkLogRecord, SdkLogger, SdkLoggerProvider};
use serde_json::Value;
use tracing::Level;

use super::SCOPE;
use super::queue::Entrance;

/// Where records are made. Clones share it.
#[derive(Clone)]
pub(super) struct Records {
    /// Makes records, and sends none: its processors are handed a record to copy, where a queue can have it.
    logger: SdkLogger,
    entrance: Arc<Entrance<SdkLogRecord>>,
}

/// Who makes them.
pub(super) fn scope() -> InstrumentationScope {
    InstrumentationScope::builder(SCOPE).build()
}

// === impl Records ===

impl Records {
    /// Records that leave by that queue.
    pub(super) fn new(entrance: Entrance<SdkLogRecord>) -> Self {
        let logger = SdkLoggerProvider::builder().build().logger_with_scope(scope());
        Self { logger, entrance: Arc::new(entrance) }
    }

    /// Puts a record on its way.
    pub(super) fn put<'a>(
        &self,
        (level, event): (Level, Option<&'static str>),
        body: Option<&str>,
        members: impl IntoIterator<Item = (&'a str, &'a Value)>,
        span: Option<&SpanContext>,
    ) {
        let mut record = self.logger.create_log_record();
        let now = SystemTime::now();
        record.set_timestamp(now);
        record.set_observed_timestamp(now);
        record.set_severity_text(level.as_str());
        record.set_severity_number(severity(level));
        if let Some(event) = event {
            record.set_event_name(event);
        }
        if let Some(body) = body {
            record.set_body(AnyValue::String(body.to_owned().into()));
        }
        for (name, value) in members {
            record.add_attribute(name.to_owned(), any(value));
        }
        if let Some(span) = span.filter(|span| span.is_valid()) {
            record.set_trace_context(span.trace_id(), span.span_id(), Some(span.trace_flags()));
        }
        self.entrance.put(record);
    }
}

fn severity(level: Level) -> Severity {
    match level {
        Level::ERROR => Severity::Error,
        Level::WARN => Severity::Warn,
        Level::INFO => Severity::Info,
        Level::DEBUG => Severity::Debug,
        Level::TRACE => Severity::Trace,
    }
}

fn any(value: &Value) -> AnyValue {
    match value {
        Value::Null => AnyValue::String("".into()),
        Value::Bool(value) => AnyValue::Boolean(*value),
        Value::Number(number) => match number.as_i64() {
            Some(number) => AnyValue::Int(number),
            None => AnyValue::Double(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => AnyValue::String(text.clone().into()),
        Value::Array(_) | Value::Object(_) => AnyValue::String(value.to_string().into()),
    }
}
