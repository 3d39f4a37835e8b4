//! The environments to which nothing is deployed for now.

use rusqlite::{Connection, OptionalExtension};

use super::{StoreError, Tx};
use crate::model::deployment::Place;
use crate::model::ids::PipelineId;

/// Whether an environment itself was frozen.
pub fn contains(connection: &Connection, pipeline: PipelineId, place: Place) -> Result<bool, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT 1 FROM frozen_environments WHERE pipeline_id = ?1 AND stage IS ?2 AND app_id IS ?3",
    )?;
    let found = statement.query_row((pipeline, place.stage(), place.app()), |_| Ok(()));
    Ok(found.optional()?.is_some())
}

/// Freezes an environment that is not frozen.
pub fn insert(tx: &Tx<'_>, pipeline: PipelineId, place: Place) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO frozen_environments (pipeline_id, stage, app_id, frozen_by, frozen_at)
         VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute((pipeline, place.stage(), place.app(), tx.author(), tx.now()))?;
    Ok(())
}

/// Thaws an environment.
pub fn delete(tx: &Tx<'_>, pipeline: PipelineId, place: Place) -> Result<(), StoreError> {
    tx.prepare_cached(
        "DELETE FROM frozen_environments WHERE pipeline_id = ?1 AND stage IS ?2 AND app_id IS ?3",
    )?
    .execute((pipeline, place.stage(), place.app()))?;
    Ok(())
}
