//! The events, in the order of their commits.

use rusqlite::{Connection, OptionalExtension};

use super::StoreError;
use crate::model::event::Event;
use crate::model::names::UserName;
use crate::model::time::Timestamp;

pub(super) fn insert(
    connection: &Connection,
    event: &Event,
    author: &UserName,
    now: Timestamp,
) -> Result<(), StoreError> {
    let payload = serde_json::to_string(event).map_err(|error| StoreError::Content(error.to_string()))?;
    connection
        .prepare_cached(
            "INSERT INTO events (kind, app_id, payload, username, created_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute((event.kind(), event.app(), payload, author, now))?;
    Ok(())
}

/// Who made the newest change; `None` before the first.
pub fn last_author(connection: &Connection) -> Result<Option<UserName>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT username FROM events ORDER BY id DESC LIMIT 1")?;
    Ok(statement.query_row([], |row| row.get(0)).optional()?)
}

/// The kinds of the events of an app, oldest first.
pub fn kinds_of_app(
    connection: &Connection,
    app: crate::model::ids::AppId,
) -> Result<Vec<String>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT kind FROM events WHERE app_id = ?1 ORDER BY id")?;
    let rows = statement.query_map([app], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
