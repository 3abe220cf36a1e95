//! What is told of somebody else, as they would tell it: "my sister says she wants to die" is "i say i want to die" in
//! her mouth, so that one set of rules serves both.

use super::text::Text;

/// Who may stand after "my", "our", "a", "the" or "this".
const PEOPLE: [&str; 66] = [
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
    "nana",
    "child",
    "teenager",
    "teen",
    "boy",
    "girl",
    "coworker",
    "fella",
    "missus",
    "ex",
    "student",
    "patient",
    "boss",
    "stepson",
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
    "someone",
    "somebody",
    "stepfather",
];

const DETERMINERS: [&str; 11] = ["my", "our", "a", "the", "this", "her", "his", "their", "best", "old", "little"];

/// Words that follow a possessive, so that "her" before anything else is "me".
const AFTER_ME: [&str; 24] = [
    "and", "but", "or", "because", "so", "if", "when", "to", "in", "on", "at", "with", "for", "again", "now", "every",
    "last", "tonight", "today", "until", "too", "all", "up", "from",
];

/// The message as the others in it would tell it of themselves; none where nobody else is in it.
pub fn as_they_would_say(text: &Text) -> Option<Text> {
    let mut told = Text::default();
    let mut is_anybody = false;
    let mut place = 0;
    while let Some(word) = text.word(place) {
        let end = text.after(place);
        let next = (end < super::text::Break::Clause).then(|| text.word(place + 1)).flatten();
        let is_people = next.is_some_and(|next| PEOPLE.contains(&next));
        // "my best friend", "our little brother": the last word of the phrase says it.
        if DETERMINERS.contains(&word) && (is_people || next.is_some_and(|next| is_adjective_of(text, place + 1, next)))
        {
            place += 1;
            continue;
        }
        let (said, is_other) = match word {
            "he" | "she" | "they" | "himself" | "herself" | "themselves" | "themself" | "him" | "his" | "her"
            | "their" | "them" => (in_first_person(word, next), true),
            _ if PEOPLE.contains(&word) => ("i".to_owned(), true),
            _ if told
                .words()
                .next_back()
                .is_some_and(|before| matches!(before, "i" | "always" | "never" | "not" | "also")) =>
            {
                (agreeing(word), false)
            }
            _ => (word.to_owned(), false),
        };
        is_anybody |= is_other;
        told.say(&said, end);
        place += 1;
    }
    is_anybody.then_some(told)
}

fn is_adjective_of(text: &Text, place: usize, word: &str) -> bool {
    let follows = text.word(place + 1).is_some_and(|next| PEOPLE.contains(&next));
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

fn in_first_person(word: &str, next: Option<&str>) -> String {
    let said = match word {
        "he" | "she" | "they" => "i",
        "himself" | "herself" | "themselves" | "themself" => "myself",
        "him" | "them" => "me",
        "her" if next.is_none_or(|next| AFTER_ME.contains(&next)) => "me",
        _ => "my",
    };
    said.to_owned()
}

/// A verb of the third person as it follows "i".
fn agreeing(verb: &str) -> String {
    match verb {
        "is" | "are" => return "am".to_owned(),
        "has" => return "have".to_owned(),
        "does" => return "do".to_owned(),
        "was" | "this" | "always" | "says" => return verb.to_owned(),
        _ => {}
    }
    if let Some(stem) = verb.strip_suffix("ies").filter(|stem| stem.len() > 1) {
        return format!("{stem}y");
    }
    let sibilant = ["shes", "ches", "sses", "xes", "zes"].iter().any(|end| verb.ends_with(end));
    match verb.strip_suffix('s') {
        Some(stem) if sibilant => stem.trim_end_matches('e').to_owned(),
        Some(stem) if stem.len() > 2 && !stem.ends_with('s') && !stem.ends_with('u') => stem.to_owned(),
        _ => verb.to_owned(),
    }
}
