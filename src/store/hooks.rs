//! Hooks. Address and secret are sealed; only who holds the [`Sealer`] can read them.

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::{StoreError, Tx};
use crate::model::hook::{Hook, HookEvents, HookHealth, HookSecret};
use crate::model::hook_url::HookUrl;
use crate::model::ids::{AppId, HookId};
use crate::seal::{SealPlace, Sealed, Sealer};

/// What an active hook asked for.
#[derive(Debug, Clone)]
pub struct Subscription {
    pub hook: HookId,
    pub events: HookEvents,
    /// Deliveries in its queue.
    pub waiting: u32,
}

/// The hook of that id.
pub fn find(connection: &Connection, sealer: &Sealer, id: HookId) -> Result<Option<Hook>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM hooks WHERE id = ?1")?;
    let row = statement.query_row([id], StoredHook::from_row).optional()?;
    row.map(|row| row.open(sealer)).transpose()
}

/// The hooks of an app, oldest first.
pub fn list(connection: &Connection, sealer: &Sealer, app: AppId) -> Result<Vec<Hook>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT * FROM hooks WHERE app_id = ?1 ORDER BY created_at, id")?;
    let rows = statement.query_map([app], StoredHook::from_row)?;
    rows.map(|row| row?.open(sealer)).collect()
}

/// The subscriptions of an app's active hooks, which need no opening.
pub fn list_subscriptions(connection: &Connection, app: AppId) -> Result<Vec<Subscription>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT id, events, waiting FROM hooks WHERE app_id = ?1 AND active = 1 ORDER BY created_at, id",
    )?;
    let rows = statement.query_map([app], |row| {
        Ok(Subscription {
            hook: row.get("id")?,
            events: HookEvents::from_stored(&row.get::<_, String>("events")?),
            waiting: row.get("waiting")?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// How many hooks an app has.
pub fn count(connection: &Connection, app: AppId) -> Result<u32, StoreError> {
    let mut statement = connection.prepare_cached("SELECT count(*) FROM hooks WHERE app_id = ?1")?;
    Ok(statement.query_row([app], |row| row.get(0))?)
}

/// Adds a hook.
pub fn insert(tx: &Tx<'_>, sealer: &Sealer, hook: &Hook) -> Result<(), StoreError> {
    let (url, secret) = seal(sealer, hook)?;
    tx.prepare_cached(
        "INSERT INTO hooks (id, app_id, url, secret, events, active, created_at, updated_at)
         VALUES (:id, :app_id, :url, :secret, :events, :active, :created_at, :updated_at)",
    )?
    .execute(named_params! {
        ":id": hook.id,
        ":app_id": hook.app_id,
        ":url": url,
        ":secret": secret,
        ":events": hook.events.to_stored(),
        ":active": hook.active,
        ":created_at": hook.created_at,
        ":updated_at": hook.updated_at,
    })?;
    Ok(())
}

/// Stores what its owner can change and forgets how the endpoint has behaved: what waits is sent at once, unless
/// it is being sent just now.
pub fn update(tx: &Tx<'_>, sealer: &Sealer, hook: &Hook) -> Result<(), StoreError> {
    let (url, secret) = seal(sealer, hook)?;
    tx.prepare_cached(
        "UPDATE hooks SET url = :url, secret = :secret, events = :events, active = :active,
            failures = 0, suspensions = 0, suspended_until = NULL,
            due_at = CASE WHEN leased = 1 OR due_at IS NULL THEN due_at ELSE :updated_at END,
            updated_at = :updated_at
         WHERE id = :id",
    )?
    .execute(named_params! {
        ":id": hook.id,
        ":url": url,
        ":secret": secret,
        ":events": hook.events.to_stored(),
        ":active": hook.active,
        ":updated_at": hook.updated_at,
    })?;
    Ok(())
}

/// Removes a hook, its deliveries and their results.
pub fn remove(tx: &Tx<'_>, id: HookId) -> Result<(), StoreError> {
    tx.prepare_cached("DELETE FROM hooks WHERE id = ?1")?.execute([id])?;
    Ok(())
}

/// Removes the hooks of deleted apps that have nothing left to send.
pub fn remove_of_deleted_apps(tx: &Tx<'_>) -> Result<(), StoreError> {
    tx.prepare_cached(
        "DELETE FROM hooks WHERE (due_at IS NULL OR active = 0)
            AND app_id IN (SELECT id FROM apps WHERE deleted_at IS NOT NULL)",
    )?
    .execute([])?;
    Ok(())
}

fn seal(sealer: &Sealer, hook: &Hook) -> Result<(Sealed, Sealed), StoreError> {
    let row = hook.id.to_string();
    let url = sealer.seal(place(&row, "url"), hook.url.reveal())?;
    Ok((url, sealer.seal(place(&row, "secret"), hook.secret.reveal())?))
}

fn place<'a>(row: &'a str, column: &'a str) -> SealPlace<'a> {
    SealPlace { table: "hooks", row, column }
}

/// A row whose sealed values are still closed: the hook with the stand-ins replaced on opening.
struct StoredHook {
    url: Sealed,
    secret: Sealed,
    open: Hook,
}

impl StoredHook {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let open = Hook {
            id: row.get("id")?,
            app_id: row.get("app_id")?,
            url: HookUrl::from_stored(String::new()),
            secret: HookSecret::from_stored(String::new()),
            events: HookEvents::from_stored(&row.get::<_, String>("events")?),
            active: row.get("active")?,
            health: HookHealth {
                failures: row.get("failures")?,
                suspensions: row.get("suspensions")?,
                suspended_until: row.get("suspended_until")?,
            },
            created_at: row.get("created_at")?,
            updated_at: row.get("updated_at")?,
        };
        Ok(Self { url: row.get("url")?, secret: row.get("secret")?, open })
    }

    fn open(self, sealer: &Sealer) -> Result<Hook, StoreError> {
        let row = self.open.id.to_string();
        let url = HookUrl::from_stored(sealer.open_text(place(&row, "url"), &self.url)?);
        let secret = HookSecret::from_stored(sealer.open_text(place(&row, "secret"), &self.secret)?);
        Ok(Hook { url, secret, ..self.open })
    }
}
