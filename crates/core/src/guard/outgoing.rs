//! An answer on its way out: held back a sentence at a time until the guards have looked at it.
//!
//! No more is held than a guard needs to decide. Where no guard reviews answers, nothing is held at all.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use serde_json::Value;

use super::{Guard, Leaving, Review, Safety, SafetyAction};
use crate::message::{ContentBlock, StopReason};
use crate::model::{BlockDelta, ModelAnswer, ModelEvent};

/// The longest text held back for the end of its sentence, in bytes: some three lines. Beyond it the end of
/// a part of the sentence or of a word will do.
const LONGEST_SENTENCE: usize = 320;

/// Passes an answer's text on as the guards allow.
pub struct Outgoing {
    guards: Vec<Arc<dyn Guard>>,
    /// What has left.
    said: String,
    /// What waits for the end of its sentence, and the block it belongs to.
    held: String,
    block: usize,
    /// What the guards found in the turn before this answer.
    before: Safety,
    safety: Safety,
    replaced: bool,
}

// === impl Outgoing ===

impl Outgoing {
    /// An answer that those of `guards` look at which review answers; `before` is what they found in the
    /// turn so far.
    pub fn new(guards: &[Arc<dyn Guard>], before: Safety) -> Self {
        let guards = guards.iter().filter(|guard| guard.reviews()).map(Arc::clone).collect();
        let (said, held, safety) = Default::default();
        Self { guards, said, held, block: 0, before, safety, replaced: false }
    }

    /// Whether anybody looks.
    pub fn is_watched(&self) -> bool {
        !self.guards.is_empty()
    }

    /// Whether a guard has put its own words in the place of the rest: nothing more of the model's may
    /// leave.
    pub fn is_replaced(&self) -> bool {
        self.replaced
    }

    /// What the guards found in this answer.
    pub fn safety(self) -> Safety {
        self.safety
    }

    /// Takes an event and gives those that may leave now, in order.
    pub fn take(&mut self, event: ModelEvent) -> Vec<ModelEvent> {
        match event {
            _ if self.replaced => Vec::new(),
            ModelEvent::ContentBlockDelta { content_block_index, delta: BlockDelta::Text(text) } => {
                self.block = content_block_index;
                self.held.push_str(&text);
                let held = std::mem::take(&mut self.held);
                let (mut rest, mut passed) = (held.as_str(), Vec::new());
                while let Some(end) = sentence_end(rest)
                    && !self.replaced
                {
                    let (sentence, after) = rest.split_at(end);
                    passed.extend(self.pass(sentence));
                    rest = after;
                }
                self.held = if rest.len() == held.len() { held } else { rest.to_owned() };
                passed
            }
            ModelEvent::ContentBlockStop { .. } | ModelEvent::MessageStop { .. } => {
                let rest = std::mem::take(&mut self.held);
                let mut passed = if rest.is_empty() { Vec::new() } else { self.pass(&rest) };
                if !self.replaced {
                    passed.push(event);
                }
                passed
            }
            other => vec![other],
        }
    }

    /// The same for an answer in one piece.
    #[must_use]
    pub fn whole(&mut self, mut answer: ModelAnswer) -> ModelAnswer {
        let mut passed = Vec::with_capacity(answer.message.content.len());
        for block in std::mem::take(&mut answer.message.content) {
            match block {
                _ if self.replaced => break,
                ContentBlock::Text(text) => passed.push(ContentBlock::Text(self.text(&text))),
                other => passed.push(other),
            }
        }
        answer.message.content = passed;
        if self.replaced {
            answer.stop_reason = StopReason::GuardrailIntervened;
        }
        answer
    }

    /// The same for an answer that is a value: each of its strings, the names of members among them unless they are
    /// `known`.
    ///
    /// # Errors
    /// When a guard would put its words in the place of the rest: those words. A value without its rest is none.
    pub(crate) fn value(&mut self, value: Value, known: &HashSet<&str>) -> Result<Value, String> {
        Ok(match value {
            Value::String(text) => Value::String(self.member(&text)?),
            Value::Array(items) => {
                Value::Array(items.into_iter().map(|item| self.value(item, known)).collect::<Result<_, _>>()?)
            }
            Value::Object(members) => {
                let mut passed = serde_json::Map::with_capacity(members.len());
                for (name, member) in members {
                    let name = if known.contains(name.as_str()) { name } else { self.member(&name)? };
                    let member = self.value(member, known)?;
                    passed.insert(name, member);
                }
                Value::Object(passed)
            }
            other => other,
        })
    }

    /// One string of a value, which stands by itself.
    fn member(&mut self, text: &str) -> Result<String, String> {
        if !self.said.is_empty() {
            self.said.push('\n');
        }
        let before = self.said.len();
        let told = self.text(text);
        if self.replaced {
            let said = self.said.len() - before;
            return Err(told[said..].trim().to_owned());
        }
        Ok(told)
    }

    fn text(&mut self, text: &str) -> String {
        let mut told = String::with_capacity(text.len());
        let mut rest = text;
        while !rest.is_empty() && !self.replaced {
            let (sentence, after) = rest.split_at(sentence_end(rest).unwrap_or(rest.len()));
            told.push_str(&self.judged(sentence));
            rest = after;
        }
        told
    }

    fn pass(&mut self, sentence: &str) -> Vec<ModelEvent> {
        let told = self.judged(sentence);
        let content_block_index = self.block;
        let mut events = Vec::with_capacity(3);
        if !told.is_empty() {
            events.push(ModelEvent::ContentBlockDelta { content_block_index, delta: BlockDelta::Text(told) });
        }
        if self.replaced {
            events.push(ModelEvent::ContentBlockStop { content_block_index });
            events.push(ModelEvent::MessageStop { stop_reason: StopReason::GuardrailIntervened });
        }
        events
    }

    /// The sentence, or what a guard says in its place, or in that of all that would follow too. A guard
    /// looks at the words that those before it have left of the sentence.
    fn judged(&mut self, sentence: &str) -> String {
        let mut sentence = Cow::Borrowed(sentence);
        for guard in &self.guards {
            let leaving = Leaving { sentence: &sentence, said: &self.said, safety: &self.before };
            match guard.review(&leaving) {
                Review::Pass => {}
                Review::Flag(flag) => self.safety.raise(flag, SafetyAction::None),
                Review::Repair { text, flag } => {
                    self.safety.raise(flag, SafetyAction::Replaced);
                    sentence = Cow::Owned(text);
                }
                Review::ReplaceRest { text, flag } => {
                    self.safety.raise(flag, SafetyAction::Replaced);
                    self.replaced = true;
                    return text;
                }
            }
        }
        self.said.push_str(&sentence);
        sentence.into_owned()
    }
}

/// Where the first sentence ends, its trailing space included: after a mark that ends one and is followed
/// by white space, after a line's end, or after a part of it or a word when it grows too long. None while it
/// goes on.
fn sentence_end(text: &str) -> Option<usize> {
    let (mut after_mark, mut after_part) = (false, false);
    let (mut last_part, mut last_space) = (None, None);
    for (place, c) in text.char_indices() {
        let end = place + c.len_utf8();
        if c == '\n' || (after_mark && c.is_whitespace()) || matches!(c, '。' | '！' | '？') {
            return Some(end);
        }
        if c.is_whitespace() {
            last_space = Some(end);
            if after_part && end > LONGEST_SENTENCE / 2 {
                last_part = Some(end);
            }
        }
        if end > LONGEST_SENTENCE {
            return Some(last_part.or(last_space).unwrap_or(end));
        }
        after_part = matches!(c, ',' | ';' | ':' | '–' | '—');
        // A closing quote, bracket or emphasis belongs to the sentence it closes.
        let closes = matches!(c, '"' | '\'' | ')' | ']' | '”' | '’' | '*' | '_');
        after_mark = matches!(c, '.' | '!' | '?' | '…') || (after_mark && closes);
    }
    None
}
