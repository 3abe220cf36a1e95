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
    CLASSES, LEAST_LENGTH, OUTCOMES, Reading, Row, SORTS, Scores, Sort, Thresholds, Weights, features,
};
use coach_companion::sentinel::finding::Finding;
use coach_companion::sentinel::kind::Kind;
use coach_companion::sentinel::rules;
use coach_companion::sentinel::text::Text;

/// How many features are kept: what the binary can carry.
const KEPT: usize = 36_000;
const EPOCHS: usize = 16;
const RATE: f32 = 0.15;
const DECAY: f32 = 3e-3;
const FOLDS: usize = 5;
/// Words that turn a sentence's meaning round when they are left out.
const DENIALS: [&str; 6] = ["not", "no", "never", "without", "dont", "cant"];
/// How many words are enough to mean what the whole text means.
const FEWEST_LEFT: usize = 4;
/// How far a rare class is made up for: 0 not at all, 1 wholly.
const CLASS_BALANCE: f64 = 0.2;

/// A feature and its value.
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
    let thresholds = thresholds(&cases, &by_fold);
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
    let none = Thresholds { any: 2.0, any_of_rule: 2.0, crisis: 2.0 };
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
    for (text, _, _) in texts.iter().filter(|(_, _, is_original)| *is_original) {
        let mut own: Vec<u32> = hashes(text).into_iter().map(|(_, hash)| hash).collect();
        own.sort_unstable();
        own.dedup();
        for hash in own {
            *seen.entry(hash).or_default() += 1;
        }
    }
    let mut features: Vec<(u32, u8)> = seen
        .into_iter()
        .filter(|(_, times)| *times > 1)
        .map(|(key, times)| (key, Row::rarity(cases.len(), times)))
        .collect();
    features.sort_unstable();
    let (mut rows, mut bias) = descend(&samples(&texts, &features), features.len(), &mut random);
    if features.len() > KEPT {
        // What moves no class much is let go, and the rest is trained again without it.
        let strength = |place: usize| rows[place].iter().map(|weight| weight * weight).sum::<f32>();
        let mut by_strength: Vec<usize> = (0..features.len()).collect();
        by_strength.sort_by(|one, other| strength(*other).total_cmp(&strength(*one)).then(one.cmp(other)));
        by_strength.truncate(KEPT);
        features = by_strength.into_iter().map(|place| features[place]).collect();
        features.sort_unstable();
        (rows, bias) = descend(&samples(&texts, &features), features.len(), &mut random);
    }
    quantised(&features, &rows, bias, thresholds)
}

/// The cases, and variants of them: with a sentence of somebody's ordinary talk before or after, mistyped,
/// and with words left out.
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
        if let Some(thinned) = thinned(&case.says, random) {
            texts.push((Text::of(&thinned), class, false));
        }
    }
    texts
}

/// One word in six left out, but none that denies; none of a text of which too little would be left.
fn thinned(text: &str, random: &mut Random) -> Option<String> {
    let denies = |word: &str| DENIALS.contains(&word) || word.ends_with("n't");
    let left: Vec<&str> = text.split(' ').filter(|word| random.below(6) > 0 || denies(word)).collect();
    (left.len() >= FEWEST_LEFT).then(|| left.join(" "))
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

fn hashes(text: &Text) -> Vec<(Sort, u32)> {
    let mut hashes = Vec::new();
    for sentence in text.sentences() {
        features(text, sentence, |sort, hash| hashes.push((sort, hash)));
    }
    hashes
}

/// The texts as the model sees them: every feature by its rarity, those of a sort brought to length 1.
fn samples(texts: &[(Text, usize, bool)], known: &[(u32, u8)]) -> Vec<Sample> {
    let mut of_class = [0_u32; OUTCOMES];
    for (_, class, _) in texts {
        of_class[*class] += 1;
    }
    let most = f64::from(of_class.into_iter().max().unwrap_or(1));
    let sample = |(text, class, _): &(Text, usize, bool)| {
        let mut values: HashMap<u32, (Sort, f32)> = HashMap::new();
        let mut lengths = [0.0_f32; SORTS];
        for (sort, hash) in hashes(text) {
            if let Ok(place) = known.binary_search_by_key(&hash, |(key, _)| *key) {
                let rarity = Row::factor(known[place].1);
                values.entry(u32::try_from(place).unwrap_or_default()).or_insert((sort, 0.0)).1 += rarity;
                lengths[sort as usize] += rarity * rarity;
            }
        }
        let scaled = |(place, (sort, value)): (u32, (Sort, f32))| {
            (place, value / (lengths[sort as usize] + LEAST_LENGTH).sqrt())
        };
        let mut vector: Vector = values.into_iter().map(scaled).collect();
        vector.sort_unstable_by_key(|(place, _)| *place);
        #[expect(clippy::cast_possible_truncation, reason = "a small factor")]
        let weight = (most / f64::from(of_class[*class].max(1))).powf(CLASS_BALANCE) as f32;
        Sample { vector, class: *class, weight }
    };
    texts.iter().map(sample).collect()
}

/// Softmax regression by gradient descent with a step for each weight (Adagrad).
fn descend(samples: &[Sample], features: usize, random: &mut Random) -> (Vec<[f32; OUTCOMES]>, [f32; OUTCOMES]) {
    let mut rows = vec![[0.0_f32; OUTCOMES]; features];
    let mut grown = vec![[1e-3_f32; OUTCOMES]; features];
    let (mut bias, mut bias_grown) = ([0.0_f32; OUTCOMES], [1.0_f32; OUTCOMES]);
    let mut order: Vec<usize> = (0..samples.len()).collect();
    for _ in 0..EPOCHS {
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

#[expect(clippy::cast_possible_truncation, reason = "clamped")]
fn quantised(
    features: &[(u32, u8)],
    rows: &[[f32; OUTCOMES]],
    bias: [f32; OUTCOMES],
    thresholds: Thresholds,
) -> Weights {
    let with_rarity = |rarity: u8, row: &[f32; OUTCOMES]| row.map(|weight| weight * Row::factor(rarity));
    let mut sizes: Vec<f32> =
        features.iter().zip(rows).flat_map(|((_, rarity), row)| with_rarity(*rarity, row)).map(f32::abs).collect();
    sizes.sort_by(f32::total_cmp);
    // One weight in ten thousand is cut off, so that the rest is told apart more finely.
    let largest = sizes.get(sizes.len().saturating_sub(1 + sizes.len() / 10_000)).copied().unwrap_or(1.0);
    let step = (largest / 127.0).max(f32::MIN_POSITIVE);
    let quantised = |weight: f32| (weight / step).round().clamp(-127.0, 127.0) as i8;
    let row = |((key, rarity), row): (&(u32, u8), &[f32; OUTCOMES])| {
        (*key, Row { rarity: *rarity, weights: with_rarity(*rarity, row).map(quantised) })
    };
    let entries: Vec<(u32, Row)> = features.iter().zip(rows).map(row).collect();
    Weights::new(step, bias, thresholds, &entries)
}

// === how good it is ===

/// The most of the ordinary messages of the tuning split, most of which are look-alikes, that the classifier may raise
/// a flag for by itself.
const FALSE_ALARMS: f64 = 0.05;
/// By how much the finding of a rule that is not certain raises the logarithm of the odds. Less than the tuning split
/// would have it, where the rules are at home: what messages showed that were held out until then.
const RULE: f32 = 1.0;
/// The most of what is grave but no crisis that may be taken for one.
const FALSE_CRISES: f64 = 0.12;

/// The thresholds that keep to those bounds.
fn thresholds(cases: &[Case], readings: &[Reading]) -> Thresholds {
    let bound = |share: f64, fits: fn(&Case) -> bool, score: fn(&Reading) -> f32| {
        let mut scores: Vec<f32> =
            cases.iter().zip(readings).filter(|(case, _)| fits(case)).map(|(_, reading)| score(reading)).collect();
        scores.sort_by(|one, other| other.total_cmp(one));
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "small"
        )]
        let place = (scores.len() as f64 * share) as usize;
        scores.get(place).copied().unwrap_or_default() + 1e-4
    };
    let any = bound(FALSE_ALARMS, |case| case.expected.is_none(), Reading::danger);
    let crisis = bound(
        FALSE_CRISES,
        |case| case.expected.is_some_and(|(_, severity)| severity < Severity::Crisis),
        |reading| reading.most_critical.crisis(),
    );
    let odds = (any / (1.0 - any)).ln() - RULE;
    Thresholds { any, any_of_rule: 1.0 / (1.0 + (-odds).exp()), crisis }
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
    let Thresholds { any, any_of_rule, crisis } = thresholds;
    writeln!(
        told,
        "# The sentinel's classifier\n\nWritten by `cargo run --release -p coach_companion --example train_classifier`.\n\n\
         Trained on the {} messages of the tuning split, {ordinary} of them ordinary talk, most of that look-alikes; \
         {bytes} bytes of weights.\n\nA message counts from a probability of {any:.3} on that it is anything at all, one \
         in which a rule found something from {any_of_rule:.3} on; as a crisis from a probability of {crisis:.3} on.\n\nWhat rules and classifier say together of messages that the classifier was not trained \
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
