//! The first reader: words, words beside each other and with one between them, and the letters within words, each with a
//! weight.
//!
//! Features are hashed; each weighs for a crisis and for anything else against ordinary talk, rare ones weigh more, and
//! what they add up to is divided by how much was said. It knows set phrases, and what it never saw it does not hear.

use std::ops::Range;

use super::bytes::{Reader, write_ascending, write_floats};
use crate::sentinel::text::{Break, Text};

/// What is told apart from ordinary talk: a crisis, and anything else.
pub const SIDES: usize = 2;

/// What is added to the square of a message's length, in features as rare as can be counted: of few words little is
/// believed.
pub const LEAST_LENGTH: f32 = 100.0;

/// How many bits are kept of the hash of a feature, and of a word.
const KEY_BITS: u32 = 24;

/// In how many steps a feature's rarity is written down, for each power of e.
const RARITY_STEPS: f32 = 4.0;

/// What is known of a feature.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// How rare it is: the logarithm of messages for each message that has it, in quarters.
    pub rarity: u8,
    /// What it says of each side, rarity counted in, in the model's steps.
    pub weights: [i8; SIDES],
}

/// Trained weights.
#[derive(Debug, Clone)]
pub struct Phrases {
    /// What one step of a weight is worth.
    step: f32,
    bias: [f32; SIDES],
    /// The features' keys in an open table; 0 is free.
    keys: Vec<u32>,
    rows: Vec<Row>,
}

/// The features of a sentence, added up.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sum {
    weights: [i32; SIDES],
    /// The squares of their rarities.
    length: u32,
}

/// Calls back with the key of every feature of a sentence, in no order that matters.
pub fn features(text: &Text, sentence: Range<usize>, mut found: impl FnMut(u32)) {
    const BEGINNING: u32 = 17;
    let end = if text.after(sentence.end.saturating_sub(1)) == Break::Question { 19 } else { 18 };
    let mut feature = |hash: u32| found(key(hash));
    let words: Vec<u32> = sentence.clone().map(|place| hash(1, text.word(place).unwrap_or_default())).collect();
    let mut before = BEGINNING;
    for (place, own) in words.iter().copied().enumerate() {
        let next = words.get(place + 1).copied().unwrap_or(end);
        feature(finished(own));
        feature(finished(mixed(mixed(own, 2), next)));
        feature(finished(mixed(mixed(mixed(before, 3), own), next)));
        feature(finished(mixed(mixed(before, 5), next)));
        if place == 0 {
            feature(finished(mixed(mixed(BEGINNING, 2), own)));
        }
        before = own;
    }
    for place in sentence {
        letters::<4>(text.word(place).unwrap_or_default(), 6, &mut feature);
    }
}

/// The letters of a word, `COUNT` at a time (at most four), its beginning and end marked.
pub(super) fn letters<const COUNT: usize>(word: &str, seed: u32, feature: &mut impl FnMut(u32)) {
    let bytes = word.as_bytes();
    if bytes.len() < 2 {
        return;
    }
    let at = |place: usize| if place == 0 || place > bytes.len() { b'_' } else { bytes[place - 1] };
    for start in 0..=(bytes.len() + 2).saturating_sub(COUNT) {
        let letters = std::array::from_fn(|by| if by < COUNT { at(start + by) } else { 0 });
        feature(finished(mixed(u32::from_le_bytes(letters), seed)));
    }
}

pub(super) fn hash(seed: u32, word: &str) -> u32 {
    word.bytes().fold(seed ^ 0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

fn mixed(hash: u32, with: u32) -> u32 {
    (hash.rotate_left(5) ^ with.wrapping_mul(0x9e37_79b9)).wrapping_mul(0x85eb_ca6b)
}

/// Spreads a hash over all its bits; never 0, which marks a free place.
pub(super) fn finished(hash: u32) -> u32 {
    let hash = (hash ^ (hash >> 16)).wrapping_mul(0x7feb_352d);
    let hash = (hash ^ (hash >> 15)).wrapping_mul(0x846c_a68b);
    (hash ^ (hash >> 16)).max(1)
}

/// What a feature is known by, and a word. One feature in a hundred and fifty that are not known is taken for another:
/// that costs less than a byte more for each.
pub(super) fn key(hash: u32) -> u32 {
    (hash >> (u32::BITS - KEY_BITS)).max(1)
}

/// Where a key is in an open table, or where it would be. The table has free places, and a power of two of places.
pub(super) fn place(keys: &[u32], key: u32) -> usize {
    let mask = keys.len() - 1;
    let mut place = key as usize & mask;
    while keys[place] != 0 && keys[place] != key {
        place = (place + 1) & mask;
    }
    place
}

// === impl Phrases ===

impl Phrases {
    /// Weights of features, each with its key.
    pub fn new(step: f32, bias: [f32; SIDES], features: &[(u32, Row)]) -> Self {
        let places = (features.len() * 3 / 2 + 1).next_power_of_two();
        let (mut keys, mut rows) = (vec![0; places], vec![Row::default(); places]);
        for (key, row) in features {
            let place = place(&keys, *key);
            keys[place] = *key;
            rows[place] = *row;
        }
        Self { step, bias, keys, rows }
    }

    pub(super) fn read(bytes: &mut Reader<'_>) -> Option<Self> {
        let [step] = bytes.floats()?;
        let bias = bytes.floats()?;
        let keys = bytes.ascending()?;
        let rarities = bytes.bytes(keys.len())?;
        let [one, other] = [bytes.bytes(keys.len())?, bytes.bytes(keys.len())?];
        let weights = one.iter().zip(other).map(|(one, other)| [one.cast_signed(), other.cast_signed()]);
        let rows = rarities.iter().zip(weights).map(|(rarity, weights)| Row { rarity: *rarity, weights });
        Some(Self::new(step, bias, &keys.into_iter().zip(rows).collect::<Vec<_>>()))
    }

    /// Numbers in little-endian order, then the features by their keys: all keys, all rarities, all weights of each side.
    /// What is alike stands together, so that it packs well.
    pub(super) fn write(&self, bytes: &mut Vec<u8>) {
        write_floats(bytes, [self.step].into_iter().chain(self.bias));
        let mut entries: Vec<(u32, Row)> = self.keys.iter().copied().zip(self.rows.iter().copied()).collect();
        entries.retain(|(key, _)| *key != 0);
        entries.sort_unstable();
        write_ascending(bytes, entries.iter().map(|(key, _)| *key));
        bytes.extend(entries.iter().map(|(_, row)| row.rarity));
        for side in 0..SIDES {
            bytes.extend(entries.iter().map(|(_, row)| row.weights[side].cast_unsigned()));
        }
    }

    /// What a sentence adds up to.
    pub(super) fn sum(&self, text: &Text, sentence: Range<usize>) -> Sum {
        let mut sum = Sum::default();
        features(text, sentence, |key| {
            let place = place(&self.keys, key);
            if self.keys[place] == key {
                sum.count(self.rows[place]);
            }
        });
        sum
    }

    /// How far sentences are on each side, ordinary talk below zero.
    #[expect(clippy::cast_precision_loss, reason = "sums of bytes over some thousand features")]
    pub(super) fn sides(&self, sum: &Sum) -> [f32; SIDES] {
        let least = LEAST_LENGTH * RARITY_STEPS * RARITY_STEPS;
        let scale = self.step * RARITY_STEPS / (sum.length as f32 + least).sqrt();
        std::array::from_fn(|side| self.bias[side] + sum.weights[side] as f32 * scale)
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

// === impl Sum ===

impl Sum {
    fn count(&mut self, row: Row) {
        for (sum, weight) in self.weights.iter_mut().zip(row.weights) {
            *sum += i32::from(weight);
        }
        self.length += u32::from(row.rarity).pow(2);
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (sum, more) in self.weights.iter_mut().zip(other.weights) {
            *sum += more;
        }
        self.length += other.length;
    }
}
