//! The calls under way, by what a caller can cancel them by.
//!
//! A request's id is its caller's own, and callers count from 0: only within a session does it mean one call. A caller
//! who never names a session can cancel by closing the connection.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rmcp::model::RequestId;
use tokio_util::sync::CancellationToken;

/// A call as a caller names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) session_id: String,
    pub(super) request_id: RequestId,
}

/// Which calls are under way. Clones are the same list.
#[derive(Debug, Clone, Default)]
pub(super) struct Calls(Arc<Mutex<List>>);

#[derive(Debug, Default)]
struct List {
    next: u64,
    under_way: HashMap<u64, (Call, CancellationToken)>,
}

/// A call's place on the list, until it is dropped.
#[derive(Debug)]
pub(super) struct UnderWay {
    calls: Calls,
    number: u64,
    cut: CancellationToken,
}

// === impl Calls ===

impl Calls {
    /// A call has begun.
    pub(super) fn begin(&self, call: Call) -> UnderWay {
        let cut = CancellationToken::new();
        let mut list = self.list();
        let number = list.next;
        list.next += 1;
        list.under_way.insert(number, (call, cut.clone()));
        UnderWay { calls: self.clone(), number, cut }
    }

    /// Cuts a call. One that is over, or never was, is no error: its answer may have crossed the cancellation.
    pub(super) fn cut(&self, call: &Call) {
        for (_, cut) in self.list().under_way.values().filter(|(under_way, _)| under_way == call) {
            cut.cancel();
        }
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl UnderWay ===

impl UnderWay {
    /// Waits until it is cut.
    pub(super) async fn cut(&self) {
        self.cut.cancelled().await;
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.calls.list().under_way.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(session_id: &str, number: i64) -> Call {
        Call { session_id: session_id.to_owned(), request_id: RequestId::Number(number) }
    }

    #[test]
    fn a_call_is_cut_by_its_own_session_alone_and_leaves_the_list_when_it_is_over() {
        let calls = Calls::default();
        let [one, other] = ["one", "other"].map(|session_id| calls.begin(call(session_id, 1)));
        calls.cut(&call("one", 1));
        calls.cut(&call("other", 2));
        assert!(one.cut.is_cancelled() && !other.cut.is_cancelled());
        drop((one, other));
        assert!(calls.list().under_way.is_empty());
    }
}
