//! Addons, read together with the app that they belong to and its own attachment.

use std::collections::BTreeSet;

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::{StoreError, Tx, addon_periods};
use crate::model::addon::{Addon, AddonState, PlanReference, ServiceReference};
use crate::model::addon_service::AddonServiceName;
use crate::model::ids::{AddonId, AddonPlanId, AppId};
use crate::model::pipeline::AppReference;
use crate::seal::{SealPlace, Sealed, Sealer};

const SELECT: &str = "SELECT addons.*, own.name AS name, own.is_primary,
        apps.name AS app_name, spaces.name AS space_name, apps.organization_id AS organization_id
    FROM addons JOIN addon_attachments AS own ON own.addon_id = addons.id AND own.is_owned = 1
    JOIN apps ON apps.id = addons.app_id JOIN spaces ON spaces.id = apps.space_id";

/// What a provider must know again of an addon, in a form of its own. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct ProviderData(String);

impl ProviderData {
    /// Takes the text.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself. Not for a log, an event or an error message.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for ProviderData {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[sealed]")
    }
}

/// The addon of that id that was not deleted.
pub fn find(connection: &Connection, id: AddonId) -> Result<Option<Addon>, StoreError> {
    let mut statement =
        connection.prepare_cached(&format!("{SELECT} WHERE addons.id = ?1 AND addons.deleted_at IS NULL"))?;
    Ok(statement.query_row([id], from_row).optional()?)
}

/// The addon of that id, also a deleted one.
pub fn find_any(connection: &Connection, id: AddonId) -> Result<Option<Addon>, StoreError> {
    let mut statement = connection.prepare_cached(&format!("{SELECT} WHERE addons.id = ?1"))?;
    Ok(statement.query_row([id], from_row).optional()?)
}

/// Every addon, oldest first.
pub fn list(connection: &Connection) -> Result<Vec<Addon>, StoreError> {
    let mut statement = connection.prepare_cached(&format!(
        "{SELECT} WHERE addons.deleted_at IS NULL ORDER BY addons.created_at, addons.id"
    ))?;
    let rows = statement.query_map([], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The addons that belong to an app, oldest first.
pub fn list_by_app(connection: &Connection, app: AppId) -> Result<Vec<Addon>, StoreError> {
    let mut statement = connection.prepare_cached(&format!(
        "{SELECT} WHERE addons.app_id = ?1 AND addons.deleted_at IS NULL ORDER BY addons.created_at, addons.id"
    ))?;
    let rows = statement.query_map([app], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The addons of a plan, oldest first.
pub fn list_by_plan(connection: &Connection, plan: AddonPlanId) -> Result<Vec<Addon>, StoreError> {
    let mut statement = connection.prepare_cached(&format!(
        "{SELECT} WHERE addons.plan_id = ?1 AND addons.deleted_at IS NULL ORDER BY addons.created_at, addons.id"
    ))?;
    let rows = statement.query_map([plan], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The services of which an app uses an addon, its own or one of another app.
pub fn service_names(connection: &Connection, app: AppId) -> Result<BTreeSet<AddonServiceName>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT DISTINCT addons.service_name FROM addon_attachments AS used
         JOIN addons ON addons.id = used.addon_id WHERE used.app_id = ?1 AND used.deleted_at IS NULL",
    )?;
    let rows = statement.query_map([app], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Adds an addon; its app's own attachment is to be added in the same transaction.
pub fn insert(tx: &Tx<'_>, addon: &Addon) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO addons (id, app_id, service_id, service_name, service_reference, provider, plan_id, plan_name,
            plan_reference, plan_price, state, reason, web_url, created_at, updated_at)
         VALUES (:id, :app_id, :service_id, :service_name, :service_reference, :provider, :plan_id, :plan_name,
            :plan_reference, :plan_price, :state, :reason, :web_url, :created_at, :updated_at)",
    )?
    .execute(named_params! {
        ":id": addon.id,
        ":app_id": addon.app.id,
        ":service_id": addon.service.id,
        ":service_name": addon.service.name,
        ":service_reference": addon.service.reference,
        ":provider": addon.service.provider.to_string(),
        ":plan_id": addon.plan.id,
        ":plan_name": addon.plan.name,
        ":plan_reference": addon.plan.reference,
        ":plan_price": addon.plan.price,
        ":state": addon.state,
        ":reason": addon.reason,
        ":web_url": addon.web_url,
        ":created_at": addon.created_at,
        ":updated_at": addon.updated_at,
    })?;
    Ok(())
}

/// Stores how far it is: state, reason, plan and where its provider shows it. What it costs begins when it is
/// provisioned and ends when it failed or was deleted.
pub fn update(tx: &Tx<'_>, addon: &Addon) -> Result<(), StoreError> {
    tx.prepare_cached(
        "UPDATE addons SET state = :state, reason = :reason, plan_id = :plan_id, plan_name = :plan_name,
            plan_reference = :plan_reference, plan_price = :plan_price, web_url = :web_url, updated_at = :now
         WHERE id = :id",
    )?
    .execute(named_params! {
        ":id": addon.id,
        ":state": addon.state,
        ":reason": addon.reason,
        ":plan_id": addon.plan.id,
        ":plan_name": addon.plan.name,
        ":plan_reference": addon.plan.reference,
        ":plan_price": addon.plan.price,
        ":web_url": addon.web_url,
        ":now": tx.now(),
    })?;
    match addon.state {
        AddonState::Provisioned | AddonState::Updating => addon_periods::note(tx, addon),
        AddonState::Failed | AddonState::Deprovisioning => addon_periods::end(tx, addon.id),
        AddonState::Provisioning => Ok(()),
    }
}

/// What its provider must know again, opened.
pub fn data(
    connection: &Connection,
    sealer: &Sealer,
    id: AddonId,
) -> Result<Option<ProviderData>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT data FROM addons WHERE id = ?1")?;
    let sealed: Option<Option<Sealed>> = statement.query_row([id], |row| row.get("data")).optional()?;
    let open = |sealed: Sealed| sealer.open_text(place(&id.to_string()), &sealed).map(ProviderData);
    Ok(sealed.flatten().map(open).transpose()?)
}

/// Stores what its provider must know again.
pub fn set_data(tx: &Tx<'_>, sealer: &Sealer, id: AddonId, data: &ProviderData) -> Result<(), StoreError> {
    let sealed = sealer.seal(place(&id.to_string()), data.reveal())?;
    tx.prepare_cached("UPDATE addons SET data = ?2 WHERE id = ?1")?.execute((id, sealed))?;
    Ok(())
}

/// Hides an addon from every reader; its provider still has to take it away.
pub fn mark_deleted(tx: &Tx<'_>, id: AddonId) -> Result<(), StoreError> {
    tx.prepare_cached(
        "UPDATE addons SET state = 'deprovisioning', deleted_at = ?2, updated_at = ?2
         WHERE id = ?1 AND deleted_at IS NULL",
    )?
    .execute((id, tx.now()))?;
    addon_periods::end(tx, id)
}

fn place(row: &str) -> SealPlace<'_> {
    SealPlace { table: "addons", row, column: "data" }
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Addon> {
    let provider: String = row.get("provider")?;
    let provider = provider
        .parse()
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(error)))?;
    Ok(Addon {
        id: row.get("id")?,
        name: row.get("name")?,
        app: AppReference {
            id: row.get("app_id")?,
            name: row.get("app_name")?,
            space: row.get("space_name")?,
            organization: row.get("organization_id")?,
        },
        service: ServiceReference {
            id: row.get("service_id")?,
            name: row.get("service_name")?,
            reference: row.get("service_reference")?,
            provider,
        },
        plan: PlanReference {
            id: row.get("plan_id")?,
            name: row.get("plan_name")?,
            reference: row.get("plan_reference")?,
            price: row.get("plan_price")?,
        },
        is_primary: row.get("is_primary")?,
        state: row.get("state")?,
        reason: row.get("reason")?,
        web_url: row.get("web_url")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    })
}
