//! What an operator is told when signals cannot be handed over: one line a minute, with how much was lost.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use agentcore_core::signal::measure;

/// The least time between two lines. An unreachable collector is no reason to fill the log.
const BETWEEN_LINES: Duration = Duration::from_mins(1);

/// Counts what is lost, and tells of it.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    lost: AtomicU64,
    /// Why the last batch was not accepted.
    reason: Mutex<Option<String>>,
    told: Mutex<Option<Instant>>,
}

// === impl Trouble ===

impl Trouble {
    /// A batch was not accepted.
    pub(super) fn failed(&self, reason: String) {
        *self.reason.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
    }

    /// So many signals are lost. Told at once if nothing was told for a minute.
    pub(super) fn lost(&self, signals: u64) {
        self.lost.fetch_add(signals, Ordering::Relaxed);
        if self.may_tell() {
            let reason = self.reason.lock().unwrap_or_else(PoisonError::into_inner).take();
            let lost = self.lost.swap(0, Ordering::Relaxed);
            tracing::warn!(
                { measure::LOST } = lost,
                error = reason.as_deref().unwrap_or("more came at once than is kept"),
                "traces or metrics cannot be handed over; check OTEL_EXPORTER_OTLP_ENDPOINT, or the role's rights"
            );
        }
    }

    /// How much is lost that nobody has been told of.
    #[cfg(test)]
    pub(super) fn not_told(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    fn may_tell(&self) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let may = told.is_none_or(|told| told.elapsed() >= BETWEEN_LINES);
        if may {
            *told = Some(Instant::now());
        }
        may
    }
}
