//! Carries out step after step for one instance, until all is as it shall be.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::decide::Step;
use super::look::{Look, Wanted, load};
use super::programs::{Inside, ProgramError};
use super::spec::Blueprint;
use super::{Context, InstanceError};
use crate::addons::backups;
use crate::engine::instance::{Endpoint, InstanceRole};
use crate::engine::{ContainerId, ContainerState, EngineError, NetworkName};
use crate::failpoint;
use crate::model::addon_instance::{AddonInstance, InstancePhase};
use crate::model::build::{ImageId, ImageReference};
use crate::model::ids::AddonId;
use crate::model::journal::JournalStep;
use crate::model::principal::Principal;
use crate::store::{self, StoreError};

/// How long a new instance may take to get ready.
const READY_LIMIT: Duration = Duration::from_mins(5);
/// How long one that was started again is waited for.
const AGAIN_LIMIT: Duration = Duration::from_mins(1);
/// Between two questions whether it is ready.
const ASK_AGAIN: Duration = Duration::from_millis(300);
/// How often a new instance may end before it is given up.
const MOST_ENDS: u32 = 3;
/// Between SIGTERM and SIGKILL: databases write down what they have.
const STOP_GRACE: Duration = Duration::from_secs(30);
/// Longest pull of an image.
const PULL_LIMIT: Duration = Duration::from_mins(10);
/// Lines of a pull that may wait.
const PULL_LINES: usize = 16;
/// Lines that a failed instance wrote last.
const LAST_LINES: usize = 3;

/// What an instance needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attended {
    AsItShallBe,
    /// It had ended, and was started again.
    StartedAgain,
}

/// Has an instance be as it shall be. An error is one that may pass: what cannot be done is given up and written down.
pub(super) async fn attend(context: &Context, addon: AddonId) -> Result<Attended, InstanceError> {
    let (began, mut starts, mut attended) = (Instant::now(), 0, Attended::AsItShallBe);
    loop {
        let Some(wanted) = load(context, Some(addon)).await?.pop() else {
            clear(context, addon).await?;
            return Ok(attended);
        };
        let blueprint = Blueprint::of(context, &wanted.instance);
        let look = Look::at(context, std::slice::from_ref(&wanted)).await?;
        let attempt = Attempt { context, wanted: &wanted, blueprint: blueprint.as_ref(), look: &look };
        let step = look.step(&wanted, blueprint.as_ref());
        if step == Step::Nothing {
            return Ok(attended);
        }
        if let Step::Start(id) = &step {
            starts += 1;
            if starts > MOST_ENDS && attempt.may_give_up() {
                let reason = format!("It ended {MOST_ENDS} times. {}", attempt.last_lines(id).await);
                attempt.give_up(reason).await?;
                continue;
            }
            if wanted.instance.phase == InstancePhase::Ready {
                attended = Attended::StartedAgain;
            }
        }
        match attempt.carry_out(step).await {
            Ok(Done::Step) => {}
            Ok(Done::NotReady(why)) if began.elapsed() < READY_LIMIT => {
                tracing::debug!(%addon, why, "an addon is not ready yet");
                tokio::time::sleep(ASK_AGAIN).await;
            }
            Ok(Done::NotReady(why)) => {
                attempt
                    .give_up(format!("It was not ready within {} s: {why}", READY_LIMIT.as_secs()))
                    .await?;
            }
            Err(error) if attempt.may_give_up() && error.is_final() => {
                attempt.give_up(error.to_string()).await?;
            }
            Err(error) => return Err(error),
        }
        if starts > MOST_ENDS {
            return Ok(attended);
        }
    }
}

/// What came of a step.
enum Done {
    Step,
    NotReady(String),
}

/// Removes what is left of an instance that was forgotten.
async fn clear(context: &Context, addon: AddonId) -> Result<(), InstanceError> {
    let (containers, volumes) = Look::at(context, &[]).await?.of(addon);
    for container in containers {
        context.engine.remove(&container.id).await?;
    }
    for volume in volumes {
        context.engine.remove_volume(volume).await?;
    }
    Ok(())
}

struct Attempt<'a> {
    context: &'a Context,
    wanted: &'a Wanted,
    blueprint: Option<&'a Blueprint>,
    look: &'a Look,
}

impl Attempt<'_> {
    async fn carry_out(&self, step: Step) -> Result<Done, InstanceError> {
        let engine = &self.context.engine;
        match step {
            Step::Nothing => {}
            Step::Remove(id) => {
                engine.stop(&id, STOP_GRACE).await?;
                engine.remove(&id).await?;
                failpoint::reached(JournalStep::InstanceRemoved);
            }
            Step::RemoveVolume(volume) => drop(engine.remove_volume(volume).await?),
            Step::Create => self.create().await?,
            Step::Start(id) => self.start(&id).await?,
            Step::Connect(id, network) => {
                engine.connect(&id, &self.endpoint(network)).await?;
                failpoint::reached(JournalStep::InstanceConnected);
            }
            Step::Disconnect(id, network) => drop(engine.disconnect(&id, &network).await?),
            Step::Prepare(id) => return self.prepare(&id).await,
            Step::Save(id) => self.save(&id).await?,
            Step::Forget => {
                let addon = self.wanted.instance.addon;
                backups::fail_last(self.context, addon, "Its service is not offered any more.".to_owned())
                    .await?;
                let forget = move |tx: &mut store::Tx<'_>| store::addon_instances::delete(tx, addon);
                self.context.store.write(&Principal::daemon(), forget).await?;
            }
        }
        Ok(Done::Step)
    }

    async fn create(&self) -> Result<(), InstanceError> {
        let (Some(blueprint), instance) = (self.blueprint, &self.wanted.instance) else { return Ok(()) };
        let image = image(self.context, &instance.image).await?;
        let network = self.look.networks_of(self.wanted).into_iter().next();
        let endpoint = network.map(|network| self.endpoint(network));
        let spec = blueprint.spec(instance, InstanceRole::Service, image, endpoint);
        self.context.engine.create_instance(&spec).await?;
        failpoint::reached(JournalStep::InstanceCreated);
        Ok(())
    }

    async fn start(&self, id: &ContainerId) -> Result<(), InstanceError> {
        let engine = &self.context.engine;
        if let Err(error) = engine.start(id).await {
            // A network that it was made for may be gone; its data is not in the container.
            if !error.is_transient() && self.blueprint.is_some() {
                engine.remove(id).await?;
            }
            return Err(error.into());
        }
        failpoint::reached(JournalStep::InstanceStarted);
        if self.wanted.instance.phase == InstancePhase::Ready {
            self.wait_until_healthy(id).await?;
        }
        Ok(())
    }

    /// Who needs it is started after it, as far as it gets ready soon.
    async fn wait_until_healthy(&self, id: &ContainerId) -> Result<(), InstanceError> {
        let began = Instant::now();
        while began.elapsed() < AGAIN_LIMIT {
            let Some(state) = self.running(id).await? else { return Ok(()) };
            let Some(inside) = self.inside(id) else { return Ok(()) };
            if inside.is_healthy(&state).await.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
        Ok(())
    }

    async fn prepare(&self, id: &ContainerId) -> Result<Done, InstanceError> {
        let Some(state) = self.running(id).await? else { return Ok(Done::Step) };
        let Some(inside) = self.inside(id) else {
            return Ok(Done::NotReady("the catalogue does not have the service any more".to_owned()));
        };
        match inside.is_healthy(&state).await {
            Ok(()) => {}
            Err(ProgramError::Failed(why)) => return Ok(Done::NotReady(why)),
            // It may have ended a moment ago.
            Err(ProgramError::Engine(error)) => return Ok(Done::NotReady(error.to_string())),
        }
        inside.set_up().await?;
        failpoint::reached(JournalStep::InstancePrepared);
        let (addon, context) = (self.wanted.instance.addon, self.context);
        let due = backups::first_due(context, &self.wanted.instance);
        mark(context, addon, move |instance| {
            instance.phase = InstancePhase::Ready;
            instance.backup_due_at = due;
        })
        .await?;
        failpoint::reached(JournalStep::InstanceReady);
        Ok(Done::Step)
    }

    async fn save(&self, id: &ContainerId) -> Result<(), InstanceError> {
        let Some(state) = self.running(id).await? else { return Ok(()) };
        if let Some(inside) = self.inside(id) {
            let began = Instant::now();
            while began.elapsed() < AGAIN_LIMIT && inside.is_healthy(&state).await.is_err() {
                tokio::time::sleep(ASK_AGAIN).await;
            }
            backups::save_last(self.context, &self.wanted.instance, inside).await?;
        }
        Ok(())
    }

    /// It was never used, or nobody uses it any more.
    fn may_give_up(&self) -> bool {
        matches!(self.wanted.instance.phase, InstancePhase::Making | InstancePhase::Removing)
    }

    /// One that was never ready has failed; one that goes, goes without a last backup.
    async fn give_up(&self, reason: String) -> Result<(), InstanceError> {
        let addon = self.wanted.instance.addon;
        tracing::warn!(%addon, reason, "an addon cannot be made, or cannot be saved before it goes");
        if self.wanted.is_unsaved {
            return Ok(backups::fail_last(self.context, addon, reason).await?);
        }
        mark(self.context, addon, move |instance| {
            instance.phase = InstancePhase::Failed;
            instance.reason = reason;
        })
        .await?;
        Ok(())
    }

    async fn last_lines(&self, id: &ContainerId) -> String {
        let lines = self.context.engine.last_lines(id, LAST_LINES).await.unwrap_or_default().join(" / ");
        let shown = self.blueprint.map(|blueprint| blueprint.redacted(&lines)).unwrap_or_default();
        if shown.is_empty() { "It wrote nothing.".to_owned() } else { format!("It wrote at last: {shown}") }
    }

    fn inside<'a>(&'a self, id: &'a ContainerId) -> Option<Inside<'a>> {
        Some(Inside { engine: &*self.context.engine, id, blueprint: self.blueprint? })
    }

    async fn running(&self, id: &ContainerId) -> Result<Option<ContainerState>, EngineError> {
        let found = self.context.engine.list_instances().await?.into_iter().find(|one| one.id == *id);
        Ok(found.map(|one| one.state).filter(|state| matches!(state, ContainerState::Running { .. })))
    }

    fn endpoint(&self, network: NetworkName) -> Endpoint {
        Endpoint { network, alias: self.wanted.instance.host.to_string() }
    }
}

/// The image, which is pulled where it is not here.
pub(in crate::addons) async fn image(
    context: &Context,
    reference: &ImageReference,
) -> Result<ImageId, EngineError> {
    if let Some(found) = context.engine.find_image(reference.as_str()).await? {
        return Ok(found);
    }
    let (log, mut lines) = mpsc::channel(PULL_LINES);
    let pull = async move { context.engine.pull(reference, None, &log).await };
    let drain = async move { while lines.recv().await.is_some() {} };
    let both = async { tokio::join!(pull, drain).0 };
    tokio::time::timeout(PULL_LIMIT, both).await.unwrap_or(Err(EngineError::TimedOut(PULL_LIMIT)))
}

/// Changes an instance that is still being made.
async fn mark(
    context: &Context,
    addon: AddonId,
    change: impl FnOnce(&mut AddonInstance) + Send + 'static,
) -> Result<(), StoreError> {
    let sealer = context.sealer.clone();
    let write = move |tx: &mut store::Tx<'_>| {
        let found = store::addon_instances::find(tx, &sealer, addon)?;
        if let Some(mut instance) = found.filter(|one| one.phase == InstancePhase::Making) {
            change(&mut instance);
            store::addon_instances::update(tx, &instance)?;
        }
        Ok::<_, StoreError>(())
    };
    context.store.write(&Principal::daemon(), write).await
}
