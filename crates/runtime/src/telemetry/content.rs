//! What was said, as a log record beside the span of its question: only where an operator asks for it by name.
//!
//! Conversations are health data. They are never in a span, a metric or a line of the log, so that whoever may read
//! those need not be allowed to read these.

use agentcore_core::message::Message;
use agentcore_core::model::ModelRequest;
use opentelemetry::trace::TraceContextExt as _;
use serde_json::{Value, json};
use tracing::{Level, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::records::Records;

/// The variable by which OpenTelemetry's conventions let an operator ask for it.
const SWITCH: &str = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT";

/// The record's name in the conventions.
const EVENT: &str = "gen_ai.client.inference.operation.details";

/// Where what was said goes.
#[derive(Clone)]
pub(crate) struct Content(Records);

/// Whether the operator asks for it.
pub(super) fn is_wanted(read: &impl Fn(&str) -> Option<String>) -> bool {
    read(SWITCH).is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

// === impl Content ===

impl Content {
    /// Puts it into records.
    pub(super) fn new(records: Records) -> Self {
        Self(records)
    }

    /// Puts down what was asked and answered within a span.
    pub(super) fn put(&self, request: &ModelRequest, answer: Option<&Message>, span: &Span) {
        let earlier = request.history.iter().flat_map(|turn| turn.messages());
        let asked: Vec<&Message> = earlier.chain(&request.messages).collect();
        let members: [(&str, Value); 3] = [
            ("gen_ai.system_instructions", json!(request.system)),
            ("gen_ai.input.messages", json!(asked)),
            ("gen_ai.output.messages", json!(answer)),
        ];
        let context = span.context();
        let members = members.iter().map(|(name, value)| (*name, value));
        self.0.put((Level::INFO, Some(EVENT)), None, members, Some(context.span().span_context()));
    }
}
