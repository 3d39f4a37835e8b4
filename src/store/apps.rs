//! Apps, read together with the space and the organization they belong to.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::{StoreError, Tx, formation_periods};
use crate::model::app::{App, AppOrganization, AppSpace};
use crate::model::build::ImageId;
use crate::model::compliance::Compliance;
use crate::model::ids::AppId;
use crate::model::names::{AppName, SpaceName};
use crate::model::time::Timestamp;

/// What [`from_row`] reads, by position: finding a column by its name costs more than reading it.
pub(super) const SELECT: &str = "SELECT apps.id, apps.name, apps.space_id, spaces.name AS space_name,
        spaces.compliance AS space_compliance, spaces.stack AS space_stack, apps.organization_id,
        organizations.name AS organization_name, apps.description, apps.labels, apps.maintenance,
        apps.created_at, apps.updated_at, apps.released_at, apps.preview_id
    FROM apps JOIN spaces ON spaces.id = apps.space_id JOIN organizations ON organizations.id = apps.organization_id";

/// The live app of that id.
pub fn find(connection: &Connection, id: AppId) -> Result<Option<App>, StoreError> {
    let mut statement =
        connection.prepare_cached(&format!("{SELECT} WHERE apps.id = ?1 AND apps.deleted_at IS NULL"))?;
    Ok(statement.query_row([id], from_row).optional()?)
}

/// The app of that id, also a deleted one: what it built and released is still asked for.
pub fn find_any(connection: &Connection, id: AppId) -> Result<Option<App>, StoreError> {
    let mut statement = connection.prepare_cached(&format!("{SELECT} WHERE apps.id = ?1"))?;
    Ok(statement.query_row([id], from_row).optional()?)
}

/// The live app of that name in that space.
pub fn find_by_key(
    connection: &Connection,
    name: &AppName,
    space: &SpaceName,
) -> Result<Option<App>, StoreError> {
    let mut statement = connection.prepare_cached(&format!(
        "{SELECT} WHERE apps.name = ?1 AND spaces.name = ?2 AND apps.deleted_at IS NULL AND spaces.deleted_at IS NULL"
    ))?;
    Ok(statement.query_row((name, space), from_row).optional()?)
}

/// The live apps of that short name, in any space, oldest first.
pub fn list_by_name(connection: &Connection, name: &AppName) -> Result<Vec<App>, StoreError> {
    let mut statement = connection.prepare_cached(&format!(
        "{SELECT} WHERE apps.name = ?1 AND apps.deleted_at IS NULL ORDER BY apps.created_at, apps.id"
    ))?;
    let rows = statement.query_map([name], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Every live app, oldest first.
pub fn list(connection: &Connection) -> Result<Vec<App>, StoreError> {
    let mut statement = connection.prepare_cached(&format!(
        "{SELECT} WHERE apps.deleted_at IS NULL ORDER BY apps.created_at, apps.id"
    ))?;
    let rows = statement.query_map([], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The image of the current release (the newest that succeeded) of an app.
pub fn current_image(connection: &Connection, id: AppId) -> Result<Option<ImageId>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT builds.image FROM releases JOIN builds ON builds.id = releases.slug AND builds.image IS NOT NULL
         WHERE releases.app_id = ?1 AND releases.status = 'succeeded' ORDER BY releases.version DESC LIMIT 1",
    )?;
    Ok(statement.query_row([id], |row| row.get(0)).optional()?.flatten())
}

/// The images of the current releases of all live apps that have one.
pub fn current_images(connection: &Connection) -> Result<HashMap<AppId, ImageId>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT apps.id,
            (SELECT builds.image FROM releases JOIN builds ON builds.id = releases.slug AND builds.image IS NOT NULL
             WHERE releases.app_id = apps.id AND releases.status = 'succeeded'
             ORDER BY releases.version DESC LIMIT 1)
         FROM apps WHERE apps.deleted_at IS NULL",
    )?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, Option<ImageId>>(1)?)))?;
    let found = rows.filter_map(|row| row.map(|(app, image)| Some((app, image?))).transpose());
    Ok(found.collect::<Result<_, _>>()?)
}

/// Adds an app; [`StoreError::Exists`] when a live one has the name in the space.
pub fn insert(tx: &Tx<'_>, app: &App) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO apps (id, name, space_id, organization_id, preview_id, description, labels, maintenance, created_at,
            updated_at)
         VALUES (:id, :name, :space_id, :organization_id, :preview_id, :description, :labels, :maintenance, :created_at,
            :updated_at)",
    )?
    .execute(named_params! {
        ":id": app.id,
        ":name": app.name,
        ":space_id": app.space.id,
        ":organization_id": app.organization.id,
        ":preview_id": app.preview,
        ":description": app.description,
        ":labels": app.labels,
        ":maintenance": app.maintenance,
        ":created_at": app.created_at,
        ":updated_at": app.updated_at,
    })?;
    Ok(())
}

/// Stores description, labels, maintenance and the time of the change.
pub fn update(tx: &Tx<'_>, app: &App) -> Result<(), StoreError> {
    tx.prepare_cached(
        "UPDATE apps SET description = ?2, labels = ?3, maintenance = ?4, updated_at = ?5
         WHERE id = ?1 AND deleted_at IS NULL",
    )?
    .execute((app.id, &app.description, &app.labels, app.maintenance, app.updated_at))?;
    Ok(())
}

/// Stores when the app's last release succeeded.
pub fn set_released(tx: &Tx<'_>, id: AppId, at: Timestamp) -> Result<(), StoreError> {
    tx.prepare_cached("UPDATE apps SET released_at = ?2 WHERE id = ?1")?.execute((id, at))?;
    Ok(())
}

/// Hides the app from every reader at once; its containers and images are removed later.
pub fn mark_deleted(tx: &Tx<'_>, id: AppId) -> Result<(), StoreError> {
    tx.prepare_cached(
        "UPDATE apps SET deleted_at = ?2, updated_at = ?2 WHERE id = ?1 AND deleted_at IS NULL",
    )?
    .execute((id, tx.now()))?;
    formation_periods::end_of_app(tx, id)
}

/// The deleted apps whose containers and images are not known to be gone.
pub fn list_unpurged(connection: &Connection) -> Result<Vec<AppId>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT id FROM apps WHERE deleted_at IS NOT NULL AND purged_at IS NULL ORDER BY deleted_at",
    )?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Whether the app was deleted.
pub fn is_deleted(connection: &Connection, id: AppId) -> Result<bool, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM apps WHERE id = ?1 AND deleted_at IS NOT NULL)")?;
    Ok(statement.query_row([id], |row| row.get(0))?)
}

/// Notes that nothing of a deleted app is left in the engine, and forgets its config vars and their notes, its
/// dynos, favorites and recommendations.
pub fn mark_purged(tx: &Tx<'_>, id: AppId) -> Result<(), StoreError> {
    tx.execute("UPDATE apps SET purged_at = ?2 WHERE id = ?1", (id, tx.now()))?;
    tx.execute("DELETE FROM config_vars WHERE app_id = ?1", [id])?;
    tx.execute("DELETE FROM config_var_notes WHERE app_id = ?1", [id])?;
    tx.execute("DELETE FROM dynos WHERE app_id = ?1", [id])?;
    tx.execute("DELETE FROM favorites WHERE app_id = ?1", [id])?;
    tx.execute("DELETE FROM recommendations WHERE app_id = ?1", [id])?;
    Ok(())
}

pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<App> {
    Ok(App {
        id: row.get(0)?,
        name: row.get(1)?,
        space: AppSpace {
            id: row.get(2)?,
            name: row.get(3)?,
            compliance: Compliance::from_stored(&row.get::<_, String>(4)?),
            stack: row.get(5)?,
        },
        organization: AppOrganization { id: row.get(6)?, name: row.get(7)? },
        preview: row.get(14)?,
        description: row.get(8)?,
        labels: row.get(9)?,
        maintenance: row.get(10)?,
        created_at: row.get(11)?,
        updated_at: row.get(12)?,
        released_at: row.get(13)?,
    })
}
