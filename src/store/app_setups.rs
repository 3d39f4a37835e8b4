//! App setups. What one works from is sealed, and forgotten with its last step.

use std::collections::BTreeSet;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, named_params};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::builds::SealedSource;
use super::{StoreError, Tx};
use crate::model::app_setup::{AppSetup, Progress, SetupOrder, SetupStatus};
use crate::model::blueprint::Blueprint;
use crate::model::ids::{AccountId, AppId, AppSetupId, BuildId, OrganizationId};
use crate::model::names::UserName;
use crate::model::principal::{Access, Memberships, Principal, Reach};
use crate::seal::{SealPlace, Sealed, Sealer};

/// The setup of that id, also of a deleted app.
pub fn find(connection: &Connection, id: AppSetupId) -> Result<Option<AppSetup>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM app_setups WHERE id = ?1")?;
    statement.query_row([id], from_row).optional()?.map(Stored::read).transpose()
}

/// What a pending setup works from; `None` when nothing more is done for it.
pub fn find_order(
    connection: &Connection,
    sealer: &Sealer,
    id: AppSetupId,
) -> Result<Option<SetupOrder>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT work FROM app_setups WHERE id = ?1")?;
    let sealed: Option<Sealed> = statement.query_row([id], |row| row.get(0)).optional()?.flatten();
    let Some(sealed) = sealed else { return Ok(None) };
    let text = sealer.open_text(place(&id.to_string()), &sealed)?;
    let written: WrittenOrder =
        serde_json::from_str(&text).map_err(|error| StoreError::Content(error.to_string()))?;
    Ok(Some(written.into_order()))
}

/// The setups for which something is to be done, oldest first.
pub fn list_pending(connection: &Connection) -> Result<Vec<AppSetupId>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT id FROM app_setups WHERE status = 'pending' ORDER BY created_at, id")?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The ids that builds of pending setups get: their uploads precede them.
pub fn list_pending_builds(connection: &Connection) -> Result<Vec<BuildId>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT build_id FROM app_setups WHERE status = 'pending'")?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Whether an app is being set up.
pub fn is_pending(connection: &Connection, app: AppId) -> Result<bool, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM app_setups WHERE app_id = ?1 AND status = 'pending')",
    )?;
    Ok(statement.query_row([app], |row| row.get(0))?)
}

/// Adds a setup and what it works from.
pub fn insert(tx: &Tx<'_>, sealer: &Sealer, setup: &AppSetup, order: &SetupOrder) -> Result<(), StoreError> {
    let work = seal(sealer, setup.id, order)?;
    tx.prepare_cached(
        "INSERT INTO app_setups (id, app_id, build_id, status, done, total, step, failures, manifest_errors,
            success_url, work, created_by, created_at, updated_at)
         VALUES (:id, :app_id, :build_id, :status, :done, :total, :step, :failures, :manifest_errors,
            :success_url, :work, :created_by, :created_at, :updated_at)",
    )?
    .execute(named_params! {
        ":id": setup.id,
        ":app_id": setup.app_id,
        ":build_id": setup.build_id,
        ":status": setup.status,
        ":done": setup.progress.done,
        ":total": setup.progress.total,
        ":step": setup.step,
        ":failures": json(&setup.failures)?,
        ":manifest_errors": json(&setup.manifest_errors)?,
        ":success_url": setup.success_url,
        ":work": work,
        ":created_by": setup.created_by,
        ":created_at": setup.created_at,
        ":updated_at": setup.updated_at,
    })?;
    Ok(())
}

/// Stores how far a setup is. What it works from goes when it is pending no more.
pub fn update(tx: &Tx<'_>, setup: &AppSetup) -> Result<(), StoreError> {
    tx.prepare_cached(
        "UPDATE app_setups SET status = :status, done = :done, total = :total, step = :step, failures = :failures,
            manifest_errors = :manifest_errors, success_url = :success_url, postdeploy = :postdeploy,
            work = CASE WHEN :status = 'pending' THEN work END, updated_at = :updated_at
         WHERE id = :id",
    )?
    .execute(named_params! {
        ":id": setup.id,
        ":status": setup.status,
        ":done": setup.progress.done,
        ":total": setup.progress.total,
        ":step": setup.step,
        ":failures": json(&setup.failures)?,
        ":manifest_errors": json(&setup.manifest_errors)?,
        ":success_url": setup.success_url,
        ":postdeploy": setup.postdeploy,
        ":updated_at": setup.updated_at,
    })?;
    Ok(())
}

/// Replaces what a pending setup works from.
pub fn set_order(tx: &Tx<'_>, sealer: &Sealer, id: AppSetupId, order: &SetupOrder) -> Result<(), StoreError> {
    tx.prepare_cached("UPDATE app_setups SET work = ?2 WHERE id = ?1 AND work IS NOT NULL")?
        .execute((id, seal(sealer, id, order)?))?;
    Ok(())
}

/// The sealed form of an order.
#[derive(Serialize, Deserialize)]
struct WrittenOrder {
    user: String,
    elevated: bool,
    /// The account and its organizations where the reach ends there.
    within: Option<(Uuid, BTreeSet<Uuid>)>,
    #[serde(default)]
    narrowed: bool,
    blueprint: Blueprint,
    source: Option<SealedSource>,
    postdeploy: Option<String>,
    unread: bool,
}

impl WrittenOrder {
    fn of(order: &SetupOrder) -> Self {
        let within = match &order.author.reach {
            Reach::Everything => None,
            Reach::Organizations(own) => {
                let organizations = own.organizations.iter().map(|id| id.uuid()).collect();
                Some((own.account.uuid(), organizations))
            }
        };
        Self {
            user: order.author.user.to_string(),
            elevated: order.author.is_elevated(),
            within,
            narrowed: order.author.reach.memberships().is_some_and(|own| own.narrowed),
            blueprint: order.blueprint.clone(),
            source: SealedSource::of(&order.source),
            postdeploy: order.postdeploy.clone(),
            unread: order.unread,
        }
    }

    fn into_order(self) -> SetupOrder {
        let reach = self.within.map_or(Reach::Everything, |(account, organizations)| {
            Reach::Organizations(Arc::new(Memberships {
                account: AccountId::new(account),
                organizations: organizations.into_iter().map(OrganizationId::new).collect(),
                narrowed: self.narrowed,
            }))
        });
        let access = if self.elevated { Access::Elevated } else { Access::Ordinary };
        let user = UserName::from_stored(self.user);
        SetupOrder {
            author: Principal { user, access, reach, grant: None },
            blueprint: self.blueprint,
            source: SealedSource::open(self.source),
            postdeploy: self.postdeploy,
            unread: self.unread,
        }
    }
}

fn seal(sealer: &Sealer, id: AppSetupId, order: &SetupOrder) -> Result<Sealed, StoreError> {
    Ok(sealer.seal(place(&id.to_string()), &json(&WrittenOrder::of(order))?)?)
}

fn place(row: &str) -> SealPlace<'_> {
    SealPlace { table: "app_setups", row, column: "work" }
}

fn json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Content(error.to_string()))
}

/// A row whose lists are still text.
struct Stored {
    setup: AppSetup,
    failures: String,
    manifest_errors: String,
}

impl Stored {
    fn read(self) -> Result<AppSetup, StoreError> {
        let broken = |error: serde_json::Error| StoreError::Content(error.to_string());
        Ok(AppSetup {
            failures: serde_json::from_str(&self.failures).map_err(broken)?,
            manifest_errors: serde_json::from_str(&self.manifest_errors).map_err(broken)?,
            ..self.setup
        })
    }
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Stored> {
    let setup = AppSetup {
        id: row.get("id")?,
        app_id: row.get("app_id")?,
        build_id: row.get("build_id")?,
        status: row.get::<_, SetupStatus>("status")?,
        progress: Progress { done: row.get("done")?, total: row.get("total")? },
        step: row.get("step")?,
        failures: Vec::new(),
        manifest_errors: Vec::new(),
        success_url: row.get("success_url")?,
        postdeploy: row.get("postdeploy")?,
        created_by: row.get("created_by")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    };
    Ok(Stored { setup, failures: row.get("failures")?, manifest_errors: row.get("manifest_errors")? })
}
