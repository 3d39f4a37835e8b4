//! The routing table that the edge serves by: each app's worker publishes its own part.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use crate::edge::table::{AppRoute, HostRoute, RoutingTable, Service, Upstream};
use crate::model::ids::AppId;
use crate::model::names::{API_HOST_LABEL, AppKey, DynoName};

/// Gathers the apps' routes and publishes the whole table after each change.
#[derive(Debug)]
pub struct RouteBook {
    apps_domain: String,
    api: SocketAddr,
    table: Arc<ArcSwap<RoutingTable>>,
    apps: Mutex<HashMap<AppId, PublishedApp>>,
}

/// The route of one app.
#[derive(Debug, Clone)]
pub struct PublishedApp {
    pub key: AppKey,
    pub maintenance: bool,
    pub upstreams: Vec<Arc<Upstream>>,
}

impl RouteBook {
    /// A book whose table knows the API's host only. `apps_domain` is what the hosts of apps end in.
    pub fn new(apps_domain: String, api: SocketAddr) -> Self {
        let book = Self { apps_domain, api, table: Arc::default(), apps: Mutex::default() };
        book.table.store(Arc::new(book.build(&HashMap::new())));
        book
    }

    /// The table, for the edge.
    pub fn table(&self) -> Arc<ArcSwap<RoutingTable>> {
        Arc::clone(&self.table)
    }

    /// The host of an app below the apps domain.
    pub fn host(&self, key: &AppKey) -> String {
        format!("{}.{}", key.host_label(), self.apps_domain)
    }

    /// Puts an app's route into the table, or takes it out. Nothing is published when nothing changed.
    pub fn publish(&self, app: AppId, route: Option<PublishedApp>) {
        let mut apps = self.apps.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = match (&route, apps.get(&app)) {
            (Some(new), Some(old)) => !new.is_same(old),
            (None, None) => false,
            (Some(_), None) | (None, Some(_)) => true,
        };
        if !changed {
            return;
        }
        match route {
            Some(route) => apps.insert(app, route),
            None => apps.remove(&app),
        };
        let table = self.build(&apps);
        self.table.store(Arc::new(table));
    }

    /// The handle of a dyno at an address: the one that is published already, with its count of open requests, or a
    /// fresh one.
    pub fn upstream(&self, app: AppId, dyno: &DynoName, address: SocketAddr) -> Arc<Upstream> {
        let apps = self.apps.lock().unwrap_or_else(PoisonError::into_inner);
        let published = apps.get(&app).and_then(|app| {
            let same = |known: &&Arc<Upstream>| known.dyno == *dyno && known.address == address;
            app.upstreams.iter().filter(|known| !known.is_retired()).find(same)
        });
        published.map_or_else(|| Upstream::new(dyno.clone(), address), Arc::clone)
    }

    fn build(&self, apps: &HashMap<AppId, PublishedApp>) -> RoutingTable {
        let mut hosts = HashMap::with_capacity(apps.len() + 1);
        for (id, app) in apps {
            let service = if app.maintenance {
                Service::Maintenance
            } else {
                Service::Upstreams(app.upstreams.clone())
            };
            let route = HostRoute::App(AppRoute { id: *id, key: app.key.clone(), service });
            hosts.insert(self.host(&app.key).into_boxed_str(), Arc::new(route));
        }
        // Last, so that no app can take the host of the control API.
        let api = HostRoute::Api { address: self.api };
        hosts.insert(format!("{API_HOST_LABEL}.{}", self.apps_domain).into_boxed_str(), Arc::new(api));
        RoutingTable::new(hosts)
    }
}

impl PublishedApp {
    fn is_same(&self, other: &Self) -> bool {
        self.key == other.key
            && self.maintenance == other.maintenance
            && self.upstreams.len() == other.upstreams.len()
            && self.upstreams.iter().zip(&other.upstreams).all(|(a, b)| Arc::ptr_eq(a, b))
    }
}
