//! The composition root: opens what there is, builds the rooms, starts them, and stops them in order.
//!
//! Invariant: the order of start and stop is readable here and nowhere else.

mod error;
mod listeners;
mod state;

use std::fs::{File, TryLockError};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

pub use self::error::DaemonError;
use self::listeners::{Listeners, https_port, listen, reachable};
use self::state::State;
use crate::api::{self, ApiSettings, ApiState};
use crate::builds::archive::ArchiveLimits;
use crate::builds::{BuildLimits, Builder};
use crate::catalogue::CatalogueHandle;
use crate::certs::{CertificateStore, LocalAuthority};
use crate::clock::Clock;
use crate::config::Config;
use crate::durable_file;
use crate::edge::{AccessSink, Edge, EdgeHandle, EdgeListeners, EdgeSettings};
use crate::engine::ContainerEngine;
use crate::engine::docker::DockerEngine;
use crate::ids::Ids;
use crate::logs::Rings;
use crate::model::ids::InstallationId;
use crate::outbound::Outbound;
use crate::reconcile::plan::Limits;
use crate::reconcile::routes::RouteBook;
use crate::reconcile::sites::SitePublisher;
use crate::reconcile::{Reconciler, Timing};
use crate::service;
use crate::store::Store;
use crate::tasks::Tasks;

/// How long the start waits for each app to be looked at before the edge opens.
const FIRST_LOOK_LIMIT: Duration = Duration::from_secs(20);
/// A release that is not up this long after it began fails (`behaviour.md` §9 gives up after as long).
const RELEASE_LIMIT: Duration = Duration::from_mins(10);
/// How long open requests may go on after SIGTERM.
const EDGE_DRAIN_LIMIT: Duration = Duration::from_secs(30);
/// How long the background tasks and the store may take to end.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// Runs the daemon until SIGTERM or SIGINT. Containers run on when it ends.
pub async fn run(config: &Config) -> Result<(), DaemonError> {
    let signals = Signals::new()?;
    let daemon = Daemon::start(config).await?;
    tracing::info!(
        api = %daemon.api_address,
        http = %config.edge.http_addr,
        https = %config.edge.https_addr,
        data_dir = %config.data_dir.display(),
        "akkerisd is ready"
    );
    let ended = daemon.serve(signals).await;
    daemon.stop().await;
    ended
}

/// Everything that runs, and what its end needs.
struct Daemon {
    /// Held as long as the daemon runs, so that a second one on the same data is refused.
    _lock: File,
    store: Store,
    catalogue: CatalogueHandle,
    tasks: Tasks,
    rings: Rings,
    edge: EdgeHandle,
    api_address: SocketAddr,
    api_stop: CancellationToken,
    api_ended: CancellationToken,
}

impl Daemon {
    async fn start(config: &Config) -> Result<Self, DaemonError> {
        let (lock, listeners) = (lock_data_dir(config)?, listen(config)?);
        let api_address = reachable(listeners.api.local_addr().map_err(DaemonError::Api)?);
        let tasks = Tasks::new();
        let state = State::open(config)?;
        state.catalogue.watch(&tasks);
        let outbound = Outbound::new(config.outbound.allow_private)?;
        state.start_hooks(&outbound, &tasks).await?;
        let installation = first_start(config, &state.store, &state.ids, &state.catalogue).await?;
        let engine = connect(config, installation).await?;
        let routes = Arc::new(RouteBook::new(config.edge.apps_domain.clone(), api_address));
        SitePublisher::new(state.store.clone(), Arc::clone(&routes)).start(&tasks).await?;
        state.keep_logs(&engine, config.logs.dyno_rate, &tasks);
        let context = state.context(&engine, &routes, timing(config));
        let looks = context.counters.clone();
        Reconciler::new(Arc::new(context), tasks.clone()).start(FIRST_LOOK_LIMIT).await?;
        Builder::start(state.builder(&engine, outbound, config), &tasks).await?;
        let access = state.take_access(&tasks);
        let edge = start_edge(config, &listeners, &routes, access)?;
        let metrics = state.metrics(&edge, looks, &tasks);
        metrics.start(engine, config.metrics.interval);
        let parts = state.api(metrics, api_settings(config, &listeners.edge));
        let (api_stop, api_ended) = (CancellationToken::new(), CancellationToken::new());
        serve_api(&tasks, listeners.api, ApiState::new(parts), api_stop.clone(), api_ended.clone());
        let State { store, catalogue, rings, .. } = state;
        Ok(Self { _lock: lock, store, catalogue, tasks, rings, edge, api_address, api_stop, api_ended })
    }

    /// Tells systemd that the daemon is ready, keeps its watchdog quiet, and obeys signals.
    async fn serve(&self, mut signals: Signals) -> Result<(), DaemonError> {
        notify_systemd(&[sd_notify::NotifyState::Ready]);
        let mut watchdog = watchdog_period().map(tokio::time::interval);
        loop {
            let alive = async {
                match &mut watchdog {
                    Some(interval) => interval.tick().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = signals.terminate.recv() => return Ok(()),
                _ = signals.interrupt.recv() => return Ok(()),
                _ = signals.hang_up.recv() => self.reload(),
                () = self.api_ended.cancelled() => {
                    return Err(DaemonError::Api(io::Error::other("its listener failed")));
                }
                _ = alive => notify_systemd(&[sd_notify::NotifyState::Watchdog]),
            }
        }
    }

    /// Reads the catalogue again; a broken file leaves what was.
    fn reload(&self) {
        match self.catalogue.reload() {
            Ok(outcome) => tracing::info!(?outcome, "the catalogue was read again"),
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "the catalogue stays as it was");
            }
        }
    }

    /// New work is refused first, open requests end, then the tasks, then the store.
    async fn stop(self) {
        notify_systemd(&[sd_notify::NotifyState::Stopping]);
        tracing::info!("akkerisd stops; the dynos run on");
        self.api_stop.cancel();
        // Who follows a log would hold the listeners open.
        self.rings.close();
        self.edge.drain(EDGE_DRAIN_LIMIT).await;
        if !self.tasks.stop(STOP_LIMIT).await {
            tracing::warn!("some tasks did not end in time");
        }
        if !self.store.close(STOP_LIMIT).await {
            tracing::warn!("the database was not closed in time");
        }
    }
}

/// What the operator can send.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn new() -> Result<Self, DaemonError> {
        let receive = |kind| signal(kind).map_err(DaemonError::Signals);
        Ok(Self {
            terminate: receive(SignalKind::terminate())?,
            interrupt: receive(SignalKind::interrupt())?,
            hang_up: receive(SignalKind::hangup())?,
        })
    }
}

fn lock_data_dir(config: &Config) -> Result<File, DaemonError> {
    let path = config.data_dir.display().to_string();
    let unusable = |source| DaemonError::DataDir { path: path.clone(), source };
    config.prepare_data_dir().map_err(unusable)?;
    let lock = File::create(config.data_dir.join("lock")).map_err(unusable)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(DaemonError::InUse(path)),
        Err(TryLockError::Error(source)) => Err(unusable(source)),
    }
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

async fn connect(
    config: &Config,
    installation: InstallationId,
) -> Result<Arc<dyn ContainerEngine>, DaemonError> {
    let host = &config.docker.host;
    let unusable = |source| DaemonError::Engine { host: host.clone(), source };
    let engine = DockerEngine::connect(Some(host), installation).await.map_err(unusable)?;
    let info = engine.info().await.map_err(unusable)?;
    tracing::info!(version = info.version, api = info.api_version, "connected to Docker");
    Ok(Arc::new(engine))
}

fn timing(config: &Config) -> Timing {
    Timing {
        limits: Limits { boot: config.dynos.boot_timeout, release: RELEASE_LIMIT },
        stop_grace: config.dynos.stop_grace,
        drain_limit: config.dynos.drain_limit,
    }
}

fn api_settings(config: &Config, edge: &EdgeListeners) -> ApiSettings {
    ApiSettings {
        public_url: config.api.public_url.clone(),
        apps_domain: config.edge.apps_domain.clone(),
        https_port: https_port(config, edge),
        dialect: config.api.dialect,
        public_metrics: config.metrics.public,
        max_upload: config.builds.max_upload,
    }
}

fn build_limits(config: &Config) -> BuildLimits {
    BuildLimits {
        concurrency: config.builds.concurrency,
        timeout: config.builds.timeout,
        checksum: config.builds.checksum,
        max_archive: config.builds.max_archive,
        archive: ArchiveLimits {
            entries: config.builds.max_entries as u64,
            total: config.builds.max_unpacked,
            ..ArchiveLimits::default()
        },
    }
}

fn edge_settings(config: &Config, listeners: &Listeners, clock: Clock) -> EdgeSettings {
    let mut settings = EdgeSettings::new(clock);
    settings.workers = listeners.workers;
    settings.public_https_port = https_port(config, &listeners.edge);
    settings.no_redirect = config.edge.no_redirect;
    settings.max_connections = config.edge.max_connections;
    settings.max_connections_per_address = config.edge.max_connections_per_address;
    settings.trusted_proxies = config.edge.trusted_proxies.clone().into();
    settings.proxy_protocol = config.edge.proxy_protocol;
    settings.limits.first_byte = config.edge.first_byte_timeout;
    settings.limits.rolling = config.edge.idle_timeout;
    settings
}

fn serve_api(
    tasks: &Tasks,
    listener: TcpListener,
    state: ApiState,
    stop: CancellationToken,
    ended: CancellationToken,
) {
    tasks.spawn("api", async move {
        if let Err(error) = api::serve(listener, state, stop.clone()).await {
            tracing::error!(%error, "the API server ended");
        }
        if !stop.is_cancelled() {
            ended.cancel();
        }
    });
}

fn start_edge(
    config: &Config,
    listeners: &Listeners,
    routes: &RouteBook,
    access: AccessSink,
) -> Result<EdgeHandle, DaemonError> {
    let clock = Clock::system();
    let authority = LocalAuthority::open(&config.ca_dir(), clock.clone())?;
    let certificates =
        Arc::new(CertificateStore::new(authority, &config.edge.apps_domain)?.with_sites(routes.table()));
    let mut settings = edge_settings(config, listeners, clock);
    settings.access = Some(access);
    Ok(Edge::start(settings, &listeners.edge, &routes.table(), certificates)?)
}

fn notify_systemd(states: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd was not told");
    }
}

/// Half of what systemd allows between two signs of life.
fn watchdog_period() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 2)
}
