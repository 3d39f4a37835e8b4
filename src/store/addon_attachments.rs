//! Which app uses which addon, with the variables that it has from it. These are sealed.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::{StoreError, Tx};
use crate::model::addon_attachment::{self, AddonAttachment, AddonVariable, Brought};
use crate::model::config_var::{ConfigValue, ConfigVars};
use crate::model::ids::{AddonAttachmentId, AddonId, AppId};
use crate::model::names::ConfigVarName;
use crate::model::pipeline::AppReference;
use crate::seal::{SealPlace, Sealed, Sealer};

const SELECT: &str = "SELECT used.*, apps.name AS app_name, spaces.name AS space_name,
        apps.organization_id AS organization_id
    FROM addon_attachments AS used JOIN apps ON apps.id = used.app_id JOIN spaces ON spaces.id = apps.space_id";

/// The attachment of that id that was not taken away.
pub fn find(connection: &Connection, id: AddonAttachmentId) -> Result<Option<AddonAttachment>, StoreError> {
    let mut statement =
        connection.prepare_cached(&format!("{SELECT} WHERE used.id = ?1 AND used.deleted_at IS NULL"))?;
    Ok(statement.query_row([id], from_row).optional()?)
}

/// The attachment of that id, also one that was taken away.
pub fn find_any(
    connection: &Connection,
    id: AddonAttachmentId,
) -> Result<Option<AddonAttachment>, StoreError> {
    let mut statement = connection.prepare_cached(&format!("{SELECT} WHERE used.id = ?1"))?;
    Ok(statement.query_row([id], from_row).optional()?)
}

/// Every attachment to an app that the addon does not belong to, oldest first.
pub fn list_foreign(connection: &Connection) -> Result<Vec<AddonAttachment>, StoreError> {
    let mut statement = connection.prepare_cached(&format!(
        "{SELECT} WHERE used.is_owned = 0 AND used.deleted_at IS NULL ORDER BY used.created_at, used.id"
    ))?;
    let rows = statement.query_map([], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// What an app uses, its own addons among them, oldest first.
pub fn list_by_app(connection: &Connection, app: AppId) -> Result<Vec<AddonAttachment>, StoreError> {
    let mut statement = connection.prepare_cached(&format!(
        "{SELECT} WHERE used.app_id = ?1 AND used.deleted_at IS NULL ORDER BY used.created_at, used.id"
    ))?;
    let rows = statement.query_map([app], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Who uses an addon, its own app first.
pub fn list_by_addon(connection: &Connection, addon: AddonId) -> Result<Vec<AddonAttachment>, StoreError> {
    let mut statement = connection.prepare_cached(&format!(
        "{SELECT} WHERE used.addon_id = ?1 AND used.deleted_at IS NULL
         ORDER BY used.is_owned DESC, used.created_at, used.id"
    ))?;
    let rows = statement.query_map([addon], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// What an app has of its addons under the names that their providers gave; opened, oldest attachment first.
pub fn list_brought(
    connection: &Connection,
    sealer: &Sealer,
    app: AppId,
) -> Result<Vec<Brought>, StoreError> {
    let mut statement = connection.prepare_cached(&format!(
        "{SELECT} WHERE used.app_id = ?1 AND used.deleted_at IS NULL AND used.variables IS NOT NULL
         ORDER BY used.created_at, used.id"
    ))?;
    let rows = statement.query_map([app], |row| Ok((from_row(row)?, row.get("variables")?)))?;
    let mut brought = Vec::new();
    for row in rows {
        let (attachment, sealed): (AddonAttachment, Sealed) = row?;
        brought.push(Brought { variables: open(sealer, attachment.id, &sealed)?, attachment });
    }
    Ok(brought)
}

/// The variables that an app has because of its addons, under the names by which it knows them.
pub fn variables(
    connection: &Connection,
    sealer: &Sealer,
    app: AppId,
) -> Result<BTreeMap<ConfigVarName, AddonVariable>, StoreError> {
    Ok(addon_attachment::variables(&list_brought(connection, sealer, app)?))
}

/// Adds an attachment; [`StoreError::Exists`] when the app has one of the name, with the prefix or to the addon.
pub fn insert(tx: &Tx<'_>, attachment: &AddonAttachment) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO addon_attachments (id, addon_id, app_id, service_id, name, prefix, is_owned, is_primary, state,
            reason, created_at, updated_at)
         VALUES (:id, :addon_id, :app_id, :service_id, :name, :prefix, :is_owned, :is_primary, :state,
            :reason, :created_at, :updated_at)",
    )?
    .execute(named_params! {
        ":id": attachment.id,
        ":addon_id": attachment.addon,
        ":app_id": attachment.app.id,
        ":service_id": attachment.service,
        ":name": attachment.name,
        ":prefix": attachment.prefix,
        ":is_owned": attachment.is_owned,
        ":is_primary": attachment.is_primary,
        ":state": attachment.state,
        ":reason": attachment.reason,
        ":created_at": attachment.created_at,
        ":updated_at": attachment.updated_at,
    })?;
    Ok(())
}

/// Stores name, prefix, whether it is the primary one, state and reason.
pub fn update(tx: &Tx<'_>, attachment: &AddonAttachment) -> Result<(), StoreError> {
    tx.prepare_cached(
        "UPDATE addon_attachments SET name = :name, prefix = :prefix, is_primary = :is_primary, state = :state,
            reason = :reason, updated_at = :now
         WHERE id = :id",
    )?
    .execute(named_params! {
        ":id": attachment.id,
        ":name": attachment.name,
        ":prefix": attachment.prefix,
        ":is_primary": attachment.is_primary,
        ":state": attachment.state,
        ":reason": attachment.reason,
        ":now": tx.now(),
    })?;
    Ok(())
}

/// Stores the variables that the provider gave.
pub fn set_variables(
    tx: &Tx<'_>,
    sealer: &Sealer,
    id: AddonAttachmentId,
    variables: &ConfigVars,
) -> Result<(), StoreError> {
    let texts: BTreeMap<&str, &str> =
        variables.iter().map(|(name, value)| (name.as_str(), value.reveal())).collect();
    let json = serde_json::to_string(&texts).map_err(|error| StoreError::Content(error.to_string()))?;
    let sealed = sealer.seal(place(&id.to_string()), &json)?;
    tx.prepare_cached("UPDATE addon_attachments SET variables = ?2, updated_at = ?3 WHERE id = ?1")?
        .execute((id, sealed, tx.now()))?;
    Ok(())
}

/// Takes an attachment away; its name is free again, and its variables are gone.
pub fn mark_deleted(tx: &Tx<'_>, id: AddonAttachmentId) -> Result<(), StoreError> {
    tx.prepare_cached(
        "UPDATE addon_attachments SET deleted_at = ?2, updated_at = ?2, variables = NULL, is_primary = 0
         WHERE id = ?1 AND deleted_at IS NULL",
    )?
    .execute((id, tx.now()))?;
    Ok(())
}

fn open(sealer: &Sealer, id: AddonAttachmentId, sealed: &Sealed) -> Result<ConfigVars, StoreError> {
    let json = sealer.open_text(place(&id.to_string()), sealed)?;
    let texts: BTreeMap<String, String> =
        serde_json::from_str(&json).map_err(|error| StoreError::Content(error.to_string()))?;
    let var = |(name, value)| (ConfigVarName::from_stored(name), ConfigValue::from_stored(value));
    Ok(texts.into_iter().map(var).collect())
}

fn place(row: &str) -> SealPlace<'_> {
    SealPlace { table: "addon_attachments", row, column: "variables" }
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<AddonAttachment> {
    Ok(AddonAttachment {
        id: row.get("id")?,
        addon: row.get("addon_id")?,
        service: row.get("service_id")?,
        app: AppReference {
            id: row.get("app_id")?,
            name: row.get("app_name")?,
            space: row.get("space_name")?,
            organization: row.get("organization_id")?,
        },
        name: row.get("name")?,
        prefix: row.get("prefix")?,
        is_owned: row.get("is_owned")?,
        is_primary: row.get("is_primary")?,
        state: row.get("state")?,
        reason: row.get("reason")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    })
}
