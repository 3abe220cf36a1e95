//! What a session has been through: after a crisis it stays gentle until the user says that it is over.

use std::sync::LazyLock;

use agentcore_runtime::prelude::Severity;

use super::finding::{Finding, find_in};
use super::goals::Person;
use super::kind::Kind;
use super::text::Text;
use crate::rules::RuleSet;

static RESOLVED: LazyLock<RuleSet> = LazyLock::new(|| {
    RuleSet::read([include_str!(concat!(env!("OUT_DIR"), "/session.json"))]).expect("the tests read every rule")
});

/// What keeps a session gentle, if anything: the gravest kind of the newest message that showed one, unless a later
/// one says that it is over. `earlier` are the user's messages, oldest first.
pub fn kept_gentle_by(earlier: impl DoubleEndedIterator<Item = String>, person: &Person) -> Option<Kind> {
    let mut is_over = false;
    for message in earlier.rev() {
        let kept = find_in(&message, person).into_iter().find(Finding::keeps_gentle).map(|finding| finding.kind);
        match kept {
            // Nobody grows up within a session.
            Some(Kind::Minor) => return Some(Kind::Minor),
            Some(kind) if !is_over => return Some(kind),
            _ => is_over |= is_resolved(&Text::of(&message)),
        }
    }
    None
}

/// How many messages before showed a kind.
pub fn times_before(kind: Kind, earlier: impl Iterator<Item = String>, person: &Person) -> usize {
    let shows = |message: &String| find_in(message, person).iter().any(|finding| finding.kind == kind);
    earlier.filter(shows).count()
}

/// Whether a user says that a crisis is over.
pub fn is_resolved(text: &Text) -> bool {
    !RESOLVED.find(text).is_empty()
}

// === impl Finding ===

impl Finding {
    /// Whether the session is gentle from it on: after a crisis, and where talk of weight would do harm.
    fn keeps_gentle(&self) -> bool {
        self.severity == Severity::Crisis || matches!(self.kind, Kind::EatingDisorder | Kind::Minor)
    }
}
