//! Goals in words and numbers, judged by arithmetic: too fast, too little to eat, too low a weight, days without food.
//!
//! What a number means is decided by the words around it, within its sentence. Nothing is found in what is past,
//! denied, somebody else's, or done under a clinician's eyes.

use std::ops::Range;

use super::text::Text;
use crate::payload::Sex;
use crate::units::{KILOGRAMS_PER_POUND, POUNDS_PER_STONE};

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

/// What is rounding is no haste: "2 lb a week" passes, so does "a stone in 6 weeks".
const TOLERANCE: f64 = 1.1;

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

/// The first unsafe goal of a message.
pub fn find(text: &Text, person: &Person) -> Option<UnsafeGoal> {
    text.sentences().find_map(|sentence| Sentence { text, sentence }.unsafe_goal(person))
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

struct Sentence<'a> {
    text: &'a Text,
    sentence: Range<usize>,
}

/// Who watches, what is past, what is denied, what is no goal of the writer's.
const VOID: [&str; 57] = [
    "dietitian",
    "dietician",
    "doctor",
    "doctors",
    "gp",
    "nurse",
    "consultant",
    "hospital",
    "clinic",
    "supervised",
    "supervision",
    "surgery",
    "surgeon",
    "prescribed",
    "specialist",
    "bariatric",
    "medically",
    "he",
    "she",
    "they",
    "friend",
    "sister",
    "brother",
    "husband",
    "wife",
    "mother",
    "mam",
    "ad",
    "advert",
    "scam",
    "article",
    "claims",
    "unsafe",
    "dangerous",
    "unhealthy",
    "risky",
    "extreme",
    "unrealistic",
    "ramadan",
    "charity",
    "sponsored",
    "never",
    "not",
    "no",
    "used",
    "ago",
    "lost",
    "instead",
    "below",
    "lowest",
    "safe",
    "without",
    "avoid",
    "why",
    "film",
    "calf",
    "baby",
];

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

/// Words that make a mass a target.
const TARGET: [&str; 15] = [
    "to", "be", "goal", "target", "reach", "hit", "weigh", "at", "aim", "aiming", "until", "till", "want", "under",
    "dream",
];

/// Words that make an energy a day's whole intake.
const OF_A_DAY: [&str; 22] = [
    "day", "daily", "days", "diet", "max", "maximum", "plan", "until", "till", "week", "weeks", "limit", "set", "eat",
    "eating", "living", "speed", "put", "month", "down", "only", "budget",
];

/// Words that make an energy a part of a day, or what is burned or left out.
const OF_A_PART: [&str; 34] = [
    "lunch",
    "dinner",
    "breakfast",
    "snack",
    "snacks",
    "supper",
    "burn",
    "burned",
    "burnt",
    "burning",
    "deficit",
    "less",
    "fewer",
    "under",
    "over",
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
    "treadmill",
    "gym",
    "walk",
    "class",
    "meal",
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

impl Sentence<'_> {
    fn unsafe_goal(&self, person: &Person) -> Option<UnsafeGoal> {
        let quantities = self.quantities();
        if quantities.is_empty() || self.is_void() {
            return None;
        }
        let judged = [
            self.is_too_fast(&quantities, person).then_some(UnsafeGoal::TooFast),
            self.is_too_little(&quantities, person).then_some(UnsafeGoal::TooLittleFood),
            self.is_too_low(&quantities, person).then_some(UnsafeGoal::TooLowAWeight),
            self.is_without_food(&quantities).then_some(UnsafeGoal::DaysWithoutFood),
        ];
        judged.into_iter().flatten().next()
    }

    fn is_too_fast(&self, quantities: &[Quantity], person: &Person) -> bool {
        let fastest =
            person.weight_kg.map_or(FASTEST_KG_A_WEEK, |kg| (kg * FASTEST_SHARE_A_WEEK).min(FASTEST_KG_A_WEEK));
        let of = |mass: &Quantity, span: &Quantity| {
            let (Measure::Kilograms(kg), Measure::Days(days)) = (mass.measures, span.measures) else {
                return false;
            };
            // "10 kg in two weeks", "4 kg a week"; "in 2 weeks 10 kg" is rarer.
            let is_near = span.from >= mass.to && span.from - mass.to <= 4;
            let is_its_time = (mass.to..span.from).any(|place| self.is(place, &IN)) || span.from == mass.to;
            // A week at the most is lost in a bound of a week: less than a kilogram is no haste, however short.
            let weeks = (days / 7.0).max(if kg <= fastest { 1.0 } else { 0.0 });
            is_near && is_its_time && self.has(&LOSE) && kg / weeks > fastest * TOLERANCE
        };
        quantities.iter().any(|mass| quantities.iter().any(|span| of(mass, span)))
    }

    fn is_too_little(&self, quantities: &[Quantity], person: &Person) -> bool {
        let least = if person.sex == Some(Sex::Male) { LEAST_KCAL_OF_MEN } else { LEAST_KCAL };
        let is_intake = |quantity: &Quantity| matches!(quantity.measures, Measure::Kilocalories(kcal) if (100.0..least).contains(&kcal));
        self.has(&OF_A_DAY) && !self.has(&OF_A_PART) && quantities.iter().any(is_intake)
    }

    fn is_too_low(&self, quantities: &[Quantity], person: &Person) -> bool {
        let said = quantities.iter().find_map(|quantity| match quantity.measures {
            Measure::Centimetres(height) => Some(height),
            _ => None,
        });
        let lowest =
            said.or(person.height_cm).map_or(LOWEST_KG_OF_UNKNOWN_HEIGHT, |cm| LOWEST_BMI * (cm / 100.0).powi(2));
        quantities.iter().any(|quantity| match quantity.measures {
            Measure::Bmi(bmi) => (8.0..LOWEST_BMI).contains(&bmi) && self.has(&TARGET),
            Measure::Kilograms(kg) => {
                let before = quantity.from.saturating_sub(3).max(self.sentence.start)..quantity.from;
                (25.0..lowest).contains(&kg) && before.into_iter().any(|place| self.is(place, &TARGET))
            }
            _ => false,
        })
    }

    fn is_without_food(&self, quantities: &[Quantity]) -> bool {
        let days = quantities.iter().filter_map(|quantity| match quantity.measures {
            Measure::Days(days) => Some(days),
            _ => None,
        });
        // "One day a month" is no month.
        let shortest = days.reduce(f64::min);
        shortest.is_some_and(|days| days >= 2.0) && WITHOUT_FOOD.iter().any(|phrase| self.says(phrase))
    }

    fn is_void(&self) -> bool {
        // "no food" is a plan, no denial.
        let is_plan = |place: usize| self.is(place, &["no"]) && self.is(place + 1, &["food"]);
        self.sentence.clone().any(|place| self.is(place, &VOID) && !is_plan(place))
    }

    /// Every number with a unit, in order.
    fn quantities(&self) -> Vec<Quantity> {
        let mut quantities = Vec::new();
        let mut place = self.sentence.start;
        while place < self.sentence.end {
            match self.quantity(place) {
                Some(quantity) => {
                    place = quantity.to;
                    quantities.push(quantity);
                }
                None => place += 1,
            }
        }
        quantities
    }

    /// The quantity that begins at a place.
    fn quantity(&self, place: usize) -> Option<Quantity> {
        let word = self.word(place)?;
        if word == "bmi" {
            let to = (place + 1..(place + 4).min(self.sentence.end)).find(|at| self.number(*at).is_some())?;
            return Some(Quantity { measures: Measure::Bmi(self.number(to)?), from: place, to: to + 1 });
        }
        if word == "half" {
            // "half a stone"
            let unit = place + 1 + usize::from(self.word(place + 1) == Some("a"));
            return Some(Quantity { measures: measure(0.5, self.word(unit)?)?, from: place, to: unit + 1 });
        }
        // "a fortnight", "week"
        let Some(mut number) = self.number(place).or_else(|| matches!(word, "a" | "an").then_some(1.0)) else {
            let alone = matches!(word, "week" | "fortnight" | "month" | "stone");
            let measures = measure(1.0, word).filter(|_| alone)?;
            return Some(Quantity { measures, from: place, to: place + 1 });
        };
        let mut unit = place + 1;
        if self.word(unit) == Some("and") && self.word(unit + 1) == Some("a") && self.word(unit + 2) == Some("half") {
            (number, unit) = (number + 0.5, unit + 3);
        } else if let Some(more) = self.number(unit).filter(|more| number >= 20.0 && *more < 10.0) {
            (number, unit) = (number + more, unit + 1);
        }
        let measures = measure(number, self.word(unit)?)?;
        Some(Quantity { measures, from: place, to: unit + 1 })
    }

    /// A number in digits or, up to ninety, in words.
    fn number(&self, place: usize) -> Option<f64> {
        const WORDS: [(&str, f64); 25] = [
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
            ("fourteen", 14.0),
            ("fifteen", 15.0),
            ("twenty", 20.0),
            ("thirty", 30.0),
            ("forty", 40.0),
            ("fifty", 50.0),
            ("sixty", 60.0),
            ("seventy", 70.0),
            ("couple", 2.0),
            ("eighty", 80.0),
            ("ninety", 90.0),
            ("few", 3.0),
            ("several", 4.0),
        ];
        let word = self.word(place)?;
        let in_words = || WORDS.iter().find(|(name, _)| *name == word).map(|(_, number)| *number);
        if word.starts_with(|c: char| c.is_ascii_digit()) { word.parse().ok() } else { in_words() }
    }

    fn word(&self, place: usize) -> Option<&str> {
        self.sentence.contains(&place).then(|| self.text.word(place))?
    }

    fn is(&self, place: usize, words: &[&str]) -> bool {
        self.word(place).is_some_and(|word| words.contains(&word))
    }

    fn has(&self, words: &[&str]) -> bool {
        self.sentence.clone().any(|place| self.is(place, words))
    }

    fn says(&self, phrase: &str) -> bool {
        let begins = |place: usize| phrase.split(' ').enumerate().all(|(at, word)| self.word(place + at) == Some(word));
        self.sentence.clone().any(begins)
    }
}

fn measure(number: f64, unit: &str) -> Option<Measure> {
    let per_unit = |kilograms: f64| Some(Measure::Kilograms(number * kilograms));
    match unit {
        "kg" | "kgs" | "kilo" | "kilos" | "kilogram" | "kilograms" => per_unit(1.0),
        "lb" | "lbs" | "pound" | "pounds" => per_unit(KILOGRAMS_PER_POUND),
        "st" | "stone" | "stones" => per_unit(KILOGRAMS_PER_POUND * POUNDS_PER_STONE),
        "kcal" | "kcals" | "cal" | "cals" | "calorie" | "calories" => Some(Measure::Kilocalories(number)),
        "cm" | "centimetres" if (130.0..230.0).contains(&number) => Some(Measure::Centimetres(number)),
        "m" | "metres" if (1.3..2.3).contains(&number) => Some(Measure::Centimetres(number * 100.0)),
        "day" | "days" => Some(Measure::Days(number)),
        "week" | "weeks" | "wk" | "wks" => Some(Measure::Days(number * 7.0)),
        "fortnight" | "fortnights" => Some(Measure::Days(number * 14.0)),
        "month" | "months" => Some(Measure::Days(number * 30.0)),
        _ => None,
    }
}
