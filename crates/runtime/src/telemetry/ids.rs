//! Ids of traces and spans, drawn one by one.
//!
//! A generator that is seeded at start-up, as the SDK's is, gives every process that is revived from one snapshot, or
//! forked, the same ids.

use agentcore_core::chance;
use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry_sdk::trace::IdGenerator;

/// Draws every id when it is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Drawn;

impl IdGenerator for Drawn {
    fn new_trace_id(&self) -> TraceId {
        TraceId::from(u128::from(chance::number()) << 64 | u128::from(chance::number()))
    }

    fn new_span_id(&self) -> SpanId {
        SpanId::from(chance::number())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use fork::{Fork, fork, waitpid};
    use opentelemetry_sdk::trace::RandomIdGenerator;

    use super::*;

    /// The ids that come next.
    fn next(ids: &impl IdGenerator) -> [String; 2] {
        [ids.new_trace_id().to_string(), ids.new_span_id().to_string()]
    }

    /// The ids that come next here, and in a process that is forked off now.
    fn next_here_and_in_a_fork(ids: &impl IdGenerator) -> [[String; 2]; 2] {
        let folder = tempfile::tempdir().expect("a folder");
        let told = folder.path().join("ids");
        match fork().expect("a process can be forked") {
            Fork::Child => {
                let _ = std::fs::write(&told, next(ids).join("\n"));
                #[expect(clippy::disallowed_methods, reason = "the fork must not go on with the tests")]
                std::process::exit(0)
            }
            Fork::Parent(child) => {
                waitpid(child).expect("it ends");
                let there = std::fs::read_to_string(told).expect("it told its ids");
                let (trace, span) = there.split_once('\n').expect("two ids");
                [next(ids), [trace.to_owned(), span.to_owned()]]
            }
        }
    }

    #[test]
    fn processes_forked_after_start_up_make_different_ids() {
        let [here, there] = next_here_and_in_a_fork(&Drawn);
        assert!(here[0] != there[0] && here[1] != there[1], "{here:?} {there:?}");
    }

    #[test]
    fn the_sdks_own_generator_would_make_the_same_ids_twice() {
        let ids = RandomIdGenerator::default();
        next(&ids);
        let [here, there] = next_here_and_in_a_fork(&ids);
        assert_eq!(here, there, "or else ours is no longer needed");
    }

    #[test]
    fn no_id_is_made_twice() {
        let spans: HashSet<_> = (0..1_000).map(|_| Drawn.new_span_id()).collect();
        let traces: HashSet<_> = (0..1_000).map(|_| Drawn.new_trace_id()).collect();
        assert_eq!((spans.len(), traces.len()), (1_000, 1_000));
    }
}
