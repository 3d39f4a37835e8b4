//! Releases, as the section of that name documents them.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::auth::Policy;
use super::extract::{AppPath, Json, Path, parse_id};
use super::page::{Listed, Page, Paging, Property};
use super::respond::Created;
use super::router::{Routes, routes};
use super::{ApiState, Error};
use crate::config::Dialect;
use crate::model::RuleError;
use crate::model::app::App;
use crate::model::ids::{ReleaseId, deterministic};
use crate::model::principal::Principal;
use crate::model::release::ReleaseState;
use crate::model::release_status::CheckState;
use crate::model::time::Timestamp;
use crate::service;
use crate::service::releases::{self, Maker, Seen, Wanted};

pub(super) fn router() -> Routes {
    Routes::new("releases").route(Policy::User, routes!(create, list)).route(Policy::User, routes!(view))
}

/// A release to be made: of a slug, or of an older release again.
#[derive(Deserialize, ToSchema)]
struct CreateRelease {
    /// Id of a build that succeeded, or `latest`.
    slug: Option<String>,
    /// Id of the release to roll back to.
    release: Option<String>,
    description: Option<String>,
}

/// A release.
#[derive(Serialize, ToSchema)]
pub(super) struct ReleaseView {
    id: Uuid,
    app: ReleaseAppView,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    description: String,
    slug: ReleaseSlugView,
    /// How far it is on the dynos: `queued`, `pending`, `succeeded` or `failed`.
    status: &'static str,
    /// The release's status checks together.
    state: &'static str,
    /// Why it failed, with the last output of the dyno that is to blame; `""` otherwise.
    failure_message: String,
    user: ReleaseUserView,
    /// 1, 2, 3 … per app, never used again.
    version: u32,
    /// Whether this is the newest one that succeeded.
    current: bool,
}

#[derive(Serialize, ToSchema)]
struct ReleaseAppView {
    id: Uuid,
    name: String,
}

#[derive(Serialize, ToSchema)]
struct ReleaseSlugView {
    id: Uuid,
}

#[derive(Serialize, ToSchema)]
struct ReleaseUserView {
    id: Uuid,
    email: &'static str,
}

#[derive(Deserialize)]
struct ReleasePath {
    release: String,
}

/// Release a slug, or roll back.
#[utoipa::path(post, path = "/apps/{app}/releases", operation_id = "create_release",
    request_body = CreateRelease, responses((status = 201, description = "Created, queued", body = ReleaseView)))]
async fn create(
    State(state): State<ApiState>,
    dialect: Dialect,
    author: Principal,
    AppPath(app): AppPath,
    Json(body): Json<CreateRelease>,
) -> Result<Created<ReleaseView>, Error> {
    let wanted = wanted(body.slug.as_deref(), body.release.as_deref()).map_err(service::Error::from)?;
    let maker = Maker {
        sealer: state.sealer.clone(),
        ids: state.ids.clone(),
        default_size: state.catalogue.load().default_size.clone(),
    };
    let request = releases::CreateRelease { wanted, description: body.description };
    let release = releases::create(&state.store, &maker, &author, app.id, request).await?;
    // The new release is the one to watch (`behaviour.md` §9).
    let seen = Seen { release, current: true, checks: CheckState::Success };
    Ok(Created(ReleaseView::new(&app, dialect, seen)))
}

/// List an app's releases.
#[utoipa::path(get, path = "/apps/{app}/releases", operation_id = "list_releases",
    responses((status = 200, description = "All, oldest first", body = Vec<ReleaseView>)))]
async fn list(
    State(state): State<ApiState>,
    dialect: Dialect,
    paging: Paging,
    AppPath(app): AppPath,
) -> Result<Page<ReleaseView>, Error> {
    let id = app.id;
    let all = state.store.read(move |c| releases::list(c, id)).await?;
    Ok(paging.page(all)?.map(|seen| ReleaseView::new(&app, dialect, seen)))
}

/// View a release.
#[utoipa::path(get, path = "/apps/{app}/releases/{release}", operation_id = "view_release",
    params(("release" = String, Path, description = "Id")), responses((status = 200, description = "The release", body = ReleaseView)))]
async fn view(
    State(state): State<ApiState>,
    dialect: Dialect,
    AppPath(app): AppPath,
    Path(path): Path<ReleasePath>,
) -> Result<Json<ReleaseView>, Error> {
    let id: ReleaseId = parse_id("release", &path.release).map_err(service::Error::from)?;
    let app_id = app.id;
    let seen = state.store.read(move |c| releases::view(c, app_id, id)).await?;
    Ok(Json(ReleaseView::new(&app, dialect, seen)))
}

/// Exactly one of the two must be given (`behaviour.md` §9).
fn wanted(slug: Option<&str>, release: Option<&str>) -> Result<Wanted, RuleError> {
    match (slug, release) {
        (Some("latest"), None) => Ok(Wanted::LatestSlug),
        (Some(slug), None) => parse_id("slug", slug).map(Wanted::Slug),
        (None, Some(release)) => parse_id("release", release).map(Wanted::Release),
        (None, None) => Err(RuleError::new(
            "Neither slug nor release is given; name a slug to release, or a release to roll back to.",
        )),
        (Some(_), Some(_)) => Err(RuleError::new("Both slug and release are given; name only one of them.")),
    }
}

impl Listed for Seen {
    const PROPERTIES: &'static [Property<Self>] = &[
        Property::Number("version", |seen| seen.release.version.into()),
        Property::Time("created_at", |seen| seen.release.created_at),
        Property::Time("updated_at", |seen| seen.release.updated_at),
        Property::Id(|seen| seen.release.id.uuid()),
    ];
}

impl ReleaseView {
    pub(super) fn new(app: &App, dialect: Dialect, seen: Seen) -> Self {
        let Seen { release, current, checks } = seen;
        Self {
            id: release.id.uuid(),
            app: ReleaseAppView { id: app.id.uuid(), name: dialect.app_name(app) },
            created_at: release.created_at,
            updated_at: release.updated_at,
            description: release.description,
            slug: ReleaseSlugView { id: release.slug.uuid() },
            status: release.state.status().as_str(),
            state: checks.as_str(),
            failure_message: match release.state {
                ReleaseState::Failed { reason, .. } => reason,
                ReleaseState::Queued | ReleaseState::Pending { .. } | ReleaseState::Succeeded { .. } => {
                    String::new()
                }
            },
            user: ReleaseUserView { id: deterministic(app.organization.name.as_str()), email: "" },
            version: release.version,
            current,
        }
    }
}
