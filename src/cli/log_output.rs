//! Where the daemon's own log goes: standard error, as text or as one JSON object a line.

use std::io::{self, IsTerminal};

use anyhow::anyhow;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use super::failure::Failure;
use crate::config::{LogConfig, LogFormat, LogLevel};

/// Sends the records of this process to standard error; once a process.
pub(super) fn install(config: LogConfig) -> Result<(), Failure> {
    let filter = EnvFilter::new(directives(config.level));
    let log = fmt::Subscriber::builder()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    let installed = match config.format {
        LogFormat::Text => log.try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
    installed.map_err(|error| Failure::Bug(anyhow!(error)))
}

/// What is written of the daemon, and of the libraries that it uses: their records of what they send to the engine hold
/// the config vars of apps, and are never written.
fn directives(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "info,akkerisd=debug",
        LogLevel::Trace => "info,akkerisd=trace",
    }
}
