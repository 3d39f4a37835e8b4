//! What outside pipelines report about deployments that they carry out themselves. Nothing is released here.

use super::deployments::{self, Target};
use super::{Error, environments, release_candidates, release_projects};
use crate::ids::Ids;
use crate::model::deployment::{CandidateReference, Course, Deployment, DeploymentStatus, Environment};
use crate::model::event::Event;
use crate::model::ids::DeploymentId;
use crate::model::principal::Principal;
use crate::model::release_candidate::ReleaseCandidate;
use crate::store::{self, Store, Tx};

/// A report as the client wrote it.
#[derive(Debug, Clone)]
pub struct Report {
    pub target: Target,
    /// The candidate's version.
    pub version: String,
    pub status: DeploymentStatus,
}

/// Notes the status of the deployment of a candidate to an environment, which is made when there is none. What is
/// over does not begin again: that is another deployment.
pub async fn create(
    store: &Store,
    ids: &Ids,
    author: &Principal,
    report: Report,
) -> Result<Deployment, Error> {
    let (id, reach, status) = (DeploymentId::new(ids.next()), author.reach.clone(), report.status);
    store
        .write(author, move |tx| {
            let project = release_projects::resolve(tx, &report.target.project)?;
            let environment = environments::resolve(tx, &reach, &project, &report.target.environment)?;
            let candidate = release_candidates::resolve(tx, &reach, &project, &report.version)?;
            let existing =
                store::deployments::newest_of_candidate(tx, project.id, environment.place, candidate.id)?;
            let Some(existing) = existing else { return begin(tx, id, &environment, &candidate, status) };
            let present = existing.progress();
            if !present.status.is_active() && status.is_active() {
                check_not_overtaken(tx, &environment, &existing)?;
                return begin(tx, id, &environment, &candidate, status);
            }
            if present.status == status {
                return Ok(existing);
            }
            if matches!(existing.course, Course::Here { .. }) {
                return Err(Error::Conflict(format!(
                    "The deployment of {} to {} is made here and its releases say that it is {}; it cannot be reported as {status}.",
                    candidate.version, environment.name, present.status
                )));
            }
            store::deployments::set_reported(tx, existing.id, status, end(tx, status))?;
            record(tx, &environment, existing.id, status)?;
            deployments::still(tx, existing.id)
        })
        .await
}

fn begin(
    tx: &mut Tx<'_>,
    id: DeploymentId,
    environment: &Environment,
    candidate: &ReleaseCandidate,
    status: DeploymentStatus,
) -> Result<Deployment, Error> {
    let from = environments::running(tx, environment)?;
    if status.is_active() {
        deployments::cancel_active(tx, environment)?;
    }
    let deployment = Deployment {
        id,
        pipeline: environment.pipeline,
        place: environment.place,
        environment: environment.name.clone(),
        candidate: CandidateReference { id: candidate.id, version: candidate.version.clone() },
        from,
        course: Course::Outside { status, ended_at: end(tx, status) },
        created_by: tx.author().clone(),
        email: None,
        created_at: tx.now(),
    };
    store::deployments::insert(tx, &deployment)?;
    tx.record(Event::DeploymentCreated { pipeline: environment.pipeline, deployment: id })?;
    record(tx, environment, id, status)?;
    deployments::still(tx, id)
}

/// A pipeline whose deployment was canceled for a newer one that still goes on does not take the environment back.
fn check_not_overtaken(tx: &Tx<'_>, environment: &Environment, existing: &Deployment) -> Result<(), Error> {
    let newest = store::deployments::newest(tx, environment.pipeline, environment.place)?;
    let overtaken = newest.filter(|newest| newest.id != existing.id && newest.progress().status.is_active());
    match overtaken {
        Some(newest) if existing.progress().status == DeploymentStatus::Canceled => {
            Err(Error::Conflict(format!(
                "The deployment of {} to {} was canceled, because one of {} was begun.",
                existing.candidate.version, environment.name, newest.candidate.version
            )))
        }
        Some(_) | None => Ok(()),
    }
}

fn end(tx: &Tx<'_>, status: DeploymentStatus) -> Option<crate::model::time::Timestamp> {
    (!status.is_active()).then(|| tx.now())
}

fn record(
    tx: &mut Tx<'_>,
    environment: &Environment,
    deployment: DeploymentId,
    status: DeploymentStatus,
) -> Result<(), Error> {
    let pipeline = environment.pipeline;
    Ok(tx.record(Event::DeploymentReported { pipeline, deployment, status })?)
}
