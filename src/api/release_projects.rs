//! Release projects, which are pipelines, under `/api/releases`: an addition to its document, so that a client finds
//! its way.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::auth::Policy;
use super::extract::{Json, Path};
use super::page::{Listed, Page, Paging, Property};
use super::router::{Routes, routes};
use super::{ApiState, Error};
use crate::model::pipeline::Pipeline;
use crate::model::time::Timestamp;
use crate::service::release_projects;
use crate::store;

pub(super) fn router() -> Routes {
    Routes::new("release_projects").route(Policy::User, routes!(list)).route(Policy::User, routes!(view))
}

/// A release project.
#[derive(Serialize, ToSchema)]
struct ProjectView {
    id: Uuid,
    /// The pipeline's name; case matters in paths.
    name: String,
    description: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

#[derive(Deserialize)]
struct ProjectPath {
    project: String,
}

/// List all release projects (an addition to the document).
#[utoipa::path(get, path = "/api/releases", operation_id = "list_release_projects",
    responses((status = 200, description = "All, oldest first", body = Vec<ProjectView>)))]
async fn list(State(state): State<ApiState>, paging: Paging) -> Result<Page<ProjectView>, Error> {
    let all = state.store.read(store::pipelines::list).await?;
    paging.page(all.into_iter().map(ProjectView::from).collect())
}

/// View a release project (an addition to the document).
#[utoipa::path(get, path = "/api/releases/{project}", operation_id = "view_release_project",
    params(("project" = String, Path, description = "Name of a pipeline; case matters")),
    responses((status = 200, description = "The project", body = ProjectView)))]
async fn view(
    State(state): State<ApiState>,
    Path(path): Path<ProjectPath>,
) -> Result<Json<ProjectView>, Error> {
    let project = state.store.read(move |c| release_projects::resolve(c, &path.project)).await?;
    Ok(Json(project.into()))
}

impl Listed for ProjectView {
    const PROPERTIES: &'static [Property<Self>] = &[
        Property::Time("created_at", |item| item.created_at),
        Property::Time("updated_at", |item| item.updated_at),
        Property::Text("name", |item| &item.name),
        Property::Id(|item| item.id),
    ];
}

impl From<Pipeline> for ProjectView {
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
