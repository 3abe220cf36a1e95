//! Trains the sentinel's classifier and says how good it is: writes `data/classifier.bin` and `data/classifier.md`.
//!
//! ```console
//! $ cargo run --release -p coach_companion --example train_classifier
//! ```
//!
//! Reads the tuning split of the evaluation and nothing else. The same data gives the same bytes: what is random is
//! drawn from a generator of its own with a fixed seed.

mod network;
mod phrases;
mod random;
mod report;

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use coach_companion::evaluation::cases::{Case, read_folder};
use coach_companion::sentinel::classifier::phrases::SIDES;
use coach_companion::sentinel::classifier::{
    CLASSES, CRISIS, Classifier, Decision, NOTHING, OF_SIDE, OTHER, Reading, Weights, evidence,
};
use coach_companion::sentinel::finding::Finding;
use coach_companion::sentinel::rules;
use coach_companion::sentinel::text::Text;

use random::Random;
use report::Trial;

/// One message in so many is also told beside ordinary talk.
const JOINED: usize = 4;
/// One message in so many is also told mistyped.
const MISTYPED: usize = 4;
/// Into how many groups the authors are dealt; a group is left out together.
const GROUPS: usize = 5;

/// How the two readers are heard before it is known how well each hears.
const UNDECIDED: Decision = Decision { mix: [[0.0, 2.0, 0.4]; SIDES], least: [f32::MAX; SIDES], preference: 0.0 };

/// A message to learn from.
pub(crate) struct Sample {
    text: Text,
    class: usize,
    /// Whether somebody wrote it so.
    is_original: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let cases = read_folder(&root.join("evaluation/tuning"))?;
    if !cases.iter().any(|case| case.file.starts_with(ADVERSARIAL)) {
        return Err(format!("evaluation/tuning/{ADVERSARIAL} has no messages; has the folder another name?").into());
    }
    let found: Vec<Vec<Finding>> = cases.iter().map(|case| rules::find(&Text::of(&case.says))).collect();
    // What ships has seen every fold, and needs of them only the decision: it is learned beside them.
    let (mut readings, weights) = thread::scope(|scope| {
        let weights = scope.spawn(|| train(&cases.iter().collect::<Vec<_>>()));
        (out_of_fold(&cases, &authors(&cases)), weights.join().expect("learning does not fail"))
    });
    let decision = decision(&cases, &mut readings, &found);
    let bytes = Weights { decision, ..weights }.write();
    let trial = Trial { readings, found: &found };
    let told = report::report(&cases, &trial, &decision, bytes.len())?;
    print!("{told}");
    fs::write(root.join("data/classifier.bin"), bytes)?;
    fs::write(root.join("data/classifier.md"), told)?;
    Ok(())
}

/// The group of each case's author; a file has one author.
fn authors(cases: &[Case]) -> Vec<usize> {
    let files: BTreeSet<&str> = cases.iter().map(|case| case.file.as_str()).collect();
    let groups: BTreeMap<&str, usize> = files.into_iter().zip((0..GROUPS).cycle()).collect();
    cases.iter().map(|case| groups[case.file.as_str()]).collect()
}

/// What a classifier that has not seen a case says of it. Folds are learned side by side.
fn out_of_fold(cases: &[Case], folds: &[usize]) -> Vec<Reading> {
    let count = folds.iter().copied().max().unwrap_or_default() + 1;
    let next = AtomicUsize::new(0);
    let learn = || {
        let mut read = Vec::new();
        while let Some(fold) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|fold| *fold < count) {
            read.extend(without(fold, cases, folds));
        }
        read
    };
    let mut read: Vec<(usize, Reading)> = thread::scope(|scope| {
        let workers = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let learning: Vec<_> = (0..workers).map(|_| scope.spawn(learn)).collect();
        learning.into_iter().flat_map(|worker| worker.join().expect("learning does not fail")).collect()
    });
    read.sort_by_key(|(place, _)| *place);
    read.into_iter().map(|(_, reading)| reading).collect()
}

/// What a classifier that has seen all but one fold says of it, by the cases' places.
fn without(fold: usize, cases: &[Case], folds: &[usize]) -> Vec<(usize, Reading)> {
    let seen: Vec<&Case> = cases.iter().zip(folds).filter(|(_, of)| **of != fold).map(|(case, _)| case).collect();
    // As it will be read: what is written down is a little less than what was learned.
    let classifier = Classifier::new(Weights::read(&train(&seen).write()).expect("it was just written"));
    let left_out = cases.iter().enumerate().filter(|(place, _)| folds[*place] == fold);
    left_out.map(|(place, case)| (place, classifier.read_text(&Text::of(&case.says)))).collect()
}

fn class_of(case: &Case) -> usize {
    let class = case.expected.and_then(|expected| CLASSES.iter().position(|class| *class == expected));
    class.unwrap_or(NOTHING)
}

// === training ===

fn train(cases: &[&Case]) -> Weights {
    let mut random = Random(0xfeed_0001);
    let samples = augmented(cases, &mut random);
    let known = network::Known::of(&samples);
    Weights {
        decision: UNDECIDED,
        phrases: phrases::train(&samples, &mut random),
        network: network::train(&samples, &known, &mut random),
        words: known.keys,
    }
}

/// The cases, and variants of them: with a sentence of somebody's ordinary talk before or after, and mistyped.
fn augmented(cases: &[&Case], random: &mut Random) -> Vec<Sample> {
    let ordinary: Vec<&str> =
        cases.iter().filter(|case| case.expected.is_none()).map(|case| case.says.as_str()).collect();
    let mut samples = Vec::new();
    for case in cases {
        let class = class_of(case);
        let mut add = |says: &str, is_original| samples.push(Sample { text: Text::of(says), class, is_original });
        add(&case.says, true);
        if random.below(JOINED) == 0 {
            let beside = ordinary.get(random.below(ordinary.len())).copied().unwrap_or_default();
            let (first, second) =
                if random.below(2) == 0 { (beside, case.says.as_str()) } else { (&*case.says, beside) };
            add(&format!("{first}. {second}"), false);
        }
        if random.below(MISTYPED) == 0 {
            add(&mistyped(&case.says, random), false);
        }
    }
    samples
}

/// One letter in thirty left out or swapped with the next.
fn mistyped(text: &str, random: &mut Random) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    for place in (1..letters.len().saturating_sub(1)).rev() {
        match random.below(60) {
            0 => {
                letters.remove(place);
            }
            1 => letters.swap(place, place + 1),
            _ => {}
        }
    }
    letters.into_iter().collect()
}

// === what counts ===

/// Where the files are that were written against a classifier, going on with what it got wrong.
pub(crate) const ADVERSARIAL: &str = "adversarial/";
/// The most of ordinary talk that may be taken for a crisis, and that may raise any flag, in the files that nobody wrote
/// against a classifier: the others would tell how often people mislead it who try to. More than is aimed at: most of
/// it here has the words of danger, and of what people say little has. Crises have most of it: to miss one is worse than
/// to miss a milder kind, of which fewer are found for that where no second reader is on.
pub(crate) const FALSE_CRISES: f64 = 0.032;
pub(crate) const FALSE_ALARMS: f64 = 0.04;
/// The most of what is something else that may be taken for a crisis.
const TOO_GRAVE: f64 = 0.15;

/// How both readers' words are mixed and what counts, so that it keeps to those bounds with authors it never read.
fn decision(cases: &[Case], readings: &mut [Reading], found: &[Vec<Finding>]) -> Decision {
    let classes: Vec<usize> = cases.iter().map(class_of).collect();
    let mix = std::array::from_fn(|side| mix(&classes, readings, side));
    let mut decision = Decision { mix, ..UNDECIDED };
    for reading in readings.iter_mut() {
        reading.decide(&decision);
    }
    let ordinary = |side: usize, counts: &dyn Fn(&Reading, [f32; SIDES]) -> bool| -> Vec<f32> {
        let all = readings.iter().zip(found).zip(cases).filter(|(_, case)| is_plain_talk(case));
        let all = all.map(|((reading, found), _)| (reading, evidence(found)));
        all.filter(|(reading, evidence)| counts(reading, *evidence))
            .map(|(reading, evidence)| reading.danger[side] + evidence[side])
            .collect()
    };
    let crises = ordinary(CRISIS, &|_, _| true);
    decision.least[CRISIS] = bound(crises.clone(), crises.len(), FALSE_CRISES);
    let least = decision.least[CRISIS];
    let others = ordinary(OTHER, &|reading, evidence| reading.danger[CRISIS] + evidence[CRISIS] < least);
    decision.least[OTHER] = bound(others, crises.len(), FALSE_ALARMS - FALSE_CRISES);
    let others: Vec<f32> = readings
        .iter()
        .zip(&classes)
        .filter(|(reading, class)| OF_SIDE[OTHER].contains(*class) && reading.danger[CRISIS] >= least)
        .map(|(reading, _)| reading.windows[CRISIS].preference())
        .collect();
    let all = classes.iter().filter(|class| OF_SIDE[OTHER].contains(*class)).count();
    decision.preference = bound(others, all, TOO_GRAVE).min(0.0);
    decision
}

fn is_plain_talk(case: &Case) -> bool {
    class_of(case) == NOTHING && !case.file.starts_with(ADVERSARIAL)
}

/// The score that no more than a share of `all` reach.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small")]
fn bound(mut scores: Vec<f32>, all: usize, share: f64) -> f32 {
    scores.sort_by(|one, other| other.total_cmp(one));
    scores.get((all as f64 * share) as usize).copied().unwrap_or(f32::MIN) + 1e-4
}

/// What is added and by what the two readers are multiplied, so that it comes to the logarithm of the odds of one side
/// against ordinary talk (logistic regression).
fn mix(classes: &[usize], readings: &[Reading], side: usize) -> [f32; 3] {
    const STEPS: usize = 4_000;
    // The network speaks some ten times as loud as phrases.
    const SCALE: [f64; 3] = [1.0, 1.0, 0.2];
    let of = |(reading, class): (&Reading, &usize)| {
        let is_of_it = OF_SIDE[side].contains(class);
        let window = &reading.windows[side];
        let said = [1.0, f64::from(window.phrases[side]), f64::from(window.likelier(side)) * SCALE[2]];
        (is_of_it || *class == NOTHING).then_some((said, f64::from(u8::from(is_of_it))))
    };
    let samples: Vec<([f64; 3], f64)> = readings.iter().zip(classes).filter_map(of).collect();
    #[expect(clippy::cast_precision_loss, reason = "some thousands")]
    let rate = 2.0 / samples.len().max(1) as f64;
    let mut mix = [0.0_f64; 3];
    for _ in 0..STEPS {
        let mut slopes = [0.0; 3];
        for (said, is_of_it) in &samples {
            let odds: f64 = mix.iter().zip(said).map(|(mix, said)| mix * said).sum();
            let error = is_of_it - 1.0 / (1.0 + (-odds).exp());
            for (slope, said) in slopes.iter_mut().zip(said) {
                *slope += error * said;
            }
        }
        for (mix, slope) in mix.iter_mut().zip(slopes) {
            *mix += rate * slope;
        }
    }
    #[expect(clippy::cast_possible_truncation, reason = "small")]
    std::array::from_fn(|place| (mix[place] * SCALE[place]) as f32)
}
