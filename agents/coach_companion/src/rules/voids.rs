//! What makes rules mean nothing in a text: the words that each names against itself, and where they stand.

use std::ops::Range;

use foldhash::{HashMap, HashSet};

use super::circumstances::Circumstances;

/// Where words must stand to make a rule mean nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Where {
    /// Anywhere in the sentence.
    Anywhere,
    /// Where they begin before the rule's own.
    Before,
    /// Where they share a word with the rule's own or stand next to them.
    Beside,
}

/// What makes rules mean nothing in a text, so that a match is asked about in one step.
#[derive(Default)]
pub(super) struct Voids {
    /// Rules that mean nothing in a sentence, by its place.
    anywhere: HashSet<(u32, usize)>,
    /// Where the first such words of a sentence begin.
    before: HashMap<(u32, usize), usize>,
    /// The places of such words and of those next to them.
    beside: HashSet<(u32, usize)>,
}

// === impl Voids ===

impl Voids {
    pub(super) fn of(unless: Vec<(u32, Where, Range<usize>)>, circumstances: &Circumstances<'_>) -> Self {
        let mut voids = Self::default();
        for (rule, place, words) in unless {
            let sentence = circumstances.sentence_of(words.start);
            let within = &circumstances.sentences[sentence];
            // "It is not dangerous to …" warns of nothing.
            let is_denied = within.start < words.start
                && circumstances.text.word(words.start - 1).is_some_and(|word| matches!(word, "not" | "never" | "no"));
            if is_denied && place != Where::Anywhere {
                continue;
            }
            match place {
                Where::Anywhere => {
                    voids.anywhere.insert((rule, sentence));
                }
                Where::Before => {
                    let first = voids.before.entry((rule, sentence)).or_insert(words.start);
                    *first = words.start.min(*first);
                }
                Where::Beside => {
                    // A condition is of what follows it: "you need discipline if you …" is no kinder for it.
                    let is_condition = matches!(circumstances.text.word(words.start), Some("if" | "when" | "whenever"));
                    let from = words.start.saturating_sub(usize::from(!is_condition)).max(within.start);
                    voids.beside.extend((from..(words.end + 1).min(within.end)).map(|place| (rule, place)));
                }
            }
        }
        voids
    }

    pub(super) fn void(&self, rule: u32, words: &Range<usize>, sentence: usize) -> bool {
        self.anywhere.contains(&(rule, sentence))
            || self.before.get(&(rule, sentence)).is_some_and(|first| *first < words.start)
            || (!self.beside.is_empty() && words.clone().any(|place| self.beside.contains(&(rule, place))))
    }
}
