//! The edge against nginx and HAProxy on this machine: `cargo bench --bench edge [-- CASE… [--rounds N]]`.
//!
//! The figure is CPU microseconds (user + system) of the proxy per request, because it hardly moves when the
//! machine does. Rounds are interleaved: each case runs once for each proxy before the next round begins.
#![expect(clippy::print_stdout, reason = "the table is what this program is for")]

mod backend;
mod contenders;
mod cpu;
mod load;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use contenders::Contender;
use load::Case;

const RUN: Duration = Duration::from_secs(3);
const WARM_UP: Duration = Duration::from_millis(500);

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["serve-backend"] => backend::serve(),
        ["serve-edge", folder, backend] => contenders::serve_edge(Path::new(folder), backend.parse()?),
        [cases @ .., "--rounds", rounds] => compare(cases, rounds.parse()?),
        cases => compare(cases, 3),
    }
}

fn compare(names: &[&str], rounds: usize) -> Result<()> {
    let cases: Vec<Case> =
        Case::ALL.into_iter().filter(|case| names.is_empty() || names.contains(&case.name())).collect();
    if cases.is_empty() {
        bail!("no such case: {names:?}; there are {:?}", Case::ALL.map(Case::name));
    }
    let folder = tempfile::tempdir()?;
    let backend = backend::start()?;
    let contenders = contenders::start_all(folder.path(), backend.address)?;
    let mut costs = vec![vec![Vec::new(); contenders.len()]; cases.len()];
    for _ in 0..rounds {
        for (case, costs) in cases.iter().zip(&mut costs) {
            for (contender, costs) in contenders.iter().zip(costs) {
                costs.push(measure(*case, contender, folder.path())?);
            }
        }
    }
    print_table(&cases, &contenders, &costs);
    Ok(())
}

/// CPU microseconds per request.
fn measure(case: Case, contender: &Contender, folder: &Path) -> Result<f64> {
    case.run(contender, folder, WARM_UP)?;
    let before = cpu::used(contender.pid())?;
    let requests =
        case.run(contender, folder, RUN).with_context(|| format!("{}, {}", case.name(), contender.name))?;
    let used = cpu::used(contender.pid())?.saturating_sub(before);
    if requests == 0 {
        bail!("{} answered nothing in {}", contender.name, case.name());
    }
    Ok(used.as_secs_f64() * 1e6 / f64::from(requests))
}

fn print_table(cases: &[Case], contenders: &[Contender], costs: &[Vec<Vec<f64>>]) {
    println!(
        "CPU microseconds of the proxy per request, medians; ratio of the edge to the better of the others"
    );
    print!("{:<28}", "case");
    for contender in contenders {
        print!("{:>10}", contender.name);
    }
    println!("{:>10}", "ratio");
    for (case, costs) in cases.iter().zip(costs) {
        let medians: Vec<f64> = costs.iter().map(|costs| median(costs)).collect();
        print!("{:<28}", case.title());
        for median in &medians {
            print!("{median:>10.1}");
        }
        let (edge, others) = medians.split_last().unwrap_or((&0.0, &[]));
        println!("{:>10.2}", edge / others.iter().copied().fold(f64::INFINITY, f64::min));
    }
}

fn median(costs: &[f64]) -> f64 {
    let mut sorted = costs.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
