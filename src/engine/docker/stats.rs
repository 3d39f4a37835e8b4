//! What containers use: where the kernel counts it, and what the engine itself tells.

use std::collections::HashMap;
use std::time::Duration;

use bollard::Docker;
use bollard::models::{ContainerBlkioStats, ContainerNetworkStats, ContainerStatsResponse};
use bollard::query_parameters::{ListContainersOptionsBuilder, StatsOptionsBuilder};
use futures_util::TryStreamExt;

use super::labels::Labels;
use super::{WORK_LIMIT, bounded, found};
use crate::engine::{ContainerId, EngineError};
use crate::model::metric::{Metric, Usage, float};

/// Longest wait for the figures of one container.
const STATS_LIMIT: Duration = Duration::from_secs(5);
const NANOSECONDS: f64 = 1e-9;

/// The names under the cgroup drivers `cgroupfs` and `systemd`.
pub(super) fn control_groups(id: &ContainerId) -> Vec<String> {
    let id = id.as_str();
    vec![format!("docker/{id}"), format!("system.slice/docker-{id}.scope")]
}

pub(super) async fn usage(docker: &Docker, id: &ContainerId) -> Result<Option<Usage>, EngineError> {
    // One shot: the engine otherwise waits a second for a second sample.
    let options = StatsOptionsBuilder::default().stream(false).one_shot(true).build();
    let mut stats = Box::pin(docker.stats(id.as_str(), Some(options)));
    let answer = found(STATS_LIMIT, stats.try_next()).await?.flatten();
    // Of a container that does not run there is an answer without figures.
    Ok(answer.as_ref().map(usage_of).filter(|usage| *usage != Usage::default()))
}

pub(super) async fn layer_sizes(
    docker: &Docker,
    labels: &Labels,
) -> Result<HashMap<ContainerId, u64>, EngineError> {
    let options = ListContainersOptionsBuilder::default().size(true).filters(&labels.filter(None)).build();
    let summaries = bounded(WORK_LIMIT, docker.list_containers(Some(options))).await?;
    let size = |size: Option<i64>| u64::try_from(size.unwrap_or(0)).ok();
    let sizes = summaries
        .into_iter()
        .filter_map(|summary| Some((ContainerId::new(summary.id?), size(summary.size_rw)?)));
    Ok(sizes.collect())
}

fn usage_of(stats: &ContainerStatsResponse) -> Usage {
    let mut usage = Usage::default();
    let cpu = stats.cpu_stats.as_ref();
    usage.throttled = cpu.and_then(|cpu| cpu.throttling_data.as_ref()?.throttled_periods);
    let readings = &mut usage.readings;
    if let Some(cpu) = cpu.and_then(|cpu| cpu.cpu_usage.as_ref()) {
        readings.set(Metric::CpuUsage, cpu.total_usage.map(seconds));
        readings.set(Metric::CpuUser, cpu.usage_in_usermode.map(seconds));
        readings.set(Metric::CpuSystem, cpu.usage_in_kernelmode.map(seconds));
    }
    if let Some(memory) = &stats.memory_stats {
        // The first name is that of version 1 of the control groups, the second that of version 2.
        let entry = |v1: &str, v2: &str| {
            let entries = memory.stats.as_ref()?;
            entries.get(v1).or_else(|| entries.get(v2)).copied()
        };
        let inactive = entry("total_inactive_file", "inactive_file").unwrap_or(0);
        readings.set(Metric::MemoryUsage, memory.usage.map(float));
        readings.set(Metric::MemoryRss, entry("total_rss", "anon").map(float));
        readings.set(Metric::MemoryCache, entry("total_cache", "file").map(float));
        readings.set(Metric::MemoryWorkingSet, memory.usage.map(|used| float(used.saturating_sub(inactive))));
        usage.memory_limit = memory.limit;
    }
    readings.set(Metric::FsIoTime, stats.blkio_stats.as_ref().and_then(io_time).map(seconds));
    if let Some(networks) = &stats.networks {
        let sum = |of: fn(&ContainerNetworkStats) -> Option<u64>| {
            Some(float(networks.values().filter_map(of).fold(0, u64::saturating_add)))
        };
        readings.set(Metric::NetworkReceiveBytes, sum(|network| network.rx_bytes));
        readings.set(Metric::NetworkReceiveErrors, sum(|network| network.rx_errors));
        readings.set(Metric::NetworkTransmitBytes, sum(|network| network.tx_bytes));
        readings.set(Metric::NetworkTransmitErrors, sum(|network| network.tx_errors));
    }
    usage
}

/// Only some schedulers of version 1 count it.
fn io_time(stats: &ContainerBlkioStats) -> Option<u64> {
    let entries = stats.io_service_time_recursive.as_ref().filter(|entries| !entries.is_empty())?;
    let totals = entries.iter().filter(|entry| entry.op.as_deref() == Some("Total"));
    Some(totals.filter_map(|entry| entry.value).fold(0, u64::saturating_add))
}

fn seconds(nanos: u64) -> f64 {
    float(nanos) * NANOSECONDS
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded of Engine 20.10, shortened.
    const RECORDED: &str = r#"{"id":"abc","cpu_stats":{"cpu_usage":{"total_usage":1250000000,"usage_in_kernelmode":250000000,"usage_in_usermode":1000000000},"online_cpus":2,"throttling_data":{"periods":9,"throttled_periods":7,"throttled_time":5}},
        "memory_stats":{"usage":1598016,"limit":67108864,"stats":{"total_rss":61440,"total_cache":400000,"total_inactive_file":300000}},
        "networks":{"eth0":{"rx_bytes":310,"rx_errors":1,"tx_bytes":70,"tx_errors":2},"eth1":{"rx_bytes":10,"rx_errors":0,"tx_bytes":0,"tx_errors":0}},
        "blkio_stats":{"io_service_time_recursive":null}}"#;

    #[test]
    fn the_answer_of_the_engine_becomes_seconds_and_bytes() {
        let usage = usage_of(&serde_json::from_str(RECORDED).unwrap());
        for (metric, value) in [
            (Metric::CpuUsage, 1.25),
            (Metric::CpuUser, 1.0),
            (Metric::CpuSystem, 0.25),
            (Metric::MemoryUsage, 1_598_016.0),
            (Metric::MemoryRss, 61_440.0),
            (Metric::MemoryCache, 400_000.0),
            (Metric::MemoryWorkingSet, 1_298_016.0),
            (Metric::NetworkReceiveBytes, 320.0),
            (Metric::NetworkReceiveErrors, 1.0),
            (Metric::NetworkTransmitBytes, 70.0),
            (Metric::NetworkTransmitErrors, 2.0),
        ] {
            let read = usage.readings.get(metric).unwrap();
            assert!((read - value).abs() < 1e-9, "{metric}: {read}");
        }
        assert_eq!(usage.readings.get(Metric::FsIoTime), None);
        assert_eq!((usage.memory_limit, usage.throttled), (Some(67_108_864), Some(7)));
    }

    #[test]
    fn an_engine_with_version_2_names_memory_otherwise() {
        let text = r#"{"memory_stats":{"usage":1000,"stats":{"anon":400,"file":500,"inactive_file":300}}}"#;
        let usage = usage_of(&serde_json::from_str(text).unwrap());
        assert_eq!(usage.readings.get(Metric::MemoryRss), Some(400.0));
        assert_eq!(usage.readings.get(Metric::MemoryCache), Some(500.0));
        assert_eq!(usage.readings.get(Metric::MemoryWorkingSet), Some(700.0));
    }
}
