//! Previews: an app for each pull request of an app that wants them (`behaviour.md` §12, §28).
//!
//! Invariant: a preview is there with everything that belongs to it, or not at all; it never outlives its source.

mod addons;
mod copy;
mod sites;

use self::copy::Copier;
use super::addons::Shop;
use super::{Error, apps, auto_builds};
use crate::ids::Ids;
use crate::model::RuleError;
use crate::model::app::App;
use crate::model::event::Event;
use crate::model::feature::Feature;
use crate::model::ids::{AppId, AppSetupId, PreviewId};
use crate::model::pipeline::AppReference;
use crate::model::preview::{Preview, PreviewSuffix, PreviewTrigger};
use crate::model::principal::Principal;
use crate::model::pull_request::{PullRequest, PullRequestChange};
use crate::model::repository_url::{BranchName, RepositoryUrl};
use crate::model::rule::shown;
use crate::model::time::Timestamp;
use crate::seal::Sealer;
use crate::store::{self, Connection, Store, Tx};

/// Whose pull requests are followed: those into a branch of a repository that an app is built from.
#[derive(Debug, Clone)]
pub struct Followed {
    pub app: AppId,
    /// Where the repository is.
    pub trigger: PreviewTrigger,
    pub repository: RepositoryUrl,
    pub branch: BranchName,
}

/// What a change of a pull request led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The preview was made; what it shows is still to be built.
    Made(Preview),
    /// It is there already.
    Kept(Preview),
    Removed(Vec<Preview>),
    /// It should have been made and could not be, for this reason, which the log of the source tells too.
    Refused(String),
    /// Nothing is to be done.
    Ignored(&'static str),
}

/// The preview of that id, if it is one of the app.
pub fn resolve(connection: &Connection, source: AppId, text: &str) -> Result<Preview, Error> {
    let unknown = || Error::NotFound(format!("The preview {} does not exist for this app.", shown(text)));
    let id: PreviewId = text.parse().map_err(|_| unknown())?;
    let found = store::previews::find(connection, id)?;
    found.filter(|preview| preview.source.id == source).ok_or_else(unknown)
}

/// Makes or removes the preview of a pull request. Doing it twice does nothing the second time.
pub async fn follow(
    store: &Store,
    made_of: (&Sealer, &Ids, &Shop),
    followed: &Followed,
    request: &PullRequest,
) -> Result<Outcome, Error> {
    if request.is_from_fork_of(&followed.repository) {
        return Ok(Outcome::Ignored("The pull request comes from a fork."));
    }
    let is_ours = request.base == followed.branch;
    match &request.change {
        PullRequestChange::Opened | PullRequestChange::Updated | PullRequestChange::Retargeted { .. }
            if is_ours =>
        {
            make(store, made_of, followed, request).await
        }
        PullRequestChange::Opened | PullRequestChange::Updated => {
            Ok(Outcome::Ignored("The pull request is for another branch."))
        }
        PullRequestChange::Closed | PullRequestChange::Retargeted { .. } => {
            remove_of(store, followed.app, request).await
        }
    }
}

/// Removes the previews whose pull requests were not heard of since then; how many.
pub async fn expire(store: &Store, since: Timestamp) -> Result<usize, Error> {
    let old = store.read(move |c| store::previews::list_untouched_since(c, since)).await?;
    let mut removed = 0;
    for preview in old {
        let remove_old = move |tx: &mut Tx<'_>| {
            // It may have been heard of meanwhile.
            let still = store::previews::find(tx, preview.id)?.filter(|now| now.updated_at < since);
            still.map_or(Ok(false), |preview| remove(tx, &preview).map(|()| true))
        };
        let expired: Result<bool, Error> = store.write(&Principal::daemon(), remove_old).await;
        removed += usize::from(expired?);
    }
    Ok(removed)
}

/// Removes the previews of an app, because it goes or wants none any more.
pub(super) fn remove_of_source(tx: &mut Tx<'_>, source: AppId) -> Result<(), Error> {
    store::previews::list_by_source(tx, source)?.iter().try_for_each(|preview| remove(tx, preview))
}

/// Removes what was made with an app that is being deleted, if it is a preview.
pub(super) fn remove_rest(tx: &mut Tx<'_>, app: &App) -> Result<(), Error> {
    let Some(preview) = store::previews::find_by_app(tx, app.id)? else { return Ok(()) };
    sites::remove_all(tx, preview.id)?;
    let (source, id) = (preview.source.id, preview.id);
    tx.record(Event::PreviewDeleted { app: source, preview: id, preview_app: app.id })?;
    Ok(())
}

async fn make(
    store: &Store,
    (sealer, ids, shop): (&Sealer, &Ids, &Shop),
    followed: &Followed,
    request: &PullRequest,
) -> Result<Outcome, Error> {
    let shop = shop.clone();
    let (followed, wanted, sealer, ids) = (followed.clone(), request.clone(), sealer.clone(), ids.clone());
    let source = followed.app;
    let all = move |tx: &mut Tx<'_>| make_in(tx, (&sealer, &ids, &shop), &followed, &wanted);
    let reason = match store.write(&Principal::daemon(), all).await {
        Err(Error::Invalid(rule)) => rule.to_string(),
        Err(Error::Conflict(reason) | Error::NotReady(reason)) => reason,
        other => return other,
    };
    let (branch, told) = (request.head.branch.clone(), reason.clone());
    let record = move |tx: &mut Tx<'_>| {
        if store::apps::find(tx, source)?.is_some() {
            tx.record(Event::PreviewRefused { app: source, branch, reason: told })?;
        }
        Ok::<_, Error>(())
    };
    store.write(&Principal::daemon(), record).await?;
    Ok(Outcome::Refused(reason))
}

fn make_in(
    tx: &mut Tx<'_>,
    (sealer, ids, shop): (&Sealer, &Ids, &Shop),
    followed: &Followed,
    request: &PullRequest,
) -> Result<Outcome, Error> {
    let Some(source) = store::apps::find(tx, followed.app)? else {
        return Ok(Outcome::Ignored("The app does not exist any more."));
    };
    let features = store::features::list_enabled(tx, source.id)?;
    if !features.contains(&Feature::Preview) {
        return Ok(Outcome::Ignored("The feature preview is off."));
    }
    if source.space.compliance.is_socs() || source.space.compliance.is_prod() {
        return Ok(Outcome::Ignored("The compliance of the space allows no previews."));
    }
    let others = store::previews::list_by_source(tx, source.id)?;
    if let Some(there) = others.into_iter().find(|other| other.branch == request.head.branch) {
        if there.is_of(request) {
            store::previews::touch(tx, there.id)?;
        }
        return Ok(Outcome::Kept(there));
    }
    let preview = insert(tx, ids, &source, (followed.trigger, request))?;
    let target = apps::still(tx, preview.app.id)?;
    let suffix = PreviewSuffix::of(&preview.branch);
    let mut copier = Copier { tx, sealer, ids, source: &source, target: &target };
    copier.features(&features)?;
    copier.config_vars()?;
    copier.formations(features.contains(&Feature::PreviewDynos))?;
    copier.drains()?;
    copier.filters()?;
    copier.addons(shop, features.contains(&Feature::PreviewAddons))?;
    copier.coupling()?;
    if features.contains(&Feature::PreviewSites) {
        copier.sites(preview.id, &suffix)?;
    }
    let head = (request.head.branch.clone(), request.head.sha.clone());
    auto_builds::follow(tx, (sealer, ids), (source.id, target.id), head)?;
    tx.record(Event::PreviewCreated { app: source.id, preview: preview.id, preview_app: target.id })?;
    Ok(Outcome::Made(preview))
}

/// The preview and its app, with nothing in it.
fn insert(
    tx: &mut Tx<'_>,
    ids: &Ids,
    source: &App,
    (trigger, request): (PreviewTrigger, &PullRequest),
) -> Result<Preview, Error> {
    let suffix = PreviewSuffix::of(&request.head.branch);
    let id = PreviewId::new(ids.next());
    let app = App {
        id: AppId::new(ids.next()),
        name: suffix.app_name(&source.name, &source.space.name),
        preview: Some(id),
        description: format!("Preview of {} for pull request {}.", source.key(), request.number),
        maintenance: false,
        created_at: tx.now(),
        updated_at: tx.now(),
        released_at: None,
        ..source.clone()
    };
    let preview = Preview {
        id,
        app: AppReference::of(&app),
        source: AppReference::of(source),
        setup: AppSetupId::new(ids.next()),
        trigger,
        branch: request.head.branch.clone(),
        number: request.number,
        created_at: tx.now(),
        updated_at: tx.now(),
    };
    store::previews::insert(tx, &preview)?;
    apps::insert(tx, &app, &[])?;
    Ok(preview)
}

async fn remove_of(store: &Store, source: AppId, request: &PullRequest) -> Result<Outcome, Error> {
    let request = request.clone();
    store
        .write(&Principal::daemon(), move |tx| {
            let mut previews = store::previews::list_by_source(tx, source)?;
            previews.retain(|preview| preview.is_of(&request));
            if previews.is_empty() {
                return Ok(Outcome::Ignored("The pull request has no preview."));
            }
            previews.iter().try_for_each(|preview| remove(tx, preview))?;
            Ok(Outcome::Removed(previews))
        })
        .await
}

fn remove(tx: &mut Tx<'_>, preview: &Preview) -> Result<(), Error> {
    let app = apps::still(tx, preview.app.id)?;
    apps::remove(tx, &app)
}

/// Why a preview cannot be: said with the source's key, because the log that it stands in may be read elsewhere.
fn missing_value(source: &App, name: &impl std::fmt::Display) -> RuleError {
    RuleError::new(format!(
        "The config var {name} of {} is required and has no value; set one, then push to the branch again.",
        source.key()
    ))
}
