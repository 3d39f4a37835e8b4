//! The routing table: an immutable value that the edge looks hosts up in, published as a whole.
//!
//! Invariant: a changed copy shares what did not change, so that a table of ten thousand hosts is published as fast as
//! one of ten, and a look-up costs the same in both.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::buckets::Buckets;
use super::filters::Filters;
use super::health::Health;
use super::pause::Hold;
pub use super::site::{PathRoute, SiteRoutes};
use crate::model::ids::AppId;
use crate::model::names::{AppKey, DynoName};
use crate::model::router_limits::RouterLimits;

/// Who answers for which host. Built by the control plane, never changed after it is published; a copy of it is, and
/// takes its place.
#[derive(Debug, Clone, Default)]
pub struct RoutingTable {
    hosts: Buckets<Arc<str>, HostRoute>,
    /// The apps, for the sites whose routes lead to them.
    apps: Buckets<AppId, Arc<AppRoute>>,
}

/// What the edge does with the requests of one host.
#[derive(Debug, Clone)]
pub enum HostRoute {
    /// Requests of an app.
    App(Arc<AppRoute>),
    /// Requests of the apps of a site, by their paths.
    Site(Arc<SiteRoutes>),
    /// The control API of this daemon, on its own listener.
    Api { address: SocketAddr },
}

/// The state of an app in the routing table.
#[derive(Debug)]
pub struct AppRoute {
    pub id: AppId,
    pub key: AppKey,
    /// Whether a release of it has ever been up. Routes of sites to an app without one are pending: they are passed
    /// over.
    pub released: bool,
    /// What its owner has set in place of the edge's own limits.
    pub limits: RouterLimits,
    /// Its dynos speak HTTP/2 with prior knowledge.
    pub http2: bool,
    /// Where its requests wait while it has no dyno; `None` refuses them.
    pub hold: Option<Arc<Hold>>,
    pub service: Service,
    /// What requests must pass; `None` when nothing is in force.
    pub filters: Option<Arc<Filters>>,
}

/// What an app's requests get.
#[derive(Debug)]
pub enum Service {
    /// The maintenance page (503).
    Maintenance,
    /// One of these dynos; when there is none, 503.
    Upstreams(Vec<Arc<Upstream>>),
}

/// One dyno that receives requests.
///
/// The control plane keeps its own handle, to drain the dyno: after [`Upstream::retire`] no new request is
/// claimed, and [`Upstream::in_flight`] falls to zero as the open ones end.
#[derive(Debug)]
pub struct Upstream {
    pub dyno: DynoName,
    pub address: SocketAddr,
    in_flight: AtomicUsize,
    retired: AtomicBool,
    health: Health,
}

/// A request's hold on an upstream; dropping it ends the hold.
#[derive(Debug)]
pub struct Claim(Arc<Upstream>);

impl RoutingTable {
    /// Who answers for a lower-case host name without port.
    pub fn host(&self, host: &str) -> Option<&HostRoute> {
        self.hosts.get(host)
    }

    /// The present state of an app.
    pub fn app(&self, id: AppId) -> Option<&Arc<AppRoute>> {
        self.apps.get(&id)
    }

    /// The site of a lower-case host name without port.
    pub fn site(&self, host: &str) -> Option<&Arc<SiteRoutes>> {
        match self.hosts.get(host)? {
            HostRoute::Site(site) => Some(site),
            HostRoute::App(_) | HostRoute::Api { .. } => None,
        }
    }

    /// Puts an app into this copy, at its own host and for the sites.
    pub fn insert_app(&mut self, host: &str, app: AppRoute) {
        let app = Arc::new(app);
        self.apps.insert(app.id, Arc::clone(&app));
        self.hosts.insert(host.into(), HostRoute::App(app));
    }

    /// Takes an app and its host out of this copy.
    pub fn remove_app(&mut self, host: &str, id: AppId) {
        self.apps.remove(&id);
        self.hosts.remove(host);
    }

    /// Sets who answers for a host in this copy.
    pub fn insert_host(&mut self, host: &str, route: HostRoute) {
        self.hosts.insert(host.into(), route);
    }

    /// Takes a host out of this copy.
    pub fn remove_host(&mut self, host: &str) {
        self.hosts.remove(host);
    }

    /// Every address that a request can be sent to.
    pub fn addresses(&self) -> HashSet<SocketAddr> {
        let mut addresses = HashSet::new();
        for route in self.hosts.values() {
            match route {
                HostRoute::Api { address } => drop(addresses.insert(*address)),
                HostRoute::App(app) => match &app.service {
                    Service::Upstreams(all) => addresses.extend(all.iter().map(|one| one.address)),
                    Service::Maintenance => {}
                },
                HostRoute::Site(_) => {}
            }
        }
        addresses
    }
}

impl Upstream {
    /// A dyno at an address, with no request open.
    pub fn new(dyno: DynoName, address: SocketAddr) -> Arc<Self> {
        let (in_flight, retired) = (AtomicUsize::new(0), AtomicBool::new(false));
        Arc::new(Self { dyno, address, in_flight, retired, health: Health::default() })
    }

    /// Counts a request in, or refuses because the dyno is being taken out.
    ///
    /// The count goes up before the flag is read, and [`Upstream::retire`] sets the flag before the count
    /// is read: whoever sees zero in flight after retiring knows that no request can come any more.
    pub fn claim(self: &Arc<Self>) -> Option<Claim> {
        self.in_flight.fetch_add(1, Ordering::SeqCst);
        let claim = Claim(Arc::clone(self));
        if self.is_retired() { None } else { Some(claim) }
    }

    /// Lets no further request in.
    pub fn retire(&self) {
        self.retired.store(true, Ordering::SeqCst);
    }

    /// Whether [`Upstream::retire`] was called.
    pub fn is_retired(&self) -> bool {
        self.retired.load(Ordering::SeqCst)
    }

    /// Whether it takes connections.
    pub(super) fn health(&self) -> &Health {
        &self.health
    }

    /// Requests and upgraded connections that are open.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::SeqCst)
    }
}

impl Claim {
    /// The claimed upstream.
    pub fn upstream(&self) -> &Arc<Upstream> {
        &self.0
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retired_upstream_takes_no_claims_and_counts_down() {
        let upstream = Upstream::new(DynoName::new("1", "a"), "127.0.0.1:9000".parse().unwrap());
        let claim = upstream.claim().unwrap();
        upstream.retire();
        assert!(upstream.claim().is_none());
        assert_eq!(upstream.in_flight(), 1);
        drop(claim);
        assert_eq!(upstream.in_flight(), 0);
    }
}
