//! Dynos: restarting them, and signals to them. They are made and removed by the reconciler only.

use super::{Error, apps, formations, oneoffs};
use crate::model::dyno::Dyno;
use crate::model::event::Event;
use crate::model::formation::Formation;
use crate::model::ids::{AppId, DynoId};
use crate::model::names::{DynoName, ProcessType};
use crate::model::principal::Principal;
use crate::model::rule::shown;
use crate::model::signal::Signal;
use crate::seal::Sealer;
use crate::store::{self, Connection, Store, Tx};

/// Restarts every type of an app, rolling. Nothing to restart is fine (`behaviour.md` §6).
pub async fn restart_all(store: &Store, author: &Principal, app: AppId) -> Result<(), Error> {
    store
        .write(author, move |tx| {
            apps::still(tx, app)?;
            for formation in store::formations::list(tx, app)? {
                count_restart(tx, formation)?;
            }
            tx.record(Event::DynosRestarted { app, process_type: None, dyno: None })?;
            Ok(())
        })
        .await
}

/// Restarts one type of an app, rolling.
pub async fn restart_type(
    store: &Store,
    author: &Principal,
    app: AppId,
    process_type: ProcessType,
) -> Result<(), Error> {
    store
        .write(author, move |tx| {
            apps::still(tx, app)?;
            count_restart(tx, formations::find(tx, app, &process_type)?)?;
            tx.record(Event::DynosRestarted { app, process_type: Some(process_type), dyno: None })?;
            Ok(())
        })
        .await
}

/// Replaces one dyno by a new one; a one-off dyno is stopped.
pub async fn restart_one(
    store: &Store,
    sealer: &Sealer,
    author: &Principal,
    (app, text): (AppId, String),
) -> Result<Dyno, Error> {
    let sealer = sealer.clone();
    store
        .write(author, move |tx| {
            apps::still(tx, app)?;
            let dyno = find(tx, app, &text)?;
            let unfinished = store::oneoffs::list_unfinished(tx, &sealer, app)?;
            if let Some(oneoff) = unfinished.iter().find(|oneoff| oneoff.name == dyno.name) {
                oneoffs::stop(tx, oneoff)?;
                return Ok(dyno);
            }
            store::dynos::request_replacement(tx, &dyno.name)?;
            tx.record(Event::DynosRestarted {
                app,
                process_type: Some(dyno.process_type.clone()),
                dyno: Some(dyno.name.clone()),
            })?;
            Ok(dyno)
        })
        .await
}

/// Has a signal sent to all processes of a dyno, as soon as the reconciler looks at its app.
pub async fn signal(
    store: &Store,
    author: &Principal,
    app: AppId,
    text: String,
    signal: Signal,
) -> Result<(), Error> {
    store
        .write(author, move |tx| {
            apps::still(tx, app)?;
            let Dyno { name, process_type, .. } = find(tx, app, &text)?;
            store::dyno_signals::request(tx, &name, signal)?;
            tx.record(Event::DynoSignalled { app, process_type, dyno: name, signal })?;
            Ok(())
        })
        .await
}

/// A dyno of the app by its id, its name, or `type.name`.
pub fn find(connection: &Connection, app: AppId, text: &str) -> Result<Dyno, Error> {
    let matches = |dyno: &Dyno| is_named(&dyno.process_type, &dyno.name, text);
    let dynos = store::dynos::list(connection, app)?;
    let unknown = || Error::NotFound(format!("The dyno {} does not exist.", shown(text)));
    dynos.into_iter().find(matches).ok_or_else(unknown)
}

/// Whether a text means that dyno: its id, its name, or `type.name`.
pub(super) fn is_named(process_type: &ProcessType, name: &DynoName, text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    name.as_str() == lower
        || lower.split_once('.') == Some((process_type.as_str(), name.as_str()))
        || DynoId::of(name).to_string() == lower
}

/// A formation with a higher count has other dynos, which the reconciler rolls to.
fn count_restart(tx: &Tx<'_>, mut formation: Formation) -> Result<(), Error> {
    formation.restarts = formation.restarts.wrapping_add(1);
    store::formations::update(tx, &formation)?;
    Ok(())
}
