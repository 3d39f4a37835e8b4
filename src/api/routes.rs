//! Routes, as the section of that name documents them, and what it leaves open (`behaviour.md` §27).

use axum::extract::State;
use axum::routing::get;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::auth::Policy;
use super::dialect::Named;
use super::extract::{AppPath, Json, Path};
use super::page::{Listed, Page, Paging, Property};
use super::place::PlaceView;
use super::respond::Created;
use super::router::{Routes, routes};
use super::{ApiState, Error, sites};
use crate::config::Dialect;
use crate::model::catalogue::Catalogue;
use crate::model::ids::PreviewId;
use crate::model::names::AppKey;
use crate::model::principal::Principal;
use crate::model::route::Route;
use crate::model::time::Timestamp;
use crate::service;
use crate::service::routes::{self, NewRoute, RouteParent};
use crate::store;

pub(super) fn router() -> Routes {
    Routes::new("routes")
        .route(Policy::User, routes!(create, list))
        .route(Policy::User, routes!(view, delete))
        .route(Policy::User, routes!(create_of_app, list_of_app))
        .route(Policy::User, routes!(create_of_site, list_of_site))
        .route(Policy::User, routes!(view_of_site, delete_of_site))
        .alias(Policy::User, "/site/{site}/routes", get(list_of_site))
}

/// A route to be made.
#[derive(Deserialize, ToSchema)]
struct CreateRoute {
    /// Domain or id of a site. May be absent where the address names one.
    site: Option<String>,
    /// Key, name or id of an app. May be absent where the address names one.
    app: Option<String>,
    /// A path of the site; what lies below it goes to the app too.
    #[serde(default)]
    #[schema(required)]
    source_path: String,
    /// The path of the app that takes its place; `/` when absent.
    target_path: Option<String>,
}

/// A route.
#[derive(Serialize, ToSchema)]
struct RouteView {
    id: Uuid,
    /// The app's key; in the dialect `reference` an object.
    app: Named<RouteAppView>,
    space: RouteSpaceView,
    /// The site's domain; in the dialect `reference` an object.
    site: Named<RouteSiteView>,
    /// The app has no release yet: until then requests find a shorter path, or none.
    pending: bool,
    source_path: String,
    target_path: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

/// The app of a route.
#[derive(Serialize, ToSchema)]
struct RouteAppView {
    id: Uuid,
    /// Its key.
    name: String,
}

/// The space of a route's app.
#[derive(Serialize, ToSchema)]
struct RouteSpaceView {
    name: String,
}

/// The site of a route.
#[derive(Serialize, ToSchema)]
struct RouteSiteView {
    id: Uuid,
    domain: String,
    region: PlaceView,
    compliance: Vec<String>,
    /// The preview that the site was made with.
    preview: Option<Uuid>,
}

#[derive(Deserialize)]
struct RoutePath {
    route: String,
}

#[derive(Deserialize)]
struct SitePath {
    site: String,
}

#[derive(Deserialize)]
struct SiteRoutePath {
    site: String,
    route: String,
}

/// Create a route.
#[utoipa::path(post, path = "/routes", operation_id = "create_route",
    request_body = CreateRoute, responses((status = 201, description = "Created", body = RouteView)))]
async fn create(
    State(state): State<ApiState>,
    author: Principal,
    dialect: Dialect,
    Json(body): Json<CreateRoute>,
) -> Result<Created<RouteView>, Error> {
    made(&state, &author, dialect, body.below(RouteParent::Nothing)).await
}

/// List the routes to your apps.
#[utoipa::path(get, path = "/routes", operation_id = "list_routes",
    responses((status = 200, description = "All, oldest first", body = Vec<RouteView>)))]
async fn list(
    State(state): State<ApiState>,
    principal: Principal,
    dialect: Dialect,
    paging: Paging,
) -> Result<Page<RouteView>, Error> {
    let all = state.store.read(move |connection| routes::list(connection, &principal.reach)).await?;
    page(&state, dialect, paging, all)
}

/// View a route.
#[utoipa::path(get, path = "/routes/{route}", operation_id = "view_route",
    responses((status = 200, description = "The route", body = RouteView)))]
async fn view(
    State(state): State<ApiState>,
    principal: Principal,
    dialect: Dialect,
    Path(path): Path<RoutePath>,
) -> Result<Json<RouteView>, Error> {
    let route = state.store.look_up(|c| routes::resolve(c, &principal.reach, &path.route))?;
    Ok(Json(RouteView::new(route, dialect, &state.catalogue.load())))
}

/// Delete a route.
#[utoipa::path(delete, path = "/routes/{route}", operation_id = "delete_route",
    responses((status = 200, description = "The route that was", body = RouteView)))]
async fn delete(
    State(state): State<ApiState>,
    author: Principal,
    dialect: Dialect,
    Path(path): Path<RoutePath>,
) -> Result<Json<RouteView>, Error> {
    let route = state.store.look_up(|c| routes::resolve(c, &author.reach, &path.route))?;
    removed(&state, &author, dialect, route).await
}

/// Create a route to an app.
#[utoipa::path(post, path = "/apps/{app}/routes", operation_id = "create_app_route",
    request_body = CreateRoute, responses((status = 201, description = "Created", body = RouteView)))]
async fn create_of_app(
    State(state): State<ApiState>,
    author: Principal,
    dialect: Dialect,
    AppPath(app): AppPath,
    Json(body): Json<CreateRoute>,
) -> Result<Created<RouteView>, Error> {
    made(&state, &author, dialect, body.below(RouteParent::App(app.id))).await
}

/// List the routes to an app.
#[utoipa::path(get, path = "/apps/{app}/routes", operation_id = "list_app_routes",
    responses((status = 200, description = "All, oldest first", body = Vec<RouteView>)))]
async fn list_of_app(
    State(state): State<ApiState>,
    dialect: Dialect,
    AppPath(app): AppPath,
    paging: Paging,
) -> Result<Page<RouteView>, Error> {
    let all = state.store.read(move |connection| store::routes::list_by_app(connection, app.id)).await?;
    page(&state, dialect, paging, all)
}

/// Create a route on a site.
#[utoipa::path(post, path = "/sites/{site}/routes", operation_id = "create_site_route",
    params(("site" = String, Path, description = "Domain or id")),
    request_body = CreateRoute, responses((status = 201, description = "Created", body = RouteView)))]
async fn create_of_site(
    State(state): State<ApiState>,
    author: Principal,
    dialect: Dialect,
    Path(path): Path<SitePath>,
    Json(body): Json<CreateRoute>,
) -> Result<Created<RouteView>, Error> {
    let site = sites::find(&state, &author, &path.site)?;
    made(&state, &author, dialect, body.below(RouteParent::Site(site.id))).await
}

/// List the routes of a site to your apps.
#[utoipa::path(get, path = "/sites/{site}/routes", operation_id = "list_site_routes",
    params(("site" = String, Path, description = "Domain or id")),
    responses((status = 200, description = "All, oldest first", body = Vec<RouteView>)))]
async fn list_of_site(
    State(state): State<ApiState>,
    principal: Principal,
    dialect: Dialect,
    Path(path): Path<SitePath>,
    paging: Paging,
) -> Result<Page<RouteView>, Error> {
    let site = sites::find(&state, &principal, &path.site)?;
    let all = state.store.read(move |c| routes::list_by_site(c, &principal.reach, site.id)).await?;
    page(&state, dialect, paging, all)
}

/// View a route of a site.
#[utoipa::path(get, path = "/sites/{site}/routes/{route}", operation_id = "view_site_route",
    params(("site" = String, Path, description = "Domain or id")),
    responses((status = 200, description = "The route", body = RouteView)))]
async fn view_of_site(
    State(state): State<ApiState>,
    principal: Principal,
    dialect: Dialect,
    Path(path): Path<SiteRoutePath>,
) -> Result<Json<RouteView>, Error> {
    let route = find_on(&state, &principal, &path)?;
    Ok(Json(RouteView::new(route, dialect, &state.catalogue.load())))
}

/// Delete a route of a site.
#[utoipa::path(delete, path = "/sites/{site}/routes/{route}", operation_id = "delete_site_route",
    params(("site" = String, Path, description = "Domain or id")),
    responses((status = 200, description = "The route that was", body = RouteView)))]
async fn delete_of_site(
    State(state): State<ApiState>,
    author: Principal,
    dialect: Dialect,
    Path(path): Path<SiteRoutePath>,
) -> Result<Json<RouteView>, Error> {
    let route = find_on(&state, &author, &path)?;
    removed(&state, &author, dialect, route).await
}

fn find_on(state: &ApiState, principal: &Principal, path: &SiteRoutePath) -> Result<Route, service::Error> {
    let site = sites::find(state, principal, &path.site)?;
    state.store.look_up(|c| routes::resolve_on(c, &principal.reach, site.id, &path.route))
}

async fn made(
    state: &ApiState,
    author: &Principal,
    dialect: Dialect,
    new: NewRoute,
) -> Result<Created<RouteView>, Error> {
    let route = routes::create(&state.store, &state.ids, author, new).await?;
    Ok(Created(RouteView::new(route, dialect, &state.catalogue.load())))
}

async fn removed(
    state: &ApiState,
    author: &Principal,
    dialect: Dialect,
    route: Route,
) -> Result<Json<RouteView>, Error> {
    let route = routes::delete(&state.store, author, route.id).await?;
    Ok(Json(RouteView::new(route, dialect, &state.catalogue.load())))
}

fn page(
    state: &ApiState,
    dialect: Dialect,
    paging: Paging,
    routes: Vec<Route>,
) -> Result<Page<RouteView>, Error> {
    let catalogue = state.catalogue.load();
    paging.page(routes.into_iter().map(|route| RouteView::new(route, dialect, &catalogue)).collect())
}

impl CreateRoute {
    fn below(self, parent: RouteParent) -> NewRoute {
        NewRoute {
            parent,
            site: self.site,
            app: self.app,
            source_path: self.source_path,
            target_path: self.target_path.unwrap_or_default(),
        }
    }
}

impl Listed for RouteView {
    const PROPERTIES: &'static [Property<Self>] = &[
        Property::Time("created_at", |item| item.created_at),
        Property::Time("updated_at", |item| item.updated_at),
        Property::Text("source_path", |item| &item.source_path),
        Property::Id(|item| item.id),
    ];
}

impl RouteView {
    fn new(route: Route, dialect: Dialect, catalogue: &Catalogue) -> Self {
        let (site, app) = (route.site, route.app);
        let (key, domain) = (AppKey::of(&app.name, &app.space).to_string(), site.domain.to_string());
        let app_view = RouteAppView { id: app.id.uuid(), name: key.clone() };
        let site_view = RouteSiteView {
            id: site.id.uuid(),
            domain: domain.clone(),
            region: PlaceView::region(catalogue),
            compliance: Vec::new(),
            preview: site.preview.map(PreviewId::uuid),
        };
        Self {
            id: route.id.uuid(),
            app: dialect.named(key, app_view),
            space: RouteSpaceView { name: app.space.to_string() },
            site: dialect.named(domain, site_view),
            pending: route.pending,
            source_path: route.source.as_str().to_owned(),
            target_path: route.target.as_str().to_owned(),
            created_at: route.created_at,
            updated_at: route.updated_at,
        }
    }
}
