//! Upgraded connections (WebSocket and the like): bytes both ways until either side ends.
//!
//! Invariant: a tunnel counts as in flight at its upstream until it is over.

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use super::connection::OpenRequest;
use super::upstream::Lease;

/// Relays between a client and an upstream that both agreed to an upgrade.
pub(super) async fn relay((client, upstream): (OnUpgrade, OnUpgrade), lease: Lease, open: OpenRequest) {
    let Lease { connection, claim, .. } = lease;
    connection.finish().await;
    match tokio::try_join!(client, upstream) {
        Ok((client, upstream)) => {
            let (mut client, mut upstream) = (TokioIo::new(client), TokioIo::new(upstream));
            if let Err(error) = tokio::io::copy_bidirectional(&mut client, &mut upstream).await {
                tracing::debug!(%error, "a tunnel broke off");
            }
        }
        Err(error) => tracing::debug!(%error, "an upgrade was not completed"),
    }
    drop((claim, open));
}
