//! Server-sent events, as far as the OpenAI protocol uses them: `data:` lines, and `[DONE]` at the end.

use bytes::BytesMut;
use futures::StreamExt;
use futures::stream::BoxStream;

use super::super::EngineError;

/// The longest line accepted, in bytes: a delta is far shorter, and memory is not the peer's to fill.
const LONGEST_LINE: usize = 16_000_000;

/// What one event carries.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum EventData {
    /// A chunk.
    Json(String),
    /// The end mark.
    Done,
}

/// The answer's events, as they arrive.
pub(super) fn read(answer: reqwest::Response) -> BoxStream<'static, Result<EventData, EngineError>> {
    let reader = Reader { chunks: answer.bytes_stream().boxed(), buffer: BytesMut::new(), searched: 0 };
    futures::stream::unfold(reader, |mut reader| async move {
        let event = reader.next_event().await?;
        Some((event, reader))
    })
    .boxed()
}

struct Reader {
    chunks: BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    buffer: BytesMut,
    /// How far the buffer is known to hold no line end.
    searched: usize,
}

// === impl Reader ===

impl Reader {
    async fn next_event(&mut self) -> Option<Result<EventData, EngineError>> {
        loop {
            if let Some(line) = self.take_line() {
                if let Some(event) = parse(&line) {
                    return Some(Ok(event));
                }
                continue;
            }
            if self.buffer.len() > LONGEST_LINE {
                let reason = "The model server sent a line of more than 16 MB.";
                return Some(Err(EngineError::Failed(reason.into())));
            }
            match self.chunks.next().await? {
                Ok(chunk) => self.buffer.extend_from_slice(&chunk),
                Err(error) => {
                    let reason = format!("The connection to the model server broke: {error}.");
                    return Some(Err(EngineError::Failed(reason)));
                }
            }
        }
    }

    fn take_line(&mut self) -> Option<BytesMut> {
        let unsearched = self.buffer.get(self.searched..).unwrap_or_default();
        let Some(found) = unsearched.iter().position(|byte| *byte == b'\n') else {
            self.searched = self.buffer.len();
            return None;
        };
        let line = self.buffer.split_to(self.searched + found + 1);
        self.searched = 0;
        Some(line)
    }
}

fn parse(line: &[u8]) -> Option<EventData> {
    let data = line.trim_ascii().strip_prefix(b"data:")?.trim_ascii();
    if data == b"[DONE]" {
        return Some(EventData::Done);
    }
    Some(EventData::Json(String::from_utf8_lossy(data).into_owned()))
}
