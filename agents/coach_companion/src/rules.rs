//! Rules of words: which phrases mean what, read from data that people review.
//!
//! A pattern is a row of words. `(want|wish)` is one of several, `(to be dead|to die)` one of several phrases, which may
//! have groups themselves, `word?` and `(…)?` may be missing, `purg*` is every word that begins so, `~` is up to three
//! words of anything, `~6` up to six, `#` is any number. Patterns are read by the same [`Text`] as messages are, so they
//! may be written as people write.
//!
//! A rule has words that make it mean nothing, in three lists: `unless` anywhere in the sentence, `unless_before` where
//! they begin before the rule's own words do, `unless_beside` where they share a word with them or stand next to them.
//! The nearer the better: "double your dose, but check with your doctor" is no question for a doctor.
//!
//! All patterns of a set are one tree of words, and a text is walked through it once: every place in the tree that
//! the words so far lead to is kept, and goes on or is dropped with the next word. Nothing is ever tried again, so
//! the time is linear in the text. What else is asked about a match is either looked up, having been found out once for
//! the whole text, or a matter of the few words around it.

mod circumstances;
mod denial;
mod patterns;
mod tree;
mod vocabulary;
mod voids;

use std::ops::Range;

use foldhash::HashMap;
use serde::Deserialize;

pub(crate) use self::circumstances::{PEOPLE, is_other};
pub(crate) use self::denial::denial_before;

use self::circumstances::Circumstances;
use self::patterns::Patterns;
use self::tree::{End, Growing, Tree, Walked};
use self::voids::{Voids, Where};
use crate::sentinel::text::Text;

/// How far before a match a word still denies it.
const DENIAL_REACH: usize = 5;

/// A set of rules, ready to be asked.
#[derive(Debug)]
pub struct RuleSet {
    rules: Vec<Rule>,
    /// Their patterns.
    tree: Tree,
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

// === impl RuleSet ===

impl RuleSet {
    /// Reads the files of a set, each as the JSON the build wrote.
    ///
    /// # Errors
    /// A file that is not one, or a pattern that cannot be read, by its rule.
    pub fn read<'a>(files: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let (mut rules, mut tree) = (Vec::new(), Growing::default());
        for file in files {
            let file: RuleFile = serde_json::from_str(file).map_err(|error| error.to_string())?;
            let mut patterns = Patterns::with(&file.lists);
            for mut rule in file.rule {
                rule.counts.extend(&file.counts);
                let number = u32::try_from(rules.len()).map_err(|error| error.to_string())?;
                rule.add_to(&mut tree, number, &mut patterns)
                    .map_err(|(pattern, error)| format!("{}/{}: {pattern:?}: {error}", file.kind, rule.name))?;
                rules.push(rule.of_kind(&file.kind));
            }
        }
        Ok(Self { rules, tree: tree.into_tree() })
    }

    /// The rule at a place.
    pub fn rule(&self, place: usize) -> &Rule {
        &self.rules[place]
    }

    /// What the rules find in a text, in the order of its words.
    pub fn find<'a>(&self, text: &'a Text) -> Vec<Match<'a>> {
        let Walked { found, unless } = self.tree.walk(text);
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
}

// === impl RuleData ===

impl RuleData {
    /// Adds its patterns to the tree; the error is of the pattern that comes with it.
    fn add_to<'a>(
        &'a self,
        tree: &mut Growing,
        rule: u32,
        patterns: &mut Patterns<'_>,
    ) -> Result<(), (&'a str, String)> {
        let all = [
            (&self.patterns, End::Means(rule)),
            (&self.unless, End::Unless(rule, Where::Anywhere)),
            (&self.unless_before, End::Unless(rule, Where::Before)),
            (&self.unless_beside, End::Unless(rule, Where::Beside)),
        ];
        for (pattern, end) in all.into_iter().flat_map(|(all, end)| all.iter().map(move |pattern| (pattern, end))) {
            for steps in patterns.rows(pattern, &mut tree.classes).map_err(|error| (pattern.as_str(), error))? {
                tree.insert(&steps, end);
            }
        }
        Ok(())
    }

    fn of_kind(self, kind: &str) -> Rule {
        let Self { name, severity, certain: is_certain, instead, counts, .. } = self;
        Rule { kind: kind.to_owned(), name, severity, is_certain, instead, counts }
    }
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
