//! What is measured: dynos through the kernel's control groups, requests through the edge, and the daemon itself.
//!
//! Invariant: nothing here is needed to run an app; what cannot be measured is left out, never guessed.

mod cgroup;
mod exposition;
mod memory_watch;
mod network;
mod otlp;
mod process;
mod registry;
pub mod router;
mod sampler;
pub mod series;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub use self::router::RouterFigures;
use self::sampler::Sampler;
use self::series::Series;
use crate::certs::CertificateBook;
use crate::clock::Clock;
use crate::drains::DrainFigures;
use crate::edge::EdgeMeter;
use crate::engine::ContainerEngine;
use crate::logs::Rings;
use crate::model::ids::AppId;
use crate::model::metric::{DynoSample, Period};
use crate::model::principal::Reach;
use crate::model::time::Timestamp;
use crate::reconcile::LookCounters;
use crate::store::samples::SampleStore;
use crate::store::{Store, StoreError};
use crate::tasks::Tasks;
use crate::telemetry::Telemetry;

/// Measures, keeps and tells. Clones share everything.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Shared>);

/// Whom the figures come from.
#[derive(Debug, Clone)]
pub struct MetricsParts {
    pub store: Store,
    pub samples: SampleStore,
    /// Where a dyno is warned of that comes near its memory limit.
    pub rings: Rings,
    pub router: RouterFigures,
    pub edge: EdgeMeter,
    pub looks: LookCounters,
    /// Takes what is exported, too.
    pub telemetry: Telemetry,
    pub drains: DrainFigures,
    pub tasks: Tasks,
    pub certificates: CertificateBook,
    pub clock: Clock,
}

#[derive(Debug)]
struct Shared {
    store: Store,
    samples: SampleStore,
    rings: Rings,
    router: RouterFigures,
    edge: EdgeMeter,
    looks: LookCounters,
    telemetry: Telemetry,
    drains: DrainFigures,
    tasks: Tasks,
    certificates: CertificateBook,
    clock: Clock,
    started_at: Timestamp,
    /// What the last measurement found.
    latest: Mutex<Vec<DynoSample>>,
}

impl Metrics {
    /// Nothing is measured before [`Metrics::start`].
    pub fn new(parts: MetricsParts) -> Self {
        let started_at = parts.clock.now();
        let MetricsParts {
            store,
            samples,
            rings,
            router,
            edge,
            looks,
            telemetry,
            tasks,
            certificates,
            clock,
            drains,
        } = parts;
        let latest = Mutex::default();
        Self(Arc::new(Shared {
            store,
            samples,
            rings,
            router,
            edge,
            looks,
            telemetry,
            drains,
            tasks,
            certificates,
            clock,
            started_at,
            latest,
        }))
    }

    /// Begins to measure the dynos of an engine, again and again after `interval`, until the tasks stop.
    pub fn start(&self, engine: Arc<dyn ContainerEngine>, interval: Duration) {
        Sampler::start(Arc::clone(&self.0), engine, interval, &self.0.tasks);
    }

    /// Begins to push what is exported to the collector of telemetry, if there is one.
    pub fn start_push(&self) {
        let (shared, stop) = (Arc::clone(&self.0), self.0.tasks.stopping());
        self.0.tasks.supervise("telemetry-metrics", move || otlp::push(Arc::clone(&shared), stop.clone()));
    }

    /// What was measured of an app within a period.
    pub async fn series(&self, app: AppId, period: Period) -> Result<Series, StoreError> {
        let kept = self.0.samples.read(app, period, self.0.clock.now()).await?;
        Ok(Series::of(&kept, period.resolution))
    }

    /// Everything, as Prometheus reads it; of apps only those within reach.
    pub async fn exposition(&self, reach: Reach) -> Result<String, StoreError> {
        Ok(registry::collect(&self.0, reach).await?.into_text())
    }

    /// Where the ends of requests are counted.
    pub fn router(&self) -> RouterFigures {
        self.0.router.clone()
    }

    /// What the last measurement found.
    pub fn latest(&self) -> Vec<DynoSample> {
        self.0.latest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
