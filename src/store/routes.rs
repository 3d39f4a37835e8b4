//! Routes, read together with their site and their app.

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::{StoreError, Tx};
use crate::model::ids::{AppId, RouteId, SiteId};
use crate::model::pipeline::AppReference;
use crate::model::route::{Route, RouteSite};

const SELECT: &str = "SELECT routes.id, routes.site_id, sites.domain, routes.app_id, apps.name AS app_name,
        spaces.name AS space_name, apps.organization_id, apps.released_at IS NULL AS pending,
        routes.source_path, routes.target_path, routes.created_at, routes.updated_at, sites.preview_id
    FROM routes JOIN sites ON sites.id = routes.site_id JOIN apps ON apps.id = routes.app_id
    JOIN spaces ON spaces.id = apps.space_id";

/// The route of that id.
pub fn find(connection: &Connection, id: RouteId) -> Result<Option<Route>, StoreError> {
    let mut statement = connection.prepare_cached(&format!("{SELECT} WHERE routes.id = ?1"))?;
    Ok(statement.query_row([id], from_row).optional()?)
}

/// Every route, oldest first.
pub fn list(connection: &Connection) -> Result<Vec<Route>, StoreError> {
    let mut statement =
        connection.prepare_cached(&format!("{SELECT} ORDER BY routes.created_at, routes.id"))?;
    let rows = statement.query_map([], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The routes of a site, oldest first.
pub fn list_by_site(connection: &Connection, site: SiteId) -> Result<Vec<Route>, StoreError> {
    let mut statement = connection.prepare_cached(&format!(
        "{SELECT} WHERE routes.site_id = ?1 ORDER BY routes.created_at, routes.id"
    ))?;
    let rows = statement.query_map([site], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The routes to an app, oldest first.
pub fn list_by_app(connection: &Connection, app: AppId) -> Result<Vec<Route>, StoreError> {
    let mut statement = connection.prepare_cached(&format!(
        "{SELECT} WHERE routes.app_id = ?1 ORDER BY routes.created_at, routes.id"
    ))?;
    let rows = statement.query_map([app], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Adds a route; [`StoreError::Exists`] when the site has one of that source path.
pub fn insert(tx: &Tx<'_>, route: &Route) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO routes (id, site_id, app_id, source_path, target_path, created_at, updated_at)
         VALUES (:id, :site_id, :app_id, :source_path, :target_path, :created_at, :updated_at)",
    )?
    .execute(named_params! {
        ":id": route.id,
        ":site_id": route.site.id,
        ":app_id": route.app.id,
        ":source_path": route.source,
        ":target_path": route.target,
        ":created_at": route.created_at,
        ":updated_at": route.updated_at,
    })?;
    Ok(())
}

/// Removes a route.
pub fn delete(tx: &Tx<'_>, id: RouteId) -> Result<(), StoreError> {
    tx.prepare_cached("DELETE FROM routes WHERE id = ?1")?.execute([id])?;
    Ok(())
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Route> {
    Ok(Route {
        id: row.get(0)?,
        site: RouteSite { id: row.get(1)?, domain: row.get(2)?, preview: row.get(12)? },
        app: AppReference {
            id: row.get(3)?,
            name: row.get(4)?,
            space: row.get(5)?,
            organization: row.get(6)?,
        },
        pending: row.get(7)?,
        source: row.get(8)?,
        target: row.get(9)?,
        created_at: row.get(10)?,
        updated_at: row.get(11)?,
    })
}
