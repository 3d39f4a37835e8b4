//! What the daemon's own process uses, from `/proc/self`.

/// Ticks of a second in `/proc/<pid>/stat`; the kernel shows 100 on every machine that this runs on.
const TICKS: f64 = 100.0;

/// What could be read.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct ProcessFigures {
    pub(super) cpu_seconds: Option<f64>,
    pub(super) resident_bytes: Option<u64>,
    pub(super) threads: Option<u64>,
    pub(super) open_files: Option<u64>,
}

/// Reads the figures of this process; some microseconds.
pub(super) fn read() -> ProcessFigures {
    let text = |name: &str| std::fs::read_to_string(format!("/proc/self/{name}")).ok();
    let status = text("status").unwrap_or_default();
    let entry = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    ProcessFigures {
        cpu_seconds: text("stat").as_deref().and_then(cpu_seconds),
        resident_bytes: entry("VmRSS").map(|kibibytes| kibibytes * 1024),
        threads: entry("Threads"),
        open_files: std::fs::read_dir("/proc/self/fd").ok().map(|files| files.count() as u64),
    }
}

/// User and system time; the name before them is in parentheses and may hold anything.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u32>().ok());
    let [user, system] = ticks.collect::<Option<Vec<_>>>()?.try_into().ok()?;
    Some((f64::from(user) + f64::from(system)) / TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_process_is_found_behind_any_name() {
        let stat = "42 (a) b 7) S 1 42 42 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 9 0 100 1000 200";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        assert_eq!(cpu_seconds(""), None);
        assert_eq!(cpu_seconds("42 (a) S 1"), None);
    }

    #[test]
    fn this_process_has_memory_threads_and_open_files() {
        let figures = read();
        assert!(figures.cpu_seconds.is_some());
        assert!(figures.resident_bytes.is_some_and(|bytes| bytes > 1 << 20));
        assert!(figures.threads.is_some_and(|threads| threads > 0));
        assert!(figures.open_files.is_some_and(|files| files > 2));
    }
}
