//! Formations.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::{StoreError, Tx, formation_periods};
use crate::model::command::Command;
use crate::model::formation::{Formation, FormationCommand, Origin, Runs};
use crate::model::ids::{AppId, FormationId};
use crate::model::names::{ProcessType, SizeName};
use crate::model::schedule::{Overlap, Schedule, Scheduled};
use crate::model::time::Timestamp;

/// What [`from_row`] reads, by position: finding a column by its name costs more than reading it.
const SELECT: &str = "SELECT formations.id, formations.app_id, formations.process_type, formations.size,
        formations.quantity, formations.command, formations.command_origin, formations.port,
        formations.healthcheck, formations.origin, formations.restarts, formations.created_at,
        formations.updated_at, formations.oneoff, formations.schedule, formations.time_zone, formations.overlap,
        formations.due_at
    FROM formations";

/// The live formation of a type.
pub fn find(
    connection: &Connection,
    app: AppId,
    process_type: &ProcessType,
) -> Result<Option<Formation>, StoreError> {
    let mut statement = connection.prepare_cached(&format!(
        "{SELECT} WHERE app_id = ?1 AND process_type = ?2 AND deleted_at IS NULL"
    ))?;
    Ok(statement.query_row((app, process_type), from_row).optional()?)
}

/// The formation of that id, also a deleted one.
pub fn find_any(connection: &Connection, id: FormationId) -> Result<Option<Formation>, StoreError> {
    let mut statement = connection.prepare_cached(&format!("{SELECT} WHERE id = ?1"))?;
    Ok(statement.query_row([id], from_row).optional()?)
}

/// The live formations of an app, oldest first.
pub fn list(connection: &Connection, app: AppId) -> Result<Vec<Formation>, StoreError> {
    let mut statement = connection.prepare_cached(&format!(
        "{SELECT} WHERE app_id = ?1 AND deleted_at IS NULL ORDER BY created_at, id"
    ))?;
    let rows = statement.query_map([app], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The live formations of all live apps, oldest first.
pub fn list_of_live_apps(connection: &Connection) -> Result<Vec<Formation>, StoreError> {
    let mut statement = connection.prepare_cached(&format!(
        "{SELECT} JOIN apps ON apps.id = formations.app_id
         WHERE formations.deleted_at IS NULL AND apps.deleted_at IS NULL
         ORDER BY formations.created_at, formations.id"
    ))?;
    let rows = statement.query_map([], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The sizes that live formations of live apps name.
pub fn sizes_in_use(connection: &Connection) -> Result<BTreeSet<SizeName>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT DISTINCT formations.size FROM formations JOIN apps ON apps.id = formations.app_id
         WHERE formations.deleted_at IS NULL AND apps.deleted_at IS NULL",
    )?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Adds a formation; [`StoreError::Exists`] when the app has a live one of the type.
pub fn insert(tx: &Tx<'_>, formation: &Formation) -> Result<(), StoreError> {
    let (command, command_origin) = command_columns(&formation.command);
    let scheduled = formation.scheduled();
    tx.prepare_cached(
        "INSERT INTO formations (id, app_id, process_type, size, quantity, command, command_origin, port,
            healthcheck, origin, restarts, created_at, updated_at, oneoff, schedule, time_zone, overlap, due_at)
         VALUES (:id, :app_id, :process_type, :size, :quantity, :command, :command_origin, :port,
            :healthcheck, :origin, :restarts, :created_at, :updated_at, :oneoff, :schedule, :time_zone, :overlap,
            :due_at)",
    )?
    .execute(named_params! {
        ":id": formation.id,
        ":app_id": formation.app_id,
        ":process_type": formation.process_type,
        ":size": formation.size,
        ":quantity": formation.quantity,
        ":command": command,
        ":command_origin": command_origin,
        ":port": formation.port,
        ":healthcheck": formation.healthcheck,
        ":origin": formation.origin,
        ":restarts": formation.restarts,
        ":created_at": formation.created_at,
        ":updated_at": formation.updated_at,
        ":oneoff": formation.is_oneoff(),
        ":schedule": scheduled.map(|each| each.schedule.pattern()),
        ":time_zone": scheduled.map(|each| each.schedule.zone()),
        ":overlap": scheduled.map(|each| each.schedule.overlap),
        ":due_at": scheduled.map(|each| each.due_at),
    })?;
    formation_periods::note(tx, formation)
}

/// Stores everything of a formation that can change.
pub fn update(tx: &Tx<'_>, formation: &Formation) -> Result<(), StoreError> {
    let (command, command_origin) = command_columns(&formation.command);
    let scheduled = formation.scheduled();
    tx.prepare_cached(
        "UPDATE formations SET size = :size, quantity = :quantity, command = :command,
            command_origin = :command_origin, port = :port, healthcheck = :healthcheck, origin = :origin,
            restarts = :restarts, updated_at = :updated_at, oneoff = :oneoff, schedule = :schedule,
            time_zone = :time_zone, overlap = :overlap, due_at = :due_at
         WHERE id = :id AND deleted_at IS NULL",
    )?
    .execute(named_params! {
        ":id": formation.id,
        ":size": formation.size,
        ":quantity": formation.quantity,
        ":command": command,
        ":command_origin": command_origin,
        ":port": formation.port,
        ":healthcheck": formation.healthcheck,
        ":origin": formation.origin,
        ":restarts": formation.restarts,
        ":updated_at": formation.updated_at,
        ":oneoff": formation.is_oneoff(),
        ":schedule": scheduled.map(|each| each.schedule.pattern()),
        ":time_zone": scheduled.map(|each| each.schedule.zone()),
        ":overlap": scheduled.map(|each| each.schedule.overlap),
        ":due_at": scheduled.map(|each| each.due_at),
    })?;
    formation_periods::note(tx, formation)
}

/// Takes a formation out of the app.
pub fn delete(tx: &Tx<'_>, id: FormationId) -> Result<(), StoreError> {
    tx.prepare_cached("UPDATE formations SET deleted_at = ?2 WHERE id = ?1 AND deleted_at IS NULL")?
        .execute((id, tx.now()))?;
    formation_periods::end(tx, id)
}

fn command_columns(command: &FormationCommand) -> (Option<&str>, Option<Origin>) {
    match command {
        FormationCommand::Image => (None, None),
        FormationCommand::Procfile(command) => (Some(command.as_str()), Some(Origin::Procfile)),
        FormationCommand::User(command) => (Some(command.as_str()), Some(Origin::User)),
    }
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Formation> {
    let command: Option<String> = row.get(5)?;
    let command = match (command.map(Command::from_stored), row.get(6)?) {
        (Some(command), Some(Origin::User)) => FormationCommand::User(command),
        (Some(command), Some(Origin::Procfile)) => FormationCommand::Procfile(command),
        (None, _) | (_, None) => FormationCommand::Image,
    };
    Ok(Formation {
        id: row.get(0)?,
        app_id: row.get(1)?,
        process_type: row.get(2)?,
        size: row.get(3)?,
        quantity: row.get(4)?,
        command,
        port: row.get(7)?,
        healthcheck: row.get(8)?,
        origin: row.get(9)?,
        restarts: row.get(10)?,
        created_at: row.get(11)?,
        updated_at: row.get(12)?,
        runs: runs(row)?,
    })
}

fn runs(row: &Row<'_>) -> rusqlite::Result<Runs> {
    if !row.get::<_, bool>(13)? {
        return Ok(Runs::Always);
    }
    let columns: (Option<String>, Option<String>, Option<Overlap>, Option<Timestamp>) =
        (row.get(14)?, row.get(15)?, row.get(16)?, row.get(17)?);
    let (Some(pattern), Some(zone), Some(overlap), Some(due_at)) = columns else {
        return Ok(Runs::Once(None));
    };
    // A zone that the machine has lost leaves the formation without its schedule, and with all else.
    let schedule = Schedule::parse(&pattern, &zone, overlap).ok();
    Ok(Runs::Once(schedule.map(|schedule| Box::new(Scheduled { schedule, due_at }))))
}
