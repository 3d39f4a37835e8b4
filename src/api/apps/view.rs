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
use crate::model::repository_url::{BranchName, RepositoryUrl};
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
    /// What it is built from by itself.
    pub(super) followed: Option<(RepositoryUrl, BranchName)>,
}

/// An app.
#[derive(Serialize, ToSchema)]
pub(super) struct AppView<'a> {
    id: Uuid,
    /// The short name, or the key in the dialect `reference`.
    name: String,
    simple_name: &'a str,
    /// Name and space: the app's unique name.
    key: String,
    description: &'a str,
    /// Separated by commas.
    labels: &'a str,
    maintenance: bool,
    web_url: String,
    /// The image of the current release, `""` before the first.
    image: &'a str,
    formation: Vec<AppFormationView<'a>>,
    organization: AppOrganizationView<'a>,
    owner: OwnerView,
    space: AppSpaceView<'a>,
    region: PlaceView,
    stack: PlaceView,
    build_stack: PlaceView,
    buildpack_provided_description: &'static str,
    /// Of the auto build, `""` without one.
    git_url: &'a str,
    git_branch: &'a str,
    preview: Option<AppPreviewView>,
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
pub(super) struct DeletedAppView<'a> {
    #[serde(flatten)]
    app: AppView<'a>,
    /// Always `successful`.
    result: &'static str,
}

/// The names and links of an app.
#[derive(Serialize, ToSchema)]
pub(super) struct SimpleAppView<'a> {
    id: Uuid,
    name: String,
    simple_name: &'a str,
    key: String,
    web_url: String,
    organization: AppOrganizationView<'a>,
    space: AppSpaceView<'a>,
}

/// A formation inside an app.
#[derive(Serialize, ToSchema)]
struct AppFormationView<'a> {
    id: Uuid,
    #[serde(rename = "type")]
    process_type: &'a str,
    quantity: u32,
    size: &'a str,
}

/// The organization of an app.
#[derive(Serialize, ToSchema)]
struct AppOrganizationView<'a> {
    id: Uuid,
    name: &'a str,
}

/// Who an app is accounted to: its organization.
#[derive(Serialize, ToSchema)]
struct OwnerView {
    id: Uuid,
    email: &'static str,
}

/// The space of an app.
#[derive(Serialize, ToSchema)]
struct AppSpaceView<'a> {
    id: Uuid,
    name: &'a str,
    /// `compliance=socs,compliance=prod`, `""` without.
    compliance: String,
}

/// What an app is a preview of.
#[derive(Serialize, ToSchema)]
struct AppPreviewView {
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
    pub(super) fn full<'a>(&self, app: &'a App, running: &'a Running) -> AppView<'a> {
        let catalogue = self.state.catalogue.load();
        let stack = PlaceView::stack(&catalogue, &app.space.stack);
        AppView {
            id: app.id.uuid(),
            name: self.dialect.app_name(app),
            simple_name: app.name.as_str(),
            key: app.key().to_string(),
            description: &app.description,
            labels: &app.labels,
            maintenance: app.maintenance,
            web_url: self.state.settings.web_url(app),
            image: running.image.as_ref().map_or("", ImageId::as_str),
            formation: running.formations.iter().map(AppFormationView::from).collect(),
            organization: AppOrganizationView::of(app),
            owner: OwnerView { id: deterministic(app.organization.name.as_str()), email: "" },
            space: AppSpaceView::of(app),
            region: PlaceView::region(&catalogue),
            build_stack: stack.clone(),
            stack,
            buildpack_provided_description: "default",
            git_url: running.followed.as_ref().map_or("", |(repo, _)| repo.as_str()),
            git_branch: running.followed.as_ref().map_or("", |(_, branch)| branch.as_str()),
            preview: app.preview.map(|preview| AppPreviewView { id: preview.uuid() }),
            repo_size: 0,
            slug_size: 0,
            archived_at: app.created_at,
            created_at: app.created_at,
            updated_at: app.updated_at,
            released_at: app.released_at,
        }
    }

    pub(super) fn simple<'a>(&self, app: &'a App) -> SimpleAppView<'a> {
        SimpleAppView {
            id: app.id.uuid(),
            name: self.dialect.app_name(app),
            simple_name: app.name.as_str(),
            key: app.key().to_string(),
            web_url: self.state.settings.web_url(app),
            organization: AppOrganizationView::of(app),
            space: AppSpaceView::of(app),
        }
    }

    pub(super) fn deleted<'a>(&self, app: &'a App, running: &'a Running) -> DeletedAppView<'a> {
        DeletedAppView { app: self.full(app, running), result: "successful" }
    }
}

impl<'a> AppOrganizationView<'a> {
    fn of(app: &'a App) -> Self {
        Self { id: app.organization.id.uuid(), name: app.organization.name.as_str() }
    }
}

impl<'a> AppSpaceView<'a> {
    fn of(app: &'a App) -> Self {
        Self {
            id: app.space.id.uuid(),
            name: app.space.name.as_str(),
            compliance: app.space.compliance.to_app_text(),
        }
    }
}

impl<'a> From<&'a Formation> for AppFormationView<'a> {
    fn from(formation: &'a Formation) -> Self {
        Self {
            id: formation.id.uuid(),
            process_type: formation.process_type.as_str(),
            quantity: formation.quantity.get().into(),
            size: formation.size.as_str(),
        }
    }
}
