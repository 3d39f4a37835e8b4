//! Log drains: naming one, making and removing it.

use super::{Error, apps, sites};
use crate::ids::Ids;
use crate::model::RuleError;
use crate::model::drain_url::DrainUrl;
use crate::model::event::Event;
use crate::model::ids::LogDrainId;
use crate::model::log::LogOwner;
use crate::model::log_drain::{DrainProgress, DrainToken, LOG_DRAIN_LIMIT, LogDrain};
use crate::model::principal::Principal;
use crate::seal::Sealer;
use crate::store::{self, Connection, Store, Tx};

/// The drain of that id, if it is one of the app or the site.
pub fn resolve(
    connection: &Connection,
    sealer: &Sealer,
    owner: LogOwner,
    id: LogDrainId,
) -> Result<LogDrain, Error> {
    let found = store::log_drains::find(connection, sealer, id)?.filter(|drain| drain.owner == owner);
    let unknown = || Error::NotFound(format!("The log drain {id} does not exist for this {}.", noun(owner)));
    found.ok_or_else(unknown)
}

/// Makes a drain, which begins with the line after it (reading 16: 422 for the url, then a conflict).
pub async fn create(
    store: &Store,
    (sealer, ids): (&Sealer, &Ids),
    author: &Principal,
    owner: LogOwner,
    url: &str,
) -> Result<LogDrain, Error> {
    let url = DrainUrl::parse(url)?;
    let token = DrainToken::new(uuid::Uuid::new_v4());
    let (id, sealer) = (LogDrainId::new(ids.next()), sealer.clone());
    store.write(author, move |tx| add(tx, &sealer, (owner, id), (url, token))).await
}

/// Makes a drain in the caller's transaction.
pub(super) fn add(
    tx: &mut Tx<'_>,
    sealer: &Sealer,
    (owner, id): (LogOwner, LogDrainId),
    (url, token): (DrainUrl, DrainToken),
) -> Result<LogDrain, Error> {
    still(tx, owner)?;
    let others = store::log_drains::list(tx, sealer, owner)?;
    if others.iter().any(|other| other.url.is_same(&url)) {
        let (noun, url) = (noun(owner), url.shown());
        return Err(Error::Conflict(format!("The {noun} has a log drain to {url} already.")));
    }
    if others.len() >= LOG_DRAIN_LIMIT {
        return Err(RuleError::new(format!(
            "The {} has {LOG_DRAIN_LIMIT} log drains, and more are not taken; delete one first.",
            noun(owner)
        ))
        .into());
    }
    let drain = LogDrain {
        id,
        owner,
        url,
        token,
        progress: DrainProgress::default(),
        created_at: tx.now(),
        updated_at: tx.now(),
    };
    store::log_drains::insert(tx, sealer, &drain)?;
    tx.record(match owner {
        LogOwner::App(app) => Event::LogDrainCreated { app, drain: id },
        LogOwner::Site(site) => Event::SiteLogDrainCreated { site, drain: id },
    })?;
    Ok(drain)
}

/// Removes a drain; what it has not sent is not sent any more.
pub async fn delete(
    store: &Store,
    sealer: &Sealer,
    author: &Principal,
    (owner, id): (LogOwner, LogDrainId),
) -> Result<LogDrain, Error> {
    let sealer = sealer.clone();
    store
        .write(author, move |tx| {
            let drain = resolve(tx, &sealer, owner, id)?;
            // Hooks are told the address, which is read when the event is recorded.
            tx.record(match owner {
                LogOwner::App(app) => Event::LogDrainDeleted { app, drain: id },
                LogOwner::Site(site) => Event::SiteLogDrainDeleted { site, drain: id },
            })?;
            store::log_drains::remove(tx, id)?;
            Ok(drain)
        })
        .await
}

fn still(tx: &Tx<'_>, owner: LogOwner) -> Result<(), Error> {
    match owner {
        LogOwner::App(app) => apps::still(tx, app).map(drop),
        LogOwner::Site(site) => sites::still(tx, site).map(drop),
    }
}

fn noun(owner: LogOwner) -> &'static str {
    match owner {
        LogOwner::App(_) => "app",
        LogOwner::Site(_) => "site",
    }
}
