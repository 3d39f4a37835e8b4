//! Builds. The source is sealed: a URL or a login may hold a secret.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Row, named_params};
use serde::{Deserialize, Serialize};

use super::{StoreError, Tx};
use crate::model::build::{
    ArchiveLogin, Build, BuildSource, BuildState, BuildStep, Checksum, Commit, ImageId, ImageReference,
    RegistryLogin,
};
use crate::model::command::Command;
use crate::model::ids::{AppId, BuildId};
use crate::model::names::ProcessType;
use crate::model::time::Timestamp;
use crate::seal::{SealPlace, Sealed, Sealer};

/// A build by id, also one of a deleted app (`behaviour.md` §3: slugs survive).
pub fn find(connection: &Connection, sealer: &Sealer, id: BuildId) -> Result<Option<Build>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM builds WHERE id = ?1")?;
    let row = statement.query_row([id], StoredBuild::from_row).optional()?;
    row.map(|row| row.open(sealer)).transpose()
}

/// The builds of an app, oldest first.
pub fn list(connection: &Connection, sealer: &Sealer, app: AppId) -> Result<Vec<Build>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT * FROM builds WHERE app_id = ?1 ORDER BY number")?;
    collect(statement.query_map([app], StoredBuild::from_row)?, sealer)
}

/// The builds of an app that are queued or running, oldest first.
pub fn list_unfinished_of(connection: &Connection, app: AppId) -> Result<Vec<BuildId>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT id FROM builds WHERE app_id = ?1 AND state IN ('queued', 'running') ORDER BY number",
    )?;
    let rows = statement.query_map([app], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The builds of all live apps that are queued or running, oldest first.
pub fn list_unfinished(connection: &Connection, sealer: &Sealer) -> Result<Vec<Build>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT builds.* FROM builds JOIN apps ON apps.id = builds.app_id
         WHERE builds.state IN ('queued', 'running') AND apps.deleted_at IS NULL
         ORDER BY builds.created_at, builds.id",
    )?;
    collect(statement.query_map([], StoredBuild::from_row)?, sealer)
}

/// The running builds of live apps: the app, the build's number, and since when it runs; oldest first.
pub fn list_running(connection: &Connection) -> Result<Vec<(AppId, u32, Timestamp)>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT builds.app_id, builds.number, builds.started_at FROM builds JOIN apps ON apps.id = builds.app_id
         WHERE builds.state = 'running' AND builds.started_at IS NOT NULL AND apps.deleted_at IS NULL
         ORDER BY builds.started_at",
    )?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// How many builds of each state there are, of all apps.
pub fn count_by_state(connection: &Connection) -> Result<BTreeMap<String, u64>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT state, count(*) FROM builds GROUP BY state")?;
    let rows = statement
        .query_map([], |row| Ok((row.get(0)?, u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0))))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The number that the next build of an app gets.
pub fn next_number(connection: &Connection, app: AppId) -> Result<u32, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT coalesce(max(number), 0) + 1 FROM builds WHERE app_id = ?1")?;
    Ok(statement.query_row([app], |row| row.get(0))?)
}

/// Adds a build.
pub fn insert(tx: &Tx<'_>, sealer: &Sealer, build: &Build) -> Result<(), StoreError> {
    let (source_kind, source) = seal_source(sealer, build)?;
    tx.prepare_cached(
        "INSERT INTO builds (id, app_id, number, state, attempt, source_kind, source, checksum, repo, sha, branch,
            version, message, author, created_by, created_at, updated_at)
         VALUES (:id, :app_id, :number, 'queued', 0, :source_kind, :source, :checksum, :repo, :sha, :branch,
            :version, :message, :author, :created_by, :created_at, :updated_at)",
    )?
    .execute(named_params! {
        ":id": build.id,
        ":app_id": build.app_id,
        ":number": build.number,
        ":source_kind": source_kind,
        ":source": source,
        ":checksum": build.checksum.as_str(),
        ":repo": build.commit.repo,
        ":sha": build.commit.sha,
        ":branch": build.commit.branch,
        ":version": build.commit.version,
        ":message": build.commit.message,
        ":author": build.commit.author,
        ":created_by": build.created_by,
        ":created_at": build.created_at,
        ":updated_at": build.updated_at,
    })?;
    set_state(tx, build.id, &build.state)
}

/// Moves a build to another state; the journal of what the daemon is doing with it.
pub fn set_state(tx: &Tx<'_>, id: BuildId, state: &BuildState) -> Result<(), StoreError> {
    let columns = StateColumns::of(state);
    tx.prepare_cached(
        "UPDATE builds SET state = :state, step = :step, attempt = coalesce(:attempt, attempt),
            started_at = coalesce(:started_at, started_at), finished_at = :finished_at, image = :image,
            reason = :reason, stopped_by = :stopped_by, updated_at = :now
         WHERE id = :id",
    )?
    .execute(named_params! {
        ":id": id,
        ":state": columns.state,
        ":step": columns.step,
        ":attempt": columns.attempt,
        ":started_at": columns.started_at,
        ":finished_at": columns.finished_at,
        ":image": columns.image,
        ":reason": columns.reason,
        ":stopped_by": columns.stopped_by,
        ":now": tx.now(),
    })?;
    Ok(())
}

/// Stores the Procfile that a build was found to have.
pub fn set_process_types(
    tx: &Tx<'_>,
    id: BuildId,
    types: &[(ProcessType, Command)],
) -> Result<(), StoreError> {
    tx.execute("DELETE FROM build_process_types WHERE build_id = ?1", [id])?;
    let mut statement = tx.prepare_cached(
        "INSERT INTO build_process_types (build_id, process_type, command) VALUES (?1, ?2, ?3)",
    )?;
    for (process_type, command) in types {
        statement.execute((id, process_type, command.as_str()))?;
    }
    Ok(())
}

/// The Procfile of a build, by type; empty when it had none.
pub fn process_types(
    connection: &Connection,
    id: BuildId,
) -> Result<Vec<(ProcessType, Command)>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT process_type, command FROM build_process_types WHERE build_id = ?1 ORDER BY process_type",
    )?;
    let rows = statement.query_map([id], |row| Ok((row.get(0)?, Command::from_stored(row.get(1)?))))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

struct StateColumns<'a> {
    state: &'static str,
    step: Option<BuildStep>,
    attempt: Option<u32>,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    image: Option<&'a ImageId>,
    reason: Option<&'a str>,
    stopped_by: Option<&'a str>,
}

impl<'a> StateColumns<'a> {
    fn of(state: &'a BuildState) -> Self {
        let empty = Self {
            state: "queued",
            step: None,
            attempt: None,
            started_at: None,
            finished_at: None,
            image: None,
            reason: None,
            stopped_by: None,
        };
        match state {
            BuildState::Queued => empty,
            BuildState::Running { step, since, attempt } => Self {
                state: "running",
                step: Some(*step),
                attempt: Some(*attempt),
                started_at: Some(*since),
                ..empty
            },
            BuildState::Succeeded { image, finished_at } => {
                Self { state: "succeeded", image: Some(image), finished_at: Some(*finished_at), ..empty }
            }
            BuildState::Failed { reason, finished_at } => {
                Self { state: "failed", reason: Some(reason), finished_at: Some(*finished_at), ..empty }
            }
            BuildState::Stopped { by, finished_at } => Self {
                state: "stopped",
                stopped_by: Some(by.as_str()),
                finished_at: Some(*finished_at),
                ..empty
            },
        }
    }
}

/// The sealed form of a source; an upload has none.
#[derive(Serialize, Deserialize)]
pub(super) enum SealedSource {
    Archive {
        url: String,
        #[serde(default)]
        login: Option<String>,
    },
    Image {
        reference: String,
        login: Option<(String, String)>,
    },
}

impl SealedSource {
    pub(super) fn of(source: &BuildSource) -> Option<Self> {
        match source {
            BuildSource::Upload => None,
            BuildSource::Archive { url, login } => {
                let login = login.as_ref().map(|login| login.reveal().to_owned());
                Some(Self::Archive { url: url.clone(), login })
            }
            BuildSource::Image { reference, login } => Some(Self::Image {
                reference: reference.as_str().to_owned(),
                login: login.as_ref().map(|login| (login.user.clone(), login.password.clone())),
            }),
        }
    }

    pub(super) fn open(sealed: Option<Self>) -> BuildSource {
        match sealed {
            None => BuildSource::Upload,
            Some(Self::Archive { url, login }) => {
                BuildSource::Archive { url, login: login.map(ArchiveLogin::new) }
            }
            Some(Self::Image { reference, login }) => BuildSource::Image {
                reference: ImageReference::from_stored(reference),
                login: login.map(|(user, password)| RegistryLogin { user, password }),
            },
        }
    }
}

fn seal_source(sealer: &Sealer, build: &Build) -> Result<(&'static str, Option<Sealed>), StoreError> {
    let Some(source) = SealedSource::of(&build.source) else { return Ok(("upload", None)) };
    let kind = match &source {
        SealedSource::Archive { .. } => "archive",
        SealedSource::Image { .. } => "image",
    };
    let text = serde_json::to_string(&source).map_err(|error| StoreError::Content(error.to_string()))?;
    Ok((kind, Some(sealer.seal(place(&build.id.to_string()), &text)?)))
}

fn place(id: &str) -> SealPlace<'_> {
    SealPlace { table: "builds", row: id, column: "source" }
}

/// A row whose source is still sealed.
struct StoredBuild {
    build: Build,
    source: Option<Sealed>,
}

impl StoredBuild {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let build = Build {
            id: row.get("id")?,
            app_id: row.get("app_id")?,
            number: row.get("number")?,
            state: state_from_row(row)?,
            source: BuildSource::Upload,
            checksum: Checksum::from_stored(row.get("checksum")?),
            commit: Commit {
                repo: row.get("repo")?,
                sha: row.get("sha")?,
                branch: row.get("branch")?,
                version: row.get("version")?,
                message: row.get("message")?,
                author: row.get("author")?,
            },
            created_by: row.get("created_by")?,
            created_at: row.get("created_at")?,
            updated_at: row.get("updated_at")?,
        };
        Ok(Self { build, source: row.get("source")? })
    }

    fn open(mut self, sealer: &Sealer) -> Result<Build, StoreError> {
        let Some(sealed) = self.source else { return Ok(self.build) };
        let text = sealer.open_text(place(&self.build.id.to_string()), &sealed)?;
        let source = serde_json::from_str(&text).map_err(|error| StoreError::Content(error.to_string()))?;
        self.build.source = SealedSource::open(Some(source));
        Ok(self.build)
    }
}

fn state_from_row(row: &Row<'_>) -> rusqlite::Result<BuildState> {
    let state: String = row.get("state")?;
    Ok(match state.as_str() {
        "running" => BuildState::Running {
            step: row.get("step")?,
            since: row.get("started_at")?,
            attempt: row.get("attempt")?,
        },
        "succeeded" => {
            BuildState::Succeeded { image: row.get("image")?, finished_at: row.get("finished_at")? }
        }
        "failed" => BuildState::Failed { reason: row.get("reason")?, finished_at: row.get("finished_at")? },
        "stopped" => BuildState::Stopped { by: row.get("stopped_by")?, finished_at: row.get("finished_at")? },
        _ => BuildState::Queued,
    })
}

fn collect(
    rows: impl Iterator<Item = rusqlite::Result<StoredBuild>>,
    sealer: &Sealer,
) -> Result<Vec<Build>, StoreError> {
    rows.map(|row| row?.open(sealer)).collect()
}
