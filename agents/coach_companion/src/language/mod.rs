//! Looks at the coach's own sentences before they leave: what would shame is said more kindly, what could do harm
//! ends the answer.
//!
//! The rules are the files of `data/language`, each with its examples. Numbers are judged by the same arithmetic as
//! a user's ([`crate::sentinel::goals`]): a diet of 800 kcal is no advice, whoever speaks of it.

use std::borrow::Cow;
use std::sync::LazyLock;

use crate::rules::{Rule, RuleSet};
use crate::sentinel::goals::{self, Person};
use crate::sentinel::text::Text;

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

/// What is thought of a sentence; `said` is what has left before it, so that no kind word is said twice.
pub fn opinion_of(sentence: &str, said: &str) -> Opinion {
    let text = Text::of(sentence);
    let rules = &*RULES;
    let found: Vec<&'static Rule> = rules.find(&text).into_iter().map(|found| rules.rule(found.rule)).collect();
    if let Some(rule) = found.iter().find(|rule| rule.instead.is_empty()) {
        return Opinion::Harmful(Broken::of(rule));
    }
    if let Some(goal) = goals::find(&text, &Person::default()) {
        let broken =
            Broken { kind: Cow::Borrowed("unsafe_goal"), rule: Cow::Borrowed(goal.rule()), severity: "elevated" };
        return Opinion::Harmful(broken);
    }
    let Some(rule) = found.first() else {
        return Opinion::Fine;
    };
    let fresh = rule.instead.iter().find(|words| !said.contains(words.as_str()));
    Opinion::Unkind { broken: Broken::of(rule), instead: fresh.map_or("", String::as_str) }
}

/// Whether a sentence speaks of weight, food plans or exercise, which a session that has been in a crisis is spared.
pub fn is_not_gentle(sentence: &str) -> bool {
    !GENTLE.find(&Text::of(sentence)).is_empty()
}

// === impl Broken ===

impl Broken {
    fn of(rule: &'static Rule) -> Self {
        let severity = rule.severity.as_str();
        Self { kind: Cow::Borrowed(&rule.kind), rule: Cow::Borrowed(&rule.name), severity }
    }
}
