//! The check of git, without which nobody can push.

use super::Finding;
use crate::config::Config;
use crate::git::{self, GitError};

pub(super) fn program(config: &Config) -> Finding {
    let program = &config.git.program;
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Finding::Doubtful(format!("not known: {error}")),
    };
    match runtime.block_on(git::version(program)) {
        Ok(version) => Finding::Fine(format!("{version}; apps take git push")),
        Err(GitError::Missing) => Finding::Doubtful(format!(
            "{} is not there, so git push does not work; install the package git",
            program.display()
        )),
        Err(error) => Finding::Doubtful(format!(
            "{} does not work ({error}), so git push does not; install the package git",
            program.display()
        )),
    }
}
