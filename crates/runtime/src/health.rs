//! Whether the session is busy, and since when: the answer to `/ping`.
//!
//! AgentCore polls about every two seconds and reads two things. The status keeps a busy session alive.
//! The time tells it how long an idle one has been idle: a time that moves at every poll would keep the
//! session, and its bill, for eight hours; a time that stands still while busy would end it in the
//! middle of a turn. So the time moves while busy and is frozen at the last change when idle.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use agentcore_core::activity::{Activity, Moment};

/// How far the two clocks may drift apart before the machine must have been stopped in between:
/// frozen as a snapshot and revived, or its clock set. NTP moves a clock by far less.
const REVIVED_MS: u64 = 5_000;

/// Answers whether the session is busy. Takes no lock.
#[derive(Debug, Clone)]
pub(crate) struct Health {
    activity: Activity,
    forced: Arc<AtomicU8>,
}

/// What AgentCore is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Healthy,
    HealthyBusy,
}

// === impl Status ===

impl Status {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "Healthy",
            Self::HealthyBusy => "HealthyBusy",
        }
    }
}

// === impl Health ===

impl Health {
    const NOT_FORCED: u8 = 0;
    const FORCED_HEALTHY: u8 = 1;
    const FORCED_BUSY: u8 = 2;

    pub(crate) fn new(activity: Activity) -> Self {
        Self { activity, forced: Arc::new(AtomicU8::new(Self::NOT_FORCED)) }
    }

    /// The status, and the Unix second it has held since: that of now while busy.
    pub(crate) fn read(&self) -> (Status, u64) {
        let status = match self.forced.load(Ordering::SeqCst) {
            Self::FORCED_HEALTHY => Status::Healthy,
            Self::FORCED_BUSY => Status::HealthyBusy,
            _ if self.activity.is_busy() => Status::HealthyBusy,
            _ => Status::Healthy,
        };
        let now = self.activity.now();
        let since = match status {
            Status::HealthyBusy => now,
            Status::Healthy => self.idle_since(now),
        };
        (status, since.wall_ms / 1000)
    }

    /// Sets the status by hand, or with none gives it back to what is going on.
    pub(crate) fn force(&self, status: Option<Status>) {
        let forced = match status {
            Some(Status::Healthy) => Self::FORCED_HEALTHY,
            Some(Status::HealthyBusy) => Self::FORCED_BUSY,
            None => Self::NOT_FORCED,
        };
        self.forced.store(forced, Ordering::SeqCst);
        self.activity.mark_change();
    }

    /// A session revived from a snapshot has not been idle while it did not exist.
    fn idle_since(&self, now: Moment) -> Moment {
        let changed = self.activity.changed();
        if was_stopped_between(changed, now) {
            self.activity.mark_change();
            return now;
        }
        changed
    }
}

fn was_stopped_between(earlier: Moment, now: Moment) -> bool {
    let by_the_wall = now.wall_ms.abs_diff(earlier.wall_ms);
    let running = now.running_ms.abs_diff(earlier.running_ms);
    now.wall_ms < earlier.wall_ms || by_the_wall.abs_diff(running) > REVIVED_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(wall_ms: u64, running_ms: u64) -> Moment {
        Moment { wall_ms, running_ms }
    }

    #[test]
    fn a_machine_that_ran_all_the_time_was_not_stopped() {
        assert!(!was_stopped_between(moment(1_000_000, 0), moment(1_900_000, 900_100)));
    }

    #[test]
    fn a_snapshot_revived_hours_later_was_stopped() {
        assert!(was_stopped_between(moment(1_000_000, 50), moment(99_000_000, 2_050)));
    }

    #[test]
    fn a_clock_set_back_counts_as_stopped() {
        assert!(was_stopped_between(moment(9_000_000, 50), moment(1_000_000, 2_050)));
    }

    #[test]
    fn given_a_busy_session_when_it_goes_idle_then_the_time_is_that_of_the_change() {
        let activity = Activity::default();
        let health = Health::new(activity.clone());
        let busy = activity.begin("work");
        assert_eq!(health.read().0, Status::HealthyBusy);
        drop(busy);
        let changed = activity.changed().wall_ms / 1000;
        assert_eq!(health.read(), (Status::Healthy, changed));
    }

    #[test]
    fn a_forced_status_wins_over_what_is_going_on() {
        let activity = Activity::default();
        let health = Health::new(activity.clone());
        health.force(Some(Status::HealthyBusy));
        assert_eq!(health.read().0, Status::HealthyBusy);
        health.force(Some(Status::Healthy));
        let _busy = activity.begin("work");
        assert_eq!(health.read().0, Status::Healthy);
        health.force(None);
        assert_eq!(health.read().0, Status::HealthyBusy);
    }
}
