//! Whether a goal is healthy, and when it may be reached.

use jiff::ToSpan as _;
use jiff::civil::Date;
use serde_json::{Value, json};

use super::trend::Trend;
use crate::payload::{UserContext, WeightUnit};
use crate::sentinel::goals::{FASTEST_KG_A_WEEK, FASTEST_SHARE_A_WEEK, LOWEST_BMI};
use crate::units::{Length, Mass, tenths};

/// The furthest a date is told, in days: five years.
const FURTHEST_DAYS: f64 = 5.0 * 365.0;

/// How near a target counts as reached, in kilograms.
const NEAR_KG: f64 = 0.5;

/// The height below which a weight is not judged without knowing it, in centimetres: few adults are smaller.
const SMALLEST_ADULT_CM: f64 = 150.0;

/// When a weight may be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// It is.
    Reached,
    /// The log says too little.
    Unknown,
    /// The newest weighing was so many days ago that the log says nothing of today.
    Stale {
        /// How many.
        days: i64,
    },
    /// The weight does not move towards it, as far as can be told.
    NotAtThisRate,
    /// Between two days; without the later one it may take more than five years.
    Between {
        /// At the fastest rate that the log allows.
        earliest: Date,
        /// At the slowest.
        latest: Option<Date>,
    },
}

/// When the trend's line meets a target: it starts on the day of the newest weighing, where the line is then.
pub fn expected(trend: &Trend, target: Mass, today: Date) -> Expected {
    if let Some(days) = trend.stale_days(today) {
        return Expected::Stale { days };
    }
    let left = target.kilograms() - trend.level.kilograms();
    if left.abs() < NEAR_KG {
        return Expected::Reached;
    }
    let Some(rate) = trend.rate else {
        return Expected::Unknown;
    };
    // Both rates as they lead to the target: positive where the weight moves towards it.
    let direction = left.signum();
    let towards = [rate.lowest * direction, rate.highest * direction];
    let (slowest, fastest) = (towards[0].min(towards[1]), towards[0].max(towards[1]));
    if rate.kilograms_a_week * direction <= 0.0 || fastest <= 0.0 {
        return Expected::NotAtThisRate;
    }
    // What the line has passed since the newest weighing is not told as past: nobody has seen it.
    let date = |rate: f64| date_after(trend.newest, left.abs() / rate * 7.0).map(|date| date.max(today));
    let Some(earliest) = date(fastest) else {
        return Expected::NotAtThisRate;
    };
    let latest = (slowest > 0.0).then(|| date(slowest)).flatten();
    Expected::Between { earliest, latest }
}

fn date_after(day: Date, days: f64) -> Option<Date> {
    /// What arithmetic adds to a whole number of days.
    const NOISE: f64 = 1e-6;
    #[expect(clippy::cast_possible_truncation, reason = "at most five years of days")]
    let days = (days <= FURTHEST_DAYS).then(|| (days - NOISE).ceil() as i64)?;
    day.checked_add(days.days()).ok()
}

/// The most that a weight may healthily fall in a week, in kilograms.
pub fn fastest(weight: Option<Mass>) -> f64 {
    let share = weight.map(|weight| weight.kilograms() * FASTEST_SHARE_A_WEEK);
    share.map_or(FASTEST_KG_A_WEEK, |share| share.min(FASTEST_KG_A_WEEK))
}

/// What is said of a target that is underweight; none where it is not, or where it may not be, for all that is known of
/// the height.
pub fn too_low(target: Mass, height: Option<Length>) -> Option<String> {
    let Some(height) = height else {
        let smallest = Length::of_person(SMALLEST_ADULT_CM)?;
        return (smallest.body_mass_index(target)? < LOWEST_BMI).then(|| {
            "That weight is below the healthy range of nearly every adult. Do not plan for it; say so warmly, ask for \
             the height, and suggest a talk with a doctor or dietitian."
                .to_owned()
        });
    };
    let index = height.body_mass_index(target)?;
    (index < LOWEST_BMI).then(|| {
        format!(
            "That weight is below the healthy range (body mass index {}, healthy from {LOWEST_BMI}). Do not plan for it; \
             say so warmly and suggest a talk with a doctor or dietitian.",
            told_low(index)
        )
    })
}

/// A body mass index below the healthy range, never rounded into it.
fn told_low(index: f64) -> String {
    tenths((index * 10.0).floor() / 10.0)
}

/// Whether the app has sent a target that is underweight, at the user's height or at any that adults have.
pub fn is_too_low(context: &UserContext) -> bool {
    let target = context.target_weight_kg.and_then(Mass::from_kilograms);
    let height = context.height_cm.and_then(Length::of_person);
    target.is_some_and(|target| too_low(target, height).is_some())
}

/// Whether a target and its time are within what is healthy.
pub fn check(
    target: Mass,
    weight: Option<Mass>,
    height: Option<Length>,
    weeks: Option<f64>,
    unit: WeightUnit,
) -> Value {
    let index = height.and_then(|height| height.body_mass_index(target));
    let low = too_low(target, height);
    let pace = weight.zip(weeks).map(|(weight, weeks)| (weight.kilograms() - target.kilograms()) / weeks);
    let fastest = fastest(weight);
    let is_too_fast = pace.is_some_and(|pace| pace > fastest);
    let fewest_weeks = weight.map(|weight| ((weight.kilograms() - target.kilograms()) / fastest).max(0.0).ceil());
    let is_healthy = if low.is_some() || is_too_fast { Some(false) } else { height.map(|_| true) };
    let say = match (&low, is_too_fast, height) {
        (Some(low), _, _) => low.as_str(),
        (None, true, _) => {
            "That is faster than is healthy. Say so kindly, name the fewest weeks, and offer half that pace."
        }
        (None, false, None) => {
            "Whether that weight is healthy cannot be judged without the height. Do not call it healthy; ask for the height."
        }
        (None, false, Some(_)) => {
            "Nothing speaks against it. For a substantial loss encourage a plan with a clinician."
        }
    };
    let lowest = height.and_then(|height| height.mass_at(LOWEST_BMI));
    json!({
        "target": target.in_words(unit),
        "body_mass_index_at_target": index.map(|index| if low.is_some() { told_low(index) } else { tenths(index) }),
        "healthy_from": LOWEST_BMI,
        "lowest_healthy_weight": lowest.map(|lowest| lowest.rounded_up(unit).in_words(unit)),
        "pace_kg_a_week": pace.map(tenths),
        "fastest_healthy_kg_a_week": tenths(fastest),
        "fewest_weeks": fewest_weeks.filter(|_| low.is_none()),
        "is_healthy": is_healthy,
        "say": say,
    })
}
