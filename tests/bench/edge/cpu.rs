//! The CPU time and the memory that a process and its children use, from `/proc`.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// The time on a CPU of a process with all its threads, and of its living children.
///
/// From `schedstat`, in nanoseconds, because the times of `stat` come in steps of 10 ms.
pub(crate) fn used(pid: u32) -> Result<Duration> {
    let mut nanos = 0;
    for process in family(pid)? {
        // A child may end between the listing and the reading.
        let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else { continue };
        for thread in threads {
            let Ok(text) = fs::read_to_string(thread?.path().join("schedstat")) else { continue };
            nanos += text
                .split(' ')
                .next()
                .and_then(|field| field.parse::<u64>().ok())
                .context("a strange schedstat")?;
        }
    }
    Ok(Duration::from_nanos(nanos))
}

/// Resident memory of a process and its living children, in KiB.
pub(crate) fn memory(pid: u32) -> Result<u32> {
    let mut sum = 0;
    for process in family(pid)? {
        let Ok(status) = fs::read_to_string(format!("/proc/{process}/status")) else { continue };
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS")?;
        sum += line.split_whitespace().nth(1).context("no VmRSS")?.parse::<u32>()?;
    }
    Ok(sum)
}

fn family(pid: u32) -> Result<Vec<u32>> {
    let mut family = vec![pid];
    for entry in fs::read_dir("/proc")? {
        let Some(each) = entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let Ok(stat) = fs::read_to_string(format!("/proc/{each}/stat")) else { continue };
        if parent(&stat).with_context(|| format!("cannot read /proc/{each}/stat"))? == pid {
            family.push(each);
        }
    }
    Ok(family)
}

/// The command stands in parentheses and may hold anything, so fields are counted after the last one.
fn parent(stat: &str) -> Option<u32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}
