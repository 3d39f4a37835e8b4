//! Hooks: naming one, making, changing and removing it, and its results.

use super::{Error, apps};
use crate::ids::Ids;
use crate::model::RuleError;
use crate::model::event::Event;
use crate::model::hook::{HOOK_LIMIT, Hook, HookEvents, HookHealth, HookSecret};
use crate::model::hook_delivery::Delivery;
use crate::model::hook_url::HookUrl;
use crate::model::ids::{AppId, DeliveryId, HookId};
use crate::model::principal::Principal;
use crate::seal::Sealer;
use crate::store::{self, Connection, Store};

/// Results that are listed at most; more are kept.
const RESULTS_LISTED: u32 = 100;

/// A hook to be made, as the client wrote it.
#[derive(Clone)]
pub struct NewHook {
    pub url: String,
    pub events: Vec<String>,
    pub secret: String,
    pub active: bool,
}

/// What to change of a hook; `None` leaves what is.
#[derive(Clone, Default)]
pub struct HookChange {
    pub url: Option<String>,
    pub events: Option<Vec<String>>,
    pub secret: Option<String>,
    pub active: Option<bool>,
}

/// What a hook's change sets, checked.
struct CheckedChange {
    url: Option<HookUrl>,
    events: Option<HookEvents>,
    secret: Option<HookSecret>,
    active: Option<bool>,
}

/// The hook of that id, if it is one of the app.
pub fn resolve(connection: &Connection, sealer: &Sealer, app: AppId, id: HookId) -> Result<Hook, Error> {
    let found = store::hooks::find(connection, sealer, id)?.filter(|hook| hook.app_id == app);
    found.ok_or_else(|| Error::NotFound(format!("The hook {id} does not exist for this app.")))
}

/// The newest results of a hook, oldest first.
pub fn results(
    connection: &Connection,
    sealer: &Sealer,
    app: AppId,
    hook: HookId,
) -> Result<(Hook, Vec<Delivery>), Error> {
    let hook = resolve(connection, sealer, app, hook)?;
    let results = store::hook_deliveries::list_begun(connection, sealer, hook.id, RESULTS_LISTED)?;
    Ok((hook, results))
}

/// One result of a hook.
pub fn result(
    connection: &Connection,
    sealer: &Sealer,
    app: AppId,
    (hook, id): (HookId, DeliveryId),
) -> Result<(Hook, Delivery), Error> {
    let hook = resolve(connection, sealer, app, hook)?;
    let found = store::hook_deliveries::find(connection, sealer, id)?;
    let found = found.filter(|delivery| delivery.hook_id == hook.id);
    let delivery =
        found.ok_or_else(|| Error::NotFound(format!("The result {id} does not exist for this hook.")))?;
    Ok((hook, delivery))
}

/// Makes a hook.
pub async fn create(
    store: &Store,
    (sealer, ids): (&Sealer, &Ids),
    author: &Principal,
    app: AppId,
    new: NewHook,
) -> Result<Hook, Error> {
    let events = HookEvents::parse(&new.events)?;
    let url = HookUrl::parse(&new.url)?;
    let secret = HookSecret::parse(&new.secret)?;
    let (id, sealer) = (HookId::new(ids.next()), sealer.clone());
    store
        .write(author, move |tx| {
            apps::still(tx, app)?;
            if store::hooks::count(tx, app)? >= HOOK_LIMIT {
                return Err(RuleError::new(format!(
                    "The app has {HOOK_LIMIT} hooks, and more are not taken; delete one first."
                ))
                .into());
            }
            let hook = Hook {
                id,
                app_id: app,
                url,
                secret,
                events,
                active: new.active,
                health: HookHealth::default(),
                created_at: tx.now(),
                updated_at: tx.now(),
            };
            store::hooks::insert(tx, &sealer, &hook)?;
            tx.record(Event::HookCreated { app, hook: id })?;
            Ok(hook)
        })
        .await
}

/// Changes a hook. A change, or any request while its deliveries are suspended, has what waits sent at once.
pub async fn update(
    store: &Store,
    sealer: &Sealer,
    author: &Principal,
    (app, id): (AppId, HookId),
    change: HookChange,
) -> Result<Hook, Error> {
    let sealer = sealer.clone();
    let shown = {
        let sealer = sealer.clone();
        store.read(move |c| resolve(c, &sealer, app, id)).await?.url.shown()
    };
    let change = change.check(&shown)?;
    store
        .write(author, move |tx| {
            apps::still(tx, app)?;
            let old = resolve(tx, &sealer, app, id)?;
            let mut hook = old.clone();
            change.apply(&mut hook);
            hook.health = HookHealth::default();
            if hook != old {
                hook.updated_at = tx.now();
                store::hooks::update(tx, &sealer, &hook)?;
                tx.record(Event::HookUpdated { app, hook: id })?;
            }
            Ok(hook)
        })
        .await
}

/// Removes a hook with its results and with what waits for it.
pub async fn delete(
    store: &Store,
    sealer: &Sealer,
    author: &Principal,
    (app, id): (AppId, HookId),
) -> Result<Hook, Error> {
    let sealer = sealer.clone();
    store
        .write(author, move |tx| {
            let hook = resolve(tx, &sealer, app, id)?;
            store::hooks::remove(tx, id)?;
            tx.record(Event::HookDeleted { app, hook: id })?;
            Ok(hook)
        })
        .await
}

impl HookChange {
    /// An address that is sent back as it was shown stays what it is.
    fn check(self, shown: &str) -> Result<CheckedChange, RuleError> {
        Ok(CheckedChange {
            url: self.url.filter(|url| url != shown).as_deref().map(HookUrl::parse).transpose()?,
            events: self.events.as_deref().map(HookEvents::parse).transpose()?,
            secret: self.secret.as_deref().map(HookSecret::parse).transpose()?,
            active: self.active,
        })
    }
}

impl CheckedChange {
    fn apply(self, hook: &mut Hook) {
        if let Some(url) = self.url {
            hook.url = url;
        }
        if let Some(events) = self.events {
            hook.events = events;
        }
        if let Some(secret) = self.secret {
            hook.secret = secret;
        }
        hook.active = self.active.unwrap_or(hook.active);
    }
}
