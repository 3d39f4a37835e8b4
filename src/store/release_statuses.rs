//! Release statuses.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::{StoreError, Tx};
use crate::model::ids::{AppId, PipelineId, ReleaseId, ReleaseStatusId};
use crate::model::pipeline::KnownCheck;
use crate::model::release_status::{CheckState, ReleaseStatus, StatusContext, StatusText};

/// A status of a release.
pub fn find(
    connection: &Connection,
    release: ReleaseId,
    id: ReleaseStatusId,
) -> Result<Option<ReleaseStatus>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT * FROM release_statuses WHERE id = ?1 AND release_id = ?2")?;
    Ok(statement.query_row((id, release), from_row).optional()?)
}

/// The statuses of a release, oldest first.
pub fn list(connection: &Connection, release: ReleaseId) -> Result<Vec<ReleaseStatus>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT * FROM release_statuses WHERE release_id = ?1 ORDER BY created_at, id")?;
    let rows = statement.query_map([release], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The combined state of a release's checks.
pub fn combined(connection: &Connection, release: ReleaseId) -> Result<CheckState, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT DISTINCT state FROM release_statuses WHERE release_id = ?1")?;
    let states = statement.query_map([release], |row| row.get(0))?.collect::<Result<Vec<_>, _>>()?;
    Ok(CheckState::combined(states))
}

/// The combined states of those releases of an app that have any status.
pub fn combined_of_app(
    connection: &Connection,
    app: AppId,
) -> Result<HashMap<ReleaseId, CheckState>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT DISTINCT release_id, release_statuses.state AS state FROM release_statuses
         JOIN releases ON releases.id = release_id WHERE releases.app_id = ?1",
    )?;
    let rows = statement.query_map([app], |row| Ok((row.get("release_id")?, row.get("state")?)))?;
    let mut states: HashMap<ReleaseId, CheckState> = HashMap::new();
    for row in rows {
        let (release, state) = row?;
        let known = states.entry(release).or_insert(CheckState::Success);
        *known = CheckState::combined([*known, state]);
    }
    Ok(states)
}

/// The checks that have been run on releases of a pipeline's apps, by context.
pub fn list_known(connection: &Connection, pipeline: PipelineId) -> Result<Vec<KnownCheck>, StoreError> {
    // With max(), SQLite takes the bare columns from the row that has the maximum; later ids are greater.
    let mut statement = connection.prepare_cached(
        "SELECT context, name, max(release_statuses.id) FROM release_statuses
         JOIN releases ON releases.id = release_id
         JOIN pipeline_couplings ON pipeline_couplings.app_id = releases.app_id
         WHERE pipeline_couplings.pipeline_id = ?1 GROUP BY context ORDER BY context",
    )?;
    let rows = statement.query_map([pipeline], |row| {
        Ok(KnownCheck { context: StatusContext::from_stored(row.get("context")?), name: row.get("name")? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Adds a status; [`StoreError::Exists`] when the release has one of that context.
pub fn insert(tx: &Tx<'_>, status: &ReleaseStatus) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO release_statuses
         (id, release_id, context, state, name, description, target_url, image_url, created_at, updated_at)
         VALUES (:id, :release_id, :context, :state, :name, :description, :target_url, :image_url,
                 :created_at, :updated_at)",
    )?
    .execute(named_params! {
        ":id": status.id,
        ":release_id": status.release,
        ":context": status.context.as_str(),
        ":state": status.state,
        ":name": status.text.name,
        ":description": status.text.description,
        ":target_url": status.text.target_url,
        ":image_url": status.text.image_url,
        ":created_at": status.created_at,
        ":updated_at": status.updated_at,
    })?;
    Ok(())
}

/// Stores state, texts and the time of the change.
pub fn update(tx: &Tx<'_>, status: &ReleaseStatus) -> Result<(), StoreError> {
    tx.prepare_cached(
        "UPDATE release_statuses SET state = :state, name = :name, description = :description,
         target_url = :target_url, image_url = :image_url, updated_at = :updated_at WHERE id = :id",
    )?
    .execute(named_params! {
        ":id": status.id,
        ":state": status.state,
        ":name": status.text.name,
        ":description": status.text.description,
        ":target_url": status.text.target_url,
        ":image_url": status.text.image_url,
        ":updated_at": status.updated_at,
    })?;
    Ok(())
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<ReleaseStatus> {
    Ok(ReleaseStatus {
        id: row.get("id")?,
        release: row.get("release_id")?,
        context: StatusContext::from_stored(row.get("context")?),
        state: row.get("state")?,
        text: StatusText {
            name: row.get("name")?,
            description: row.get("description")?,
            target_url: row.get("target_url")?,
            image_url: row.get("image_url")?,
        },
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    })
}
