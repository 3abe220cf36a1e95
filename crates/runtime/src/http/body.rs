//! Takes a body in: up to AgentCore's 100 MB, in one buffer, and no further; and no slower than somebody who is there.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, header};
use bytes::BytesMut;
use http_body_util::BodyExt as _;
use tokio::time::{Instant, timeout, timeout_at};

use crate::admission::{Admission, Admitted, Room};
use crate::failure::{Code, Failure};

/// The largest payload of `InvokeAgentRuntime`, in bytes. Source: its service model.
pub(crate) const LARGEST: usize = 100_000_000;

/// How much more of a body that is not taken is read and thrown away. A client that is still sending
/// when the connection closes never sees why.
const POLITENESS: usize = 100_000_000;

/// How long that goes on.
const POLITE_FOR: Duration = Duration::from_secs(5);

/// How long is waited unless `REQUEST_TIMEOUT_SECONDS` says otherwise: longer than the 60 s after which proxies close
/// what they do not use, so that it is they who do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(75);

/// How many bytes a payload brings in a millisecond, beyond the first seconds. Whoever has been taken in holds a turn's
/// place; at half a megabit a second, 100 MB hold it for half an hour.
const SLOWEST: usize = 64;

/// A body that has not been read yet.
pub(crate) struct Payload {
    body: Body,
    announced: usize,
    /// Whether its client may be sending it still.
    is_coming: bool,
    patience: Duration,
}

// === impl Payload ===

impl Payload {
    /// A body of which something must come for as long as `patience` and its size explain.
    pub(crate) fn of(headers: &HeaderMap, body: Body, patience: Duration) -> Self {
        let announced = announced_length(headers);
        // Who waits for leave sends nothing without it.
        let is_coming = !headers.contains_key(header::EXPECT);
        Self { body, announced, is_coming, patience }
    }

    /// Reads the whole body, if there is room for one more turn and for its payload.
    pub(super) async fn read_for_turn(&mut self, admission: &Admission) -> Result<(Bytes, Admitted), Failure> {
        if self.announced > LARGEST {
            return Err(too_large());
        }
        let turn = admission.turn()?;
        let (bytes, room) = self.read(admission).await?;
        Ok((bytes, Admitted::new(turn, Arc::new(room))))
    }

    /// Reads the whole body, if there is room for it.
    ///
    /// The buffer is made once, of the announced size: grown by doubling, a 100 MB body would need more
    /// than 200 MB for a moment.
    pub(crate) async fn read(&mut self, admission: &Admission) -> Result<(Bytes, Room), Failure> {
        if self.announced > LARGEST {
            return Err(too_large());
        }
        let mut room = admission.room();
        room.grow_to(self.announced)?;
        let bytes = self.take(&mut room).await?;
        Ok((bytes, room))
    }

    async fn take(&mut self, room: &mut Room) -> Result<Bytes, Failure> {
        let latest = Instant::now() + self.patience;
        let mut bytes = BytesMut::with_capacity(self.announced);
        loop {
            let explained = Duration::from_millis((bytes.len() / SLOWEST) as u64);
            let Ok(frame) = timeout_at(latest + explained, self.body.frame()).await else {
                self.is_coming = false;
                return Err(too_slow());
            };
            let Some(frame) = frame else {
                return Ok(bytes.freeze());
            };
            let Ok(data) = broken_off(frame)?.into_data() else {
                continue;
            };
            if bytes.len() + data.len() > LARGEST {
                return Err(too_large());
            }
            room.grow_to(bytes.len() + data.len())?;
            bytes.extend_from_slice(&data);
        }
    }

    /// Lets a client that is still sending come to the end, so that it sees why its payload is not taken.
    pub(crate) async fn throw_away(mut self) {
        if self.is_coming {
            let _ = timeout(POLITE_FOR, throw_away(&mut self.body)).await;
        }
    }
}

fn announced_length(headers: &HeaderMap) -> usize {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    length.and_then(|length| length.parse().ok()).unwrap_or(0)
}

async fn throw_away(body: &mut Body) {
    let mut left = POLITENESS;
    while let Some(Ok(frame)) = body.frame().await {
        let length = frame.data_ref().map_or(0, Bytes::len);
        left = left.saturating_sub(length);
        if left == 0 {
            return;
        }
    }
}

fn too_large() -> Failure {
    Failure::new(
        Code::PayloadTooLarge,
        format!("The payload is larger than {LARGEST} bytes. Please send a smaller one."),
    )
}

fn too_slow() -> Failure {
    Failure::new(Code::PayloadTooSlow, "The payload did not come in time. Please send it again, in one go.")
}

fn broken_off<T>(frame: Result<T, axum::Error>) -> Result<T, Failure> {
    frame.map_err(|_| Failure::with_details(Code::InvalidJson, "Invalid JSON", "the body broke off"))
}
