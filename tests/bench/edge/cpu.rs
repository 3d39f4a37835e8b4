//! The CPU time that a process and its children have used, from `/proc`.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// The kernel shows times in hundredths of a second on every platform that we run on (`USER_HZ`).
const TICK: Duration = Duration::from_millis(10);

/// User and system time of a process with all its threads, and of its living children.
pub(crate) fn used(pid: u32) -> Result<Duration> {
    let mut ticks = 0;
    for entry in fs::read_dir("/proc")? {
        let Some(each) = entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // A process may end between the listing and the reading.
        let Ok(stat) = fs::read_to_string(format!("/proc/{each}/stat")) else { continue };
        let stat = parse(&stat).with_context(|| format!("cannot read /proc/{each}/stat"))?;
        if each == pid || stat.parent == pid {
            ticks += stat.ticks;
        }
    }
    Ok(TICK * ticks)
}

struct Stat {
    parent: u32,
    ticks: u32,
}

/// The command stands in parentheses and may hold anything, so fields are counted after the last one.
fn parse(stat: &str) -> Option<Stat> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let field = |position: usize| fields.get(position)?.parse::<u32>().ok();
    Some(Stat { parent: field(1)?, ticks: field(11)? + field(12)? })
}
