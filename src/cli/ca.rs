//! `akkerisd ca print`: the certificate that clients have to trust.

use std::io::Write;

use anyhow::Context;

use super::failure::Failure;
use crate::config::Config;

#[derive(Debug, clap::Subcommand)]
pub(super) enum CaCommand {
    /// Print the certificate of the local authority, in PEM
    Print,
}

pub(super) fn run(command: &CaCommand, config: &Config, output: &mut dyn Write) -> Result<(), Failure> {
    match command {
        CaCommand::Print => {
            let path = config.ca_certificate_path();
            let certificate = std::fs::read(&path)
                .with_context(|| {
                    format!(
                        "the certificate {} cannot be read: it is made when the daemon starts for the first time; \
                         for another data dir use --data-dir",
                        path.display()
                    )
                })
                .map_err(Failure::Io)?;
            output.write_all(&certificate)?;
            Ok(())
        }
    }
}
