//! The certificates that the edge shows: signed on demand for the name that a client asks for.
//!
//! Invariant: the cache is bounded, so a client that invents names cannot fill the memory.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use rcgen::KeyPair;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::{CertifiedKey, SigningKey};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::authority::{CertError, LocalAuthority, leaf_params};
use crate::edge::table::RoutingTable;
use crate::model::time::Timestamp;

/// A certificate is signed again at this age, a month before it ends.
const SIGN_AGAIN_AFTER: Duration = Duration::from_hours(60 * 24);
const CACHE_LIMIT: usize = 1_024;

/// Certificates of the apps domain, of the names one label below it and of the sites; any other name, or none, gets
/// the certificate of the apps domain.
///
/// All leaves share one ECDSA P-256 key, made at start and never written to disk.
pub struct CertificateStore {
    authority: Arc<LocalAuthority>,
    apps_domain: Box<str>,
    sites: Arc<ArcSwap<RoutingTable>>,
    leaf_key: KeyPair,
    signing_key: Arc<dyn SigningKey>,
    cache: Mutex<HashMap<Box<str>, Leaf>>,
}

#[derive(Clone)]
struct Leaf {
    certified: Arc<CertifiedKey>,
    signed_at: Timestamp,
}

impl CertificateStore {
    /// A store that signs with `authority`. The certificate of the apps domain is signed at once, so that a
    /// broken authority shows at start and not at the first client.
    pub fn new(authority: impl Into<Arc<LocalAuthority>>, apps_domain: &str) -> Result<Self, CertError> {
        let sign_error = |source| CertError::Sign { name: apps_domain.to_owned(), source };
        let leaf_key = KeyPair::generate().map_err(sign_error)?;
        let der = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(leaf_key.serialize_der()));
        let signing_key = rustls::crypto::aws_lc_rs::sign::any_ecdsa_type(&der)?;
        let store = Self {
            authority: authority.into(),
            apps_domain: apps_domain.to_ascii_lowercase().into_boxed_str(),
            sites: Arc::default(),
            leaf_key,
            signing_key,
            cache: Mutex::default(),
        };
        store.certificate_of(&store.apps_domain)?;
        Ok(store)
    }

    /// The same, for the sites that are in the table too.
    #[must_use]
    pub fn with_sites(self, sites: Arc<ArcSwap<RoutingTable>>) -> Self {
        Self { sites, ..self }
    }

    fn certificate_of(&self, name: &str) -> Result<Arc<CertifiedKey>, CertError> {
        let now = self.authority.clock().now();
        if let Some(leaf) = self.lock().get(name)
            && leaf.is_fresh(now)
        {
            return Ok(Arc::clone(&leaf.certified));
        }
        let certified = Arc::new(self.sign(name)?);
        let mut cache = self.lock();
        if cache.len() >= CACHE_LIMIT && !cache.contains_key(name) {
            let oldest = cache.iter().min_by_key(|(_, leaf)| leaf.signed_at).map(|(name, _)| name.clone());
            if let Some(oldest) = oldest {
                cache.remove(&oldest);
            }
        }
        cache.insert(name.into(), Leaf { certified: Arc::clone(&certified), signed_at: now });
        Ok(certified)
    }

    fn sign(&self, name: &str) -> Result<CertifiedKey, CertError> {
        let sign_error = |source| CertError::Sign { name: name.to_owned(), source };
        let params = leaf_params(vec![name.to_owned()], self.authority.clock()).map_err(sign_error)?;
        let certificate = params.signed_by(&self.leaf_key, self.authority.issuer()).map_err(sign_error)?;
        Ok(CertifiedKey::new(vec![certificate.der().clone()], Arc::clone(&self.signing_key)))
    }

    /// The name to certify for what a client asked for.
    fn covered<'a>(&'a self, asked: Option<&'a str>) -> &'a str {
        let below = asked.and_then(|name| name.strip_suffix(&*self.apps_domain)?.strip_suffix('.'));
        match (asked, below) {
            (Some(name), Some(label)) if !label.is_empty() && !label.contains('.') => name,
            (Some(name), _) if self.sites.load().site(name).is_some() => name,
            _ => &self.apps_domain,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Box<str>, Leaf>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CertificateStore {
    /// What to show to a client that asks for that lower-case name, or for none.
    pub(super) fn shown_for(&self, asked: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let name = self.covered(asked);
        match self.certificate_of(name) {
            Ok(certified) => Some(certified),
            Err(error) => {
                tracing::error!(%name, %error, "no certificate for a client");
                None
            }
        }
    }
}

impl ResolvesServerCert for CertificateStore {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let asked = hello.server_name().map(str::to_ascii_lowercase);
        self.shown_for(asked.as_deref())
    }
}

impl fmt::Debug for CertificateStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateStore").field("apps_domain", &self.apps_domain).finish_non_exhaustive()
    }
}

impl Leaf {
    fn is_fresh(&self, now: Timestamp) -> bool {
        now.since(self.signed_at) < SIGN_AGAIN_AFTER
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::clock::Clock;

    fn store(dir: &std::path::Path, clock: &Clock) -> CertificateStore {
        let authority = LocalAuthority::open(dir, clock.clone()).unwrap();
        CertificateStore::new(authority, "apps.test").unwrap()
    }

    fn names(certified: &CertifiedKey) -> Vec<String> {
        let (_, leaf) = x509_parser::parse_x509_certificate(&certified.cert[0]).unwrap();
        let names = leaf.subject_alternative_name().unwrap().unwrap();
        names.value.general_names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn only_the_apps_domain_and_one_label_below_it_are_certified() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path(), &Clock::system());
        assert_eq!(store.covered(Some("a.apps.test")), "a.apps.test");
        for other in [
            None,
            Some("apps.test"),
            Some("a.b.apps.test"),
            Some(".apps.test"),
            Some("example.org"),
            Some("xapps.test"),
        ] {
            assert_eq!(store.covered(other), "apps.test", "{other:?}");
        }
        assert_eq!(names(&store.certificate_of("a.apps.test").unwrap()), ["DNSName(a.apps.test)"]);
    }

    #[test]
    fn an_authority_that_is_opened_again_signs_under_the_same_certificate() {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::system();
        let made = LocalAuthority::open(dir.path(), clock.clone()).unwrap().ca_pem().to_owned();
        let store = store(dir.path(), &clock);
        assert_eq!(store.authority.ca_pem(), made);
        let (_, pem) = x509_parser::pem::parse_x509_pem(made.as_bytes()).unwrap();
        let root = pem.parse_x509().unwrap();
        let certified = store.certificate_of("a.apps.test").unwrap();
        let (_, leaf) = x509_parser::parse_x509_certificate(&certified.cert[0]).unwrap();
        assert_eq!(leaf.issuer(), root.subject());
        let mode = dir.path().join("ca.key").metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_certificate_without_its_key_is_refused_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        LocalAuthority::open(dir.path(), Clock::system()).unwrap();
        std::fs::remove_file(dir.path().join("ca.key")).unwrap();
        let error = LocalAuthority::open(dir.path(), Clock::system()).unwrap_err();
        assert!(error.to_string().contains("put ca.key back"), "{error}");
    }

    #[test]
    fn a_leaf_is_signed_again_before_it_runs_out() {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::manual(Timestamp::from_millis(1_700_000_000_000));
        let store = store(dir.path(), &clock);
        let first = store.certificate_of("apps.test").unwrap();
        clock.advance(Duration::from_hours(59 * 24));
        assert!(Arc::ptr_eq(&first, &store.certificate_of("apps.test").unwrap()));
        clock.advance(Duration::from_hours(2 * 24));
        let second = store.certificate_of("apps.test").unwrap();
        assert!(!Arc::ptr_eq(&first, &second));
        assert_ne!(first.cert, second.cert);
    }

    #[test]
    fn invented_names_do_not_grow_the_cache_without_bound() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path(), &Clock::system());
        for number in 0..CACHE_LIMIT + 10 {
            store.certificate_of(&format!("n{number}.apps.test")).unwrap();
        }
        assert_eq!(store.lock().len(), CACHE_LIMIT);
    }
}
