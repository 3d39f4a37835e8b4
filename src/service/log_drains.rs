//! Log drains: naming one, making and removing it.

use super::{Error, apps};
use crate::ids::Ids;
use crate::model::RuleError;
use crate::model::drain_url::DrainUrl;
use crate::model::event::Event;
use crate::model::ids::{AppId, LogDrainId};
use crate::model::log_drain::{DrainProgress, DrainToken, LOG_DRAIN_LIMIT, LogDrain};
use crate::model::principal::Principal;
use crate::seal::Sealer;
use crate::store::{self, Connection, Store, Tx};

/// The drain of that id, if it is one of the app.
pub fn resolve(
    connection: &Connection,
    sealer: &Sealer,
    app: AppId,
    id: LogDrainId,
) -> Result<LogDrain, Error> {
    let found = store::log_drains::find(connection, sealer, id)?.filter(|drain| drain.app_id == app);
    found.ok_or_else(|| Error::NotFound(format!("The log drain {id} does not exist for this app.")))
}

/// Makes a drain, which begins with the line after it (reading 16: 422 for the url, then a conflict).
pub async fn create(
    store: &Store,
    (sealer, ids): (&Sealer, &Ids),
    author: &Principal,
    app: AppId,
    url: &str,
) -> Result<LogDrain, Error> {
    let url = DrainUrl::parse(url)?;
    let token = DrainToken::new(uuid::Uuid::new_v4());
    let (id, sealer) = (LogDrainId::new(ids.next()), sealer.clone());
    store
        .write(author, move |tx| {
            apps::still(tx, app)?;
            add(tx, &sealer, (app, id), (url, token))
        })
        .await
}

/// Makes a drain in the caller's transaction.
pub(super) fn add(
    tx: &mut Tx<'_>,
    sealer: &Sealer,
    (app, id): (AppId, LogDrainId),
    (url, token): (DrainUrl, DrainToken),
) -> Result<LogDrain, Error> {
    let others = store::log_drains::list(tx, sealer, app)?;
    if others.iter().any(|other| other.url.is_same(&url)) {
        return Err(Error::Conflict(format!("The app has a log drain to {} already.", url.shown())));
    }
    if others.len() >= LOG_DRAIN_LIMIT {
        return Err(RuleError::new(format!(
            "The app has {LOG_DRAIN_LIMIT} log drains, and more are not taken; delete one first."
        ))
        .into());
    }
    let drain = LogDrain {
        id,
        app_id: app,
        url,
        token,
        progress: DrainProgress::default(),
        created_at: tx.now(),
        updated_at: tx.now(),
    };
    store::log_drains::insert(tx, sealer, &drain)?;
    tx.record(Event::LogDrainCreated { app, drain: id })?;
    Ok(drain)
}

/// Removes a drain; what it has not sent stays in the app's log only.
pub async fn delete(
    store: &Store,
    sealer: &Sealer,
    author: &Principal,
    (app, id): (AppId, LogDrainId),
) -> Result<LogDrain, Error> {
    let sealer = sealer.clone();
    store
        .write(author, move |tx| {
            let drain = resolve(tx, &sealer, app, id)?;
            // Hooks are told the address, which is read when the event is recorded.
            tx.record(Event::LogDrainDeleted { app, drain: id })?;
            store::log_drains::remove(tx, id)?;
            Ok(drain)
        })
        .await
}
