//! The routing table: an immutable value that the edge looks hosts up in, published as a whole.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::model::ids::AppId;
use crate::model::names::{AppKey, DynoName};

/// Who answers for which host. Built by the control plane, never changed after it is published.
#[derive(Debug, Default)]
pub struct RoutingTable {
    hosts: HashMap<Box<str>, Arc<HostRoute>>,
}

/// What the edge does with the requests of one host.
#[derive(Debug)]
pub enum HostRoute {
    /// Requests of an app.
    App(AppRoute),
    /// The control API of this daemon, on its own listener.
    Api { address: SocketAddr },
}

/// The state of an app in the routing table.
#[derive(Debug)]
pub struct AppRoute {
    pub id: AppId,
    pub key: AppKey,
    pub service: Service,
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
}

/// A request's hold on an upstream; dropping it ends the hold.
#[derive(Debug)]
pub struct Claim(Arc<Upstream>);

impl RoutingTable {
    /// A table of these hosts. Host names are lower case, without port.
    pub fn new(hosts: HashMap<Box<str>, Arc<HostRoute>>) -> Self {
        Self { hosts }
    }

    /// The route of a lower-case host name without port.
    pub fn lookup(&self, host: &str) -> Option<&Arc<HostRoute>> {
        self.hosts.get(host)
    }

    /// Every address that a request can be sent to.
    pub fn addresses(&self) -> HashSet<SocketAddr> {
        let mut addresses = HashSet::new();
        for route in self.hosts.values() {
            match &**route {
                HostRoute::Api { address } => drop(addresses.insert(*address)),
                HostRoute::App(AppRoute { service: Service::Upstreams(upstreams), .. }) => {
                    addresses.extend(upstreams.iter().map(|upstream| upstream.address));
                }
                HostRoute::App(AppRoute { service: Service::Maintenance, .. }) => {}
            }
        }
        addresses
    }
}

impl Upstream {
    /// A dyno at an address, with no request open.
    pub fn new(dyno: DynoName, address: SocketAddr) -> Arc<Self> {
        Arc::new(Self { dyno, address, in_flight: AtomicUsize::new(0), retired: AtomicBool::new(false) })
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
