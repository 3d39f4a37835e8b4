//! Favorites, which no document describes: `behaviour.md` §34.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::auth::Policy;
use super::extract::{AppPath, Json};
use super::page::{Listed, Page, Paging, Property};
use super::respond::{Created, NoContent};
use super::router::{Routes, routes};
use super::{ApiSettings, ApiState, Error};
use crate::config::Dialect;
use crate::model::favorite::Favorite;
use crate::model::ids::PreviewId;
use crate::model::principal::Principal;
use crate::model::time::Timestamp;
use crate::service::favorites;
use crate::store;

pub(super) fn router() -> Routes {
    Routes::new("favorites")
        .route(Policy::Person, routes!(create, list))
        .route(Policy::Person, routes!(delete))
}

/// An app to be marked.
#[derive(Deserialize, ToSchema)]
struct CreateFavorite {
    /// Id, key (`events-perf`), or a short name that only one app has.
    #[serde(default)]
    #[schema(required)]
    app: String,
}

/// A marked app.
#[derive(Serialize, ToSchema)]
struct FavoriteView {
    id: Uuid,
    /// The app's id.
    app: Uuid,
    /// The app's short name, or its key in the dialect `reference`.
    name: String,
    simple_name: String,
    web_url: String,
    git_url: &'static str,
    organization: FavoriteOrganizationView,
    /// What the app is as a preview of another.
    preview: Option<Uuid>,
    /// Always false: the favorite of a deleted app is not shown.
    deleted: bool,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

/// The organization of a marked app.
#[derive(Serialize, ToSchema)]
struct FavoriteOrganizationView {
    name: String,
}

/// Mark an app.
///
/// Marking it again answers the favorite that is there.
#[utoipa::path(post, path = "/favorites", operation_id = "create_favorite",
    request_body = CreateFavorite, responses((status = 201, description = "The favorite", body = FavoriteView)))]
async fn create(
    State(state): State<ApiState>,
    author: Principal,
    dialect: Dialect,
    Json(body): Json<CreateFavorite>,
) -> Result<Created<FavoriteView>, Error> {
    let favorite = favorites::create(&state.store, &state.ids, &author, body.app).await?;
    Ok(Created(FavoriteView::new(favorite, dialect, &state.settings)))
}

/// List the favorites of the one who asks.
#[utoipa::path(get, path = "/favorites", operation_id = "list_favorites",
    responses((status = 200, description = "All, oldest first", body = Vec<FavoriteView>)))]
async fn list(
    State(state): State<ApiState>,
    author: Principal,
    dialect: Dialect,
    paging: Paging,
) -> Result<Page<FavoriteView>, Error> {
    let reach = author.reach.clone();
    let mut all = state.store.read(move |c| store::favorites::list(c, &author.user)).await?;
    all.retain(|favorite| reach.includes(favorite.app.organization.id));
    let view = |favorite| FavoriteView::new(favorite, dialect, &state.settings);
    paging.page(all.into_iter().map(view).collect())
}

/// Unmark an app.
#[utoipa::path(delete, path = "/favorites/{app}", operation_id = "delete_favorite",
    responses((status = 204, description = "It is no favorite any more")))]
async fn delete(
    State(state): State<ApiState>,
    author: Principal,
    AppPath(app): AppPath,
) -> Result<NoContent, Error> {
    favorites::delete(&state.store, &author, app).await?;
    Ok(NoContent)
}

impl Listed for FavoriteView {
    const PROPERTIES: &'static [Property<Self>] = &[
        Property::Time("created_at", |item| item.created_at),
        Property::Text("name", |item| &item.name),
        Property::Id(|item| item.id),
    ];
}

impl FavoriteView {
    fn new(favorite: Favorite, dialect: Dialect, settings: &ApiSettings) -> Self {
        let app = favorite.app;
        Self {
            id: favorite.id.uuid(),
            app: app.id.uuid(),
            name: dialect.app_name(&app),
            simple_name: app.name.to_string(),
            web_url: settings.web_url(&app),
            git_url: "",
            organization: FavoriteOrganizationView { name: app.organization.name.to_string() },
            preview: app.preview.map(PreviewId::uuid),
            deleted: false,
            created_at: favorite.created_at,
            updated_at: favorite.created_at,
        }
    }
}
