//! The body of `converse-stream`: frames, as the engine yields and the client takes them.
//!
//! Nothing runs ahead: the next piece is asked for when the connection takes the next frame, and
//! when the client leaves, the body is dropped and the engine's work with it.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::StreamExt;

use super::answer::{EventWriter, exception};
use super::event_stream::{self, Event};
use super::fault::{self, Fault};
use super::part::{Part, Parts};
use super::watch::CallRecord;
use crate::engine::EngineError;

/// A stream under way.
pub(super) struct AnswerStream {
    parts: Parts,
    writer: EventWriter,
    fault: Option<Fault>,
    record: CallRecord,
    due: VecDeque<Event>,
    sent: usize,
    ended: bool,
}

/// What to do instead of, or before, sending the next event.
enum Trouble {
    None,
    Cut,
    Silence,
    Corrupt,
    Exception(Event),
}

// === impl AnswerStream ===

impl AnswerStream {
    pub(super) fn new(parts: Parts, fault: Option<Fault>, record: CallRecord) -> Self {
        Self { parts, writer: EventWriter::default(), fault, record, due: VecDeque::new(), sent: 0, ended: false }
    }

    /// The answer to the caller, its body still to be produced.
    pub(super) fn into_response(self) -> Response {
        let frames = futures::stream::unfold(self, |mut stream| async move {
            let frame = stream.next_frame().await?;
            Some((frame, stream))
        });
        let content_type = [(header::CONTENT_TYPE, event_stream::CONTENT_TYPE)];
        (content_type, Body::from_stream(frames)).into_response()
    }

    /// The next frame; an error breaks the connection off.
    async fn next_frame(&mut self) -> Option<io::Result<Bytes>> {
        let event = self.next_event().await?;
        match self.trouble() {
            Trouble::None => {
                if let Some(pause) = self.pause_before(&event) {
                    tokio::time::sleep(pause).await;
                }
                Some(self.send(&event))
            }
            Trouble::Corrupt => {
                self.end_with("FaultInjected");
                Some(self.send(&event).map(|frame| event_stream::corrupt(&frame)))
            }
            Trouble::Exception(exception) => {
                self.end_with(name_of(&exception));
                Some(self.send(&exception))
            }
            Trouble::Silence => {
                self.record.failed("FaultInjected");
                std::future::pending().await
            }
            Trouble::Cut => {
                self.end_with("FaultInjected");
                Some(Err(fault::cut().await))
            }
        }
    }

    /// The next event the answer itself has; none after its end.
    async fn next_event(&mut self) -> Option<Event> {
        while self.due.is_empty() {
            if self.ended {
                return None;
            }
            match self.parts.next().await {
                Some(Ok(part)) => self.take(part),
                Some(Err(error)) => self.fail(&error),
                None => self.fail(&EngineError::Failed("The model ended its answer without a stop reason.".into())),
            }
        }
        self.due.pop_front()
    }

    fn take(&mut self, part: Part) {
        if let Part::End(end) = &part {
            self.record.used(end.usage);
            self.record.succeeded();
            self.ended = true;
        } else {
            self.record.produced();
        }
        let latency = self.record.latency_milliseconds();
        self.due.extend(self.writer.write(part, latency));
    }

    fn fail(&mut self, error: &EngineError) {
        let exception = exception(error);
        self.record.failed(name_of(&exception));
        self.due.push_back(exception);
        self.ended = true;
    }

    /// Nothing follows the frame that is sent now.
    fn end_with(&mut self, error: &'static str) {
        self.record.failed(error);
        self.due.clear();
        self.ended = true;
    }

    fn trouble(&self) -> Trouble {
        match self.fault {
            Some(Fault::Cut { after }) if self.sent == after => Trouble::Cut,
            Some(Fault::Silence { after }) if self.sent == after => Trouble::Silence,
            Some(Fault::Corrupt { event }) if self.sent + 1 == event => Trouble::Corrupt,
            Some(Fault::StreamError { after }) if self.sent == after => Trouble::Exception(Event::exception(
                "modelStreamErrorException",
                "The model stream broke off with an error. Try your request again.",
            )),
            Some(Fault::ThrottleStream { after }) if self.sent == after => Trouble::Exception(Event::exception(
                "throttlingException",
                "Too many tokens, please wait before trying again.",
            )),
            _ => Trouble::None,
        }
    }

    fn pause_before(&self, event: &Event) -> Option<Duration> {
        match (self.fault, event) {
            (Some(Fault::Slow { pause }), Event::Regular { kind: "contentBlockDelta", .. }) => Some(pause),
            _ => None,
        }
    }

    fn send(&mut self, event: &Event) -> io::Result<Bytes> {
        self.sent += 1;
        event.encode().map_err(io::Error::other)
    }
}

/// The name under which a failed call is counted.
fn name_of(event: &Event) -> &'static str {
    match event {
        Event::Regular { kind, .. } | Event::Exception { kind, .. } => kind,
    }
}
