//! Formations: making, changing, scaling and deleting a process type of an app.

use super::{Error, apps, oneoffs};
use crate::ids::Ids;
use crate::model::RuleError;
use crate::model::app::App;
use crate::model::catalogue::Catalogue;
use crate::model::command::Command;
use crate::model::config_var::ConfigVars;
use crate::model::event::Event;
use crate::model::formation::{Formation, FormationCommand, HealthCheck, Origin, Port, Quantity, Runs};
use crate::model::ids::{AppId, FormationId};
use crate::model::names::{ProcessType, SizeName};
use crate::model::principal::Principal;
use crate::model::rule::shown;
use crate::model::schedule::{Schedule, Scheduled};
use crate::model::time::Timestamp;
use crate::seal::Sealer;
use crate::store::{self, Connection, Store, Tx};

/// What shall change of a formation; `None` leaves it.
#[derive(Debug, Clone, Default)]
pub struct FormationChange {
    pub size: Option<SizeName>,
    pub quantity: Option<Quantity>,
    pub command: Option<CommandChange>,
    pub port: Option<Port>,
    pub healthcheck: Option<HealthCheckChange>,
    pub runs: Option<RunsChange>,
    /// An image for its one-off dynos, instead of the release's.
    pub image: Option<String>,
    /// Variables for its one-off dynos; they replace those of before.
    pub env: Option<ConfigVars>,
}

/// What happens to how its dynos come to be.
#[derive(Debug, Clone)]
pub enum RunsChange {
    /// They become one-off dynos; a schedule stays.
    Once,
    /// They become dynos that run always, without a schedule.
    Always,
    /// They become one-off dynos with this schedule.
    Schedule(Box<Schedule>),
    /// They become one-off dynos without a schedule.
    OnDemand,
    /// A schedule goes.
    Unschedule,
}

/// What happens to the command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandChange {
    Set(Command),
    /// Back to the image's own.
    Remove,
}

/// What happens to the health check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HealthCheckChange {
    Set(HealthCheck),
    /// Back to probing the port.
    Remove,
}

/// The size that a name means in the app's space: `prod` spaces get the `-prod` one (`behaviour.md` §5).
pub fn find_size(catalogue: &Catalogue, app: &App, name: &str) -> Result<SizeName, RuleError> {
    let size = check_size(catalogue, name)?;
    let prod = app.space.compliance.is_prod().then(|| catalogue.size(&format!("{size}-prod"))).flatten();
    Ok(prod.map_or(size, |prod| prod.name.clone()))
}

/// The size of that name in the catalogue.
pub(super) fn check_size(catalogue: &Catalogue, name: &str) -> Result<SizeName, RuleError> {
    let size = catalogue.size(name.trim()).ok_or_else(|| {
        let names: Vec<&str> = catalogue.sizes.iter().map(|size| size.name.as_str()).collect();
        RuleError::new(format!("The size \"{}\" is not one of {}.", shown(name), names.join(", ")))
    })?;
    Ok(size.name.clone())
}

/// Whether a formation could be made so.
pub(super) fn check(process_type: &ProcessType, change: &FormationChange) -> Result<(), RuleError> {
    let (nobody, size) = (uuid::Uuid::nil(), SizeName::from_stored(String::new()));
    let start = Timestamp::from_millis(0);
    let ids = (FormationId::new(nobody), AppId::new(nobody));
    let mut formation = blank(ids, process_type.clone(), size, start);
    change.clone().apply(&mut formation, start).map(drop)
}

/// An image that no build made would be given the config vars of the app.
fn check_image(author: &Principal, app: &App, change: &FormationChange) -> Result<(), Error> {
    change.image.as_ref().map_or(Ok(()), |_| oneoffs::check_compliance(author, app))
}

/// Makes a formation. The first one that is not `web` makes `web` with no dyno first (`behaviour.md` §5).
pub async fn create(
    store: &Store,
    (ids, sealer): (&Ids, &Sealer),
    author: &Principal,
    app: &App,
    new: NewFormation,
) -> Result<Formation, Error> {
    check_image(author, app, &new.change)?;
    let (app, ids, sealer) = (app.id, ids.clone(), sealer.clone());
    store
        .write(author, move |tx| {
            changeable(tx, app)?;
            add(tx, (&ids, &sealer), app, new)
        })
        .await
}

/// Makes a formation in the caller's transaction.
pub(super) fn add(
    tx: &mut Tx<'_>,
    (ids, sealer): (&Ids, &Sealer),
    app: AppId,
    new: NewFormation,
) -> Result<Formation, Error> {
    if store::formations::find(tx, app, &new.process_type)?.is_some() {
        return Err(Error::Conflict(format!(
            "The app has a formation of the type {} already; change it with PATCH.",
            new.process_type
        )));
    }
    let web = ProcessType::web();
    if !new.process_type.is_web() && store::formations::find(tx, app, &web)?.is_none() {
        let empty = FormationChange { quantity: Some(Quantity::ZERO), ..FormationChange::default() };
        let web = NewFormation { process_type: web, default_size: new.default_size.clone(), change: empty };
        insert(tx, (ids, sealer), app, web)?;
    }
    insert(tx, (ids, sealer), app, new)
}

/// A formation to be made.
#[derive(Debug, Clone)]
pub struct NewFormation {
    pub process_type: ProcessType,
    /// Of a formation that names none.
    pub default_size: SizeName,
    pub change: FormationChange,
}

/// Changes one formation. An app that has no `web` gets one by changing it (`behaviour.md` §5).
pub async fn update(
    store: &Store,
    (ids, sealer): (&Ids, &Sealer),
    author: &Principal,
    app: &App,
    wanted: NewFormation,
) -> Result<Formation, Error> {
    check_image(author, app, &wanted.change)?;
    let (app, ids, sealer) = (app.id, ids.clone(), sealer.clone());
    store
        .write(author, move |tx| {
            changeable(tx, app)?;
            match store::formations::find(tx, app, &wanted.process_type)? {
                Some(formation) => change(tx, &sealer, formation, wanted.change),
                None if wanted.process_type.is_web() => insert(tx, (&ids, &sealer), app, wanted),
                None => Err(unknown(&wanted.process_type)),
            }
        })
        .await
}

/// Changes several formations, or none when one of them cannot be changed.
pub async fn update_all(
    store: &Store,
    sealer: &Sealer,
    author: &Principal,
    app: &App,
    changes: Vec<(ProcessType, FormationChange)>,
) -> Result<Vec<Formation>, Error> {
    for (_, change) in &changes {
        check_image(author, app, change)?;
    }
    let (app, sealer) = (app.id, sealer.clone());
    store
        .write(author, move |tx| {
            changeable(tx, app)?;
            let mut changed = Vec::with_capacity(changes.len());
            for (process_type, wanted) in changes {
                let found = store::formations::find(tx, app, &process_type)?.ok_or_else(|| {
                    Error::Conflict(format!(
                        "The app has no formation of the type {process_type}; create it first with POST."
                    ))
                })?;
                changed.push(change(tx, &sealer, found, wanted)?);
            }
            Ok(changed)
        })
        .await
}

/// Deletes a formation; its dynos are stopped. In `socs` and `prod` spaces that needs elevation.
pub async fn delete(
    store: &Store,
    author: &Principal,
    app: &App,
    process_type: ProcessType,
) -> Result<Formation, Error> {
    if app.space.compliance.needs_elevation() && !author.is_elevated() {
        return Err(Error::Forbidden(format!(
            "Deleting a formation in the space {} needs elevated access, because of its compliance.",
            app.space.name
        )));
    }
    let app = app.id;
    store
        .write(author, move |tx| {
            changeable(tx, app)?;
            let formation = find(tx, app, &process_type)?;
            store::formations::delete(tx, formation.id)?;
            tx.record(Event::FormationDeleted { app, formation: formation.id, process_type })?;
            Ok(formation)
        })
        .await
}

/// The formation of a type.
pub fn find(connection: &Connection, app: AppId, process_type: &ProcessType) -> Result<Formation, Error> {
    store::formations::find(connection, app, process_type)?.ok_or_else(|| unknown(process_type))
}

fn unknown(process_type: &ProcessType) -> Error {
    Error::NotFound(format!("The app has no formation of the type {process_type}."))
}

/// Formations stay as they are while the app is in maintenance (`behaviour.md` §29).
fn changeable(tx: &Tx<'_>, app: AppId) -> Result<(), Error> {
    if apps::still(tx, app)?.maintenance {
        return Err(Error::Conflict(
            "The app is in maintenance mode; switch it off before you change its formation.".to_owned(),
        ));
    }
    Ok(())
}

fn insert(
    tx: &mut Tx<'_>,
    (ids, sealer): (&Ids, &Sealer),
    app: AppId,
    new: NewFormation,
) -> Result<Formation, Error> {
    let place = (FormationId::new(ids.next()), app);
    let mut formation = blank(place, new.process_type, new.default_size, tx.now());
    let (image, env) = new.change.apply(&mut formation, tx.now())?;
    store::formations::insert(tx, &formation)?;
    store::oneoffs::set_options(tx, sealer, formation.id, (image.as_deref(), env.as_ref()))?;
    tx.record(Event::FormationCreated {
        app,
        formation: formation.id,
        process_type: formation.process_type.clone(),
    })?;
    Ok(formation)
}

/// One dyno that runs the image's own command.
fn blank(
    (id, app_id): (FormationId, AppId),
    process_type: ProcessType,
    size: SizeName,
    now: Timestamp,
) -> Formation {
    Formation {
        id,
        app_id,
        port: process_type.is_web().then_some(Port::DEFAULT),
        process_type,
        size,
        quantity: Quantity::ONE,
        command: FormationCommand::Image,
        healthcheck: None,
        origin: Origin::User,
        runs: Runs::Always,
        restarts: 0,
        created_at: now,
        updated_at: now,
    }
}

/// Writes and records only a real change.
fn change(
    tx: &mut Tx<'_>,
    sealer: &Sealer,
    old: Formation,
    wanted: FormationChange,
) -> Result<Formation, Error> {
    let mut formation = old.clone();
    let (image, env) = wanted.apply(&mut formation, tx.now())?;
    store::oneoffs::set_options(tx, sealer, formation.id, (image.as_deref(), env.as_ref()))?;
    if formation == old {
        return Ok(old);
    }
    formation.origin = Origin::User;
    formation.updated_at = tx.now();
    store::formations::update(tx, &formation)?;
    tx.record(Event::FormationUpdated {
        app: formation.app_id,
        formation: formation.id,
        process_type: formation.process_type.clone(),
    })?;
    Ok(formation)
}

impl FormationChange {
    /// Gives back the options, which are kept apart because they may hold a secret.
    fn apply(
        self,
        formation: &mut Formation,
        now: Timestamp,
    ) -> Result<(Option<String>, Option<ConfigVars>), RuleError> {
        let quantity = self.quantity;
        if let Some(runs) = self.runs {
            formation.runs = runs.of(formation, now)?;
        }
        if let Some(size) = self.size {
            formation.size = size;
        }
        if let Some(quantity) = self.quantity {
            formation.quantity = quantity;
        }
        if let Some(port) = self.port {
            formation.port = Some(port);
        }
        match self.command {
            // Clients send back what they were shown; that leaves the Procfile in charge (reading 20).
            Some(CommandChange::Set(command)) if formation.command.command() == Some(&command) => {}
            Some(CommandChange::Set(command)) => formation.command = FormationCommand::User(command),
            Some(CommandChange::Remove) => formation.command = FormationCommand::Image,
            None => {}
        }
        match self.healthcheck {
            Some(HealthCheckChange::Set(healthcheck)) => formation.healthcheck = Some(healthcheck),
            Some(HealthCheckChange::Remove) => formation.healthcheck = None,
            None => {}
        }
        if formation.is_oneoff() {
            if formation.process_type.is_web() {
                return Err(RuleError::new("The dynos of web receive requests and cannot be one-off dynos."));
            }
            if quantity.is_some_and(|quantity| quantity.get() > 1) {
                return Err(RuleError::new(
                    "One-off dynos have no quantity; each run of the formation is one dyno.",
                ));
            }
            // A release starts none of them.
            formation.quantity = Quantity::ZERO;
        } else if self.image.is_some() || self.env.is_some() {
            return Err(RuleError::new("Only a formation with oneoff has options."));
        }
        Ok((self.image, self.env))
    }
}

impl RunsChange {
    fn of(self, formation: &Formation, now: Timestamp) -> Result<Runs, RuleError> {
        match self {
            Self::Once if formation.is_oneoff() => Ok(formation.runs.clone()),
            // Clients send back what they were shown, also of dynos that run always.
            Self::Unschedule if !formation.is_oneoff() => Ok(Runs::Always),
            Self::Once | Self::OnDemand | Self::Unschedule => Ok(Runs::Once(None)),
            Self::Always => Ok(Runs::Always),
            // What is sent back as it was shown stays due when it was.
            Self::Schedule(schedule)
                if formation.scheduled().is_some_and(|old| old.schedule == *schedule) =>
            {
                Ok(formation.runs.clone())
            }
            Self::Schedule(schedule) => {
                let due_at = schedule.next(now).ok_or_else(|| {
                    RuleError::new(format!("The schedule \"{}\" is never due.", schedule.pattern()))
                })?;
                Ok(Runs::Once(Some(Box::new(Scheduled { schedule: *schedule, due_at }))))
            }
        }
    }
}
