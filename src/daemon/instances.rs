//! The addons that run on this host's engine, and their backups.

use std::sync::Arc;
use std::time::Duration;

use super::state::State;
use crate::addons::Provider;
use crate::addons::backups::{BackupStorages, Backups};
use crate::addons::instances::{Context, EngineProvider, Instances, VolumeWatch};
use crate::engine::instance::InstanceEngine;
use crate::tasks::{Activator, Tasks};

/// How long the start waits for addons to be up before it goes on with the apps.
const FIRST_LOOK_LIMIT: Duration = Duration::from_mins(1);

/// Brings up the addons and keeps them and their backups; gives who makes more of them.
pub(super) async fn start(
    state: &State,
    (engine, backups): (Arc<dyn InstanceEngine>, BackupStorages),
    tasks: &Tasks,
) -> Arc<dyn Provider> {
    let context = Arc::new(Context {
        store: state.store.clone(),
        sealer: state.sealer.clone(),
        engine,
        catalogue: state.catalogue.shared(),
        clock: state.clock.clone(),
        ids: state.ids.clone(),
        backups,
        wake: Activator::new(),
    });
    Instances::start(Arc::clone(&context), tasks, FIRST_LOOK_LIMIT).await;
    Backups::start(Arc::clone(&context), tasks);
    VolumeWatch::start(Arc::clone(&context), tasks);
    Arc::new(EngineProvider::new(context))
}
