//! From exec to the first healthy ping, and to the first answer.

use std::fs::File;
use std::path::Path;
use std::time::Instant;

use rustix::fs::{Advice, fadvise};
use serde::Serialize;

use super::{median, milliseconds, session};
use crate::Failure;
use crate::contender::{Bedrock, Bench, Contender};
use crate::fake_bedrock::Pace;

/// Whether the system has read the files before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PageCache {
    Warm,
    Evicted,
}

/// Medians of some starts, in milliseconds from exec.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Start {
    pub(crate) contender: Contender,
    pub(crate) page_cache: PageCache,
    pub(crate) runs: usize,
    pub(crate) ping: f64,
    pub(crate) answer: f64,
}

/// Starts each several times, with what it reads in the page cache, and without.
pub(crate) fn measure(bench: &Bench) -> Result<Vec<Start>, Failure> {
    let bedrock = Bedrock::start(Pace::default())?;
    let mut starts = Vec::new();
    for page_cache in [PageCache::Warm, PageCache::Evicted] {
        for &contender in &bench.contenders {
            starts.push(of(bench, &bedrock, contender, page_cache)?);
        }
    }
    Ok(starts)
}

fn of(bench: &Bench, bedrock: &Bedrock, contender: Contender, page_cache: PageCache) -> Result<Start, Failure> {
    let runs = usize::try_from(bench.time.as_secs())?.max(3) | 1;
    let (mut ping, mut answer) = (Vec::new(), Vec::new());
    for run in 0..runs {
        if page_cache == PageCache::Evicted {
            bench.files(contender).iter().try_for_each(|path| evict(path))?;
        }
        let began = Instant::now();
        let running = bench.start(contender, bedrock)?;
        ping.push(milliseconds(began.elapsed()));
        running.turn(&session(run), r#"{"prompt": "Are you there?"}"#)?;
        answer.push(milliseconds(began.elapsed()));
    }
    Ok(Start { contender, page_cache, runs, ping: median(ping), answer: median(answer) })
}

/// Lets the system forget a file, or all of a folder. What another process has mapped stays.
fn evict(path: &Path) -> Result<(), Failure> {
    if path.is_dir() {
        return std::fs::read_dir(path)?.try_for_each(|entry| evict(&entry?.path()));
    }
    // A link that leads nowhere has nothing to forget.
    if let Ok(file) = File::open(path) {
        fadvise(&file, 0, None, Advice::DontNeed)?;
    }
    Ok(())
}
