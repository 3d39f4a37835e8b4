//! Builds and releases as spans, from their beginning on disk to the event that tells of their end.
//!
//! Invariant: the trace of a build or release has its id.

use std::sync::Arc;

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::{AttributeValue, Span, SpanKind, Telemetry};
use crate::model::build::{Build, BuildState};
use crate::model::event::Event;
use crate::model::release::{Release, ReleaseState};
use crate::model::time::Timestamp;
use crate::model::trace::Sampler;
use crate::seal::Sealer;
use crate::store::{self, Store, StoreError};
use crate::tasks::Tasks;

/// Records a span for each build and each release that ends.
#[derive(Debug, Clone)]
pub struct WorkSpans {
    pub store: Store,
    pub sealer: Sealer,
    pub telemetry: Telemetry,
}

impl WorkSpans {
    /// Starts the task; there is none when telemetry is off.
    pub fn start(self, tasks: &Tasks) {
        let Some(sampler) = self.telemetry.sampler() else { return };
        let (events, stop) = (self.store.subscribe(), tasks.stopping());
        tasks.spawn("telemetry-work", async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.follow(sampler, events) => {}
            }
        });
    }

    async fn follow(&self, sampler: Sampler, mut events: Receiver<Arc<Event>>) {
        loop {
            match events.recv().await {
                Ok(event) => match self.span(sampler, &event).await {
                    Ok(Some(span)) => self.telemetry.record(span),
                    Ok(None) => {}
                    Err(error) => tracing::warn!(%error, "a build or release could not be traced"),
                },
                Err(RecvError::Lagged(count)) => {
                    tracing::warn!(count, "events came too fast to be traced");
                }
                Err(RecvError::Closed) => return,
            }
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "only ends of work are spans")]
    async fn span(&self, sampler: Sampler, event: &Event) -> Result<Option<Span>, StoreError> {
        match event {
            Event::BuildSucceeded { build, .. }
            | Event::BuildFailed { build, .. }
            | Event::BuildStopped { build, .. } => {
                let (id, sealer) = (*build, self.sealer.clone());
                let build = self.store.read(move |c| store::builds::find(c, &sealer, id)).await?;
                Ok(build.and_then(|build| of_build(sampler, &build)))
            }
            Event::ReleaseSucceeded { release, .. } | Event::ReleaseFailed { release, .. } => {
                let id = *release;
                let release = self.store.read(move |c| store::releases::find_any(c, id)).await?;
                Ok(release.and_then(|release| of_release(sampler, &release)))
            }
            _ => Ok(None),
        }
    }
}

fn of_build(sampler: Sampler, build: &Build) -> Option<Span> {
    let (ended_at, failure) = match &build.state {
        BuildState::Succeeded { finished_at, .. } => (*finished_at, None),
        BuildState::Failed { reason, finished_at } => (*finished_at, Some(first_line(reason))),
        BuildState::Stopped { finished_at, .. } => (*finished_at, Some("stopped".to_owned())),
        BuildState::Queued | BuildState::Running { .. } => return None,
    };
    Some(Span {
        traced: sampler.begin_of(build.id.uuid())?,
        name: "build".to_owned(),
        kind: SpanKind::Internal,
        ended_at,
        took: took(build.created_at, ended_at),
        attributes: vec![
            ("akkeris.app.id", build.app_id.to_string().into()),
            ("akkeris.build.id", build.id.to_string().into()),
            ("akkeris.build.number", build.number.into()),
        ],
        failure,
    })
}

fn of_release(sampler: Sampler, release: &Release) -> Option<Span> {
    let (ended_at, failure) = match &release.state {
        ReleaseState::Succeeded { at } => (*at, None),
        ReleaseState::Failed { reason, at } => (*at, Some(first_line(reason))),
        ReleaseState::Queued | ReleaseState::Pending { .. } => return None,
    };
    let attributes: Vec<(&'static str, AttributeValue)> = vec![
        ("akkeris.app.id", release.app_id.to_string().into()),
        ("akkeris.release.id", release.id.to_string().into()),
        ("akkeris.release.version", release.version.into()),
        ("akkeris.build.id", release.slug.to_string().into()),
    ];
    Some(Span {
        traced: sampler.begin_of(release.id.uuid())?,
        name: "release".to_owned(),
        kind: SpanKind::Internal,
        ended_at,
        took: took(release.created_at, ended_at),
        attributes,
        failure,
    })
}

fn took(from: Timestamp, to: Timestamp) -> std::time::Duration {
    to.since(from)
}

fn first_line(reason: &str) -> String {
    reason.lines().next().unwrap_or_default().to_owned()
}
