//! The task that measures every dyno again and again, and keeps what it found.
//!
//! Invariant: a measurement that takes too long is given up, never queued behind the next one.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::cgroup::Cgroups;
use super::memory_watch::MemoryWatch;
use crate::engine::{ContainerEngine, ContainerId, ContainerState, EngineError, ObservedContainer};
use crate::model::ids::AppId;
use crate::model::metric::{DynoSample, Metric, Usage, float};
use crate::store::{self, StoreError};
use crate::tasks::Tasks;

/// Between two looks for what is too old to be kept.
const PRUNE_PERIOD: Duration = Duration::from_mins(10);
/// Between two questions for the sizes of the dynos' own layers, which cost the engine a walk over their files.
const LAYER_PERIOD: Duration = Duration::from_mins(10);
/// Figures that the engine is asked for at the same time.
const QUESTIONS_AT_ONCE: usize = 4;
/// Without one of these the engine is asked.
const NEEDED: [Metric; 3] = [Metric::CpuUsage, Metric::MemoryUsage, Metric::NetworkReceiveBytes];

/// Why a measurement gave nothing.
#[derive(Debug, thiserror::Error)]
enum SampleError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("measuring took longer than the {0:?} between two measurements")]
    TooSlow(Duration),
}

/// What is done again and again.
#[derive(Debug, Clone, Copy)]
enum Job {
    Sample,
    AskLayers,
    Prune,
}

/// Measures the dynos of one engine.
#[derive(Debug)]
pub(super) struct Sampler {
    shared: Arc<Shared>,
    engine: Arc<dyn ContainerEngine>,
    groups: Cgroups,
    layers: Mutex<HashMap<ContainerId, u64>>,
    /// The apps that were there at the last measurement; `None` before the first.
    apps: Mutex<Option<BTreeSet<AppId>>>,
    memory: Mutex<MemoryWatch>,
}

impl Sampler {
    /// Starts the tasks.
    pub(super) fn start(
        shared: Arc<Shared>,
        engine: Arc<dyn ContainerEngine>,
        interval: Duration,
        tasks: &Tasks,
    ) {
        let (layers, apps, memory) = (Mutex::default(), Mutex::default(), Mutex::default());
        let sampler = Arc::new(Self { shared, engine, groups: Cgroups::of_machine(), layers, apps, memory });
        for (name, job, period) in [
            ("metrics-sample", Job::Sample, interval),
            ("metrics-layers", Job::AskLayers, LAYER_PERIOD),
            ("metrics-prune", Job::Prune, PRUNE_PERIOD),
        ] {
            let (sampler, stop) = (Arc::clone(&sampler), tasks.stopping());
            tasks.supervise(name, move || Arc::clone(&sampler).repeat(job, period, stop.clone()));
        }
    }

    async fn repeat(self: Arc<Self>, job: Job, period: Duration, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let work = async {
                match job {
                    Job::Sample => self.sample_in_time(period).await,
                    Job::AskLayers => self.ask_layers().await,
                    Job::Prune => self.prune().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = work => {}
            }
        }
    }

    async fn sample_in_time(&self, limit: Duration) {
        let sampled = tokio::time::timeout(limit, self.sample()).await;
        if let Err(error) = sampled.unwrap_or(Err(SampleError::TooSlow(limit))) {
            tracing::warn!(error = &error as &dyn std::error::Error, "the dynos could not be measured");
        }
    }

    /// Measures every running dyno once.
    async fn sample(&self) -> Result<(), SampleError> {
        let apps = self.shared.store.read(|c| {
            Ok::<BTreeSet<AppId>, StoreError>(store::apps::list(c)?.iter().map(|app| app.id).collect())
        });
        let apps = apps.await?;
        self.forget_missing(&apps).await?;
        let containers = self.engine.list(None).await?;
        let running: Vec<ObservedContainer> = containers
            .into_iter()
            .filter(|container| matches!(container.state, ContainerState::Running { .. }))
            .filter(|container| apps.contains(&container.app))
            .collect();
        let samples = self.measure(running).await;
        self.warn_of_memory(&samples).await;
        self.shared.latest.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&samples);
        let router = self.shared.router.take();
        self.shared.samples.insert(self.shared.clock.now(), samples, router).await?;
        Ok(())
    }

    /// What was kept goes with its app.
    async fn forget_missing(&self, apps: &BTreeSet<AppId>) -> Result<(), StoreError> {
        let before = self.apps.lock().unwrap_or_else(PoisonError::into_inner).replace(apps.clone());
        if before.is_none_or(|before| !before.is_subset(apps)) {
            self.shared.router.retain(|app| apps.contains(&app));
            self.shared.samples.keep_only(apps.clone()).await?;
        }
        Ok(())
    }

    async fn warn_of_memory(&self, samples: &[DynoSample]) {
        let now = self.shared.clock.now();
        let warnings = self.memory.lock().unwrap_or_else(PoisonError::into_inner).warnings(samples, now);
        for (app, line) in warnings {
            if let Err(error) = self.shared.rings.append(app, vec![line], None).await {
                tracing::error!(%app, %error, "a warning could not be told in the app's log");
            }
        }
    }

    async fn measure(&self, containers: Vec<ObservedContainer>) -> Vec<DynoSample> {
        let groups: Vec<Vec<String>> =
            containers.iter().map(|container| self.engine.control_groups(&container.id)).collect();
        let reader = self.groups.clone();
        let read = tokio::task::spawn_blocking(move || {
            groups.iter().map(|names| reader.usage(names)).collect::<Vec<Usage>>()
        });
        // Without the files the engine is asked for everything.
        let read = read.await.unwrap_or_default();
        let read = read.into_iter().chain(std::iter::repeat(Usage::default()));
        let measured = stream::iter(containers.into_iter().zip(read))
            .map(|(container, usage)| self.completed(container, usage))
            .buffered(QUESTIONS_AT_ONCE);
        measured.collect().await
    }

    /// Asks the engine for what the files did not tell.
    async fn completed(&self, container: ObservedContainer, mut usage: Usage) -> DynoSample {
        if !usage.readings.know(&NEEDED) {
            match self.engine.usage(&container.id).await {
                Ok(Some(told)) => {
                    usage.readings.complete(&told.readings);
                    usage.memory_limit = usage.memory_limit.or(told.memory_limit);
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(dyno = %container.dyno, %error, "the engine did not tell its usage");
                }
            }
        }
        let layer = self.layers.lock().unwrap_or_else(PoisonError::into_inner).get(&container.id).copied();
        usage.readings.set(Metric::FsUsage, layer.map(float));
        DynoSample { app: container.app, process_type: container.process_type, dyno: container.dyno, usage }
    }

    async fn ask_layers(&self) {
        match self.engine.layer_sizes().await {
            Ok(sizes) => *self.layers.lock().unwrap_or_else(PoisonError::into_inner) = sizes,
            Err(error) => tracing::debug!(%error, "the engine did not tell the sizes of its layers"),
        }
    }

    async fn prune(&self) {
        if let Err(error) = self.shared.samples.prune(self.shared.clock.now()).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "old metrics were not dropped");
        }
    }
}
