//! What a session has been through: after a crisis it stays gentle until the user says that it is over.
//!
//! `data/session.toml` has how that is said, and what each way of saying it ends: that the hospital has sent somebody
//! home ends an emergency of the body, and says nothing of a wish to die.

use std::sync::{Arc, LazyLock};

use agentcore_runtime::core::history::CompleteTurn;
use agentcore_runtime::prelude::Severity;
use foldhash::HashMap;
use serde::Deserialize;

use super::finding::Finding;
use super::goals::Person;
use super::kind::Kind;
use super::reading::find_in;
use super::text::Text;
use super::{answers, bystander, classifier};
use crate::rules::RuleSet;

static FILE: &str = include_str!(concat!(env!("OUT_DIR"), "/session.json"));

static RESOLVED: LazyLock<RuleSet> = LazyLock::new(|| RuleSet::read([FILE]).expect("the tests read every rule"));

/// What each rule ends, by its name.
static ENDS: LazyLock<HashMap<String, Vec<Matter>>> = LazyLock::new(|| {
    #[derive(Deserialize)]
    struct File {
        rule: Vec<Ends>,
    }
    #[derive(Deserialize)]
    struct Ends {
        name: String,
        ends: Vec<Matter>,
    }
    let file: File = serde_json::from_str(FILE).expect("the tests read every rule");
    file.rule.into_iter().map(|rule| (rule.name, rule.ends)).collect()
});

/// The rule by which an earlier turn shows what its answer was about.
const ANSWERED: &str = "answered";

/// What a session may be gentle about, and what may be over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
enum Matter {
    /// Something of the writer's, or of whomever the kind is about.
    Of(Kind),
    /// An emergency of the body of somebody else.
    OfAnother(OfAnother),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum OfAnother {
    MedicalEmergencyOfAnother,
}

/// What keeps a session gentle, if anything: the gravest kind of the newest message that showed one and that no later
/// one says to be over.
pub fn kept_gentle_by(earlier: &[Arc<CompleteTurn>], person: &Person) -> Option<Kind> {
    let mut over: Vec<Matter> = Vec::new();
    for turn in own(earlier).rev() {
        let message = turn.user_words();
        let mut kept = shown_in(turn, &message, person).filter(Finding::keeps_gentle).peekable();
        if kept.peek().is_none() {
            over.extend(ended_by(&Text::of(&message)));
            continue;
        }
        // Nobody grows up within a session.
        let lasting =
            kept.find(|finding| finding.kind == Kind::Minor || !over.contains(&matter(finding.kind, &message)));
        if let Some(finding) = lasting {
            return Some(finding.kind);
        }
    }
    None
}

/// How many turns before showed a kind.
pub fn times_before(kind: Kind, earlier: &[Arc<CompleteTurn>], person: &Person) -> usize {
    let shows =
        |turn: &&Arc<CompleteTurn>| shown_in(turn, &turn.user_words(), person).any(|finding| finding.kind == kind);
    own(earlier).filter(shows).count()
}

/// The turns in which somebody spoke: a summary stands in a user's place, and a model wrote it.
fn own(earlier: &[Arc<CompleteTurn>]) -> impl DoubleEndedIterator<Item = &Arc<CompleteTurn>> {
    earlier.iter().filter(|turn| !turn.is_summary())
}

/// What a turn shows: what is found in its message, and what the sentinel answered in it, which a second reader or the
/// diary may have told it. What only the classifier feared, short of a crisis, counts where the sentinel answered: a
/// second reader may have taken it back.
fn shown_in(turn: &CompleteTurn, message: &str, person: &Person) -> impl Iterator<Item = Finding> {
    let answered = answered_in(turn);
    let mut found = find_in(message, person);
    found.retain(|finding| {
        finding.rule != classifier::RULE || finding.severity == Severity::Crisis || answered.is_some()
    });
    let answered = answered.filter(|(kind, _)| found.iter().all(|finding| finding.kind != *kind));
    let answered = answered.map(|(kind, severity)| Finding { kind, rule: ANSWERED, severity, is_certain: true });
    found.into_iter().chain(answered)
}

/// What the sentinel answered in a turn, if it did.
pub fn answered_in(turn: &CompleteTurn) -> Option<(Kind, Severity)> {
    turn.messages().last().and_then(|message| answers::answers_what(&message.text()))
}

/// Whether a message says that a kind is over.
pub fn ends(kind: Kind, message: &str) -> bool {
    ended_by(&Text::of(message)).any(|matter| matter == Matter::Of(kind))
}

/// Whether a user says that something is over.
pub fn is_resolved(text: &Text) -> bool {
    ended_by(text).next().is_some()
}

/// What a message says to be over. Where a rule is not about others, neither is what it finds.
fn ended_by(text: &Text) -> impl Iterator<Item = Matter> {
    let found = RESOLVED.find(text).into_iter().filter(|found| found.of_other.is_none());
    found.filter_map(|found| ENDS.get(&RESOLVED.rule(found.rule).name)).flatten().copied()
}

fn matter(kind: Kind, message: &str) -> Matter {
    if kind == Kind::MedicalEmergency && bystander::is_beside_somebody(&Text::of(message)) {
        return Matter::OfAnother(OfAnother::MedicalEmergencyOfAnother);
    }
    Matter::Of(kind)
}

// === impl Finding ===

impl Finding {
    /// Whether the session is gentle from it on: after a crisis, and where talk of weight would do harm.
    pub(super) fn keeps_gentle(&self) -> bool {
        self.severity == Severity::Crisis || matches!(self.kind, Kind::EatingDisorder | Kind::Minor)
    }
}
