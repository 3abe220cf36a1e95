//! What is left out when a conversation is too long for the model, a step at a time.
//!
//! Pictures and files go before text: those of the history, those that tools gave, those of the message itself. Then
//! the older half of the history goes, half of what is left of it, and the rest; then the ends of what tools gave,
//! until little is left of each. Last go the turns that stay in the history, and at the very end the oldest of
//! them, which is the summary where there is one. The user's own words are never cut.

use std::sync::Arc;

use crate::history::{halve_result, leave_media_out};
use crate::message::ContentBlock;
use crate::model::ModelRequest;

/// How often a turn is made shorter and asked again before it counts as too long: enough for every kind of thing to
/// go, and for a tool's result to be cut to a 256th. A refusal costs a moment and no tokens.
const STEPS: u32 = 16;

/// How often the history is halved before the rest of it goes as well.
const HALVINGS: u32 = 2;

/// How far a turn has been made shorter.
#[derive(Debug)]
pub(super) struct Shrinking {
    /// Of each turn of the request's history, whether it goes after the others.
    stays: Vec<bool>,
    halved: u32,
    steps_left: u32,
}

// === impl Shrinking ===

impl Shrinking {
    /// Nothing has been left out yet of a request with so many turns of history; `stays` says of each whether it
    /// goes after the others.
    pub(super) fn new(stays: Vec<bool>) -> Self {
        Self { stays, halved: 0, steps_left: STEPS }
    }

    /// Makes the request shorter by a step; false when there is nothing left to leave out, or it has been done often
    /// enough.
    pub(super) fn shrink(&mut self, request: &mut ModelRequest) -> bool {
        self.steps_left = self.steps_left.saturating_sub(1);
        self.steps_left > 0
            && (leave_out_media_of_history(request)
                || each_block(request, |block| is_result(block) && leave_media_out(block))
                || each_block(request, |block| !is_result(block) && leave_media_out(block))
                || self.drop_older_turns(request)
                || each_block(request, halve)
                || self.drop_turns_that_stay(request))
    }

    fn drop_older_turns(&mut self, request: &mut ModelRequest) -> bool {
        let passing = self.stays.iter().filter(|stays| !**stays).count();
        let mut leaving = if self.halved < HALVINGS { passing.div_ceil(2) } else { passing };
        self.halved += 1;
        self.keep(request, |_, stays| {
            let leaves = !stays && leaving > 0;
            leaving -= usize::from(leaves);
            !leaves
        })
    }

    fn drop_turns_that_stay(&mut self, request: &mut ModelRequest) -> bool {
        self.keep(request, |place, _| place == 0) || self.keep(request, |_, _| false)
    }

    /// Keeps the turns of the history that `wanted` says, by their place and whether they stay; whether any went.
    fn keep(&mut self, request: &mut ModelRequest, mut wanted: impl FnMut(usize, bool) -> bool) -> bool {
        let wanted: Vec<bool> = self.stays.iter().enumerate().map(|(place, stays)| wanted(place, *stays)).collect();
        let before = request.history.len();
        retain_each(&mut request.history, &wanted);
        retain_each(&mut self.stays, &wanted);
        request.history.len() < before
    }
}

fn retain_each<T>(items: &mut Vec<T>, wanted: &[bool]) {
    let mut wanted = wanted.iter();
    items.retain(|_| wanted.next().is_none_or(|wanted| *wanted));
}

fn leave_out_media_of_history(request: &mut ModelRequest) -> bool {
    request.history.iter_mut().fold(false, |any, turn| match turn.without_media() {
        Some(shorter) => {
            *turn = Arc::new(shorter);
            true
        }
        None => any,
    })
}

/// Whether `change` changed any block of the turn.
fn each_block(request: &mut ModelRequest, change: impl Fn(&mut ContentBlock) -> bool) -> bool {
    let mut changed = false;
    for block in request.messages.iter_mut().flat_map(|message| &mut message.content) {
        changed |= change(block);
    }
    changed
}

fn is_result(block: &ContentBlock) -> bool {
    matches!(block, ContentBlock::ToolResult(_))
}

fn halve(block: &mut ContentBlock) -> bool {
    match block {
        ContentBlock::ToolResult(result) => halve_result(result),
        _ => false,
    }
}
