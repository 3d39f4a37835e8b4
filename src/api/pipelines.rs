//! Pipelines, as the section of that name documents them.

use std::collections::BTreeMap;

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
use crate::model::pipeline::{KnownCheck, Pipeline, PipelineReference, Stage};
use crate::model::principal::Principal;
use crate::model::time::Timestamp;
use crate::service;
use crate::service::pipelines::{self, NewPipeline};
use crate::store;

pub(super) fn router() -> Routes {
    Routes::new("pipelines")
        .route(Policy::User, routes!(create, list))
        .route(Policy::User, routes!(view, delete))
        .route(Policy::User, routes!(list_stages))
        .route(Policy::User, routes!(list_statuses))
}

/// `{id, name}` of a pipeline, as it stands inside couplings and promotions.
#[derive(Serialize, ToSchema)]
pub(super) struct PipelineReferenceView {
    id: Uuid,
    name: String,
}

/// `{pipeline}` of a path.
#[derive(Deserialize)]
pub(super) struct PipelinePath {
    /// Name or id.
    pub(super) pipeline: String,
}

/// A pipeline to be made.
#[derive(Deserialize, ToSchema)]
struct CreatePipeline {
    /// A letter, then letters, digits and dashes; under 24 characters.
    #[serde(default)]
    #[schema(required)]
    name: String,
    description: Option<String>,
}

/// A pipeline.
#[derive(Serialize, ToSchema)]
struct PipelineView {
    id: Uuid,
    name: String,
    description: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

/// A check that has been run on releases of the pipeline's apps.
#[derive(Serialize, ToSchema)]
struct PipelineStatusView {
    context: String,
    name: String,
}

/// Create a pipeline.
#[utoipa::path(post, path = "/pipelines", operation_id = "create_pipeline",
    request_body = CreatePipeline, responses((status = 201, description = "Created", body = PipelineView)))]
async fn create(
    State(state): State<ApiState>,
    author: Principal,
    Json(body): Json<CreatePipeline>,
) -> Result<Created<PipelineView>, Error> {
    let new = NewPipeline { name: body.name, description: body.description.unwrap_or_default() };
    let pipeline = pipelines::create(&state.store, &state.ids, &author, new).await?;
    Ok(Created(pipeline.into()))
}

/// List all pipelines.
#[utoipa::path(get, path = "/pipelines", operation_id = "list_pipelines",
    responses((status = 200, description = "All, oldest first", body = Vec<PipelineView>)))]
async fn list(State(state): State<ApiState>, paging: Paging) -> Result<Page<PipelineView>, Error> {
    let all = state.store.read(store::pipelines::list).await?;
    paging.page(all.into_iter().map(PipelineView::from).collect())
}

/// View a pipeline.
#[utoipa::path(get, path = "/pipelines/{pipeline}", operation_id = "view_pipeline",
    params(("pipeline" = String, Path, description = "Name or id")),
    responses((status = 200, description = "The pipeline", body = PipelineView)))]
async fn view(
    State(state): State<ApiState>,
    Path(path): Path<PipelinePath>,
) -> Result<Json<PipelineView>, Error> {
    Ok(Json(find(&state, path.pipeline).await?.into()))
}

/// Delete a pipeline and all of its couplings.
#[utoipa::path(delete, path = "/pipelines/{pipeline}", operation_id = "delete_pipeline",
    params(("pipeline" = String, Path, description = "Name or id")),
    responses((status = 200, description = "As it was", body = PipelineView)))]
async fn delete(
    State(state): State<ApiState>,
    author: Principal,
    Path(path): Path<PipelinePath>,
) -> Result<Json<PipelineView>, Error> {
    let pipeline = find(&state, path.pipeline).await?;
    Ok(Json(pipelines::delete(&state.store, &author, pipeline.id).await?.into()))
}

/// List the stages, each with the one that it is promoted to.
#[utoipa::path(get, path = "/pipeline-stages", operation_id = "list_pipeline_stages",
    responses((status = 200, description = "All; the last has none after it", body = BTreeMap<String, Option<String>>)))]
async fn list_stages() -> Json<BTreeMap<Stage, Option<Stage>>> {
    Json(Stage::ALL.iter().map(|stage| (*stage, stage.next())).collect())
}

/// List the checks that have been run on releases of a pipeline's apps.
#[utoipa::path(get, path = "/pipelines/{pipeline}/statuses", operation_id = "list_pipeline_statuses",
    params(("pipeline" = String, Path, description = "Name or id")),
    responses((status = 200, description = "Each once, by context", body = Vec<PipelineStatusView>)))]
async fn list_statuses(
    State(state): State<ApiState>,
    paging: Paging,
    Path(path): Path<PipelinePath>,
) -> Result<Page<PipelineStatusView>, Error> {
    let query = move |connection: &store::Connection| {
        let pipeline = pipelines::resolve(connection, &path.pipeline)?;
        Ok::<_, service::Error>(store::release_statuses::list_known(connection, pipeline.id)?)
    };
    let checks = state.store.read(query).await?;
    let view =
        |check: KnownCheck| PipelineStatusView { context: check.context.to_string(), name: check.name };
    paging.page(checks.into_iter().map(view).collect())
}

async fn find(state: &ApiState, text: String) -> Result<Pipeline, service::Error> {
    state.store.read(move |connection| pipelines::resolve(connection, &text)).await
}

impl Listed for PipelineView {
    const PROPERTIES: &'static [Property<Self>] = &[
        Property::Time("created_at", |item| item.created_at),
        Property::Time("updated_at", |item| item.updated_at),
        Property::Text("name", |item| &item.name),
        Property::Id(|item| item.id),
    ];
}

impl Listed for PipelineStatusView {
    const PROPERTIES: &'static [Property<Self>] =
        &[Property::Text("name", |item| &item.name), Property::Text("context", |item| &item.context)];
}

impl From<Pipeline> for PipelineView {
    fn from(pipeline: Pipeline) -> Self {
        Self {
            id: pipeline.id.uuid(),
            name: pipeline.name.to_string(),
            description: pipeline.description,
            created_at: pipeline.created_at,
            updated_at: pipeline.updated_at,
        }
    }
}

impl From<PipelineReference> for PipelineReferenceView {
    fn from(pipeline: PipelineReference) -> Self {
        Self { id: pipeline.id.uuid(), name: pipeline.name.to_string() }
    }
}
