//! Deployments and rollbacks, as `/api/releases` documents them.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::auth::Policy;
use super::extract::{Json, OptionalJson, Path, Query};
use super::respond::Created;
use super::router::{Routes, routes};
use super::{ApiState, Error};
use crate::model::deployment::Deployment;
use crate::model::principal::Principal;
use crate::model::rule::{parse_word, shown};
use crate::model::time::Timestamp;
use crate::service;
use crate::service::deployment_reports::{self, Report};
use crate::service::deployments::{self, Force, Target};
use crate::service::releases::Maker;

const DEFAULT_PAGE: u32 = 10;
const LARGEST_PAGE: u32 = 100;

pub(super) fn router() -> Routes {
    Routes::new("deployments")
        .route(Policy::User, routes!(create, update, list))
        .route(Policy::User, routes!(roll_back))
}

/// What is to be deployed.
#[derive(Deserialize, ToSchema)]
struct CreateDeployment {
    /// Such as `1.4.0-rc2`.
    release_candidate_version: String,
}

/// What an outside pipeline reports.
#[derive(Deserialize, ToSchema)]
struct UpdateDeployment {
    /// Such as `1.4.0-rc2`.
    release_candidate_version: String,
    /// `pending`, `in_progress`, `success`, `failure`, `canceling`, `canceled`, `error` or `unknown`.
    status: String,
}

/// How an environment is rolled back.
#[derive(Deserialize, ToSchema)]
struct CreateRollback {
    /// `true` rolls back a frozen environment too.
    force: Option<bool>,
}

/// A deployment.
#[derive(Serialize, ToSchema)]
struct DeploymentView {
    id: Uuid,
    /// The address of who made it; null for an account without one.
    actor: Option<String>,
    /// Null while it goes on.
    #[schema(value_type = Option<String>, format = DateTime)]
    deploy_end_at: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    deploy_start_at: Timestamp,
    environment_name: String,
    /// Why it failed, by app; null otherwise.
    error_message: Option<String>,
    /// What ran there before; null when that was never a candidate.
    from_release_candidate_version: Option<String>,
    from_release_version: Option<String>,
    release_candidate_version: String,
    release_version: String,
    /// `pending`, `in_progress`, `success`, `failure`, `canceling` or `canceled`; of an outside pipeline also `error`
    /// and `unknown`.
    status: &'static str,
}

#[derive(Deserialize)]
struct EnvironmentPath {
    project: String,
    env: String,
}

/// Which page is wanted, as yet unread.
#[derive(Debug, Default, Deserialize)]
struct PageQuery {
    page: Option<String>,
    per_page: Option<String>,
}

/// Deploy a release candidate.
///
/// Its slug is released on every app of the environment, or on none. What is still being deployed there is canceled.
#[utoipa::path(post, path = "/api/releases/{project}/environments/{env}/deployments",
    operation_id = "create_deployment",
    params(
        ("project" = String, Path, description = "Name of a pipeline; case matters"),
        ("env" = String, Path, description = "A stage, or the key of an app; case matters")),
    request_body = CreateDeployment, responses((status = 201, description = "Begun", body = DeploymentView)))]
async fn create(
    State(state): State<ApiState>,
    author: Principal,
    Path(path): Path<EnvironmentPath>,
    Json(body): Json<CreateDeployment>,
) -> Result<Created<DeploymentView>, Error> {
    let (maker, version) = (maker(&state), body.release_candidate_version);
    let made = deployments::create(&state.store, &maker, &author, path.into(), version).await?;
    Ok(Created(made.into()))
}

/// Report the status of a deployment that an outside pipeline carries out.
///
/// It is made when there is none. Nothing is released.
#[utoipa::path(patch, path = "/api/releases/{project}/environments/{env}/deployments",
    operation_id = "update_deployment",
    params(
        ("project" = String, Path, description = "Name of a pipeline; case matters"),
        ("env" = String, Path, description = "A stage, or the key of an app; case matters")),
    request_body = UpdateDeployment, responses((status = 200, description = "As it is now", body = DeploymentView)))]
async fn update(
    State(state): State<ApiState>,
    author: Principal,
    Path(path): Path<EnvironmentPath>,
    Json(body): Json<UpdateDeployment>,
) -> Result<Json<DeploymentView>, Error> {
    let status = parse_word("status", &body.status);
    let status = status.map_err(|error| service::Error::BadRequest(error.to_string()))?;
    let report = Report { target: path.into(), version: body.release_candidate_version, status };
    Ok(Json(deployment_reports::create(&state.store, &state.ids, &author, report).await?.into()))
}

/// List the deployments to an environment.
#[utoipa::path(get, path = "/api/releases/{project}/environments/{env}/deployments",
    operation_id = "list_deployments",
    params(
        ("project" = String, Path, description = "Name of a pipeline; case matters"),
        ("env" = String, Path, description = "A stage, or the key of an app; case matters"),
        ("page" = Option<u32>, Query, description = "1, 2, 3 …; 1 when absent"),
        ("per_page" = Option<u32>, Query, description = "1 to 100; 10 when absent")),
    responses((status = 200, description = "Newest first", body = Vec<DeploymentView>)))]
async fn list(
    State(state): State<ApiState>,
    principal: Principal,
    Path(path): Path<EnvironmentPath>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Vec<DeploymentView>>, Error> {
    let page = query.page.as_deref().map_or(Ok(1), |text| parse_number("page", text, u32::MAX))?;
    let limit = query
        .per_page
        .as_deref()
        .map_or(Ok(DEFAULT_PAGE), |text| parse_number("per_page", text, LARGEST_PAGE))?;
    let offset = u64::from(page - 1) * u64::from(limit);
    let target = Target::from(path);
    let query = move |c: &_| deployments::list(c, &principal.reach, &target, (offset, limit));
    let found = state.store.read(query).await?;
    Ok(Json(found.into_iter().map(DeploymentView::from).collect()))
}

/// Roll an environment back.
///
/// After a success, to what ran before it; else to the last success. What is still being deployed there is canceled.
#[utoipa::path(post, path = "/api/releases/{project}/environments/{env}/rollback", operation_id = "create_rollback",
    params(
        ("project" = String, Path, description = "Name of a pipeline; case matters"),
        ("env" = String, Path, description = "A stage, or the key of an app; case matters")),
    request_body = CreateRollback, responses((status = 201, description = "Begun", body = DeploymentView)))]
async fn roll_back(
    State(state): State<ApiState>,
    author: Principal,
    Path(path): Path<EnvironmentPath>,
    OptionalJson(body): OptionalJson<CreateRollback>,
) -> Result<Created<DeploymentView>, Error> {
    let force = match body.and_then(|body| body.force) {
        Some(true) => Force::Forced,
        Some(false) | None => Force::Unforced,
    };
    let made = deployments::roll_back(&state.store, &maker(&state), &author, path.into(), force).await?;
    Ok(Created(made.into()))
}

fn maker(state: &ApiState) -> Maker {
    Maker {
        sealer: state.sealer.clone(),
        ids: state.ids.clone(),
        default_size: state.catalogue.load().default_size.clone(),
    }
}

/// A number from 1 to the greatest.
fn parse_number(name: &str, text: &str, greatest: u32) -> Result<u32, service::Error> {
    text.parse().ok().filter(|number| (1..=greatest).contains(number)).ok_or_else(|| {
        service::Error::BadRequest(format!(
            "The {name} \"{}\" is not a whole number from 1 to {greatest}.",
            shown(text)
        ))
    })
}

impl From<EnvironmentPath> for Target {
    fn from(path: EnvironmentPath) -> Self {
        Self { project: path.project, environment: path.env }
    }
}

impl From<Deployment> for DeploymentView {
    fn from(deployment: Deployment) -> Self {
        let progress = deployment.progress();
        let from = deployment.from.map(|from| from.version);
        Self {
            id: deployment.id.uuid(),
            actor: deployment.email,
            deploy_end_at: progress.ended_at,
            deploy_start_at: deployment.created_at,
            environment_name: deployment.environment,
            error_message: progress.error,
            from_release_candidate_version: from.as_ref().map(ToString::to_string),
            from_release_version: from.map(|version| version.release().to_owned()),
            release_candidate_version: deployment.candidate.version.to_string(),
            release_version: deployment.candidate.version.release().to_owned(),
            status: progress.status.as_str(),
        }
    }
}
