//! Removes the previews that nobody cares for any more (`behaviour.md` §28).
//!
//! Invariant: one whose pull request was heard of within the time stays.

use std::time::Duration;

use crate::clock::Clock;
use crate::service::previews;
use crate::store::Store;
use crate::tasks::Tasks;

/// How often it is looked.
const PERIOD: Duration = Duration::from_hours(1);

/// The task that looks.
#[derive(Debug, Clone)]
pub struct PreviewSweep {
    pub store: Store,
    pub clock: Clock,
    pub max_age: Duration,
}

impl PreviewSweep {
    /// Looks now, and every hour until the tasks stop.
    pub fn start(self, tasks: &Tasks) {
        let stop = tasks.stopping();
        tasks.supervise("previews", move || {
            let (this, stop) = (self.clone(), stop.clone());
            async move {
                let mut period = tokio::time::interval(PERIOD);
                while stop.run_until_cancelled(period.tick()).await.is_some() {
                    this.look().await;
                }
            }
        });
    }

    async fn look(&self) {
        match previews::expire(&self.store, self.clock.now().minus(self.max_age)).await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "previews were removed because of their age"),
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "old previews may be left");
            }
        }
    }
}
