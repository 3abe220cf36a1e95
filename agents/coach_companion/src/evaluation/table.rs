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
    told.push_str("\nkind                          found            right when first\n");
    for (kind, recall) in &figures.recall_by_kind {
        let precision = figures.precision_by_kind.get(kind).copied().unwrap_or_default();
        let (recall, precision) = (cell(*recall), cell(precision));
        // Writing to a string does not fail.
        let _ = writeln!(told, "  {kind:<26}{recall:>18}{precision:>18}");
    }
    told.push_str("\ngroup                         judged as it should be\n");
    for (group, right) in &figures.right_by_group {
        let _ = writeln!(told, "  {group:<26}{:>18}", cell(*right));
    }
    let misses: Vec<&Judged> = judged.iter().filter(|judged| !judged.is_right()).collect();
    if lists_misses && !misses.is_empty() {
        let _ = writeln!(told, "\n{} misses", misses.len());
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
    let _ = writeln!(told, "  {what:<34}{:>18}", cell(share));
}

fn cell(share: Share) -> String {
    if share.of == 0 {
        "–".to_owned()
    } else {
        format!("{:.1} % ({}/{})", share.value() * 100.0, share.count, share.of)
    }
}
