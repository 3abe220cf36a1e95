//! Ids of traces and spans, from the system's own chance.
//!
//! A generator that is seeded at start-up, as the SDK's is, gives every process that is revived from one snapshot, or
//! forked, the same ids.

use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry_sdk::trace::IdGenerator;

/// Asks the system for every id. Where it has no chance to give, ids are zero, and such spans are not handed over.
#[derive(Debug, Clone, Copy)]
pub(super) struct FromSystem;

impl IdGenerator for FromSystem {
    fn new_trace_id(&self) -> TraceId {
        TraceId::from(u128::from(chance()) << 64 | u128::from(chance()))
    }

    fn new_span_id(&self) -> SpanId {
        SpanId::from(chance())
    }
}

fn chance() -> u64 {
    getrandom::u64().unwrap_or_default()
}
