//! The versions of the protocol, and what is answered in each.

use a2a::{StreamResponse, Task};
use serde::Serialize;
use serde_json::{Value, json};

use super::older;

/// A version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// 0.3.
    Older,
    /// 1.0, which the crate's types are written in.
    Current,
}

// === impl Version ===

impl Version {
    /// A task, asked for by its id.
    pub(super) fn task(self, task: &Task) -> Value {
        match self {
            Self::Older => older::task(task),
            Self::Current => written(task),
        }
    }

    /// What a message came to.
    pub(super) fn sent(self, task: &Task) -> Value {
        match self {
            Self::Older => older::task(task),
            Self::Current => json!({ "task": task }),
        }
    }

    /// One thing that is told of a task; nothing comes after the `last`.
    pub(super) fn told(self, event: &StreamResponse, last: bool) -> Value {
        match self {
            Self::Older => older::event(event, last),
            Self::Current => written(event),
        }
    }
}

/// The keys of the crate's types are strings: that cannot fail.
pub(super) fn written(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}
