//! Dynos: restarting them, and signals to them. They are made and removed by the reconciler only.

use super::{Error, apps, formations};
use crate::model::dyno::Dyno;
use crate::model::event::Event;
use crate::model::formation::Formation;
use crate::model::ids::{AppId, DynoId};
use crate::model::names::ProcessType;
use crate::model::principal::Principal;
use crate::model::rule::shown;
use crate::model::signal::Signal;
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

/// Replaces one dyno by a new one.
pub async fn restart_one(store: &Store, author: &Principal, app: AppId, text: String) -> Result<Dyno, Error> {
    store
        .write(author, move |tx| {
            apps::still(tx, app)?;
            let dyno = find(tx, app, &text)?;
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
    let lower = text.to_ascii_lowercase();
    let matches = |dyno: &Dyno| {
        let (process_type, name) = (dyno.process_type.as_str(), dyno.name.as_str());
        name == lower
            || lower.split_once('.') == Some((process_type, name))
            || DynoId::of(&dyno.name).to_string() == lower
    };
    let dynos = store::dynos::list(connection, app)?;
    let unknown = || Error::NotFound(format!("The dyno {} does not exist.", shown(text)));
    dynos.into_iter().find(matches).ok_or_else(unknown)
}

/// A formation with a higher count has other dynos, which the reconciler rolls to.
fn count_restart(tx: &Tx<'_>, mut formation: Formation) -> Result<(), Error> {
    formation.restarts = formation.restarts.wrapping_add(1);
    store::formations::update(tx, &formation)?;
    Ok(())
}
