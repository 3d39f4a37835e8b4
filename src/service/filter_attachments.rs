//! Filter attachments: naming one, attaching a filter to an app, changing for which paths, and detaching it.

use super::filters::{as_bad_request, refused};
use super::{Error, apps, filters};
use crate::ids::Ids;
use crate::model::RuleError;
use crate::model::app::App;
use crate::model::event::Event;
use crate::model::filter::{Filter, FilterAttachment, PathScope};
use crate::model::ids::{AppId, FilterAttachmentId};
use crate::model::pipeline::AppReference;
use crate::model::principal::Principal;
use crate::model::rule::shown;
use crate::seal::Sealer;
use crate::store::{self, Connection, Store, Tx};

/// The attachment of that id, if it is one of the app.
pub fn resolve(
    connection: &Connection,
    sealer: &Sealer,
    app: AppId,
    text: &str,
) -> Result<FilterAttachment, Error> {
    let unknown =
        || Error::NotFound(format!("The filter attachment {} does not exist for this app.", shown(text)));
    let id: FilterAttachmentId = text.parse().map_err(|_| unknown())?;
    let found = store::filter_attachments::find(connection, sealer, id)?;
    found.filter(|attachment| attachment.app.id == app).ok_or_else(unknown)
}

/// Attaches a filter to an app (`behaviour.md` §32): 400 for a filter that is missing, unknown, or of a type of which
/// the app has one.
pub async fn create(
    store: &Store,
    (sealer, ids): (&Sealer, &Ids),
    author: &Principal,
    app: AppId,
    (filter, scope): (String, PathScope),
) -> Result<FilterAttachment, Error> {
    if filter.trim().is_empty() {
        return Err(refused(RuleError::new("The filter is missing: give its id.")));
    }
    let (id, reach, sealer) = (FilterAttachmentId::new(ids.next()), author.reach.clone(), sealer.clone());
    store
        .write(author, move |tx| {
            let app = apps::still(tx, app)?;
            let filter = filters::resolve(tx, &sealer, &reach, &filter).map_err(as_bad_request)?;
            attach(tx, (id, &app), filter, scope)
        })
        .await
}

/// Attaches a filter in the caller's transaction.
pub(super) fn attach(
    tx: &mut Tx<'_>,
    (id, app): (FilterAttachmentId, &App),
    filter: Filter,
    scope: PathScope,
) -> Result<FilterAttachment, Error> {
    let (app, now) = (AppReference::of(app), tx.now());
    let attachment = FilterAttachment { id, app, filter, scope, created_at: now, updated_at: now };
    let taken = || {
        format!(
            "A filter of the type {} is attached to the app already; detach that one first.",
            attachment.filter.options.filter_type()
        )
    };
    store::filter_attachments::insert(tx, &attachment)
        .map_err(|error| as_bad_request(Error::exists(error, taken)))?;
    tx.record(Event::FilterAttached {
        app: attachment.app.id,
        filter: attachment.filter.id,
        attachment: id,
    })?;
    Ok(attachment)
}

/// Sets for which paths the filter is in force; what is already so changes nothing. `filter` may name the attached
/// one and no other.
pub async fn update(
    store: &Store,
    sealer: &Sealer,
    author: &Principal,
    (app, id): (AppId, FilterAttachmentId),
    (filter, scope): (Option<String>, PathScope),
) -> Result<FilterAttachment, Error> {
    let sealer = sealer.clone();
    store
        .write(author, move |tx| {
            let old = resolve(tx, &sealer, app, &id.to_string())?;
            let attached = &old.filter;
            let is_attached = |text: &String| {
                text.eq_ignore_ascii_case(attached.name.as_str()) || text.parse() == Ok(attached.id)
            };
            if let Some(other) = filter.as_ref().filter(|text| !is_attached(text)) {
                return Err(refused(RuleError::new(format!(
                    "The filter {} is not the one that is attached ({}); detach that one and attach this one.",
                    shown(other),
                    attached.id
                ))));
            }
            let mut attachment = FilterAttachment { scope, ..old.clone() };
            if attachment != old {
                attachment.updated_at = tx.now();
                store::filter_attachments::update(tx, &attachment)?;
                tx.record(Event::FilterAttachmentUpdated {
                    app,
                    filter: attachment.filter.id,
                    attachment: id,
                })?;
            }
            Ok(attachment)
        })
        .await
}

/// Detaches a filter; gives what is still attached.
pub async fn delete(
    store: &Store,
    sealer: &Sealer,
    author: &Principal,
    (app, id): (AppId, FilterAttachmentId),
) -> Result<Vec<FilterAttachment>, Error> {
    let sealer = sealer.clone();
    store
        .write(author, move |tx| {
            let attachment = resolve(tx, &sealer, app, &id.to_string())?;
            store::filter_attachments::delete(tx, id)?;
            tx.record(Event::FilterDetached { app, filter: attachment.filter.id, attachment: id })?;
            Ok(store::filter_attachments::list_by_app(tx, &sealer, app)?)
        })
        .await
}
