//! What the model is told: who the coach is, how it speaks to this user, and what is known of them.
//!
//! The prompt is put together from parts, each a fixed text chosen by typed values. What a user or an app
//! wrote stands in one of them only, [`Part::KnownOfUser`], as JSON between two marks that nothing in it can
//! write, after a sentence that calls it data.

mod parts;

use std::cmp::Reverse;

use jiff::civil::Date;
use serde::Serialize;
use serde_json::Value;

use crate::payload::{
    CoachingStyle, CountryCode, DiaryEntry, DiaryKind, Gamification, GoalType, LanguageTag, Name, Note, TimeZoneName,
    UserContext, WeightUnit,
};
use crate::remembered::Remembered;

/// For how many turns the coach still asks what it does not know of the user.
const ONBOARDING_TURNS: usize = 6;

/// How many notes of the diary the model is told, and how much of each, in bytes: some 1,500 tokens at the most.
const MOST_NOTES: usize = 10;
const LONGEST_TOLD_NOTE: usize = 400;

/// One part of the system prompt.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// Who the coach is and what it stands for.
    Persona,
    /// Where numbers come from.
    Numbers,
    /// The tone.
    Style(CoachingStyle),
    /// What success means.
    Goal(GoalType),
    /// What matters beside a GLP-1 medicine.
    OnGlp1,
    /// How much play there is.
    Gamification(Gamification),
    /// The unit weight is told in.
    Units(WeightUnit),
    /// The one question to ask, if it fits.
    Onboarding(Onboarding),
    /// What is known of the user, as data.
    KnownOfUser(String),
}

/// What the coach would like to know next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Onboarding {
    /// What the user works towards.
    Goal,
    /// How the user likes to be spoken to.
    Style,
}

/// What a prompt is composed of.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// What the app sent.
    pub context: UserContext,
    /// What the user said in the session.
    pub remembered: Remembered,
    /// How many turns the session has had.
    pub turns: usize,
}

/// What of a user is told to the model, in the order it reads it.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a Name>,
    #[serde(skip_serializing_if = "Option::is_none")]
    country: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<&'a LanguageTag>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_zone: Option<&'a TimeZoneName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    age: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<&'a Note>,
    /// What the user noted in the app's diary, newest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    diary: Vec<Noted<'a>>,
}

/// A note of the diary.
#[derive(Serialize)]
struct Noted<'a> {
    date: Date,
    kind: DiaryKind,
    note: &'a str,
}

/// The system prompt for one user.
pub fn compose(known: &Known) -> String {
    parts(known).iter().map(Part::text).collect::<Vec<_>>().join("\n\n")
}

/// The parts of one user's prompt, in order. What the app says counts before what was said in words.
pub fn parts(known: &Known) -> Vec<Part> {
    let Known { context, remembered, .. } = known;
    let style = context.coaching_style.or(remembered.style);
    let goal = context.goal_type.or(remembered.goal);
    let on_glp1 = context.on_glp1.or(remembered.on_glp1).unwrap_or_default();
    let gamification = context.gamification_preference.or(remembered.gamification);
    let asks = known.turns < ONBOARDING_TURNS;
    let onboarding = match (goal, style) {
        (None, _) if asks => Some(Onboarding::Goal),
        (_, None) if asks => Some(Onboarding::Style),
        _ => None,
    };
    let parts = [
        Some(Part::Persona),
        Some(Part::Numbers),
        style.map(Part::Style),
        goal.map(Part::Goal),
        on_glp1.then_some(Part::OnGlp1),
        gamification.map(Part::Gamification),
        context.units.or(remembered.units).map(Part::Units),
        onboarding.map(Part::Onboarding),
        known_of_user(known).map(Part::KnownOfUser),
    ];
    parts.into_iter().flatten().collect()
}

/// A value as data in a text for the model: JSON in one line that holds no `<` and no `>`, so that it can
/// close no mark around it.
pub fn as_data(value: &Value) -> String {
    value.to_string().replace('<', "\\u003c").replace('>', "\\u003e")
}

fn newest_notes(diary: &[DiaryEntry]) -> Vec<Noted<'_>> {
    let mut noted: Vec<Noted<'_>> = diary
        .iter()
        .filter_map(|entry| {
            let note = entry.note.as_ref()?.as_str();
            let note = &note[..note.floor_char_boundary(LONGEST_TOLD_NOTE)];
            Some(Noted { date: entry.date, kind: entry.kind, note })
        })
        .collect();
    // Of one day, the app's last comes first.
    noted.reverse();
    noted.sort_by_key(|noted| Reverse(noted.date));
    noted.truncate(MOST_NOTES);
    noted
}

fn known_of_user(known: &Known) -> Option<String> {
    let Known { context, remembered, .. } = known;
    let country = context.country();
    let told = Told {
        name: context.name.as_ref().or(remembered.name.as_ref()),
        country: country.as_ref().map(CountryCode::as_str),
        language: context.language.as_ref(),
        time_zone: context.time_zone.as_ref(),
        age: context.age,
        plan: context.plan.as_ref(),
        diary: newest_notes(&context.logs),
    };
    let told = serde_json::to_value(told).ok()?;
    let is_anything = told.as_object().is_some_and(|told| !told.is_empty());
    is_anything.then(|| as_data(&told))
}
