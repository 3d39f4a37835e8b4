//! Proofs in the DNS (DNS-01, RFC 8555 §8.4): records that the operator's program or a DNS UPDATE puts there.
//!
//! Invariant: whatever is asked of a program or a server is waited for within a limit.

mod hook;
mod message;
mod server;

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;

use self::hook::HookProgram;
use self::message::{Change, TsigKey};
use self::server::NameServer;
use crate::clock::Clock;
use crate::config::{DnsConfig, DnsWay, TsigConfig};

/// How long a record may take to show at the server that is asked for it.
const VISIBLE_LIMIT: Duration = Duration::from_mins(1);
const ASK_EVERY: Duration = Duration::from_millis(500);

/// A TXT record that proves a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProofRecord {
    /// `_acme-challenge.` and the domain.
    pub name: String,
    pub value: String,
}

/// Puts records into the DNS and takes them out.
#[derive(Debug)]
pub struct DnsRecords {
    way: Way,
    /// Who is asked whether a record shows.
    asked: Option<NameServer>,
    clock: Clock,
}

#[derive(Debug)]
enum Way {
    Hook(HookProgram),
    Update { server: NameServer, zone: String, key: Option<TsigKey> },
}

/// Why a record is not there, or is still there.
#[derive(Debug, thiserror::Error)]
pub enum DnsError {
    #[error("the program {program} of acme.dns_hook {reason}")]
    Hook { program: String, reason: String },
    #[error("the DNS server {server} cannot be asked: {reason}")]
    Unreachable { server: String, reason: String },
    #[error("the DNS server {server} answers {code} to the change of {name}")]
    Refused { server: String, code: String, name: String },
    #[error("the DNS server {server} does not show the record {name} after {} s", VISIBLE_LIMIT.as_secs())]
    NotVisible { server: String, name: String },
    #[error("the name {name} is not in the zone {zone} of acme.dns_zone")]
    OutsideZone { name: String, zone: String },
    #[error("the name {0} cannot be one of the DNS")]
    Name(String),
    #[error("the key of acme.dns_key_file cannot be read from {}: it is base64 in a file", path.display())]
    Key {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
}

impl DnsRecords {
    /// As configured. Reads the file with the key: blocking.
    pub fn new(config: &DnsConfig, clock: Clock) -> Result<Self, DnsError> {
        let asked = config.server.as_deref().map(NameServer::new);
        let way = match &config.way {
            DnsWay::Hook(argv) => Way::Hook(HookProgram::new(argv.clone())),
            DnsWay::Update { server, zone, key } => Way::Update {
                server: NameServer::new(server),
                zone: zone.clone(),
                key: key.as_ref().map(read_key).transpose()?,
            },
        };
        Ok(Self { way, asked, clock })
    }

    /// Puts a record beside those that have its name, and waits until it shows where it can be asked for.
    pub async fn put(&self, record: &ProofRecord) -> Result<(), DnsError> {
        match &self.way {
            Way::Hook(program) => program.run("present", record).await?,
            Way::Update { .. } => self.update(Change::Add, record).await?,
        }
        self.wait_until_visible(record).await
    }

    /// Takes a record out; one that is not there is gone already.
    pub async fn remove(&self, record: &ProofRecord) -> Result<(), DnsError> {
        match &self.way {
            Way::Hook(program) => program.run("cleanup", record).await,
            Way::Update { .. } => self.update(Change::Remove, record).await,
        }
    }

    async fn update(&self, change: Change, record: &ProofRecord) -> Result<(), DnsError> {
        let Way::Update { server, zone, key } = &self.way else { return Ok(()) };
        let inside = record.name.strip_suffix(zone.as_str()).is_some_and(|host| host.ends_with('.'));
        if !inside {
            return Err(DnsError::OutsideZone { name: record.name.clone(), zone: zone.clone() });
        }
        let id = rand::random();
        let mut message = message::update(id, zone, change, record)?;
        if let Some(key) = key {
            let now = u64::try_from(self.clock.now().as_millis() / 1000).unwrap_or(0);
            key.sign(&mut message, id, now)?;
        }
        let answer = server.exchange(&message).await?;
        match message::code(&answer, id) {
            Some(0) => Ok(()),
            code => Err(DnsError::Refused {
                server: server.to_string(),
                code: message::code_name(code),
                name: record.name.clone(),
            }),
        }
    }

    async fn wait_until_visible(&self, record: &ProofRecord) -> Result<(), DnsError> {
        let Some(server) = &self.asked else { return Ok(()) };
        let deadline = Instant::now() + VISIBLE_LIMIT;
        loop {
            let id = rand::random();
            let answer = server.exchange(&message::question(id, &record.name)?).await;
            let shows = |answer: &[u8]| message::texts(answer, id).contains(&record.value);
            match answer {
                Ok(answer) if shows(&answer) => return Ok(()),
                Err(error) if Instant::now() > deadline => return Err(error),
                Ok(_) if Instant::now() > deadline => {
                    return Err(DnsError::NotVisible {
                        server: server.to_string(),
                        name: record.name.clone(),
                    });
                }
                Ok(_) | Err(_) => tokio::time::sleep(ASK_EVERY).await,
            }
        }
    }
}

impl ProofRecord {
    /// The record that proves a domain (RFC 8555 §8.4); of a wildcard the domain below the `*.`.
    pub fn of(domain: &str, value: String) -> Self {
        let domain = domain.strip_prefix("*.").unwrap_or(domain);
        Self { name: format!("_acme-challenge.{domain}"), value }
    }
}

fn read_key(config: &TsigConfig) -> Result<TsigKey, DnsError> {
    let failed = |source| DnsError::Key { path: config.secret_file.clone(), source };
    let text = std::fs::read_to_string(&config.secret_file).map_err(failed)?;
    TsigKey::parse(&config.name, config.algorithm, text.trim())
        .ok_or_else(|| failed(std::io::Error::from(std::io::ErrorKind::InvalidData)))
}
