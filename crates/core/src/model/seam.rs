//! One answer made of several attempts, so that who reads it sees no seam.
//!
//! Text is passed on as it comes, and what was passed on is never taken back. When an attempt breaks
//! off, the next one goes on from the words that were said, and its words join the same block.
//! Calls of tools are held back until the answer is whole: no caller is shown them, nothing is called
//! before the answer's end, and a call that broke off in its arguments cannot be gone on from. The model
//! asks for it again.
//!
//! White space is where the seam could show. Converse refuses to go on from words that end in it, so it
//! is trimmed from what is sent, and the model writes it again, more or less; what it writes is laid
//! over what was said.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};

use super::{BlockDelta, GuardrailTrace, Metrics, ModelEvent, ModelRequest, Served};
use crate::message::{Message, Usage};

/// The least that a token of text takes, on average, in bytes: what has been said is not counted for
/// more than it was.
const BYTES_A_TOKEN: usize = 4;

/// What has been passed on of one answer, and what waits to be.
#[derive(Debug, Default)]
pub(super) struct Seam {
    ready: VecDeque<ModelEvent>,
    began: bool,
    /// All text passed on, of all blocks.
    said: String,
    /// The text block that may still be gone on with: its end is not passed on before something else is.
    open: Option<usize>,
    next_index: usize,
    attempt: Attempt,
    usage: Usage,
    stopped: bool,
    over: bool,
}

/// What is known of the attempt that is read now.
#[derive(Debug, Default)]
struct Attempt {
    /// Which of our blocks each of its text blocks is.
    texts: BTreeMap<usize, usize>,
    /// White space at the end of what was said, which the attempt may write again; none once it has.
    overlap: Option<Overlap>,
    /// From the first tool call on, everything.
    held: Vec<ModelEvent>,
}

#[derive(Debug)]
struct Overlap {
    said: String,
    again: String,
}

// === impl Seam ===

impl Seam {
    /// Whether there are words that another attempt would have to go on from.
    pub(super) fn has_words(&self) -> bool {
        !self.said.trim_end().is_empty()
    }

    /// What the next attempt is asked: the request, or the rest of its answer.
    pub(super) fn ask<'a>(&self, request: &'a ModelRequest) -> Cow<'a, ModelRequest> {
        let words = self.said.trim_end();
        if words.is_empty() {
            return Cow::Borrowed(request);
        }
        let mut request = request.clone();
        request.messages.push(Message::assistant(words));
        let used = u32::try_from(words.len() / BYTES_A_TOKEN).unwrap_or(u32::MAX);
        let left = request.parameters.max_tokens.saturating_sub(used);
        request.parameters.max_tokens = left.max(1);
        Cow::Owned(request)
    }

    /// The attempt broke off; another follows.
    pub(super) fn broke_off(&mut self) {
        let white_space = &self.said[self.said.trim_end().len()..];
        let overlap = (!self.said.is_empty()).then(|| Overlap { said: white_space.to_owned(), again: String::new() });
        self.attempt = Attempt { overlap, ..Attempt::default() };
        // What was written has its price, and nobody counted it.
        if self.began {
            self.usage += Usage::UNKNOWN;
        }
    }

    /// The next event for the caller.
    pub(super) fn next(&mut self) -> Option<ModelEvent> {
        self.ready.pop_front()
    }

    /// Whether the model has said why it stopped: nothing is missing then but the count of tokens.
    pub(super) fn has_stopped(&self) -> bool {
        self.stopped
    }

    /// Whether the last event is among those given.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Takes an event of the attempt; `served` is who makes it.
    pub(super) fn take(&mut self, event: ModelEvent, served: impl FnOnce() -> Served) {
        match event {
            ModelEvent::MessageStart { .. } if self.began => {}
            ModelEvent::MessageStart { .. } => {
                self.began = true;
                self.ready.push_back(event);
            }
            ModelEvent::MessageStop { .. } => {
                self.release();
                self.stopped = true;
                self.ready.push_back(event);
            }
            ModelEvent::Metadata { usage, metrics, guardrail, .. } => {
                self.finish(usage, metrics, guardrail, served());
            }
            ModelEvent::ContentBlockStart { .. } => self.attempt.held.push(event),
            _ if !self.attempt.held.is_empty() => self.attempt.held.push(event),
            ModelEvent::ContentBlockDelta { content_block_index, delta: BlockDelta::Text(text) } => {
                self.lay_over(content_block_index, text);
            }
            // Arguments of a call that was never begun: only a corrupt stream has them. And a text block's
            // end waits: the attempt may break off now, and the next go on in the block.
            ModelEvent::ContentBlockDelta { .. } | ModelEvent::ContentBlockStop { .. } => {}
        }
    }

    /// The last event, also where the model's own was lost.
    pub(super) fn finish(&mut self, usage: Usage, metrics: Metrics, guardrail: Option<GuardrailTrace>, served: Served) {
        self.usage += usage;
        self.over = true;
        self.ready.push_back(ModelEvent::Metadata { usage: self.usage, metrics, guardrail, served: Some(served) });
    }

    /// Says what is new in `text`: not the white space that was said before the attempt.
    fn lay_over(&mut self, index: usize, text: String) {
        let Some(mut overlap) = self.attempt.overlap.take() else {
            return self.say(index, text);
        };
        overlap.again.push_str(&text);
        if overlap.again.trim_start().is_empty() {
            self.attempt.overlap = Some(overlap);
        } else {
            self.say(index, overlap.fresh());
        }
    }

    fn say(&mut self, index: usize, text: String) {
        if text.is_empty() {
            return;
        }
        let content_block_index = self.place(index);
        self.said.push_str(&text);
        let delta = BlockDelta::Text(text);
        self.ready.push_back(ModelEvent::ContentBlockDelta { content_block_index, delta });
    }

    /// Which of our blocks the attempt's text block is. Its first goes on with the one that is open.
    fn place(&mut self, index: usize) -> usize {
        if let Some(place) = self.attempt.texts.get(&index) {
            return *place;
        }
        let place = match self.open {
            Some(open) if self.attempt.texts.is_empty() => open,
            _ => {
                self.close();
                self.number()
            }
        };
        self.open = Some(place);
        self.attempt.texts.insert(index, place);
        place
    }

    fn number(&mut self) -> usize {
        self.next_index += 1;
        self.next_index - 1
    }

    fn close(&mut self) {
        if let Some(content_block_index) = self.open.take() {
            self.ready.push_back(ModelEvent::ContentBlockStop { content_block_index });
        }
    }

    /// Passes on what was held back, now that the answer is whole.
    fn release(&mut self) {
        if let Some(overlap) = self.attempt.overlap.take() {
            let rest = overlap.fresh();
            match self.open {
                Some(content_block_index) if !rest.is_empty() => {
                    self.said.push_str(&rest);
                    let delta = BlockDelta::Text(rest);
                    self.ready.push_back(ModelEvent::ContentBlockDelta { content_block_index, delta });
                }
                _ => {}
            }
        }
        self.close();
        let mut places = BTreeMap::new();
        for mut event in std::mem::take(&mut self.attempt.held) {
            if let Some(index) = index_of(&mut event) {
                *index = *places.entry(*index).or_insert_with(|| self.number());
            }
            self.ready.push_back(event);
        }
    }
}

// === impl Overlap ===

impl Overlap {
    /// What has been written again and was not said before.
    fn fresh(self) -> String {
        let words = self.again.trim_start();
        let white_space = &self.again[..self.again.len() - words.len()];
        // Other white space than was said stands for the same gap between the words.
        let more = white_space.strip_prefix(self.said.as_str()).unwrap_or_default();
        format!("{more}{words}")
    }
}

fn index_of(event: &mut ModelEvent) -> Option<&mut usize> {
    match event {
        ModelEvent::ContentBlockStart { content_block_index, .. }
        | ModelEvent::ContentBlockDelta { content_block_index, .. }
        | ModelEvent::ContentBlockStop { content_block_index } => Some(content_block_index),
        ModelEvent::MessageStart { .. } | ModelEvent::MessageStop { .. } | ModelEvent::Metadata { .. } => None,
    }
}
