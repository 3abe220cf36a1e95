//! What happens in a simulation: who says what and when, how they behave, and how each life of the process ends.
//!
//! All of it follows from the seed. What the model, the memory and the tools do is drawn where they are called.

use std::ops::Range;

use super::chance::Chance;

/// How many turns a session has with one process at the most.
pub(super) const MOST_TURNS: usize = 4;

/// A whole simulation.
#[derive(Debug)]
pub(super) struct Script {
    pub(super) seed: u64,
    pub(super) lives: Vec<Life>,
    pub(super) turns: Vec<Turn>,
    pub(super) sessions: usize,
    /// How many turns the process takes on at once.
    pub(super) turns_at_once: usize,
    /// Whether the model goes on from its own words.
    pub(super) goes_on: bool,
    /// Whether a second model stands in.
    pub(super) stands_in: bool,
    /// How many of a hundred calls of the model, and of the memory, meet a fault.
    pub(super) model_faults: u64,
    pub(super) memory_faults: u64,
}

/// One process, from its start to its end.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) end: End,
    /// When the memory cannot be reached at all, in milliseconds since the start.
    pub(super) outage: Option<Range<u64>>,
    /// When the process is stopped, as by SIGSTOP, and for how long: milliseconds.
    pub(super) stops: Vec<(u64, u64)>,
}

/// How a process ends. Times are odd: nothing else happens in an odd millisecond by the script's doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// When there is nothing more to do.
    Quiet,
    /// As by SIGKILL.
    Killed { at: u64 },
    /// As by SIGTERM.
    Asked { at: u64 },
}

/// One turn, and who asks for it.
#[derive(Debug, Clone)]
pub(super) struct Turn {
    pub(super) session: usize,
    /// The turn's number in its session.
    pub(super) number: usize,
    pub(super) life: usize,
    /// When it is sent, in milliseconds since the process's start; even.
    pub(super) at: u64,
    pub(super) streamed: bool,
    pub(super) client: Client,
    /// What the tools do that are called in each round.
    pub(super) rounds: Vec<Vec<ToolDoes>>,
    /// How many words the answer has.
    pub(super) words: usize,
    /// How long each word is.
    pub(super) letters: usize,
}

/// How a client behaves. Times are milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Client {
    /// Sends at once and reads at once.
    Prompt,
    /// Goes away after a time.
    Leaves { after: u64 },
    /// Goes away after having read so much.
    LeavesHaving { bytes: usize },
    /// Reads some bytes and rests.
    Slow { pause: u64, bite: usize },
    /// Reads nothing, and goes away in the end.
    NeverReads { leaves: u64 },
    /// Rests in the middle of sending.
    SlowToSend { pause: u64 },
    /// Stops in the middle of sending, and goes away in the end.
    StopsSending { leaves: u64 },
    /// Sends something that is no JSON.
    Nonsense,
}

/// What a tool does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ToolDoes {
    Answers { after: u64 },
    Fails,
    Panics,
    Hangs,
}

// === impl Script ===

impl Script {
    pub(super) fn of(seed: u64) -> Self {
        let mut chance = Chance::at(seed, "script");
        let lives = lives(&mut chance);
        let sessions = chance.count(10..31);
        let mut script = Self {
            seed,
            turns: Vec::new(),
            sessions,
            turns_at_once: if chance.percent(25) { chance.count(3..12) } else { 1_000 },
            goes_on: chance.percent(60),
            stands_in: chance.percent(50),
            model_faults: chance.number(0..40),
            memory_faults: chance.number(0..40),
            lives,
        };
        for session in 0..sessions {
            let mut number = 0;
            for life in 0..script.lives.len() {
                let mut at = chance.number(0..10_000) * 2;
                for _ in 0..chance.count(1..MOST_TURNS + 1) {
                    script.turns.push(turn(&mut chance, session, number, life, at));
                    number += 1;
                    at += pause(&mut chance);
                }
            }
            script.turns.push(last_turn(session, number, script.lives.len()));
        }
        script
    }

    pub(super) fn turn(&self, session: usize, number: usize) -> Option<&Turn> {
        self.turns.iter().find(|turn| (turn.session, turn.number) == (session, number))
    }

    /// What is asked for at the very end, when nothing fails any more. It belongs to no life.
    pub(super) fn last_turn(&self, session: usize) -> Option<&Turn> {
        self.turns.iter().rfind(|turn| turn.session == session)
    }

    pub(super) fn of_life(&self, life: usize) -> impl Iterator<Item = &Turn> {
        self.turns.iter().filter(move |turn| turn.life == life)
    }
}

fn lives(chance: &mut Chance) -> Vec<Life> {
    let mut lives = Vec::new();
    for _ in 0..chance.count(0..3) {
        let at = chance.number(0..15_000) * 2 + 1;
        let end = if chance.percent(50) { End::Killed { at } } else { End::Asked { at } };
        lives.push(life(chance, end));
    }
    lives.push(life(chance, End::Quiet));
    lives
}

fn life(chance: &mut Chance, end: End) -> Life {
    let outage = chance.percent(15).then(|| {
        let from = chance.number(0..20_000);
        // Some are longer than writes are tried for.
        let how_long = if chance.percent(10) { 800_000 } else { chance.number(1..30_000) };
        from..from + how_long
    });
    let stops = (0..chance.count(0..2)).map(|_| (chance.number(0..15_000) * 2 + 1, chance.number(1..60_000)));
    // Who is asked to end while it is stopped, is asked in the moment of everything else that has become due: in what order
    // it hears of all that is not for a seed to say.
    let stops = stops.filter(|(at, how_long)| match end {
        End::Asked { at: asked } => at + how_long < asked || *at > asked,
        End::Quiet | End::Killed { .. } => true,
    });
    Life { end, outage, stops: stops.collect() }
}

fn turn(chance: &mut Chance, session: usize, number: usize, life: usize, at: u64) -> Turn {
    let streamed = chance.percent(60);
    let rounds = if chance.percent(25) { chance.count(1..3) } else { 0 };
    let rounds = (0..rounds).map(|_| (0..chance.count(1..4)).map(|_| tool(chance)).collect()).collect();
    let long = chance.number(0..1_000) < 4;
    let words = if long { chance.count(40..80) } else { chance.count(1..25) };
    let client = client(chance);
    Turn { session, number, life, at, streamed, client, rounds, words, letters: if long { 16_000 } else { 0 } }
}

fn last_turn(session: usize, number: usize, life: usize) -> Turn {
    let client = Client::Prompt;
    Turn { session, number, life, at: 0, streamed: false, client, rounds: Vec::new(), words: 3, letters: 0 }
}

fn pause(chance: &mut Chance) -> u64 {
    let most = [2, 50, 3_000, 20_000][chance.count(0..4)];
    chance.number(1..most + 1) * 2
}

fn client(chance: &mut Chance) -> Client {
    match chance.number(0..100) {
        0..8 => Client::Leaves { after: chance.number(0..10_000) * 2 },
        8..14 => Client::LeavesHaving { bytes: chance.count(1..3_000) },
        14..22 => Client::Slow { pause: chance.number(1..400) * 2, bite: chance.count(40..4_000) },
        22..23 => Client::NeverReads { leaves: chance.number(50_000..200_000) * 2 },
        23..28 => Client::SlowToSend { pause: [100, 5_000, 45_000][chance.count(0..3)] },
        28..29 => Client::StopsSending { leaves: chance.number(5_000..300_000) * 2 },
        29..31 => Client::Nonsense,
        _ => Client::Prompt,
    }
}

fn tool(chance: &mut Chance) -> ToolDoes {
    match chance.number(0..100) {
        0..10 => ToolDoes::Fails,
        10..20 => ToolDoes::Panics,
        20..25 => ToolDoes::Hangs,
        _ => ToolDoes::Answers { after: chance.number(0..3_000) },
    }
}

// === impl Turn ===

impl Turn {
    /// What the user says.
    pub(super) fn prompt(&self) -> String {
        format!("{}q please", self.mark())
    }

    /// What begins every word of the turn, and of no other.
    pub(super) fn mark(&self) -> String {
        format!("s{}t{}", self.session, self.number)
    }

    /// What the model writes before the calls of a round, or as its last word.
    pub(super) fn text(&self, round: usize) -> String {
        if round < self.rounds.len() {
            return format!("{}p{round} let me look. ", self.mark());
        }
        let word = |number| format!("{}w{number}{}", self.mark(), "x".repeat(self.letters));
        (0..self.words).map(word).collect::<Vec<_>>().join(" ")
    }

    /// Everything a streaming caller is told in the end.
    pub(super) fn told(&self) -> String {
        (0..=self.rounds.len()).map(|round| self.text(round)).collect()
    }

    /// Its key at the client's: the runtime's session id and, for some, whose session it is. Every fifth session has
    /// its id from the one before, and another user.
    pub(super) fn ids(&self) -> (String, Option<String>) {
        ids(self.session)
    }
}

pub(super) fn ids(session: usize) -> (String, Option<String>) {
    let shares = session % 5 == 1;
    let id = format!("session-{:03}-of-the-simulation-0123456789", session - usize::from(shares));
    (id, shares.then(|| format!("user-{session}")))
}

/// The sessions and turns whose marks are in a text.
pub(super) fn marks(text: &str) -> impl Iterator<Item = (usize, usize)> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    words.filter_map(|word| {
        let (session, rest) = word.strip_prefix('s')?.split_once('t')?;
        let number = rest.split(|c: char| !c.is_ascii_digit()).next()?;
        Some((session.parse().ok()?, number.parse().ok()?))
    })
}
