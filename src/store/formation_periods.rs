//! How many dynos of what size an app ran from when to when: what invoices are made of.

use std::sync::Arc;

use rusqlite::{Connection, Row, named_params};

use super::{StoreError, Tx};
use crate::model::formation::Formation;
use crate::model::ids::{AppId, FormationId, OrganizationId, SpaceId};
use crate::model::invoice::FormationPeriod;
use crate::model::principal::Memberships;
use crate::model::time::Timestamp;

/// Whose apps are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BillingScope {
    pub area: BillingArea,
    /// Only those of these organizations.
    pub within: Option<Arc<Memberships>>,
}

/// Where the apps are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BillingArea {
    All,
    Organization(OrganizationId),
    Space(SpaceId),
}

/// When the first app of the scope was made, deleted ones included; `None` when there was none.
pub fn first_app_at(connection: &Connection, scope: &BillingScope) -> Result<Option<Timestamp>, StoreError> {
    let (organization, space) = scope.area.columns();
    let mut statement = connection.prepare_cached(
        "SELECT min(created_at) FROM apps
         WHERE (?1 IS NULL OR organization_id = ?1) AND (?2 IS NULL OR space_id = ?2)
           AND (?3 IS NULL OR organization_id IN (SELECT unhex(value) FROM json_each(?3)))",
    )?;
    Ok(statement.query_row((organization, space, &scope.within), |row| row.get(0))?)
}

/// The periods of the scope that overlap the time from `from` to `to`, oldest first.
pub fn list(
    connection: &Connection,
    scope: &BillingScope,
    (from, to): (Timestamp, Timestamp),
) -> Result<Vec<FormationPeriod>, StoreError> {
    let (organization, space) = scope.area.columns();
    let mut statement = connection.prepare_cached(
        "SELECT apps.name AS app, spaces.name AS space, organizations.name AS organization,
                formations.process_type, period.size, period.quantity, period.started_at, period.ended_at
         FROM formation_periods AS period
         JOIN formations ON formations.id = period.formation_id
         JOIN apps ON apps.id = formations.app_id
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

/// Begins a new period when size or quantity are others than before.
pub(super) fn note(tx: &Tx<'_>, formation: &Formation) -> Result<(), StoreError> {
    let mut statement = tx.prepare_cached(
        "SELECT count(*) FROM formation_periods
         WHERE formation_id = ?1 AND ended_at IS NULL AND size = ?2 AND quantity = ?3",
    )?;
    let same: u32 =
        statement.query_row((formation.id, &formation.size, formation.quantity), |row| row.get(0))?;
    if same > 0 {
        return Ok(());
    }
    end(tx, formation.id)?;
    if formation.quantity.get() > 0 {
        tx.prepare_cached(
            "INSERT INTO formation_periods (formation_id, size, quantity, started_at) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute((formation.id, &formation.size, formation.quantity, tx.now()))?;
    }
    Ok(())
}

/// Ends the open period of a formation, if there is one.
pub(super) fn end(tx: &Tx<'_>, formation: FormationId) -> Result<(), StoreError> {
    tx.prepare_cached(
        "UPDATE formation_periods SET ended_at = ?2 WHERE formation_id = ?1 AND ended_at IS NULL",
    )?
    .execute((formation, tx.now()))?;
    Ok(())
}

/// Ends the open periods of an app that is being deleted.
pub(super) fn end_of_app(tx: &Tx<'_>, app: AppId) -> Result<(), StoreError> {
    tx.prepare_cached(
        "UPDATE formation_periods SET ended_at = ?2 WHERE ended_at IS NULL
         AND formation_id IN (SELECT id FROM formations WHERE app_id = ?1)",
    )?
    .execute((app, tx.now()))?;
    Ok(())
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<FormationPeriod> {
    Ok(FormationPeriod {
        app: row.get("app")?,
        space: row.get("space")?,
        organization: row.get("organization")?,
        process_type: row.get("process_type")?,
        size: row.get("size")?,
        quantity: row.get("quantity")?,
        started_at: row.get("started_at")?,
        ended_at: row.get("ended_at")?,
    })
}

impl BillingArea {
    pub(super) fn columns(self) -> (Option<OrganizationId>, Option<SpaceId>) {
        match self {
            Self::All => (None, None),
            Self::Organization(id) => (Some(id), None),
            Self::Space(id) => (None, Some(id)),
        }
    }
}
