//! The task that takes spans out of the queue and posts them in batches.
//!
//! Invariant: whoever records a span never waits; what cannot be sent in time is dropped and counted.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::span::Span;
use super::{Collector, otlp};

/// Spans of one message.
const BATCH: usize = 512;
/// How long a span waits for company.
const BATCH_PERIOD: Duration = Duration::from_secs(1);
/// Pauses after failed attempts; then the batch is dropped.
const RETRY_PAUSES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(4), Duration::from_secs(15)];
/// What the end of the daemon waits for the last spans.
const FLUSH_LIMIT: Duration = Duration::from_secs(3);

/// Sends until `stop`, then what is left.
pub(super) async fn run(collector: Arc<Collector>, mut queue: Receiver<Span>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let mut batch = Vec::with_capacity(BATCH);
        tokio::select! {
            () = stop.cancelled() => {}
            () = fill(&mut queue, &mut batch) => {}
        }
        if !batch.is_empty() {
            send(&collector, batch, &stop).await;
        }
    }
    queue.close();
    let mut batch = Vec::new();
    if timeout(FLUSH_LIMIT, flush(&collector, &mut queue, &mut batch)).await.is_err() {
        tracing::info!("the last spans were not taken in time");
    }
    collector.figures.drop_spans(batch.len() + queue.len());
}

/// Waits for the first span, then a while for more. What is in `batch` stays there when the future is dropped.
async fn fill(queue: &mut Receiver<Span>, batch: &mut Vec<Span>) {
    if queue.recv_many(batch, BATCH).await == 0 {
        return std::future::pending().await;
    }
    let more =
        async { while batch.len() < BATCH && queue.recv_many(batch, BATCH - batch.len()).await > 0 {} };
    // The time is up or the batch is full: either way it goes.
    drop(timeout(BATCH_PERIOD, more).await);
}

async fn send(collector: &Collector, batch: Vec<Span>, stop: &CancellationToken) {
    let (count, body) = (batch.len(), otlp::traces(&collector.resource, &batch));
    for pause in RETRY_PAUSES.map(Some).into_iter().chain([None]) {
        let again = match collector.post_traces(body.clone()).await {
            Ok(()) => return collector.figures.sent_spans(count),
            Err(error) => error.is_worth_another_attempt(),
        };
        let Some(pause) = pause.filter(|_| again) else { break };
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(pause) => {}
        }
    }
    collector.figures.drop_spans(count);
}

/// One attempt for each batch that waits, until one fails; it is left in `batch`.
async fn flush(collector: &Collector, queue: &mut Receiver<Span>, batch: &mut Vec<Span>) {
    while queue.recv_many(batch, BATCH).await > 0 {
        if collector.post_traces(otlp::traces(&collector.resource, batch)).await.is_err() {
            return;
        }
        collector.figures.sent_spans(batch.len());
        batch.clear();
    }
}
