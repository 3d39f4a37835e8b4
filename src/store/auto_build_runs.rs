//! Runs: the journal of commits on their way to a build, and of what their provider was told.

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::{StoreError, Tx};
use crate::model::auto_build::{AutoBuildRun, CommitState, RunState, SourceCommit};
use crate::model::ids::{AppId, AutoBuildId, AutoBuildRunId, BuildId};
use crate::model::repository_url::BranchName;
use crate::model::time::Timestamp;

/// Runs of an app that are kept.
const KEPT: u32 = 100;

/// What a provider is to be told of a commit.
#[derive(Debug, Clone)]
pub struct Report {
    pub run: AutoBuildRun,
    pub state: CommitState,
}

/// The run of that id.
pub fn find(connection: &Connection, id: AutoBuildRunId) -> Result<Option<AutoBuildRun>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM auto_build_runs WHERE id = ?1")?;
    Ok(statement.query_row([id], from_row).optional()?)
}

/// The newest run of an app.
pub fn newest(connection: &Connection, app: AppId) -> Result<Option<AutoBuildRun>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT * FROM auto_build_runs WHERE app_id = ?1 ORDER BY created_at DESC, id DESC LIMIT 1",
    )?;
    Ok(statement.query_row([app], from_row).optional()?)
}

/// The runs that are to be looked at now, the longest due first.
pub fn list_due(
    connection: &Connection,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<AutoBuildRunId>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT id FROM auto_build_runs WHERE due_at <= ?1 ORDER BY due_at LIMIT ?2")?;
    let rows = statement.query_map((now, limit), |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// When the next run, report or removal is due, of those that are not due yet.
pub fn next_due(connection: &Connection, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT min(at) FROM (
            SELECT min(due_at) AS at FROM auto_build_runs WHERE due_at > ?1
            UNION ALL SELECT min(report_due_at) FROM auto_build_runs WHERE report_due_at > ?1
            UNION ALL SELECT min(removal_due_at) FROM auto_builds WHERE removal_due_at > ?1)",
    )?;
    Ok(statement.query_row([now], |row| row.get(0))?)
}

/// What providers are to be told now and were not: of builds that began or ended, and of commits that get none.
pub fn list_reports(connection: &Connection, now: Timestamp, limit: u32) -> Result<Vec<Report>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT * FROM (
            SELECT runs.*, CASE coalesce(builds.state, runs.state)
                WHEN 'queued' THEN 'pending' WHEN 'running' THEN 'pending' WHEN 'succeeded' THEN 'success'
                WHEN 'failed' THEN iif(builds.id IS NULL, 'error', 'failure') ELSE 'error' END AS wanted
            FROM auto_build_runs AS runs
            JOIN auto_builds ON auto_builds.id = runs.auto_build_id AND auto_builds.removed_at IS NULL
            LEFT JOIN builds ON builds.id = runs.build_id
            WHERE runs.report_due_at <= ?1)
         WHERE reported IS NULL OR reported <> wanted ORDER BY report_due_at LIMIT ?2",
    )?;
    let rows = statement
        .query_map((now, limit), |row| Ok(Report { run: from_row(row)?, state: row.get("wanted")? }))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Whether the success of a build is to be released; `None` for one that no auto build made.
pub fn is_deployed(connection: &Connection, build: BuildId) -> Result<Option<bool>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT auto_builds.auto_deploy AND runs.run_trigger <> 'release_candidate'
         FROM auto_build_runs AS runs JOIN auto_builds ON auto_builds.id = runs.auto_build_id
         WHERE runs.build_id = ?1",
    )?;
    Ok(statement.query_row([build], |row| row.get(0)).optional()?)
}

/// Adds a run that waits, and forgets the oldest of its app that are over.
pub fn insert(tx: &Tx<'_>, run: &AutoBuildRun) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO auto_build_runs (id, auto_build_id, app_id, run_trigger, branch, sha, state, due_at,
            created_by, created_at, updated_at)
         VALUES (:id, :auto_build_id, :app_id, :run_trigger, :branch, :sha, 'waiting', :created_at,
            :created_by, :created_at, :created_at)",
    )?
    .execute(named_params! {
        ":id": run.id,
        ":auto_build_id": run.auto_build,
        ":app_id": run.app_id,
        ":run_trigger": run.trigger,
        ":branch": run.branch.as_str(),
        ":sha": run.sha,
        ":created_by": run.created_by,
        ":created_at": run.created_at,
    })?;
    if let Some(commit) = &run.commit {
        set_commit(tx, run.id, commit)?;
    }
    set_state(tx, run.id, &run.state)?;
    tx.prepare_cached(
        "DELETE FROM auto_build_runs WHERE app_id = ?1 AND state <> 'waiting' AND report_due_at IS NULL
            AND id NOT IN (SELECT id FROM auto_build_runs WHERE app_id = ?1 ORDER BY created_at DESC, id DESC LIMIT ?2)",
    )?
    .execute((run.app_id, KEPT))?;
    Ok(())
}

/// What the provider says of the commit.
pub fn set_commit(tx: &Tx<'_>, id: AutoBuildRunId, commit: &SourceCommit) -> Result<(), StoreError> {
    tx.prepare_cached(
        "UPDATE auto_build_runs SET sha = ?2, message = ?3, author = ?4, url = ?5, updated_at = ?6 WHERE id = ?1",
    )?
    .execute((id, &commit.sha, &commit.message, &commit.author, &commit.url, tx.now()))?;
    Ok(())
}

/// Moves a run on. With a build, or when there will be none, its provider is to be told.
pub fn set_state(tx: &Tx<'_>, id: AutoBuildRunId, state: &RunState) -> Result<(), StoreError> {
    let (word, attempts, due, build, reason) = match state {
        RunState::Waiting { attempts, due_at } => ("waiting", Some(*attempts), Some(*due_at), None, None),
        RunState::Built(build) => ("built", None, None, Some(*build), None),
        RunState::Failed(reason) => ("failed", None, None, None, Some(reason.as_str())),
        RunState::Superseded => ("superseded", None, None, None, None),
    };
    let report = matches!(state, RunState::Built(_) | RunState::Failed(_)).then(|| tx.now());
    tx.prepare_cached(
        "UPDATE auto_build_runs SET state = :state, attempts = coalesce(:attempts, attempts), due_at = :due_at,
            build_id = :build, reason = :reason, report_due_at = :report, updated_at = :now WHERE id = :id",
    )?
    .execute(named_params! {
        ":id": id,
        ":state": word,
        ":attempts": attempts,
        ":due_at": due,
        ":build": build,
        ":reason": reason,
        ":report": report,
        ":now": tx.now(),
    })?;
    Ok(())
}

/// A later commit of the branch came: those that wait are left out, but for those that somebody waits for by name.
pub fn supersede(tx: &Tx<'_>, auto_build: AutoBuildId) -> Result<(), StoreError> {
    tx.prepare_cached(
        "UPDATE auto_build_runs SET state = 'superseded', due_at = NULL, updated_at = ?2
         WHERE auto_build_id = ?1 AND state = 'waiting' AND run_trigger <> 'release_candidate'",
    )?
    .execute((auto_build, tx.now()))?;
    Ok(())
}

/// The checks of a commit changed: those that wait for them look at once. Whether any does.
pub fn look_again(tx: &Tx<'_>, auto_build: AutoBuildId, sha: &str) -> Result<bool, StoreError> {
    let changed = tx
        .prepare_cached(
            "UPDATE auto_build_runs SET due_at = ?3 WHERE auto_build_id = ?1 AND sha = ?2 AND state = 'waiting'",
        )?
        .execute((auto_build, sha, tx.now()))?;
    Ok(changed > 0)
}

/// The provider was told; after the last word nothing more is due.
pub fn set_reported(tx: &Tx<'_>, id: AutoBuildRunId, state: CommitState) -> Result<(), StoreError> {
    let due = (state == CommitState::Pending).then(|| tx.now());
    tx.prepare_cached(
        "UPDATE auto_build_runs SET reported = ?2, report_attempts = 0, report_due_at = ?3 WHERE id = ?1",
    )?
    .execute((id, state, due))?;
    Ok(())
}

/// The provider was not told; `due` is when that is tried again, `None` when it is given up.
pub fn put_off_report(tx: &Tx<'_>, id: AutoBuildRunId, due: Option<Timestamp>) -> Result<(), StoreError> {
    tx.prepare_cached(
        "UPDATE auto_build_runs SET report_attempts = report_attempts + 1, report_due_at = ?2 WHERE id = ?1",
    )?
    .execute((id, due))?;
    Ok(())
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<AutoBuildRun> {
    let sha: String = row.get("sha")?;
    let commit = row.get::<_, Option<String>>("message")?.map(|message| {
        Ok::<_, rusqlite::Error>(SourceCommit {
            sha: sha.clone(),
            message,
            author: row.get("author")?,
            url: row.get("url")?,
        })
    });
    Ok(AutoBuildRun {
        id: row.get("id")?,
        auto_build: row.get("auto_build_id")?,
        app_id: row.get("app_id")?,
        trigger: row.get("run_trigger")?,
        branch: BranchName::from_stored(row.get("branch")?),
        sha,
        commit: commit.transpose()?,
        state: state_from_row(row)?,
        reported: row.get("reported")?,
        report_attempts: row.get("report_attempts")?,
        created_by: row.get("created_by")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    })
}

fn state_from_row(row: &Row<'_>) -> rusqlite::Result<RunState> {
    let state: String = row.get("state")?;
    Ok(match state.as_str() {
        "waiting" => RunState::Waiting { attempts: row.get("attempts")?, due_at: row.get("due_at")? },
        "built" => RunState::Built(row.get("build_id")?),
        "failed" => RunState::Failed(row.get("reason")?),
        _ => RunState::Superseded,
    })
}
