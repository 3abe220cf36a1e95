//! One simulation: the process lives, dies and lives again over one memory, and what came of it is looked at.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use agentcore_runtime::Server;
use agentcore_runtime::core::memory::SessionMemory;
use agentcore_runtime::core::memory::identity::SessionKey;
use tokio::runtime::{Builder, Handle};
use tokio::task::JoinSet;
use tokio::time::{Instant, advance, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::answer::Answer;
use super::board::Board;
use super::clients::{Door, door};
use super::disk::{Disk, Reach};
use super::invariants;
use super::model::{Simulated, model};
use super::script::{Client, End, MOST_TURNS, Script, ids};

/// How long a process may take to end when it is asked to: to let turns end, to cut them, to write, to close and to hand
/// over what it has to tell, as `server` bounds each.
const FAREWELL: Duration = Duration::from_millis(5_000 + 1_000 + 3_000 + 1_000 + 2_000 + 100);

/// How long a process may be busy after the last client has gone: as long as a write is tried and a rest, for every turn of
/// a session, because they are written one after another.
const LONGEST_WRITES: Duration = Duration::from_secs((600 + 30) * MOST_TURNS as u64);

/// How much the payloads of all turns have together at the most.
const PAYLOAD_BYTES: usize = 200_000;

/// What came of a simulation.
pub(super) struct Outcome {
    pub(super) sessions: usize,
    pub(super) turns: usize,
    pub(super) answered: usize,
    pub(super) violations: Vec<String>,
    /// Everything that was seen and stored, in lines that are the same each time.
    pub(super) account: Vec<String>,
}

struct World {
    script: Arc<Script>,
    board: Arc<Board>,
    disk: Arc<Disk>,
}

/// Simulates what the seed says.
pub(super) fn simulate(seed: u64) -> Outcome {
    let world = World { script: Arc::new(Script::of(seed)), board: Arc::default(), disk: Arc::default() };
    for life in 0..world.script.lives.len() {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
        runtime.block_on(world.live(life));
        drop(runtime);
        world.disk.process_ended(seed, life);
    }
    world.outcome()
}

// === impl World ===

impl World {
    async fn live(&self, life: usize) {
        let (door, pipes) = door();
        let calm = Arc::new(AtomicBool::new(false));
        let memory = Reach {
            disk: Arc::clone(&self.disk),
            script: Arc::clone(&self.script),
            life,
            began: door.began,
            calm: Arc::clone(&calm),
        };
        let agent = Simulated { script: Arc::clone(&self.script) };
        let model = model(&self.script, &self.board, life, &calm);
        let server = Server::new(agent, model, Arc::new(memory) as Arc<dyn SessionMemory>);
        let server = server.admitting(self.script.turns_at_once, PAYLOAD_BYTES);
        let end = CancellationToken::new();
        let lives = tokio::spawn(server.serve_on(pipes, end.clone()));
        sleep(Duration::from_millis(1)).await;
        let tasks = Handle::current().metrics().num_alive_tasks();

        let mut others = JoinSet::new();
        others.spawn(self.pings(door.clone(), life));
        for stop in self.script.lives[life].stops.clone() {
            others.spawn(stopped(door.clone(), stop));
        }
        let mut clients = JoinSet::new();
        for turn in self.script.of_life(life) {
            clients.spawn(door.clone().visit(turn.clone(), life, Arc::clone(&self.board)));
        }
        match self.script.lives[life].end {
            End::Killed { at } => door.wait_until(at).await,
            End::Asked { at } => {
                door.wait_until(at).await;
                end.cancel();
                // A process that is stopped cannot end meanwhile.
                let stopped: u64 = self.script.lives[life].stops.iter().map(|(_, how_long)| how_long).sum();
                if timeout(FAREWELL + Duration::from_millis(stopped), lives).await.is_err() {
                    self.board.violated(format!("life {life}: the process does not end when it is asked to"));
                }
            }
            End::Quiet => {
                while let Some(visited) = clients.join_next().await {
                    visited.expect("clients do not panic");
                }
                others.shutdown().await;
                self.settles(&door).await;
                self.leaves_nothing(life, tasks);
                calm.store(true, Ordering::SeqCst);
                self.goes_on(&door, life).await;
                self.leaves_nothing(life, tasks);
                end.cancel();
                if timeout(FAREWELL, lives).await.is_err() {
                    self.board.violated(format!("life {life}: the idle process does not end when it is asked to"));
                }
            }
        }
    }

    /// Asks as AgentCore does whether the process is busy, and whether that is true.
    fn pings(&self, door: Door, life: usize) -> impl Future<Output = ()> + Send + use<> {
        let (script, board, disk) = (Arc::clone(&self.script), Arc::clone(&self.board), Arc::clone(&self.disk));
        async move {
            loop {
                // Every two seconds, as AgentCore does, and seldom when little happens any more.
                sleep(Duration::from_millis(if door.now() < 60_000 { 1_999 } else { 29_999 })).await;
                let asked = door.now();
                let Some((status, since)) = door.ping().await else { return };
                let under_way = UnderWay::at(&script, &board, life, asked);
                let has_unfinished = disk.has_unfinished(life, door.now());
                let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
                if since > now || since + 3_600 < now {
                    board.violated(format!("ping says that it has been {status} since {since}, and it is {now}"));
                }
                // Whatever ends in this moment may be seen by one side only.
                sleep(Duration::from_millis(3)).await;
                let still = UnderWay::at(&script, &board, life, door.now());
                if status == "Healthy"
                    && let Some(turn) = under_way.promptly.intersection(&still.promptly).next()
                {
                    board.violated(format!(
                        "at {} ping says Healthy while s{}t{} is under way",
                        door.now(),
                        turn.0,
                        turn.1
                    ));
                }
                let Some((again, _)) = door.ping().await else { return };
                let idle = under_way.anyhow.is_empty() && still.anyhow.is_empty() && !has_unfinished;
                if status == "HealthyBusy" && again == status && idle && !disk.has_unfinished(life, door.now()) {
                    board.violated(format!("at {} ping says HealthyBusy, and nothing is under way", door.now()));
                }
            }
        }
    }

    /// Waits until the process says that it is idle.
    async fn settles(&self, door: &Door) {
        let since = Instant::now();
        while door.ping().await.is_none_or(|(status, _)| status != "Healthy") {
            if since.elapsed() > LONGEST_WRITES {
                return self.board.violated(format!("the process is busy {:?} after the last client", since.elapsed()));
            }
            sleep(Duration::from_secs(5)).await;
        }
    }

    fn leaves_nothing(&self, life: usize, tasks: usize) {
        let now = Handle::current().metrics().num_alive_tasks();
        if now > tasks {
            self.board.violated(format!("life {life}: {} tasks are left over", now - tasks));
        }
    }

    /// With nothing in its way any more, the process answers every session, as many at once as it must.
    async fn goes_on(&self, door: &Door, life: usize) {
        let sessions = self.script.sessions;
        let places = self.script.turns_at_once.min(sessions);
        let padding = PAYLOAD_BYTES / self.script.turns_at_once.max(places) / 2;
        for first in (0..sessions).step_by(places) {
            let mut at_once = JoinSet::new();
            for session in first..(first + places).min(sessions) {
                let turn = self.script.last_turn(session).expect("every session has one").clone();
                let door = door.clone();
                let board = Arc::clone(&self.board);
                board.of(&turn, |seen| (seen.began, seen.life) = (door.now(), Some(life)));
                at_once.spawn(async move { (door.say(&turn, padding).await, turn) });
            }
            while let Some(said) = at_once.join_next().await {
                let (answer, turn) = said.expect("clients do not panic");
                let answer = answer.unwrap_or_default();
                if !answer.is_answered() || answer.message.as_deref() != Some(&turn.text(0)) {
                    self.board.violated(format!("{}: not answered when all is well: {answer:?}", turn.mark()));
                }
            }
        }
    }

    fn outcome(self) -> Outcome {
        let (mut answered, mut account) = (0, Vec::new());
        for turn in &self.script.turns {
            let seen = self.board.find(turn).unwrap_or_default();
            answered += usize::from(seen.answer().is_answered());
            let Answer { status, is_whole, told, message, code, .. } = seen.answer();
            let (told, message) = (told.len(), message.map(|message| message.len()));
            let (mark, began, ended) = (turn.mark(), seen.began, seen.ended);
            account.push(format!("{mark}: {began} {ended:?} {status} {is_whole} {told} {message:?} {code:?}"));
        }
        for session in 0..self.script.sessions {
            for write in self.disk.stored(&key(session)) {
                account.push(format!("{session}: {:?} {}", write.turn(), write.answer().len()));
            }
        }
        invariants::check(&self.script, &self.board, &self.disk);
        Outcome {
            sessions: self.script.sessions,
            turns: self.script.turns.iter().filter(|turn| turn.life < self.script.lives.len()).count(),
            answered,
            violations: self.board.violations(),
            account,
        }
    }
}

/// Turns that were sent and are not over for their clients.
struct UnderWay {
    /// Of clients that send and read at once: over for them is over for the process.
    promptly: BTreeSet<(usize, usize)>,
    anyhow: BTreeSet<(usize, usize)>,
}

// === impl UnderWay ===

impl UnderWay {
    /// What was sent before that moment and is under way now.
    fn at(script: &Script, board: &Board, life: usize, before: u64) -> Self {
        let mut under_way = Self { promptly: BTreeSet::new(), anyhow: BTreeSet::new() };
        for ((session, number), began) in board.under_way(life) {
            under_way.anyhow.insert((session, number));
            let client = script.turn(session, number).map(|turn| turn.client);
            if began < before && matches!(client, Some(Client::Prompt | Client::Leaves { .. })) {
                under_way.promptly.insert((session, number));
            }
        }
        under_way
    }
}

/// Where the memory has a session.
pub(super) fn key(session: usize) -> SessionKey {
    let (id, user) = ids(session);
    SessionKey::new(user.as_deref(), &id)
}

/// The process is stopped and continued: the clock has gone on, and everything is due at once.
async fn stopped(door: Door, (at, how_long): (u64, u64)) {
    door.wait_until(at).await;
    advance(Duration::from_millis(how_long)).await;
}
