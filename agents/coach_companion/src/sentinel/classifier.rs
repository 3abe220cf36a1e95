//! A small trained classifier beside the rules: what nobody thought of as a rule still sounds like something.
//!
//! Words, pairs of words and the letters within words are hashed to features; each has a weight for every class, and
//! the classes' sums become probabilities. A message is read by the window, one sentence and up to three in a row,
//! and the most worrying window counts, so that one sentence in a long message is not drowned. The weights are in
//! `data/classifier.bin`, how they were made and how good they are in `data/classifier.md`; `cargo run --release -p
//! coach_companion --example train_classifier` makes both from the tuning split of the evaluation.

use std::ops::Range;
use std::sync::LazyLock;

use agentcore_runtime::prelude::Severity;

use super::finding::Finding;
use super::kind::Kind;
use super::text::Text;

/// What a window may be, beside nothing of all that, which comes last.
pub const CLASSES: [(Kind, Severity); 12] = [
    (Kind::SelfHarm, Severity::Crisis),
    (Kind::MedicalEmergency, Severity::Crisis),
    (Kind::DomesticAbuse, Severity::Crisis),
    (Kind::ThirdPartyConcern, Severity::Crisis),
    (Kind::DomesticAbuse, Severity::Elevated),
    (Kind::ThirdPartyConcern, Severity::Elevated),
    (Kind::EatingDisorder, Severity::Elevated),
    (Kind::LowMood, Severity::Elevated),
    (Kind::Minor, Severity::Elevated),
    (Kind::UnsafeGoal, Severity::Elevated),
    (Kind::Pregnancy, Severity::Info),
    (Kind::Medication, Severity::Info),
];

/// How many classes there are, with the one that is nothing.
pub const OUTCOMES: usize = CLASSES.len() + 1;

/// How many sentences in a row are read as one.
const WINDOW: usize = 3;

/// A rule's word counts more than one of the message's: its features are there as often.
const RULE_SEEDS: [u32; 2] = [6, 7];

static MODEL: LazyLock<Weights> =
    LazyLock::new(|| Weights::read(include_bytes!("../../data/classifier.bin")).expect("the tests read it"));

/// A weight for each class, in eighths of a byte's steps.
type Row = [i8; OUTCOMES];

/// Trained weights.
#[derive(Debug, Clone)]
pub struct Weights {
    /// What one step of a weight is worth.
    step: f32,
    bias: [f32; OUTCOMES],
    /// From which probability on a crisis, and anything at all, counts.
    thresholds: Thresholds,
    /// The features' hashes in an open table; 0 is free.
    keys: Vec<u32>,
    rows: Vec<Row>,
}

/// From which probability on a message counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    /// As a crisis of any kind.
    pub crisis: f32,
    /// As anything at all.
    pub any: f32,
    /// As what a rule found in it, where that is a crisis.
    pub crisis_of_rule: f32,
    /// As what a rule found in it, where that is less.
    pub any_of_rule: f32,
}

/// How likely a window is what.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scores(pub [f32; OUTCOMES]);

/// What a message's windows come to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// The window that is most likely a crisis.
    pub most_critical: Scores,
    /// The window that is most likely anything.
    pub most_worrying: Scores,
}

/// The features of a sentence, added up.
#[derive(Debug, Clone, Copy)]
struct Sum {
    weights: [i32; OUTCOMES],
    features: u32,
}

/// What a message comes to, beside what the rules found in it.
pub fn judge(text: &Text, found: Vec<Finding>) -> Vec<Finding> {
    MODEL.read_text(text, &found).judge(found, MODEL.thresholds)
}

/// Calls back with the hash of every feature of a sentence, in no order that matters.
pub fn features(text: &Text, sentence: Range<usize>, mut feature: impl FnMut(u32)) {
    let word = |place: usize| if sentence.contains(&place) { text.word(place).unwrap_or_default() } else { "" };
    for place in sentence.clone() {
        let (this, next, after) = (word(place), word(place + 1), word(place + 2));
        let own = hash(1, this);
        feature(finished(own));
        feature(finished(hash(mixed(own, 2), next)));
        if !after.is_empty() {
            feature(finished(hash(mixed(own, 3), after)));
            feature(finished(hash(mixed(hash(mixed(own, 4), next), 4), after)));
        }
        letters(this, &mut feature);
    }
}

/// The features of what the rules found: each rule, each kind, and that there is anything.
pub fn features_of_rules(found: &[Finding], mut feature: impl FnMut(u32)) {
    for finding in found {
        for seed in RULE_SEEDS {
            feature(finished(hash(seed, finding.rule)));
            feature(finished(mixed(hash(seed, finding.kind.as_str()), finding.severity as u32)));
            feature(finished(hash(seed, "any rule")));
        }
    }
}

/// The letters of a word, four at a time, its beginning and end marked.
fn letters(word: &str, feature: &mut impl FnMut(u32)) {
    let bytes = word.as_bytes();
    if bytes.len() < 3 {
        return;
    }
    let at = |place: usize| if place == 0 || place > bytes.len() { b'_' } else { bytes[place - 1] };
    for start in 0..=bytes.len() - 2 {
        let four = [at(start), at(start + 1), at(start + 2), at(start + 3)];
        feature(finished(mixed(u32::from_le_bytes(four), 5)));
    }
}

fn hash(seed: u32, word: &str) -> u32 {
    word.bytes().fold(seed ^ 0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

fn mixed(hash: u32, with: u32) -> u32 {
    (hash ^ with.wrapping_mul(0x9e37_79b9)).wrapping_mul(0x85eb_ca6b)
}

/// Spreads a hash over all its bits; never 0, which marks a free place.
fn finished(hash: u32) -> u32 {
    let hash = (hash ^ (hash >> 16)).wrapping_mul(0x7feb_352d);
    let hash = (hash ^ (hash >> 15)).wrapping_mul(0x846c_a68b);
    (hash ^ (hash >> 16)).max(1)
}

// === impl Weights ===

impl Weights {
    /// Weights of features, each with its hash.
    pub fn new(step: f32, bias: [f32; OUTCOMES], thresholds: Thresholds, features: &[(u32, Row)]) -> Self {
        let places = (features.len() * 3 / 2).next_power_of_two();
        let mut weights = Self { step, bias, thresholds, keys: vec![0; places], rows: vec![[0; OUTCOMES]; places] };
        for (key, row) in features {
            let place = weights.place(*key);
            weights.keys[place] = *key;
            weights.rows[place] = *row;
        }
        weights
    }

    /// Reads what [`Self::write`] wrote; none where it is not that.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let mut float = || {
            let (four, after) = rest.split_first_chunk()?;
            rest = after;
            Some(f32::from_le_bytes(*four))
        };
        let step = float()?;
        let thresholds =
            Thresholds { crisis: float()?, any: float()?, crisis_of_rule: float()?, any_of_rule: float()? };
        let mut bias = [0.0; OUTCOMES];
        for bias in &mut bias {
            *bias = float()?;
        }
        let entries = rest.chunks_exact(4 + OUTCOMES);
        if !entries.remainder().is_empty() {
            return None;
        }
        let read = |entry: &[u8]| {
            let (key, row) = entry.split_first_chunk()?;
            let row: [u8; OUTCOMES] = row.try_into().ok()?;
            Some((u32::from_le_bytes(*key), row.map(u8::cast_signed)))
        };
        let features: Option<Vec<_>> = entries.map(read).collect();
        Some(Self::new(step, bias, thresholds, &features?))
    }

    /// The weights as bytes: numbers in little-endian order, then each feature's hash and its row, by hash.
    pub fn write(&self) -> Vec<u8> {
        let Thresholds { crisis, any, crisis_of_rule, any_of_rule } = self.thresholds;
        let floats = [self.step, crisis, any, crisis_of_rule, any_of_rule].into_iter().chain(self.bias);
        let mut bytes: Vec<u8> = floats.flat_map(f32::to_le_bytes).collect();
        let mut entries: Vec<_> = self.keys.iter().zip(&self.rows).filter(|(key, _)| **key != 0).collect();
        entries.sort_unstable();
        for (key, row) in entries {
            bytes.extend(key.to_le_bytes());
            bytes.extend(row.map(i8::cast_unsigned));
        }
        bytes
    }

    /// What the windows of a message come to, beside what the rules found in it.
    pub fn read_text(&self, text: &Text, found: &[Finding]) -> Reading {
        let sums: Vec<Sum> = text.sentences().map(|sentence| self.sum(text, sentence)).collect();
        let rules = self.sum_of_rules(found);
        let nothing = self.scores(&Sum::default());
        let mut reading = Reading { most_critical: nothing, most_worrying: nothing };
        for start in 0..sums.len() {
            let mut window = rules;
            for sum in sums[start..].iter().take(WINDOW) {
                window.add(sum);
                let scores = self.scores(&window);
                if scores.crisis() > reading.most_critical.crisis() {
                    reading.most_critical = scores;
                }
                if scores.nothing() < reading.most_worrying.nothing() {
                    reading.most_worrying = scores;
                }
            }
        }
        reading
    }

    fn sum(&self, text: &Text, sentence: Range<usize>) -> Sum {
        let mut sum = Sum::default();
        features(text, sentence, |key| self.count(key, &mut sum));
        sum
    }

    fn sum_of_rules(&self, found: &[Finding]) -> Sum {
        let mut sum = Sum::default();
        features_of_rules(found, |key| self.count(key, &mut sum));
        sum
    }

    fn count(&self, key: u32, sum: &mut Sum) {
        let place = self.place(key);
        if self.keys[place] == key {
            sum.features += 1;
            for (sum, weight) in sum.weights.iter_mut().zip(&self.rows[place]) {
                *sum += i32::from(*weight);
            }
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "sums of bytes over some thousand features")]
    fn scores(&self, sum: &Sum) -> Scores {
        let scale = self.step / (sum.features.max(1) as f32).sqrt();
        let mut logits = self.bias;
        for (logit, weight) in logits.iter_mut().zip(sum.weights) {
            *logit += weight as f32 * scale;
        }
        Scores::of(logits)
    }

    /// Where a key is in the table, or where it would be.
    fn place(&self, key: u32) -> usize {
        let mask = self.keys.len() - 1;
        let mut place = key as usize & mask;
        while self.keys[place] != 0 && self.keys[place] != key {
            place = (place + 1) & mask;
        }
        place
    }
}

// === impl Scores ===

impl Scores {
    /// The probabilities of sums.
    pub fn of(logits: [f32; OUTCOMES]) -> Self {
        let highest = logits.into_iter().fold(f32::MIN, f32::max);
        let grown = logits.map(|logit| (logit - highest).exp());
        let total: f32 = grown.iter().sum();
        Self(grown.map(|part| part / total))
    }

    /// How likely it is nothing of all that.
    pub fn nothing(&self) -> f32 {
        self.0[OUTCOMES - 1]
    }

    /// How likely it is a crisis of any kind.
    pub fn crisis(&self) -> f32 {
        CLASSES.iter().zip(self.0).filter(|((_, severity), _)| *severity == Severity::Crisis).map(|(_, p)| p).sum()
    }

    /// The likeliest class of those that `fit`.
    fn likeliest(&self, fit: impl Fn(Severity) -> bool) -> Option<(Kind, Severity)> {
        let of_class = CLASSES.iter().zip(self.0).filter(|((_, severity), _)| fit(*severity));
        of_class.max_by(|(_, one), (_, other)| one.total_cmp(other)).map(|(class, _)| *class)
    }
}

// === impl Reading ===

impl Reading {
    /// What the rules found and the classifier does not doubt, and what it finds beyond.
    pub fn judge(&self, found: Vec<Finding>, thresholds: Thresholds) -> Vec<Finding> {
        let mut findings = found;
        findings.retain(|finding| !self.doubts(finding, thresholds));
        let own = self.finding(thresholds);
        // What the rules have named they name better.
        findings.extend(own.filter(|own| findings.iter().all(|known| known.severity < own.severity)));
        findings
    }

    /// Whether a rule's finding is doubted: the words around it are too ordinary.
    fn doubts(&self, finding: &Finding, thresholds: Thresholds) -> bool {
        let is_crisis = finding.severity == Severity::Crisis;
        let least = if is_crisis { thresholds.crisis_of_rule } else { thresholds.any_of_rule };
        1.0 - self.most_worrying.nothing() < least
    }

    /// What the classifier finds itself.
    fn finding(&self, thresholds: Thresholds) -> Option<Finding> {
        const RULE: &str = "classifier";
        if self.most_critical.crisis() >= thresholds.crisis {
            let (kind, severity) = self.most_critical.likeliest(|severity| severity == Severity::Crisis)?;
            return Some(Finding { kind, rule: RULE, severity });
        }
        if 1.0 - self.most_worrying.nothing() >= thresholds.any {
            let (kind, severity) = self.most_worrying.likeliest(|_| true)?;
            // Too unlikely a crisis to be called one.
            return Some(Finding { kind, rule: RULE, severity: severity.min(Severity::Elevated) });
        }
        None
    }
}

// === impl Sum ===

impl Default for Sum {
    fn default() -> Self {
        Self { weights: [0; OUTCOMES], features: 0 }
    }
}

impl Sum {
    fn add(&mut self, other: &Self) {
        for (sum, more) in self.weights.iter_mut().zip(other.weights) {
            *sum += more;
        }
        self.features += other.features;
    }
}
