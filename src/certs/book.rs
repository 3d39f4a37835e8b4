//! The certificates that the edge shows, by the names that clients ask for.
//!
//! Invariants: what a handshake looks into never changes, it is replaced as a whole; a certificate is shown for the
//! domains of its order only, whatever else it names; the operator's files win over what was ordered.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::leaf::CertificateStore;
use crate::chain::Chain;
use crate::edge::ALPN_ACME;
use crate::model::domain::Domains;
use crate::model::ids::CertificateId;
use crate::model::time::Timestamp;

/// What is shown besides the leaves of the local authority. Clones share it.
#[derive(Clone, Default)]
pub struct CertificateBook(Arc<Inner>);

#[derive(Default)]
struct Inner {
    shown: ArcSwap<Shown>,
    sources: Mutex<Sources>,
    /// Proofs for certificate authorities (TLS-ALPN-01), by domain.
    proofs: ArcSwap<HashMap<Box<str>, Arc<CertifiedKey>>>,
}

/// By name, and wildcards by what follows their `*.`.
#[derive(Default)]
struct Shown {
    exact: HashMap<Box<str>, Arc<CertifiedKey>>,
    wildcards: HashMap<Box<str>, Arc<CertifiedKey>>,
}

#[derive(Default)]
struct Sources {
    installed: HashMap<CertificateId, InstalledCertificate>,
    files: Vec<FileCertificate>,
}

/// A certificate that was ordered and installed.
#[derive(Debug, Clone)]
pub struct InstalledCertificate {
    pub name: String,
    pub domains: Domains,
    pub chain: Chain,
}

/// A certificate in the operator's folder.
#[derive(Debug, Clone)]
pub struct FileCertificate {
    /// The file, without what follows its last dot.
    pub name: String,
    pub chain: Chain,
}

/// When a certificate that is shown ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiry {
    pub name: String,
    /// Whether it lies in the operator's folder.
    pub is_file: bool,
    pub expires: Timestamp,
}

/// Chooses for each handshake: a proof for an authority that asks for one; else by exact name, then by wildcard, then
/// what the local authority signs on demand.
#[derive(Debug)]
pub struct EdgeCertificates {
    book: CertificateBook,
    local: CertificateStore,
}

/// Takes its proof back when dropped.
pub(super) struct PresentedProof {
    book: CertificateBook,
    domain: Box<str>,
}

impl CertificateBook {
    /// Takes over changes of installed certificates; `None` removes one.
    pub fn apply(&self, changes: Vec<(CertificateId, Option<InstalledCertificate>)>) {
        self.change(|sources| {
            for (id, change) in changes {
                match change {
                    Some(installed) => drop(sources.installed.insert(id, installed)),
                    None => drop(sources.installed.remove(&id)),
                }
            }
        });
    }

    /// Replaces all installed certificates.
    pub fn replace_installed(&self, installed: HashMap<CertificateId, InstalledCertificate>) {
        self.change(|sources| sources.installed = installed);
    }

    /// Replaces the certificates of the operator's folder.
    pub fn replace_files(&self, files: Vec<FileCertificate>) {
        self.change(|sources| sources.files = files);
    }

    /// When what is shown ends, soonest first.
    pub fn expiries(&self) -> Vec<Expiry> {
        let sources = self.0.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let expiry = |name: &str, is_file, chain: &Chain| Expiry {
            name: name.to_owned(),
            is_file,
            expires: chain.validity().expires,
        };
        let installed = sources.installed.values().map(|one| expiry(&one.name, false, &one.chain));
        let files = sources.files.iter().map(|one| expiry(&one.name, true, &one.chain));
        let mut expiries: Vec<_> = installed.chain(files).collect();
        expiries.sort_by(|a, b| (a.expires, &a.name).cmp(&(b.expires, &b.name)));
        expiries
    }

    /// Shows a proof to authorities that ask for a domain in the protocol `acme-tls/1`.
    pub(super) fn present(&self, domain: &str, proof: CertifiedKey) -> PresentedProof {
        let proof = Arc::new(proof);
        self.change_proofs(|proofs| drop(proofs.insert(domain.into(), Arc::clone(&proof))));
        PresentedProof { book: self.clone(), domain: domain.into() }
    }

    /// What was installed for a lower-case name.
    fn find(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        let shown = self.0.shown.load();
        let by_wildcard = || shown.wildcards.get(name.split_once('.')?.1);
        shown.exact.get(name).or_else(by_wildcard).cloned()
    }

    fn change(&self, change: impl FnOnce(&mut Sources)) {
        let mut sources = self.0.sources.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut sources);
        self.0.shown.store(Arc::new(Shown::of(&sources)));
    }

    fn change_proofs(&self, change: impl Fn(&mut HashMap<Box<str>, Arc<CertifiedKey>>)) {
        self.0.proofs.rcu(|proofs| {
            let mut proofs = HashMap::clone(proofs);
            change(&mut proofs);
            proofs
        });
    }
}

impl Shown {
    fn of(sources: &Sources) -> Self {
        let mut shown = Self::default();
        for installed in sources.installed.values() {
            for domain in installed.domains.as_slice() {
                shown.insert(domain.as_str(), &installed.chain);
            }
        }
        for file in &sources.files {
            for name in file.chain.names() {
                shown.insert(name, &file.chain);
            }
        }
        shown
    }

    fn insert(&mut self, name: &str, chain: &Chain) {
        let certified = Arc::clone(chain.certified());
        match name.strip_prefix("*.") {
            Some(parent) => self.wildcards.insert(parent.into(), certified),
            None => self.exact.insert(name.into(), certified),
        };
    }
}

impl EdgeCertificates {
    /// Chooses between what is in the book and what `local` signs.
    pub fn new(book: CertificateBook, local: CertificateStore) -> Self {
        Self { book, local }
    }
}

impl ResolvesServerCert for EdgeCertificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let asked = hello.server_name().map(str::to_ascii_lowercase);
        if hello.alpn().is_some_and(|mut protocols| protocols.any(|protocol| protocol == ALPN_ACME)) {
            return self.book.0.proofs.load().get(asked.as_deref()?).cloned();
        }
        let installed = asked.as_deref().and_then(|name| self.book.find(name));
        installed.or_else(|| self.local.shown_for(asked.as_deref()))
    }
}

impl Drop for PresentedProof {
    fn drop(&mut self) {
        self.book.change_proofs(|proofs| drop(proofs.remove(&self.domain)));
    }
}

impl fmt::Debug for CertificateBook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateBook").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;
    use crate::model::domain::CertificateDomain;

    fn chain(names: &[&str]) -> Chain {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let certificate = CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
        Chain::parse(&certificate.pem(), &key.serialize_pem()).unwrap()
    }

    fn installed(domain: &str, chain: &Chain) -> InstalledCertificate {
        let domains = Domains::of(CertificateDomain::parse(domain).unwrap());
        InstalledCertificate { name: domain.to_owned(), domains, chain: chain.clone() }
    }

    fn id(number: u128) -> CertificateId {
        CertificateId::new(uuid::Uuid::from_u128(number))
    }

    #[test]
    fn the_exact_name_wins_over_the_wildcard_and_the_file_over_the_order() {
        let book = CertificateBook::default();
        let (exact, wildcard) = (chain(&["a.b.example"]), chain(&["*.b.example"]));
        book.apply(vec![
            (id(1), Some(installed("a.b.example", &exact))),
            (id(2), Some(installed("*.b.example", &wildcard))),
        ]);
        let is = |name: &str, chain: &Chain| {
            book.find(name).is_some_and(|found| Arc::ptr_eq(&found, chain.certified()))
        };
        assert!(is("a.b.example", &exact) && is("x.b.example", &wildcard));
        for other in ["b.example", "x.y.b.example", "example", ""] {
            assert!(book.find(other).is_none(), "{other}");
        }
        let file = chain(&["a.b.example"]);
        book.replace_files(vec![FileCertificate { name: "a".to_owned(), chain: file.clone() }]);
        assert!(is("a.b.example", &file));
        book.replace_files(Vec::new());
        assert!(is("a.b.example", &exact));
        book.apply(vec![(id(1), None)]);
        assert!(is("a.b.example", &wildcard));
    }

    #[test]
    fn a_certificate_is_shown_for_the_domains_of_its_order_only() {
        let book = CertificateBook::default();
        let greedy = chain(&["mine.example", "yours.example"]);
        book.apply(vec![(id(1), Some(installed("mine.example", &greedy)))]);
        assert!(book.find("mine.example").is_some());
        assert!(book.find("yours.example").is_none());
        assert_eq!(book.expiries().len(), 1);
    }
}
