//! Certificate chains with their keys: read from PEM, and checked before anything is shown to a client.
//!
//! Invariant: a [`Chain`] can be served: the key is the leaf's, and each certificate is issued by the next one.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;

use crate::model::certificate::Validity;
use crate::model::domain::CertificateDomain;
use crate::model::rule::shown;
use crate::model::time::Timestamp;

/// A chain and its key, ready to be served. Clones share it.
#[derive(Clone)]
pub struct Chain {
    certified: Arc<CertifiedKey>,
    names: BTreeSet<Box<str>>,
    validity: Validity,
}

/// What is wrong with a chain or its key; whole sentences, without the key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    #[error("The chain holds no certificate: give it as PEM, the certificate of the domains first.")]
    Empty,
    #[error("Certificate {0} of the chain cannot be read: give each as PEM (-----BEGIN CERTIFICATE-----).")]
    Unreadable(usize),
    #[error("The chain is not in order: certificate {0} is not issued by the one that follows it.")]
    OutOfOrder(usize),
    #[error("The key cannot be read: give it as PEM, without a password.")]
    Key,
    #[error("The key is not the one of the first certificate of the chain.")]
    OtherKey,
    #[error("The first certificate of the chain names no domains: it needs alternative names (SAN).")]
    Nameless,
    #[error("The certificate expired at {0}: renew it.")]
    Expired(Timestamp),
    #[error("The certificate is not valid before {0}.")]
    NotYet(Timestamp),
    #[error("The certificate does not cover {}.", shown(.0))]
    Uncovered(String),
}

/// Certificates that a chain can hold.
const LONGEST_CHAIN: usize = 10;

impl Chain {
    /// Reads a chain (the leaf first) and the leaf's key, both PEM.
    pub fn parse(chain: &str, key: &str) -> Result<Self, ChainError> {
        let mut certificates = Vec::new();
        for (index, certificate) in CertificateDer::pem_slice_iter(chain.as_bytes()).enumerate() {
            let certificate = certificate.map_err(|_| ChainError::Unreadable(index + 1))?;
            if index >= LONGEST_CHAIN {
                return Err(ChainError::OutOfOrder(index));
            }
            certificates.push(certificate);
        }
        let (names, validity) = read(&certificates)?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| ChainError::Key)?;
        let certified = CertifiedKey::from_der(certificates, key, &aws_lc_rs::default_provider());
        let certified = certified.map_err(|error| {
            if matches!(error, rustls::Error::InconsistentKeys(_)) {
                ChainError::OtherKey
            } else {
                ChainError::Key
            }
        })?;
        Ok(Self { certified: Arc::new(certified), names, validity })
    }

    /// Refuses what is not valid at this instant.
    pub fn check_time(&self, now: Timestamp) -> Result<(), ChainError> {
        if self.validity.expires <= now {
            return Err(ChainError::Expired(self.validity.expires));
        }
        if self.validity.issued > now {
            return Err(ChainError::NotYet(self.validity.issued));
        }
        Ok(())
    }

    /// Refuses when one of the domains is covered neither by name nor by a wildcard.
    pub fn check_domains(&self, domains: &[CertificateDomain]) -> Result<(), ChainError> {
        let is_covered = |domain: &&CertificateDomain| {
            let wildcard = domain.wildcard();
            let by_wildcard = wildcard.is_some_and(|wildcard| self.names.contains(wildcard.as_str()));
            self.names.contains(domain.as_str()) || by_wildcard
        };
        match domains.iter().find(|domain| !is_covered(domain)) {
            None => Ok(()),
            Some(domain) => Err(ChainError::Uncovered(domain.to_string())),
        }
    }

    /// For TLS.
    pub fn certified(&self) -> &Arc<CertifiedKey> {
        &self.certified
    }

    /// The names that the leaf is good for, lower case; a wildcard begins with `*.`.
    pub fn names(&self) -> &BTreeSet<Box<str>> {
        &self.names
    }

    /// When the leaf is good.
    pub fn validity(&self) -> Validity {
        self.validity
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chain").field("names", &self.names).finish_non_exhaustive()
    }
}

/// The names and the validity of the leaf of a chain whose order is right.
fn read(certificates: &[CertificateDer<'_>]) -> Result<(BTreeSet<Box<str>>, Validity), ChainError> {
    let mut parsed = Vec::with_capacity(certificates.len());
    for (index, der) in certificates.iter().enumerate() {
        let (_, certificate) =
            x509_parser::parse_x509_certificate(der).map_err(|_| ChainError::Unreadable(index + 1))?;
        parsed.push(certificate);
    }
    let leaf = parsed.first().ok_or(ChainError::Empty)?;
    for (index, (below, above)) in parsed.iter().zip(parsed.iter().skip(1)).enumerate() {
        if below.issuer() != above.subject() {
            return Err(ChainError::OutOfOrder(index + 1));
        }
    }
    let names = names(leaf);
    if names.is_empty() {
        return Err(ChainError::Nameless);
    }
    let at =
        |time: x509_parser::time::ASN1Time| Timestamp::from_millis(time.timestamp().saturating_mul(1000));
    let validity = leaf.validity();
    Ok((names, Validity { issued: at(validity.not_before), expires: at(validity.not_after) }))
}

fn names(leaf: &X509Certificate<'_>) -> BTreeSet<Box<str>> {
    let Ok(Some(extension)) = leaf.subject_alternative_name() else { return BTreeSet::new() };
    let mut names = BTreeSet::new();
    for name in &extension.value.general_names {
        if let GeneralName::DNSName(name) = name {
            names.insert(name.to_ascii_lowercase().into_boxed_str());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

    use super::*;

    /// The PEM of a leaf, of the authority that issued it, and of the leaf's key.
    fn issued(names: &[&str]) -> (String, String, String) {
        let (authority_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.distinguished_name.push(DnType::CommonName, "test authority");
        let root = authority.self_signed(&authority_key).unwrap().pem();
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut leaf = CertificateParams::new(names).unwrap();
        leaf.not_before = rcgen::date_time_ymd(2020, 1, 1);
        leaf.not_after = rcgen::date_time_ymd(2021, 1, 1);
        let leaf = leaf.signed_by(&key, &Issuer::new(authority, authority_key)).unwrap().pem();
        (leaf, root, key.serialize_pem())
    }

    #[test]
    fn a_chain_in_order_with_its_key_is_read() {
        let (leaf, root, key) = issued(&["a.example", "*.b.example"]);
        let chain = Chain::parse(&format!("{leaf}\n{root}"), &key).unwrap();
        assert_eq!(
            chain.names().iter().map(|name| &**name).collect::<Vec<_>>(),
            ["*.b.example", "a.example"]
        );
        assert_eq!(chain.certified().cert.len(), 2);
        assert_eq!(chain.validity().expires.to_string(), "2021-01-01T00:00:00.000Z");
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        chain.check_time(at("2020-06-01T00:00:00Z")).unwrap();
        assert!(matches!(chain.check_time(at("2021-01-01T00:00:00Z")), Err(ChainError::Expired(_))));
        assert!(matches!(chain.check_time(at("2019-01-01T00:00:00Z")), Err(ChainError::NotYet(_))));
        let domain = |text: &str| CertificateDomain::parse(text).unwrap();
        chain.check_domains(&[domain("a.example"), domain("x.b.example"), domain("*.b.example")]).unwrap();
        for uncovered in ["b.example", "x.a.example", "x.y.b.example", "*.example"] {
            let refused = chain.check_domains(&[domain("a.example"), domain(uncovered)]);
            assert_eq!(refused, Err(ChainError::Uncovered(uncovered.to_owned())));
        }
    }

    #[test]
    fn what_cannot_be_served_is_refused_with_why() {
        let (leaf, root, key) = issued(&["a.example"]);
        let (other, _, other_key) = issued(&["a.example"]);
        let parse = |chain: &str, key: &str| Chain::parse(chain, key).unwrap_err();
        assert_eq!(parse("", &key), ChainError::Empty);
        assert_eq!(parse(&leaf, &other_key), ChainError::OtherKey);
        assert_eq!(parse(&leaf, "nothing"), ChainError::Key);
        assert_eq!(parse(&format!("{leaf}\n{other}"), &key), ChainError::OutOfOrder(1));
        assert_eq!(parse(&format!("{root}\n{leaf}"), &key), ChainError::OutOfOrder(1));
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(parse(broken, &key), ChainError::Unreadable(1));
        assert_eq!(parse(&format!("{leaf}\n{broken}"), &key), ChainError::Unreadable(2));
        let (nameless, _, its_key) = issued(&[]);
        assert_eq!(parse(&nameless, &its_key), ChainError::Nameless);
    }

    #[test]
    fn a_key_is_never_shown() {
        let (leaf, _, key) = issued(&["a.example"]);
        let shown = format!("{:?}", Chain::parse(&leaf, &key).unwrap());
        assert_eq!(shown, "Chain { names: {\"a.example\"}, .. }");
    }
}
