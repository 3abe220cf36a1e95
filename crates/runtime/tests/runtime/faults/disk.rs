//! The memory of a simulation: what it holds outlives every process, and reaching it may fail in every way.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use agentcore_runtime::core::history::INTERRUPTED;
use agentcore_runtime::core::memory::identity::SessionKey;
use agentcore_runtime::core::memory::reading::Reading;
use agentcore_runtime::core::memory::{Entry, Loaded, MemoryError, Record, SessionMemory};
use agentcore_runtime::core::message::{ContentBlock, Message, Role, ToolResultContent};
use futures::future::BoxFuture;
use tokio::time::{Instant, sleep, sleep_until};

use super::chance::Chance;
use super::script::{Script, marks};

/// How long the runtime tries to write, in milliseconds, and how long it rests between two attempts at the most.
const WRITE_BOUND: u64 = 600_000;
const LONGEST_PAUSE: u64 = 20_500;

/// The memory's side of everything. Outlives processes.
#[derive(Default)]
pub(super) struct Disk {
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    /// By the number of the write: the order in which processes made them.
    writes: BTreeMap<usize, Write>,
    /// How often each session was read.
    loads: BTreeMap<SessionKey, usize>,
}

/// One record, and what became of it.
#[derive(Clone)]
pub(super) struct Write {
    pub(super) key: SessionKey,
    pub(super) record: Record,
    /// In which life it was first tried, and when.
    pub(super) life: usize,
    pub(super) first_tried: u64,
    attempts: usize,
    under_way: usize,
    /// When the newest attempt ended.
    pub(super) answered: u64,
    /// When it will be there.
    lands: Option<u64>,
    pub(super) is_stored: bool,
    /// When the runtime was told that it is stored.
    acknowledged: Option<u64>,
    pub(super) refused: bool,
}

/// How one process reaches the memory.
pub(super) struct Reach {
    pub(super) disk: Arc<Disk>,
    pub(super) script: Arc<Script>,
    pub(super) life: usize,
    pub(super) began: Instant,
    /// No faults any more.
    pub(super) calm: Arc<AtomicBool>,
}

/// How an attempt to write goes: when the entry lands, when the answer comes, and which.
struct Course {
    lands: Option<u64>,
    answers: Option<u64>,
    answer: Result<(), MemoryError>,
}

fn unreachable() -> MemoryError {
    MemoryError::Unavailable { reason: "as the simulation has it".into() }
}

// === impl Disk ===

impl Disk {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().expect("nobody panics with it")
    }

    /// Everything of a session that is there at that moment, in order.
    pub(super) fn stored(&self, key: &SessionKey) -> Vec<Write> {
        self.held().writes.values().filter(|write| write.key == *key && write.is_stored).cloned().collect()
    }

    /// Every write that was ever tried.
    pub(super) fn writes(&self) -> Vec<Write> {
        self.held().writes.values().cloned().collect()
    }

    /// Whether the runtime has reason to be busy: something it tried to write is neither stored nor given up.
    pub(super) fn has_unfinished(&self, life: usize, now: u64) -> bool {
        self.held().writes.values().any(|write| write.life == life && !write.is_settled(now))
    }

    /// Lets land what is due.
    fn settle(&self, now: u64) {
        for write in self.held().writes.values_mut() {
            if write.lands.is_some_and(|at| at <= now) {
                write.lands = None;
                write.is_stored = true;
            }
        }
    }

    /// A process has ended: what was under way lands, or does not.
    pub(super) fn process_ended(&self, seed: u64, life: usize) {
        for write in self.held().writes.values_mut() {
            write.under_way = 0;
            if write.lands.take().is_some()
                && Chance::at(seed, &format!("landing {life} {:?}", write.turn())).percent(50)
            {
                write.is_stored = true;
            }
        }
    }

    /// Takes note of an attempt: the number of the write, and of the attempt.
    fn tries(&self, reach: &Reach, key: &SessionKey, record: &Record) -> (usize, usize) {
        let mut held = self.held();
        let known = held.writes.iter_mut().find(|(_, write)| write.record.token == record.token);
        if let Some((number, write)) = known {
            write.attempts += 1;
            write.under_way += 1;
            return (*number, write.attempts);
        }
        let number = held.writes.len();
        let write = Write {
            key: key.clone(),
            record: record.clone(),
            life: reach.life,
            first_tried: reach.now(),
            attempts: 1,
            under_way: 1,
            answered: 0,
            lands: None,
            is_stored: false,
            acknowledged: None,
            refused: false,
        };
        held.writes.insert(number, write);
        (number, 1)
    }

    fn with<T>(&self, number: usize, change: impl FnOnce(&mut Write) -> T) -> T {
        change(self.held().writes.get_mut(&number).expect("it was tried"))
    }
}

// === impl Write ===

impl Write {
    /// Whether the runtime will not try it again.
    fn is_settled(&self, now: u64) -> bool {
        self.acknowledged.is_some() || self.refused || (self.under_way == 0 && now > self.answered + LONGEST_PAUSE)
    }

    /// Whether the runtime had a right to give it up: it was refused, or has been tried long enough.
    pub(super) fn may_be_lost(&self) -> bool {
        self.refused || self.answered + LONGEST_PAUSE > self.first_tried + WRITE_BOUND
    }

    /// What became of it, in a line.
    pub(super) fn told_of(&self) -> String {
        let Self { first_tried, attempts, answered, acknowledged, is_stored, refused, .. } = self;
        let turn = self.turn().map_or(0, |(_, number)| number);
        format!(
            "t{turn} tried {attempts} times from {first_tried} to {answered}, acknowledged {acknowledged:?}, refused \
             {refused}, stored {is_stored}"
        )
    }

    /// Whether the runtime was still trying at that moment.
    pub(super) fn was_unfinished(&self, at: u64) -> bool {
        self.first_tried <= at && self.acknowledged.is_none_or(|acknowledged| acknowledged >= at)
    }

    /// Whose turn it is: the mark of its first words.
    pub(super) fn turn(&self) -> Option<(usize, usize)> {
        marks(&self.messages().first()?.text()).next()
    }

    pub(super) fn messages(&self) -> Vec<Message> {
        match &self.record.entry {
            Entry::Whole { turn, .. } => turn.messages().to_vec(),
            Entry::Paused { turn, .. } => turn.messages.clone(),
            Entry::Summary(_) | Entry::Note(_) => Vec::new(),
        }
    }

    /// What the model said in it; the last message of a turn that was cut may say nothing but that.
    pub(super) fn answer(&self) -> String {
        let said = self.messages();
        let said = said.iter().filter(|message| message.role == Role::Assistant).map(Message::text);
        said.filter(|text| text != INTERRUPTED).collect()
    }
}

/// Every text in messages, of tools as well.
pub(super) fn texts<'a>(messages: impl IntoIterator<Item = &'a Message>) -> Vec<String> {
    let blocks = messages.into_iter().flat_map(|message| &message.content);
    let texts = blocks.flat_map(|block| match block {
        ContentBlock::Text(text) => vec![text.clone()],
        ContentBlock::ToolUse(call) => vec![call.input.to_string()],
        ContentBlock::ToolResult(result) => result.content.iter().map(text_of_result).collect(),
        _ => Vec::new(),
    });
    texts.collect()
}

fn text_of_result(content: &ToolResultContent) -> String {
    match content {
        ToolResultContent::Text(text) => text.clone(),
        ToolResultContent::Json(value) => value.to_string(),
        _ => String::new(),
    }
}

// === impl Reach ===

impl Reach {
    fn now(&self) -> u64 {
        millis(self.began.elapsed())
    }

    fn is_calm(&self) -> bool {
        self.calm.load(Ordering::SeqCst)
    }

    fn is_out(&self) -> bool {
        let outage = &self.script.lives[self.life].outage;
        !self.is_calm() && outage.as_ref().is_some_and(|outage| outage.contains(&self.now()))
    }

    /// How a write goes that is tried now.
    ///
    /// It is drawn for the turn and the attempt: whose of two sessions comes first in one moment is not for a seed to say.
    fn course(&self, number: usize, attempt: usize) -> Course {
        let now = self.now();
        let mut chance = Chance::at(
            self.script.seed,
            &format!("write {:?} {attempt}", self.disk.with(number, |write| write.turn())),
        );
        let soon = now + chance.number(1..80);
        let faults = if self.is_calm() { 0 } else { self.script.memory_faults };
        if self.is_out() {
            return Course { lands: None, answers: Some(now + chance.number(1..3_000)), answer: Err(unreachable()) };
        }
        if !chance.percent(faults) {
            return Course { lands: Some(soon), answers: Some(soon), answer: Ok(()) };
        }
        let late = now + chance.number(100..12_000);
        match chance.number(0..100) {
            0..30 => Course { lands: None, answers: Some(soon), answer: Err(unreachable()) },
            30..55 => Course { lands: Some(soon), answers: Some(late), answer: Err(unreachable()) },
            55..70 => Course { lands: Some(late), answers: Some(soon), answer: Err(unreachable()) },
            70..96 => Course { lands: Some(late), answers: Some(late), answer: Ok(()) },
            _ => {
                let reason = "as the simulation has it".into();
                Course { lands: None, answers: Some(soon), answer: Err(MemoryError::Refused { reason }) }
            }
        }
    }

    async fn until(&self, at: Option<u64>) {
        match at {
            Some(at) => sleep_until(self.began + Duration::from_millis(at)).await,
            None => std::future::pending().await,
        }
    }

    async fn read(&self, session: &SessionKey, budget_tokens: usize) -> Result<Loaded, MemoryError> {
        let number = {
            let mut held = self.disk.held();
            let loads = held.loads.entry(session.clone()).or_default();
            *loads += 1;
            *loads
        };
        let mut chance = Chance::at(self.script.seed, &format!("load {session:?} {number}"));
        let faulty = !self.is_calm() && (self.is_out() || chance.percent(self.script.memory_faults));
        sleep(Duration::from_millis(chance.number(1..50))).await;
        if faulty {
            match chance.number(0..4) {
                0 => return Err(unreachable()),
                1 => sleep(Duration::from_millis(chance.number(1..20_000))).await,
                // Longer than a turn may take.
                2 => sleep(Duration::from_secs(90)).await,
                _ => {
                    sleep(Duration::from_secs(20)).await;
                    return Err(unreachable());
                }
            }
        }
        self.disk.settle(self.now());
        let mut reading = Reading::within(budget_tokens);
        for write in self.disk.stored(session).iter().rev() {
            if reading.is_enough() {
                break;
            }
            reading.stored(write.record.at, write.record.sequence, (&write.record.entry).into());
        }
        Ok(reading.finish())
    }

    async fn write(&self, session: &SessionKey, record: &Record) -> Result<(), MemoryError> {
        let (number, attempt) = self.disk.tries(self, session, record);
        let course = self.course(number, attempt);
        self.disk.with(number, |write| {
            if let Some(lands) = course.lands.filter(|_| !write.is_stored) {
                write.lands = Some(write.lands.map_or(lands, |before| before.min(lands)));
            }
        });
        self.until(course.answers).await;
        self.disk.settle(self.now());
        self.disk.with(number, |write| {
            write.under_way -= 1;
            write.answered = self.now();
            write.acknowledged = write.acknowledged.or(course.answer.is_ok().then(|| self.now()));
            write.refused |= matches!(course.answer, Err(MemoryError::Refused { .. }));
        });
        course.answer
    }
}

impl SessionMemory for Reach {
    fn load<'a>(&'a self, session: &'a SessionKey, budget_tokens: usize) -> BoxFuture<'a, Result<Loaded, MemoryError>> {
        Box::pin(self.read(session, budget_tokens))
    }

    fn append<'a>(&'a self, session: &'a SessionKey, record: &'a Record) -> BoxFuture<'a, Result<(), MemoryError>> {
        Box::pin(self.write(session, record))
    }
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).expect("no simulation lasts so long")
}
