//! Builds: asking for one, stopping it, and building the same source again.

use super::{Error, apps};
use crate::model::RuleError;
use crate::model::app::App;
use crate::model::build::{Build, BuildSource, BuildState, Checksum, Commit};
use crate::model::event::Event;
use crate::model::ids::{AppId, BuildId};
use crate::model::principal::{Principal, Reach};
use crate::seal::Sealer;
use crate::store::{self, Connection, Store, Tx};

/// Longest of each text about the commit, in characters.
const COMMIT_TEXT_LIMIT: usize = 8 * 1024;

/// A build to be made. An uploaded source lies in the `sources` folder under `id` already.
#[derive(Debug)]
pub struct NewBuild {
    pub id: BuildId,
    pub source: BuildSource,
    pub checksum: String,
    pub commit: Commit,
}

/// A build whose words are within their limits.
#[derive(Debug)]
pub(super) struct CheckedBuild {
    id: BuildId,
    source: BuildSource,
    checksum: Checksum,
    commit: Commit,
}

/// Whether the principal may build for the app; in `socs` and `prod` spaces that needs elevation.
pub fn may_build(author: &Principal, app: &App) -> Result<(), Error> {
    if app.space.compliance.needs_elevation() && !author.is_elevated() {
        return Err(Error::Forbidden(format!(
            "Builds in the space {} need elevated access, because of its compliance.",
            app.space.name
        )));
    }
    Ok(())
}

/// Queues a build (`behaviour.md` §7). The author of the commit is the principal when none is named.
pub async fn create(
    store: &Store,
    sealer: &Sealer,
    author: &Principal,
    app: &App,
    mut new: NewBuild,
) -> Result<Build, Error> {
    may_build(author, app)?;
    if new.commit.author.is_empty() {
        new.commit.author = author.user.to_string();
    }
    let new = CheckedBuild::parse(new)?;
    queue(store, sealer, author, app.id, new).await
}

/// Queues a build of the same source with the same words about it. An upload was copied to `id` already.
pub async fn create_again(
    store: &Store,
    sealer: &Sealer,
    author: &Principal,
    old: &Build,
    id: BuildId,
) -> Result<Build, Error> {
    let (source, checksum, commit) = (old.source.clone(), old.checksum.clone(), old.commit.clone());
    queue(store, sealer, author, old.app_id, CheckedBuild { id, source, checksum, commit }).await
}

async fn queue(
    store: &Store,
    sealer: &Sealer,
    author: &Principal,
    app: AppId,
    new: CheckedBuild,
) -> Result<Build, Error> {
    let (sealer, reach) = (sealer.clone(), author.reach.clone());
    store.write(author, move |tx| add(tx, &sealer, (app, &reach), new)).await
}

/// Queues a build in the caller's transaction. An image that another app's build made is taken from apps within reach
/// only.
pub(super) fn add(
    tx: &mut Tx<'_>,
    sealer: &Sealer,
    (app, reach): (AppId, &Reach),
    new: CheckedBuild,
) -> Result<Build, Error> {
    apps::still(tx, app)?;
    if let BuildSource::Image { reference, .. } = &new.source
        && let Some(installation) = store::installation::find(tx)?
        && let Some((owner, _)) = reference.built_by(installation)
    {
        let owner = store::apps::find_any(tx, owner)?.ok_or_else(|| {
            RuleError::new(format!("The image {} is of no app of this server.", reference.as_str()))
        })?;
        apps::check_reach(reach, owner)?;
    }
    let build = Build {
        id: new.id,
        app_id: app,
        number: store::builds::next_number(tx, app)?,
        state: BuildState::Queued,
        source: new.source,
        checksum: new.checksum,
        commit: new.commit,
        created_by: tx.author().clone(),
        created_at: tx.now(),
        updated_at: tx.now(),
    };
    store::builds::insert(tx, sealer, &build)?;
    tx.record(Event::BuildCreated { app, build: build.id })?;
    Ok(build)
}

/// Stops a running build (reading 10): 409 while it is queued, 422 when it has finished.
pub async fn stop(
    store: &Store,
    sealer: &Sealer,
    author: &Principal,
    app: AppId,
    id: BuildId,
) -> Result<(), Error> {
    let sealer = sealer.clone();
    store
        .write(author, move |tx: &mut Tx<'_>| {
            let build = find(tx, &sealer, app, id)?;
            match build.state {
                BuildState::Queued => {
                    return Err(Error::Conflict(format!(
                        "The build {id} is still queued and not running; stop it once it runs."
                    )));
                }
                BuildState::Succeeded { .. } | BuildState::Failed { .. } | BuildState::Stopped { .. } => {
                    let status = build.state.status();
                    let text = format!("The build {id} has finished ({status}) and cannot be stopped.");
                    return Err(RuleError::new(text).into());
                }
                BuildState::Running { .. } => {}
            }
            let stopped = BuildState::Stopped { by: tx.author().clone(), finished_at: tx.now() };
            store::builds::set_state(tx, id, &stopped)?;
            tx.record(Event::BuildStopped { app, build: id })?;
            Ok(())
        })
        .await
}

/// A build of this app.
pub fn find(connection: &Connection, sealer: &Sealer, app: AppId, id: BuildId) -> Result<Build, Error> {
    store::builds::find(connection, sealer, id)?
        .filter(|build| build.app_id == app)
        .ok_or_else(|| Error::NotFound(format!("The build {id} does not exist.")))
}

impl CheckedBuild {
    /// Bounds its texts.
    pub(super) fn parse(new: NewBuild) -> Result<Self, RuleError> {
        let checksum = Checksum::parse(&new.checksum)?;
        check_commit(&new.commit)?;
        Ok(Self { id: new.id, source: new.source, checksum, commit: new.commit })
    }
}

fn check_commit(commit: &Commit) -> Result<(), RuleError> {
    let texts = [
        ("repo", &commit.repo),
        ("sha", &commit.sha),
        ("branch", &commit.branch),
        ("version", &commit.version),
        ("message", &commit.message),
        ("author", &commit.author),
    ];
    for (field, text) in texts {
        let length = text.chars().count();
        if length > COMMIT_TEXT_LIMIT {
            return Err(RuleError::new(format!(
                "The {field} has {length} characters; at most {COMMIT_TEXT_LIMIT} are kept."
            )));
        }
    }
    Ok(())
}
