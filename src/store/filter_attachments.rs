//! Which filters are in force for which apps, read together with both.

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::filters::StoredFilter;
use super::{StoreError, Tx};
use crate::model::filter::{FilterAttachment, PathScope};
use crate::model::ids::{AppId, FilterAttachmentId, FilterId};
use crate::model::pipeline::AppReference;
use crate::model::time::Timestamp;
use crate::seal::Sealer;

const SELECT: &str = "SELECT filters.*, organizations.name AS organization_name,
        attached.id AS attachment_id, attached.app_id, attached.scope, attached.created_at AS attached_at,
        attached.updated_at AS attachment_updated_at, apps.name AS app_name, spaces.name AS space_name,
        apps.organization_id AS app_organization_id
    FROM filter_attachments AS attached JOIN filters ON filters.id = attached.filter_id
    JOIN organizations ON organizations.id = filters.organization_id
    JOIN apps ON apps.id = attached.app_id JOIN spaces ON spaces.id = apps.space_id";

/// A row whose filter is still closed.
struct StoredAttachment {
    id: FilterAttachmentId,
    app: AppReference,
    filter: StoredFilter,
    scope: PathScope,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// The attachment of that id.
pub fn find(
    connection: &Connection,
    sealer: &Sealer,
    id: FilterAttachmentId,
) -> Result<Option<FilterAttachment>, StoreError> {
    let mut statement = connection.prepare_cached(&format!("{SELECT} WHERE attached.id = ?1"))?;
    let row = statement.query_row([id], StoredAttachment::from_row).optional()?;
    row.map(|row| row.open(sealer)).transpose()
}

/// What is attached to an app, oldest first.
pub fn list_by_app(
    connection: &Connection,
    sealer: &Sealer,
    app: AppId,
) -> Result<Vec<FilterAttachment>, StoreError> {
    let mut statement = connection.prepare_cached(&format!(
        "{SELECT} WHERE attached.app_id = ?1 ORDER BY attached.created_at, attached.id"
    ))?;
    let rows = statement.query_map([app], StoredAttachment::from_row)?;
    rows.map(|row| row?.open(sealer)).collect()
}

/// The apps that have a filter attached, in the order of their attachments.
pub fn list_apps(connection: &Connection, filter: FilterId) -> Result<Vec<AppReference>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT apps.id AS app_id, apps.name AS app_name, spaces.name AS space_name,
            apps.organization_id AS app_organization_id
         FROM filter_attachments AS attached JOIN apps ON apps.id = attached.app_id
         JOIN spaces ON spaces.id = apps.space_id
         WHERE attached.filter_id = ?1 ORDER BY attached.created_at, attached.id",
    )?;
    let rows = statement.query_map([filter], app_from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Adds an attachment; [`StoreError::Exists`] when the app has a filter of the type.
pub fn insert(tx: &Tx<'_>, attachment: &FilterAttachment) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO filter_attachments (id, app_id, filter_id, type, scope, created_at, updated_at)
         VALUES (:id, :app_id, :filter_id, :type, :scope, :created_at, :updated_at)",
    )?
    .execute(named_params! {
        ":id": attachment.id,
        ":app_id": attachment.app.id,
        ":filter_id": attachment.filter.id,
        ":type": attachment.filter.options.filter_type(),
        ":scope": attachment.scope,
        ":created_at": attachment.created_at,
        ":updated_at": attachment.updated_at,
    })?;
    Ok(())
}

/// Stores for which paths the filter is in force, and the time of the change.
pub fn update(tx: &Tx<'_>, attachment: &FilterAttachment) -> Result<(), StoreError> {
    tx.prepare_cached("UPDATE filter_attachments SET scope = ?2, updated_at = ?3 WHERE id = ?1")?
        .execute((attachment.id, &attachment.scope, attachment.updated_at))?;
    Ok(())
}

/// Removes an attachment.
pub fn delete(tx: &Tx<'_>, id: FilterAttachmentId) -> Result<(), StoreError> {
    tx.prepare_cached("DELETE FROM filter_attachments WHERE id = ?1")?.execute([id])?;
    Ok(())
}

/// Removes what is attached to an app that is being deleted.
pub fn delete_of_app(tx: &Tx<'_>, app: AppId) -> Result<(), StoreError> {
    tx.prepare_cached("DELETE FROM filter_attachments WHERE app_id = ?1")?.execute([app])?;
    Ok(())
}

fn app_from_row(row: &Row<'_>) -> rusqlite::Result<AppReference> {
    Ok(AppReference {
        id: row.get("app_id")?,
        name: row.get("app_name")?,
        space: row.get("space_name")?,
        organization: row.get("app_organization_id")?,
    })
}

impl StoredAttachment {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get("attachment_id")?,
            app: app_from_row(row)?,
            filter: StoredFilter::from_row(row)?,
            scope: row.get("scope")?,
            created_at: row.get("attached_at")?,
            updated_at: row.get("attachment_updated_at")?,
        })
    }

    fn open(self, sealer: &Sealer) -> Result<FilterAttachment, StoreError> {
        Ok(FilterAttachment {
            id: self.id,
            app: self.app,
            filter: self.filter.open(sealer)?,
            scope: self.scope,
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}
