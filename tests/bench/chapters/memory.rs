//! What a process takes: idle, after one session, after many.

use serde::Serialize;

use super::session;
use crate::Failure;
use crate::contender::{Bedrock, Bench, Contender};
use crate::fake_bedrock::Pace;
use crate::subject::Footprint;

/// A process at three moments.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Memory {
    pub(crate) contender: Contender,
    pub(crate) idle: Footprint,
    pub(crate) after_one: Footprint,
    pub(crate) after_many: Footprint,
    /// How many sessions are many.
    pub(crate) sessions: usize,
}

/// Measures all of them.
pub(crate) fn measure(bench: &Bench) -> Result<Vec<Memory>, Failure> {
    let sessions = usize::try_from(bench.time.as_secs())? * 100;
    bench.contenders.iter().map(|&contender| of(bench, contender, sessions)).collect()
}

fn of(bench: &Bench, contender: Contender, sessions: usize) -> Result<Memory, Failure> {
    let bedrock = Bedrock::start(Pace::default())?;
    let running = bench.start(contender, &bedrock)?;
    let idle = running.process.footprint()?;
    let turn = |number| running.turn(&session(number), r#"{"prompt": "Are you there?"}"#);
    turn(0)?;
    let after_one = running.process.footprint()?;
    for number in 1..sessions {
        turn(number)?;
    }
    Ok(Memory { contender, idle, after_one, after_many: running.process.footprint()?, sessions })
}
