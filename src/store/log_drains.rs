//! Log drains. Address and token are sealed; only who holds the [`Sealer`] can read them.

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::{StoreError, Tx};
use crate::model::drain_url::DrainUrl;
use crate::model::ids::{AppId, LogDrainId, SiteId};
use crate::model::log::LogOwner;
use crate::model::log_drain::{DrainProgress, DrainState, DrainToken, LogDrain, Loss};
use crate::model::time::Timestamp;
use crate::seal::{SealPlace, Sealed, Sealer};

/// The drain of that id.
pub fn find(
    connection: &Connection,
    sealer: &Sealer,
    id: LogDrainId,
) -> Result<Option<LogDrain>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM log_drains WHERE id = ?1")?;
    let row = statement.query_row([id], StoredDrain::from_row).optional()?;
    row.map(|row| row.open(sealer)).transpose()
}

/// The drains of an app or a site, oldest first.
pub fn list(
    connection: &Connection,
    sealer: &Sealer,
    owner: impl Into<LogOwner>,
) -> Result<Vec<LogDrain>, StoreError> {
    let (column, id) = match owner.into() {
        LogOwner::App(app) => ("app_id", app.uuid()),
        LogOwner::Site(site) => ("site_id", site.uuid()),
    };
    let mut statement = connection
        .prepare_cached(&format!("SELECT * FROM log_drains WHERE {column} = ?1 ORDER BY created_at, id"))?;
    let rows = statement.query_map([id.as_bytes()], StoredDrain::from_row)?;
    rows.map(|row| row?.open(sealer)).collect()
}

/// Every drain, with whose log it is for. Those of an app or a site go with it.
pub fn list_owners(connection: &Connection) -> Result<Vec<(LogDrainId, LogOwner)>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT id, app_id, site_id FROM log_drains")?;
    let rows = statement.query_map([], |row| Ok((row.get("id")?, owner(row)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// How many drains there are, and of the failing ones whose they are and what is wrong.
pub fn list_failing(connection: &Connection) -> Result<(u32, Vec<(LogOwner, String)>), StoreError> {
    let all = connection.query_row("SELECT count(*) FROM log_drains", [], |row| row.get(0))?;
    let mut statement = connection.prepare_cached(
        "SELECT app_id, site_id, description FROM log_drains WHERE state = 'failing' ORDER BY created_at, id",
    )?;
    let rows = statement.query_map([], |row| Ok((owner(row)?, row.get("description")?)))?;
    Ok((all, rows.collect::<Result<_, _>>()?))
}

/// Adds a drain that has not begun.
pub fn insert(tx: &Tx<'_>, sealer: &Sealer, drain: &LogDrain) -> Result<(), StoreError> {
    let row = drain.id.to_string();
    let url = sealer.seal(place(&row, "url"), drain.url.reveal())?;
    let token = sealer.seal(place(&row, "token"), drain.token.reveal())?;
    let (app, site) = match drain.owner {
        LogOwner::App(app) => (Some(app), None),
        LogOwner::Site(site) => (None, Some(site)),
    };
    tx.prepare_cached(
        "INSERT INTO log_drains (id, app_id, site_id, url, token, created_at, updated_at)
         VALUES (:id, :app_id, :site_id, :url, :token, :created_at, :updated_at)",
    )?
    .execute(named_params! {
        ":id": drain.id,
        ":app_id": app,
        ":site_id": site,
        ":url": url,
        ":token": token,
        ":created_at": drain.created_at,
        ":updated_at": drain.updated_at,
    })?;
    Ok(())
}

/// Writes down how a drain does. One that was removed stays so.
pub fn set_progress(tx: &Tx<'_>, id: LogDrainId, progress: &DrainProgress) -> Result<(), StoreError> {
    tx.prepare_cached(
        "UPDATE log_drains SET state = :state, description = :description, position = :position,
            dropped = :dropped, lost = :lost, lost_since = :lost_since
         WHERE id = :id",
    )?
    .execute(named_params! {
        ":id": id,
        ":state": progress.state,
        ":description": progress.description,
        ":position": progress.position.map(to_column),
        ":dropped": to_column(progress.dropped),
        ":lost": to_column(progress.unreported.map_or(0, |loss| loss.lines)),
        ":lost_since": progress.unreported.map(|loss| loss.since),
    })?;
    Ok(())
}

/// Removes a drain.
pub fn remove(tx: &Tx<'_>, id: LogDrainId) -> Result<(), StoreError> {
    tx.prepare_cached("DELETE FROM log_drains WHERE id = ?1")?.execute([id])?;
    Ok(())
}

/// Removes the drains of an app.
pub fn remove_of_app(tx: &Tx<'_>, app: AppId) -> Result<(), StoreError> {
    tx.prepare_cached("DELETE FROM log_drains WHERE app_id = ?1")?.execute([app])?;
    Ok(())
}

/// Removes the drains of a site.
pub fn remove_of_site(tx: &Tx<'_>, site: SiteId) -> Result<(), StoreError> {
    tx.prepare_cached("DELETE FROM log_drains WHERE site_id = ?1")?.execute([site])?;
    Ok(())
}

/// The schema sees to it that each row has one of the two.
fn owner(row: &Row<'_>) -> rusqlite::Result<LogOwner> {
    match row.get::<_, Option<SiteId>>("site_id")? {
        Some(site) => Ok(LogOwner::Site(site)),
        None => row.get("app_id").map(LogOwner::App),
    }
}

fn place<'a>(row: &'a str, column: &'a str) -> SealPlace<'a> {
    SealPlace { table: "log_drains", row, column }
}

/// Counts of lines stay far below what a column holds.
fn to_column(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn from_column(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

/// A row whose sealed values are still closed.
struct StoredDrain {
    id: LogDrainId,
    owner: LogOwner,
    url: Sealed,
    token: Sealed,
    progress: DrainProgress,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl StoredDrain {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let lost = from_column(row.get("lost")?);
        let since: Option<Timestamp> = row.get("lost_since")?;
        Ok(Self {
            id: row.get("id")?,
            owner: owner(row)?,
            url: row.get("url")?,
            token: row.get("token")?,
            progress: DrainProgress {
                state: row.get::<_, DrainState>("state")?,
                description: row.get("description")?,
                position: row.get::<_, Option<i64>>("position")?.map(from_column),
                dropped: from_column(row.get("dropped")?),
                unreported: since.map(|since| Loss { lines: lost, since }),
            },
            created_at: row.get("created_at")?,
            updated_at: row.get("updated_at")?,
        })
    }

    fn open(self, sealer: &Sealer) -> Result<LogDrain, StoreError> {
        let row = self.id.to_string();
        let url = sealer.open_text(place(&row, "url"), &self.url)?;
        let token = sealer.open_text(place(&row, "token"), &self.token)?;
        Ok(LogDrain {
            id: self.id,
            owner: self.owner,
            url: DrainUrl::parse(&url).map_err(|error| StoreError::Content(error.to_string()))?,
            token: DrainToken::from_stored(token),
            progress: self.progress,
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}
