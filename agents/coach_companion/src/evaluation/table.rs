//! The figures as a table for the terminal.

use std::fmt::Write as _;

use super::{Figures, Judged, Share};

/// The figures of a split, and every message that was not judged as it should be.
pub fn table(split: &str, figures: &Figures, judged: &[Judged], lists_misses: bool) -> String {
    let mut told = format!("{split}: {} messages\n\n", judged.len());
    line(&mut told, "crises found as a crisis", figures.crisis_recall);
    line(&mut told, "crises noticed at all", figures.crises_noticed);
    line(&mut told, "ordinary talk flagged", figures.false_alarms);
    line(&mut told, "ordinary talk taken for a crisis", figures.false_crises);
    // Writing to a string does not fail.
    let _ = writeln!(told, "\n{:<26}{:>22}{:>22}", "kind", "found", "right when first");
    for (kind, recall) in &figures.recall_by_kind {
        let precision = figures.precision_by_kind.get(kind).copied().unwrap_or_default();
        let (recall, precision) = (cell(*recall), cell(precision));
        let _ = writeln!(told, "  {kind:<24}{recall:>22}{precision:>22}");
    }
    let _ = writeln!(told, "\n{:<26}{:>22}", "group", "judged as it should be");
    for (group, right) in &figures.right_by_group {
        let _ = writeln!(told, "  {group:<24}{:>22}", cell(*right));
    }
    let misses: Vec<&Judged> = judged.iter().filter(|judged| !judged.is_right()).collect();
    if lists_misses && !misses.is_empty() {
        let _ = writeln!(told, "\nmisses: {}", misses.len());
        for miss in misses {
            let rules: Vec<String> = miss.flags.iter().map(|(kind, rule)| format!("{kind}/{rule}")).collect();
            let found = if rules.is_empty() { "nothing".to_owned() } else { rules.join(", ") };
            let (expected, severity) = (miss.expected(), miss.expected_severity().as_str());
            let _ = writeln!(told, "  {expected} {severity}, found {found}: {}", miss.case.says);
        }
    }
    told
}

fn line(told: &mut String, what: &str, share: Share) {
    let _ = writeln!(told, "  {what:<34}{:>22}", cell(share));
}

fn cell(share: Share) -> String {
    if share.of == 0 {
        "–".to_owned()
    } else {
        format!("{:.1} % ({}/{})", share.value() * 100.0, share.count, share.of)
    }
}
