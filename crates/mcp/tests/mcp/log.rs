//! What is logged while a test runs, on its own thread: a test that reads it has a runtime of one thread.

use std::fmt::Write as _;
use std::sync::{Mutex, Once, PoisonError};
use std::thread::{self, ThreadId};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

/// What is logged on any thread. One place for all tests: whether an event is of interest to anybody is
/// remembered for the whole process.
static LINES: Mutex<Vec<(ThreadId, String)>> = Mutex::new(Vec::new());

/// The log of this thread.
pub(crate) struct Log(ThreadId);

struct Keeper;

#[derive(Default)]
struct Line(String);

// === impl Log ===

impl Log {
    pub(crate) fn keep() -> Self {
        static KEPT: Once = Once::new();
        KEPT.call_once(|| {
            let subscriber = tracing_subscriber::registry().with(Keeper);
            tracing::subscriber::set_global_default(subscriber).expect("nobody else keeps the log");
        });
        Self(thread::current().id())
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().filter(|(thread, _)| *thread == self.0).map(|(_, line)| line.clone()).collect()
    }

    /// What our own crate says at a level and above.
    pub(crate) fn ours(&self, level: &str) -> Vec<String> {
        let levels = ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"];
        let heard = levels.iter().take_while(|above| **above != level).chain([&level]);
        let starts: Vec<String> = heard.map(|level| format!("{level} agentcore_mcp")).collect();
        let mut lines = self.lines();
        lines.retain(|line| starts.iter().any(|start| line.starts_with(start)));
        lines
    }
}

impl<S: Subscriber> Layer<S> for Keeper {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut line = Line::default();
        event.record(&mut line);
        let line = format!("{} {}{}", event.metadata().level(), event.metadata().target(), line.0);
        LINES.lock().unwrap_or_else(PoisonError::into_inner).push((thread::current().id(), line));
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = write!(self.0, " {field}={value:?}");
    }
}
