//! Notes on config vars.

use rusqlite::Connection;

use super::{StoreError, Tx};
use crate::model::config_var_note::{ConfigVarNote, ConfigVarNotes};
use crate::model::ids::AppId;
use crate::model::names::ConfigVarName;

/// The notes of an app.
pub fn list(connection: &Connection, app: AppId) -> Result<ConfigVarNotes, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT name, description, required FROM config_var_notes WHERE app_id = ?1")?;
    let rows = statement.query_map([app], |row| {
        let note = ConfigVarNote { description: row.get("description")?, required: row.get("required")? };
        Ok((row.get("name")?, note))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Sets the note of a config var.
pub fn set(tx: &Tx<'_>, app: AppId, name: &ConfigVarName, note: &ConfigVarNote) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO config_var_notes (app_id, name, description, required) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (app_id, name)
         DO UPDATE SET description = excluded.description, required = excluded.required",
    )?
    .execute((app, name, &note.description, note.required))?;
    Ok(())
}

/// Removes the note of a config var; nothing happens when there is none.
pub fn remove(tx: &Tx<'_>, app: AppId, name: &ConfigVarName) -> Result<(), StoreError> {
    tx.prepare_cached("DELETE FROM config_var_notes WHERE app_id = ?1 AND name = ?2")?
        .execute((app, name))?;
    Ok(())
}
