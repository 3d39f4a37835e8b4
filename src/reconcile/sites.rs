//! Sites and their routes, from the store into the routing table.
//!
//! Invariant: the table is brought up to date with each commit that changes a site or a route, by what the store says
//! then; what an event holds is only where to look.

use std::sync::Arc;

use super::publisher::Publisher;
use super::routes::RouteBook;
use crate::model::event::Event;
use crate::model::ids::{RouteId, SiteId};
use crate::store::{self, Store, StoreError};
use crate::tasks::Tasks;

/// Keeps the sites in the routing table.
#[derive(Debug, Clone)]
pub struct SitePublisher {
    store: Store,
    routes: Arc<RouteBook>,
}

impl SitePublisher {
    /// A publisher that has published nothing yet.
    pub fn new(store: Store, routes: Arc<RouteBook>) -> Self {
        Self { store, routes }
    }

    /// Publishes every site, and starts the task that follows their changes. Fails when the store cannot be read.
    pub async fn start(self, tasks: &Tasks) -> Result<(), StoreError> {
        self.publish_and_follow(tasks).await
    }
}

impl Publisher for SitePublisher {
    const TASK: &'static str = "reconcile-sites";
    const NOUN: &'static str = "sites";

    fn store(&self) -> &Store {
        &self.store
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "most facts are not about sites")]
    fn publish(&self, event: &Event) -> Result<(), StoreError> {
        match event {
            Event::SiteCreated { site } | Event::SiteDeleted { site } => self.publish_site(*site),
            Event::RouteCreated { site, route, .. } | Event::RouteDeleted { site, route, .. } => {
                self.publish_route(*site, *route)
            }
            _ => Ok(()),
        }
    }

    async fn publish_all(&self) -> Result<(), StoreError> {
        let read = |connection: &store::Connection| {
            Ok::<_, StoreError>((store::sites::list(connection)?, store::routes::list(connection)?))
        };
        let (sites, routes) = self.store.read(read).await?;
        self.routes.publish_sites(&sites, &routes);
        Ok(())
    }
}

impl SitePublisher {
    fn publish_site(&self, id: SiteId) -> Result<(), StoreError> {
        let site = self.store.look_up(|connection| store::sites::find(connection, id))?;
        self.routes.publish_site(id, site.as_ref());
        Ok(())
    }

    fn publish_route(&self, site: SiteId, id: RouteId) -> Result<(), StoreError> {
        let route = self.store.look_up(|connection| store::routes::find(connection, id))?;
        self.routes.publish_route(site, id, route.as_ref());
        Ok(())
    }
}
