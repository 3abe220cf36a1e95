//! What is found in a message by all who look: the rules, the arithmetic of goals, the classifier. A message is read once.

use std::cmp::Reverse;
use std::hash::BuildHasher as _;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use agentcore_runtime::prelude::Severity;
use foldhash::HashMap;
use foldhash::quality::RandomState;

use super::finding::Finding;
use super::goals::{self, Person};
use super::kind::Kind;
use super::text::Text;
use super::{classifier, rules};
use crate::payload::OPENING;

/// Of how many messages is known what was found in them; more than any session has that a model is still told of.
const MOST_READ: usize = 4_096;

static READ: LazyLock<Read> = LazyLock::new(Read::default);

/// What was found in messages, by a hash of each and of whom it is about.
#[derive(Default)]
struct Read {
    hasher: RandomState,
    found: Mutex<HashMap<u64, Vec<Finding>>>,
}

/// Everything found in what stands in a user's place: nothing where the app opened the conversation in words of ours.
///
/// What earlier messages mean for a new one is asked at every turn, and they do not change: what was found in them is
/// known from when they were read first, so that the hundredth message waits no longer than the second.
pub fn find_in(message: &str, person: &Person) -> Vec<Finding> {
    if message == OPENING {
        return Vec::new();
    }
    let key = READ.key(message, person);
    if let Some(known) = READ.found().get(&key) {
        return known.clone();
    }
    let found = find(&Text::of(message), person);
    let mut known = READ.found();
    if known.len() >= MOST_READ {
        known.clear();
    }
    known.insert(key, found.clone());
    found
}

/// Everything found in a message, each kind once, the gravest first. A clinician can read why a rule found something;
/// the classifier hears what the rules found, doubts it where all the words around it are ordinary, and finds what no
/// rule names.
pub fn find(text: &Text, person: &Person) -> Vec<Finding> {
    // A number by itself only arithmetic can judge: 54 kg is too little for some and a good weight for others.
    let is_number = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit());
    let has_one_number = text.words().filter(is_number).count() == 1;
    let may_say =
        |finding: &Finding| !(has_one_number && finding.kind == Kind::UnsafeGoal && finding.rule == classifier::RULE);
    let found = classifier::judge(text, rules::find(text)).into_iter().filter(may_say);
    joined(found.chain(goal(text, person)))
}

fn goal(text: &Text, person: &Person) -> Option<Finding> {
    let goal = goals::find(text, person)?;
    Some(Finding { kind: Kind::UnsafeGoal, rule: goal.rule(), severity: Severity::Elevated, is_certain: true })
}

/// The findings, each kind once at its gravest, the gravest first.
pub(super) fn joined(found: impl Iterator<Item = Finding>) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    for finding in found {
        match findings.iter_mut().find(|known| known.kind == finding.kind) {
            // What nothing may doubt names it, where both are as grave.
            Some(known) if (known.severity, known.is_certain) < (finding.severity, finding.is_certain) => {
                *known = finding;
            }
            Some(_) => {}
            None => findings.push(finding),
        }
    }
    findings.sort_by_key(|finding| (Reverse(finding.severity), finding.kind));
    findings
}

// === impl Read ===

impl Read {
    fn key(&self, message: &str, person: &Person) -> u64 {
        let Person { height_cm, weight_kg, sex } = *person;
        self.hasher.hash_one((message, height_cm.map(f64::to_bits), weight_kg.map(f64::to_bits), sex))
    }

    fn found(&self) -> MutexGuard<'_, HashMap<u64, Vec<Finding>>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
