//! The routing table that the edge serves by: each app's worker publishes its own part, and [`super::sites`] that of
//! the sites.
//!
//! Invariant: a change publishes a copy of the table that shares the rest with the one before.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use crate::edge::Hold;
use crate::edge::filters::Filters;
use crate::edge::table::{AppRoute, HostRoute, PathRoute, RoutingTable, Service, SiteRoutes, Upstream};
use crate::model::ids::{AppId, RouteId, SiteId};
use crate::model::names::{API_HOST_LABEL, AppKey, DynoName};
use crate::model::route::Route;
use crate::model::router_limits::RouterLimits;
use crate::model::site::{Site, SiteDomain};

/// Gathers the routes of apps and sites, and publishes the table after each change.
#[derive(Debug)]
pub struct RouteBook {
    apps_domain: String,
    table: Arc<ArcSwap<RoutingTable>>,
    published: Mutex<Published>,
}

/// The route of one app.
#[derive(Debug, Clone)]
pub struct PublishedApp {
    pub key: AppKey,
    /// A release of it has been up; routes of sites lead to it.
    pub released: bool,
    pub maintenance: bool,
    pub limits: RouterLimits,
    /// Its dynos speak HTTP/2 with prior knowledge.
    pub http2: bool,
    /// Where its requests wait while no dyno runs.
    pub hold: Option<Arc<Hold>>,
    pub upstreams: Vec<Arc<Upstream>>,
}

/// What is in the table.
#[derive(Debug, Default)]
struct Published {
    apps: HashMap<AppId, PublishedApp>,
    /// What is in force for apps, also for those that are not in the table yet.
    filters: HashMap<AppId, Arc<Filters>>,
    sites: HashMap<SiteId, SiteDomain>,
}

impl RouteBook {
    /// A book whose table knows the API's host only. `apps_domain` is what the hosts of apps end in.
    pub fn new(apps_domain: String, api: SocketAddr) -> Self {
        let mut table = RoutingTable::default();
        table.insert_host(&format!("{API_HOST_LABEL}.{apps_domain}"), HostRoute::Api { address: api });
        Self { apps_domain, table: Arc::new(ArcSwap::from_pointee(table)), published: Mutex::default() }
    }

    /// The table, for the edge.
    pub fn table(&self) -> Arc<ArcSwap<RoutingTable>> {
        Arc::clone(&self.table)
    }

    /// The host of an app below the apps domain.
    pub fn host(&self, key: &AppKey) -> String {
        format!("{}.{}", key.host_label(), self.apps_domain)
    }

    /// Puts an app's route into the table with the filters that are in force for it, or takes both out. Nothing is
    /// published when nothing changed.
    pub fn publish(&self, app: AppId, route: Option<PublishedApp>) {
        let mut holds = [route.as_ref().and_then(|route| route.hold.clone()), None];
        self.change(|published, table| {
            if route.is_none() {
                published.filters.remove(&app);
            }
            let old = published.apps.get(&app);
            holds[1] = old.and_then(|old| old.hold.clone());
            let changed = match (&route, old) {
                (Some(new), Some(old)) => !new.is_same(old),
                (None, None) => false,
                (Some(_), None) | (None, Some(_)) => true,
            };
            if !changed {
                return false;
            }
            if let Some(old) = old {
                table.remove_app(&self.host(&old.key), app);
            }
            match route {
                // No app can take the host of the control API.
                Some(new) if new.key.host_label() != API_HOST_LABEL => {
                    let filters = published.filters.get(&app).cloned();
                    table.insert_app(&self.host(&new.key), new.in_table(app, filters));
                    published.apps.insert(app, new);
                }
                Some(_) | None => drop(published.apps.remove(&app)),
            }
            true
        });
        // What waits since before the change looks again after it.
        holds.iter().flatten().for_each(|hold| hold.look_again());
    }

    /// The handle of a dyno at an address: the one that is published already, with its count of open requests, or a
    /// fresh one.
    pub fn upstream(&self, app: AppId, dyno: &DynoName, address: SocketAddr) -> Arc<Upstream> {
        let published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        let known = published.apps.get(&app).and_then(|app| {
            let same = |known: &&Arc<Upstream>| known.dyno == *dyno && known.address == address;
            app.upstreams.iter().filter(|known| !known.is_retired()).find(same)
        });
        known.map_or_else(|| Upstream::new(dyno.clone(), address), Arc::clone)
    }

    /// What is in force for an app.
    pub fn filters(&self, app: AppId) -> Option<Arc<Filters>> {
        let published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        published.filters.get(&app).cloned()
    }

    /// Forgets what is in force for a deleted app. While the app is in the table it is kept: none is served without.
    pub fn forget_filters(&self, app: AppId) {
        let mut published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        if !published.apps.contains_key(&app) {
            published.filters.remove(&app);
        }
    }

    /// Sets what is in force for an app, from the next request on. Its dynos are not touched.
    pub fn publish_filters(&self, app: AppId, filters: Option<Filters>) {
        let filters = filters.map(Arc::new);
        self.change(|published, table| {
            match &filters {
                Some(filters) => drop(published.filters.insert(app, Arc::clone(filters))),
                None if published.filters.remove(&app).is_none() => return false,
                None => {}
            }
            let Some(shown) = published.apps.get(&app) else { return false };
            table.insert_app(&self.host(&shown.key), shown.in_table(app, filters));
            true
        });
    }

    /// Puts exactly these sites with these routes into the table.
    pub fn publish_sites(&self, sites: &[Site], routes: &[Route]) {
        self.change(|published, table| {
            for domain in published.sites.drain().map(|(_, domain)| domain) {
                table.remove_host(domain.as_str());
            }
            let mut made: HashMap<SiteId, SiteRoutes> =
                sites.iter().map(|site| (site.id, SiteRoutes::new(site.id, &site.domain))).collect();
            for route in routes {
                if let Some(site) = made.get_mut(&route.site.id) {
                    site.insert(path_route(route));
                }
            }
            for site in sites {
                if let Some(made) = made.remove(&site.id) {
                    self.put_site(published, table, site, made);
                }
            }
            true
        });
    }

    /// Puts a site into the table, without routes when it is new there, or takes it out.
    pub fn publish_site(&self, id: SiteId, site: Option<&Site>) {
        self.change(|published, table| match (site, published.sites.contains_key(&id)) {
            (Some(site), false) => {
                self.put_site(published, table, site, SiteRoutes::new(id, &site.domain));
                true
            }
            (None, true) => {
                if let Some(domain) = published.sites.remove(&id) {
                    table.remove_host(domain.as_str());
                }
                true
            }
            (Some(_), true) | (None, false) => false,
        });
    }

    /// Puts a route into its site, or takes it out. A site that is not in the table is left out.
    pub fn publish_route(&self, site: SiteId, id: RouteId, route: Option<&Route>) {
        self.change(|published, table| {
            let Some(domain) = published.sites.get(&site) else { return false };
            let Some(present) = table.site(domain.as_str()) else { return false };
            let mut changed = SiteRoutes::clone(present);
            match route {
                Some(route) => changed.insert(path_route(route)),
                None => changed.remove(id),
            }
            table.insert_host(domain.as_str(), HostRoute::Site(Arc::new(changed)));
            true
        });
    }

    /// The apps domain may have changed since a site was made: what belongs to apps now is no site's.
    fn put_site(&self, published: &mut Published, table: &mut RoutingTable, site: &Site, routes: SiteRoutes) {
        if site.domain.is_app_host(&self.apps_domain) {
            tracing::warn!(domain = %site.domain, "the site is not served: its domain is one of the apps'");
            return;
        }
        table.insert_host(site.domain.as_str(), HostRoute::Site(Arc::new(routes)));
        published.sites.insert(site.id, site.domain.clone());
    }

    /// Publishes a changed copy of the table, when `work` says that it is one.
    fn change(&self, work: impl FnOnce(&mut Published, &mut RoutingTable) -> bool) {
        let mut published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        let mut table = RoutingTable::clone(&self.table.load());
        if work(&mut published, &mut table) {
            self.table.store(Arc::new(table));
        }
    }
}

impl PublishedApp {
    fn is_same(&self, other: &Self) -> bool {
        self.key == other.key
            && self.released == other.released
            && self.maintenance == other.maintenance
            && self.limits == other.limits
            && self.http2 == other.http2
            && self.hold.as_ref().map(Arc::as_ptr) == other.hold.as_ref().map(Arc::as_ptr)
            && self.upstreams.len() == other.upstreams.len()
            && self.upstreams.iter().zip(&other.upstreams).all(|(a, b)| Arc::ptr_eq(a, b))
    }

    fn in_table(&self, id: AppId, filters: Option<Arc<Filters>>) -> AppRoute {
        let service =
            if self.maintenance { Service::Maintenance } else { Service::Upstreams(self.upstreams.clone()) };
        let (key, hold, limits) = (self.key.clone(), self.hold.clone(), self.limits);
        AppRoute { id, key, released: self.released, limits, http2: self.http2, hold, service, filters }
    }
}

fn path_route(route: &Route) -> PathRoute {
    PathRoute::new(route.id, route.app.id, &route.source, &route.target)
}
