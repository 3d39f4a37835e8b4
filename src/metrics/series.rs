//! Kept values as one series a metric: over the dynos of each type, and over those of the whole app.
//!
//! Invariant: pure. A dyno counts once at each point of time: with the mean of a gauge, or the last value of a
//! counter.

use std::collections::BTreeMap;

use crate::model::metric::{Metric, MetricKind, Resolution, StatusCount, float};
use crate::model::names::{DynoName, ProcessType};
use crate::store::samples::{DynoRow, KeptSamples, RouterRow};

/// Values by metric and point of time (seconds since 1970, on a multiple of the resolution).
///
/// A metric has the sum over the dynos, `<metric>_average` the average, and `<metric>_90th_percentile` that
/// percentile (Apps, "View App Metrics").
pub type Table = BTreeMap<String, BTreeMap<i64, f64>>;

/// The series of an app.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Over all dynos; holds every documented metric, if only without values.
    pub whole: Table,
    /// Over the dynos of each type that had any. Requests are the web's.
    pub by_type: BTreeMap<ProcessType, Table>,
}

impl Series {
    /// Sums up what was kept of an app.
    pub fn of(kept: &KeptSamples, resolution: Resolution) -> Self {
        let mut whole = table(kept.dynos.iter(), resolution);
        let mut types: BTreeMap<ProcessType, Vec<&DynoRow>> = BTreeMap::new();
        for row in &kept.dynos {
            types.entry(row.process_type.clone()).or_default().push(row);
        }
        let mut by_type: BTreeMap<ProcessType, Table> =
            types.into_iter().map(|(name, rows)| (name, table(rows.into_iter(), resolution))).collect();
        if !kept.router.is_empty() {
            let requests = requests(&kept.router, resolution);
            let web = by_type.entry(ProcessType::web()).or_insert_with(|| table([].into_iter(), resolution));
            web.extend(requests.clone());
            whole.extend(requests);
        }
        Self { whole, by_type }
    }
}

/// The values of one metric of one dyno that fall on one point of time.
#[derive(Debug, Clone, Copy, Default)]
struct Point {
    sum: f64,
    count: f64,
    last_at: i64,
    last: f64,
}

fn table<'r>(rows: impl Iterator<Item = &'r DynoRow>, resolution: Resolution) -> Table {
    let mut points: BTreeMap<(Metric, i64), BTreeMap<&DynoName, Point>> = BTreeMap::new();
    for row in rows {
        for metric in Metric::ALL {
            let Some(value) = row.readings.get(*metric) else { continue };
            let dynos = points.entry((*metric, point_of(row.at, resolution))).or_default();
            dynos.entry(&row.dyno).or_default().add(row.at, value);
        }
    }
    let mut table: Table = Metric::ALL.iter().map(|metric| (metric.to_string(), BTreeMap::new())).collect();
    for ((metric, at), dynos) in points {
        let values: Vec<f64> = dynos.values().map(|point| point.value(metric.kind())).collect();
        let sum: f64 = values.iter().sum();
        for (suffix, value) in
            [("", sum), ("_average", sum / count(values.len())), ("_90th_percentile", percentile_90(values))]
        {
            table.entry(format!("{metric}{suffix}")).or_default().insert(at, value);
        }
    }
    table
}

impl Point {
    fn add(&mut self, at: i64, value: f64) {
        self.sum += value;
        self.count += 1.0;
        if at >= self.last_at {
            (self.last_at, self.last) = (at, value);
        }
    }

    fn value(&self, kind: MetricKind) -> f64 {
        match kind {
            MetricKind::Gauge => self.sum / self.count,
            MetricKind::Counter => self.last,
        }
    }
}

/// `requests`, `response_time` (milliseconds, on average) and `router_status_<code>` (`behaviour.md` §11).
fn requests(rows: &[RouterRow], resolution: Resolution) -> Table {
    let mut all: BTreeMap<i64, StatusCount> = BTreeMap::new();
    let mut table = Table::new();
    for row in rows {
        let at = point_of(row.at, resolution);
        let sum = all.entry(at).or_default();
        sum.requests += row.count.requests;
        sum.seconds += row.count.seconds;
        let of_status = table.entry(format!("router_status_{}", row.status)).or_default();
        *of_status.entry(at).or_default() += float(row.count.requests);
    }
    for (at, sum) in all.into_iter().filter(|(_, sum)| sum.requests > 0) {
        let requests = float(sum.requests);
        table.entry("requests".to_owned()).or_default().insert(at, requests);
        table.entry("response_time".to_owned()).or_default().insert(at, sum.seconds * 1000.0 / requests);
    }
    table
}

fn point_of(at: i64, resolution: Resolution) -> i64 {
    at.div_euclid(resolution.seconds()) * resolution.seconds()
}

/// The smallest value that is not below nine tenths of the values (nearest rank).
fn percentile_90(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = (values.len() * 9).div_ceil(10);
    values.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}

fn count(number: usize) -> f64 {
    float(number as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::metric::Readings;

    fn row(at: i64, process_type: &str, dyno: &str, memory: f64, cpu: f64) -> DynoRow {
        let mut readings = Readings::default();
        readings.set(Metric::MemoryUsage, Some(memory));
        readings.set(Metric::CpuUsage, Some(cpu));
        DynoRow {
            at,
            process_type: ProcessType::from_stored(process_type.to_owned()),
            dyno: DynoName::from_stored(dyno.to_owned()),
            readings,
        }
    }

    fn minute() -> Resolution {
        Resolution::parse("1m").unwrap()
    }

    fn at(table: &Table, metric: &str, at: i64) -> f64 {
        table[metric][&at]
    }

    #[test]
    fn gauges_are_averaged_over_time_and_counters_keep_their_last_value() {
        let dynos = vec![row(70, "web", "a", 300.0, 3.0), row(60, "web", "a", 100.0, 1.0)];
        let series = Series::of(&KeptSamples { dynos, router: Vec::new() }, minute());
        assert!((at(&series.whole, "memory_usage_bytes", 60) - 200.0).abs() < 1e-9);
        assert!((at(&series.whole, "cpu_usage_seconds_total", 60) - 3.0).abs() < 1e-9);
    }

    #[test]
    fn a_metric_is_the_sum_of_the_dynos_beside_their_average_and_90th_percentile() {
        let dynos: Vec<DynoRow> =
            (1..=10_u32).map(|n| row(60, "web", &format!("d{n}"), f64::from(n), 1.0)).collect();
        let series = Series::of(&KeptSamples { dynos, router: Vec::new() }, minute());
        let web = &series.by_type[&ProcessType::web()];
        for (metric, value) in [("", 55.0), ("_average", 5.5), ("_90th_percentile", 9.0)] {
            let found = at(web, &format!("memory_usage_bytes{metric}"), 60);
            assert!((found - value).abs() < 1e-9, "{metric}: {found}");
        }
    }

    #[test]
    fn types_are_told_apart_and_summed_in_the_whole() {
        let dynos = vec![row(60, "web", "a", 1.0, 1.0), row(119, "worker", "b", 2.0, 1.0)];
        let series = Series::of(&KeptSamples { dynos, router: Vec::new() }, minute());
        assert!((at(&series.whole, "memory_usage_bytes", 60) - 3.0).abs() < 1e-9);
        assert_eq!(series.by_type.len(), 2);
        assert_eq!(series.whole.get("fs_usage_bytes"), Some(&BTreeMap::new()), "named though unknown");
    }

    #[test]
    fn requests_have_their_number_statuses_and_mean_time() {
        let count = |requests, seconds| StatusCount { requests, seconds };
        let router = vec![
            RouterRow { at: 60, status: 200, count: count(3, 0.3) },
            RouterRow { at: 90, status: 502, count: count(1, 0.1) },
        ];
        let series = Series::of(&KeptSamples { dynos: Vec::new(), router }, minute());
        let web = &series.by_type[&ProcessType::web()];
        for (metric, value) in [
            ("requests", 4.0),
            ("response_time", 100.0),
            ("router_status_200", 3.0),
            ("router_status_502", 1.0),
        ] {
            assert!((at(web, metric, 60) - value).abs() < 1e-9, "{metric}");
            assert!((at(&series.whole, metric, 60) - value).abs() < 1e-9, "{metric}");
        }
    }
}
