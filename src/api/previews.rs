//! Previews of an app, as "List App Previews" documents them (`behaviour.md` §28).

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::auth::Policy;
use super::extract::{AppPath, Json, Path};
use super::page::{Listed, Page, Paging, Property};
use super::router::{Routes, routes};
use super::{ApiState, Error};
use crate::model::names::AppKey;
use crate::model::pipeline::AppReference;
use crate::model::preview::Preview;
use crate::model::time::Timestamp;
use crate::service::previews;
use crate::store;

pub(super) fn router() -> Routes {
    Routes::new("previews").route(Policy::User, routes!(list)).route(Policy::User, routes!(view))
}

/// An app made for a pull request of another.
#[derive(Serialize, ToSchema)]
struct PreviewView {
    id: Uuid,
    app: PreviewAppView,
    source: PreviewSourceView,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When the pull request was heard of last; a preview goes some days after that.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

/// An app, in a preview.
#[derive(Serialize, ToSchema)]
struct PreviewAppView {
    id: Uuid,
    /// Its key.
    name: String,
}

/// What a preview came from.
#[derive(Serialize, ToSchema)]
struct PreviewSourceView {
    app: PreviewAppView,
    #[serde(rename = "app-setup")]
    app_setup: PreviewSetupView,
    trigger: PreviewTriggerView,
}

/// The making of a preview's app.
#[derive(Serialize, ToSchema)]
struct PreviewSetupView {
    id: Uuid,
}

/// What a preview was made for.
#[derive(Serialize, ToSchema)]
struct PreviewTriggerView {
    /// `github-pull-request`, `gitlab-pull-request` or `gitea-pull-request`.
    r#type: String,
    /// The branch that is to be merged.
    id: String,
    /// The number of the pull request.
    number: u64,
}

#[derive(Deserialize)]
struct PreviewPath {
    preview: String,
}

/// List the previews of an app.
#[utoipa::path(get, path = "/apps/{app}/previews", operation_id = "list_previews",
    responses((status = 200, description = "All, oldest first", body = Vec<PreviewView>)))]
async fn list(
    State(state): State<ApiState>,
    AppPath(app): AppPath,
    paging: Paging,
) -> Result<Page<PreviewView>, Error> {
    let all = state.store.read(move |c| store::previews::list_by_source(c, app.id)).await?;
    paging.page(all.into_iter().map(PreviewView::from).collect())
}

/// View a preview of an app.
#[utoipa::path(get, path = "/apps/{app}/previews/{preview}", operation_id = "view_preview",
    params(("preview" = String, Path, description = "Id")),
    responses((status = 200, description = "The preview", body = PreviewView)))]
async fn view(
    State(state): State<ApiState>,
    AppPath(app): AppPath,
    Path(path): Path<PreviewPath>,
) -> Result<Json<PreviewView>, Error> {
    Ok(Json(state.store.look_up(|c| previews::resolve(c, app.id, &path.preview))?.into()))
}

impl Listed for PreviewView {
    const PROPERTIES: &'static [Property<Self>] = &[
        Property::Time("created_at", |item| item.created_at),
        Property::Time("updated_at", |item| item.updated_at),
        Property::Id(|item| item.id),
    ];
}

impl From<Preview> for PreviewView {
    fn from(preview: Preview) -> Self {
        Self {
            id: preview.id.uuid(),
            app: preview.app.into(),
            source: PreviewSourceView {
                app: preview.source.into(),
                app_setup: PreviewSetupView { id: preview.setup.uuid() },
                trigger: PreviewTriggerView {
                    r#type: preview.trigger.to_string(),
                    id: preview.branch.to_string(),
                    number: preview.number,
                },
            },
            created_at: preview.created_at,
            updated_at: preview.updated_at,
        }
    }
}

impl From<AppReference> for PreviewAppView {
    fn from(app: AppReference) -> Self {
        Self { id: app.id.uuid(), name: AppKey::of(&app.name, &app.space).to_string() }
    }
}
