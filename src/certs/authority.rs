//! The local certificate authority: one key and one self-signed certificate, made on first use.
//!
//! Invariant: a certificate on disk always has its key beside it, because the key is written first.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};

use crate::clock::Clock;
use crate::durable_file;
use crate::store::certificates::KeyedChain;

/// Ten years: a local authority is trusted by hand, so it shall not run out under its users.
const VALIDITY: Duration = Duration::from_hours(10 * 365 * 24);
/// Below the 398 days that browsers accept, and short enough that a lost key does not matter for long.
pub(super) const LEAF_VALIDITY: Duration = Duration::from_hours(90 * 24);

/// An authority that only the machines of its operator trust.
pub struct LocalAuthority {
    issuer: Issuer<'static, KeyPair>,
    certificate_pem: String,
    clock: Clock,
}

/// Why certificates could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum CertError {
    #[error("cannot {action} {}", path.display())]
    File {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "{} has no key beside it: put ca.key back from a backup, or remove ca.crt to have a new authority made",
        path.display()
    )]
    KeyMissing { path: PathBuf },
    #[error("{} is not usable: put it back from a backup, or remove ca.crt and ca.key", path.display())]
    Unusable {
        path: PathBuf,
        #[source]
        source: rcgen::Error,
    },
    #[error("cannot sign a certificate for {name}")]
    Sign {
        name: String,
        #[source]
        source: rcgen::Error,
    },
    #[error("TLS cannot use the key of the certificates")]
    Key(#[from] rustls::Error),
}

impl LocalAuthority {
    /// Reads `ca.crt` and `ca.key` below `dir`, or makes both (and the folder) when there is no certificate.
    ///
    /// Blocking: call it before the runtime serves, or in a blocking task.
    pub fn open(dir: &Path, clock: Clock) -> Result<Self, CertError> {
        let certificate = dir.join("ca.crt");
        let key = dir.join("ca.key");
        match read(&certificate)? {
            Some(certificate_pem) => {
                let Some(key_pem) = read(&key)? else {
                    return Err(CertError::KeyMissing { path: certificate });
                };
                let key_pair = KeyPair::from_pem(&key_pem)
                    .map_err(|source| CertError::Unusable { path: key, source })?;
                let issuer = Issuer::from_ca_cert_pem(&certificate_pem, key_pair)
                    .map_err(|source| CertError::Unusable { path: certificate, source })?;
                Ok(Self { issuer, certificate_pem, clock })
            }
            None => Self::create(dir, clock),
        }
    }

    /// The authority's certificate as PEM, for browsers and `curl --cacert`.
    pub fn ca_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// Signs a certificate for what was ordered, with a key of its own. The first domain is the common name.
    pub fn sign_order(&self, domains: Vec<String>) -> Result<KeyedChain, CertError> {
        let name = domains.first().cloned().unwrap_or_default();
        let sign_error = |source| CertError::Sign { name: name.clone(), source };
        let key = KeyPair::generate().map_err(sign_error)?;
        let params = leaf_params(domains, &self.clock).map_err(sign_error)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(sign_error)?;
        let chain = format!("{}{}", certificate.pem(), self.certificate_pem);
        Ok(KeyedChain { chain, key: key.serialize_pem() })
    }

    pub(super) fn issuer(&self) -> &Issuer<'static, KeyPair> {
        &self.issuer
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    fn create(dir: &Path, clock: Clock) -> Result<Self, CertError> {
        let certificate = dir.join("ca.crt");
        let key = dir.join("ca.key");
        std::fs::create_dir_all(dir).map_err(|source| CertError::File {
            action: "create the folder",
            path: dir.to_owned(),
            source,
        })?;
        let sign_error = |source| CertError::Sign { name: "the local authority".to_owned(), source };
        let key_pair = KeyPair::generate().map_err(sign_error)?;
        let params = params(&clock);
        let certificate_pem = params.self_signed(&key_pair).map_err(sign_error)?.pem();
        durable_file::write_private(&key, key_pair.serialize_pem().as_bytes())
            .map_err(|source| CertError::File { action: "write", path: key, source })?;
        durable_file::write_public(&certificate, certificate_pem.as_bytes())
            .map_err(|source| CertError::File { action: "write", path: certificate, source })?;
        Ok(Self { issuer: Issuer::new(params, key_pair), certificate_pem, clock })
    }
}

impl fmt::Debug for LocalAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalAuthority").finish_non_exhaustive()
    }
}

/// What a server shows for these domains.
pub(super) fn leaf_params(domains: Vec<String>, clock: &Clock) -> Result<CertificateParams, rcgen::Error> {
    // A common name has at most 64 characters; clients look at the alternative names only.
    let common_name = domains.first().filter(|name| name.len() <= 64).cloned();
    let mut params = CertificateParams::new(domains)?;
    params.distinguished_name = DistinguishedName::new();
    if let Some(name) = common_name {
        params.distinguished_name.push(DnType::CommonName, name);
    }
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    set_validity(&mut params, clock, LEAF_VALIDITY);
    Ok(params)
}

/// Sets the span in which a certificate is valid. It begins an hour early, for clients whose clock is behind.
pub(super) fn set_validity(params: &mut CertificateParams, clock: &Clock, validity: Duration) {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let now = Duration::from_millis(u64::try_from(clock.now().as_millis()).unwrap_or(0));
    params.not_before = epoch + now.saturating_sub(Duration::from_hours(1));
    params.not_after = epoch + now + validity;
}

/// The name has a random part, so that a browser does not confuse two installations' authorities.
fn params(clock: &Clock) -> CertificateParams {
    let mut params = CertificateParams::default();
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, "akkerisd");
    name.push(DnType::CommonName, format!("akkerisd local CA {:08x}", rand::random::<u32>()));
    params.distinguished_name = name;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_validity(&mut params, clock, VALIDITY);
    params
}

fn read(path: &Path) -> Result<Option<String>, CertError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(CertError::File { action: "read", path: path.to_owned(), source }),
    }
}
