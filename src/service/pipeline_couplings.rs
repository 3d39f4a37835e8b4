//! Couplings: an app's place in a pipeline, and what follows from it for the app's releases.
//!
//! Invariant: an app is in one pipeline at most.

use super::{Error, apps, pipelines};
use crate::ids::Ids;
use crate::model::RuleError;
use crate::model::app::App;
use crate::model::event::Event;
use crate::model::ids::{AppId, CouplingId, PipelineId};
use crate::model::pipeline::{AppReference, Coupling, PipelineReference, RequiredChecks, Stage};
use crate::model::principal::{Principal, Reach};
use crate::model::rule::{parse_word, shown};
use crate::store::{self, Connection, Store, Tx};

/// A coupling to be made, as the client wrote it.
#[derive(Debug, Clone)]
pub struct NewCoupling {
    /// Id, key or name of an app.
    pub app: String,
    /// Name or id of a pipeline.
    pub pipeline: String,
    pub stage: String,
    /// Contexts of status checks.
    pub required_checks: Vec<String>,
}

/// The coupling of that id, refused when its app is not within reach.
pub fn resolve(connection: &Connection, reach: &Reach, text: &str) -> Result<Coupling, Error> {
    let unknown = || Error::NotFound(format!("The pipeline coupling {} does not exist.", shown(text)));
    let id: CouplingId = text.parse().map_err(|_| unknown())?;
    let coupling = store::pipeline_couplings::find(connection, id)?.ok_or_else(unknown)?;
    if reach.includes(coupling.app.organization) {
        return Ok(coupling);
    }
    Err(Error::Forbidden(format!(
        "The app {}-{} belongs to an organization of which you are no member.",
        coupling.app.name, coupling.app.space
    )))
}

/// Every coupling of an app within reach, oldest first.
pub fn list(connection: &Connection, reach: &Reach) -> Result<Vec<Coupling>, Error> {
    Ok(within(reach, store::pipeline_couplings::list(connection)?))
}

/// The couplings of a pipeline whose apps are within reach, oldest first.
pub fn list_by_pipeline(
    connection: &Connection,
    reach: &Reach,
    pipeline: PipelineId,
) -> Result<Vec<Coupling>, Error> {
    Ok(within(reach, store::pipeline_couplings::list_by_pipeline(connection, pipeline)?))
}

fn within(reach: &Reach, mut couplings: Vec<Coupling>) -> Vec<Coupling> {
    couplings.retain(|coupling| reach.includes(coupling.app.organization));
    couplings
}

/// The one coupling of an app.
pub fn of_app(connection: &Connection, app: AppId) -> Result<Coupling, Error> {
    store::pipeline_couplings::find_by_app(connection, app)?
        .ok_or_else(|| Error::NotFound("The app is not in a pipeline.".to_owned()))
}

/// Adds an app to a stage of a pipeline.
pub async fn create(
    store: &Store,
    ids: &Ids,
    author: &Principal,
    new: NewCoupling,
) -> Result<Coupling, Error> {
    let place = parse_place(&new.stage, &new.required_checks)?;
    let (id, reach) = (CouplingId::new(ids.next()), author.reach.clone());
    store
        .write(author, move |tx| {
            let app = apps::resolve(tx, &reach, &new.app)?;
            add(tx, id, (&app, &new.pipeline), place)
        })
        .await
}

/// A stage, and the contexts of the status checks that a promotion to it requires.
pub(super) fn parse_place(stage: &str, checks: &[String]) -> Result<(Stage, RequiredChecks), RuleError> {
    let stage = parse_word("stage", &stage.trim().to_ascii_lowercase())?;
    Ok((stage, RequiredChecks::parse(stage, checks)?))
}

/// Adds an app to the pipeline of that name or id, in the caller's transaction.
pub(super) fn add(
    tx: &mut Tx<'_>,
    id: CouplingId,
    (app, pipeline): (&App, &str),
    (stage, required_checks): (Stage, RequiredChecks),
) -> Result<Coupling, Error> {
    let pipeline = pipelines::resolve(tx, pipeline)?;
    if let Some(other) = store::pipeline_couplings::find_by_app(tx, app.id)? {
        return Err(Error::Conflict(format!(
            "The app {} is already in the pipeline {}, in the stage {}; remove it there first.",
            app.key(),
            other.pipeline.name,
            other.stage
        )));
    }
    let coupling = Coupling {
        id,
        pipeline: PipelineReference { id: pipeline.id, name: pipeline.name },
        app: AppReference::of(app),
        stage,
        required_checks,
        release: None,
        created_at: tx.now(),
        updated_at: tx.now(),
    };
    store::pipeline_couplings::insert(tx, &coupling)?;
    store::pipelines::touch(tx, pipeline.id)?;
    tx.record(Event::CouplingCreated { app: app.id, pipeline: pipeline.id, coupling: id })?;
    still(tx, id)
}

/// Replaces the status checks that a promotion to the app requires. Only an elevated principal takes one away.
pub async fn update(
    store: &Store,
    author: &Principal,
    id: CouplingId,
    contexts: Vec<String>,
) -> Result<Coupling, Error> {
    let elevated = author.is_elevated();
    store
        .write(author, move |tx| {
            let mut coupling = still(tx, id)?;
            if coupling.stage == Stage::Review {
                return Err(RuleError::new(
                    "The stage review cannot have required status checks: nothing is promoted to it.",
                )
                .into());
            }
            let checks = RequiredChecks::parse(coupling.stage, &contexts)?;
            if !elevated && !coupling.required_checks.are_within(&checks) {
                return Err(Error::Forbidden(
                    "Only an administrator may take away a required status check.".to_owned(),
                ));
            }
            if checks != coupling.required_checks {
                coupling.required_checks = checks;
                coupling.updated_at = tx.now();
                store::pipeline_couplings::update(tx, &coupling)?;
                store::pipelines::touch(tx, coupling.pipeline.id)?;
                let (app, pipeline) = (coupling.app.id, coupling.pipeline.id);
                tx.record(Event::CouplingUpdated { app, pipeline, coupling: id })?;
            }
            Ok(coupling)
        })
        .await
}

/// Takes an app out of its pipeline.
pub async fn delete(store: &Store, author: &Principal, id: CouplingId) -> Result<Coupling, Error> {
    store
        .write(author, move |tx| {
            let coupling = still(tx, id)?;
            remove(tx, &coupling)?;
            Ok(coupling)
        })
        .await
}

/// Removes a coupling in the caller's transaction.
pub(super) fn remove(tx: &mut Tx<'_>, coupling: &Coupling) -> Result<(), Error> {
    let (app, pipeline) = (coupling.app.id, coupling.pipeline.id);
    store::pipeline_couplings::delete(tx, coupling.id)?;
    store::pipelines::touch(tx, pipeline)?;
    tx.record(Event::CouplingDeleted { app, pipeline, coupling: coupling.id })?;
    Ok(())
}

/// Takes an app that is being deleted out of its pipeline.
pub(super) fn remove_of_app(tx: &mut Tx<'_>, app: AppId) -> Result<(), Error> {
    match store::pipeline_couplings::find_by_app(tx, app)? {
        Some(coupling) => remove(tx, &coupling),
        None => Ok(()),
    }
}

/// Refuses to release a slug on an app that gets its releases from an earlier stage (reading 19). Nothing comes from
/// a preview, which stands before its source.
pub(super) fn check_not_downstream(connection: &Connection, app: AppId) -> Result<(), Error> {
    let Some(own) = store::pipeline_couplings::find_by_app(connection, app)? else { return Ok(()) };
    let all = store::pipeline_couplings::list_by_pipeline(connection, own.pipeline.id)?;
    let mut earlier = None;
    for other in all.into_iter().filter(|other| other.stage < own.stage) {
        if earlier.is_none() && store::previews::find_by_app(connection, other.app.id)?.is_none() {
            earlier = Some(other);
        }
    }
    match earlier {
        Some(earlier) => Err(RuleError::new(format!(
            "The app is in the stage {} of the pipeline {}, behind {}-{} in the stage {}: promote a release to it instead.",
            own.stage, own.pipeline.name, earlier.app.name, earlier.app.space, earlier.stage
        ))
        .into()),
        None => Ok(()),
    }
}

fn still(tx: &Tx<'_>, id: CouplingId) -> Result<Coupling, Error> {
    store::pipeline_couplings::find(tx, id)?
        .ok_or_else(|| Error::NotFound("The pipeline coupling was deleted meanwhile.".to_owned()))
}
