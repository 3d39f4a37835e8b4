//! Certificates: what is ordered for which domains, and how far the order is (`behaviour.md` §25).

use std::collections::BTreeSet;
use std::time::Duration;

use super::domain::{CertificateDomain, Domains};
use super::ids::{CertificateId, OrganizationId};
use super::names::{OrganizationName, UserName};
use super::rule::{RuleError, shown};
use super::time::Timestamp;

/// A certificate, from its order on. The documents call it an order until it is installed, then an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    pub id: CertificateId,
    pub name: CertificateName,
    pub common_name: CertificateDomain,
    pub domains: Domains,
    pub comments: String,
    pub organization: CertificateOrganization,
    pub requester: UserName,
    pub issuer: IssuerKind,
    pub origin: CertificateOrigin,
    pub status: CertificateStatus,
    /// Why it does not get on, as a sentence for people; empty while all is well.
    pub reason: String,
    /// Attempts in a row that failed.
    pub attempts: u32,
    /// When the daemon does something for it next; `None` when there is nothing to do.
    pub due_at: Option<Timestamp>,
    /// What was issued; a renewal replaces it.
    pub validity: Option<Validity>,
    /// Since when the edge shows it; `None` before it is installed.
    pub installed_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// The organization that answers for a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateOrganization {
    pub id: OrganizationId,
    pub name: OrganizationName,
}

/// When an issued certificate is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    pub issued: Timestamp,
    pub expires: Timestamp,
}

/// What a certificate is called: letters, digits, dashes and dots, lower case, up to 128.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CertificateName(String);

crate::text_enum! {
    /// How far an order is. Of the documented words, `revoked`, `canceled`, `needs_csr` and `needs_approval` are
    /// states of a paid authority's office, which none of the issuers has.
    pub enum CertificateStatus {
        /// Nothing was done yet, or the next attempt waits; with the issuer `upload`, chain and key are awaited.
        Pending => "pending",
        /// The issuer is at it.
        Processing => "processing",
        /// There is a certificate. Renewals do not leave this state.
        Issued => "issued",
        /// The issuer will not, or too many attempts failed.
        Rejected => "rejected",
    }
}

crate::text_enum! {
    /// Who signs.
    pub enum IssuerKind {
        /// The authority of this installation.
        Local => "local",
        /// A server that speaks ACME (RFC 8555).
        Acme => "acme",
        /// Somebody else; a person hands over chain and key.
        Upload => "upload",
    }
}

crate::text_enum! {
    /// Who asked for it.
    pub enum CertificateOrigin {
        /// A person, who also installs it.
        Ordered => "ordered",
        /// The daemon, for a site without one (`certs.auto`); installed as soon as it is issued.
        Automatic => "automatic",
    }
}

crate::text_enum! {
    /// The documented kinds.
    pub enum CertificateKind {
        Wildcard => "wildcard",
        Single => "ssl_plus",
        Several => "multi_domain",
    }
}

/// Attempts after which a new order is rejected: with the pauses between them about two days.
const MOST_ATTEMPTS: u32 = 12;
const FIRST_PAUSE: Duration = Duration::from_mins(1);
const LONGEST_PAUSE: Duration = Duration::from_hours(12);
const NAME_LIMIT: usize = 128;
const COMMENTS_LIMIT: usize = 2048;
/// What is kept of the reason of a failure.
const REASON_LIMIT: usize = 500;

impl Certificate {
    /// The documented kind of its domains.
    pub fn kind(&self) -> CertificateKind {
        if self.common_name.is_wildcard() {
            CertificateKind::Wildcard
        } else if self.domains.as_slice().len() == 1 {
            CertificateKind::Single
        } else {
            CertificateKind::Several
        }
    }

    /// Whether the edge shows it.
    pub fn is_installed(&self) -> bool {
        self.installed_at.is_some()
    }

    /// Notes that the issuer is at it. A certificate that is issued stays so while it is renewed.
    pub fn begin(&mut self) {
        if self.status == CertificateStatus::Pending {
            self.status = CertificateStatus::Processing;
        }
    }

    /// Takes over what was issued, to be renewed at `renew_at`; `None` for what nobody here can renew.
    pub fn succeed(&mut self, validity: Validity, renew_at: Option<Timestamp>, now: Timestamp) {
        self.status = CertificateStatus::Issued;
        self.reason.clear();
        self.attempts = 0;
        self.validity = Some(validity);
        self.due_at = renew_at;
        if self.origin == CertificateOrigin::Automatic {
            self.installed_at.get_or_insert(now);
        }
    }

    /// Notes an attempt that failed; the next one is later each time, by at most a tenth more (`jitter`, from 0
    /// to 1). A first order is rejected when `is_final`, or when twelve attempts failed; a renewal never is.
    pub fn fail(&mut self, reason: &str, is_final: bool, (now, jitter): (Timestamp, f64)) {
        self.attempts = self.attempts.saturating_add(1);
        self.reason = reason.chars().take(REASON_LIMIT).collect();
        let is_renewal = self.status == CertificateStatus::Issued;
        if !is_renewal && (is_final || self.attempts >= MOST_ATTEMPTS) {
            self.status = CertificateStatus::Rejected;
            self.due_at = None;
            return;
        }
        if !is_renewal {
            self.status = CertificateStatus::Pending;
        }
        let pause = FIRST_PAUSE.saturating_mul(1 << self.attempts.saturating_sub(1).min(16));
        let pause = pause.min(LONGEST_PAUSE);
        self.due_at = Some(now.plus(pause + pause.mul_f64(jitter.clamp(0.0, 1.0) / 10.0)));
    }
}

impl Validity {
    /// When to renew: with a third of the lifetime left, earlier by up to a thirtieth of it (`jitter`, 0 to 1), so
    /// that what was issued together is not renewed together.
    pub fn renew_at(self, jitter: f64) -> Timestamp {
        let lifetime = self.expires.since(self.issued);
        let early = lifetime.mul_f64(jitter.clamp(0.0, 1.0) / 30.0);
        self.expires.minus(lifetime / 3 + early)
    }
}

impl CertificateName {
    /// Letters, digits, dashes and dots (`behaviour.md` §25), up to 128; trimmed and lower-cased.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        let name = text.trim().to_ascii_lowercase();
        let charset = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'));
        if name.is_empty() || name.len() > NAME_LIMIT || !charset {
            return Err(RuleError::new(format!(
                "The name \"{}\" is not usable: use letters, digits, dashes and dots only, up to {NAME_LIMIT}.",
                shown(text)
            )));
        }
        Ok(Self(name))
    }

    /// The name of what the daemon orders by itself for a domain.
    pub fn of_domain(domain: &CertificateDomain) -> Self {
        Self(format!("auto-{}", domain.as_str().replace('*', "_")))
    }

    /// Takes a name that was checked when it was stored.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for CertificateName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Bounds the comments of an order: fewer than 2048 characters (`behaviour.md` §25).
pub fn check_comments(text: &str) -> Result<(), RuleError> {
    if text.chars().count() < COMMENTS_LIMIT {
        return Ok(());
    }
    Err(RuleError::new(format!("The comments are too long: give fewer than {COMMENTS_LIMIT} characters.")))
}

/// Of these domains, those that no certificate covers, neither by name nor by a wildcard: what `certs.auto` orders.
pub fn uncovered<'d>(
    wanted: &'d [CertificateDomain],
    covered: &BTreeSet<CertificateDomain>,
) -> Vec<&'d CertificateDomain> {
    let is_covered = |domain: &CertificateDomain| {
        covered.contains(domain) || domain.wildcard().is_some_and(|wildcard| covered.contains(&wildcard))
    };
    wanted.iter().filter(|domain| !is_covered(domain)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    fn certificate() -> Certificate {
        let domain = CertificateDomain::parse("a.example").unwrap();
        let at = Timestamp::from_millis(0);
        Certificate {
            id: CertificateId::new(uuid::Uuid::nil()),
            name: CertificateName::parse("a").unwrap(),
            common_name: domain.clone(),
            domains: Domains::of(domain),
            comments: String::new(),
            organization: CertificateOrganization {
                id: OrganizationId::new(uuid::Uuid::nil()),
                name: OrganizationName::parse("akkeris").unwrap(),
            },
            requester: UserName::parse("alice").unwrap(),
            issuer: IssuerKind::Local,
            origin: CertificateOrigin::Ordered,
            status: CertificateStatus::Pending,
            reason: String::new(),
            attempts: 0,
            due_at: Some(at),
            validity: None,
            installed_at: None,
            created_at: at,
            updated_at: at,
        }
    }

    fn ninety_days() -> Validity {
        Validity { issued: Timestamp::from_millis(0), expires: Timestamp::from_millis(0).plus(90 * DAY) }
    }

    #[test]
    fn a_renewal_is_due_with_a_third_left_or_a_little_earlier() {
        let validity = ninety_days();
        assert_eq!(validity.renew_at(0.0), validity.issued.plus(60 * DAY));
        assert_eq!(validity.renew_at(1.0), validity.issued.plus(57 * DAY));
    }

    #[test]
    fn pauses_grow_and_an_order_that_keeps_failing_is_rejected() {
        let mut order = certificate();
        let mut last = Duration::ZERO;
        for attempt in 1..MOST_ATTEMPTS {
            order.begin();
            let now = Timestamp::from_millis(0);
            order.fail("no answer", false, (now, 0.0));
            let pause = order.due_at.unwrap().since(now);
            assert!(pause > last || pause == LONGEST_PAUSE, "{attempt}: {pause:?}");
            assert_eq!((order.status, order.attempts), (CertificateStatus::Pending, attempt));
            last = pause;
        }
        order.fail("no answer", false, (Timestamp::from_millis(0), 0.5));
        assert_eq!((order.status, order.due_at), (CertificateStatus::Rejected, None));
        let mut refused = certificate();
        refused.fail("the domain is on a list", true, (Timestamp::from_millis(0), 0.0));
        assert_eq!(refused.status, CertificateStatus::Rejected);
    }

    #[test]
    fn a_renewal_that_fails_leaves_what_was_issued_and_is_tried_on() {
        let mut certificate = certificate();
        certificate.succeed(ninety_days(), None, Timestamp::from_millis(5));
        assert!(!certificate.is_installed(), "what a person ordered, a person installs");
        for _ in 0..2 * MOST_ATTEMPTS {
            certificate.begin();
            certificate.fail("x", true, (Timestamp::from_millis(0), 0.0));
        }
        assert_eq!(certificate.status, CertificateStatus::Issued);
        assert!(certificate.due_at.is_some() && certificate.validity == Some(ninety_days()));
    }

    #[test]
    fn only_domains_without_a_certificate_are_wanted() {
        let domain = |text: &str| CertificateDomain::parse(text).unwrap();
        let wanted = [domain("a.example"), domain("b.other"), domain("c.other"), domain("d.deep.other")];
        let covered = BTreeSet::from([domain("a.example"), domain("*.other")]);
        assert_eq!(uncovered(&wanted, &covered), [&domain("d.deep.other")]);
    }

    #[test]
    fn names_and_comments_are_bounded() {
        assert_eq!(CertificateName::parse(" My-Cert.1 ").unwrap().as_str(), "my-cert.1");
        for bad in ["", " ", "a b", "a/b", "ä", &"x".repeat(NAME_LIMIT + 1)] {
            assert!(CertificateName::parse(bad).is_err(), "{bad:?} was accepted");
        }
        assert!(check_comments(&"x".repeat(2047)).is_ok());
        assert!(check_comments(&"x".repeat(2048)).is_err());
    }
}
