//! Auto builds, as the section "Source Control Hooks" documents them.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, header};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::auth::Policy;
use super::extract::{AppPath, Json, Path, SignedBody};
use super::origin::Origin;
use super::respond::{Created, ResetContent};
use super::router::{Routes, routes};
use super::{ApiState, Error};
use crate::model::app::App;
use crate::model::auto_build::{AutoBuild, AutoBuildRun, RunState, SourceProvider};
use crate::model::principal::Principal;
use crate::model::rule::shown;
use crate::model::time::Timestamp;
use crate::service::{self, auto_builds};
use crate::source_control::{Delivered, NewAutoBuild, Received};
use crate::store;

pub(super) fn router() -> Routes {
    Routes::new("auto_builds")
        .route(Policy::User, routes!(create, view))
        .route(Policy::User, routes!(delete))
        .alias(Policy::User, "/apps/{app}/builds/auto/{provider}", get(view))
        .route(Policy::User, routes!(create_run))
        .route(Policy::Public, routes!(create_event))
}

/// An auto build to be made in the place of the one that the app has.
#[derive(Deserialize, ToSchema)]
struct CreateAutoBuild {
    /// Such as `https://github.com/org/name`, at one of the servers that the operator knows.
    #[serde(default)]
    #[schema(required)]
    repo: String,
    #[serde(default)]
    #[schema(required)]
    branch: String,
    /// Builds wait until the status checks of the commit have passed. Default `false`.
    #[serde(default, alias = "statusCheck", deserialize_with = "flag")]
    status_check: Option<bool>,
    /// Successful builds are released. Default `true`.
    #[serde(default, alias = "autoDeploy", deserialize_with = "flag")]
    auto_deploy: Option<bool>,
    /// Whose token it is. Without it and without the token the daemon's own account at the server is used.
    username: Option<String>,
    /// Opens the repository and its webhooks. It is kept sealed and never shown.
    token: Option<String>,
}

/// That it was done.
#[derive(Serialize, ToSchema)]
struct DoneView {
    /// Always `successful`.
    status: &'static str,
}

/// What an app is built from by itself.
#[derive(Serialize, ToSchema)]
struct AutoBuildView {
    id: Uuid,
    app: AutoBuildPlaceView,
    organization: AutoBuildPlaceView,
    space: AutoBuildPlaceView,
    repo: String,
    branch: String,
    /// Where the repository's server is.
    site: String,
    /// `github`, `gitlab` or `gitea`.
    provider: &'static str,
    status_check: bool,
    auto_deploy: bool,
    username: String,
    /// What became of the newest commit; `null` before the first.
    latest: Option<AutoBuildRunView>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

#[derive(Serialize, ToSchema)]
struct AutoBuildPlaceView {
    id: Uuid,
    name: String,
}

/// One commit on its way to a build.
#[derive(Serialize, ToSchema)]
struct AutoBuildRunView {
    id: Uuid,
    sha: String,
    branch: String,
    /// `created`, `push`, `manual` or `release_candidate`.
    trigger: &'static str,
    /// `waiting`, `built`, `failed` or `superseded`.
    status: &'static str,
    /// Why there is no build, `""` otherwise.
    failure_message: String,
    build: Option<AutoBuildBuildView>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

#[derive(Serialize, ToSchema)]
struct AutoBuildBuildView {
    id: Uuid,
}

/// What a provider reads of an event that has consequences.
#[derive(Serialize, ToSchema)]
struct EventView {
    code: u16,
    message: String,
}

#[derive(Deserialize)]
struct ProviderPath {
    provider: Option<String>,
}

#[derive(Deserialize)]
struct CallbackPath {
    app: String,
    provider: String,
}

/// Create an app's auto build.
///
/// Registers a webhook at the provider, and builds the tip of the branch. An app has one auto build: the old one goes.
#[utoipa::path(post, path = "/apps/{app}/builds/auto", operation_id = "create_auto_build",
    request_body = CreateAutoBuild, responses((status = 201, description = "Created", body = DoneView)))]
async fn create(
    State(state): State<ApiState>,
    author: Principal,
    AppPath(app): AppPath,
    Origin(origin): Origin,
    Json(body): Json<CreateAutoBuild>,
) -> Result<Created<DoneView>, Error> {
    let named = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    let new = NewAutoBuild {
        repo: body.repo,
        branch: body.branch,
        username: named(body.username),
        token: named(body.token),
        status_check: body.status_check.unwrap_or(false),
        auto_deploy: body.auto_deploy.unwrap_or(true),
    };
    state.source_control.connect(&author, (&app, &origin), new).await?;
    Ok(Created(DoneView::SUCCESSFUL))
}

/// View an app's auto build.
///
/// It is also at `/apps/{app}/builds/auto/github`, whatever its provider is: that is where `aka` looks.
#[utoipa::path(get, path = "/apps/{app}/builds/auto", operation_id = "view_auto_build",
    responses((status = 200, description = "The auto build", body = AutoBuildView)))]
async fn view(
    State(state): State<ApiState>,
    AppPath(app): AppPath,
    Path(path): Path<ProviderPath>,
) -> Result<Json<AutoBuildView>, Error> {
    let id = app.id;
    let latest = state.store.read(move |c| store::auto_build_runs::newest(c, id)).await?;
    let one = find(&state, &app, path.provider.as_deref()).await?;
    Ok(Json(AutoBuildView::new(&app, one, latest)))
}

/// Remove an app's auto build, and its webhook at the provider.
#[utoipa::path(delete, path = "/apps/{app}/builds/auto/{provider}", operation_id = "delete_auto_build",
    params(("provider" = String, Path, description = "`github`, `gitlab` or `gitea`; `github` means any")),
    responses((status = 200, description = "Removed", body = DoneView)))]
async fn delete(
    State(state): State<ApiState>,
    author: Principal,
    AppPath(app): AppPath,
    Path(path): Path<ProviderPath>,
) -> Result<Json<DoneView>, Error> {
    find(&state, &app, path.provider.as_deref()).await?;
    state.source_control.disconnect(&author, &app).await?;
    Ok(Json(DoneView::SUCCESSFUL))
}

/// Build the tip of the branch that an app follows.
#[utoipa::path(post, path = "/apps/{app}/builds/auto/{provider}/trigger", operation_id = "create_auto_build_run",
    params(("provider" = String, Path, description = "`github`, `gitlab` or `gitea`; `github` means any")),
    responses((status = 201, description = "It is going to be built", body = DoneView)))]
async fn create_run(
    State(state): State<ApiState>,
    author: Principal,
    AppPath(app): AppPath,
    Path(path): Path<ProviderPath>,
) -> Result<Created<DoneView>, Error> {
    find(&state, &app, path.provider.as_deref()).await?;
    state.source_control.trigger(&author, &app).await?;
    Ok(Created(DoneView::SUCCESSFUL))
}

/// Take an event of a provider.
///
/// Only for webhooks: the signature stands in the place of a token. A ping is answered with 200 and `pong.`, what has
/// no consequences with 205.
#[utoipa::path(post, path = "/apps/{app}/builds/auto/{provider}", operation_id = "create_auto_build_event",
    params(("provider" = String, Path, description = "`github`, `gitlab` or `gitea`")),
    responses((status = 201, description = "Taken; what follows begins in a moment", body = EventView)))]
async fn create_event(
    State(state): State<ApiState>,
    Path(path): Path<CallbackPath>,
    signed: SignedBody,
) -> Result<Response, Error> {
    let SignedBody { headers, body, permit } = signed;
    let delivered = Delivered { app: path.app, provider: path.provider, headers, body };
    let received = state.source_control.receive(delivered).await;
    drop(permit);
    Ok(match received? {
        Received::Pong => ([(header::CONTENT_TYPE, "text/plain")], "pong.").into_response(),
        Received::Nothing => ResetContent.into_response(),
        Received::Accepted(message) => {
            Created(EventView { code: StatusCode::CREATED.as_u16(), message }).into_response()
        }
    })
}

/// The auto build of an app, as a path with that provider means it.
async fn find(state: &ApiState, app: &App, provider: Option<&str>) -> Result<AutoBuild, Error> {
    let (sealer, found) = (state.sealer.clone(), app.clone());
    let one = state.store.read(move |c| auto_builds::find(c, &sealer, &found)).await?;
    match provider {
        Some(word) if word != SourceProvider::GitHub.as_str() && word != one.provider.as_str() => {
            let text = format!("The app {} has no auto build of {}.", app.key(), shown(word));
            Err(service::Error::NotFound(text).into())
        }
        Some(_) | None => Ok(one),
    }
}

/// A boolean or its text (`behaviour.md` §12).
fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "true or false")]
    enum Flag {
        Boolean(bool),
        Text(String),
    }
    match Option::<Flag>::deserialize(deserializer)? {
        None => Ok(None),
        Some(Flag::Boolean(value)) => Ok(Some(value)),
        Some(Flag::Text(text)) => match text.as_str() {
            "true" => Ok(Some(true)),
            "false" => Ok(Some(false)),
            _ => Err(serde::de::Error::custom("it is neither true nor false")),
        },
    }
}

impl DoneView {
    const SUCCESSFUL: Self = Self { status: "successful" };
}

impl AutoBuildView {
    fn new(app: &App, one: AutoBuild, latest: Option<AutoBuildRun>) -> Self {
        let repo = one.repo.as_str();
        let end = repo.find("://").map_or(0, |at| at + 3);
        let site = repo.get(end..).and_then(|rest| rest.split('/').next()).map(str::len);
        Self {
            id: one.id.uuid(),
            app: AutoBuildPlaceView { id: app.id.uuid(), name: app.key().to_string() },
            organization: AutoBuildPlaceView {
                id: app.organization.id.uuid(),
                name: app.organization.name.to_string(),
            },
            space: AutoBuildPlaceView { id: app.space.id.uuid(), name: app.space.name.to_string() },
            site: repo.get(..end + site.unwrap_or(0)).unwrap_or(repo).to_owned(),
            repo: one.repo.to_string(),
            branch: one.branch.to_string(),
            provider: one.provider.as_str(),
            status_check: one.status_check,
            auto_deploy: one.auto_deploy,
            username: one.username,
            latest: latest.filter(|run| run.auto_build == one.id).map(AutoBuildRunView::from),
            created_at: one.created_at,
            updated_at: one.updated_at,
        }
    }
}

impl From<AutoBuildRun> for AutoBuildRunView {
    fn from(run: AutoBuildRun) -> Self {
        let (status, failure_message, build) = match run.state {
            RunState::Waiting { .. } => ("waiting", String::new(), None),
            RunState::Built(build) => ("built", String::new(), Some(AutoBuildBuildView { id: build.uuid() })),
            RunState::Failed(reason) => ("failed", reason, None),
            RunState::Superseded => ("superseded", String::new(), None),
        };
        Self {
            id: run.id.uuid(),
            sha: run.sha,
            branch: run.branch.to_string(),
            trigger: run.trigger.as_str(),
            status,
            failure_message,
            build,
            created_at: run.created_at,
            updated_at: run.updated_at,
        }
    }
}
