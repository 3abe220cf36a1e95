//! Looks at the coach's own sentences before they leave: what would shame is said more kindly, what could do harm
//! ends the answer. What a sentence goes on from is read with it ([`context`]): words that are harmless on each of two
//! lines may not be on both.
//!
//! The rules are the files of `data/language`, each with its examples. Numbers are judged by the same arithmetic as
//! a user's ([`crate::sentinel::goals`]): a diet of 800 kcal is no advice, whoever speaks of it.

pub mod context;

use std::borrow::Cow;
use std::sync::LazyLock;

use crate::rules::{Rule, RuleSet};
use crate::sentinel::goals::{self, Person, UnsafeGoal};
use crate::sentinel::text::Text;
use context::Reading;

static RULES: LazyLock<RuleSet> = LazyLock::new(|| {
    RuleSet::read([
        include_str!(concat!(env!("OUT_DIR"), "/language/care.json")),
        include_str!(concat!(env!("OUT_DIR"), "/language/harm.json")),
        include_str!(concat!(env!("OUT_DIR"), "/language/role.json")),
        include_str!(concat!(env!("OUT_DIR"), "/language/shame.json")),
    ])
    .expect("the tests read every rule")
});

static GENTLE: LazyLock<RuleSet> = LazyLock::new(|| {
    RuleSet::read([include_str!(concat!(env!("OUT_DIR"), "/language/gentle.json"))]).expect("the tests read every rule")
});

/// How much of what was said is looked at for kind words, in bytes: some three pages.
const REMEMBERED: usize = 8_000;

/// What is thought of a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opinion {
    /// It is fine.
    Fine,
    /// It is unkind: other words stand in its place.
    Unkind {
        /// The rule it breaks.
        broken: Broken,
        /// What is said instead, without white space around it.
        instead: &'static str,
    },
    /// It could do harm: neither it nor what follows may leave.
    Harmful(Broken),
}

/// The rule that a sentence breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// What the rule is about: one of the sentinel's kinds, `shaming_language` or `out_of_role`.
    pub kind: Cow<'static, str>,
    /// Its name.
    pub rule: Cow<'static, str>,
    /// How grave its file says it is.
    pub severity: &'static str,
}

/// What is thought of a sentence to somebody of whom nothing is known.
pub fn opinion_of(sentence: &str, said: &str) -> Opinion {
    opinion_for(&Person::default(), sentence, said)
}

/// What is thought of a sentence to a person; `said` is what has left before it, which it may go on from, and so that
/// no kind word is said twice.
pub fn opinion_for(person: &Person, sentence: &str, said: &str) -> Opinion {
    let readings = context::readings(sentence, said);
    let found: Vec<&'static Rule> = readings.iter().flat_map(|reading| reading.broken(&RULES)).collect();
    if let Some(rule) = found.iter().find(|rule| rule.instead.is_empty()) {
        return Opinion::Harmful(Broken::of(rule));
    }
    if let Some(goal) = readings.iter().find_map(|reading| reading.unsafe_goal(person)) {
        let broken =
            Broken { kind: Cow::Borrowed("unsafe_goal"), rule: Cow::Borrowed(goal.rule()), severity: "elevated" };
        return Opinion::Harmful(broken);
    }
    let Some(rule) = found.first() else {
        return Opinion::Fine;
    };
    let newest = &said[said.ceil_char_boundary(said.len().saturating_sub(REMEMBERED))..];
    let fresh = rule.instead.iter().find(|words| !newest.contains(words.as_str()));
    Opinion::Unkind { broken: Broken::of(rule), instead: fresh.map_or("", String::as_str) }
}

/// Whether a sentence speaks of weight, food plans or exercise, which a session that has been in a crisis is spared;
/// `said` is what has left before it.
pub fn is_not_gentle(sentence: &str, said: &str) -> bool {
    context::readings(sentence, said).iter().any(|reading| reading.broken(&GENTLE).next().is_some())
}

// === impl Reading ===

impl Reading {
    /// The rules that its new words break.
    fn broken(&self, rules: &'static RuleSet) -> impl Iterator<Item = &'static Rule> {
        let found = rules.find(&self.text).into_iter().filter(|found| found.words.end > self.new);
        found.map(|found| rules.rule(found.rule)).collect::<Vec<_>>().into_iter()
    }

    /// An unsafe goal that its new words make or complete.
    fn unsafe_goal(&self, person: &Person) -> Option<UnsafeGoal> {
        let goal = goals::find_in_advice(&self.text, person)?;
        let is_old = self.new > 0 && goals::find_in_advice(&Text::of(&self.before), person).is_some();
        (!is_old).then_some(goal)
    }
}

// === impl Broken ===

impl Broken {
    fn of(rule: &'static Rule) -> Self {
        let severity = rule.severity.as_str();
        Self { kind: Cow::Borrowed(&rule.kind), rule: Cow::Borrowed(&rule.name), severity }
    }
}
