//! What is told of somebody else, as they would tell it: "my sister says she wants to die" is "i say i want to die" in
//! her mouth, so that one set of rules serves both.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use foldhash::HashMap;

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

/// What stands before whom somebody has.
const DETERMINERS: [&str; 11] = ["my", "our", "a", "the", "this", "her", "his", "their", "best", "old", "little"];

/// What stands between the two.
const ADJECTIVES: [&str; 12] =
    ["best", "old", "little", "young", "younger", "older", "elderly", "dear", "good", "twin", "own", "poor"];

/// Words that follow a possessive, so that "her" before anything else is "me".
const AFTER_ME: [&str; 24] = [
    "and", "but", "or", "because", "so", "if", "when", "to", "in", "on", "at", "with", "for", "again", "now", "every",
    "last", "tonight", "today", "until", "too", "all", "up", "from",
];

/// Pronouns of somebody who is not the writer.
const PRONOUNS: [(&str, Other); 12] = [
    ("he", Other::Subject),
    ("she", Other::Subject),
    ("they", Other::Subject),
    ("himself", Other::Reflexive),
    ("herself", Other::Reflexive),
    ("themselves", Other::Reflexive),
    ("themself", Other::Reflexive),
    ("him", Other::Object),
    ("them", Other::Object),
    ("her", Other::ObjectOrPossessive),
    ("his", Other::Possessive),
    ("their", Other::Possessive),
];

/// Words for somebody who is not the writer.
static ROLES: LazyLock<HashMap<&str, Other>> = LazyLock::new(|| {
    let people = rules::PEOPLE.into_iter().chain(MORE_PEOPLE).map(|word| (word, Other::Person));
    people.chain(PRONOUNS).collect()
});

/// What a word for somebody else is in its sentence.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Other {
    Person,
    Subject,
    Reflexive,
    Object,
    ObjectOrPossessive,
    Possessive,
}

/// The sentences of a message that others are in, as those would tell them of themselves; none where nobody else is.
pub fn as_they_would_say(text: &Text) -> Option<Text> {
    let others: Vec<_> = text.words().map(|word| ROLES.get(word).copied()).collect();
    let mut told = Text::default();
    for sentence in text.sentences().filter(|sentence| others[sentence.clone()].iter().any(Option::is_some)) {
        tell(text, sentence, &others, &mut told);
    }
    (!told.is_empty()).then_some(told)
}

/// Tells one sentence. `others` has the role of each word of the whole text.
fn tell(text: &Text, sentence: Range<usize>, others: &[Option<Other>], told: &mut Text) {
    let word_at = |place: usize| text.word(place).filter(|_| place < sentence.end);
    let is_person = |place: usize| place < sentence.end && others[place] == Some(Other::Person);
    for (place, word) in sentence.clone().filter_map(|place| Some((place, text.word(place)?))) {
        let is_followed = text.after(place) < Break::Clause;
        // "my best friend", "our little brother": the last word of the phrase says it.
        let is_adjective = || word_at(place + 1).is_some_and(|next| ADJECTIVES.contains(&next)) && is_person(place + 2);
        if is_followed && DETERMINERS.contains(&word) && (is_person(place + 1) || is_adjective()) {
            continue;
        }
        let next = is_followed.then(|| word_at(place + 1)).flatten();
        let said = match others[place] {
            Some(other) => Cow::Borrowed(other.in_first_person(next)),
            // Also beyond a full stop: "It's my sister. Keeps saying …"
            None if told.words().next_back().is_some_and(precedes_a_verb) => agreeing(word),
            None => word.into(),
        };
        told.say(&said, text.after(place));
    }
}

fn precedes_a_verb(word: &str) -> bool {
    matches!(word, "i" | "always" | "never" | "not" | "also")
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

// === impl Other ===

impl Other {
    /// What they say in its place; `next` follows it in the same clause.
    fn in_first_person(self, next: Option<&str>) -> &'static str {
        match self {
            Self::Person | Self::Subject => "i",
            Self::Reflexive => "myself",
            Self::Object => "me",
            Self::ObjectOrPossessive if next.is_none_or(|next| AFTER_ME.contains(&next)) => "me",
            Self::ObjectOrPossessive | Self::Possessive => "my",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(message: &str) -> String {
        let told = as_they_would_say(&Text::of(message));
        told.map(|told| told.words().collect::<Vec<_>>().join(" ")).unwrap_or_default()
    }

    #[test]
    fn what_is_told_of_somebody_else_is_told_as_they_would() {
        assert_eq!(told("My sister says she wants to die"), "i says i want to die");
        assert_eq!(told("our little brother hurts himself"), "i hurt myself");
        assert_eq!(told("He hit her again, and took her phone"), "i hit me again and took my phone");
        assert_eq!(told("It's my sister. Keeps saying she is done"), "it is i keep saying i am done");
    }

    #[test]
    fn sentences_without_anybody_else_are_not_told() {
        assert_eq!(told("I had soup. She had cake. It rained."), "i had cake");
        assert_eq!(told("I did my best. I had soup."), "");
        assert_eq!(told("That is my best. Friend or not, I go."), "i or not i go");
    }
}
