//! When a model that failed is asked again, and after which pause.
//!
//! Only what passes by itself is tried again ([`ModelError::remedy`] says which). Pauses grow and are
//! drawn at random from zero up ("full jitter"), so that a thousand turns that were throttled together
//! do not come back together.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::Instant;

use super::ModelError;
use crate::chance;

/// How often and how long a model is asked again. A bound of any size makes sense, so none can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    attempts: NonZeroU32,
    within: Duration,
    backoff: Backoff,
}

/// How pauses grow: the longest one possible doubles from `first` up to `longest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    /// Whether each pause is drawn, or as long as it can be.
    drawn: bool,
}

/// Pauses that would shrink.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the first pause, {first:?}, must be above zero and at most the longest, {longest:?}")]
pub struct BackoffError {
    first: Duration,
    longest: Duration,
}

/// What has been tried for one answer.
///
/// The time for trying again begins with a failure and ends when the answer goes on: an answer may
/// break off twice in five minutes and be mended twice.
#[derive(Debug)]
pub(super) struct Effort {
    policy: RetryPolicy,
    /// Calls made, of all models.
    made: u32,
    /// Failures of the model that is asked now.
    failures: u32,
    /// When the trouble began; none while nothing is wrong.
    since: Option<Instant>,
}

// === impl RetryPolicy ===

impl RetryPolicy {
    /// The variable that bounds how often one model is asked.
    pub const ATTEMPTS: &str = "MODEL_ATTEMPTS";
    /// The variable that bounds how long after a failure is tried again.
    pub const SECONDS: &str = "MODEL_RETRY_SECONDS";

    /// Asks a model at most `attempts` times for one answer, the last time at most `within` after the
    /// first failure.
    pub const fn new(attempts: NonZeroU32, within: Duration) -> Self {
        Self { attempts, within, backoff: Backoff::DEFAULT }
    }

    /// The same with other pauses.
    #[must_use]
    pub const fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// How often a model is asked for one answer, at the most.
    pub const fn attempts(&self) -> NonZeroU32 {
        self.attempts
    }

    /// How long after the first failure another attempt may begin.
    pub const fn within(&self) -> Duration {
        self.within
    }
}

impl Default for RetryPolicy {
    /// Four attempts within 20 seconds: a throttled minute is not sat out with a person waiting.
    fn default() -> Self {
        Self::new(const { NonZeroU32::new(4).expect("4 is not 0") }, Duration::from_secs(20))
    }
}

// === impl Backoff ===

impl Backoff {
    /// 200 ms, doubling up to 5 s.
    pub const DEFAULT: Self = Self { first: Duration::from_millis(200), longest: Duration::from_secs(5), drawn: true };

    /// Pauses from `first` to `longest`.
    ///
    /// # Errors
    /// When `first` is zero or above `longest`.
    pub fn new(first: Duration, longest: Duration) -> Result<Self, BackoffError> {
        if first.is_zero() || first > longest {
            return Err(BackoffError { first, longest });
        }
        Ok(Self { first, longest, drawn: true })
    }

    /// The same with pauses as long as they can be: for tests that must run the same way twice.
    #[must_use]
    pub const fn without_chance(self) -> Self {
        Self { drawn: false, ..self }
    }

    /// The longest pause possible after so many failures, counted from 1.
    pub fn bound(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        self.first.saturating_mul(1 << doublings).min(self.longest)
    }

    /// A pause after so many failures, drawn from zero to [`Self::bound`].
    ///
    /// The chance is drawn each time: a generator seeded at start-up would draw the same pauses in every process revived
    /// from one snapshot.
    pub fn pause(&self, failures: u32) -> Duration {
        let bound = self.bound(failures);
        if !self.drawn {
            return bound;
        }
        let drawn = u32::try_from(chance::number() >> 32).unwrap_or(u32::MAX);
        bound.mul_f64(f64::from(drawn) / f64::from(u32::MAX))
    }
}

// === impl Effort ===

impl Effort {
    pub(super) fn new(policy: RetryPolicy) -> Self {
        Self { policy, made: 0, failures: 0, since: None }
    }

    /// Calls made so far.
    pub(super) fn made(&self) -> u32 {
        self.made
    }

    pub(super) fn begin_attempt(&mut self) {
        self.made += 1;
    }

    /// Something new has reached the caller.
    pub(super) fn progressed(&mut self) {
        self.since = None;
    }

    /// Another model is asked from now on.
    pub(super) fn moved_on(&mut self) {
        self.failures = 0;
    }

    /// An attempt failed.
    pub(super) fn failed(&mut self) {
        self.failures += 1;
        self.since.get_or_insert_with(Instant::now);
    }

    /// Whether another attempt may begin now, of whichever model.
    pub(super) fn has_time(&self) -> bool {
        self.has_time_for(Duration::ZERO)
    }

    fn has_time_for(&self, pause: Duration) -> bool {
        self.since.is_none_or(|since| since.elapsed().saturating_add(pause) <= self.policy.within)
    }

    /// How long to wait before the same model is asked again; none when it should not be.
    pub(super) fn pause(&self, error: &ModelError) -> Option<Duration> {
        if self.failures >= self.policy.attempts.get() {
            return None;
        }
        let asked_for = Duration::from_secs(error.retry_after().unwrap_or(0));
        let pause = self.policy.backoff.pause(self.failures).max(asked_for);
        self.has_time_for(pause).then_some(pause)
    }
}
