//! The trace that a caller began, as its headers say: W3C's `traceparent` and `baggage`, or AWS's `X-Amzn-Trace-Id`.

use agentcore_core::signal::attribute;
use axum::http::HeaderMap;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry::{Context, KeyValue};
use opentelemetry_aws::trace::XrayPropagator;
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};

const TRACEPARENT: &str = "traceparent";
const X_RAY: &str = "x-amzn-trace-id";
const BAGGAGE: &str = "baggage";

/// What an invocation's span is a part of. Its baggage names the session, so that every span of the trace does.
pub(super) fn parent(headers: &HeaderMap, session_id: &str) -> Context {
    let extractor = HeaderExtractor(headers);
    let mut context = Context::new();
    if headers.contains_key(TRACEPARENT) {
        context = TraceContextPropagator::new().extract_with_context(&context, &extractor);
    }
    if headers.contains_key(X_RAY) && !context.span().span_context().is_valid() {
        context = XrayPropagator::default().extract_with_context(&context, &extractor);
    }
    if headers.contains_key(BAGGAGE) {
        context = BaggagePropagator::new().extract_with_context(&context, &extractor);
    }
    let session = KeyValue::new(attribute::SESSION, session_id.to_owned());
    let told = context.baggage().iter().map(|(name, (value, _))| KeyValue::new(name.clone(), value.clone()));
    // The last of one name counts.
    let baggage: Vec<_> = told.chain([session]).collect();
    context.with_baggage(baggage)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    fn parent_of(headers: &[(&'static str, String)]) -> Context {
        let headers =
            headers.iter().map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")));
        parent(&headers.collect(), "a-session")
    }

    fn ids(context: &Context) -> (String, String, bool) {
        let span = context.span().span_context().clone();
        (span.trace_id().to_string(), span.span_id().to_string(), span.is_sampled())
    }

    #[test]
    fn a_trace_of_the_callers_goes_on() {
        let w3c = parent_of(&[(TRACEPARENT, format!("00-{TRACE}-{SPAN}-01"))]);
        assert_eq!(ids(&w3c), (TRACE.into(), SPAN.into(), true));
        let root = format!("1-{}-{}", &TRACE[..8], &TRACE[8..]);
        let x_ray = parent_of(&[(X_RAY, format!("Root={root};Parent={SPAN};Sampled=1"))]);
        assert_eq!(ids(&x_ray), (TRACE.into(), SPAN.into(), true));
        let unsampled = parent_of(&[(TRACEPARENT, format!("00-{TRACE}-{SPAN}-00"))]);
        assert!(!ids(&unsampled).2);
    }

    #[test]
    fn of_two_the_standard_one_counts() {
        let other = "1-00000001-000000000000000000000001";
        let both = parent_of(&[
            (TRACEPARENT, format!("00-{TRACE}-{SPAN}-01")),
            (X_RAY, format!("Root={other};Parent={SPAN};Sampled=1")),
        ]);
        assert_eq!(ids(&both).0, TRACE);
    }

    #[test]
    fn nonsense_is_no_trace_and_no_failure() {
        for (name, value) in [(TRACEPARENT, "00-xyz"), (X_RAY, "Root=;;=Parent"), (BAGGAGE, "=,;=%zz")] {
            let context = parent_of(&[(name, value.to_owned())]);
            assert!(!context.span().span_context().is_valid(), "{name}: {value}");
        }
    }

    #[test]
    fn the_session_of_the_invocation_stands_above_the_callers_baggage() {
        let context = parent_of(&[(BAGGAGE, "session.id=forged,tier=gold".to_owned())]);
        let told = |name: &str| context.baggage().get(name).map(ToString::to_string);
        assert_eq!(told(attribute::SESSION).as_deref(), Some("a-session"));
        assert_eq!(told("tier").as_deref(), Some("gold"));
    }
}
