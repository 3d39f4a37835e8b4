//! A real ACME server: `pebble`, which looks for its proofs at a daemon's ports, with a DNS in which every name is
//! this machine.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::json;

use super::{free_ports, wait_until};

/// Half of all good nonces are refused.
const REFUSED_NONCES: &str = "50";
/// The key that accounts must be bound to, where they must.
pub const EAB_KID: &str = "kid-1";
pub const EAB_KEY: &str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";

/// A domain for which it issues nothing.
pub const BLOCKED: &str = "blocked.test";

/// What a daemon is told before the server runs.
pub struct Directory {
    dir: tempfile::TempDir,
    port: u16,
    dns_management: u16,
}

/// The server and its DNS. Dropping it ends both.
pub struct Pebble {
    directory: Directory,
    management: u16,
    server: Child,
    dns: Child,
}

/// How the server behaves.
#[derive(Default)]
pub struct Manners {
    /// Lifetime of what it issues; its own choice when `None`.
    pub lifetime: Option<Duration>,
    /// Accounts must be bound to [`EAB_KID`].
    pub binding: bool,
    /// The port of the DNS that it asks, instead of its own.
    pub dns: Option<u16>,
}

impl Directory {
    /// Chooses a port, and makes the authority by which the server itself is trusted.
    pub fn new() -> Self {
        let [port, dns_management] = free_ports();
        let directory = Self { dir: tempfile::tempdir().unwrap(), port, dns_management };
        let (ca_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let mut ca = CertificateParams::default();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        std::fs::write(directory.ca(), ca.self_signed(&ca_key).unwrap().pem()).unwrap();
        let own = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let own = own.signed_by(&key, &Issuer::new(ca, ca_key)).unwrap();
        std::fs::write(directory.path("own.crt"), own.pem()).unwrap();
        std::fs::write(directory.path("own.key"), key.serialize_pem()).unwrap();
        std::fs::write(directory.path("eab.key"), EAB_KEY).unwrap();
        directory
    }

    /// The variables of a daemon that orders from this server.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AKKERISD_CERTS_ISSUER", "acme".to_owned()),
            ("AKKERISD_ACME_DIRECTORY", format!("https://127.0.0.1:{}/dir", self.port)),
            ("AKKERISD_ACME_CA", self.ca().display().to_string()),
            ("AKKERISD_ACME_EMAIL", "ops@example.com".to_owned()),
        ]
    }

    /// The file with the key of the external account.
    pub fn eab_key_file(&self) -> String {
        self.path("eab.key").display().to_string()
    }

    /// Where its DNS is told what to answer.
    pub fn dns_management(&self) -> u16 {
        self.dns_management
    }

    fn ca(&self) -> PathBuf {
        self.path("ca.crt")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

impl Pebble {
    /// Starts the server, and waits until it answers.
    pub async fn start(directory: Directory, (http, https): (u16, u16), manners: Manners) -> Self {
        let [management, dns_port] = free_ports();
        let mut config = json!({
            "listenAddress": format!("127.0.0.1:{}", directory.port),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": directory.path("own.crt"),
            "privateKey": directory.path("own.key"),
            "httpPort": http,
            "tlsPort": https,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": manners.binding,
            "domainBlocklist": [BLOCKED],
            "externalAccountMACKeys": { EAB_KID: EAB_KEY },
        });
        if let Some(lifetime) = manners.lifetime {
            config["certificateValidityPeriod"] = json!(lifetime.as_secs());
        }
        let file = directory.path("pebble.json");
        std::fs::write(&file, json!({ "pebble": config }).to_string()).unwrap();
        let dns = start_dns(dns_port, directory.dns_management);
        let server = Command::new("pebble")
            .args(["-config".as_ref(), file.as_os_str(), "-dnsserver".as_ref()])
            .arg(format!("127.0.0.1:{}", manners.dns.unwrap_or(dns_port)))
            .env("PEBBLE_VA_NOSLEEP", "1")
            .env("PEBBLE_WFE_NONCEREJECT", REFUSED_NONCES)
            .env("PEBBLE_AUTHZREUSE", "0")
            .stdin(Stdio::null())
            .stdout(log(&directory.path("pebble.log")))
            .stderr(Stdio::null())
            .spawn()
            .expect("pebble is not installed: apt-get install pebble");
        let pebble = Self { directory, management, server, dns };
        pebble.root().await;
        pebble
    }

    /// Has the DNS tell that a name is where no daemon listens.
    pub async fn lead_elsewhere(&self, name: &str) {
        let url = format!("http://127.0.0.1:{}/add-a", self.directory.dns_management);
        let body = json!({ "host": format!("{name}."), "addresses": ["127.0.0.2"] }).to_string();
        let answer = reqwest::Client::builder().build().unwrap().post(url).body(body).send().await.unwrap();
        assert!(answer.status().is_success(), "{answer:?}");
    }

    /// The root of what it issues.
    pub async fn root(&self) -> CertificateDer<'static> {
        let ca = std::fs::read(self.directory.ca()).unwrap();
        let client = reqwest::Client::builder()
            .tls_certs_merge([reqwest::Certificate::from_pem(&ca).unwrap()])
            .build()
            .unwrap();
        let url = format!("https://127.0.0.1:{}/roots/0", self.management);
        let pem = wait_until("pebble answers", Duration::from_secs(30), || async {
            let answer = client.get(&url).send().await.map_err(|error| format!("{error:?}"))?;
            answer.bytes().await.map_err(|error| format!("{error:?}"))
        })
        .await;
        CertificateDer::from_pem_slice(&pem).unwrap()
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.directory.path("pebble.log")).unwrap_or_default();
            eprintln!("--- pebble's log ---\n{log}");
        }
        for child in [&mut self.server, &mut self.dns] {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// A DNS that only answers where every name is.
fn start_dns(port: u16, management: u16) -> Child {
    Command::new("pebble-challtestsrv")
        .args(["-dns01", &format!("127.0.0.1:{port}"), "-management", &format!("127.0.0.1:{management}")])
        .args(["-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", ""])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("pebble-challtestsrv is not installed: apt-get install pebble")
}

fn log(path: &Path) -> Stdio {
    std::fs::File::create(path).unwrap().into()
}
