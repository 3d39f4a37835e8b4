//! The schema, forward only: numbered SQL files, each applied in a transaction of its own.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::StoreError;
use super::copy::copy_of;

/// Every migration, in order; the n-th brings `user_version` to n.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_initial.sql"),
    include_str!("migrations/0002_stacks.sql"),
    include_str!("migrations/0003_release_statuses.sql"),
    include_str!("migrations/0004_audits.sql"),
    include_str!("migrations/0005_config_var_notes.sql"),
    include_str!("migrations/0006_formation_periods.sql"),
    include_str!("migrations/0010_pipelines.sql"),
    include_str!("migrations/0020_plugins.sql"),
    include_str!("migrations/0021_favorites.sql"),
    include_str!("migrations/0022_recommendations.sql"),
    include_str!("migrations/0030_accounts.sql"),
    include_str!("migrations/0040_dyno_signals.sql"),
    include_str!("migrations/0035_current_releases.sql"),
    include_str!("migrations/0041_hooks.sql"),
    include_str!("migrations/0043_sites.sql"),
    include_str!("migrations/0046_hook_delivery_authors.sql"),
    include_str!("migrations/0042_log_drains.sql"),
    include_str!("migrations/0044_certificates.sql"),
    include_str!("migrations/0045_deployments.sql"),
    include_str!("migrations/0047_filters.sql"),
    include_str!("migrations/0046_oneoff_dynos.sql"),
    include_str!("migrations/0051_site_drains.sql"),
    include_str!("migrations/0052_previews.sql"),
    include_str!("migrations/0050_auto_builds.sql"),
    include_str!("migrations/0048_addons.sql"),
    include_str!("migrations/0053_app_setups.sql"),
    include_str!("migrations/0049_addon_backups.sql"),
    include_str!("migrations/0054_acme_dns_records.sql"),
    include_str!("migrations/0055_issuer_keys.sql"),
    include_str!("migrations/0056_addon_backup_storage.sql"),
    include_str!("migrations/0057_addon_volumes.sql"),
    include_str!("migrations/0058_events.sql"),
];

/// The schema of a database beside the one that this program knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schema {
    pub found: u32,
    pub known: u32,
}

/// Reads which schema a database has.
pub fn schema(connection: &Connection) -> Result<Schema, StoreError> {
    let found = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    Ok(Schema { found, known: u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX) })
}

/// Brings the schema up to date. Before an existing database changes, a copy is put beside it
/// (`akkerisd.db.v<old version>`).
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let Schema { found, known } = schema(connection)?;
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    if found > 0 && found < known {
        copy_of(connection, &copy_path(path, found))?;
    }
    for (version, sql) in (1_u32..).zip(MIGRATIONS).skip(found as usize) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(sql)?;
        transaction.pragma_update(None, "user_version", version)?;
        transaction.commit()?;
    }
    Ok(())
}

fn copy_path(path: &Path, version: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".v{version}"));
    PathBuf::from(name)
}
