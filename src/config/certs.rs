//! `[certs]` and `[acme]`: who signs certificates, and the ACME server that may do it.

use std::path::PathBuf;

use super::absolute_path;
use super::dns::DnsConfig;
use super::error::ConfigError;
use super::layers::Layers;
use super::setting::{Form, Setting};
use super::units;
use crate::model::certificate::IssuerKind;

/// Settings of certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertsConfig {
    /// Who signs when an order does not say. Default `local`.
    pub issuer: IssuerKind,
    /// Sites without a certificate get one ordered. Default `false`.
    pub auto: bool,
    /// `None` without `acme.directory`.
    pub acme: Option<AcmeConfig>,
}

/// Settings of the ACME server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcmeConfig {
    /// Where the server tells what it can do (RFC 8555 §7.1.1).
    pub directory: String,
    /// Whom the server writes to about the account.
    pub email: Option<String>,
    /// A PEM file with the root that the server itself is trusted by, instead of the machine's roots.
    pub ca: Option<PathBuf>,
    /// The account elsewhere that ours is bound to.
    pub eab: Option<EabConfig>,
    /// How the server is shown that a domain is ours. Default `http-01`.
    pub challenge: ChallengeKind,
    /// Who puts records into the DNS; wildcards need it.
    pub dns: Option<DnsConfig>,
}

/// An external account binding (RFC 8555 §7.3.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EabConfig {
    pub kid: String,
    /// Holds the key in base64url; a file, so that no configuration shows it.
    pub key_file: PathBuf,
}

crate::text_enum! {
    /// How the ACME server is shown that a domain is ours.
    pub enum ChallengeKind {
        /// A file on the plain port (RFC 8555 §8.3).
        Http01 => "http-01",
        /// A certificate on the TLS port (RFC 8737).
        TlsAlpn01 => "tls-alpn-01",
        /// A record in the DNS (RFC 8555 §8.4).
        Dns01 => "dns-01",
    }
}

const ISSUER: Setting = Setting {
    key: "certs.issuer",
    variable: "AKKERISD_CERTS_ISSUER",
    flag: None,
    form: Form::Text,
    default: "local",
    expected: "local, acme or upload; acme only with acme.directory",
};
const AUTO: Setting = Setting {
    key: "certs.auto",
    variable: "AKKERISD_CERTS_AUTO",
    flag: None,
    form: Form::Switch,
    default: "false",
    expected: "true or false; true only with the issuer local or acme",
};
const DIRECTORY: Setting = Setting {
    key: "acme.directory",
    variable: "AKKERISD_ACME_DIRECTORY",
    flag: None,
    form: Form::Text,
    default: "",
    expected: "an address like https://acme-v02.api.letsencrypt.org/directory",
};
const EMAIL: Setting = Setting {
    key: "acme.email",
    variable: "AKKERISD_ACME_EMAIL",
    flag: None,
    form: Form::Text,
    default: "",
    expected: "an address like ops@example.com",
};
const CA: Setting = Setting {
    key: "acme.ca",
    variable: "AKKERISD_ACME_CA",
    flag: None,
    form: Form::Text,
    default: "",
    expected: "an absolute path",
};
const EAB_KID: Setting = Setting {
    key: "acme.eab_kid",
    variable: "AKKERISD_ACME_EAB_KID",
    flag: None,
    form: Form::Text,
    default: "",
    expected: "a key identifier, together with acme.eab_key_file",
};
const EAB_KEY_FILE: Setting = Setting {
    key: "acme.eab_key_file",
    variable: "AKKERISD_ACME_EAB_KEY_FILE",
    flag: None,
    form: Form::Text,
    default: "",
    expected: "an absolute path, together with acme.eab_kid",
};
const CHALLENGE: Setting = Setting {
    key: "acme.challenge",
    variable: "AKKERISD_ACME_CHALLENGE",
    flag: None,
    form: Form::Text,
    default: "http-01",
    expected: "http-01, tls-alpn-01, or dns-01 with acme.dns_hook or acme.dns_zone",
};
pub(super) const SETTINGS: &[Setting] = &[ISSUER, AUTO];
pub(super) const ACME_SETTINGS: &[Setting] = &[DIRECTORY, EMAIL, CA, EAB_KID, EAB_KEY_FILE, CHALLENGE];

impl CertsConfig {
    pub(super) fn read(layers: &Layers) -> Result<Self, ConfigError> {
        let config = Self {
            issuer: layers.parse(&ISSUER, |text| text.parse().ok())?,
            auto: layers.parse(&AUTO, units::switch)?,
            acme: AcmeConfig::read(layers)?,
        };
        if config.issuer == IssuerKind::Acme && config.acme.is_none() {
            return Err(layers.wrong(&ISSUER, ISSUER.expected.to_owned()));
        }
        if config.issuer == IssuerKind::Upload && config.auto {
            return Err(layers.wrong(&AUTO, AUTO.expected.to_owned()));
        }
        Ok(config)
    }
}

impl AcmeConfig {
    fn read(layers: &Layers) -> Result<Option<Self>, ConfigError> {
        let kid = layers.parse_optional(&EAB_KID, |text| Some(text.to_owned()))?;
        let key_file = layers.parse_optional(&EAB_KEY_FILE, absolute_path)?;
        let eab = match (kid, key_file) {
            (Some(kid), Some(key_file)) => Some(EabConfig { kid, key_file }),
            (None, None) => None,
            (Some(_), None) => return Err(layers.wrong(&EAB_KID, EAB_KID.expected.to_owned())),
            (None, Some(_)) => return Err(layers.wrong(&EAB_KEY_FILE, EAB_KEY_FILE.expected.to_owned())),
        };
        let challenge = layers.parse(&CHALLENGE, |text| text.parse().ok())?;
        let dns = DnsConfig::read(layers)?;
        if challenge == ChallengeKind::Dns01 && dns.is_none() {
            return Err(layers.wrong(&CHALLENGE, CHALLENGE.expected.to_owned()));
        }
        let email = layers.parse_optional(&EMAIL, email)?;
        let ca = layers.parse_optional(&CA, absolute_path)?;
        let directory = layers.parse_optional(&DIRECTORY, directory)?;
        Ok(directory.map(|directory| Self { directory, email, ca, eab, challenge, dns }))
    }
}

fn directory(text: &str) -> Option<String> {
    let uri: http::Uri = text.parse().ok()?;
    let usable = uri.scheme_str() == Some("https") && uri.host().is_some_and(|host| !host.is_empty());
    usable.then(|| text.to_owned())
}

fn email(text: &str) -> Option<String> {
    let (user, host) = text.split_once('@')?;
    let usable = !user.is_empty() && !host.is_empty() && !text.contains(|c: char| c.is_whitespace());
    usable.then(|| text.to_owned())
}
