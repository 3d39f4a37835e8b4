//! An engine that a story may kill: a second `dockerd` with its own data, network addresses and socket.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::docker::{BASE, base_image, docker, docker_on};
use super::pause;

/// Set where a story runs in a network of its own.
const IN_NAMESPACE: &str = "AKKERISD_E2E_NETWORK_NAMESPACE";

/// Tells this story in a network namespace of its own, by running this program again for it alone. A second
/// engine clears up interfaces and packet filters as if it were the only one, and would take the machine's
/// bridge away. Returns false within the namespace, where the story is to be told.
pub fn told_in_a_network_of_its_own(story: &str) -> bool {
    if std::env::var_os(IN_NAMESPACE).is_some() {
        let up = Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap();
        assert!(up.success(), "the loopback interface does not come up");
        return false;
    }
    let told = Command::new("unshare")
        .arg("--net")
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", story, "--nocapture"])
        .env(IN_NAMESPACE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&told.stdout);
    eprintln!("{said}{}", String::from_utf8_lossy(&told.stderr));
    assert!(told.status.success() && said.contains("1 passed"), "{story} in a network namespace: see above");
    true
}

/// A `dockerd` of this test alone. Dropping it ends the process and takes its data away.
pub struct Engine {
    dir: tempfile::TempDir,
    child: Option<Child>,
}

impl Engine {
    /// Starts the engine and gives it the base image.
    pub async fn start() -> Self {
        let dir = tempfile::Builder::new().prefix("akkerisd-engine-").tempdir().unwrap();
        let mut engine = Self { dir, child: None };
        engine.spawn().await;
        base_image();
        engine.give(&[BASE]);
        engine
    }

    /// Gives the engine images that the machine's engine has.
    pub fn give(&self, images: &[&str]) {
        let archive = self.dir.path().join("images.tar");
        let archive = archive.to_str().unwrap();
        docker(&[&["save", "-o", archive], images].concat());
        docker_on(Some(&self.host()), &["load", "-i", archive]);
    }

    /// Starts the process, which must not run, and waits until it answers. One that gives up, because what a
    /// killed one left is not gone yet, is started again, as an init system would.
    pub async fn spawn(&mut self) {
        let deadline = Instant::now() + Duration::from_mins(2);
        loop {
            let mut child = self.spawn_once();
            let ready = wait_for_answer(&mut child, &self.host(), deadline).await;
            if ready {
                self.child = Some(child);
                return;
            }
            let log = std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "the engine does not answer:\n{log}");
        }
    }

    fn spawn_once(&self) -> Child {
        let path = |name: &str| self.dir.path().join(name);
        let log = std::fs::OpenOptions::new().create(true).append(true).open(path("log")).unwrap();
        // A killed engine leaves its pid file, and may find another process under that id.
        let _gone = std::fs::remove_file(path("pid"));
        Command::new("dockerd")
            .arg("--data-root")
            .arg(path("data"))
            .arg("--exec-root")
            .arg(path("exec"))
            .arg("--pidfile")
            .arg(path("pid"))
            .args(["--host", &self.host(), "--bridge", "none"])
            .args(["--default-address-pool", "base=10.213.0.0/16,size=24"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap()
    }

    /// Ends the engine as a crash would; its containers' processes are left to themselves.
    pub fn kill_9(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Where it listens, in the form of `DOCKER_HOST`.
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// Whether a mount of its data was there, and is not now.
    fn unmounts_data(&self) -> bool {
        let data = self.dir.path().join("data");
        Command::new("umount").arg(data).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("docker.sock")
    }
}

/// Whether the engine answers before it ends or the time is over.
async fn wait_for_answer(child: &mut Child, host: &str, deadline: Instant) -> bool {
    while Instant::now() < deadline && child.try_wait().unwrap().is_none() {
        let asked = Command::new("docker").env("DOCKER_HOST", host).arg("info").output();
        if asked.is_ok_and(|output| output.status.success()) {
            return true;
        }
        pause(Duration::from_millis(100)).await;
    }
    false
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // SIGTERM, so that it ends its containerd and unmounts what it mounted.
            let id = child.id().to_string();
            let asked = Command::new("kill").args(["-TERM", &id]).status();
            let ended = asked.is_ok_and(|status| status.success()).then(|| child.wait());
            if !matches!(ended, Some(Ok(_))) {
                eprintln!("the engine {id} did not end");
            }
        }
        // One that was killed before has made its data a mount upon a mount, of which it takes away one.
        while self.unmounts_data() {}
    }
}
