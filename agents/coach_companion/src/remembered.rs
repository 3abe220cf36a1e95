//! What a user has said in a session that nobody should have to say twice: a name, a goal, a tone, a unit.
//!
//! Read from the user's own words by fixed phrases, oldest first; what was said last counts. Better to
//! remember too little than something wrong: the model reads the conversation as well.

use crate::payload::{CoachingStyle, Gamification, GoalType, Name, WeightUnit};

/// What was said, each where it was.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remembered {
    /// What the user is called.
    pub name: Option<Name>,
    /// What they work towards.
    pub goal: Option<GoalType>,
    /// The tone they asked for.
    pub style: Option<CoachingStyle>,
    /// How much play they asked for.
    pub gamification: Option<Gamification>,
    /// The unit they asked for.
    pub units: Option<WeightUnit>,
    /// Whether they take a GLP-1 medicine.
    pub on_glp1: Option<bool>,
}

/// Phrases of whole words, lower case, without punctuation or apostrophes, and what they say.
type Phrases<T> = [(&'static str, T)];

const GOALS: &Phrases<GoalType> = &[
    ("my goal is to lose weight", GoalType::Loss),
    ("i want to lose weight", GoalType::Loss),
    ("i would like to lose weight", GoalType::Loss),
    ("id like to lose weight", GoalType::Loss),
    ("im trying to lose weight", GoalType::Loss),
    ("my goal is maintenance", GoalType::Maintenance),
    ("my goal is to maintain", GoalType::Maintenance),
    ("i want to maintain", GoalType::Maintenance),
    ("i just want to maintain", GoalType::Maintenance),
    ("i want to keep it off", GoalType::Maintenance),
    ("i just want to keep it off", GoalType::Maintenance),
    ("i want to keep my weight", GoalType::Maintenance),
    ("im maintaining now", GoalType::Maintenance),
    ("moving to maintenance", GoalType::Transition),
    ("move to maintenance", GoalType::Transition),
    ("moving into maintenance", GoalType::Transition),
    ("transition to maintenance", GoalType::Transition),
    ("transitioning to maintenance", GoalType::Transition),
];

const STYLES: &Phrases<CoachingStyle> = &[
    ("be gentle with me", CoachingStyle::Gentle),
    ("go easy on me", CoachingStyle::Gentle),
    ("please be gentle", CoachingStyle::Gentle),
    ("be kind to me", CoachingStyle::Gentle),
    ("be blunt with me", CoachingStyle::Pragmatic),
    ("be direct with me", CoachingStyle::Pragmatic),
    ("be straight with me", CoachingStyle::Pragmatic),
    ("keep it practical", CoachingStyle::Pragmatic),
    ("just be practical", CoachingStyle::Pragmatic),
    ("cut to the chase", CoachingStyle::Pragmatic),
    ("be upbeat", CoachingStyle::Upbeat),
    ("be more cheerful", CoachingStyle::Upbeat),
    ("cheer me on", CoachingStyle::Upbeat),
    ("hype me up", CoachingStyle::Upbeat),
    ("step by step please", CoachingStyle::Structured),
    ("just give me steps", CoachingStyle::Structured),
    ("give me clear steps", CoachingStyle::Structured),
    ("i like structure", CoachingStyle::Structured),
    ("i need structure", CoachingStyle::Structured),
];

const GAMIFICATION: &Phrases<Gamification> = &[
    ("no challenges", Gamification::Low),
    ("no more challenges", Gamification::Low),
    ("no streaks", Gamification::Low),
    ("no badges", Gamification::Low),
    ("no games", Gamification::Low),
    ("i love a challenge", Gamification::High),
    ("i love challenges", Gamification::High),
    ("give me challenges", Gamification::High),
    ("i love streaks", Gamification::High),
];

const UNITS: &Phrases<WeightUnit> = &[
    ("use kilos please", WeightUnit::Kg),
    ("please use kilos", WeightUnit::Kg),
    ("use kg please", WeightUnit::Kg),
    ("please use kg", WeightUnit::Kg),
    ("in kilos please", WeightUnit::Kg),
    ("in kg please", WeightUnit::Kg),
    ("use pounds please", WeightUnit::Lb),
    ("please use pounds", WeightUnit::Lb),
    ("use lbs please", WeightUnit::Lb),
    ("please use lbs", WeightUnit::Lb),
    ("in pounds please", WeightUnit::Lb),
    ("in lbs please", WeightUnit::Lb),
    ("use stone please", WeightUnit::St),
    ("please use stone", WeightUnit::St),
    ("use stones please", WeightUnit::St),
    ("please use stones", WeightUnit::St),
    ("in stone please", WeightUnit::St),
    ("in stones please", WeightUnit::St),
];

const GLP1_MEDICINES: &[&str] =
    &["wegovy", "ozempic", "mounjaro", "saxenda", "semaglutide", "tirzepatide", "liraglutide", "zepbound", "rybelsus"];
const ON_IT: &[&str] = &["im on", "i am on", "ive been on", "i started", "ive started", "i take", "im taking"];
const OFF_IT: &[&str] =
    &["im off", "i am off", "i came off", "ive come off", "i stopped", "ive stopped", "no longer on"];

/// What a name follows, in words as above.
const NAMED: &[&str] = &["my name is", "my names", "call me", "i go by"];
/// What stands before those words when no name follows.
const DENIED: &[&str] = &["dont", "not", "never", "they", "people", "kids", "to", "who", "you", "he", "she"];
/// What follows those words and is no name.
const NOT_NAMES: &[&str] = &[
    "a",
    "an",
    "the",
    "not",
    "when",
    "if",
    "back",
    "later",
    "lazy",
    "fat",
    "stupid",
    "what",
    "whatever",
    "crazy",
    "mad",
    "old",
    "names",
    "out",
    "up",
    "on",
    "anything",
    "by",
    "in",
    "and",
    "or",
    "something",
    "anytime",
    "tomorrow",
    "again",
];

// === impl Remembered ===

impl Remembered {
    /// What is said in messages, oldest first.
    pub fn from_words<'a>(messages: impl IntoIterator<Item = &'a str>) -> Self {
        messages.into_iter().fold(Self::default(), |mut known, message| {
            known.hear(message);
            known
        })
    }

    /// Whether there is something to remember.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn hear(&mut self, message: &str) {
        let said = plain(message);
        self.goal = last_of(GOALS, &said).or(self.goal);
        self.style = last_of(STYLES, &said).or(self.style);
        self.gamification = last_of(GAMIFICATION, &said).or(self.gamification);
        self.units = last_of(UNITS, &said).or(self.units);
        self.on_glp1 = medicine(&said).or(self.on_glp1);
        self.name = name(message).or_else(|| self.name.take());
    }
}

/// What the last phrase in a message says.
fn last_of<T: Copy>(phrases: &Phrases<T>, said: &str) -> Option<T> {
    let found = phrases.iter().filter_map(|(phrase, what)| Some((said.rfind(&format!(" {phrase} "))?, *what)));
    found.max_by_key(|(place, _)| *place).map(|(_, what)| what)
}

/// Whether the user says that they take such a medicine, or that they no longer do.
fn medicine(said: &str) -> Option<bool> {
    let says = |verbs: &[&str]| {
        let mut pairs = verbs.iter().flat_map(|verb| GLP1_MEDICINES.iter().map(move |medicine| (verb, medicine)));
        pairs.any(|(verb, medicine)| said.contains(&format!(" {verb} {medicine} ")))
    };
    if says(OFF_IT) { Some(false) } else { says(ON_IT).then_some(true) }
}

/// The name in "my name is Aoife" or "call me Mary Kate": the words after it that begin with a capital, or one
/// word that does not.
fn name(message: &str) -> Option<Name> {
    let words: Vec<&str> = message.split_whitespace().collect();
    let bare: Vec<String> = words.iter().map(|word| plain(word).trim().to_owned()).collect();
    let phrase_ends = |place: usize| {
        NAMED.iter().find_map(|phrase| {
            let phrase: Vec<&str> = phrase.split(' ').collect();
            let end = place + phrase.len();
            let is_denied = place.checked_sub(1).is_some_and(|before| DENIED.contains(&bare[before].as_str()));
            (bare.get(place..end)? == phrase.as_slice() && !is_denied).then_some(end)
        })
    };
    let begins = (0..words.len()).rev().find_map(phrase_ends)?;
    let is_capital = |word: &&&str| word.starts_with(char::is_uppercase);
    let mut taken: Vec<&str> = words.get(begins..)?.iter().take(2).take_while(is_capital).copied().collect();
    if taken.is_empty() {
        taken.push(words.get(begins)?);
    }
    if taken.first().is_some_and(|first| first.ends_with([',', '.', '!', '?', ';'])) {
        taken.truncate(1);
    }
    let is_word = !NOT_NAMES.contains(&bare.get(begins)?.as_str());
    let name = taken.join(" ");
    Name::new(name.trim_end_matches(|c: char| !c.is_alphabetic())).filter(|_| is_word)
}

/// Lower case, apostrophes gone, everything else that is no letter or digit a single space, one at each end, so
/// that phrases match whole words.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len() + 2);
    plain.push(' ');
    for c in text.chars().filter(|c| !matches!(c, '\'' | '’' | '‘')) {
        if c.is_alphanumeric() {
            plain.extend(c.to_lowercase());
        } else if !plain.ends_with(' ') {
            plain.push(' ');
        }
    }
    if !plain.ends_with(' ') {
        plain.push(' ');
    }
    plain
}
