//! Addons without their apps: of all apps within reach.

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::{AddonPath, AddonView, Variables, shown};
use crate::api::addon_attachments::AddonAttachmentView;
use crate::api::auth::Policy;
use crate::api::extract::{Json, Path};
use crate::api::page::{Listed, Page, Paging, Property};
use crate::api::router::{Routes, routes};
use crate::api::{ApiState, Error};
use crate::model::addon::Addon;
use crate::model::principal::Principal;
use crate::service::{self, addons};
use crate::store;

pub(super) fn router() -> Routes {
    Routes::new("addons")
        .route(Policy::User, routes!(list))
        .route(Policy::User, routes!(view))
        .route(Policy::User, routes!(list_config))
        .route(Policy::User, routes!(list_attachments))
}

/// A variable that an addon brings its app.
#[derive(Serialize, ToSchema)]
struct AddonVariableView {
    name: String,
    /// Redacted in a space with the compliance `socs`.
    value: String,
}

/// List the addons of all of your apps.
#[utoipa::path(get, path = "/addons", operation_id = "list_all_addons",
    responses((status = 200, description = "All, oldest first", body = Vec<AddonView>)))]
async fn list(
    State(state): State<ApiState>,
    principal: Principal,
    paging: Paging,
) -> Result<Page<AddonView>, Error> {
    let sealer = state.sealer.clone();
    let read = move |connection: &store::Connection| {
        let mut variables = Variables::new(connection, &sealer);
        let all = addons::list(connection, &principal.reach)?;
        all.into_iter().map(|addon| variables.show(addon)).collect::<Result<Vec<_>, service::Error>>()
    };
    paging.page(state.store.read(read).await?)
}

/// View an addon of any of your apps.
#[utoipa::path(get, path = "/addons/{addon}", operation_id = "view_any_addon",
    params(("addon" = String, Path, description = "Id, or a name that one addon has")),
    responses((status = 200, description = "The addon", body = AddonView)))]
async fn view(
    State(state): State<ApiState>,
    principal: Principal,
    Path(path): Path<AddonPath>,
) -> Result<Json<AddonView>, Error> {
    let addon = found(&state, &principal, &path)?;
    Ok(Json(shown(&state, addon)?))
}

/// List the variables that an addon brings its app.
#[utoipa::path(get, path = "/addons/{addon}/config", operation_id = "list_addon_config",
    params(("addon" = String, Path, description = "Id, or a name that one addon has")),
    responses((status = 200, description = "All, by name", body = Vec<AddonVariableView>)))]
async fn list_config(
    State(state): State<ApiState>,
    principal: Principal,
    paging: Paging,
    Path(path): Path<AddonPath>,
) -> Result<Page<AddonVariableView>, Error> {
    let addon = found(&state, &principal, &path)?;
    let variables = state
        .store
        .look_up(|connection| Variables::new(connection, &state.sealer).of(addon.id, addon.app.id))?;
    let view = |(name, value)| AddonVariableView { name, value };
    paging.page(variables.into_iter().map(view).collect())
}

/// List the uses that other apps make of an addon.
#[utoipa::path(get, path = "/addons/{addon}/addon-attachments", operation_id = "list_attachments_of_addon",
    params(("addon" = String, Path, description = "Id, or a name that one addon has")),
    responses((status = 200, description = "All, oldest first", body = Vec<AddonAttachmentView>)))]
async fn list_attachments(
    State(state): State<ApiState>,
    principal: Principal,
    paging: Paging,
    Path(path): Path<AddonPath>,
) -> Result<Page<AddonAttachmentView>, Error> {
    let addon = found(&state, &principal, &path)?;
    let sealer = state.sealer.clone();
    let read = move |connection: &store::Connection| {
        let mut all = store::addon_attachments::list_by_addon(connection, addon.id)?;
        all.retain(|one| !one.is_owned);
        AddonAttachmentView::list(connection, &sealer, all)
    };
    paging.page(state.store.read(read).await?)
}

fn found(state: &ApiState, principal: &Principal, path: &AddonPath) -> Result<Addon, service::Error> {
    state.store.look_up(|c| addons::resolve_anywhere(c, &principal.reach, &path.addon))
}

impl Listed for AddonVariableView {
    const PROPERTIES: &'static [Property<Self>] = &[Property::Text("name", |item| &item.name)];
}
