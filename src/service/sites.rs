//! Sites: naming one, making, changing and deleting it.
//!
//! Invariant: a site belongs to one organization, and only whoever reaches it sees the site.

use uuid::Uuid;

use super::{Error, organizations, routes};
use crate::ids::Ids;
use crate::model::RuleError;
use crate::model::app::{check_description, check_labels};
use crate::model::catalogue::Catalogue;
use crate::model::event::Event;
use crate::model::ids::SiteId;
use crate::model::organization::Organization;
use crate::model::principal::{Principal, Reach};
use crate::model::rule::shown;
use crate::model::site::{PlatformHosts, Site, SiteDomain, SiteOrganization};
use crate::store::{self, Connection, Store, Tx};

/// A site to be made, as the client wrote it.
#[derive(Debug, Clone)]
pub struct NewSite {
    pub domain: String,
    /// Name or id; this machine's when absent.
    pub region: Option<String>,
    pub internal: bool,
    /// Name or id; the oldest within reach when absent.
    pub organization: Option<String>,
    pub description: String,
    pub labels: String,
}

/// What every new site must agree with.
#[derive(Debug, Clone)]
pub struct SiteRules<'a> {
    pub hosts: PlatformHosts,
    pub catalogue: &'a Catalogue,
}

/// The site of that domain or id, refused when it is not within reach.
pub fn resolve(connection: &Connection, reach: &Reach, text: &str) -> Result<Site, Error> {
    let found = match (Uuid::try_parse(text), SiteDomain::parse(text)) {
        (Ok(id), _) => store::sites::find(connection, SiteId::new(id))?,
        (Err(_), Ok(domain)) => store::sites::find_by_domain(connection, &domain)?,
        (Err(_), Err(_)) => None,
    };
    let site = found.ok_or_else(|| Error::NotFound(format!("The site {} does not exist.", shown(text))))?;
    if reach.includes(site.organization.id) {
        return Ok(site);
    }
    Err(Error::Forbidden(format!(
        "The site {} belongs to the organization {}, of which you are no member; one of its administrators can add you.",
        site.domain, site.organization.name
    )))
}

/// The sites within reach, oldest first.
pub fn list(connection: &Connection, reach: &Reach) -> Result<Vec<Site>, Error> {
    let mut all = store::sites::list(connection)?;
    all.retain(|site| reach.includes(site.organization.id));
    Ok(all)
}

/// Makes a site (`behaviour.md` §26): 422 for what it tells, then an unknown region or organization, then a
/// conflict when there is one of the domain.
pub async fn create(
    store: &Store,
    ids: &Ids,
    author: &Principal,
    rules: SiteRules<'_>,
    new: NewSite,
) -> Result<Site, Error> {
    let domain = SiteDomain::parse(&new.domain)?;
    rules.hosts.check(&domain)?;
    check_description(&new.description)?;
    check_labels(&new.labels)?;
    check_region(rules.catalogue, new.region.as_deref())?;
    if new.internal {
        return Err(Error::Conflict(
            "A site cannot be internal here: the region of this machine has no private network of its own."
                .to_owned(),
        ));
    }
    let (id, reach) = (SiteId::new(ids.next()), author.reach.clone());
    store
        .write(author, move |tx| {
            let organization = organization(tx, &reach, new.organization.as_deref())?;
            let site = Site {
                id,
                domain,
                organization: SiteOrganization { id: organization.id, name: organization.name },
                preview: None,
                description: new.description,
                labels: new.labels,
                created_at: tx.now(),
                updated_at: tx.now(),
            };
            insert(tx, &site)?;
            Ok(site)
        })
        .await
}

/// Sets description and labels; what is already so changes nothing.
pub async fn update(
    store: &Store,
    author: &Principal,
    id: SiteId,
    (description, labels): (String, String),
) -> Result<Site, Error> {
    check_description(&description)?;
    check_labels(&labels)?;
    store
        .write(author, move |tx| {
            let old = still(tx, id)?;
            let mut site = Site { description, labels, ..old.clone() };
            if site != old {
                site.updated_at = tx.now();
                store::sites::update(tx, &site)?;
                tx.record(Event::SiteUpdated { site: id })?;
            }
            Ok(site)
        })
        .await
}

/// Deletes a site with its drains and all of its routes; the apps stay. All of them must be within reach.
pub async fn delete(store: &Store, author: &Principal, id: SiteId) -> Result<Site, Error> {
    let reach = author.reach.clone();
    store
        .write(author, move |tx| {
            let site = still(tx, id)?;
            let all = store::routes::list_by_site(tx, id)?;
            if all.iter().any(|route| !reach.includes(route.app.organization)) {
                return Err(Error::Forbidden(format!(
                    "The site {} has routes to apps of organizations of which you are no member.",
                    site.domain
                )));
            }
            remove(tx, &site)?;
            Ok(site)
        })
        .await
}

/// Adds a site in the caller's transaction.
pub(super) fn insert(tx: &mut Tx<'_>, site: &Site) -> Result<(), Error> {
    let exists = || format!("The site {} exists already.", site.domain);
    store::sites::insert(tx, site).map_err(|error| Error::exists(error, exists))?;
    tx.record(Event::SiteCreated { site: site.id })?;
    Ok(())
}

/// Deletes a site in the caller's transaction, which has seen to it that this may be.
pub(super) fn remove(tx: &mut Tx<'_>, site: &Site) -> Result<(), Error> {
    for route in store::routes::list_by_site(tx, site.id)? {
        routes::remove(tx, &route)?;
    }
    store::log_drains::remove_of_site(tx, site.id)?;
    store::sites::mark_deleted(tx, site.id)?;
    tx.record(Event::SiteDeleted { site: site.id })?;
    Ok(())
}

/// The site as it is within a write: it may have been deleted since the request named it.
pub(super) fn still(tx: &Tx<'_>, id: SiteId) -> Result<Site, Error> {
    store::sites::find(tx, id)?.ok_or_else(|| Error::NotFound(format!("The site {id} does not exist.")))
}

fn organization(connection: &Connection, reach: &Reach, named: Option<&str>) -> Result<Organization, Error> {
    if let Some(text) = named {
        return organizations::resolve(connection, reach, text);
    }
    let own = organizations::list(connection, reach)?.into_iter().next();
    let none = || RuleError::new("A site belongs to an organization, and you are in none: make one first.");
    Ok(own.ok_or_else(none)?)
}

fn check_region(catalogue: &Catalogue, named: Option<&str>) -> Result<(), Error> {
    let (region, Some(text)) = (&catalogue.region, named) else { return Ok(()) };
    if region.name.eq_ignore_ascii_case(text) || region.id.to_string() == text {
        return Ok(());
    }
    let message = format!("The region {} does not exist; there is {}.", shown(text), region.name);
    Err(Error::NotFound(message))
}
