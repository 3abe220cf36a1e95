//! Trains the sentinel's classifier and says how good it is: writes `data/classifier.bin` and `data/classifier.md`.
//!
//! ```console
//! $ cargo run --release -p coach_companion --example train_classifier
//! ```
//!
//! Reads the tuning split of the evaluation and nothing else. The same data gives the same bytes: what is random is
//! drawn from a generator of its own with a fixed seed.

use std::collections::HashMap;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use agentcore_runtime::prelude::Severity;
use coach_companion::evaluation::cases::{Case, read_folder};
use coach_companion::sentinel::classifier::{CLASSES, OUTCOMES, Reading, Scores, Thresholds, Weights, features};
use coach_companion::sentinel::finding::{Finding, without_classifier};
use coach_companion::sentinel::text::Text;

/// How many features are kept: what the binary can carry.
const KEPT: usize = 14_000;
const EPOCHS: usize = 14;
const RATE: f32 = 0.35;
const DECAY: f32 = 1e-5;
const FOLDS: usize = 5;

type Vector = Vec<(u32, f32)>;

struct Sample {
    vector: Vector,
    class: usize,
    weight: f32,
}

/// A generator of its own (xorshift), so that every run draws the same.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).unwrap_or_default()
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for place in (1..items.len()).rev() {
            items.swap(place, self.below(place + 1));
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let cases = read_folder(&root.join("evaluation/tuning"))?;
    let mut random = Random(0x5eed_c0ac);
    let mut folds: Vec<usize> = (0..cases.len()).map(|place| place % FOLDS).collect();
    random.shuffle(&mut folds);
    let by_fold = out_of_fold(&cases, &folds, FOLDS);
    let mut files: Vec<&str> = cases.iter().map(|case| case.file.as_str()).collect();
    files.dedup();
    let of_file: Vec<usize> =
        cases.iter().map(|case| files.iter().position(|file| *file == case.file).unwrap_or_default()).collect();
    let by_file = out_of_fold(&cases, &of_file, files.len());
    let thresholds = thresholds(&cases, &by_fold);
    let weights = train(&cases.iter().collect::<Vec<_>>(), thresholds);
    let bytes = weights.write();
    let alone: Vec<Vec<Finding>> = cases.iter().map(|case| without_classifier(&case.says)).collect();
    for (group, is) in [("crisis", true), ("none", false)] {
        for file in &files {
            let own: Vec<usize> = (0..cases.len())
                .filter(|p| {
                    cases[*p].file == *file
                        && if is {
                            cases[*p].expected.is_some_and(|e| e.1 == Severity::Crisis)
                        } else {
                            cases[*p].expected.is_none()
                        }
                })
                .collect();
            let rules = own
                .iter()
                .filter(|p| {
                    if is { alone[**p].iter().any(|f| f.severity == Severity::Crisis) } else { !alone[**p].is_empty() }
                })
                .count();
            let both = own
                .iter()
                .filter(|p| {
                    let c = by_fold[**p].finding(thresholds);
                    if is {
                        alone[**p].iter().chain(&c).any(|f| f.severity == Severity::Crisis)
                    } else {
                        alone[**p].iter().chain(&c).next().is_some()
                    }
                })
                .count();
            eprintln!("{group} {file}: {} rules {rules} both {both}", own.len());
        }
    }
    let told = report(&cases, &by_fold, &by_file, thresholds, bytes.len())?;
    print!("{told}");
    fs::write(root.join("data/classifier.bin"), bytes)?;
    fs::write(root.join("data/classifier.md"), told)?;
    Ok(())
}

/// What a classifier that has not seen a case says of it.
fn out_of_fold(cases: &[Case], folds: &[usize], count: usize) -> Vec<Reading> {
    let none = Thresholds { crisis: 2.0, any: 2.0 };
    let mut readings = vec![None; cases.len()];
    for fold in 0..count {
        let seen: Vec<&Case> = cases.iter().zip(folds).filter(|(_, of)| **of != fold).map(|(case, _)| case).collect();
        let weights = train(&seen, none);
        for (place, case) in cases.iter().enumerate().filter(|(place, _)| folds[*place] == fold) {
            readings[place] = Some(weights.read_text(&Text::of(&case.says)));
        }
    }
    readings.into_iter().flatten().collect()
}

fn class_of(case: &Case) -> usize {
    let class = case.expected.and_then(|expected| CLASSES.iter().position(|class| *class == expected));
    class.unwrap_or(OUTCOMES - 1)
}

// === training ===

fn train(cases: &[&Case], thresholds: Thresholds) -> Weights {
    let mut random = Random(0xfeed_0001);
    let texts = augmented(cases, &mut random);
    let mut seen: HashMap<u32, u32> = HashMap::new();
    for (text, _, is_original) in &texts {
        let mut own = hashes(text);
        own.sort_unstable();
        own.dedup();
        if *is_original {
            for hash in own {
                *seen.entry(hash).or_default() += 1;
            }
        }
    }
    let mut keys: Vec<u32> = seen.into_iter().filter(|(_, times)| *times > 1).map(|(key, _)| key).collect();
    keys.sort_unstable();
    let samples = samples(&texts, &keys);
    let (rows, _) = descend(&samples, keys.len(), EPOCHS, &mut random);
    // What moves no class much is let go, and the rest is trained again without it.
    let strength = |row: &[f32; OUTCOMES]| row.iter().map(|weight| weight * weight).sum::<f32>();
    let mut by_strength: Vec<usize> = (0..keys.len()).collect();
    by_strength.sort_by(|one, other| strength(&rows[*other]).total_cmp(&strength(&rows[*one])).then(one.cmp(other)));
    by_strength.truncate(KEPT);
    let mut kept: Vec<u32> = by_strength.into_iter().map(|place| keys[place]).collect();
    kept.sort_unstable();
    let samples = self::samples(&texts, &kept);
    let (rows, bias) = descend(&samples, kept.len(), EPOCHS, &mut random);
    quantised(&kept, &rows, bias, thresholds)
}

/// The cases, and variants of them: with a sentence of somebody's ordinary talk before or after, and mistyped.
fn augmented(cases: &[&Case], random: &mut Random) -> Vec<(Text, usize, bool)> {
    let ordinary: Vec<&str> =
        cases.iter().filter(|case| case.expected.is_none()).map(|case| case.says.as_str()).collect();
    let mut texts = Vec::new();
    for case in cases {
        let class = class_of(case);
        texts.push((Text::of(&case.says), class, true));
        let beside = ordinary.get(random.below(ordinary.len())).copied().unwrap_or_default();
        let joined =
            if random.below(2) == 0 { format!("{beside}. {}", case.says) } else { format!("{}. {beside}", case.says) };
        if random.below(3) == 0 {
            texts.push((Text::of(&joined), class, false));
        }
        if random.below(3) == 0 {
            texts.push((Text::of(&mistyped(&case.says, random)), class, false));
        }
    }
    texts
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

fn hashes(text: &Text) -> Vec<u32> {
    let mut hashes = Vec::new();
    for sentence in text.sentences() {
        features(text, sentence, |hash| hashes.push(hash));
    }
    hashes
}

fn samples(texts: &[(Text, usize, bool)], keys: &[u32]) -> Vec<Sample> {
    let mut of_class = [0_u32; OUTCOMES];
    for (_, class, _) in texts {
        of_class[*class] += 1;
    }
    let most = f64::from(of_class.into_iter().max().unwrap_or(1));
    let sample = |(text, class, _): &(Text, usize, bool)| {
        let mut counts: HashMap<u32, f32> = HashMap::new();
        for hash in hashes(text) {
            if let Ok(place) = keys.binary_search(&hash) {
                *counts.entry(u32::try_from(place).unwrap_or_default()).or_default() += 1.0;
            }
        }
        let length = counts.values().sum::<f32>().max(1.0).sqrt();
        let mut vector: Vector = counts.into_iter().map(|(place, count)| (place, count / length)).collect();
        vector.sort_unstable_by_key(|(place, _)| *place);
        #[expect(clippy::cast_possible_truncation, reason = "a small factor")]
        let weight = (most / f64::from(of_class[*class].max(1))).powf(0.35) as f32;
        Sample { vector, class: *class, weight }
    };
    texts.iter().map(sample).collect()
}

/// Softmax regression by gradient descent with a step for each weight (Adagrad).
fn descend(
    samples: &[Sample],
    features: usize,
    epochs: usize,
    random: &mut Random,
) -> (Vec<[f32; OUTCOMES]>, [f32; OUTCOMES]) {
    let mut rows = vec![[0.0_f32; OUTCOMES]; features];
    let mut grown = vec![[1e-3_f32; OUTCOMES]; features];
    let (mut bias, mut bias_grown) = ([0.0_f32; OUTCOMES], [1.0_f32; OUTCOMES]);
    let mut order: Vec<usize> = (0..samples.len()).collect();
    for _ in 0..epochs {
        random.shuffle(&mut order);
        for place in &order {
            let Sample { vector, class, weight } = &samples[*place];
            let mut logits = bias;
            for (feature, value) in vector {
                for (logit, weight) in logits.iter_mut().zip(&rows[*feature as usize]) {
                    *logit += weight * value;
                }
            }
            let mut slope = Scores::of(logits).0;
            slope[*class] -= 1.0;
            for (outcome, slope) in slope.iter().map(|slope| slope * weight).enumerate() {
                bias_grown[outcome] += slope * slope;
                bias[outcome] -= RATE * slope / bias_grown[outcome].sqrt();
                for (feature, value) in vector {
                    let (row, grown) = (&mut rows[*feature as usize], &mut grown[*feature as usize]);
                    let slope = slope * value + DECAY * row[outcome];
                    grown[outcome] += slope * slope;
                    row[outcome] -= RATE * slope / (grown[outcome].sqrt() + 0.3);
                }
            }
        }
    }
    (rows, bias)
}

#[expect(clippy::cast_possible_truncation, reason = "a quotient of at most 127")]
fn quantised(keys: &[u32], rows: &[[f32; OUTCOMES]], bias: [f32; OUTCOMES], thresholds: Thresholds) -> Weights {
    let largest = rows.iter().flatten().fold(0.0_f32, |largest, weight| largest.max(weight.abs()));
    let step = (largest / 127.0).max(f32::MIN_POSITIVE);
    let entries: Vec<_> =
        keys.iter().zip(rows).map(|(key, row)| (*key, row.map(|weight| (weight / step).round() as i8))).collect();
    Weights::new(step, bias, thresholds, &entries)
}

// === how good it is ===

/// The lowest thresholds by which at most so many of the ordinary messages count as something, and fewer as a crisis.
fn thresholds(cases: &[Case], readings: &[Reading]) -> Thresholds {
    let of_ordinary = |score: fn(&Reading) -> f32| {
        let mut scores: Vec<f32> =
            cases.iter().zip(readings).filter(|(case, _)| case.expected.is_none()).map(|(_, r)| score(r)).collect();
        scores.sort_by(f32::total_cmp);
        scores
    };
    let at = |scores: &[f32], share: usize| {
        scores.get(scores.len().saturating_sub(1 + scores.len() * share / 1_000)).copied().unwrap_or(1.0) + 1e-4
    };
    Thresholds {
        crisis: at(&of_ordinary(|reading| reading.most_critical.crisis()), 8),
        any: at(&of_ordinary(|reading| 1.0 - reading.most_worrying.nothing()), 12),
    }
}

fn report(
    cases: &[Case],
    by_fold: &[Reading],
    by_file: &[Reading],
    thresholds: Thresholds,
    bytes: usize,
) -> Result<String, std::fmt::Error> {
    let mut told = String::new();
    writeln!(told, "# The sentinel's classifier\n")?;
    writeln!(told, "Written by `cargo run --release -p coach_companion --example train_classifier`.\n")?;
    let ordinary = cases.iter().filter(|case| case.expected.is_none()).count();
    writeln!(
        told,
        "Trained on the {} messages of the tuning split, {ordinary} of them ordinary talk; {bytes} bytes of weights.",
        cases.len()
    )?;
    writeln!(
        told,
        "A message counts as a crisis from a probability of {:.3} on, as anything at all from {:.3} on.\n",
        thresholds.crisis, thresholds.any
    )?;
    writeln!(told, "What the classifier alone says of messages that it was not trained on: by random fifths, and by")?;
    writeln!(told, "author, the others' messages seen (a kind that one author alone wrote of is then never seen).\n")?;
    writeln!(
        told,
        "| kind | severity | messages | found, by fifths | found, by author |\n| --- | --- | --- | --- | --- |"
    )?;
    for (kind, severity) in CLASSES {
        let of_class = |readings: &[Reading]| {
            let own = cases.iter().zip(readings).filter(|(case, _)| case.expected == Some((kind, severity)));
            share(own.map(|(_, reading)| {
                reading
                    .finding(thresholds)
                    .is_some_and(|found| found.severity >= severity.min(Severity::Elevated) || found.kind == kind)
            }))
        };
        let count = cases.iter().filter(|case| case.expected == Some((kind, severity))).count();
        writeln!(told, "| {kind} | {} | {count} | {} | {} |", severity.as_str(), of_class(by_fold), of_class(by_file))?;
    }
    for (name, readings) in [("fifths", by_fold), ("author", by_file)] {
        let of = |is: fn(&Case) -> bool, found: fn(&Reading, Thresholds) -> bool| {
            let own = cases.iter().zip(readings).filter(|(case, _)| is(case));
            share(own.map(|(_, reading)| found(reading, thresholds)))
        };
        let is_crisis = |case: &Case| case.expected.is_some_and(|(_, severity)| severity == Severity::Crisis);
        let as_crisis = |r: &Reading, t: Thresholds| r.finding(t).is_some_and(|f| f.severity == Severity::Crisis);
        writeln!(
            told,
            "\nBy {name}: of the crises, {} are found as such and {} as anything; of ordinary talk, {} is",
            of(is_crisis, as_crisis),
            of(is_crisis, |r, t| r.finding(t).is_some()),
            of(|case| case.expected.is_none(), as_crisis)
        )?;
        writeln!(
            told,
            "taken for a crisis and {} for anything.",
            of(|case| case.expected.is_none(), |r, t| r.finding(t).is_some())
        )?;
    }
    writeln!(
        told,
        "\n## Calibration\n\nHow often a message was something, by how likely the classifier thought so (by fifths).\n"
    )?;
    writeln!(told, "| said | messages | were |\n| --- | --- | --- |")?;
    for bin in 0..10_u8 {
        let (from, to) = (f32::from(bin) / 10.0, f32::from(bin + 1) / 10.0);
        let own: Vec<&Case> = cases
            .iter()
            .zip(by_fold)
            .filter(|(_, reading)| (from..to + f32::from(bin / 9)).contains(&(1.0 - reading.most_worrying.nothing())))
            .map(|(case, _)| case)
            .collect();
        let were = share(own.iter().map(|case| case.expected.is_some()));
        writeln!(told, "| {from:.1}–{to:.1} | {} | {were} |", own.len())?;
    }
    Ok(told)
}

#[expect(clippy::cast_precision_loss, reason = "counts of some thousands")]
fn share(found: impl Iterator<Item = bool>) -> String {
    let all: Vec<bool> = found.collect();
    let count = all.iter().filter(|found| **found).count();
    format!("{:.1} %", 100.0 * count as f64 / all.len().max(1) as f64)
}
