//! What the user noted in the app's diary: words of theirs like a message's, that nobody may have read.
//!
//! A crisis in a note of today or yesterday is answered once in a session, as if it had been said; from then on the
//! session is gentle until the user says that it is over. What is less grave goes to the model as an instruction.

use std::sync::Arc;

use agentcore_runtime::core::history::CompleteTurn;
use agentcore_runtime::prelude::Severity;
use jiff::ToSpan as _;
use jiff::civil::Date;

use super::finding::Finding;
use super::goals::Person;
use super::kind::Kind;
use super::reading::find_in;
use super::session;
use crate::payload::{DiaryEntry, UserContext};
use crate::tools::Coached;

/// How many of the newest notes are read.
const MOST_NOTES: usize = 20;

/// What recent notes show, each kind once, at its gravest.
#[derive(Debug, Default)]
pub struct Noted {
    findings: Vec<Finding>,
}

// === impl Noted ===

impl Noted {
    /// What the notes of today and yesterday show, where the user is.
    pub fn in_diary(context: &UserContext, person: &Person) -> Self {
        if context.logs.iter().all(|entry| entry.note.is_none()) {
            return Self::default();
        }
        Self::since(&context.logs, Coached::today(context).saturating_sub(1.day()), person)
    }

    fn since(diary: &[DiaryEntry], oldest: Date, person: &Person) -> Self {
        let mut recent: Vec<&DiaryEntry> = diary.iter().filter(|entry| entry.date >= oldest).collect();
        recent.sort_by_key(|entry| entry.date);
        let newest = recent.into_iter().rev().filter_map(|entry| entry.note.as_ref()).take(MOST_NOTES);
        let mut noted = Self::default();
        for finding in newest.flat_map(|note| find_in(note.as_str(), person)) {
            // That a medicine was taken is what a diary is for.
            let matters = finding.severity >= Severity::Elevated || finding.kind == Kind::Pregnancy;
            match noted.findings.iter_mut().find(|known| known.kind == finding.kind) {
                Some(known) if known.severity < finding.severity => *known = finding,
                None if matters => noted.findings.push(finding),
                _ => {}
            }
        }
        noted
    }

    /// Adds to what was found in a message what the diary shows and the session has not answered yet.
    pub fn join(&self, findings: &mut Vec<Finding>, history: &[Arc<CompleteTurn>]) {
        for noted in &self.findings {
            let is_known = findings.iter().any(|finding| finding.kind == noted.kind);
            let is_answered = || answered(noted.kind, history).is_some();
            let speaks = noted.severity == Severity::Crisis || noted.kind.is_left_to_the_model();
            if !is_known && speaks && !is_answered() {
                findings.push(*noted);
            }
        }
        findings.sort_by_key(|finding| (std::cmp::Reverse(finding.severity), finding.kind));
    }

    /// What of it keeps a session gentle, until a message says that it is over: one after the sentinel's answer, where
    /// it has given one.
    pub fn keeps_gentle(&self, history: &[Arc<CompleteTurn>]) -> Option<Kind> {
        let lasting = |finding: &&Finding| {
            let after = answered(finding.kind, history).map_or(0, |place| place + 1);
            let later = history[after..].iter().filter(|turn| !turn.is_summary()).map(|turn| turn.user_words());
            !later.into_iter().any(|message| session::ends(finding.kind, &message))
        };
        // What would be answered in a message, and keeps no session gentle, makes a session begin gently.
        let begins = history.is_empty();
        let own = self.findings.iter().filter(|finding| !finding.kind.is_left_to_the_model());
        own.filter(|finding| begins || finding.keeps_gentle()).find(lasting).map(|finding| finding.kind)
    }
}

/// The newest turn in which the sentinel answered a kind.
fn answered(kind: Kind, history: &[Arc<CompleteTurn>]) -> Option<usize> {
    let is_answer = |turn: &Arc<CompleteTurn>| session::answered_in(turn).is_some_and(|(answered, _)| answered == kind);
    history.iter().rposition(is_answer)
}
