//! The events, in the order of their commits.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use super::StoreError;
use crate::model::event::Event;
use crate::model::ids::AppId;
use crate::model::names::{AppName, SpaceName, UserName};
use crate::model::principal::Memberships;
use crate::model::time::Timestamp;

/// Waits for an event that `concerns` who waits, or until some were missed, of which any may have. Cancel-safe; for ever
/// when the store is gone, as who waits ends with the tasks.
pub async fn wait_for(events: &mut Receiver<Arc<Event>>, concerns: impl Fn(&Event) -> bool + Send) {
    loop {
        match events.recv().await {
            Ok(event) if concerns(&event) => return,
            Ok(_) => {}
            Err(RecvError::Lagged(_)) => return,
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// Waits for an event, and gives all that are there by then. Cancel-safe: none is lost.
pub async fn next_all(events: &mut Receiver<Arc<Event>>) -> Result<Vec<Arc<Event>>, RecvError> {
    let mut all = vec![events.recv().await?];
    loop {
        match events.try_recv() {
            Ok(event) => all.push(event),
            Err(TryRecvError::Empty | TryRecvError::Closed) => return Ok(all),
            Err(TryRecvError::Lagged(missed)) => return Err(RecvError::Lagged(missed)),
        }
    }
}

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

/// Which events are asked for; a `None` asks for all.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// The name of an app, in whatever space.
    pub app: Option<String>,
    /// The name of an app's space.
    pub space: Option<String>,
    pub user: Option<String>,
    /// Only what is about an app of these organizations, and what the account did itself if they are all of its own.
    pub within: Option<Arc<Memberships>>,
}

/// An event as it was recorded.
#[derive(Debug, Clone)]
pub struct RecordedEvent {
    /// 1, 2, 3 … in the order of the changes.
    pub id: i64,
    pub kind: String,
    /// The fields of the event, as JSON.
    pub payload: String,
    pub author: UserName,
    pub at: Timestamp,
    /// The app that it is about, also a deleted one.
    pub app: Option<EventApp>,
}

/// The app of an event.
#[derive(Debug, Clone)]
pub struct EventApp {
    pub id: AppId,
    pub name: AppName,
    pub space: SpaceName,
}

/// The newest events that the filter lets through, newest first, at most `limit`.
pub fn list_newest(
    connection: &Connection,
    filter: &EventFilter,
    limit: u32,
) -> Result<Vec<RecordedEvent>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT events.id, events.kind, events.payload, events.username, events.created_at,
                apps.id AS app_id, apps.name AS app_name, spaces.name AS space_name
         FROM events LEFT JOIN apps ON apps.id = events.app_id LEFT JOIN spaces ON spaces.id = apps.space_id
         WHERE (:app IS NULL OR events.app_id IN (SELECT id FROM apps WHERE name = :app))
           AND (:space IS NULL OR events.app_id IN
                (SELECT apps.id FROM apps JOIN spaces ON spaces.id = apps.space_id WHERE spaces.name = :space))
           AND (:user IS NULL OR events.username = :user)
           AND (:within IS NULL OR events.username = (SELECT name FROM accounts WHERE id = :account)
                OR apps.organization_id IN (SELECT unhex(value) FROM json_each(:within)))
         ORDER BY events.id DESC LIMIT :limit",
    )?;
    let asked = named_params! {
        ":app": filter.app, ":space": filter.space, ":user": filter.user, ":limit": limit,
        ":within": filter.within, ":account": filter.within.as_ref().filter(|own| !own.narrowed).map(|own| own.account),
    };
    let rows = statement.query_map(asked, recorded)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// When the newest event happened.
pub fn newest_at(connection: &Connection) -> Result<Option<Timestamp>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT created_at FROM events ORDER BY id DESC LIMIT 1")?;
    Ok(statement.query_row([], |row| row.get(0)).optional()?)
}

/// The kinds of the events of an app, oldest first.
pub fn kinds_of_app(connection: &Connection, app: AppId) -> Result<Vec<String>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT kind FROM events WHERE app_id = ?1 ORDER BY id")?;
    let rows = statement.query_map([app], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn recorded(row: &Row<'_>) -> rusqlite::Result<RecordedEvent> {
    let app: Option<AppId> = row.get("app_id")?;
    let app = app
        .map(|id| {
            Ok::<_, rusqlite::Error>(EventApp {
                id,
                name: row.get("app_name")?,
                space: row.get("space_name")?,
            })
        })
        .transpose()?;
    Ok(RecordedEvent {
        id: row.get("id")?,
        kind: row.get("kind")?,
        payload: row.get("payload")?,
        author: row.get("username")?,
        at: row.get("created_at")?,
        app,
    })
}
