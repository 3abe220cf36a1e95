//! Answers that may be given again, where an agent says so: see
//! [`crate::turn::TurnRequest::reusable_for`].
//!
//! An answer is found again only for the same agent, the same actor and the same question in full: system
//! prompt, history, content, parameters and tools. So nobody is ever given what was said to somebody
//! else, and a conversation that went another way asks anew. A session's caller without a name is an actor of
//! its own.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::memory::identity::SessionKey;
use crate::message::{Message, StopReason, Usage};
use crate::model::{ModelAnswer, ModelRequest};
use crate::turn::{Answer, ToolCounts, TurnOutcome};

/// How many answers are kept at the most.
const MOST_ANSWERS: usize = 1_000;

/// How many bytes of answers are kept at the most.
const MOST_BYTES: usize = 8_000_000;

/// Answers of one process, gone with it.
#[derive(Default)]
pub struct ResponseCache(Mutex<Kept>);

/// What an answer is found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Question([u8; 32]);

#[derive(Default)]
struct Kept {
    answers: HashMap<Question, KeptAnswer>,
    /// In the order they came, which is the order they go.
    order: VecDeque<Question>,
    bytes: usize,
}

struct KeptAnswer {
    message: Message,
    until: Timestamp,
    bytes: usize,
}

// === impl Question ===

impl Question {
    /// The question that `request` is when `session`'s actor asks it of `agent`.
    pub fn new(agent: &str, session: &SessionKey, request: &ModelRequest) -> Self {
        let mut digest = Sha256::new();
        // Each part ends with a byte that no UTF-8 has, so that no two lists of parts are the same bytes.
        let mut part = |bytes: &[u8]| {
            digest.update(bytes);
            digest.update([0xff]);
        };
        part(agent.as_bytes());
        part(session.actor().as_bytes());
        part(request.system.as_bytes());
        let earlier = request.history.iter().flat_map(|turn| turn.messages());
        for message in earlier.chain(&request.messages) {
            // Our own types always have a JSON form.
            part(&serde_json::to_vec(message).unwrap_or_default());
        }
        for tool in request.tools.iter() {
            part(format!("{tool:?}").as_bytes());
        }
        part(format!("{:?} {:?} {:?}", request.parameters, request.tool_choice, request.size).as_bytes());
        Self(digest.finalize().into())
    }
}

// === impl ResponseCache ===

impl ResponseCache {
    /// The answer to the same question, if it was given and has not aged. It costs nothing.
    pub fn find(&self, question: &Question) -> Option<ModelAnswer> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = kept.answers.get(question).filter(|answer| answer.until > Timestamp::now())?;
        Some(ModelAnswer {
            message: answer.message.clone(),
            stop_reason: StopReason::EndTurn,
            usage: Usage::default(),
            guardrail: None,
            served: None,
        })
    }

    /// Keeps the answer of a turn for `time`, unless it is one that may be another next time: one that
    /// called tools, was cut short, or that a guard had a word in.
    pub fn keep(&self, question: Question, outcome: &TurnOutcome, time: Duration) {
        let Ok(Answer { message, stop_reason: StopReason::EndTurn, output: None, .. }) = &outcome.result else {
            return;
        };
        let Ok(until) = Timestamp::now().checked_add(time) else {
            return;
        };
        if outcome.tools != ToolCounts::default() || !outcome.safety.flags.is_empty() {
            return;
        }
        let bytes = message.text().len();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.put(question, KeptAnswer { message: message.clone(), until, bytes });
    }
}

// === impl Kept ===

impl Kept {
    fn put(&mut self, question: Question, answer: KeptAnswer) {
        if answer.bytes > MOST_BYTES {
            return;
        }
        self.bytes += answer.bytes;
        match self.answers.insert(question, answer) {
            Some(before) => self.bytes -= before.bytes,
            None => self.order.push_back(question),
        }
        while self.answers.len() > MOST_ANSWERS || self.bytes > MOST_BYTES {
            let Some(oldest) = self.order.pop_front().and_then(|oldest| self.answers.remove(&oldest)) else {
                return;
            };
            self.bytes -= oldest.bytes;
        }
    }
}
