//! Control groups of version 2: one folder with the files of every controller.

use super::entry;
use crate::model::metric::{Metric, Usage, float};

const MICROSECONDS: f64 = 1e-6;

/// Reads the files through `read`.
pub(super) fn usage(read: impl Fn(&str) -> Option<String>) -> Usage {
    // `memory.max` is the word "max" where there is no limit.
    let number = |file: &str| read(file)?.trim().parse::<u64>().ok();
    let mut usage = Usage::default();
    let readings = &mut usage.readings;
    if let Some(stat) = read("cpu.stat") {
        for (metric, key) in [
            (Metric::CpuUsage, "usage_usec"),
            (Metric::CpuUser, "user_usec"),
            (Metric::CpuSystem, "system_usec"),
        ] {
            readings.set(metric, entry(&stat, key).map(|micros| float(micros) * MICROSECONDS));
        }
    }
    let used = number("memory.current");
    readings.set(Metric::MemoryUsage, used.map(float));
    if let Some(stat) = read("memory.stat") {
        readings.set(Metric::MemoryRss, entry(&stat, "anon").map(float));
        readings.set(Metric::MemoryCache, entry(&stat, "file").map(float));
        let inactive = entry(&stat, "inactive_file").unwrap_or(0);
        readings.set(Metric::MemoryWorkingSet, used.map(|used| float(used.saturating_sub(inactive))));
    }
    // Version 2 counts no time of the devices; the time that processes waited for them is the nearest to it.
    let stalled = read("io.pressure").as_deref().and_then(stalled);
    readings.set(Metric::FsIoTime, stalled.map(|micros| float(micros) * MICROSECONDS));
    usage.memory_limit = number("memory.max");
    usage
}

/// `total` of the line `some avg10=0.00 avg60=0.00 avg300=0.00 total=12345`.
fn stalled(pressure: &str) -> Option<u64> {
    let some = pressure.lines().find_map(|line| line.strip_prefix("some "))?;
    some.split(' ').find_map(|field| field.strip_prefix("total=")?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(file: &str) -> Option<String> {
        let text = match file {
            "cpu.stat" => {
                "usage_usec 1250000\nuser_usec 1000000\nsystem_usec 250000\nnr_periods 0\nnr_throttled 0\nthrottled_usec 0\n"
            }
            "memory.current" => "20971520\n",
            "memory.max" => "536870912\n",
            "memory.stat" => {
                "anon 8388608\nfile 12582912\nkernel_stack 65536\nshmem 0\nfile_mapped 4096\nfile_dirty 0\nanon_thp 0\ninactive_anon 0\nactive_anon 8388608\ninactive_file 10485760\nactive_file 2097152\n"
            }
            "io.pressure" => {
                "some avg10=0.00 avg60=0.12 avg300=0.03 total=750000\nfull avg10=0.00 avg60=0.10 avg300=0.02 total=500000\n"
            }
            _ => return None,
        };
        Some(text.to_owned())
    }

    #[test]
    fn the_files_of_version_2_become_seconds_and_bytes() {
        let usage = usage(recorded);
        for (metric, value) in [
            (Metric::CpuUsage, 1.25),
            (Metric::CpuUser, 1.0),
            (Metric::CpuSystem, 0.25),
            (Metric::MemoryUsage, 20_971_520.0),
            (Metric::MemoryRss, 8_388_608.0),
            (Metric::MemoryCache, 12_582_912.0),
            (Metric::MemoryWorkingSet, 10_485_760.0),
            (Metric::FsIoTime, 0.75),
        ] {
            let read = usage.readings.get(metric).unwrap();
            assert!((read - value).abs() < 1e-9, "{metric}: {read}");
        }
        assert_eq!(usage.memory_limit, Some(536_870_912));
    }

    #[test]
    fn a_group_without_a_limit_has_none_and_what_is_missing_is_unknown() {
        assert_eq!(usage(|file| (file == "memory.max").then(|| "max\n".to_owned())), Usage::default());
        assert_eq!(usage(|_| Some("rubbish".to_owned())).readings.get(Metric::CpuUsage), None);
    }
}
