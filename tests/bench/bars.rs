//! What is aimed at, as ratios of one run, and whether it was reached.

use serde::Serialize;

use crate::chapters::start::PageCache;
use crate::contender::Contender;
use crate::load::{Format, Outcome};
use crate::report::Report;

/// One aim.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Bar {
    pub(crate) what: &'static str,
    pub(crate) aim: Aim,
    pub(crate) measured: f64,
    pub(crate) is_met: bool,
}

/// On which side of a number to be.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Aim {
    AtLeast(f64),
    AtMost(f64),
}

/// The bars of the chapters that were run.
pub(crate) fn judge(report: &Report) -> Vec<Bar> {
    use Aim::{AtLeast, AtMost};
    let judged = [
        ("exec to first ping: times faster than Python", AtLeast(50.0), start(report, |start| start.ping)),
        ("exec to first answer: times faster than Python", AtLeast(30.0), start(report, |start| start.answer)),
        ("throughput, 100 clients: times Python as replaced", AtLeast(500.0), throughput(report, Contender::Untuned)),
        ("throughput, 100 clients: times Python tuned", AtLeast(30.0), throughput(report, Contender::Tuned)),
        ("throughput, 100 clients: of the floor's", AtLeast(0.6), throughput(report, Contender::Floor)),
        ("CPU of a turn: of the Python SDK's echo", AtMost(0.6), cpu(report)),
        ("added latency p99, 1 client, over the floor (ms)", AtMost(1.0), added(report)),
        ("ping p99, 1000 paced turns in flight (ms)", AtMost(5.0), ping(report)),
        ("idle resident memory: of Python's", AtMost(1.0 / 6.0), idle(report)),
        ("memory of an idle session of one turn (KB)", AtMost(20.0), session(report)),
    ];
    judged
        .into_iter()
        .filter_map(|(what, aim, measured)| {
            let measured = measured?;
            Some(Bar { what, aim, measured, is_met: aim.is_met_by(measured) })
        })
        .collect()
}

/// How often the time of ours goes into that of the faster Python agent.
fn start(report: &Report, time: impl Fn(&crate::chapters::start::Start) -> f64) -> Option<f64> {
    let of = |contender| {
        let warm = |start: &&crate::chapters::start::Start| {
            start.contender == contender && start.page_cache == PageCache::Warm
        };
        report.starts.iter().find(warm).map(&time)
    };
    let python = of(Contender::Tuned)?.min(of(Contender::Untuned)?);
    Some(python / of(Contender::Ours)?)
}

fn load(report: &Report, contender: Contender, clients: usize) -> Option<&Outcome> {
    let is_it = |outcome: &&Outcome| {
        outcome.contender == contender && outcome.clients == clients && outcome.format == Format::Json
    };
    report.loads.iter().find(is_it)
}

fn throughput(report: &Report, against: Contender) -> Option<f64> {
    let per_second = |contender| load(report, contender, 100).map(|outcome| outcome.turns_per_second);
    Some(per_second(Contender::Ours)? / per_second(against)?)
}

fn cpu(report: &Report) -> Option<f64> {
    Some(load(report, Contender::Ours, 100)?.cpu / load(report, Contender::Echo, 100)?.cpu)
}

fn added(report: &Report) -> Option<f64> {
    Some(load(report, Contender::Ours, 1)?.latency.p99 - load(report, Contender::Floor, 1)?.latency.p99)
}

fn ping(report: &Report) -> Option<f64> {
    let is_it = |outcome: &&Outcome| outcome.contender == Contender::Ours && outcome.clients == 1000;
    report.paced.iter().find(is_it).map(|outcome| outcome.ping.p99)
}

#[expect(clippy::cast_precision_loss, reason = "kilobytes of a process")]
fn idle(report: &Report) -> Option<f64> {
    let of = |contender| report.memory.iter().find(|memory| memory.contender == contender);
    Some(of(Contender::Ours)?.idle.rss as f64 / of(Contender::Tuned)?.idle.rss as f64)
}

#[expect(clippy::cast_precision_loss, reason = "kilobytes of a process")]
fn session(report: &Report) -> Option<f64> {
    let ours = report.memory.iter().find(|memory| memory.contender == Contender::Ours)?;
    let grown = ours.after_many.rss.saturating_sub(ours.after_one.rss) as f64;
    Some(grown / (ours.sessions - 1) as f64)
}

// === impl Aim ===

impl Aim {
    fn is_met_by(self, measured: f64) -> bool {
        match self {
            Self::AtLeast(aim) => measured >= aim,
            Self::AtMost(aim) => measured <= aim,
        }
    }

    /// For a reader.
    pub(crate) fn text(self) -> String {
        match self {
            Self::AtLeast(aim) => format!("at least {aim:.2}"),
            Self::AtMost(aim) => format!("at most {aim:.2}"),
        }
    }
}
