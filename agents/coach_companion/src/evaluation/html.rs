//! The figures as one page for people: a confusion matrix and every miss, no script, nothing from elsewhere.

use std::fmt::Write as _;

use agentcore_runtime::prelude::Severity;

use super::{Figures, Judged, NONE, Share};
use crate::sentinel::kind::Kind;

const STYLE: &str = "\
body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:78rem;padding:0 1rem;color:#1b1f24;background:#fff}\
table{border-collapse:collapse;margin:1rem 0}th,td{border:1px solid #c9d1d9;padding:.3rem .6rem;text-align:left;\
vertical-align:top}td.n{text-align:right;font-variant-numeric:tabular-nums}th.c{writing-mode:vertical-rl;\
transform:rotate(180deg);padding:.6rem .3rem}.ok{background:#dcf5e3}.bad{background:#fde2e1}small{color:#57606a}";

/// A page of the splits, each with its name.
pub fn page(version: &str, splits: &[(&str, &Figures, &[Judged])]) -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>How good the sentinel is</title>\
         <style>{STYLE}</style>\n<h1>How good the sentinel is</h1>\n\
         <p><small>coach_companion {}. Each message was read alone, as the first of a session; \
         no model was asked, except as a heading says.</small></p>\n",
        escaped(version)
    );
    for (name, figures, judged) in splits {
        // Writing to a string does not fail.
        let _ = writeln!(page, "<h2>{}: {} messages</h2>", escaped(name), judged.len());
        summary(&mut page, figures);
        matrix(
            &mut page,
            "Kinds: expected in rows, found first in columns",
            judged,
            &kinds(),
            |judged| judged.expected(),
            |judged| judged.found(),
        );
        let severities = [Severity::None, Severity::Info, Severity::Elevated, Severity::Crisis].map(Severity::as_str);
        let expected = |judged: &Judged| judged.expected_severity().as_str();
        matrix(&mut page, "Severities", judged, &severities, expected, |judged| judged.severity.as_str());
        misses(&mut page, judged);
    }
    page
}

fn kinds() -> Vec<&'static str> {
    Kind::ALL.into_iter().map(Kind::as_str).chain([NONE]).collect()
}

fn summary(page: &mut String, figures: &Figures) {
    page.push_str("<table><tr><th>what</th><th>share</th><th>messages</th></tr>\n");
    let mut row = |what: &str, share: Share| {
        let (percent, Share { count, of }) = (share.value() * 100.0, share);
        let what = escaped(what);
        let _ =
            writeln!(page, "<tr><td>{what}</td><td class=n>{percent:.1} %</td><td class=n>{count} of {of}</td></tr>");
    };
    row("crises found as a crisis", figures.crisis_recall);
    row("crises noticed at all", figures.crises_noticed);
    row("ordinary talk flagged", figures.false_alarms);
    row("ordinary talk taken for a crisis", figures.false_crises);
    for (kind, share) in &figures.recall_by_kind {
        row(&format!("{kind} found"), *share);
    }
    for (group, share) in &figures.right_by_group {
        row(&format!("group {group}: judged as it should be"), *share);
    }
    page.push_str("</table>\n");
}

fn matrix<'a>(
    page: &mut String,
    title: &str,
    judged: &'a [Judged],
    names: &[&str],
    row_of: impl Fn(&'a Judged) -> &'a str,
    column_of: impl Fn(&'a Judged) -> &'a str,
) {
    let _ = write!(page, "<h3>{}</h3>\n<table><tr><th></th>", escaped(title));
    for name in names {
        let _ = write!(page, "<th class=c>{name}</th>");
    }
    page.push_str("</tr>\n");
    for row in names {
        let _ = write!(page, "<tr><th>{row}</th>");
        for column in names {
            let count = judged.iter().filter(|judged| row_of(judged) == *row && column_of(judged) == *column).count();
            let class = match count {
                0 => "n",
                _ if row == column => "n ok",
                _ => "n bad",
            };
            let shown = if count == 0 { String::new() } else { count.to_string() };
            let _ = write!(page, "<td class=\"{class}\">{shown}</td>");
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</table>\n");
}

fn misses(page: &mut String, judged: &[Judged]) {
    let misses: Vec<&Judged> = judged.iter().filter(|judged| !judged.is_right()).collect();
    let _ = write!(
        page,
        "<h3>{} misses</h3>\n<table><tr><th>expected</th><th>found</th><th>message</th></tr>\n",
        misses.len()
    );
    for miss in misses {
        let found: Vec<String> = miss.flags.iter().map(|(kind, rule)| format!("{kind} by {rule}")).collect();
        let found = if found.is_empty() { NONE.to_owned() } else { found.join(", ") };
        let (kind, severity, says) = (miss.expected(), miss.expected_severity().as_str(), escaped(&miss.case.says));
        let _ = writeln!(page, "<tr><td>{kind} {severity}</td><td>{}</td><td>{says}</td></tr>", escaped(&found));
    }
    page.push_str("</table>\n");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
