//! Backups of built-in addons.

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::{StoreError, Tx};
use crate::model::addon_backup::{AddonBackup, BackupContent, BackupState, BackupStatus, BackupStorage};
use crate::model::ids::{AddonBackupId, AddonId, AppId};
use crate::model::time::Timestamp;

/// The backup of that id.
pub fn find(connection: &Connection, id: AddonBackupId) -> Result<Option<AddonBackup>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM addon_backups WHERE id = ?1")?;
    Ok(statement.query_row([id], from_row).optional()?)
}

/// The backups of an addon, oldest first.
pub fn list(connection: &Connection, addon: AddonId) -> Result<Vec<AddonBackup>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT * FROM addon_backups WHERE addon_id = ?1 ORDER BY created_at, id")?;
    let rows = statement.query_map([addon], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The addon of an app, also one that is gone, of which there are backups under that id or name; of several the newest.
pub fn find_addon(
    connection: &Connection,
    app: AppId,
    id_or_name: &str,
) -> Result<Option<AddonId>, StoreError> {
    let id: Option<AddonId> = id_or_name.parse().ok();
    let mut statement = connection.prepare_cached(
        "SELECT addon_id FROM addon_backups WHERE app_id = ?1 AND (addon_id = ?2 OR addon_name = ?3)
         ORDER BY created_at DESC, id DESC LIMIT 1",
    )?;
    let name = id_or_name.to_ascii_lowercase();
    Ok(statement.query_row((app, id, name), |row| row.get(0)).optional()?)
}

/// The backups that are to be made, oldest first.
pub fn list_pending(connection: &Connection, limit: u32) -> Result<Vec<AddonBackup>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT * FROM addon_backups WHERE status = 'pending' AND origin <> 'final' ORDER BY created_at, id LIMIT ?1",
    )?;
    let rows = statement.query_map([limit], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The last backup of an addon that goes, as long as it is to be made.
pub fn find_final_pending(
    connection: &Connection,
    addon: AddonId,
) -> Result<Option<AddonBackup>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT * FROM addon_backups WHERE addon_id = ?1 AND origin = 'final' AND status = 'pending'",
    )?;
    Ok(statement.query_row([addon], from_row).optional()?)
}

/// The backups whose time is over.
pub fn list_expired(connection: &Connection, now: Timestamp) -> Result<Vec<AddonBackupId>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT id FROM addon_backups WHERE expires_at <= ?1 AND status <> 'pending'")?;
    let rows = statement.query_map([now], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// From now on the backups of the schedules of addons that are gone have an end, too.
pub fn expire_scheduled(tx: &Tx<'_>, at: Timestamp) -> Result<(), StoreError> {
    tx.prepare_cached(
        "UPDATE addon_backups SET expires_at = ?1 WHERE origin = 'scheduled' AND expires_at IS NULL
            AND addon_id NOT IN (SELECT addon_id FROM addon_instances)",
    )?
    .execute([at])?;
    Ok(())
}

/// The backups of an addon's schedule beyond the newest `keep` that succeeded.
pub fn list_superfluous(
    connection: &Connection,
    addon: AddonId,
    keep: u32,
) -> Result<Vec<AddonBackupId>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT id FROM addon_backups WHERE addon_id = ?1 AND origin = 'scheduled' AND status <> 'pending'
            AND created_at < (SELECT created_at FROM addon_backups
                WHERE addon_id = ?1 AND origin = 'scheduled' AND status = 'succeeded'
                ORDER BY created_at DESC, id DESC LIMIT 1 OFFSET ?2)",
    )?;
    let rows = statement.query_map((addon, keep.saturating_sub(1)), |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The newest backup that succeeded of each addon that still runs.
pub fn list_newest(connection: &Connection) -> Result<Vec<AddonBackup>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT * FROM addon_backups AS b WHERE status = 'succeeded'
            AND addon_id IN (SELECT addon_id FROM addon_instances WHERE phase = 'ready')
            AND NOT EXISTS (SELECT 1 FROM addon_backups AS n WHERE n.addon_id = b.addon_id
                AND n.status = 'succeeded' AND (n.created_at, n.id) > (b.created_at, b.id))
         ORDER BY created_at, id",
    )?;
    let rows = statement.query_map([], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The ids of the backups that lie on this machine, or are being written there.
pub fn list_local_ids(connection: &Connection) -> Result<Vec<AddonBackupId>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT id FROM addon_backups WHERE status = 'pending' OR storage = 'local'")?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The backups that succeeded and lie on this machine, oldest first.
pub fn list_local(connection: &Connection) -> Result<Vec<AddonBackup>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT * FROM addon_backups WHERE storage = 'local' ORDER BY created_at, id")?;
    let rows = statement.query_map([], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The backups without a row whose objects in S3 are to be removed.
pub fn list_removed(connection: &Connection) -> Result<Vec<AddonBackupId>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT backup_id FROM removed_addon_backups")?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Adds a backup that is to be made.
pub fn insert(tx: &Tx<'_>, backup: &AddonBackup) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO addon_backups (id, addon_id, addon_name, app_id, service, origin, status, expires_at, created_at)
         VALUES (:id, :addon_id, :addon_name, :app_id, :service, :origin, 'pending', :expires_at, :created_at)",
    )?
    .execute(named_params! {
        ":id": backup.id,
        ":addon_id": backup.addon,
        ":addon_name": backup.addon_name,
        ":app_id": backup.app,
        ":service": backup.service,
        ":origin": backup.origin,
        ":expires_at": backup.expires_at,
        ":created_at": backup.created_at,
    })?;
    Ok(())
}

/// Writes down how a backup ended, and when it expires.
pub fn update(tx: &Tx<'_>, backup: &AddonBackup) -> Result<(), StoreError> {
    let (content, reason, ended_at) = match &backup.state {
        BackupState::Pending => (None, None, None),
        BackupState::Succeeded(content) => (Some(content), None, Some(content.at)),
        BackupState::Failed { reason, at } => (None, Some(reason), Some(*at)),
    };
    tx.prepare_cached(
        "UPDATE addon_backups SET status = :status, size = :size, sha256 = :sha256, reason = :reason,
            ended_at = :ended_at, expires_at = :expires_at, storage = :storage, upload_failure = :upload_failure
         WHERE id = :id",
    )?
    .execute(named_params! {
        ":id": backup.id,
        ":status": backup.state.status(),
        ":size": content.map(|content| i64::try_from(content.size).unwrap_or(i64::MAX)),
        ":sha256": content.map(|content| &content.sha256),
        ":reason": reason,
        ":ended_at": ended_at,
        ":expires_at": backup.expires_at,
        ":storage": content.map(|content| content.storage),
        ":upload_failure": content.map_or("", |content| &content.upload_failure),
    })?;
    Ok(())
}

/// Removes a backup with what is known of its use. Its file is removed by who sees that it has no row, its object by who
/// sees it in [`list_removed`].
pub fn delete(tx: &Tx<'_>, id: AddonBackupId) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO removed_addon_backups (backup_id) SELECT id FROM addon_backups WHERE id = ?1 AND storage = 's3'",
    )?
    .execute([id])?;
    tx.prepare_cached("DELETE FROM addon_backups WHERE id = ?1")?.execute([id])?;
    Ok(())
}

/// Has an object in S3 removed that has no row.
pub fn insert_removed(tx: &Tx<'_>, id: AddonBackupId) -> Result<(), StoreError> {
    tx.prepare_cached("INSERT OR IGNORE INTO removed_addon_backups (backup_id) VALUES (?1)")?
        .execute([id])?;
    Ok(())
}

/// Forgets an object that was removed.
pub fn delete_removed(tx: &Tx<'_>, id: AddonBackupId) -> Result<(), StoreError> {
    tx.prepare_cached("DELETE FROM removed_addon_backups WHERE backup_id = ?1")?.execute([id])?;
    Ok(())
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<AddonBackup> {
    let ended_at: Option<Timestamp> = row.get("ended_at")?;
    let at = ended_at.unwrap_or(Timestamp::from_millis(0));
    let state = match row.get::<_, BackupStatus>("status")? {
        BackupStatus::Pending => BackupState::Pending,
        BackupStatus::Succeeded => BackupState::Succeeded(BackupContent {
            size: row.get::<_, Option<i64>>("size")?.and_then(|size| u64::try_from(size).ok()).unwrap_or(0),
            sha256: row.get::<_, Option<String>>("sha256")?.unwrap_or_default(),
            at,
            storage: row.get::<_, Option<BackupStorage>>("storage")?.unwrap_or(BackupStorage::Local),
            upload_failure: row.get("upload_failure")?,
        }),
        BackupStatus::Failed => {
            BackupState::Failed { reason: row.get::<_, Option<String>>("reason")?.unwrap_or_default(), at }
        }
    };
    Ok(AddonBackup {
        id: row.get("id")?,
        addon: row.get("addon_id")?,
        addon_name: row.get("addon_name")?,
        app: row.get("app_id")?,
        service: row.get("service")?,
        origin: row.get("origin")?,
        state,
        created_at: row.get("created_at")?,
        expires_at: row.get("expires_at")?,
    })
}
