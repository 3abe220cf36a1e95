//! Goals in words and numbers, judged by arithmetic: too fast, too little to eat, too low a weight, days without food.
//!
//! What a number means is decided by the words around it, within its sentence. Nothing is found in what is past,
//! denied, spoken against, somebody else's, or done under a clinician's eyes. Only the nearest words decide that:
//! "800 kcal a day and no snacks" denies snacks. So each number costs the same, however long its sentence is.

use std::ops::Range;
use std::sync::LazyLock;

use foldhash::HashMap;

use super::text::{Break, Text};
use crate::payload::Sex;
use crate::rules::{denial_before, is_other};
use crate::units::{CENTIMETRES_PER_INCH, INCHES_PER_FOOT, KILOGRAMS_PER_POUND, POUNDS_PER_STONE};

/// The most that may be lost in a week, in kilograms (NICE NG246: 0.5 to 1 kg a week).
pub const FASTEST_KG_A_WEEK: f64 = 1.0;

/// The same as a share of the body's weight.
pub const FASTEST_SHARE_A_WEEK: f64 = 0.01;

/// The lowest body mass index of a healthy adult (WHO).
pub const LOWEST_BMI: f64 = 18.5;

/// The least a woman should eat in a day without a clinician, in kcal; also where nothing is known of the user.
pub const LEAST_KCAL: f64 = 1_200.0;

/// The least a man should.
pub const LEAST_KCAL_OF_MEN: f64 = 1_500.0;

/// A weight below which the body mass index is below [`LOWEST_BMI`] in everybody of 150 cm and more, in kilograms.
const LOWEST_KG_OF_UNKNOWN_HEIGHT: f64 = 41.6;

/// What comes of dividing, so that a kilogram a week is not more than one.
const TOLERANCE: f64 = 1.005;

/// Kilojoules in a kilocalorie.
const KILOJOULES_PER_KILOCALORIE: f64 = 4.184;

/// How far before a goal words deny it, speak against it or say whose it is.
const REACH: usize = 12;

/// How far after a goal words speak against it.
const REACH_AFTER: usize = 12;

/// What is known of somebody who has a goal.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Person {
    /// The height in centimetres.
    pub height_cm: Option<f64>,
    /// The newest weight in kilograms.
    pub weight_kg: Option<f64>,
    /// The sex, on which the least intake depends.
    pub sex: Option<Sex>,
}

/// Whose words a goal is told in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speaker {
    /// A user, who tells of others, of what they read and of what their doctor said.
    User,
    /// The coach, whose every number is advice.
    Coach,
}

/// What is wrong with a goal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum UnsafeGoal {
    /// More than a kilogram, or a hundredth of the body, in a week.
    TooFast,
    /// Too few calories a day.
    TooLittleFood,
    /// An underweight target.
    TooLowAWeight,
    /// Days without food.
    DaysWithoutFood,
}

/// A number with what it measures.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Quantity {
    measures: Measure,
    /// The words it is told in.
    from: usize,
    to: usize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Measure {
    Kilograms(f64),
    Kilocalories(f64),
    Days(f64),
    Bmi(f64),
    /// A height that somebody may have.
    Centimetres(f64),
}

/// The first unsafe goal of a user's message.
pub fn find(text: &Text, person: &Person) -> Option<UnsafeGoal> {
    found(text, person, Speaker::User)
}

/// The first unsafe goal of what the coach says to a person.
pub fn find_in_advice(text: &Text, person: &Person) -> Option<UnsafeGoal> {
    found(text, person, Speaker::Coach)
}

fn found(text: &Text, person: &Person, speaker: Speaker) -> Option<UnsafeGoal> {
    let sentences = text.sentences().filter_map(|words| Sentence::of(text, words, speaker));
    let sentences: Vec<Sentence<'_>> = sentences.collect();
    // Who tells how tall they are tells it of themselves, in whichever sentence.
    let height_cm = sentences.iter().find_map(Sentence::height).or(person.height_cm);
    let person = Person { height_cm, ..*person };
    sentences.iter().find_map(|sentence| sentence.unsafe_goal(&person))
}

// === impl UnsafeGoal ===

impl UnsafeGoal {
    /// Its name, as flags tell it.
    pub fn rule(self) -> &'static str {
        match self {
            Self::TooFast => "too_fast",
            Self::TooLittleFood => "too_little_food",
            Self::TooLowAWeight => "too_low_a_weight",
            Self::DaysWithoutFood => "days_without_food",
        }
    }
}

/// A sentence that has numbers with units.
struct Sentence<'a> {
    text: &'a Text,
    words: Range<usize>,
    speaker: Speaker,
    quantities: Vec<Quantity>,
}

/// Who may watch over a goal.
const CLINICIANS: [&str; 20] = [
    "dietitian",
    "dietician",
    "doctor",
    "doctors",
    "gp",
    "nurse",
    "consultant",
    "hospital",
    "clinic",
    "clinician",
    "supervised",
    "supervision",
    "surgery",
    "surgeon",
    "prescribed",
    "specialist",
    "bariatric",
    "medically",
    "prescriber",
    "midwife",
];

/// Words before a clinician who knows nothing of it.
const IN_SECRET: [&str; 15] = [
    "tell", "telling", "without", "behind", "against", "not", "never", "no", "hide", "hiding", "ignore", "ignoring",
    "despite", "lie", "lying",
];

/// What a clinician does who has set a goal.
const SETS: [&str; 18] = [
    "suggested",
    "suggest",
    "suggests",
    "recommended",
    "recommends",
    "recommend",
    "set",
    "said",
    "says",
    "prescribed",
    "advised",
    "advises",
    "agreed",
    "gave",
    "put",
    "told",
    "wants",
    "has",
];

/// What is no goal of a user's: what is read, what is done for God or a good cause, whose weight it is.
const ELSEWHERE: [&str; 12] = [
    "ad",
    "advert",
    "scam",
    "article",
    "claims",
    "film",
    "documentary",
    "ramadan",
    "charity",
    "sponsored",
    "calf",
    "baby",
];

/// Words that speak against a goal.
const AGAINST: [&str; 9] =
    ["unsafe", "dangerous", "unhealthy", "risky", "extreme", "unrealistic", "drastic", "harmful", "unsustainable"];

/// Words that speak for a goal and, denied, against it.
const FOR: [&str; 17] = [
    "safe",
    "safely",
    "healthy",
    "enough",
    "recommended",
    "recommend",
    "realistic",
    "sustainable",
    "wise",
    "advisable",
    "good",
    "ideal",
    "kind",
    "reasonable",
    "sensible",
    "possible",
    "suggest",
];

/// What a goal may be too much of.
const TOO: [&str; 10] =
    ["low", "little", "fast", "few", "much", "quick", "quickly", "strict", "restrictive", "aggressive"];

/// Words that turn from one thought to another.
const TURNS: [&str; 6] = ["but", "however", "though", "although", "anyway", "yet"];

/// Words after a denial that make a limit of it: "no more than".
const LIMITS: [&str; 7] = ["more", "above", "over", "exceed", "exceeding", "beyond", "higher"];

/// Verbs and nouns that make a mass a loss.
const LOSE: [&str; 26] = [
    "lose",
    "loose",
    "losing",
    "drop",
    "dropping",
    "shed",
    "shift",
    "shifting",
    "off",
    "lighter",
    "loss",
    "down",
    "burn",
    "rid",
    "slim",
    "strip",
    "cut",
    "melt",
    "gone",
    "less",
    "aiming",
    "want",
    "wanna",
    "goal",
    "target",
    "kickstart",
];

/// Words that make a span the time of a loss.
const IN: [&str; 14] =
    ["in", "within", "over", "by", "every", "each", "a", "per", "for", "this", "next", "the", "of", "inside"];

/// Words that do so where the span is told first.
const IN_FRONT: [&str; 6] = ["in", "within", "inside", "every", "each", "per"];

/// Words that make a mass a target.
const TARGET: [&str; 15] = [
    "to", "be", "goal", "target", "reach", "hit", "weigh", "at", "aim", "aiming", "until", "till", "want", "under",
    "dream",
];

/// Words that make a mass anything but a target: it is lost, or lifted.
const NO_TARGET: [&str; 19] = [
    "lose", "loose", "losing", "drop", "dropping", "shed", "shift", "gain", "gaining", "burn", "lift", "lifting",
    "deadlift", "squat", "press", "bench", "carry", "row", "curl",
];

/// Words that make an energy a day's whole intake.
const OF_A_DAY: [&str; 24] = [
    "day", "daily", "days", "diet", "max", "maximum", "plan", "until", "till", "week", "weeks", "limit", "set", "eat",
    "eating", "living", "speed", "put", "month", "down", "only", "budget", "stay", "stick",
];

/// What is eaten in a day beside other things.
const MEALS: [&str; 27] = [
    "lunch",
    "lunches",
    "dinner",
    "dinners",
    "breakfast",
    "snack",
    "snacks",
    "supper",
    "burger",
    "latte",
    "pizza",
    "sandwich",
    "cake",
    "wrap",
    "salad",
    "curry",
    "portion",
    "roast",
    "takeaway",
    "bar",
    "drink",
    "wine",
    "meal",
    "meals",
    "shake",
    "dessert",
    "recipe",
];

/// Words that make an energy one that is burned or left out.
const SPENT: [&str; 13] = [
    "burn",
    "burned",
    "burnt",
    "burning",
    "deficit",
    "treadmill",
    "gym",
    "walk",
    "class",
    "save",
    "saved",
    "extra",
    "surplus",
];

/// Words before a limit that is kept to, so that what is under it is no recipe.
const KEEPS: [&str; 16] = [
    "stay", "staying", "keep", "keeping", "stick", "sticking", "remain", "live", "living", "be", "limit", "aim",
    "aiming", "go", "going", "get",
];

/// Ways to say that nothing is eaten.
const WITHOUT_FOOD: [&str; 13] = [
    "water fast",
    "dry fast",
    "eat nothing",
    "eating nothing",
    "no food",
    "nothing but water",
    "only water",
    "just water",
    "just drink water",
    "stop eating",
    "fast for",
    "fasting for",
    "juice cleanse",
];

// === impl Sentence ===

impl<'a> Sentence<'a> {
    /// A sentence with its quantities; none where it has no quantities.
    fn of(text: &'a Text, words: Range<usize>, speaker: Speaker) -> Option<Self> {
        let mut sentence = Self { text, words, speaker, quantities: Vec::new() };
        sentence.quantities = sentence.quantities();
        (!sentence.quantities.is_empty()).then_some(sentence)
    }

    /// How tall somebody is said to be, in centimetres.
    fn height(&self) -> Option<f64> {
        self.quantities.iter().find_map(|quantity| match quantity.measures {
            Measure::Centimetres(height) => Some(height),
            _ => None,
        })
    }

    fn unsafe_goal(&self, person: &Person) -> Option<UnsafeGoal> {
        if self.is_elsewhere() || self.is_supervised() || self.is_past() {
            return None;
        }
        if self.is_too_fast(person) {
            return Some(UnsafeGoal::TooFast);
        }
        if self.is_too_little(person) {
            return Some(UnsafeGoal::TooLittleFood);
        }
        if self.is_too_low(person) {
            return Some(UnsafeGoal::TooLowAWeight);
        }
        self.is_without_food().then_some(UnsafeGoal::DaysWithoutFood)
    }

    // === the four goals ===

    fn is_too_fast(&self, person: &Person) -> bool {
        let fastest =
            person.weight_kg.map_or(FASTEST_KG_A_WEEK, |kg| (kg * FASTEST_SHARE_A_WEEK).min(FASTEST_KG_A_WEEK));
        if !self.has(&LOSE) {
            return false;
        }
        let is_too_fast = |mass: &Quantity, span: &Quantity| {
            let (Measure::Kilograms(kg), Measure::Days(days)) = (mass.measures, span.measures) else {
                return false;
            };
            // A week at the most is lost in a bound of a week: less than a kilogram is no haste, however short.
            let weeks = (days / 7.0).max(if kg <= fastest { 1.0 } else { 0.0 });
            let words = mass.from.min(span.from)..mass.to.max(span.to);
            kg / weeks > fastest * TOLERANCE && !self.is_void(&words, mass.from)
        };
        self.quantities.iter().enumerate().any(|(place, mass)| {
            // "10 kg in two weeks", "4 kg a week"
            let after = self.quantities[place + 1..].iter().take_while(|span| span.from <= mass.to + 4);
            let is_its_time =
                |span: &&Quantity| span.from == mass.to || (mass.to..span.from).any(|at| self.is(at, &IN));
            // "in two weeks you could lose 10 kg"
            let before = self.quantities[..place].iter().rev().take_while(|span| span.to + 6 >= mass.from);
            let is_told_first = |span: &&Quantity| {
                let in_front = span.from.saturating_sub(3)..span.from;
                in_front.into_iter().any(|at| self.is(at, &IN_FRONT))
                    && (span.to..mass.to + 2).any(|at| self.is(at, &LOSE))
            };
            after.filter(is_its_time).chain(before.filter(is_told_first)).any(|span| is_too_fast(mass, span))
        })
    }

    fn is_too_little(&self, person: &Person) -> bool {
        let least = if person.sex == Some(Sex::Male) { LEAST_KCAL_OF_MEN } else { LEAST_KCAL };
        let (has_day, has_meal) = (self.has(&OF_A_DAY), self.has(&MEALS) || self.has(&SPENT));
        self.quantities.iter().any(|quantity| {
            let is_little = matches!(quantity.measures, Measure::Kilocalories(kcal) if (100.0..least).contains(&kcal));
            let is_of_a_day =
                || self.is_told_a_day(quantity) || (has_day && !(has_meal && self.speaker == Speaker::User));
            is_little
                && is_of_a_day()
                && !self.is_part_of_a_day(quantity)
                && !self.is_void(&(quantity.from..quantity.to), quantity.from)
        })
    }

    fn is_too_low(&self, person: &Person) -> bool {
        let lowest = person.height_cm.map_or(LOWEST_KG_OF_UNKNOWN_HEIGHT, |cm| LOWEST_BMI * (cm / 100.0).powi(2));
        let has_target = self.has(&TARGET);
        let is_low = |quantity: &Quantity| match quantity.measures {
            Measure::Bmi(bmi) => (8.0..LOWEST_BMI).contains(&bmi) && has_target,
            Measure::Kilograms(kg) => (25.0..lowest).contains(&kg) && self.is_target(quantity),
            _ => false,
        };
        let is_void = |quantity: &Quantity| self.is_void(&(quantity.from..quantity.to), quantity.from);
        self.quantities.iter().any(|quantity| is_low(quantity) && !is_void(quantity))
    }

    /// Whether a mass is one to be reached.
    fn is_target(&self, mass: &Quantity) -> bool {
        let before = || mass.from.saturating_sub(3)..mass.from;
        before().any(|place| self.is(place, &TARGET))
            && !before().any(|place| self.is(place, &NO_TARGET))
            && !self.is(mass.to, &["off", "lighter", "less", "more", "over"])
    }

    fn is_without_food(&self) -> bool {
        let days = self.quantities.iter().filter_map(|quantity| match quantity.measures {
            Measure::Days(days) => Some(days),
            _ => None,
        });
        // "One day a month" is no month.
        let shortest = days.reduce(f64::min);
        let says = || WITHOUT_FOOD.iter().find_map(|phrase| self.says(phrase));
        shortest.is_some_and(|days| days >= 2.0) && says().is_some_and(|place| !self.is_void(&(place..place), place))
    }

    // === what a day's energy is ===

    /// "800 kcal a day", "a daily 800 kcal"
    fn is_told_a_day(&self, energy: &Quantity) -> bool {
        let is_day = |place: usize| self.is(place, &["day", "daily", "days"]);
        let after = is_day(energy.to)
            || (self.is(energy.to, &["a", "per", "each", "every", "the", "in", "total"])
                && (is_day(energy.to + 1) || is_day(energy.to + 2)));
        after || (energy.from.saturating_sub(3)..energy.from).any(is_day)
    }

    /// Whether an energy is one of a meal, or is burned or left out.
    fn is_part_of_a_day(&self, energy: &Quantity) -> bool {
        let stops = |place: usize| self.is(place, &["and", "but", "no", "without", "plus", "then"]);
        let after = |reach: usize| (energy.to..energy.to + reach).take_while(|place| !stops(*place));
        let before = |reach: usize| {
            let places = (energy.from.saturating_sub(reach).max(self.words.start)..energy.from).rev();
            places.take_while(|place| !stops(*place) && self.text.after(*place) < Break::Clause)
        };
        let is_eaten_in_part = after(3).any(|place| self.is(place, &MEALS))
            || (!self.is_told_a_day(energy) && before(5).any(|place| self.is(place, &MEALS)));
        // "eat 500 kcal less", not "less than 500 kcal"
        let is_spent = after(3).any(|place| self.is(place, &SPENT) || self.is(place, &["less", "fewer"]))
            || before(5).any(|place| self.is(place, &SPENT))
            || before(2).any(|place| self.is(place, &["by"]))
            || (before(3).any(|place| self.is(place, &["cut", "cutting"]))
                && !before(3).any(|place| self.is(place, &["to", "at", "down"])));
        let is_recipe = before(2).any(|place| self.is(place, &["under", "below"]))
            && !self.is_told_a_day(energy)
            && !before(6).any(|place| self.is(place, &KEEPS));
        let is_above = before(1).any(|place| {
            self.is(place, &["over", "above"])
                || (self.is(place, &["than"]) && place.checked_sub(1).is_some_and(|place| self.is(place, &["more"])))
        });
        // "more than 800 kcal", not "no more than"
        let is_more = is_above && self.denial(energy.from).is_none_or(|place| place + 8 < energy.from);
        is_eaten_in_part || is_spent || is_recipe || is_more
    }

    // === what makes a goal none ===

    /// Whether a goal in these words is denied, spoken against, told of the past or of somebody else; its number
    /// stands at `number`.
    fn is_void(&self, words: &Range<usize>, number: usize) -> bool {
        let is_limit = |denial: usize| (denial..number).any(|place| self.is(place, &LIMITS));
        let is_denied = || self.denial(words.start).is_some_and(|place| !is_limit(place));
        is_denied()
            || self.is_avoided(words.start)
            || self.is_spoken_against(words)
            || self.was_lost(number)
            || match self.speaker {
                Speaker::User => self.is_of_another(words.start),
                Speaker::Coach => self.is_left_to_a_clinician(words),
            }
    }

    /// The word that denies what begins at a place; a new thought of the writer's is not denied by the one before.
    fn denial(&self, start: usize) -> Option<usize> {
        let denial = denial_before(self.text, start, self.words.start, REACH)?;
        let is_new = (denial + 1..start).any(|place| self.is(place, &["i"]) && !self.is(place - 1, &["for", "that"]));
        (!is_new).then_some(denial)
    }

    /// "instead of 800 kcal a day", "avoid losing 2 kg a week"
    fn is_avoided(&self, start: usize) -> bool {
        let before = |reach: usize| self.before(start, reach);
        before(5).any(|place| {
            (self.is(place, &["instead"]) && self.is(place + 1, &["of"]))
                || (self.is(place, &["rather"]) && self.is(place + 1, &["than"]))
        }) || before(8).any(|place| self.is(place, &["avoid", "avoiding", "against"]))
    }

    /// "800 kcal a day is not safe", "it is unrealistic to lose 5 kg in a week", but not "it is extreme but …".
    fn is_spoken_against(&self, words: &Range<usize>) -> bool {
        let speaks = |place: usize| self.speaks_against(place);
        let after = || self.after(words);
        let is_against = after().take_while(|place| !self.is(*place, &TURNS)).any(speaks);
        let turns = after().any(|place| self.is(place, &TURNS));
        let is_plan = self.speaker == Speaker::User && turns;
        (is_against && !is_plan) || self.before(words.start, REACH).any(speaks)
    }

    /// The places after a goal that may be about it: as far as a thought goes, or to the next goal.
    fn after(&self, words: &Range<usize>) -> Range<usize> {
        let is_goal = |quantity: &&Quantity| {
            !matches!(quantity.measures, Measure::Days(_) | Measure::Centimetres(_)) && quantity.from >= words.end
        };
        let first = self.quantities.partition_point(|quantity| quantity.from < words.end);
        let next = self.quantities[first..].iter().take(REACH_AFTER).find(is_goal).map(|quantity| quantity.from);
        words.end..(words.end + REACH_AFTER).min(next.unwrap_or(self.words.end))
    }

    fn speaks_against(&self, place: usize) -> bool {
        let is_denied = |reach: usize| (place.saturating_sub(reach)..place).any(|at| self.is(at, &["not", "never"]));
        let is_question = self.text.after(self.words.end - 1) == Break::Question && self.speaker == Speaker::User;
        (self.is(place, &AGAINST) && !is_denied(2))
            || (self.is(place, &FOR) && is_denied(3) && !is_question)
            || (self.is(place, &["too"]) && self.is(place + 1, &TOO) && !is_question)
    }

    /// "I lost 3 kg in the first week"
    fn was_lost(&self, number: usize) -> bool {
        self.before(number, 6).any(|place| self.is(place, &["lost"]))
    }

    /// Whether somebody else was named last.
    fn is_of_another(&self, start: usize) -> bool {
        let before = (start.saturating_sub(REACH).max(self.words.start)..start).rev();
        let mut words = before.filter_map(|place| self.word(place));
        let named = words.find(|word| matches!(*word, "i" | "me" | "we" | "us" | "myself") || is_other(word));
        named.is_some_and(is_other)
    }

    /// The places before one, the nearest first, as far as a thought goes.
    fn before(&self, start: usize, reach: usize) -> impl Iterator<Item = usize> {
        let places = (start.saturating_sub(reach).max(self.words.start)..start).rev();
        places.take_while(|place| {
            self.text.after(*place) < Break::Clause && !self.is(*place, &["and", "so"]) && !self.is(*place, &TURNS)
        })
    }

    /// Whether a clinician watches over a user.
    fn is_supervised(&self) -> bool {
        self.speaker == Speaker::User
            && self.words.clone().any(|place| self.is(place, &CLINICIANS) && !self.is_in_secret(place))
    }

    /// Whether what the coach says of a goal is that a clinician has set it or is to be asked first.
    fn is_left_to_a_clinician(&self, goal: &Range<usize>) -> bool {
        let before = goal.start.saturating_sub(REACH)..goal.start;
        before
            .chain(self.after(goal))
            .any(|place| self.is(place, &CLINICIANS) && (self.is_set_by(place) || self.is_asked_first(place)))
    }

    fn is_in_secret(&self, clinician: usize) -> bool {
        let before = clinician.saturating_sub(4)..clinician;
        let after = || clinician + 1..clinician + 5;
        before.into_iter().any(|place| self.is(place, &IN_SECRET))
            || (after().any(|place| self.is(place, &["not", "never", "nothing"]))
                && after().any(|place| self.is(place, &["know", "knows", "approve", "agree", "like"])))
    }

    /// "as your dietitian suggested", "with your dietitian"
    fn is_set_by(&self, clinician: usize) -> bool {
        let before = clinician.saturating_sub(2)..clinician;
        let asks = |place: usize| self.is(place, &["check", "checking", "talk", "talking", "speak", "discuss", "chat"]);
        let with =
            |place: usize| self.is(place, &["with", "under", "by", "from"]) && !place.checked_sub(1).is_some_and(asks);
        (clinician + 1..clinician + 5).any(|place| self.is(place, &SETS)) || before.into_iter().any(with)
    }

    /// "Talk to your doctor before you eat 800 kcal a day"
    fn is_asked_first(&self, clinician: usize) -> bool {
        let asks = ["ask", "asking", "check", "talk", "talking", "speak", "speaking", "discuss", "see"];
        let is_asked = (clinician.saturating_sub(4)..clinician).any(|place| self.is(place, &asks));
        is_asked && (clinician + 1..clinician + 4).any(|place| self.is(place, &["before", "whether", "if", "about"]))
    }

    /// Whether a user tells of what they read, of a fast for God, of a question whether it is safe.
    fn is_elsewhere(&self) -> bool {
        let is_question = self.text.after(self.words.end - 1) == Break::Question;
        let asks_why = || {
            let why = self.words.clone().find(|place| self.is(*place, &["why"]));
            why.is_some_and(|place| !self.is(place + 1, &["not"]))
        };
        self.speaker == Speaker::User
            && (self.has(&ELSEWHERE) || asks_why() || (is_question && self.has(&["safe", "lowest"])))
    }

    fn is_past(&self) -> bool {
        (self.says("used to").is_some() || self.has(&["ago"])) && !self.has(&["again", "now"])
    }

    // === numbers ===

    /// Every number with a unit, in order.
    fn quantities(&self) -> Vec<Quantity> {
        let mut quantities = Vec::new();
        let mut place = self.words.start;
        while place < self.words.end {
            let Some(quantity) = self.quantity(place) else {
                place += 1;
                continue;
            };
            // Of "800 to 1500 kcal" the less counts.
            if let (Measure::Kilocalories(most), Some(least)) = (quantity.measures, self.least_before(place)) {
                quantities.push(Quantity { measures: Measure::Kilocalories(least.min(most)), ..quantity });
            }
            place = quantity.to;
            quantities.push(quantity);
        }
        quantities
    }

    /// The number that a range begins with which ends at a place.
    fn least_before(&self, place: usize) -> Option<f64> {
        let to = place.checked_sub(1)?;
        let at = if self.is(to, &["to", "or", "and"]) { to.checked_sub(1)? } else { to };
        let is_from = at.checked_sub(1).is_some_and(|place| self.is(place, &["from"]));
        let word = self.word(at).filter(|word| word.len() >= 3 && !is_from)?;
        word.parse().ok()
    }

    /// The quantity that begins at a place.
    fn quantity(&self, place: usize) -> Option<Quantity> {
        let word = self.word(place)?;
        if word == "bmi" {
            let to = (place + 1..place + 4).find(|at| self.number(*at).is_some())?;
            let (bmi, to) = self.number(to)?;
            return Some(Quantity { measures: Measure::Bmi(bmi), from: place, to });
        }
        if word == "half" {
            // "half a stone"
            let unit = place + 1 + usize::from(self.word(place + 1) == Some("a"));
            return Some(Quantity { measures: measure(0.5, self.word(unit)?)?, from: place, to: unit + 1 });
        }
        // "a fortnight", "week"
        let Some((mut number, mut unit)) =
            self.number(place).or_else(|| matches!(word, "a" | "an").then_some((1.0, place + 1)))
        else {
            let alone = matches!(word, "week" | "fortnight" | "month" | "stone");
            let measures = measure(1.0, word).filter(|_| alone)?;
            return Some(Quantity { measures, from: place, to: place + 1 });
        };
        if ["and", "a", "half"].into_iter().enumerate().all(|(at, word)| self.word(unit + at) == Some(word)) {
            (number, unit) = (number + 0.5, unit + 3);
        }
        // "a couple of weeks", "1.2 k calories"
        if self.is(unit, &["of"]) {
            unit += 1;
        } else if self.is(unit, &["k"]) && self.is_energy(unit + 1) {
            (number, unit) = (number * 1_000.0, unit + 1);
        }
        let measures = measure(number, self.word(unit)?);
        let (measures, to) = match self.smaller_part(number, unit) {
            Some((measures, to)) => (measures, to),
            None => (measures?, unit + 1),
        };
        Some(Quantity { measures, from: place, to })
    }

    /// What is told in two units: "7 stone 10", "5 ft 4", "1 m 75".
    fn smaller_part(&self, number: f64, unit: usize) -> Option<(Measure, usize)> {
        let (most, smaller): (f64, &[&str]) = match self.word(unit)? {
            "st" | "stone" | "stones" => (POUNDS_PER_STONE, &["lb", "lbs", "pound", "pounds"]),
            "ft" | "foot" | "feet" => (INCHES_PER_FOOT, &["in", "ins", "inch", "inches"]),
            "m" => (100.0, &["cm"]),
            _ => return None,
        };
        let at = unit + 1 + usize::from(self.is(unit + 1, &["and"]));
        let (more, mut to) = self.number(at).filter(|(more, _)| *more < most).unwrap_or((0.0, unit + 1));
        if self.is(to, smaller) {
            to += 1;
        } else if to > unit + 1 && self.word(to).is_some_and(|unit| measure(more, unit).is_some()) {
            // "a stone 2 weeks": the second number has a unit of its own.
            return Some((measure(number, self.word(unit)?)?, unit + 1));
        }
        let measures = match most {
            POUNDS_PER_STONE => Measure::Kilograms((number * most + more) * KILOGRAMS_PER_POUND),
            INCHES_PER_FOOT => height((number * most + more) * CENTIMETRES_PER_INCH)?,
            _ => height(number * most + more)?,
        };
        Some((measures, to))
    }

    fn is_energy(&self, place: usize) -> bool {
        self.word(place).and_then(|unit| measure(1.0, unit)).is_some_and(|of| matches!(of, Measure::Kilocalories(_)))
    }

    /// A number in digits or in words, and the place after it.
    fn number(&self, place: usize) -> Option<(f64, usize)> {
        let word = self.word(place)?;
        if word.starts_with(|c: char| c.is_ascii_digit()) {
            let number: f64 = word.parse().ok()?;
            // "1 200 kcal", as other countries write it, but not "2 500 kcal meals"
            let next =
                self.word(place + 1).filter(|next| next.len() == 3 && word.len() == 1 && self.is_energy(place + 2));
            let thousands = next.and_then(|next| next.parse::<u16>().ok()).filter(|_| !self.is(place + 3, &MEALS));
            return Some(match thousands {
                Some(rest) => (number * 1_000.0 + f64::from(rest), place + 2),
                None if self.is(place + 1, &["hundred", "thousand"]) => self.number_in_words(place + 1, number)?,
                None => (number, place + 1),
            });
        }
        if matches!(word, "a" | "an") {
            return self.is(place + 1, &["hundred", "thousand"]).then(|| self.number_in_words(place + 1, 1.0))?;
        }
        let first = small_number(word)?;
        Some(self.number_in_words(place + 1, first).unwrap_or((first, place + 1)))
    }

    /// How a number that begins with `first` goes on: "eight hundred", "one thousand two hundred and fifty".
    fn number_in_words(&self, place: usize, first: f64) -> Option<(f64, usize)> {
        /// More words than this have no number that matters here.
        const LONGEST: usize = 8;
        let (mut thousands, mut number, mut at) = (0.0, first, place);
        while at < place + LONGEST {
            let next = if self.is(at, &["and"]) && number >= 100.0 { at + 1 } else { at };
            match self.word(next) {
                Some("hundred") if number < 100.0 => number *= 100.0,
                Some("thousand") if number < 1_000.0 => (thousands, number) = (number * 1_000.0, 0.0),
                Some(word) => match small_number(word) {
                    Some(more) if number == 0.0 || fits_after(number, more) => number += more,
                    _ => break,
                },
                None => break,
            }
            at = next + 1;
        }
        (at > place).then_some((thousands + number, at))
    }

    fn word(&self, place: usize) -> Option<&'a str> {
        self.words.contains(&place).then(|| self.text.word(place))?
    }

    fn is(&self, place: usize, words: &[&str]) -> bool {
        self.word(place).is_some_and(|word| words.contains(&word))
    }

    fn has(&self, words: &[&str]) -> bool {
        self.words.clone().any(|place| self.is(place, words))
    }

    /// Where a phrase begins.
    fn says(&self, phrase: &str) -> Option<usize> {
        let begins =
            |place: &usize| phrase.split(' ').enumerate().all(|(at, word)| self.word(place + at) == Some(word));
        self.words.clone().find(begins)
    }
}

/// Numbers that are one word.
static SMALL_NUMBERS: LazyLock<HashMap<&str, f64>> = LazyLock::new(|| {
    HashMap::from_iter([
        ("one", 1.0),
        ("two", 2.0),
        ("three", 3.0),
        ("four", 4.0),
        ("five", 5.0),
        ("six", 6.0),
        ("seven", 7.0),
        ("eight", 8.0),
        ("nine", 9.0),
        ("ten", 10.0),
        ("eleven", 11.0),
        ("twelve", 12.0),
        ("thirteen", 13.0),
        ("fourteen", 14.0),
        ("fifteen", 15.0),
        ("sixteen", 16.0),
        ("seventeen", 17.0),
        ("eighteen", 18.0),
        ("nineteen", 19.0),
        ("twenty", 20.0),
        ("thirty", 30.0),
        ("forty", 40.0),
        ("fifty", 50.0),
        ("sixty", 60.0),
        ("seventy", 70.0),
        ("eighty", 80.0),
        ("ninety", 90.0),
        ("couple", 2.0),
        ("few", 3.0),
        ("several", 4.0),
    ])
});

fn small_number(word: &str) -> Option<f64> {
    SMALL_NUMBERS.get(word).copied()
}

/// Whether a small number is said after a greater one: "twenty" and "five", "hundred" and "fifty".
fn fits_after(number: f64, more: f64) -> bool {
    (number % 100.0 == 0.0 && more < 100.0) || (number % 10.0 == 0.0 && number % 100.0 >= 20.0 && more < 10.0)
}

/// A height that somebody may have, in centimetres.
fn height(centimetres: f64) -> Option<Measure> {
    (130.0..230.0).contains(&centimetres).then_some(Measure::Centimetres(centimetres))
}

fn measure(number: f64, unit: &str) -> Option<Measure> {
    let per_unit = |kilograms: f64| Some(Measure::Kilograms(number * kilograms));
    match unit {
        "kg" | "kgs" | "kilo" | "kilos" | "kilogram" | "kilograms" => per_unit(1.0),
        "lb" | "lbs" | "pound" | "pounds" => per_unit(KILOGRAMS_PER_POUND),
        "st" | "stone" | "stones" => per_unit(KILOGRAMS_PER_POUND * POUNDS_PER_STONE),
        "kcal" | "kcals" | "cal" | "cals" | "calorie" | "calories" => Some(Measure::Kilocalories(number)),
        "kj" | "kilojoules" => Some(Measure::Kilocalories(number / KILOJOULES_PER_KILOCALORIE)),
        "cm" | "centimetres" => height(number),
        "m" | "metres" => height(number * 100.0),
        "day" | "days" => Some(Measure::Days(number)),
        "week" | "weeks" | "wk" | "wks" => Some(Measure::Days(number * 7.0)),
        "fortnight" | "fortnights" => Some(Measure::Days(number * 14.0)),
        "month" | "months" => Some(Measure::Days(number * 30.0)),
        _ => None,
    }
}
