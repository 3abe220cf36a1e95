//! The weights of a network: what words are like, learned from what is said around them by gradient descent (Adam) with
//! words and filters left out at random.

use std::collections::HashMap;

use coach_companion::sentinel::classifier::OUTCOMES;
use coach_companion::sentinel::classifier::network::{
    BUCKETS, FEATURES, FILTERS, Features, Parameters, REACH, UNKNOWN, Vocabulary, WIDTH, buckets, letters_scale,
    sum_scale, tokens,
};

use crate::Sample;
use crate::random::Random;

const EPOCHS: usize = 8;
const BATCH: usize = 64;
/// In how many messages a word must be to be known by more than its letters.
const LEAST: u32 = 10;
const RATE: f32 = 2e-3;
/// The share of words that are read by their letters only, so that these learn too.
const UNKNOWN_WORDS: f32 = 0.15;
/// The share of filters that say nothing of a message.
const SILENT_FILTERS: f32 = 0.4;

/// A word or mark: its row, and the rows of its letters.
#[derive(Clone)]
struct Word {
    row: usize,
    letters: Vec<usize>,
}

/// The words that the network knows, as their hashes and as their letters.
pub(crate) struct Known {
    pub(crate) keys: Vec<u32>,
    letters: Vec<Vec<usize>>,
    vocabulary: Vocabulary,
}

/// What was learned of something, and what is being learned of it in a batch.
struct Learned {
    values: Vec<f32>,
    slopes: Vec<f32>,
    steady: Vec<f32>,
    squared: Vec<f32>,
    /// How many numbers stand and fall together.
    row: usize,
    touched: Vec<usize>,
    is_touched: Vec<bool>,
}

struct Net {
    words: Learned,
    letters: Learned,
    filters: Learned,
    filter_bias: Learned,
    outcomes: Learned,
    bias: Learned,
}

pub(crate) fn train(samples: &[Sample], known: &Known, random: &mut Random) -> Parameters {
    let texts: Vec<Vec<Word>> = samples.iter().map(|sample| known.words(sample)).collect();
    let mut net = Net::new(known.keys.len() + 1, random);
    let mut order: Vec<usize> = (0..samples.len()).collect();
    let steps = EPOCHS * order.len().div_ceil(BATCH);
    let mut step = 0;
    for _ in 0..EPOCHS {
        random.shuffle(&mut order);
        for batch in order.chunks(BATCH) {
            for place in batch {
                net.learn(&texts[*place], samples[*place].class, random);
            }
            step += 1;
            net.step(step, steps);
        }
    }
    net.parameters(&known.letters)
}

// === impl Known ===

impl Known {
    /// The words and marks that [`LEAST`] messages have or more.
    pub(crate) fn of(samples: &[Sample]) -> Self {
        let mut seen: HashMap<u32, (u32, &str)> = HashMap::new();
        for sample in samples.iter().filter(|sample| sample.is_original) {
            let (mut tokens, _) = tokens(&sample.text);
            tokens.sort_unstable_by_key(|token| token.key);
            tokens.dedup_by_key(|token| token.key);
            for token in tokens {
                seen.entry(token.key).or_insert((0, token.word)).0 += 1;
            }
        }
        let often = seen.into_iter().filter(|(_, (times, _))| *times >= LEAST);
        let mut words: Vec<(u32, &str)> = often.map(|(key, (_, word))| (key, word)).collect();
        words.sort_unstable();
        let keys: Vec<u32> = words.iter().map(|(key, _)| *key).collect();
        let letters = words.iter().map(|(_, word)| letters_of(word)).collect();
        Self { vocabulary: Vocabulary::new(&keys), keys, letters }
    }

    fn words(&self, sample: &Sample) -> Vec<Word> {
        let word = |token: &coach_companion::sentinel::classifier::network::Token<'_>| Word {
            row: self.vocabulary.row(token.key),
            letters: letters_of(token.word),
        };
        tokens(&sample.text).0.iter().map(word).collect()
    }
}

/// The highest of each of the words' numbers, and where.
fn highest(words: &[[f32; WIDTH]]) -> ([f32; WIDTH], [usize; WIDTH]) {
    let (mut highest, mut places) = ([f32::MIN; WIDTH], [0; WIDTH]);
    for (place, word) in words.iter().enumerate() {
        for number in 0..WIDTH {
            if word[number] > highest[number] {
                (highest[number], places[number]) = (word[number], place);
            }
        }
    }
    (highest, places)
}

fn letters_of(word: &str) -> Vec<usize> {
    let mut letters = Vec::new();
    buckets(word, |bucket| letters.push(bucket));
    letters
}

// === impl Net ===

impl Net {
    #[expect(clippy::cast_precision_loss, reason = "small")]
    fn new(words: usize, random: &mut Random) -> Self {
        let reach = REACH * WIDTH;
        Self {
            words: Learned::new(words * WIDTH, WIDTH, 0.1, random),
            letters: Learned::new(BUCKETS * WIDTH, WIDTH, 0.1, random),
            filters: Learned::new(reach * FILTERS, reach * FILTERS, (2.0 / reach as f32).sqrt(), random),
            filter_bias: Learned::new(FILTERS, FILTERS, 0.0, random),
            outcomes: Learned::new(FEATURES * OUTCOMES, FEATURES * OUTCOMES, 0.1, random),
            bias: Learned::new(OUTCOMES, OUTCOMES, 0.0, random),
        }
    }

    /// Adds what one message teaches.
    fn learn(&mut self, text: &[Word], class: usize, random: &mut Random) {
        let rows: Vec<usize> =
            text.iter().map(|word| if random.happens(UNKNOWN_WORDS) { UNKNOWN } else { word.row }).collect();
        let words: Vec<[f32; WIDTH]> = text.iter().zip(&rows).map(|(word, row)| self.word(*row, word)).collect();
        let (peaks, places) = self.peaks(&words);
        let silent: [f32; FILTERS] =
            std::array::from_fn(|_| if random.happens(SILENT_FILTERS) { 0.0 } else { 1.0 / (1.0 - SILENT_FILTERS) });
        let (highest, highest_places) = highest(&words);
        let scale = sum_scale(words.len());
        let features = Features {
            peaks: std::array::from_fn(|filter| peaks[filter].max(0.0) * silent[filter]),
            sum: std::array::from_fn(|number| scale * words.iter().map(|word| word[number]).sum::<f32>()),
            highest,
        };
        let slopes = self.slopes(&features, class);
        let slope_of = |net: &Self, feature: usize| -> f32 {
            let weights = &net.outcomes.values[feature * OUTCOMES..][..OUTCOMES];
            weights.iter().zip(slopes).map(|(weight, slope)| weight * slope).sum()
        };
        let of_sum: [f32; WIDTH] = std::array::from_fn(|number| scale * slope_of(self, FILTERS + number));
        let mut back = vec![of_sum; words.len()];
        for (number, place) in highest_places.into_iter().enumerate() {
            back[place][number] += slope_of(self, FILTERS + WIDTH + number);
        }
        for filter in (0..FILTERS).filter(|filter| peaks[*filter] > 0.0 && silent[*filter] > 0.0) {
            let slope = silent[filter] * slope_of(self, filter);
            self.filter_bias.slopes[filter] += slope;
            for reached in 0..REACH {
                let place = (places[filter] + reached).checked_sub(REACH / 2).filter(|place| *place < words.len());
                let Some(place) = place else { continue };
                for number in 0..WIDTH {
                    let weight = (reached * WIDTH + number) * FILTERS + filter;
                    self.filters.slopes[weight] += slope * words[place][number];
                    back[place][number] += slope * self.filters.values[weight];
                }
            }
        }
        for ((word, row), back) in text.iter().zip(rows).zip(&back) {
            self.words.add(row, back, 1.0);
            let scale = letters_scale(word.letters.len());
            for letters in &word.letters {
                self.letters.add(*letters, back, scale);
            }
        }
    }

    /// A word as numbers.
    fn word(&self, row: usize, word: &Word) -> [f32; WIDTH] {
        let mut sum = [0.0; WIDTH];
        for letters in &word.letters {
            for (sum, number) in sum.iter_mut().zip(&self.letters.values[letters * WIDTH..][..WIDTH]) {
                *sum += number;
            }
        }
        let scale = letters_scale(word.letters.len());
        for (sum, number) in sum.iter_mut().zip(&self.words.values[row * WIDTH..][..WIDTH]) {
            *sum = *sum * scale + number;
        }
        sum
    }

    /// The most that each filter answers, and where.
    fn peaks(&self, words: &[[f32; WIDTH]]) -> ([f32; FILTERS], [usize; FILTERS]) {
        let (mut peaks, mut places) = ([f32::MIN; FILTERS], [0; FILTERS]);
        for place in 0..words.len() {
            let mut answers = [0.0; FILTERS];
            answers.copy_from_slice(&self.filter_bias.values);
            for reached in 0..REACH {
                let beside = (place + reached).checked_sub(REACH / 2).and_then(|beside| words.get(beside));
                let rows = self.filters.values[reached * WIDTH * FILTERS..].chunks_exact(FILTERS);
                for (number, row) in beside.into_iter().flatten().zip(rows) {
                    for (answer, weight) in answers.iter_mut().zip(row) {
                        *answer += number * weight;
                    }
                }
            }
            for filter in 0..FILTERS {
                if answers[filter] > peaks[filter] {
                    (peaks[filter], places[filter]) = (answers[filter], place);
                }
            }
        }
        (peaks, places)
    }

    /// How each outcome is to change, after adding what the last layer learns.
    fn slopes(&mut self, features: &Features, class: usize) -> [f32; OUTCOMES] {
        let mut logits = [0.0; OUTCOMES];
        logits.copy_from_slice(&self.bias.values);
        for (feature, weights) in features.all().zip(self.outcomes.values.chunks_exact(OUTCOMES)) {
            for (logit, weight) in logits.iter_mut().zip(weights) {
                *logit += feature * weight;
            }
        }
        let highest = logits.into_iter().fold(f32::MIN, f32::max);
        let grown = logits.map(|logit| (logit - highest).exp());
        let total: f32 = grown.iter().sum();
        let mut slopes = grown.map(|part| part / total);
        slopes[class] -= 1.0;
        for (sum, slope) in self.bias.slopes.iter_mut().zip(slopes) {
            *sum += slope;
        }
        for (feature, sums) in features.all().zip(self.outcomes.slopes.chunks_exact_mut(OUTCOMES)) {
            for (sum, slope) in sums.iter_mut().zip(slopes) {
                *sum += feature * slope;
            }
        }
        slopes
    }

    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "some thousands of steps")]
    fn step(&mut self, step: usize, steps: usize) {
        let rate = RATE * (1.02 - step as f32 / steps as f32);
        let step = i32::try_from(step).unwrap_or(i32::MAX);
        let settled = |kept: f64| (1.0 - kept.powi(step)) as f32;
        let rate = rate * settled(0.999).sqrt() / settled(0.9);
        self.words.step(rate);
        self.letters.step(rate);
        for dense in [&mut self.filters, &mut self.filter_bias, &mut self.outcomes, &mut self.bias] {
            dense.touch(0);
            dense.step(rate);
        }
    }

    /// What was learned, each known word's letters counted into its row.
    fn parameters(self, letters: &[Vec<usize>]) -> Parameters {
        let mut words = self.words.values[..WIDTH].to_vec();
        for (row, letters) in letters.iter().enumerate() {
            words.extend(self.word(row + 1, &Word { row: row + 1, letters: letters.clone() }));
        }
        let fixed = |values: &[f32]| std::array::from_fn(|place| values[place]);
        Parameters {
            words,
            letters: self.letters.values,
            filters: self.filters.values,
            filter_bias: std::array::from_fn(|filter| self.filter_bias.values[filter]),
            outcomes: self.outcomes.values.chunks_exact(OUTCOMES).map(fixed).collect(),
            bias: fixed(&self.bias.values),
            largest: [0.0; 2],
        }
        .measured()
    }
}

// === impl Learned ===

impl Learned {
    fn new(count: usize, row: usize, deviation: f32, random: &mut Random) -> Self {
        let zeros = vec![0.0; count];
        Self {
            values: (0..count).map(|_| random.around_zero(deviation)).collect(),
            slopes: zeros.clone(),
            steady: zeros.clone(),
            squared: zeros,
            row,
            touched: Vec::new(),
            is_touched: vec![false; count / row],
        }
    }

    fn touch(&mut self, row: usize) {
        if !self.is_touched[row] {
            self.is_touched[row] = true;
            self.touched.push(row);
        }
    }

    fn add(&mut self, row: usize, slopes: &[f32], scale: f32) {
        self.touch(row);
        for (sum, slope) in self.slopes[row * self.row..].iter_mut().zip(slopes) {
            *sum += slope * scale;
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a batch")]
    fn step(&mut self, rate: f32) {
        for row in self.touched.drain(..) {
            self.is_touched[row] = false;
            for place in row * self.row..(row + 1) * self.row {
                let slope = std::mem::take(&mut self.slopes[place]) / BATCH as f32;
                self.steady[place] = 0.9 * self.steady[place] + 0.1 * slope;
                self.squared[place] = 0.999 * self.squared[place] + 0.001 * slope * slope;
                self.values[place] -= rate * self.steady[place] / (self.squared[place].sqrt() + 1e-8);
            }
        }
    }
}
