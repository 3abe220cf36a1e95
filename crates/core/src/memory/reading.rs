//! Reading a session from its newest entry back, and how far.

use jiff::Timestamp;

use super::Loaded;
use super::stored::{Kind, StoredEntry};
use crate::message::Message;

/// A session that is being read, newest entries first.
///
/// A store hands over what it finds until that [is enough](Self::is_enough), or as far as the page goes that it has
/// fetched anyway; what takes the place of what is decided at the [end](Self::finish).
#[derive(Debug)]
pub struct Reading {
    budget_tokens: usize,
    tokens: usize,
    /// What the summaries met so far cover.
    covers: u64,
    has_met_covered: bool,
    /// Of notes only the newest counts.
    has_met_note: bool,
    found: Vec<Found>,
}

#[derive(Debug)]
struct Found {
    at: Timestamp,
    /// None where somebody else wrote it.
    number: Option<u64>,
    entry: StoredEntry,
}

// === impl Reading ===

impl Reading {
    /// Reads as many turns as fit `budget_tokens`, and on up to twice as many: there may be a summary, or turns that
    /// wait for one.
    pub fn within(budget_tokens: usize) -> Self {
        Self { budget_tokens, tokens: 0, covers: 0, has_met_covered: false, has_met_note: false, found: Vec::new() }
    }

    /// The next older entry.
    pub fn stored(&mut self, at: Timestamp, number: u64, entry: StoredEntry) {
        self.count(&entry);
        if let Kind::Summary { covers, .. } = &entry.kind {
            self.covers = self.covers.max(*covers);
        }
        self.has_met_note |= matches!(entry.kind, Kind::Note { .. });
        self.has_met_covered |= number <= self.covers;
        self.found.push(Found { at, number: Some(number), entry });
    }

    /// The next older entry, which somebody else wrote: it has no number, and may be a part of a turn.
    pub fn foreign(&mut self, at: Timestamp, messages: Vec<Message>) {
        let entry = StoredEntry::of_messages(messages);
        self.count(&entry);
        self.found.push(Found { at, number: None, entry });
    }

    /// One that is longer than the budget is sent cut: it must not keep those before it from being read.
    fn count(&mut self, entry: &StoredEntry) {
        self.tokens = self.tokens.saturating_add(entry.estimated_tokens().min(self.budget_tokens));
    }

    /// Whether nothing older is wanted: twice the budget is read, or all that the newest summary does not tell, or a note.
    pub fn is_enough(&self) -> bool {
        self.has_met_covered || self.has_met_note || self.tokens > self.budget_tokens.saturating_mul(2)
    }

    /// Whether entries came newest first, as far as their times tell.
    pub fn is_newest_first(&self) -> bool {
        self.found.first().map(|found| found.at) >= self.found.last().map(|found| found.at)
    }

    /// The session.
    pub fn finish(mut self) -> Loaded {
        // Turned round, ties of the clock stay in order, and the entries' own numbers settle those that a rounded
        // clock made.
        self.found.reverse();
        self.found.sort_by_key(|found| (found.at, found.number));
        let highest = self.found.iter().filter_map(|found| found.number).max();
        let highest = highest.unwrap_or(self.found.len() as u64);
        let mut loaded = Loaded { newest: self.found.last().map(|found| (found.at, highest)), ..Loaded::default() };
        for (number, found) in numbered(self.found, highest) {
            for entry in found.entry.entries() {
                loaded.take(found.at, number, entry);
            }
        }
        loaded
    }
}

/// Gives what somebody else wrote the number of the entry after it, so that a summary never covers it too early,
/// and puts together what stands side by side: it may be one message an event.
fn numbered(found: Vec<Found>, highest: u64) -> Vec<(u64, Found)> {
    let mut next = highest.saturating_add(1);
    let mut numbered: Vec<(u64, Found)> = Vec::with_capacity(found.len());
    for mut entry in found.into_iter().rev() {
        match (entry.number, numbered.last_mut()) {
            (Some(number), _) => next = number,
            (None, Some((_, Found { number: None, entry: after, .. }))) => {
                entry.entry.messages.append(&mut after.messages);
                after.messages = entry.entry.messages;
                continue;
            }
            (None, _) => {}
        }
        numbered.push((next, entry));
    }
    numbered.reverse();
    numbered
}
