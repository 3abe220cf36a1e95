//! What is told of somebody else, as they would tell it: "my sister says she wants to die" is "i say i want to die" in
//! her mouth, so that one set of rules serves both.

use std::borrow::Cow;
use std::sync::LazyLock;

use foldhash::HashSet;

use super::text::{Break, Text};
use crate::rules;

/// Who may stand after "my", "our", "a", "the" or "this", beside those whom rules know as others.
const MORE_PEOPLE: [&str; 23] = [
    "nana",
    "stepdaughter",
    "mate",
    "lad",
    "lads",
    "kid",
    "eldest",
    "youngest",
    "twin",
    "pal",
    "bestie",
    "fiance",
    "client",
    "tenant",
    "bro",
    "sis",
    "gf",
    "bf",
    "woman",
    "man",
    "lady",
    "guy",
    "stepfather",
];

static PEOPLE: LazyLock<HashSet<&str>> = LazyLock::new(|| rules::PEOPLE.into_iter().chain(MORE_PEOPLE).collect());

const DETERMINERS: [&str; 11] = ["my", "our", "a", "the", "this", "her", "his", "their", "best", "old", "little"];

/// Words that follow a possessive, so that "her" before anything else is "me".
const AFTER_ME: [&str; 24] = [
    "and", "but", "or", "because", "so", "if", "when", "to", "in", "on", "at", "with", "for", "again", "now", "every",
    "last", "tonight", "today", "until", "too", "all", "up", "from",
];

/// The sentences of a message that others are in, as those would tell them of themselves; none where nobody else is.
pub fn as_they_would_say(text: &Text) -> Option<Text> {
    let mut told = Text::default();
    let (mut sentence, mut is_anybody, mut is_new) = (0, false, false);
    let mut place = 0;
    while let Some(word) = text.word(place) {
        let end = text.after(place);
        if is_new && !is_anybody {
            told.take_back(sentence);
        }
        if is_new {
            (sentence, is_anybody, is_new) = (told.len(), false, false);
        }
        let next = (end < Break::Clause).then(|| text.word(place + 1)).flatten();
        let is_people = next.is_some_and(|next| PEOPLE.contains(next));
        // "my best friend", "our little brother": the last word of the phrase says it.
        if DETERMINERS.contains(&word) && (is_people || next.is_some_and(|next| is_adjective_of(text, place + 1, next)))
        {
            place += 1;
            continue;
        }
        let (said, is_other) = match word {
            "he" | "she" | "they" | "himself" | "herself" | "themselves" | "themself" | "him" | "his" | "her"
            | "their" | "them" => (Cow::Borrowed(in_first_person(word, next)), true),
            _ if PEOPLE.contains(word) => ("i".into(), true),
            _ if told
                .words()
                .next_back()
                .is_some_and(|before| matches!(before, "i" | "always" | "never" | "not" | "also")) =>
            {
                (agreeing(word), false)
            }
            _ => (word.into(), false),
        };
        is_anybody |= is_other;
        told.say(&said, end);
        is_new = text.is_end(place);
        place += 1;
    }
    if !is_anybody {
        told.take_back(sentence);
    }
    (!told.is_empty()).then_some(told)
}

fn is_adjective_of(text: &Text, place: usize, word: &str) -> bool {
    let follows = text.word(place + 1).is_some_and(|next| PEOPLE.contains(next));
    follows
        && matches!(
            word,
            "best"
                | "old"
                | "little"
                | "young"
                | "younger"
                | "older"
                | "elderly"
                | "dear"
                | "good"
                | "twin"
                | "own"
                | "poor"
        )
}

fn in_first_person(word: &str, next: Option<&str>) -> &'static str {
    match word {
        "he" | "she" | "they" => "i",
        "himself" | "herself" | "themselves" | "themself" => "myself",
        "him" | "them" => "me",
        "her" if next.is_none_or(|next| AFTER_ME.contains(&next)) => "me",
        _ => "my",
    }
}

/// A verb of the third person as it follows "i".
fn agreeing(verb: &str) -> Cow<'_, str> {
    match verb {
        "is" | "are" => return "am".into(),
        "has" => return "have".into(),
        "does" => return "do".into(),
        "was" | "this" | "always" | "says" => return verb.into(),
        _ => {}
    }
    if let Some(stem) = verb.strip_suffix("ies").filter(|stem| stem.len() > 1) {
        return format!("{stem}y").into();
    }
    let sibilant = ["shes", "ches", "sses", "xes", "zes"].iter().any(|end| verb.ends_with(end));
    match verb.strip_suffix('s') {
        Some(stem) if sibilant => stem.trim_end_matches('e').into(),
        Some(stem) if stem.len() > 2 && !stem.ends_with('s') && !stem.ends_with('u') => stem.into(),
        _ => verb.into(),
    }
}
