//! Sites: domains of the users' own, whose paths lead to apps (`behaviour.md` §26).
//!
//! Invariant: a site's domain is a host name that no app of the platform and not its API can have.

use super::domain::is_label;
use super::ids::{OrganizationId, PreviewId, SiteId};
use super::names::OrganizationName;
use super::rule::{RuleError, shown};
use super::time::Timestamp;

/// A site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    pub id: SiteId,
    pub domain: SiteDomain,
    pub organization: SiteOrganization,
    /// Set when the site was made with a preview.
    pub preview: Option<PreviewId>,
    pub description: String,
    pub labels: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// The organization whose members change a site and route to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteOrganization {
    pub id: OrganizationId,
    pub name: OrganizationName,
}

/// A lower-case host name without a dot at its end (RFC 1035 §2.3.1, with digits as RFC 1123 §2.1 allows).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SiteDomain(String);

/// The names that the platform itself answers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformHosts {
    /// It and the names one label below it belong to the apps and to the API.
    pub apps_domain: String,
    /// Another name of the API, when the operator gave it one.
    pub api: Option<String>,
}

/// The longest name that fits a DNS message, without the dot at its end.
const DOMAIN_LIMIT: usize = 253;

impl SiteDomain {
    /// Labels of letters, digits and inner dashes, up to 253 characters in all; trimmed and lower-cased. The last
    /// label is no number, because browsers take such a name for an address.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        let domain = text.trim().to_ascii_lowercase();
        let domain = domain.strip_suffix('.').unwrap_or(&domain);
        let numeric = domain.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
        if domain.len() > DOMAIN_LIMIT || numeric || !domain.split('.').all(is_label) {
            return Err(RuleError::new(format!(
                "The domain \"{}\" is not usable: give a host name such as www.example.com, of letters, digits, inner dashes and full stops.",
                shown(text)
            )));
        }
        Ok(Self(domain.to_owned()))
    }

    /// Takes a domain that was checked when it was stored.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The domain.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the apps domain or could be the host of an app: one label below it.
    pub fn is_app_host(&self, apps_domain: &str) -> bool {
        if self.0.eq_ignore_ascii_case(apps_domain) {
            return true;
        }
        let parent = self.0.split_once('.').map(|(_, parent)| parent);
        parent.is_some_and(|parent| parent.eq_ignore_ascii_case(apps_domain))
    }
}

impl PlatformHosts {
    /// Refuses a domain that the platform answers to itself.
    pub fn check(&self, domain: &SiteDomain) -> Result<(), RuleError> {
        if domain.is_app_host(&self.apps_domain) {
            return Err(RuleError::new(format!(
                "The domain {domain} is not usable: {0} and the names one label below it are those of the apps. Give a domain outside {0}.",
                self.apps_domain
            )));
        }
        if self.api.as_deref().is_some_and(|api| api.eq_ignore_ascii_case(domain.as_str())) {
            return Err(RuleError::new(format!(
                "The domain {domain} is that of this API; give another one."
            )));
        }
        Ok(())
    }
}

impl std::fmt::Display for SiteDomain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn domain(text: &str) -> SiteDomain {
        SiteDomain::parse(text).unwrap()
    }

    #[test]
    fn a_domain_is_a_host_name_and_nothing_else() {
        assert_eq!(domain(" WWW.Example.com. ").as_str(), "www.example.com");
        assert_eq!(domain("alamotestsite4106").as_str(), "alamotestsite4106");
        assert_eq!(domain("xn--bcher-kva.example").as_str(), "xn--bcher-kva.example");
        for bad in [
            "",
            ".",
            "a..b",
            "-a.b",
            "a-.b",
            "a_b.c",
            "a b",
            "*.a.b",
            "127.0.0.1",
            "1",
            "a.1",
            "::1",
            "a/b",
            "a:80",
            "ä.de",
            "a@b",
            "a\nb",
        ] {
            assert!(SiteDomain::parse(bad).is_err(), "{bad:?} was accepted");
        }
        assert!(SiteDomain::parse(&"a".repeat(64)).is_err());
        assert!(SiteDomain::parse(&["a".repeat(63).as_str(); 4].join(".")).is_err());
    }

    #[test]
    fn what_the_platform_answers_to_is_no_site() {
        let hosts =
            PlatformHosts { apps_domain: "Apps.test".to_owned(), api: Some("api.example".to_owned()) };
        for own in ["apps.test", "api.apps.test", "any.apps.test", "api.example"] {
            assert!(hosts.check(&domain(own)).is_err(), "{own} was accepted");
        }
        for free in ["a.b.apps.test", "xapps.test", "test", "www.api.example"] {
            assert!(hosts.check(&domain(free)).is_ok(), "{free} was refused");
        }
    }

    proptest! {
        #[test]
        fn what_is_accepted_stays_as_it_is(text in "[ -~]{0,40}") {
            if let Ok(domain) = SiteDomain::parse(&text) {
                prop_assert_eq!(SiteDomain::parse(domain.as_str()).unwrap(), domain);
            }
        }
    }
}
