//! `metrics`.

use std::sync::Arc;

use super::{APP, Aka, text};
use crate::metrics::measured;
use crate::support::fake_engine::FakeEngine;

#[tokio::test]
async fn metrics_reads_values_by_process_metric_and_time() {
    let aka = Aka::with_app().await;
    let app = text(&aka.get(APP).await, "id").parse().unwrap();
    measured(&aka.daemon, &Arc::new(FakeEngine::new()), app, "app-default", &[("web", 1.0)]).await;
    let path =
        "/apps/app-default/metrics?resolution=10m&from=2000-01-01T00:00:00.000Z&to=2100-01-01T00:00:00.000Z";
    let answer = aka.get(path).await;
    let mut values = 0;
    for (process, metrics) in answer.as_object().unwrap() {
        assert_eq!(process, "web");
        for (metric, points) in metrics.as_object().unwrap() {
            for (epoch, value) in points.as_object().unwrap() {
                assert!(epoch.parse::<i64>().is_ok_and(|at| at > 0), "{metric} {epoch}");
                assert!(value.is_number(), "{metric} {value}");
                values += 1;
            }
        }
    }
    assert!(values > 0, "{answer}");
}
