//! Mixed load for a long time: what a process takes of its machine stays what it was.
//!
//! `FAULTS_SOAK_SECONDS=1800 cargo test --test system faults::soak` is the long form. Before anything is measured, as
//! many sessions are opened as a process keeps at hand, so that those of later are in the place of others. Memory is flat
//! when its trend, the median of the slopes between all pairs of samples, comes to less than [`GROWTH`] of its median over
//! the time measured. Open files come and go with the load: they are bounded meanwhile, and after it the process must have
//! no more of them than after the warm-up, so that one file lost in all of it is seen.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::chance::Chance;
use crate::agent::Agent;
use crate::footprint::{Memory, kilobytes, open_files};
use crate::local_aws::LocalAws;
use crate::process::poll;
use crate::socket::{Answer, Connection, Request};

/// How long load is measured unless `FAULTS_SOAK_SECONDS` says otherwise: long enough for what grows with every turn.
const SHORT: Duration = Duration::from_secs(20);

/// From which time on it is the long form.
const LONG: Duration = Duration::from_mins(5);

/// How many sessions a process keeps at hand: the runtime's `WARM_SESSIONS`.
const WARM_SESSIONS: usize = 4_096;

/// How many sessions are opened before the short form is measured.
const FEW_SESSIONS: usize = 300;

/// How many callers there are at once, and how long each rests between two calls.
const CALLERS: usize = 8;
const REST: Duration = Duration::from_millis(150);

/// How many sessions are talked to at the same time, and how many of a hundred invocations begin a new one.
const SESSIONS: usize = 100;
const NEW_SESSIONS: u64 = 20;

/// How much of its median memory may grow by over the time measured.
const GROWTH: f64 = 0.05;

/// How many files each caller may keep open: its connection, those it has just left, and what its turn asks of AWS.
const FILES: usize = 6;

/// How much later the process may have closed what callers have left, and connections to AWS that it keeps for a minute
/// and a half.
const PATIENCE: Duration = Duration::from_mins(2);

/// Every twentieth call of the model goes wrong, each time in another way.
const FAULTS: [&str; 6] = ["throttle", "unavailable", "cut@4", "stream-error@6", "corrupt@5", "server-error"];

/// What the process takes at one moment of the load.
struct Sample {
    at: Duration,
    kilobytes: f64,
    files: usize,
}

/// Those who call, and what they were answered.
struct Load<'a> {
    agent: &'a Agent,
    seed: u64,
    sessions: Mutex<VecDeque<String>>,
    named: AtomicUsize,
    answers: Mutex<BTreeMap<u16, usize>>,
}

fn duration() -> Duration {
    let seconds = std::env::var("FAULTS_SOAK_SECONDS").ok();
    let seconds = seconds.map(|seconds| seconds.parse().expect("FAULTS_SOAK_SECONDS is a whole number of seconds"));
    seconds.map_or(SHORT, Duration::from_secs)
}

fn faults(calls: usize) -> String {
    let faults = FAULTS.iter().cycle().take(calls / 20);
    faults.map(|fault| format!("slow=1*19,{fault}")).collect::<Vec<_>>().join(",")
}

#[test]
fn under_mixed_load_memory_and_open_files_stay_what_they_were() {
    let duration = duration();
    let is_long = duration >= LONG;
    let seed = super::seed().unwrap_or(1);
    let calls = if is_long { 60_000 } else { 4_000 };
    let aws = LocalAws::start_with(&["--fault", &faults(calls)]);
    let agent = Agent::start("test_agent", &aws.endpoint(), &[("BEDROCK_AGENTCORE_MEMORY_ID", "soaked-0123456789")]);
    let load =
        Load { agent: &agent, seed, sessions: Mutex::default(), named: AtomicUsize::new(0), answers: Mutex::default() };
    load.open_sessions(if is_long { WARM_SESSIONS } else { FEW_SESSIONS });
    // Sessions at hand become longer until the load's own have taken the place of the first: cut short, that is a trend.
    load.run(duration / 4, None);
    load.wait_until_idle();
    let files = open_files(agent.process.id());
    let samples = Mutex::new(Vec::new());
    load.run(duration, Some(&samples));
    load.wait_until_idle();
    let samples = samples.into_inner().expect("no panic");
    let answers = load.answers.into_inner().expect("no panic");
    let sessions = load.named.into_inner();
    let memory: Vec<(f64, f64)> = samples.iter().map(|sample| (sample.at.as_secs_f64(), sample.kilobytes)).collect();
    let (usual, growth) = (median(memory.iter().map(|(_, value)| *value)), trend(&memory) * duration.as_secs_f64());
    println!("{usual:.0} kB with a trend of {growth:+.0} kB in {duration:?}, of {} samples", memory.len());
    assert!(growth < usual * GROWTH, "{usual:.0} kB, and a trend of {growth:+.0} kB; seed {seed}");
    let most = samples.iter().map(|sample| sample.files).max().expect("there are samples");
    println!("{files} open files before, {most} at the most");
    assert!(most <= files + CALLERS * FILES, "{most} open files, and {files} without load; seed {seed}");
    println!("{sessions} sessions; answers {answers:?}");
    let answered = answers.get(&200).copied().unwrap_or(0);
    assert!(answered * 2 > answers.values().sum(), "most are answered: {answers:?}");
    assert!(!answers.contains_key(&500), "nothing fails unexpectedly: {answers:?}");
    // Connections to AWS stay for the next turns, as many as there once were at a time; a leak would be thousands.
    let allowed = files + CALLERS;
    let left = poll(PATIENCE, || (open_files(agent.process.id()) <= allowed).then_some(()));
    left.unwrap_or_else(|| {
        panic!("{} files are open, and were {files} after the warm-up", open_files(agent.process.id()))
    });
}

// === impl Load ===

impl Load<'_> {
    /// Opens so many sessions, one turn each.
    fn open_sessions(&self, many: usize) {
        thread::scope(|scope| {
            for caller in 0..CALLERS {
                scope.spawn(move || {
                    for _ in (caller..many).step_by(CALLERS) {
                        self.count(&self.agent.post(&self.new_session(), "Good morning!", "application/json"));
                    }
                });
            }
        });
    }

    /// Calls for so long, and takes samples where there is a place for them.
    fn run(&self, duration: Duration, samples: Option<&Mutex<Vec<Sample>>>) {
        let (ended, begin) = (AtomicBool::new(false), Barrier::new(CALLERS + 1));
        thread::scope(|scope| {
            for caller in 0..CALLERS {
                let (ended, begin) = (&ended, &begin);
                let place = format!("caller {caller} {}", samples.is_some());
                scope.spawn(move || {
                    let mut chance = Chance::at(self.seed, &place);
                    begin.wait();
                    while !ended.load(Ordering::SeqCst) {
                        self.call(&mut chance);
                        rest(REST);
                    }
                });
            }
            begin.wait();
            self.watch(duration, samples);
            ended.store(true, Ordering::SeqCst);
        });
    }

    fn watch(&self, duration: Duration, samples: Option<&Mutex<Vec<Sample>>>) {
        let (began, process) = (Instant::now(), self.agent.process.id());
        while began.elapsed() < duration {
            rest(duration / 120);
            let at = began.elapsed();
            let kilobytes = kilobytes(process, Memory::Now);
            let kilobytes = f64::from(u32::try_from(kilobytes).expect("less than a terabyte"));
            let sample = Sample { at, kilobytes, files: open_files(process) };
            if let Some(samples) = samples {
                samples.lock().expect("no panic").push(sample);
            }
        }
    }

    fn call(&self, chance: &mut Chance) {
        let session = self.session(chance);
        let streamed =
            [("accept", "text/event-stream"), ("x-amzn-bedrock-agentcore-runtime-session-id", session.as_str())];
        let body = json!({ "prompt": "I had a setback today" }).to_string();
        let request = Request::post("/invocations", body.as_bytes());
        match chance.number(0..100) {
            0..40 => self.count(&self.agent.post(&session, "How are you?", "application/json")),
            40..70 => self.count(&request.with(&streamed).send(self.agent.port)),
            // Callers who go away: when the answer has begun, and before.
            70..80 => {
                let mut connection = request.with(&streamed).open(self.agent.port);
                connection.read_until("\r\n");
            }
            80..85 => drop(request.with(&streamed).open(self.agent.port)),
            85..90 => {
                self.count(&Request::post("/invocations", b"{\"prompt\": ").with(&streamed).send(self.agent.port));
            }
            90..95 => {
                Connection::to(self.agent.port).send_bytes("POST /invocations HTTP/1.1\r\ncontent-length: 9\r\n\r\n{");
            }
            _ => self.count(&Request::get("/ping").send(self.agent.port)),
        }
    }

    fn new_session(&self) -> String {
        format!("soaked-session-{:06}-0123456789-0123456789", self.named.fetch_add(1, Ordering::SeqCst))
    }

    /// One of those that are talked to, or a new one in the place of the oldest.
    fn session(&self, chance: &mut Chance) -> String {
        let mut sessions = self.sessions.lock().expect("no panic");
        if sessions.len() < SESSIONS || chance.percent(NEW_SESSIONS) {
            sessions.push_back(self.new_session());
        }
        if sessions.len() > SESSIONS {
            sessions.pop_front();
        }
        sessions[chance.count(0..sessions.len())].clone()
    }

    fn count(&self, answer: &Answer) {
        *self.answers.lock().expect("no panic").entry(answer.status).or_default() += 1;
    }

    fn wait_until_idle(&self) {
        let idle = || Request::get("/ping").send(self.agent.port).body.contains(r#""status":"Healthy""#).then_some(());
        poll(Duration::from_mins(2), idle).expect("every turn is stored");
    }
}

#[expect(clippy::disallowed_methods, reason = "the load has a rate, and the samples have a time")]
fn rest(duration: Duration) {
    thread::sleep(duration);
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// By how much a series grows in a second: the median of the slopes between all pairs, which single samples don't move
/// (Theil and Sen's).
fn trend(series: &[(f64, f64)]) -> f64 {
    let pairs =
        series.iter().enumerate().flat_map(|(place, one)| series[place + 1..].iter().map(move |other| (one, other)));
    median(pairs.map(|(one, other)| (other.1 - one.1) / (other.0 - one.0)))
}

#[test]
fn a_trend_is_seen_through_noise_and_is_none_where_there_is_none() {
    let series = |grows: f64| -> Vec<(f64, f64)> {
        let noise = |at: u32| if at.is_multiple_of(7) { 900.0 } else { f64::from(at % 3) };
        (0..100).map(|at| (f64::from(at), 1_000.0 + grows * f64::from(at) + noise(at))).collect()
    };
    assert!(trend(&series(0.0)).abs() < 0.1);
    assert!((trend(&series(2.0)) - 2.0).abs() < 0.1);
}
