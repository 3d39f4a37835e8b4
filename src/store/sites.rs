//! Sites, read together with the organization they belong to.

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::{StoreError, Tx};
use crate::model::ids::{PreviewId, SiteId};
use crate::model::site::{Site, SiteDomain, SiteOrganization};

const SELECT: &str = "SELECT sites.*, organizations.name AS organization_name
    FROM sites JOIN organizations ON organizations.id = sites.organization_id WHERE sites.deleted_at IS NULL";

/// The site of that id.
pub fn find(connection: &Connection, id: SiteId) -> Result<Option<Site>, StoreError> {
    let mut statement = connection.prepare_cached(&format!("{SELECT} AND sites.id = ?1"))?;
    Ok(statement.query_row([id], from_row).optional()?)
}

/// The site of that domain.
pub fn find_by_domain(connection: &Connection, domain: &SiteDomain) -> Result<Option<Site>, StoreError> {
    let mut statement = connection.prepare_cached(&format!("{SELECT} AND sites.domain = ?1"))?;
    Ok(statement.query_row([domain], from_row).optional()?)
}

/// Every site, oldest first.
pub fn list(connection: &Connection) -> Result<Vec<Site>, StoreError> {
    let mut statement =
        connection.prepare_cached(&format!("{SELECT} ORDER BY sites.created_at, sites.id"))?;
    let rows = statement.query_map([], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The sites that were made with a preview, oldest first.
pub fn list_by_preview(connection: &Connection, preview: PreviewId) -> Result<Vec<Site>, StoreError> {
    let mut statement = connection
        .prepare_cached(&format!("{SELECT} AND sites.preview_id = ?1 ORDER BY sites.created_at, sites.id"))?;
    let rows = statement.query_map([preview], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Adds a site; [`StoreError::Exists`] when there is one of the domain.
pub fn insert(tx: &Tx<'_>, site: &Site) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO sites (id, domain, organization_id, preview_id, description, labels, created_at, updated_at)
         VALUES (:id, :domain, :organization_id, :preview_id, :description, :labels, :created_at, :updated_at)",
    )?
    .execute(named_params! {
        ":id": site.id,
        ":domain": site.domain,
        ":organization_id": site.organization.id,
        ":preview_id": site.preview,
        ":description": site.description,
        ":labels": site.labels,
        ":created_at": site.created_at,
        ":updated_at": site.updated_at,
    })?;
    Ok(())
}

/// Stores description, labels and the time of the change.
pub fn update(tx: &Tx<'_>, site: &Site) -> Result<(), StoreError> {
    tx.prepare_cached("UPDATE sites SET description = ?2, labels = ?3, updated_at = ?4 WHERE id = ?1")?
        .execute((site.id, &site.description, &site.labels, site.updated_at))?;
    Ok(())
}

/// Hides a site from every reader; its domain is free again.
pub fn mark_deleted(tx: &Tx<'_>, id: SiteId) -> Result<(), StoreError> {
    tx.prepare_cached("UPDATE sites SET deleted_at = ?2 WHERE id = ?1 AND deleted_at IS NULL")?
        .execute((id, tx.now()))?;
    Ok(())
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Site> {
    Ok(Site {
        id: row.get("id")?,
        domain: row.get("domain")?,
        organization: SiteOrganization {
            id: row.get("organization_id")?,
            name: row.get("organization_name")?,
        },
        preview: row.get("preview_id")?,
        description: row.get("description")?,
        labels: row.get("labels")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    })
}
