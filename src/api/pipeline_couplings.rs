//! Pipeline couplings, as the section Pipelines documents them.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::auth::Policy;
use super::extract::{AppPath, Json, Path};
use super::page::{Listed, Page, Paging, Property};
use super::pipelines::{PipelinePath, PipelineReferenceView};
use super::respond::Created;
use super::router::{Routes, routes};
use super::{ApiState, Error};
use crate::config::Dialect;
use crate::model::pipeline::{CoupledRelease, Coupling};
use crate::model::principal::{Principal, Reach};
use crate::model::time::Timestamp;
use crate::service::pipeline_couplings::{self, NewCoupling};
use crate::{service, store};

pub(super) fn router() -> Routes {
    Routes::new("pipelines")
        .route(Policy::User, routes!(create, list))
        .route(Policy::User, routes!(list_of_pipeline))
        .route(Policy::User, routes!(view_of_app))
        .route(Policy::User, routes!(view, update, delete))
}

/// An app to be put into a stage of a pipeline.
#[derive(Deserialize, ToSchema)]
struct CreateCoupling {
    /// Id, key or name of the app.
    app: String,
    /// Name or id of the pipeline.
    pipeline: String,
    /// `review`, `development`, `staging` or `production`.
    stage: String,
    required_status_checks: Option<RequiredStatusChecks>,
}

/// What shall change.
#[derive(Deserialize, ToSchema)]
struct UpdateCoupling {
    #[schema(required)]
    required_status_checks: Option<RequiredStatusChecks>,
}

/// The status checks that a release must have passed before it is promoted to the app.
#[derive(Serialize, Deserialize, ToSchema)]
struct RequiredStatusChecks {
    contexts: Vec<String>,
}

/// An app's place in a pipeline.
#[derive(Serialize, ToSchema)]
struct CouplingView {
    id: Uuid,
    app: CouplingAppView,
    pipeline: PipelineReferenceView,
    stage: &'static str,
    required_status_checks: RequiredStatusChecks,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

/// A coupling as it is read. The answer to a change shows no release: `aka` prints that answer, and can print
/// nothing so deep.
#[derive(Serialize, ToSchema)]
struct ReadCouplingView {
    #[serde(flatten)]
    coupling: CouplingView,
    /// The app's current release; `null` before one has succeeded.
    release: Option<CouplingReleaseView>,
}

#[derive(Serialize, ToSchema)]
struct CouplingAppView {
    id: Uuid,
    name: String,
}

#[derive(Serialize, ToSchema)]
struct CouplingReleaseView {
    id: Uuid,
    version: u32,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    build: CouplingBuildView,
}

#[derive(Serialize, ToSchema)]
struct CouplingBuildView {
    id: Uuid,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    repository: CouplingRepositoryView,
    commit: CouplingCommitView,
    author: String,
}

#[derive(Serialize, ToSchema)]
struct CouplingRepositoryView {
    url: String,
    branch: String,
}

#[derive(Serialize, ToSchema)]
struct CouplingCommitView {
    sha: String,
    message: String,
}

#[derive(Deserialize)]
struct CouplingPath {
    coupling: String,
}

/// Add an app to a stage of a pipeline.
#[utoipa::path(post, path = "/pipeline-couplings", operation_id = "create_pipeline_coupling",
    request_body = CreateCoupling, responses((status = 201, description = "Created", body = CouplingView)))]
async fn create(
    State(state): State<ApiState>,
    dialect: Dialect,
    author: Principal,
    Json(body): Json<CreateCoupling>,
) -> Result<Created<CouplingView>, Error> {
    let new = NewCoupling {
        app: body.app,
        pipeline: body.pipeline,
        stage: body.stage,
        required_checks: body.required_status_checks.map(|checks| checks.contexts).unwrap_or_default(),
    };
    let coupling = pipeline_couplings::create(&state.store, &state.ids, &author, new).await?;
    Ok(Created(CouplingView::new(coupling, dialect)))
}

/// List the couplings of a pipeline.
#[utoipa::path(get, path = "/pipelines/{pipeline}/pipeline-couplings", operation_id = "list_couplings_of_pipeline",
    params(("pipeline" = String, Path, description = "Name or id")),
    responses((status = 200, description = "All, oldest first", body = Vec<ReadCouplingView>)))]
async fn list_of_pipeline(
    State(state): State<ApiState>,
    principal: Principal,
    dialect: Dialect,
    paging: Paging,
    Path(path): Path<PipelinePath>,
) -> Result<Page<ReadCouplingView>, Error> {
    let query = move |connection: &store::Connection| {
        let pipeline = service::pipelines::resolve(connection, &path.pipeline)?;
        pipeline_couplings::list_by_pipeline(connection, &principal.reach, pipeline.id)
    };
    paging.page(views(state.store.read(query).await?, dialect))
}

/// List all couplings.
#[utoipa::path(get, path = "/pipeline-couplings", operation_id = "list_pipeline_couplings",
    responses((status = 200, description = "All, oldest first", body = Vec<ReadCouplingView>)))]
async fn list(
    State(state): State<ApiState>,
    principal: Principal,
    dialect: Dialect,
    paging: Paging,
) -> Result<Page<ReadCouplingView>, Error> {
    let all = state.store.read(move |c| pipeline_couplings::list(c, &principal.reach)).await?;
    paging.page(views(all, dialect))
}

/// View the one coupling of an app.
#[utoipa::path(get, path = "/apps/{app}/pipeline-couplings", operation_id = "view_coupling_of_app",
    responses((status = 200, description = "The coupling", body = ReadCouplingView)))]
async fn view_of_app(
    State(state): State<ApiState>,
    dialect: Dialect,
    AppPath(app): AppPath,
) -> Result<Json<ReadCouplingView>, Error> {
    let coupling = state.store.read(move |c| pipeline_couplings::of_app(c, app.id)).await?;
    Ok(Json(ReadCouplingView::new(coupling, dialect)))
}

/// View a coupling.
#[utoipa::path(get, path = "/pipeline-couplings/{coupling}", operation_id = "view_pipeline_coupling",
    params(("coupling" = String, Path, description = "Id")),
    responses((status = 200, description = "The coupling", body = ReadCouplingView)))]
async fn view(
    State(state): State<ApiState>,
    principal: Principal,
    dialect: Dialect,
    Path(path): Path<CouplingPath>,
) -> Result<Json<ReadCouplingView>, Error> {
    Ok(Json(ReadCouplingView::new(find(&state, principal.reach, path.coupling).await?, dialect)))
}

/// Change the status checks that a coupling requires.
#[utoipa::path(patch, path = "/pipeline-couplings/{coupling}", operation_id = "update_pipeline_coupling",
    params(("coupling" = String, Path, description = "Id")),
    request_body = UpdateCoupling, responses((status = 200, description = "The coupling", body = CouplingView)))]
async fn update(
    State(state): State<ApiState>,
    dialect: Dialect,
    author: Principal,
    Path(path): Path<CouplingPath>,
    Json(body): Json<UpdateCoupling>,
) -> Result<Json<CouplingView>, Error> {
    let coupling = find(&state, author.reach.clone(), path.coupling).await?;
    let checks = body.required_status_checks.ok_or_else(|| {
        let text =
            "The required_status_checks are missing; send {\"required_status_checks\": {\"contexts\": […]}}.";
        service::Error::BadRequest(text.to_owned())
    })?;
    let coupling = pipeline_couplings::update(&state.store, &author, coupling.id, checks.contexts).await?;
    Ok(Json(CouplingView::new(coupling, dialect)))
}

/// Remove an app from its pipeline.
#[utoipa::path(delete, path = "/pipeline-couplings/{coupling}", operation_id = "delete_pipeline_coupling",
    params(("coupling" = String, Path, description = "Id")),
    responses((status = 200, description = "As it was", body = CouplingView)))]
async fn delete(
    State(state): State<ApiState>,
    dialect: Dialect,
    author: Principal,
    Path(path): Path<CouplingPath>,
) -> Result<Json<CouplingView>, Error> {
    let coupling = find(&state, author.reach.clone(), path.coupling).await?;
    let coupling = pipeline_couplings::delete(&state.store, &author, coupling.id).await?;
    Ok(Json(CouplingView::new(coupling, dialect)))
}

async fn find(state: &ApiState, reach: Reach, text: String) -> Result<Coupling, service::Error> {
    state.store.read(move |connection| pipeline_couplings::resolve(connection, &reach, &text)).await
}

fn views(couplings: Vec<Coupling>, dialect: Dialect) -> Vec<ReadCouplingView> {
    couplings.into_iter().map(|coupling| ReadCouplingView::new(coupling, dialect)).collect()
}

impl Listed for ReadCouplingView {
    const PROPERTIES: &'static [Property<Self>] = &[
        Property::Time("created_at", |item| item.coupling.created_at),
        Property::Time("updated_at", |item| item.coupling.updated_at),
        Property::Id(|item| item.coupling.id),
    ];
}

impl CouplingView {
    fn new(coupling: Coupling, dialect: Dialect) -> Self {
        Self {
            id: coupling.id.uuid(),
            app: CouplingAppView {
                id: coupling.app.id.uuid(),
                name: dialect.app_name_in(&coupling.app.name, &coupling.app.space),
            },
            pipeline: coupling.pipeline.into(),
            stage: coupling.stage.as_str(),
            required_status_checks: RequiredStatusChecks {
                contexts: coupling.required_checks.contexts().iter().map(ToString::to_string).collect(),
            },
            created_at: coupling.created_at,
            updated_at: coupling.updated_at,
        }
    }
}

impl ReadCouplingView {
    fn new(mut coupling: Coupling, dialect: Dialect) -> Self {
        let release = coupling.release.take().map(CouplingReleaseView::from);
        Self { coupling: CouplingView::new(coupling, dialect), release }
    }
}

impl From<CoupledRelease> for CouplingReleaseView {
    fn from(release: CoupledRelease) -> Self {
        let build = release.build;
        Self {
            id: release.id.uuid(),
            version: release.version,
            updated_at: release.updated_at,
            build: CouplingBuildView {
                id: build.id.uuid(),
                updated_at: build.updated_at,
                repository: CouplingRepositoryView { url: build.repo, branch: build.branch },
                commit: CouplingCommitView { sha: build.sha, message: build.message },
                author: build.author,
            },
        }
    }
}
