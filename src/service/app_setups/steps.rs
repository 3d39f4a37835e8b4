//! The steps of a setup, one transaction each.

use super::{SetupTools, check};
use crate::model::RuleError;
use crate::model::addon::AddonState;
use crate::model::addon_attachment::{AddonAttachment, AttachmentName, AttachmentState};
use crate::model::app::App;
use crate::model::app_setup::{AppSetup, FailureKind, SetupOrder, SetupStatus, Step, StepFailure};
use crate::model::blueprint::BlueprintAttachment;
use crate::model::build::{BuildSource, BuildState, Commit};
use crate::model::catalogue::Catalogue;
use crate::model::command::Command;
use crate::model::config_var::is_reserved;
use crate::model::event::Event;
use crate::model::ids::{AppSetupId, BuildId, CouplingId, FilterAttachmentId, LogDrainId, RouteId};
use crate::model::log_drain::DrainToken;
use crate::model::names::ConfigVarName;
use crate::model::release::ReleaseState;
use crate::service::addons::Shop;
use crate::service::builds::{CheckedBuild, NewBuild};
use crate::service::config_var_notes::{self, NoteChange};
use crate::service::formations::{self, NewFormation};
use crate::service::oneoffs::{self, Maker};
use crate::service::{
    Error, addon_attachments, addons, apps, builds, config_vars, features, filter_attachments, filters,
    log_drains, pipeline_couplings, routes, sites,
};
use crate::store::{self, Connection, Store, StoreError, Tx};

/// What a look at a setup came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Advance {
    /// A step is done, or has failed; another may follow.
    Stepped,
    /// Its build, its release or its script is not at its end.
    Waiting,
    /// The archive is to be looked into first; [`super::note_manifest`] goes on then.
    Unread { build: BuildId, source: BuildSource },
    /// Nothing more is to be done.
    Finished,
}

/// Takes the next step of a setup, or notes why it failed. An error is a fault of the daemon, after which the same step
/// is taken again.
pub async fn advance(
    store: &Store,
    tools: &SetupTools,
    shop: Shop,
    id: AppSetupId,
) -> Result<Advance, Error> {
    let sealer = tools.sealer.clone();
    let query = move |c: &Connection| {
        let order = store::app_setups::find_order(c, &sealer, id)?;
        Ok::<_, StoreError>(order.zip(store::app_setups::find(c, id)?))
    };
    let Some((order, setup)) = store.read(query).await? else { return Ok(Advance::Finished) };
    if order.unread {
        return Ok(Advance::Unread { build: setup.build_id, source: order.source });
    }
    let (author, doing) = (order.author.clone(), tools.clone());
    let stepped = store.write(&author, move |tx| take(tx, (&doing, &shop), id)).await;
    match stepped {
        Err(error) => match failure_kind(&error) {
            Some(kind) => {
                let reason = error.to_string();
                let sealer = tools.sealer.clone();
                store
                    .write(&author, move |tx| {
                        let Some(order) = store::app_setups::find_order(tx, &sealer, id)? else {
                            return Ok(());
                        };
                        fail(tx, id, &order, (kind, reason))
                    })
                    .await
                    .map(|()| Advance::Stepped)
            }
            None => Err(error),
        },
        done => done,
    }
}

/// What kind of a failed step an error is; `None` for a fault that passes.
fn failure_kind(error: &Error) -> Option<FailureKind> {
    match error {
        Error::NotFound(_) => Some(FailureKind::NotFound),
        Error::BadRequest(_) => Some(FailureKind::BadRequest),
        Error::Invalid(_) => Some(FailureKind::Invalid),
        Error::Conflict(_) | Error::NotReady(_) => Some(FailureKind::Conflict),
        Error::Forbidden(_)
        | Error::Unauthenticated(_)
        | Error::OneTimeCode(_)
        | Error::TooManyAttempts { .. } => Some(FailureKind::Forbidden),
        Error::Unavailable(_) | Error::Internal(_) => None,
    }
}

fn take(tx: &mut Tx<'_>, (tools, shop): (&SetupTools, &Shop), id: AppSetupId) -> Result<Advance, Error> {
    let (found, order) =
        (store::app_setups::find(tx, id)?, store::app_setups::find_order(tx, &tools.sealer, id)?);
    let (Some(mut setup), Some(order)) = (found, order) else { return Ok(Advance::Finished) };
    let steps = order.steps();
    let Some(step) = usize::try_from(setup.progress.done).ok().and_then(|done| steps.get(done)) else {
        return settle(tx, setup).map(|()| Advance::Finished);
    };
    let app = apps::still(tx, setup.app_id)?;
    let work = Work { tools, shop, catalogue: &tools.catalogue.load(), order: &order, app: &app };
    if !work.perform(tx, &mut setup, *step)? {
        return Ok(Advance::Waiting);
    }
    pass(tx, setup, &order).map(|()| Advance::Stepped)
}

/// Writes down that the present step failed.
fn fail(
    tx: &mut Tx<'_>,
    id: AppSetupId,
    order: &SetupOrder,
    (kind, reason): (FailureKind, String),
) -> Result<(), Error> {
    let Some(mut setup) = store::app_setups::find(tx, id)? else { return Ok(()) };
    setup.failures.push(StepFailure { step: setup.step.clone(), kind, reason });
    pass(tx, setup, order)
}

/// Goes on to the next step.
fn pass(tx: &mut Tx<'_>, mut setup: AppSetup, order: &SetupOrder) -> Result<(), Error> {
    setup.progress.done += 1;
    let steps = order.steps();
    let next = usize::try_from(setup.progress.done).ok().and_then(|done| steps.get(done));
    setup.step = next.map(ToString::to_string).unwrap_or_default();
    settle(tx, setup)
}

/// Stores a setup; one whose steps are done ends.
pub(super) fn settle(tx: &mut Tx<'_>, mut setup: AppSetup) -> Result<(), Error> {
    setup.updated_at = tx.now();
    if !setup.progress.is_complete() {
        return Ok(store::app_setups::update(tx, &setup)?);
    }
    let failed = !setup.failures.is_empty();
    setup.status = if failed { SetupStatus::Failed } else { SetupStatus::Succeeded };
    setup.step = String::new();
    store::app_setups::update(tx, &setup)?;
    let (app, setup) = (setup.app_id, setup.id);
    tx.record(if failed {
        Event::AppSetupFailed { app, setup }
    } else {
        Event::AppSetupSucceeded { app, setup }
    })?;
    Ok(())
}

/// What a step is done with.
struct Work<'w> {
    tools: &'w SetupTools,
    shop: &'w Shop,
    catalogue: &'w Catalogue,
    order: &'w SetupOrder,
    app: &'w App,
}

impl Work<'_> {
    /// Does a step; `false` when what it waits for has not happened.
    fn perform(&self, tx: &mut Tx<'_>, setup: &mut AppSetup, step: Step<'_>) -> Result<bool, Error> {
        let (app, tools, reach) = (self.app, self.tools, &self.order.author.reach);
        let (sealer, ids) = (&tools.sealer, &tools.ids);
        match step {
            // The order says that it was read.
            Step::Manifest => {}
            Step::ConfigVars => {
                let changes = check::config_changes(&self.order.blueprint)?;
                config_vars::change(tx, sealer, app.id, changes)?;
            }
            Step::Formation(name, formation) => {
                let size = |size: &str| formations::find_size(self.catalogue, app, size);
                let (process_type, change) = check::formation_of(name, formation, size)?;
                let default_size = size(self.catalogue.default_size.as_str())?;
                let new = NewFormation { process_type, default_size, change };
                formations::add(tx, (ids, sealer), app.id, new)?;
            }
            Step::Addon(name, addon) => {
                let (service, plan) = addons::chosen(&self.shop.offer, &addon.plan)?;
                // The name of the service stands for a name that is drawn, and so does one that nobody may give.
                let given = AttachmentName::parse(name).ok();
                let given = given.filter(|given| given.as_str() != service.name.as_str());
                addons::add(tx, ids, (app, self.shop), (&service, &plan, given))?;
            }
            Step::Attachment(attachment) => self.attach(tx, attachment)?,
            Step::AddonsReady => return addons_ready(tx, app),
            Step::LogDrain(drain) => {
                let (url, token) = check::drain_of(drain)?;
                let token = token.unwrap_or_else(|| DrainToken::new(uuid::Uuid::new_v4()));
                log_drains::add(tx, sealer, (app.id.into(), LogDrainId::new(ids.next())), (url, token))?;
            }
            Step::Coupling(coupling) => {
                let place = check::coupling_of(coupling)?;
                pipeline_couplings::add(tx, CouplingId::new(ids.next()), (app, &coupling.pipeline), place)?;
            }
            Step::Feature(feature) => {
                let offered = check::feature_of(feature, self.catalogue)?;
                features::switch(tx, app.id, offered.feature, feature.enabled)?;
            }
            Step::Filter(wanted) => {
                let scope = check::filter_of(wanted)?;
                let filter = filters::resolve(tx, sealer, reach, &wanted.filter.id)?;
                let id = FilterAttachmentId::new(ids.next());
                filter_attachments::attach(tx, (id, app), filter, scope)?;
            }
            Step::Route(domain, route) => {
                let paths = check::route_of(route)?;
                let site = sites::resolve(tx, reach, domain)?;
                // A copy takes no path away from the app that has it.
                let taken = store::routes::list_by_site(tx, site.id)?.iter().any(|one| one.source == paths.0);
                if !taken {
                    routes::add(tx, RouteId::new(ids.next()), (site, app), paths)?;
                }
            }
            Step::Build => self.queue_build(tx, setup)?,
            Step::ConfigVarNotes => self.write_notes(tx)?,
            Step::Built => return self.built(tx, setup),
            Step::Postdeploy(command) => return self.run_postdeploy(tx, setup, command),
            Step::PostdeployEnded => return postdeploy_ended(tx, setup),
        }
        Ok(true)
    }

    fn attach(&self, tx: &mut Tx<'_>, wanted: &BlueprintAttachment) -> Result<(), Error> {
        let reach = &self.order.author.reach;
        let addon = if !wanted.id.is_empty() {
            addons::resolve_anywhere(tx, reach, &wanted.id)?
        } else if wanted.app.is_empty() {
            addons::resolve_anywhere(tx, reach, &wanted.name)?
        } else {
            let owner = apps::resolve(tx, reach, &wanted.app)?;
            addons::resolve(tx, owner.id, &wanted.name)?
        };
        let name = wanted.alias.as_deref().map(AttachmentName::parse).transpose()?;
        addon_attachments::add(tx, &self.tools.ids, (self.app, &addon), (&self.shop.offer, name))?;
        Ok(())
    }

    fn queue_build(&self, tx: &mut Tx<'_>, setup: &AppSetup) -> Result<(), Error> {
        let (blueprint, author) = (&self.order.blueprint, &self.order.author);
        let commit = Commit {
            version: blueprint.source_blob.version.clone(),
            author: author.user.to_string(),
            ..Commit::default()
        };
        let new = CheckedBuild::parse(NewBuild {
            id: setup.build_id,
            source: self.order.source.clone(),
            checksum: blueprint.source_blob.checksum.clone(),
            commit,
        })?;
        builds::add(tx, &self.tools.sealer, (self.app.id, &author.reach), new)?;
        Ok(())
    }

    fn write_notes(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        let set = store::config_vars::names(tx, self.app.id)?;
        let mut changes = Vec::new();
        for (name, var) in &self.order.blueprint.env {
            let name = ConfigVarName::parse(name)?;
            let has_note = var.required || !var.description.is_empty();
            if has_note && set.contains(&name) && !is_reserved(&name) {
                let description = Some(var.description.clone());
                changes.push((name, NoteChange { description, required: Some(var.required) }));
            }
        }
        config_var_notes::write(tx, &self.tools.sealer, self.app.id, changes)?;
        Ok(())
    }

    fn built(&self, tx: &Tx<'_>, setup: &AppSetup) -> Result<bool, Error> {
        let build = store::builds::find(tx, &self.tools.sealer, setup.build_id)?;
        match build.map(|build| build.state) {
            // It was refused, which is among the failures already.
            None | Some(BuildState::Succeeded { .. }) => Ok(true),
            Some(BuildState::Queued | BuildState::Running { .. }) => Ok(false),
            Some(BuildState::Failed { reason, .. }) => Err(RuleError::new(reason).into()),
            Some(BuildState::Stopped { by, .. }) => {
                Err(RuleError::new(format!("The build was stopped by {by}.")).into())
            }
        }
    }

    /// Starts the script once the release of the build is there.
    fn run_postdeploy(&self, tx: &mut Tx<'_>, setup: &mut AppSetup, command: &str) -> Result<bool, Error> {
        let releases = store::releases::list(tx, self.app.id)?;
        let state = releases.iter().find(|one| one.slug == setup.build_id).map(|one| one.state.clone());
        match state {
            None => Err(Error::Conflict("There is no release for the script to run on.".to_owned())),
            Some(ReleaseState::Failed { .. }) => {
                Err(Error::Conflict("The release failed, so the script was not run.".to_owned()))
            }
            Some(ReleaseState::Queued | ReleaseState::Pending { .. }) => Ok(false),
            Some(ReleaseState::Succeeded { .. }) => {
                let maker = Maker { sealer: self.tools.sealer.clone(), ids: self.tools.ids.clone() };
                let size =
                    formations::find_size(self.catalogue, self.app, self.catalogue.default_size.as_str())?;
                let command = Command::parse(command)?;
                let oneoff = oneoffs::create_command(tx, &maker, self.app.id, (command, size))?;
                setup.postdeploy = Some(oneoff.name);
                Ok(true)
            }
        }
    }
}

/// Whether no addon of the app is on its way; those that failed are why the step does.
fn addons_ready(tx: &Tx<'_>, app: &App) -> Result<bool, Error> {
    let (own, used) =
        (store::addons::list_by_app(tx, app.id)?, store::addon_attachments::list_by_app(tx, app.id)?);
    let made = own.iter().any(|addon| addon.state == AddonState::Provisioning);
    let failed: Vec<String> = used
        .iter()
        .filter(|one| one.state == AttachmentState::Failed)
        .map(|one| format!("{}: {}", one.name, one.reason))
        .chain(
            own.iter()
                .filter(|addon| addon.state == AddonState::Failed)
                .map(|addon| format!("{}: {}", addon.name, addon.reason)),
        )
        .collect();
    let unbound = |one: &AddonAttachment| {
        let addon_failed = own.iter().any(|addon| addon.id == one.addon && addon.state == AddonState::Failed);
        one.state == AttachmentState::Binding && !addon_failed
    };
    if made || used.iter().any(unbound) {
        return Ok(false);
    }
    if failed.is_empty() { Ok(true) } else { Err(RuleError::new(failed.join(" ")).into()) }
}

fn postdeploy_ended(tx: &Tx<'_>, setup: &AppSetup) -> Result<bool, Error> {
    // It was not started, which is among the failures already.
    let Some(dyno) = &setup.postdeploy else { return Ok(true) };
    match store::oneoffs::find_end(tx, setup.app_id, dyno)? {
        None => Ok(false),
        Some(end) if end.exit_code == Some(0) && end.reason.is_empty() => Ok(true),
        Some(end) => Err(RuleError::new(format!("The script {}.", end.text())).into()),
    }
}
