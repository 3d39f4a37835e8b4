//! Addons: naming one, making, changing and deleting it. Their providers are asked afterwards, by `addons`.
//!
//! Invariant: what a provider has to do is a row of the same transaction.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::addon_attachments::{Naming, free_name, promote_another};
use super::{Error, apps};
use crate::ids::Ids;
use crate::model::RuleError;
use crate::model::addon::{Addon, AddonState, PlanReference, ServiceReference};
use crate::model::addon_attachment::{AddonAttachment, AttachmentName, AttachmentState};
use crate::model::addon_job::{AddonWork, AddonWorkKind};
use crate::model::addon_service::{AddonOffer, AddonPlan, AddonService, OfferState};
use crate::model::app::App;
use crate::model::event::Event;
use crate::model::ids::{AddonAttachmentId, AddonId, AppId};
use crate::model::names::AppKey;
use crate::model::pipeline::AppReference;
use crate::model::principal::{Principal, Reach};
use crate::model::rule::shown;
use crate::store::{self, Connection, Store, Tx};

/// An addon to be made, as the client wrote it.
#[derive(Debug, Clone)]
pub struct NewAddon {
    /// Id or full name of a plan, or the name of a service with a default plan.
    pub plan: String,
    /// `None` draws one.
    pub name: Option<String>,
}

/// What shall change of an addon; `None` leaves it.
#[derive(Debug, Clone, Default)]
pub struct AddonChange {
    pub name: Option<String>,
    /// Id, full or short name of another plan of the service.
    pub plan: Option<String>,
    pub primary: Option<bool>,
}

/// What is offered, and where.
#[derive(Debug, Clone)]
pub struct Shop {
    pub offer: AddonOffer,
    /// The region of this machine.
    pub region: String,
}

/// Uses of addons by one app at most, its own addons among them.
pub(super) const LIMIT: usize = 64;

/// The addon of an app by its id, its name, or the name of its service when the app has only one of it.
pub fn resolve(connection: &Connection, app: AppId, text: &str) -> Result<Addon, Error> {
    let all = store::addons::list_by_app(connection, app)?;
    one_of(&all, text)
}

/// The addon of that id or name of any app within reach.
pub fn resolve_anywhere(connection: &Connection, reach: &Reach, text: &str) -> Result<Addon, Error> {
    if let Ok(id) = Uuid::try_parse(text) {
        let found = store::addons::find(connection, AddonId::new(id))?.ok_or_else(|| unknown(text))?;
        if reach.includes(found.app.organization) {
            return Ok(found);
        }
        return Err(Error::Forbidden(format!(
            "The addon {id} belongs to an app of an organization of which you are no member; one of its administrators can add you."
        )));
    }
    let mut all = list(connection, reach)?;
    all.retain(|addon| addon.name.as_str().eq_ignore_ascii_case(text));
    one_of(&all, text)
}

/// The addons of the apps within reach, oldest first.
pub fn list(connection: &Connection, reach: &Reach) -> Result<Vec<Addon>, Error> {
    let mut all = store::addons::list(connection)?;
    all.retain(|addon| reach.includes(addon.app.organization));
    Ok(all)
}

/// Asks for an addon. The order of the checks is that of `behaviour.md` §18: the plan, the compliance of the space, the
/// name; then the region, and whether the app may have another of the service.
pub async fn create(
    store: &Store,
    ids: &Ids,
    author: &Principal,
    (app, shop): (AppId, Shop),
    new: NewAddon,
) -> Result<Addon, Error> {
    let ids = ids.clone();
    store.write(author, move |tx| make(tx, &ids, (app, &shop), &new)).await
}

/// Asks for an addon in the caller's transaction.
pub(super) fn make(
    tx: &mut Tx<'_>,
    ids: &Ids,
    (app, shop): (AppId, &Shop),
    new: &NewAddon,
) -> Result<Addon, Error> {
    let (service, plan) = chosen(&shop.offer, &new.plan)?;
    let given = new.name.as_deref().map(AttachmentName::parse).transpose()?;
    let app = apps::still(tx, app)?;
    add(tx, ids, (&app, shop), (&service, &plan, given))
}

/// Asks for an addon in the caller's transaction.
pub(super) fn add(
    tx: &mut Tx<'_>,
    ids: &Ids,
    (app, shop): (&App, &Shop),
    (service, plan, given): (&AddonService, &AddonPlan, Option<AttachmentName>),
) -> Result<Addon, Error> {
    check_compliance(app, plan)?;
    check_region(&shop.region, plan)?;
    let used = store::addon_attachments::list_by_app(tx, app.id)?;
    let is_first = !used.iter().any(|other| other.service == service.id);
    if !is_first && !service.supports_multiple_installations {
        return Err(Error::Conflict(format!(
            "The app {} has an addon of {} already, and an app can have only one of it.",
            app.key(),
            service.name
        )));
    }
    let naming = Naming { ids, service: &service.name, used: &used };
    let name = free_name(app, &naming, given)?;
    let addon = Addon {
        id: AddonId::new(ids.next()),
        name,
        app: AppReference::of(app),
        service: ServiceReference::of(service),
        plan: PlanReference::of(plan),
        is_primary: is_first,
        state: AddonState::Provisioning,
        reason: String::new(),
        web_url: String::new(),
        created_at: tx.now(),
        updated_at: tx.now(),
    };
    insert(tx, &addon, AddonAttachmentId::new(ids.next()))?;
    Ok(addon)
}

/// Renames an addon, makes it the primary one of its service, or asks for another plan.
pub async fn update(
    store: &Store,
    author: &Principal,
    (id, shop): (AddonId, Shop),
    change: AddonChange,
) -> Result<Addon, Error> {
    let name = change.name.as_deref().map(AttachmentName::parse).transpose()?;
    store
        .write(author, move |tx| {
            let addon = still(tx, id)?;
            let own = own_attachment(tx, &addon)?;
            if let Some(name) = name {
                super::addon_attachments::rename(tx, own.clone(), name)?;
            }
            if let Some(primary) = change.primary {
                super::addon_attachments::promote(tx, own, primary)?;
            }
            if let Some(plan) = change.plan {
                ask_for_plan(tx, still(tx, id)?, &shop, &plan)?;
            }
            still(tx, id)
        })
        .await
}

/// Deletes an addon that no other app uses: its app loses the variables at once, its provider takes it away afterwards.
/// In a `socs` or `prod` space only an elevated principal may.
pub async fn delete(store: &Store, author: &Principal, id: AddonId) -> Result<Addon, Error> {
    let elevated = author.is_elevated();
    store
        .write(author, move |tx| {
            let addon = still(tx, id)?;
            let app = apps::still(tx, addon.app.id)?;
            if app.space.compliance.needs_elevation() && !elevated {
                return Err(Error::Forbidden(format!(
                    "Only an administrator may delete an addon of an app in the space {}, because of its compliance.",
                    app.space.name
                )));
            }
            check_unshared(tx, &addon)?;
            remove(tx, &addon)?;
            Ok(addon)
        })
        .await
}

/// Takes everything from an app that is being deleted; a conflict when another app uses one of its addons.
pub(super) fn remove_of_app(tx: &mut Tx<'_>, app: AppId) -> Result<(), Error> {
    let own = store::addons::list_by_app(tx, app)?;
    for addon in &own {
        check_unshared(tx, addon)?;
    }
    for addon in &own {
        remove(tx, addon)?;
    }
    for foreign in store::addon_attachments::list_by_app(tx, app)? {
        super::addon_attachments::remove(tx, &foreign)?;
    }
    Ok(())
}

/// The addon as it is within a write: it may have been deleted since the request named it.
pub(super) fn still(tx: &Tx<'_>, id: AddonId) -> Result<Addon, Error> {
    store::addons::find(tx, id)?.ok_or_else(|| unknown(&id.to_string()))
}

/// The service and plan that a client names for a new addon.
pub(super) fn chosen(offer: &AddonOffer, text: &str) -> Result<(AddonService, AddonPlan), Error> {
    if text.trim().is_empty() {
        return Err(RuleError::new(
            "The field \"plan\" is missing: name one, such as alamo-postgresql:small; GET /addon-services lists what there is.",
        )
        .into());
    }
    let unknown = || {
        RuleError::new(format!(
            "The plan {} does not exist; GET /addon-services/<service>/plans lists those of a service.",
            shown(text)
        ))
    };
    let (service, plan) = offer.plan(text.trim()).ok_or_else(unknown)?;
    check_open(service, plan)?;
    Ok((service.clone(), plan.clone()))
}

fn check_open(service: &AddonService, plan: &AddonPlan) -> Result<(), RuleError> {
    if [service.state, plan.state].contains(&OfferState::Shutdown) {
        return Err(RuleError::new(format!(
            "The plan {} is shut down: nothing new is made of it.",
            plan.name
        )));
    }
    Ok(())
}

fn check_compliance(app: &App, plan: &AddonPlan) -> Result<(), RuleError> {
    let has: BTreeSet<&String> = app.space.compliance.tags().iter().collect();
    let lacking: Vec<&str> =
        plan.compliance.iter().filter(|tag| !has.contains(tag)).map(String::as_str).collect();
    if lacking.is_empty() {
        return Ok(());
    }
    Err(RuleError::new(format!(
        "The plan {} is for spaces with the compliance {}, which the space {} does not have.",
        plan.name,
        lacking.join(", "),
        app.space.name
    )))
}

fn check_region(region: &str, plan: &AddonPlan) -> Result<(), Error> {
    if plan.regions.is_empty() || plan.regions.iter().any(|own| own == region) {
        return Ok(());
    }
    Err(Error::Conflict(format!(
        "The plan {} is not available in the region {region}; it is in {}.",
        plan.name,
        plan.regions.join(", ")
    )))
}

fn insert(tx: &mut Tx<'_>, addon: &Addon, own: AddonAttachmentId) -> Result<(), Error> {
    store::addons::insert(tx, addon)?;
    let attachment = AddonAttachment {
        id: own,
        addon: addon.id,
        service: addon.service.id,
        app: addon.app.clone(),
        prefix: addon.name.prefix(),
        name: addon.name.clone(),
        is_owned: true,
        is_primary: addon.is_primary,
        state: AttachmentState::Binding,
        reason: String::new(),
        created_at: tx.now(),
        updated_at: tx.now(),
    };
    store::addon_attachments::insert(tx, &attachment)?;
    store::addon_jobs::insert(tx, addon.id, &AddonWork::Provision, tx.now())?;
    tx.record(Event::AddonCreated { app: addon.app.id, addon: addon.id })?;
    Ok(())
}

fn ask_for_plan(tx: &mut Tx<'_>, mut addon: Addon, shop: &Shop, text: &str) -> Result<(), Error> {
    let service = shop.offer.services().iter().find(|service| service.id == addon.service.id);
    let found = service.and_then(|service| Some((service, service.plan(text.trim())?)));
    let Some((service, plan)) = found else {
        return Err(RuleError::new(format!(
            "The plan {} does not exist for the addon {}: it can have another plan of {} only.",
            shown(text),
            addon.name,
            addon.service.name
        ))
        .into());
    };
    if plan.id == addon.plan.id {
        return Ok(());
    }
    check_open(service, plan)?;
    check_compliance(&apps::still(tx, addon.app.id)?, plan)?;
    check_region(&shop.region, plan)?;
    let present = service.plans.iter().find(|one| one.id == addon.plan.id);
    if present.is_some_and(|present| !present.updateable) {
        return Err(Error::Conflict(format!(
            "The plan of the addon {} cannot be changed: {} does not support it. Make another addon instead.",
            addon.name, addon.plan.name
        )));
    }
    if addon.state != AddonState::Provisioned {
        return Err(Error::Conflict(format!(
            "The addon {} is {}: its plan can be changed when it is provisioned.",
            addon.name,
            addon.state.status()
        )));
    }
    addon.state = AddonState::Updating;
    addon.reason.clear();
    store::addons::update(tx, &addon)?;
    let work = AddonWork::ChangePlan(PlanReference::of(plan));
    store::addon_jobs::insert(tx, addon.id, &work, tx.now())?;
    tx.record(Event::AddonUpdated { app: addon.app.id, addon: addon.id })?;
    Ok(())
}

fn check_unshared(tx: &Tx<'_>, addon: &Addon) -> Result<(), Error> {
    let others: Vec<String> = store::addon_attachments::list_by_addon(tx, addon.id)?
        .into_iter()
        .filter(|attachment| !attachment.is_owned)
        .map(|attachment| AppKey::of(&attachment.app.name, &attachment.app.space).to_string())
        .collect();
    if others.is_empty() {
        return Ok(());
    }
    Err(Error::Conflict(format!(
        "The addon {} is attached to {}: detach it there first.",
        addon.name,
        others.join(", ")
    )))
}

/// Takes an addon from its app and has its provider take it away, where there is something to take away.
fn remove(tx: &mut Tx<'_>, addon: &Addon) -> Result<(), Error> {
    // It tells of the variables that the app had.
    tx.record(Event::AddonDeleted { app: addon.app.id, addon: addon.id })?;
    let own = own_attachment(tx, addon)?;
    let jobs = store::addon_jobs::list_by_addon(tx, addon.id)?;
    let begun = |kind| jobs.iter().any(|job| job.work.kind() == kind && job.begun_at.is_some());
    let never_asked =
        jobs.iter().any(|job| job.work.kind() == AddonWorkKind::Provision && job.begun_at.is_none());
    let going = jobs.iter().any(|job| job.work.kind() == AddonWorkKind::Deprovision);
    let is_bound = own.state == AttachmentState::Bound || begun(AddonWorkKind::Bind);
    for kind in
        [AddonWorkKind::Provision, AddonWorkKind::ChangePlan, AddonWorkKind::Bind, AddonWorkKind::Upkeep]
    {
        store::addon_jobs::remove_of_addon(tx, addon.id, kind)?;
    }
    promote_another(tx, &own)?;
    store::addon_attachments::mark_deleted(tx, own.id)?;
    store::addons::mark_deleted(tx, addon.id)?;
    let is_gone = never_asked || (addon.state == AddonState::Failed && !going);
    if is_gone {
        tx.record(Event::AddonDeprovisioned { app: addon.app.id, addon: addon.id })?;
        return Ok(());
    }
    if is_bound && !going {
        store::addon_jobs::insert(tx, addon.id, &AddonWork::Unbind(own.id), tx.now())?;
    }
    if !going {
        store::addon_jobs::insert(tx, addon.id, &AddonWork::Deprovision, tx.now())?;
    }
    Ok(())
}

fn own_attachment(tx: &Tx<'_>, addon: &Addon) -> Result<AddonAttachment, Error> {
    let own = store::addon_attachments::list_by_addon(tx, addon.id)?.into_iter().find(|one| one.is_owned);
    own.ok_or_else(|| Error::internal(format!("the addon {} has no attachment to its app", addon.id)))
}

fn one_of(all: &[Addon], text: &str) -> Result<Addon, Error> {
    let exact = |addon: &&Addon| {
        addon.id.to_string().eq_ignore_ascii_case(text) || addon.name.as_str().eq_ignore_ascii_case(text)
    };
    let mut found: Vec<&Addon> = all.iter().filter(exact).collect();
    if found.is_empty() {
        found = all.iter().filter(|addon| addon.service.name.as_str().eq_ignore_ascii_case(text)).collect();
    }
    match found.as_slice() {
        [] => Err(unknown(text)),
        [only] => Ok((*only).clone()),
        several => {
            let ids: Vec<String> =
                several.iter().map(|addon| format!("{} ({})", addon.id, addon.name)).collect();
            Err(RuleError::new(format!(
                "Several addons are meant by {}; use the id of one of {}.",
                shown(text),
                ids.join(", ")
            ))
            .into())
        }
    }
}

fn unknown(text: &str) -> Error {
    Error::NotFound(format!("The addon {} does not exist.", shown(text)))
}
