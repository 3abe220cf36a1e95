//! How good a classifier is at messages that it was not trained on, as `data/classifier.md` tells it.

use std::fmt::{Error, Write as _};

use agentcore_runtime::prelude::Severity;
use coach_companion::evaluation::cases::Case;
use coach_companion::sentinel::classifier::{CLASSES, CRISIS, Decision, NOTHING, OF_SIDE, OTHER, Reading};
use coach_companion::sentinel::finding::Finding;
use coach_companion::sentinel::kind::Kind;

use crate::{ADVERSARIAL, FALSE_ALARMS, FALSE_CRISES, class_of};

/// What every case comes to, read by a classifier that has not seen it nor anything else of its author.
pub(crate) struct Trial<'a> {
    pub(crate) readings: Vec<Reading>,
    pub(crate) found: &'a [Vec<Finding>],
}

pub(crate) fn report(cases: &[Case], trial: &Trial<'_>, decision: &Decision, bytes: usize) -> Result<String, Error> {
    let ordinary = cases.iter().filter(|case| case.expected.is_none()).count();
    let Decision { least, preference, .. } = decision;
    let judged: Vec<Vec<Finding>> = trial.judged(decision);
    let mut told = String::new();
    writeln!(
        told,
        "# The sentinel's classifier\n\nWritten by `cargo run --release -p coach_companion --example train_classifier`.\n\n\
         Trained on the {} messages of the tuning split, {ordinary} of them ordinary talk, most of that look-alikes; \
         {bytes} bytes of weights.\n\nA message counts as a crisis from a danger of {:.2} on, and as anything else from \
         {:.2} on; danger is the logarithm of the odds against ordinary talk, and a rule's finding adds to it. It is called a crisis where that \
         is no less than {:.2} likelier than anything else, told in the same way.\n\nWhat rules and classifier say together of \
         messages by authors that the classifier was not trained on (a kind that few others wrote of was then hardly \
         seen). Rules were written with some of these messages at hand, so `evaluation/held_out` says more.\n",
        cases.len(),
        least[CRISIS],
        least[OTHER],
        preference
    )?;
    writeln!(told, "| kind | severity | messages | found |\n| --- | --- | --- | --- |")?;
    for class in CLASSES {
        let count = cases.iter().filter(|case| case.expected == Some(class)).count();
        let own = cases.iter().zip(&judged).filter(|(case, _)| case.expected == Some(class));
        let found = share(own.map(|(_, findings)| is_found(class, findings)));
        writeln!(told, "| {} | {} | {count} | {found} |", class.0, class.1.as_str())?;
    }
    writeln!(
        told,
        "\n{} Of ordinary talk in the files that nobody wrote against a classifier, those outside of `{ADVERSARIAL}`, {:.1} % \
         and {:.1} % are the bounds.",
        in_short(cases, &judged),
        100.0 * FALSE_CRISES,
        100.0 * FALSE_ALARMS
    )?;
    told += &by_file(cases, &judged)?;
    Ok(told + &calibration(cases, trial)?)
}

fn is_found((kind, severity): (Kind, Severity), findings: &[Finding]) -> bool {
    match severity {
        Severity::Crisis => is_crisis(findings),
        _ => findings.iter().any(|finding| finding.kind == kind),
    }
}

fn is_crisis(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.severity == Severity::Crisis)
}

/// Of the crises, those found as such and as anything; of the rest, what was taken for one.
fn in_short(cases: &[Case], judged: &[Vec<Finding>]) -> String {
    let of = |fits: &dyn Fn(usize) -> bool| -> Vec<&Vec<Finding>> {
        cases.iter().zip(judged).filter(|(case, _)| fits(class_of(case))).map(|(_, findings)| findings).collect()
    };
    let as_crisis = |found: &[&Vec<Finding>]| share(found.iter().map(|found| is_crisis(found)));
    let as_anything = |found: &[&Vec<Finding>]| share(found.iter().map(|found| !found.is_empty()));
    let crises = of(&|class| OF_SIDE[CRISIS].contains(&class));
    let others = of(&|class| OF_SIDE[OTHER].contains(&class));
    let ordinary = of(&|class| class == NOTHING);
    format!(
        "Of the crises {} are found as such and {} as anything; of what is something else {} are found as anything and \
         {} are taken for a crisis; of ordinary talk {} is taken for a crisis and {} for anything.",
        as_crisis(&crises),
        as_anything(&crises),
        as_anything(&others),
        as_crisis(&others),
        as_crisis(&ordinary),
        as_anything(&ordinary)
    )
}

fn by_file(cases: &[Case], judged: &[Vec<Finding>]) -> Result<String, Error> {
    let mut told =
        "\n| file | crises | found | ordinary | false alarms |\n| --- | --- | --- | --- | --- |\n".to_owned();
    let mut files: Vec<&str> = cases.iter().map(|case| case.file.as_str()).collect();
    files.dedup();
    for file in files {
        let of = |range: std::ops::Range<usize>| {
            let own =
                cases.iter().zip(judged).filter(move |(case, _)| case.file == file && range.contains(&class_of(case)));
            own.map(|(_, findings)| findings)
        };
        let (crises, ordinary) = (OF_SIDE[CRISIS].clone(), NOTHING..NOTHING + 1);
        writeln!(
            told,
            "| {file} | {} | {} | {} | {} |",
            of(crises.clone()).count(),
            share(of(crises).map(|found| is_crisis(found))),
            of(ordinary.clone()).count(),
            share(of(ordinary).map(|found| !found.is_empty()))
        )?;
    }
    Ok(told)
}

fn calibration(cases: &[Case], trial: &Trial<'_>) -> Result<String, Error> {
    let mut told =
        "\n## Calibration\n\nOf crises and ordinary talk, how often a message was a crisis, by how likely the \
                    classifier thought so, without the rules.\n\n| said | messages | were |\n| --- | --- | --- |\n"
            .to_owned();
    for bin in 0..10_u8 {
        let (from, to) = (f32::from(bin) / 10.0, f32::from(bin + 1) / 10.0);
        // The last bin has its end in it.
        let bin = from..to + f32::from(bin / 9);
        let is_in = |reading: &Reading| bin.contains(&(1.0 / (1.0 + (-reading.danger[CRISIS]).exp())));
        let own = cases.iter().zip(&trial.readings).filter(|(_, reading)| is_in(reading));
        let classes: Vec<usize> =
            own.map(|(case, _)| class_of(case)).filter(|class| !OF_SIDE[OTHER].contains(class)).collect();
        let were = share(classes.iter().map(|class| *class != NOTHING));
        writeln!(told, "| {from:.1}–{to:.1} | {} | {were} |", classes.len())?;
    }
    Ok(told)
}

#[expect(clippy::cast_precision_loss, reason = "counts of some thousands")]
fn share(found: impl Iterator<Item = bool>) -> String {
    let all: Vec<bool> = found.collect();
    let count = all.iter().filter(|found| **found).count();
    format!("{:.1} %", 100.0 * count as f64 / all.len().max(1) as f64)
}

// === impl Trial ===

impl Trial<'_> {
    fn judged(&self, decision: &Decision) -> Vec<Vec<Finding>> {
        self.readings.iter().zip(self.found).map(|(reading, found)| reading.judge(found.clone(), decision)).collect()
    }
}
