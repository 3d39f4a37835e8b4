//! Which features an app has switched on.

use rusqlite::{Connection, OptionalExtension};

use super::{StoreError, Tx};
use crate::model::feature::Feature;
use crate::model::ids::AppId;

/// Whether the feature is on; one that was never set is off.
pub fn is_enabled(connection: &Connection, app: AppId, feature: Feature) -> Result<bool, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT enabled FROM app_features WHERE app_id = ?1 AND feature = ?2")?;
    Ok(statement.query_row((app, feature), |row| row.get(0)).optional()?.unwrap_or(false))
}

/// The features that are on.
pub fn list_enabled(connection: &Connection, app: AppId) -> Result<Vec<Feature>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT feature FROM app_features WHERE app_id = ?1 AND enabled = 1")?;
    let rows = statement.query_map([app], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Switches a feature.
pub fn set(tx: &Tx<'_>, app: AppId, feature: Feature, enabled: bool) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO app_features (app_id, feature, enabled) VALUES (?1, ?2, ?3)
         ON CONFLICT (app_id, feature) DO UPDATE SET enabled = excluded.enabled",
    )?
    .execute((app, feature, enabled))?;
    Ok(())
}
