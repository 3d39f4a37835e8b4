//! What was done with backups of built-in addons.

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::{StoreError, Tx};
use crate::model::addon_backup::{AddonBackupRun, BackupStatus, RunKind, RunPurpose, RunState};
use crate::model::ids::{AddonBackupId, AddonBackupRunId};
use crate::model::time::Timestamp;

/// The run of that id.
pub fn find(connection: &Connection, id: AddonBackupRunId) -> Result<Option<AddonBackupRun>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM addon_backup_runs WHERE id = ?1")?;
    Ok(statement.query_row([id], from_row).optional()?)
}

/// What was done with a backup, oldest first.
pub fn list(connection: &Connection, backup: AddonBackupId) -> Result<Vec<AddonBackupRun>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT * FROM addon_backup_runs WHERE backup_id = ?1 ORDER BY created_at, id")?;
    let rows = statement.query_map([backup], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// What is to be done, oldest first.
pub fn list_pending(connection: &Connection, limit: u32) -> Result<Vec<AddonBackupRun>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT * FROM addon_backup_runs WHERE status = 'pending' ORDER BY created_at, id LIMIT ?1",
    )?;
    let rows = statement.query_map([limit], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Adds a run that is to be done.
pub fn insert(tx: &Tx<'_>, run: &AddonBackupRun) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO addon_backup_runs (id, backup_id, kind, target_id, status, created_at)
         VALUES (:id, :backup_id, :kind, :target_id, 'pending', :created_at)",
    )?
    .execute(named_params! {
        ":id": run.id,
        ":backup_id": run.backup,
        ":kind": run.purpose.kind(),
        ":target_id": run.purpose.target(),
        ":created_at": run.created_at,
    })?;
    Ok(())
}

/// Writes down how a run ended.
pub fn update(tx: &Tx<'_>, id: AddonBackupRunId, state: &RunState) -> Result<(), StoreError> {
    let (result, ended_at) = match state {
        RunState::Pending => (None, None),
        RunState::Succeeded { found: result, at } | RunState::Failed { reason: result, at } => {
            (Some(result), Some(*at))
        }
    };
    tx.prepare_cached("UPDATE addon_backup_runs SET status = ?2, result = ?3, ended_at = ?4 WHERE id = ?1")?
        .execute((id, state.status(), result, ended_at))?;
    Ok(())
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<AddonBackupRun> {
    let result = row.get::<_, Option<String>>("result")?.unwrap_or_default();
    let at = row.get::<_, Option<Timestamp>>("ended_at")?.unwrap_or(Timestamp::from_millis(0));
    Ok(AddonBackupRun {
        id: row.get("id")?,
        backup: row.get("backup_id")?,
        purpose: match (row.get::<_, RunKind>("kind")?, row.get("target_id")?) {
            (RunKind::Restore, Some(target)) => RunPurpose::Restore(target),
            (RunKind::Restore | RunKind::Drill, _) => RunPurpose::Drill,
        },
        state: match row.get::<_, BackupStatus>("status")? {
            BackupStatus::Pending => RunState::Pending,
            BackupStatus::Succeeded => RunState::Succeeded { found: result, at },
            BackupStatus::Failed => RunState::Failed { reason: result, at },
        },
        created_at: row.get("created_at")?,
    })
}
