//! Environments of a release project: their list and their freezing, both additions to the document of
//! `/api/releases` (reading 28).

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::Policy;
use super::extract::{Json, Path};
use super::page::{Listed, Page, Paging, Property};
use super::router::{Routes, routes};
use super::{ApiState, Error};
use crate::model::deployment::Place;
use crate::model::names::AppKey;
use crate::model::pipeline::Coupling;
use crate::model::principal::Principal;
use crate::service::environments::{self, SeenEnvironment};

pub(super) fn router() -> Routes {
    Routes::new("environments").route(Policy::User, routes!(list)).route(Policy::User, routes!(update))
}

/// What is to be changed of an environment.
#[derive(Deserialize, ToSchema)]
struct UpdateEnvironment {
    /// `true` refuses deployments and unforced rollbacks from now on.
    frozen: bool,
}

/// An environment: a stage of the pipeline that has apps, or one of those apps.
#[derive(Serialize, ToSchema)]
struct EnvironmentView {
    /// The stage, or the key of the app.
    name: String,
    /// `stage` or `app`.
    kind: &'static str,
    stage: &'static str,
    /// The keys of its apps.
    apps: Vec<String>,
    /// Whether it, or an environment that shares an app with it, was frozen.
    frozen: bool,
    /// What runs there; null when that was never a candidate.
    release_candidate_version: Option<String>,
    release_version: Option<String>,
}

#[derive(Deserialize)]
struct ProjectPath {
    project: String,
}

#[derive(Deserialize)]
struct EnvironmentPath {
    project: String,
    env: String,
}

/// List the environments of a release project (an addition to the document).
#[utoipa::path(get, path = "/api/releases/{project}/environments", operation_id = "list_environments",
    params(("project" = String, Path, description = "Name of a pipeline; case matters")),
    responses((status = 200, description = "Each stage that has apps, and behind it its apps", body = Vec<EnvironmentView>)))]
async fn list(
    State(state): State<ApiState>,
    principal: Principal,
    paging: Paging,
    Path(path): Path<ProjectPath>,
) -> Result<Page<EnvironmentView>, Error> {
    let query = move |c: &_| environments::list(c, &principal.reach, &path.project);
    let all = state.store.read(query).await?;
    paging.page(all.into_iter().filter_map(EnvironmentView::new).collect())
}

/// Freeze an environment, or thaw it (an addition to the document).
#[utoipa::path(patch, path = "/api/releases/{project}/environments/{env}", operation_id = "update_environment",
    params(
        ("project" = String, Path, description = "Name of a pipeline; case matters"),
        ("env" = String, Path, description = "A stage, or the key of an app; case matters")),
    request_body = UpdateEnvironment,
    responses((status = 200, description = "As it is now", body = EnvironmentView)))]
async fn update(
    State(state): State<ApiState>,
    author: Principal,
    Path(path): Path<EnvironmentPath>,
    Json(body): Json<UpdateEnvironment>,
) -> Result<Json<EnvironmentView>, Error> {
    let named = (path.project, path.env);
    let seen = environments::set_frozen(&state.store, &author, named, body.frozen).await?;
    let view = EnvironmentView::new(seen);
    Ok(Json(view.ok_or_else(|| crate::service::Error::internal("an environment has no app"))?))
}

impl Listed for EnvironmentView {
    const PROPERTIES: &'static [Property<Self>] = &[Property::Text("name", |item| &item.name)];
}

impl EnvironmentView {
    /// `None` for one without an app, which there is not.
    fn new(SeenEnvironment { environment, running }: SeenEnvironment) -> Option<Self> {
        let key = |coupling: &Coupling| AppKey::of(&coupling.app.name, &coupling.app.space).to_string();
        Some(Self {
            kind: match environment.place {
                Place::Stage(_) => "stage",
                Place::App(_) => "app",
            },
            stage: environment.couplings.first()?.stage.as_str(),
            apps: environment.couplings.iter().map(key).collect(),
            name: environment.name,
            frozen: environment.frozen,
            release_candidate_version: running.as_ref().map(|candidate| candidate.version.to_string()),
            release_version: running.map(|candidate| candidate.version.release().to_owned()),
        })
    }
}
