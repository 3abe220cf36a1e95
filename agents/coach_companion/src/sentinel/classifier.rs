//! A small trained classifier beside the rules: what nobody thought of as a rule still sounds like something.
//!
//! Words, words beside each other and the letters within words are hashed to features; each has a weight for every
//! class, rare ones weigh more, and the classes' sums become probabilities. A message is read by the window, one
//! sentence and up to three in a row, and the most worrying window counts, so that one sentence in a long message is
//! not drowned. It does not hear the rules while it learns, because they were written with the same messages at hand
//! and would seem better than they are; when it judges, a rule's finding is evidence beside its own. The weights are in
//! `data/classifier.bin`, how they were made and how good they are in `data/classifier.md`; `cargo run --release -p
//! coach_companion --example train_classifier` makes both from the tuning split of the evaluation.

use std::io::Read as _;
use std::ops::Range;
use std::sync::LazyLock;

use flate2::read::DeflateDecoder;

use agentcore_runtime::prelude::Severity;

use super::concepts;
use super::finding::Finding;
use super::kind::Kind;
use super::text::{Break, Text};

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

/// What is added to the square of a message's length, in features as rare as can be counted: of few words little is
/// believed.
pub const LEAST_LENGTH: f32 = 500.0;

/// How many sentences in a row are read as one.
const WINDOW: usize = 3;

/// In how many steps a feature's rarity is written down, for each power of e.
const RARITY_STEPS: f32 = 16.0;

/// How long a feature is in the file: its hash, its rarity, its weights.
const ENTRY: usize = 4 + 1 + OUTCOMES;

/// The weights, as the build packed them.
static PACKED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/classifier.deflate"));

static MODEL: LazyLock<Weights> = LazyLock::new(|| {
    let mut weights = Vec::new();
    DeflateDecoder::new(PACKED).read_to_end(&mut weights).expect("the build has packed it");
    Weights::read(&weights).expect("the tests read it")
});

/// What features are made of. The features of either sort are brought to the same length, so that the letters, which
/// are many, do not drown the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// Words, and words beside each other.
    Words,
    /// The letters of words.
    Letters,
    /// What words mean, apart from what fills the space between them.
    Concepts,
}

/// How many sorts there are.
pub const SORTS: usize = 3;

/// What is known of a feature.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// How rare it is: the logarithm of messages for each message that has it, in sixteenths.
    pub rarity: u8,
    /// What it says of each class, rarity counted in, in the model's steps.
    pub weights: [i8; OUTCOMES],
}

/// Trained weights.
#[derive(Debug, Clone)]
pub struct Weights {
    /// What one step of a weight is worth.
    step: f32,
    bias: [f32; OUTCOMES],
    thresholds: Thresholds,
    /// The features' hashes in an open table; 0 is free.
    keys: Vec<u32>,
    rows: Vec<Row>,
}

/// From which probability on a message counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    /// As anything at all, where no rule found anything.
    pub any: f32,
    /// As what a rule found in it.
    pub any_of_rule: f32,
    /// As a crisis, where it counts as anything.
    pub crisis: f32,
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

/// The features of a sentence, added up: those of words, those of letters.
#[derive(Debug, Clone, Copy, Default)]
struct Sum([Part; SORTS]);

/// The features of one sort, added up.
#[derive(Debug, Clone, Copy, Default)]
struct Part {
    weights: [i32; OUTCOMES],
    /// The squares of their rarities.
    length: u32,
}

/// Words that are read with the concepts around them: who, and whether not.
const ANCHORS: [&str; 24] = [
    "i", "me", "my", "myself", "you", "he", "she", "him", "her", "his", "we", "they", "them", "it", "not", "no",
    "never", "if", "when", "can", "will", "would", "without", "too",
];

/// What a message comes to, beside what the rules found in it.
pub fn judge(text: &Text, found: Vec<Finding>) -> Vec<Finding> {
    MODEL.read_text(text).judge(found, MODEL.thresholds)
}

/// Calls back with the hash of every feature of a sentence, in no order that matters.
pub fn features(text: &Text, sentence: Range<usize>, mut feature: impl FnMut(Sort, u32)) {
    const BEGINNING: u32 = 17;
    let end = if text.after(sentence.end.saturating_sub(1)) == Break::Question { 19 } else { 18 };
    let words: Vec<u32> = sentence.clone().map(|place| hash(1, text.word(place).unwrap_or_default())).collect();
    let mut before = BEGINNING;
    for (place, own) in words.iter().copied().enumerate() {
        let ahead = |by: usize| words.get(place + by).copied();
        let next = ahead(1).unwrap_or(end);
        feature(Sort::Words, finished(own));
        feature(Sort::Words, finished(mixed(mixed(own, 2), next)));
        feature(Sort::Words, finished(mixed(mixed(mixed(before, 3), own), next)));
        for (by, seed) in [(2, 4), (3, 5)] {
            if let Some(other) = ahead(by) {
                feature(Sort::Words, finished(mixed(mixed(own, seed), other)));
            }
        }
        if place == 0 {
            feature(Sort::Words, finished(mixed(mixed(BEGINNING, 2), own)));
        }
        before = own;
    }
    let mut row = [BEGINNING; 2];
    for place in sentence.clone() {
        let word = text.word(place).unwrap_or_default();
        let meaning = concepts::of(word);
        if meaning.is_none() && !ANCHORS.contains(&word) {
            continue;
        }
        let own = meaning.map_or_else(|| hash(9, word), |concept| mixed(concept.into(), 7));
        if meaning.is_some() {
            feature(Sort::Concepts, finished(own));
        }
        feature(Sort::Concepts, finished(mixed(mixed(row[1], 8), own)));
        feature(Sort::Concepts, finished(mixed(mixed(row[0], 9), own)));
        feature(Sort::Concepts, finished(mixed(mixed(mixed(row[0], 10), row[1]), own)));
        row = [row[1], own];
    }
    for place in sentence {
        letters(text.word(place).unwrap_or_default(), |hash| feature(Sort::Letters, hash));
    }
}

/// The letters of a word, four at a time, its beginning and end marked.
fn letters(word: &str, mut feature: impl FnMut(u32)) {
    let bytes = word.as_bytes();
    if bytes.len() < 2 {
        return;
    }
    let at = |place: usize| if place == 0 || place > bytes.len() { b'_' } else { bytes[place - 1] };
    for start in 0..=bytes.len() - 2 {
        let four = [at(start), at(start + 1), at(start + 2), at(start + 3)];
        feature(finished(mixed(u32::from_le_bytes(four), 6)));
    }
}

fn hash(seed: u32, word: &str) -> u32 {
    word.bytes().fold(seed ^ 0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

fn mixed(hash: u32, with: u32) -> u32 {
    (hash.rotate_left(5) ^ with.wrapping_mul(0x9e37_79b9)).wrapping_mul(0x85eb_ca6b)
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
        let (keys, rows) = (vec![0; places], vec![Row::default(); places]);
        let mut weights = Self { step, bias, thresholds, keys, rows };
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
        let thresholds = Thresholds { any: float()?, any_of_rule: float()?, crisis: float()? };
        let mut bias = [0.0; OUTCOMES];
        for bias in &mut bias {
            *bias = float()?;
        }
        let entries = rest.chunks_exact(ENTRY);
        if !entries.remainder().is_empty() {
            return None;
        }
        let read = |entry: &[u8]| {
            let (key, row) = entry.split_first_chunk()?;
            let (rarity, weights) = row.split_first()?;
            let weights: [u8; OUTCOMES] = weights.try_into().ok()?;
            Some((u32::from_le_bytes(*key), Row { rarity: *rarity, weights: weights.map(u8::cast_signed) }))
        };
        let features: Option<Vec<_>> = entries.map(read).collect();
        Some(Self::new(step, bias, thresholds, &features?))
    }

    /// The weights as bytes: numbers in little-endian order, then each feature's hash and its row, by hash.
    pub fn write(&self) -> Vec<u8> {
        let Thresholds { any, any_of_rule, crisis } = self.thresholds;
        let floats = [self.step, any, any_of_rule, crisis].into_iter().chain(self.bias);
        let mut bytes: Vec<u8> = floats.flat_map(f32::to_le_bytes).collect();
        let mut entries: Vec<_> = self.keys.iter().zip(&self.rows).filter(|(key, _)| **key != 0).collect();
        entries.sort_unstable();
        for (key, row) in entries {
            bytes.extend(key.to_le_bytes());
            bytes.push(row.rarity);
            bytes.extend(row.weights.map(i8::cast_unsigned));
        }
        bytes
    }

    /// What the windows of a message come to.
    pub fn read_text(&self, text: &Text) -> Reading {
        let sums: Vec<Sum> = text.sentences().map(|sentence| self.sum(text, sentence)).collect();
        let nothing = self.scores(&Sum::default());
        let mut reading = Reading { most_critical: nothing, most_worrying: nothing };
        for start in 0..sums.len() {
            let mut window = Sum::default();
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
        features(text, sentence, |sort, key| {
            let place = self.place(key);
            if self.keys[place] == key {
                sum.0[sort as usize].count(&self.rows[place]);
            }
        });
        sum
    }

    #[expect(clippy::cast_precision_loss, reason = "sums of bytes over some thousand features")]
    fn scores(&self, sum: &Sum) -> Scores {
        let mut logits = self.bias;
        for part in &sum.0 {
            let scale =
                self.step * RARITY_STEPS / (part.length as f32 + LEAST_LENGTH * RARITY_STEPS * RARITY_STEPS).sqrt();
            for (logit, weight) in logits.iter_mut().zip(part.weights) {
                *logit += weight as f32 * scale;
            }
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

// === impl Row ===

impl Row {
    /// The rarity as it is written down of a feature that some of the messages have.
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small")]
    pub fn rarity(messages: usize, with_it: u32) -> u8 {
        let rarity = ((1.0 + messages as f32) / (1.0 + with_it as f32)).ln() + 1.0;
        (rarity * RARITY_STEPS).round().clamp(1.0, 255.0) as u8
    }

    /// How rare the feature is, as a factor.
    pub fn factor(rarity: u8) -> f32 {
        f32::from(rarity) / RARITY_STEPS
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
    /// How likely the message is anything at all.
    pub fn danger(&self) -> f32 {
        1.0 - self.most_worrying.nothing()
    }

    /// What the rules found and the classifier does not doubt, because all the words are ordinary ones, and what it
    /// finds beyond.
    pub fn judge(&self, found: Vec<Finding>, thresholds: Thresholds) -> Vec<Finding> {
        let least = if found.is_empty() { thresholds.any } else { thresholds.any_of_rule };
        if self.danger() < least && !found.iter().any(|finding| finding.is_certain) {
            return Vec::new();
        }
        let own = self.finding(thresholds).filter(|_| self.danger() >= least);
        let mut findings = found;
        // What the rules have named they name better.
        findings.extend(own.filter(|own| findings.iter().all(|known| known.severity < own.severity)));
        findings
    }

    /// What the classifier itself calls a message that counts.
    fn finding(&self, thresholds: Thresholds) -> Option<Finding> {
        let (kind, severity) = if self.most_critical.crisis() >= thresholds.crisis {
            self.most_critical.likeliest(|severity| severity == Severity::Crisis)?
        } else {
            self.most_worrying.likeliest(|severity| severity < Severity::Crisis)?
        };
        Some(Finding { kind, rule: "classifier", severity, is_certain: false })
    }
}

// === impl Sum ===

impl Sum {
    fn add(&mut self, other: &Self) {
        for (part, more) in self.0.iter_mut().zip(&other.0) {
            for (sum, more) in part.weights.iter_mut().zip(more.weights) {
                *sum += more;
            }
            part.length += more.length;
        }
    }
}

// === impl Part ===

impl Part {
    fn count(&mut self, row: &Row) {
        for (sum, weight) in self.weights.iter_mut().zip(row.weights) {
            *sum += i32::from(weight);
        }
        self.length += u32::from(row.rarity).pow(2);
    }
}
