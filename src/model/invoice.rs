//! Invoices: what the dynos of a month cost, by whole days, hours and seconds of it (`behaviour.md` §24).

use jiff::civil::Date;

use super::addon_service::AddonPlanName;
use super::names::{AppName, OrganizationName, ProcessType, SizeName, SpaceName};
use super::time::Timestamp;

/// A calendar month, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Month(Date);

/// An amount of money in cents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Cents(u64);

/// Dynos of one size that an app ran for a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormationPeriod {
    pub app: AppName,
    pub space: SpaceName,
    pub organization: OrganizationName,
    pub process_type: ProcessType,
    pub size: SizeName,
    pub quantity: u32,
    pub started_at: Timestamp,
    /// `None` while they run.
    pub ended_at: Option<Timestamp>,
}

/// A plan that an addon had for a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddonPeriod {
    pub app: AppName,
    pub space: SpaceName,
    pub organization: OrganizationName,
    pub plan: AddonPlanName,
    /// Cents a month.
    pub price: u32,
    pub started_at: Timestamp,
    /// `None` while it has it.
    pub ended_at: Option<Timestamp>,
}

impl Month {
    /// The month of an instant.
    pub fn of(instant: Timestamp) -> Self {
        let instant =
            jiff::Timestamp::from_millisecond(instant.as_millis()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        Self(instant.to_zoned(jiff::tz::TimeZone::UTC).date().first_of_month())
    }

    /// From its first day, as in `2016-07-01`; nothing else is a month.
    pub fn parse(text: &str) -> Option<Self> {
        let day: Date = text.parse().ok()?;
        (day == day.first_of_month() && day.to_string() == text).then_some(Self(day))
    }

    /// The month after this one; the last month of the calendar stays.
    #[must_use]
    pub fn next(self) -> Self {
        self.0.last_of_month().tomorrow().map_or(self, Self)
    }

    /// Its first instant.
    pub fn start(self) -> Timestamp {
        instant(self.0)
    }

    /// Its last whole second.
    pub fn end(self) -> Timestamp {
        Timestamp::from_millis(self.next().start().as_millis() - 1_000)
    }
}

impl std::fmt::Display for Month {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl Cents {
    /// As a number of dollars.
    pub fn dollars(self) -> f64 {
        // Sums of invoices stay far below 2^53 cents.
        #[expect(clippy::cast_precision_loss, reason = "no invoice has 2^53 cents")]
        let cents = self.0 as f64;
        cents / 100.0
    }
}

impl From<u32> for Cents {
    fn from(cents: u32) -> Self {
        Self(u64::from(cents))
    }
}

impl std::iter::Sum for Cents {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        Self(amounts.fold(0, |sum, Cents(cents)| sum.saturating_add(cents)))
    }
}

/// What `quantity` things of `price` cents a month cost that were there from `from` to `to`: the part of
/// the month that they were there, rounded to a cent.
pub fn prorated(month: Month, (from, to): (Timestamp, Timestamp), price: u64, quantity: u32) -> Cents {
    let (start, end) = (month.start(), month.end());
    let there = to.min(end).since(from.max(start)).as_millis();
    let whole = end.since(start).as_millis();
    let full = u128::from(price) * u128::from(quantity);
    let cents = (full * there + whole / 2).checked_div(whole).unwrap_or(0);
    Cents(u64::try_from(cents).unwrap_or(u64::MAX))
}

fn instant(day: Date) -> Timestamp {
    let midnight = day.to_zoned(jiff::tz::TimeZone::UTC).map(|zoned| zoned.timestamp().as_millisecond());
    Timestamp::from_millis(midnight.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn day(text: &str) -> Timestamp {
        instant(text.parse().unwrap())
    }

    #[test]
    fn amounts_are_those_of_the_specification() {
        for (month, from, to, dollars) in [
            ("2018-01-01", "2018-01-23", "2018-02-14", 290.32),
            ("2018-01-01", "2018-01-05", "2018-01-23", 580.65),
            ("2018-01-01", "2017-12-01", "2018-01-06", 161.29),
            ("2018-01-01", "2018-01-01", "2018-01-28", 870.97),
            ("2018-01-01", "2017-12-01", "2018-02-01", 1000.0),
            ("2018-06-01", "2018-06-05", "2018-07-20", 866.67),
            ("2018-06-01", "2018-07-05", "2018-07-20", 0.0),
        ] {
            let month = Month::parse(month).unwrap();
            let billed = prorated(month, (day(from), day(to)), 100_000, 1).dollars();
            assert!((billed - dollars).abs() < 0.001, "{month} {from} {to}: {billed}, not {dollars}");
        }
    }

    #[test]
    fn a_month_is_its_first_day() {
        let month = Month::parse("2016-12-01").unwrap();
        assert_eq!((month.to_string(), month.next().to_string()), ("2016-12-01".into(), "2017-01-01".into()));
        assert_eq!(month.end().to_string(), "2016-12-31T23:59:59.000Z");
        assert_eq!(Month::of(month.end()), month);
        for text in ["2016-12-02", "2016-12", "20161201", "2016-13-01", "", "latest"] {
            assert_eq!(Month::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_part_of_a_month_costs_more_than_the_whole_and_parts_add_up(
            from in 0_i64..120, middle in 0_i64..120, to in 0_i64..120, price in 0_u64..200_000, quantity in 0_u32..33,
        ) {
            let month = Month::parse("2018-02-01").unwrap();
            let mut days = [from, middle, to];
            days.sort_unstable();
            let [from, middle, to] =
                days.map(|d| Timestamp::from_millis(day("2017-12-15").as_millis() + d * 86_400_000));
            let cost = |from, to| prorated(month, (from, to), price, quantity).0;
            prop_assert!(cost(from, to) <= price * u64::from(quantity));
            prop_assert!(cost(from, to).abs_diff(cost(from, middle) + cost(middle, to)) <= 1);
        }
    }
}
