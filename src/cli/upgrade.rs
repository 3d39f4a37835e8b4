//! `akkerisd upgrade`: another program takes the running daemon's place, without a lost connection.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::anyhow;

use super::failure::Failure;
use super::progress::Progress;
use crate::config::{self, Config};
use crate::upgrade::control::{self, UpgradeAnswer, UpgradeRequest};

/// What the daemon may need beyond the time that the new one has: to end its control plane, and to take it up again.
const PATIENCE: Duration = Duration::from_mins(3);

#[derive(Debug, clap::Args)]
pub(super) struct UpgradeCommand {
    /// The program to go on with [default: the one that runs this command]
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
    /// How long the new daemon may take to be ready, before the old one goes on
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = timeout)]
    timeout: Duration,
}

pub(super) fn run(command: UpgradeCommand, config: &Config, output: &mut dyn Write) -> Result<(), Failure> {
    let binary = match command.binary {
        Some(path) => std::path::absolute(path)?,
        None => std::env::current_exe()?,
    };
    let request = UpgradeRequest { binary, timeout: command.timeout };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match runtime.block_on(ask(config, &request))? {
        UpgradeAnswer::Done { pid } => {
            writeln!(
                output,
                "the new daemon serves (process {pid}); the old one ends with its last connection"
            )?;
            Ok(())
        }
        UpgradeAnswer::Failed { reason } => Err(Failure::Io(anyhow!("{reason}; the old daemon serves on"))),
        UpgradeAnswer::Progress { text } => Err(Failure::Bug(anyhow!("the daemon stopped at: {text}"))),
    }
}

async fn ask(config: &Config, request: &UpgradeRequest) -> Result<UpgradeAnswer, Failure> {
    let progress = Progress::new();
    let (path, limit) = (config.control_path(), request.timeout + PATIENCE);
    let asked = control::ask(&path, request, |text| progress.show(text));
    let answer = tokio::time::timeout(limit, asked).await;
    progress.clear();
    match answer {
        Ok(answer) => answer.map_err(|error| Failure::Io(error.into())),
        Err(_) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("the daemon did not answer within {limit:?}"),
        ))?,
    }
}

fn timeout(text: &str) -> Result<Duration, String> {
    config::duration(text)
        .filter(|limit| !limit.is_zero())
        .ok_or_else(|| "must be a duration like 60s".to_owned())
}
