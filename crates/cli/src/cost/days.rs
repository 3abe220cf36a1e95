//! The days a report is about. They are whole days of UTC, as AWS bills them.

use jiff::ToSpan as _;
use jiff::civil::Date;

/// So many whole days, and the one that is not over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Days {
    /// The first of the report.
    pub(super) first: Date,
    /// The day after the last whole one.
    pub(super) today: Date,
}

// === impl Days ===

impl Days {
    /// `count` whole days before `today`.
    pub(super) fn to(today: Date, count: u16) -> Self {
        Self { first: today.saturating_sub(i32::from(count).days()), today }
    }

    /// The first day that has to be asked for: a projection needs the month from its beginning.
    pub(super) fn asked_from(self) -> Date {
        self.first.min(self.today.first_of_month())
    }

    /// The whole days.
    pub(super) fn whole(self) -> impl Iterator<Item = Date> {
        self.first.series(1.day()).take_while(move |day| *day < self.today)
    }

    /// How many those are.
    pub(super) fn count(self) -> f64 {
        f64::from(u16::try_from(self.whole().count()).unwrap_or(u16::MAX))
    }

    /// Whether it is a whole day of the month that today is in.
    pub(super) fn is_of_month(self, day: Date) -> bool {
        day >= self.today.first_of_month() && day < self.today
    }

    /// The days of that month that are not over, today included.
    pub(super) fn left_of_month(self) -> f64 {
        f64::from(self.today.days_in_month() - self.today.day() + 1)
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn a_month_is_asked_for_from_its_beginning() {
        let days = Days::to(date(2026, 11, 25), 7);
        assert_eq!((days.first, days.asked_from()), (date(2026, 11, 18), date(2026, 11, 1)));
        assert_eq!(Days::to(date(2026, 11, 3), 7).asked_from(), date(2026, 10, 27));
        assert_eq!(format!("{} {}", days.count(), days.left_of_month()), "7 6");
    }

    #[test]
    fn on_the_first_nothing_of_the_month_is_over() {
        let days = Days::to(date(2026, 12, 1), 1);
        assert_eq!(days.whole().collect::<Vec<_>>(), [date(2026, 11, 30)]);
        assert!(!days.is_of_month(date(2026, 11, 30)) && !days.is_of_month(days.today));
        assert_eq!(days.left_of_month().to_string(), "31");
    }
}
