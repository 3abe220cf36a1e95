//! Reads along in a relayed answer, to tell the watch what the call used.
//!
//! The bytes go on as they came, before anything is known about them; what can't be read is simply
//! not counted.

use std::io;

use aws_smithy_eventstream::frame::{DecodedFrame, MessageFrameDecoder};
use axum::http::header;
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt};
use serde_json::Value;

use super::super::event_stream;
use super::super::watch::CallRecord;
use crate::engine::conversation::Usage;

/// A whole answer that is read along up to here, in bytes; Bedrock's are far smaller.
const LARGEST_WHOLE_ANSWER: usize = 4_000_000;

/// An answer on its way through.
pub(super) struct UsageReader {
    chunks: futures::stream::BoxStream<'static, reqwest::Result<Bytes>>,
    form: Form,
    seen: BytesMut,
    succeeded: bool,
    record: CallRecord,
}

enum Form {
    Whole,
    Frames(MessageFrameDecoder),
    Unreadable,
}

// === impl UsageReader ===

impl UsageReader {
    pub(super) fn new(answer: reqwest::Response, record: CallRecord) -> Self {
        let framed = answer.headers().get(header::CONTENT_TYPE) == Some(&event_stream::CONTENT_TYPE);
        Self {
            form: if framed { Form::Frames(MessageFrameDecoder::new()) } else { Form::Whole },
            seen: BytesMut::new(),
            succeeded: answer.status().is_success(),
            chunks: answer.bytes_stream().boxed(),
            record,
        }
    }

    pub(super) fn into_stream(self) -> impl Stream<Item = io::Result<Bytes>> + Send {
        futures::stream::unfold(self, |mut reader| async move {
            let chunk = reader.next_chunk().await?;
            Some((chunk, reader))
        })
    }

    async fn next_chunk(&mut self) -> Option<io::Result<Bytes>> {
        match self.chunks.next().await {
            Some(Ok(chunk)) => {
                self.read(&chunk);
                Some(Ok(chunk))
            }
            Some(Err(error)) => {
                self.record.failed("ConnectionBroken");
                Some(Err(io::Error::other(error)))
            }
            None => {
                self.finish();
                None
            }
        }
    }

    fn read(&mut self, chunk: &Bytes) {
        if !self.succeeded {
            return;
        }
        match &mut self.form {
            Form::Unreadable => return,
            Form::Whole if self.seen.len() + chunk.len() > LARGEST_WHOLE_ANSWER => {
                self.form = Form::Unreadable;
                return;
            }
            Form::Whole | Form::Frames(_) => self.seen.extend_from_slice(chunk),
        }
        while let Form::Frames(decoder) = &mut self.form {
            match decoder.decode_frame(&mut self.seen) {
                Ok(DecodedFrame::Complete(frame)) => self.read_frame(frame.payload()),
                Ok(DecodedFrame::Incomplete) => return,
                Err(_) => self.form = Form::Unreadable,
            }
        }
    }

    fn read_frame(&mut self, payload: &Bytes) {
        let Ok(event) = serde_json::from_slice::<Value>(payload) else {
            return;
        };
        if event.get("delta").is_some() {
            self.record.produced();
        }
        self.read_usage(&event);
    }

    fn finish(&mut self) {
        if !self.succeeded {
            return;
        }
        if let Form::Whole = self.form {
            self.record.produced();
            if let Ok(answer) = serde_json::from_slice(&self.seen) {
                self.read_usage(&answer);
            }
            self.record.succeeded();
        }
    }

    /// The end of a stream that went well is its metadata.
    fn read_usage(&mut self, value: &Value) {
        let tokens = |name: &str| value.pointer(name).and_then(Value::as_u64);
        if let (Some(input_tokens), Some(output_tokens)) = (tokens("/usage/inputTokens"), tokens("/usage/outputTokens"))
        {
            self.record.used(Usage { input_tokens, output_tokens });
            self.record.succeeded();
        }
    }
}
