//! How messages leave: in frames that the platform lets through.
//!
//! AgentCore allows 32 KB a frame in the strictest edition of its documents, and 250 frames a second. A longer message
//! goes out in fragments, and frames keep a distance from each other.

use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::{Sink, SinkExt as _};
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::{Error, Message};

/// The most bytes of a frame's content: below 32 KB, however they are counted, with the frame's head.
const FRAME: usize = 30_000;

/// The least time between two frames: 200 a second.
const DISTANCE: Duration = Duration::from_millis(5);

/// What is to be said.
#[derive(Debug)]
pub(super) enum Saying {
    /// A text message.
    Text(Bytes),
    /// A question whether the client is there.
    Ping,
    /// The last word.
    Close(CloseFrame),
}

/// Says one thing after another, to the last word.
#[derive(Debug)]
pub(super) struct Speaker<'a> {
    /// How long the client may take to accept a frame.
    pub(super) patience: Duration,
    /// Counts frames of messages, as a sign that somebody reads them.
    pub(super) said: &'a AtomicU64,
}

// === impl Speaker ===

impl Speaker<'_> {
    /// Says what comes, until the last word is said or nobody has anything to say; gives the way out back.
    ///
    /// # Errors
    /// When the client has gone, or accepts nothing any more.
    pub(super) async fn speak<S>(self, mut out: S, mut sayings: mpsc::Receiver<Saying>) -> Result<S, Error>
    where
        S: Sink<Message, Error = Error> + Unpin,
    {
        let mut pace = interval(DISTANCE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while let Some(saying) = sayings.recv().await {
            match saying {
                Saying::Text(text) => {
                    for frame in fragments(text) {
                        self.send(&mut out, &mut pace, Message::Frame(frame)).await?;
                        self.said.fetch_add(1, Ordering::Relaxed);
                    }
                }
                Saying::Ping => self.send(&mut out, &mut pace, Message::Ping(Bytes::new())).await?,
                Saying::Close(why) => {
                    self.send(&mut out, &mut pace, Message::Close(Some(why))).await?;
                    break;
                }
            }
        }
        Ok(out)
    }

    async fn send<S>(&self, out: &mut S, pace: &mut Interval, message: Message) -> Result<(), Error>
    where
        S: Sink<Message, Error = Error> + Unpin,
    {
        pace.tick().await;
        let sending = pin!(out.send(message));
        timeout(self.patience, sending).await.unwrap_or_else(|_| Err(Error::Io(io::ErrorKind::TimedOut.into())))
    }
}

/// The frames of a text message. They may part a character; the message is text as a whole.
fn fragments(mut text: Bytes) -> impl Iterator<Item = Frame> {
    let mut kind = Some(Data::Text);
    std::iter::from_fn(move || {
        let this = kind?;
        let part = text.split_to(text.len().min(FRAME));
        kind = (!text.is_empty()).then_some(Data::Continue);
        Some(Frame::message(part, OpCode::Data(this), kind.is_none()))
    })
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use tokio::time::Instant;

    use super::*;

    /// Says it, and gives what a client reads: the size of each frame, and how long all of it took.
    async fn said(sayings: Vec<Saying>) -> (Vec<(OpCode, bool, usize)>, Duration) {
        let (sender, receiver) = mpsc::channel(sayings.len().max(1));
        for saying in sayings {
            sender.try_send(saying).expect("there is room");
        }
        drop(sender);
        let (counted, began) = (AtomicU64::new(0), Instant::now());
        let speaker = Speaker { patience: Duration::from_mins(1), said: &counted };
        let mut frames = Vec::new();
        let out = futures::sink::unfold((), |(), message: Message| {
            if let Message::Frame(frame) = message {
                frames.push((frame.header().opcode, frame.header().is_final, frame.payload().len()));
            }
            ready(Ok::<_, Error>(()))
        });
        let _out = speaker.speak(Box::pin(out), receiver).await.expect("somebody listens");
        (frames, began.elapsed())
    }

    fn text(length: usize) -> Saying {
        Saying::Text(vec![b'x'; length].into())
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_message_goes_out_in_fragments_below_32_kb() {
        let (frames, _) = said(vec![text(70_000), text(30_000), text(0)]).await;
        let (first, more) = (OpCode::Data(Data::Text), OpCode::Data(Data::Continue));
        assert_eq!(
            frames,
            [
                (first, false, 30_000),
                (more, false, 30_000),
                (more, true, 10_000),
                (first, true, 30_000),
                (first, true, 0)
            ]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn no_second_has_more_than_two_hundred_frames() {
        let (frames, took) = said((0..1_000).map(|_| text(9)).collect()).await;
        assert_eq!(frames.len(), 1_000);
        assert!(took >= DISTANCE * 999, "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_accepts_nothing_is_given_up() {
        let (sender, receiver) = mpsc::channel(1);
        sender.try_send(text(9)).expect("there is room");
        let counted = AtomicU64::new(0);
        let speaker = Speaker { patience: Duration::from_mins(1), said: &counted };
        let stuck = futures::sink::unfold((), |(), _: Message| std::future::pending::<Result<(), Error>>());
        let error = speaker.speak(Box::pin(stuck), receiver).await.map(drop).expect_err("it never took it");
        assert!(matches!(error, Error::Io(error) if error.kind() == io::ErrorKind::TimedOut));
    }
}
