//! Release candidates, and what the builds of their apps say about commits.

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::{StoreError, Tx};
use crate::model::ids::{AppId, BuildId, CandidateId, PipelineId};
use crate::model::release_candidate::{CandidateVersion, CommitHash, ReleaseCandidate, Repository};

const SELECT: &str = "SELECT release_candidates.*, apps.organization_id
    FROM release_candidates JOIN apps ON apps.id = release_candidates.app_id";

/// Candidates of a pipeline whose images are kept: the newest ones.
const KEPT: u32 = 10;

/// The candidate of that version.
pub fn find(
    connection: &Connection,
    pipeline: PipelineId,
    version: &CandidateVersion,
) -> Result<Option<ReleaseCandidate>, StoreError> {
    let mut statement = connection.prepare_cached(&format!(
        "{SELECT} WHERE release_candidates.pipeline_id = ?1 AND release_candidates.version = ?2
           AND release_candidates.number = ?3"
    ))?;
    Ok(statement.query_row((pipeline, version.release(), version.number()), from_row).optional()?)
}

/// The candidate of that id.
pub fn find_by_id(connection: &Connection, id: CandidateId) -> Result<Option<ReleaseCandidate>, StoreError> {
    let mut statement = connection.prepare_cached(&format!("{SELECT} WHERE release_candidates.id = ?1"))?;
    Ok(statement.query_row([id], from_row).optional()?)
}

/// The newest candidate of a pipeline with that slug.
pub fn newest_of_slug(
    connection: &Connection,
    pipeline: PipelineId,
    slug: BuildId,
) -> Result<Option<ReleaseCandidate>, StoreError> {
    let mut statement = connection.prepare_cached(&format!(
        "{SELECT} WHERE release_candidates.slug = ?2 AND release_candidates.pipeline_id = ?1
         ORDER BY release_candidates.created_at DESC, release_candidates.id DESC LIMIT 1"
    ))?;
    Ok(statement.query_row((pipeline, slug), from_row).optional()?)
}

/// The candidates of a pipeline, oldest first.
pub fn list(connection: &Connection, pipeline: PipelineId) -> Result<Vec<ReleaseCandidate>, StoreError> {
    let mut statement = connection.prepare_cached(&format!(
        "{SELECT} WHERE release_candidates.pipeline_id = ?1
         ORDER BY release_candidates.created_at, release_candidates.id"
    ))?;
    let rows = statement.query_map([pipeline], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The candidates without a slug that wait for a build of that commit of an app, oldest first.
pub fn list_waiting(
    connection: &Connection,
    app: AppId,
    sha: &str,
) -> Result<Vec<ReleaseCandidate>, StoreError> {
    let mut statement = connection.prepare_cached(&format!(
        "{SELECT} WHERE release_candidates.app_id = ?1 AND release_candidates.slug IS NULL
           AND {is_commit} ORDER BY release_candidates.created_at, release_candidates.id",
        is_commit = is_commit("lower(?2)", "release_candidates.commit_sha")
    ))?;
    let rows = statement.query_map((app, sha), from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Adds a candidate; [`StoreError::Exists`] when the pipeline has one of the version.
pub fn insert(tx: &Tx<'_>, candidate: &ReleaseCandidate) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO release_candidates (id, pipeline_id, version, number, app_id, repository, commit_sha, slug,
            created_by, created_at, updated_at)
         VALUES (:id, :pipeline_id, :version, :number, :app_id, :repository, :commit_sha, :slug,
            :created_by, :created_at, :updated_at)",
    )?
    .execute(named_params! {
        ":id": candidate.id,
        ":pipeline_id": candidate.pipeline,
        ":version": candidate.version.release(),
        ":number": candidate.version.number(),
        ":app_id": candidate.source,
        ":repository": candidate.repository.as_str(),
        ":commit_sha": candidate.commit.as_str(),
        ":slug": candidate.slug,
        ":created_by": candidate.created_by,
        ":created_at": candidate.created_at,
        ":updated_at": candidate.updated_at,
    })?;
    Ok(())
}

/// Gives a candidate the slug that it waited for.
pub fn set_slug(tx: &Tx<'_>, id: CandidateId, slug: BuildId) -> Result<(), StoreError> {
    tx.prepare_cached("UPDATE release_candidates SET slug = ?2, updated_at = ?3 WHERE id = ?1")?
        .execute((id, slug, tx.now()))?;
    Ok(())
}

/// Whether a slug is that of one of the newest candidates of a live pipeline.
pub fn is_slug_needed(connection: &Connection, slug: BuildId) -> Result<bool, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM release_candidates AS candidate
         JOIN pipelines ON pipelines.id = candidate.pipeline_id
         WHERE candidate.slug = ?1 AND pipelines.deleted_at IS NULL AND
            (SELECT count(*) FROM release_candidates AS newer WHERE newer.pipeline_id = candidate.pipeline_id
                AND newer.created_at > candidate.created_at) < ?2)",
    )?;
    Ok(statement.query_row((slug, KEPT), |row| row.get(0))?)
}

/// The repository that the builds of an app are of: what the newest of those says that name one.
pub fn repository_of(connection: &Connection, app: AppId) -> Result<Option<Repository>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT repo FROM builds WHERE app_id = ?1 AND repo <> '' ORDER BY number DESC LIMIT 1",
    )?;
    let repo: Option<String> = statement.query_row([app], |row| row.get(0)).optional()?;
    Ok(repo.as_deref().and_then(Repository::parse))
}

/// The commits of an app's builds that begin with that hash; what is no hash is left out.
pub fn commits_of(
    connection: &Connection,
    app: AppId,
    hash: &CommitHash,
) -> Result<Vec<CommitHash>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT DISTINCT sha FROM builds WHERE app_id = ?1 AND substr(lower(sha), 1, length(?2)) = ?2",
    )?;
    let rows = statement.query_map((app, hash.as_str()), |row| row.get::<_, String>(0))?;
    let shas: Vec<String> = rows.collect::<Result<_, _>>()?;
    Ok(shas.iter().filter_map(|sha| CommitHash::parse(sha).ok()).collect())
}

/// The newest build of an app at that commit that succeeded.
pub fn newest_slug_at(
    connection: &Connection,
    app: AppId,
    commit: &CommitHash,
) -> Result<Option<BuildId>, StoreError> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT id FROM builds WHERE app_id = ?1 AND state = 'succeeded' AND {is_commit}
         ORDER BY number DESC LIMIT 1",
        is_commit = is_commit("lower(builds.sha)", "?2")
    ))?;
    Ok(statement.query_row((app, commit.as_str()), |row| row.get(0)).optional()?)
}

/// Whether a build's text about its commit means a candidate's commit: the same, or at least the 7 digits that git
/// shortens to.
fn is_commit(sha: &str, commit: &str) -> String {
    format!("({sha} = {commit} OR (length({sha}) >= 7 AND substr({commit}, 1, length({sha})) = {sha}))")
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<ReleaseCandidate> {
    Ok(ReleaseCandidate {
        id: row.get("id")?,
        pipeline: row.get("pipeline_id")?,
        version: CandidateVersion::from_stored(row.get("version")?, row.get("number")?),
        source: row.get("app_id")?,
        organization: row.get("organization_id")?,
        repository: Repository::from_stored(row.get("repository")?),
        commit: CommitHash::from_stored(row.get("commit_sha")?),
        slug: row.get("slug")?,
        created_by: row.get("created_by")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    })
}
