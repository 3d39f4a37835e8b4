//! Organizations.

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::{StoreError, Tx};
use crate::model::ids::OrganizationId;
use crate::model::names::OrganizationName;
use crate::model::organization::Organization;

/// The live organization of that id.
pub fn find(connection: &Connection, id: OrganizationId) -> Result<Option<Organization>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT * FROM organizations WHERE id = ?1 AND deleted_at IS NULL")?;
    Ok(statement.query_row([id], from_row).optional()?)
}

/// The live organization of that name.
pub fn find_by_name(
    connection: &Connection,
    name: &OrganizationName,
) -> Result<Option<Organization>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT * FROM organizations WHERE name = ?1 AND deleted_at IS NULL")?;
    Ok(statement.query_row([name], from_row).optional()?)
}

/// Every live organization, oldest first.
pub fn list(connection: &Connection) -> Result<Vec<Organization>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT * FROM organizations WHERE deleted_at IS NULL ORDER BY created_at, id")?;
    let rows = statement.query_map([], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Adds an organization; [`StoreError::Exists`] when a live one has the name.
pub fn insert(tx: &Tx<'_>, organization: &Organization) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO organizations (id, name, description, created_at, updated_at)
         VALUES (:id, :name, :description, :created_at, :updated_at)",
    )?
    .execute(named_params! {
        ":id": organization.id,
        ":name": organization.name,
        ":description": organization.description,
        ":created_at": organization.created_at,
        ":updated_at": organization.updated_at,
    })?;
    Ok(())
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Organization> {
    Ok(Organization {
        id: row.get("id")?,
        name: row.get("name")?,
        description: row.get("description")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    })
}
