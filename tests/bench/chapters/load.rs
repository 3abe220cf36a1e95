//! Latency, throughput and CPU, the model at once.

use crate::Failure;
use crate::contender::{Bedrock, Bench};
use crate::fake_bedrock::Pace;
use crate::load::{Format, Load, Outcome, hold};

/// How many clients at a time.
pub(crate) const CLIENTS: [usize; 4] = [1, 10, 100, 1000];

/// Holds every load on every contender, those of one load one after another, and tells each outcome when it is there.
pub(crate) fn measure(bench: &Bench, mut tell: impl FnMut(Outcome) -> Result<(), Failure>) -> Result<(), Failure> {
    for format in [Format::Json, Format::Sse] {
        for clients in CLIENTS {
            for &contender in &bench.contenders {
                if format == Format::Json || contender.streams() {
                    let bedrock = Bedrock::start(Pace::default())?;
                    let running = bench.start(contender, &bedrock)?;
                    let warm_up = Load { clients: clients.min(10), format, time: bench.time / 10 };
                    hold(warm_up, &running, &bedrock)?;
                    let outcome = hold(Load { clients, format, time: bench.time }, &running, &bedrock)?;
                    eprintln!("   {} {clients} {format:?}: {:.1} a second", contender.name(), outcome.turns_per_second);
                    tell(outcome)?;
                }
            }
        }
    }
    Ok(())
}
