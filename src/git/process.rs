//! git as a child process: the one place of this room that starts any.
//!
//! Invariants: arguments are typed and no shell sees them; the environment is what is set here and nothing else; a
//! process that is dropped is killed with all that it started.

#![expect(clippy::disallowed_types, reason = "the one place that runs git, without a shell")]

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::GitError;

/// Where programs are looked for, whatever this process was started with.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin";
/// Bytes that are kept of what git says to a question.
const ANSWER_LIMIT: u64 = 1 << 20;
/// Bytes that are kept of what git says about its failure.
const COMPLAINT_LIMIT: u64 = 4 * 1024;

/// The program, and the folder that it takes for a home: an empty one, so that nobody's configuration counts.
#[derive(Debug, Clone)]
pub(super) struct Program {
    program: PathBuf,
    home: PathBuf,
}

/// A process to be.
#[derive(Debug)]
pub(super) struct Invocation(Command);

/// A process with its input and output.
#[derive(Debug)]
pub(super) struct Running {
    child: Child,
    /// Taken by whoever writes to it.
    pub(super) input: Option<ChildStdin>,
    /// Taken by whoever reads from it.
    pub(super) output: Option<ChildStdout>,
}

impl Program {
    pub(super) fn new(program: &Path, home: &Path) -> Self {
        Self { program: program.to_owned(), home: home.to_owned() }
    }

    /// git with these settings (`-c name=value`) instead of any configuration.
    pub(super) fn invoke(&self, settings: &[(&str, String)]) -> Invocation {
        let mut command = Command::new(&self.program);
        command
            .env_clear()
            .env("PATH", PATH)
            .env("HOME", &self.home)
            .env("LC_ALL", "C")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .current_dir("/")
            .process_group(0)
            .kill_on_drop(true)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        for (name, value) in settings {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        Invocation(command)
    }
}

impl Invocation {
    pub(super) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.0.arg(argument);
        self
    }

    pub(super) fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.0.args(arguments);
        self
    }

    pub(super) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.0.env(name, value);
        self
    }

    /// Lets its input be written to.
    pub(super) fn with_input(mut self) -> Self {
        self.0.stdin(Stdio::piped());
        self
    }

    /// Starts the process.
    pub(super) fn start(mut self) -> Result<Running, GitError> {
        let mut child = self.0.spawn().map_err(not_started)?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        Ok(Running { child, input, output })
    }

    /// Runs the process to its end and gives what it wrote, at most 1 MiB of it.
    pub(super) async fn ask(mut self, limit: Duration) -> Result<Vec<u8>, GitError> {
        self.0.stderr(Stdio::piped());
        let mut running = self.start()?;
        let (output, complaint) = (running.output.take(), running.child.stderr.take());
        let asked = async {
            let (answer, complaint) =
                tokio::join!(read(output, ANSWER_LIMIT), read(complaint, COMPLAINT_LIMIT));
            if running.child.wait().await?.success() {
                return answer;
            }
            Err(GitError::Failed(String::from_utf8_lossy(&complaint?).trim().to_owned()))
        };
        tokio::time::timeout(limit, asked).await.unwrap_or(Err(GitError::Slow))
    }
}

impl Running {
    /// Waits for the end of the process; whether it was success. Its output must have been read, or dropped.
    pub(super) async fn wait(&mut self) -> Result<bool, GitError> {
        Ok(self.child.wait().await?.success())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Its id is known only as long as nobody has waited for its end, and belongs to nobody else until then.
        let group = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(group) = group
            && let Err(error) = kill_process_group(group, Signal::KILL)
        {
            tracing::debug!(%error, "git had ended");
        }
    }
}

fn not_started(error: std::io::Error) -> GitError {
    if error.kind() == std::io::ErrorKind::NotFound { GitError::Missing } else { GitError::Io(error) }
}

async fn read(from: Option<impl AsyncRead + Unpin>, limit: u64) -> Result<Vec<u8>, GitError> {
    let mut content = Vec::new();
    if let Some(from) = from {
        from.take(limit).read_to_end(&mut content).await?;
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn git_knows_only_the_environment_and_the_settings_that_it_is_given() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("stray"), "").unwrap();
        let git = Program::new(Path::new("git"), home.path());
        let settings = [("core.hooksPath", "/a b".to_owned())];
        let listed = git.invoke(&settings).args(["config", "--list"]).ask(Duration::from_secs(30)).await;
        assert_eq!(String::from_utf8(listed.unwrap()).unwrap().trim(), "core.hookspath=/a b");
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_told_from_one_that_fails() {
        let none = Program::new(Path::new("/nowhere/git"), Path::new("/"));
        let missing = none.invoke(&[]).arg("version").ask(Duration::from_secs(30)).await;
        assert!(matches!(missing, Err(GitError::Missing)), "{missing:?}");
        let git = Program::new(Path::new("git"), Path::new("/nowhere"));
        let failed = git.invoke(&[]).args(["cat-file", "-t", "x"]).ask(Duration::from_secs(30)).await;
        assert!(matches!(&failed, Err(GitError::Failed(why)) if why.contains("not a git repository")));
    }
}
