//! Frames of `application/vnd.amazon.eventstream`: how Bedrock's answers travel in pieces.

use aws_smithy_eventstream::error::Error;
use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use axum::http::HeaderValue as HttpHeaderValue;
use bytes::{BufMut, Bytes, BytesMut};
use serde_json::Value;

/// The content type of a stream of frames.
pub(super) const CONTENT_TYPE: HttpHeaderValue = HttpHeaderValue::from_static("application/vnd.amazon.eventstream");

/// Length of the checksum that ends every frame.
const CHECKSUM_LENGTH: usize = 4;

/// What one frame says.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Event {
    /// A member of the stream's union.
    Regular {
        /// The member's name.
        kind: &'static str,
        /// The member.
        payload: Value,
    },
    /// The end of the stream by an error.
    Exception {
        /// The exception's name in the stream's union.
        kind: &'static str,
        /// The exception.
        payload: Value,
    },
}

// === impl Event ===

impl Event {
    pub(super) fn exception(kind: &'static str, message: &str) -> Self {
        Self::Exception { kind, payload: serde_json::json!({ "message": message }) }
    }

    /// The event as bytes on the wire.
    pub(super) fn encode(&self) -> Result<Bytes, Error> {
        let (message_type, type_header, kind, payload) = match self {
            Self::Regular { kind, payload } => ("event", ":event-type", *kind, payload),
            Self::Exception { kind, payload } => ("exception", ":exception-type", *kind, payload),
        };
        let message = Message::new(payload.to_string())
            .add_header(header(type_header, kind))
            .add_header(header(":content-type", "application/json"))
            .add_header(header(":message-type", message_type));
        let mut frame = BytesMut::new().writer();
        write_message_to(&message, frame.get_mut())?;
        Ok(frame.into_inner().freeze())
    }
}

fn header(name: &'static str, value: &'static str) -> Header {
    Header::new(name, HeaderValue::String(value.into()))
}

/// `frame` with a checksum that doesn't fit.
pub(super) fn corrupt(frame: &Bytes) -> Bytes {
    let mut frame = frame.to_vec();
    let checksum_begins = frame.len().saturating_sub(CHECKSUM_LENGTH);
    if let Some(byte) = frame.get_mut(checksum_begins) {
        *byte = !*byte;
    }
    frame.into()
}
