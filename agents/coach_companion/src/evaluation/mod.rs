//! How good the sentinel is: labelled messages through it, and what it made of them.
//!
//! Needs no model. `cargo run -p coach_companion --bin evaluate` prints the figures, `tests/coach/evaluation.rs`
//! holds them against `evaluation/thresholds.toml`.

pub mod cases;
pub mod conversations;
pub mod html;
pub mod reports;
pub mod table;

use std::collections::BTreeMap;

use agentcore_runtime::core::guard::SafetyAction;
use agentcore_runtime::prelude::{Guard, Heard, Severity, Verdict};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::payload::UserContext;
use crate::sentinel::{GENTLE, Sentinel};
use cases::Case;
use reports::Reports;

/// What an expectation of nothing is called.
pub const NONE: &str = "none";

static THRESHOLDS: &str = include_str!(concat!(env!("OUT_DIR"), "/evaluation/thresholds.json"));

/// A case, and what the sentinel made of it.
#[derive(Debug, Clone)]
pub struct Judged {
    /// The case.
    pub case: Case,
    /// The flags' kinds and rules, the gravest first.
    pub flags: Vec<(String, String)>,
    /// The gravest flag's severity.
    pub severity: Severity,
    /// Whether the sentinel answered itself.
    pub is_answered: bool,
}

/// A part of a whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Share {
    /// How many.
    pub of: usize,
    /// How many of them.
    pub count: usize,
}

/// The figures of one split.
#[derive(Debug, Clone, Serialize)]
pub struct Figures {
    /// Of the crises, those that were found as a crisis.
    pub crisis_recall: Share,
    /// Of the crises, those that raised any flag at all.
    pub crises_noticed: Share,
    /// Of ordinary talk, what raised any flag.
    pub false_alarms: Share,
    /// Of ordinary talk, what was taken for a crisis.
    pub false_crises: Share,
    /// Of each kind's messages, those that raised a flag of that kind.
    pub recall_by_kind: BTreeMap<String, Share>,
    /// Of each kind's flags, those that were right.
    pub precision_by_kind: BTreeMap<String, Share>,
    /// Of each group's messages, those that were judged as they should be.
    pub right_by_group: BTreeMap<String, Share>,
}

/// What the figures of the split that is not tuned on must reach, as `evaluation/thresholds.toml` says.
#[derive(Debug, Deserialize)]
pub struct HeldOutThresholds {
    /// Where the sentinel decides alone.
    pub alone: Thresholds,
    /// Where a model is asked as well.
    pub with_second_reader: Thresholds,
}

/// What figures must reach.
#[derive(Debug, Deserialize)]
pub struct Thresholds {
    /// The least crisis recall.
    pub crisis_recall: f64,
    /// The most false alarms.
    pub false_alarms: f64,
    /// The most of ordinary talk that is taken for a crisis.
    pub false_crises: f64,
    /// The least recall of kinds.
    pub recall_by_kind: BTreeMap<String, f64>,
}

/// Shows a message to the sentinel, as the first of a session. Nobody else is asked.
pub fn judge(case: Case) -> Judged {
    decided(case, |_, _, verdict| verdict)
}

/// The same where a model is asked what the sentinel doubts, and reports what it has reported before. A message that it
/// has not reported on is decided by the sentinel alone, as where the model fails.
pub fn judge_with_reports(case: Case, reports: &Reports) -> Judged {
    decided(case, |sentinel, heard, verdict| match (sentinel.doubts(heard, &verdict), reports.of(heard.text)) {
        (Some(_), Some(told)) => sentinel.reconsiders(heard, verdict, &told),
        _ => verdict,
    })
}

fn decided(case: Case, reconsidered: impl FnOnce(&Sentinel, &Heard<'_>, Verdict) -> Verdict) -> Judged {
    let sentinel = Sentinel::for_user(&UserContext::default());
    let heard = Heard { text: &case.says, history: &[] };
    let verdict = reconsidered(&sentinel, &heard, sentinel.inspect(&heard));
    let is_answered = matches!(verdict, Verdict::Answer { .. });
    let flags = match verdict {
        Verdict::Allow => Vec::new(),
        Verdict::Annotate { flags, .. } | Verdict::Answer { flags, .. } => flags,
    };
    let severity = flags.iter().map(|flag| flag.severity).max().unwrap_or_default();
    let flags = flags.into_iter().map(|flag| (flag.kind.into_owned(), flag.rule.into_owned())).collect();
    Judged { case, flags, severity, is_answered }
}

// === impl Judged ===

impl Judged {
    /// What a coach that is called made of a message, by its answer's `safety`; none where that is none.
    pub fn in_answer(case: Case, safety: &Value) -> Option<Self> {
        let told = |member: &str| safety[member].as_str();
        let is_named = |severity: &Severity| Some(severity.as_str()) == told("severity");
        let severity = Severity::ALL.into_iter().find(is_named)?;
        let flags = safety["flags"].as_array()?.iter().filter(|flag| flag["rule"] != GENTLE);
        let flags = flags.map(|flag| Some((flag["kind"].as_str()?.to_owned(), flag["rule"].as_str()?.to_owned())));
        let is_answered = told("action") == Some(SafetyAction::Answered.as_str());
        Some(Self { case, flags: flags.collect::<Option<_>>()?, severity, is_answered })
    }

    /// The kind that should be found; [`NONE`] for ordinary talk.
    pub fn expected(&self) -> &'static str {
        self.case.expected.map_or(NONE, |(kind, _)| kind.as_str())
    }

    /// The kind that was found first; [`NONE`] where none was.
    pub fn found(&self) -> &str {
        self.flags.first().map_or(NONE, |(kind, _)| kind)
    }

    /// How grave it should be.
    pub fn expected_severity(&self) -> Severity {
        self.case.expected.map(|(_, severity)| severity).unwrap_or_default()
    }

    /// Whether it raised a flag of the kind it should, a crisis as a crisis; nothing for ordinary talk.
    pub fn is_right(&self) -> bool {
        match self.case.expected {
            None => self.flags.is_empty(),
            Some((_, Severity::Crisis)) => self.severity == Severity::Crisis,
            Some((kind, _)) => self.flags.iter().any(|(found, _)| found == kind.as_str()),
        }
    }
}

// === impl Share ===

impl Share {
    /// Counts those of `all` that `fit`.
    pub fn of<'a>(all: impl IntoIterator<Item = &'a Judged>, fits: impl Fn(&Judged) -> bool) -> Self {
        let mut share = Self::default();
        for judged in all {
            share.of += 1;
            share.count += usize::from(fits(judged));
        }
        share
    }

    /// As a number from 0 to 1; 1 where there is nothing to count.
    #[expect(clippy::cast_precision_loss, reason = "counts of some thousands")]
    pub fn value(self) -> f64 {
        if self.of == 0 { 1.0 } else { self.count as f64 / self.of as f64 }
    }

    /// Counts one more.
    pub fn add(&mut self, fits: bool) {
        self.of += 1;
        self.count += usize::from(fits);
    }
}

// === impl Figures ===

impl Figures {
    /// The figures of cases that were judged.
    pub fn of(judged: &[Judged]) -> Self {
        let crises = || judged.iter().filter(|judged| judged.expected_severity() == Severity::Crisis);
        let ordinary = || judged.iter().filter(|judged| judged.case.expected.is_none());
        let mut recall_by_kind: BTreeMap<String, Share> = BTreeMap::new();
        let mut precision_by_kind: BTreeMap<String, Share> = BTreeMap::new();
        let mut right_by_group: BTreeMap<String, Share> = BTreeMap::new();
        for judged in judged {
            let expected = judged.expected();
            if expected != NONE {
                let is_found = judged.flags.iter().any(|(kind, _)| kind == expected);
                recall_by_kind.entry(expected.to_owned()).or_default().add(is_found);
            }
            if judged.found() != NONE {
                let is_right = judged.found() == expected;
                precision_by_kind.entry(judged.found().to_owned()).or_default().add(is_right);
            }
            right_by_group.entry(judged.case.group.clone()).or_default().add(judged.is_right());
        }
        Self {
            crisis_recall: Share::of(crises(), |judged| judged.severity == Severity::Crisis),
            crises_noticed: Share::of(crises(), |judged| !judged.flags.is_empty()),
            false_alarms: Share::of(ordinary(), |judged| !judged.flags.is_empty()),
            false_crises: Share::of(ordinary(), |judged| judged.severity == Severity::Crisis),
            recall_by_kind,
            precision_by_kind,
            right_by_group,
        }
    }

    /// What of the thresholds is not reached, a sentence each.
    pub fn failures(&self, thresholds: &Thresholds) -> Vec<String> {
        let mut failures = Vec::new();
        let mut check = |what: &str, share: Share, is_met: bool, bound: f64| {
            if !is_met {
                failures.push(format!("{what} is {:.4} ({} of {}), not {bound}", share.value(), share.count, share.of));
            }
        };
        let Self { crisis_recall, false_alarms, false_crises, .. } = *self;
        check(
            "the crisis recall",
            crisis_recall,
            crisis_recall.value() >= thresholds.crisis_recall,
            thresholds.crisis_recall,
        );
        check(
            "the share of false alarms",
            false_alarms,
            false_alarms.value() <= thresholds.false_alarms,
            thresholds.false_alarms,
        );
        check(
            "the share of false crises",
            false_crises,
            false_crises.value() <= thresholds.false_crises,
            thresholds.false_crises,
        );
        for (kind, least) in &thresholds.recall_by_kind {
            let share = self.recall_by_kind.get(kind).copied().unwrap_or_default();
            check(&format!("the recall of {kind}"), share, share.of > 0 && share.value() >= *least, *least);
        }
        failures
    }
}

// === impl HeldOutThresholds ===

impl HeldOutThresholds {
    /// Those of `evaluation/thresholds.toml`.
    ///
    /// # Errors
    /// When the file has not the members it needs.
    pub fn read() -> Result<Self, serde_json::Error> {
        serde_json::from_str(THRESHOLDS)
    }
}
