//! Lines as OpenTelemetry's log records.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use opentelemetry::InstrumentationScope;
use opentelemetry::logs::{AnyValue, LogRecord as _, Logger as _, LoggerProvider as _, Severity};
use opentelemetry::trace::SpanContext;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{LogProcessor, SdkLogRecord, SdkLogger, SdkLoggerProvider};
use serde_json::Value;
use tracing::Level;

use super::SCOPE;
use super::queue::{Entrance, Record};

/// Where records are made. Clones share it.
#[derive(Clone)]
pub(super) struct Records {
    logger: SdkLogger,
    _provider: Arc<SdkLoggerProvider>,
}

// === impl Records ===

impl Records {
    /// Records that leave by that queue.
    pub(super) fn new(resource: Resource, entrance: Entrance<Record>) -> Self {
        let provider = SdkLoggerProvider::builder().with_resource(resource).with_log_processor(entrance).build();
        Self { logger: provider.logger(SCOPE), _provider: Arc::new(provider) }
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
        record.set_timestamp(SystemTime::now());
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
        self.logger.emit(record);
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

impl LogProcessor for Entrance<Record> {
    fn emit(&self, record: &mut SdkLogRecord, scope: &InstrumentationScope) {
        self.put((record.clone(), scope.clone()));
    }

    /// Whoever flushes waits at [`super::queue::Queue::flush`], not on a thread.
    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _within: Duration) -> OTelSdkResult {
        Ok(())
    }
}
