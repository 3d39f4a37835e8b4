//! This installation's own id, made with the database.

use rusqlite::{Connection, OptionalExtension};

use super::{StoreError, Tx};
use crate::model::ids::InstallationId;
use crate::model::time::Timestamp;

/// The id, `None` before the first start made one.
pub fn find(connection: &Connection) -> Result<Option<InstallationId>, StoreError> {
    Ok(connection.query_row("SELECT id FROM installation", [], |row| row.get(0)).optional()?)
}

/// When the daemon was first started.
pub fn created_at(connection: &Connection) -> Result<Timestamp, StoreError> {
    Ok(connection.query_row("SELECT created_at FROM installation", [], |row| row.get(0))?)
}

/// Stores the id that the first start made.
pub fn insert(tx: &Tx<'_>, id: InstallationId) -> Result<(), StoreError> {
    tx.execute("INSERT INTO installation (id, created_at) VALUES (?1, ?2)", (id, tx.now()))?;
    Ok(())
}
