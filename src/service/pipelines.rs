//! Pipelines: naming one, making and deleting it.

use uuid::Uuid;

use super::{Error, pipeline_couplings};
use crate::ids::Ids;
use crate::model::app::check_description;
use crate::model::event::Event;
use crate::model::ids::PipelineId;
use crate::model::names::PipelineName;
use crate::model::pipeline::Pipeline;
use crate::model::principal::Principal;
use crate::model::rule::shown;
use crate::store::{self, Connection, Store};

/// A pipeline to be made, as the client wrote it.
#[derive(Debug, Clone)]
pub struct NewPipeline {
    pub name: String,
    pub description: String,
}

/// The live pipeline of that name or id.
pub fn resolve(connection: &Connection, text: &str) -> Result<Pipeline, Error> {
    let found = match (Uuid::try_parse(text), PipelineName::parse(text)) {
        (Ok(id), _) => store::pipelines::find(connection, PipelineId::new(id))?,
        (Err(_), Ok(name)) => store::pipelines::find_by_name(connection, &name)?,
        (Err(_), Err(_)) => None,
    };
    found.ok_or_else(|| Error::NotFound(format!("The pipeline {} does not exist.", shown(text))))
}

/// Makes a pipeline, without any app.
pub async fn create(
    store: &Store,
    ids: &Ids,
    author: &Principal,
    new: NewPipeline,
) -> Result<Pipeline, Error> {
    let name = PipelineName::parse(&new.name)?;
    check_description(&new.description)?;
    let id = PipelineId::new(ids.next());
    store
        .write(author, move |tx| {
            let pipeline = Pipeline {
                id,
                name,
                description: new.description,
                created_at: tx.now(),
                updated_at: tx.now(),
            };
            store::pipelines::insert(tx, &pipeline).map_err(|error| {
                Error::exists(error, || format!("The pipeline {} exists already.", pipeline.name))
            })?;
            tx.record(Event::PipelineCreated { pipeline: id })?;
            Ok(pipeline)
        })
        .await
}

/// Deletes a pipeline and all of its couplings; the apps stay. All of them must be within reach.
pub async fn delete(store: &Store, author: &Principal, id: PipelineId) -> Result<Pipeline, Error> {
    let reach = author.reach.clone();
    store
        .write(author, move |tx| {
            let gone = || Error::NotFound("The pipeline was deleted meanwhile.".to_owned());
            let pipeline = store::pipelines::find(tx, id)?.ok_or_else(gone)?;
            let couplings = store::pipeline_couplings::list_by_pipeline(tx, id)?;
            if couplings.iter().any(|coupling| !reach.includes(coupling.app.organization)) {
                return Err(Error::Forbidden(format!(
                    "The pipeline {} holds apps of organizations of which you are no member.",
                    pipeline.name
                )));
            }
            for coupling in couplings {
                pipeline_couplings::remove(tx, &coupling)?;
            }
            store::pipelines::mark_deleted(tx, id)?;
            tx.record(Event::PipelineDeleted { pipeline: id })?;
            Ok(pipeline)
        })
        .await
}
