//! How full the volumes of built-in addons were when they were measured last.

use rusqlite::{Connection, OptionalExtension, Row};

use super::{StoreError, Tx};
use crate::model::addon_volume::AddonVolume;
use crate::model::ids::AddonId;

/// The volume of an addon.
pub fn find(connection: &Connection, addon: AddonId) -> Result<Option<AddonVolume>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM addon_volumes WHERE addon_id = ?1")?;
    Ok(statement.query_row([addon], from_row).optional()?)
}

/// All volumes that were measured, by their addons.
pub fn list(connection: &Connection) -> Result<Vec<AddonVolume>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM addon_volumes ORDER BY addon_id")?;
    let rows = statement.query_map([], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Stores a measurement in place of the one before.
pub fn put(tx: &Tx<'_>, volume: &AddonVolume) -> Result<(), StoreError> {
    let bytes = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    tx.prepare_cached(
        "INSERT OR REPLACE INTO addon_volumes (addon_id, bytes, limit_bytes, measured_at) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute((volume.addon, bytes(volume.bytes), volume.limit.map(bytes), volume.measured_at))?;
    Ok(())
}

/// Forgets the volumes whose instances are gone.
pub fn delete_lost(tx: &Tx<'_>) -> Result<(), StoreError> {
    tx.prepare_cached(
        "DELETE FROM addon_volumes WHERE addon_id NOT IN (SELECT addon_id FROM addon_instances)",
    )?
    .execute([])?;
    Ok(())
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<AddonVolume> {
    let bytes = |count: i64| u64::try_from(count).unwrap_or(0);
    Ok(AddonVolume {
        addon: row.get("addon_id")?,
        bytes: bytes(row.get("bytes")?),
        limit: row.get::<_, Option<i64>>("limit_bytes")?.map(bytes),
        measured_at: row.get("measured_at")?,
    })
}
