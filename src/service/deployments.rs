//! Deployments made here: a candidate's slug released on every app of an environment, and the way back.
//!
//! Invariants: all apps get their release, or none does; of the deployments to an app, the newest is the only one
//! that is not canceled or over.

use super::releases::{self, Maker, NewRelease};
use super::{Error, environments, release_candidates, release_projects};
use crate::model::deployment::{
    CandidateReference, Course, DeployedRelease, Deployment, DeploymentStatus, Environment,
};
use crate::model::event::Event;
use crate::model::ids::{BuildId, DeploymentId};
use crate::model::pipeline::Coupling;
use crate::model::principal::{Principal, Reach};
use crate::model::release::{Release, ReleaseKind};
use crate::model::release_candidate::ReleaseCandidate;
use crate::store::{self, Connection, Store, Tx};

/// Deployments that are asked for by the names of the project and the environment.
#[derive(Debug, Clone)]
pub struct Target {
    pub project: String,
    pub environment: String,
}

/// Whether an environment may be rolled back that is frozen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    Unforced,
    Forced,
}

/// Which way a deployment goes; the way back needs no status checks (reading 19).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Forward,
    Back,
}

/// Deployments to an environment, newest first: at most `limit` of them behind the first `offset`.
pub fn list(
    connection: &Connection,
    reach: &Reach,
    target: &Target,
    (offset, limit): (u64, u32),
) -> Result<Vec<Deployment>, Error> {
    let project = release_projects::resolve(connection, &target.project)?;
    let environment = environments::resolve(connection, reach, &project, &target.environment)?;
    Ok(store::deployments::page(connection, project.id, environment.place, offset, limit)?)
}

/// Brings a candidate to an environment; what goes on there is canceled.
pub async fn create(
    store: &Store,
    maker: &Maker,
    author: &Principal,
    target: Target,
    version: String,
) -> Result<Deployment, Error> {
    let (maker, reach) = (maker.clone(), author.reach.clone());
    store
        .write(author, move |tx| {
            let project = release_projects::resolve(tx, &target.project)?;
            let environment = environments::resolve(tx, &reach, &project, &target.environment)?;
            let candidate = release_candidates::resolve(tx, &reach, &project, &version)?;
            environments::check_not_frozen(&environment)?;
            deploy(tx, &maker, &environment, &candidate, Direction::Forward)
        })
        .await
}

/// Brings an environment back: after a success to what ran before it, else to the last success.
pub async fn roll_back(
    store: &Store,
    maker: &Maker,
    author: &Principal,
    target: Target,
    force: Force,
) -> Result<Deployment, Error> {
    let (maker, reach) = (maker.clone(), author.reach.clone());
    store
        .write(author, move |tx| {
            let project = release_projects::resolve(tx, &target.project)?;
            let environment = environments::resolve(tx, &reach, &project, &target.environment)?;
            if force == Force::Unforced {
                environments::check_not_frozen(&environment)?;
            }
            let nothing =
                |why: &str| Error::NotFound(format!("No previous deployment to roll back from: {why}"));
            let last = store::deployments::newest(tx, project.id, environment.place)?
                .ok_or_else(|| nothing("nothing was deployed to this environment yet."))?;
            let former = if last.progress().status == DeploymentStatus::Success {
                last.from.ok_or_else(|| nothing("before the last deployment, no candidate ran here."))?
            } else {
                last_success(tx, &environment)?.ok_or_else(|| nothing("no deployment succeeded here yet."))?
            };
            let version = former.version.to_string();
            let candidate = release_candidates::resolve(tx, &reach, &project, &version)?;
            deploy(tx, &maker, &environment, &candidate, Direction::Back)
        })
        .await
}

/// Cancels what goes on in an environment, and on its apps.
pub(super) fn cancel_active(tx: &mut Tx<'_>, environment: &Environment) -> Result<(), Error> {
    let pipeline = environment.pipeline;
    for reported in store::deployments::list_reported_active(tx, pipeline, environment.place)? {
        let now = tx.now();
        store::deployments::set_reported(tx, reported.id, DeploymentStatus::Canceled, Some(now))?;
        tx.record(Event::DeploymentCanceled { pipeline, deployment: reported.id })?;
    }
    for coupling in &environment.couplings {
        for older in store::deployments::list_unfinished_on(tx, coupling.app.id)? {
            if matches!(older.course, Course::Here { canceled: false, .. }) {
                store::deployments::mark_canceled(tx, older.id)?;
                tx.record(Event::DeploymentCanceled { pipeline: older.pipeline, deployment: older.id })?;
            }
        }
    }
    Ok(())
}

/// A deployment that was written in this transaction.
pub(super) fn still(connection: &Connection, id: DeploymentId) -> Result<Deployment, Error> {
    store::deployments::find(connection, id)?
        .ok_or_else(|| Error::internal("a deployment was not found in its own transaction"))
}

fn last_success(
    connection: &Connection,
    environment: &Environment,
) -> Result<Option<CandidateReference>, Error> {
    let (pipeline, place) = (environment.pipeline, environment.place);
    match store::deployments::newest_success(connection, pipeline, place)? {
        Some(success) => Ok(Some(success.candidate)),
        None => Ok(environments::running(connection, environment)?),
    }
}

fn deploy(
    tx: &mut Tx<'_>,
    maker: &Maker,
    environment: &Environment,
    candidate: &ReleaseCandidate,
    direction: Direction,
) -> Result<Deployment, Error> {
    let slug = candidate.slug.ok_or_else(|| waits(candidate))?;
    let from = environments::running(tx, environment)?;
    cancel_active(tx, environment)?;
    let mut made = Vec::new();
    for coupling in &environment.couplings {
        let release = release_on(tx, maker, coupling, (candidate, slug), direction)?;
        made.push(DeployedRelease {
            id: release.id,
            app: environments::key(coupling),
            app_is_deleted: false,
            state: release.state,
        });
    }
    let deployment = Deployment {
        id: DeploymentId::new(maker.ids.next()),
        pipeline: environment.pipeline,
        place: environment.place,
        environment: environment.name.clone(),
        candidate: CandidateReference { id: candidate.id, version: candidate.version.clone() },
        from,
        course: Course::Here { releases: made, canceled: false },
        created_by: tx.author().clone(),
        email: None,
        created_at: tx.now(),
    };
    store::deployments::insert(tx, &deployment)?;
    tx.record(Event::DeploymentCreated { pipeline: environment.pipeline, deployment: deployment.id })?;
    still(tx, deployment.id)
}

fn waits(candidate: &ReleaseCandidate) -> Error {
    Error::Conflict(format!(
        "The release candidate {} cannot be deployed yet: it waits for a build of the commit {} that succeeds.",
        candidate.version,
        candidate.commit.as_str()
    ))
}

fn release_on(
    tx: &mut Tx<'_>,
    maker: &Maker,
    coupling: &Coupling,
    (candidate, slug): (&ReleaseCandidate, BuildId),
    direction: Direction,
) -> Result<Release, Error> {
    let app = coupling.app.id;
    let kind = match direction {
        Direction::Forward => forward(tx, coupling, candidate, slug)?,
        Direction::Back => match store::releases::newest_success_of_slug(tx, app, slug)? {
            Some(old) => ReleaseKind::Rollback { of: old.id },
            None => source(tx, coupling, slug)?
                .map_or(ReleaseKind::Slug, |of| ReleaseKind::Promotion { of: of.id }),
        },
    };
    let description = match direction {
        Direction::Forward => format!("Deployment of {}", candidate.version),
        Direction::Back => format!("Rollback to {}", candidate.version),
    };
    let new = NewRelease { app, slug, kind, description };
    let release = releases::make(tx, &maker.ids, &maker.default_size, new)?;
    if let ReleaseKind::Promotion { of } = kind {
        tx.record(Event::ReleasePromoted { app, release: release.id, promotion: None, source: of })?;
    }
    Ok(release)
}

/// The slug itself on the app that built it, elsewhere a promotion of what was released of it in an earlier stage,
/// which must have passed the checks that are required here.
fn forward(
    connection: &Connection,
    coupling: &Coupling,
    candidate: &ReleaseCandidate,
    slug: BuildId,
) -> Result<ReleaseKind, Error> {
    if coupling.app.id == candidate.source {
        return Ok(ReleaseKind::Slug);
    }
    let source = source(connection, coupling, slug)?;
    let statuses = match &source {
        Some(release) => store::release_statuses::list(connection, release.id)?,
        None => Vec::new(),
    };
    let unmet = coupling.required_checks.unmet(&statuses);
    if !unmet.is_empty() {
        return Err(Error::Conflict(format!(
            "The release candidate {} has not passed the status checks that {} requires: {}.",
            candidate.version,
            environments::key(coupling),
            unmet.iter().map(|context| context.as_str()).collect::<Vec<_>>().join(", ")
        )));
    }
    Ok(source.map_or(ReleaseKind::Slug, |release| ReleaseKind::Promotion { of: release.id }))
}

/// The release of a slug that is promoted to an app: one of an earlier stage that succeeded, if there is one the newest
/// that passed the app's required checks.
fn source(connection: &Connection, coupling: &Coupling, slug: BuildId) -> Result<Option<Release>, Error> {
    let others = store::pipeline_couplings::list_by_pipeline(connection, coupling.pipeline.id)?;
    let is_earlier = |release: &Release| {
        others.iter().any(|other| other.app.id == release.app_id && other.stage < coupling.stage)
    };
    let mut newest = None;
    for release in store::releases::list_successes_of_slug(connection, slug)?.into_iter().filter(is_earlier) {
        let statuses = store::release_statuses::list(connection, release.id)?;
        if coupling.required_checks.unmet(&statuses).is_empty() {
            return Ok(Some(release));
        }
        newest = newest.or(Some(release));
    }
    Ok(newest)
}
