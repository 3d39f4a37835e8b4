//! OpenTelemetry: spans and metrics, posted to a collector over OTLP/HTTP as JSON. Off unless there is an endpoint.
//!
//! Invariant: telemetry slows nothing down. Spans go through a bounded queue; those that do not fit, and those that
//! the collector does not take, are dropped and counted.

mod export;
pub mod otlp;
mod requests;
mod span;
mod work;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc;

pub use self::span::{AttributeValue, Span, SpanKind};
pub use self::work::WorkSpans;
use crate::model::trace::{Sampler, TraceContext, Traced};
use crate::outbound::{Outbound, OutboundError, PostLimits};
use crate::tasks::Tasks;

/// Spans that wait to be sent; a few megabytes at most.
const QUEUE: usize = 4096;
const LIMITS: PostLimits = PostLimits { total: Duration::from_secs(10), body: 1024 };

/// Where telemetry goes, and how much of it.
#[derive(Clone)]
pub struct TelemetrySettings {
    /// `http://127.0.0.1:4318`; `/v1/traces` and `/v1/metrics` are appended.
    pub endpoint: String,
    /// Sent with every message; they may hold a key.
    pub headers: Vec<(String, String)>,
    /// The share of new traces that is recorded, 0 to 1.
    pub sample_ratio: f64,
    /// Between two messages with metrics.
    pub metrics_interval: Duration,
}

/// Takes telemetry, or does nothing with it. Clones share everything.
#[derive(Debug, Clone, Default)]
pub struct Telemetry(Option<Arc<Shared>>);

/// What became of telemetry since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TelemetryFigures {
    pub sent_spans: u64,
    /// Spans that found the queue full or that the collector did not take.
    pub dropped_spans: u64,
    /// Messages that were not taken, counting each attempt.
    pub failed_posts: u64,
}

#[derive(Debug)]
struct Shared {
    collector: Arc<Collector>,
    queue: mpsc::Sender<Span>,
    sampler: Sampler,
    metrics_interval: Duration,
}

/// The far end.
#[derive(Debug)]
struct Collector {
    outbound: Outbound,
    endpoint: String,
    headers: Vec<(String, String)>,
    resource: Value,
    figures: Figures,
}

#[derive(Debug, Default)]
struct Figures {
    sent_spans: AtomicU64,
    dropped_spans: AtomicU64,
    failed_posts: AtomicU64,
    /// The last message was not taken, and the log says so.
    failing: AtomicBool,
}

/// Why a message was not taken.
#[derive(Debug, thiserror::Error)]
enum PostError {
    #[error("the collector cannot be reached: {0}")]
    Unreachable(#[from] OutboundError),
    #[error("the collector answered {0}")]
    Refused(u16),
}

impl Telemetry {
    /// Takes nothing.
    pub fn off() -> Self {
        Self(None)
    }

    /// Begins to send spans.
    pub fn start(settings: TelemetrySettings, outbound: Outbound, tasks: &Tasks) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let collector = Arc::new(Collector {
            outbound,
            endpoint: settings.endpoint.trim_end_matches('/').to_owned(),
            headers: settings.headers,
            resource: resource(),
            figures: Figures::default(),
        });
        tasks.spawn("telemetry", export::run(Arc::clone(&collector), waiting, tasks.stopping()));
        let sampler = Sampler::new(settings.sample_ratio);
        let metrics_interval = settings.metrics_interval;
        Self(Some(Arc::new(Shared { collector, queue, sampler, metrics_interval })))
    }

    /// Who decides what is recorded; `None` when nothing is.
    pub fn sampler(&self) -> Option<Sampler> {
        self.0.as_ref().map(|shared| shared.sampler)
    }

    /// Begins a span; `None` when it is not to be recorded.
    pub fn begin(&self, caller: Option<TraceContext>) -> Option<Traced> {
        self.sampler()?.begin(caller, rand::random())
    }

    /// Takes a span. Never waits.
    pub fn record(&self, span: Span) {
        let Some(shared) = &self.0 else { return };
        if shared.queue.try_send(span).is_err() {
            shared.collector.figures.drop_spans(1);
        }
    }

    /// How often metrics are wanted; `None` when they are not.
    pub fn metrics_interval(&self) -> Option<Duration> {
        self.0.as_ref().map(|shared| shared.metrics_interval)
    }

    /// Posts metrics once, in the form that `metrics` has under `scopeMetrics[].metrics`. What is not taken is lost:
    /// the next message holds the same counters.
    pub async fn post_metrics(&self, metrics: Vec<Value>) {
        let Some(shared) = &self.0 else { return };
        let scoped = json!([{ "scope": otlp::scope(), "metrics": metrics }]);
        let resource = &shared.collector.resource;
        let body = json!({ "resourceMetrics": [{ "resource": resource, "scopeMetrics": scoped }] });
        // The failure is counted and told where it happens.
        drop(shared.collector.post("/v1/metrics", body.to_string()).await);
    }

    /// What became of everything so far; `None` when telemetry is off.
    pub fn figures(&self) -> Option<TelemetryFigures> {
        let figures = &self.0.as_ref()?.collector.figures;
        Some(TelemetryFigures {
            sent_spans: figures.sent_spans.load(Ordering::Relaxed),
            dropped_spans: figures.dropped_spans.load(Ordering::Relaxed),
            failed_posts: figures.failed_posts.load(Ordering::Relaxed),
        })
    }
}

impl std::fmt::Debug for TelemetrySettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TelemetrySettings").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl Collector {
    async fn post_traces(&self, body: String) -> Result<(), PostError> {
        self.post("/v1/traces", body).await
    }

    async fn post(&self, path: &str, body: String) -> Result<(), PostError> {
        let url = format!("{}{path}", self.endpoint);
        let json = ("content-type".to_owned(), "application/json".to_owned());
        let headers: Vec<(String, String)> = self.headers.iter().cloned().chain([json]).collect();
        let answer = self.outbound.post(&url, &headers, body, LIMITS).await;
        let taken = match answer {
            Ok(answer) if (200..300).contains(&answer.status) => Ok(()),
            Ok(answer) => Err(PostError::Refused(answer.status)),
            Err(error) => Err(error.into()),
        };
        self.note(&taken);
        taken
    }

    /// Says so once when the collector begins to fail, and when it is well again.
    fn note(&self, taken: &Result<(), PostError>) {
        let failed_before = self.figures.failing.swap(taken.is_err(), Ordering::Relaxed);
        match taken {
            Ok(()) if failed_before => tracing::info!("the collector takes telemetry again"),
            Ok(()) => {}
            Err(error) => {
                self.figures.failed_posts.fetch_add(1, Ordering::Relaxed);
                if !failed_before {
                    tracing::warn!(%error, "telemetry is not taken");
                }
            }
        }
    }
}

impl Figures {
    fn sent_spans(&self, count: usize) {
        self.sent_spans.fetch_add(count as u64, Ordering::Relaxed);
    }

    fn drop_spans(&self, count: usize) {
        self.dropped_spans.fetch_add(count as u64, Ordering::Relaxed);
    }
}

impl PostError {
    /// The statuses are those of the protocol ("OTLP/HTTP Throttling", "Retryable Response Codes").
    fn is_worth_another_attempt(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Refused(status) => matches!(status, 429 | 502 | 503 | 504),
        }
    }
}

/// What the collector is told of this process.
fn resource() -> Value {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let attributes = [
        ("service.name", "akkerisd"),
        ("service.version", env!("CARGO_PKG_VERSION")),
        ("host.name", host.trim()),
    ];
    let attributes: Vec<Value> =
        attributes.iter().map(|(name, value)| otlp::attribute(name, &AttributeValue::from(*value))).collect();
    json!({ "attributes": attributes })
}
