//! The frames that a streamed answer comes in.

use aws_smithy_eventstream::frame::{DecodedFrame, MessageFrameDecoder};
use aws_smithy_types::event_stream::{HeaderValue, Message};
use bytes::{Bytes, BytesMut};

use crate::aws::exchange::{Body, ExchangeError};

/// The longest frame that is waited for, in bytes: AWS's own bound of an event, and room for its headers.
const LONGEST_FRAME: usize = (16 << 20) + (128 << 10);

/// What comes in frames.
pub(super) struct Events {
    body: Body,
    frames: Frames,
}

/// Bytes that came, and are not yet frames.
#[derive(Default)]
struct Frames {
    decoder: MessageFrameDecoder,
    buffer: BytesMut,
    /// Whether the decoder holds the beginning of a frame.
    has_begun: bool,
}

/// What one frame says.
#[derive(Debug, PartialEq)]
pub(super) enum Frame {
    /// The next event.
    Event { name: String, told: Bytes },
    /// There will be no more of them, and why.
    Exception { name: String, told: Bytes },
}

/// Why there is no next frame.
#[derive(Debug, thiserror::Error)]
pub(super) enum FrameError {
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    #[error("{0}")]
    NoFrame(String),
    #[error("the connection was closed within an event")]
    CutOff,
    #[error("an event is longer than {LONGEST_FRAME} bytes")]
    TooLong,
}

// === impl Events ===

impl Events {
    pub(super) fn new(body: Body) -> Self {
        Self { body, frames: Frames::default() }
    }

    /// The next frame; none at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        loop {
            if let Some(frame) = self.frames.next()? {
                return Ok(Some(frame));
            }
            match self.body.next().await? {
                Some(bytes) => self.frames.push(&bytes)?,
                None => return self.frames.end().map(|()| None),
            }
        }
    }
}

// === impl Frames ===

impl Frames {
    fn push(&mut self, bytes: &[u8]) -> Result<(), FrameError> {
        if self.buffer.len() + bytes.len() > LONGEST_FRAME {
            return Err(FrameError::TooLong);
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        while let DecodedFrame::Complete(message) = self.decode()? {
            if let Some(frame) = Frame::of(&message)? {
                return Ok(Some(frame));
            }
        }
        Ok(None)
    }

    fn decode(&mut self) -> Result<DecodedFrame, FrameError> {
        let before = self.buffer.len();
        let decoded = self
            .decoder
            .decode_frame(&mut self.buffer)
            .map_err(|error| FrameError::NoFrame(format!("what came is no event: {error}")))?;
        // The decoder takes a frame's first bytes before the rest has come.
        self.has_begun = match decoded {
            DecodedFrame::Complete(_) => false,
            DecodedFrame::Incomplete => self.has_begun || self.buffer.len() < before,
        };
        Ok(decoded)
    }

    fn end(&self) -> Result<(), FrameError> {
        let is_within = self.has_begun || !self.buffer.is_empty();
        if is_within { Err(FrameError::CutOff) } else { Ok(()) }
    }
}

// === impl Frame ===

impl Frame {
    /// None for a kind of frame that says nothing here.
    fn of(message: &Message) -> Result<Option<Self>, FrameError> {
        let text = |name| text(message, name).unwrap_or_default();
        let told = message.payload().clone();
        Ok(match text(":message-type") {
            "event" => Some(Self::Event { name: text(":event-type").to_owned(), told }),
            "exception" => Some(Self::Exception { name: text(":exception-type").to_owned(), told }),
            "error" => {
                let told = serde_json::json!({"message": text(":error-message")}).to_string().into();
                Some(Self::Exception { name: text(":error-code").to_owned(), told })
            }
            "" => return Err(FrameError::NoFrame("what came is no event: it has no type".into())),
            _ => None,
        })
    }
}

fn text<'a>(message: &'a Message, name: &str) -> Option<&'a str> {
    let header = message.headers().iter().find(|header| header.name().as_str() == name)?;
    match header.value() {
        HeaderValue::String(text) => Some(text.as_str()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use aws_smithy_eventstream::frame::write_message_to;
    use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
    use proptest::prelude::*;

    use super::{Frame, FrameError, Frames, LONGEST_FRAME};

    fn frame(headers: &[(&'static str, &'static str)], told: &'static str) -> Vec<u8> {
        let headers = headers.iter().map(|(name, value)| Header::new(*name, HeaderValue::String((*value).into())));
        let mut bytes = Vec::new();
        write_message_to(&Message::new_from_parts(headers.collect(), told), &mut bytes).expect("a frame");
        bytes
    }

    fn event(name: &'static str, told: &'static str) -> Vec<u8> {
        frame(&[(":message-type", "event"), (":event-type", name)], told)
    }

    fn all(frames: &mut Frames) -> Result<Vec<Frame>, FrameError> {
        std::iter::from_fn(|| frames.next().transpose()).collect()
    }

    proptest! {
        /// Given three frames, when they come in pieces of any size, then the same three are read, and the end is one.
        #[test]
        fn frames_are_the_same_however_they_are_cut(sizes in prop::collection::vec(1_usize..40, 1..200)) {
            let bytes = [event("messageStart", "{}"), event("metadata", "{\"usage\":1}"), event("other", "")].concat();
            let (mut frames, mut read, mut rest) = (Frames::default(), Vec::new(), &bytes[..]);
            for size in sizes.iter().cycle() {
                let (piece, after) = rest.split_at((*size).min(rest.len()));
                frames.push(piece).expect("room");
                read.extend(all(&mut frames).expect("frames"));
                rest = after;
                if rest.is_empty() { break; }
                prop_assert!(read.len() < 3);
            }
            let told = |name: &str, told: &'static str| Frame::Event { name: name.into(), told: told.into() };
            let expected = [told("messageStart", "{}"), told("metadata", "{\"usage\":1}"), told("other", "")];
            prop_assert_eq!(&read[..], &expected[..]);
            prop_assert!(frames.end().is_ok());
        }

        /// Given a frame, when it is cut anywhere within, then its end is a failure and no end of the answer.
        #[test]
        fn a_frame_that_is_cut_off_is_no_end(cut in 1_usize..60) {
            let bytes = event("messageStart", "{\"role\":\"assistant\"}");
            let mut frames = Frames::default();
            frames.push(&bytes[..cut]).expect("room");
            prop_assert!(all(&mut frames).expect("no failure yet").is_empty());
            prop_assert!(matches!(frames.end(), Err(FrameError::CutOff)));
        }
    }

    #[test]
    fn exceptions_and_errors_say_by_what_name_the_answer_broke_off() {
        let exception = [(":message-type", "exception"), (":exception-type", "throttlingException")];
        let error = [(":message-type", "error"), (":error-code", "Internal"), (":error-message", "No more \"today\".")];
        let mut frames = Frames::default();
        frames.push(&[frame(&exception, "{}"), frame(&error, "")].concat()).expect("room");
        let told = "{\"message\":\"No more \\\"today\\\".\"}";
        let expected = [
            Frame::Exception { name: "throttlingException".into(), told: "{}".into() },
            Frame::Exception { name: "Internal".into(), told: told.into() },
        ];
        assert_eq!(all(&mut frames).expect("frames"), expected);
    }

    #[test]
    fn bytes_that_are_no_frame_and_frames_without_an_end_are_refused() {
        let mut damaged = event("messageStart", "{}");
        damaged[20] ^= 1;
        let mut frames = Frames::default();
        frames.push(&damaged).expect("room");
        assert!(matches!(all(&mut frames), Err(FrameError::NoFrame(_))));

        let mut frames = Frames::default();
        frames.push(&vec![0xff; 1000]).expect("room");
        assert!(all(&mut frames).expect("the rest may come").is_empty());
        assert!(matches!(frames.push(&vec![0; LONGEST_FRAME]), Err(FrameError::TooLong)));
    }

    #[test]
    fn a_frame_without_a_type_is_none_and_one_of_another_type_says_nothing() {
        let mut frames = Frames::default();
        frames.push(&frame(&[(":message-type", "weather")], "rain")).expect("room");
        assert!(all(&mut frames).expect("no failure").is_empty());
        frames.push(&frame(&[], "{}")).expect("room");
        assert!(matches!(all(&mut frames), Err(FrameError::NoFrame(_))));
    }
}
