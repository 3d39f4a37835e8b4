//! The predecessor's side of an upgrade: from the request to the successor that serves, or back.
//!
//! Invariant: whatever fails, the edge never stopped, and afterwards either the successor serves or this process has
//! its control plane again.

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::FutureExt;
use sd_notify::NotifyState;

use super::signals::Signals;
use super::{Daemon, EDGE_DRAIN_LIMIT, systemd};
use crate::config::Config;
use crate::edge::Patience;
use crate::failpoint;
use crate::model::journal::JournalStep;
use crate::store::{self, StoreError};
use crate::upgrade::control::{Asker, UpgradeAnswer, UpgradeRequest};
use crate::upgrade::{Successor, SuccessorError};

/// How long a client without a request may stay with the old daemon, which nobody waits for.
const LINGER_QUIET: Duration = Duration::from_secs(10);
/// Between two tries to take up the control plane again.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// Why no successor serves.
#[derive(Debug, thiserror::Error)]
pub(super) enum UpgradeError {
    #[error(transparent)]
    Successor(#[from] SuccessorError),
    #[error("the database cannot be copied before the new daemon changes it")]
    Copy(#[source] StoreError),
}

impl Daemon<'_> {
    /// Starts a successor and puts everything but the edge into its hands. After an error this daemon works as before.
    pub(super) async fn upgrade(
        &mut self,
        request: &UpgradeRequest,
        asker: &mut Asker,
    ) -> Result<Successor, UpgradeError> {
        tracing::info!(binary = %request.binary.display(), "an upgrade begins");
        progress(asker, "the new daemon checks what it will work on").await;
        let mut successor = Successor::start(&request.binary, request.timeout)?;
        let migrates = successor.prepared().await?;
        progress(asker, "the control plane stops; apps are served on").await;
        match self.hand_over(&mut successor, migrates, asker).await {
            Ok(()) => {
                systemd::notify(NotifyState::MainPid(successor.id()));
                successor.let_go();
                Ok(successor)
            }
            Err(error) => {
                // It is dead before its data is touched.
                drop(successor);
                self.resume(migrates).await;
                Err(error)
            }
        }
    }

    /// Goes on with what is open, and nothing else, until it has ended or its limit has passed. Records of these
    /// requests are kept nowhere: logs and metrics are the successor's.
    pub(super) async fn linger(self, successor: &Successor, signals: &mut Signals) {
        let Self { config, listeners, surroundings, edge, predecessor, .. } = self;
        let quic = listeners.edge.quic.clone();
        drop((listeners, surroundings));
        let limit = config.edge.linger;
        let http3_ended = edge.http3_ended();
        let hand_on = async {
            let Some(quic) = quic else { return };
            http3_ended.await;
            if let Some(socket) = quic.get()
                && let Err(error) = successor.hand_on(&socket)
            {
                tracing::warn!(%error, "the new daemon does not get the socket of HTTP/3");
            }
        };
        let ended = async {
            tokio::join!(edge.drain(Patience { limit, quiet: LINGER_QUIET }), hand_on);
            // What the one before has open counts as this daemon's, for a successor that cannot see it.
            if let Some(predecessor) = &predecessor {
                tokio::time::timeout(limit, predecessor.ended()).await.ok();
            }
        };
        let mut ended = std::pin::pin!(ended);
        tokio::select! {
            () = &mut ended => return,
            said = successor.said() => if said.is_none() {
                // Nobody accepts any more. Whoever supervises the daemon shall see that now.
                tracing::error!("the new daemon ended; this one does, too");
                return;
            },
            () = signals.stop(|| ()) => {}
        }
        tokio::join!(async { tokio::time::timeout(EDGE_DRAIN_LIMIT, &mut ended).await.ok() }, async {
            if let Some(predecessor) = &predecessor {
                predecessor.stop(EDGE_DRAIN_LIMIT).await;
            }
        });
    }

    async fn hand_over(
        &mut self,
        successor: &mut Successor,
        migrates: bool,
        asker: &mut Asker,
    ) -> Result<(), UpgradeError> {
        if let Some(control_plane) = self.control_plane.take() {
            control_plane.stop().await;
        }
        if migrates {
            progress(asker, "the database is copied, for the way back").await;
            on_database(self.config, store::copy).await.map_err(UpgradeError::Copy)?;
        }
        progress(asker, "the new daemon takes over").await;
        successor.release(&self.listeners.all()).await?;
        failpoint::reached(JournalStep::ControlPlaneReleased);
        successor.ready().await?;
        remove_copy(self.config);
        Ok(())
    }

    /// Takes the control plane up again, however often that has to be tried: the edge serves meanwhile.
    async fn resume(&mut self, migrated: bool) {
        tracing::warn!("the upgrade failed; this daemon takes up its work again");
        loop {
            let resumed = self.try_to_resume(migrated).await;
            match resumed {
                Ok(()) => break,
                Err(error) => {
                    tracing::error!(error = &*error, "the control plane does not start; it is tried again");
                }
            }
            tokio::time::sleep(TRY_AGAIN).await;
        }
        remove_copy(self.config);
    }

    async fn try_to_resume(
        &mut self,
        migrated: bool,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        if migrated && self.config.database_copy_path().exists() {
            on_database(self.config, store::restore).await?;
        }
        // Requests on dynos that were being taken out are known to nobody; they have ended by then.
        let all_counted = tokio::time::sleep(self.config.dynos.drain_limit).boxed();
        self.start_control_plane(all_counted).await?;
        Ok(())
    }
}

async fn progress(asker: &mut Asker, text: &str) {
    tracing::info!("{text}");
    asker.answer(&UpgradeAnswer::Progress { text: text.to_owned() }).await;
}

/// Does something with the database and its copy, off the runtime's threads.
fn on_database(
    config: &Config,
    work: fn(&std::path::Path, &std::path::Path) -> Result<(), StoreError>,
) -> impl Future<Output = Result<(), StoreError>> + use<> {
    let (path, copy): (PathBuf, PathBuf) = (config.database_path(), config.database_copy_path());
    let done = tokio::task::spawn_blocking(move || work(&path, &copy));
    async { done.await.unwrap_or(Err(StoreError::Panicked)) }
}

fn remove_copy(config: &Config) {
    match std::fs::remove_file(config.database_copy_path()) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(%error, "the copy of the database is left where it is");
        }
        Ok(()) | Err(_) => {}
    }
}
