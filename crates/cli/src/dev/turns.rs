//! One line for each turn, from the two who know of it.
//!
//! The door knows when the answer's bytes left. The agent knows what the turn took, cost and came to, if it writes its
//! log in the members of [`measure`]; somebody else's agent may write what it likes. Either may be heard first, so each
//! waits for the other here: the agent's word for as long as it takes, the door's for a moment. A word that comes when
//! its turn has been told says nothing.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use agentcore_local::{InvocationFailure, SessionName};
use agentcore_runtime::core::signal::measure;
use serde_json::Value;

use super::told::head;

/// How long the door's word waits for that of an agent that was not heard yet. Its log comes through a pipe that may
/// be read a little later.
const STRANGER: Duration = Duration::from_millis(300);

/// How long it waits for an agent that has begun to tell of this turn.
const SPEAKER: Duration = Duration::from_secs(2);

/// How many turns are known at once, those told included.
const ROOM: usize = 512;

/// All turns that are on their way, and the last ones told.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// The oldest first.
    known: VecDeque<Turn>,
    /// What models were asked and answered since the last turn of each session.
    tokens: HashMap<SessionName, (u64, u64)>,
    /// The conversations, by the request ids of their handshakes; the last ones only.
    conversations: VecDeque<(SessionName, Arc<str>)>,
}

/// What the door says of a turn.
#[derive(Debug, Clone)]
pub(super) struct Door {
    /// The turn's number in its process; none where there was no process.
    pub(super) number: Option<u64>,
    /// How long the first byte took, or why there is no answer.
    pub(super) answered: Result<Duration, InvocationFailure>,
    /// How long all of it took.
    pub(super) total: Duration,
}

/// What became of a line of an agent's log.
#[derive(Debug, PartialEq)]
pub(super) enum Heard {
    /// It is a part of a turn's line, perhaps its last one, and then here is the turn's line.
    PartOfTurn(Option<String>),
    /// It is something else.
    SomethingElse,
}

#[derive(Debug)]
struct Turn {
    session: SessionName,
    request: Arc<str>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Not everything is known.
    Open(Box<Words>),
    Told,
}

/// What is known of a turn.
#[derive(Debug, Default)]
struct Words {
    /// What the door says, and when it was heard.
    door: Option<(Door, Instant)>,
    /// The line by which the agent says what became of the turn.
    agent: Option<Value>,
    /// Whether the agent says anything of it.
    speaks: bool,
    retries: u64,
    failovers: u64,
    flags: u64,
}

// === impl Turns ===

impl Turns {
    /// The door says that a turn is over.
    pub(super) fn door(
        &mut self,
        session: &SessionName,
        request: &Arc<str>,
        door: Door,
        now: Instant,
    ) -> Option<String> {
        // Without a process there is no agent to be heard.
        let nobody = door.number.is_none();
        let turn = self.turn(session, request);
        if let State::Open(words) = &mut turn.state {
            words.door = Some((door, now));
            if nobody || words.are_complete() {
                return self.tell(session, request);
            }
        }
        None
    }

    /// A WebSocket is open. The door reads nothing of it, so the agent alone speaks of its turns.
    pub(super) fn conversation(&mut self, session: &SessionName, request: &Arc<str>) {
        if self.conversations.len() == ROOM {
            self.conversations.pop_front();
        }
        self.conversations.push_back((session.clone(), Arc::clone(request)));
    }

    /// An agent wrote a line on its standard error.
    pub(super) fn line(&mut self, session: &SessionName, line: &Value) -> Heard {
        let Some(request) = line["requestId"].as_str().map(Arc::from) else {
            return Heard::SomethingElse;
        };
        let ends = line[measure::INVOCATIONS].is_number();
        let counts = |name: &str| line[name].as_u64().unwrap_or(0);
        let (retries, failovers) = (counts(measure::RETRIES), counts(measure::FAILOVERS));
        let flags = counts(measure::SAFETY_FLAGS);
        let belongs = ends || retries + failovers + flags > 0 || line[measure::THROTTLES].is_number();
        if !belongs && !line[measure::MEMORY].is_number() {
            return Heard::SomethingElse;
        }
        let in_conversation = self.number_in_conversation(session, &request);
        let State::Open(words) = &mut self.turn(session, &request).state else {
            // A summary is written behind the answer, and may meet trouble of its own.
            return if ends || flags > 0 { Heard::PartOfTurn(None) } else { Heard::SomethingElse };
        };
        words.speaks = true;
        words.retries += retries;
        words.failovers += failovers;
        words.flags += flags;
        if ends {
            words.agent = Some(line.clone());
            words.door = words.door.take().or_else(|| in_conversation.map(Door::of_conversation));
        }
        let told = if words.are_complete() { self.tell(session, &request) } else { None };
        if belongs { Heard::PartOfTurn(told) } else { Heard::SomethingElse }
    }

    /// A model was asked and has answered.
    pub(super) fn model(&mut self, session: &SessionName, input: u64, output: u64) {
        let tokens = self.tokens.entry(session.clone()).or_default();
        tokens.0 += input;
        tokens.1 += output;
    }

    /// When somebody should look for turns that have waited long enough.
    pub(super) fn due(&self) -> Option<Instant> {
        self.known.iter().filter_map(Turn::due).min()
    }

    /// The turns that have.
    pub(super) fn overdue(&mut self, now: Instant) -> Vec<String> {
        self.tell_all(|turn| turn.due().is_some_and(|due| due <= now))
    }

    /// A session is over, and with it whatever its agent could say.
    pub(super) fn session_ended(&mut self, session: &SessionName) -> Vec<String> {
        let told = self.tell_all(|turn| turn.session == *session && turn.due().is_some());
        self.known.retain(|turn| turn.session != *session);
        self.conversations.retain(|(of, _)| of != session);
        self.tokens.remove(session);
        told
    }

    /// The turn's number in its conversation, if it is in one: its request id is the handshake's and this.
    fn number_in_conversation(&self, session: &SessionName, request: &str) -> Option<u64> {
        let (handshake, number) = request.rsplit_once('-')?;
        let mut known = self.conversations.iter();
        known.any(|(of, id)| of == session && **id == *handshake).then(|| number.parse().ok())?
    }

    fn tell_all(&mut self, which: impl Fn(&Turn) -> bool) -> Vec<String> {
        let these = self.known.iter().filter(|turn| which(turn));
        let these: Vec<_> = these.map(|turn| (turn.session.clone(), Arc::clone(&turn.request))).collect();
        these.iter().filter_map(|(session, request)| self.tell(session, request)).collect()
    }

    fn turn(&mut self, session: &SessionName, request: &Arc<str>) -> &mut Turn {
        let is_it = |turn: &Turn| turn.session == *session && turn.request == *request;
        let at = self.known.iter().rposition(is_it).unwrap_or_else(|| {
            if self.known.len() == ROOM {
                // Rather one that was told, or that the door will never speak of, than one that waits to be told.
                let oldest = self.known.iter().position(|turn| turn.due().is_none()).unwrap_or(0);
                self.known.remove(oldest);
            }
            let state = State::Open(Box::default());
            self.known.push_back(Turn { session: session.clone(), request: Arc::clone(request), state });
            self.known.len() - 1
        });
        &mut self.known[at]
    }

    fn tell(&mut self, session: &SessionName, request: &Arc<str>) -> Option<String> {
        let State::Open(words) = std::mem::replace(&mut self.turn(session, request).state, State::Told) else {
            return None;
        };
        let tokens = self.tokens.remove(session);
        let Words { door, agent, retries, failovers, flags, .. } = *words;
        let (door, _) = door?;
        let mut parts = match &agent {
            Some(line) => figures(line, retries, failovers),
            None => outside(&door, tokens, retries, failovers, flags),
        };
        parts.extend(failure(&door, agent.as_ref()));
        let number = door.number.map(|number| format!("turn {number:<3} ")).unwrap_or_default();
        Some(format!("{}  {number}{}", head(session), parts.join("   ")))
    }
}

// === impl Door ===

impl Door {
    /// What the door could say of a turn whose bytes it does not tell from others.
    fn of_conversation(number: u64) -> (Self, Instant) {
        (Self { number: Some(number), answered: Ok(Duration::ZERO), total: Duration::ZERO }, Instant::now())
    }
}

// === impl Turn ===

impl Turn {
    fn due(&self) -> Option<Instant> {
        let State::Open(words) = &self.state else { return None };
        let (_, heard) = words.door.as_ref()?;
        Some(*heard + if words.speaks { SPEAKER } else { STRANGER })
    }
}

// === impl Words ===

impl Words {
    fn are_complete(&self) -> bool {
        let flags = |line: &Value| line["flags"].as_u64().unwrap_or(0);
        // The flags that a turn's line counts are lines after it.
        self.door.is_some() && self.agent.as_ref().is_some_and(|line| self.flags >= flags(line))
    }
}

/// What the agent's own line says.
fn figures(line: &Value, retries: u64, failovers: u64) -> Vec<String> {
    let number = |name: &str| line[name].as_f64();
    let milliseconds = |name| number(name).map_or("-".to_owned(), |time| format!("{time:.0} ms"));
    let mut parts = vec![
        format!("first token {}", milliseconds(measure::FIRST_TOKEN)),
        format!("total {}", milliseconds(measure::LATENCY)),
    ];
    if let (Some(input), Some(output)) = (number(measure::INPUT_TOKENS), number(measure::OUTPUT_TOKENS)) {
        parts.push(format!("{input} in  {output} out"));
        parts.push(number(measure::USD).map_or("USD not known".to_owned(), |usd| format!("{usd:.4} USD")));
    }
    parts.extend(line["stopReason"].as_str().map(str::to_owned));
    let mut counts = vec![counted(retries, "retry", "retries")];
    if failovers > 0 {
        counts.push(counted(failovers, "failover", "failovers"));
    }
    counts.push(counted(line["flags"].as_u64().unwrap_or(0), "flag", "flags"));
    parts.push(counts.join("  "));
    parts
}

/// What is seen of a turn whose agent says nothing.
fn outside(door: &Door, tokens: Option<(u64, u64)>, retries: u64, failovers: u64, flags: u64) -> Vec<String> {
    if door.number.is_none() {
        return Vec::new();
    }
    let mut parts = Vec::new();
    if let Ok(first_byte) = door.answered {
        parts.push(format!("first byte {} ms", first_byte.as_millis()));
    }
    parts.push(format!("total {} ms", door.total.as_millis()));
    parts.extend(tokens.map(|(input, output)| format!("{input} in  {output} out")));
    let counts = [(retries, "retry", "retries"), (failovers, "failover", "failovers"), (flags, "flag", "flags")];
    parts.extend(
        counts.into_iter().filter(|(count, ..)| *count > 0).map(|(count, one, more)| counted(count, one, more)),
    );
    parts
}

/// What went wrong, in the words of whoever knows more.
fn failure(door: &Door, agent: Option<&Value>) -> Option<String> {
    if let Err(failure) = &door.answered {
        return Some(failure.to_string());
    }
    let said = |name: &str| agent.and_then(|line| line[name].as_str());
    let (kind, words) = (said("errorType")?, said("errorMessage"));
    Some(words.map_or_else(|| format!("failed: {kind}"), |words| format!("failed: {kind}: {words}")))
}

fn counted(count: u64, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn session() -> SessionName {
        SessionName { agent: "coach_companion".parse().expect("a name"), id: "4f0c-and-more".into() }
    }

    fn request() -> Arc<str> {
        "request-1".into()
    }

    fn finished() -> Door {
        let (first_byte, total) = (Duration::from_millis(15), Duration::from_millis(41));
        Door { number: Some(1), answered: Ok(first_byte), total }
    }

    fn failed(failure: InvocationFailure) -> Door {
        Door { answered: Err(failure), ..finished() }
    }

    fn turn_line() -> Value {
        json!({
            "message": "turn answered", "requestId": "request-1", "stopReason": "end_turn", "InvocationCount": 1,
            "InvocationLatency": 31.25, "FirstTokenLatency": 14.5, "InputTokens": 212, "OutputTokens": 58,
            "CostUsd": 0.001_506, "flags": 0,
        })
    }

    fn with(mut line: Value, members: &Value) -> Value {
        let added = members.as_object().expect("members").clone();
        line.as_object_mut().expect("a line").extend(added);
        line
    }

    /// What a turn is told as, of which the door and the agent say this.
    fn told(door: Door, lines: &[Value]) -> String {
        let mut turns = Turns::default();
        for line in lines {
            turns.line(&session(), line);
        }
        let now = Instant::now();
        let told = turns.door(&session(), &request(), door, now);
        told.unwrap_or_else(|| turns.overdue(now + SPEAKER).pop().expect("a line in the end"))
    }

    #[test]
    fn an_agent_that_tells_is_told() {
        let retry = json!({ "requestId": "request-1", "Retries": 1, "Throttles": 1 });
        let failover = json!({ "requestId": "request-1", "Failovers": 1 });
        let flag = json!({ "requestId": "request-1", "SafetyFlags": 1 });
        let lines = [
            told(finished(), &[turn_line()]),
            told(finished(), &[with(turn_line(), &json!({ "FirstTokenLatency": null }))]),
            told(finished(), &[with(turn_line(), &json!({ "CostUsd": null }))]),
            told(finished(), &[retry.clone(), turn_line()]),
            told(finished(), &[retry.clone(), retry, failover, with(turn_line(), &json!({ "flags": 1 })), flag]),
        ];
        insta::assert_snapshot!(lines.join("\n"), @"
        coach_companion  4f0c…  turn 1   first token 14 ms   total 31 ms   212 in  58 out   0.0015 USD   end_turn   0 retries  0 flags
        coach_companion  4f0c…  turn 1   first token -   total 31 ms   212 in  58 out   0.0015 USD   end_turn   0 retries  0 flags
        coach_companion  4f0c…  turn 1   first token 14 ms   total 31 ms   212 in  58 out   USD not known   end_turn   0 retries  0 flags
        coach_companion  4f0c…  turn 1   first token 14 ms   total 31 ms   212 in  58 out   0.0015 USD   end_turn   1 retry  0 flags
        coach_companion  4f0c…  turn 1   first token 14 ms   total 31 ms   212 in  58 out   0.0015 USD   end_turn   2 retries  1 failover  1 flag
        ");
    }

    #[test]
    fn what_went_wrong_ends_the_line() {
        let answered = InvocationFailure::Answered {
            status: StatusCode::SERVICE_UNAVAILABLE,
            body: r#"{"error":"the model cannot be reached"}"#.to_owned(),
        };
        let broken = json!({
            "stopReason": null, "errorType": "OutOfTime", "errorMessage": "the turn took longer than it may",
        });
        let refused = json!({ "requestId": "request-1", "errorType": "bad_request", "InvocationCount": 1,
            "InvocationLatency": 0.2 });
        let nobody = Door { number: None, ..failed(InvocationFailure::Refused("it is too long".to_owned())) };
        let lines = [
            told(failed(answered), &[with(turn_line(), &broken)]),
            told(finished(), &[with(turn_line(), &broken)]),
            told(failed(InvocationFailure::CallerLeft), &[]),
            told(failed(InvocationFailure::Unreachable("it is gone".to_owned())), &[refused]),
            told(nobody, &[]),
        ];
        insta::assert_snapshot!(lines.join("\n"), @r#"
        coach_companion  4f0c…  turn 1   first token 14 ms   total 31 ms   212 in  58 out   0.0015 USD   0 retries  0 flags   the agent answered 503 Service Unavailable: {"error":"the model cannot be reached"}
        coach_companion  4f0c…  turn 1   first token 14 ms   total 31 ms   212 in  58 out   0.0015 USD   0 retries  0 flags   failed: OutOfTime: the turn took longer than it may
        coach_companion  4f0c…  turn 1   total 41 ms   the caller left before the answer was complete
        coach_companion  4f0c…  turn 1   first token -   total 0 ms   0 retries  0 flags   the agent gave no answer: it is gone
        coach_companion  4f0c…  the request was refused: it is too long
        "#);
    }

    #[test]
    fn an_agent_that_says_nothing_is_seen_from_outside() {
        let mut turns = Turns::default();
        turns.model(&session(), 100, 50);
        turns.model(&session(), 112, 8);
        let now = Instant::now();
        assert_eq!(turns.door(&session(), &request(), finished(), now), None);
        assert_eq!(turns.overdue(now), Vec::<String>::new());
        insta::assert_snapshot!(turns.overdue(now + STRANGER).join("\n"), @"coach_companion  4f0c…  turn 1   first byte 15 ms   total 41 ms   212 in  58 out");
        assert_eq!(turns.due(), None);
    }

    #[test]
    fn an_agent_that_has_begun_to_tell_is_waited_for() {
        let mut turns = Turns::default();
        let memory = json!({ "requestId": "request-1", "MemoryLatency": 0.4 });
        assert_eq!(turns.line(&session(), &memory), Heard::SomethingElse);
        let now = Instant::now();
        turns.door(&session(), &request(), finished(), now);
        assert_eq!(turns.overdue(now + STRANGER), Vec::<String>::new());
        assert!(matches!(turns.line(&session(), &turn_line()), Heard::PartOfTurn(Some(_))));
        assert_eq!(turns.overdue(now + SPEAKER), Vec::<String>::new());
    }

    #[test]
    fn a_session_that_ends_tells_what_it_had_to_tell() {
        let mut turns = Turns::default();
        turns.door(&session(), &request(), failed(InvocationFailure::CallerLeft), Instant::now());
        assert_eq!(turns.session_ended(&session()).len(), 1);
        assert_eq!(turns.due(), None);
    }

    #[test]
    fn lines_of_no_turn_are_left_alone() {
        let mut turns = Turns::default();
        for line in [json!("words"), json!({ "message": "ready" }), json!({ "requestId": "r", "level": "ERROR" })] {
            assert_eq!(turns.line(&session(), &line), Heard::SomethingElse, "{line}");
        }
    }

    #[test]
    fn what_is_known_is_bounded() {
        let mut turns = Turns::default();
        for number in 0..3 * ROOM {
            turns.line(&session(), &with(turn_line(), &json!({ "requestId": number.to_string() })));
        }
        assert_eq!(turns.known.len(), ROOM);
    }

    /// Something that happens in a turn.
    #[derive(Debug, Clone)]
    enum Event {
        Door,
        Line(Value),
        TimePasses,
    }

    fn events() -> impl Strategy<Value = Vec<Event>> {
        let flag = json!({ "requestId": "request-1", "SafetyFlags": 1 });
        let retry = json!({ "requestId": "request-1", "Retries": 1 });
        let memory = json!({ "requestId": "request-1", "MemoryLatency": 1.0 });
        let ends = with(turn_line(), &json!({ "flags": 1 }));
        let events = [flag, retry, memory, ends].map(Event::Line).into_iter();
        let events: Vec<_> = events.chain([Event::Door, Event::TimePasses, Event::TimePasses]).collect();
        Just(events).prop_shuffle()
    }

    proptest! {
        #[test]
        fn a_turn_is_told_once_in_whatever_order_it_is_heard_of(events in events()) {
            let mut turns = Turns::default();
            let mut now = Instant::now();
            let mut told = Vec::new();
            for event in events {
                match event {
                    Event::Door => told.extend(turns.door(&session(), &request(), finished(), now)),
                    Event::Line(line) => {
                        if let Heard::PartOfTurn(line) = turns.line(&session(), &line) {
                            told.extend(line);
                        }
                    }
                    Event::TimePasses => {
                        now += SPEAKER;
                        told.extend(turns.overdue(now));
                    }
                }
            }
            told.extend(turns.overdue(now + SPEAKER));
            told.extend(turns.session_ended(&session()));
            prop_assert_eq!(told.len(), 1, "{:?}", told);
        }
    }
}
