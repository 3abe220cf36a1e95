//! Time to first token and pings, with a model that takes its time: 600 ms to the first token, then 50 a second.

use std::time::Duration;

use super::load::CLIENTS;
use crate::Failure;
use crate::contender::{Bedrock, Bench};
use crate::fake_bedrock::Pace;
use crate::load::{Format, Load, Outcome, hold};

/// What a model of this size might take. Chosen, not measured: no model is called here.
pub(crate) const PACE: Pace = Pace { first_token: Duration::from_millis(600), token: Duration::from_millis(20) };

/// Streams to so many clients at a time, each turn a little over a second long, and tells each outcome when it is there.
pub(crate) fn measure(bench: &Bench, mut tell: impl FnMut(Outcome) -> Result<(), Failure>) -> Result<(), Failure> {
    for clients in CLIENTS {
        for &contender in bench.contenders.iter().filter(|contender| contender.streams()) {
            let bedrock = Bedrock::start(PACE)?;
            let running = bench.start(contender, &bedrock)?;
            let outcome = hold(Load { clients, format: Format::Sse, time: bench.time }, &running, &bedrock)?;
            eprintln!("   {} {clients}: first token {:.1} ms", contender.name(), outcome.first_token.p50);
            tell(outcome)?;
        }
    }
    Ok(())
}
