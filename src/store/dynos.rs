//! Dynos, as the reconciler last saw them.

use rusqlite::{Connection, Row, named_params};

use super::{StoreError, Tx};
use crate::model::dyno::Dyno;
use crate::model::ids::AppId;
use crate::model::names::DynoName;

/// The dynos of an app, by type and age.
pub fn list(connection: &Connection, app: AppId) -> Result<Vec<Dyno>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT * FROM dynos WHERE app_id = ?1 ORDER BY process_type, created_at, name")?;
    let rows = statement.query_map([app], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The dynos of all live apps.
pub fn list_of_live_apps(connection: &Connection) -> Result<Vec<Dyno>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT dynos.* FROM dynos JOIN apps ON apps.id = dynos.app_id WHERE apps.deleted_at IS NULL
         ORDER BY dynos.app_id, dynos.process_type, dynos.created_at, dynos.name",
    )?;
    let rows = statement.query_map([], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Adds a dyno, or brings it up to date.
pub fn upsert(tx: &Tx<'_>, dyno: &Dyno) -> Result<(), StoreError> {
    let mut statement = tx.prepare_cached(
        "INSERT INTO dynos (name, app_id, process_type, release_id, size, command, state, ready, restarts, info,
            created_at, updated_at)
         VALUES (:name, :app_id, :process_type, :release_id, :size, :command, :state, :ready, :restarts, :info,
            :created_at, :updated_at)
         ON CONFLICT (name) DO UPDATE SET state = excluded.state, ready = excluded.ready,
            restarts = excluded.restarts, info = excluded.info, updated_at = excluded.updated_at",
    )?;
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
    Ok(())
}

/// Makes these the dynos of an app, and no others. A wish to replace one goes with it.
pub fn replace(tx: &Tx<'_>, app: AppId, dynos: &[Dyno]) -> Result<(), StoreError> {
    let gone: Vec<DynoName> = list(tx, app)?
        .into_iter()
        .map(|dyno| dyno.name)
        .filter(|name| !dynos.iter().any(|dyno| dyno.name == *name))
        .collect();
    for name in gone {
        tx.prepare_cached("DELETE FROM dynos WHERE name = ?1")?.execute([name])?;
    }
    dynos.iter().try_for_each(|dyno| upsert(tx, dyno))
}

/// Notes that a user wants this dyno replaced by a new one.
pub fn request_replacement(tx: &Tx<'_>, name: &DynoName) -> Result<(), StoreError> {
    tx.prepare_cached("INSERT OR IGNORE INTO dyno_replacements (name) VALUES (?1)")?.execute([name])?;
    Ok(())
}

/// The dynos of an app that a user wants replaced.
pub fn list_to_replace(connection: &Connection, app: AppId) -> Result<Vec<DynoName>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT name FROM dyno_replacements JOIN dynos USING (name) WHERE dynos.app_id = ?1 ORDER BY name",
    )?;
    let rows = statement.query_map([app], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
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
