//! How full the volumes are: asked for by a program inside of each instance, since the engine's own account of them
//! walks through everything it has. What is nearly full is told, and nothing is ended for it.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Blueprint, Context, Inside, InstanceError};
use crate::engine::ContainerState;
use crate::engine::instance::{InstanceRole, ObservedInstance};
use crate::model::addon_instance::{AddonInstance, InstancePhase};
use crate::model::addon_volume::AddonVolume;
use crate::model::event::Event;
use crate::model::principal::Principal;
use crate::store::{self, StoreError, Tx};
use crate::tasks::{Activator, Tasks};

/// Between two looks.
const PERIOD: Duration = Duration::from_hours(1);
/// Before the first one: a start has other work.
const FIRST_PAUSE: Duration = Duration::from_mins(5);
/// Longest that one question may take.
const ASK_LIMIT: Duration = Duration::from_mins(2);

/// Measures the volumes.
#[derive(Debug, Clone)]
pub struct VolumeWatch {
    wake: Activator,
}

impl VolumeWatch {
    /// Watches until the tasks stop.
    pub fn start(context: Arc<Context>, tasks: &Tasks) -> Self {
        let (wake, stop) = (Activator::new(), tasks.stopping());
        let activator = wake.clone();
        tasks.supervise("addon volumes", move || run(Arc::clone(&context), activator.clone(), stop.clone()));
        Self { wake }
    }

    /// Has it look now.
    pub fn wake(&self) {
        self.wake.activate();
    }
}

async fn run(context: Arc<Context>, wake: Activator, stop: CancellationToken) {
    let mut pause = FIRST_PAUSE;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = wake.activated() => {}
            () = tokio::time::sleep(pause) => {}
        }
        pause = PERIOD;
        if let Some(Err(error)) = stop.run_until_cancelled(look(&context)).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the volumes of addons cannot be measured"
            );
        }
    }
}

/// Measures each volume once, one after the other.
async fn look(context: &Context) -> Result<(), InstanceError> {
    let sealer = context.sealer.clone();
    let instances = context.store.read(move |c| store::addon_instances::list(c, &sealer)).await?;
    let observed = context.engine.list_instances().await?;
    for instance in instances.iter().filter(|instance| instance.phase == InstancePhase::Ready) {
        if let Some(volume) = measure(context, instance, &observed).await {
            keep(context, volume).await?;
        }
    }
    Ok(context
        .store
        .write(&Principal::daemon(), |tx: &mut Tx<'_>| store::addon_volumes::delete_lost(tx))
        .await?)
}

/// `None` where the service does not say, or does not run.
async fn measure(
    context: &Context,
    instance: &AddonInstance,
    observed: &[ObservedInstance],
) -> Option<AddonVolume> {
    let blueprint = Blueprint::of(context, instance)?;
    let usage = blueprint.engine.usage.clone()?;
    let container = observed.iter().find(|one| {
        one.addon == instance.addon
            && one.role == InstanceRole::Service
            && matches!(one.state, ContainerState::Running { .. })
    })?;
    let inside = Inside { engine: &*context.engine, id: &container.id, blueprint: &blueprint };
    let said = match inside.run(&usage, (None, None), ASK_LIMIT).await {
        Ok(exited) => exited.output,
        Err(error) => {
            tracing::debug!(addon = %instance.addon, %error, "a volume was not measured");
            return None;
        }
    };
    let kibibytes: u64 = said.split_whitespace().next()?.parse().ok()?;
    let catalogue = context.catalogue.load();
    let mut plans = catalogue.addon_services.iter().flat_map(|service| &service.plans);
    let plan = plans.find(|plan| plan.name.as_str() == instance.plan).and_then(|plan| plan.engine.as_ref());
    Some(AddonVolume {
        addon: instance.addon,
        bytes: kibibytes.saturating_mul(1024),
        limit: plan.and_then(|plan| plan.volume_mib).map(|mebibytes| u64::from(mebibytes) << 20),
        measured_at: context.clock.now(),
    })
}

/// Writes it down, and tells once that it is nearly full.
async fn keep(context: &Context, volume: AddonVolume) -> Result<(), StoreError> {
    let write = move |tx: &mut Tx<'_>| {
        let before = store::addon_volumes::find(tx, volume.addon)?;
        store::addon_volumes::put(tx, &volume)?;
        let is_news = volume.is_nearly_full() && !before.is_some_and(|before| before.is_nearly_full());
        let Some(owner) = store::addons::find(tx, volume.addon)?.filter(|_| is_news) else { return Ok(()) };
        let percent = volume.percent().unwrap_or_default();
        tracing::warn!(addon = %owner.name, percent, "the volume of an addon is nearly full");
        tx.record(Event::AddonVolumeNearlyFull { app: owner.app.id, addon: volume.addon, percent })
    };
    context.store.write(&Principal::daemon(), write).await
}
