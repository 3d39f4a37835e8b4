//! Control groups of version 1: a folder below each controller.

use super::entry;
use crate::model::metric::{Metric, Usage, float};

const NANOSECONDS: f64 = 1e-9;
/// The kernel's "no limit": the largest number of whole pages.
const UNLIMITED: u64 = i64::MAX as u64 - 4095;

/// Reads the files through `read`, which takes the controller and the file.
pub(super) fn usage(read: impl Fn(&str, &str) -> Option<String>) -> Usage {
    let number = |controller: &str, file: &str| read(controller, file)?.trim().parse::<u64>().ok();
    let mut usage = Usage::default();
    let readings = &mut usage.readings;
    for (metric, file) in [
        (Metric::CpuUsage, "cpuacct.usage"),
        (Metric::CpuUser, "cpuacct.usage_user"),
        (Metric::CpuSystem, "cpuacct.usage_sys"),
    ] {
        readings.set(metric, number("cpuacct", file).map(|nanos| float(nanos) * NANOSECONDS));
    }
    let used = number("memory", "memory.usage_in_bytes");
    readings.set(Metric::MemoryUsage, used.map(float));
    if let Some(stat) = read("memory", "memory.stat") {
        readings.set(Metric::MemoryRss, entry(&stat, "total_rss").map(float));
        readings.set(Metric::MemoryCache, entry(&stat, "total_cache").map(float));
        let inactive = entry(&stat, "total_inactive_file").unwrap_or(0);
        readings.set(Metric::MemoryWorkingSet, used.map(|used| float(used.saturating_sub(inactive))));
    }
    let time = read("blkio", "blkio.io_service_time_recursive");
    readings.set(Metric::FsIoTime, time.as_deref().and_then(total).map(|nanos| float(nanos) * NANOSECONDS));
    usage.memory_limit = number("memory", "memory.limit_in_bytes").filter(|limit| *limit < UNLIMITED);
    usage
}

/// The line without a device: `Total 12345`.
fn total(text: &str) -> Option<u64> {
    entry(text, "Total")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded of a container under Engine 20.10.
    fn recorded(controller: &str, file: &str) -> Option<String> {
        let text = match (controller, file) {
            ("cpuacct", "cpuacct.usage") => "62591667\n",
            ("cpuacct", "cpuacct.usage_user") => "54000000\n",
            ("cpuacct", "cpuacct.usage_sys") => "8000000\n",
            ("memory", "memory.usage_in_bytes") => "1598016\n",
            ("memory", "memory.limit_in_bytes") => "67108864\n",
            ("memory", "memory.stat") => {
                "cache 0\nrss 1\nrss_huge 0\ninactive_file 0\nhierarchical_memory_limit 67108864\ntotal_cache 400000\ntotal_rss 61440\ntotal_rss_huge 0\ntotal_inactive_file 300000\ntotal_active_file 100000\n"
            }
            ("blkio", "blkio.io_service_time_recursive") => {
                "8:0 Read 900000000\n8:0 Write 600000000\n8:0 Sync 0\n8:0 Total 1500000000\nTotal 1500000000\n"
            }
            _ => return None,
        };
        Some(text.to_owned())
    }

    #[test]
    fn the_files_of_version_1_become_seconds_and_bytes() {
        let usage = usage(recorded);
        for (metric, value) in [
            (Metric::CpuUsage, 0.062_591_667),
            (Metric::CpuUser, 0.054),
            (Metric::CpuSystem, 0.008),
            (Metric::MemoryUsage, 1_598_016.0),
            (Metric::MemoryRss, 61_440.0),
            (Metric::MemoryCache, 400_000.0),
            (Metric::MemoryWorkingSet, 1_298_016.0),
            (Metric::FsIoTime, 1.5),
        ] {
            let read = usage.readings.get(metric).unwrap();
            assert!((read - value).abs() < 1e-9, "{metric}: {read}");
        }
        assert_eq!(usage.memory_limit, Some(67_108_864));
    }

    #[test]
    fn a_group_without_a_limit_has_none_and_what_is_missing_is_unknown() {
        let unlimited = |_: &str, file: &str| {
            (file == "memory.limit_in_bytes").then(|| "9223372036854771712\n".to_owned())
        };
        assert_eq!(usage(unlimited), Usage::default());
        assert_eq!(usage(|_, _| Some("rubbish".to_owned())).readings.get(Metric::CpuUsage), None);
    }
}
