//! Metric filters' patterns, as CloudWatch Logs reads them: as much of the language as the templates use.
//!
//! Neither moto nor ministack can stand in: moto takes a pattern in braces for one that matches everything, and so does
//! ministack. What is not understood here fails the test that asks, so a pattern that passes is one that was evaluated.

use std::str::FromStr;

use serde_json::Value;

/// A pattern of the form `{ $.member = "text" && $.other = 1 }`.
#[derive(Debug, PartialEq)]
pub(super) struct FilterPattern(Vec<(String, Value)>);

// === impl FilterPattern ===

impl FilterPattern {
    /// Whether a line is counted. One that is no JSON object, or lacks a member, is not.
    pub(super) fn matches(&self, line: &Value) -> bool {
        self.0.iter().all(|(member, wanted)| line.get(member).is_some_and(|value| is_same(value, wanted)))
    }

    /// The members it looks at.
    pub(super) fn members(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(member, _)| member.as_str())
    }
}

impl FromStr for FilterPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let not_understood = || format!("`{text}` is not understood here");
        let inner = text.trim().strip_prefix('{').and_then(|text| text.strip_suffix('}')).ok_or_else(not_understood)?;
        let conditions = inner.split("&&").map(|condition| {
            let (member, wanted) = condition.split_once('=')?;
            let member = member.trim().strip_prefix("$.")?;
            let is_plain = !member.is_empty() && member.bytes().all(|byte| byte.is_ascii_alphanumeric());
            let wanted: Value = serde_json::from_str(wanted.trim()).ok()?;
            // An asterisk would match anything in its place, and a backslash hide something.
            let is_exact = match &wanted {
                Value::String(text) => !text.contains(['*', '\\', '"']),
                Value::Number(_) => true,
                _ => false,
            };
            (is_plain && is_exact).then(|| (member.to_owned(), wanted))
        });
        conditions.collect::<Option<Vec<_>>>().map(Self).ok_or_else(not_understood)
    }
}

/// Numbers are the same by their value, however they are written.
pub(super) fn is_same(value: &Value, wanted: &Value) -> bool {
    match (value.as_f64(), wanted.as_f64()) {
        (Some(value), Some(wanted)) => value.to_bits() == wanted.to_bits(),
        _ => value == wanted,
    }
}

// === tests ===

#[test]
fn a_line_matches_by_every_member_and_not_without_one() {
    let pattern: FilterPattern = r#"{ $.level = "ERROR" && $.status = 500 }"#.parse().expect("a pattern");
    assert!(pattern.matches(&serde_json::json!({ "level": "ERROR", "status": 500.0 })));
    assert!(!pattern.matches(&serde_json::json!({ "level": "ERROR" })));
    assert!(!pattern.matches(&serde_json::json!({ "level": "WARN", "status": 500 })));
    assert!(!pattern.matches(&Value::Null));
}

#[test]
fn what_is_not_understood_is_said() {
    for text in ["ERROR", "{ $.a = * }", r#"{ $.a = "x*" }"#, r#"{ $.a != "x" }"#, "{ $.a = 1 || $.b = 2 }", "{}"] {
        assert!(text.parse::<FilterPattern>().is_err(), "{text}");
    }
}
