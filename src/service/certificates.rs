//! Certificates: naming one, ordering, installing and removing it (`behaviour.md` §25).

use uuid::Uuid;

use super::{Error, organizations};
use crate::chain::{Chain, ChainError};
use crate::ids::Ids;
use crate::model::RuleError;
use crate::model::certificate::{
    Certificate, CertificateName, CertificateOrganization, CertificateOrigin, CertificateStatus, IssuerKind,
    check_comments,
};
use crate::model::domain::{CertificateDomain, Domains};
use crate::model::event::Event;
use crate::model::ids::CertificateId;
use crate::model::principal::{Principal, Reach};
use crate::model::rule::{parse_word, shown};
use crate::seal::Sealer;
use crate::store::certificates::KeyedChain;
use crate::store::{self, Connection, Store, Tx};

/// What the operator decided about orders.
#[derive(Debug, Clone)]
pub struct OrderRules {
    /// Who signs when the order does not say.
    pub issuer: IssuerKind,
    /// Whether there is an ACME server to order from.
    pub acme: bool,
    /// Whether it can be shown records in the DNS, without which it signs no wildcard.
    pub dns: bool,
    /// Names within it are of all apps, so that only administrators order for them.
    pub apps_domain: String,
}

/// A certificate to be ordered, as the client wrote it.
#[derive(Debug, Clone)]
pub struct NewOrder {
    pub name: String,
    pub common_name: String,
    pub domain_names: Vec<String>,
    pub organization: String,
    pub comments: String,
    /// `None` is the operator's choice.
    pub issuer: Option<String>,
}

/// An order whose words are checked.
struct CheckedOrder {
    name: CertificateName,
    common_name: CertificateDomain,
    domains: Domains,
    comments: String,
    issuer: IssuerKind,
}

/// The certificate of that name or id, refused when it is not within reach.
pub fn resolve(connection: &Connection, reach: &Reach, text: &str) -> Result<Certificate, Error> {
    let found = match (Uuid::try_parse(text), CertificateName::parse(text)) {
        (Ok(id), _) => store::certificates::find(connection, CertificateId::new(id))?,
        (Err(_), Ok(name)) => store::certificates::find_by_name(connection, &name)?,
        (Err(_), Err(_)) => None,
    };
    let certificate = found.ok_or_else(|| unknown(text))?;
    if reach.includes(certificate.organization.id) {
        return Ok(certificate);
    }
    Err(Error::Forbidden(format!(
        "The certificate {} belongs to the organization {}, of which you are no member; one of its administrators can add you.",
        certificate.name, certificate.organization.name
    )))
}

/// The same, which must be installed.
pub fn resolve_installed(connection: &Connection, reach: &Reach, text: &str) -> Result<Certificate, Error> {
    let certificate = resolve(connection, reach, text)?;
    if certificate.is_installed() {
        return Ok(certificate);
    }
    Err(Error::NotFound(format!(
        "The certificate {} is not installed; GET /ssl-orders/{} tells how far it is.",
        certificate.name, certificate.name
    )))
}

/// The certificates within reach, installed or not, oldest first.
pub fn list(connection: &Connection, reach: &Reach, installed: bool) -> Result<Vec<Certificate>, Error> {
    let mut all = store::certificates::list(connection)?;
    all.retain(|one| one.is_installed() == installed && reach.includes(one.organization.id));
    Ok(all)
}

/// Places an order. The checks in their order: the words, the organization, the site of others, a name or a domain
/// that is taken.
pub async fn create(
    store: &Store,
    (ids, rules): (&Ids, &OrderRules),
    author: &Principal,
    new: NewOrder,
) -> Result<Certificate, Error> {
    let organization = new.organization.clone();
    let order = new.check(rules)?;
    check_apps_domain(author, rules, &order.domains)?;
    let (id, reach) = (CertificateId::new(ids.next()), author.reach.clone());
    store
        .write(author, move |tx| {
            let organization = organizations::resolve(tx, &reach, &organization)?;
            let organization = CertificateOrganization { id: organization.id, name: organization.name };
            check_sites(tx, &reach, &order.domains)?;
            let certificate = order.place(tx, id, organization);
            add(tx, &certificate)?;
            Ok(certificate)
        })
        .await
}

/// Adds an order whose name and domains must be free.
pub fn add(tx: &mut Tx<'_>, certificate: &Certificate) -> Result<(), Error> {
    for domain in certificate.domains.as_slice() {
        if let Some(other) = store::certificates::covering(tx, domain)? {
            return Err(RuleError::new(format!(
                "The domain {domain} is covered by the certificate {other} already: leave it out, or delete the other."
            ))
            .into());
        }
    }
    if store::certificates::find_by_name(tx, &certificate.name)?.is_some() {
        return Err(RuleError::new(format!(
            "The certificate {} exists already: give another name.",
            certificate.name
        ))
        .into());
    }
    store::certificates::insert(tx, certificate)?;
    tx.record(Event::CertificateOrdered { certificate: certificate.id })?;
    Ok(())
}

/// Has the edge show what was issued: 422 when nothing was, and a conflict when it is done already.
pub async fn install(store: &Store, author: &Principal, id: CertificateId) -> Result<Certificate, Error> {
    store
        .write(author, move |tx| {
            let mut certificate = still(tx, id)?;
            if certificate.status != CertificateStatus::Issued {
                return Err(RuleError::new(not_issued(&certificate)).into());
            }
            if certificate.is_installed() {
                return Err(Error::Conflict(format!(
                    "The certificate {} is installed already.",
                    certificate.name
                )));
            }
            certificate.installed_at = Some(tx.now());
            certificate.updated_at = tx.now();
            store::certificates::update(tx, &certificate)?;
            tx.record(Event::CertificateInstalled { certificate: id })?;
            Ok(certificate)
        })
        .await
}

/// Installs a chain and a key that were issued elsewhere, in place of what there was; from then on the certificate
/// is not renewed by the daemon. 422 for what cannot be served.
pub async fn upload(
    store: &Store,
    sealer: &Sealer,
    author: &Principal,
    id: CertificateId,
    uploaded: KeyedChain,
) -> Result<Certificate, Error> {
    let refused = |error: ChainError| RuleError::new(error.to_string());
    let chain = Chain::parse(&uploaded.chain, &uploaded.key).map_err(refused)?;
    let sealer = sealer.clone();
    store
        .write(author, move |tx| {
            let mut certificate = still(tx, id)?;
            chain.check_time(tx.now()).map_err(refused)?;
            chain.check_domains(certificate.domains.as_slice()).map_err(refused)?;
            let now = tx.now();
            certificate.issuer = IssuerKind::Upload;
            certificate.succeed(chain.validity(), None, now);
            certificate.installed_at.get_or_insert(now);
            certificate.updated_at = now;
            store::certificates::update_issued(tx, &sealer, (&certificate, chain.validity()), &uploaded)?;
            store::acme::forget_order(tx, id)?;
            tx.record(Event::CertificateIssued { certificate: id })?;
            tx.record(Event::CertificateInstalled { certificate: id })?;
            Ok(certificate)
        })
        .await
}

/// Withdraws an order, or takes a certificate from the edge and forgets its key.
pub async fn delete(store: &Store, author: &Principal, id: CertificateId) -> Result<Certificate, Error> {
    store
        .write(author, move |tx| {
            let certificate = still(tx, id)?;
            store::certificates::remove(tx, id)?;
            tx.record(Event::CertificateDeleted { certificate: id })?;
            Ok(certificate)
        })
        .await
}

impl NewOrder {
    fn check(self, rules: &OrderRules) -> Result<CheckedOrder, Error> {
        let name = CertificateName::parse(&self.name)?;
        if self.common_name.trim().is_empty() {
            return Err(RuleError::new("The common_name is missing: give the main domain.").into());
        }
        if self.domain_names.is_empty() {
            return Err(RuleError::new("The domain_names are missing: give at least the common name.").into());
        }
        // A domain that is none is 400, as the document says; all else is 422.
        let domain =
            |text: &str| CertificateDomain::parse(text).map_err(|error| Error::BadRequest(error.to_string()));
        let common_name = domain(&self.common_name)?;
        let domains = self.domain_names.iter().map(|text| domain(text)).collect::<Result<_, _>>()?;
        let domains = Domains::new(domains, &common_name)?;
        check_comments(&self.comments)?;
        if self.organization.trim().is_empty() {
            return Err(RuleError::new("The org is missing: give the name or id of an organization.").into());
        }
        let issuer = match self.issuer.as_deref() {
            None | Some("") => rules.issuer,
            Some(word) => parse_word("issuer", word)?,
        };
        rules.check(issuer, &domains)?;
        Ok(CheckedOrder { name, common_name, domains, comments: self.comments, issuer })
    }
}

impl OrderRules {
    /// Refuses what this daemon's issuers cannot sign.
    fn check(&self, issuer: IssuerKind, domains: &Domains) -> Result<(), RuleError> {
        if issuer != IssuerKind::Acme {
            return Ok(());
        }
        if !self.acme {
            return Err(RuleError::new(
                "The issuer acme is not set up here: the operator sets acme.directory; local and upload are there.",
            ));
        }
        match domains.as_slice().iter().find(|domain| domain.is_wildcard()) {
            Some(_) if self.dns => Ok(()),
            Some(domain) => Err(RuleError::new(format!(
                "The domain {domain} is a wildcard, which ACME servers sign only for who shows them a DNS record: the operator sets acme.dns_hook or acme.dns_zone; or choose the issuer local or upload, or name each domain."
            ))),
            None => Ok(()),
        }
    }
}

impl CheckedOrder {
    fn place(self, tx: &Tx<'_>, id: CertificateId, organization: CertificateOrganization) -> Certificate {
        let now = tx.now();
        Certificate {
            id,
            name: self.name,
            common_name: self.common_name,
            domains: self.domains,
            comments: self.comments,
            organization,
            requester: tx.author().clone(),
            issuer: self.issuer,
            origin: CertificateOrigin::Ordered,
            status: CertificateStatus::Pending,
            reason: String::new(),
            attempts: 0,
            due_at: (self.issuer != IssuerKind::Upload).then_some(now),
            validity: None,
            installed_at: None,
            created_at: now,
            updated_at: now,
        }
    }
}

fn check_apps_domain(author: &Principal, rules: &OrderRules, domains: &Domains) -> Result<(), Error> {
    let within = domains.as_slice().iter().find(|domain| domain.is_within(&rules.apps_domain));
    match within {
        Some(domain) if !author.is_elevated() => Err(Error::Forbidden(format!(
            "The domain {domain} is within {}, where all apps answer: only an administrator orders certificates for it.",
            rules.apps_domain
        ))),
        Some(_) | None => Ok(()),
    }
}

/// A certificate for the site of others would be shown there, also one for all names of its parent.
fn check_sites(tx: &Tx<'_>, reach: &Reach, domains: &Domains) -> Result<(), Error> {
    for site in store::sites::list(tx)? {
        let Ok(name) = CertificateDomain::parse(site.domain.as_str()) else { continue };
        let wildcard = name.wildcard();
        let is_shown = |domain: &CertificateDomain| *domain == name || Some(domain) == wildcard.as_ref();
        let shown = domains.as_slice().iter().find(|domain| is_shown(domain));
        if let Some(domain) = shown.filter(|_| !reach.includes(site.organization.id)) {
            return Err(Error::Forbidden(format!(
                "The domain {domain} is for the site of an organization of which you are no member; one of its administrators can order its certificate."
            )));
        }
    }
    Ok(())
}

fn not_issued(certificate: &Certificate) -> String {
    let Certificate { name, status, issuer, reason, .. } = certificate;
    match (status, issuer) {
        (CertificateStatus::Pending, IssuerKind::Upload) => {
            format!(
                "The certificate {name} is to be uploaded: send certificate_chain and private_key with this request."
            )
        }
        _ if reason.is_empty() => format!("The certificate {name} is {status}: wait until it is issued."),
        _ => format!("The certificate {name} is {status}, not issued: {reason}"),
    }
}

fn still(tx: &Tx<'_>, id: CertificateId) -> Result<Certificate, Error> {
    store::certificates::find(tx, id)?.ok_or_else(|| unknown(&id.to_string()))
}

fn unknown(text: &str) -> Error {
    Error::NotFound(format!("The certificate {} does not exist.", shown(text)))
}
