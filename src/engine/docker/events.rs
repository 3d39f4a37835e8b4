//! Follows what happens to our containers.

use bollard::Docker;
use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;

use super::containers::RunningSince;
use super::labels::{self, Labels};
use super::refusal;
use crate::engine::{EngineError, EngineEvent};

/// What is worth a look: the beginning and the end of a process, and the going of a container.
const ACTIONS: [&str; 4] = ["start", "die", "oom", "destroy"];

pub(super) fn follow(
    docker: &Docker,
    labels: &Labels,
    running_since: RunningSince,
) -> BoxStream<'static, Result<EngineEvent, EngineError>> {
    let mut filters = labels.filter(None);
    filters.insert("type".to_owned(), vec!["container".to_owned()]);
    filters.insert("event".to_owned(), ACTIONS.map(str::to_owned).to_vec());
    let options = EventsOptionsBuilder::default().filters(&filters).build();
    let docker = docker.clone();
    docker
        .events(Some(options))
        .filter_map(move |event| {
            let event = event.map_err(refusal).map(|event| {
                let actor = event.actor?;
                if let Some(id) = &actor.id {
                    running_since.forget(id);
                }
                let app = actor.attributes?.get(labels::APP)?.parse().ok()?;
                Some(EngineEvent { app })
            });
            futures_util::future::ready(event.transpose())
        })
        .boxed()
}
