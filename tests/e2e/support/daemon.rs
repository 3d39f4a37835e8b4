//! The real daemon in a data directory of its own, and the web as its apps' users see it.

use std::ffi::OsString;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use super::client::Client;
use super::docker::{docker_on, docker_quietly};
use super::{archive, free_ports, wait_until};

pub const TOKEN: &str = "e2e-token-0123456789abcdef0123456789abcdef0123456789abcdef";

/// A daemon under test. Dropping it ends the process and removes everything it made in the engine.
pub struct Daemon {
    dir: tempfile::TempDir,
    ports: Ports,
    extra: Vec<(String, String)>,
    child: Option<Child>,
}

#[derive(Clone, Copy)]
struct Ports {
    api: u16,
    http: u16,
    https: u16,
}

/// The daemon that is tested: the one of this build, or what `AKKERISD_PROGRAM` names where somebody measures another
/// one (a release build).
pub fn tested_program() -> OsString {
    std::env::var_os("AKKERISD_PROGRAM").unwrap_or_else(|| env!("CARGO_BIN_EXE_akkerisd").into())
}

impl Daemon {
    /// Starts a daemon and waits until its API answers.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts a daemon with more environment variables.
    pub async fn start_with(extra: &[(&str, &str)]) -> Self {
        Self::start_prepared(extra, |_| {}).await
    }

    /// The same, with a data dir into which something was put.
    pub async fn start_prepared(extra: &[(&str, &str)], prepare: impl FnOnce(&std::path::Path)) -> Self {
        archive::Source::version("warm-up");
        let dir = tempfile::Builder::new().prefix("akkerisd-e2e-").tempdir().unwrap();
        let data = dir.path().join("data");
        std::fs::create_dir(&data).unwrap();
        prepare(&data);
        let [api, http, https] = free_ports();
        let ports = Ports { api, http, https };
        let extra = extra.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut daemon = Self { dir, ports, extra, child: None };
        daemon.spawn(&[]);
        daemon.wait_for_api().await;
        daemon
    }

    /// Starts the process, which must not run.
    pub fn spawn(&mut self, extra: &[(&str, &str)]) {
        self.spawn_by(Command::new(tested_program()), extra);
    }

    /// Starts the process by a program that is given sockets for it as its standard streams, and what to run with
    /// which arguments.
    pub fn spawn_with_sockets(&mut self, mut launcher: Command) {
        launcher.arg(tested_program());
        self.run(launcher, &[]);
    }

    /// The addresses of the API, HTTP and HTTPS.
    pub fn addresses(&self) -> [std::net::SocketAddr; 3] {
        [self.ports.api, self.ports.http, self.ports.https].map(|port| ([127, 0, 0, 1], port).into())
    }

    fn spawn_by(&mut self, mut command: Command, extra: &[(&str, &str)]) {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log_path()).unwrap();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.run(command, extra);
    }

    fn run(&mut self, mut command: Command, extra: &[(&str, &str)]) {
        let address = |port: u16| format!("127.0.0.1:{port}");
        let child = command
            .arg("serve")
            .arg("--data-dir")
            .arg(self.dir.path().join("data"))
            .args(["--api-addr", &address(self.ports.api), "--http-addr", &address(self.ports.http)])
            .args(["--https-addr", &address(self.ports.https), "--apps-domain", "localhost", "--no-redirect"])
            .env("AKKERISD_ADMIN_TOKEN", TOKEN)
            .env("AKKERISD_DYNOS_STOP_GRACE", "5s")
            .env("AKKERISD_DYNOS_BOOT_TIMEOUT", "15s")
            .envs(self.extra.iter().map(|(name, value)| (name, value)))
            .envs(extra.iter().copied())
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    /// Waits until the API answers.
    pub async fn wait_for_api(&self) {
        let client = self.client();
        wait_until("the API answers", Duration::from_secs(30), || async {
            match client.try_send("GET", "/apps", None).await {
                Ok((200, _)) => Ok(()),
                other => Err(format!("{other:?}\n{}", self.log())),
            }
        })
        .await;
    }

    /// Ends the process as a power cut would.
    pub fn kill_9(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Waits until the process has ended by itself.
    pub async fn wait_for_end(&mut self) {
        let mut child = self.child.take().unwrap();
        wait_until("the daemon ends", Duration::from_mins(1), || {
            let ended = child.try_wait().unwrap();
            async move { ended.map(|_| ()).ok_or_else(|| "it runs".to_owned()) }
        })
        .await;
    }

    /// Starts the process again and waits until its API answers.
    pub async fn restart(&mut self) {
        self.kill_9();
        self.spawn(&[]);
        self.wait_for_api().await;
    }

    /// Runs `akkerisd upgrade` with these arguments; gives whether it succeeded, and what it said.
    pub async fn upgrade(&self, arguments: &[&str]) -> (bool, String) {
        let mut command = Command::new(tested_program());
        command.arg("upgrade").arg("--data-dir").arg(self.data_dir()).args(arguments);
        let finished = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
        let said = [finished.stdout, finished.stderr].concat();
        (finished.status.success(), String::from_utf8(said).unwrap())
    }

    /// The ids of all daemons on this data dir, also of those that another daemon started.
    pub fn processes(&self) -> Vec<u32> {
        let data_dir = self.data_dir();
        let runs = |pid: &u32| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let mut arguments = line.split(|byte| *byte == 0);
            arguments.clone().any(|argument| argument == b"serve")
                && arguments.any(|argument| argument == data_dir.as_os_str().as_encoded_bytes())
        };
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(runs).collect()
    }

    pub fn client(&self) -> Client {
        Client::new(format!("http://127.0.0.1:{}", self.ports.api), TOKEN)
    }

    pub fn https_port(&self) -> u16 {
        self.ports.https
    }

    pub fn http_port(&self) -> u16 {
        self.ports.http
    }

    /// Where the daemon keeps its state.
    pub fn data_dir(&self) -> std::path::PathBuf {
        self.dir.path().join("data")
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// The memory that the process has now.
    pub fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// TLS settings of a client that trusts this daemon's CA and speaks these protocols.
    pub fn tls(&self, alpn: &[&[u8]]) -> Arc<rustls::ClientConfig> {
        use rustls::pki_types::CertificateDer;
        use rustls::pki_types::pem::PemObject;
        let mut roots = rustls::RootCertStore::empty();
        let ca = CertificateDer::from_pem_file(self.dir.path().join("data/ca/ca.crt")).unwrap();
        roots.add(ca).unwrap();
        let mut config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        Arc::new(config)
    }

    /// A client that trusts this daemon's CA and finds the app's host here.
    pub fn web(&self, app: &str) -> reqwest::Client {
        self.web_at(&host(app))
    }

    /// A client that trusts this daemon's CA and finds that host here.
    pub fn web_at(&self, host: &str) -> reqwest::Client {
        let ca = std::fs::read(self.dir.path().join("data/ca/ca.crt")).unwrap();
        reqwest::Client::builder()
            .tls_certs_merge([reqwest::Certificate::from_pem(&ca).unwrap()])
            .resolve(host, ([127, 0, 0, 1], self.ports.https).into())
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(30))
            .build()
            .unwrap()
    }

    /// The address of a path of an app.
    pub fn url(&self, app: &str, path: &str) -> String {
        format!("https://{}:{}{path}", host(app), self.ports.https)
    }

    /// Gets a path of an app over the edge's HTTPS, on a new connection; status and body.
    pub async fn fetch(&self, app: &str, path: &str) -> Result<(u16, String), String> {
        self.fetch_at(&host(app), path).await
    }

    /// The same of a host that is no app's.
    pub async fn fetch_at(&self, host: &str, path: &str) -> Result<(u16, String), String> {
        let url = format!("https://{host}:{}{path}", self.ports.https);
        let response = self.web_at(host).get(url).send().await;
        let response = response.map_err(|error| format!("{error:?}"))?;
        let status = response.status().as_u16();
        Ok((status, response.text().await.map_err(|error| format!("{error:?}"))?))
    }

    /// Waits until the app answers 200 with this body.
    pub async fn wait_for_answer(&self, app: &str, path: &str, body: &str) {
        wait_until(&format!("{app}{path} answers {body:?}"), Duration::from_mins(1), || async {
            match self.fetch(app, path).await {
                Ok((200, answer)) if answer == body => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    }

    /// What the daemon logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Where it logs.
    pub fn log_path(&self) -> std::path::PathBuf {
        self.dir.path().join("daemon.log")
    }

    /// The installation's id, by which its things in the engine are labelled.
    pub fn installation(&self) -> String {
        let database = rusqlite::Connection::open_with_flags(
            self.dir.path().join("data/akkerisd.db"),
            rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY,
        )
        .unwrap();
        let id: uuid::Uuid = database.query_row("SELECT id FROM installation", [], |row| row.get(0)).unwrap();
        id.to_string()
    }

    /// The containers of this installation, running or not.
    pub fn containers(&self) -> Vec<String> {
        self.listed(&["ps", "-aq", "--no-trunc", "--filter", &self.label()])
    }

    /// The networks of this installation.
    pub fn networks(&self) -> Vec<String> {
        self.listed(&["network", "ls", "-q", "--filter", &self.label()])
    }

    /// The volumes of this installation.
    pub fn volumes(&self) -> Vec<String> {
        self.listed(&["volume", "ls", "-q", "--filter", &self.label()])
    }

    /// The images of this installation.
    pub fn images(&self) -> Vec<String> {
        let installation = self.installation();
        let short = installation.rsplit('-').next().unwrap();
        let mut images = self.listed(&[
            "images",
            "--format",
            "{{.Repository}}:{{.Tag}}",
            "--filter",
            &format!("reference=akkeris-{short}/*"),
        ]);
        images.sort();
        images
    }

    /// The engine that the daemon uses; `None` is the machine's.
    fn docker_host(&self) -> Option<&str> {
        self.extra.iter().find(|(name, _)| name == "DOCKER_HOST").map(|(_, host)| host.as_str())
    }

    fn listed(&self, args: &[&str]) -> Vec<String> {
        let listing = docker_on(self.docker_host(), args);
        listing.lines().map(str::to_owned).filter(|line| !line.is_empty()).collect()
    }

    /// The filter for what this installation made in the engine.
    pub fn label(&self) -> String {
        format!("label=akkeris.installation={}", self.installation())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the daemon's log ---\n{}", self.log());
        }
        self.kill_9();
        self.processes().into_iter().for_each(end_process);
        // An engine of the story's own goes with the story.
        if !self.dir.path().join("data/akkerisd.db").exists() || self.docker_host().is_some() {
            return;
        }
        for container in self.containers() {
            docker_quietly(&["rm", "-f", "-v", &container]);
        }
        for volume in self.volumes() {
            docker_quietly(&["volume", "rm", &volume]);
        }
        for network in self.networks() {
            docker_quietly(&["network", "rm", &network]);
        }
        for image in self.images() {
            docker_quietly(&["rmi", "-f", &image]);
        }
    }
}

/// Ends a process of the story's own, as a power cut would.
pub fn end_process(pid: u32) {
    signal_process(pid, "KILL");
}

/// Sends a signal to a process of the story's own.
pub fn signal_process(pid: u32, signal: &str) {
    let sent = Command::new("kill").args(["-s", signal, &pid.to_string()]).status();
    assert!(sent.is_ok(), "there is no program to send {signal} to {pid} with: {sent:?}");
}

/// The host of an app by its key.
pub fn host(app: &str) -> String {
    format!("{}.localhost", app.strip_suffix("-default").unwrap_or(app))
}
