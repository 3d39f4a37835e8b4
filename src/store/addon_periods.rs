//! From when to when an addon had which plan: what invoices are made of.

use rusqlite::{Connection, Row, named_params};

use super::formation_periods::BillingScope;
use super::{StoreError, Tx};
use crate::model::addon::Addon;
use crate::model::ids::AddonId;
use crate::model::invoice::AddonPeriod;
use crate::model::time::Timestamp;

/// The periods of the scope that overlap the time from `from` to `to`, oldest first.
pub fn list(
    connection: &Connection,
    scope: &BillingScope,
    (from, to): (Timestamp, Timestamp),
) -> Result<Vec<AddonPeriod>, StoreError> {
    let (organization, space) = scope.area.columns();
    let mut statement = connection.prepare_cached(
        "SELECT apps.name AS app, spaces.name AS space, organizations.name AS organization,
                period.plan_name, period.price, period.started_at, period.ended_at
         FROM addon_periods AS period
         JOIN addons ON addons.id = period.addon_id
         JOIN apps ON apps.id = addons.app_id
         JOIN spaces ON spaces.id = apps.space_id
         JOIN organizations ON organizations.id = apps.organization_id
         WHERE period.started_at <= :to AND (period.ended_at IS NULL OR period.ended_at >= :from)
           AND (:organization IS NULL OR apps.organization_id = :organization)
           AND (:space IS NULL OR apps.space_id = :space)
           AND (:within IS NULL OR apps.organization_id IN (SELECT unhex(value) FROM json_each(:within)))
         ORDER BY period.started_at, period.id",
    )?;
    let asked = named_params! {
        ":from": from, ":to": to, ":organization": organization, ":space": space, ":within": scope.within,
    };
    let rows = statement.query_map(asked, from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Begins a new period when plan or price are others than before.
pub(super) fn note(tx: &Tx<'_>, addon: &Addon) -> Result<(), StoreError> {
    let mut statement = tx.prepare_cached(
        "SELECT count(*) FROM addon_periods
         WHERE addon_id = ?1 AND ended_at IS NULL AND plan_name = ?2 AND price = ?3",
    )?;
    let same: u32 = statement.query_row((addon.id, &addon.plan.name, addon.plan.price), |row| row.get(0))?;
    if same > 0 {
        return Ok(());
    }
    end(tx, addon.id)?;
    tx.prepare_cached(
        "INSERT INTO addon_periods (addon_id, plan_name, price, started_at) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute((addon.id, &addon.plan.name, addon.plan.price, tx.now()))?;
    Ok(())
}

/// Ends the open period of an addon, if there is one.
pub(super) fn end(tx: &Tx<'_>, addon: AddonId) -> Result<(), StoreError> {
    tx.prepare_cached("UPDATE addon_periods SET ended_at = ?2 WHERE addon_id = ?1 AND ended_at IS NULL")?
        .execute((addon, tx.now()))?;
    Ok(())
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<AddonPeriod> {
    Ok(AddonPeriod {
        app: row.get("app")?,
        space: row.get("space")?,
        organization: row.get("organization")?,
        plan: row.get("plan_name")?,
        price: row.get("price")?,
        started_at: row.get("started_at")?,
        ended_at: row.get("ended_at")?,
    })
}
