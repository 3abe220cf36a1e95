//! The second reader: a small network that learned what words are like, so that it hears in words it has not seen
//! together what it knows of others.
//!
//! Each word is a row of numbers, and so are the letters it is made of. Filters look at five words at a time; of each
//! the place counts where it answers most. Those answers, the sum of all words' numbers and the highest of each make
//! every outcome more or less likely. What a filter makes of a known word is worked out when
//! it is first read, so that reading is adding five rows.

use std::ops::Range;
use std::sync::OnceLock;

use super::OUTCOMES;
use super::bytes::{Reader, write_floats, write_steps};
use super::phrases::{self, finished, hash, letters, place};
use crate::sentinel::text::{Break, Text};

/// How many numbers a word is.
pub const WIDTH: usize = 40;
/// How many words a filter looks at.
pub const REACH: usize = 5;
/// How many filters there are.
pub const FILTERS: usize = 128;
/// How many rows the letters of words share.
pub const BUCKETS: usize = 2048;
/// The row of a word that is not known.
pub const UNKNOWN: usize = 0;

/// How many words that are not known are looked at by their letters: of more of them nobody could make sense, and it
/// would take long.
const LETTERED: usize = 48;

/// What a filter makes of a word may be this large, so that all in reach can be added without loss.
#[expect(clippy::cast_precision_loss, reason = "a handful")]
const LARGEST: f32 = 32_000.0 / REACH as f32;

/// What a word is in steps: to the filters, at each place that they look at, and by itself.
#[derive(Debug, Clone)]
struct Steps {
    answers: [[i16; FILTERS]; REACH],
    word: [i16; WIDTH],
}

/// What the words of some sentences come to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gathered {
    /// The most that each filter answered.
    peaks: [i16; FILTERS],
    /// The highest of each of the words' numbers, and their sum.
    highest: [i16; WIDTH],
    sum: [i32; WIDTH],
    count: usize,
}

/// What a network makes of some sentences, before it says what that means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Features {
    /// What each filter answered at most; less than nothing is nothing.
    pub peaks: [f32; FILTERS],
    /// The sum of the words' numbers, less loud the more words there are.
    pub sum: [f32; WIDTH],
    /// The highest of each of the words' numbers.
    pub highest: [f32; WIDTH],
}

/// How many numbers those are.
pub const FEATURES: usize = FILTERS + 2 * WIDTH;

/// What a network has learned.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameters {
    /// Each known word's row, its letters counted in; the unknown one's first.
    pub words: Vec<f32>,
    /// The rows of letters.
    pub letters: Vec<f32>,
    /// For each number of each word in reach, what it is to each filter.
    pub filters: Vec<f32>,
    /// What each filter answers to nothing.
    pub filter_bias: [f32; FILTERS],
    /// What each of the [`Features`] says of each outcome.
    pub outcomes: Vec<[f32; OUTCOMES]>,
    /// How likely each outcome is by itself.
    pub bias: [f32; OUTCOMES],
    /// The largest number that a filter makes of a known word, and the largest of a word's own.
    pub largest: [f32; 2],
}

/// The words that the network knows by themselves.
#[derive(Debug, Clone)]
pub struct Vocabulary {
    keys: Vec<u32>,
    rows: Vec<u16>,
}

/// A network that reads.
#[derive(Debug)]
pub(super) struct Network {
    parameters: Parameters,
    /// What one step of an answer is worth, and one of a word's numbers.
    step: [f32; 2],
    /// The known words, each from when it is first read.
    words: Vec<OnceLock<Box<Steps>>>,
}

/// A word, or a mark between words.
#[derive(Debug, Clone, Copy)]
pub struct Token<'a> {
    /// Its hash.
    pub key: u32,
    /// Its letters; none of a mark.
    pub word: &'a str,
}

/// What a message begins with, and what stands where a part of a sentence, a sentence and a question end.
const MARKS: [&str; 4] = ["<begin>", "<,>", "<.>", "<?>"];

/// A message's words and marks, and which of them each sentence has.
pub fn tokens(text: &Text) -> (Vec<Token<'_>>, Vec<Range<usize>>) {
    let mark = |which: usize| Token { key: key(MARKS[which]), word: "" };
    let mut tokens = Vec::with_capacity(text.len() * 5 / 4 + 2);
    tokens.push(mark(0));
    let mut sentences = Vec::new();
    for sentence in text.sentences() {
        let start = if sentences.is_empty() { 0 } else { tokens.len() };
        let last = sentence.end.saturating_sub(1);
        for place in sentence {
            let word = text.word(place).unwrap_or_default();
            tokens.push(Token { key: key(word), word });
            match text.after(place) {
                Break::Clause => tokens.push(mark(1)),
                Break::Question => tokens.push(mark(3)),
                _ if place == last => tokens.push(mark(2)),
                _ => {}
            }
        }
        sentences.push(start..tokens.len());
    }
    (tokens, sentences)
}

fn key(word: &str) -> u32 {
    phrases::key(finished(hash(12, word)))
}

/// Calls back with the row of each three and four letters in a row.
pub fn buckets(word: &str, mut bucket: impl FnMut(usize)) {
    let mut hashed = |hash: u32| bucket(hash as usize % BUCKETS);
    letters::<3>(word, 10, &mut hashed);
    letters::<4>(word, 11, &mut hashed);
}

// === impl Vocabulary ===

impl Vocabulary {
    /// Words by their hashes, their rows in the same order from 1 on; at most 65,535.
    pub fn new(words: &[u32]) -> Self {
        let places = (words.len() * 2 + 1).next_power_of_two();
        let (mut keys, mut rows) = (vec![0; places], vec![0; places]);
        for (key, row) in words.iter().zip(1..) {
            let place = place(&keys, *key);
            keys[place] = *key;
            rows[place] = row;
        }
        Self { keys, rows }
    }

    /// A word's row; [`UNKNOWN`] where it has none.
    pub fn row(&self, key: u32) -> usize {
        self.rows[place(&self.keys, key)].into()
    }
}

// === impl Parameters ===

impl Parameters {
    pub(super) fn read(bytes: &mut Reader<'_>, words: usize) -> Option<Self> {
        let words = bytes.steps((words + 1) * WIDTH)?;
        let letters = bytes.steps(BUCKETS * WIDTH)?;
        let filters = bytes.steps(REACH * WIDTH * FILTERS)?;
        let filter_bias = bytes.floats()?;
        let outcomes = bytes.steps(FEATURES * OUTCOMES)?.as_chunks().0.to_vec();
        let (bias, largest) = (bytes.floats()?, bytes.floats()?);
        Some(Self { words, letters, filters, filter_bias, outcomes, bias, largest })
    }

    pub(super) fn write(&self, bytes: &mut Vec<u8>) {
        write_steps(bytes, &self.words);
        write_steps(bytes, &self.letters);
        write_steps(bytes, &self.filters);
        write_floats(bytes, self.filter_bias);
        write_steps(bytes, self.outcomes.as_flattened());
        write_floats(bytes, self.bias.into_iter().chain(self.largest));
    }

    /// The same, with the largest numbers that it comes to.
    #[must_use]
    pub fn measured(self) -> Self {
        let words: Vec<[f32; WIDTH]> = (0..self.words.len() / WIDTH).map(|row| self.word(row, &[])).collect();
        let most = |most: f32, number: &f32| most.max(number.abs());
        let of_filters = |word: &[f32; WIDTH]| self.answers(word).iter().flatten().fold(f32::MIN_POSITIVE, most);
        let largest = [
            words.iter().map(of_filters).fold(f32::MIN_POSITIVE, f32::max),
            words.iter().flatten().fold(f32::MIN_POSITIVE, most),
        ];
        Self { largest, ..self }
    }

    /// A word as numbers: its own row, and those of letters.
    pub fn word(&self, row: usize, buckets: &[usize]) -> [f32; WIDTH] {
        let mut word = [0.0; WIDTH];
        for bucket in buckets {
            for (sum, number) in word.iter_mut().zip(&self.letters[bucket * WIDTH..][..WIDTH]) {
                *sum += number;
            }
        }
        let scale = letters_scale(buckets.len());
        for (sum, number) in word.iter_mut().zip(&self.words[row * WIDTH..][..WIDTH]) {
            *sum = *sum * scale + number;
        }
        word
    }

    /// What the filters answer to a word, at each place in their reach.
    pub fn answers(&self, word: &[f32; WIDTH]) -> [[f32; FILTERS]; REACH] {
        let mut answers = [[0.0; FILTERS]; REACH];
        for (answers, filters) in answers.iter_mut().zip(self.filters.chunks_exact(WIDTH * FILTERS)) {
            for (number, row) in word.iter().zip(filters.chunks_exact(FILTERS)) {
                for (answer, weight) in answers.iter_mut().zip(row) {
                    *answer += number * weight;
                }
            }
        }
        answers
    }

    /// The logarithms of the outcomes' odds, by what the network makes of the words.
    pub fn outcomes(&self, features: &Features) -> [f32; OUTCOMES] {
        let mut logits = self.bias;
        for (feature, weights) in features.all().zip(&self.outcomes) {
            for (logit, weight) in logits.iter_mut().zip(weights) {
                *logit += feature * weight;
            }
        }
        logits
    }
}

// === impl Features ===

impl Features {
    /// Each of them, in the order of the rows of [`Parameters::outcomes`].
    pub fn all(&self) -> impl Iterator<Item = f32> {
        self.peaks.iter().chain(&self.sum).chain(&self.highest).copied()
    }
}

/// By what the sum of a word's letters is multiplied, so that long words are not loud.
#[expect(clippy::cast_precision_loss, reason = "the letters of a word")]
pub fn letters_scale(letters: usize) -> f32 {
    1.0 / (1.0 + letters as f32).sqrt()
}

/// By what the sum of words is multiplied.
#[expect(clippy::cast_precision_loss, reason = "the words of a message")]
pub fn sum_scale(words: usize) -> f32 {
    1.0 / (1.0 + words as f32).sqrt()
}

// === impl Network ===

impl Network {
    /// A network ready to read.
    pub(super) fn new(parameters: Parameters) -> Self {
        let step = parameters.largest.map(|largest| largest / LARGEST);
        let words = (0..parameters.words.len() / WIDTH).map(|_| OnceLock::new()).collect();
        Self { parameters, step, words }
    }

    fn known(&self, row: usize) -> &Steps {
        self.words[row].get_or_init(|| Box::new(self.steps(&self.parameters.word(row, &[]))))
    }

    fn steps(&self, word: &[f32; WIDTH]) -> Steps {
        Steps::of(word, &self.parameters.answers(word), self.step)
    }

    /// What the words of each sentence come to.
    pub(super) fn gather(&self, tokens: &[Token<'_>], rows: &[usize], sentences: &[Range<usize>]) -> Vec<Gathered> {
        let strange = self.strange(tokens, rows);
        let mut next = strange.iter();
        let words: Vec<&Steps> = tokens
            .iter()
            .zip(rows)
            .map(|(token, row)| {
                let own = if is_strange(token, *row) { next.next() } else { None };
                own.unwrap_or_else(|| self.known(*row))
            })
            .collect();
        let gathered = |sentence: &Range<usize>| {
            let mut gathered = Gathered::default();
            for place in sentence.clone() {
                gathered.count(&words, place);
            }
            gathered
        };
        sentences.iter().map(gathered).collect()
    }

    /// The words that are not known, by their letters; no more than [`LETTERED`].
    fn strange(&self, tokens: &[Token<'_>], rows: &[usize]) -> Vec<Steps> {
        let strange = tokens.iter().zip(rows).filter(|(token, row)| is_strange(token, **row));
        let by_letters = |word: &str| {
            let mut letters = Vec::new();
            buckets(word, |bucket| letters.push(bucket));
            self.steps(&self.parameters.word(UNKNOWN, &letters))
        };
        strange.take(LETTERED).map(|(token, _)| by_letters(token.word)).collect()
    }

    /// The logarithms of the outcomes' odds.
    #[expect(clippy::cast_precision_loss, reason = "sums over some thousand words")]
    pub(super) fn outcomes(&self, gathered: &Gathered) -> [f32; OUTCOMES] {
        let Gathered { peaks, highest, sum, count } = gathered;
        let [answer, number] = self.step;
        let bias = &self.parameters.filter_bias;
        let scale = number * sum_scale(*count);
        self.parameters.outcomes(&Features {
            peaks: std::array::from_fn(|filter| (f32::from(peaks[filter]) * answer + bias[filter]).max(0.0)),
            sum: sum.map(|sum| sum as f32 * scale),
            // Of no words nothing is the highest.
            highest: highest.map(|highest| if *count == 0 { 0.0 } else { f32::from(highest) * number }),
        })
    }
}

fn is_strange(token: &Token<'_>, row: usize) -> bool {
    row == UNKNOWN && !token.word.is_empty()
}

// === impl Steps ===

impl Steps {
    #[expect(clippy::cast_possible_truncation, reason = "clamped")]
    fn of(word: &[f32; WIDTH], answers: &[[f32; FILTERS]; REACH], [answer, number]: [f32; 2]) -> Self {
        let in_steps = |value: f32, step: f32| (value / step).clamp(-LARGEST, LARGEST).round() as i16;
        Self {
            answers: answers.map(|answers| answers.map(|value| in_steps(value, answer))),
            word: word.map(|value| in_steps(value, number)),
        }
    }
}

// === impl Gathered ===

impl Default for Gathered {
    /// What no words come to.
    fn default() -> Self {
        Self { peaks: [i16::MIN; FILTERS], highest: [i16::MIN; WIDTH], sum: [0; WIDTH], count: 0 }
    }
}

impl Gathered {
    /// Counts the word at a place, with those beside it.
    fn count(&mut self, words: &[&Steps], place: usize) {
        let mut answers = [0_i16; FILTERS];
        for reached in 0..REACH {
            let beside = (place + reached).checked_sub(REACH / 2).and_then(|beside| words.get(beside));
            if let Some(beside) = beside {
                for (sum, more) in answers.iter_mut().zip(&beside.answers[reached]) {
                    *sum = sum.saturating_add(*more);
                }
            }
        }
        raise(&mut self.peaks, &answers);
        let word = &words[place].word;
        raise(&mut self.highest, word);
        for (sum, number) in self.sum.iter_mut().zip(word) {
            *sum += i32::from(*number);
        }
        self.count += 1;
    }

    /// Adds what other sentences come to.
    pub(super) fn add(&mut self, other: &Self) {
        raise(&mut self.peaks, &other.peaks);
        raise(&mut self.highest, &other.highest);
        for (sum, more) in self.sum.iter_mut().zip(other.sum) {
            *sum += more;
        }
        self.count += other.count;
    }
}

/// Raises each to the other's where that is higher.
fn raise<const COUNT: usize>(numbers: &mut [i16; COUNT], others: &[i16; COUNT]) {
    for (number, other) in numbers.iter_mut().zip(others) {
        *number = (*number).max(*other);
    }
}
