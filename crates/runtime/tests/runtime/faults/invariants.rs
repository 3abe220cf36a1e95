//! What must be true of a simulation, whatever failed in it.

use super::answer::Answer;
use super::board::{Board, Seen};
use super::disk::{Disk, Write, texts};
use super::model::TURN_TIME;
use super::script::{Client, End, Script, Turn, marks};
use super::world::key;

/// How long an answer waits for its turn to be stored, in milliseconds: the runtime's `WRITE_PATIENCE`.
const WRITE_PATIENCE: u64 = 2_000;

/// For how long an invocation whose payload is still on its way keeps its place, in milliseconds: `PLACE_KEPT`.
const PLACE_KEPT: u64 = 30_000;

/// For how long a payload that stands still is waited for, and a moment more, in milliseconds: `PATIENCE` of the runtime.
const PATIENCE: u64 = 75_500;

/// Everything that is wrong goes to the board.
pub(super) fn check(script: &Script, board: &Board, disk: &Disk) {
    let writes = disk.writes();
    for write in &writes {
        is_of_one_session(write, board);
    }
    for turn in &script.turns {
        let seen = board.find(turn).unwrap_or_default();
        let stored: Vec<&Write> =
            writes.iter().filter(|write| write.turn() == Some((turn.session, turn.number))).collect();
        let others =
            writes.iter().filter(|write| write.key == key(turn.session) && Some(write.life) == seen.life).collect();
        let looked = Looked { script, turn, answer: seen.answer(), seen, writes: stored, others };
        looked.problems().into_iter().for_each(|problem| board.violated(format!("{}: {problem}", looked.told_of())));
    }
    for session in 0..script.sessions {
        is_in_order(script, board, session, &disk.stored(&key(session)));
    }
}

fn is_of_one_session(write: &Write, board: &Board) {
    let Some((session, _)) = write.turn() else {
        return board.violated(format!("nobody's turn is stored: {:?}", write.messages()));
    };
    if write.key != key(session) {
        board.violated(format!("a turn of session {session} is stored in {:?}", write.key));
    }
    let messages = write.messages();
    if texts(&messages).iter().flat_map(|text| marks(text)).any(|(of, _)| of != session) {
        board.violated(format!("session {session} holds somebody else's words: {messages:?}"));
    }
}

/// Turns are stored in the order in which they were sent, but for those whose payload was long in coming.
fn is_in_order(script: &Script, board: &Board, session: usize, stored: &[Write]) {
    let turns = stored.iter().filter_map(Write::turn).filter_map(|(of, number)| script.turn(of, number));
    let prompt = turns.filter(|turn| !matches!(turn.client, Client::SlowToSend { pause: PLACE_KEPT.. }));
    let order: Vec<usize> = prompt.map(|turn| turn.number).collect();
    if !order.is_sorted() {
        board.violated(format!("session {session} has its turns in another order than they were sent: {order:?}"));
    }
    for pair in stored.windows(2).filter(|pair| pair[0].life == pair[1].life) {
        if pair[1].first_tried < pair[0].answered {
            board.violated(format!("session {session}: a turn is written before the one before it is: {order:?}"));
        }
        if pair[0].record.at >= pair[1].record.at || pair[0].record.sequence >= pair[1].record.sequence {
            board.violated(format!("session {session}: entries have times or numbers out of order: {order:?}"));
        }
    }
}

/// A turn, what its client saw and what the memory has of it.
struct Looked<'a> {
    script: &'a Script,
    turn: &'a Turn,
    seen: Seen,
    answer: Answer,
    writes: Vec<&'a Write>,
    /// All that its process tried to write of its session.
    others: Vec<&'a Write>,
}

// === impl Looked ===

impl Looked<'_> {
    fn told_of(&self) -> String {
        let Turn { life, at, streamed, client, .. } = self.turn;
        let (mark, ended, status) = (self.turn.mark(), self.seen.ended, self.answer.status);
        let end = self.script.lives.get(*life).map(|life| life.end);
        let writes: Vec<String> = self.others.iter().map(|write| write.told_of()).collect();
        format!(
            "{mark} (life {life}, which ended {end:?}; {client:?}, streamed {streamed}, sent at {at}, ended {ended:?} with \
             {status}; its session's writes: {})",
            writes.join(", ")
        )
    }

    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if marks(&String::from_utf8_lossy(&self.seen.bytes)).any(|(of, _)| of != self.turn.session) {
            problems.push("the client is told somebody else's words".to_owned());
        }
        problems.extend(self.stored_once());
        problems.extend(self.told_truly());
        problems.extend(self.remembered());
        problems.extend(self.ended());
        problems
    }

    fn stored(&self) -> Option<&Write> {
        self.writes.iter().find(|write| write.is_stored).copied()
    }

    fn stored_once(&self) -> Option<String> {
        if self.writes.len() > 1 {
            return Some(format!("it is made into {} records", self.writes.len()));
        }
        let stored = self.stored()?.answer();
        (!self.turn.told().starts_with(&stored)).then(|| format!("what is stored is not its answer: {stored:?}"))
    }

    /// What the client was told is the answer, as far as it came.
    fn told_truly(&self) -> Option<String> {
        let Answer { told, message, stop_reason, .. } = &self.answer;
        let whole = self.turn.told();
        if !whole.starts_with(told.as_str()) {
            return Some(format!("it was told {told:?}"));
        }
        if stop_reason != "end_turn" {
            return None;
        }
        let last = self.turn.text(self.turn.rounds.len());
        if message.as_deref() != Some(&last) || (self.turn.streamed && *told != whole) {
            return Some(format!("the answer is not whole: {message:?} after {told:?}"));
        }
        None
    }

    /// What was answered is in memory, once and whole; and what was told is, of a turn that broke off.
    fn remembered(&self) -> Option<String> {
        let turned_away = self.answer.is_whole && (400..500).contains(&self.answer.status);
        if turned_away && !self.writes.is_empty() && self.answer.code.as_deref() != Some("model_throttled") {
            return Some(format!("it was turned away with {:?}, and stored", self.answer.code));
        }
        let is_whole = self.answer.is_answered() && self.answer.stop_reason == "end_turn";
        match self.stored() {
            Some(stored) if is_whole && stored.answer() != self.turn.told() => {
                Some(format!("it was answered, and what is stored is not whole: {:?}", stored.answer()))
            }
            Some(stored) if !stored.answer().starts_with(&self.answer.told) => {
                Some(format!("it was told {:?}, and stored is {:?}", self.answer.told, stored.answer()))
            }
            None if self.answer.is_answered() && !self.may_be_lost() => {
                Some("it was answered, and is not stored".into())
            }
            None if !self.answer.told.is_empty() && !self.may_be_lost() => {
                Some(format!("{:?} was told, and nothing is stored", self.answer.told))
            }
            _ => None,
        }
    }

    /// Whether what is not stored had to be: the memory refused it or could not be reached for long enough, or the process
    /// died when the memory had kept the answer waiting as long as it may, or before the turn was over.
    fn may_be_lost(&self) -> bool {
        let end = self.seen.life.and_then(|life| self.script.lives.get(life)).map_or(End::Quiet, |life| life.end);
        if let Some(write) = self.writes.first()
            && (end == End::Quiet || write.refused)
        {
            return write.may_be_lost();
        }
        let ended = self.seen.ended.unwrap_or(u64::MAX);
        // The turns before it are stored before it.
        let waited_for_others = || self.others.iter().any(|other| other.was_unfinished(ended));
        let waited = || self.writes.first().is_some_and(|write| ended >= write.first_tried + WRITE_PATIENCE);
        end != End::Quiet && (!self.answer.is_answered() || waited() || waited_for_others())
    }

    /// Clients that do their part get an answer, and in time.
    fn ended(&self) -> Option<String> {
        let life = self.script.lives.get(self.seen.life?)?;
        if self.answer.code.as_deref() == Some("internal_error") {
            return Some("the runtime failed".into());
        }
        if let Client::StopsSending { leaves } = self.turn.client
            && leaves > PATIENCE
            && life.end == End::Quiet
            && !self.answer.is_whole
        {
            return Some("a payload that stands still is waited for without end".into());
        }
        let sending = match self.turn.client {
            Client::Prompt | Client::Nonsense => 0,
            Client::SlowToSend { pause } => pause,
            _ => return None,
        };
        let ended = self.seen.ended?;
        let stopped: u64 = life.stops.iter().map(|(_, how_long)| how_long).sum();
        let turn_time = u64::try_from(TURN_TIME.as_millis()).expect("a minute");
        let took = ended - self.seen.began;
        if took > turn_time + WRITE_PATIENCE + sending + stopped + 100 {
            return Some(format!("it took {took} ms"));
        }
        let accepted = !self.seen.bytes.is_empty() || life.end == End::Quiet;
        (accepted && !self.answer.is_whole).then(|| format!("the answer broke off: {:?}", self.answer))
    }
}
