//! What is known of a text beside its words, found out once and when first asked: how each sentence is told, and who was
//! named last.

use std::cell::OnceCell;
use std::ops::Range;
use std::sync::LazyLock;

use foldhash::HashSet;

use crate::sentinel::text::Text;

/// Phrases that put a sentence in the past.
const PAST: [&str; 19] = [
    "used to",
    "years ago",
    "year ago",
    "months ago",
    "decade ago",
    "decades ago",
    "long ago",
    "back then",
    "when i was",
    "in my teens",
    "in my twenties",
    "as a teenager",
    "in the past",
    "recovered",
    "in recovery",
    "behind me",
    "before i got help",
    "in school i",
    "back in",
];
/// Phrases that bring it back into the present.
const PRESENT: [&str; 16] = [
    "again",
    "now",
    "still",
    "lately",
    "today",
    "tonight",
    "this week",
    "relapsed",
    "relapse",
    "these days",
    "right now",
    "recently",
    "keep",
    "back to",
    "coming back",
    "yesterday",
];

/// Whom people have and speak of, as what they are to them.
pub(crate) const PEOPLE: [&str; 43] = [
    "sister",
    "brother",
    "friend",
    "mother",
    "father",
    "son",
    "daughter",
    "husband",
    "wife",
    "boyfriend",
    "girlfriend",
    "partner",
    "cousin",
    "neighbour",
    "neighbor",
    "colleague",
    "aunt",
    "uncle",
    "niece",
    "nephew",
    "flatmate",
    "housemate",
    "roommate",
    "granny",
    "grandad",
    "grandmother",
    "grandfather",
    "nan",
    "child",
    "teenager",
    "teen",
    "boy",
    "girl",
    "somebody",
    "someone",
    "coworker",
    "fella",
    "missus",
    "ex",
    "student",
    "patient",
    "boss",
    "stepson",
];

/// Whoever else a sentence may be about.
static OTHERS: LazyLock<HashSet<&str>> =
    LazyLock::new(|| PEOPLE.into_iter().chain(["he", "she", "they", "children"]).collect());

/// Words that make a sentence about a story or about news.
const STORIES: [&str; 21] = [
    "film",
    "movie",
    "book",
    "novel",
    "character",
    "series",
    "episode",
    "song",
    "lyrics",
    "article",
    "documentary",
    "podcast",
    "netflix",
    "soap",
    "drama",
    "poem",
    "play",
    "headline",
    "quote",
    "game",
    "tv",
];

/// What is known of a text beside its words, found out once, when first asked.
pub(super) struct Circumstances<'a> {
    pub(super) text: &'a Text,
    pub(super) sentences: Vec<Range<usize>>,
    /// What each sentence is, by its place.
    told: Vec<OnceCell<Told>>,
    subjects: OnceCell<Vec<Subject>>,
}

/// How a sentence is told.
#[derive(Clone, Copy)]
pub(super) struct Told {
    pub(super) in_the_past: bool,
    pub(super) in_a_story: bool,
}

/// Who was named last in a sentence.
#[derive(Clone, Copy, Default)]
enum Subject {
    #[default]
    Nobody,
    Writer,
    /// Somebody else, by the place of the word.
    Other(usize),
}

// === impl Circumstances ===

impl<'a> Circumstances<'a> {
    pub(super) fn of(text: &'a Text) -> Self {
        let sentences: Vec<Range<usize>> = text.sentences().collect();
        let told = sentences.iter().map(|_| OnceCell::new()).collect();
        Self { text, sentences, told, subjects: OnceCell::new() }
    }

    /// Which sentence a word is in.
    pub(super) fn sentence_of(&self, place: usize) -> usize {
        self.sentences.partition_point(|sentence| sentence.end <= place)
    }

    pub(super) fn told(&self, sentence: usize) -> Told {
        *self.told[sentence].get_or_init(|| {
            let words = &self.sentences[sentence];
            let in_the_past = says(self.text, words, &PAST) && !says(self.text, words, &PRESENT);
            Told { in_the_past, in_a_story: says(self.text, words, &STORIES) }
        })
    }

    /// Whoever else is named last before the words or by the first of them, with no `I` in between or among them.
    pub(super) fn other(&self, words: &Range<usize>) -> Option<&'a str> {
        let subjects = self.subjects.get_or_init(|| subjects(self.text));
        match subjects[words.start] {
            Subject::Other(place) if !words.clone().any(|place| is_writer(self.text, place)) => self.text.word(place),
            _ => None,
        }
    }
}

/// Who was named last in its sentence, at each word.
fn subjects(text: &Text) -> Vec<Subject> {
    let mut last = Subject::Nobody;
    let at = |(place, word): (usize, &str)| {
        if place > 0 && text.is_end(place - 1) {
            last = Subject::Nobody;
        }
        if is_writer(text, place) {
            last = Subject::Writer;
        } else if is_other(word) {
            last = Subject::Other(place);
        }
        last
    };
    text.words().enumerate().map(at).collect()
}

/// Whether a word names somebody who is not the writer.
pub(crate) fn is_other(word: &str) -> bool {
    // "my friend's doing …"
    OTHERS.contains(word) || word.strip_suffix('s').is_some_and(|word| OTHERS.contains(word))
}

fn is_writer(text: &Text, place: usize) -> bool {
    matches!(text.word(place), Some("i" | "me" | "myself"))
}

/// Whether a sentence has one of several phrases.
fn says(text: &Text, sentence: &Range<usize>, phrases: &[&str]) -> bool {
    let begins = |place: usize, phrase: &str| {
        phrase
            .split(' ')
            .enumerate()
            .all(|(offset, word)| place + offset < sentence.end && text.word(place + offset) == Some(word))
    };
    sentence.clone().any(|place| phrases.iter().any(|phrase| begins(place, phrase)))
}
