//! Filters, which no document describes; the reference server and its client do (`behaviour.md` §32).

pub(super) mod options;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use self::options::FilterOptionsBody;
use super::auth::Policy;
use super::extract::{Json, Path, StrictJson};
use super::page::{Listed, Page, Paging, Property};
use super::respond::{Created, NoContent};
use super::router::{Routes, routes};
use super::{ApiState, Error};
use crate::model::filter::Filter;
use crate::model::names::AppKey;
use crate::model::pipeline::AppReference;
use crate::model::principal::Principal;
use crate::model::time::Timestamp;
use crate::service;
use crate::service::filters::{self, FilterContent};

pub(super) fn router() -> Routes {
    Routes::new("filters")
        .route(Policy::User, routes!(create, list))
        .route(Policy::User, routes!(view, update, delete))
}

/// All that is told of a filter.
#[derive(Deserialize, ToSchema)]
struct CreateFilter {
    /// Letters, digits and `-_.`, up to 128.
    #[serde(default)]
    #[schema(required)]
    name: String,
    #[serde(default)]
    #[schema(required)]
    description: String,
    /// Name or id of the organization that the filter belongs to.
    #[serde(default)]
    #[schema(required)]
    organization: String,
    #[serde(flatten)]
    options: FilterOptionsBody,
}

/// A filter.
#[derive(Serialize, ToSchema)]
#[schema(as = FilterView)]
pub(super) struct FilterView {
    id: Uuid,
    name: String,
    /// `jwt`, `cors`, `csp`, `basic-auth`, `ip` or `rate-limit`.
    #[serde(rename = "type")]
    filter_type: &'static str,
    description: String,
    /// Those of the type; of passwords nothing is shown.
    #[schema(value_type = Object)]
    options: Value,
    organization: FilterOrganizationView,
    /// The apps of yours that have the filter attached.
    #[serde(skip_serializing_if = "Option::is_none")]
    attached_apps: Option<Vec<FilterAppView>>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

/// The organization of a filter.
#[derive(Serialize, ToSchema)]
struct FilterOrganizationView {
    id: Uuid,
    name: String,
}

/// An app with the filter.
#[derive(Serialize, ToSchema)]
struct FilterAppView {
    id: Uuid,
    /// Without the space.
    name: String,
    key: String,
    space: FilterSpaceView,
}

/// The space of an app with the filter.
#[derive(Serialize, ToSchema)]
struct FilterSpaceView {
    name: String,
}

#[derive(Deserialize)]
struct FilterPath {
    filter: String,
}

/// Create a filter.
#[utoipa::path(post, path = "/filters", operation_id = "create_filter",
    request_body = CreateFilter, responses((status = 201, description = "Created", body = FilterView)))]
async fn create(
    State(state): State<ApiState>,
    author: Principal,
    StrictJson(body): StrictJson<CreateFilter>,
) -> Result<Created<FilterView>, Error> {
    let keeping = (&state.sealer, &state.ids);
    let filter = filters::create(&state.store, keeping, &author, body.content()?).await?;
    Ok(Created(FilterView::with_apps(filter, Vec::new())))
}

/// List the filters of your organizations.
#[utoipa::path(get, path = "/filters", operation_id = "list_filters",
    responses((status = 200, description = "All, oldest first", body = Vec<FilterView>)))]
async fn list(
    State(state): State<ApiState>,
    principal: Principal,
    paging: Paging,
) -> Result<Page<FilterView>, Error> {
    let (sealer, reach) = (state.sealer.clone(), principal.reach);
    let read = move |connection: &crate::store::Connection| {
        let with_apps = |filter: Filter| {
            let apps = filters::attached_apps(connection, &reach, filter.id)?;
            Ok::<_, service::Error>(FilterView::with_apps(filter, apps))
        };
        filters::list(connection, &sealer, &reach)?.into_iter().map(with_apps).collect()
    };
    let all: Vec<FilterView> = state.store.read(read).await?;
    paging.page(all)
}

/// View a filter.
#[utoipa::path(get, path = "/filters/{filter}", operation_id = "view_filter",
    params(("filter" = String, Path, description = "Name or id")),
    responses((status = 200, description = "The filter", body = FilterView)))]
async fn view(
    State(state): State<ApiState>,
    principal: Principal,
    Path(path): Path<FilterPath>,
) -> Result<Json<FilterView>, Error> {
    let filter = find(&state, &principal, &path)?;
    Ok(Json(shown(&state, &principal, filter)?))
}

/// Change a filter for all apps that have it attached. Its type stays, and so does each password that is not given.
#[utoipa::path(put, path = "/filters/{filter}", operation_id = "update_filter",
    params(("filter" = String, Path, description = "Name or id")),
    request_body = CreateFilter, responses((status = 200, description = "The filter", body = FilterView)))]
async fn update(
    State(state): State<ApiState>,
    author: Principal,
    Path(path): Path<FilterPath>,
    StrictJson(body): StrictJson<CreateFilter>,
) -> Result<Json<FilterView>, Error> {
    let filter = find(&state, &author, &path)?;
    let filter = filters::update(&state.store, &state.sealer, &author, filter.id, body.content()?).await?;
    Ok(Json(shown(&state, &author, filter)?))
}

/// Delete a filter that is attached to no app.
#[utoipa::path(delete, path = "/filters/{filter}", operation_id = "delete_filter",
    params(("filter" = String, Path, description = "Name or id")),
    responses((status = 204, description = "Deleted")))]
async fn delete(
    State(state): State<ApiState>,
    author: Principal,
    Path(path): Path<FilterPath>,
) -> Result<NoContent, Error> {
    let filter = find(&state, &author, &path)?;
    filters::delete(&state.store, &state.sealer, &author, filter.id).await?;
    Ok(NoContent)
}

fn find(state: &ApiState, principal: &Principal, path: &FilterPath) -> Result<Filter, service::Error> {
    state.store.look_up(|c| filters::resolve(c, &state.sealer, &principal.reach, &path.filter))
}

fn shown(state: &ApiState, principal: &Principal, filter: Filter) -> Result<FilterView, service::Error> {
    let apps = state.store.look_up(|c| filters::attached_apps(c, &principal.reach, filter.id))?;
    Ok(FilterView::with_apps(filter, apps))
}

impl Listed for FilterView {
    const PROPERTIES: &'static [Property<Self>] = &[
        Property::Time("created_at", |item| item.created_at),
        Property::Time("updated_at", |item| item.updated_at),
        Property::Text("name", |item| &item.name),
        Property::Id(|item| item.id),
    ];
}

impl CreateFilter {
    fn content(self) -> Result<FilterContent, service::Error> {
        Ok(FilterContent {
            name: self.name,
            description: self.description,
            organization: self.organization,
            options: self.options.checked().map_err(|rule| service::Error::BadRequest(rule.to_string()))?,
        })
    }
}

impl FilterView {
    /// Without the apps that have it.
    pub(super) fn new(filter: Filter) -> Self {
        Self {
            id: filter.id.uuid(),
            name: filter.name.to_string(),
            filter_type: filter.options.filter_type().as_str(),
            description: filter.description,
            options: options::shown(&filter.options),
            organization: FilterOrganizationView {
                id: filter.organization.id.uuid(),
                name: filter.organization.name.to_string(),
            },
            attached_apps: None,
            created_at: filter.created_at,
            updated_at: filter.updated_at,
        }
    }

    fn with_apps(filter: Filter, apps: Vec<AppReference>) -> Self {
        let app = |app: AppReference| FilterAppView {
            id: app.id.uuid(),
            key: AppKey::of(&app.name, &app.space).to_string(),
            name: app.name.to_string(),
            space: FilterSpaceView { name: app.space.to_string() },
        };
        Self { attached_apps: Some(apps.into_iter().map(app).collect()), ..Self::new(filter) }
    }
}
