//! Schedules: at which instants a formation's command is run.
//!
//! Invariant: a schedule that exists has a next instant, whatever instant one asks from, up to the years that its
//! pattern allows.

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;

use super::rule::{RuleError, shown};
use super::time::Timestamp;

crate::text_enum! {
    /// What happens when a schedule is due while its last run has not ended.
    pub enum Overlap {
        /// The new run is left out, and the log says so.
        Skip => "skip",
        /// Both run.
        Allow => "allow",
        /// The old one is stopped.
        Replace => "replace",
    }
}

crate::text_enum! {
    /// Why a scheduled run was left out.
    pub enum SkipReason {
        /// The daemon was not there when it was due.
        Missed => "missed",
        /// The last run has not ended, and the schedule says to skip.
        Overlap => "overlap",
        /// No release of the app has succeeded yet, or too many one-off dynos run.
        NotRunnable => "not-runnable",
    }
}

impl SkipReason {
    /// For people.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Missed => "the daemon was not running then",
            Self::Overlap => "the last run has not ended",
            Self::NotRunnable => "no release has succeeded yet, or too many one-off dynos run",
        }
    }
}

/// Five cron fields, read in a time zone.
///
/// An instant that daylight saving leaves out is made up for right after the gap, and one that comes twice is due
/// once, unless the pattern has a wildcard or step in its hours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    cron: Cron,
    zone: TimeZone,
    zone_name: String,
    pub overlap: Overlap,
}

/// A schedule as it stands in a formation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scheduled {
    pub schedule: Schedule,
    pub due_at: Timestamp,
}

/// The longest pattern, in bytes.
const PATTERN_LIMIT: usize = 256;

impl Schedule {
    /// Reads a pattern of minute, hour, day, month and weekday, or a nickname such as `@daily`, and the IANA name of a
    /// time zone.
    pub fn parse(pattern: &str, zone: &str, overlap: Overlap) -> Result<Self, RuleError> {
        let refused = |why: &str| {
            RuleError::new(format!(
                "The schedule \"{}\" is not usable: {why}. Use five fields, as in \"*/10 * * * *\", or @daily.",
                shown(pattern)
            ))
        };
        if pattern.len() > PATTERN_LIMIT {
            return Err(refused("it is too long"));
        }
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser.parse(pattern).map_err(|error| refused(error.to_string().trim_end_matches('.')))?;
        let time_zone = TimeZone::get(zone).map_err(|_| {
            RuleError::new(format!(
                "The time zone \"{}\" is not known; use a name such as Europe/Berlin or UTC.",
                shown(zone)
            ))
        })?;
        let schedule = Self { cron, zone: time_zone, zone_name: zone.to_owned(), overlap };
        if schedule.next(Timestamp::from_millis(0)).is_none() {
            return Err(refused("no date matches it"));
        }
        Ok(schedule)
    }

    /// The cron fields as they were written, in capitals where they hold names.
    pub fn pattern(&self) -> &str {
        self.cron.as_str()
    }

    /// The name of the time zone.
    pub fn zone(&self) -> &str {
        &self.zone_name
    }

    /// The first instant after this one at which it is due; `None` where the calendar ends.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let from = jiff::Timestamp::from_millisecond(after.as_millis()).ok()?.to_zoned(self.zone.clone());
        let next = self.cron.find_next_occurrence(&from, false).ok()?;
        Some(Timestamp::from_millis(next.timestamp().as_millisecond()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn schedule(pattern: &str, zone: &str) -> Schedule {
        Schedule::parse(pattern, zone, Overlap::Skip).unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_schedule_is_due_at_the_local_time_of_its_zone() {
        let daily = schedule("30 4 * * *", "Europe/Berlin");
        assert_eq!(daily.next(at("2026-01-01T00:00:00Z")), Some(at("2026-01-01T03:30:00Z")));
        assert_eq!(daily.next(at("2026-07-01T02:30:00Z")), Some(at("2026-07-02T02:30:00Z")));
        assert_eq!(
            schedule("@hourly", "UTC").next(at("2026-01-01T00:59:59.999Z")),
            Some(at("2026-01-01T01:00:00Z"))
        );
    }

    #[test]
    fn a_time_that_daylight_saving_leaves_out_or_repeats_is_due_once() {
        let at_two_thirty = schedule("30 2 * * *", "Europe/Berlin");
        let in_the_gap = at_two_thirty.next(at("2026-03-28T12:00:00Z")).unwrap();
        assert_eq!(in_the_gap, at("2026-03-29T01:00:00Z"), "02:30 does not exist that night");
        let first = at_two_thirty.next(at("2026-10-24T12:00:00Z")).unwrap();
        let second = at_two_thirty.next(first).unwrap();
        assert_eq!(first, at("2026-10-25T00:30:00Z"));
        assert_eq!(second, at("2026-10-26T01:30:00Z"));
    }

    #[test]
    fn what_is_no_schedule_or_no_zone_is_refused_with_the_reason() {
        for bad in ["", "* * * *", "61 * * * *", "* * * * * *", "0 0 31 2 *", "a b c d e", "@never"] {
            let error = Schedule::parse(bad, "UTC", Overlap::Skip).unwrap_err();
            assert!(error.to_string().contains("five fields"), "{error}");
        }
        let error = Schedule::parse("* * * * *", "Mars/Olympus", Overlap::Skip).unwrap_err();
        assert!(error.to_string().contains("Mars/Olympus"), "{error}");
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,40}") {
            let _either = Schedule::parse(&text, "UTC", Overlap::Skip);
        }

        #[test]
        fn the_next_instant_is_always_later(minute in 0_u8..60, hour in 0_u8..24, millis in 0_i64..4_000_000_000_000) {
            let schedule = schedule(&format!("{minute} {hour} * * *"), "America/New_York");
            let from = Timestamp::from_millis(millis);
            prop_assert!(schedule.next(from).unwrap() > from);
        }
    }
}
