//! The families of `/metrics` in the form of OTLP, and the task that pushes them.
//!
//! Invariant: what is pushed and what is scraped come out of the same registry, under the same names.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::exposition::{Exposition, Family, Kind, Sample, SampleValue};
use super::{Shared, registry};
use crate::model::principal::Reach;
use crate::model::time::Timestamp;
use crate::telemetry::otlp::{attribute, nanos};

/// Counters are totals since the start of the daemon.
const CUMULATIVE: u32 = 2;

/// Pushes everything again and again until `stop`; returns at once when nobody wants it.
pub(super) async fn push(shared: Arc<Shared>, stop: CancellationToken) {
    let Some(period) = shared.telemetry.metrics_interval() else { return };
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = push_once(&shared) => {}
        }
    }
}

async fn push_once(shared: &Shared) {
    match registry::collect(shared, Reach::Everything).await {
        Ok(exposition) => {
            let times = Times { began: shared.started_at, taken: shared.clock.now() };
            shared.telemetry.post_metrics(metrics(&exposition, times)).await;
        }
        Err(error) => tracing::warn!(%error, "the metrics could not be collected"),
    }
}

/// Since when totals count, and up to when.
#[derive(Debug, Clone, Copy)]
struct Times {
    began: Timestamp,
    taken: Timestamp,
}

/// Families without samples are left out.
fn metrics(exposition: &Exposition, times: Times) -> Vec<Value> {
    let families = exposition.families().iter().filter(|family| !family.samples.is_empty());
    families.map(|family| metric(family, times)).collect()
}

fn metric(family: &Family, times: Times) -> Value {
    let points: Vec<Value> = family.samples.iter().map(|sample| point(sample, times)).collect();
    let (form, data) = match family.kind {
        Kind::Gauge => ("gauge", json!({ "dataPoints": points })),
        Kind::Counter => (
            "sum",
            json!({ "aggregationTemporality": CUMULATIVE, "isMonotonic": true, "dataPoints": points }),
        ),
        Kind::Histogram => {
            ("histogram", json!({ "aggregationTemporality": CUMULATIVE, "dataPoints": points }))
        }
    };
    json!({ "name": family.name, "description": family.help, form: data })
}

fn point(sample: &Sample, times: Times) -> Value {
    let attributes: Vec<Value> =
        sample.labels.iter().map(|(name, value)| attribute(name, &value.as_str().into())).collect();
    let (began, taken) = (nanos(times.began), nanos(times.taken));
    match &sample.value {
        SampleValue::Number(value) => json!({
            "attributes": attributes, "startTimeUnixNano": began, "timeUnixNano": taken, "asDouble": value,
        }),
        SampleValue::Distribution(distribution) => json!({
            "attributes": attributes,
            "startTimeUnixNano": began,
            "timeUnixNano": taken,
            "count": distribution.counts.iter().sum::<u64>().to_string(),
            "sum": distribution.sum,
            "explicitBounds": distribution.bounds,
            "bucketCounts": distribution.counts.iter().map(u64::to_string).collect::<Vec<_>>(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::exposition::Distribution;

    #[test]
    fn a_counter_a_gauge_and_a_histogram_have_the_forms_of_the_protocol() {
        let mut exposition = Exposition::default();
        exposition.family("a_total", Kind::Counter, "A.").add(&[("app", "x")], 3.0);
        exposition.family("b", Kind::Gauge, "B.").add(&[], 0.5);
        exposition.family("none", Kind::Gauge, "No samples.");
        let distribution = Distribution { bounds: &[0.1, 1.0], counts: vec![1, 0, 2], sum: 7.5 };
        exposition.family("c", Kind::Histogram, "C.").add_distribution(&[], distribution);
        let times = Times { began: Timestamp::from_millis(1), taken: Timestamp::from_millis(2000) };
        let (began, taken) = ("1000000", "2000000000");
        assert_eq!(
            metrics(&exposition, times),
            [
                json!({ "name": "a_total", "description": "A.", "sum": {
                    "aggregationTemporality": 2, "isMonotonic": true, "dataPoints": [{
                        "attributes": [{ "key": "app", "value": { "stringValue": "x" } }],
                        "startTimeUnixNano": began, "timeUnixNano": taken, "asDouble": 3.0,
                    }],
                } }),
                json!({ "name": "b", "description": "B.", "gauge": { "dataPoints": [{
                    "attributes": [], "startTimeUnixNano": began, "timeUnixNano": taken, "asDouble": 0.5,
                }] } }),
                json!({ "name": "c", "description": "C.", "histogram": {
                    "aggregationTemporality": 2, "dataPoints": [{
                        "attributes": [], "startTimeUnixNano": began, "timeUnixNano": taken,
                        "count": "3", "sum": 7.5, "explicitBounds": [0.1, 1.0], "bucketCounts": ["1", "0", "2"],
                    }],
                } }),
            ]
        );
    }
}
