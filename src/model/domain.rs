//! The domains of a certificate: names of hosts, or all names one label below one.

use super::rule::{RuleError, shown};

/// A lower-case domain, or `*.` and one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CertificateDomain(Box<str>);

/// At least one domain, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domains(Vec<CertificateDomain>);

/// Each domain has at most 64 characters (`behaviour.md` §25), which is also what a common name can hold.
const DOMAIN_LIMIT: usize = 64;
/// What Let's Encrypt puts into one certificate at most.
const DOMAINS_LIMIT: usize = 100;

/// Whether it is a label of a host name (RFC 1123 §2.1): letters, digits and inner dashes, up to 63.
pub fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

impl CertificateDomain {
    /// Labels of letters, digits and inner dashes, of which the first may be `*`; up to 64 characters in all, no
    /// address. A dot at the end is dropped.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        let domain = text.trim().to_ascii_lowercase();
        let domain = domain.strip_suffix('.').unwrap_or(&domain);
        let name = domain.strip_prefix("*.").unwrap_or(domain);
        let is_address = name.parse::<std::net::IpAddr>().is_ok();
        if domain.len() > DOMAIN_LIMIT || !name.split('.').all(is_label) || is_address {
            return Err(RuleError::new(format!(
                "The domain \"{}\" is not valid: give a name like www.example.com or *.example.com, up to {DOMAIN_LIMIT} characters.",
                shown(text)
            )));
        }
        Ok(Self(domain.into()))
    }

    /// Takes a domain that was checked when it was stored.
    pub fn from_stored(text: &str) -> Self {
        Self(text.into())
    }

    /// The domain.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it stands for all names one label below.
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with("*.")
    }

    /// The domain without a leading `*.`.
    pub fn base(&self) -> &str {
        self.0.strip_prefix("*.").unwrap_or(&self.0)
    }

    /// The wildcard that covers this name; `None` for a wildcard and for a name of one label.
    pub fn wildcard(&self) -> Option<Self> {
        let (_, parent) = self.0.split_once('.').filter(|_| !self.is_wildcard())?;
        Some(Self(format!("*.{parent}").into()))
    }

    /// Whether it is the domain or lies anywhere below it.
    pub fn is_within(&self, domain: &str) -> bool {
        let base = self.base();
        base.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }
}

impl std::fmt::Display for CertificateDomain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Domains {
    /// One domain.
    pub fn of(domain: CertificateDomain) -> Self {
        Self(vec![domain])
    }

    /// One to a hundred, with the common name among them; each is kept once, in the order given.
    pub fn new(domains: Vec<CertificateDomain>, common_name: &CertificateDomain) -> Result<Self, RuleError> {
        let mut kept: Vec<CertificateDomain> = Vec::new();
        for domain in domains {
            if !kept.contains(&domain) {
                kept.push(domain);
            }
            if kept.len() > DOMAINS_LIMIT {
                return Err(RuleError::new(format!(
                    "The domain names are too many: a certificate holds up to {DOMAINS_LIMIT}."
                )));
            }
        }
        if !kept.contains(common_name) {
            return Err(RuleError::new(format!(
                "The domain names do not contain the common name {common_name}: add it."
            )));
        }
        Ok(Self(kept))
    }

    /// From the stored form.
    pub fn from_stored(text: &str) -> Self {
        Self(text.split(',').map(CertificateDomain::from_stored).collect())
    }

    /// The stored form: joined by commas.
    pub fn to_stored(&self) -> String {
        self.0.iter().map(CertificateDomain::as_str).collect::<Vec<_>>().join(",")
    }

    /// All of them, in order.
    pub fn as_slice(&self) -> &[CertificateDomain] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn domain(text: &str) -> CertificateDomain {
        CertificateDomain::parse(text).unwrap()
    }

    #[test]
    fn a_domain_is_a_name_or_a_wildcard_and_nothing_else() {
        assert_eq!(domain(" WWW.Example.com. ").as_str(), "www.example.com");
        assert_eq!(domain("*.example.com").base(), "example.com");
        assert_eq!(domain("localhost").wildcard(), None);
        assert_eq!(domain("a.b.c").wildcard(), Some(domain("*.b.c")));
        assert_eq!(domain("*.b.c").wildcard(), None);
        for bad in [
            "",
            ".",
            "*",
            "*.",
            "a..b",
            "-a.b",
            "a-.b",
            "a_b.c",
            "a b",
            "*.*.a",
            "a.*.b",
            "127.0.0.1",
            "::1",
            "a/b",
            "ä.de",
        ] {
            assert!(CertificateDomain::parse(bad).is_err(), "{bad:?} was accepted");
        }
        assert!(CertificateDomain::parse(&format!("{}.{}", "a".repeat(40), "b".repeat(24))).is_err());
    }

    #[test]
    fn a_domain_lies_within_itself_and_its_parents() {
        assert!(domain("a.example.com").is_within("example.com"));
        assert!(domain("*.example.com").is_within("example.com"));
        assert!(domain("example.com").is_within("example.com"));
        assert!(!domain("badexample.com").is_within("example.com"));
        assert!(!domain("example.com").is_within("a.example.com"));
    }

    #[test]
    fn the_list_holds_the_common_name_and_each_domain_once() {
        let domains =
            Domains::new(vec![domain("b.c"), domain("a.c"), domain("b.c")], &domain("a.c")).unwrap();
        assert_eq!(domains.as_slice(), [domain("b.c"), domain("a.c")]);
        assert_eq!(Domains::from_stored(&domains.to_stored()), domains);
        assert!(Domains::new(vec![domain("b.c")], &domain("a.c")).is_err());
        let many = (0..=DOMAINS_LIMIT).map(|number| domain(&format!("n{number}.c"))).collect();
        assert!(Domains::new(many, &domain("n0.c")).is_err());
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_a_host_name(text in "[ -~]{0,70}") {
            if let Ok(domain) = CertificateDomain::parse(&text) {
                prop_assert!(domain.as_str().len() <= DOMAIN_LIMIT && !domain.as_str().contains(','));
                prop_assert_eq!(CertificateDomain::parse(domain.as_str()).unwrap(), domain);
            }
        }
    }
}
