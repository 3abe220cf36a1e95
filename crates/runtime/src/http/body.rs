//! Takes a body in: up to AgentCore's 100 MB, in one buffer, and no further.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, header};
use bytes::BytesMut;
use http_body_util::BodyExt as _;
use tokio::time::timeout;

use crate::admission::{Admission, Admitted, Room};
use crate::failure::{Code, Failure};

/// The largest payload of `InvokeAgentRuntime`, in bytes. Source: its service model.
pub(crate) const LARGEST: usize = 100_000_000;

/// How much more of a body that is not taken is read and thrown away. A client that is still sending
/// when the connection closes never sees why.
const POLITENESS: usize = 100_000_000;

/// How long that goes on.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a body may stand still before it is given up. Whoever waits for it keeps the process busy, and a busy process
/// is never ended for being idle.
const STANDSTILL: Duration = Duration::from_mins(1);

/// A body that has not been read yet.
pub(crate) struct Payload {
    body: Body,
    announced: usize,
    waits_for_leave: bool,
}

// === impl Payload ===

impl Payload {
    pub(crate) fn of(headers: &HeaderMap, body: Body) -> Self {
        let announced = announced_length(headers);
        let waits_for_leave = headers.contains_key(header::EXPECT);
        Self { body, announced, waits_for_leave }
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
        let bytes = take(&mut self.body, self.announced, &mut room).await?;
        Ok((bytes, room))
    }

    /// Lets a client that is still sending come to the end, so that it sees why its payload is not taken.
    pub(crate) async fn throw_away(mut self) {
        if !self.waits_for_leave {
            let _ = timeout(PATIENCE, throw_away(&mut self.body)).await;
        }
    }
}

async fn take(body: &mut Body, announced: usize, room: &mut Room) -> Result<Bytes, Failure> {
    let mut bytes = BytesMut::with_capacity(announced);
    while let Some(frame) = timeout(STANDSTILL, body.frame()).await.map_err(|_| stood_still())? {
        let Ok(data) = broken_off(frame)?.into_data() else {
            continue;
        };
        if bytes.len() + data.len() > LARGEST {
            return Err(too_large());
        }
        room.grow_to(bytes.len() + data.len())?;
        bytes.extend_from_slice(&data);
    }
    Ok(bytes.freeze())
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

fn stood_still() -> Failure {
    let details = format!("the body stood still for {} seconds", STANDSTILL.as_secs());
    Failure::with_details(Code::InvalidJson, "Invalid JSON", details)
}

fn broken_off<T>(frame: Result<T, axum::Error>) -> Result<T, Failure> {
    frame.map_err(|_| Failure::with_details(Code::InvalidJson, "Invalid JSON", "the body broke off"))
}
