//! Pipelines.

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::{StoreError, Tx};
use crate::model::ids::PipelineId;
use crate::model::names::PipelineName;
use crate::model::pipeline::Pipeline;

/// The live pipeline of that id.
pub fn find(connection: &Connection, id: PipelineId) -> Result<Option<Pipeline>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT * FROM pipelines WHERE id = ?1 AND deleted_at IS NULL")?;
    Ok(statement.query_row([id], from_row).optional()?)
}

/// The live pipeline of that name.
pub fn find_by_name(connection: &Connection, name: &PipelineName) -> Result<Option<Pipeline>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT * FROM pipelines WHERE name = ?1 AND deleted_at IS NULL")?;
    Ok(statement.query_row([name], from_row).optional()?)
}

/// Every live pipeline, oldest first.
pub fn list(connection: &Connection) -> Result<Vec<Pipeline>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT * FROM pipelines WHERE deleted_at IS NULL ORDER BY created_at, id")?;
    let rows = statement.query_map([], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Adds a pipeline; [`StoreError::Exists`] when a live one has the name.
pub fn insert(tx: &Tx<'_>, pipeline: &Pipeline) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO pipelines (id, name, description, created_at, updated_at)
         VALUES (:id, :name, :description, :created_at, :updated_at)",
    )?
    .execute(named_params! {
        ":id": pipeline.id,
        ":name": pipeline.name,
        ":description": pipeline.description,
        ":created_at": pipeline.created_at,
        ":updated_at": pipeline.updated_at,
    })?;
    Ok(())
}

/// Notes that one of its couplings changed.
pub fn touch(tx: &Tx<'_>, id: PipelineId) -> Result<(), StoreError> {
    tx.prepare_cached("UPDATE pipelines SET updated_at = ?2 WHERE id = ?1")?.execute((id, tx.now()))?;
    Ok(())
}

/// Hides a pipeline; its promotions stay.
pub fn mark_deleted(tx: &Tx<'_>, id: PipelineId) -> Result<(), StoreError> {
    tx.prepare_cached("UPDATE pipelines SET deleted_at = ?2 WHERE id = ?1 AND deleted_at IS NULL")?
        .execute((id, tx.now()))?;
    Ok(())
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Pipeline> {
    Ok(Pipeline {
        id: row.get("id")?,
        name: row.get("name")?,
        description: row.get("description")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    })
}
