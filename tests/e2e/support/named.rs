//! A real DNS server: `named`, which takes signed updates of one zone.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::{free_ports, wait_until};

/// The zone that it answers for.
pub const ZONE: &str = "zone.test";
const KEY_NAME: &str = "proofs";
const KEY: &str = "c2VjcmV0LW9mLXRoZS10ZXN0cw==";

/// The server. Dropping it ends it.
pub struct Named {
    dir: tempfile::TempDir,
    pub port: u16,
    server: Child,
}

impl Named {
    /// Starts it, and waits until it listens.
    pub async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let [port] = free_ports();
        let folder = dir.path().display();
        let config = format!(
            "options {{ directory \"{folder}\"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};
               pid-file none; session-keyfile none; recursion no; dnssec-validation no; }};
             controls {{ }};
             key \"{KEY_NAME}\" {{ algorithm hmac-sha256; secret \"{KEY}\"; }};
             zone \"{ZONE}\" {{ type primary; file \"zone\"; update-policy {{ grant {KEY_NAME} subdomain {ZONE}. TXT; }}; }};\n"
        );
        std::fs::write(dir.path().join("named.conf"), config).unwrap();
        let zone = "$TTL 60\n@ IN SOA ns hostmaster 1 3600 600 86400 60\n@ IN NS ns\nns IN A 127.0.0.1\n";
        std::fs::write(dir.path().join("zone"), zone).unwrap();
        std::fs::write(dir.path().join("key"), format!("{KEY}\n")).unwrap();
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        let server = Command::new(program())
            .args(["-g", "-4", "-c"])
            .arg(dir.path().join("named.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("named is not installed: apt-get install bind9");
        let named = Self { dir, port, server };
        wait_until("named listens", Duration::from_secs(30), || async {
            tokio::net::TcpStream::connect(("127.0.0.1", port))
                .await
                .map(drop)
                .map_err(|error| error.to_string())
        })
        .await;
        named
    }

    /// The variables of a daemon that updates the zone.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AKKERISD_ACME_DNS_SERVER", format!("127.0.0.1:{}", self.port)),
            ("AKKERISD_ACME_DNS_ZONE", ZONE.to_owned()),
            ("AKKERISD_ACME_DNS_KEY_NAME", KEY_NAME.to_owned()),
            ("AKKERISD_ACME_DNS_KEY_FILE", self.dir.path().join("key").display().to_string()),
        ]
    }

    /// What it did, in its own words.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap()
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- named's log ---\n{}", self.log());
        }
        drop(self.server.kill());
        drop(self.server.wait());
    }
}

/// In a folder that the path of an ordinary user lacks, or fetched by `tests/run.sh`.
fn program() -> PathBuf {
    let fetched = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/target/tools/named"));
    let installed = PathBuf::from("/usr/sbin/named");
    if fetched.exists() { fetched } else { installed }
}
