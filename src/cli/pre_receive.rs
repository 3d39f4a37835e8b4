//! What this program does when git runs it before a branch moves (`crate::git::hook`).

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use crate::config;
use crate::git::hook::{self, Ticket};

/// Whether git called this program by the name of its hook.
pub(super) fn is_called(program: &Path) -> bool {
    program.file_name().is_some_and(|name| name == hook::NAME)
}

/// Asks the daemon. What is written to standard error appears in the terminal of the one who pushes.
pub(super) fn run() -> ExitCode {
    let mut screen = io::stderr();
    let asked = config::pushed().map_err(io::Error::other).and_then(|push| {
        let push =
            push.ok_or_else(|| io::Error::other("this repository is written to by its daemon only"))?;
        let quarantine = push.quarantine.map(Into::into);
        let ticket = Ticket { socket: push.socket.into(), key: push.key, quarantine };
        hook::ask(ticket, io::stdin().lock(), &mut screen)
    });
    match asked {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            writeln!(screen, " !     akkerisd did not let the push in: {error}").ok();
            ExitCode::FAILURE
        }
    }
}
