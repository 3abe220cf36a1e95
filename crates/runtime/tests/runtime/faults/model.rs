//! The agent, its tools and its models of a simulation. The models say what the script has them say, if they get so far.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agentcore_runtime::core::message::{Message, Role, StopReason, Usage};
use agentcore_runtime::core::model::resilient::{Candidate, Resilient};
use agentcore_runtime::core::model::retry::{Backoff, RetryPolicy};
use agentcore_runtime::core::model::{
    AnswerInWriting, BlockDelta, BlockStart, Metrics, Model, ModelAnswer, ModelError, ModelEvent, ModelEvents,
    ModelRequest,
};
use agentcore_runtime::prelude::*;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt as _};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::board::Board;
use super::chance::Chance;
use super::disk::texts;
use super::script::{Script, ToolDoes, Turn, marks};

/// How long a turn may take.
pub(super) const TURN_TIME: Duration = Duration::from_mins(1);

/// How long a tool may take.
const TOOL_TIME: Duration = Duration::from_secs(10);

/// Passes on what the user says.
pub(super) struct Simulated {
    pub(super) script: Arc<Script>,
}

impl Agent for Simulated {
    type Payload = Prompt;
    const NAME: &'static str = "simulated";

    fn turn(&self, payload: Prompt, _context: &Context) -> Result<TurnRequest, PayloadError> {
        Ok(TurnRequest::new(payload.text()?).within(TURN_TIME).tool(Act { script: Arc::clone(&self.script) }))
    }
}

/// The one tool: it does what the script says of its call.
struct Act {
    script: Arc<Script>,
}

impl Tool for Act {
    fn spec(&self) -> ToolSpec {
        ToolSpec { name: "act".into(), description: "Acts.".into(), input_schema: json!({"type": "object"}) }
    }

    fn call(&self, call: ToolCall) -> BoxFuture<'_, Result<ToolOutput, ToolFailure>> {
        Box::pin(async move {
            let place = |name: &str| call.input[name].as_u64().and_then(|number| usize::try_from(number).ok());
            let place = |name: &str| place(name).expect("the model names it");
            let turn = self.script.turn(place("session"), place("turn")).expect("a turn of the script");
            call.progress(format!("{}r acting", turn.mark()));
            match turn.rounds[place("round")][place("call")] {
                ToolDoes::Answers { after } => sleep(Duration::from_millis(after)).await,
                ToolDoes::Fails => return Err(ToolFailure::failed(format!("{}r it does not work", turn.mark()))),
                // Quietly: a thousand of them would fill the screen.
                ToolDoes::Panics => std::panic::resume_unwind(Box::new("this tool panics on purpose")),
                ToolDoes::Hangs => std::future::pending().await,
            }
            Ok(format!("{}r done", turn.mark()).into())
        })
    }

    fn timeout(&self) -> Duration {
        TOOL_TIME
    }
}

/// A model as it is on its bad days.
pub(super) struct Moody {
    name: &'static str,
    script: Arc<Script>,
    board: Arc<Board>,
    life: usize,
    calm: Arc<AtomicBool>,
    /// How often it was asked, by turn.
    asked: Mutex<HashMap<(usize, usize), usize>>,
}

/// How a call goes.
struct Course {
    /// Milliseconds until anything comes.
    first: u64,
    /// Milliseconds before each event.
    gap: u64,
    /// What happens after so many events.
    breaks: Option<(usize, Break)>,
}

enum Break {
    Fails(ModelError),
    Ends,
    Hangs,
}

/// The model that the runtime is given: the real one that bears failures, over those that fail.
pub(super) fn model(script: &Arc<Script>, board: &Arc<Board>, life: usize, calm: &Arc<AtomicBool>) -> Arc<dyn Model> {
    let moody = |name, goes_on| {
        let (script, board, calm) = (Arc::clone(script), Arc::clone(board), Arc::clone(calm));
        Candidate::new(name, Arc::new(Moody { name, script, board, life, calm, asked: Mutex::default() }), goes_on)
    };
    let policy = RetryPolicy::default().backoff(Backoff::DEFAULT.without_chance());
    let model = Resilient::new(policy, moody("main", script.goes_on));
    Arc::new(if script.stands_in { model.fallback(moody("other", true)) } else { model })
}

// === impl Moody ===

impl Moody {
    fn course(&self, turn: &Turn) -> Course {
        let asked = {
            let mut asked = self.asked.lock().expect("nobody panics with it");
            let asked = asked.entry((turn.session, turn.number)).or_default();
            *asked += 1;
            *asked
        };
        let place = format!("{} {} {} {asked}", self.name, turn.mark(), self.life);
        let mut chance = Chance::at(self.script.seed, &place);
        let (first, gap) = (chance.number(1..400), chance.number(0..60));
        if self.calm.load(Ordering::SeqCst) || !chance.percent(self.script.model_faults) {
            return Course { first, gap, breaks: None };
        }
        match chance.number(0..100) {
            // Slow, and sometimes slower than a turn may be.
            0..10 => Course { first: first * 20, gap: chance.number(1..6_000), breaks: None },
            10..15 => Course { first, gap, breaks: Some((chance.count(0..20), Break::Hangs)) },
            15..20 => Course { first, gap, breaks: Some((chance.count(0..20), Break::Ends)) },
            20..60 => Course { first, gap, breaks: Some((0, Break::Fails(failure(&mut chance)))) },
            _ => {
                let error = if chance.percent(80) {
                    ModelError::BrokenStream { reason: "as the simulation has it".into() }
                } else {
                    failure(&mut chance)
                };
                Course { first, gap, breaks: Some((chance.count(1..30), Break::Fails(error))) }
            }
        }
    }

    /// The turn that is asked about, and the events of a whole answer from where it is to go on.
    fn answer(&self, request: &ModelRequest) -> (Turn, Vec<ModelEvent>) {
        let prompt = request.messages[0].text();
        let (session, number) = marks(&prompt).next().expect("every prompt has a mark");
        let turn =
            self.script.turn(session, number).cloned().unwrap_or_else(|| panic!("no turn of the script: {prompt}"));
        let all_fit = self.script.turns.iter().all(|turn| turn.session != session || turn.letters == 0);
        self.board.asked(self.life, &turn, request, all_fit);
        let said = request.messages.iter().filter(|message| message.role == Role::User);
        let round = said.count() - 1;
        let text = turn.text(round);
        let rest = match request.messages.last() {
            Some(message) if message.role == Role::Assistant => text.strip_prefix(&message.text()).map(str::to_owned),
            _ => Some(text.clone()),
        };
        let rest = rest.unwrap_or_else(|| {
            self.board.violated(format!("{}: the model is to go on from words that it did not say", turn.mark()));
            text
        });
        let events = events(&turn, round, &rest);
        (turn, events)
    }
}

impl Model for Moody {
    fn converse<'a>(&'a self, request: &'a ModelRequest) -> BoxFuture<'a, Result<ModelAnswer, ModelError>> {
        let (turn, events) = self.answer(request);
        let Course { first, gap, breaks } = self.course(&turn);
        Box::pin(async move {
            sleep(Duration::from_millis(first + gap * events.len() as u64)).await;
            match breaks {
                Some((_, Break::Fails(error))) => return Err(error),
                Some((_, Break::Hangs)) => std::future::pending().await,
                Some((_, Break::Ends)) | None => {}
            }
            let mut writing = AnswerInWriting::default();
            for event in &events {
                writing.take(event);
            }
            Ok(writing.finished().expect("a whole answer"))
        })
    }

    fn converse_stream<'a>(&'a self, request: &'a ModelRequest) -> BoxFuture<'a, Result<ModelEvents, ModelError>> {
        let (turn, events) = self.answer(request);
        let Course { first, gap, breaks } = self.course(&turn);
        Box::pin(async move {
            sleep(Duration::from_millis(first)).await;
            let mut events: Vec<Result<ModelEvent, ModelError>> = events.into_iter().map(Ok).collect();
            let mut hangs = false;
            match breaks {
                Some((0, Break::Fails(error))) => return Err(error),
                Some((at, Break::Fails(error))) => {
                    events.truncate(at);
                    events.push(Err(error));
                }
                Some((at, Break::Ends)) => events.truncate(at),
                Some((at, Break::Hangs)) => {
                    events.truncate(at);
                    hangs = true;
                }
                None => {}
            }
            let came = stream::iter(events).then(move |event| async move {
                sleep(Duration::from_millis(gap)).await;
                event
            });
            Ok(if hangs { came.chain(stream::pending()).boxed() } else { came.boxed() })
        })
    }
}

fn failure(chance: &mut Chance) -> ModelError {
    let (model, reason) = ("the-model".to_owned(), "as the simulation has it".to_owned());
    let retry_after = chance.percent(50).then(|| chance.number(1..4));
    match chance.number(0..100) {
        0..30 => ModelError::Throttled { model, retry_after },
        30..60 => ModelError::Unavailable { reason, retry_after },
        60..80 => ModelError::Unreachable { reason },
        80..99 => ModelError::Silent {
            waiting_for: "the next event",
            waited: Duration::from_secs(15),
            variable: "MODEL_TOKEN_GAP_TIMEOUT_SECONDS",
        },
        _ => ModelError::AccessDenied { model, reason },
    }
}

/// A whole answer in events: the text a few letters at a time, then the calls of the round.
fn events(turn: &Turn, round: usize, text: &str) -> Vec<ModelEvent> {
    let mut events = vec![ModelEvent::MessageStart { role: Role::Assistant }];
    // Long words in large pieces, else it would take long to simulate.
    let piece = 7 + turn.letters / 2;
    let letters: Vec<char> = text.chars().collect();
    events.extend(letters.chunks(piece).map(|piece| ModelEvent::ContentBlockDelta {
        content_block_index: 0,
        delta: BlockDelta::Text(piece.iter().collect()),
    }));
    events.push(ModelEvent::ContentBlockStop { content_block_index: 0 });
    let calls = turn.rounds.get(round).map_or(0, Vec::len);
    for call in 0..calls {
        events.extend(tool_call(turn, round, call));
    }
    let stop_reason = if calls > 0 { StopReason::ToolUse } else { StopReason::EndTurn };
    events.push(ModelEvent::MessageStop { stop_reason });
    let usage = Usage { input_tokens: 12, output_tokens: 3, total_tokens: 15, ..Usage::default() };
    events.push(ModelEvent::Metadata { usage, metrics: Metrics::default(), guardrail: None, served: None });
    events
}

fn tool_call(turn: &Turn, round: usize, call: usize) -> [ModelEvent; 3] {
    let content_block_index = call + 1;
    let tool_use_id = format!("call-{}-{round}-{call}", turn.mark());
    let input = json!({"session": turn.session, "turn": turn.number, "round": round, "call": call});
    [
        ModelEvent::ContentBlockStart {
            content_block_index,
            start: BlockStart::ToolUse { tool_use_id, name: "act".into() },
        },
        ModelEvent::ContentBlockDelta { content_block_index, delta: BlockDelta::ToolUse { input: input.to_string() } },
        ModelEvent::ContentBlockStop { content_block_index },
    ]
}

/// What a model is shown of a turn that was before.
pub(super) struct Shown {
    pub(super) texts: Vec<String>,
    /// Its session and number.
    pub(super) turn: Option<(usize, usize)>,
}

/// The turns of a history, oldest first.
pub(super) fn history(request: &ModelRequest) -> Vec<Shown> {
    let turns = request.history.iter().map(|turn| {
        let messages = turn.messages();
        let turn = messages.first().map(Message::text).and_then(|text| marks(&text).next());
        Shown { texts: texts(messages), turn }
    });
    turns.collect()
}

/// The payload of a turn.
pub(super) fn payload(turn: &Turn) -> Value {
    json!({ "prompt": turn.prompt() })
}
