//! Previews, read together with their apps; those of deleted apps are never seen.

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::{StoreError, Tx};
use crate::model::ids::{AppId, PreviewId};
use crate::model::pipeline::AppReference;
use crate::model::preview::Preview;
use crate::model::repository_url::BranchName;
use crate::model::time::Timestamp;

const SELECT: &str = "SELECT previews.*,
        apps.id AS app_id, apps.name AS app_name, spaces.name AS app_space,
        apps.organization_id AS app_organization_id,
        sources.name AS source_name, source_spaces.name AS source_space,
        sources.organization_id AS source_organization_id
    FROM previews JOIN apps ON apps.preview_id = previews.id AND apps.deleted_at IS NULL
    JOIN spaces ON spaces.id = apps.space_id
    JOIN apps AS sources ON sources.id = previews.source_app_id
    JOIN spaces AS source_spaces ON source_spaces.id = sources.space_id";

/// The preview of that id.
pub fn find(connection: &Connection, id: PreviewId) -> Result<Option<Preview>, StoreError> {
    let mut statement = connection.prepare_cached(&format!("{SELECT} WHERE previews.id = ?1"))?;
    Ok(statement.query_row([id], from_row).optional()?)
}

/// What an app is as a preview of another.
pub fn find_by_app(connection: &Connection, app: AppId) -> Result<Option<Preview>, StoreError> {
    let mut statement = connection.prepare_cached(&format!("{SELECT} WHERE apps.id = ?1"))?;
    Ok(statement.query_row([app], from_row).optional()?)
}

/// The previews of an app, oldest first.
pub fn list_by_source(connection: &Connection, source: AppId) -> Result<Vec<Preview>, StoreError> {
    let mut statement = connection.prepare_cached(&format!(
        "{SELECT} WHERE previews.source_app_id = ?1 ORDER BY previews.created_at, previews.id"
    ))?;
    let rows = statement.query_map([source], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The previews whose pull requests were not heard of since then, oldest first.
pub fn list_untouched_since(connection: &Connection, since: Timestamp) -> Result<Vec<Preview>, StoreError> {
    let mut statement = connection
        .prepare_cached(&format!("{SELECT} WHERE previews.updated_at < ?1 ORDER BY previews.updated_at"))?;
    let rows = statement.query_map([since], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Adds a preview; its app, which names it, comes after it.
pub fn insert(tx: &Tx<'_>, preview: &Preview) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO previews (id, source_app_id, setup_id, trigger_type, branch, number, created_at, updated_at)
         VALUES (:id, :source_app_id, :setup_id, :trigger_type, :branch, :number, :created_at, :updated_at)",
    )?
    .execute(named_params! {
        ":id": preview.id,
        ":source_app_id": preview.source.id,
        ":setup_id": preview.setup,
        ":trigger_type": preview.trigger,
        ":branch": preview.branch.as_str(),
        ":number": i64::try_from(preview.number).unwrap_or(i64::MAX),
        ":created_at": preview.created_at,
        ":updated_at": preview.updated_at,
    })?;
    Ok(())
}

/// Notes that the pull request was heard of.
pub fn touch(tx: &Tx<'_>, id: PreviewId) -> Result<(), StoreError> {
    tx.prepare_cached("UPDATE previews SET updated_at = ?2 WHERE id = ?1")?.execute((id, tx.now()))?;
    Ok(())
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Preview> {
    let number: i64 = row.get("number")?;
    Ok(Preview {
        id: row.get("id")?,
        app: AppReference {
            id: row.get("app_id")?,
            name: row.get("app_name")?,
            space: row.get("app_space")?,
            organization: row.get("app_organization_id")?,
        },
        source: AppReference {
            id: row.get("source_app_id")?,
            name: row.get("source_name")?,
            space: row.get("source_space")?,
            organization: row.get("source_organization_id")?,
        },
        setup: row.get("setup_id")?,
        trigger: row.get("trigger_type")?,
        branch: BranchName::from_stored(row.get("branch")?),
        number: u64::try_from(number).unwrap_or_default(),
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    })
}
