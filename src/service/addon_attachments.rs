//! Attachments of addons: naming one, attaching, promoting and detaching.
//!
//! Invariant: of what an app uses of one service, one is the primary as long as there is one.

use uuid::Uuid;

use super::addons::{LIMIT, still as still_addon};
use super::{Error, apps};
use crate::ids::Ids;
use crate::model::RuleError;
use crate::model::addon::{Addon, AddonState};
use crate::model::addon_attachment::{AddonAttachment, AttachmentName, AttachmentState};
use crate::model::addon_job::{AddonWork, AddonWorkKind};
use crate::model::addon_service::{AddonOffer, AddonServiceName};
use crate::model::app::App;
use crate::model::event::Event;
use crate::model::ids::{AddonAttachmentId, AddonId, AppId};
use crate::model::pipeline::AppReference;
use crate::model::principal::{Principal, Reach};
use crate::model::rule::shown;
use crate::store::{self, Connection, Store, Tx};

/// Draws of a name before another one of the same service is refused.
const DRAWS: usize = 32;

/// How a name is found.
pub(super) struct Naming<'a> {
    pub(super) ids: &'a Ids,
    pub(super) service: &'a AddonServiceName,
    /// What the app uses already.
    pub(super) used: &'a [AddonAttachment],
}

/// What an app uses of others by its id, its name, or the id of its addon.
pub fn resolve(connection: &Connection, app: AppId, text: &str) -> Result<AddonAttachment, Error> {
    let mut all = list(connection, app)?;
    all.retain(|one| {
        one.id.to_string().eq_ignore_ascii_case(text)
            || one.addon.to_string().eq_ignore_ascii_case(text)
            || one.name.as_str().eq_ignore_ascii_case(text)
    });
    all.pop().ok_or_else(|| unknown(text))
}

/// The attachment of that id to any app within reach.
pub fn resolve_anywhere(
    connection: &Connection,
    reach: &Reach,
    text: &str,
) -> Result<AddonAttachment, Error> {
    let id = Uuid::try_parse(text).map_err(|_| unknown(text))?;
    let found = store::addon_attachments::find(connection, AddonAttachmentId::new(id))?;
    let found = found.filter(|one| !one.is_owned).ok_or_else(|| unknown(text))?;
    if reach.includes(found.app.organization) {
        return Ok(found);
    }
    Err(Error::Forbidden(format!(
        "The attachment {id} is of an app of an organization of which you are no member; one of its administrators can add you."
    )))
}

/// What an app uses of others, oldest first (`behaviour.md` §18).
pub fn list(connection: &Connection, app: AppId) -> Result<Vec<AddonAttachment>, Error> {
    let mut all = store::addon_attachments::list_by_app(connection, app)?;
    all.retain(|one| !one.is_owned);
    Ok(all)
}

/// What the apps within reach use of others, oldest first.
pub fn list_all(connection: &Connection, reach: &Reach) -> Result<Vec<AddonAttachment>, Error> {
    let mut all = store::addon_attachments::list_foreign(connection)?;
    all.retain(|one| reach.includes(one.app.organization));
    Ok(all)
}

/// Lets an app use an addon of another app (`behaviour.md` §18).
pub async fn create(
    store: &Store,
    ids: &Ids,
    author: &Principal,
    (app, addon, offer): (AppId, AddonId, AddonOffer),
    name: Option<String>,
) -> Result<AddonAttachment, Error> {
    let given = name.as_deref().map(AttachmentName::parse).transpose()?;
    let ids = ids.clone();
    store.write(author, move |tx| make(tx, &ids, (app, addon, &offer), given)).await
}

/// The same in the caller's transaction.
pub(super) fn make(
    tx: &mut Tx<'_>,
    ids: &Ids,
    (app, addon, offer): (AppId, AddonId, &AddonOffer),
    given: Option<AttachmentName>,
) -> Result<AddonAttachment, Error> {
    let (app, addon) = (apps::still(tx, app)?, still_addon(tx, addon)?);
    add(tx, ids, (&app, &addon), (offer, given))
}

/// Lets an app use an addon of another app, in the caller's transaction.
pub(super) fn add(
    tx: &mut Tx<'_>,
    ids: &Ids,
    (app, addon): (&App, &Addon),
    (offer, given): (&AddonOffer, Option<AttachmentName>),
) -> Result<AddonAttachment, Error> {
    let used = store::addon_attachments::list_by_app(tx, app.id)?;
    check(tx, (app, addon), &used, offer)?;
    let naming = Naming { ids, service: &addon.service.name, used: &used };
    let name = free_name(app, &naming, given)?;
    let id = AddonAttachmentId::new(ids.next());
    let attachment = AddonAttachment {
        id,
        addon: addon.id,
        service: addon.service.id,
        app: AppReference::of(app),
        prefix: name.prefix(),
        name,
        is_owned: false,
        is_primary: !used.iter().any(|other| other.service == addon.service.id),
        state: AttachmentState::Binding,
        reason: String::new(),
        created_at: tx.now(),
        updated_at: tx.now(),
    };
    store::addon_attachments::insert(tx, &attachment)?;
    store::addon_jobs::insert(tx, addon.id, &AddonWork::Bind(id), tx.now())?;
    tx.record(Event::AddonAttached { app: app.id, addon: addon.id, attachment: id })?;
    Ok(attachment)
}

/// Makes it the primary one of its service; the one that was gets a prefix.
pub async fn update(
    store: &Store,
    author: &Principal,
    id: AddonAttachmentId,
    (name, primary): (Option<String>, Option<bool>),
) -> Result<AddonAttachment, Error> {
    let name = name.as_deref().map(AttachmentName::parse).transpose()?;
    store
        .write(author, move |tx| {
            if let Some(name) = name {
                rename(tx, still(tx, id)?, name)?;
            }
            if let Some(primary) = primary {
                promote(tx, still(tx, id)?, primary)?;
            }
            still(tx, id)
        })
        .await
}

/// Takes an addon from an app that it does not belong to: the app loses the variables at once.
pub async fn delete(
    store: &Store,
    author: &Principal,
    id: AddonAttachmentId,
) -> Result<AddonAttachment, Error> {
    store
        .write(author, move |tx| {
            let attachment = still(tx, id)?;
            remove(tx, &attachment)?;
            Ok(attachment)
        })
        .await
}

pub(super) fn remove(tx: &mut Tx<'_>, attachment: &AddonAttachment) -> Result<(), Error> {
    let (app, addon, id) = (attachment.app.id, attachment.addon, attachment.id);
    // It tells of the variables that the app had.
    tx.record(Event::AddonDetached { app, addon, attachment: id })?;
    let begun = store::addon_jobs::list_by_addon(tx, addon)?.into_iter().any(|job| {
        job.work.kind() == AddonWorkKind::Bind && job.work.attachment() == Some(id) && job.begun_at.is_some()
    });
    store::addon_jobs::remove_bind(tx, id)?;
    promote_another(tx, attachment)?;
    store::addon_attachments::mark_deleted(tx, id)?;
    if begun || attachment.state == AttachmentState::Bound {
        store::addon_jobs::insert(tx, addon, &AddonWork::Unbind(id), tx.now())?;
    }
    Ok(())
}

/// Gives an attachment another name; the names of its variables follow when it is not the primary one.
pub(super) fn rename(
    tx: &mut Tx<'_>,
    mut attachment: AddonAttachment,
    name: AttachmentName,
) -> Result<(), Error> {
    if attachment.name == name {
        return Ok(());
    }
    let app = apps::still(tx, attachment.app.id)?;
    let mut used = store::addon_attachments::list_by_app(tx, app.id)?;
    used.retain(|other| other.id != attachment.id);
    check_free(&app, &used, &name)?;
    attachment.prefix = name.prefix();
    attachment.name = name;
    store::addon_attachments::update(tx, &attachment)?;
    tx.record(if attachment.is_owned {
        Event::AddonUpdated { app: app.id, addon: attachment.addon }
    } else {
        Event::AddonAttachmentUpdated { app: app.id, addon: attachment.addon, attachment: attachment.id }
    })?;
    Ok(())
}

/// Makes an attachment the primary one of its service. What is the primary one stays it until another is promoted.
pub(super) fn promote(tx: &mut Tx<'_>, attachment: AddonAttachment, primary: bool) -> Result<(), Error> {
    if primary == attachment.is_primary {
        return Ok(());
    }
    if !primary {
        return Err(Error::Conflict(format!(
            "{} cannot be demoted: promote another addon of its service instead.",
            attachment.name
        )));
    }
    let used = store::addon_attachments::list_by_app(tx, attachment.app.id)?;
    let former = used.into_iter().find(|one| one.is_primary && one.service == attachment.service);
    if let Some(former) = former {
        store::addon_attachments::update(tx, &AddonAttachment { is_primary: false, ..former })?;
    }
    make_primary(tx, attachment)
}

/// Before a primary attachment goes: the oldest other one of the service takes its place.
pub(super) fn promote_another(tx: &mut Tx<'_>, going: &AddonAttachment) -> Result<(), Error> {
    if !going.is_primary {
        return Ok(());
    }
    store::addon_attachments::update(tx, &AddonAttachment { is_primary: false, ..going.clone() })?;
    let used = store::addon_attachments::list_by_app(tx, going.app.id)?;
    match used.into_iter().find(|one| one.service == going.service && one.id != going.id) {
        Some(next) => make_primary(tx, next),
        None => Ok(()),
    }
}

/// The given name, or one that is drawn, when no other use of the app has it.
pub(super) fn free_name(
    app: &App,
    naming: &Naming<'_>,
    given: Option<AttachmentName>,
) -> Result<AttachmentName, Error> {
    if naming.used.len() >= LIMIT {
        return Err(RuleError::new(format!(
            "The app {} uses {LIMIT} addons, which is the most that an app can.",
            app.key()
        ))
        .into());
    }
    if let Some(name) = given {
        check_free(app, naming.used, &name)?;
        return Ok(name);
    }
    (0..DRAWS)
        .map(|_| AttachmentName::generated(naming.service, naming.ids.number()))
        .find(|name| check_free(app, naming.used, name).is_ok())
        .ok_or_else(|| Error::Conflict("No free name was found for the addon: give it one.".to_owned()))
}

fn make_primary(tx: &mut Tx<'_>, mut attachment: AddonAttachment) -> Result<(), Error> {
    attachment.is_primary = true;
    store::addon_attachments::update(tx, &attachment)?;
    let (app, addon) = (attachment.app.id, attachment.addon);
    tx.record(Event::AddonPromoted { app, addon, attachment: attachment.id })?;
    Ok(())
}

/// Two names with one prefix would be two addons with the same variables.
fn check_free(app: &App, used: &[AddonAttachment], name: &AttachmentName) -> Result<(), Error> {
    let prefix = name.prefix();
    let Some(other) = used.iter().find(|one| one.name == *name || one.prefix == prefix) else {
        return Ok(());
    };
    Err(Error::Conflict(format!(
        "The app {} uses an addon under the name {} already, which has the prefix {prefix} too: give another name.",
        app.key(),
        other.name
    )))
}

fn check(
    tx: &Tx<'_>,
    (app, addon): (&App, &Addon),
    used: &[AddonAttachment],
    offer: &AddonOffer,
) -> Result<(), Error> {
    let (key, name) = (app.key(), &addon.name);
    if used.iter().any(|one| one.addon == addon.id) {
        return Err(Error::Conflict(format!("The app {key} uses the addon {name} already.")));
    }
    let owner = apps::still(tx, addon.app.id)?;
    let (from, to) = (&owner.space.compliance, &app.space.compliance);
    if from.is_socs() && !to.is_socs() {
        return Err(Error::Conflict(format!(
            "The addon {name} belongs to an app in a space with the compliance socs, which the space {} does not have.",
            app.space.name
        )));
    }
    if to.is_prod() && !from.is_prod() {
        return Err(Error::Conflict(format!(
            "The space {} has the compliance prod, and the addon {name} belongs to an app in a space without it.",
            app.space.name
        )));
    }
    let service = offer.services().iter().find(|service| service.id == addon.service.id);
    if service.is_some_and(|service| !service.supports_sharing) {
        return Err(Error::Conflict(format!(
            "The addon {name} cannot be attached: addons of {} are for one app only.",
            addon.service.name
        )));
    }
    let single = service.is_some_and(|service| !service.supports_multiple_installations);
    if single && used.iter().any(|one| one.service == addon.service.id) {
        return Err(Error::Conflict(format!(
            "The app {key} has an addon of {} already, and an app can have only one of it.",
            addon.service.name
        )));
    }
    match addon.state {
        AddonState::Provisioned | AddonState::Updating => Ok(()),
        AddonState::Provisioning => Err(Error::NotReady(format!(
            "The addon {name} is still being made; attach it when it is provisioned."
        ))),
        AddonState::Failed | AddonState::Deprovisioning => Err(Error::Conflict(format!(
            "The addon {name} is {} and cannot be attached.",
            addon.state.status()
        ))),
    }
}

fn still(tx: &Tx<'_>, id: AddonAttachmentId) -> Result<AddonAttachment, Error> {
    store::addon_attachments::find(tx, id)?.ok_or_else(|| unknown(&id.to_string()))
}

fn unknown(text: &str) -> Error {
    Error::NotFound(format!("The attachment {} does not exist.", shown(text)))
}
