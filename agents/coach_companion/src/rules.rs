//! Rules of words: which phrases mean what, read from data that people review.
//!
//! A pattern is a row of words. `(want|wish)` is one of several, `(to be dead|to die)` one of several phrases, which may have groups themselves, `word?`
//! and `(…)?` may be missing, `purg*` is every word that begins so, `~` is up to three words of anything, `~6` up to
//! six, `#` is any number. Patterns are read by the same [`Text`] as messages are, so they may be written as people write.
//!
//! All patterns of a set are one tree of words, and a text is walked through it once: every place in the tree that
//! the words so far lead to is kept, and goes on or is dropped with the next word. Nothing is ever tried again, so
//! the time is linear in the text.

use std::collections::HashMap;
use std::ops::Range;

use serde::Deserialize;

use crate::sentinel::text::{Break, Text};

/// How many words `~` stands for at the most.
const GAP: u8 = 3;

/// What stands for any number.
const NUMBER: &str = "#";

/// How far before a match a word still denies it.
const DENIAL_REACH: usize = 5;

/// Words that deny what follows.
const DENIALS: [&str; 7] = ["not", "never", "no", "nor", "without", "neither", "hardly"];
/// Words after which a denial denies nothing: "I can not stop wanting to die", "not only".
const STILL: [&str; 9] = ["stop", "help", "only", "just", "sure", "cope", "sleep", "even", "know"];

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

/// Whoever else a sentence may be about.
const OTHERS: [&str; 47] = [
    "he",
    "she",
    "they",
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
    "children",
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

/// A set of rules, ready to be asked.
#[derive(Debug)]
pub struct RuleSet {
    rules: Vec<Rule>,
    classes: Classes,
    nodes: Vec<Node>,
    roots: HashMap<u32, Vec<u32>>,
}

/// One rule as it is asked.
#[derive(Debug)]
pub struct Rule {
    /// What it is about, as its file says.
    pub kind: String,
    /// Its name, unique in its file.
    pub name: String,
    /// How grave it is, as its file says.
    pub severity: String,
    /// Whether nothing doubts it.
    pub is_certain: bool,
    /// What takes the place of a sentence, where the rule repairs it.
    pub instead: Vec<String>,
    counts: Vec<Counts>,
}

/// A rule's words in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match<'a> {
    /// The rule's place in its set.
    pub rule: usize,
    /// The places of its words.
    pub words: Range<usize>,
    /// Whom the sentence is about, where it is not its writer.
    pub of_other: Option<&'a str>,
}

/// A file of rules, as the build wrote it.
#[derive(Debug, Deserialize)]
struct RuleFile {
    kind: String,
    #[serde(default)]
    lists: HashMap<String, Vec<String>>,
    /// What all its rules count.
    #[serde(default)]
    counts: Vec<Counts>,
    rule: Vec<RuleData>,
}

#[derive(Debug, Deserialize)]
struct RuleData {
    name: String,
    severity: String,
    #[serde(default)]
    certain: bool,
    patterns: Vec<String>,
    #[serde(default)]
    unless: Vec<String>,
    #[serde(default)]
    instead: Vec<String>,
    #[serde(default)]
    counts: Vec<Counts>,
}

/// What else a rule counts.
#[derive(Debug, Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Counts {
    /// Words that a denial stands before.
    Denied,
    /// What is told of the past.
    Past,
    /// What is said of anybody.
    OfOthers,
    /// What is told in a story.
    InStories,
}

/// Sets of words that stand in one place of a pattern.
#[derive(Debug, Default)]
struct Classes {
    known: HashMap<Vec<String>, u32>,
    of_word: HashMap<String, Vec<u32>>,
    /// Beginnings of words, by their first three bytes.
    of_beginning: HashMap<[u8; 3], Vec<(String, u32)>>,
}

#[derive(Debug, Default)]
struct Node {
    edges: Vec<Edge>,
    /// The longest gap of an edge.
    patience: u8,
    ends: Vec<End>,
}

#[derive(Debug, Clone, Copy)]
struct Edge {
    class: u32,
    gap: u8,
    to: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Means(u32),
    Unless(u32),
}

/// One place of a pattern: a set of words after a gap.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    gap: u8,
    words: Vec<String>,
}

/// A place in the tree that the words so far lead to.
#[derive(Clone, Copy)]
struct Active {
    node: u32,
    age: u8,
    start: usize,
}

// === impl RuleSet ===

impl RuleSet {
    /// Reads the files of a set, each as the JSON the build wrote.
    ///
    /// # Errors
    /// A file that is not one, or a pattern that cannot be read, by its rule.
    pub fn read<'a>(files: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let mut set = Self { rules: Vec::new(), classes: Classes::default(), nodes: Vec::new(), roots: HashMap::new() };
        for file in files {
            let file: RuleFile = serde_json::from_str(file).map_err(|error| error.to_string())?;
            for mut rule in file.rule {
                rule.counts.extend(&file.counts);
                set.add(&file.kind, &file.lists, rule)?;
            }
        }
        Ok(set)
    }

    /// The rule at a place.
    pub fn rule(&self, place: usize) -> &Rule {
        &self.rules[place]
    }

    /// What the rules find in a text, in the order of its words.
    pub fn find<'a>(&self, text: &'a Text) -> Vec<Match<'a>> {
        let (found, unless) = self.walk(text);
        let sentences: Vec<Range<usize>> = text.sentences().collect();
        let sentence_of = |place: usize| {
            let at = sentences.partition_point(|sentence| sentence.end <= place);
            sentences.get(at).cloned().unwrap_or(0..text.len())
        };
        let is_voided = |rule: u32, sentence: &Range<usize>| {
            unless.iter().any(|(voided, words)| *voided == rule && sentence.contains(&words.start))
        };
        let mut matches: Vec<Match<'a>> = Vec::new();
        for (rule, words) in found {
            let sentence = sentence_of(words.start);
            if is_voided(rule, &sentence) {
                continue;
            }
            let asked = &self.rules[rule as usize];
            if asked.holds(text, &words, &sentence) {
                let of_other = if asked.counts(Counts::OfOthers) { None } else { other(text, &words, sentence.start) };
                matches.push(Match { rule: rule as usize, words, of_other });
            }
        }
        matches
    }

    fn add(&mut self, kind: &str, lists: &HashMap<String, Vec<String>>, data: RuleData) -> Result<(), String> {
        let rule = u32::try_from(self.rules.len()).map_err(|error| error.to_string())?;
        let ends = data.patterns.iter().map(|pattern| (pattern, End::Means(rule)));
        for (pattern, end) in ends.chain(data.unless.iter().map(|pattern| (pattern, End::Unless(rule)))) {
            let read = steps(pattern, lists).map_err(|error| format!("{kind}/{}: {pattern:?}: {error}", data.name))?;
            for steps in read {
                self.insert(&steps, end);
            }
        }
        let RuleData { name, severity, certain: is_certain, instead, counts, .. } = data;
        self.rules.push(Rule { kind: kind.to_owned(), name, severity, is_certain, instead, counts });
        Ok(())
    }

    fn insert(&mut self, steps: &[Step], end: End) {
        let mut at: Option<u32> = None;
        for step in steps {
            let class = self.classes.of(&step.words);
            at = Some(match at {
                None => self.root(class),
                Some(node) => self.child(node, class, step.gap),
            });
        }
        if let Some(node) = at
            && !self.nodes[node as usize].ends.contains(&end)
        {
            self.nodes[node as usize].ends.push(end);
        }
    }

    fn root(&mut self, class: u32) -> u32 {
        if let Some(node) = self.roots.get(&class).and_then(|nodes| nodes.first()) {
            return *node;
        }
        let node = self.node();
        self.roots.entry(class).or_default().push(node);
        node
    }

    fn child(&mut self, node: u32, class: u32, gap: u8) -> u32 {
        let edges = &self.nodes[node as usize].edges;
        if let Some(edge) = edges.iter().find(|edge| edge.class == class && edge.gap == gap) {
            return edge.to;
        }
        let to = self.node();
        let from = &mut self.nodes[node as usize];
        from.edges.push(Edge { class, gap, to });
        from.patience = from.patience.max(gap);
        to
    }

    fn node(&mut self) -> u32 {
        self.nodes.push(Node::default());
        u32::try_from(self.nodes.len() - 1).unwrap_or(u32::MAX)
    }

    /// Everything the patterns match, and everything that voids a rule.
    #[expect(clippy::type_complexity, reason = "two lists of a rule and the places of its words")]
    fn walk(&self, text: &Text) -> (Vec<(u32, Range<usize>)>, Vec<(u32, Range<usize>)>) {
        let (mut found, mut unless) = (Vec::new(), Vec::new());
        let mut active: Vec<Active> = Vec::new();
        let mut next: Vec<Active> = Vec::new();
        let mut classes: Vec<u32> = Vec::new();
        for (place, word) in text.words().enumerate() {
            self.classes.of_word(word, &mut classes);
            let mut reach = |next: &mut Vec<Active>, node: u32, start: usize| {
                for end in &self.nodes[node as usize].ends {
                    match end {
                        End::Means(rule) => found.push((*rule, start..place + 1)),
                        End::Unless(rule) => unless.push((*rule, start..place + 1)),
                    }
                }
                let is_known = next.iter().any(|active| active.node == node && active.age == 0);
                if !is_known && !self.nodes[node as usize].edges.is_empty() {
                    next.push(Active { node, age: 0, start });
                }
            };
            for Active { node, age, start } in active.drain(..) {
                let from = &self.nodes[node as usize];
                for edge in from.edges.iter().filter(|edge| age <= edge.gap && classes.contains(&edge.class)) {
                    reach(&mut next, edge.to, start);
                }
                // What is denied in between is not what the pattern says.
                if age < from.patience && !DENIALS.contains(&word) {
                    next.push(Active { node, age: age + 1, start });
                }
            }
            for class in &classes {
                for node in self.roots.get(class).into_iter().flatten() {
                    reach(&mut next, *node, place);
                }
            }
            std::mem::swap(&mut active, &mut next);
            if text.after(place) >= Break::Sentence {
                active.clear();
            }
        }
        (found, unless)
    }
}

// === impl Rule ===

impl Rule {
    /// Whether its words count where they stand.
    fn holds(&self, text: &Text, words: &Range<usize>, sentence: &Range<usize>) -> bool {
        let is_denied = !self.counts(Counts::Denied) && is_denied(text, words.start, sentence.start);
        let is_past = !self.counts(Counts::Past) && says(text, sentence, &PAST) && !says(text, sentence, &PRESENT);
        let is_story = !self.counts(Counts::InStories) && says(text, sentence, &STORIES);
        !is_denied && !is_past && !is_story
    }

    fn counts(&self, what: Counts) -> bool {
        self.counts.contains(&what)
    }
}

/// Whether one of the few words before denies what begins at `start`.
fn is_denied(text: &Text, start: usize, sentence: usize) -> bool {
    for place in (sentence.max(start.saturating_sub(DENIAL_REACH))..start).rev() {
        if text.after(place) >= Break::Clause || matches!(text.word(place), Some("but" | "because" | "and")) {
            return false;
        }
        let is_denial = text.word(place).is_some_and(|word| DENIALS.contains(&word));
        let still = text.word(place + 1).is_some_and(|word| STILL.contains(&word));
        if is_denial && !still {
            return true;
        }
    }
    false
}

/// Whoever else is named last before the words, with no `I` in between.
fn other<'a>(text: &'a Text, words: &Range<usize>, sentence: usize) -> Option<&'a str> {
    let is_writer = |word: &str| matches!(word, "i" | "me" | "myself");
    if words.clone().filter_map(|place| text.word(place)).any(is_writer) {
        return None;
    }
    // The first word of the match may be the subject itself.
    for place in (sentence..=words.start).rev() {
        let word = text.word(place)?;
        if is_writer(word) {
            return None;
        }
        // "my friend's doing …"
        if OTHERS.contains(&word) || word.strip_suffix('s').is_some_and(|word| OTHERS.contains(&word)) {
            return Some(word);
        }
    }
    None
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

// === impl Classes ===

impl Classes {
    fn of(&mut self, words: &[String]) -> u32 {
        let mut key = words.to_vec();
        key.sort();
        key.dedup();
        if let Some(class) = self.known.get(&key) {
            return *class;
        }
        let class = u32::try_from(self.known.len()).unwrap_or(u32::MAX);
        for word in &key {
            match word.strip_suffix('*').map(|beginning| (beginning, beginning.as_bytes())) {
                Some((beginning, [first, second, third, ..])) => {
                    let entries = self.of_beginning.entry([*first, *second, *third]).or_default();
                    entries.push((beginning.to_owned(), class));
                }
                _ => self.of_word.entry(word.clone()).or_default().push(class),
            }
        }
        self.known.insert(key, class);
        class
    }

    fn of_word(&self, word: &str, classes: &mut Vec<u32>) {
        classes.clear();
        classes.extend(self.of_word.get(word).into_iter().flatten());
        if word.starts_with(|c: char| c.is_ascii_digit()) {
            classes.extend(self.of_word.get(NUMBER).into_iter().flatten());
        }
        if let [first, second, third, ..] = word.as_bytes() {
            let beginnings = self.of_beginning.get(&[*first, *second, *third]).into_iter().flatten();
            classes.extend(
                beginnings.filter(|(beginning, _)| word.starts_with(beginning.as_str())).map(|(_, class)| class),
            );
        }
    }
}

// === reading patterns ===

/// The rows of steps that a pattern stands for: one, or more where phrases of several words are alternatives.
fn steps(pattern: &str, lists: &HashMap<String, Vec<String>>) -> Result<Vec<Vec<Step>>, String> {
    let mut rows: Vec<Vec<Step>> = vec![Vec::new()];
    let mut gap = 0;
    for part in parts(pattern)? {
        if let Some(words) = part.strip_prefix('~') {
            gap = if words.is_empty() { GAP } else { words.parse().map_err(|_| "`~` is followed by no number")? };
            continue;
        }
        let (part, optional) = part.strip_suffix('?').map_or((part.as_str(), false), |part| (part, true));
        let choices = choices(part, lists)?;
        let mut longer = Vec::new();
        for row in &rows {
            if optional {
                longer.push(row.clone());
            }
            for choice in &choices {
                let mut row = row.clone();
                for (place, step) in choice.iter().enumerate() {
                    let gap = if place == 0 && !row.is_empty() { gap } else { step.gap };
                    row.push(Step { gap, words: step.words.clone() });
                }
                longer.push(row);
            }
        }
        (rows, gap) = (longer, 0);
    }
    rows.retain(|row| !row.is_empty());
    if rows.is_empty() { Err("it says nothing".to_owned()) } else { Ok(rows) }
}

/// The parts of a pattern: words, groups in parentheses, gaps.
fn parts(pattern: &str) -> Result<Vec<String>, String> {
    let mut parts = Vec::new();
    let mut part = String::new();
    let mut depth = 0_u32;
    for c in pattern.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.checked_sub(1).ok_or("a parenthesis closes that was not opened")?,
            ' ' if depth == 0 => {
                parts.push(std::mem::take(&mut part));
                continue;
            }
            _ => {}
        }
        part.push(c);
    }
    if depth > 0 {
        return Err("a parenthesis is not closed".to_owned());
    }
    parts.push(part);
    parts.retain(|part| !part.is_empty());
    Ok(parts)
}

/// What may stand in one part: rows of steps. Single words are one step together.
fn choices(part: &str, lists: &HashMap<String, Vec<String>>) -> Result<Vec<Vec<Step>>, String> {
    let listed = part.strip_prefix('<').and_then(|name| name.strip_suffix('>'));
    let phrases: Vec<String> = match (listed, part.strip_prefix('(').and_then(|group| group.strip_suffix(')'))) {
        (Some(name), _) => lists.get(name).ok_or_else(|| format!("there is no list <{name}>"))?.clone(),
        (_, Some(group)) => alternatives(group),
        _ => {
            let words = read(part).into_iter().map(|word| Step { gap: 0, words: vec![word] }).collect::<Vec<_>>();
            return if words.is_empty() { Err(format!("{part:?} is no word")) } else { Ok(vec![words]) };
        }
    };
    let mut single = Vec::new();
    let mut choices = Vec::new();
    for phrase in phrases {
        for mut row in steps(&phrase, lists)? {
            match row.as_mut_slice() {
                [step] => single.append(&mut step.words),
                _ => choices.push(row),
            }
        }
    }
    if !single.is_empty() {
        choices.push(vec![Step { gap: 0, words: single }]);
    }
    Ok(choices)
}

/// The alternatives of a group: what stands between its own `|`, not those of a group within it.
fn alternatives(group: &str) -> Vec<String> {
    let mut alternatives = vec![String::new()];
    let mut depth = 0_u32;
    for c in group.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            '|' if depth == 0 => {
                alternatives.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(last) = alternatives.last_mut() {
            last.push(c);
        }
    }
    alternatives
}

/// The words of a phrase as a message's would be read; a word that ends in `*` stays the beginning it is.
fn read(phrase: &str) -> Vec<String> {
    let words = phrase.split(' ').filter(|word| !word.is_empty()).map(|word| match word.strip_suffix('*') {
        Some(_) => vec![word.to_lowercase()],
        None if word == NUMBER => vec![word.to_owned()],
        None => Text::of(word).words().map(str::to_owned).collect(),
    });
    words.collect::<Vec<_>>().concat()
}
