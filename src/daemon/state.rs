//! What lies in the data directory, opened, and what each room takes of it.

use std::sync::Arc;

use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;

use super::DaemonError;
use super::settings::{build_limits, git_settings};
use super::sources::{checks_limits, servers};
use crate::addons::Addons;
use crate::addons::backups::BackupStorages;
use crate::api::{ApiParts, ApiSettings};
use crate::builds::BuilderParts;
use crate::builds::log::BuildLogs;
use crate::builds::source::SourceFolder;
use crate::catalogue::CatalogueHandle;
use crate::certs::CertificateBook;
use crate::clock::Clock;
use crate::config::{Config, LogsConfig};
use crate::drains::{DrainFigures, DrainsParts};
use crate::edge::{AccessRecords, EdgeMeter};
use crate::engine::ContainerEngine;
use crate::git::{Git, GitParts};
use crate::hooks;
use crate::ids::Ids;
use crate::logs::{Collector, CollectorParts, LogSessions, Narrator, Rings, RouterLines};
use crate::metrics::{Metrics, MetricsParts, RouterFigures};
use crate::outbound::Outbound;
use crate::reconcile::filters::FilterPublisher;
use crate::reconcile::issuer_keys::{IssuerKeys, KeyTiming};
use crate::reconcile::kept_keys::KeptKeys;
use crate::reconcile::routes::RouteBook;
use crate::reconcile::{Context, LookCounters, Timing};
use crate::seal::Sealer;
use crate::service::app_setups::SetupTools;
use crate::setups::SetupsParts;
use crate::source_control::{SourceControl, SourceControlParts};
use crate::store::samples::SampleStore;
use crate::store::{Store, StoreError};
use crate::tasks::Tasks;
use crate::telemetry::{Telemetry, WorkSpans};
use crate::temporary_token::TemporaryTokens;
use crate::terminals::Terminals;

/// What the edge tells of requests. It outlives the control plane, of which one at a time takes from it.
pub(super) type AccessSource = Arc<Mutex<mpsc::Receiver<AccessRecords>>>;

/// Handles that the rooms share.
pub(super) struct State {
    pub(super) clock: Clock,
    pub(super) ids: Ids,
    pub(super) store: Store,
    pub(super) catalogue: CatalogueHandle,
    pub(super) sealer: Sealer,
    samples: SampleStore,
    /// Filled by the edge, read by the metrics.
    router: RouterFigures,
    /// Filled by the drains, read by the metrics.
    drains: DrainFigures,
    sources: SourceFolder,
    build_logs: BuildLogs,
    /// The logs of apps.
    pub(super) rings: Rings,
    pub(super) telemetry: Telemetry,
    temporary_tokens: TemporaryTokens,
    /// The repositories of apps.
    pub(super) git: Git,
}

impl State {
    /// Opens everything, making what is not there. Blocks.
    pub(super) fn open(
        config: &Config,
        (telemetry, api_url): (Telemetry, String),
        tasks: &Tasks,
    ) -> Result<Self, DaemonError> {
        let clock = Clock::system();
        let store = Store::open(&config.database_path(), clock.clone())?;
        let (sealer, ids) = (Sealer::open(&config.seal_key_path())?, Ids::random());
        let (sources, build_logs) =
            (SourceFolder::new(config.sources_dir()), BuildLogs::new(config.build_logs_dir()));
        let rings = Rings::new(config.logs_dir(), config.logs.ring_bytes);
        let git = Git::new(GitParts {
            store: store.clone(),
            sealer: sealer.clone(),
            ids: ids.clone(),
            sources: sources.clone(),
            build_logs: build_logs.clone(),
            rings: rings.clone(),
            tasks: tasks.clone(),
            settings: git_settings(config),
        });
        Ok(Self {
            store,
            sealer,
            git,
            catalogue: CatalogueHandle::open(&config.data_dir)?,
            samples: SampleStore::open(&config.samples_path())?,
            router: RouterFigures::default(),
            drains: DrainFigures::default(),
            sources,
            build_logs,
            rings,
            ids,
            telemetry,
            temporary_tokens: TemporaryTokens::new(config.token_key_path(), api_url),
            clock,
        })
    }

    /// Begins to tell of events; from then on each event finds its hooks.
    pub(super) async fn start_hooks(&self, outbound: &Outbound, tasks: &Tasks) -> Result<(), StoreError> {
        let state = (&self.store, &self.sealer);
        let around = (self.catalogue.shared(), outbound, &self.telemetry);
        let source = (&self.clock, &self.ids, &self.temporary_tokens);
        hooks::start(state, source, around, tasks).await
    }

    /// Puts the filters of apps into the routing table, and keeps them there.
    pub(super) async fn publish_filters(
        &self,
        routes: &Arc<RouteBook>,
        outbound: &Outbound,
        tasks: &Tasks,
    ) -> Result<(), StoreError> {
        let kept = KeptKeys::new(self.store.clone(), self.clock.clone());
        let keys = IssuerKeys::new(outbound.clone(), tasks.clone(), KeyTiming::default(), kept);
        let (store, sealer) = (self.store.clone(), self.sealer.clone());
        FilterPublisher::new(store, sealer, Arc::clone(routes), keys).start(tasks).await
    }

    /// Fills the logs of apps from their dynos and from what happens to them.
    pub(super) fn keep_logs(&self, engine: &Arc<dyn ContainerEngine>, config: &LogsConfig, tasks: &Tasks) {
        let (store, rings, clock) = (self.store.clone(), self.rings.clone(), self.clock.clone());
        Narrator { store, rings: rings.clone(), clock: clock.clone() }.start(tasks);
        let LogsConfig { dyno_rate, slow_floods, .. } = *config;
        let parts = CollectorParts { engine: Arc::clone(engine), rings, clock, dyno_rate, slow_floods };
        Collector::new(parts, tasks.clone()).start();
    }

    /// Connects apps with repositories, and carries on what it left.
    pub(super) fn source_control(
        &self,
        outbound: &Outbound,
        (config, addons): (&Config, &Addons),
        tasks: &Tasks,
    ) -> Result<SourceControl, DaemonError> {
        let source_control = SourceControl::new(SourceControlParts {
            store: self.store.clone(),
            sealer: self.sealer.clone(),
            ids: self.ids.clone(),
            clock: self.clock.clone(),
            outbound: outbound.clone(),
            servers: servers(&config.sources)?,
            limits: checks_limits(&config.sources),
            addons: addons.clone(),
        });
        source_control.start(tasks);
        Ok(source_control)
    }

    /// Begins to hear of pushes. Without it everything else works, so the daemon starts all the same.
    pub(super) fn start_git(&self) {
        if let Err(error) = self.git.start() {
            tracing::error!(%error, "git push will not work");
        }
    }

    /// Traces builds and releases.
    pub(super) fn trace_work(&self, tasks: &Tasks) {
        let (store, sealer) = (self.store.clone(), self.sealer.clone());
        WorkSpans { store, sealer, telemetry: self.telemetry.clone() }.start(tasks);
    }

    /// Sends logs on to their drains.
    pub(super) async fn start_drains(
        &self,
        outbound: &Outbound,
        config: &Config,
        tasks: &Tasks,
    ) -> Result<(), StoreError> {
        let parts = DrainsParts {
            store: self.store.clone(),
            sealer: self.sealer.clone(),
            rings: self.rings.clone(),
            outbound: outbound.clone(),
            clock: self.clock.clone(),
            figures: self.drains.clone(),
            cas: config.drain_cas_dir(),
        };
        parts.start(tasks).await
    }

    /// Takes the edge's records of requests to all who want them.
    pub(super) fn take_access(&self, records: &AccessSource, tasks: &Tasks) {
        let (mut lines, stop) = (RouterLines::new(self.rings.clone()), tasks.stopping());
        let (figures, telemetry) = (self.router.clone(), self.telemetry.clone());
        let records = Arc::clone(records);
        tasks.spawn("access records", async move {
            let mut records = records.lock().await;
            loop {
                let batch = tokio::select! {
                    batch = records.recv() => batch,
                    () = lines.due() => {
                        lines.flush().await;
                        continue;
                    }
                    () = stop.cancelled() => None,
                };
                let Some(batch) = batch else { break };
                for (record, _) in batch.iter() {
                    figures.record(record.app, record.status, record.total);
                    telemetry.record_request(record);
                }
                lines.write(batch).await;
            }
            lines.flush().await;
        });
    }

    pub(super) fn context(
        &self,
        engine: &Arc<dyn ContainerEngine>,
        routes: &Arc<RouteBook>,
        (timing, all_counted): (Timing, CancellationToken),
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
            all_counted,
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

    /// Goes on with the app setups. Call it after the builder, which tidies up the folder that both work in.
    pub(super) fn start_setups(
        &self,
        outbound: Outbound,
        (config, addons): (&Config, &Addons),
        tasks: &Tasks,
    ) {
        let limits = build_limits(config);
        let parts = SetupsParts {
            store: self.store.clone(),
            tools: SetupTools {
                sealer: self.sealer.clone(),
                ids: self.ids.clone(),
                catalogue: self.catalogue.shared(),
            },
            addons: addons.clone(),
            outbound,
            sources: self.sources.clone(),
            work: config.build_work_dir(),
            limits: limits.archive,
            max_archive: limits.max_archive,
        };
        parts.start(tasks);
    }

    pub(super) fn metrics(
        &self,
        (edge, certificates): (EdgeMeter, CertificateBook),
        looks: LookCounters,
        tasks: &Tasks,
    ) -> Metrics {
        Metrics::new(MetricsParts {
            store: self.store.clone(),
            samples: self.samples.clone(),
            rings: self.rings.clone(),
            router: self.router.clone(),
            edge,
            looks,
            telemetry: self.telemetry.clone(),
            drains: self.drains.clone(),
            tasks: tasks.clone(),
            certificates,
            clock: self.clock.clone(),
        })
    }

    pub(super) fn api(
        &self,
        metrics: Metrics,
        (terminals, source_control, addons, backups): (Terminals, SourceControl, Addons, BackupStorages),
        settings: ApiSettings,
    ) -> ApiParts {
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
            addons,
            backups,
            terminals,
            git: self.git.clone(),
            telemetry: self.telemetry.clone(),
            temporary_tokens: self.temporary_tokens.clone(),
            source_control,
            settings,
        }
    }
}
