//! The `akkerisd` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    akkerisd::cli::main(std::env::args_os())
}
