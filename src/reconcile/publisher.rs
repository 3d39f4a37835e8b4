//! How the parts of the routing table that come from the store alone are kept up to date.
//!
//! Invariant: the table is brought up to date with each commit that changes such a part, by what the store says then;
//! what an event holds is only where to look. While the store cannot be read, what was published stays so.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::model::event::Event;
use crate::store::{Store, StoreError};
use crate::tasks::Tasks;

/// Pause before everything is read again, after the store could not be read.
const RETRY: Duration = Duration::from_secs(1);

/// Reads a part of the routing table and publishes it.
pub(super) trait Publisher: Sized + Send + Sync + 'static {
    /// The name of its task.
    const TASK: &'static str;
    /// What it publishes, for the log.
    const NOUN: &'static str;

    fn store(&self) -> &Store;

    /// Publishes what an event changes.
    fn publish(&self, event: &Event) -> Result<(), StoreError>;

    /// Publishes everything.
    fn publish_all(&self) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Publishes everything, and starts the task that follows the changes until the tasks stop. Fails when the store
    /// cannot be read.
    async fn publish_and_follow(self, tasks: &Tasks) -> Result<(), StoreError> {
        let (events, stop) = (self.store().subscribe(), tasks.stopping());
        self.publish_all().await?;
        tasks.spawn(Self::TASK, async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = follow(&self, events) => {}
            }
        });
        Ok(())
    }
}

async fn follow<P: Publisher>(publisher: &P, mut events: Receiver<Arc<Event>>) {
    loop {
        let published = match events.recv().await {
            Ok(event) => publisher.publish(&event),
            Err(RecvError::Lagged(_)) => publisher.publish_all().await,
            Err(RecvError::Closed) => return,
        };
        let Err(mut error) = published else { continue };
        loop {
            tracing::warn!(error = &error as &dyn std::error::Error, "the {} could not be read", P::NOUN);
            tokio::time::sleep(RETRY).await;
            match publisher.publish_all().await {
                Ok(()) => break,
                Err(again) => error = again,
            }
        }
    }
}
