//! A small trained classifier beside the rules: what nobody thought of as a rule still sounds like something.
//!
//! Two readers of different sorts read a message, [`phrases`] what is said word for word and [`network`] what it is
//! like; where one is mistaken the other seldom is, so that both together are better than either. What they say comes
//! to two numbers, the danger of a crisis and that of anything else, each against ordinary talk and as the logarithm
//! of the odds; a rule's finding is evidence beside theirs, and what is ordinary by all of it raises no flag. Of a long
//! message three sentences in a row are read at a time, and the most worrying ones count, so that a sentence in it is
//! not drowned.
//!
//! Neither hears the rules while it learns, because those were written with some of the same messages at hand and would
//! seem better than they are. The weights are in `data/classifier.bin`, how they were made and how good they are in
//! `data/classifier.md`; `cargo run --release -p coach_companion --example train_classifier` makes both from the tuning
//! split of the evaluation.

pub mod bytes;
pub mod network;
pub mod phrases;

use std::io::Read as _;
use std::ops::Range;
use std::sync::LazyLock;

use agentcore_runtime::prelude::Severity;
use flate2::read::DeflateDecoder;

use super::finding::Finding;
use super::kind::Kind;
use super::text::Text;
use bytes::{Reader, write_ascending, write_floats};
use network::{Gathered, Network, Parameters, Vocabulary, tokens};
use phrases::{Phrases, SIDES, Sum};

/// What a message may be, beside nothing of all that, which comes last. The crises come first.
pub const CLASSES: [(Kind, Severity); 12] = [
    (Kind::SelfHarm, Severity::Crisis),
    (Kind::MedicalEmergency, Severity::Crisis),
    (Kind::DomesticAbuse, Severity::Crisis),
    (Kind::ThirdPartyConcern, Severity::Crisis),
    (Kind::DomesticAbuse, Severity::Elevated),
    (Kind::ThirdPartyConcern, Severity::Elevated),
    (Kind::EatingDisorder, Severity::Elevated),
    (Kind::LowMood, Severity::Elevated),
    (Kind::Minor, Severity::Elevated),
    (Kind::UnsafeGoal, Severity::Elevated),
    (Kind::Pregnancy, Severity::Info),
    (Kind::Medication, Severity::Info),
];

/// How many classes there are, with the one that is nothing.
pub const OUTCOMES: usize = CLASSES.len() + 1;

/// Where ordinary talk stands among the outcomes.
pub const NOTHING: usize = OUTCOMES - 1;

/// The side of what is a crisis.
pub const CRISIS: usize = 0;

/// The side of what is anything else.
pub const OTHER: usize = 1;

/// The outcomes of each side.
pub const OF_SIDE: [Range<usize>; SIDES] = [0..4, 4..NOTHING];

/// The rule that a flag names where only the classifier found something.
pub const RULE: &str = "classifier";

/// How many sentences in a row are read as one.
const WINDOW: usize = 3;

/// By how much a rule's finding raises the danger, and by how much that of a rule that leaves no other reading. What
/// messages showed that neither rules nor weights had seen.
const RULES_FINDING: f32 = 0.8;
const CERTAIN_RULE: f32 = 3.0;

/// The weights, as the build packed them.
static PACKED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/classifier.deflate"));

static CLASSIFIER: LazyLock<Classifier> = LazyLock::new(|| {
    let mut weights = Vec::new();
    DeflateDecoder::new(PACKED).read_to_end(&mut weights).expect("the build has packed it");
    Classifier::new(Weights::read(&weights).expect("the tests read it"))
});

/// Trained weights, as they are kept.
#[derive(Debug, Clone)]
pub struct Weights {
    /// What counts as what.
    pub decision: Decision,
    /// Words that are said.
    pub phrases: Phrases,
    /// The hashes of the words that the network knows, ascending.
    pub words: Vec<u32>,
    /// What words are like.
    pub network: Parameters,
}

/// How two readers' words become a danger, and from which on a message counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decision {
    /// For each side, what is added, and by what the phrases' and the network's words are multiplied.
    pub mix: [[f32; 3]; SIDES],
    /// The danger from which on a message counts, on each side.
    pub least: [f32; SIDES],
    /// How much likelier a crisis must be than anything else, as the logarithm of the odds, to be called one.
    pub preference: f32,
}

/// A classifier that reads.
#[derive(Debug)]
pub struct Classifier {
    decision: Decision,
    phrases: Phrases,
    vocabulary: Vocabulary,
    network: Network,
}

/// What the two readers say of some sentences in a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    /// How far they are on each side, by the phrases.
    pub phrases: [f32; SIDES],
    /// How likely each outcome is by the network, as logarithms up to what is common to all.
    pub outcomes: [f32; OUTCOMES],
}

/// What a message's windows come to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// For each side, the window with the most danger.
    pub windows: [Window; SIDES],
    /// How much that is.
    pub danger: [f32; SIDES],
}

/// What is known of a sentence.
#[derive(Debug, Clone, Copy)]
struct Sentence {
    sum: Sum,
    gathered: Gathered,
}

/// What a message comes to, beside what the rules found in it.
pub fn judge(text: &Text, found: Vec<Finding>) -> Vec<Finding> {
    CLASSIFIER.read_text(text).judge(found, &CLASSIFIER.decision)
}

/// By how much findings raise the danger of each side.
pub fn evidence(found: &[Finding]) -> [f32; SIDES] {
    let mut evidence = [0.0_f32; SIDES];
    for finding in found {
        let side = if finding.severity == Severity::Crisis { CRISIS } else { OTHER };
        evidence[side] = evidence[side].max(if finding.is_certain { CERTAIN_RULE } else { RULES_FINDING });
    }
    evidence
}

// === impl Weights ===

impl Weights {
    /// Reads what [`Self::write`] wrote; none where it is not that.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut bytes = Reader(bytes);
        let mix = [bytes.floats()?, bytes.floats()?];
        let decision = Decision { mix, least: bytes.floats()?, preference: bytes.floats::<1>()?[0] };
        let phrases = Phrases::read(&mut bytes)?;
        let words = bytes.ascending()?;
        let network = Parameters::read(&mut bytes, words.len())?;
        bytes.0.is_empty().then_some(Self { decision, phrases, words, network })
    }

    /// The weights as bytes.
    pub fn write(&self) -> Vec<u8> {
        let Decision { mix, least, preference } = self.decision;
        let mut bytes = Vec::new();
        write_floats(&mut bytes, mix.into_iter().flatten().chain(least).chain([preference]));
        self.phrases.write(&mut bytes);
        write_ascending(&mut bytes, self.words.iter().copied());
        self.network.write(&mut bytes);
        bytes
    }
}

// === impl Classifier ===

impl Classifier {
    /// A classifier with these weights, ready to read.
    pub fn new(weights: Weights) -> Self {
        let Weights { decision, phrases, words, network } = weights;
        Self { decision, phrases, vocabulary: Vocabulary::new(&words), network: Network::new(network) }
    }

    /// What the windows of a message come to.
    pub fn read_text(&self, text: &Text) -> Reading {
        let sentences = self.sentences(text);
        let last = sentences.len().saturating_sub(WINDOW);
        let at = |start: usize| self.window(&sentences[start..sentences.len().min(start + WINDOW)]);
        let first = at(0);
        let mut reading = Reading { windows: [first; SIDES], danger: self.decision.danger(&first) };
        for window in (1..=last).map(at) {
            for (side, danger) in self.decision.danger(&window).into_iter().enumerate() {
                if danger > reading.danger[side] {
                    reading.danger[side] = danger;
                    reading.windows[side] = window;
                }
            }
        }
        reading
    }

    fn sentences(&self, text: &Text) -> Vec<Sentence> {
        let (tokens, ranges) = tokens(text);
        let rows: Vec<usize> = tokens.iter().map(|token| self.vocabulary.row(token.key)).collect();
        let gathered = self.network.gather(&tokens, &rows, &ranges);
        let sums = text.sentences().map(|sentence| self.phrases.sum(text, sentence));
        sums.zip(gathered).map(|(sum, gathered)| Sentence { sum, gathered }).collect()
    }

    fn window(&self, sentences: &[Sentence]) -> Window {
        let (mut sum, mut gathered) = (Sum::default(), Gathered::default());
        for sentence in sentences {
            sum.add(&sentence.sum);
            gathered.add(&sentence.gathered);
        }
        Window { phrases: self.phrases.sides(&sum), outcomes: self.network.outcomes(&gathered) }
    }
}

// === impl Decision ===

impl Decision {
    /// How much danger there is on each side, as the logarithm of the odds.
    pub fn danger(&self, window: &Window) -> [f32; SIDES] {
        std::array::from_fn(|side| {
            let [always, phrases, network] = self.mix[side];
            always + phrases * window.phrases[side] + network * window.likelier(side)
        })
    }
}

// === impl Window ===

impl Window {
    /// How much likelier a side is than ordinary talk, by the network: the logarithm of the odds.
    pub fn likelier(&self, side: usize) -> f32 {
        self.side(side) - self.outcomes[NOTHING]
    }

    /// How much likelier a crisis is than anything else that is not ordinary: the logarithm of the odds.
    pub fn preference(&self) -> f32 {
        self.side(CRISIS) - self.side(OTHER)
    }

    fn side(&self, side: usize) -> f32 {
        let outcomes = &self.outcomes[OF_SIDE[side].clone()];
        let highest = outcomes.iter().copied().fold(f32::MIN, f32::max);
        highest + outcomes.iter().map(|outcome| (outcome - highest).exp()).sum::<f32>().ln()
    }

    /// The likeliest class of a side.
    fn likeliest(&self, side: usize) -> Option<(Kind, Severity)> {
        let of_class = OF_SIDE[side].clone().map(|class| (CLASSES[class], self.outcomes[class]));
        of_class.max_by(|(_, one), (_, other)| one.total_cmp(other)).map(|(class, _)| class)
    }
}

// === impl Reading ===

impl Reading {
    /// Weighs the same windows again.
    pub fn decide(&mut self, decision: &Decision) {
        self.danger = std::array::from_fn(|side| decision.danger(&self.windows[side])[side]);
    }

    /// What the rules found where the classifier does not doubt it, because all the words are ordinary ones, and what
    /// it finds beyond.
    pub fn judge(&self, found: Vec<Finding>, decision: &Decision) -> Vec<Finding> {
        let evidence = evidence(&found);
        let counts = |side: usize| self.danger[side] + evidence[side] >= decision.least[side];
        if !counts(CRISIS) && !counts(OTHER) {
            return Vec::new();
        }
        let is_crisis = counts(CRISIS) && self.windows[CRISIS].preference() >= decision.preference;
        let side = if is_crisis { CRISIS } else { OTHER };
        let own = self.windows[side].likeliest(side);
        let mut findings = found;
        if let Some((kind, severity)) = own
            // What the rules have named they name better.
            && findings.iter().all(|known| known.severity < severity)
        {
            findings.push(Finding { kind, rule: RULE, severity, is_certain: false });
        }
        findings
    }
}
