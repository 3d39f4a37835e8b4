//! Everything beside the edge: state, reconciler, builds, hooks, logs, metrics and the API.
//!
//! Invariant: who has a control plane has the lock of the data dir, and after [`ControlPlane::stop`] nothing of this
//! process uses the data dir any more. The edge goes on without one, with the routing table as it is.

use std::fs::{File, TryLockError};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::certificates::Certificates;
use super::settings::timing;
use super::state::{AccessSource, State};
use super::telemetry;
use super::{DaemonError, addons, backups, instances};
use crate::addons::Addons;
use crate::addons::backups::BackupStorages;
use crate::api::{self, ApiSettings, ApiState};
use crate::builds::Builder;
use crate::catalogue::CatalogueHandle;
use crate::certs::CertificateBook;
use crate::config::Config;
use crate::durable_file;
use crate::edge::{Challenges, EdgeMeter};
use crate::engine::ContainerEngine;
use crate::engine::docker::DockerEngine;
use crate::ids::Ids;
use crate::model::ids::InstallationId;
use crate::model::trace::Sampler;
use crate::outbound::Outbound;
use crate::previews::PreviewSweep;
use crate::reconcile::routes::RouteBook;
use crate::reconcile::sites::SitePublisher;
use crate::reconcile::{LookCounters, Reconciler};
use crate::service;
use crate::source_control::SourceControl;
use crate::store::Store;
use crate::tasks::Tasks;
use crate::terminals::Terminals;

/// How long the start waits for each app to be looked at before the edge opens.
const FIRST_LOOK_LIMIT: Duration = Duration::from_secs(20);
/// How long the background tasks and the store may take to end.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// What the control plane works with and leaves to the edge.
#[derive(Debug)]
pub(super) struct Surroundings {
    pub(super) api_address: SocketAddr,
    pub(super) routes: Arc<RouteBook>,
    pub(super) records: AccessSource,
    pub(super) challenges: Challenges,
    pub(super) book: CertificateBook,
}

/// The running control plane.
pub(super) struct ControlPlane {
    /// Held as long as it runs, so that a second one on the same data is refused.
    _lock: DataDirLock,
    rooms: Rooms,
    tasks: Tasks,
    api_stop: CancellationToken,
    api_ended: CancellationToken,
}

/// What the start of the rooms leaves for later.
struct Rooms {
    state: State,
    engine: Arc<dyn ContainerEngine>,
    looks: LookCounters,
    certificates: Certificates,
    source_control: SourceControl,
    addons: Addons,
    backups: BackupStorages,
}

/// The right to use the data dir.
#[derive(Debug)]
pub(super) struct DataDirLock(#[expect(dead_code, reason = "the lock goes when the file is closed")] File);

impl DataDirLock {
    /// Makes the data dir where there is none, and locks it.
    pub(super) fn take(config: &Config) -> Result<Self, DaemonError> {
        let path = config.data_dir.display().to_string();
        let unusable = |source| DaemonError::DataDir { path: path.clone(), source };
        config.prepare_data_dir().map_err(unusable)?;
        let lock = File::create(config.data_dir.join("lock")).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self(lock)),
            Err(TryLockError::WouldBlock) => Err(DaemonError::InUse(path)),
            Err(TryLockError::Error(source)) => Err(unusable(source)),
        }
    }
}

impl ControlPlane {
    /// Starts all but the API; afterwards the routing table tells the truth. `all_counted` ends when nobody else has
    /// requests open on the dynos.
    pub(super) async fn start(
        config: &Config,
        lock: DataDirLock,
        surroundings: &Surroundings,
        all_counted: BoxFuture<'static, ()>,
    ) -> Result<Self, DaemonError> {
        let tasks = Tasks::new();
        let counted = CancellationToken::new();
        let (stop, all) = (tasks.stopping(), counted.clone());
        tasks.spawn("uncounted requests", async move {
            if stop.run_until_cancelled(all_counted).await.is_some() {
                all.cancel();
            }
        });
        let started = start_rooms(config, surroundings, &tasks, counted).await;
        match started {
            Ok(rooms) => {
                let (api_stop, api_ended) = (CancellationToken::new(), CancellationToken::new());
                Ok(Self { _lock: lock, rooms, tasks, api_stop, api_ended })
            }
            Err(error) => {
                tasks.stop(STOP_LIMIT).await;
                Err(error)
            }
        }
    }

    /// Begins to measure and to answer on the API's listener. Call it once.
    pub(super) fn open(&self, config: &Config, edge: EdgeMeter, api: (TcpListener, ApiSettings)) {
        let (listener, settings) = api;
        let book = self.rooms.certificates.book.clone();
        let metrics = self.rooms.state.metrics((edge, book), self.rooms.looks.clone(), &self.tasks);
        metrics.start(Arc::clone(&self.rooms.engine), config.metrics.interval);
        metrics.start_push();
        let store = self.rooms.state.store.clone();
        let source_control = self.rooms.source_control.clone();
        let terminals = Terminals::new(store, Arc::clone(&self.rooms.engine), self.tasks.stopping());
        let (addons, backups) = (self.rooms.addons.clone(), self.rooms.backups.clone());
        let rooms = (terminals, source_control, addons, backups);
        let state = ApiState::new(self.rooms.state.api(metrics, rooms, settings));
        let (stop, ended) = (self.api_stop.clone(), self.api_ended.clone());
        self.tasks.spawn("api", async move {
            // Cancelled also when it panics.
            let _ended = ended.drop_guard();
            api::serve(listener, state, stop).await;
        });
    }

    /// What the edge shows; its book and challenges are the same for every control plane.
    pub(super) fn certificates(&self) -> &Certificates {
        &self.rooms.certificates
    }

    /// Which requests the edge shall trace.
    pub(super) fn sampler(&self) -> Option<Sampler> {
        self.rooms.state.telemetry.sampler()
    }

    /// Waits until the API has ended, which it does not by itself. Cancel-safe.
    pub(super) async fn api_ended(&self) {
        self.api_ended.cancelled().await;
    }

    /// Reads the catalogue again; a broken file leaves what was.
    pub(super) fn reload(&self) {
        match self.rooms.state.catalogue.reload() {
            Ok(outcome) => tracing::info!(?outcome, "the catalogue was read again"),
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "the catalogue stays as it was");
            }
        }
    }

    /// Refuses new work: the API's listener is closed, and who follows a log is sent away.
    pub(super) fn refuse_work(&self) {
        self.api_stop.cancel();
        // Who follows a log, or waits for the build of a push, would hold the listeners open.
        self.rooms.state.rings.close();
        self.rooms.state.git.close();
    }

    /// Lets what the API has begun come to its end, then the tasks, then the store; each within its limit. What was
    /// journalled is taken up by the next control plane.
    pub(super) async fn stop(self) {
        self.refuse_work();
        if tokio::time::timeout(STOP_LIMIT, self.api_ended()).await.is_err() {
            tracing::warn!("requests to the API were open for too long and are cut off");
        }
        if !self.tasks.stop(STOP_LIMIT).await {
            tracing::warn!("some tasks did not end in time");
        }
        if !self.rooms.state.store.close(STOP_LIMIT).await {
            tracing::warn!("the database was not closed in time");
        }
    }
}

async fn start_rooms(
    config: &Config,
    surroundings: &Surroundings,
    tasks: &Tasks,
    counted: CancellationToken,
) -> Result<Rooms, DaemonError> {
    let telemetry = telemetry::start(config, tasks)?;
    let at_address = || format!("http://{}", surroundings.api_address);
    let api_url = config.api.public_url.clone().unwrap_or_else(at_address);
    let state = State::open(config, (telemetry, api_url), tasks)?;
    state.catalogue.watch(tasks);
    let outbound = Outbound::new(config.outbound.allow_private)?;
    state.start_hooks(&outbound, tasks).await?;
    let installation = first_start(config, &state.store, &state.ids, &state.catalogue).await?;
    let docker = connect(config, installation).await?;
    let engine: Arc<dyn ContainerEngine> = Arc::<DockerEngine>::clone(&docker);
    state.trace_work(tasks);
    SitePublisher::new(state.store.clone(), Arc::clone(&surroundings.routes)).start(tasks).await?;
    // Before any app is in the table: none is served without what is in force for it.
    state.publish_filters(&surroundings.routes, &outbound, tasks).await?;
    state.start_drains(&outbound, config, tasks).await?;
    state.keep_logs(&engine, &config.logs, tasks);
    let context = state.context(&engine, &surroundings.routes, (timing(config), counted));
    let looks = context.counters.clone();
    // Apps find their databases when they start.
    let backups = backups::open(config, installation, state.clock.clone())?;
    let instances = instances::start(&state, (docker, backups.clone()), tasks).await;
    Reconciler::new(Arc::new(context), tasks.clone()).start(FIRST_LOOK_LIMIT).await?;
    let addons = addons::start(config, (&state, instances), tasks).await?;
    let source_control = state.source_control(&outbound, (config, &addons), tasks)?;
    Builder::start(state.builder(&engine, outbound.clone(), config), tasks).await?;
    state.start_git();
    state.start_setups(outbound, (config, &addons), tasks);
    state.take_access(&surroundings.records, tasks);
    if let Some(max_age) = config.previews.max_age {
        PreviewSweep { store: state.store.clone(), clock: state.clock.clone(), max_age }.start(tasks);
    }
    let certificates = Certificates::start(config, (&state, surroundings), tasks).await?;
    Ok(Rooms { state, engine, looks, certificates, source_control, addons, backups })
}

async fn first_start(
    config: &Config,
    store: &Store,
    ids: &Ids,
    catalogue: &CatalogueHandle,
) -> Result<InstallationId, DaemonError> {
    let given = config.admin_token.as_ref().map(crate::config::Secret::reveal);
    let done = service::bootstrap::run(store, ids, &catalogue.current(), given).await?;
    if let Some(secret) = &done.made_token {
        let path = config.admin_token_path();
        durable_file::write_private(&path, format!("{secret}\n").as_bytes())
            .map_err(|source| DaemonError::DataDir { path: path.display().to_string(), source })?;
        tracing::info!(path = %path.display(), "made the first admin token");
    }
    Ok(done.installation)
}

/// Connects to the engine, which must answer.
pub(super) async fn connect(
    config: &Config,
    installation: InstallationId,
) -> Result<Arc<DockerEngine>, DaemonError> {
    let host = &config.docker.host;
    let unusable = |source| DaemonError::Engine { host: host.clone(), source };
    let engine = DockerEngine::connect(Some(host), installation).await.map_err(unusable)?;
    let info = engine.info().await.map_err(unusable)?;
    tracing::info!(version = info.version, api = info.api_version, "connected to Docker");
    Ok(Arc::new(engine))
}

/// The error for an API that ended by itself.
pub(super) fn api_failed() -> DaemonError {
    DaemonError::Api(io::Error::other("its listener failed"))
}
