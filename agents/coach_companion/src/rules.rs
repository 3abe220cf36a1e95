//! Rules of words: which phrases mean what, read from data that people review.
//!
//! A pattern is a row of words. `(want|wish)` is one of several, `(to be dead|to die)` one of several phrases, which may
//! have groups themselves, `word?` and `(…)?` may be missing, `purg*` is every word that begins so, `~` is up to three
//! words of anything, `~6` up to six, `#` is any number. Patterns are read by the same [`Text`] as messages are, so they may be written as people write.
//!
//! A rule has words that make it mean nothing, in three lists: `unless` anywhere in the sentence, `unless_before` where
//! they begin before the rule's own words do, `unless_beside` where they share a word with them or stand next to them.
//! The nearer the better: "double your dose, but check with your doctor" is no question for a doctor.
//!
//! All patterns of a set are one tree of words, and a text is walked through it once: every place in the tree that
//! the words so far lead to is kept, and goes on or is dropped with the next word. Nothing is ever tried again, so
//! the time is linear in the text. What else is asked about a match is either looked up, having been found out once for
//! the whole text, or a matter of the few words around it.

mod patterns;

use std::cell::OnceCell;
use std::ops::Range;
use std::sync::LazyLock;

use foldhash::{HashMap, HashSet};
use serde::Deserialize;

use crate::sentinel::text::{Break, Text};
use patterns::{Patterns, Step};

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
/// How far after a denial stands what it takes away: "it is not a bad idea".
const CONCERN_REACH: usize = 3;
/// What speaks against something, so that its denial speaks for it: "it will not hurt to", "do not hesitate to".
const CONCERNS: [&str; 24] = [
    "hurt",
    "harm",
    "hesitate",
    "afraid",
    "scared",
    "shy",
    "bad",
    "worry",
    "wrong",
    "problem",
    "forget",
    "fail",
    "danger",
    "dangerous",
    "risk",
    "risky",
    "unsafe",
    "issue",
    "shame",
    "matter",
    "mind",
    "hard",
    "unhealthy",
    "unrealistic",
];
/// Words that go on from a concern to what it is about.
const ABOUT: [&str; 12] = ["to", "in", "if", "when", "about", "with", "by", "for", "you", "idea", "thing", "either"];

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

/// A set of rules, ready to be asked.
#[derive(Debug)]
pub struct RuleSet {
    rules: Vec<Rule>,
    classes: Classes,
    /// Where patterns begin, by the class of their first word.
    roots: Vec<Option<u32>>,
    places: Vec<Place>,
    edges: Vec<Edge>,
    ends: Vec<End>,
}

/// A place of the tree, its edges and ends among those of all others: what a walk touches is close together.
#[derive(Debug)]
struct Place {
    edges: Range<u32>,
    ends: Range<u32>,
    /// The longest gap of an edge.
    patience: u8,
}

/// A set as it is read: the tree before it is laid out.
#[derive(Debug, Default)]
struct Tree {
    rules: Vec<Rule>,
    classes: Classes,
    roots: Vec<Option<u32>>,
    nodes: Vec<Node>,
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
    unless_before: Vec<String>,
    #[serde(default)]
    unless_beside: Vec<String>,
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
    Unless(u32, Where),
}

/// Where words must stand to make a rule mean nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Where {
    /// Anywhere in the sentence.
    Anywhere,
    /// Where they begin before the rule's own.
    Before,
    /// Where they share a word with the rule's own or stand next to them.
    Beside,
}

/// What a walk meets: rules, and the words that speak for or against each.
#[derive(Default)]
struct Walked {
    found: Vec<(u32, Range<usize>)>,
    unless: Vec<(u32, Where, Range<usize>)>,
}

/// What is known of a text beside its words, found out once, when first asked.
struct Circumstances<'a> {
    text: &'a Text,
    sentences: Vec<Range<usize>>,
    /// What each sentence is, by its place.
    told: Vec<OnceCell<Told>>,
    subjects: OnceCell<Vec<Subject>>,
}

/// How a sentence is told.
#[derive(Clone, Copy)]
struct Told {
    in_the_past: bool,
    in_a_story: bool,
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

/// What makes rules mean nothing in a text, so that a match is asked about in one step.
#[derive(Default)]
struct Voids {
    /// Rules that mean nothing in a sentence, by its place.
    anywhere: HashSet<(u32, usize)>,
    /// Where the first such words of a sentence begin.
    before: HashMap<(u32, usize), usize>,
    /// The places of such words and of those next to them.
    beside: HashSet<(u32, usize)>,
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
        let mut tree = Tree::default();
        for file in files {
            let file: RuleFile = serde_json::from_str(file).map_err(|error| error.to_string())?;
            let mut patterns = Patterns::with(&file.lists);
            for mut rule in file.rule {
                rule.counts.extend(&file.counts);
                tree.add(&file.kind, &mut patterns, rule)?;
            }
        }
        Ok(tree.laid_out())
    }

    /// The rule at a place.
    pub fn rule(&self, place: usize) -> &Rule {
        &self.rules[place]
    }

    /// What the rules find in a text, in the order of its words.
    pub fn find<'a>(&self, text: &'a Text) -> Vec<Match<'a>> {
        let Walked { found, unless } = self.walk(text);
        if found.is_empty() {
            return Vec::new();
        }
        let circumstances = Circumstances::of(text);
        let voids = Voids::of(unless, &circumstances);
        let mut matches: Vec<Match<'a>> = Vec::new();
        for (rule, words) in found {
            let sentence = circumstances.sentence_of(words.start);
            let asked = &self.rules[rule as usize];
            if !voids.void(rule, &words, sentence) && asked.holds(&words, sentence, &circumstances) {
                let of_other = if asked.counts(Counts::OfOthers) { None } else { circumstances.other(&words) };
                matches.push(Match { rule: rule as usize, words, of_other });
            }
        }
        matches
    }

    /// Everything the patterns match, and everything that voids a rule.
    fn walk(&self, text: &Text) -> Walked {
        let mut walked = Walked::default();
        let (mut active, mut next): (Vec<Active>, Vec<Active>) = (Vec::new(), Vec::new());
        let mut own: Vec<u32> = Vec::new();
        // The newest word of each class, counted from 1: whether an edge fits is asked in one step.
        let mut newest: Vec<u32> = vec![0; self.classes.known.len()];
        // The newest word that led to each place.
        let mut reached: Vec<u32> = vec![0; self.places.len()];
        for ((place, word), now) in text.words().enumerate().zip(1..) {
            let classes = self.classes.of_word(word, &mut own);
            for class in classes {
                newest[*class as usize] = now;
            }
            let is_denial = DENIALS.contains(&word);
            for Active { node, age, start } in active.drain(..) {
                let from = &self.places[node as usize];
                for edge in self.edges_of(from).iter().filter(|edge| newest[edge.class as usize] == now) {
                    // The same place may have been reached from an older and from a newer word.
                    let newest = &mut reached[edge.to as usize];
                    if age <= edge.gap && self.reaches(edge.to, start..place + 1, &mut walked) && *newest != now {
                        *newest = now;
                        next.push(Active { node: edge.to, age: 0, start });
                    }
                }
                // What is denied in between is not what the pattern says.
                if age < from.patience && !is_denial {
                    next.push(Active { node, age: age + 1, start });
                }
            }
            for node in classes.iter().filter_map(|class| self.roots.get(*class as usize).copied().flatten()) {
                if self.reaches(node, place..place + 1, &mut walked) {
                    next.push(Active { node, age: 0, start: place });
                }
            }
            std::mem::swap(&mut active, &mut next);
            if text.is_end(place) {
                active.clear();
            }
        }
        walked
    }

    /// Notes what ends at a place, and says whether anything goes on from it.
    fn reaches(&self, node: u32, words: Range<usize>, walked: &mut Walked) -> bool {
        let Place { edges, ends, .. } = &self.places[node as usize];
        for end in &self.ends[ends.start as usize..ends.end as usize] {
            match end {
                End::Means(rule) => walked.found.push((*rule, words.clone())),
                End::Unless(rule, place) => walked.unless.push((*rule, *place, words.clone())),
            }
        }
        !edges.is_empty()
    }

    fn edges_of(&self, place: &Place) -> &[Edge] {
        &self.edges[place.edges.start as usize..place.edges.end as usize]
    }
}

// === impl Tree ===

impl Tree {
    fn add(&mut self, kind: &str, patterns: &mut Patterns<'_>, data: RuleData) -> Result<(), String> {
        let rule = u32::try_from(self.rules.len()).map_err(|error| error.to_string())?;
        let all = [
            (&data.patterns, End::Means(rule)),
            (&data.unless, End::Unless(rule, Where::Anywhere)),
            (&data.unless_before, End::Unless(rule, Where::Before)),
            (&data.unless_beside, End::Unless(rule, Where::Beside)),
        ];
        let ends = all.into_iter().flat_map(|(patterns, end)| patterns.iter().map(move |pattern| (pattern, end)));
        for (pattern, end) in ends {
            let read = patterns.rows(pattern, &mut self.classes);
            for steps in read.map_err(|error| format!("{kind}/{}: {pattern:?}: {error}", data.name))? {
                self.insert(&steps, end);
            }
        }
        let RuleData { name, severity, certain: is_certain, instead, counts, .. } = data;
        self.rules.push(Rule { kind: kind.to_owned(), name, severity, is_certain, instead, counts });
        Ok(())
    }

    fn insert(&mut self, steps: &[Step<u32>], end: End) {
        let mut at: Option<u32> = None;
        for Step { gap, words: class } in steps {
            at = Some(match at {
                None => self.root(*class),
                Some(node) => self.child(node, *class, *gap),
            });
        }
        if let Some(node) = at
            && !self.nodes[node as usize].ends.contains(&end)
        {
            self.nodes[node as usize].ends.push(end);
        }
    }

    fn root(&mut self, class: u32) -> u32 {
        let class = class as usize;
        if self.roots.len() <= class {
            self.roots.resize(class + 1, None);
        }
        if let Some(node) = self.roots[class] {
            return node;
        }
        let node = self.node();
        self.roots[class] = Some(node);
        node
    }

    fn child(&mut self, node: u32, class: u32, gap: u8) -> u32 {
        let edges = &self.nodes[node as usize].edges;
        if let Some(edge) = edges.iter().find(|edge| edge.class == class && edge.gap == gap) {
            return edge.to;
        }
        let to = self.node();
        self.nodes[node as usize].edges.push(Edge { class, gap, to });
        to
    }

    fn node(&mut self) -> u32 {
        self.nodes.push(Node::default());
        u32::try_from(self.nodes.len() - 1).unwrap_or(u32::MAX)
    }

    /// The tree with the edges and ends of all places in one row each.
    fn laid_out(self) -> RuleSet {
        let Self { rules, mut classes, roots, nodes } = self;
        classes.complete();
        let (mut places, mut edges, mut ends) = (Vec::with_capacity(nodes.len()), Vec::new(), Vec::new());
        for node in nodes {
            let patience = node.edges.iter().map(|edge| edge.gap).max().unwrap_or_default();
            places.push(Place { edges: added(&mut edges, node.edges), ends: added(&mut ends, node.ends), patience });
        }
        RuleSet { rules, classes, roots, places, edges, ends }
    }
}

/// Adds items to a row, and says where they are in it.
fn added<T>(row: &mut Vec<T>, items: Vec<T>) -> Range<u32> {
    let place = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
    let start = place(row.len());
    row.extend(items);
    start..place(row.len())
}

// === impl Rule ===

impl Rule {
    /// Whether its words count where they stand.
    fn holds(&self, words: &Range<usize>, sentence: usize, circumstances: &Circumstances<'_>) -> bool {
        let Circumstances { text, sentences, .. } = circumstances;
        let is_denied = || denial_before(text, words.start, sentences[sentence].start, DENIAL_REACH).is_some();
        let told = || circumstances.told(sentence);
        (self.counts(Counts::Denied) || !is_denied())
            && (self.counts(Counts::Past) || !told().in_the_past)
            && (self.counts(Counts::InStories) || !told().in_a_story)
    }

    fn counts(&self, what: Counts) -> bool {
        self.counts.contains(&what)
    }
}

// === impl Circumstances ===

impl<'a> Circumstances<'a> {
    fn of(text: &'a Text) -> Self {
        let sentences: Vec<Range<usize>> = text.sentences().collect();
        let told = sentences.iter().map(|_| OnceCell::new()).collect();
        Self { text, sentences, told, subjects: OnceCell::new() }
    }

    /// Which sentence a word is in.
    fn sentence_of(&self, place: usize) -> usize {
        self.sentences.partition_point(|sentence| sentence.end <= place)
    }

    fn told(&self, sentence: usize) -> Told {
        *self.told[sentence].get_or_init(|| {
            let words = &self.sentences[sentence];
            let in_the_past = says(self.text, words, &PAST) && !says(self.text, words, &PRESENT);
            Told { in_the_past, in_a_story: says(self.text, words, &STORIES) }
        })
    }

    /// Whoever else is named last before the words or by the first of them, with no `I` in between or among them.
    fn other(&self, words: &Range<usize>) -> Option<&'a str> {
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

// === impl Voids ===

impl Voids {
    fn of(unless: Vec<(u32, Where, Range<usize>)>, circumstances: &Circumstances<'_>) -> Self {
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

    fn void(&self, rule: u32, words: &Range<usize>, sentence: usize) -> bool {
        self.anywhere.contains(&(rule, sentence))
            || self.before.get(&(rule, sentence)).is_some_and(|first| *first < words.start)
            || (!self.beside.is_empty() && words.clone().any(|place| self.beside.contains(&(rule, place))))
    }
}

// === denial ===

/// Which of the words before denies what begins at `start`, if one does that is no farther than `reach`; `sentence` is
/// where the sentence begins.
pub(crate) fn denial_before(text: &Text, start: usize, sentence: usize, reach: usize) -> Option<usize> {
    let places = (sentence.max(start.saturating_sub(reach))..start).rev();
    let is_other_thought = |place: usize| {
        text.after(place) >= Break::Clause || matches!(text.word(place), Some("but" | "because" | "and"))
    };
    let is_denial = |place: &usize| {
        let denies = text.word(*place).is_some_and(|word| DENIALS.contains(&word));
        denies && !speaks_for(text, *place, start, sentence)
    };
    places.take_while(|place| !is_other_thought(*place)).find(is_denial)
}

/// Whether a denial speaks for what begins at `start` all the same: "why not skip dinner", "it will not hurt to",
/// "could not you just", "no reason not to".
fn speaks_for(text: &Text, denial: usize, start: usize, sentence: usize) -> bool {
    let before = |by: usize| denial.checked_sub(by).filter(|place| *place >= sentence).and_then(|at| text.word(at));
    let after = |by: usize| Some(denial + by).filter(|place| *place < start).and_then(|place| text.word(place));
    let is_still = after(1).is_some_and(|word| STILL.contains(&word));
    let is_no_concern = (1..=CONCERN_REACH).any(|by| {
        let is_concern = after(by).is_some_and(|word| CONCERNS.contains(&word));
        is_concern && text.word(denial + by + 1).is_some_and(|word| ABOUT.contains(&word))
    });
    let is_asked = matches!(
        (before(2), before(1), after(1)),
        (_, Some("why"), _) | (Some("why"), Some("do"), Some("you" | "we")) | (Some("no"), Some("reason"), _)
    );
    let is_turned =
        matches!(before(1), Some("can" | "could" | "would" | "is")) && matches!(after(1), Some("you" | "we" | "it"));
    let is_suggested = is_asked || is_turned;
    is_still || is_no_concern || is_suggested
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

    /// What a word is: every class that names it or its beginning, and numbers those of any number. `own` is room for
    /// the classes of a word that no pattern names.
    fn of_word<'a>(&'a self, word: &str, own: &'a mut Vec<u32>) -> &'a [u32] {
        if let Some(classes) = self.of_word.get(word) {
            return classes;
        }
        own.clear();
        own.extend(self.of_beginnings_of(word));
        if word.starts_with(|c: char| c.is_ascii_digit()) {
            own.extend(self.of_word.get(NUMBER).into_iter().flatten());
        }
        own
    }

    fn of_beginnings_of(&self, word: &str) -> impl Iterator<Item = u32> {
        let beginnings = word.as_bytes().first_chunk().and_then(|three| self.of_beginning.get(three));
        let fits = move |(beginning, _): &&(String, u32)| word.starts_with(beginning.as_str());
        beginnings.into_iter().flatten().filter(fits).map(|(_, class)| *class)
    }

    /// Adds to every word that a pattern names the classes of its beginnings, so that one look finds them all.
    fn complete(&mut self) {
        let mut of_word = std::mem::take(&mut self.of_word);
        for (word, classes) in &mut of_word {
            classes.extend(self.of_beginnings_of(word));
        }
        let numbers = of_word.get(NUMBER).cloned().unwrap_or_default();
        for (_, classes) in of_word.iter_mut().filter(|(word, _)| word.starts_with(|c: char| c.is_ascii_digit())) {
            classes.extend(&numbers);
        }
        self.of_word = of_word;
    }
}
