//! Takes a body in: up to AgentCore's 100 MB, in one buffer, and no further.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Request, header};
use bytes::BytesMut;
use http_body_util::BodyExt as _;
use tokio::time::timeout;

use crate::admission::{Admission, Admitted};
use crate::failure::{Code, Failure};

/// The largest payload of `InvokeAgentRuntime`, in bytes. Source: its service model.
pub(super) const LARGEST: usize = 100_000_000;

/// How much more of a body that is not taken is read and thrown away. A client that is still sending
/// when the connection closes never sees why.
const POLITENESS: usize = 100_000_000;

/// How long that goes on.
const PATIENCE: Duration = Duration::from_secs(5);

/// A body that has not been read yet.
pub(super) struct Payload {
    body: Body,
    announced: usize,
    waits_for_leave: bool,
}

// === impl Payload ===

impl Payload {
    pub(super) fn of(request: Request<Body>) -> Self {
        let announced = announced_length(request.headers());
        let waits_for_leave = request.headers().contains_key(header::EXPECT);
        Self { body: request.into_body(), announced, waits_for_leave }
    }

    /// Reads the whole body, if there is room for one more turn and for its payload.
    ///
    /// The buffer is made once, of the announced size: grown by doubling, a 100 MB body would need more
    /// than 200 MB for a moment.
    pub(super) async fn read(&mut self, admission: &Admission) -> Result<(Bytes, Admitted), Failure> {
        let admitted = admitted(self.announced, admission)?;
        take(&mut self.body, self.announced, admitted).await
    }

    /// Lets a client that is still sending come to the end, so that it sees why its payload is not taken.
    pub(super) async fn throw_away(mut self) {
        if !self.waits_for_leave {
            let _ = timeout(PATIENCE, throw_away(&mut self.body)).await;
        }
    }
}

fn admitted(announced: usize, admission: &Admission) -> Result<Admitted, Failure> {
    if announced > LARGEST {
        return Err(too_large());
    }
    let mut admitted = admission.admit()?;
    admitted.grow_to(announced)?;
    Ok(admitted)
}

async fn take(body: &mut Body, announced: usize, mut admitted: Admitted) -> Result<(Bytes, Admitted), Failure> {
    let mut bytes = BytesMut::with_capacity(announced);
    while let Some(frame) = body.frame().await {
        let Ok(data) = broken_off(frame)?.into_data() else {
            continue;
        };
        if bytes.len() + data.len() > LARGEST {
            return Err(too_large());
        }
        admitted.grow_to(bytes.len() + data.len())?;
        bytes.extend_from_slice(&data);
    }
    Ok((bytes.freeze(), admitted))
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

fn broken_off<T>(frame: Result<T, axum::Error>) -> Result<T, Failure> {
    frame.map_err(|_| Failure::with_details(Code::InvalidJson, "Invalid JSON", "the body broke off"))
}
