//! What thinks behind the emulated Bedrock.
//!
//! Bedrock's door speaks HTTP and checks requests; what it answers comes from an [`Engine`]. The
//! scripted one needs nothing and is the same every time; the other asks a model server that
//! speaks the OpenAI protocol. Both are lazy streams: an engine works only as fast as the client reads,
//! and a client that leaves drops the stream and with it the work.

pub mod conversation;
pub(crate) mod http_client;
mod open_ai;
mod scripted;
pub mod tokens;

use std::pin::Pin;

use futures::Stream;

use self::conversation::{Conversation, StopReason, ToolUse, Usage};

pub use self::open_ai::{OpenAi, OpenAiError};
pub use self::scripted::Scripted;

/// The parts of an answer as they come about; the last is [`Piece::End`] or an error.
///
/// An error before the first piece becomes an error of the call, a later one an exception in the
/// stream.
pub type Pieces = Pin<Box<dyn Stream<Item = Result<Piece, EngineError>> + Send>>;

/// A source of answers.
pub trait Engine: Send + Sync + 'static {
    /// Begins to answer `conversation`.
    fn answer(&self, conversation: Conversation) -> Pieces;
}

/// A part of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    /// The next words.
    Text(String),
    /// A whole tool call.
    ToolUse(ToolUse),
    /// The end of the answer.
    End {
        /// Why it ended.
        reason: StopReason,
        /// What it cost.
        usage: Usage,
    },
}

/// Why an engine could not answer; each maps to one of Bedrock's exceptions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// The request asks for what the model can't do.
    #[error("{0}")]
    Unacceptable(String),
    /// The conversation doesn't fit the model.
    #[error("Input is too long for requested model.")]
    TooLong,
    /// The model server wants another key, or none of ours.
    #[error("{0}")]
    AccessDenied(String),
    /// The model server has no such model.
    #[error("{0}")]
    UnknownModel(String),
    /// The model server asks to slow down.
    #[error("{0}")]
    Throttled(String),
    /// The model took too long.
    #[error("{0}")]
    TimedOut(String),
    /// Nobody answers, or says to come back later.
    #[error("{0}")]
    Unavailable(String),
    /// The model failed, or broke off.
    #[error("{0}")]
    Failed(String),
}
