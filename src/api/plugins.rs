//! Plugins, as the section of that name documents them.

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
use crate::model::plugin::Plugin;
use crate::model::principal::Principal;
use crate::model::time::Timestamp;
use crate::service;
use crate::service::plugins::{self, PluginContent};
use crate::store;

pub(super) fn router() -> Routes {
    Routes::new("plugins")
        .route(Policy::User, routes!(create, list))
        .route(Policy::User, routes!(view, update, delete))
}

/// A plugin to be published.
#[derive(Deserialize, ToSchema)]
struct CreatePlugin {
    /// Letters and digits, up to 64.
    #[serde(default)]
    #[schema(required)]
    name: String,
    #[serde(flatten)]
    content: PluginBody,
}

/// What a plugin tells of itself.
#[derive(Deserialize, ToSchema)]
#[schema(as = UpdatePlugin)]
struct PluginBody {
    /// What `git clone` installs it from; begins with `https://`.
    #[serde(default)]
    #[schema(required)]
    repo: String,
    /// The name of the owner.
    #[serde(default)]
    #[schema(required)]
    owner: String,
    /// The address of the owner.
    #[serde(default)]
    #[schema(required)]
    email: String,
    description: Option<String>,
}

/// A plugin.
#[derive(Serialize, ToSchema)]
struct PluginView {
    id: Uuid,
    name: String,
    description: String,
    repo: String,
    owner: PluginOwnerView,
    /// The owner's, once more.
    email: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

/// The owner of a plugin.
#[derive(Serialize, ToSchema)]
struct PluginOwnerView {
    name: String,
    email: String,
}

#[derive(Deserialize)]
struct PluginPath {
    plugin: String,
}

/// Publish a plugin.
#[utoipa::path(post, path = "/plugins", operation_id = "create_plugin",
    request_body = CreatePlugin, responses((status = 201, description = "Created", body = PluginView)))]
async fn create(
    State(state): State<ApiState>,
    author: Principal,
    Json(body): Json<CreatePlugin>,
) -> Result<Created<PluginView>, Error> {
    let content = body.content.into();
    let plugin = plugins::create(&state.store, &state.ids, &author, &body.name, content).await?;
    Ok(Created(plugin.into()))
}

/// List all plugins.
#[utoipa::path(get, path = "/plugins", operation_id = "list_plugins",
    responses((status = 200, description = "All, oldest first", body = Vec<PluginView>)))]
async fn list(State(state): State<ApiState>, paging: Paging) -> Result<Page<PluginView>, Error> {
    let all = state.store.read(store::plugins::list).await?;
    paging.page(all.into_iter().map(PluginView::from).collect())
}

/// View a plugin.
#[utoipa::path(get, path = "/plugins/{plugin}", operation_id = "view_plugin",
    params(("plugin" = String, Path, description = "Name or id")),
    responses((status = 200, description = "The plugin", body = PluginView)))]
async fn view(
    State(state): State<ApiState>,
    Path(path): Path<PluginPath>,
) -> Result<Json<PluginView>, Error> {
    Ok(Json(find(&state, path).await?.into()))
}

/// Revise a plugin; its name stays.
#[utoipa::path(patch, path = "/plugins/{plugin}", operation_id = "update_plugin",
    params(("plugin" = String, Path, description = "Name or id")),
    request_body = PluginBody, responses((status = 200, description = "The plugin", body = PluginView)))]
async fn update(
    State(state): State<ApiState>,
    author: Principal,
    Path(path): Path<PluginPath>,
    Json(body): Json<PluginBody>,
) -> Result<Json<PluginView>, Error> {
    let plugin = find(&state, path).await?;
    Ok(Json(plugins::update(&state.store, &author, plugin.id, body.into()).await?.into()))
}

/// Unpublish a plugin.
#[utoipa::path(delete, path = "/plugins/{plugin}", operation_id = "delete_plugin",
    params(("plugin" = String, Path, description = "Name or id")),
    responses((status = 200, description = "The plugin that was", body = PluginView)))]
async fn delete(
    State(state): State<ApiState>,
    author: Principal,
    Path(path): Path<PluginPath>,
) -> Result<Json<PluginView>, Error> {
    let plugin = find(&state, path).await?;
    Ok(Json(plugins::delete(&state.store, &author, plugin.id).await?.into()))
}

async fn find(state: &ApiState, path: PluginPath) -> Result<Plugin, service::Error> {
    state.store.read(move |connection| plugins::resolve(connection, &path.plugin)).await
}

impl Listed for PluginView {
    const PROPERTIES: &'static [Property<Self>] = &[
        Property::Time("created_at", |item| item.created_at),
        Property::Time("updated_at", |item| item.updated_at),
        Property::Text("name", |item| &item.name),
        Property::Id(|item| item.id),
    ];
}

impl From<PluginBody> for PluginContent {
    fn from(body: PluginBody) -> Self {
        Self { repo: body.repo, owner: body.owner, email: body.email, description: body.description }
    }
}

impl From<Plugin> for PluginView {
    fn from(plugin: Plugin) -> Self {
        Self {
            id: plugin.id.uuid(),
            name: plugin.name.to_string(),
            description: plugin.description,
            repo: plugin.repo.as_str().to_owned(),
            email: plugin.owner.email.clone(),
            owner: PluginOwnerView { name: plugin.owner.name, email: plugin.owner.email },
            created_at: plugin.created_at,
            updated_at: plugin.updated_at,
        }
    }
}
