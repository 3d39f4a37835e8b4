//! Config vars. Their values are sealed; only who holds the [`Sealer`] can read them.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension};

use super::{StoreError, Tx};
use crate::model::config_var::{ConfigValue, ConfigVars};
use crate::model::ids::AppId;
use crate::model::names::ConfigVarName;
use crate::seal::{SealPlace, Sealed, Sealer};

/// The config vars of an app, opened.
pub fn list(connection: &Connection, sealer: &Sealer, app: AppId) -> Result<ConfigVars, StoreError> {
    let mut statement = connection.prepare_cached("SELECT name, value FROM config_vars WHERE app_id = ?1")?;
    let rows = statement.query_map([app], |row| Ok((row.get("name")?, row.get("value")?)))?;
    let mut vars = ConfigVars::new();
    for row in rows {
        let (name, sealed): (ConfigVarName, Sealed) = row?;
        let value = sealer.open_text(place(&app.to_string(), &name), &sealed)?;
        vars.insert(name, ConfigValue::from_stored(value));
    }
    Ok(vars)
}

/// The config vars of an app's dynos: the app's own, and those that it has because of its addons, which win.
pub fn effective(connection: &Connection, sealer: &Sealer, app: AppId) -> Result<ConfigVars, StoreError> {
    let mut vars = list(connection, sealer, app)?;
    let brought = super::addon_attachments::variables(connection, sealer, app)?;
    vars.extend(brought.into_iter().map(|(name, variable)| (name, variable.value)));
    Ok(vars)
}

/// The names of an app's config vars, which need no opening.
pub fn names(connection: &Connection, app: AppId) -> Result<BTreeSet<ConfigVarName>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT name FROM config_vars WHERE app_id = ?1")?;
    let rows = statement.query_map([app], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// A live app that has config vars, if any has.
pub fn first_app(connection: &Connection) -> Result<Option<AppId>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT app_id FROM config_vars JOIN apps ON apps.id = app_id WHERE apps.deleted_at IS NULL LIMIT 1",
    )?;
    Ok(statement.query_row([], |row| row.get(0)).optional()?)
}

/// Sets a config var.
pub fn set(
    tx: &Tx<'_>,
    sealer: &Sealer,
    app: AppId,
    name: &ConfigVarName,
    value: &ConfigValue,
) -> Result<(), StoreError> {
    let sealed = sealer.seal(place(&app.to_string(), name), value.reveal())?;
    tx.prepare_cached(
        "INSERT INTO config_vars (app_id, name, value, updated_at) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (app_id, name) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at",
    )?
    .execute((app, name, sealed, tx.now()))?;
    Ok(())
}

/// Removes a config var; nothing happens when there is none.
pub fn remove(tx: &Tx<'_>, app: AppId, name: &ConfigVarName) -> Result<(), StoreError> {
    tx.prepare_cached("DELETE FROM config_vars WHERE app_id = ?1 AND name = ?2")?.execute((app, name))?;
    Ok(())
}

fn place<'a>(app: &'a str, name: &'a ConfigVarName) -> SealPlace<'a> {
    SealPlace { table: "config_vars", row: app, column: name.as_str() }
}
