//! What the app sends to the coach.
//!
//! Every member is optional. What is sent is checked: a value outside its bounds is refused with what it
//! may be, because a coach that silently ignores `"gentel"` coaches somebody in the wrong tone. Members
//! that are not known are ignored, so that an app may be ahead of the agent.

use std::fmt;

use agentcore_runtime::prelude::{ContentBlock, JsonSchema, Object, Prompt, Reply};
use jiff::civil::Date;
use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

/// What the model reads when the app opens the conversation without a message.
pub const OPENING: &str = "[The user has opened the conversation and written nothing yet. Greet them warmly, in \
                           one or two sentences, and ask one open question.]";

/// The longest name, in characters.
const LONGEST_NAME: usize = 60;

/// The longest plan or note, in characters.
const LONGEST_NOTE: usize = 2_000;

/// How many weighings or diary entries may be sent at once: some years of a daily one.
const MOST_ENTRIES: usize = 1_500;

/// The body of an invocation.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
pub struct CoachPayload {
    /// What the user wrote. Without it the coach opens the conversation.
    prompt: Option<String>,
    /// The same, by another name.
    message: Option<String>,
    /// Pictures and files, as Bedrock's content blocks.
    #[schemars(with = "Option<Vec<Map<String, Value>>>")]
    content: Option<Vec<ContentBlock>>,
    /// Answers to what tools asked in the turn before.
    #[serde(default)]
    replies: Vec<Reply>,
    /// Whose words they are, where no user id header says so.
    user_id: Option<String>,
    /// What the app knows of the user.
    #[schemars(with = "Option<UserContext>")]
    user_context: Option<Object<UserContext>>,
}

/// What the app knows of the user.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
pub struct UserContext {
    /// The tone the user likes.
    pub coaching_style: Option<CoachingStyle>,
    /// Whether the user takes a GLP-1 medicine.
    pub on_glp1: Option<bool>,
    /// What the user works towards.
    pub goal_type: Option<GoalType>,
    /// How much play the user likes.
    pub gamification_preference: Option<Gamification>,
    /// What the user is called.
    #[schemars(with = "Option<String>", length(min = 1, max = LONGEST_NAME))]
    pub name: Option<Name>,
    /// Where the user lives: whom to call depends on it.
    #[schemars(with = "Option<String>", regex(pattern = "^[A-Za-z]{2}$"))]
    pub country: Option<CountryCode>,
    /// The language of the app; its region stands in for a country that is not sent.
    #[serde(alias = "locale")]
    #[schemars(with = "Option<String>", extend("examples" = ["en-IE"]))]
    pub language: Option<LanguageTag>,
    /// Where the user's days begin and end.
    #[schemars(with = "Option<String>", extend("examples" = ["Europe/Dublin"]))]
    pub time_zone: Option<TimeZoneName>,
    /// The unit the user thinks of weight in.
    pub units: Option<WeightUnit>,
    /// The user's height in centimetres, 90 to 250.
    #[serde(default, deserialize_with = "height")]
    #[schemars(range(min = 90, max = 250))]
    pub height_cm: Option<f64>,
    /// The user's weight when weighed, in any order; 20 to 400 kg.
    #[serde(default, deserialize_with = "entries")]
    #[schemars(length(max = MOST_ENTRIES))]
    pub weight_log: Vec<Weighing>,
    /// The weight the user works towards, in kilograms, 20 to 400.
    #[serde(default, deserialize_with = "weight")]
    #[schemars(range(min = 20, max = 400))]
    pub target_weight_kg: Option<f64>,
    /// What was agreed between the user and the app, in words.
    #[schemars(with = "Option<String>", length(max = LONGEST_NOTE))]
    pub plan: Option<Note>,
    /// The user's sex: the lowest safe intake depends on it.
    pub sex: Option<Sex>,
    /// The user's age in years, 0 to 120.
    #[serde(default, deserialize_with = "age")]
    #[schemars(range(min = 0, max = 120))]
    pub age: Option<u8>,
    /// What the user wrote in the app's diary, in any order.
    #[serde(default, deserialize_with = "entries")]
    #[schemars(length(max = MOST_ENTRIES))]
    pub logs: Vec<DiaryEntry>,
}

/// One weighing.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
pub struct Weighing {
    /// The day.
    #[schemars(with = "String", extend("format" = "date"))]
    pub date: Date,
    /// The weight in kilograms, 20 to 400.
    #[serde(deserialize_with = "kilograms")]
    #[schemars(range(min = 20, max = 400))]
    pub kg: f64,
}

/// One line of the app's diary.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
pub struct DiaryEntry {
    /// The day.
    #[schemars(with = "String", extend("format" = "date"))]
    pub date: Date,
    /// What it is about.
    pub kind: DiaryKind,
    /// How much: steps, minutes of exercise, glasses of water, grams of protein.
    pub amount: Option<f64>,
    /// What the user wrote to it.
    #[schemars(with = "Option<String>", length(max = LONGEST_NOTE))]
    pub note: Option<Note>,
}

/// What a line of the diary is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DiaryKind {
    /// Something eaten.
    Meal,
    /// Steps walked.
    Steps,
    /// Minutes of exercise.
    Exercise,
    /// Glasses of water.
    Water,
    /// Grams of protein.
    Protein,
    /// How the user felt.
    Mood,
    /// A slip that the user has honestly logged.
    Lapse,
}

/// The tone of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CoachingStyle {
    /// Soft and patient.
    Gentle,
    /// To the point.
    Pragmatic,
    /// Cheerful.
    Upbeat,
    /// In steps.
    Structured,
}

/// What a user works towards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GoalType {
    /// Losing weight.
    Loss,
    /// Keeping it.
    Maintenance,
    /// Moving from the one to the other.
    Transition,
}

/// How much challenge and achievement language a user likes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Gamification {
    /// Much.
    High,
    /// Some.
    Moderate,
    /// None.
    Low,
}

/// The unit a user thinks of weight in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WeightUnit {
    /// Kilograms.
    Kg,
    /// Pounds.
    Lb,
    /// Stones and pounds.
    St,
}

/// A user's sex, as tables of safe intakes know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Sex {
    /// Female.
    Female,
    /// Male.
    Male,
}

/// What somebody is called: one line of letters, with the marks that names have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Name(String);

/// A country by its two letters (ISO 3166-1 alpha-2), in capitals; `UK` is read as `GB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct CountryCode([u8; 2]);

/// A language by its tag (BCP 47), such as `en-IE`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LanguageTag(String);

/// A time zone by its name in the IANA database, such as `Europe/Dublin`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TimeZoneName(String);

/// Words of the user or the app of up to 2,000 characters, without control characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Note(String);

// === impl CoachPayload ===

impl CoachPayload {
    /// What the app knows of the user: nothing, where it says nothing.
    pub fn context(&mut self) -> UserContext {
        self.user_context.take().map(|Object(context)| context).unwrap_or_default()
    }

    /// Whether the app has opened the conversation and the user has said nothing yet.
    pub fn is_opening(&self) -> bool {
        self.prompt.is_none() && self.message.is_none() && self.content.is_none() && self.replies.is_empty()
    }

    /// What the user wrote in `prompt` or `message`.
    pub fn words(&self) -> &str {
        self.prompt.as_deref().or(self.message.as_deref()).unwrap_or_default()
    }

    /// What the user wrote and showed, and who it is.
    pub fn into_prompt(self) -> Prompt {
        Prompt {
            prompt: self.prompt,
            message: self.message,
            content: self.content,
            replies: self.replies,
            user_id: self.user_id,
        }
    }
}

// === impl UserContext ===

impl UserContext {
    /// Where the user lives, as said or by the language's region.
    pub fn country(&self) -> Option<CountryCode> {
        self.country.or_else(|| self.language.as_ref().and_then(LanguageTag::region))
    }
}

// === impl Name ===

impl Name {
    /// A name, where it is one: letters, marks of letters, single spaces, apostrophes, hyphens and full
    /// stops, at most 60 characters.
    pub fn new(name: &str) -> Option<Self> {
        let name = name.trim();
        let is_of_names =
            |c: char| c.is_alphabetic() || matches!(c, ' ' | '\'' | '’' | '-' | '.' | '\u{300}'..='\u{36f}');
        let fits = (1..=LONGEST_NAME).contains(&name.chars().count());
        let is_name = fits && name.chars().all(is_of_names) && name.starts_with(char::is_alphabetic);
        is_name.then(|| Self(name.to_owned()))
    }

    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

// === impl CountryCode ===

impl CountryCode {
    /// The country of two letters, in capitals or not.
    pub fn new(code: &str) -> Option<Self> {
        let code: [u8; 2] = code.as_bytes().try_into().ok()?;
        let code = code.map(|letter| letter.to_ascii_uppercase());
        let is_code = code.iter().all(u8::is_ascii_uppercase);
        is_code.then_some(Self(if code == *b"UK" { *b"GB" } else { code }))
    }

    /// Its two letters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

// === impl LanguageTag ===

impl LanguageTag {
    /// A tag of two or three letters and parts of up to eight letters and digits; `_` is read as `-`.
    pub fn new(tag: &str) -> Option<Self> {
        let tag = tag.replace('_', "-");
        let (language, rest) = tag.split_once('-').map_or((tag.as_str(), None), |(first, rest)| (first, Some(rest)));
        let is_language = matches!(language.len(), 2..=3) && language.bytes().all(|c| c.is_ascii_alphabetic());
        let is_part = |part: &str| (1..=8).contains(&part.len()) && part.bytes().all(|c| c.is_ascii_alphanumeric());
        let is_tag = is_language && tag.len() <= 35 && rest.is_none_or(|rest| rest.split('-').all(is_part));
        is_tag.then_some(Self(tag))
    }

    /// The country in it: the `IE` of `en-IE`.
    pub fn region(&self) -> Option<CountryCode> {
        self.0.split('-').skip(1).find_map(CountryCode::new)
    }
}

// === impl TimeZoneName ===

impl TimeZoneName {
    /// A name of letters, digits and `/_+-`, up to 64 of them, that begins with a letter.
    pub fn new(name: &str) -> Option<Self> {
        let is_of_names = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'/' | b'_' | b'+' | b'-');
        let begins_well = name.starts_with(|c: char| c.is_ascii_alphabetic());
        (begins_well && name.len() <= 64 && name.bytes().all(is_of_names)).then(|| Self(name.to_owned()))
    }

    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

// === impl Note ===

impl Note {
    /// Words that are not too long. What does not show on paper is left out, line ends become spaces.
    pub fn new(words: &str) -> Option<Self> {
        let fits = words.chars().count() <= LONGEST_NOTE;
        let shown = words.chars().map(|c| if c.is_whitespace() { ' ' } else { c });
        fits.then(|| Self(shown.filter(|c| !is_hidden(*c)).collect::<String>().trim().to_owned()))
    }

    /// The words.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a character shows nothing and may hide something: controls, zero-width and direction marks, tags.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

// === reading ===

/// Reads a string that must be more than a string; the error says what.
macro_rules! read_from_string {
    ($($type:ty: $expected:literal)*) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(StringVisitor { read: Self::new, expected: $expected })
            }
        }
    )*};
}

read_from_string! {
    Name: "a name of 1 to 60 letters, spaces, apostrophes, hyphens and full stops"
    CountryCode: "a country by its two letters, such as \"IE\""
    LanguageTag: "a language tag, such as \"en-IE\""
    TimeZoneName: "a time zone by its name, such as \"Europe/Dublin\""
    Note: "a string of up to 2000 characters"
}

struct StringVisitor<T> {
    read: fn(&str) -> Option<T>,
    expected: &'static str,
}

impl<T> serde::de::Visitor<'_> for StringVisitor<T> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.expected)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        (self.read)(text).ok_or_else(|| E::invalid_value(Unexpected::Other("something else"), &self.expected))
    }
}

fn height<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    number_within(deserializer, 90.0, 250.0, "a height of 90 to 250 cm")
}

fn weight<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    number_within(deserializer, 20.0, 400.0, "a weight of 20 to 400 kg")
}

fn kilograms<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let expected = "a weight of 20 to 400 kg";
    weight(deserializer)?.ok_or_else(|| D::Error::invalid_value(Unexpected::Unit, &expected))
}

fn age<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u8>, D::Error> {
    let age = number_within(deserializer, 0.0, 120.0, "an age of 0 to 120 years")?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is between 0 and 120")]
    Ok(age.map(|years| years as u8))
}

fn number_within<'de, D: Deserializer<'de>>(
    deserializer: D,
    lowest: f64,
    highest: f64,
    expected: &'static str,
) -> Result<Option<f64>, D::Error> {
    let number = Option::<f64>::deserialize(deserializer)?;
    match number {
        Some(number) if !(lowest..=highest).contains(&number) => {
            Err(D::Error::invalid_value(Unexpected::Float(number), &expected))
        }
        number => Ok(number),
    }
}

fn entries<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let entries: Vec<T> = Option::deserialize(deserializer)?.unwrap_or_default();
    if entries.len() > MOST_ENTRIES {
        return Err(D::Error::invalid_length(entries.len(), &"a list of at most 1500 entries"));
    }
    Ok(entries)
}
