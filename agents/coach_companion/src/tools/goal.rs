//! Whether a goal is healthy, and when it may be reached.

use jiff::ToSpan as _;
use jiff::civil::Date;
use serde_json::{Value, json};

use super::trend::Trend;
use crate::payload::WeightUnit;
use crate::sentinel::goals::{FASTEST_KG_A_WEEK, FASTEST_SHARE_A_WEEK, LOWEST_BMI};
use crate::units::{Length, Mass, tenths};

/// The furthest a date is told, in days: five years.
const FURTHEST_DAYS: f64 = 5.0 * 365.0;

/// How near a target counts as reached, in kilograms.
const NEAR_KG: f64 = 0.5;

/// When a weight may be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// It is.
    Reached,
    /// The log says too little.
    Unknown,
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

/// When the trend's weight meets a target.
pub fn expected(trend: &Trend, target: Mass, today: Date) -> Expected {
    let left = target.kilograms() - trend.smoothed.kilograms();
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
    let Some(earliest) = date_after(today, left.abs() / fastest * 7.0) else {
        return Expected::NotAtThisRate;
    };
    let latest = (slowest > 0.0).then(|| date_after(today, left.abs() / slowest * 7.0)).flatten();
    Expected::Between { earliest, latest }
}

fn date_after(today: Date, days: f64) -> Option<Date> {
    #[expect(clippy::cast_possible_truncation, reason = "at most five years of days")]
    let days = (days <= FURTHEST_DAYS).then(|| days.ceil() as i64)?;
    today.checked_add(days.days()).ok()
}

/// What is said of a target that is underweight; none where it is not, or where no height is known.
pub fn too_low(target: Mass, height: Option<Length>) -> Option<String> {
    let index = height?.body_mass_index(target)?;
    (index < LOWEST_BMI).then(|| {
        format!(
            "That weight is below the healthy range (body mass index {}, healthy from {LOWEST_BMI}). Do not plan for it; \
             say so warmly and suggest a talk with a doctor or dietitian.",
            tenths(index)
        )
    })
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
    let fastest =
        weight.map_or(FASTEST_KG_A_WEEK, |weight| (weight.kilograms() * FASTEST_SHARE_A_WEEK).min(FASTEST_KG_A_WEEK));
    let is_too_fast = pace.is_some_and(|pace| pace > fastest);
    let fewest_weeks = weight.map(|weight| ((weight.kilograms() - target.kilograms()) / fastest).max(0.0).ceil());
    let say = match (&low, is_too_fast) {
        (Some(low), _) => low.clone(),
        (None, true) => {
            "That is faster than is healthy. Say so kindly, name the fewest weeks, and offer half that pace.".to_owned()
        }
        (None, false) => {
            "Nothing speaks against it. For a substantial loss encourage a plan with a clinician.".to_owned()
        }
    };
    json!({
        "target": target.in_words(unit),
        "body_mass_index_at_target": index.map(tenths),
        "healthy_from": LOWEST_BMI,
        "lowest_healthy_weight":
            height.and_then(|height| height.mass_at(LOWEST_BMI)).map(|lowest| lowest.in_words(unit)),
        "pace_kg_a_week": pace.map(tenths),
        "fastest_healthy_kg_a_week": tenths(fastest),
        "fewest_weeks": fewest_weeks.filter(|_| low.is_none()),
        "is_healthy": low.is_none() && !is_too_fast,
        "say": say,
    })
}
