//! Plugins.

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::{StoreError, Tx};
use crate::model::ids::PluginId;
use crate::model::names::PluginName;
use crate::model::plugin::{Plugin, PluginOwner, PluginRepo};

/// The published plugin of that id.
pub fn find(connection: &Connection, id: PluginId) -> Result<Option<Plugin>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT * FROM plugins WHERE id = ?1 AND deleted_at IS NULL")?;
    Ok(statement.query_row([id], from_row).optional()?)
}

/// The published plugin of that name.
pub fn find_by_name(connection: &Connection, name: &PluginName) -> Result<Option<Plugin>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT * FROM plugins WHERE name = ?1 AND deleted_at IS NULL")?;
    Ok(statement.query_row([name], from_row).optional()?)
}

/// Every published plugin, oldest first.
pub fn list(connection: &Connection) -> Result<Vec<Plugin>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT * FROM plugins WHERE deleted_at IS NULL ORDER BY created_at, id")?;
    let rows = statement.query_map([], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Adds a plugin; [`StoreError::Exists`] when a published one has the name.
pub fn insert(tx: &Tx<'_>, plugin: &Plugin) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO plugins (id, name, repo, owner_name, owner_email, description, created_at, updated_at)
         VALUES (:id, :name, :repo, :owner_name, :owner_email, :description, :created_at, :updated_at)",
    )?
    .execute(named_params! {
        ":id": plugin.id,
        ":name": plugin.name,
        ":repo": plugin.repo.as_str(),
        ":owner_name": plugin.owner.name,
        ":owner_email": plugin.owner.email,
        ":description": plugin.description,
        ":created_at": plugin.created_at,
        ":updated_at": plugin.updated_at,
    })?;
    Ok(())
}

/// Stores repo, owner, description and the time of the change.
pub fn update(tx: &Tx<'_>, plugin: &Plugin) -> Result<(), StoreError> {
    tx.prepare_cached(
        "UPDATE plugins SET repo = :repo, owner_name = :owner_name, owner_email = :owner_email,
            description = :description, updated_at = :updated_at
         WHERE id = :id AND deleted_at IS NULL",
    )?
    .execute(named_params! {
        ":id": plugin.id,
        ":repo": plugin.repo.as_str(),
        ":owner_name": plugin.owner.name,
        ":owner_email": plugin.owner.email,
        ":description": plugin.description,
        ":updated_at": plugin.updated_at,
    })?;
    Ok(())
}

/// Takes a plugin from the registry; its name is free again.
pub fn mark_deleted(tx: &Tx<'_>, id: PluginId) -> Result<(), StoreError> {
    tx.prepare_cached("UPDATE plugins SET deleted_at = ?2 WHERE id = ?1 AND deleted_at IS NULL")?
        .execute((id, tx.now()))?;
    Ok(())
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Plugin> {
    Ok(Plugin {
        id: row.get("id")?,
        name: row.get("name")?,
        repo: PluginRepo::from_stored(row.get("repo")?),
        owner: PluginOwner { name: row.get("owner_name")?, email: row.get("owner_email")? },
        description: row.get("description")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    })
}
