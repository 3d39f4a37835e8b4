//! Deployments, whose progress is that of the releases they made unless an outside pipeline reports it.

use rusqlite::{Connection, Params, Row, named_params};

use super::{StoreError, Tx, releases};
use crate::model::deployment::{
    CandidateReference, Course, DeployedRelease, Deployment, DeploymentStatus, Place,
};
use crate::model::ids::{AppId, CandidateId, DeploymentId, PipelineId};
use crate::model::names::{AppKey, AppName, SpaceName};
use crate::model::pipeline::Stage;
use crate::model::release_candidate::CandidateVersion;
use crate::model::time::Timestamp;

const SELECT: &str = "SELECT deployments.*, apps.name AS app_name, spaces.name AS space_name,
        candidate.version, candidate.number, former.version AS from_version, former.number AS from_number,
        accounts.email
    FROM deployments JOIN release_candidates AS candidate ON candidate.id = deployments.candidate_id
    LEFT JOIN release_candidates AS former ON former.id = deployments.from_candidate_id
    LEFT JOIN apps ON apps.id = deployments.app_id LEFT JOIN spaces ON spaces.id = apps.space_id
    LEFT JOIN accounts ON accounts.name = deployments.created_by";

const IN_ENVIRONMENT: &str =
    "deployments.pipeline_id = ?1 AND deployments.stage IS ?2 AND deployments.app_id IS ?3";

/// The deployment of that id.
pub fn find(connection: &Connection, id: DeploymentId) -> Result<Option<Deployment>, StoreError> {
    Ok(select(connection, "deployments.id = ?1", [id])?.pop())
}

/// Deployments to an environment, newest first: at most `limit` of them behind the first `offset`.
pub fn page(
    connection: &Connection,
    pipeline: PipelineId,
    place: Place,
    offset: u64,
    limit: u32,
) -> Result<Vec<Deployment>, StoreError> {
    let rest = format!("{IN_ENVIRONMENT} ORDER BY deployments.sequence DESC LIMIT ?4 OFFSET ?5");
    let offset = i64::try_from(offset).unwrap_or(i64::MAX);
    select(connection, &rest, (pipeline, place.stage(), place.app(), limit, offset))
}

/// The newest deployment to an environment.
pub fn newest(
    connection: &Connection,
    pipeline: PipelineId,
    place: Place,
) -> Result<Option<Deployment>, StoreError> {
    Ok(page(connection, pipeline, place, 0, 1)?.pop())
}

/// The newest deployment of a candidate to an environment.
pub fn newest_of_candidate(
    connection: &Connection,
    pipeline: PipelineId,
    place: Place,
    candidate: CandidateId,
) -> Result<Option<Deployment>, StoreError> {
    let rest = format!(
        "{IN_ENVIRONMENT} AND deployments.candidate_id = ?4 ORDER BY deployments.sequence DESC LIMIT 1"
    );
    Ok(select(connection, &rest, (pipeline, place.stage(), place.app(), candidate))?.pop())
}

/// The newest deployment to an environment that succeeded.
pub fn newest_success(
    connection: &Connection,
    pipeline: PipelineId,
    place: Place,
) -> Result<Option<Deployment>, StoreError> {
    let rest = format!(
        "{IN_ENVIRONMENT} AND (deployments.reported_status = 'success' OR (deployments.reported_status IS NULL
            AND NOT EXISTS (SELECT 1 FROM deployment_releases JOIN releases ON releases.id = release_id
                WHERE deployment_id = deployments.id AND releases.status <> 'succeeded')))
         ORDER BY deployments.sequence DESC LIMIT 1"
    );
    Ok(select(connection, &rest, (pipeline, place.stage(), place.app()))?.pop())
}

/// The deployments that an app's unfinished releases belong to, oldest first.
pub fn list_unfinished_on(connection: &Connection, app: AppId) -> Result<Vec<Deployment>, StoreError> {
    let rest = "deployments.id IN (SELECT deployment_id FROM releases
            JOIN deployment_releases ON release_id = releases.id
            WHERE releases.app_id = ?1 AND releases.status IN ('queued', 'pending'))
         ORDER BY deployments.sequence";
    select(connection, rest, [app])
}

/// The deployments to an environment that an outside pipeline is at, oldest first.
pub fn list_reported_active(
    connection: &Connection,
    pipeline: PipelineId,
    place: Place,
) -> Result<Vec<Deployment>, StoreError> {
    let rest = format!(
        "{IN_ENVIRONMENT} AND deployments.reported_status IN ('pending', 'in_progress', 'canceling')
         ORDER BY deployments.sequence"
    );
    select(connection, &rest, (pipeline, place.stage(), place.app()))
}

/// Adds a deployment, whose releases exist.
pub fn insert(tx: &Tx<'_>, deployment: &Deployment) -> Result<(), StoreError> {
    let (reported_status, reported_end_at) = match &deployment.course {
        Course::Here { .. } => (None, None),
        Course::Outside { status, ended_at } => (Some(*status), *ended_at),
    };
    tx.prepare_cached(
        "INSERT INTO deployments (id, pipeline_id, stage, app_id, candidate_id, from_candidate_id,
            reported_status, reported_end_at, created_by, created_at)
         VALUES (:id, :pipeline_id, :stage, :app_id, :candidate_id, :from_candidate_id,
            :reported_status, :reported_end_at, :created_by, :created_at)",
    )?
    .execute(named_params! {
        ":id": deployment.id,
        ":pipeline_id": deployment.pipeline,
        ":stage": deployment.place.stage(),
        ":app_id": deployment.place.app(),
        ":candidate_id": deployment.candidate.id,
        ":from_candidate_id": deployment.from.as_ref().map(|from| from.id),
        ":reported_status": reported_status,
        ":reported_end_at": reported_end_at,
        ":created_by": deployment.created_by,
        ":created_at": deployment.created_at,
    })?;
    if let Course::Here { releases, .. } = &deployment.course {
        for release in releases {
            tx.prepare_cached("INSERT INTO deployment_releases (release_id, deployment_id) VALUES (?1, ?2)")?
                .execute((release.id, deployment.id))?;
        }
    }
    Ok(())
}

/// Notes that a newer deployment has taken the place of one that goes on.
pub fn mark_canceled(tx: &Tx<'_>, id: DeploymentId) -> Result<(), StoreError> {
    tx.prepare_cached("UPDATE deployments SET canceled_at = ?2 WHERE id = ?1 AND canceled_at IS NULL")?
        .execute((id, tx.now()))?;
    Ok(())
}

/// Stores what an outside pipeline reports.
pub fn set_reported(
    tx: &Tx<'_>,
    id: DeploymentId,
    status: DeploymentStatus,
    ended_at: Option<Timestamp>,
) -> Result<(), StoreError> {
    tx.prepare_cached("UPDATE deployments SET reported_status = ?2, reported_end_at = ?3 WHERE id = ?1")?
        .execute((id, status, ended_at))?;
    Ok(())
}

fn select(connection: &Connection, rest: &str, params: impl Params) -> Result<Vec<Deployment>, StoreError> {
    let mut statement = connection.prepare_cached(&format!("{SELECT} WHERE {rest}"))?;
    let rows = statement.query_map(params, from_row)?;
    let mut found: Vec<Deployment> = rows.collect::<Result<_, _>>()?;
    for deployment in &mut found {
        if let Course::Here { releases, .. } = &mut deployment.course {
            *releases = releases_of(connection, deployment.id)?;
        }
    }
    Ok(found)
}

fn releases_of(connection: &Connection, id: DeploymentId) -> Result<Vec<DeployedRelease>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT releases.id, releases.status, releases.status_at, releases.reason, apps.name, spaces.name AS space_name,
            apps.deleted_at IS NOT NULL AS app_is_deleted
         FROM deployment_releases JOIN releases ON releases.id = deployment_releases.release_id
         JOIN apps ON apps.id = releases.app_id JOIN spaces ON spaces.id = apps.space_id
         WHERE deployment_releases.deployment_id = ?1 ORDER BY releases.id",
    )?;
    let rows = statement.query_map([id], |row| {
        let (name, space): (AppName, SpaceName) = (row.get("name")?, row.get("space_name")?);
        Ok(DeployedRelease {
            id: row.get("id")?,
            app: AppKey::of(&name, &space).to_string(),
            app_is_deleted: row.get("app_is_deleted")?,
            state: releases::state_from_row(row)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Without its releases, which lie in rows of their own.
fn from_row(row: &Row<'_>) -> rusqlite::Result<Deployment> {
    let (place, environment) = place_from_row(row)?;
    let course = match row.get("reported_status")? {
        Some(status) => Course::Outside { status, ended_at: row.get("reported_end_at")? },
        None => Course::Here {
            releases: Vec::new(),
            canceled: row.get::<_, Option<Timestamp>>("canceled_at")?.is_some(),
        },
    };
    let from = row.get::<_, Option<CandidateId>>("from_candidate_id")?;
    let from = from
        .map(|id| {
            let version = CandidateVersion::from_stored(row.get("from_version")?, row.get("from_number")?);
            Ok::<_, rusqlite::Error>(CandidateReference { id, version })
        })
        .transpose()?;
    Ok(Deployment {
        id: row.get("id")?,
        pipeline: row.get("pipeline_id")?,
        place,
        environment,
        candidate: CandidateReference {
            id: row.get("candidate_id")?,
            version: CandidateVersion::from_stored(row.get("version")?, row.get("number")?),
        },
        from,
        course,
        created_by: row.get("created_by")?,
        email: row.get::<_, Option<String>>("email")?.filter(|email| !email.is_empty()),
        created_at: row.get("created_at")?,
    })
}

fn place_from_row(row: &Row<'_>) -> rusqlite::Result<(Place, String)> {
    if let Some(stage) = row.get::<_, Option<Stage>>("stage")? {
        return Ok((Place::Stage(stage), stage.to_string()));
    }
    let (name, space): (AppName, SpaceName) = (row.get("app_name")?, row.get("space_name")?);
    Ok((Place::App(row.get("app_id")?), AppKey::of(&name, &space).to_string()))
}
