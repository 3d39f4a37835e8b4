//! Couplings of apps to pipelines, read together with what runs in them.

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::{StoreError, Tx};
use crate::model::ids::{AppId, CouplingId, PipelineId};
use crate::model::pipeline::{
    AppReference, CoupledBuild, CoupledRelease, Coupling, PipelineReference, RequiredChecks,
};

const SELECT: &str = "SELECT pipeline_couplings.*, pipelines.name AS pipeline_name,
        apps.name AS app_name, apps.organization_id, spaces.name AS space_name,
        releases.id AS release_id, releases.version AS release_version, releases.updated_at AS release_updated_at,
        builds.id AS build_id, builds.updated_at AS build_updated_at, builds.repo, builds.branch, builds.sha,
        builds.message, builds.author
    FROM pipeline_couplings JOIN pipelines ON pipelines.id = pipeline_couplings.pipeline_id
    JOIN apps ON apps.id = pipeline_couplings.app_id JOIN spaces ON spaces.id = apps.space_id
    LEFT JOIN releases ON releases.app_id = apps.id AND releases.version =
        (SELECT max(version) FROM releases WHERE app_id = apps.id AND status = 'succeeded')
    LEFT JOIN builds ON builds.id = releases.slug";

/// The coupling of that id.
pub fn find(connection: &Connection, id: CouplingId) -> Result<Option<Coupling>, StoreError> {
    let mut statement = connection.prepare_cached(&format!("{SELECT} WHERE pipeline_couplings.id = ?1"))?;
    Ok(statement.query_row([id], from_row).optional()?)
}

/// The one coupling of an app.
pub fn find_by_app(connection: &Connection, app: AppId) -> Result<Option<Coupling>, StoreError> {
    let mut statement =
        connection.prepare_cached(&format!("{SELECT} WHERE pipeline_couplings.app_id = ?1"))?;
    Ok(statement.query_row([app], from_row).optional()?)
}

/// Every coupling, oldest first.
pub fn list(connection: &Connection) -> Result<Vec<Coupling>, StoreError> {
    let mut statement = connection
        .prepare_cached(&format!("{SELECT} ORDER BY pipeline_couplings.created_at, pipeline_couplings.id"))?;
    let rows = statement.query_map([], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The couplings of a pipeline, oldest first.
pub fn list_by_pipeline(connection: &Connection, pipeline: PipelineId) -> Result<Vec<Coupling>, StoreError> {
    let mut statement = connection.prepare_cached(&format!(
        "{SELECT} WHERE pipeline_couplings.pipeline_id = ?1
         ORDER BY pipeline_couplings.created_at, pipeline_couplings.id"
    ))?;
    let rows = statement.query_map([pipeline], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Adds a coupling; [`StoreError::Exists`] when the app has one.
pub fn insert(tx: &Tx<'_>, coupling: &Coupling) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO pipeline_couplings (id, pipeline_id, app_id, stage, required_checks, created_at, updated_at)
         VALUES (:id, :pipeline_id, :app_id, :stage, :required_checks, :created_at, :updated_at)",
    )?
    .execute(named_params! {
        ":id": coupling.id,
        ":pipeline_id": coupling.pipeline.id,
        ":app_id": coupling.app.id,
        ":stage": coupling.stage,
        ":required_checks": coupling.required_checks.to_stored(),
        ":created_at": coupling.created_at,
        ":updated_at": coupling.updated_at,
    })?;
    Ok(())
}

/// Stores the required checks and the time of the change.
pub fn update(tx: &Tx<'_>, coupling: &Coupling) -> Result<(), StoreError> {
    tx.prepare_cached("UPDATE pipeline_couplings SET required_checks = ?2, updated_at = ?3 WHERE id = ?1")?
        .execute((coupling.id, coupling.required_checks.to_stored(), coupling.updated_at))?;
    Ok(())
}

/// Removes a coupling.
pub fn delete(tx: &Tx<'_>, id: CouplingId) -> Result<(), StoreError> {
    tx.prepare_cached("DELETE FROM pipeline_couplings WHERE id = ?1")?.execute([id])?;
    Ok(())
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Coupling> {
    Ok(Coupling {
        id: row.get("id")?,
        pipeline: PipelineReference { id: row.get("pipeline_id")?, name: row.get("pipeline_name")? },
        app: AppReference {
            id: row.get("app_id")?,
            name: row.get("app_name")?,
            space: row.get("space_name")?,
            organization: row.get("organization_id")?,
        },
        stage: row.get("stage")?,
        required_checks: RequiredChecks::from_stored(&row.get::<_, String>("required_checks")?),
        release: release_from_row(row)?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    })
}

fn release_from_row(row: &Row<'_>) -> rusqlite::Result<Option<CoupledRelease>> {
    let Some(id) = row.get("release_id")? else { return Ok(None) };
    Ok(Some(CoupledRelease {
        id,
        version: row.get("release_version")?,
        updated_at: row.get("release_updated_at")?,
        build: CoupledBuild {
            id: row.get("build_id")?,
            updated_at: row.get("build_updated_at")?,
            repo: row.get("repo")?,
            branch: row.get("branch")?,
            sha: row.get("sha")?,
            message: row.get("message")?,
            author: row.get("author")?,
        },
    }))
}
