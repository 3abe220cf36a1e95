//! An answer on its way from the engine to the caller, with what the service itself adds at the end.

use std::pin::Pin;

use futures::{Stream, StreamExt};
use serde_json::Value;

use super::cache::CacheUse;
use crate::engine::conversation::{StopReason, ToolUse, Usage};
use crate::engine::{EngineError, Piece, Pieces};

/// The parts of an answer as they come about; the last is [`Part::End`] or an error.
pub(super) type Parts = Pin<Box<dyn Stream<Item = Result<Part, EngineError>> + Send>>;

/// A part of an answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Part {
    Text(String),
    ToolUse(ToolUse),
    End(Ending),
}

/// How an answer ended, and what it took.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ending {
    pub(super) reason: StopReason,
    /// As the engine counts, the cached part of the prompt included.
    pub(super) usage: Usage,
    /// What a cache did for it; none with models that have no cache.
    pub(super) cache: Option<CacheUse>,
    /// What the guardrail saw and did, when the caller wants to know.
    pub(super) guardrail_trace: Option<Value>,
}

/// What `pieces` say, charged with `cache`.
pub(super) fn parts(pieces: Pieces, cache: Option<CacheUse>) -> Parts {
    Box::pin(pieces.map(move |piece| {
        piece.map(|piece| match piece {
            Piece::Text(text) => Part::Text(text),
            Piece::ToolUse(call) => Part::ToolUse(call),
            Piece::End { reason, usage } => Part::End(Ending { reason, usage, cache, guardrail_trace: None }),
        })
    }))
}
