//! Release candidates: cutting one from a commit, and giving it the build that it waits for.

use super::auto_builds::{self, NewRun};
use super::{Error, apps, builds, release_projects};
use crate::ids::Ids;
use crate::model::RuleError;
use crate::model::auto_build::RunTrigger;
use crate::model::event::Event;
use crate::model::ids::{AppId, BuildId, CandidateId};
use crate::model::pipeline::{AppReference, Pipeline};
use crate::model::principal::{Principal, Reach};
use crate::model::release_candidate::{CandidateVersion, CommitHash, ReleaseCandidate, Repository};
use crate::model::rule::shown;
use crate::seal::Sealer;
use crate::store::{self, Connection, Store, Tx};

/// A candidate to be cut, as the client wrote it.
#[derive(Debug, Clone)]
pub struct NewCandidate {
    /// Name of the project.
    pub project: String,
    pub version: String,
    /// `org/name`.
    pub repository: String,
    pub commit: String,
    pub build: CandidateBuild,
}

/// Which build a candidate gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CandidateBuild {
    /// The newest of the commit that succeeded, or the first that will.
    Any,
    /// One that the app's auto build makes for it.
    Triggered,
}

/// Where a candidate is cut from.
struct Origin {
    app: AppReference,
    commit: CommitHash,
    slug: Option<BuildId>,
}

/// The candidate of that version, refused when the app that it is cut from is not within reach.
pub fn resolve(
    connection: &Connection,
    reach: &Reach,
    project: &Pipeline,
    version: &str,
) -> Result<ReleaseCandidate, Error> {
    let version = parse_version(version)?;
    let found = store::release_candidates::find(connection, project.id, &version)?;
    let candidate = found.ok_or_else(|| {
        Error::NotFound(format!(
            "Release not found: the project {} has no candidate {version}.",
            project.name
        ))
    })?;
    if reach.includes(candidate.organization) {
        return Ok(candidate);
    }
    Err(Error::Forbidden(format!(
        "The candidate {version} is of an app of an organization of which you are no member."
    )))
}

/// The candidates of a project whose apps are within reach, oldest first.
pub fn list(connection: &Connection, reach: &Reach, project: &str) -> Result<Vec<ReleaseCandidate>, Error> {
    let project = release_projects::resolve(connection, project)?;
    let mut all = store::release_candidates::list(connection, project.id)?;
    all.retain(|candidate| reach.includes(candidate.organization));
    Ok(all)
}

/// Cuts a candidate. Without a build of its commit that succeeded, it waits for one.
pub async fn create(
    store: &Store,
    (sealer, ids): (&Sealer, &Ids),
    author: &Principal,
    new: NewCandidate,
) -> Result<ReleaseCandidate, Error> {
    let version = parse_version(&new.version)?;
    let (id, reach) = (CandidateId::new(ids.next()), author.reach.clone());
    let (sealer, ids, asking) = (sealer.clone(), ids.clone(), author.clone());
    store
        .write(author, move |tx| {
            let project = release_projects::resolve(tx, &new.project)?;
            let (repository, apps) = sources(tx, &reach, &project, &new.repository)?;
            let Origin { app, commit, slug } = match new.build {
                CandidateBuild::Any => origin(tx, apps, &new.commit)?,
                CandidateBuild::Triggered => triggered(tx, (&sealer, &ids), &asking, apps, &new.commit)?,
            };
            let candidate = ReleaseCandidate {
                id,
                pipeline: project.id,
                version,
                source: app.id,
                organization: app.organization,
                repository,
                commit,
                slug,
                created_by: tx.author().clone(),
                created_at: tx.now(),
                updated_at: tx.now(),
            };
            store::release_candidates::insert(tx, &candidate).map_err(|error| {
                Error::exists(error, || {
                    format!("The project {} has a candidate {} already.", project.name, candidate.version)
                })
            })?;
            tx.record(Event::ReleaseCandidateCreated { pipeline: project.id, candidate: id })?;
            Ok(candidate)
        })
        .await
}

/// Gives an app's build that succeeded to the candidates that wait for one of its commit, in the caller's transaction.
pub fn complete(tx: &mut Tx<'_>, app: AppId, build: BuildId, sha: &str) -> Result<(), Error> {
    for waiting in store::release_candidates::list_waiting(tx, app, sha)? {
        store::release_candidates::set_slug(tx, waiting.id, build)?;
        let (pipeline, candidate) = (waiting.pipeline, waiting.id);
        tx.record(Event::ReleaseCandidateReady { pipeline, candidate, build })?;
    }
    Ok(())
}

/// What the document answers 400 to.
fn parse_version(text: &str) -> Result<CandidateVersion, Error> {
    CandidateVersion::parse(text).map_err(|error| bad(&error))
}

fn bad(error: &RuleError) -> Error {
    Error::BadRequest(error.to_string())
}

/// The apps of the project's first stage that are built from that repository.
fn sources(
    connection: &Connection,
    reach: &Reach,
    project: &Pipeline,
    repository: &str,
) -> Result<(Repository, Vec<AppReference>), Error> {
    let not_found = |why: String| Error::NotFound(format!("GitHub repository not found: {why}"));
    let mut couplings = store::pipeline_couplings::list_by_pipeline(connection, project.id)?;
    let first = couplings.iter().map(|coupling| coupling.stage).min();
    let first = first.ok_or_else(|| not_found(format!("no app is in the pipeline {} yet.", project.name)))?;
    couplings.retain(|coupling| coupling.stage == first);
    if couplings.iter().any(|coupling| !reach.includes(coupling.app.organization)) {
        return Err(Error::Forbidden(format!(
            "The stage {first} of the pipeline {} holds apps of organizations of which you are no member.",
            project.name
        )));
    }
    let wanted = Repository::parse(repository)
        .ok_or_else(|| not_found(format!("\"{}\" is not of the form org/name.", shown(repository))))?;
    let mut found = Vec::new();
    for app in couplings.into_iter().map(|coupling| coupling.app) {
        let followed = store::auto_builds::followed_by(connection, app.id)?;
        let followed = followed.and_then(|(repo, _)| Repository::parse(repo.as_str()));
        let built = store::release_candidates::repository_of(connection, app.id)?;
        if followed.as_ref() == Some(&wanted) || built.as_ref() == Some(&wanted) {
            found.push(app);
        }
    }
    if found.is_empty() {
        return Err(not_found(format!(
            "no app in the stage {first} of the pipeline {} has an auto build or a newest build of {}; a build names its repository in the field repo.",
            project.name,
            wanted.as_str()
        )));
    }
    Ok((wanted, found))
}

/// The first of the apps with a build of the commit that succeeded, else the first.
fn origin(connection: &Connection, apps: Vec<AppReference>, commit: &str) -> Result<Origin, Error> {
    let asked = CommitHash::parse(commit).map_err(|error| bad(&error))?;
    let mut known = Vec::new();
    for app in &apps {
        known.extend(store::release_candidates::commits_of(connection, app.id, &asked)?);
    }
    let commit = asked.resolve(&known).map_err(|error| bad(&error))?;
    let mut first = None;
    for app in apps {
        let slug = store::release_candidates::newest_slug_at(connection, app.id, &commit)?;
        if slug.is_some() {
            return Ok(Origin { app, commit, slug });
        }
        first = first.or(Some(app));
    }
    let app = first.ok_or_else(|| Error::internal("a candidate was to be cut from no app"))?;
    Ok(Origin { app, commit, slug: None })
}

/// The first of the apps that has an auto build, which builds the commit; the candidate gets what comes of it.
fn triggered(
    tx: &mut Tx<'_>,
    place: (&Sealer, &Ids),
    asking: &Principal,
    candidates: Vec<AppReference>,
    commit: &str,
) -> Result<Origin, Error> {
    let names: Vec<String> = candidates.iter().map(|app| format!("{}-{}", app.name, app.space)).collect();
    for app in candidates {
        if let Some(auto_build) = store::auto_builds::find_by_app(tx, place.0, app.id)? {
            builds::may_build(asking, &apps::still(tx, app.id)?)?;
            let commit = origin(tx, vec![app.clone()], commit)?.commit;
            let (branch, sha) = (auto_build.branch.clone(), commit.as_str().to_owned());
            let new = NewRun { trigger: RunTrigger::Candidate, branch, sha, commit: None };
            auto_builds::queue(tx, place.1, (app.id, auto_build.id), new)?;
            return Ok(Origin { app, commit, slug: None });
        }
    }
    Err(Error::BadRequest(format!(
        "No build can be triggered: the app {} has no auto build. Make a build of the commit yourself and leave trigger_build_workflow out.",
        names.join(" or ")
    )))
}
