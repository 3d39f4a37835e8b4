//! The edge against nginx, HAProxy and Caddy on this machine:
//! `cargo bench --bench edge [-- CASE… [--rounds N]]`; all cases write `tests/bench/RESULTS.md`.
//!
//! The figure is CPU microseconds (user + system) of the proxy per request, because it hardly moves when the
//! machine does. Rounds are interleaved: each case runs once for each proxy before the next round begins. They are short
//! and many, because the pace of a machine that is shared changes for some seconds at a time, and that of a p99 more.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the table is what this program is for")]

mod backend;
mod case;
mod contenders;
mod cpu;
mod endurance;
mod load;
mod paced;
mod results;
mod scale;
mod unit;
mod wire;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use case::Case;
use contenders::Contender;
use load::Load;
use results::Row;

const ROUNDS: usize = 7;
const RUN: Duration = Duration::from_secs(2);
/// A kept rate makes fewer requests, so it is watched for longer.
const PACED_RUN: Duration = Duration::from_secs(4);
const WARM_UP: Duration = Duration::from_millis(500);

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *arguments.as_slice() {
        ["serve-backend"] => backend::serve(),
        ["serve-edge", variant, folder, backend, http, https] => {
            contenders::edge::serve(variant, Path::new(folder), [backend, http, https])
        }
        [ref cases @ .., "--rounds", rounds] => compare(cases, rounds.parse()?),
        ref cases => compare(cases, ROUNDS),
    }
}

fn compare(names: &[&str], rounds: usize) -> Result<()> {
    let mut known: Vec<&str> = Case::ALL.map(Case::name).to_vec();
    known.extend(["scale", "endurance"]);
    if let Some(unknown) = names.iter().find(|name| !known.contains(name)) {
        bail!("no such case: {unknown}; there are {known:?}");
    }
    let chosen = |name: &str| names.is_empty() || names.contains(&name);
    let folder = tempfile::tempdir()?;
    let backend = backend::start()?;
    let contenders = contenders::start_all(folder.path(), backend.address)?;
    let mut rows: Vec<Row> =
        Case::ALL.into_iter().filter(|case| chosen(case.name())).map(|case| row(case, &contenders)).collect();
    for round in 1..=rounds {
        for row in &mut rows {
            eprintln!("round {round} of {rounds}: {}", row.case.title());
            measure(row, round, &contenders, (folder.path(), backend.address))?;
        }
    }
    let mut figures = Vec::new();
    if chosen("scale") {
        figures.extend(scale::measure(folder.path(), backend.address, rounds)?);
    }
    if chosen("endurance") {
        figures.extend(endurance::measure(folder.path(), backend.address)?);
    }
    let names_of: Vec<&str> = contenders.iter().map(|contender| contender.name).collect();
    let table = results::table(&names_of, &rows, &figures, rounds);
    println!("{table}");
    if names.is_empty() { results::keep(&table) } else { Ok(()) }
}

fn row(case: Case, contenders: &[Contender]) -> Row {
    let empty = vec![Vec::new(); contenders.len()];
    Row { case, costs: empty.clone(), p99: empty, direct: Vec::new() }
}

/// One round of one case. Each round begins with another contender: what one leaves behind in the kernel and in the
/// backend, the next one pays for.
fn measure(
    row: &mut Row,
    round: usize,
    contenders: &[Contender],
    (folder, backend): (&Path, SocketAddr),
) -> Result<()> {
    let paced = matches!(row.case, Case::Paced | Case::PacedTls);
    let time = if paced { PACED_RUN } else { RUN };
    let all = contenders.iter().zip(&mut row.costs).zip(&mut row.p99);
    let mut all: Vec<_> = all.map(|((contender, costs), p99s)| (contender, costs, p99s)).collect();
    let first = round % all.len();
    all.rotate_left(first);
    for (contender, costs, p99s) in all {
        row.case.run(contender, folder, WARM_UP)?;
        let before = cpu::used(contender.pid())?;
        let Load { requests, p99 } = row
            .case
            .run(contender, folder, time)
            .with_context(|| format!("{}, {}", row.case.name(), contender.name))?;
        let used = cpu::used(contender.pid())?.saturating_sub(before);
        if requests == 0 {
            bail!("{} answered nothing in {}", contender.name, row.case.name());
        }
        costs.push(used.as_secs_f64() * 1e6 / f64::from(requests));
        p99s.extend(p99.map(|p99| p99.as_secs_f64() * 1e6));
    }
    if paced {
        let direct = paced::run(&wire::Wire::plain(backend), time)?.p99.context("a rate has a p99")?;
        row.direct.push(direct.as_secs_f64() * 1e6);
    }
    Ok(())
}

/// The middle one of the rounds' shares: the machine's pace in a round moves both of its figures alike.
fn median_share(parts: &[f64], wholes: &[f64]) -> f64 {
    let shares: Vec<f64> = parts.iter().zip(wholes).map(|(part, whole)| part / whole).collect();
    median(&shares)
}

/// The middle one; not a number when there is none.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
