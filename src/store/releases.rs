//! Releases.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::{StoreError, Tx};
use crate::model::ids::{AppId, BuildId, ReleaseId};
use crate::model::release::{Release, ReleaseKind, ReleaseState};

/// A release of an app.
pub fn find(connection: &Connection, app: AppId, id: ReleaseId) -> Result<Option<Release>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM releases WHERE id = ?1 AND app_id = ?2")?;
    Ok(statement.query_row((id, app), from_row).optional()?)
}

/// A release of any app.
pub fn find_any(connection: &Connection, id: ReleaseId) -> Result<Option<Release>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM releases WHERE id = ?1")?;
    Ok(statement.query_row([id], from_row).optional()?)
}

/// The releases of an app, by version: oldest first.
pub fn list(connection: &Connection, app: AppId) -> Result<Vec<Release>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT * FROM releases WHERE app_id = ?1 ORDER BY version")?;
    let rows = statement.query_map([app], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The newest release that did not fail: what shall run, or is about to.
pub fn newest_live(connection: &Connection, app: AppId) -> Result<Option<Release>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT * FROM releases WHERE app_id = ?1 AND status <> 'failed' ORDER BY version DESC LIMIT 1",
    )?;
    Ok(statement.query_row([app], from_row).optional()?)
}

/// The newest release that succeeded: the current one.
pub fn current(connection: &Connection, app: AppId) -> Result<Option<Release>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT * FROM releases WHERE app_id = ?1 AND status = 'succeeded' ORDER BY version DESC LIMIT 1",
    )?;
    Ok(statement.query_row([app], from_row).optional()?)
}

/// The newest release of a slug on an app that succeeded.
pub fn newest_success_of_slug(
    connection: &Connection,
    app: AppId,
    slug: BuildId,
) -> Result<Option<Release>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT * FROM releases WHERE slug = ?2 AND app_id = ?1 AND status = 'succeeded'
         ORDER BY version DESC LIMIT 1",
    )?;
    Ok(statement.query_row((app, slug), from_row).optional()?)
}

/// The releases of a slug that succeeded, on whatever app, newest first.
pub fn list_successes_of_slug(connection: &Connection, slug: BuildId) -> Result<Vec<Release>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT * FROM releases WHERE slug = ?1 AND status = 'succeeded' ORDER BY created_at DESC, id DESC",
    )?;
    let rows = statement.query_map([slug], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The releases of an app that have neither succeeded nor failed, oldest first.
pub fn list_unfinished(connection: &Connection, app: AppId) -> Result<Vec<Release>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT * FROM releases WHERE app_id = ?1 AND status IN ('queued', 'pending') ORDER BY version",
    )?;
    let rows = statement.query_map([app], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The releases of all live apps that have neither succeeded nor failed, oldest first.
pub fn list_unfinished_of_live_apps(connection: &Connection) -> Result<Vec<Release>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT releases.* FROM releases JOIN apps ON apps.id = releases.app_id
         WHERE releases.status IN ('queued', 'pending') AND apps.deleted_at IS NULL
         ORDER BY releases.created_at, releases.id",
    )?;
    let rows = statement.query_map([], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Whether a slug of an app may still be wanted: by the app's current release or a newer one, or by any release
/// of another live app, which got it by a promotion.
pub fn is_slug_needed(connection: &Connection, app: AppId, slug: BuildId) -> Result<bool, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM releases JOIN apps ON apps.id = releases.app_id
         WHERE releases.slug = ?2 AND apps.deleted_at IS NULL AND (releases.app_id <> ?1 OR releases.version >=
            (SELECT coalesce(max(version), 0) FROM releases WHERE app_id = ?1 AND status = 'succeeded')))",
    )?;
    Ok(statement.query_row((app, slug), |row| row.get(0))?)
}

/// The slugs that releases of live apps refer to.
pub fn list_slugs_of_live_apps(connection: &Connection) -> Result<Vec<BuildId>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT DISTINCT slug FROM releases JOIN apps ON apps.id = releases.app_id WHERE apps.deleted_at IS NULL",
    )?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The version that the next release of an app gets: versions are never reused (reading 6).
pub fn next_version(connection: &Connection, app: AppId) -> Result<u32, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT coalesce(max(version), 0) + 1 FROM releases WHERE app_id = ?1")?;
    Ok(statement.query_row([app], |row| row.get(0))?)
}

/// How many releases each app had; versions count them.
pub fn count_by_app(connection: &Connection) -> Result<BTreeMap<AppId, u32>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT app_id, max(version) FROM releases GROUP BY app_id")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Notes that something about a release changed now.
pub fn touch(tx: &Tx<'_>, id: ReleaseId) -> Result<(), StoreError> {
    tx.prepare_cached("UPDATE releases SET updated_at = ?2 WHERE id = ?1")?.execute((id, tx.now()))?;
    Ok(())
}

/// Adds a release.
pub fn insert(tx: &Tx<'_>, release: &Release) -> Result<(), StoreError> {
    let (kind, rollback_of, promotion_of) = match release.kind {
        ReleaseKind::Slug => ("slug", None, None),
        ReleaseKind::Auto => ("auto", None, None),
        ReleaseKind::Rollback { of } => ("rollback", Some(of), None),
        ReleaseKind::Promotion { of } => ("slug", None, Some(of)),
    };
    let (reason, status_at) = state_columns(release);
    tx.prepare_cached(
        "INSERT INTO releases (id, app_id, slug, version, description, kind, rollback_of, promotion_of, status, reason, status_at,
            created_by, created_at, updated_at)
         VALUES (:id, :app_id, :slug, :version, :description, :kind, :rollback_of, :promotion_of, :status, :reason, :status_at,
            :created_by, :created_at, :updated_at)",
    )?
    .execute(named_params! {
        ":id": release.id,
        ":app_id": release.app_id,
        ":slug": release.slug,
        ":version": release.version,
        ":description": release.description,
        ":kind": kind,
        ":rollback_of": rollback_of,
        ":promotion_of": promotion_of,
        ":status": release.state.status().as_str(),
        ":reason": reason,
        ":status_at": status_at,
        ":created_by": release.created_by,
        ":created_at": release.created_at,
        ":updated_at": release.updated_at,
    })?;
    Ok(())
}

/// Stores a release's state and the time of the change.
pub fn set_state(tx: &Tx<'_>, release: &Release) -> Result<(), StoreError> {
    let (reason, status_at) = state_columns(release);
    tx.prepare_cached(
        "UPDATE releases SET status = ?2, reason = ?3, status_at = ?4, updated_at = ?5 WHERE id = ?1",
    )?
    .execute((release.id, release.state.status().as_str(), reason, status_at, tx.now()))?;
    Ok(())
}

fn state_columns(release: &Release) -> (Option<&str>, crate::model::time::Timestamp) {
    match &release.state {
        ReleaseState::Queued => (None, release.created_at),
        ReleaseState::Pending { since } => (None, *since),
        ReleaseState::Succeeded { at } => (None, *at),
        ReleaseState::Failed { reason, at } => (Some(reason), *at),
    }
}

/// The state in the columns `status`, `status_at` and `reason`.
pub(super) fn state_from_row(row: &Row<'_>) -> rusqlite::Result<ReleaseState> {
    Ok(match row.get::<_, String>("status")?.as_str() {
        "pending" => ReleaseState::Pending { since: row.get("status_at")? },
        "succeeded" => ReleaseState::Succeeded { at: row.get("status_at")? },
        "failed" => ReleaseState::Failed { reason: row.get("reason")?, at: row.get("status_at")? },
        _ => ReleaseState::Queued,
    })
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Release> {
    let kind = match (row.get::<_, String>("kind")?.as_str(), row.get("promotion_of")?) {
        ("rollback", _) => ReleaseKind::Rollback { of: row.get("rollback_of")? },
        ("auto", _) => ReleaseKind::Auto,
        (_, Some(of)) => ReleaseKind::Promotion { of },
        (_, None) => ReleaseKind::Slug,
    };
    Ok(Release {
        id: row.get("id")?,
        app_id: row.get("app_id")?,
        slug: row.get("slug")?,
        version: row.get("version")?,
        description: row.get("description")?,
        kind,
        state: state_from_row(row)?,
        created_by: row.get("created_by")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    })
}
