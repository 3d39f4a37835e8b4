//! Spaces.

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::{StoreError, Tx};
use crate::model::compliance::Compliance;
use crate::model::ids::SpaceId;
use crate::model::names::SpaceName;
use crate::model::space::Space;

/// The live space of that id.
pub fn find(connection: &Connection, id: SpaceId) -> Result<Option<Space>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT * FROM spaces WHERE id = ?1 AND deleted_at IS NULL")?;
    Ok(statement.query_row([id], from_row).optional()?)
}

/// The live space of that name.
pub fn find_by_name(connection: &Connection, name: &SpaceName) -> Result<Option<Space>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT * FROM spaces WHERE name = ?1 AND deleted_at IS NULL")?;
    Ok(statement.query_row([name], from_row).optional()?)
}

/// Every live space, oldest first, with the number of its live apps.
pub fn list(connection: &Connection) -> Result<Vec<(Space, u32)>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT *, (SELECT count(*) FROM apps WHERE apps.space_id = spaces.id AND apps.deleted_at IS NULL) AS apps
         FROM spaces WHERE deleted_at IS NULL ORDER BY created_at, id",
    )?;
    let rows = statement.query_map([], |row| Ok((from_row(row)?, row.get("apps")?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The number of live apps in a space.
pub fn count_apps(connection: &Connection, id: SpaceId) -> Result<u32, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT count(*) FROM apps WHERE space_id = ?1 AND deleted_at IS NULL")?;
    Ok(statement.query_row([id], |row| row.get(0))?)
}

/// Adds a space; [`StoreError::Exists`] when a live one has the name.
pub fn insert(tx: &Tx<'_>, space: &Space) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO spaces (id, name, description, compliance, stack, created_at, updated_at)
         VALUES (:id, :name, :description, :compliance, :stack, :created_at, :updated_at)",
    )?
    .execute(named_params! {
        ":id": space.id,
        ":name": space.name,
        ":description": space.description,
        ":compliance": space.compliance.to_stored(),
        ":stack": space.stack,
        ":created_at": space.created_at,
        ":updated_at": space.updated_at,
    })?;
    Ok(())
}

/// Stores description, compliance and the time of the change.
pub fn update(tx: &Tx<'_>, space: &Space) -> Result<(), StoreError> {
    tx.prepare_cached(
        "UPDATE spaces SET description = ?2, compliance = ?3, updated_at = ?4 WHERE id = ?1 AND deleted_at IS NULL",
    )?
    .execute((space.id, &space.description, space.compliance.to_stored(), space.updated_at))?;
    Ok(())
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Space> {
    Ok(Space {
        id: row.get("id")?,
        name: row.get("name")?,
        description: row.get("description")?,
        compliance: Compliance::from_stored(&row.get::<_, String>("compliance")?),
        stack: row.get("stack")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    })
}
