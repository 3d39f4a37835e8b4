//! The filters of apps, from the store into the routing table.
//!
//! Invariant: the table is brought up to date with each commit that changes what is in force for an app, by what the
//! store says then. That needs no look at the engine, and no dyno is touched. While the store cannot be read, what was
//! in force stays so.

use std::sync::Arc;

use super::issuer_keys::IssuerKeys;
use super::publisher::Publisher;
use super::routes::RouteBook;
use crate::edge::filters::Filters;
use crate::model::event::Event;
use crate::model::feature::Feature;
use crate::model::filter::{FilterAttachment, feature_policy};
use crate::model::ids::{AppId, FilterId};
use crate::seal::Sealer;
use crate::store::{self, Connection, Store, StoreError};
use crate::tasks::Tasks;

/// Keeps the filters in the routing table.
#[derive(Debug)]
pub struct FilterPublisher {
    store: Store,
    sealer: Sealer,
    routes: Arc<RouteBook>,
    keys: Arc<IssuerKeys>,
}

/// What the store says of an app.
struct InForce {
    app: AppId,
    attachments: Vec<FilterAttachment>,
    features: Vec<Feature>,
}

impl FilterPublisher {
    /// A publisher that has published nothing yet.
    pub fn new(store: Store, sealer: Sealer, routes: Arc<RouteBook>, keys: IssuerKeys) -> Self {
        Self { store, sealer, routes, keys: Arc::new(keys) }
    }

    /// Publishes what is in force for each app, and starts the task that follows its changes. Fails when the store
    /// cannot be read.
    pub async fn start(self, tasks: &Tasks) -> Result<(), StoreError> {
        let keys = Arc::clone(&self.keys);
        self.publish_and_follow(tasks).await?;
        keys.forget_unused().await;
        Ok(())
    }
}

impl Publisher for FilterPublisher {
    const TASK: &'static str = "reconcile-filters";
    const NOUN: &'static str = "filters";

    fn store(&self) -> &Store {
        &self.store
    }

    /// Of an app that is deleted, its own worker takes the filters out together with the route.
    #[expect(clippy::wildcard_enum_match_arm, reason = "most facts are not about filters")]
    fn publish(&self, event: &Event) -> Result<(), StoreError> {
        match event {
            Event::FilterAttached { app, .. }
            | Event::FilterAttachmentUpdated { app, .. }
            | Event::FilterDetached { app, .. }
            | Event::FeatureChanged { app, .. } => self.publish_app(*app),
            Event::AppDeleted { app } => {
                self.routes.forget_filters(*app);
                Ok(())
            }
            Event::FilterUpdated { filter } => self.publish_filter(*filter),
            _ => Ok(()),
        }
    }

    async fn publish_all(&self) -> Result<(), StoreError> {
        let sealer = self.sealer.clone();
        let read = move |connection: &Connection| {
            let apps = store::apps::list(connection)?;
            let all = apps.iter().filter_map(|app| in_force(connection, &sealer, app.id).transpose());
            all.collect::<Result<Vec<_>, StoreError>>()
        };
        self.store.read(read).await?.iter().for_each(|in_force| self.put(in_force));
        Ok(())
    }
}

impl FilterPublisher {
    fn publish_filter(&self, filter: FilterId) -> Result<(), StoreError> {
        let apps = self.store.look_up(|c| store::filter_attachments::list_apps(c, filter))?;
        apps.iter().try_for_each(|app| self.publish_app(app.id))
    }

    fn publish_app(&self, app: AppId) -> Result<(), StoreError> {
        let found = self.store.look_up(|connection| in_force(connection, &self.sealer, app))?;
        if let Some(in_force) = found {
            self.put(&in_force);
        }
        Ok(())
    }

    fn put(&self, InForce { app, attachments, features }: &InForce) {
        let previous = self.routes.filters(*app);
        let policy = feature_policy(features);
        let keys = |uri: &_| self.keys.keys(uri);
        let filters = Filters::new(attachments, policy.as_ref(), previous.as_deref(), keys);
        self.routes.publish_filters(*app, filters);
    }
}

/// `None` when the app was deleted.
fn in_force(connection: &Connection, sealer: &Sealer, app: AppId) -> Result<Option<InForce>, StoreError> {
    if store::apps::find(connection, app)?.is_none() {
        return Ok(None);
    }
    let attachments = store::filter_attachments::list_by_app(connection, sealer, app)?;
    Ok(Some(InForce { app, attachments, features: store::features::list_enabled(connection, app)? }))
}
