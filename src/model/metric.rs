//! What is measured of a dyno, and how long it is kept.
//!
//! Invariant: seconds and bytes only, under the names that the API documents (Apps, "View App Metrics").

use std::collections::BTreeMap;
use std::time::Duration;

use super::ids::AppId;
use super::names::{DynoName, ProcessType};
use super::rule::{RuleError, shown};
use super::time::Timestamp;

crate::text_enum! {
    /// The documented metrics, in the documented order.
    pub enum Metric {
        CpuSystem => "cpu_system_seconds_total",
        CpuUsage => "cpu_usage_seconds_total",
        CpuUser => "cpu_user_seconds_total",
        FsIoTime => "fs_io_time_seconds_total",
        FsUsage => "fs_usage_bytes",
        MemoryCache => "memory_cache",
        MemoryRss => "memory_rss",
        MemoryUsage => "memory_usage_bytes",
        MemoryWorkingSet => "memory_working_set_bytes",
        NetworkReceiveBytes => "network_receive_bytes_total",
        NetworkReceiveErrors => "network_receive_errors_total",
        NetworkTransmitBytes => "network_transmit_bytes_total",
        NetworkTransmitErrors => "network_transmit_errors_total",
    }
}

/// How values of a metric that lie next to each other in time become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// Goes up and down; the mean counts.
    Gauge,
    /// Grows from the start of the dyno; the last value counts.
    Counter,
}

impl Metric {
    /// Whether it goes up and down.
    pub fn kind(self) -> MetricKind {
        if self.as_str().ends_with("_total") { MetricKind::Counter } else { MetricKind::Gauge }
    }
}

/// One value for each metric that is known.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Readings([Option<f64>; Metric::ALL.len()]);

impl Readings {
    /// The value of a metric, in seconds, bytes or errors.
    pub fn get(&self, metric: Metric) -> Option<f64> {
        self.0.get(metric as usize).copied().flatten()
    }

    /// Sets a value; `None` is "unknown".
    pub fn set(&mut self, metric: Metric, value: Option<f64>) {
        if let Some(place) = self.0.get_mut(metric as usize) {
            *place = value;
        }
    }

    /// Whether every one of these is known.
    pub fn know(&self, metrics: &[Metric]) -> bool {
        metrics.iter().all(|metric| self.get(*metric).is_some())
    }

    /// Takes from `other` what is unknown here.
    pub fn complete(&mut self, other: &Self) {
        for metric in Metric::ALL {
            self.set(*metric, self.get(*metric).or(other.get(*metric)));
        }
    }
}

/// What a dyno used, as the kernel counts it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usage {
    pub readings: Readings,
    /// Bytes at which the kernel ends the dyno.
    pub memory_limit: Option<u64>,
    /// Periods in which the limit of its CPU held it back since it started, where the engine tells.
    pub throttled: Option<u64>,
}

/// What one dyno used up to an instant.
#[derive(Debug, Clone, PartialEq)]
pub struct DynoSample {
    pub app: AppId,
    pub process_type: ProcessType,
    pub dyno: DynoName,
    pub usage: Usage,
}

/// Requests to an app that ended within some time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RouterSample {
    /// How many had each status, and how long those took together.
    pub by_status: BTreeMap<u16, StatusCount>,
}

/// Requests of one status.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct StatusCount {
    pub requests: u64,
    /// From the first byte of each request to the last of its answer, added up.
    pub seconds: f64,
}

/// How fine the kept values lie: three levels, each coarser and kept longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As they were taken, for 6 hours.
    Fine,
    /// One a minute, for a day.
    Minute,
    /// One in ten minutes, for a week.
    TenMinutes,
}

impl Level {
    /// From fine to coarse.
    pub const ALL: [Self; 3] = [Self::Fine, Self::Minute, Self::TenMinutes];

    /// Seconds between two values; one for what lies as it was taken.
    pub const fn step(self) -> i64 {
        match self {
            Self::Fine => 1,
            Self::Minute => 60,
            Self::TenMinutes => 600,
        }
    }

    /// How long values are kept.
    pub const fn kept(self) -> Duration {
        match self {
            Self::Fine => Duration::from_hours(6),
            Self::Minute => Duration::from_hours(24),
            Self::TenMinutes => Duration::from_hours(24 * 7),
        }
    }
}

/// The distance between two values of an answer: `30s`, `1m`, `15m`, `1h`, `1d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resolution(i64);

impl Resolution {
    /// When none is asked for (`behaviour.md` §11).
    pub const DEFAULT: Self = Self(30 * 60);
    const SHORTEST: i64 = 10;
    const LONGEST: i64 = 7 * 24 * 3600;

    /// A whole number and `s`, `m`, `h` or `d`; 10 seconds to 7 days.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        Self::read(text).map(Self).ok_or_else(|| {
            RuleError::new(format!(
                "The resolution \"{}\" is not a number with a unit from 10s to 7d; write 30s, 1m, 15m, 1h or 1d.",
                shown(text)
            ))
        })
    }

    /// Whole seconds.
    pub const fn seconds(self) -> i64 {
        self.0
    }

    fn read(text: &str) -> Option<i64> {
        let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let factor = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 24 * 3600,
            _ => return None,
        };
        if !number.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let seconds = number.parse::<i64>().ok()?.checked_mul(factor)?;
        (Self::SHORTEST..=Self::LONGEST).contains(&seconds).then_some(seconds)
    }
}

/// Which values are asked for: from `from` to `to`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    pub from: Timestamp,
    pub to: Timestamp,
    pub resolution: Resolution,
}

impl Period {
    /// Checks that it does not end before it begins.
    pub fn new(from: Timestamp, to: Timestamp, resolution: Resolution) -> Result<Self, RuleError> {
        if to < from {
            return Err(RuleError::new(format!(
                "The period ends ({to}) before it begins ({from}): exchange \"from\" and \"to\"."
            )));
        }
        Ok(Self { from, to, resolution })
    }
}

/// A count as a value: exact, because counts of bytes and nanoseconds stay far below 2^53.
#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53, which is nine petabytes")]
pub fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn resolutions_are_a_number_and_a_unit() {
        for (text, seconds) in [("10s", 10), ("1m", 60), ("15m", 900), ("1h", 3600), ("7d", 604_800)] {
            assert_eq!(Resolution::parse(text).map(Resolution::seconds), Ok(seconds), "{text}");
        }
        for wrong in
            ["", "m", "1", "0m", "9s", "8d", "-1m", "+1m", "1.5h", "1w", "1 m", "1µ", "99999999999999999d"]
        {
            let error = Resolution::parse(wrong).unwrap_err();
            assert!(error.to_string().contains(&format!("\"{wrong}\"")), "{error}");
        }
    }

    #[test]
    fn a_period_does_not_end_before_it_begins() {
        let at = Timestamp::from_millis;
        assert!(Period::new(at(1), at(1), Resolution::DEFAULT).is_ok());
        assert!(Period::new(at(2), at(1), Resolution::DEFAULT).is_err());
    }

    #[test]
    fn totals_are_counters_and_the_rest_are_gauges() {
        assert_eq!(Metric::CpuUsage.kind(), MetricKind::Counter);
        assert_eq!(Metric::MemoryRss.kind(), MetricKind::Gauge);
        assert_eq!(Metric::FsUsage.kind(), MetricKind::Gauge);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,12}") {
            if let Ok(resolution) = Resolution::parse(&text) {
                prop_assert!((10..=604_800).contains(&resolution.seconds()));
            }
        }

        #[test]
        fn what_is_known_is_not_overwritten_by_what_completes_it(value in 0.0..1e12_f64, other in 0.0..1e12_f64) {
            let (mut readings, mut more) = (Readings::default(), Readings::default());
            readings.set(Metric::MemoryRss, Some(value));
            more.set(Metric::MemoryRss, Some(other));
            more.set(Metric::CpuUser, Some(other));
            readings.complete(&more);
            prop_assert_eq!(readings.get(Metric::MemoryRss), Some(value));
            prop_assert_eq!(readings.get(Metric::CpuUser), Some(other));
            prop_assert!(!readings.know(&[Metric::CpuUser, Metric::FsUsage]));
        }
    }
}
