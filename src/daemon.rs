//! The composition root: opens what there is, builds the rooms, starts them, and stops them in order.
//!
//! Invariant: the order of start and stop is readable here and in `control_plane`, and nowhere else.
//!
//! The daemon is two things that start and stop by themselves: the edge, which serves, and the control plane, which
//! works on the data dir. `crate::upgrade` tells how another process takes them over.

mod addons;
mod backups;
mod certificates;
mod control_plane;
mod error;
mod instances;
mod listeners;
mod settings;
mod signals;
mod sources;
mod state;
mod systemd;
mod takeover;
mod telemetry;
mod upgrade;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rustls::server::ResolvesServerCert;
use sd_notify::NotifyState;

use self::certificates::Certificates;
use self::control_plane::{ControlPlane, DataDirLock, Surroundings, api_failed};
pub use self::error::DaemonError;
use self::listeners::Listeners;
use self::settings::{api_settings, edge_settings};
use self::signals::Signals;
use self::systemd::Watchdog;
use crate::certs::CertificateBook;
use crate::clock::Clock;
use crate::config::{Config, PassedSockets};
use crate::edge::{AccessSink, Challenges, Edge, EdgeHandle, Patience};
use crate::model::trace::Sampler;
use crate::reconcile::routes::RouteBook;
use crate::upgrade::control::{ControlSocket, UpgradeAnswer};
use crate::upgrade::{FromSuccessor, Predecessor, Successor};

/// How long open requests may go on after SIGTERM.
const EDGE_DRAIN_LIMIT: Duration = Duration::from_secs(30);
const EDGE_DRAIN: Patience = Patience { limit: EDGE_DRAIN_LIMIT, quiet: Duration::from_secs(1) };

/// Runs the daemon until SIGTERM or SIGINT, or until a successor has taken its place. Containers run on when it ends.
/// With a predecessor it takes that one's place.
pub async fn run(config: &Config, predecessor: Option<Predecessor>) -> Result<(), DaemonError> {
    let mut signals = Signals::new()?;
    let passed = match &predecessor {
        Some(predecessor) => tokio::select! {
            passed = takeover::take_over(config, predecessor) => passed?,
            () = signals.stop(|| ()) => return Ok(()),
        },
        None => PassedSockets::take()?,
    };
    let mut daemon = Box::pin(Daemon::start(config, passed, predecessor)).await?;
    tracing::info!(
        api = %config.api.addr,
        http = %config.edge.http_addr,
        https = %config.edge.https_addr,
        data_dir = %config.data_dir.display(),
        "akkerisd is ready"
    );
    match Box::pin(daemon.serve(&mut signals)).await {
        Ok(Some(successor)) => {
            tracing::info!("the new daemon serves; this one ends with its last connection");
            Box::pin(daemon.linger(&successor, &mut signals)).await;
            Ok(())
        }
        Ok(None) => {
            Box::pin(daemon.stop()).await;
            Ok(())
        }
        Err(error) => {
            Box::pin(daemon.stop()).await;
            Err(error)
        }
    }
}

/// Everything that runs, and what its end needs.
struct Daemon<'c> {
    config: &'c Config,
    /// Kept beside those that the edge and the API serve, for a successor.
    listeners: Listeners,
    surroundings: Surroundings,
    edge: EdgeHandle,
    /// `None` while a successor tries to take over.
    control_plane: Option<ControlPlane>,
    /// The process before this one, which may still have connections.
    predecessor: Option<Predecessor>,
}

/// What is wanted to be known of requests.
struct EdgeWatch {
    access: AccessSink,
    sampler: Option<Sampler>,
}

impl<'c> Daemon<'c> {
    async fn start(
        config: &'c Config,
        passed: PassedSockets,
        predecessor: Option<Predecessor>,
    ) -> Result<Self, DaemonError> {
        let lock = DataDirLock::take(config)?;
        let mut listeners = Listeners::open(config, passed, predecessor.is_some())?;
        let api_address = listeners.api_address()?;
        let routes = Arc::new(RouteBook::new(config.edge.apps_domain.clone(), api_address));
        let (access, records) = AccessSink::new();
        let records = Arc::new(tokio::sync::Mutex::new(records));
        let (challenges, book) = (Challenges::default(), CertificateBook::default());
        let surroundings = Surroundings { api_address, routes, records, challenges, book };
        let awaited = listeners.awaited();
        let all_counted = match predecessor.clone() {
            Some(predecessor) => async move {
                if let Some(awaited) = awaited {
                    awaited.fill(predecessor.datagrams().await);
                }
                predecessor.ended().await;
            }
            .boxed(),
            None => std::future::ready(()).boxed(),
        };
        let api = (listeners.api()?, api_settings(config, &listeners));
        let control_plane = ControlPlane::start(config, lock, &surroundings, all_counted).await?;
        let watch = EdgeWatch { access, sampler: control_plane.sampler() };
        let edge =
            start_edge(config, &listeners, &surroundings.routes, (watch, control_plane.certificates()))?;
        control_plane.open(config, edge.meter(), api);
        let control_plane = Some(control_plane);
        Ok(Self { config, listeners, surroundings, edge, control_plane, predecessor })
    }

    /// Tells who waits that the daemon is ready, and works until it is told to stop (`None`) or replaced.
    async fn serve(&mut self, signals: &mut Signals) -> Result<Option<Successor>, DaemonError> {
        let mut control = self.listen_for_upgrades();
        match &self.predecessor {
            // systemd knows already that the service is ready.
            Some(predecessor) => predecessor.tell(&FromSuccessor::Ready).unwrap_or_else(|error| {
                tracing::info!(%error, "the daemon before this one has ended");
            }),
            None => systemd::notify(NotifyState::Ready),
        }
        let mut watchdog = Watchdog::new();
        loop {
            let (request, mut asker) = tokio::select! {
                () = signals.stop(|| self.reload()) => return Ok(None),
                never = keep_quiet(&mut watchdog) => match never {},
                () = self.api_ended() => return Err(api_failed()),
                asked = next_request(control.as_ref()) => asked,
            };
            let upgraded = tokio::select! {
                upgraded = Box::pin(self.upgrade(&request, &mut asker)) => upgraded,
                () = signals.stop(|| ()) => return Ok(None),
                never = keep_quiet(&mut watchdog) => match never {},
                never = refuse_all(control.as_ref()) => match never {},
            };
            match upgraded {
                Ok(successor) => {
                    let pid = successor.id();
                    asker.answer(&UpgradeAnswer::Done { pid }).await;
                    return Ok(Some(successor));
                }
                Err(error) => {
                    let reason = described(&error);
                    tracing::error!(reason, "the upgrade failed");
                    // The one that failed may have put its own in the place.
                    control = self.listen_for_upgrades();
                    asker.answer(&UpgradeAnswer::Failed { reason }).await;
                }
            }
        }
    }

    /// New work is refused first, open requests end, then the tasks, then the store.
    async fn stop(self) {
        let Self { listeners, edge, control_plane, predecessor, .. } = self;
        systemd::notify(NotifyState::Stopping);
        tracing::info!("akkerisd stops; the dynos run on");
        // What stays behind would go on listening.
        drop(listeners);
        if let Some(control_plane) = &control_plane {
            control_plane.refuse_work();
        }
        let before = async {
            if let Some(predecessor) = &predecessor {
                predecessor.stop(EDGE_DRAIN_LIMIT).await;
            }
        };
        tokio::join!(edge.drain(EDGE_DRAIN), before);
        if let Some(control_plane) = control_plane {
            control_plane.stop().await;
        }
    }

    async fn start_control_plane(&mut self, all_counted: BoxFuture<'static, ()>) -> Result<(), DaemonError> {
        let lock = DataDirLock::take(self.config)?;
        let api = (self.listeners.api()?, api_settings(self.config, &self.listeners));
        let control_plane = ControlPlane::start(self.config, lock, &self.surroundings, all_counted).await?;
        control_plane.open(self.config, self.edge.meter(), api);
        self.control_plane = Some(control_plane);
        Ok(())
    }

    async fn api_ended(&self) {
        match &self.control_plane {
            Some(control_plane) => control_plane.api_ended().await,
            None => std::future::pending().await,
        }
    }

    fn reload(&self) {
        if let Some(control_plane) = &self.control_plane {
            control_plane.reload();
        }
    }

    /// Without the control socket the daemon serves all the same; it only cannot be upgraded.
    fn listen_for_upgrades(&self) -> Option<ControlSocket> {
        let path = self.config.control_path();
        ControlSocket::bind(&path)
            .inspect_err(|error| {
                tracing::warn!(%error, path = %path.display(), "there will be no upgrade without a restart");
            })
            .ok()
    }
}

fn start_edge(
    config: &Config,
    listeners: &Listeners,
    routes: &RouteBook,
    (watch, certificates): (EdgeWatch, &Certificates),
) -> Result<EdgeHandle, DaemonError> {
    let mut settings = edge_settings(config, listeners, Clock::system());
    settings.access = Some(watch.access);
    settings.sampler = watch.sampler;
    settings.challenges = certificates.challenges.clone();
    let shown = Arc::clone(&certificates.shown) as Arc<dyn ResolvesServerCert>;
    Ok(Edge::start(settings, &listeners.edge, &routes.table(), shown)?)
}

async fn keep_quiet(watchdog: &mut Watchdog) -> Infallible {
    loop {
        watchdog.next().await;
    }
}

async fn next_request(
    control: Option<&ControlSocket>,
) -> (crate::upgrade::control::UpgradeRequest, crate::upgrade::control::Asker) {
    match control {
        Some(control) => control.next().await,
        None => std::future::pending().await,
    }
}

async fn refuse_all(control: Option<&ControlSocket>) -> Infallible {
    match control {
        Some(control) => control.refuse_all("an upgrade is running already; wait for its end").await,
        None => std::future::pending().await,
    }
}

/// An error with its causes, for a person.
fn described(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
