//! What an agent says about itself at `/ping`, and what the platform makes of it.
//!
//! The rule is the platform's, not ours to improve: a session is active while an invocation is in flight
//! or `time_of_last_update` moves. An agent that says `HealthyBusy` and doesn't move it is reaped in
//! mid-work; one that moves it while idle is never reaped. Both are [`PingProblem`]s worth telling.

use std::time::Duration;

use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use serde_json::Value;
use tokio::time::{Instant, timeout};

use super::upstream::Upstream;
use crate::notice::PingProblem;
use crate::protocol::Protocol;

/// An agent that needs longer is too busy to be asked.
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// A ping's body is some sixty bytes.
const LARGEST_BODY: usize = 4096;

/// Idle pings in a row with a new time before it is called a problem: a turn that ends between two
/// pings moves it once.
const MOVES_IN_A_ROW: u32 = 3;

/// A healthy answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ping {
    busy: bool,
    /// Unix seconds.
    last_update: Option<i64>,
}

/// How long a session has been idle, by the platform's reckoning.
#[derive(Debug)]
pub(super) struct IdleClock {
    active_at: Instant,
    last_update: Option<i64>,
    idle_moves: u32,
}

/// Asks for a ping. The error is what came instead. Who need not answer one is well when it answers at all.
pub(super) async fn ping(upstream: &Upstream, protocol: Protocol) -> Result<Ping, String> {
    let request = Request::get("/ping").body(Body::empty()).map_err(|error| error.to_string())?;
    let asking = async {
        let connection = upstream.connect().await.map_err(|error| error.to_string())?;
        let exchange = connection.send(request).await.map_err(|error| error.to_string())?;
        let status = exchange.answer.status();
        let body = Limited::new(exchange.answer.into_body(), LARGEST_BODY).collect().await;
        let body = body.map_err(|error| error.to_string())?.to_bytes();
        match status {
            StatusCode::OK => Ping::parse(&body),
            StatusCode::NOT_FOUND if !protocol.has_ping() => Ok(Ping { busy: false, last_update: None }),
            status => Err(format!("it answered {status}")),
        }
    };
    timeout(PING_TIMEOUT, asking).await.unwrap_or_else(|_| Err(format!("no answer within {PING_TIMEOUT:?}")))
}

// === impl Ping ===

impl Ping {
    fn parse(body: &[u8]) -> Result<Self, String> {
        let body: Value = serde_json::from_slice(body).map_err(|error| format!("it is not JSON: {error}"))?;
        let busy = match body["status"].as_str() {
            Some("Healthy") => false,
            Some("HealthyBusy") => true,
            _ => return Err(format!("its status is {}", body["status"])),
        };
        let last_update = match &body["time_of_last_update"] {
            Value::Null => None,
            time => Some(time.as_i64().ok_or_else(|| format!("its time_of_last_update is {time}, not whole seconds"))?),
        };
        Ok(Self { busy, last_update })
    }
}

// === impl IdleClock ===

impl IdleClock {
    pub(super) fn starting(now: Instant) -> Self {
        Self { active_at: now, last_update: None, idle_moves: 0 }
    }

    /// Time since the session was last active.
    pub(super) fn idle(&self, now: Instant) -> Duration {
        now.duration_since(self.active_at)
    }

    /// An invocation is in flight at `now`, or ended then.
    pub(super) fn invoked(&mut self, now: Instant) {
        if now > self.active_at {
            self.active_at = now;
            self.idle_moves = 0;
        }
    }

    /// A ping was answered, while an invocation was in flight or not.
    pub(super) fn pinged(&mut self, ping: &Ping, in_flight: bool, now: Instant) -> Option<PingProblem> {
        let before = self.last_update;
        self.last_update = ping.last_update.or(before);
        let moved = before.is_some() && ping.last_update.is_some_and(|time| Some(time) > before);
        if moved {
            self.active_at = now;
        }
        let moved_idle = moved && !ping.busy && !in_flight;
        self.idle_moves = if moved_idle { self.idle_moves + 1 } else { 0 };
        match ping {
            Ping { busy: true, last_update: None } => Some(PingProblem::BusyWithoutTime),
            _ if self.idle_moves >= MOVES_IN_A_ROW => Some(PingProblem::MovingWhileIdle),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLL: Duration = Duration::from_secs(2);

    /// Pings a clock every two seconds; the time idle after the last, and the last problem.
    fn polled(bodies: &[&str]) -> (Duration, Option<PingProblem>) {
        let start = Instant::now();
        let mut clock = IdleClock::starting(start);
        let mut now = start;
        let mut problem = None;
        for body in bodies {
            now += POLL;
            let ping = Ping::parse(body.as_bytes()).expect("the test's ping is readable");
            problem = clock.pinged(&ping, false, now);
        }
        (clock.idle(now), problem)
    }

    #[test]
    fn a_frozen_time_lets_the_session_idle() {
        let healthy = r#"{"status":"Healthy","time_of_last_update":1795406111}"#;
        assert_eq!(polled(&[healthy; 5]), (POLL * 5, None));
    }

    #[test]
    fn busy_with_a_moving_time_keeps_the_session() {
        let (idle, problem) = polled(&[
            r#"{"status":"HealthyBusy","time_of_last_update":1795406111}"#,
            r#"{"status":"HealthyBusy","time_of_last_update":1795406113}"#,
            r#"{"status":"HealthyBusy","time_of_last_update":1795406115}"#,
        ]);
        assert_eq!((idle, problem), (Duration::ZERO, None));
    }

    #[test]
    fn busy_with_a_frozen_time_does_not_keep_it() {
        let busy = r#"{"status":"HealthyBusy","time_of_last_update":1795406111}"#;
        assert_eq!(polled(&[busy; 5]).0, POLL * 5);
    }

    #[test]
    fn busy_without_a_time_does_not_keep_it_and_is_a_problem() {
        let busy = r#"{"status":"HealthyBusy"}"#;
        assert_eq!(polled(&[busy; 5]), (POLL * 5, Some(PingProblem::BusyWithoutTime)));
    }

    #[test]
    fn a_time_that_moves_while_idle_keeps_it_and_is_a_problem() {
        let (idle, problem) = polled(&[
            r#"{"status":"Healthy","time_of_last_update":1}"#,
            r#"{"status":"Healthy","time_of_last_update":3}"#,
            r#"{"status":"Healthy","time_of_last_update":5}"#,
            r#"{"status":"Healthy","time_of_last_update":7}"#,
        ]);
        assert_eq!((idle, problem), (Duration::ZERO, Some(PingProblem::MovingWhileIdle)));
    }

    #[test]
    fn an_iso_time_breaks_the_platforms_parser() {
        let ping = Ping::parse(br#"{"status":"Healthy","time_of_last_update":"2026-11-23T09:00:00Z"}"#);
        insta::assert_snapshot!(
            ping.expect_err("an ISO time is refused"),
            @r#"its time_of_last_update is "2026-11-23T09:00:00Z", not whole seconds"#
        );
    }
}
