//! The texts of a run's events, as its turn goes on: over HTTP a frame each, over a WebSocket a message each.

use std::collections::VecDeque;

use super::narration::Narration;
use crate::failure::Failure;
use crate::http::events::{Telling, Told, json};
#[cfg(feature = "websocket")]
use crate::invocation::Answered;
use crate::invocation::Invocation;

/// The telling of a run.
pub(super) struct RunEvents {
    narration: Narration,
    under_way: Option<Invocation>,
    /// Texts that are not told yet.
    ready: VecDeque<Vec<u8>>,
}

// === impl RunEvents ===

impl RunEvents {
    /// Those of a run that is about to begin.
    pub(super) fn of(narration: Narration) -> Self {
        let ready = VecDeque::from([json(&narration.begin())]);
        Self { narration, under_way: None, ready }
    }
}

impl Telling for RunEvents {
    fn follow(&mut self, invocation: Invocation) {
        self.under_way = Some(invocation);
    }

    async fn next(&mut self) -> Option<Told> {
        loop {
            if let Some(text) = self.ready.pop_front() {
                return Some(Told::Text(text));
            }
            let told = match &mut self.under_way.as_mut()?.events {
                Some(events) => events.recv().await.map(|event| self.narration.take(event)),
                None => None,
            };
            let told = match told {
                Some(told) => told,
                None => match self.under_way.take()?.end().await {
                    Ok(answered) => self.narration.end(Ok(answered)),
                    Err(failure) => return Some(Told::Failed(failure)),
                },
            };
            self.ready.extend(told.iter().map(json));
        }
    }

    fn failed(&mut self, failure: Failure) -> Vec<Vec<u8>> {
        self.narration.end(Err(failure)).iter().map(json).collect()
    }

    #[cfg(feature = "websocket")]
    fn whole(&mut self, answered: Answered) -> Vec<Vec<u8>> {
        let end = self.narration.end(Ok(answered));
        self.ready.drain(..).chain(end.iter().map(json)).collect()
    }
}
