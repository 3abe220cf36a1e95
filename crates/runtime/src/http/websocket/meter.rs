//! Counts a message while it comes.
//!
//! A message is known when its last byte is there, and by then it has taken its memory. So the bytes are counted where
//! they are read, against the room that the payloads of all callers share.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::admission::{Admission, Room};

/// A connection whose incoming bytes are counted.
#[derive(Debug)]
pub(super) struct Metered<I> {
    io: I,
    meter: Meter,
}

/// What has come since the last message. Clones count together.
#[derive(Debug, Clone)]
pub(super) struct Meter {
    admission: Admission,
    count: Arc<Mutex<Count>>,
}

#[derive(Debug)]
struct Count {
    bytes: usize,
    room: Room,
}

/// There is no room for more of this message.
#[derive(Debug)]
pub(super) struct NoRoom;

// === impl Meter ===

impl Meter {
    pub(super) fn new(admission: &Admission) -> Self {
        let count = Count { bytes: 0, room: admission.room() };
        Self { admission: admission.clone(), count: Arc::new(Mutex::new(count)) }
    }

    /// The connection, counted.
    pub(super) fn on<I>(&self, io: I) -> Metered<I> {
        Metered { io, meter: self.clone() }
    }

    /// The room of the message that has just come. What comes now is the next one.
    pub(super) fn take(&self) -> Room {
        let next = Count { bytes: 0, room: self.admission.room() };
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *count, next).room
    }

    /// Takes a ping or a pong out of the count, that came before the message or between its fragments.
    pub(super) fn forget_control_frame(&self, content: &[u8]) {
        /// Its head and its mask, in bytes.
        const AROUND: usize = 6;
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        count.bytes = count.bytes.saturating_sub(content.len() + AROUND);
    }

    fn add(&self, bytes: usize) -> io::Result<()> {
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        count.bytes += bytes;
        let bytes = count.bytes;
        count.room.grow_to(bytes).map_err(|_| io::Error::other(NoRoom))
    }
}

// === impl Metered ===

impl<I> Metered<I> {
    /// The connection, no longer counted.
    pub(super) fn into_inner(self) -> I {
        self.io
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Metered<I> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(context, into))?;
        let counted = self.meter.add(into.filled().len() - before);
        if counted.is_err() {
            // Who reports an error has read nothing.
            into.set_filled(before);
        }
        Poll::Ready(counted)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Metered<I> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

// === impl NoRoom ===

impl fmt::Display for NoRoom {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the payloads of all callers together leave no room for this one")
    }
}

impl std::error::Error for NoRoom {}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    #[tokio::test]
    async fn messages_share_their_room_while_they_come_and_give_it_back() {
        let admission = Admission::new(9, 3 * 1_024);
        let (meter, other) = (Meter::new(&admission), Meter::new(&admission));
        let read = async |meter: &Meter, bytes: usize| {
            meter.on(&vec![b'x'; bytes][..]).read_to_end(&mut Vec::new()).await.map_err(|error| error.to_string())
        };
        assert_eq!(read(&meter, 2_048).await, Ok(2_048));
        let refused = read(&other, 1_025).await.expect_err("one KB is left");
        insta::assert_snapshot!(refused, @"the payloads of all callers together leave no room for this one");
        drop(other);
        let message = meter.take();
        assert_eq!(read(&meter, 1_024).await, Ok(1_024));
        drop(message);
        assert_eq!(read(&meter, 2_048).await, Ok(2_048));
    }

    #[tokio::test]
    async fn however_many_pings_come_before_a_message_they_take_no_room_from_it() {
        let meter = Meter::new(&Admission::new(9, 1_024));
        for _ in 0..1_000 {
            let ping = [b'x'; 131];
            meter.on(&ping[..]).read_to_end(&mut Vec::new()).await.expect("room");
            meter.forget_control_frame(&ping[6..]);
        }
        meter.on(&[b'x'; 1_024][..]).read_to_end(&mut Vec::new()).await.expect("room");
        meter.on(&[b'x'; 1][..]).read_to_end(&mut Vec::new()).await.expect_err("no room");
    }
}
