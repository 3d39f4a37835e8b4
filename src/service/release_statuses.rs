//! Release statuses: adding what a check says of a release, and changing it (`behaviour.md` §9).

use super::{Error, releases};
use crate::ids::Ids;
use crate::model::RuleError;
use crate::model::event::Event;
use crate::model::ids::{AppId, ReleaseId, ReleaseStatusId};
use crate::model::principal::Principal;
use crate::model::release_status::{CheckState, ReleaseStatus, STATUSES_LIMIT, StatusContext, StatusText};
use crate::store::{self, Connection, Store};

/// A status to be added.
#[derive(Debug, Clone)]
pub struct NewStatus {
    pub context: String,
    pub state: CheckState,
    pub text: StatusText,
}

/// What shall change; `None` leaves it.
#[derive(Debug, Clone)]
pub struct StatusChange {
    pub state: CheckState,
    pub name: Option<String>,
    pub description: Option<String>,
    pub target_url: Option<String>,
    pub image_url: Option<String>,
}

/// A status of a release of this app.
pub fn find(
    connection: &Connection,
    (app, release): (AppId, ReleaseId),
    id: ReleaseStatusId,
) -> Result<ReleaseStatus, Error> {
    releases::find(connection, app, release)?;
    store::release_statuses::find(connection, release, id)?
        .ok_or_else(|| Error::NotFound(format!("The release {release} has no status {id}.")))
}

/// Adds a status; 422 when the release has one of that context.
pub async fn create(
    store: &Store,
    ids: &Ids,
    author: &Principal,
    (app, release): (AppId, ReleaseId),
    new: NewStatus,
) -> Result<ReleaseStatus, Error> {
    let context = StatusContext::parse(&new.context)?;
    new.text.check()?;
    let id = ReleaseStatusId::new(ids.next());
    store
        .write(author, move |tx| {
            releases::find(tx, app, release)?;
            let present = store::release_statuses::list(tx, release)?;
            if present.iter().any(|status| status.context == context) {
                return Err(RuleError::new(format!(
                    "The release {release} has a status of the context {context} already; change that one."
                ))
                .into());
            }
            if present.len() >= STATUSES_LIMIT {
                return Err(RuleError::new(format!(
                    "The release {release} has {STATUSES_LIMIT} statuses, and no more are kept."
                ))
                .into());
            }
            let status = ReleaseStatus {
                id,
                release,
                context,
                state: new.state,
                text: new.text,
                created_at: tx.now(),
                updated_at: tx.now(),
            };
            store::release_statuses::insert(tx, &status)?;
            store::releases::touch(tx, release)?;
            tx.record(Event::ReleaseStatusCreated { app, release, status: id, state: status.state })?;
            Ok(status)
        })
        .await
}

/// Changes a status. Only a real change is written and told of.
pub async fn update(
    store: &Store,
    author: &Principal,
    (app, release): (AppId, ReleaseId),
    id: ReleaseStatusId,
    change: StatusChange,
) -> Result<ReleaseStatus, Error> {
    store
        .write(author, move |tx| {
            let old = find(tx, (app, release), id)?;
            let mut status = old.clone();
            status.state = change.state;
            let text = &mut status.text;
            let fields = [
                (&mut text.name, change.name),
                (&mut text.description, change.description),
                (&mut text.target_url, change.target_url),
                (&mut text.image_url, change.image_url),
            ];
            for (field, wanted) in fields {
                if let Some(wanted) = wanted {
                    *field = wanted;
                }
            }
            status.text.check()?;
            if status != old {
                status.updated_at = tx.now();
                store::release_statuses::update(tx, &status)?;
                store::releases::touch(tx, release)?;
                tx.record(Event::ReleaseStatusUpdated { app, release, status: id, state: status.state })?;
            }
            Ok(status)
        })
        .await
}
