//! The table of results, as it is printed and as it is kept in `RESULTS.md`.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use akkerisd::clock::Clock;
use anyhow::{Context, Result};

use crate::case::Case;
use crate::{median, median_share};

/// What was measured of one case: for each contender, a cost per round in µs, and what its p99 was in µs where a rate
/// was kept.
pub(crate) struct Row {
    pub(crate) case: Case,
    pub(crate) costs: Vec<Vec<f64>>,
    pub(crate) p99: Vec<Vec<f64>>,
    /// The p99 without a proxy.
    pub(crate) direct: Vec<f64>,
}

/// One measured figure with the most that it may be.
pub(crate) struct Figure {
    pub(crate) title: &'static str,
    pub(crate) value: f64,
    pub(crate) target: f64,
}

/// The whole table, as Markdown. Contenders end with the edge without its lines, and the edge.
pub(crate) fn table(contenders: &[&str], rows: &[Row], figures: &[Figure], rounds: usize) -> String {
    let mut text = String::from(
        "CPU µs of the proxy per request, medians of the rounds; the share is the median of what the edge cost in a round \
         over what the better of nginx and HAProxy cost in it.\n\n",
    );
    // Writing to a string cannot fail.
    let _ = writeln!(text, "| case | {} | share | target |", contenders.join(" | "));
    let _ = writeln!(text, "|---|{}---|---|", "---|".repeat(contenders.len()));
    for row in rows {
        let medians: Vec<f64> = row.costs.iter().map(|costs| median(costs)).collect();
        let shown: Vec<String> = medians.iter().map(|median| format!("{median:.1}")).collect();
        let edge = row.costs.last().map_or(&[][..], Vec::as_slice);
        let share = median_share(edge, better(&row.costs));
        let _ = writeln!(
            text,
            "| {} | {} | **{share:.2}** | {:.2} |",
            row.case.title(),
            shown.join(" | "),
            row.case.target()
        );
    }
    for row in rows.iter().filter(|row| !row.direct.is_empty()) {
        let direct = median(&row.direct);
        let added: Vec<f64> = row.p99.iter().map(|p99| median(p99) - direct).collect();
        let shown: Vec<String> = added.iter().map(|added| format!("{added:.0}")).collect();
        let nginx = added.first().copied().unwrap_or(f64::NAN);
        let share = added.last().copied().unwrap_or(f64::NAN) / nginx;
        let _ = writeln!(
            text,
            "| {}: added p99, µs (share of nginx's) | {} | **{share:.2}** | 1.10 |",
            row.case.title(),
            shown.join(" | ")
        );
    }
    if !figures.is_empty() {
        text.push_str("\n| scale | edge | target |\n|---|---|---|\n");
    }
    for Figure { title, value, target } in figures {
        let _ = writeln!(text, "| {title} | **{value:.2}** | {target} |");
    }
    let _ = writeln!(text, "\n{rounds} rounds, interleaved.");
    text
}

/// Keeps the table with the machine and the date.
pub(crate) fn keep(table: &str) -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/RESULTS.md");
    let cpus = fs::read_to_string("/proc/cpuinfo")?;
    let models = || cpus.lines().filter(|line| line.starts_with("model name"));
    let model = models().next().and_then(|line| line.split(": ").nth(1)).unwrap_or("an unknown CPU");
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let date = Clock::system().now().to_string();
    let date = date.split('T').next().context("a time has a date")?;
    let text = format!(
        "# The edge against its peers\n\nWritten by `cargo bench --bench edge` on {date}: {} × {model}, Linux {}.\n\n{table}",
        models().count(),
        kernel.trim()
    );
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// What the better of nginx and HAProxy cost.
fn better(costs: &[Vec<f64>]) -> &[f64] {
    let peers = costs.iter().take(2);
    peers.min_by(|one, other| median(one).total_cmp(&median(other))).map_or(&[], Vec::as_slice)
}
