//! Environments of a release project: the stages of a pipeline that have apps, and each of those apps (reading 28).

use super::{Error, release_projects};
use crate::model::deployment::{CandidateReference, Course, Environment, Place};
use crate::model::event::Event;
use crate::model::ids::BuildId;
use crate::model::names::AppKey;
use crate::model::pipeline::{Coupling, Pipeline, Stage};
use crate::model::principal::{Principal, Reach};
use crate::model::rule::shown;
use crate::store::{self, Connection, Store, StoreError};

/// An environment with what runs there.
#[derive(Debug, Clone)]
pub struct SeenEnvironment {
    pub environment: Environment,
    /// `None` when what runs was never a candidate.
    pub running: Option<CandidateReference>,
}

/// The environment of that name, case-sensitive; refused when one of its apps is not within reach.
pub fn resolve(
    connection: &Connection,
    reach: &Reach,
    project: &Pipeline,
    text: &str,
) -> Result<Environment, Error> {
    let mut couplings = store::pipeline_couplings::list_by_pipeline(connection, project.id)?;
    let stage: Option<Stage> = text.parse().ok();
    match stage {
        Some(stage) => couplings.retain(|coupling| coupling.stage == stage),
        None => couplings.retain(|coupling| key(coupling) == text),
    }
    let Some(first) = couplings.first() else {
        return Err(Error::NotFound(format!(
            "Release environment not found: \"{}\" is neither a stage of the pipeline {} that has apps nor the key of one of its apps.",
            shown(text),
            project.name
        )));
    };
    if couplings.iter().any(|coupling| !reach.includes(coupling.app.organization)) {
        return Err(Error::Forbidden(format!(
            "The environment {} holds apps of organizations of which you are no member.",
            shown(text)
        )));
    }
    let place = stage.map_or(Place::App(first.app.id), Place::Stage);
    Ok(environment(connection, project, place, couplings)?)
}

/// The environments of a project all of whose apps are within reach: each stage with its apps behind it.
pub fn list(connection: &Connection, reach: &Reach, project: &str) -> Result<Vec<SeenEnvironment>, Error> {
    let project = release_projects::resolve(connection, project)?;
    let couplings = store::pipeline_couplings::list_by_pipeline(connection, project.id)?;
    let mut found = Vec::new();
    for stage in Stage::ALL {
        let of_stage: Vec<Coupling> =
            couplings.iter().filter(|coupling| coupling.stage == *stage).cloned().collect();
        let within = |coupling: &Coupling| reach.includes(coupling.app.organization);
        if !of_stage.is_empty() && of_stage.iter().all(within) {
            found.push(environment(connection, &project, Place::Stage(*stage), of_stage.clone())?);
        }
        for coupling in of_stage.into_iter().filter(within) {
            let place = Place::App(coupling.app.id);
            found.push(environment(connection, &project, place, vec![coupling])?);
        }
    }
    found.into_iter().map(|environment| see(connection, environment)).collect()
}

/// Freezes an environment or thaws it.
pub async fn set_frozen(
    store: &Store,
    author: &Principal,
    (project, name): (String, String),
    frozen: bool,
) -> Result<SeenEnvironment, Error> {
    let reach = author.reach.clone();
    store
        .write(author, move |tx| {
            let project = release_projects::resolve(tx, &project)?;
            let environment = resolve(tx, &reach, &project, &name)?;
            let (pipeline, place) = (project.id, environment.place);
            if store::frozen_environments::contains(tx, pipeline, place)? != frozen {
                if frozen {
                    store::frozen_environments::insert(tx, pipeline, place)?;
                } else {
                    store::frozen_environments::delete(tx, pipeline, place)?;
                }
                let environment = environment.name;
                tx.record(Event::EnvironmentChanged { pipeline, environment, frozen })?;
            }
            let environment = resolve(tx, &reach, &project, &name)?;
            see(tx, environment)
        })
        .await
}

/// Refuses to deploy to a frozen environment.
pub(super) fn check_not_frozen(environment: &Environment) -> Result<(), Error> {
    if environment.frozen {
        return Err(Error::BadRequest(format!(
            "Environment is frozen: nothing is deployed to {} until it, and every environment that shares an app with it, is thawed.",
            environment.name
        )));
    }
    Ok(())
}

/// The candidate that runs in an environment: the one that an outside pipeline brought there last, or the one whose
/// slug all of its apps run; where they differ, the one that was brought to all of them last.
pub(super) fn running(
    connection: &Connection,
    environment: &Environment,
) -> Result<Option<CandidateReference>, StoreError> {
    let pipeline = environment.pipeline;
    let last = store::deployments::newest_success(connection, pipeline, environment.place)?;
    if let Some(last) = last.as_ref().filter(|last| matches!(last.course, Course::Outside { .. })) {
        return Ok(Some(last.candidate.clone()));
    }
    let Some(slug) = common_slug(&environment.couplings) else { return Ok(last.map(|last| last.candidate)) };
    if let Some(last) = last {
        let candidate = store::release_candidates::find_by_id(connection, last.candidate.id)?;
        if candidate.is_some_and(|candidate| candidate.slug == Some(slug)) {
            return Ok(Some(last.candidate));
        }
    }
    let newest = store::release_candidates::newest_of_slug(connection, pipeline, slug)?;
    Ok(newest.map(|candidate| CandidateReference { id: candidate.id, version: candidate.version }))
}

/// The key of a coupling's app.
pub(super) fn key(coupling: &Coupling) -> String {
    AppKey::of(&coupling.app.name, &coupling.app.space).to_string()
}

fn see(connection: &Connection, environment: Environment) -> Result<SeenEnvironment, Error> {
    let running = running(connection, &environment)?;
    Ok(SeenEnvironment { environment, running })
}

/// The slug of the current release of every one of the apps.
fn common_slug(couplings: &[Coupling]) -> Option<BuildId> {
    let mut slugs = couplings.iter().map(|coupling| coupling.release.as_ref().map(|it| it.build.id));
    let first = slugs.next()??;
    slugs.all(|slug| slug == Some(first)).then_some(first)
}

fn environment(
    connection: &Connection,
    project: &Pipeline,
    place: Place,
    couplings: Vec<Coupling>,
) -> Result<Environment, StoreError> {
    let name = match (place, couplings.first()) {
        (Place::App(_), Some(coupling)) => key(coupling),
        (Place::Stage(stage), _) => stage.to_string(),
        (Place::App(app), None) => app.to_string(),
    };
    // A stage and its apps are frozen together: what is deployed to one reaches the other.
    let mut overlapping = vec![place];
    match place {
        Place::Stage(_) => overlapping.extend(couplings.iter().map(|coupling| Place::App(coupling.app.id))),
        Place::App(_) => overlapping.extend(couplings.iter().map(|coupling| Place::Stage(coupling.stage))),
    }
    let mut frozen = false;
    for place in overlapping {
        frozen |= store::frozen_environments::contains(connection, project.id, place)?;
    }
    Ok(Environment { pipeline: project.id, place, name, couplings, frozen })
}
