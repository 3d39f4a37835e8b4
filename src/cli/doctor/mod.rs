//! `akkerisd doctor`: one line a check, with what to do about what is wrong.
//!
//! Invariant: it leaves nothing changed, so it can run beside the daemon at any time.

mod backups;
mod certificates;
mod engine;
mod files;
mod git;
mod network;
mod secrets;
mod state;

use std::io::Write;

use anyhow::anyhow;

use super::failure::Failure;
use super::progress::Progress;
use crate::config::Config;

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Finding {
    /// All is well; what was seen.
    Fine(String),
    /// The daemon works, but not all of it.
    Doubtful(String),
    /// The daemon does not work; the text says what to do.
    Broken(String),
}

type Check = (&'static str, fn(&Config) -> Finding);

const CHECKS: &[Check] = &[
    ("data dir", files::data_dir),
    ("disk space", files::disk_space),
    ("database", files::database),
    ("secret key", secrets::secret_key),
    ("admin token", secrets::admin_token),
    ("clock", state::clock),
    ("certificate authority", files::certificate_authority),
    ("authority's key", secrets::authority_key),
    ("certificates", certificates::ordered),
    ("certificate files", certificates::in_folder),
    ("catalogue", files::catalogue),
    ("sizes", state::sizes),
    ("Docker Engine", engine::docker),
    ("engine's features", engine::features),
    ("leftovers", engine::leftovers),
    ("build cache", engine::build_cache),
    ("git", git::program),
    ("releases", state::releases),
    ("builds", state::builds),
    ("dynos", state::dynos),
    ("log drains", state::log_drains),
    ("backups", backups::storage),
    ("addon volumes", state::addon_volumes),
    ("API listener", network::api_listener),
    ("HTTP listener", network::http_listener),
    ("HTTPS listener", network::https_listener),
    ("apps domain", network::apps_domain),
];

/// Prints every check; fails when one found something broken. The configuration was checked by loading it.
pub(super) fn run(config: &Config, output: &mut dyn Write) -> Result<(), Failure> {
    let progress = Progress::new();
    let mut broken = 0;
    print("configuration", &Finding::Fine("valid".to_owned()), output)?;
    for (name, check) in CHECKS {
        progress.show(&format!("checking {name}"));
        let finding = check(config);
        progress.clear();
        print(name, &finding, output)?;
        broken += usize::from(matches!(finding, Finding::Broken(_)));
    }
    if broken == 0 {
        Ok(())
    } else {
        Err(Failure::Io(anyhow!("{broken} of {} checks failed", CHECKS.len() + 1)))
    }
}

/// Waits for an answer; the error is a text for people.
fn wait<T, E: std::fmt::Display>(answer: impl Future<Output = Result<T, E>>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| error.to_string())?.block_on(answer).map_err(|error| error.to_string())
}

fn print(name: &str, finding: &Finding, output: &mut dyn Write) -> std::io::Result<()> {
    let (mark, text) = match finding {
        Finding::Fine(text) => ("ok", text),
        Finding::Doubtful(text) => ("warn", text),
        Finding::Broken(text) => ("fail", text),
    };
    writeln!(output, "{mark:<4}  {name:<21}  {text}")
}
