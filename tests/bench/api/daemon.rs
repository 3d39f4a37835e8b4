//! The real daemon in a process of its own, on loopback.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
#[expect(clippy::disallowed_types, reason = "the daemon is measured as a process of its own")]
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use crate::connection::{Connection, Request};
use crate::{cpu, schedule, unit};

/// The admin token of the measured daemon.
pub(crate) const TOKEN: &str = "bench-token-0123456789abcdef0123456789abcdef";
/// The first look at 1,000 apps takes a while.
const START_LIMIT: Duration = Duration::from_mins(2);
const BETWEEN_TRIES: Duration = Duration::from_millis(50);

/// A running daemon; dropping it ends the process.
#[derive(Debug)]
pub(crate) struct Daemon {
    /// Where the API answers.
    pub(crate) api: SocketAddr,
    folder: PathBuf,
    child: Child,
}

impl Daemon {
    /// Starts the daemon on `<folder>/data` and waits until its API answers.
    #[expect(clippy::disallowed_types, reason = "the daemon is measured as a process of its own")]
    pub(crate) fn start(folder: &Path) -> Result<Self> {
        let (api, http, https) = (free_address()?, free_address()?, free_address()?);
        let log = std::fs::File::create(folder.join("daemon.log"))?;
        let child = Command::new(env!("CARGO_BIN_EXE_akkerisd"))
            .args(["serve", "--data-dir"])
            .arg(folder.join("data"))
            .args(["--api-addr", &api.to_string(), "--http-addr", &http.to_string()])
            .args(["--https-addr", &https.to_string(), "--apps-domain", "localhost"])
            .env("AKKERISD_ADMIN_TOKEN", TOKEN)
            .envs(unit::environment())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        let mut daemon = Self { api, folder: folder.to_owned(), child };
        daemon.wait_for_api()?;
        Ok(daemon)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where the data dir lies, and room for more on the same disk.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Bytes of resident memory.
    pub(crate) fn memory(&self) -> Result<f64> {
        Ok(f64::from(cpu::memory(self.pid())?) * 1024.0)
    }

    /// What the daemon logged.
    pub(crate) fn log(&self) -> String {
        let log = std::fs::read_to_string(self.folder.join("daemon.log")).unwrap_or_default();
        format!("the daemon logged:\n{log}")
    }

    fn wait_for_api(&mut self) -> Result<()> {
        let start = Instant::now();
        let request = Request::get(self, "/apps?simple=true");
        while Connection::open(self.api).and_then(|mut connection| connection.send(&request)).is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("the daemon ended ({status}); does Docker run? {}", self.log());
            }
            ensure!(start.elapsed() < START_LIMIT, "the API does not answer; {}", self.log());
            schedule::sleep_until(Instant::now() + BETWEEN_TRIES);
        }
        println!(
            "started in {:.1} s, {:.1} MiB of memory",
            start.elapsed().as_secs_f64(),
            self.memory()? / crate::MIB
        );
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

/// An address that was free a moment ago.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
