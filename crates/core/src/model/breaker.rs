//! A switch that keeps turns from waiting for a model that has failed again and again.
//!
//! ```text
//!            failures in a row, or one that lasts
//!   closed ─────────────────────────────────────▶ open
//!     ▲                                         │    ▲
//!     │ it answers               after a while  │    │ it fails
//!     │                                         ▼    │
//!     └──────────────────────────────────── half-open: one turn tries
//! ```

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Failures in a row that open a breaker. Fewer would open it for one throttled turn.
const FAILURES: u32 = 5;

/// How long a model that failed by the minute's load is left alone.
const PASSING: Duration = Duration::from_secs(15);

/// How long a model is left alone that is retired, unknown or denied: that takes a person to mend.
const LASTING: Duration = Duration::from_mins(5);

/// One model's switch. Clones share it.
#[derive(Debug, Clone)]
pub struct Breaker {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant },
    HalfOpen,
}

/// Leave to ask the model once. Dropped without a word, as by a turn that is cut, it has said nothing
/// about the model; a probe's turn then goes to the next.
#[derive(Debug)]
#[must_use = "the breaker learns nothing of a call whose permit is dropped"]
pub struct Permit {
    breaker: Breaker,
    probe: bool,
}

/// How a model failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// In a way that passes by itself.
    Passing,
    /// In a way that lasts until somebody mends it.
    Lasting,
}

// === impl Breaker ===

impl Breaker {
    /// A closed one.
    pub fn new() -> Self {
        Self { state: Arc::new(Mutex::new(State::Closed { failures: 0 })) }
    }

    /// Leave to ask the model, unless it is left alone now or somebody else is trying it.
    pub fn admit(&self) -> Option<Permit> {
        let mut state = self.state();
        match *state {
            State::Closed { .. } => Some(self.permit(false)),
            State::Open { until } if until <= Instant::now() => {
                *state = State::HalfOpen;
                Some(self.permit(true))
            }
            State::Open { .. } | State::HalfOpen => None,
        }
    }

    /// Leave to ask the model whatever its state, for when there is no other.
    pub fn admit_anyway(&self) -> Permit {
        self.admit().unwrap_or_else(|| self.permit(false))
    }

    /// When the model may be tried again; none when it may be asked now.
    pub fn closed_until(&self) -> Option<Instant> {
        match *self.state() {
            State::Closed { .. } => None,
            State::Open { until } => Some(until),
            State::HalfOpen => Some(Instant::now()),
        }
    }

    fn permit(&self, probe: bool) -> Permit {
        Permit { breaker: self.clone(), probe }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Breaker {
    fn default() -> Self {
        Self::new()
    }
}

// === impl Permit ===

impl Permit {
    /// The model answered.
    pub fn succeeded(mut self) {
        self.probe = false;
        *self.breaker.state() = State::Closed { failures: 0 };
    }

    /// It did not.
    pub fn failed(mut self, failure: Failure) {
        let probe = std::mem::take(&mut self.probe);
        let mut state = self.breaker.state();
        let left_alone = |how_long| State::Open { until: Instant::now() + how_long };
        *state = match (&*state, failure) {
            (_, Failure::Lasting) => left_alone(LASTING),
            (State::Closed { failures }, Failure::Passing) if failures + 1 < FAILURES => {
                State::Closed { failures: failures + 1 }
            }
            (State::Closed { .. }, Failure::Passing) => left_alone(PASSING),
            (State::HalfOpen, Failure::Passing) if probe => left_alone(PASSING),
            // Somebody who was let in before says what is known already.
            (State::Open { until }, Failure::Passing) => State::Open { until: *until },
            (State::HalfOpen, Failure::Passing) => State::HalfOpen,
        };
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.probe {
            let mut state = self.breaker.state();
            if matches!(*state, State::HalfOpen) {
                *state = State::Open { until: Instant::now() };
            }
        }
    }
}
