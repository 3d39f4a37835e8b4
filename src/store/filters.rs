//! Filters. Their options are sealed; only who holds the [`Sealer`] can read them.

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::{StoreError, Tx};
use crate::model::filter::{Filter, FilterName, FilterOptions, FilterOrganization};
use crate::model::ids::FilterId;
use crate::model::time::Timestamp;
use crate::seal::{SealPlace, Sealed, Sealer};

const SELECT: &str = "SELECT filters.*, organizations.name AS organization_name FROM filters
    JOIN organizations ON organizations.id = filters.organization_id WHERE filters.deleted_at IS NULL";

/// A row whose options are still closed.
pub(super) struct StoredFilter {
    id: FilterId,
    name: FilterName,
    organization: FilterOrganization,
    description: String,
    options: Sealed,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// The filter of that id.
pub fn find(connection: &Connection, sealer: &Sealer, id: FilterId) -> Result<Option<Filter>, StoreError> {
    let mut statement = connection.prepare_cached(&format!("{SELECT} AND filters.id = ?1"))?;
    let row = statement.query_row([id], StoredFilter::from_row).optional()?;
    row.map(|row| row.open(sealer)).transpose()
}

/// The filter of that name.
pub fn find_by_name(
    connection: &Connection,
    sealer: &Sealer,
    name: &FilterName,
) -> Result<Option<Filter>, StoreError> {
    let mut statement = connection.prepare_cached(&format!("{SELECT} AND filters.name = ?1"))?;
    let row = statement.query_row([name], StoredFilter::from_row).optional()?;
    row.map(|row| row.open(sealer)).transpose()
}

/// Every filter, oldest first.
pub fn list(connection: &Connection, sealer: &Sealer) -> Result<Vec<Filter>, StoreError> {
    let mut statement =
        connection.prepare_cached(&format!("{SELECT} ORDER BY filters.created_at, filters.id"))?;
    let rows = statement.query_map([], StoredFilter::from_row)?;
    rows.map(|row| row?.open(sealer)).collect()
}

/// Adds a filter; [`StoreError::Exists`] when there is one of the name.
pub fn insert(tx: &Tx<'_>, sealer: &Sealer, filter: &Filter) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO filters (id, name, organization_id, description, options, created_at, updated_at)
         VALUES (:id, :name, :organization_id, :description, :options, :created_at, :updated_at)",
    )?
    .execute(named_params! {
        ":id": filter.id,
        ":name": filter.name,
        ":organization_id": filter.organization.id,
        ":description": filter.description,
        ":options": seal(sealer, filter)?,
        ":created_at": filter.created_at,
        ":updated_at": filter.updated_at,
    })?;
    Ok(())
}

/// Stores all that can change; [`StoreError::Exists`] when another filter has the name.
pub fn update(tx: &Tx<'_>, sealer: &Sealer, filter: &Filter) -> Result<(), StoreError> {
    tx.prepare_cached(
        "UPDATE filters SET name = :name, organization_id = :organization_id, description = :description,
            options = :options, updated_at = :updated_at
         WHERE id = :id AND deleted_at IS NULL",
    )?
    .execute(named_params! {
        ":id": filter.id,
        ":name": filter.name,
        ":organization_id": filter.organization.id,
        ":description": filter.description,
        ":options": seal(sealer, filter)?,
        ":updated_at": filter.updated_at,
    })?;
    Ok(())
}

/// Hides a filter from every reader; its name is free again, and nothing of its options is kept.
pub fn mark_deleted(tx: &Tx<'_>, id: FilterId) -> Result<(), StoreError> {
    tx.prepare_cached(
        "UPDATE filters SET deleted_at = ?2, options = x'' WHERE id = ?1 AND deleted_at IS NULL",
    )?
    .execute((id, tx.now()))?;
    Ok(())
}

fn seal(sealer: &Sealer, filter: &Filter) -> Result<Sealed, StoreError> {
    let json =
        serde_json::to_string(&filter.options).map_err(|error| StoreError::Content(error.to_string()))?;
    Ok(sealer.seal(place(&filter.id.to_string()), &json)?)
}

fn place(row: &str) -> SealPlace<'_> {
    SealPlace { table: "filters", row, column: "options" }
}

impl StoredFilter {
    /// Reads the columns of `filters` and `organization_name`.
    pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get("id")?,
            name: row.get("name")?,
            organization: FilterOrganization {
                id: row.get("organization_id")?,
                name: row.get("organization_name")?,
            },
            description: row.get("description")?,
            options: row.get("options")?,
            created_at: row.get("created_at")?,
            updated_at: row.get("updated_at")?,
        })
    }

    pub(super) fn open(self, sealer: &Sealer) -> Result<Filter, StoreError> {
        let json = sealer.open_text(place(&self.id.to_string()), &self.options)?;
        // The parser's text could quote what it failed on.
        let unknown = |_| StoreError::Content(format!("the options of the filter {}", self.id));
        let options: FilterOptions = serde_json::from_str(&json).map_err(unknown)?;
        Ok(Filter {
            id: self.id,
            name: self.name,
            organization: self.organization,
            description: self.description,
            options,
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}
