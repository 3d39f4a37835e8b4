//! Release candidates, as `/api/releases` documents their making, and their list, an addition.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::auth::Policy;
use super::extract::{Json, Path};
use super::page::{Listed, Page, Paging, Property};
use super::respond::Created;
use super::router::{Routes, routes};
use super::{ApiState, Error};
use crate::model::principal::Principal;
use crate::model::release_candidate::ReleaseCandidate;
use crate::model::time::Timestamp;
use crate::service::release_candidates::{self, CandidateBuild, NewCandidate};

pub(super) fn router() -> Routes {
    Routes::new("release_candidates").route(Policy::User, routes!(create)).route(Policy::User, routes!(list))
}

/// A candidate to be cut.
#[derive(Deserialize, ToSchema)]
struct CreateCandidate {
    /// The repository of the app in the project's first stage, `org/name`.
    repo: String,
    /// A hash, or as much of it as names one commit of that app's builds.
    commit: String,
    /// `true` starts a build by the app's auto build; else the newest build of the commit that succeeded is taken, or
    /// the first that will.
    trigger_build_workflow: Option<bool>,
}

/// A release candidate.
#[derive(Serialize, ToSchema)]
struct CandidateView {
    id: Uuid,
    /// `<release version>-rc<number>`.
    release_candidate_version: String,
    release_version: String,
    repo: String,
    commit: String,
    /// `ready` to be deployed, or `waiting` for a build of its commit to succeed.
    status: &'static str,
    /// The build that is deployed; null while it waits.
    build: Option<CandidateBuildView>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

#[derive(Serialize, ToSchema)]
struct CandidateBuildView {
    id: Uuid,
}

#[derive(Deserialize)]
struct ProjectPath {
    project: String,
}

#[derive(Deserialize)]
struct CandidatePath {
    project: String,
    rc: String,
}

/// Cut a release candidate.
#[utoipa::path(post, path = "/api/releases/{project}/releases/{rc}", operation_id = "create_release_candidate",
    params(
        ("project" = String, Path, description = "Name of a pipeline; case matters"),
        ("rc" = String, Path, description = "Such as `1.4.0-rc2`")),
    request_body = CreateCandidate, responses((status = 201, description = "Cut", body = CandidateView)))]
async fn create(
    State(state): State<ApiState>,
    author: Principal,
    Path(path): Path<CandidatePath>,
    Json(body): Json<CreateCandidate>,
) -> Result<Created<CandidateView>, Error> {
    let new = NewCandidate {
        project: path.project,
        version: path.rc,
        repository: body.repo,
        commit: body.commit,
        build: match body.trigger_build_workflow {
            Some(true) => CandidateBuild::Triggered,
            Some(false) | None => CandidateBuild::Any,
        },
    };
    let candidate =
        release_candidates::create(&state.store, (&state.sealer, &state.ids), &author, new).await?;
    Ok(Created(candidate.into()))
}

/// List the release candidates of a project (an addition to the document).
#[utoipa::path(get, path = "/api/releases/{project}/releases", operation_id = "list_release_candidates",
    params(("project" = String, Path, description = "Name of a pipeline; case matters")),
    responses((status = 200, description = "All, oldest first", body = Vec<CandidateView>)))]
async fn list(
    State(state): State<ApiState>,
    principal: Principal,
    paging: Paging,
    Path(path): Path<ProjectPath>,
) -> Result<Page<CandidateView>, Error> {
    let query = move |c: &_| release_candidates::list(c, &principal.reach, &path.project);
    let all = state.store.read(query).await?;
    paging.page(all.into_iter().map(CandidateView::from).collect())
}

impl Listed for CandidateView {
    const PROPERTIES: &'static [Property<Self>] = &[
        Property::Time("created_at", |item| item.created_at),
        Property::Time("updated_at", |item| item.updated_at),
        Property::Text("release_candidate_version", |item| &item.release_candidate_version),
        Property::Id(|item| item.id),
    ];
}

impl From<ReleaseCandidate> for CandidateView {
    fn from(candidate: ReleaseCandidate) -> Self {
        Self {
            id: candidate.id.uuid(),
            release_candidate_version: candidate.version.to_string(),
            release_version: candidate.version.release().to_owned(),
            repo: candidate.repository.as_str().to_owned(),
            commit: candidate.commit.as_str().to_owned(),
            status: if candidate.slug.is_some() { "ready" } else { "waiting" },
            build: candidate.slug.map(|slug| CandidateBuildView { id: slug.uuid() }),
            created_at: candidate.created_at,
            updated_at: candidate.updated_at,
        }
    }
}
