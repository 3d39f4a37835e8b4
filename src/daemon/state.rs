//! What lies in the data directory, opened, and what each room takes of it.

use std::sync::Arc;

use super::{DaemonError, build_limits};
use crate::api::{ApiParts, ApiSettings};
use crate::builds::BuilderParts;
use crate::builds::log::BuildLogs;
use crate::builds::source::SourceFolder;
use crate::catalogue::CatalogueHandle;
use crate::clock::Clock;
use crate::config::Config;
use crate::edge::{AccessSink, EdgeHandle};
use crate::engine::ContainerEngine;
use crate::hooks;
use crate::ids::Ids;
use crate::logs::{Collector, CollectorParts, LogSessions, Narrator, Rings, RouterLines};
use crate::metrics::{Metrics, MetricsParts, RouterFigures};
use crate::outbound::Outbound;
use crate::reconcile::routes::RouteBook;
use crate::reconcile::{Context, LookCounters, Timing};
use crate::seal::Sealer;
use crate::store::samples::SampleStore;
use crate::store::{Store, StoreError};
use crate::tasks::Tasks;
use crate::terminals::Terminals;

/// Handles that the rooms share.
pub(super) struct State {
    pub(super) clock: Clock,
    pub(super) ids: Ids,
    pub(super) store: Store,
    pub(super) catalogue: CatalogueHandle,
    sealer: Sealer,
    samples: SampleStore,
    /// Filled by the edge, read by the metrics.
    router: RouterFigures,
    sources: SourceFolder,
    build_logs: BuildLogs,
    /// The logs of apps.
    pub(super) rings: Rings,
}

impl State {
    /// Opens everything, making what is not there. Blocks.
    pub(super) fn open(config: &Config) -> Result<Self, DaemonError> {
        let clock = Clock::system();
        Ok(Self {
            store: Store::open(&config.database_path(), clock.clone())?,
            sealer: Sealer::open(&config.seal_key_path())?,
            catalogue: CatalogueHandle::open(&config.data_dir)?,
            samples: SampleStore::open(&config.samples_path())?,
            router: RouterFigures::default(),
            sources: SourceFolder::new(config.sources_dir()),
            build_logs: BuildLogs::new(config.build_logs_dir()),
            rings: Rings::new(config.logs_dir(), config.logs.ring_bytes),
            ids: Ids::random(),
            clock,
        })
    }

    /// Begins to tell of events; from then on each event finds its hooks.
    pub(super) async fn start_hooks(&self, outbound: &Outbound, tasks: &Tasks) -> Result<(), StoreError> {
        let state = (&self.store, &self.sealer);
        hooks::start(state, (&self.clock, &self.ids), (self.catalogue.shared(), outbound), tasks).await
    }

    /// Fills the logs of apps from their dynos, at most `dyno_rate` bytes a second of each, and from what happens
    /// to them.
    pub(super) fn keep_logs(&self, engine: &Arc<dyn ContainerEngine>, dyno_rate: u64, tasks: &Tasks) {
        let (store, rings, clock) = (self.store.clone(), self.rings.clone(), self.clock.clone());
        Narrator { store, rings: rings.clone(), clock: clock.clone() }.start(tasks);
        let parts = CollectorParts { engine: Arc::clone(engine), rings, clock, dyno_rate };
        Collector::new(parts, tasks.clone()).start();
    }

    /// Takes the edge's records of requests to all who want them.
    pub(super) fn take_access(&self, tasks: &Tasks) -> AccessSink {
        let (sink, mut records) = AccessSink::new();
        let (lines, stop) = (RouterLines::new(self.rings.clone()), tasks.stopping());
        let figures = self.router.clone();
        tasks.spawn("access records", async move {
            loop {
                let records = tokio::select! {
                    () = stop.cancelled() => return,
                    records = records.recv() => records,
                };
                let Some(records) = records else { return };
                for record in &records {
                    figures.record(record.app, record.status, record.total);
                }
                lines.write(&records).await;
            }
        });
        sink
    }

    pub(super) fn context(
        &self,
        engine: &Arc<dyn ContainerEngine>,
        routes: &Arc<RouteBook>,
        timing: Timing,
    ) -> Context {
        Context {
            store: self.store.clone(),
            sealer: self.sealer.clone(),
            engine: Arc::clone(engine),
            routes: Arc::clone(routes),
            catalogue: self.catalogue.shared(),
            clock: self.clock.clone(),
            ids: self.ids.clone(),
            timing,
            launches: Context::launch_permits(),
            looks: Context::look_permits(),
            counters: LookCounters::default(),
        }
    }

    pub(super) fn builder(
        &self,
        engine: &Arc<dyn ContainerEngine>,
        outbound: Outbound,
        config: &Config,
    ) -> BuilderParts {
        BuilderParts {
            store: self.store.clone(),
            sealer: self.sealer.clone(),
            engine: Arc::clone(engine),
            outbound,
            sources: self.sources.clone(),
            logs: self.build_logs.clone(),
            rings: self.rings.clone(),
            work: config.build_work_dir(),
            clock: self.clock.clone(),
            ids: self.ids.clone(),
            catalogue: self.catalogue.shared(),
            limits: build_limits(config),
        }
    }

    pub(super) fn metrics(&self, edge: &EdgeHandle, looks: LookCounters, tasks: &Tasks) -> Metrics {
        Metrics::new(MetricsParts {
            store: self.store.clone(),
            samples: self.samples.clone(),
            router: self.router.clone(),
            edge: edge.meter(),
            looks,
            tasks: tasks.clone(),
            clock: self.clock.clone(),
        })
    }

    pub(super) fn api(&self, metrics: Metrics, terminals: Terminals, settings: ApiSettings) -> ApiParts {
        ApiParts {
            store: self.store.clone(),
            sealer: self.sealer.clone(),
            clock: self.clock.clone(),
            ids: self.ids.clone(),
            catalogue: self.catalogue.shared(),
            sources: self.sources.clone(),
            build_logs: self.build_logs.clone(),
            rings: self.rings.clone(),
            log_sessions: LogSessions::new(self.clock.clone()),
            metrics,
            terminals,
            settings,
        }
    }
}
