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
use coach_companion::sentinel::classifier::{
    CLASSES, OUTCOMES, Reading, Scores, Thresholds, Weights, features, features_of_rules,
};
use coach_companion::sentinel::finding::Finding;
use coach_companion::sentinel::kind::Kind;
use coach_companion::sentinel::rules;
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
    let found: Vec<Vec<Finding>> = cases.iter().map(|case| rules::find(&Text::of(&case.says))).collect();
    let thresholds = thresholds(&cases, &by_fold, &found);
    let weights = train(&cases.iter().collect::<Vec<_>>(), thresholds);
    let bytes = weights.write();
    let judged = |readings: &[Reading]| {
        readings.iter().zip(&found).map(|(reading, found)| reading.judge(found.clone(), thresholds)).collect()
    };
    let trials =
        [Trial { name: "fifths", judged: judged(&by_fold) }, Trial { name: "author", judged: judged(&by_file) }];
    let told = report(&cases, &by_fold, &trials, thresholds, bytes.len())?;
    print!("{told}");
    fs::write(root.join("data/classifier.bin"), bytes)?;
    fs::write(root.join("data/classifier.md"), told)?;
    Ok(())
}

/// What a classifier that has not seen a case says of it.
fn out_of_fold(cases: &[Case], folds: &[usize], count: usize) -> Vec<Reading> {
    let none = Thresholds { crisis: 2.0, any: 2.0, crisis_of_rule: 2.0, any_of_rule: 2.0 };
    let mut readings = vec![None; cases.len()];
    for fold in 0..count {
        let seen: Vec<&Case> = cases.iter().zip(folds).filter(|(_, of)| **of != fold).map(|(case, _)| case).collect();
        let weights = train(&seen, none);
        for (place, case) in cases.iter().enumerate().filter(|(place, _)| folds[*place] == fold) {
            let text = Text::of(&case.says);
            readings[place] = Some(weights.read_text(&text, &rules::find(&text)));
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
    features_of_rules(&rules::find(text), |hash| hashes.push(hash));
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

/// The most of the ordinary messages of the tuning split, most of which are look-alikes, that may raise a flag.
const FALSE_ALARMS: f64 = 0.045;

/// The thresholds that find most, crises above all, without more false alarms than that.
fn thresholds(cases: &[Case], readings: &[Reading], found: &[Vec<Finding>]) -> Thresholds {
    let of_ordinary = |score: fn(&Reading) -> f32| {
        let mut scores: Vec<f32> =
            cases.iter().zip(readings).filter(|(case, _)| case.expected.is_none()).map(|(_, r)| score(r)).collect();
        scores.sort_by(f32::total_cmp);
        scores
    };
    let at = |scores: &[f32], share: usize| {
        scores.get(scores.len().saturating_sub(1 + scores.len() * share / 1_000)).copied().unwrap_or(1.0) + 1e-4
    };
    let crisis = of_ordinary(|reading| reading.most_critical.crisis());
    let any = of_ordinary(|reading| 1.0 - reading.most_worrying.nothing());
    let mut best = (f64::MIN, Thresholds { crisis: 1.0, any: 1.0, crisis_of_rule: 0.0, any_of_rule: 0.0 });
    for crisis in [1, 2, 4, 6, 8, 12].map(|share| at(&crisis, share)) {
        for any in [1, 4, 8, 12, 16].map(|share| at(&any, share)) {
            for crisis_of_rule in [0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6] {
                for any_of_rule in [0.0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8] {
                    let thresholds = Thresholds { crisis, any, crisis_of_rule, any_of_rule };
                    let worth = worth(cases, readings, found, thresholds);
                    if worth > best.0 {
                        best = (worth, thresholds);
                    }
                }
            }
        }
    }
    best.1
}

/// How much is found; nothing where there are too many false alarms.
fn worth(cases: &[Case], readings: &[Reading], found: &[Vec<Finding>], thresholds: Thresholds) -> f64 {
    let (mut crises, mut others, mut alarms, mut ordinary) = (0_u32, 0_u32, 0_u32, 0_u32);
    for ((case, reading), found) in cases.iter().zip(readings).zip(found) {
        let findings = reading.judge(found.clone(), thresholds);
        match case.expected {
            None => {
                ordinary += 1;
                alarms += u32::from(!findings.is_empty());
            }
            Some((_, Severity::Crisis)) => {
                crises += u32::from(findings.iter().any(|finding| finding.severity == Severity::Crisis));
            }
            Some(_) => others += u32::from(!findings.is_empty()),
        }
    }
    let is_quiet = f64::from(alarms) <= FALSE_ALARMS * f64::from(ordinary);
    if is_quiet { f64::from(crises) * 3.0 + f64::from(others) } else { f64::MIN }
}

/// What every case comes to, judged by a classifier that has not seen it.
struct Trial<'a> {
    name: &'a str,
    judged: Vec<Vec<Finding>>,
}

fn report(
    cases: &[Case],
    readings: &[Reading],
    trials: &[Trial<'_>],
    thresholds: Thresholds,
    bytes: usize,
) -> Result<String, std::fmt::Error> {
    let mut told = String::new();
    let ordinary = cases.iter().filter(|case| case.expected.is_none()).count();
    let Thresholds { crisis, any, crisis_of_rule, any_of_rule } = thresholds;
    writeln!(
        told,
        "# The sentinel's classifier\n\nWritten by `cargo run --release -p coach_companion --example train_classifier`.\n\n\
         Trained on the {} messages of the tuning split, {ordinary} of them ordinary talk, most of that look-alikes; \
         {bytes} bytes of weights.\n\nBy itself it calls a message a crisis from a probability of {crisis:.3} on, anything \
         at all from {any:.3} on; a rule's crisis stands from {crisis_of_rule:.2} on, anything less of a rule's from \
         {any_of_rule:.2} on.\n\nWhat rules and classifier say together of messages that the classifier was not trained \
         on: by random fifths, and by author, only the others' messages seen (a kind that one author alone wrote of was \
         then never seen). The rules were written with these messages at hand, so `evaluation/held_out` says more.\n",
        cases.len()
    )?;
    write!(told, "| kind | severity | messages |")?;
    for Trial { name, .. } in trials {
        write!(told, " found, by {name} |")?;
    }
    writeln!(told, "\n| --- | --- | --- |{}", " --- |".repeat(trials.len()))?;
    let is_found = |(kind, severity): (Kind, Severity), findings: &[Finding]| match severity {
        Severity::Crisis => findings.iter().any(|finding| finding.severity == Severity::Crisis),
        _ => findings.iter().any(|finding| finding.kind == kind),
    };
    for class in CLASSES {
        let count = cases.iter().filter(|case| case.expected == Some(class)).count();
        write!(told, "| {} | {} | {count} |", class.0, class.1.as_str())?;
        for Trial { judged, .. } in trials {
            let own = cases.iter().zip(judged).filter(|(case, _)| case.expected == Some(class));
            write!(told, " {} |", share(own.map(|(_, findings)| is_found(class, findings))))?;
        }
        writeln!(told)?;
    }
    for Trial { name, judged } in trials {
        let of = |is_crisis: bool| {
            let own = cases.iter().zip(judged).filter(move |(case, _)| match case.expected {
                None => !is_crisis,
                Some((_, severity)) => is_crisis && severity == Severity::Crisis,
            });
            let found: Vec<&Vec<Finding>> = own.map(|(_, findings)| findings).collect();
            let as_crisis = share(found.iter().map(|found| found.iter().any(|f| f.severity == Severity::Crisis)));
            (as_crisis, share(found.iter().map(|found| !found.is_empty())))
        };
        let ((crises, noticed), (false_crises, false_alarms)) = (of(true), of(false));
        writeln!(
            told,
            "\nBy {name}: of the crises {crises} are found as such and {noticed} as anything; of ordinary talk \
             {false_crises} is taken for a crisis and {false_alarms} for anything."
        )?;
    }
    Ok(told + &calibration(cases, readings)?)
}

fn calibration(cases: &[Case], readings: &[Reading]) -> Result<String, std::fmt::Error> {
    let mut told =
        "\n## Calibration\n\nHow often a message was something, by how likely the classifier thought so (by \
                    fifths).\n\n| said | messages | were |\n| --- | --- | --- |\n"
            .to_owned();
    for bin in 0..10_u8 {
        let (from, to) = (f32::from(bin) / 10.0, f32::from(bin + 1) / 10.0);
        // The last bin has its end in it.
        let bin = from..to + f32::from(bin / 9);
        let is_in = |reading: &Reading| bin.contains(&(1.0 - reading.most_worrying.nothing()));
        let own: Vec<&Case> =
            cases.iter().zip(readings).filter(|(_, reading)| is_in(reading)).map(|(case, _)| case).collect();
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
