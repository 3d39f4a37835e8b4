//! The app object (`behaviour.md` §3): one shape for both dialects, all but its `name`.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::request::Parts;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::api::ApiState;
use crate::api::place::PlaceView;
use crate::config::Dialect;
use crate::model::app::App;
use crate::model::build::ImageId;
use crate::model::formation::Formation;
use crate::model::ids::deterministic;
use crate::model::time::Timestamp;

/// Makes app objects for one request.
pub(super) struct AppViewer {
    state: ApiState,
    dialect: Dialect,
}

/// What runs of an app.
#[derive(Debug, Default)]
pub(super) struct Running {
    pub(super) formations: Vec<Formation>,
    /// Of the current release.
    pub(super) image: Option<ImageId>,
}

/// An app.
#[derive(Serialize, ToSchema)]
pub(super) struct AppView {
    id: Uuid,
    /// The short name, or the key in the dialect `reference`.
    name: String,
    simple_name: String,
    /// Name and space: the app's unique name.
    key: String,
    description: String,
    /// Separated by commas.
    labels: String,
    maintenance: bool,
    web_url: String,
    /// The image of the current release, `""` before the first.
    image: String,
    formation: Vec<AppFormationView>,
    organization: AppOrganizationView,
    owner: OwnerView,
    space: AppSpaceView,
    region: PlaceView,
    stack: PlaceView,
    build_stack: PlaceView,
    buildpack_provided_description: &'static str,
    git_url: &'static str,
    git_branch: &'static str,
    preview: Option<PreviewView>,
    repo_size: u64,
    slug_size: u64,
    #[schema(value_type = String, format = DateTime)]
    archived_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    /// `null` before the first release.
    #[schema(value_type = Option<String>, format = DateTime)]
    released_at: Option<Timestamp>,
}

/// An app that is no more.
#[derive(Serialize, ToSchema)]
pub(super) struct DeletedAppView {
    #[serde(flatten)]
    app: AppView,
    /// Always `successful`.
    result: &'static str,
}

/// The names and links of an app.
#[derive(Serialize, ToSchema)]
pub(super) struct SimpleAppView {
    id: Uuid,
    name: String,
    simple_name: String,
    key: String,
    web_url: String,
    organization: AppOrganizationView,
    space: AppSpaceView,
}

/// A formation inside an app.
#[derive(Serialize, ToSchema)]
struct AppFormationView {
    id: Uuid,
    #[serde(rename = "type")]
    process_type: String,
    quantity: u32,
    size: String,
}

/// The organization of an app.
#[derive(Serialize, ToSchema)]
struct AppOrganizationView {
    id: Uuid,
    name: String,
}

/// Who an app is accounted to: its organization.
#[derive(Serialize, ToSchema)]
struct OwnerView {
    id: Uuid,
    email: &'static str,
}

/// The space of an app.
#[derive(Serialize, ToSchema)]
struct AppSpaceView {
    id: Uuid,
    name: String,
    /// `compliance=socs,compliance=prod`, `""` without.
    compliance: String,
}

/// What an app is a preview of.
#[derive(Serialize, ToSchema)]
struct PreviewView {
    id: Uuid,
}

impl FromRequestParts<ApiState> for AppViewer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Infallible> {
        let dialect = Dialect::from_request_parts(parts, state).await?;
        Ok(Self { state: state.clone(), dialect })
    }
}

impl AppViewer {
    pub(super) fn full(&self, app: &App, running: Running) -> AppView {
        let catalogue = self.state.catalogue.load();
        let stack = PlaceView::stack(&catalogue, &app.space.stack);
        AppView {
            id: app.id.uuid(),
            name: self.dialect.app_name(app),
            simple_name: app.name.to_string(),
            key: app.key().to_string(),
            description: app.description.clone(),
            labels: app.labels.clone(),
            maintenance: app.maintenance,
            web_url: self.state.settings.web_url(app),
            image: running.image.map(|image| image.as_str().to_owned()).unwrap_or_default(),
            formation: running.formations.into_iter().map(AppFormationView::from).collect(),
            organization: AppOrganizationView::of(app),
            owner: OwnerView { id: deterministic(app.organization.name.as_str()), email: "" },
            space: AppSpaceView::of(app),
            region: PlaceView::region(&catalogue),
            build_stack: stack.clone(),
            stack,
            buildpack_provided_description: "default",
            git_url: "",
            git_branch: "",
            preview: None,
            repo_size: 0,
            slug_size: 0,
            archived_at: app.created_at,
            created_at: app.created_at,
            updated_at: app.updated_at,
            released_at: app.released_at,
        }
    }

    pub(super) fn simple(&self, app: &App) -> SimpleAppView {
        SimpleAppView {
            id: app.id.uuid(),
            name: self.dialect.app_name(app),
            simple_name: app.name.to_string(),
            key: app.key().to_string(),
            web_url: self.state.settings.web_url(app),
            organization: AppOrganizationView::of(app),
            space: AppSpaceView::of(app),
        }
    }

    pub(super) fn deleted(&self, app: &App, running: Running) -> DeletedAppView {
        DeletedAppView { app: self.full(app, running), result: "successful" }
    }
}

impl AppOrganizationView {
    fn of(app: &App) -> Self {
        Self { id: app.organization.id.uuid(), name: app.organization.name.to_string() }
    }
}

impl AppSpaceView {
    fn of(app: &App) -> Self {
        Self {
            id: app.space.id.uuid(),
            name: app.space.name.to_string(),
            compliance: app.space.compliance.to_app_text(),
        }
    }
}

impl From<Formation> for AppFormationView {
    fn from(formation: Formation) -> Self {
        Self {
            id: formation.id.uuid(),
            process_type: formation.process_type.to_string(),
            quantity: formation.quantity.get().into(),
            size: formation.size.to_string(),
        }
    }
}
