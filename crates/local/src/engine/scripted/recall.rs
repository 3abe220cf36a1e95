//! What the user has said, and the questions that ask for it.
//!
//! Everything comes from the messages of the request: ask twice without history and the second answer
//! is as ignorant as the first. That is what makes the scripted engine a test of an agent's memory.

use super::words::Words;

/// How much of an earlier message is quoted, in characters.
const LONGEST_QUOTE: usize = 240;

/// How many earlier messages are quoted at once.
const MOST_QUOTES: usize = 3;

/// A goal as long as this is a story.
const LONGEST_GOAL: usize = 120;

/// Words before a name that leave no doubt that a name follows.
const NAMES_SURELY: [&str; 7] = [
    "my name is ",
    "my name's ",
    "i'm called ",
    "i am called ",
    "you can call me ",
    "please call me ",
    "just call me ",
];

/// Words before a name that are also said before other things; the name must look like one.
const NAMES_PERHAPS: [&str; 5] = ["call me ", "i'm ", "i am ", "this is ", "it's "];

/// Capitalised words after "I'm" that are no names.
const NOT_NAMES: [&str; 19] = [
    "American", "Asian", "British", "Catholic", "Diabetic", "Dutch", "English", "European", "Fine", "French", "German",
    "Irish", "Italian", "Muslim", "Ok", "Polish", "Scottish", "Spanish", "Vegan",
];

/// Words before a goal, whatever it is.
const GOALS_SURELY: [&str; 4] = ["my goal is ", "my goal's ", "my aim is ", "my target is "];

/// Words before a wish; it is a goal when it begins with one of [`GOAL_VERBS`].
const GOALS_PERHAPS: [&str; 10] = [
    "i want to ",
    "i'd like to ",
    "i would like to ",
    "i hope to ",
    "i'm hoping to ",
    "i'm trying to ",
    "i am trying to ",
    "i'm aiming to ",
    "i plan to ",
    "i'm here to ",
];

const GOAL_VERBS: [&str; 18] = [
    "be", "build", "climb", "cut", "drop", "eat", "feel", "fit", "gain", "get", "hold", "keep", "lose", "maintain",
    "reach", "run", "stay", "weigh",
];

/// What a conversation has told about the user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// The first name.
    pub(super) name: Option<String>,
    /// The goal, as it goes after "your goal is".
    pub(super) goal: Option<String>,
}

/// What was said before the message to answer.
#[derive(Debug, Clone, Default)]
pub(super) struct History {
    /// The user's earlier messages, oldest first.
    pub(super) said: Vec<String>,
    /// The assistant's last answer.
    pub(super) answered: Option<String>,
}

// === impl Facts ===

impl Facts {
    /// Reads `texts`, oldest first; what is said later holds.
    pub(super) fn gather<'a>(texts: impl Iterator<Item = &'a str>) -> Self {
        let mut facts = Self::default();
        for text in texts {
            facts.name = name_in(text).or(facts.name);
            facts.goal = goal_in(text).or(facts.goal);
        }
        facts
    }
}

/// The answer, if `question` asks for something said before.
pub(super) fn answer(question: &str, facts: &Facts, history: &History) -> Option<String> {
    let words = Words::of(question);
    if asks_for_everything(&words) {
        return Some(everything(facts, history));
    }
    let known: Vec<String> =
        [asks_for_name(&words).then(|| own_name(facts)), asks_for_goal(&words).then(|| own_goal(facts))]
            .into_iter()
            .flatten()
            .collect();
    if !known.is_empty() {
        return Some(known.join(" "));
    }
    if asks_for_answer(&words) {
        return Some(match &history.answered {
            Some(answer) => format!("I said: “{}”", shortened(answer)),
            None => "I haven't said anything before this; our conversation begins here.".to_owned(),
        });
    }
    if asks_for_first_message(&words) {
        return Some(quote(history.said.first().map(String::as_str).as_slice()));
    }
    if asks_for_messages(&words) {
        return Some(quote(&recent(history)));
    }
    particular(&words, history)
}

// === What is asked ===

/// Whether `text` asks for something said before, and so tells nothing itself.
pub(super) fn is_question(text: &str) -> bool {
    let words = Words::of(text);
    asks_for_everything(&words)
        || asks_for_name(&words)
        || asks_for_goal(&words)
        || asks_for_answer(&words)
        || asks_for_first_message(&words)
        || asks_for_messages(&words)
}

fn asks_for_answer(words: &Words) -> bool {
    words.has_any(&["what did you say", "what did you just say", "what did you tell me", "repeat that"])
}

fn asks_for_everything(words: &Words) -> bool {
    words.has_any(&[
        "what do you know about me",
        "what you know about me",
        "what do you remember about me",
        "what you remember about me",
        "what have you learned about me",
        "do you remember me",
        "do you know who i am",
    ])
}

fn asks_for_name(words: &Words) -> bool {
    let states = words.has_any(&["my name's", "call me"])
        || words
            .after("my name is")
            .is_some_and(|rest| !rest.is_empty() && !rest.starts_with("what") && !rest.starts_with("again"));
    let asks = words.has_any(&[
        "who am i",
        "what am i called",
        "what should you call me",
        "what do you call me",
        "what did i say i was called",
    ]);
    asks || (words.has("my name") && !states) || (words.has("what's my name") || words.has("what is my name"))
}

fn asks_for_goal(words: &Words) -> bool {
    let asks = words.has_any(&[
        "what am i working towards",
        "what am i working toward",
        "what am i aiming for",
        "what was i aiming for",
        "what do i want to achieve",
        "what did i want to achieve",
        "how much do i want to lose",
        "how much did i want to lose",
        "how much weight do i want to lose",
    ]);
    let about_goal = words.has_any(&["my goal", "my target", "my aim", "my goals"]);
    let in_question =
        words.has_any(&["what", "what's", "which", "remember", "know", "tell", "remind", "recall", "repeat"]);
    let states = words.has_any(&["my goal is", "my aim is", "my target is"])
        && !words.has_any(&["what my goal is", "what my aim is", "what my target is"]);
    asks || (about_goal && in_question && !states)
}

fn asks_for_first_message(words: &Words) -> bool {
    words.has_any(&["my first message", "the first thing i said", "what did i say first", "what did i first say"])
}

fn asks_for_messages(words: &Words) -> bool {
    let outright = words.has_any(&[
        "what did i say*",
        "what did i just*",
        "what did i tell*",
        "what did i mention*",
        "what did i ask*",
        "what have i said*",
        "what have i told*",
        "what i said",
        "what i told you",
        "what i just*",
        "what did we*",
        "what were we*",
        "what was i saying",
        "what we talked about",
        "what we discussed",
        "my last message",
        "my previous message",
        "summarise our conversation",
        "summarize our conversation",
        "do you remember what*",
        "do you remember our*",
    ]);
    let asked_to_keep = words.has("did i ask you to remember") || words.has("asked you to remember");
    outright || asked_to_keep
}

// === What is answered ===

fn own_name(facts: &Facts) -> String {
    match &facts.name {
        Some(name) => format!("Your name is {name}."),
        None => "I don't know your name yet; you haven't told me.".to_owned(),
    }
}

fn own_goal(facts: &Facts) -> String {
    match &facts.goal {
        Some(goal) => format!("You told me that your goal is {goal}."),
        None => "I don't know your goal yet; you haven't told me.".to_owned(),
    }
}

fn everything(facts: &Facts, history: &History) -> String {
    let mut sentences = Vec::new();
    if let Some(name) = &facts.name {
        sentences.push(format!("Your name is {name}."));
    }
    if let Some(goal) = &facts.goal {
        sentences.push(format!("Your goal is {goal}."));
    }
    if sentences.is_empty() && history.said.is_empty() {
        return "I don't know anything about you yet; our conversation begins here.".to_owned();
    }
    if !history.said.is_empty() {
        sentences.push(quote(&recent(history)));
    }
    sentences.join(" ")
}

fn recent(history: &History) -> Vec<&str> {
    let skipped = history.said.len().saturating_sub(MOST_QUOTES);
    history.said.iter().skip(skipped).map(String::as_str).collect()
}

fn quote(messages: &[&str]) -> String {
    if messages.is_empty() {
        return "You haven't told me anything before this; our conversation begins here.".to_owned();
    }
    let quotes: Vec<String> = messages.iter().map(|message| format!("“{}”", shortened(message))).collect();
    let ended = messages.last().is_some_and(|last| last.trim_end().ends_with(['.', '!', '?']));
    let stop = if ended { "" } else { "." };
    format!("You told me: {}{stop}", quotes.join(", then "))
}

/// Answers "what is my …" when an earlier message says "my … is …".
fn particular(words: &Words, history: &History) -> Option<String> {
    let cues = ["what's my", "what is my", "what was my", "what are my", "remember my", "tell me my"];
    let asked = cues.iter().find_map(|cue| words.after(cue))?;
    let thing = asked.trim_end_matches(" again").trim_end_matches(" please").trim();
    if thing.is_empty() {
        return None;
    }
    let value = history.said.iter().rev().find_map(|text| {
        [" is ", " was ", " are "].iter().find_map(|verb| phrase_after(text, &format!("my {thing}{verb}")))
    })?;
    Some(format!("Your {thing} is {}.", to_the_user(&value)))
}

fn shortened(text: &str) -> String {
    let one_line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if one_line.chars().count() <= LONGEST_QUOTE {
        return one_line;
    }
    let kept: String = one_line.chars().take(LONGEST_QUOTE).collect();
    format!("{}…", kept.trim_end())
}

// === What is told ===

fn name_in(text: &str) -> Option<String> {
    let text = straightened(text);
    // What is said last is what follows the cue with the least behind it.
    let surely = NAMES_SURELY
        .iter()
        .filter_map(|cue| last_after(&text, cue))
        .filter_map(|rest| Some((rest.len(), first_word(rest)?)))
        .filter(|(_, word)| !is_question_word(word))
        .min_by_key(|(left, _)| *left)
        .map(|(_, word)| capitalised(word));
    let perhaps = || NAMES_PERHAPS.iter().filter_map(|cue| last_after(&text, cue)).find_map(lone_name);
    surely.or_else(perhaps)
}

/// A capitalised word that nothing follows which would make it an adjective.
fn lone_name(rest: &str) -> Option<String> {
    let word = first_word(rest)?;
    let mut letters = word.chars();
    let capital = letters.next().is_some_and(char::is_uppercase);
    let small = letters.clone().next().is_some() && letters.all(|letter| !letter.is_uppercase());
    let tail = rest.get(word.len()..).unwrap_or_default();
    let ends = tail.trim_start().chars().next().is_none_or(|next| ".,!?;:()\n–—-".contains(next))
        || [" and ", " here", " by the way", " from "]
            .iter()
            .any(|follows| tail.to_ascii_lowercase().starts_with(follows));
    (capital && small && ends && !NOT_NAMES.contains(&word)).then(|| word.to_owned())
}

fn goal_in(text: &str) -> Option<String> {
    let text = straightened(text);
    let surely = GOALS_SURELY.iter().find_map(|cue| phrase_after(&text, cue));
    let perhaps = || {
        GOALS_PERHAPS.iter().find_map(|cue| {
            let wish = phrase_after(&text, cue)?;
            let verb = wish.split(' ').next()?.to_ascii_lowercase();
            GOAL_VERBS.contains(&verb.as_str()).then(|| format!("to {wish}"))
        })
    };
    surely.or_else(perhaps).map(|goal| to_the_user(&goal))
}

/// What follows the last `cue` in `text`, whatever its case, unless the cue is part of a question.
fn last_after<'a>(text: &'a str, cue: &str) -> Option<&'a str> {
    let lower = text.to_ascii_lowercase();
    let at = lower.rmatch_indices(cue).map(|(at, _)| at).find(|at| {
        let before = &lower[..*at];
        let begins_a_word = before.chars().next_back().is_none_or(|before| !before.is_alphanumeric() && before != '\'');
        let asks = ["did ", "do ", "what "].iter().any(|word| before.ends_with(word));
        begins_a_word && !asks
    })?;
    text.get(at + cue.len()..).map(str::trim_start)
}

/// What follows `cue` up to the end of the thought.
fn phrase_after(text: &str, cue: &str) -> Option<String> {
    let text = straightened(text);
    let rest = last_after(&text, cue)?;
    let end = end_of_thought(rest);
    let phrase = rest.get(..end)?.trim();
    let fits = !phrase.is_empty() && phrase.len() <= LONGEST_GOAL;
    (fits && !is_question_word(first_word(phrase).unwrap_or(phrase))).then(|| phrase.to_owned())
}

fn end_of_thought(text: &str) -> usize {
    let after_number = |at: usize| text[at + 1..].starts_with(|next: char| next.is_ascii_digit());
    let mark = text
        .char_indices()
        .find(|(at, character)| match character {
            '!' | '?' | ';' | '\n' => true,
            '.' | ',' => !after_number(*at),
            _ => false,
        })
        .map_or(text.len(), |(at, _)| at);
    let lower = text.to_ascii_lowercase();
    [" but ", " because ", " and my ", " and i ", " and i'm "]
        .iter()
        .filter_map(|turn| lower.find(turn))
        .fold(mark, usize::min)
}

fn first_word(text: &str) -> Option<&str> {
    let end =
        text.find(|character: char| !character.is_alphabetic() && !"'-".contains(character)).unwrap_or(text.len());
    text.get(..end).map(|word| word.trim_end_matches(['\'', '-'])).filter(|word| !word.is_empty())
}

fn is_question_word(word: &str) -> bool {
    ["what", "not", "again", "which", "unknown", "a", "the"].contains(&word.to_ascii_lowercase().as_str())
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn straightened(text: &str) -> String {
    text.replace(['’', '‘'], "'")
}

/// Turns what the user says of themself into what one says to them.
fn to_the_user(text: &str) -> String {
    text.split(' ')
        .map(|word| match word.to_ascii_lowercase().as_str() {
            "my" => "your",
            "me" | "i" => "you",
            "i'm" => "you're",
            "myself" => "yourself",
            "mine" => "yours",
            "am" => "are",
            _ => word,
        })
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::{Facts, History, answer, goal_in, name_in};

    #[test]
    fn names_are_found_in_the_ways_people_give_them() {
        for (text, name) in [
            ("My name is Aoife.", Some("Aoife")),
            ("hi, my name's aoife and I had a setback", Some("Aoife")),
            ("I’m Aoife!", Some("Aoife")),
            ("Hello, I am Seán, nice to meet you", Some("Seán")),
            ("MY NAME IS Bob, but please call me Bobby", Some("Bobby")),
            ("You can call me mary-jane.", Some("Mary-jane")),
            ("I'm Irish", None),
            ("I'm tired. I'm SO tired", None),
            ("I'm Really struggling", None),
            ("I am what my name is not", None),
            ("call me later", None),
            ("what is my name?", None),
        ] {
            assert_eq!(name_in(text).as_deref(), name, "{text}");
        }
    }

    #[test]
    fn goals_are_found_and_turned_to_the_user() {
        for (text, goal) in [
            ("I want to lose 10 kg", Some("to lose 10 kg")),
            ("My goal is to lose 7.5 kg, slowly", Some("to lose 7.5 kg")),
            ("I'd like to fit into my old jeans because of a wedding", Some("to fit into your old jeans")),
            ("my goal is 70 kg and my name is Ed", Some("70 kg")),
            ("I want to know what to eat", None),
            ("what is my goal?", None),
        ] {
            assert_eq!(goal_in(text).as_deref(), goal, "{text}");
        }
    }

    fn asked(question: &str) -> Option<String> {
        let said = [
            "My name is Aoife and I want to lose 10 kg.",
            "Please remember the word pelican. My favourite colour is teal!",
        ];
        let history = History { said: said.map(str::to_owned).to_vec(), answered: Some("I will.".to_owned()) };
        let facts = Facts::gather(said.into_iter().chain([question]));
        answer(question, &facts, &history)
    }

    #[test]
    fn the_name_is_recalled_however_it_is_asked_for() {
        for question in [
            "What's my name?",
            "what is my name",
            "WHAT IS MY NAME AGAIN?",
            "Do you remember my name?",
            "Can you tell me my name please",
            "Who am I?",
            "do you still know what my name is?",
        ] {
            assert_eq!(asked(question).as_deref(), Some("Your name is Aoife."), "{question}");
        }
    }

    #[test]
    fn the_goal_is_recalled_however_it_is_asked_for() {
        for question in [
            "What's my goal?",
            "remind me of my goal",
            "Do you know what my goal is?",
            "How much did I want to lose?",
            "what am I working towards?",
        ] {
            assert_eq!(asked(question).as_deref(), Some("You told me that your goal is to lose 10 kg."), "{question}");
        }
    }

    #[test]
    fn what_was_said_is_quoted() {
        insta::assert_snapshot!(asked("What did I say before?").expect("an answer"), @"You told me: “My name is Aoife and I want to lose 10 kg.”, then “Please remember the word pelican. My favourite colour is teal!”");
        insta::assert_snapshot!(asked("Which word did I ask you to remember?").expect("an answer"), @"You told me: “My name is Aoife and I want to lose 10 kg.”, then “Please remember the word pelican. My favourite colour is teal!”");
        insta::assert_snapshot!(asked("What was my first message?").expect("an answer"), @"You told me: “My name is Aoife and I want to lose 10 kg.”");
        insta::assert_snapshot!(asked("What did you say?").expect("an answer"), @"I said: “I will.”");
        insta::assert_snapshot!(asked("what is my favourite colour?").expect("an answer"), @"Your favourite colour is teal.");
        insta::assert_snapshot!(asked("What do you know about me?").expect("an answer"), @"Your name is Aoife. Your goal is to lose 10 kg. You told me: “My name is Aoife and I want to lose 10 kg.”, then “Please remember the word pelican. My favourite colour is teal!”");
    }

    #[test]
    fn without_history_nothing_is_known() {
        let blank = |question: &str| {
            let facts = Facts::gather(std::iter::once(question));
            answer(question, &facts, &History::default()).expect("an answer")
        };
        insta::assert_snapshot!(blank("What's my name?"), @"I don't know your name yet; you haven't told me.");
        insta::assert_snapshot!(blank("What is my goal?"), @"I don't know your goal yet; you haven't told me.");
        insta::assert_snapshot!(blank("What did I tell you?"), @"You haven't told me anything before this; our conversation begins here.");
        insta::assert_snapshot!(blank("What do you know about me?"), @"I don't know anything about you yet; our conversation begins here.");
    }

    #[test]
    fn other_messages_are_not_questions_about_the_past() {
        for text in [
            "My name is Aoife",
            "I had a setback today",
            "What should I eat for breakfast?",
            "My goal is to lose 5 kg",
            "What is my best option at a party?",
        ] {
            assert_eq!(asked(text), None, "{text}");
        }
    }
}
