//! A pushed commit on its way to the dynos: archived, built by the ordinary builds, released, and told line by line.
//!
//! Invariant: nothing here builds or releases; it is the queue of builds and the reconciler that do, and they go on
//! when nobody listens any more.

use std::time::Duration;

use super::change::ObjectId;
use super::reception::Refusal;
use super::repository::Repository;
use super::teller::Teller;
use super::{Git, GitError, Push};
use crate::builds::source::SourceError;
use crate::logs::Reader;
use crate::model::build::{Build, BuildSource, BuildState, Commit};
use crate::model::ids::{AppId, BuildId, ReleaseId};
use crate::model::log::{LogLine, LogSource};
use crate::model::oneoff::RELEASE_TYPE;
use crate::model::release::{Release, ReleaseState};
use crate::service;
use crate::service::builds::{self, NewBuild};
use crate::store::{self, StoreError};

/// Between two looks at a log.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// How long the last line of a log may be missing after the build has ended.
const LAST_LINE_LIMIT: u32 = 25;
/// Characters that are kept of a commit's message.
const MESSAGE_LIMIT: usize = 4 * 1024;

/// Builds the commit and waits until its release has succeeded.
pub(super) async fn run(
    (git, push): (&Git, &Push),
    repository: &Repository,
    (branch, commit): (&str, &ObjectId),
    teller: &mut Teller,
) -> Result<(), Refusal> {
    let Some(_hold) = git.hold(push.app.id) else {
        return Err(Refusal::Rule(format!(
            "Another push to {} is being deployed. Wait for its end, then push again.",
            push.app.key()
        )));
    };
    builds::may_build(&push.author, &push.app)?;
    let text = repository.commit(commit).await?;
    let title = text.message.lines().next().unwrap_or_default();
    teller.line(format!("-----> Building {} of {branch}: {title}", commit.short())).await?;
    if repository.has_submodules(commit).await? {
        teller.line(" !     Submodules are not fetched: their folders are empty.").await?;
    }
    let mut reader = reader_of(git, push).await?;
    let commit_texts = Commit {
        repo: push.links.remote.clone(),
        sha: commit.as_str().to_owned(),
        branch: branch.to_owned(),
        version: String::new(),
        message: text.message.chars().take(MESSAGE_LIMIT).collect(),
        author: text.author.chars().take(MESSAGE_LIMIT).collect(),
    };
    let build = queue(git, push, repository, (commit, commit_texts)).await?;
    follow_build(git, build.id, teller).await?;
    let Some(release) = release_of(git, &build).await? else {
        return Ok(teller.line("-----> Built, not released: the feature auto-release is off.").await?);
    };
    follow_release(git, &release, &mut reader, teller).await?;
    Ok(teller.line(format!("-----> Released v{}: {}", release.version, push.links.web)).await?)
}

/// Puts the commit's files in the place of an uploaded source and queues their build.
async fn queue(
    git: &Git,
    push: &Push,
    repository: &Repository,
    (commit, texts): (&ObjectId, Commit),
) -> Result<Build, Refusal> {
    let parts = &git.0.parts;
    let id = BuildId::new(parts.ids.next());
    let mut archive = repository.archive(commit)?;
    let output = archive.output.take().ok_or(GitError::Slow)?;
    let stored = parts.sources.receive_stream(id, output, parts.settings.max_archive).await;
    stored.map_err(|error| match error {
        SourceError::Rule(rule) => Refusal::Rule(rule.to_string()),
        SourceError::Io(error) => Refusal::Git(error.into()),
    })?;
    let created = if archive.wait().await? {
        let new = NewBuild { id, source: BuildSource::Upload, checksum: String::new(), commit: texts };
        builds::create(&parts.store, &parts.sealer, &push.author, &push.app, new).await.map_err(Refusal::from)
    } else {
        Err(GitError::Failed("the commit cannot be archived".to_owned()).into())
    };
    if created.is_err()
        && let Err(error) = parts.sources.remove(id).await
    {
        tracing::debug!(%error, "the source of a refused push is swept at the next start");
    }
    created
}

/// Tells the log of a build as it grows; an error when the build fails.
async fn follow_build(git: &Git, id: BuildId, teller: &mut Teller) -> Result<(), Refusal> {
    let parts = &git.0.parts;
    let (mut offset, mut queued, mut missing) = (0, false, 0);
    loop {
        let sealer = parts.sealer.clone();
        let build = parts.store.read(move |c| store::builds::find(c, &sealer, id)).await;
        let Some(build) = build.map_err(service::Error::from)? else {
            return Err(Refusal::Rule("The build is not there any more.".to_owned()));
        };
        let tail = parts.build_logs.read_from(id, offset).await.map_err(GitError::from)?;
        offset = tail.next;
        for line in tail.lines {
            teller.line(format!("       {line}")).await?;
        }
        if tail.ended || (build.state.is_finished() && missing > LAST_LINE_LIMIT) {
            return ended(&build.state);
        }
        missing += u32::from(build.state.is_finished());
        if build.state == BuildState::Queued && !queued {
            queued = true;
            teller.line("       The build waits for its turn.").await?;
        }
        teller.alive().await?;
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Whether the build made a slug. Its log ends after its state is stored.
fn ended(state: &BuildState) -> Result<(), Refusal> {
    let why = match state {
        BuildState::Succeeded { .. } => return Ok(()),
        BuildState::Failed { .. } => "The build failed",
        BuildState::Stopped { .. } => "The build was stopped",
        BuildState::Queued | BuildState::Running { .. } => "The build did not end",
    };
    Err(Refusal::Rule(format!("{why}: nothing was released, and the branch stays where it was.")))
}

/// The release that a build led to by itself.
async fn release_of(git: &Git, build: &Build) -> Result<Option<Release>, Refusal> {
    let (app, slug) = (build.app_id, build.id);
    let all = git.0.parts.store.read(move |c| store::releases::list(c, app)).await;
    Ok(all.map_err(service::Error::from)?.into_iter().find(|release| release.slug == slug))
}

/// Tells how a release goes on, and what its command writes; an error when it fails.
async fn follow_release(
    git: &Git,
    release: &Release,
    reader: &mut Reader,
    teller: &mut Teller,
) -> Result<(), Refusal> {
    let (app, id, version) = (release.app_id, release.id, release.version);
    let mut pending = false;
    loop {
        let state = release_state(git, (app, id)).await?;
        for line in reader.available().await.map_err(GitError::from)?.lines.iter().filter_map(of_command) {
            teller.line(format!("       {line}")).await?;
        }
        match state {
            Some(ReleaseState::Pending { .. }) if !pending => {
                pending = true;
                teller.line(format!("-----> Releasing v{version}: the new dynos start")).await?;
            }
            Some(ReleaseState::Queued | ReleaseState::Pending { .. }) => {}
            Some(ReleaseState::Succeeded { .. }) => return Ok(()),
            Some(ReleaseState::Failed { reason, .. }) => {
                return Err(Refusal::Rule(format!(
                    "The release v{version} failed: {reason} What ran before runs on, and the branch stays where it was."
                )));
            }
            None => return Err(Refusal::Rule("The app is not there any more.".to_owned())),
        }
        teller.alive().await?;
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

async fn release_state(git: &Git, (app, id): (AppId, ReleaseId)) -> Result<Option<ReleaseState>, Refusal> {
    let read = move |c: &store::Connection| {
        if store::apps::find(c, app)?.is_none() {
            return Ok(None);
        }
        Ok::<_, StoreError>(store::releases::find(c, app, id)?.map(|release| release.state))
    };
    Ok(git.0.parts.store.read(read).await.map_err(service::Error::from)?)
}

/// A reader of what is written to the app's log from now on.
async fn reader_of(git: &Git, push: &Push) -> Result<Reader, Refusal> {
    Ok(git.0.parts.rings.reader(push.app.id, u64::MAX).await.map_err(GitError::from)?)
}

/// What the release's command writes is worth being shown to the one who pushes.
fn of_command(line: &LogLine) -> Option<&str> {
    match &line.source {
        LogSource::Dyno { process_type, .. } if process_type.as_str() == RELEASE_TYPE => Some(line.text()),
        LogSource::Dyno { .. } | LogSource::Build | LogSource::Router | LogSource::Controller => None,
    }
}
