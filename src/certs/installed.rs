//! Brings what is installed from the store into the book: all of it at the start, then whatever changes.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::book::{CertificateBook, InstalledCertificate};
use crate::chain::Chain;
use crate::model::certificate::Certificate;
use crate::model::event::Event;
use crate::model::ids::CertificateId;
use crate::seal::Sealer;
use crate::store::{self, Connection, Store, StoreError};
use crate::tasks::Tasks;

/// The one who brings it.
#[derive(Debug, Clone)]
pub struct Installation {
    pub store: Store,
    pub sealer: Sealer,
    pub book: CertificateBook,
}

/// What is to be read again.
enum Stale {
    These(BTreeSet<CertificateId>),
    Everything,
}

impl Installation {
    /// Fills the book, and follows the changes until the tasks stop.
    pub async fn start(self, tasks: &Tasks) -> Result<(), StoreError> {
        let mut events = self.store.subscribe();
        self.bring(Stale::Everything).await?;
        let stop = tasks.stopping();
        tasks.spawn("installed certificates", async move {
            loop {
                let stale = tokio::select! {
                    () = stop.cancelled() => return,
                    stale = stale(&mut events) => stale,
                };
                let Some(stale) = stale else { return };
                if let Err(error) = self.bring(stale).await {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "installed certificates cannot be read; the edge shows what it has"
                    );
                }
            }
        });
        Ok(())
    }

    async fn bring(&self, stale: Stale) -> Result<(), StoreError> {
        let sealer = self.sealer.clone();
        match stale {
            Stale::Everything => {
                let all = move |c: &Connection| {
                    let ids = store::certificates::list_installed(c)?;
                    let read = |id| Ok(load(c, &sealer, id)?.map(|installed| (id, installed)));
                    ids.into_iter()
                        .filter_map(|id| read(id).transpose())
                        .collect::<Result<HashMap<_, _>, _>>()
                };
                self.book.replace_installed(self.store.read::<_, StoreError, _>(all).await?);
            }
            Stale::These(ids) => {
                let these = move |c: &Connection| {
                    ids.into_iter().map(|id| Ok((id, load(c, &sealer, id)?))).collect::<Result<Vec<_>, _>>()
                };
                self.book.apply(self.store.read::<_, StoreError, _>(these).await?);
            }
        }
        Ok(())
    }
}

/// `None` for what is not installed, and for what cannot be shown.
fn load(
    connection: &Connection,
    sealer: &Sealer,
    id: CertificateId,
) -> Result<Option<InstalledCertificate>, StoreError> {
    let Some(certificate) = store::certificates::find(connection, id)?.filter(Certificate::is_installed)
    else {
        return Ok(None);
    };
    let keyed = match store::certificates::keyed_chain(connection, sealer, id) {
        Ok(Some(keyed)) => keyed,
        Ok(None) => return Ok(None),
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::error!(certificate = %certificate.name, error, "the key of a certificate cannot be had");
            return Ok(None);
        }
    };
    match Chain::parse(&keyed.chain, &keyed.key) {
        Ok(chain) => Ok(Some(InstalledCertificate {
            name: certificate.name.to_string(),
            domains: certificate.domains,
            chain,
        })),
        Err(error) => {
            tracing::error!(certificate = %certificate.name, %error, "a certificate cannot be shown");
            Ok(None)
        }
    }
}

/// Waits for a change, and takes what else has changed meanwhile. `None` when no more can come.
async fn stale(events: &mut Receiver<Arc<Event>>) -> Option<Stale> {
    loop {
        let changed: BTreeSet<_> = match store::events::next_all(events).await {
            Ok(events) => events.iter().filter_map(|event| concerned(event)).collect(),
            Err(RecvError::Lagged(_)) => return Some(Stale::Everything),
            Err(RecvError::Closed) => return None,
        };
        if !changed.is_empty() {
            return Some(Stale::These(changed));
        }
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "few facts change what the edge shows")]
fn concerned(event: &Event) -> Option<CertificateId> {
    match event {
        Event::CertificateIssued { certificate }
        | Event::CertificateInstalled { certificate }
        | Event::CertificateDeleted { certificate } => Some(*certificate),
        _ => None,
    }
}
