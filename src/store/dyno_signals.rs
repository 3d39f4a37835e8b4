//! Signals that users asked to be sent to dynos, until they are sent.

use rusqlite::{Connection, params};

use super::{StoreError, Tx};
use crate::model::ids::AppId;
use crate::model::names::DynoName;
use crate::model::signal::Signal;

/// Notes that a user wants this signal sent. Asked for again before it was sent, it is sent once.
pub fn request(tx: &Tx<'_>, name: &DynoName, signal: Signal) -> Result<(), StoreError> {
    tx.prepare_cached("INSERT OR IGNORE INTO dyno_signals (name, signal) VALUES (?1, ?2)")?
        .execute(params![name, signal.number()])?;
    Ok(())
}

/// The signals that are to be sent to the dynos of an app.
pub fn list(connection: &Connection, app: AppId) -> Result<Vec<(DynoName, Signal)>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT name, signal FROM dyno_signals JOIN dynos USING (name) WHERE dynos.app_id = ?1 ORDER BY name, signal",
    )?;
    let rows = statement.query_map([app], |row| Ok((row.get(0)?, Signal::from_stored(row.get(1)?))))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Notes that a signal was sent, or that there was nothing to send it to.
pub fn delete(tx: &Tx<'_>, name: &DynoName, signal: Signal) -> Result<(), StoreError> {
    tx.prepare_cached("DELETE FROM dyno_signals WHERE name = ?1 AND signal = ?2")?
        .execute(params![name, signal.number()])?;
    Ok(())
}
