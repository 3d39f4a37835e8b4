//! The operator's program for DNS records.
//!
//! Invariant: no shell and no environment; a program that does not end in time is killed.

use std::process::{Child, ExitStatus, Stdio};
use std::time::Duration;

use tokio::time::Instant;

use super::{DnsError, ProofRecord};

/// How long one call may take.
const LIMIT: Duration = Duration::from_mins(1);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A program with the arguments that come first.
#[derive(Debug)]
pub(super) struct HookProgram {
    argv: Vec<String>,
    limit: Duration,
}

impl HookProgram {
    /// `argv` begins with the program's path.
    pub(super) fn new(argv: Vec<String>) -> Self {
        Self { argv, limit: LIMIT }
    }

    /// Runs it with the verb, the name and the value behind its own arguments. Its words go to the daemon's standard
    /// error, and into no error text, because they may hold a secret.
    pub(super) async fn run(&self, verb: &'static str, record: &ProofRecord) -> Result<(), DnsError> {
        let failed = |reason: String| DnsError::Hook {
            program: self.argv.first().cloned().unwrap_or_default(),
            reason,
        };
        let mut argv = self.argv.clone();
        argv.extend([verb.to_owned(), record.name.clone(), record.value.clone()]);
        let started = tokio::task::spawn_blocking(move || spawn(&argv)).await;
        let started = started.map_err(std::io::Error::other).flatten();
        let running = started.map_err(|error| failed(format!("cannot be started: {error}")))?;
        let ended = running.wait(self.limit).await;
        match ended.map_err(|error| failed(format!("cannot be waited for: {error}")))? {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(failed(format!("failed at {verb} {} ({status})", record.name))),
            None => {
                Err(failed(format!("did not end {verb} {} within {} s", record.name, self.limit.as_secs())))
            }
        }
    }
}

/// A process that is killed when nobody waits for it any more.
struct Running(Option<Child>);

impl Running {
    /// How it ended; `None` when it did not in time.
    async fn wait(mut self, limit: Duration) -> std::io::Result<Option<ExitStatus>> {
        let deadline = Instant::now() + limit;
        loop {
            let Some(child) = &mut self.0 else { return Ok(None) };
            if let Some(status) = child.try_wait()? {
                self.0 = None;
                return Ok(Some(status));
            }
            if Instant::now() > deadline {
                return Ok(None);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(child) = &mut self.0 else { return };
        // SIGKILL, so the wait is for the kernel only.
        if let Err(error) = child.kill().and_then(|()| child.wait()) {
            tracing::error!(%error, pid = child.id(), "a program for DNS records could not be ended");
        }
    }
}

#[expect(clippy::disallowed_types, reason = "the operator's own program, with typed arguments and no shell")]
fn spawn(argv: &[String]) -> std::io::Result<Running> {
    let (program, arguments) =
        argv.split_first().ok_or_else(|| std::io::Error::from(std::io::ErrorKind::InvalidInput))?;
    std::process::Command::new(program)
        .args(arguments)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .map(|child| Running(Some(child)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A program that does what the script says.
    fn program(dir: &tempfile::TempDir, script: &str, limit: Duration) -> HookProgram {
        let path = dir.path().join("hook");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        HookProgram { argv: vec![path.display().to_string(), "first".to_owned()], limit }
    }

    fn record() -> ProofRecord {
        ProofRecord::of("*.example.test", "a value; $(id)".to_owned())
    }

    #[tokio::test]
    async fn it_gets_its_arguments_as_they_are_and_no_environment() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        let script = format!(
            "for a in \"$@\"; do echo \"$a\" >> {0}; done; echo \"home=$HOME\" >> {0}",
            out.display()
        );
        program(&dir, &script, LIMIT).run("present", &record()).await.unwrap();
        let seen = std::fs::read_to_string(out).unwrap();
        assert_eq!(seen, "first\npresent\n_acme-challenge.example.test\na value; $(id)\nhome=\n");
    }

    #[tokio::test]
    async fn one_that_fails_hangs_or_is_missing_is_told_with_its_reason() {
        let dir = tempfile::tempdir().unwrap();
        let failing = program(&dir, "exit 3", LIMIT).run("cleanup", &record()).await.unwrap_err().to_string();
        assert!(
            failing.contains("failed at cleanup _acme-challenge.example.test") && failing.contains('3'),
            "{failing}"
        );
        let hanging = program(&dir, "exec sleep 1000", Duration::from_millis(100));
        let hanging = hanging.run("present", &record()).await.unwrap_err().to_string();
        assert!(hanging.contains("did not end present"), "{hanging}");
        let missing = HookProgram::new(vec!["/nowhere/hook".to_owned()]);
        let missing = missing.run("present", &record()).await.unwrap_err().to_string();
        assert!(missing.contains("/nowhere/hook") && missing.contains("cannot be started"), "{missing}");
    }
}
