//! The filters of an app, which no document describes (`behaviour.md` §32).

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::auth::Policy;
use super::extract::{AppPath, Json, Path, StrictJson};
use super::filters::FilterView;
use super::filters::options::Texts;
use super::page::{Listed, Page, Paging, Property};
use super::respond::Created;
use super::router::{Routes, routes};
use super::{ApiState, Error};
use crate::model::filter::{FilterAttachment, PathScope};
use crate::model::names::AppKey;
use crate::model::principal::Principal;
use crate::model::time::Timestamp;
use crate::service;
use crate::service::filter_attachments;
use crate::store;

pub(super) fn router() -> Routes {
    Routes::new("filters")
        .route(Policy::User, routes!(create, list))
        .route(Policy::User, routes!(view, update, delete))
}

/// A filter to be put in force for an app.
#[derive(Deserialize, ToSchema)]
struct CreateFilterAttachment {
    #[schema(required)]
    filter: Option<FilterReferenceBody>,
    #[serde(default)]
    options: AttachmentOptionsBody,
}

/// Which filter.
#[derive(Deserialize, ToSchema)]
struct FilterReferenceBody {
    /// Id or name.
    id: String,
}

/// For which paths it is in force.
#[derive(Deserialize, Default, ToSchema)]
struct AttachmentOptionsBody {
    /// Only for these paths and what lies below them; for all when empty.
    includes: Option<Texts>,
    /// Not for these paths and what lies below them.
    excludes: Option<Texts>,
}

/// A filter in force for an app.
#[derive(Serialize, ToSchema)]
struct FilterAttachmentView {
    id: Uuid,
    app: FilteredAppView,
    filter: FilterView,
    options: AttachmentOptionsView,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

/// The app of an attachment.
#[derive(Serialize, ToSchema)]
struct FilteredAppView {
    id: Uuid,
    /// Its key.
    name: String,
}

/// For which paths it is in force.
#[derive(Serialize, ToSchema)]
struct AttachmentOptionsView {
    includes: Vec<String>,
    excludes: Vec<String>,
}

#[derive(Deserialize)]
struct AttachmentPath {
    attachment: String,
}

/// Attach a filter to an app. It is in force at once; no dyno is restarted.
#[utoipa::path(post, path = "/apps/{app}/filters", operation_id = "create_filter_attachment",
    request_body = CreateFilterAttachment,
    responses((status = 201, description = "Attached", body = FilterAttachmentView)))]
async fn create(
    State(state): State<ApiState>,
    author: Principal,
    AppPath(app): AppPath,
    StrictJson(body): StrictJson<CreateFilterAttachment>,
) -> Result<Created<FilterAttachmentView>, Error> {
    let scope = body.options.scope()?;
    let filter = body.filter.map(|filter| filter.id).unwrap_or_default();
    let keeping = (&state.sealer, &state.ids);
    let made = filter_attachments::create(&state.store, keeping, &author, app.id, (filter, scope)).await?;
    Ok(Created(made.into()))
}

/// List the filters of an app.
#[utoipa::path(get, path = "/apps/{app}/filters", operation_id = "list_filter_attachments",
    responses((status = 200, description = "All, oldest first", body = Vec<FilterAttachmentView>)))]
async fn list(
    State(state): State<ApiState>,
    paging: Paging,
    AppPath(app): AppPath,
) -> Result<Page<FilterAttachmentView>, Error> {
    let sealer = state.sealer.clone();
    let all = state.store.read(move |c| store::filter_attachments::list_by_app(c, &sealer, app.id)).await?;
    paging.page(all.into_iter().map(FilterAttachmentView::from).collect())
}

/// View a filter of an app.
#[utoipa::path(get, path = "/apps/{app}/filters/{attachment}", operation_id = "view_filter_attachment",
    params(("attachment" = String, Path, description = "The attachment's id")),
    responses((status = 200, description = "The attachment", body = FilterAttachmentView)))]
async fn view(
    State(state): State<ApiState>,
    AppPath(app): AppPath,
    Path(path): Path<AttachmentPath>,
) -> Result<Json<FilterAttachmentView>, Error> {
    let found =
        state.store.look_up(|c| filter_attachments::resolve(c, &state.sealer, app.id, &path.attachment))?;
    Ok(Json(found.into()))
}

/// Set for which paths a filter of an app is in force.
#[utoipa::path(put, path = "/apps/{app}/filters/{attachment}", operation_id = "update_filter_attachment",
    params(("attachment" = String, Path, description = "The attachment's id")),
    request_body = CreateFilterAttachment,
    responses((status = 200, description = "The attachment", body = FilterAttachmentView)))]
async fn update(
    State(state): State<ApiState>,
    author: Principal,
    AppPath(app): AppPath,
    Path(path): Path<AttachmentPath>,
    StrictJson(body): StrictJson<CreateFilterAttachment>,
) -> Result<Json<FilterAttachmentView>, Error> {
    let found =
        state.store.look_up(|c| filter_attachments::resolve(c, &state.sealer, app.id, &path.attachment))?;
    let change = (body.filter.map(|filter| filter.id), body.options.scope()?);
    let place = (app.id, found.id);
    let changed = filter_attachments::update(&state.store, &state.sealer, &author, place, change).await?;
    Ok(Json(changed.into()))
}

/// Detach a filter from an app.
#[utoipa::path(delete, path = "/apps/{app}/filters/{attachment}", operation_id = "delete_filter_attachment",
    params(("attachment" = String, Path, description = "The attachment's id")),
    responses((status = 200, description = "What is still attached", body = Vec<FilterAttachmentView>)))]
async fn delete(
    State(state): State<ApiState>,
    author: Principal,
    AppPath(app): AppPath,
    Path(path): Path<AttachmentPath>,
) -> Result<Json<Vec<FilterAttachmentView>>, Error> {
    let found =
        state.store.look_up(|c| filter_attachments::resolve(c, &state.sealer, app.id, &path.attachment))?;
    let place = (app.id, found.id);
    let left = filter_attachments::delete(&state.store, &state.sealer, &author, place).await?;
    Ok(Json(left.into_iter().map(FilterAttachmentView::from).collect()))
}

impl AttachmentOptionsBody {
    fn scope(self) -> Result<PathScope, service::Error> {
        PathScope::parse(&Texts::list(self.includes), &Texts::list(self.excludes))
            .map_err(|rule| service::Error::BadRequest(rule.to_string()))
    }
}

impl Listed for FilterAttachmentView {
    const PROPERTIES: &'static [Property<Self>] = &[
        Property::Time("created_at", |item| item.created_at),
        Property::Time("updated_at", |item| item.updated_at),
        Property::Id(|item| item.id),
    ];
}

impl From<FilterAttachment> for FilterAttachmentView {
    fn from(attachment: FilterAttachment) -> Self {
        let (app, scope) = (attachment.app, attachment.scope);
        let texts = |paths: Vec<crate::model::route::RoutePath>| {
            paths.iter().map(|path| path.as_str().to_owned()).collect()
        };
        Self {
            id: attachment.id.uuid(),
            app: FilteredAppView { id: app.id.uuid(), name: AppKey::of(&app.name, &app.space).to_string() },
            filter: FilterView::new(attachment.filter),
            options: AttachmentOptionsView {
                includes: texts(scope.includes),
                excludes: texts(scope.excludes),
            },
            created_at: attachment.created_at,
            updated_at: attachment.updated_at,
        }
    }
}
