//! What apps use of the addons of others, as the section Services, Addons and Attachments documents it.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::addons::{AddonView, NamedView, Variables};
use super::auth::Policy;
use super::extract::{AppPath, Json, Path};
use super::page::{Listed, Page, Paging, Property};
use super::respond::Created;
use super::router::{Routes, routes};
use super::{ApiState, Error};
use crate::model::RuleError;
use crate::model::addon_attachment::AddonAttachment;
use crate::model::app::App;
use crate::model::principal::Principal;
use crate::model::rule::shown;
use crate::model::time::Timestamp;
use crate::seal::Sealer;
use crate::service::{self, addon_attachments, addons, apps};
use crate::store::{self, Connection};

pub(super) fn router() -> Routes {
    Routes::new("addon-attachments")
        .route(Policy::User, routes!(list_all, create))
        .route(Policy::User, routes!(view_any, delete_any))
        .route(Policy::User, routes!(list, create_of_app))
        .route(Policy::User, routes!(view, update, delete))
}

/// An addon to be attached.
#[derive(Deserialize, ToSchema)]
struct CreateAddonAttachment {
    /// Id of an addon, or its name when no other addon of yours has it.
    #[schema(required)]
    addon: Option<String>,
    /// Id or key of the app that shall use it; that of the path when absent.
    app: Option<String>,
    /// Its name in the app; one is made up when there is none.
    name: Option<String>,
}

/// What shall change.
#[derive(Deserialize, ToSchema)]
struct UpdateAddonAttachment {
    /// `true` gives its variables their plain names.
    primary: Option<bool>,
    name: Option<String>,
}

/// An app's use of an addon of another app.
#[derive(Serialize, ToSchema)]
#[schema(as = AddonAttachmentView)]
pub(super) struct AddonAttachmentView {
    id: Uuid,
    name: String,
    /// The addon, with the variables that the using app has of it.
    addon: AddonView,
    /// The app that uses it.
    app: NamedView,
    /// Whether its variables have their plain names.
    primary: bool,
    /// `provisioning` until the app has the variables, then `provisioned`; or `failed`.
    state: &'static str,
    state_description: String,
    web_url: &'static str,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

#[derive(Deserialize)]
struct AttachmentPath {
    attachment: String,
}

/// Let an app use an addon of another app. The app is restarted with the variables.
#[utoipa::path(post, path = "/addon-attachments", operation_id = "create_addon_attachment",
    request_body = CreateAddonAttachment,
    responses((status = 201, description = "Attached", body = AddonAttachmentView)))]
async fn create(
    State(state): State<ApiState>,
    author: Principal,
    Json(body): Json<CreateAddonAttachment>,
) -> Result<Created<AddonAttachmentView>, Error> {
    let missing = || RuleError::new("The field \"app\" is missing: name the app that shall use the addon.");
    let text = body.app.as_deref().filter(|text| !text.is_empty()).ok_or_else(missing)?;
    let app = state.store.look_up(|c| apps::resolve(c, &author.reach, text))?;
    attach(&state, &author, &app, body).await
}

/// Let this app use an addon of another app. It is restarted with the variables.
#[utoipa::path(post, path = "/apps/{app}/addon-attachments", operation_id = "create_app_addon_attachment",
    request_body = CreateAddonAttachment,
    responses((status = 201, description = "Attached", body = AddonAttachmentView)))]
async fn create_of_app(
    State(state): State<ApiState>,
    author: Principal,
    AppPath(app): AppPath,
    Json(body): Json<CreateAddonAttachment>,
) -> Result<Created<AddonAttachmentView>, Error> {
    if let Some(text) = body.app.as_deref().filter(|text| !text.is_empty()) {
        let named = state.store.look_up(|c| apps::resolve(c, &author.reach, text))?;
        if named.id != app.id {
            return Err(RuleError::new(format!(
                "The field \"app\" names {}, and the path {}: name one app.",
                shown(text),
                app.key()
            ))
            .into());
        }
    }
    attach(&state, &author, &app, body).await
}

/// List what an app uses of the addons of others.
#[utoipa::path(get, path = "/apps/{app}/addon-attachments", operation_id = "list_app_addon_attachments",
    responses((status = 200, description = "All, oldest first", body = Vec<AddonAttachmentView>)))]
async fn list(
    State(state): State<ApiState>,
    paging: Paging,
    AppPath(app): AppPath,
) -> Result<Page<AddonAttachmentView>, Error> {
    let sealer = state.sealer.clone();
    let read = move |connection: &Connection| {
        AddonAttachmentView::list(connection, &sealer, addon_attachments::list(connection, app.id)?)
    };
    paging.page(state.store.read(read).await?)
}

/// List what all of your apps use of the addons of others.
#[utoipa::path(get, path = "/addon-attachments", operation_id = "list_addon_attachments",
    responses((status = 200, description = "All, oldest first", body = Vec<AddonAttachmentView>)))]
async fn list_all(
    State(state): State<ApiState>,
    principal: Principal,
    paging: Paging,
) -> Result<Page<AddonAttachmentView>, Error> {
    let sealer = state.sealer.clone();
    let read = move |connection: &Connection| {
        let all = addon_attachments::list_all(connection, &principal.reach)?;
        AddonAttachmentView::list(connection, &sealer, all)
    };
    paging.page(state.store.read(read).await?)
}

/// View a use that an app makes of an addon of another app.
#[utoipa::path(get, path = "/apps/{app}/addon-attachments/{attachment}", operation_id = "view_app_addon_attachment",
    params(("attachment" = String, Path, description = "Id or name, or the id of the addon")),
    responses((status = 200, description = "The attachment", body = AddonAttachmentView)))]
async fn view(
    State(state): State<ApiState>,
    AppPath(app): AppPath,
    Path(path): Path<AttachmentPath>,
) -> Result<Json<AddonAttachmentView>, Error> {
    let found = state.store.look_up(|c| addon_attachments::resolve(c, app.id, &path.attachment))?;
    Ok(Json(shown_one(&state, found)?))
}

/// View a use that any of your apps makes of an addon of another app.
#[utoipa::path(get, path = "/addon-attachments/{attachment}", operation_id = "view_addon_attachment",
    params(("attachment" = String, Path, description = "Id")),
    responses((status = 200, description = "The attachment", body = AddonAttachmentView)))]
async fn view_any(
    State(state): State<ApiState>,
    principal: Principal,
    Path(path): Path<AttachmentPath>,
) -> Result<Json<AddonAttachmentView>, Error> {
    let found = find_any(&state, &principal, &path)?;
    Ok(Json(shown_one(&state, found)?))
}

/// Promote or rename a use that an app makes of an addon of another app.
#[utoipa::path(patch, path = "/apps/{app}/addon-attachments/{attachment}", operation_id = "update_app_addon_attachment",
    params(("attachment" = String, Path, description = "Id or name, or the id of the addon")),
    request_body = UpdateAddonAttachment,
    responses((status = 200, description = "The attachment", body = AddonAttachmentView)))]
async fn update(
    State(state): State<ApiState>,
    author: Principal,
    AppPath(app): AppPath,
    Path(path): Path<AttachmentPath>,
    Json(body): Json<UpdateAddonAttachment>,
) -> Result<Json<AddonAttachmentView>, Error> {
    let found = state.store.look_up(|c| addon_attachments::resolve(c, app.id, &path.attachment))?;
    let change = (body.name, body.primary);
    let changed = addon_attachments::update(&state.store, &author, found.id, change).await?;
    Ok(Json(shown_one(&state, changed)?))
}

/// Detach an addon of another app from an app, which is restarted without the variables.
#[utoipa::path(delete, path = "/apps/{app}/addon-attachments/{attachment}", operation_id = "delete_app_addon_attachment",
    params(("attachment" = String, Path, description = "Id or name, or the id of the addon")),
    responses((status = 200, description = "The attachment as it was", body = AddonAttachmentView)))]
async fn delete(
    State(state): State<ApiState>,
    author: Principal,
    AppPath(app): AppPath,
    Path(path): Path<AttachmentPath>,
) -> Result<Json<AddonAttachmentView>, Error> {
    let found = state.store.look_up(|c| addon_attachments::resolve(c, app.id, &path.attachment))?;
    detach(&state, &author, found).await
}

/// Detach an addon of another app from any of your apps.
#[utoipa::path(delete, path = "/addon-attachments/{attachment}", operation_id = "delete_addon_attachment",
    params(("attachment" = String, Path, description = "Id")),
    responses((status = 200, description = "The attachment as it was", body = AddonAttachmentView)))]
async fn delete_any(
    State(state): State<ApiState>,
    author: Principal,
    Path(path): Path<AttachmentPath>,
) -> Result<Json<AddonAttachmentView>, Error> {
    let found = find_any(&state, &author, &path)?;
    detach(&state, &author, found).await
}

async fn attach(
    state: &ApiState,
    author: &Principal,
    app: &App,
    body: CreateAddonAttachment,
) -> Result<Created<AddonAttachmentView>, Error> {
    let missing = || RuleError::new("The field \"addon\" is missing: name the addon that shall be attached.");
    let text = body.addon.filter(|text| !text.is_empty()).ok_or_else(missing)?;
    let addon = state.store.look_up(|c| addons::resolve_anywhere(c, &author.reach, &text))?;
    let wanted = (app.id, addon.id, state.addons.offer());
    let made = addon_attachments::create(&state.store, &state.ids, author, wanted, body.name).await?;
    Ok(Created(shown_one(state, made)?))
}

async fn detach(
    state: &ApiState,
    author: &Principal,
    found: AddonAttachment,
) -> Result<Json<AddonAttachmentView>, Error> {
    let id = found.id;
    let view = shown_one(state, found)?;
    addon_attachments::delete(&state.store, author, id).await?;
    Ok(Json(view))
}

fn find_any(
    state: &ApiState,
    principal: &Principal,
    path: &AttachmentPath,
) -> Result<AddonAttachment, service::Error> {
    state.store.look_up(|c| addon_attachments::resolve_anywhere(c, &principal.reach, &path.attachment))
}

fn shown_one(state: &ApiState, attachment: AddonAttachment) -> Result<AddonAttachmentView, service::Error> {
    state.store.look_up(|connection| {
        AddonAttachmentView::new(connection, &mut Variables::new(connection, &state.sealer), attachment)
    })
}

impl AddonAttachmentView {
    pub(super) fn list(
        connection: &Connection,
        sealer: &Sealer,
        all: Vec<AddonAttachment>,
    ) -> Result<Vec<Self>, service::Error> {
        let mut variables = Variables::new(connection, sealer);
        all.into_iter().map(|one| Self::new(connection, &mut variables, one)).collect()
    }

    fn new(
        connection: &Connection,
        variables: &mut Variables<'_>,
        attachment: AddonAttachment,
    ) -> Result<Self, service::Error> {
        let gone = || service::Error::NotFound(format!("The addon {} does not exist.", attachment.addon));
        let addon = store::addons::find(connection, attachment.addon)?.ok_or_else(gone)?;
        let vars = variables.of(addon.id, attachment.app.id)?;
        Ok(Self {
            id: attachment.id.uuid(),
            name: attachment.name.to_string(),
            addon: AddonView::new(addon, vars),
            app: (&attachment.app).into(),
            primary: attachment.is_primary,
            state: attachment.state.status(),
            state_description: attachment.reason,
            web_url: "",
            created_at: attachment.created_at,
            updated_at: attachment.updated_at,
        })
    }
}

impl Listed for AddonAttachmentView {
    const PROPERTIES: &'static [Property<Self>] = &[
        Property::Time("created_at", |item| item.created_at),
        Property::Time("updated_at", |item| item.updated_at),
        Property::Text("name", |item| &item.name),
        Property::Id(|item| item.id),
    ];
}
