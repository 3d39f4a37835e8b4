//! What the store tells after its commits, as a test asks for it.

use std::sync::Arc;
use std::time::Duration;

use akkerisd::model::event::Event;
use akkerisd::model::principal::Principal;
use akkerisd::store::{Store, StoreError};
use tokio::sync::broadcast::Receiver;

/// Events from a moment on.
pub(crate) struct Events {
    store: Store,
    receiver: Receiver<Arc<Event>>,
}

impl Events {
    /// From now on: what was answered before is not among them.
    pub(crate) async fn of(store: &Store) -> Self {
        settle(store).await;
        Self { store: store.clone(), receiver: store.subscribe() }
    }

    /// The next one, for which it waits.
    pub(crate) async fn next(&mut self) -> Arc<Event> {
        tokio::time::timeout(Duration::from_secs(30), self.receiver.recv()).await.unwrap().unwrap()
    }

    /// Those of all writes that were answered, without the ones already taken.
    pub(crate) async fn so_far(&mut self) -> Vec<Arc<Event>> {
        settle(&self.store).await;
        std::iter::from_fn(|| self.receiver.try_recv().ok()).collect()
    }

    /// Their names.
    pub(crate) async fn kinds_so_far(&mut self) -> Vec<&'static str> {
        self.so_far().await.iter().map(|event| event.kind()).collect()
    }
}

/// An answer comes before the events of its commit, and those before the next transaction.
async fn settle(store: &Store) {
    store.write(&Principal::daemon(), |_| Ok::<_, StoreError>(())).await.unwrap();
}
