//! Who wants to know about model calls, and what they learn.
//!
//! The server attributes calls to agent sessions; this module knows only that somebody looks at a
//! call's headers when it begins and is told its figures when it is over, however it ended.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::HeaderMap;

use super::fault::Fault;
use crate::engine::conversation::Usage;

/// Somebody who follows the model calls.
pub trait ModelCallWatch: Send + Sync {
    /// A fault for the call that begins with `headers`.
    fn fault(&self, headers: &HeaderMap) -> Option<Fault>;

    /// The call that began with `headers` is over.
    fn finished(&self, headers: &HeaderMap, call: &ModelCall);
}

/// The figures of one call of `converse` or `converse-stream`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelCall {
    /// The model as the caller named it, percent-decoded.
    pub model_id: String,
    /// From the request to the first words or tool call; absent when there were none.
    pub first_token: Option<Duration>,
    /// From the request to the last byte.
    pub total: Duration,
    /// Tokens sent to the model, as far as known.
    pub input_tokens: u64,
    /// Tokens the model produced, as far as known.
    pub output_tokens: u64,
    /// The error the caller got, by its name in the service's model; `ClientDisconnected` when the
    /// caller left first, `FaultInjected` when the trouble has no name on the wire.
    pub error: Option<&'static str>,
}

/// A call under way; reports itself when dropped, so that no way to end is missed.
pub(super) struct CallRecord {
    watch: Option<Arc<dyn ModelCallWatch>>,
    headers: HeaderMap,
    began: Instant,
    call: ModelCall,
}

// === impl CallRecord ===

impl CallRecord {
    pub(super) fn begin(watch: Option<Arc<dyn ModelCallWatch>>, headers: HeaderMap, model_id: String) -> Self {
        Self {
            watch,
            headers,
            began: Instant::now(),
            call: ModelCall {
                model_id,
                first_token: None,
                total: Duration::ZERO,
                input_tokens: 0,
                output_tokens: 0,
                error: Some("ClientDisconnected"),
            },
        }
    }

    /// The caller can see something now.
    pub(super) fn produced(&mut self) {
        if self.call.first_token.is_none() {
            self.call.first_token = Some(self.began.elapsed());
        }
    }

    pub(super) fn used(&mut self, usage: Usage) {
        self.call.input_tokens = usage.input_tokens;
        self.call.output_tokens = usage.output_tokens;
    }

    pub(super) fn failed(&mut self, name: &'static str) {
        self.call.error = Some(name);
    }

    pub(super) fn succeeded(&mut self) {
        self.call.error = None;
    }

    /// Milliseconds since the call began.
    pub(super) fn latency_milliseconds(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Drop for CallRecord {
    fn drop(&mut self) {
        self.call.total = self.began.elapsed();
        if let Some(watch) = &self.watch {
            watch.finished(&self.headers, &self.call);
        }
    }
}
