//! Sites and their routes, from the store into the routing table.
//!
//! Invariant: the table is brought up to date with each commit that changes a site or a route, by what the store says
//! then; what an event holds is only where to look.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::routes::RouteBook;
use crate::model::event::Event;
use crate::model::ids::{RouteId, SiteId};
use crate::store::{self, Store, StoreError};
use crate::tasks::Tasks;

/// Pause before everything is read again, after the store could not be read.
const RETRY: Duration = Duration::from_secs(1);

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
        let (events, stop) = (self.store.subscribe(), tasks.stopping());
        self.publish_all().await?;
        tasks.spawn("reconcile-sites", async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.follow(events) => {}
            }
        });
        Ok(())
    }

    async fn follow(self, mut events: Receiver<Arc<Event>>) {
        loop {
            let published = match events.recv().await {
                Ok(event) => self.publish(&event),
                Err(RecvError::Lagged(_)) => self.publish_all().await,
                Err(RecvError::Closed) => return,
            };
            let Err(mut error) = published else { continue };
            loop {
                tracing::warn!(error = &error as &dyn std::error::Error, "the sites could not be read");
                tokio::time::sleep(RETRY).await;
                match self.publish_all().await {
                    Ok(()) => break,
                    Err(again) => error = again,
                }
            }
        }
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

    async fn publish_all(&self) -> Result<(), StoreError> {
        let read = |connection: &store::Connection| {
            Ok::<_, StoreError>((store::sites::list(connection)?, store::routes::list(connection)?))
        };
        let (sites, routes) = self.store.read(read).await?;
        self.routes.publish_sites(&sites, &routes);
        Ok(())
    }
}
