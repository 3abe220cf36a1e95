//! Processes that are killed, stopped and asked to end in the middle of their turns, with callers who go away and a clock
//! that jumps; then the next process goes on over the same AgentCore Memory.
//!
//! What happens and when comes from the seed. Unlike on a clock of the test's own the kernel has a part in it, so that a
//! seed tries the same again, and finds it where it does not depend on a moment. `FAULTS_PROCESSES=50` has as many seeds.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::answer::Answer;
use super::chance::Chance;
use super::clock::Clock;
use crate::agent::{Agent, agent_command};
use crate::foreign::{Script, python_script};
use crate::local_aws::LocalAws;
use crate::process::{poll, signal};
use crate::socket::Request;

/// How many seeds there are unless `FAULTS_PROCESSES` says otherwise.
const SEEDS: u64 = 2;

const SESSIONS: usize = 8;

/// How many turns each session has with one process.
const TURNS: usize = 5;

/// How many processes there are, one after another.
const LIVES: usize = 4;

const MEMORY: &str = "faults-0123456789";

/// How long nobody hears anything before a connection counts as broken.
const SILENCE: Duration = Duration::from_secs(30);

/// What the model's answers take, so that faults come in the middle of them.
const FAULTS: [&str; 5] = ["throttle", "cut@3", "stream-error@5", "corrupt@2", "unavailable"];

/// How a process ends, after so many milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Killed { after: u64 },
    Asked { after: u64 },
    WhenAllIsSaid,
}

/// What happens to a process before, in milliseconds.
#[derive(Debug, Clone, Copy)]
struct Trouble {
    stopped_after: u64,
    stopped_for: u64,
    /// How far the clock jumps, in seconds.
    jump: i64,
}

/// What callers heard, by session and turn.
type Heard = BTreeMap<(usize, usize), Told>;

/// What a caller heard of a turn.
struct Told {
    /// As far as it came.
    answer: Answer,
    /// How the process ended that was asked.
    end: End,
    /// Whether that process let an answer of the session go before its turn was stored, as it does when that takes two
    /// seconds, and says.
    too_slow: bool,
}

fn session(number: usize) -> String {
    format!("session-{number:02}-of-the-process-faults-0123456789")
}

fn prompt(session: usize, turn: usize) -> String {
    format!("message {turn} of s{session}x")
}

#[test]
fn whatever_becomes_of_processes_what_was_answered_is_remembered_once_and_in_order() {
    let many = std::env::var("FAULTS_PROCESSES").map_or(SEEDS, |many| many.parse().expect("a number"));
    let seeds = super::seed().map_or(1..=many, |seed| seed..=seed);
    for seed in seeds {
        let problems = run(seed);
        assert!(
            problems.is_empty(),
            "seed {seed} fails; FAULTS_SEED={seed} cargo test --test system faults::processes\n  {}",
            problems.join("\n  ")
        );
    }
}

fn run(seed: u64) -> Vec<String> {
    let mut chance = Chance::at(seed, "processes");
    let faults: Vec<String> =
        (0..200).map(|_| format!("slow=30*{},{}", chance.number(1..9), FAULTS[chance.count(0..5)])).collect();
    let aws = LocalAws::start_with(&["--fault", &faults.join(",")]);
    let folder = tempfile::tempdir().expect("a folder");
    let clock = Clock::right(folder.path());
    let (mut heard, mut problems) = (Heard::new(), Vec::new());
    for life in 0..LIVES {
        let after = chance.number(100..1_800);
        let end = match chance.number(0..3) {
            _ if life + 1 == LIVES => End::WhenAllIsSaid,
            0 => End::Asked { after },
            _ => End::Killed { after },
        };
        let jump = [0, 18_000, -3_600][chance.count(0..3)];
        let trouble = Trouble { stopped_after: chance.number(50..900), stopped_for: chance.number(100..800), jump };
        live(&Life { seed, number: life, end, trouble }, &aws, clock.as_ref(), &mut heard, &mut problems);
    }
    problems.extend(remembered(&aws, &heard));
    problems
}

/// One process of those that come one after another.
struct Life {
    seed: u64,
    number: usize,
    end: End,
    trouble: Trouble,
}

/// One process, and everybody who calls it.
fn live(life: &Life, aws: &LocalAws, clock: Option<&Clock>, heard: &mut Heard, problems: &mut Vec<String>) {
    let mut command = agent_command("test_agent", &aws.endpoint(), &[("BEDROCK_AGENTCORE_MEMORY_ID", MEMORY)]);
    if let Some(clock) = clock {
        clock.given_to(&mut command);
    }
    let agent = Agent::start_command("agent", command);
    let port = agent.port;
    let (all, begin) = (Mutex::new(Heard::new()), Barrier::new(SESSIONS + 1));
    let (status, log) = thread::scope(|scope| {
        let callers: Vec<_> = (0..SESSIONS)
            .map(|session| {
                let (all, begin) = (&all, &begin);
                scope.spawn(move || {
                    let mut chance = Chance::at(life.seed, &format!("caller {session} {}", life.number));
                    begin.wait();
                    for turn in life.number * TURNS..(life.number + 1) * TURNS {
                        let answer = call(port, session, turn, &mut chance);
                        let told = Told { answer, end: life.end, too_slow: false };
                        all.lock().expect("no panic").insert((session, turn), told);
                    }
                })
            })
            .collect();
        begin.wait();
        trouble(life.trouble, agent.process.id(), clock);
        match life.end {
            End::Killed { after } => {
                rest(after);
                signal("KILL", agent.process.id());
                let (_, _, log) = agent.process.wait(SILENCE);
                (None, log)
            }
            End::Asked { after } => {
                rest(after);
                let (status, log) = agent.end();
                (Some(status), log)
            }
            End::WhenAllIsSaid => {
                for caller in callers {
                    caller.join().expect("callers do not panic");
                }
                let idle = || Request::get("/ping").send(port).body.contains(r#""status":"Healthy""#).then_some(());
                poll(SILENCE, idle).expect("every turn is stored");
                let (status, log) = agent.end();
                (Some(status), log)
            }
        }
    });
    if let Some(status) = status
        && (!status.success() || log.contains("could not be stored"))
    {
        problems.push(format!("life {}: it ended with {status}: {log}", life.number));
    }
    for ((session, turn), told) in all.into_inner().expect("no panic") {
        let mut lines = log.lines().filter(|line| line.contains("the answer leaves before its turn is stored"));
        let too_slow = lines.any(|line| line.contains(&self::session(session)));
        heard.insert((session, turn), Told { too_slow, ..told });
    }
}

fn trouble(trouble: Trouble, process: u32, clock: Option<&Clock>) {
    rest(trouble.stopped_after);
    signal("STOP", process);
    if let Some(clock) = clock {
        clock.set(trouble.jump);
    }
    rest(trouble.stopped_for);
    signal("CONT", process);
}

/// Asks for a turn, as a caller of one kind or another, and gives what came of the answer.
fn call(port: u16, session: usize, turn: usize, chance: &mut Chance) -> Answer {
    rest(chance.number(0..60));
    let body = json!({ "prompt": prompt(session, turn) }).to_string();
    let accept = if chance.percent(60) { "text/event-stream" } else { "application/json" };
    let head = format!(
        "POST /invocations HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\naccept: {accept}\r\n\
         x-amzn-bedrock-agentcore-runtime-session-id: {}\r\ncontent-length: {}\r\n\r\n",
        self::session(session),
        body.len()
    );
    let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else {
        return Answer::default();
    };
    stream.set_read_timeout(Some(SILENCE)).expect("a socket has a time-out");
    let kind = chance.number(0..100);
    // Some go away in the middle of what they say.
    let said = if kind < 5 { body.len() / 2 } else { body.len() };
    if stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body.as_bytes()[..said])).is_err() || kind < 5
    {
        return Answer::default();
    }
    // Some of what they hear; some read slowly.
    let most = if kind < 20 { chance.count(1..2_000) } else { usize::MAX };
    let pause = (20..30).contains(&kind).then(|| chance.number(5..30));
    Answer::of(&read(&mut stream, most, pause))
}

fn read(stream: &mut TcpStream, most: usize, pause: Option<u64>) -> Vec<u8> {
    let (mut bytes, mut chunk) = (Vec::new(), [0; 512]);
    while bytes.len() < most {
        // A connection that breaks is what it is like when a process is killed.
        let Ok(read @ 1..) = stream.read(&mut chunk) else { break };
        bytes.extend_from_slice(&chunk[..read]);
        pause.into_iter().for_each(rest);
    }
    bytes
}

/// Compares what callers heard with what AWS's own client finds in the memory.
fn remembered(aws: &LocalAws, heard: &Heard) -> Vec<String> {
    let mut boto3 = Script::start("boto3", python_script("memory.py"), &aws.endpoint());
    let mut problems = Vec::new();
    let (mut answered, mut kept_in_all) = (0, 0);
    for number in 0..SESSIONS {
        let id = session(number);
        let order = json!({ "do": "session", "memory": MEMORY, "actor": format!("session/{id}"), "session": id });
        let kept = boto3.order(order)["turns"].as_array().cloned().expect("turns");
        kept_in_all += kept.len();
        let of_session = format!("s{number}x");
        let mut turns = Vec::new();
        let mut stored = BTreeMap::new();
        for turn in &kept {
            let said = turn["said"].as_array().expect("what was said");
            let question = said[0][1].as_str().unwrap_or_default();
            let place = question.strip_prefix("message ").and_then(|rest| rest.split_once(" of "));
            let Some((turn, _)) = place.filter(|(_, session)| *session == of_session) else {
                problems.push(format!("{of_session} has what nobody said in it: {turn}"));
                continue;
            };
            let turn: usize = turn.parse().expect("a number");
            turns.push(turn);
            stored.insert(turn, words(said));
        }
        if !turns.is_sorted_by(|one, other| one < other) {
            problems.push(format!("{of_session}: turns are out of order or there twice: {turns:?}"));
        }
        for ((_, turn), told) in heard.range((number, 0)..(number + 1, 0)) {
            answered += usize::from(told.answer.is_answered());
            let problem = problem(told, stored.get(turn));
            problems.extend(problem.map(|problem| format!("{of_session}, {turn}: {problem}")));
        }
    }
    println!("{answered} of {} turns were answered, {kept_in_all} are kept", heard.len());
    problems
}

/// What the assistant said of a turn.
fn words(said: &[Value]) -> String {
    let said = said.iter().filter(|item| item[0] == "ASSISTANT");
    said.filter_map(|item| item[1].as_str()).collect()
}

fn problem(told: &Told, stored: Option<&String>) -> Option<String> {
    let Told { answer, end, too_slow } = told;
    if answer.status == 500 || answer.code.as_deref() == Some("internal_error") {
        return Some("the runtime failed".into());
    }
    match (&answer.message, stored) {
        (Some(message), Some(stored)) if answer.is_whole && message != stored => {
            Some(format!("answered was {message:?}, and kept is {stored:?}"))
        }
        (Some(_), None) if answer.is_whole && !too_slow => Some("it was answered, and is not kept".into()),
        (None, Some(stored)) if !stored.starts_with(&answer.told) => {
            Some(format!("told was {:?}, and kept is {stored:?}", answer.told))
        }
        (None, None) if !answer.told.is_empty() && !matches!(end, End::Killed { .. }) => {
            Some(format!("told was {:?}, and nothing is kept", answer.told))
        }
        _ => None,
    }
}

#[expect(clippy::disallowed_methods, reason = "what happens has its time, by the seed")]
fn rest(milliseconds: u64) {
    thread::sleep(Duration::from_millis(milliseconds));
}
