//! The command line: one file a subcommand, the flags they share, and the exit codes.
//!
//! Invariant: results go to standard output and nothing else does; progress, logs and errors go to
//! standard error, so that a script can capture what it asked for.

mod ca;
mod config;
mod database;
mod doctor;
mod failure;
mod flags;
mod log_output;
mod openapi;
mod pre_receive;
mod progress;
mod serve;
mod token;
mod upgrade;
mod user;
mod watch;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::failure::Failure;
use self::flags::ConfigFlags;

/// Your own Akkeris on one machine: the Platform Apps API, builds, dynos and a TLS edge.
#[derive(Debug, Parser)]
#[command(name = "akkerisd", version, propagate_version = true, arg_required_else_help = true)]
struct Arguments {
    #[command(flatten)]
    flags: ConfigFlags,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon in the foreground; logs go to standard error
    Serve,
    /// Look at the configuration
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Make, list and revoke API tokens, also while the daemon runs
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Make, list and suspend accounts, also while the daemon runs
    #[command(subcommand)]
    User(user::UserCommand),
    /// The local certificate authority
    #[command(subcommand)]
    Ca(ca::CaCommand),
    /// Check this installation and say what to do about what is wrong
    Doctor,
    /// Let another binary take the running daemon's place, without a lost connection
    Upgrade(upgrade::UpgradeCommand),
    /// Print the OpenAPI document of the API
    Openapi,
    /// Build and release a folder whenever it changes, and show the log of its app
    Watch(watch::WatchCommand),
}

/// Runs the command that the arguments name; the exit codes are those of the operator's interface.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut arguments = arguments.into_iter().peekable();
    if arguments.peek().is_some_and(|program| pre_receive::is_called(Path::new(program))) {
        return pre_receive::run();
    }
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => return answer_usage(&error),
    };
    match run(arguments, &mut io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) if failure.is_closed_pipe() => ExitCode::SUCCESS,
        Err(failure) => {
            // With a closed standard error there is nobody left to tell.
            writeln!(io::stderr(), "akkerisd: {failure}").ok();
            failure.exit_code()
        }
    }
}

fn run(arguments: Arguments, output: &mut dyn Write) -> Result<(), Failure> {
    let flags = &arguments.flags;
    match arguments.command {
        Command::Serve => serve::run(flags),
        Command::Config(command) => config::run(&command, flags, output),
        Command::Token(command) => token::run(command, &flags.load()?, output),
        Command::User(command) => user::run(command, &flags.load()?, output),
        Command::Ca(command) => ca::run(&command, &flags.load()?, output),
        Command::Doctor => doctor::run(&flags.load()?, output),
        Command::Upgrade(command) => upgrade::run(command, &flags.load()?, output),
        Command::Openapi => openapi::run(output),
        Command::Watch(command) => watch::run(&command, &flags.load()?, output),
    }
}

/// Help and version are answers; anything else is bad usage.
fn answer_usage(error: &clap::Error) -> ExitCode {
    error.print().ok();
    if error.use_stderr() { failure::USAGE.into() } else { ExitCode::SUCCESS }
}
