//! What stands above the coach with a veto.
//!
//! Every message is read before the model sees it, every sentence of an answer before it leaves. What is grave the
//! sentinel answers itself, with where to find help in the user's country; about the rest the model gets an
//! instruction. After a crisis the session stays gentle: the model is told so, and what it says of weight and food
//! all the same does not leave.
//!
//! | room | job |
//! | --- | --- |
//! | [`text`], [`theirs`] | a message as plain words; what it tells of others, as they would tell it |
//! | [`rules`], [`goals`], [`classifier`] | three who look at it, each for a [`finding`]; [`reading`] is what they find together |
//! | [`second_reader`] | a model that looks at it too, where an operator wants that |
//! | [`session`], [`diary`] | what earlier messages mean for this one, and what the user noted in the app |
//! | [`bystander`] | whose emergency it is |
//! | [`answers`], [`resources`] | what is said, and whom to call |

pub mod answers;
pub mod bystander;
pub mod classifier;
pub mod concepts;
pub mod diary;
pub mod finding;
pub mod goals;
pub mod kind;
pub mod reading;
pub mod resources;
pub mod rules;
pub mod second_reader;
pub mod session;
pub mod text;
pub mod theirs;

use agentcore_runtime::prelude::{Flag, Guard, Heard, Leaving, Review, Safety, SecondOpinion, Severity, Verdict};
use serde_json::Value;

use crate::language::{self, Broken, Opinion};
use crate::payload::{OPENING, UserContext};
use crate::tools;
use answers::{Replacement, Whose};
use diary::Noted;
use finding::{Finding, severity};
use goals::{Person, UnsafeGoal};
use kind::Kind;
use reading::find_in;
use resources::Resources;
use text::Text;

/// The rule that a flag names when a session is gentle because of an earlier message.
pub const GENTLE: &str = "gentle_session";

/// The rule that a flag names when the app says that the user is under age.
const AGE: &str = "age_in_context";

/// The age from which on the coach coaches, in years.
const OF_AGE: u8 = 18;

/// The guard of every coach's turn.
#[derive(Debug)]
pub struct Sentinel {
    person: Person,
    is_minor: bool,
    /// Whether the app has sent a weight to reach that no healthy adult of the height has.
    aims_too_low: bool,
    noted: Noted,
    resources: &'static Resources,
}

/// Reads the rules and the classifier, which the first message would wait for otherwise. A process serves one session, so
/// each session's first message is one.
pub fn prepare() {
    let sentinel = Sentinel::for_user(&UserContext::default());
    sentinel.inspect(&Heard { text: "Hello", history: &[] });
    sentinel.review(&Leaving { sentence: "Hello.", said: "", safety: &Safety::default() });
}

// === impl Sentinel ===

impl Sentinel {
    /// The sentinel above one user's coach.
    pub fn for_user(context: &UserContext) -> Self {
        let newest = context.weight_log.iter().max_by_key(|weighing| weighing.date);
        let person =
            Person { height_cm: context.height_cm, weight_kg: newest.map(|weighing| weighing.kg), sex: context.sex };
        let is_minor = context.age.is_some_and(|age| age < OF_AGE);
        let aims_too_low = tools::goal::is_too_low(context);
        let noted = Noted::in_diary(context, &person);
        Self { person, is_minor, aims_too_low, noted, resources: Resources::of(context.country()) }
    }

    /// What is found in a message, and in what the app sent with it.
    fn findings(&self, heard: &Heard<'_>) -> Vec<Finding> {
        self.with_what_the_app_says(find_in(heard.text, &self.person), heard)
    }

    /// The same with what the app sent with the message, which no reader of the message can take back.
    fn with_what_the_app_says(&self, mut findings: Vec<Finding>, heard: &Heard<'_>) -> Vec<Finding> {
        let mut add = |kind, rule| {
            if findings.iter().all(|finding| finding.kind != kind) {
                findings.push(Finding { kind, rule, severity: Severity::Elevated, is_certain: true });
            }
        };
        if self.is_minor {
            add(Kind::Minor, AGE);
        }
        if self.aims_too_low {
            add(Kind::UnsafeGoal, UnsafeGoal::TooLowAWeight.rule());
        }
        self.noted.join(&mut findings, heard.history);
        findings
    }

    /// The answer to what was found, where the sentinel gives it: to a crisis always, to the rest as often as there
    /// are different words for it. After that the model goes on, gently.
    fn answer(&self, findings: &[Finding], heard: &Heard<'_>) -> Option<String> {
        let Finding { kind, severity, .. } = *findings.iter().find(|finding| !finding.kind.is_left_to_the_model())?;
        let before = session::times_before(kind, heard.history, &self.person);
        let before = if kind == Kind::Minor && self.is_minor { heard.history.len() } else { before };
        let is_told = severity < Severity::Crisis && before >= answers::count(kind, severity);
        let is_anothers = kind == Kind::MedicalEmergency && bystander::is_beside_somebody(&Text::of(heard.text));
        let whose = if is_anothers { Whose::Anothers } else { Whose::Own };
        if is_told { None } else { answers::answer(kind, severity, whose, self.resources, before) }
    }

    /// What of earlier messages, or of the diary, keeps the session gentle.
    fn kept_gentle_by(&self, heard: &Heard<'_>) -> Option<Kind> {
        session::kept_gentle_by(heard.history, &self.person).or_else(|| self.noted.keeps_gentle(heard.history))
    }

    /// What the model is told, and why.
    fn annotations(&self, findings: &[Finding], heard: &Heard<'_>) -> (Vec<String>, Vec<Flag>) {
        let told = findings.iter().map(|Finding { kind, .. }| {
            let instruction =
                kind.is_left_to_the_model().then(|| answers::instruction(*kind, self.resources)).flatten();
            instruction.unwrap_or_else(|| answers::gentle_instruction(*kind, self.resources))
        });
        let mut instructions: Vec<String> = told.collect();
        let mut flags: Vec<Flag> = findings.iter().map(|finding| finding.flag()).collect();
        if let Some(kind) = self.kept_gentle_by(heard) {
            instructions.push(answers::gentle_instruction(kind, self.resources));
            flags.push(Flag { kind: kind.as_str().into(), rule: GENTLE.into(), severity: Severity::Info });
        } else if let Some(finding) = findings.iter().find(|finding| !finding.kind.is_left_to_the_model()) {
            flags.push(Flag { rule: GENTLE.into(), severity: Severity::Info, ..finding.flag() });
        }
        instructions.dedup();
        (instructions, flags)
    }
}

impl Sentinel {
    /// What comes of what was found.
    fn decide(&self, findings: Vec<Finding>, heard: &Heard<'_>) -> Verdict {
        if let Some(text) = self.answer(&findings, heard) {
            return Verdict::Answer { text, flags: findings.into_iter().map(Finding::flag).collect() };
        }
        let (instructions, flags) = self.annotations(&findings, heard);
        if flags.is_empty() {
            return Verdict::Allow;
        }
        Verdict::Annotate { instruction: instructions.join("\n\n"), flags }
    }
}

impl Guard for Sentinel {
    fn inspect(&self, heard: &Heard<'_>) -> Verdict {
        self.decide(self.findings(heard), heard)
    }

    /// A crisis is answered at once, and what the app itself says needs no second reader.
    fn doubts(&self, heard: &Heard<'_>, verdict: &Verdict) -> Option<SecondOpinion> {
        let is_crisis = verdict.flags().iter().any(|flag| flag.severity == Severity::Crisis);
        let is_said = !heard.text.trim().is_empty() && heard.text != OPENING;
        (is_said && !is_crisis).then(|| second_reader::question(heard))
    }

    fn reconsiders(&self, heard: &Heard<'_>, verdict: Verdict, told: &Value) -> Verdict {
        match second_reader::heard_beside(find_in(heard.text, &self.person), told) {
            Some(findings) => self.decide(self.with_what_the_app_says(findings, heard), heard),
            None => verdict,
        }
    }

    /// Whatever makes a session gentle or ends that must stay known, or a session would change with the length of what
    /// is said after it.
    fn keeps(&self, heard: &Heard<'_>, verdict: &Verdict) -> bool {
        let makes_gentle = |flag: &Flag| {
            let lasts = [Kind::EatingDisorder, Kind::Minor].iter().any(|kind| kind.as_str() == flag.kind);
            flag.severity == Severity::Crisis || (lasts && flag.rule != GENTLE)
        };
        let flags = verdict.flags();
        let is_gentle = || flags.iter().any(|flag| flag.rule == GENTLE);
        flags.iter().any(makes_gentle) || (is_gentle() && session::is_resolved(&Text::of(heard.text)))
    }

    fn reviews(&self) -> bool {
        true
    }

    fn review(&self, leaving: &Leaving<'_>) -> Review {
        let Leaving { sentence, said, .. } = *leaving;
        if let Some(kind) = gentle_because_of(leaving.safety)
            && language::is_not_gentle(sentence, said)
        {
            let flag = Flag { kind: kind.to_owned().into(), rule: GENTLE.into(), severity: Severity::Info };
            return replaced(sentence, said, &answers::replacement(Replacement::Gentle, self.resources), flag);
        }
        match language::opinion_for(&self.person, sentence, said) {
            Opinion::Fine => Review::Pass,
            Opinion::Unkind { broken, instead } => {
                let text = in_the_place_of(sentence, instead);
                Review::Repair { text, flag: flag_of(broken) }
            }
            Opinion::Harmful(broken) => {
                replaced(sentence, said, &answers::replacement(Replacement::Harm, self.resources), flag_of(broken))
            }
        }
    }
}

/// The kind that keeps the turn gentle, by what was found in it.
fn gentle_because_of(safety: &Safety) -> Option<&str> {
    safety.flags.iter().find(|flag| flag.rule == GENTLE).map(|flag| flag.kind.as_ref())
}

fn flag_of(broken: Broken) -> Flag {
    Flag { kind: broken.kind, rule: broken.rule, severity: severity(broken.severity) }
}

/// Words in the place of a sentence and of everything after it, apart from what has left.
fn replaced(sentence: &str, said: &str, words: &str, flag: Flag) -> Review {
    let is_apart = said.is_empty() || said.ends_with(char::is_whitespace) || sentence.starts_with(char::is_whitespace);
    let text = if is_apart { words.to_owned() } else { format!(" {words}") };
    Review::ReplaceRest { text, flag }
}

/// Words with the white space of a sentence around them; nothing at all in the place of a sentence where there are no
/// words.
fn in_the_place_of(sentence: &str, words: &str) -> String {
    let bare = sentence.trim();
    let before = &sentence[..sentence.len() - sentence.trim_start().len()];
    let after = &sentence[before.len() + bare.len()..];
    if words.is_empty() { before.to_owned() } else { format!("{before}{words}{after}") }
}
