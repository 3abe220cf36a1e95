//! Where a weight is going: what a log of weighings says, and how sure it is of it.
//!
//! Weighings of one day are one, by their median. The smoothed weight is an exponential average that moves by a tenth
//! of the distance a day (Walker, The Hacker's Diet, 1991); days without a weighing let it move further at the next.
//! The rate is the slope of a straight line through the last four weeks, by least squares, with the interval that
//! holds it in 95 of 100 cases.

use jiff::civil::Date;

use crate::units::Mass;

/// How far the smoothed weight moves to a new one in a day.
const SMOOTHING: f64 = 0.1;

/// The days that the rate is taken of.
const RATE_DAYS: i64 = 28;

/// The days of the rolling mean.
const ROLLING_DAYS: i64 = 7;

/// The fewest days with a weighing, and the fewest days from first to last, that say anything of a rate.
const FEWEST_DAYS: usize = 4;
const SHORTEST_SPAN: i64 = 7;

/// From how many days without a weighing on a log says nothing of today any more: two weeks, half of what the rate is
/// taken of.
const STALE_DAYS: i64 = 14;

/// How far from the median of the last four weeks a weighing may be, in kilograms: more is a slip of the finger.
const FARTHEST_KG: f64 = 8.0;

/// What a log says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trend {
    /// The day of the newest weighing.
    pub newest: Date,
    /// The mean of the last seven days that end with it.
    pub rolling: Mass,
    /// The exponentially smoothed weight.
    pub smoothed: Mass,
    /// How fast it changes; none where the log says too little.
    pub rate: Option<Rate>,
    /// The weight on the day of the newest weighing by the straight line that the rate is the slope of; the smoothed
    /// weight without a rate. Where a weight falls or rises steadily, the smoothed one lags behind it by nine days.
    pub level: Mass,
}

/// A change of weight, in kilograms a week; negative where weight is lost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// The likeliest.
    pub kilograms_a_week: f64,
    /// The ends of the interval that holds it in 95 of 100 cases.
    pub lowest: f64,
    /// See [`Self::lowest`].
    pub highest: f64,
    /// On how many days it rests.
    pub days: usize,
}

/// The trend of a log in any order; none of an empty one, and of one whose weighings contradict each other.
pub fn trend(log: &[(Date, Mass)]) -> Option<Trend> {
    let days = by_day(log);
    let &(newest, _) = days.last()?;
    let rolling = mean(days.iter().filter(|(date, _)| days_between(*date, newest) < ROLLING_DAYS).map(|(_, kg)| *kg))?;
    let smoothed = Mass::from_kilograms(smoothed(&days)?)?;
    let (rate, level) = line(&days, newest).unzip();
    Some(Trend {
        newest,
        rolling: Mass::from_kilograms(rolling)?,
        smoothed,
        rate,
        level: level.and_then(Mass::from_kilograms).unwrap_or(smoothed),
    })
}

/// One weight a day, oldest first, without what cannot be.
fn by_day(log: &[(Date, Mass)]) -> Vec<(Date, f64)> {
    let mut log: Vec<(Date, f64)> = log.iter().map(|(date, mass)| (*date, mass.kilograms())).collect();
    log.sort_by(|(one, kg), (other, other_kg)| one.cmp(other).then(kg.total_cmp(other_kg)));
    let days: Vec<(Date, f64)> = log
        .chunk_by(|(one, _), (other, _)| one == other)
        .filter_map(|day| Some((day.first()?.0, median(day.iter().map(|(_, kg)| *kg))?)))
        .collect();
    let is_possible = |(date, kg): &(Date, f64)| {
        let near = days.iter().filter(|(other, _)| days_between(*other, *date).abs() <= RATE_DAYS).map(|(_, kg)| *kg);
        median(near).is_none_or(|median| (kg - median).abs() <= FARTHEST_KG)
    };
    days.iter().copied().filter(|day| is_possible(day)).collect()
}

fn smoothed(days: &[(Date, f64)]) -> Option<f64> {
    let mut days = days.iter();
    let &(mut last, mut smoothed) = days.next()?;
    for &(date, kg) in days {
        #[expect(clippy::cast_precision_loss, reason = "a number of days")]
        let gap = days_between(last, date) as f64;
        smoothed += (1.0 - (1.0 - SMOOTHING).powf(gap)) * (kg - smoothed);
        last = date;
    }
    Some(smoothed)
}

/// The slope of the line through the last four weeks, and where it is on the newest day.
#[expect(clippy::cast_precision_loss, reason = "numbers of days")]
fn line(days: &[(Date, f64)], newest: Date) -> Option<(Rate, f64)> {
    let recent: Vec<(f64, f64)> = days
        .iter()
        .filter(|(date, _)| days_between(*date, newest) < RATE_DAYS)
        .map(|(date, kg)| (-(days_between(*date, newest) as f64), *kg))
        .collect();
    let span = recent.first().map_or(0.0, |(day, _)| -day);
    if recent.len() < FEWEST_DAYS || span < SHORTEST_SPAN as f64 {
        return None;
    }
    let count = recent.len() as f64;
    let (day, kg) = (mean(recent.iter().map(|(day, _)| *day))?, mean(recent.iter().map(|(_, kg)| *kg))?);
    let spread: f64 = recent.iter().map(|(at, _)| (at - day).powi(2)).sum();
    let slope = recent.iter().map(|(at, weight)| (at - day) * (weight - kg)).sum::<f64>() / spread;
    let rest: f64 = recent.iter().map(|(at, weight)| (weight - kg - slope * (at - day)).powi(2)).sum();
    let error = (rest / (count - 2.0) / spread).sqrt();
    let reach = student(recent.len() - 2) * error;
    let of_week = |a_day: f64| a_day * 7.0;
    let rate = Rate {
        kilograms_a_week: of_week(slope),
        lowest: of_week(slope - reach),
        highest: of_week(slope + reach),
        days: recent.len(),
    };
    Some((rate, kg - slope * day))
}

/// Student's t for 95 of 100 cases, both sides, by degrees of freedom (NIST/SEMATECH e-Handbook, 1.3.6.7.2).
fn student(freedom: usize) -> f64 {
    const TABLE: [f64; 26] = [
        12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
        2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
    ];
    TABLE[freedom.clamp(1, TABLE.len()) - 1]
}

// === impl Trend ===

impl Trend {
    /// How many days before a day the newest weighing was, where that is too long ago to say anything of the day.
    pub fn stale_days(&self, today: Date) -> Option<i64> {
        let days = days_between(self.newest, today);
        (days > STALE_DAYS).then_some(days)
    }
}

fn days_between(from: Date, to: Date) -> i64 {
    from.until(to).map_or(0, |span| i64::from(span.get_days()))
}

#[expect(clippy::cast_precision_loss, reason = "a number of weighings")]
fn mean(numbers: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = numbers.fold((0.0, 0_usize), |(sum, count), number| (sum + number, count + 1));
    (count > 0).then(|| sum / count as f64)
}

fn median(numbers: impl Iterator<Item = f64>) -> Option<f64> {
    let mut numbers: Vec<f64> = numbers.collect();
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    match numbers.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(numbers[middle]),
        _ => Some(f64::midpoint(numbers[middle - 1], numbers[middle])),
    }
}
