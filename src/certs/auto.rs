//! Orders for sites without a certificate (`certs.auto`), and the end of those whose site is gone.
//!
//! Invariant: what a person ordered is never touched; an order that was rejected is not placed again before somebody
//! has deleted it.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::ids::Ids;
use crate::model::certificate::{
    Certificate, CertificateName, CertificateOrganization, CertificateOrigin, CertificateStatus, IssuerKind,
    uncovered,
};
use crate::model::domain::{CertificateDomain, Domains};
use crate::model::event::Event;
use crate::model::ids::CertificateId;
use crate::model::principal::Principal;
use crate::service::{Error, certificates};
use crate::store::{self, Connection, Store, StoreError, Tx};
use crate::tasks::Tasks;

/// How often all sites are looked at, whatever happened.
const PERIOD: Duration = Duration::from_hours(1);

/// The task that orders.
#[derive(Debug, Clone)]
pub struct AutoOrders {
    pub store: Store,
    pub ids: Ids,
    pub issuer: IssuerKind,
}

/// A domain of a site, and who answers for it.
type Wanted = (CertificateDomain, CertificateOrganization);

/// What is to be done.
#[derive(Debug)]
struct Missing {
    order: Vec<Wanted>,
    /// Automatic ones whose domain no site has any more.
    delete: Vec<CertificateId>,
}

impl AutoOrders {
    /// Looks at all sites, and again whenever one comes or goes, until the tasks stop.
    pub fn start(self, tasks: &Tasks) {
        let (mut events, stop) = (self.store.subscribe(), tasks.stopping());
        tasks.spawn("certificates of sites", async move {
            loop {
                if let Err(error) = self.look().await {
                    let error: &(dyn std::error::Error + Send + Sync) = &error;
                    tracing::error!(%error, "sites may be left without a certificate");
                }
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = store::events::wait_for(&mut events, concerns_sites) => {}
                    () = tokio::time::sleep(PERIOD) => {}
                }
            }
        });
    }

    async fn look(&self) -> Result<(), Error> {
        let Missing { order, delete } = self.store.read::<_, StoreError, _>(missing).await?;
        for wanted in order {
            let (id, issuer) = (CertificateId::new(self.ids.next()), self.issuer);
            self.store.write(&Principal::daemon(), move |tx| place(tx, id, issuer, wanted)).await?;
        }
        for id in delete {
            match certificates::delete(&self.store, &Principal::daemon(), id).await {
                Ok(_) | Err(Error::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// The domains of sites. One that no certificate can hold, being longer than 64 characters, is left out.
fn domains_to_secure(connection: &Connection) -> Result<Vec<Wanted>, StoreError> {
    let mut wanted = Vec::new();
    for site in store::sites::list(connection)? {
        if let Ok(domain) = CertificateDomain::parse(site.domain.as_str()) {
            let organization =
                CertificateOrganization { id: site.organization.id, name: site.organization.name };
            wanted.push((domain, organization));
        }
    }
    Ok(wanted)
}

fn missing(connection: &Connection) -> Result<Missing, StoreError> {
    let wanted = domains_to_secure(connection)?;
    let domains: Vec<CertificateDomain> = wanted.iter().map(|(domain, _)| domain.clone()).collect();
    let covered = store::certificates::covered_domains(connection)?;
    let open: BTreeSet<CertificateDomain> = uncovered(&domains, &covered).into_iter().cloned().collect();
    let mut order = Vec::new();
    for (domain, organization) in wanted {
        let name = CertificateName::of_domain(&domain);
        if open.contains(&domain) && store::certificates::find_by_name(connection, &name)?.is_none() {
            order.push((domain, organization));
        }
    }
    let all = store::certificates::list(connection)?.into_iter();
    let automatic = all.filter(|one| one.origin == CertificateOrigin::Automatic);
    let delete = automatic.filter(|one| !domains.contains(&one.common_name)).map(|one| one.id).collect();
    Ok(Missing { order, delete })
}

/// A domain that was covered meanwhile is no fault.
fn place(
    tx: &mut Tx<'_>,
    id: CertificateId,
    issuer: IssuerKind,
    (domain, organization): Wanted,
) -> Result<(), Error> {
    let now = tx.now();
    let certificate = Certificate {
        id,
        name: CertificateName::of_domain(&domain),
        common_name: domain.clone(),
        domains: Domains::of(domain),
        comments: "Ordered for its site (certs.auto).".to_owned(),
        organization,
        requester: tx.author().clone(),
        issuer,
        origin: CertificateOrigin::Automatic,
        status: CertificateStatus::Pending,
        reason: String::new(),
        attempts: 0,
        due_at: Some(now),
        validity: None,
        installed_at: None,
        created_at: now,
        updated_at: now,
    };
    match certificates::add(tx, &certificate) {
        Ok(()) | Err(Error::Invalid(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Whether a site comes or goes, or a certificate goes.
fn concerns_sites(event: &Event) -> bool {
    matches!(event, Event::SiteCreated { .. } | Event::SiteDeleted { .. } | Event::CertificateDeleted { .. })
}
