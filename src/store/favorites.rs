//! Favorites, read together with their apps; those of deleted apps are never seen.

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::{StoreError, Tx, apps};
use crate::model::favorite::Favorite;
use crate::model::ids::AppId;
use crate::model::names::UserName;

/// The favorite that a user has of an app.
pub fn find(connection: &Connection, user: &UserName, app: AppId) -> Result<Option<Favorite>, StoreError> {
    let mut statement = connection.prepare_cached(&select("AND favorites.app_id = ?2"))?;
    Ok(statement.query_row((user, app), from_row).optional()?)
}

/// The favorites of a user, oldest first.
pub fn list(connection: &Connection, user: &UserName) -> Result<Vec<Favorite>, StoreError> {
    let mut statement = connection.prepare_cached(&select("ORDER BY favorites.created_at, favorites.id"))?;
    let rows = statement.query_map([user], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Adds a favorite; [`StoreError::Exists`] when the user has one of the app.
pub fn insert(tx: &Tx<'_>, user: &UserName, favorite: &Favorite) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO favorites (id, user, app_id, created_at) VALUES (:id, :user, :app_id, :created_at)",
    )?
    .execute(named_params! {
        ":id": favorite.id,
        ":user": user,
        ":app_id": favorite.app.id,
        ":created_at": favorite.created_at,
    })?;
    Ok(())
}

/// Removes the favorite that a user has of an app; whether there was one.
pub fn remove(tx: &Tx<'_>, user: &UserName, app: AppId) -> Result<bool, StoreError> {
    let removed =
        tx.prepare_cached("DELETE FROM favorites WHERE user = ?1 AND app_id = ?2")?.execute((user, app))?;
    Ok(removed > 0)
}

/// The favorites of the user `?1`, and what `rest` asks for beyond.
fn select(rest: &str) -> String {
    format!(
        "SELECT live.*, favorites.id AS favorite_id, favorites.created_at AS favorite_created_at
         FROM favorites JOIN ({} WHERE apps.deleted_at IS NULL) AS live ON live.id = favorites.app_id
         WHERE favorites.user = ?1 {rest}",
        apps::SELECT
    )
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Favorite> {
    Ok(Favorite {
        id: row.get("favorite_id")?,
        app: apps::from_row(row)?,
        created_at: row.get("favorite_created_at")?,
    })
}
