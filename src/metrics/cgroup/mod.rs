//! What the kernel counts for a dyno, read from the files of its control group; both versions.
//!
//! Invariant: the parsers are pure, and what a file does not tell is unknown, never zero.

mod v1;
mod v2;

use std::path::{Path, PathBuf};

use super::network;
use crate::model::metric::{Metric, Usage, float};

/// Where the kernel shows control groups.
const ROOT: &str = "/sys/fs/cgroup";
/// Where it shows processes.
const PROCESSES: &str = "/proc";

/// Reads control groups of one machine. Every call blocks for the time of some ten small reads from memory.
#[derive(Debug, Clone)]
pub(super) struct Cgroups {
    version: Version,
    root: PathBuf,
    processes: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    V1,
    V2,
}

impl Cgroups {
    /// Those of this machine.
    pub(super) fn of_machine() -> Self {
        Self::at(Path::new(ROOT), Path::new(PROCESSES))
    }

    fn at(root: &Path, processes: &Path) -> Self {
        // Only the root of version 2 has this file.
        let version = if root.join("cgroup.controllers").exists() { Version::V2 } else { Version::V1 };
        Self { version, root: root.to_owned(), processes: processes.to_owned() }
    }

    /// What the first of these groups that exists has used; what cannot be read is unknown.
    pub(super) fn usage(&self, names: &[String]) -> Usage {
        let found = names.iter().find(|name| self.processes_file(name).exists());
        let Some(name) = found else { return Usage::default() };
        let mut usage = match self.version {
            Version::V1 => {
                v1::usage(|controller, file| read(&self.root.join(controller).join(name).join(file)))
            }
            Version::V2 => v2::usage(|file| read(&self.root.join(name).join(file))),
        };
        if let Some(traffic) = self.traffic(name) {
            usage.readings.set(Metric::NetworkReceiveBytes, Some(float(traffic.receive_bytes)));
            usage.readings.set(Metric::NetworkReceiveErrors, Some(float(traffic.receive_errors)));
            usage.readings.set(Metric::NetworkTransmitBytes, Some(float(traffic.transmit_bytes)));
            usage.readings.set(Metric::NetworkTransmitErrors, Some(float(traffic.transmit_errors)));
        }
        usage
    }

    /// The counters of the network that the group's processes are in; unknown where processes of others are hidden
    /// (`ProtectProc=` of systemd).
    fn traffic(&self, name: &str) -> Option<network::Traffic> {
        let processes = read(&self.processes_file(name))?;
        let process: u32 = processes.lines().next()?.trim().parse().ok()?;
        network::parse(&read(&self.processes.join(process.to_string()).join("net/dev"))?)
    }

    fn processes_file(&self, name: &str) -> PathBuf {
        let hierarchy = match self.version {
            Version::V1 => self.root.join("memory"),
            Version::V2 => self.root.clone(),
        };
        hierarchy.join(name).join("cgroup.procs")
    }
}

fn read(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// The number after a key in lines `key number`.
fn entry(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    const DEV: &str = "Inter-|   Receive  |  Transmit\n face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs drop fifo colls carrier compressed\n  eth0: 310 3 1 0 0 0 0 0 20 0 2 0 0 0 0 0\n";

    #[test]
    fn a_group_of_version_2_is_read_under_the_first_name_that_exists() {
        let dir = tempfile::tempdir().unwrap();
        let (groups, processes) = (dir.path().join("cgroup"), dir.path().join("proc"));
        write(&groups, "cgroup.controllers", "cpu io memory pids\n");
        write(&groups, "system.slice/docker-abc.scope/cgroup.procs", "77\n78\n");
        write(&groups, "system.slice/docker-abc.scope/memory.current", "4096\n");
        write(&processes, "77/net/dev", DEV);
        let names = ["docker/abc".to_owned(), "system.slice/docker-abc.scope".to_owned()];
        let usage = Cgroups::at(&groups, &processes).usage(&names);
        assert_eq!(usage.readings.get(Metric::MemoryUsage), Some(4096.0));
        assert_eq!(usage.readings.get(Metric::NetworkReceiveBytes), Some(310.0));
        assert_eq!(usage.readings.get(Metric::NetworkTransmitErrors), Some(2.0));
        assert_eq!(usage.readings.get(Metric::CpuUsage), None, "there is no cpu.stat");
    }

    #[test]
    fn a_group_of_version_1_is_read_below_each_controller() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "memory/docker/abc/cgroup.procs", "");
        write(dir.path(), "memory/docker/abc/memory.usage_in_bytes", "598016\n");
        write(dir.path(), "cpuacct/docker/abc/cpuacct.usage", "62591667\n");
        let usage = Cgroups::at(dir.path(), dir.path()).usage(&["docker/abc".to_owned()]);
        assert_eq!(usage.readings.get(Metric::MemoryUsage), Some(598_016.0));
        assert_eq!(usage.readings.get(Metric::CpuUsage), Some(0.062_591_667));
        assert_eq!(usage.readings.get(Metric::NetworkReceiveBytes), None, "no process, no network");
    }

    #[test]
    fn of_a_group_that_is_gone_nothing_is_known() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Cgroups::at(dir.path(), dir.path()).usage(&["docker/abc".to_owned()]), Usage::default());
    }
}
