//! What the coach calculates with, so that no number about a person is the model's.
//!
//! Each tool knows the user's log, height, target and unit from what the app sent; the model may give what the user has
//! only said in words. Results are told in the user's unit, rounded, with what may be said of them.

pub mod goal;
pub mod intake;
pub mod trend;

use std::sync::{Arc, PoisonError, RwLock};

use agentcore_runtime::prelude::{JsonSchema, Tool, ToolCall, ToolFailure, tool};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::payload::{DiaryEntry, Sex, UserContext, WeightUnit};
use crate::units::{Length, Mass, tenths};
use trend::{Rate, Trend};

/// What the tools know of the user.
#[derive(Debug, Clone)]
pub struct Coached {
    /// The day, where the user is.
    pub today: Date,
    /// The unit that the app says weight is told in.
    pub unit: Option<WeightUnit>,
    /// The unit that the user has asked for in words.
    pub asked_for: AskedFor,
    /// The height, where it is known.
    pub height: Option<Length>,
    /// The log of weighings, in any order.
    pub log: Vec<(Date, Mass)>,
    /// The weight the user works towards.
    pub target: Option<Mass>,
    /// The user's sex.
    pub sex: Option<Sex>,
    /// The user's diary.
    pub diary: Vec<DiaryEntry>,
}

/// A unit that is known only when the turn begins, with what was said before in the session. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct AskedFor(Arc<RwLock<Option<WeightUnit>>>);

/// Says where the user's weight is going: the mean of seven days, the smoothed weight, the change a week with its
/// uncertainty. Takes the log that the app has sent.
#[derive(Deserialize, JsonSchema)]
struct WeightTrend {}

/// Says when the user may reach a weight at the present rate, as a range of dates.
#[derive(Deserialize, JsonSchema)]
struct ExpectedDate {
    /// The weight to reach, where the user has named another than the app knows.
    target: Option<Weight>,
}

/// Checks whether a weight to reach, and the time for it, are within what is healthy: body mass index and rate.
#[derive(Deserialize, JsonSchema)]
struct CheckGoal {
    /// The weight to reach, where the user has named another than the app knows.
    target: Option<Weight>,
    /// The present weight, where the user has said it and the app does not know it.
    weight: Option<Weight>,
    /// In how many weeks the user wants to be there.
    weeks: Option<f64>,
    /// The height in centimetres, where the user has said it so and the app does not know it.
    height_cm: Option<f64>,
    /// The height in feet, where the user has said it so and the app does not know it.
    height_feet: Option<f64>,
    /// Inches beside the feet, as in 5 foot 7.
    height_inches: Option<f64>,
}

/// Says how much protein a day fits the user's weight.
#[derive(Deserialize, JsonSchema)]
struct ProteinRange {
    /// The present weight, where the user has said it and the app does not know it.
    weight: Option<Weight>,
    /// Whether the user is losing weight at present.
    losing_weight: bool,
}

/// Says how much water a day fits the user.
#[derive(Deserialize, JsonSchema)]
struct HydrationRange {}

/// Converts a weight or a length from one unit to others.
#[derive(Deserialize, JsonSchema)]
struct ConvertUnits {
    /// A weight to convert.
    weight: Option<Weight>,
    /// A length to convert, in centimetres.
    centimetres: Option<f64>,
    /// A length to convert, in feet.
    feet: Option<f64>,
    /// Inches beside the feet or alone, as in 5 foot 7.
    inches: Option<f64>,
}

/// Sums up the user's last seven days: weighings, meals, steps, exercise, water, protein, moods and honest lapses.
#[derive(Deserialize, JsonSchema)]
struct WeekReview {}

/// A weight in one unit.
#[derive(Deserialize, JsonSchema)]
struct Weight {
    /// How much: kilograms, pounds, or stones.
    value: f64,
    /// The unit of it.
    unit: Unit,
    /// Pounds beside stones, as in 11 stone 6.
    pounds: Option<f64>,
}

#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum Unit {
    Kg,
    Lb,
    St,
}

/// All the tools, for one user.
pub fn all(coached: Coached) -> Vec<Arc<dyn Tool>> {
    let coached = Arc::new(coached);
    vec![
        answering::<WeightTrend>(&coached, |coached, _| coached.weight_trend()),
        answering::<ExpectedDate>(&coached, |coached, asked| coached.expected_date(asked.target)),
        answering::<CheckGoal>(&coached, Coached::check_goal),
        answering::<ProteinRange>(&coached, Coached::protein_range),
        answering::<HydrationRange>(&coached, |coached, _| Ok(intake::hydration(coached.sex))),
        answering::<ConvertUnits>(&coached, |_, asked| converted(asked)),
        answering::<WeekReview>(&coached, |coached, _| Ok(coached.week_review())),
    ]
}

/// What needs to know nothing of a user, for whoever may call it by itself.
pub fn offered() -> Vec<Arc<dyn Tool>> {
    vec![Arc::new(tool(|asked: ConvertUnits, _call: ToolCall| async { converted(asked) }))]
}

fn answering<A: serde::de::DeserializeOwned + JsonSchema + Send + 'static>(
    coached: &Arc<Coached>,
    answer: fn(&Coached, A) -> Result<Value, ToolFailure>,
) -> Arc<dyn Tool> {
    let coached = Arc::clone(coached);
    Arc::new(tool(move |asked: A, _call: ToolCall| {
        let told = answer(&coached, asked);
        async move { told }
    }))
}

// === impl AskedFor ===

impl AskedFor {
    /// Takes down what the user has asked for up to now.
    pub fn set(&self, unit: Option<WeightUnit>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = unit;
    }

    fn get(&self) -> Option<WeightUnit> {
        *self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Coached ===

impl Coached {
    /// What the app has sent, on a day.
    pub fn of(context: &UserContext, today: Date) -> Self {
        let weighing = |weighing: &crate::payload::Weighing| Some((weighing.date, Mass::from_kilograms(weighing.kg)?));
        Self {
            today,
            unit: context.units,
            asked_for: AskedFor::default(),
            height: context.height_cm.and_then(Length::from_centimetres),
            log: context.weight_log.iter().filter_map(weighing).collect(),
            target: context.target_weight_kg.and_then(Mass::from_kilograms),
            sex: context.sex,
            diary: context.logs.clone(),
        }
    }

    /// The day where the user is; in UTC where that, or its time zone's rules, are not known.
    pub fn today(context: &UserContext) -> Date {
        let zone = context.time_zone.as_ref().and_then(|name| TimeZone::get(name.as_str()).ok());
        jiff::Timestamp::now().to_zoned(zone.unwrap_or(TimeZone::UTC)).date()
    }

    /// The unit weight is told in: what the app says counts before words, as in the prompt.
    fn unit(&self) -> WeightUnit {
        self.unit.or_else(|| self.asked_for.get()).unwrap_or(WeightUnit::Kg)
    }

    fn trend(&self) -> Result<Trend, ToolFailure> {
        trend::trend(&self.log).ok_or_else(|| self.why_no_trend())
    }

    fn why_no_trend(&self) -> ToolFailure {
        let kilograms = || self.log.iter().map(|(_, mass)| *mass);
        let lightest = kilograms().reduce(|one, other| if other < one { other } else { one });
        let heaviest = kilograms().reduce(|one, other| if other > one { other } else { one });
        let Some((lightest, heaviest)) = lightest.zip(heaviest) else {
            return ToolFailure::failed("The app has sent no weighings. Ask the user to log a few first.");
        };
        let (lightest, heaviest) = (lightest.in_words(self.unit()), heaviest.in_words(self.unit()));
        ToolFailure::failed(format!(
            "The weighings contradict each other: they go from {lightest} to {heaviest} within weeks. Ask the user which \
             of them is right."
        ))
    }

    fn weight(&self, said: Option<Weight>) -> Result<Mass, ToolFailure> {
        match said {
            Some(said) => said.mass(),
            None => self.trend().map(|trend| trend.smoothed),
        }
    }

    fn weight_trend(&self) -> Result<Value, ToolFailure> {
        let trend = self.trend()?;
        Ok(json!({
            "newest_weighing": trend.newest.to_string(),
            "mean_of_7_days": trend.rolling.in_words(self.unit()),
            "smoothed": trend.smoothed.in_words(self.unit()),
            "change_a_week": trend.rate.map(|rate| self.rate_in_words(rate)),
            "say": match trend.rate {
                _ if trend.stale_days(self.today).is_some() => {
                    "The newest weighing is too long ago to speak of today. Say of when it is, and ask for a new one."
                }
                None => "Too few weighings for a rate: at least four days over a week are needed. Say so.",
                Some(rate) if rate.lowest <= 0.0 && rate.highest >= 0.0 => {
                    "The change cannot be told from none. Call it steady; steady is a success of its own."
                }
                Some(rate) if rate.kilograms_a_week < -goal::fastest(Some(trend.smoothed)) => {
                    "This is faster than is healthy. Do not praise it; suggest a talk with a doctor or dietitian."
                }
                Some(_) => "Tell the change with its range, never the single number alone.",
            },
        }))
    }

    fn rate_in_words(&self, rate: Rate) -> Value {
        let per_unit = match self.unit() {
            WeightUnit::Kg => 1.0,
            WeightUnit::Lb | WeightUnit::St => crate::units::KILOGRAMS_PER_POUND,
        };
        let of = |kilograms: f64| ((kilograms / per_unit) * 100.0).round() / 100.0 + 0.0;
        let unit = if self.unit() == WeightUnit::Kg { "kg" } else { "lb" };
        json!({
            "unit": unit, "likeliest": of(rate.kilograms_a_week), "from": of(rate.lowest), "to": of(rate.highest),
            "days_with_a_weighing": rate.days,
        })
    }

    fn expected_date(&self, said: Option<Weight>) -> Result<Value, ToolFailure> {
        let target = self.target_of(said)?;
        if let Some(warning) = goal::too_low(target, self.height) {
            return Ok(json!({ "expected": null, "say": warning }));
        }
        let trend = self.trend()?;
        Ok(match goal::expected(&trend, target, self.today) {
            goal::Expected::Reached => {
                json!({ "expected": null, "say": "The user is there already. Keeping it is the success." })
            }
            goal::Expected::Unknown => json!({
                "expected": null,
                "say": "There are too few weighings to tell. Say so, and name no date.",
            }),
            goal::Expected::Stale { days } => json!({
                "expected": null,
                "newest_weighing": trend.newest.to_string(),
                "say": format!(
                    "The newest weighing is {days} days old: too old to tell. Say so, name no date, and ask for a new one."
                ),
            }),
            goal::Expected::NotAtThisRate => json!({
                "expected": null,
                "say": "At the present rate it cannot be told whether or when. Name no date; speak of habits instead.",
            }),
            goal::Expected::Between { earliest, latest } => json!({
                "earliest": earliest.to_string(),
                "latest": latest.map(|date| date.to_string()),
                "say": "Tell it as a range and as no promise. Without a latest date, say that it may take years.",
            }),
        })
    }

    fn target_of(&self, said: Option<Weight>) -> Result<Mass, ToolFailure> {
        match (said, self.target) {
            (Some(said), _) => said.mass(),
            (None, Some(target)) => Ok(target),
            (None, None) => Err(ToolFailure::failed("No weight to reach is known. Ask the user for it.")),
        }
    }

    fn check_goal(&self, asked: CheckGoal) -> Result<Value, ToolFailure> {
        let target = self.target_of(asked.target)?;
        let said = asked.height_cm.or_else(|| centimetres(asked.height_feet, asked.height_inches));
        let height = match said {
            Some(said) => Some(Length::of_person(said).ok_or_else(|| {
                let reason = "`height_cm` must be from 90 to 250, or `height_feet` and `height_inches` as much.";
                ToolFailure::InvalidInput(reason.to_owned())
            })?),
            None => self.height,
        };
        if asked.weeks.is_some_and(|weeks| !weeks.is_finite() || weeks <= 0.0) {
            return Err(ToolFailure::InvalidInput("`weeks` must be more than 0.".to_owned()));
        }
        let weight = match asked.weight {
            Some(said) => Some(said.mass()?),
            None => self.trend().ok().map(|trend| trend.smoothed),
        };
        Ok(goal::check(target, weight, height, asked.weeks, self.unit()))
    }

    fn protein_range(&self, asked: ProteinRange) -> Result<Value, ToolFailure> {
        Ok(intake::protein(self.weight(asked.weight)?, asked.losing_weight))
    }

    fn week_review(&self) -> Value {
        let is_recent = |date: Date| {
            let days = date.until(self.today).map_or(-1, |span| span.get_days());
            (0..7).contains(&days)
        };
        let diary: Vec<&DiaryEntry> = self.diary.iter().filter(|entry| is_recent(entry.date)).collect();
        let mut kinds = serde_json::Map::new();
        for entry in &diary {
            let kind = serde_json::to_value(entry.kind).ok().and_then(|kind| kind.as_str().map(str::to_owned));
            let known = kinds.entry(kind.unwrap_or_default()).or_insert_with(|| json!({ "entries": 0, "sum": 0.0 }));
            known["entries"] = json!(known["entries"].as_u64().unwrap_or_default() + 1);
            known["sum"] = json!(known["sum"].as_f64().unwrap_or_default() + entry.amount.unwrap_or_default());
        }
        let mut days: Vec<Date> = diary.iter().map(|entry| entry.date).collect();
        days.extend(self.log.iter().map(|(date, _)| *date).filter(|date| is_recent(*date)));
        days.sort_unstable();
        days.dedup();
        json!({
            "days_with_an_entry": days.len(),
            "weighings": self.log.iter().filter(|(date, _)| is_recent(*date)).count(),
            "diary": kinds,
            "say": "Begin with what was kept up. A lapse that was logged is honest work: praise the logging.",
        })
    }
}

// === impl Weight ===

impl Weight {
    /// It as a mass, whatever it is of.
    fn any_mass(&self) -> Option<Mass> {
        match self.unit {
            Unit::Kg => Mass::from_kilograms(self.value),
            Unit::Lb => Mass::from_pounds(self.value),
            Unit::St => Mass::from_stones(self.value, self.pounds.unwrap_or_default()),
        }
    }

    /// It as a person's.
    fn mass(&self) -> Result<Mass, ToolFailure> {
        let is_of_person = |mass: &Mass| (20.0..=400.0).contains(&mass.kilograms());
        self.any_mass().filter(is_of_person).ok_or_else(|| {
            ToolFailure::InvalidInput("A person's weight is from 20 to 400 kg (44 to 882 lb, 3 to 63 st).".to_owned())
        })
    }
}

/// Feet and inches in centimetres; none where neither is said.
fn centimetres(feet: Option<f64>, inches: Option<f64>) -> Option<f64> {
    feet.or(inches)?;
    Length::from_feet(feet.unwrap_or_default(), inches.unwrap_or_default()).map(Length::centimetres)
}

fn converted(asked: ConvertUnits) -> Result<Value, ToolFailure> {
    let mut told = serde_json::Map::new();
    if let Some(mass) = asked.weight.and_then(|weight| weight.any_mass()) {
        for (name, unit) in [("kg", WeightUnit::Kg), ("lb", WeightUnit::Lb), ("st", WeightUnit::St)] {
            told.insert(name.to_owned(), json!(mass.in_words(unit)));
        }
    }
    let said = asked.centimetres.or_else(|| centimetres(asked.feet, asked.inches));
    if let Some(length) = said.and_then(Length::from_centimetres) {
        let inches = length.inches().round();
        told.insert("cm".to_owned(), json!(format!("{} cm", tenths(length.centimetres()))));
        told.insert("ft".to_owned(), json!(format!("{} ft {} in", (inches / 12.0).floor(), inches % 12.0)));
    }
    if told.is_empty() {
        let reason = "Give `weight`, `centimetres`, or `feet` and `inches`, none of them below 0.";
        return Err(ToolFailure::InvalidInput(reason.to_owned()));
    }
    Ok(Value::Object(told))
}
