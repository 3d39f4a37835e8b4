//! One-off dynos. What is set over the app's config vars is sealed, as they are.

use std::collections::BTreeMap;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::{StoreError, Tx};
use crate::model::command::Command;
use crate::model::config_var::{ConfigValue, ConfigVars};
use crate::model::ids::{AppId, FormationId, ReleaseId};
use crate::model::names::{ConfigVarName, DynoName};
use crate::model::oneoff::{Ended, KEPT, LINGERS, OneOff, Purpose};
use crate::model::time::Timestamp;
use crate::seal::{SealPlace, Sealed, Sealer};

/// The one-off dynos of an app that have not ended, or whose containers may still be there, oldest first.
pub fn list_present(
    connection: &Connection,
    sealer: &Sealer,
    app: AppId,
    now: Timestamp,
) -> Result<Vec<OneOff>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT * FROM oneoffs WHERE app_id = ?1 AND (ended_at IS NULL OR ended_at > ?2) ORDER BY created_at, name",
    )?;
    let rows = statement.query_map((app, now.minus(LINGERS)), from_row)?;
    rows.map(|row| open(sealer, row?)).collect()
}

/// The one-off dynos of an app that have not ended, oldest first.
pub fn list_unfinished(
    connection: &Connection,
    sealer: &Sealer,
    app: AppId,
) -> Result<Vec<OneOff>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT * FROM oneoffs WHERE app_id = ?1 AND ended_at IS NULL ORDER BY created_at, name",
    )?;
    let rows = statement.query_map([app], from_row)?;
    rows.map(|row| open(sealer, row?)).collect()
}

/// Every one-off dyno of an app that is still known, oldest first.
pub fn list(connection: &Connection, sealer: &Sealer, app: AppId) -> Result<Vec<OneOff>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT * FROM oneoffs WHERE app_id = ?1 ORDER BY created_at, name")?;
    let rows = statement.query_map([app], from_row)?;
    rows.map(|row| open(sealer, row?)).collect()
}

/// The run of a release's command.
pub fn find_of_release(
    connection: &Connection,
    sealer: &Sealer,
    release: ReleaseId,
) -> Result<Option<OneOff>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT * FROM oneoffs WHERE release_id = ?1 AND purpose = 'release'")?;
    statement.query_row([release], from_row).optional()?.map(|row| open(sealer, row)).transpose()
}

/// Adds a one-off dyno, and forgets those of the app that ended long ago.
pub fn insert(tx: &Tx<'_>, sealer: &Sealer, oneoff: &OneOff) -> Result<(), StoreError> {
    tx.prepare_cached("DELETE FROM oneoffs WHERE app_id = ?1 AND ended_at < ?2 AND purpose <> 'release'")?
        .execute((oneoff.app_id, tx.now().minus(KEPT)))?;
    let (purpose, formation) = match oneoff.purpose {
        Purpose::Command => ("command", None),
        Purpose::Formation(id) => ("formation", Some(id)),
        Purpose::Schedule(id) => ("schedule", Some(id)),
        Purpose::Release => ("release", None),
    };
    let seconds = i64::try_from(oneoff.time_limit.as_secs()).unwrap_or(i64::MAX);
    tx.prepare_cached(
        "INSERT INTO oneoffs (name, app_id, purpose, formation_id, process_type, release_id, size, command, env, image,
            terminal, time_limit, created_by, created_at)
         VALUES (:name, :app_id, :purpose, :formation_id, :process_type, :release_id, :size, :command, :env, :image,
            :terminal, :time_limit, :created_by, :created_at)",
    )?
    .execute(named_params! {
        ":name": oneoff.name,
        ":app_id": oneoff.app_id,
        ":purpose": purpose,
        ":formation_id": formation,
        ":process_type": oneoff.process_type,
        ":release_id": oneoff.release_id,
        ":size": oneoff.size,
        ":command": oneoff.command.as_ref().map(Command::as_str),
        ":env": seal_env(sealer, place("oneoffs", oneoff.name.as_str()), &oneoff.env)?,
        ":image": oneoff.image,
        ":terminal": oneoff.terminal,
        ":time_limit": seconds,
        ":created_by": oneoff.created_by,
        ":created_at": oneoff.created_at,
    })?;
    Ok(())
}

/// Notes that its process runs.
pub fn set_started(tx: &Tx<'_>, name: &DynoName, at: Timestamp) -> Result<(), StoreError> {
    tx.prepare_cached("UPDATE oneoffs SET started_at = ?2 WHERE name = ?1 AND started_at IS NULL")?
        .execute((name, at))?;
    Ok(())
}

/// Notes that the terminal it waits for is there. Returns whether it was the first one.
pub fn set_attached(tx: &Tx<'_>, name: &DynoName) -> Result<bool, StoreError> {
    let changed = tx
        .prepare_cached(
            "UPDATE oneoffs SET attached_at = ?2
             WHERE name = ?1 AND attached_at IS NULL AND ended_at IS NULL AND terminal <> 'detached'",
        )?
        .execute((name, tx.now()))?;
    Ok(changed == 1)
}

/// Notes that the author wants it to end; the first wish stays.
pub fn request_stop(tx: &Tx<'_>, name: &DynoName) -> Result<(), StoreError> {
    tx.prepare_cached(
        "UPDATE oneoffs SET stopped_by = ?2 WHERE name = ?1 AND stopped_by IS NULL AND ended_at IS NULL",
    )?
    .execute((name, tx.author()))?;
    Ok(())
}

/// Notes how it ended; the first end stays. Returns whether this is it.
pub fn set_ended(tx: &Tx<'_>, name: &DynoName, ended: &Ended) -> Result<bool, StoreError> {
    let changed = tx
        .prepare_cached(
            "UPDATE oneoffs SET ended_at = ?2, exit_code = ?3, reason = ?4 WHERE name = ?1 AND ended_at IS NULL",
        )?
        .execute((name, ended.at, ended.exit_code, &ended.reason))?;
    Ok(changed == 1)
}

/// How a one-off dyno ended, if it has.
pub fn find_end(connection: &Connection, app: AppId, name: &DynoName) -> Result<Option<Ended>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT ended_at, exit_code, reason FROM oneoffs WHERE app_id = ?1 AND name = ?2 AND ended_at IS NOT NULL",
    )?;
    let read = |row: &Row<'_>| Ok(Ended { at: row.get(0)?, exit_code: row.get(1)?, reason: row.get(2)? });
    Ok(statement.query_row((app, name), read).optional()?)
}

/// Ends what is left of a deleted app's.
pub fn end_all(tx: &Tx<'_>, app: AppId, reason: &str) -> Result<(), StoreError> {
    tx.prepare_cached(
        "UPDATE oneoffs SET ended_at = ?2, reason = ?3 WHERE app_id = ?1 AND ended_at IS NULL",
    )?
    .execute((app, tx.now(), reason))?;
    Ok(())
}

/// What the one-off dynos of a formation are made with instead: an image, and variables.
pub fn options_of(
    connection: &Connection,
    sealer: &Sealer,
    formation: FormationId,
) -> Result<(Option<String>, ConfigVars), StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT oneoff_image, oneoff_env FROM formations WHERE id = ?1")?;
    let (image, env): (Option<String>, Option<Sealed>) =
        statement.query_row([formation], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let row = formation.to_string();
    let env = env.map(|env| open_env(sealer, place("formations", &row), &env)).transpose()?;
    Ok((image, env.unwrap_or_default()))
}

/// Stores what [`options_of`] reads; `None` leaves it.
pub fn set_options(
    tx: &Tx<'_>,
    sealer: &Sealer,
    formation: FormationId,
    (image, env): (Option<&str>, Option<&ConfigVars>),
) -> Result<(), StoreError> {
    if let Some(image) = image {
        tx.prepare_cached("UPDATE formations SET oneoff_image = ?2 WHERE id = ?1")?
            .execute((formation, image))?;
    }
    if let Some(env) = env {
        let sealed = seal_env(sealer, place("formations", &formation.to_string()), env)?;
        tx.prepare_cached("UPDATE formations SET oneoff_env = ?2 WHERE id = ?1")?
            .execute((formation, sealed))?;
    }
    Ok(())
}

fn place<'a>(table: &'static str, row: &'a str) -> SealPlace<'a> {
    SealPlace { table, row, column: "env" }
}

fn seal_env(sealer: &Sealer, place: SealPlace<'_>, env: &ConfigVars) -> Result<Sealed, StoreError> {
    let plain: serde_json::Map<String, serde_json::Value> =
        env.iter().map(|(name, value)| (name.to_string(), value.reveal().into())).collect();
    Ok(sealer.seal(place, &serde_json::Value::Object(plain).to_string())?)
}

fn open_env(sealer: &Sealer, place: SealPlace<'_>, sealed: &Sealed) -> Result<ConfigVars, StoreError> {
    let text = sealer.open_text(place, sealed)?;
    let plain: BTreeMap<String, String> = serde_json::from_str(&text)
        .map_err(|error| StoreError::Content(format!("the variables of a one-off dyno: {error}")))?;
    let var = |(name, value)| (ConfigVarName::from_stored(name), ConfigValue::from_stored(value));
    Ok(plain.into_iter().map(var).collect())
}

/// A row whose variables are not opened yet.
struct Stored {
    oneoff: OneOff,
    env: Sealed,
}

fn open(sealer: &Sealer, stored: Stored) -> Result<OneOff, StoreError> {
    let env = open_env(sealer, place("oneoffs", stored.oneoff.name.as_str()), &stored.env)?;
    Ok(OneOff { env, ..stored.oneoff })
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Stored> {
    let purpose: String = row.get("purpose")?;
    let formation: Option<FormationId> = row.get("formation_id")?;
    let purpose = match (purpose.as_str(), formation) {
        ("formation", Some(id)) => Purpose::Formation(id),
        ("schedule", Some(id)) => Purpose::Schedule(id),
        ("release", _) => Purpose::Release,
        _ => Purpose::Command,
    };
    let ended_at: Option<Timestamp> = row.get("ended_at")?;
    let (exit_code, reason): (Option<i64>, Option<String>) = (row.get("exit_code")?, row.get("reason")?);
    let command: Option<String> = row.get("command")?;
    let seconds: i64 = row.get("time_limit")?;
    let oneoff = OneOff {
        name: row.get("name")?,
        app_id: row.get("app_id")?,
        purpose,
        process_type: row.get("process_type")?,
        release_id: row.get("release_id")?,
        size: row.get("size")?,
        command: command.map(Command::from_stored),
        env: ConfigVars::new(),
        image: row.get("image")?,
        terminal: row.get("terminal")?,
        time_limit: Duration::from_secs(u64::try_from(seconds).unwrap_or(0)),
        attached_at: row.get("attached_at")?,
        stopped_by: row.get("stopped_by")?,
        started_at: row.get("started_at")?,
        ended: ended_at.map(|at| Ended { at, exit_code, reason: reason.unwrap_or_default() }),
        created_by: row.get("created_by")?,
        created_at: row.get("created_at")?,
    };
    Ok(Stored { oneoff, env: row.get("env")? })
}
