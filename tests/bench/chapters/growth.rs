//! What grows with history, tool rounds, payload and sessions.

use std::time::Instant;

use serde::Serialize;

use super::{median, milliseconds, session};
use crate::Failure;
use crate::contender::{Bedrock, Bench, Contender, Running};
use crate::fake_bedrock::{Pace, ROUNDS};

/// Messages in the session before the turn.
const MESSAGES: [usize; 6] = [0, 10, 100, 200, 500, 1000];
/// Rounds in which the model asks for a tool.
const TOOL_ROUNDS: [usize; 5] = [0, 1, 2, 4, 8];
/// Bytes of a payload; the service takes 100 MB.
const PAYLOADS: [usize; 5] = [1_000, 100_000, 1_000_000, 10_000_000, 99_000_000];
/// Sessions of a process.
const SESSIONS: [usize; 6] = [1, 10, 100, 1_000, 10_000, 100_000];
/// Turns of which the middle one counts.
const TURNS: usize = 9;

/// One point of a curve.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Growth {
    /// What was made larger.
    pub(crate) of: &'static str,
    pub(crate) contender: Contender,
    pub(crate) size: usize,
    /// The median of some turns, in milliseconds.
    pub(crate) turn: f64,
    /// Kilobytes that the process has then, and the most it had.
    pub(crate) rss: u64,
    pub(crate) peak: u64,
}

/// Measures every curve.
pub(crate) fn measure(bench: &Bench) -> Result<Vec<Growth>, Failure> {
    Ok([history(bench)?, tool_rounds(bench)?, payload(bench)?, sessions(bench)?].concat())
}

fn history(bench: &Bench) -> Result<Vec<Growth>, Failure> {
    let bedrock = Bedrock::start(Pace::default())?;
    let running = bench.start(Contender::Ours, &bedrock)?;
    let turn = || timed(&running, &session(0), r#"{"prompt": "How was my week, in some twelve words or so?"}"#);
    let (mut messages, mut points) = (0, Vec::new());
    for size in MESSAGES {
        while messages < size {
            turn()?;
            messages += 2;
        }
        let turns = (0..TURNS).map(|_| turn()).collect::<Result<Vec<_>, _>>()?;
        messages += 2 * TURNS;
        points.push(point("messages of history", &running, size, turns)?);
    }
    Ok(points)
}

fn tool_rounds(bench: &Bench) -> Result<Vec<Growth>, Failure> {
    let bedrock = Bedrock::start(Pace::default())?;
    let running = bench.start(Contender::Coach, &bedrock)?;
    let points = TOOL_ROUNDS.into_iter().map(|size| {
        let body = format!(r#"{{"prompt": "How tall am I in feet? {ROUNDS}{size}"}}"#);
        let turns = (0..TURNS).map(|turn| timed(&running, &session(size * TURNS + turn), &body));
        point("tool rounds", &running, size, turns.collect::<Result<_, _>>()?)
    });
    points.collect()
}

fn payload(bench: &Bench) -> Result<Vec<Growth>, Failure> {
    let bedrock = Bedrock::start(Pace::default())?;
    let mut points = Vec::new();
    for contender in [Contender::Ours, Contender::Tuned, Contender::Echo] {
        for size in PAYLOADS {
            let running = bench.start(contender, &bedrock)?;
            let body = format!(r#"{{"prompt": "Are you there?", "padding": "{}"}}"#, "x".repeat(size));
            let turns = (0..3).map(|turn| timed(&running, &session(turn), &body)).collect::<Result<_, _>>()?;
            points.push(point("bytes of payload", &running, size, turns)?);
        }
    }
    Ok(points)
}

fn sessions(bench: &Bench) -> Result<Vec<Growth>, Failure> {
    let bedrock = Bedrock::start(Pace::default())?;
    let running = bench.start(Contender::Ours, &bedrock)?;
    let (mut begun, mut points) = (0, Vec::new());
    for size in SESSIONS {
        let mut turns = Vec::new();
        while begun < size {
            turns.push(timed(&running, &session(begun), r#"{"prompt": "Are you there?"}"#)?);
            begun += 1;
        }
        points.push(point("sessions", &running, size, turns.split_off(turns.len().saturating_sub(TURNS)))?);
    }
    Ok(points)
}

fn timed(running: &Running, session: &str, body: &str) -> Result<f64, Failure> {
    let began = Instant::now();
    running.turn(session, body)?;
    Ok(milliseconds(began.elapsed()))
}

fn point(of: &'static str, running: &Running, size: usize, turns: Vec<f64>) -> Result<Growth, Failure> {
    let footprint = running.process.footprint()?;
    eprintln!("   {} {size} {of}", running.contender.name());
    let contender = running.contender;
    Ok(Growth { of, contender, size, turn: median(turns), rss: footprint.rss, peak: footprint.peak })
}
