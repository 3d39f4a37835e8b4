//! The addons of an app, as the section Services, Addons and Attachments documents them.

mod actions;
mod everywhere;
mod view;

use axum::extract::State;
use serde::Deserialize;
use utoipa::ToSchema;

pub(super) use self::view::{AddonView, NamedView, Variables};
use super::auth::Policy;
use super::extract::{AppPath, Json, Path};
use super::page::{Page, Paging};
use super::respond::Created;
use super::router::{Routes, routes};
use super::{ApiState, Error};
use crate::model::addon::Addon;
use crate::model::principal::Principal;
use crate::service;
use crate::service::addons::{self, AddonChange, NewAddon, Shop};
use crate::store;

pub(super) fn router() -> Routes {
    Routes::new("addons")
        .route(Policy::User, routes!(create, list))
        .route(Policy::User, routes!(view, update, delete))
        .merge(everywhere::router())
        .merge(actions::router())
}

/// An addon to be made.
#[derive(Deserialize, ToSchema)]
struct CreateAddon {
    /// Id or full name (`alamo-postgresql:small`) of a plan, or the name of a service with a default plan.
    #[schema(required)]
    plan: Option<String>,
    /// Its name in the app; one is made up when there is none.
    name: Option<String>,
    attachment: Option<AttachmentNameBody>,
}

/// What shall change.
#[derive(Deserialize, ToSchema)]
struct UpdateAddon {
    /// Another plan of the same service.
    plan: Option<String>,
    /// `true` gives its variables their plain names.
    primary: Option<bool>,
    name: Option<String>,
    attachment: Option<AttachmentNameBody>,
}

/// The name of an addon in its app.
#[derive(Deserialize, ToSchema)]
struct AttachmentNameBody {
    name: Option<String>,
}

#[derive(Deserialize)]
struct AddonPath {
    addon: String,
}

/// Create an addon. It is `provisioning` until its provider has made it; then the app is restarted with its variables.
#[utoipa::path(post, path = "/apps/{app}/addons", operation_id = "create_addon",
    request_body = CreateAddon, responses((status = 201, description = "It is being made", body = AddonView)))]
async fn create(
    State(state): State<ApiState>,
    author: Principal,
    AppPath(app): AppPath,
    Json(body): Json<CreateAddon>,
) -> Result<Created<AddonView>, Error> {
    let name = body.attachment.and_then(|attachment| attachment.name).or(body.name);
    let new = NewAddon { plan: body.plan.unwrap_or_default(), name };
    let made = addons::create(&state.store, &state.ids, &author, (app.id, shop(&state)), new).await?;
    Ok(Created(shown(&state, made)?))
}

/// List the addons that belong to an app.
#[utoipa::path(get, path = "/apps/{app}/addons", operation_id = "list_addons",
    responses((status = 200, description = "All, oldest first", body = Vec<AddonView>)))]
async fn list(
    State(state): State<ApiState>,
    paging: Paging,
    AppPath(app): AppPath,
) -> Result<Page<AddonView>, Error> {
    let sealer = state.sealer.clone();
    let read = move |connection: &store::Connection| {
        let mut variables = Variables::new(connection, &sealer);
        let all = store::addons::list_by_app(connection, app.id)?;
        all.into_iter().map(|addon| variables.show(addon)).collect::<Result<Vec<_>, service::Error>>()
    };
    paging.page(state.store.read(read).await?)
}

/// View an addon of an app.
#[utoipa::path(get, path = "/apps/{app}/addons/{addon}", operation_id = "view_addon",
    params(("addon" = String, Path, description = "Id or name")),
    responses((status = 200, description = "The addon", body = AddonView)))]
async fn view(
    State(state): State<ApiState>,
    AppPath(app): AppPath,
    Path(path): Path<AddonPath>,
) -> Result<Json<AddonView>, Error> {
    let addon = state.store.look_up(|c| addons::resolve(c, app.id, &path.addon))?;
    Ok(Json(shown(&state, addon)?))
}

/// Rename an addon, promote it, or change its plan.
///
/// While its plan is changed it is `provisioning` and can be used.
#[utoipa::path(patch, path = "/apps/{app}/addons/{addon}", operation_id = "update_addon",
    params(("addon" = String, Path, description = "Id or name")),
    request_body = UpdateAddon, responses((status = 200, description = "The addon", body = AddonView)))]
async fn update(
    State(state): State<ApiState>,
    author: Principal,
    AppPath(app): AppPath,
    Path(path): Path<AddonPath>,
    Json(body): Json<UpdateAddon>,
) -> Result<Json<AddonView>, Error> {
    let addon = state.store.look_up(|c| addons::resolve(c, app.id, &path.addon))?;
    let name = body.attachment.and_then(|attachment| attachment.name).or(body.name);
    let change = AddonChange { name, plan: body.plan, primary: body.primary };
    let changed = addons::update(&state.store, &author, (addon.id, shop(&state)), change).await?;
    Ok(Json(shown(&state, changed)?))
}

/// Delete an addon that no other app uses. The app is restarted without its variables.
#[utoipa::path(delete, path = "/apps/{app}/addons/{addon}", operation_id = "delete_addon",
    params(("addon" = String, Path, description = "Id or name")),
    responses((status = 200, description = "The addon as it was", body = AddonView)))]
async fn delete(
    State(state): State<ApiState>,
    author: Principal,
    AppPath(app): AppPath,
    Path(path): Path<AddonPath>,
) -> Result<Json<AddonView>, Error> {
    let addon = state.store.look_up(|c| addons::resolve(c, app.id, &path.addon))?;
    let view = shown(&state, addon.clone())?;
    addons::delete(&state.store, &author, addon.id).await?;
    Ok(Json(view))
}

fn shop(state: &ApiState) -> Shop {
    state.addons.shop()
}

/// With the apps that use it.
fn shown(state: &ApiState, addon: Addon) -> Result<AddonView, service::Error> {
    state.store.look_up(|connection| {
        let apps = store::addon_attachments::list_by_addon(connection, addon.id)?;
        Ok(Variables::new(connection, &state.sealer).show(addon)?.with_apps(&apps))
    })
}
