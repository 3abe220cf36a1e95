//! A span as it is told: what a reader needs of OTLP's own, and nothing that could be missing.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Given;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span as Sent;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use serde_json::Value;

/// Names a trace.
pub type TraceId = [u8; 16];

/// Names a span within its trace.
pub type SpanId = [u8; 8];

/// Something that took time, and is over.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// The trace it is a part of.
    pub trace: TraceId,
    /// Its name within it.
    pub id: SpanId,
    /// The span it is a part of, which may be somebody else's.
    pub parent: Option<SpanId>,
    /// What was done.
    pub name: String,
    /// When it began, in nanoseconds since 1970.
    pub began: u64,
    /// When it ended, in nanoseconds since 1970; not before it began.
    pub ended: u64,
    /// What is known of it, by name.
    pub attributes: Vec<(String, Value)>,
    /// What went wrong, in the words of whoever traced it, which may be none.
    pub failure: Option<String>,
}

// === impl Span ===

impl Span {
    /// An attribute, by its name.
    pub fn attribute(&self, name: &str) -> Option<&Value> {
        self.attributes.iter().find(|(given, _)| given == name).map(|(_, value)| value)
    }

    /// None where ids are no ids: such a span has no place in any tree.
    fn read(sent: Sent) -> Option<Self> {
        let failed = sent.status.filter(|status| status.code == i32::from(StatusCode::Error));
        Some(Self {
            trace: sent.trace_id.try_into().ok()?,
            id: sent.span_id.try_into().ok()?,
            parent: sent.parent_span_id.try_into().ok(),
            name: sent.name,
            began: sent.start_time_unix_nano,
            ended: sent.end_time_unix_nano.max(sent.start_time_unix_nano),
            attributes: sent.attributes.into_iter().map(attribute).collect(),
            failure: failed.map(|status| status.message),
        })
    }
}

/// All spans of a request.
pub(super) fn of(request: ExportTraceServiceRequest) -> impl Iterator<Item = Span> {
    let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
    scopes.flat_map(|scope| scope.spans).filter_map(Span::read)
}

fn attribute(KeyValue { key, value, .. }: KeyValue) -> (String, Value) {
    (key, value.map_or(Value::Null, json))
}

fn json(AnyValue { value }: AnyValue) -> Value {
    match value {
        Some(Given::StringValue(text)) => text.into(),
        Some(Given::BoolValue(value)) => value.into(),
        Some(Given::IntValue(number)) => number.into(),
        Some(Given::DoubleValue(number)) => number.into(),
        Some(Given::ArrayValue(array)) => array.values.into_iter().map(json).collect(),
        Some(Given::KvlistValue(members)) => Value::Object(members.values.into_iter().map(attribute).collect()),
        // Bytes say nothing to a reader.
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::ArrayValue;
    use opentelemetry_proto::tonic::trace::v1::Status;

    use super::*;

    fn sent() -> Sent {
        Sent { trace_id: vec![1; 16], span_id: vec![2; 8], name: "chat".into(), ..Sent::default() }
    }

    #[test]
    fn a_span_without_ids_is_none() {
        assert_eq!(Span::read(Sent { trace_id: vec![1; 3], ..sent() }), None);
        assert_eq!(Span::read(Sent { span_id: Vec::new(), ..sent() }), None);
        assert_eq!(Span::read(sent()).expect("a span").parent, None, "no parent is no bytes");
    }

    #[test]
    fn attributes_keep_their_kinds() {
        let any = |value| AnyValue { value: Some(value) };
        let reasons = Given::ArrayValue(ArrayValue { values: vec![any(Given::StringValue("end_turn".into()))] });
        let given = [("tokens", Given::IntValue(212)), ("reasons", reasons), ("usd", Given::DoubleValue(0.5))];
        let attributes =
            given.map(|(key, value)| KeyValue { key: key.into(), value: Some(any(value)), ..KeyValue::default() });
        let span = Span::read(Sent { attributes: attributes.into(), ..sent() }).expect("a span");
        assert_eq!(span.attribute("tokens"), Some(&212.into()));
        assert_eq!(span.attribute("reasons"), Some(&serde_json::json!(["end_turn"])));
        assert_eq!(span.attribute("usd"), Some(&0.5.into()));
        assert_eq!(span.attribute("other"), None);
    }

    #[test]
    fn only_a_status_of_error_is_a_failure_and_time_never_runs_backwards() {
        let status = |code| Some(Status { code, message: "late".into() });
        let span = Span::read(Sent { status: status(1), start_time_unix_nano: 9, end_time_unix_nano: 7, ..sent() });
        let span = span.expect("a span");
        assert_eq!((span.failure, span.ended), (None, 9));
        assert_eq!(Span::read(Sent { status: status(2), ..sent() }).expect("a span").failure, Some("late".into()));
    }
}
