//! What anybody who looks at a message finds in it.

use agentcore_runtime::prelude::{Flag, Severity};

use super::kind::Kind;

/// What was found in a message: names only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finding {
    /// What it is about.
    pub kind: Kind,
    /// The rule.
    pub rule: &'static str,
    /// How grave it is.
    pub severity: Severity,
    /// Whether nothing may doubt it: arithmetic, what the app says, words that leave no other reading.
    pub is_certain: bool,
}

/// A severity by its name in a file of rules.
pub fn severity(name: &str) -> Severity {
    match name {
        "crisis" => Severity::Crisis,
        "elevated" => Severity::Elevated,
        _ => Severity::Info,
    }
}

// === impl Finding ===

impl Finding {
    /// It as an answer tells it.
    pub fn flag(self) -> Flag {
        Flag { kind: self.kind.as_str().into(), rule: self.rule.into(), severity: self.severity }
    }
}
