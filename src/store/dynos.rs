//! Dynos, as the reconciler last saw them.

use rusqlite::{Connection, Row, named_params};

use super::{StoreError, Tx};
use crate::model::dyno::Dyno;
use crate::model::ids::AppId;

/// The dynos of an app, by type and age.
pub fn list(connection: &Connection, app: AppId) -> Result<Vec<Dyno>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT * FROM dynos WHERE app_id = ?1 ORDER BY process_type, created_at, name")?;
    let rows = statement.query_map([app], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Makes these the dynos of an app, and no others.
pub fn replace(tx: &Tx<'_>, app: AppId, dynos: &[Dyno]) -> Result<(), StoreError> {
    tx.prepare_cached("DELETE FROM dynos WHERE app_id = ?1")?.execute([app])?;
    let mut statement = tx.prepare_cached(
        "INSERT INTO dynos (name, app_id, process_type, release_id, size, command, state, ready, restarts, info,
            created_at, updated_at)
         VALUES (:name, :app_id, :process_type, :release_id, :size, :command, :state, :ready, :restarts, :info,
            :created_at, :updated_at)",
    )?;
    for dyno in dynos {
        statement.execute(named_params! {
            ":name": dyno.name,
            ":app_id": dyno.app_id,
            ":process_type": dyno.process_type,
            ":release_id": dyno.release_id,
            ":size": dyno.size,
            ":command": dyno.command,
            ":state": dyno.state,
            ":ready": dyno.ready,
            ":restarts": dyno.restarts,
            ":info": dyno.info,
            ":created_at": dyno.created_at,
            ":updated_at": dyno.updated_at,
        })?;
    }
    Ok(())
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Dyno> {
    Ok(Dyno {
        name: row.get("name")?,
        app_id: row.get("app_id")?,
        process_type: row.get("process_type")?,
        release_id: row.get("release_id")?,
        size: row.get("size")?,
        command: row.get("command")?,
        state: row.get("state")?,
        ready: row.get("ready")?,
        restarts: row.get("restarts")?,
        info: row.get("info")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    })
}
