//! Auto builds in the store: what an app follows, and the commits that are on their way to a build.
//!
//! What goes on at the providers is `crate::source_control`'s; nothing here waits for them.

use super::builds::{self, CheckedBuild, NewBuild};
use super::{Error, apps};
use crate::ids::Ids;
use crate::model::app::App;
use crate::model::auto_build::{AutoBuild, AutoBuildRun, RunState, RunTrigger, SourceCommit, SourceDelivery};
use crate::model::build::{ArchiveLogin, BuildSource, Commit};
use crate::model::event::Event;
use crate::model::ids::{AppId, AutoBuildId, AutoBuildRunId, BuildId};
use crate::model::principal::{Principal, Reach};
use crate::model::repository_url::BranchName;
use crate::seal::Sealer;
use crate::store::{self, Connection, Store, Tx};

/// What stands in the place of a checksum (`behaviour.md` §12).
const CHECKSUM: &str = "already-validated-auto-build";
/// Characters of a commit's message that a build keeps.
const MESSAGE_LIMIT: usize = 8 * 1024;

/// A commit that is to be built.
#[derive(Debug, Clone)]
pub struct NewRun {
    pub trigger: RunTrigger,
    pub branch: BranchName,
    pub sha: String,
    /// `None` when the provider is yet to be asked.
    pub commit: Option<SourceCommit>,
}

/// The auto build of an app.
pub fn find(connection: &Connection, sealer: &Sealer, app: &App) -> Result<AutoBuild, Error> {
    store::auto_builds::find_by_app(connection, sealer, app.id)?.ok_or_else(|| {
        Error::NotFound(format!(
            "The app {} has no auto build; POST /apps/{}/builds/auto makes one.",
            app.key(),
            app.key()
        ))
    })
}

/// Gives an app its auto build in the place of the one that it has, and queues the first build. Its previews fetch the
/// same repository with the same token from now on. The webhook of the old one is to be removed afterwards, unless the
/// new one took it over.
pub async fn replace(
    store: &Store,
    (sealer, ids): (&Sealer, &Ids),
    author: &Principal,
    new: AutoBuild,
    tip: SourceCommit,
) -> Result<AutoBuild, Error> {
    let (sealer, ids) = (sealer.clone(), ids.clone());
    store
        .write(author, move |tx| {
            apps::still(tx, new.app_id)?;
            let old = store::auto_builds::find_by_app(tx, &sealer, new.app_id)?;
            if let Some(removed) = store::auto_builds::mark_removed_of_app(tx, new.app_id)? {
                if old.is_some_and(|old| shares_hook(&old, &new)) {
                    store::auto_builds::delete(tx, removed)?;
                }
                tx.record(Event::AutoBuildDeleted { app: new.app_id, auto_build: removed })?;
            }
            let (created_at, created_by) = (tx.now(), tx.author().clone());
            let one = AutoBuild { created_by, created_at, updated_at: created_at, ..new };
            store::auto_builds::insert(tx, &sealer, &one)?;
            tx.record(Event::AutoBuildCreated { app: one.app_id, auto_build: one.id })?;
            for preview in store::auto_builds::list_hearing_with(tx, &sealer, one.app_id)? {
                if preview.repo == one.repo {
                    let (username, token) = (one.username.clone(), one.token.clone());
                    store::auto_builds::set_login(tx, &sealer, &AutoBuild { username, token, ..preview })?;
                }
            }
            let (branch, sha) = (one.branch.clone(), tip.sha.clone());
            let first = NewRun { trigger: RunTrigger::Created, branch, sha, commit: Some(tip) };
            queue(tx, &ids, (one.app_id, one.id), first)?;
            Ok(one)
        })
        .await
}

/// Takes an app's auto build away. Its webhook is to be removed afterwards.
pub async fn remove(store: &Store, author: &Principal, app: &App) -> Result<(), Error> {
    let (id, key) = (app.id, app.key());
    store
        .write(author, move |tx| {
            let removed = store::auto_builds::mark_removed_of_app(tx, id)?
                .ok_or_else(|| Error::NotFound(format!("The app {key} has no auto build.")))?;
            tx.record(Event::AutoBuildDeleted { app: id, auto_build: removed })?;
            Ok(())
        })
        .await
}

/// Gives a preview the auto build of the app that it is made of, with another branch, and queues the build of its
/// commit. It hears of pushes with that app, and is always released. `None` when that app has none.
pub fn follow(
    tx: &mut Tx<'_>,
    (sealer, ids): (&Sealer, &Ids),
    (app, preview): (AppId, AppId),
    (branch, sha): (BranchName, String),
) -> Result<Option<AutoBuild>, Error> {
    let Some(source) = store::auto_builds::find_by_app(tx, sealer, app)? else { return Ok(None) };
    let one = AutoBuild {
        id: AutoBuildId::new(ids.next()),
        app_id: preview,
        branch: branch.clone(),
        delivery: SourceDelivery::With(app),
        auto_deploy: true,
        created_by: tx.author().clone(),
        created_at: tx.now(),
        updated_at: tx.now(),
        ..source
    };
    store::auto_builds::insert(tx, sealer, &one)?;
    tx.record(Event::AutoBuildCreated { app: preview, auto_build: one.id })?;
    queue(tx, ids, (preview, one.id), NewRun { trigger: RunTrigger::Created, branch, sha, commit: None })?;
    Ok(Some(one))
}

/// Queues a commit for building, in the caller's transaction. Of a branch only the newest is built; one that waits
/// for its checks is left out.
pub fn queue(
    tx: &mut Tx<'_>,
    ids: &Ids,
    (app, auto_build): (AppId, AutoBuildId),
    new: NewRun,
) -> Result<AutoBuildRunId, Error> {
    if new.trigger != RunTrigger::Candidate {
        store::auto_build_runs::supersede(tx, auto_build)?;
    }
    let run = AutoBuildRun {
        id: AutoBuildRunId::new(ids.next()),
        auto_build,
        app_id: app,
        trigger: new.trigger,
        branch: new.branch,
        sha: new.sha,
        commit: new.commit,
        state: RunState::Waiting { attempts: 0, due_at: tx.now() },
        reported: None,
        report_attempts: 0,
        created_by: tx.author().clone(),
        created_at: tx.now(),
        updated_at: tx.now(),
    };
    store::auto_build_runs::insert(tx, &run)?;
    tx.record(Event::AutoBuildQueued { app, run: run.id })?;
    Ok(run.id)
}

/// Queues a commit for building.
pub async fn start(
    store: &Store,
    (sealer, ids): (&Sealer, &Ids),
    author: &Principal,
    app: &App,
    new: NewRun,
) -> Result<AutoBuildRunId, Error> {
    let (ids, sealer, app) = (ids.clone(), sealer.clone(), app.clone());
    store
        .write(author, move |tx| {
            let auto_build = find(tx, &sealer, &app)?;
            queue(tx, &ids, (app.id, auto_build.id), new)
        })
        .await
}

/// Queues what was pushed for every app that follows the branch: the one whose webhook told it, and its previews.
/// How many there are.
pub async fn push(
    store: &Store,
    (sealer, ids): (&Sealer, &Ids),
    told: &AutoBuild,
    (branch, commit): (BranchName, SourceCommit),
) -> Result<usize, Error> {
    let (ids, sealer, told) = (ids.clone(), sealer.clone(), told.clone());
    let author = Principal::ordinary(told.created_by.clone());
    store
        .write(&author, move |tx| {
            let mut followers = store::auto_builds::list_hearing_with(tx, &sealer, told.app_id)?;
            followers.extend(store::auto_builds::find(tx, &sealer, told.id)?);
            followers.retain(|one| one.branch == branch && one.repo == told.repo);
            for one in &followers {
                let new = NewRun {
                    trigger: RunTrigger::Push,
                    branch: one.branch.clone(),
                    sha: commit.sha.clone(),
                    commit: Some(commit.clone()),
                };
                queue(tx, &ids, (one.app_id, one.id), new)?;
            }
            Ok(followers.len())
        })
        .await
}

/// Makes the build of a run that still waits, in the caller's transaction. `false` when it does not.
pub fn build(
    tx: &mut Tx<'_>,
    (sealer, ids): (&Sealer, &Ids),
    (run, auto_build): (AutoBuildRunId, &AutoBuild),
    (url, login): (String, ArchiveLogin),
) -> Result<bool, Error> {
    let Some(run) = store::auto_build_runs::find(tx, run)? else { return Ok(false) };
    let (RunState::Waiting { .. }, Some(commit)) = (&run.state, &run.commit) else { return Ok(false) };
    let id = BuildId::new(ids.next());
    let commit = Commit {
        repo: auto_build.repo.to_string(),
        sha: commit.sha.clone(),
        branch: run.branch.to_string(),
        version: commit.url.clone(),
        message: commit.message.chars().take(MESSAGE_LIMIT).collect(),
        author: commit.author.clone(),
    };
    let source = BuildSource::Archive { url, login: Some(login) };
    let new = NewBuild { id, source, checksum: CHECKSUM.to_owned(), commit };
    builds::add(tx, sealer, (run.app_id, &Reach::Everything), CheckedBuild::parse(new)?)?;
    store::auto_build_runs::set_state(tx, run.id, &RunState::Built(id))?;
    Ok(true)
}

/// Ends a run without a build, in the caller's transaction; where everybody can see why.
pub fn fail(tx: &mut Tx<'_>, run: &AutoBuildRun, reason: String) -> Result<(), Error> {
    let Some(found) = store::auto_build_runs::find(tx, run.id)? else { return Ok(()) };
    if matches!(found.state, RunState::Waiting { .. }) {
        store::auto_build_runs::set_state(tx, run.id, &RunState::Failed(reason.clone()))?;
        tx.record(Event::AutoBuildFailed { app: run.app_id, run: run.id, sha: found.sha, reason })?;
    }
    Ok(())
}

/// Whether two have the same webhook at their provider.
fn shares_hook(one: &AutoBuild, other: &AutoBuild) -> bool {
    let (SourceDelivery::Hook { id, .. }, SourceDelivery::Hook { id: other_id, .. }) =
        (&one.delivery, &other.delivery)
    else {
        return false;
    };
    id == other_id && one.repo == other.repo
}
