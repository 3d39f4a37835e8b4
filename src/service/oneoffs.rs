//! One-off dynos: asked for, stopped and looked at. The reconciler makes and removes their containers.

use super::{Error, apps, formations};
use crate::ids::Ids;
use crate::model::RuleError;
use crate::model::app::App;
use crate::model::command::Command;
use crate::model::config_var::ConfigVars;
use crate::model::dyno::{Dyno, DynoState};
use crate::model::event::Event;
use crate::model::formation::Formation;
use crate::model::ids::{AppId, ReleaseId};
use crate::model::names::{DynoName, ProcessType, SizeName};
use crate::model::oneoff::{
    COMMAND_TYPE, LONGEST_RELEASE, LONGEST_RUN, OneOff, Purpose, RUNNING_LIMIT, Terminal,
};
use crate::model::principal::Principal;
use crate::seal::Sealer;
use crate::store::{self, Connection, Store, Tx};

/// Length of the instance part of a dyno's name (`behaviour.md` §6).
const INSTANCE_LENGTH: usize = 5;

/// A one-off dyno as the client asked for it.
#[derive(Debug, Clone)]
pub struct NewOneOff {
    /// A formation with `oneoff`; without it the command is one of its own.
    pub process_type: Option<ProcessType>,
    /// Instead of the formation's.
    pub command: Option<Command>,
    pub size: Option<SizeName>,
    /// Of a command of its own that names no size.
    pub default_size: SizeName,
    pub env: ConfigVars,
    pub terminal: Terminal,
    pub time_limit: std::time::Duration,
}

/// What one-off dynos are made with.
#[derive(Debug, Clone)]
pub struct Maker {
    pub sealer: Sealer,
    pub ids: Ids,
}

/// In `socs` and `prod` spaces a command of one's own needs elevation, because it sees everything that the app does; so
/// do a terminal and an image.
pub fn check_compliance(author: &Principal, app: &App) -> Result<(), Error> {
    if app.space.compliance.needs_elevation() && !author.is_elevated() {
        return Err(Error::Forbidden(format!(
            "Running a command in the space {} needs elevated access, because of its compliance.",
            app.space.name
        )));
    }
    Ok(())
}

/// Asks for a one-off dyno of the current release.
pub async fn create(
    store: &Store,
    maker: &Maker,
    author: &Principal,
    app: &App,
    new: NewOneOff,
) -> Result<(OneOff, Dyno), Error> {
    check_compliance(author, app)?;
    let (app, maker) = (app.id, maker.clone());
    store
        .write(author, move |tx| {
            apps::still(tx, app)?;
            let release = current_release(tx, app)?;
            let oneoff = describe(tx, &maker, (app, release), new)?;
            let dyno = add(tx, &maker.sealer, &oneoff)?;
            Ok((oneoff, dyno))
        })
        .await
}

/// Puts a run of a formation into the caller's transaction: its schedule is due.
pub fn create_scheduled(tx: &mut Tx<'_>, maker: &Maker, formation: &Formation) -> Result<OneOff, Error> {
    let release = current_release(tx, formation.app_id)?;
    let mut oneoff = of_formation(tx, maker, formation, release)?;
    oneoff.purpose = Purpose::Schedule(formation.id);
    add(tx, &maker.sealer, &oneoff)?;
    Ok(oneoff)
}

/// Puts a run of a command into the caller's transaction, on the current release and detached.
pub(super) fn create_command(
    tx: &mut Tx<'_>,
    maker: &Maker,
    app: AppId,
    (command, size): (Command, SizeName),
) -> Result<OneOff, Error> {
    let release = current_release(tx, app)?;
    let mut oneoff = blank(tx, maker, (app, release), (ProcessType::parse(COMMAND_TYPE)?, size));
    oneoff.command = Some(command);
    add(tx, &maker.sealer, &oneoff)?;
    Ok(oneoff)
}

/// Puts the run of a release's command into the caller's transaction; nothing where it is there already.
pub fn create_of_release(
    tx: &mut Tx<'_>,
    maker: &Maker,
    (app, release): (AppId, ReleaseId),
    (process_type, command, size): (ProcessType, Command, SizeName),
) -> Result<(), Error> {
    if store::oneoffs::find_of_release(tx, &maker.sealer, release)?.is_some() {
        return Ok(());
    }
    let mut oneoff = blank(tx, maker, (app, release), (process_type, size));
    oneoff.purpose = Purpose::Release;
    oneoff.command = Some(command);
    oneoff.time_limit = LONGEST_RELEASE;
    add(tx, &maker.sealer, &oneoff)?;
    Ok(())
}

/// Has a one-off dyno stopped, SIGTERM first.
pub fn stop(tx: &mut Tx<'_>, oneoff: &OneOff) -> Result<(), Error> {
    store::oneoffs::request_stop(tx, &oneoff.name)?;
    tx.record(Event::OneOffStopped {
        app: oneoff.app_id,
        process_type: oneoff.process_type.clone(),
        dyno: oneoff.name.clone(),
    })?;
    Ok(())
}

/// Has all one-off dynos of a type stopped. Returns how many; `None` where the type is none of one-off dynos.
pub async fn stop_type(
    store: &Store,
    sealer: &Sealer,
    author: &Principal,
    app: AppId,
    process_type: ProcessType,
) -> Result<Option<usize>, Error> {
    let sealer = sealer.clone();
    store
        .write(author, move |tx| {
            apps::still(tx, app)?;
            let formation = store::formations::find(tx, app, &process_type)?;
            let mut unfinished = store::oneoffs::list_unfinished(tx, &sealer, app)?;
            unfinished.retain(|oneoff| oneoff.process_type == process_type);
            let known = formation.as_ref().is_some_and(Formation::is_oneoff)
                || formation.is_none() && !unfinished.is_empty();
            if !known {
                return Ok(None);
            }
            unfinished.iter().try_for_each(|oneoff| stop(tx, oneoff))?;
            Ok(Some(unfinished.len()))
        })
        .await
}

/// A one-off dyno of the app by its id, its name, or `type.name`, also one that has ended.
pub fn find(
    connection: &Connection,
    sealer: &Sealer,
    app: AppId,
    text: &str,
) -> Result<Option<OneOff>, Error> {
    let known = store::oneoffs::list(connection, sealer, app)?;
    Ok(known.into_iter().find(|oneoff| super::dynos::is_named(&oneoff.process_type, &oneoff.name, text)))
}

/// How a one-off dyno shows before the reconciler has seen it, and after it has ended.
pub fn shown(oneoff: &OneOff) -> Dyno {
    let (state, info) = match &oneoff.ended {
        None => (DynoState::Pending, String::new()),
        Some(ended) => (DynoState::Stopped, ended.text()),
    };
    Dyno {
        name: oneoff.name.clone(),
        app_id: oneoff.app_id,
        process_type: oneoff.process_type.clone(),
        release_id: oneoff.release_id,
        size: oneoff.size.clone(),
        command: oneoff.command.as_ref().map_or_else(String::new, |command| command.as_str().to_owned()),
        state,
        ready: false,
        restarts: 0,
        info,
        created_at: oneoff.created_at,
        updated_at: oneoff.ended.as_ref().map_or(oneoff.created_at, |ended| ended.at),
    }
}

/// Notes that somebody holds the terminal of a one-off dyno, which is started then. Only the first one may.
pub async fn attach(store: &Store, author: &Principal, oneoff: &OneOff) -> Result<(), Error> {
    let (app, process_type, dyno) = (oneoff.app_id, oneoff.process_type.clone(), oneoff.name.clone());
    store
        .write(author, move |tx| {
            if !store::oneoffs::set_attached(tx, &dyno)? {
                return Err(Error::Conflict(format!(
                    "The dyno {process_type}.{dyno} has ended, or somebody was attached to it before."
                )));
            }
            tx.record(Event::OneOffAttached { app, process_type, dyno })?;
            Ok(())
        })
        .await
}

/// Has a one-off dyno stopped whose terminal went away.
pub async fn detach(store: &Store, author: &Principal, oneoff: &OneOff) -> Result<(), Error> {
    let oneoff = oneoff.clone();
    store.write(author, move |tx| stop(tx, &oneoff)).await
}

fn current_release(connection: &Connection, app: AppId) -> Result<ReleaseId, Error> {
    let release = store::releases::current(connection, app)?.ok_or_else(|| {
        Error::Conflict("The app has no release that succeeded yet, so there is no image to run.".to_owned())
    })?;
    Ok(release.id)
}

fn describe(
    tx: &Tx<'_>,
    maker: &Maker,
    (app, release): (AppId, ReleaseId),
    new: NewOneOff,
) -> Result<OneOff, Error> {
    let mut oneoff = match &new.process_type {
        Some(process_type) => {
            let formation = formations::find(tx, app, process_type)?;
            if !formation.is_oneoff() {
                return Err(RuleError::new(format!(
                    "The dynos of {process_type} run always; leave the type out, or name a formation with oneoff."
                ))
                .into());
            }
            of_formation(tx, maker, &formation, release)?
        }
        None if new.command.is_none() => {
            return Err(RuleError::new(
                "There is no command; send one, or the type of a formation with oneoff.",
            )
            .into());
        }
        None => {
            let process_type = ProcessType::parse(COMMAND_TYPE)?;
            blank(tx, maker, (app, release), (process_type, new.default_size))
        }
    };
    oneoff.command = new.command.or(oneoff.command);
    oneoff.size = new.size.unwrap_or(oneoff.size);
    oneoff.env.extend(new.env);
    oneoff.terminal = new.terminal;
    oneoff.time_limit = new.time_limit;
    Ok(oneoff)
}

fn of_formation(
    tx: &Tx<'_>,
    maker: &Maker,
    formation: &Formation,
    release: ReleaseId,
) -> Result<OneOff, Error> {
    let (image, env) = store::oneoffs::options_of(tx, &maker.sealer, formation.id)?;
    let what = (formation.process_type.clone(), formation.size.clone());
    Ok(OneOff {
        purpose: Purpose::Formation(formation.id),
        command: formation.command.command().cloned(),
        env,
        image,
        ..blank(tx, maker, (formation.app_id, release), what)
    })
}

/// A detached one that runs the image's own command.
fn blank(
    tx: &Tx<'_>,
    maker: &Maker,
    (app_id, release_id): (AppId, ReleaseId),
    (process_type, size): (ProcessType, SizeName),
) -> OneOff {
    let second = tx.now().as_millis() / 1000;
    OneOff {
        name: DynoName::new(&format!("{second:010}"), &maker.ids.suffix(INSTANCE_LENGTH)),
        app_id,
        purpose: Purpose::Command,
        process_type,
        release_id,
        size,
        command: None,
        env: ConfigVars::new(),
        image: None,
        terminal: Terminal::Detached,
        time_limit: LONGEST_RUN,
        attached_at: None,
        stopped_by: None,
        started_at: None,
        ended: None,
        created_by: tx.author().clone(),
        created_at: tx.now(),
    }
}

fn add(tx: &mut Tx<'_>, sealer: &Sealer, oneoff: &OneOff) -> Result<Dyno, Error> {
    let unfinished = store::oneoffs::list_unfinished(tx, sealer, oneoff.app_id)?.len();
    if unfinished >= RUNNING_LIMIT && oneoff.purpose != Purpose::Release {
        return Err(Error::Conflict(format!(
            "{unfinished} one-off dynos of the app have not ended; wait for one, or stop one."
        )));
    }
    store::oneoffs::insert(tx, sealer, oneoff)?;
    let dyno = shown(oneoff);
    store::dynos::upsert(tx, &dyno)?;
    tx.record(Event::OneOffCreated {
        app: oneoff.app_id,
        process_type: oneoff.process_type.clone(),
        dyno: oneoff.name.clone(),
    })?;
    Ok(dyno)
}
