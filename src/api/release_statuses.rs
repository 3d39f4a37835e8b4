//! Release statuses (`behaviour.md` §9): what checks outside the platform say of a release.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::auth::Policy;
use super::extract::{AppPath, Json, Path, parse_id};
use super::releases::ReleaseView;
use super::respond::Created;
use super::router::{Routes, routes};
use super::{ApiState, Error};
use crate::config::Dialect;
use crate::model::RuleError;
use crate::model::ids::{ReleaseId, ReleaseStatusId};
use crate::model::principal::Principal;
use crate::model::release_status::{ReleaseStatus, StatusText};
use crate::model::rule::parse_word;
use crate::model::time::Timestamp;
use crate::service::release_statuses::{self, NewStatus, StatusChange};
use crate::{service, store};

pub(super) fn router() -> Routes {
    Routes::new("releases")
        .route(Policy::User, routes!(create, list))
        .route(Policy::User, routes!(view, update))
}

/// What a check says.
#[derive(Deserialize, ToSchema)]
struct CreateStatus {
    /// The name of the check: 6 to 31 letters, digits and `. / \ + -`; once for a release.
    #[serde(default)]
    #[schema(required)]
    context: String,
    /// `error`, `failure`, `pending` or `success`.
    #[serde(default)]
    #[schema(required)]
    state: String,
    /// 4 to 255 characters.
    #[serde(default)]
    #[schema(required)]
    name: String,
    description: Option<String>,
    target_url: Option<String>,
    image_url: Option<String>,
}

/// What a check says now; what is absent stays.
#[derive(Deserialize, ToSchema)]
struct UpdateStatus {
    /// `error`, `failure`, `pending` or `success`.
    #[serde(default)]
    #[schema(required)]
    state: String,
    name: Option<String>,
    description: Option<String>,
    target_url: Option<String>,
    image_url: Option<String>,
    /// Must be absent: the context of a status cannot be changed.
    #[schema(ignore)]
    context: Option<Value>,
}

/// What a check says of a release.
#[derive(Serialize, ToSchema)]
struct StatusView {
    id: Uuid,
    context: String,
    state: &'static str,
    name: String,
    description: String,
    target_url: String,
    image_url: String,
    release: StatusReleaseView,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

#[derive(Serialize, ToSchema)]
struct StatusReleaseView {
    id: Uuid,
}

/// Every check of a release, and what they say together.
#[derive(Serialize, ToSchema)]
struct StatusesView {
    /// The worst of the states; `success` when there is none.
    state: &'static str,
    release: ReleaseView,
    statuses: Vec<StatusView>,
}

#[derive(Deserialize)]
struct ReleasePath {
    release: String,
}

#[derive(Deserialize)]
struct StatusPath {
    release: String,
    status: String,
}

/// Add a status to a release.
#[utoipa::path(post, path = "/apps/{app}/releases/{release}/statuses", operation_id = "create_release_status",
    params(("release" = String, Path, description = "Id")),
    request_body = CreateStatus, responses((status = 201, description = "Created", body = StatusView)))]
async fn create(
    State(state): State<ApiState>,
    author: Principal,
    AppPath(app): AppPath,
    Path(path): Path<ReleasePath>,
    Json(body): Json<CreateStatus>,
) -> Result<Created<StatusView>, Error> {
    let release: ReleaseId = parse_id("release", &path.release)?;
    let new = NewStatus {
        context: body.context,
        state: parse_word("state", &body.state)?,
        text: StatusText {
            name: body.name,
            description: body.description.unwrap_or_default(),
            target_url: body.target_url.unwrap_or_default(),
            image_url: body.image_url.unwrap_or_default(),
        },
    };
    let of = (app.id, release);
    let status = release_statuses::create(&state.store, &state.ids, &author, of, new).await?;
    Ok(Created(status.into()))
}

/// List the statuses of a release.
#[utoipa::path(get, path = "/apps/{app}/releases/{release}/statuses", operation_id = "list_release_statuses",
    params(("release" = String, Path, description = "Id")),
    responses((status = 200, description = "All, oldest first, and their combined state", body = StatusesView)))]
async fn list(
    State(state): State<ApiState>,
    dialect: Dialect,
    AppPath(app): AppPath,
    Path(path): Path<ReleasePath>,
) -> Result<Json<StatusesView>, Error> {
    let id: ReleaseId = parse_id("release", &path.release)?;
    let app_id = app.id;
    let query = move |c: &store::Connection| {
        let seen = service::releases::view(c, app_id, id)?;
        Ok::<_, service::Error>((seen, store::release_statuses::list(c, id)?))
    };
    let (seen, statuses) = state.store.read(query).await?;
    Ok(Json(StatusesView {
        state: seen.checks.as_str(),
        release: ReleaseView::new(&app, dialect, seen),
        statuses: statuses.into_iter().map(StatusView::from).collect(),
    }))
}

/// View a status of a release.
#[utoipa::path(get, path = "/apps/{app}/releases/{release}/statuses/{status}", operation_id = "view_release_status",
    params(("release" = String, Path, description = "Id"), ("status" = String, Path, description = "Id")),
    responses((status = 200, description = "The status", body = StatusView)))]
async fn view(
    State(state): State<ApiState>,
    AppPath(app): AppPath,
    Path(path): Path<StatusPath>,
) -> Result<Json<StatusView>, Error> {
    let (release, id) = path.ids()?;
    let of = (app.id, release);
    Ok(Json(state.store.read(move |c| release_statuses::find(c, of, id)).await?.into()))
}

/// Change a status of a release.
#[utoipa::path(patch, path = "/apps/{app}/releases/{release}/statuses/{status}", operation_id = "update_release_status",
    params(("release" = String, Path, description = "Id"), ("status" = String, Path, description = "Id")),
    request_body = UpdateStatus, responses((status = 200, description = "The status", body = StatusView)))]
async fn update(
    State(state): State<ApiState>,
    author: Principal,
    AppPath(app): AppPath,
    Path(path): Path<StatusPath>,
    Json(body): Json<UpdateStatus>,
) -> Result<Json<StatusView>, Error> {
    let (release, id) = path.ids()?;
    if body.context.is_some() {
        return Err(RuleError::new(
            "The context of a status cannot be changed; leave it out, or add another status.",
        )
        .into());
    }
    let change = StatusChange {
        state: parse_word("state", &body.state)?,
        name: body.name,
        description: body.description,
        target_url: body.target_url,
        image_url: body.image_url,
    };
    let of = (app.id, release);
    Ok(Json(release_statuses::update(&state.store, &author, of, id, change).await?.into()))
}

impl StatusPath {
    fn ids(&self) -> Result<(ReleaseId, ReleaseStatusId), RuleError> {
        Ok((parse_id("release", &self.release)?, parse_id("release status", &self.status)?))
    }
}

impl From<ReleaseStatus> for StatusView {
    fn from(status: ReleaseStatus) -> Self {
        Self {
            id: status.id.uuid(),
            context: status.context.to_string(),
            state: status.state.as_str(),
            name: status.text.name,
            description: status.text.description,
            target_url: status.text.target_url,
            image_url: status.text.image_url,
            release: StatusReleaseView { id: status.release.uuid() },
            created_at: status.created_at,
            updated_at: status.updated_at,
        }
    }
}
