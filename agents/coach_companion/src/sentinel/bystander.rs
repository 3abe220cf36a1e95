//! Whose emergency it is: somebody who stands beside a person that has collapsed needs other words than that person.

use std::sync::LazyLock;

use super::text::Text;
use crate::rules::RuleSet;

static BESIDE: LazyLock<RuleSet> = LazyLock::new(|| {
    RuleSet::read([include_str!(concat!(env!("OUT_DIR"), "/bystander.json"))]).expect("the tests read every rule")
});

/// Whether a message tells of an emergency that somebody else has: the rules of `data/bystander.toml`.
pub fn is_beside_somebody(text: &Text) -> bool {
    !BESIDE.find(text).is_empty()
}
