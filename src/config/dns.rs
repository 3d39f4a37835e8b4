//! The `acme.dns_…` settings: how records get into the DNS that prove a domain to an ACME server.

use std::path::PathBuf;

use super::absolute_path;
use super::error::ConfigError;
use super::layers::Layers;
use super::setting::{Form, Setting};

/// How records get into the DNS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsConfig {
    pub way: DnsWay,
    /// `host:port` of the server that is asked whether a record shows.
    pub server: Option<String>,
}

/// Who puts them there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DnsWay {
    /// A program with its first arguments, called with `present` or `cleanup`, the name and the value.
    Hook(Vec<String>),
    /// A DNS UPDATE of a zone (RFC 2136).
    Update { server: String, zone: String, key: Option<TsigConfig> },
}

/// The key that updates are signed with (RFC 8945).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TsigConfig {
    pub name: String,
    pub algorithm: TsigAlgorithm,
    /// Holds the key in base64; a file, so that no configuration shows it.
    pub secret_file: PathBuf,
}

crate::text_enum! {
    /// How updates are signed.
    pub enum TsigAlgorithm {
        HmacSha256 => "hmac-sha256",
        HmacSha512 => "hmac-sha512",
    }
}

const HOOK: Setting = Setting {
    key: "acme.dns_hook",
    variable: "AKKERISD_ACME_DNS_HOOK",
    flag: None,
    form: Form::List,
    default: "",
    expected: "the absolute path of a program and its first arguments, without commas; not together with acme.dns_zone",
};
const SERVER: Setting = Setting {
    key: "acme.dns_server",
    variable: "AKKERISD_ACME_DNS_SERVER",
    flag: None,
    form: Form::Text,
    default: "",
    expected: "a host and a port like ns.example.com:53",
};
const ZONE: Setting = Setting {
    key: "acme.dns_zone",
    variable: "AKKERISD_ACME_DNS_ZONE",
    flag: None,
    form: Form::Text,
    default: "",
    expected: "a zone like example.com, together with acme.dns_server",
};
const KEY_NAME: Setting = Setting {
    key: "acme.dns_key_name",
    variable: "AKKERISD_ACME_DNS_KEY_NAME",
    flag: None,
    form: Form::Text,
    default: "",
    expected: "the name of a key, together with acme.dns_key_file",
};
const KEY_FILE: Setting = Setting {
    key: "acme.dns_key_file",
    variable: "AKKERISD_ACME_DNS_KEY_FILE",
    flag: None,
    form: Form::Text,
    default: "",
    expected: "an absolute path, together with acme.dns_key_name",
};
const KEY_ALGORITHM: Setting = Setting {
    key: "acme.dns_key_algorithm",
    variable: "AKKERISD_ACME_DNS_KEY_ALGORITHM",
    flag: None,
    form: Form::Text,
    default: "hmac-sha256",
    expected: "hmac-sha256 or hmac-sha512",
};
pub(super) const SETTINGS: &[Setting] = &[HOOK, SERVER, ZONE, KEY_NAME, KEY_FILE, KEY_ALGORITHM];

impl DnsConfig {
    /// `None` where nobody puts records there.
    pub(super) fn read(layers: &Layers) -> Result<Option<Self>, ConfigError> {
        let hook = layers.parse_optional(&HOOK, program)?;
        let server = layers.parse_optional(&SERVER, address)?;
        let zone = layers.parse_optional(&ZONE, zone)?;
        let name = layers.parse_optional(&KEY_NAME, |text| Some(text.to_owned()))?;
        let file = layers.parse_optional(&KEY_FILE, absolute_path)?;
        let algorithm = layers.parse(&KEY_ALGORITHM, |text| text.parse().ok())?;
        let key = match (name, file) {
            (Some(name), Some(secret_file)) => Some(TsigConfig { name, algorithm, secret_file }),
            (None, None) => None,
            (Some(_), None) => return Err(layers.wrong(&KEY_NAME, KEY_NAME.expected.to_owned())),
            (None, Some(_)) => return Err(layers.wrong(&KEY_FILE, KEY_FILE.expected.to_owned())),
        };
        let way = match (hook, zone, &server) {
            (Some(argv), None, _) => DnsWay::Hook(argv),
            (None, Some(zone), Some(server)) => DnsWay::Update { server: server.clone(), zone, key },
            (None, None, _) => return Ok(None),
            (Some(_), Some(_), _) => return Err(layers.wrong(&HOOK, HOOK.expected.to_owned())),
            (None, Some(_), None) => return Err(layers.wrong(&ZONE, ZONE.expected.to_owned())),
        };
        Ok(Some(Self { way, server }))
    }
}

fn program(text: &str) -> Option<Vec<String>> {
    let argv: Vec<String> = text.split(',').map(|part| part.trim().to_owned()).collect();
    argv.first().is_some_and(|program| program.starts_with('/')).then_some(argv)
}

fn address(text: &str) -> Option<String> {
    let (host, port) = text.rsplit_once(':')?;
    (!host.is_empty() && port.parse::<u16>().is_ok_and(|port| port != 0)).then(|| text.to_owned())
}

fn zone(text: &str) -> Option<String> {
    let zone = text.trim_end_matches('.').to_ascii_lowercase();
    let usable = !zone.is_empty() && !zone.starts_with('.') && !zone.contains(char::is_whitespace);
    usable.then_some(zone)
}
