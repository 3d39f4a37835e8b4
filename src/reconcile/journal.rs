//! The durable steps of a release and of a deletion, each in one transaction.

use std::sync::Arc;

use super::Context;
use super::desired::LiveApp;
use crate::engine::EngineError;
use crate::failpoint;
use crate::model::event::Event;
use crate::model::ids::{AppId, ReleaseId};
use crate::model::journal::JournalStep;
use crate::model::names::{ProcessType, SizeName};
use crate::model::oneoff::RELEASE_TYPE;
use crate::model::principal::Principal;
use crate::model::release::{Release, ReleaseState};
use crate::model::time::Timestamp;
use crate::service::{self, oneoffs};
use crate::store::{self, StoreError, Tx};

/// Ends the releases that a newer one has overtaken.
pub(super) async fn overtake(context: &Arc<Context>, live: &LiveApp) -> Result<(), StoreError> {
    let Some(target) = &live.target else { return Ok(()) };
    for release in &live.overtaken {
        let reason = format!("The release v{} was made before this one was up.", target.release.version);
        let at = context.clock.now();
        move_on(context, release, ReleaseState::Failed { reason, at }).await?;
    }
    Ok(())
}

/// The target release is being rolled out from now on.
pub(super) async fn begin(context: &Arc<Context>, live: &LiveApp) -> Result<(), service::Error> {
    let Some(target) = &live.target else { return Ok(()) };
    failpoint::reached(JournalStep::ReleaseQueued);
    let maker = oneoffs::Maker { sealer: context.sealer.clone(), ids: context.ids.clone() };
    let default_size = context.catalogue.load().default_size.clone();
    let release = target.release.clone();
    let since = context.clock.now();
    let work = move |tx: &mut Tx<'_>| begin_in(tx, &maker, release, (since, default_size));
    context.store.write(&Principal::daemon(), work).await?;
    failpoint::reached(JournalStep::ReleasePending);
    Ok(())
}

/// The release and the run of its command, where it has one, begin together.
fn begin_in(
    tx: &mut Tx<'_>,
    maker: &oneoffs::Maker,
    mut release: Release,
    (since, default_size): (Timestamp, SizeName),
) -> Result<(), service::Error> {
    release.state = ReleaseState::Pending { since };
    let (app, id, version) = (release.app_id, release.id, release.version);
    store::releases::set_state(tx, &release)?;
    tx.record(Event::ReleaseStarted { app, release: id, version })?;
    let procfile = store::builds::process_types(tx, release.slug)?;
    let Some((process_type, command)) = procfile.into_iter().find(|(t, _)| t.as_str() == RELEASE_TYPE) else {
        return Ok(());
    };
    let web = store::formations::find(tx, app, &ProcessType::web())?;
    let size = web.map_or(default_size, |web| web.size);
    oneoffs::create_of_release(tx, maker, (app, id), (process_type, command, size))
}

/// Every dyno of the target release is up and in rotation.
pub(super) async fn succeed(context: &Arc<Context>, live: &LiveApp) -> Result<(), StoreError> {
    let Some(target) = &live.target else { return Ok(()) };
    failpoint::reached(JournalStep::ReleasePromoted);
    move_on(context, &target.release, ReleaseState::Succeeded { at: context.clock.now() }).await?;
    failpoint::reached(JournalStep::ReleaseSucceeded);
    Ok(())
}

/// The target release cannot come up.
pub(super) async fn fail(context: &Arc<Context>, live: &LiveApp, reason: String) -> Result<(), StoreError> {
    let Some(target) = &live.target else { return Ok(()) };
    let at = context.clock.now();
    move_on(context, &target.release, ReleaseState::Failed { reason, at }).await
}

/// Stores a release's next state with its event.
async fn move_on(context: &Arc<Context>, release: &Release, state: ReleaseState) -> Result<(), StoreError> {
    let mut release = release.clone();
    release.state = state;
    let (app, id, version) = (release.app_id, release.id, release.version);
    let event = match &release.state {
        ReleaseState::Queued | ReleaseState::Pending { .. } => return Ok(()),
        ReleaseState::Succeeded { .. } => Event::ReleaseSucceeded { app, release: id, version },
        ReleaseState::Failed { reason, .. } => {
            Event::ReleaseFailed { app, release: id, version, reason: reason.clone() }
        }
    };
    context
        .store
        .write(&Principal::daemon(), move |tx| {
            store::releases::set_state(tx, &release)?;
            if let ReleaseState::Succeeded { at } = release.state {
                store::apps::set_released(tx, app, at)?;
                tell_source(tx, app, id)?;
            }
            tx.record(event)
        })
        .await
}

/// The hooks of an app are told when one of its previews is up.
fn tell_source(tx: &mut Tx<'_>, app: AppId, release: ReleaseId) -> Result<(), StoreError> {
    let Some(preview) = store::previews::find_by_app(tx, app)? else { return Ok(()) };
    tx.record(Event::PreviewReleased { app: preview.source.id, preview: preview.id, release })
}

/// Removes the images of deleted apps that no live app's release needs, and notes that nothing is left. Of all
/// deleted apps, because this one may have been the last to need what was promoted to it.
pub(super) async fn purge(context: &Arc<Context>, app: AppId) -> Result<(), PurgeError> {
    failpoint::reached(JournalStep::AppDynosRemoved);
    let images = context.engine.list_images().await?;
    let unneeded = context.store.read(move |c| {
        let needed = store::releases::list_slugs_of_live_apps(c)?;
        let mut unneeded = Vec::new();
        for image in images {
            if !needed.contains(&image.build) && store::apps::is_deleted(c, image.app)? {
                unneeded.push(image);
            }
        }
        Ok::<_, StoreError>(unneeded)
    });
    for image in unneeded.await? {
        context.engine.remove_image(image.app, image.build).await?;
    }
    failpoint::reached(JournalStep::AppImagesRemoved);
    context
        .store
        .write(&Principal::daemon(), move |tx| {
            store::oneoffs::end_all(tx, app, "its app was deleted")?;
            store::apps::mark_purged(tx, app)
        })
        .await?;
    Ok(())
}

/// Why a deleted app could not be cleared away.
#[derive(Debug, thiserror::Error)]
pub(super) enum PurgeError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Store(#[from] StoreError),
}
