//! How much a process takes on at once.
//!
//! Turns and the bytes of their payloads are bounded, so that a crowd is turned away with status 429 before
//! memory runs out, and those who are being served are served to the end.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::failure::Failure;

/// How many turns run or wait at once unless `MAX_CONCURRENT_TURNS` says otherwise. On AgentCore, where a
/// process has one session, it is never reached.
pub(crate) const DEFAULT_TURNS: usize = 1_000;

/// How many bytes the payloads of these turns have together unless `MAX_PAYLOAD_BYTES` says otherwise. A
/// payload that is being read takes about three times its size for a moment.
pub(crate) const DEFAULT_PAYLOAD_BYTES: usize = 400_000_000;

/// Bytes are counted in these.
const UNIT: usize = 1_024;

/// Lets in as many as there is room for. Clones share the room.
#[derive(Debug, Clone)]
pub(crate) struct Admission {
    turns: Arc<Semaphore>,
    payloads: Arc<Semaphore>,
}

/// A turn's place, until it is dropped.
#[derive(Debug)]
pub(crate) struct Admitted {
    _turn: OwnedSemaphorePermit,
    room: Room,
}

/// Room for one payload, until it is dropped.
#[derive(Debug)]
pub(crate) struct Room {
    payloads: Arc<Semaphore>,
    payload: Option<OwnedSemaphorePermit>,
}

// === impl Admission ===

impl Admission {
    pub(crate) fn new(turns: usize, payload_bytes: usize) -> Self {
        let turns = Arc::new(Semaphore::new(turns.min(Semaphore::MAX_PERMITS)));
        let payloads = Arc::new(Semaphore::new((payload_bytes / UNIT).min(Semaphore::MAX_PERMITS)));
        Self { turns, payloads }
    }

    /// A place for one more turn, if there is one.
    pub(crate) fn admit(&self) -> Result<Admitted, Failure> {
        self.admit_with(self.room())
    }

    /// A place for a turn whose payload has its room already.
    pub(crate) fn admit_with(&self, room: Room) -> Result<Admitted, Failure> {
        let turn = Arc::clone(&self.turns).try_acquire_owned().map_err(|_| Failure::overloaded())?;
        Ok(Admitted { _turn: turn, room })
    }

    /// Room for a payload of which nothing has come yet.
    pub(crate) fn room(&self) -> Room {
        Room { payloads: Arc::clone(&self.payloads), payload: None }
    }
}

impl Default for Admission {
    fn default() -> Self {
        Self::new(DEFAULT_TURNS, DEFAULT_PAYLOAD_BYTES)
    }
}

// === impl Admitted ===

impl Admitted {
    /// Room for a payload of so many bytes, if there is any.
    pub(crate) fn grow_to(&mut self, bytes: usize) -> Result<(), Failure> {
        self.room.grow_to(bytes)
    }
}

// === impl Room ===

impl Room {
    /// The same for a payload that has become so long.
    pub(crate) fn grow_to(&mut self, bytes: usize) -> Result<(), Failure> {
        let held = self.payload.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = bytes.div_ceil(UNIT).saturating_sub(held);
        if more == 0 {
            return Ok(());
        }
        let more = u32::try_from(more).map_err(|_| Failure::overloaded())?;
        let permit = Arc::clone(&self.payloads).try_acquire_many_owned(more).map_err(|_| Failure::overloaded())?;
        match &mut self.payload {
            Some(held) => held.merge(permit),
            none => *none = Some(permit),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_when_its_turn_is_over() {
        let admission = Admission::new(1, 10_000);
        let first = admission.admit().expect("there is room");
        assert_eq!(admission.admit().expect_err("there is none"), Failure::overloaded());
        drop(first);
        admission.admit().expect("there is room again");
    }

    #[test]
    fn payloads_share_their_room() {
        let admission = Admission::new(9, 10 * UNIT);
        let mut one = admission.admit().expect("a place");
        let mut other = admission.admit().expect("a place");
        one.grow_to(4 * UNIT).expect("room for four");
        one.grow_to(6 * UNIT).expect("room for two more");
        assert_eq!(other.grow_to(5 * UNIT), Err(Failure::overloaded()));
        other.grow_to(4 * UNIT).expect("room for the rest");
        drop(one);
        other.grow_to(10 * UNIT).expect("all of it");
    }
}
