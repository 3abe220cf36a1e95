//! A session memory, watched: how long each reading and writing takes, and what fails.

use std::sync::Arc;
use std::time::Instant;

use agentcore_core::memory::identity::SessionKey;
use agentcore_core::memory::{Loaded, MemoryError, Record, SessionMemory};
use agentcore_core::signal::{self, attribute, measure, span};
use futures::future::BoxFuture;
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

use super::invocation::{milliseconds, signed};

/// Watches another memory.
pub(crate) struct WatchedMemory(pub(crate) Arc<dyn SessionMemory>);

impl SessionMemory for WatchedMemory {
    fn load<'a>(&'a self, session: &'a SessionKey, budget_tokens: usize) -> BoxFuture<'a, Result<Loaded, MemoryError>> {
        let span = tracing::info_span!(
            target: signal::SPANS,
            span::READ_MEMORY,
            otel.kind = "client",
            { attribute::TURNS } = Empty,
            { attribute::ERROR } = Empty,
            otel.status_code = Empty,
        );
        Box::pin(async move {
            let began = Instant::now();
            let loaded = self.0.load(session, budget_tokens).instrument(span.clone()).await;
            if let Ok(loaded) = &loaded {
                span.record(attribute::TURNS, signed(loaded.turns.len() as u64));
            }
            tell(&span, "read", began, loaded.as_ref().err());
            loaded
        })
    }

    fn append<'a>(&'a self, session: &'a SessionKey, record: &'a Record) -> BoxFuture<'a, Result<(), MemoryError>> {
        let span = tracing::info_span!(
            target: signal::SPANS,
            span::WRITE_MEMORY,
            otel.kind = "client",
            { attribute::ERROR } = Empty,
            otel.status_code = Empty,
        );
        Box::pin(async move {
            let began = Instant::now();
            let appended = self.0.append(session, record).instrument(span.clone()).await;
            tell(&span, "write", began, appended.as_ref().err());
            appended
        })
    }
}

/// What failed is told where it is known what follows from it; here is how long it took.
fn tell(span: &Span, operation: &str, began: Instant, error: Option<&MemoryError>) {
    let error_type = error.map(kind);
    if let Some(kind) = error_type {
        span.record(attribute::ERROR, kind);
        span.record("otel.status_code", "ERROR");
    }
    let _within = span.enter();
    tracing::info!(operation, error_type, { measure::MEMORY } = milliseconds(began), "session memory");
}

fn kind(error: &MemoryError) -> &'static str {
    match error {
        MemoryError::Unavailable { .. } => "Unavailable",
        MemoryError::Refused { .. } => "Refused",
        MemoryError::Corrupt { .. } => "Corrupt",
    }
}
