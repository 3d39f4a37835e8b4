//! The built-in services: a container and a volume on this host's engine for each addon.
//!
//! Invariants: what shall be is a row, and each look reads it anew; credentials are made once; what is not of an addon
//! of this installation is never touched; a failing instance delays only itself.

mod attend;
mod decide;
mod look;
mod programs;
mod provider;
mod spec;
mod volumes;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::attend::Attended;
pub(in crate::addons) use self::attend::image;
pub(in crate::addons) use self::programs::{Inside, ProgramError};
pub use self::provider::EngineProvider;
pub(in crate::addons) use self::spec::Blueprint;
pub use self::volumes::VolumeWatch;
use super::backups::BackupStorages;
use crate::clock::Clock;
use crate::engine::EngineError;
use crate::engine::instance::InstanceEngine;
use crate::ids::Ids;
use crate::model::catalogue::Catalogue;
use crate::model::ids::AddonId;
use crate::seal::Sealer;
use crate::store::{self, Connection, Store, StoreError};
use crate::tasks::{Activator, Tasks};

/// Missed wakes cost at most this.
const PERIOD: Duration = Duration::from_secs(15);
/// Instances that are worked on at once.
const AT_ONCE: usize = 8;
/// The pause after a failure; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// An instance that was worked on again this long after its pause has been well in between.
const WELL_AFTER: Duration = Duration::from_mins(2);
/// Pause before the engine's events are followed again.
const FOLLOW_AGAIN: Duration = Duration::from_millis(500);

/// What everything that works on instances shares.
#[derive(Debug)]
pub struct Context {
    pub store: Store,
    pub sealer: Sealer,
    pub engine: Arc<dyn InstanceEngine>,
    pub catalogue: Arc<ArcSwap<Catalogue>>,
    pub clock: Clock,
    pub ids: Ids,
    pub backups: BackupStorages,
    /// Has every instance be looked at.
    pub wake: Activator,
}

/// Why something could not be done for an instance.
#[derive(Debug, thiserror::Error)]
pub(in crate::addons) enum InstanceError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A program inside of it failed; the text is for people.
    #[error("{0}")]
    Program(String),
}

impl InstanceError {
    /// Whether it will be the same next time.
    pub(in crate::addons) fn is_final(&self) -> bool {
        match self {
            Self::Engine(error) => !error.is_transient(),
            Self::Program(_) => true,
            Self::Store(_) => false,
        }
    }
}

impl From<ProgramError> for InstanceError {
    fn from(error: ProgramError) -> Self {
        match error {
            ProgramError::Engine(error) => Self::Engine(error),
            ProgramError::Failed(reason) => Self::Program(reason),
        }
    }
}

/// Keeps the instances as they shall be.
#[derive(Debug, Clone)]
pub struct Instances(Arc<Context>);

type Attempts = FuturesUnordered<BoxFuture<'static, (AddonId, Result<Attended, InstanceError>)>>;

/// When an instance that failed, or had ended, is worked on again.
#[derive(Debug, Clone, Copy)]
struct Pause {
    until: Instant,
    length: Duration,
}

/// The addons whose containers and volumes are not as they shall be.
#[derive(Debug, Default)]
struct Due {
    attend: Vec<AddonId>,
    /// Those that the database has never heard of.
    unknown: Vec<AddonId>,
}

impl Instances {
    /// Brings up what does not run, waiting at most `limit`, then goes on keeping it so until the tasks stop.
    pub async fn start(context: Arc<Context>, tasks: &Tasks, limit: Duration) -> Self {
        let this = Self(context);
        if tokio::time::timeout(limit, this.bring_up()).await.is_err() {
            tracing::warn!("not every addon is up yet; the apps are started all the same");
        }
        let (keeper, stop) = (this.clone(), tasks.stopping());
        tasks.supervise("addon instances", move || keeper.clone().keep(stop.clone()));
        let (follower, stop) = (this.clone(), tasks.stopping());
        tasks.supervise("addon events", move || follower.clone().follow(stop.clone()));
        this
    }

    /// Those that need work, once.
    async fn bring_up(&self) {
        let due = self.due().await.unwrap_or_else(|error| {
            tracing::warn!(error = &error as &dyn std::error::Error, "the addons cannot be looked at");
            Due::default()
        });
        for addon in due.unknown {
            tracing::warn!(%addon, "there are containers or volumes of an addon that the database does not know; they are left alone");
        }
        futures_util::stream::iter(due.attend)
            .for_each_concurrent(AT_ONCE, async |addon| log(addon, &attend::attend(&self.0, addon).await))
            .await;
    }

    async fn keep(self, stop: CancellationToken) {
        let mut attempts = Attempts::new();
        let (mut under_way, mut pauses) = (HashSet::new(), HashMap::new());
        while !stop.is_cancelled() {
            match self.due().await {
                Ok(due) => self.begin(due.attend, &mut attempts, (&mut under_way, &pauses)),
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the addons cannot be looked at"
                    );
                }
            }
            let pause = pauses.values().map(|pause: &Pause| pause.until).min();
            let wake_at = pause.filter(|until| *until > Instant::now());
            let period = tokio::time::sleep_until(wake_at.unwrap_or_else(|| Instant::now() + PERIOD));
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.0.wake.activated() => {}
                Some((addon, result)) = attempts.next() => {
                    log(addon, &result);
                    under_way.remove(&addon);
                    match next_pause(pauses.get(&addon).copied(), &result) {
                        Some(pause) => drop(pauses.insert(addon, pause)),
                        None => drop(pauses.remove(&addon)),
                    }
                }
                () = period => {}
            }
            pauses.retain(|_, pause| pause.until + WELL_AFTER > Instant::now());
        }
    }

    fn begin(
        &self,
        due: Vec<AddonId>,
        attempts: &mut Attempts,
        (under_way, pauses): (&mut HashSet<AddonId>, &HashMap<AddonId, Pause>),
    ) {
        let now = Instant::now();
        for addon in due {
            let is_paused = pauses.get(&addon).is_some_and(|pause| pause.until > now);
            if is_paused || under_way.len() >= AT_ONCE || !under_way.insert(addon) {
                continue;
            }
            let context = Arc::clone(&self.0);
            attempts.push(Box::pin(async move { (addon, attend::attend(&context, addon).await) }));
        }
    }

    /// The instances that are not as they shall be, and what addons that are gone have left. Of an addon that was never
    /// heard of nothing is touched: the database may be a copy from before it was made.
    async fn due(&self) -> Result<Due, InstanceError> {
        let wanted = look::load(&self.0, None).await?;
        let look = look::Look::at(&self.0, &wanted).await?;
        let known: HashSet<AddonId> = wanted.iter().map(|one| one.instance.addon).collect();
        let left: Vec<AddonId> = look.addons().into_iter().filter(|addon| !known.contains(addon)).collect();
        let (mut attend, unknown) = self.0.store.read(move |c| split_known(c, left)).await?;
        attend.extend(wanted.iter().filter_map(|one| {
            let blueprint = Blueprint::of(&self.0, &one.instance);
            (look.step(one, blueprint.as_ref()) != decide::Step::Nothing).then_some(one.instance.addon)
        }));
        Ok(Due { attend, unknown })
    }

    async fn follow(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.follow_once() => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(FOLLOW_AGAIN) => {}
            }
        }
    }

    async fn follow_once(&self) {
        let Ok(mut events) = self.0.engine.instance_events().await else { return };
        // What happened before the stream began is seen by looking at everything.
        self.0.wake.activate();
        while let Some(Ok(_)) = events.next().await {
            self.0.wake.activate();
        }
    }
}

/// Those of which there is or was an addon, and the others.
fn split_known(
    connection: &Connection,
    addons: Vec<AddonId>,
) -> Result<(Vec<AddonId>, Vec<AddonId>), StoreError> {
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for addon in addons {
        let is_known = store::addons::find_any(connection, addon)?.is_some();
        if is_known { &mut known } else { &mut unknown }.push(addon);
    }
    Ok((known, unknown))
}

/// One that ends again and again is started with growing pauses, the first time at once.
fn next_pause(before: Option<Pause>, result: &Result<Attended, InstanceError>) -> Option<Pause> {
    let length = match (result, before) {
        (Ok(Attended::AsItShallBe), _) => return None,
        (Ok(Attended::StartedAgain), None) => Duration::ZERO,
        (Err(_), None) => FIRST_PAUSE,
        (_, Some(before)) => (before.length * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE),
    };
    Some(Pause { until: Instant::now() + length, length })
}

fn log(addon: AddonId, result: &Result<Attended, InstanceError>) {
    if let Err(error) = result {
        tracing::warn!(%addon, error = error as &dyn std::error::Error, "an addon is not as it shall be; trying again");
    }
}

/// Whether an instance is as it shall be; one that is gone is, too.
async fn is_settled(context: &Context, addon: AddonId) -> Result<bool, InstanceError> {
    let wanted = look::load(context, Some(addon)).await?;
    let Some(one) = wanted.first() else { return Ok(true) };
    let look = look::Look::at(context, &wanted).await?;
    Ok(look.step(one, Blueprint::of(context, &one.instance).as_ref()) == decide::Step::Nothing)
}

/// Whether nobody reaches an instance but those who use it.
async fn is_apart(context: &Context, addon: AddonId) -> Result<bool, InstanceError> {
    let wanted = look::load(context, Some(addon)).await?;
    let Some(one) = wanted.first() else { return Ok(true) };
    Ok(look::Look::at(context, &wanted).await?.is_apart(one))
}
