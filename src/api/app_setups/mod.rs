//! App setups and blueprints, as the section App Setup documents them.

mod schema;

use std::time::Duration;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use self::schema::BlueprintBody;
use super::auth::Policy;
use super::extract::{AppPath, Json, LargeJson, Path};
use super::respond::Created;
use super::router::{Routes, routes};
use super::{ApiState, Error};
use crate::builds::source::SourceError;
use crate::model::RuleError;
use crate::model::app_setup::{FailureKind, StepFailure};
use crate::model::blueprint::Blueprint;
use crate::model::build::{BuildSource, BuildStatus};
use crate::model::ids::BuildId;
use crate::model::principal::Principal;
use crate::model::time::Timestamp;
use crate::service;
use crate::service::app_setups::{self, NewSetup, Seen, SetupTools};

pub(super) fn router() -> Routes {
    Routes::new("app_setups")
        .route(Policy::User, routes!(create))
        .route(Policy::User, routes!(view))
        .route(Policy::User, routes!(view_blueprint))
}

/// An app being made of a blueprint.
#[derive(Serialize, ToSchema)]
struct AppSetupView {
    id: Uuid,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    app: SetupAppView,
    build: SetupBuildView,
    /// 0 to 1: the share of the steps that are done.
    progress: f64,
    /// `pending`, `succeeded`, or `failed` when a step failed; the others were done all the same.
    status: &'static str,
    /// The step that is next; `""` when nothing is.
    status_message: String,
    /// Each step that failed, with the status that it would have had as a request.
    failure_message: String,
    /// What is wrong with the `app.json` of the source.
    manifest_errors: Vec<String>,
    /// The script of `app.json` that ran after the first release; its output is in the log of the app.
    postdeploy: Option<PostdeployView>,
    /// Where to go when it has succeeded, as `app.json` says.
    resolved_success_url: Option<String>,
}

/// The app of a setup.
#[derive(Serialize, ToSchema)]
struct SetupAppView {
    id: Uuid,
    /// The short name in both dialects (`behaviour.md` §36.11).
    name: String,
}

/// The build of a setup.
#[derive(Serialize, ToSchema)]
struct SetupBuildView {
    /// `null` before there is one.
    id: Option<Uuid>,
    /// `queued`, `pending`, `succeeded` or `failed`.
    status: &'static str,
    output_stream_url: Option<String>,
    /// Its log so far.
    lines: Vec<String>,
}

/// How a script ended.
#[derive(Serialize, ToSchema)]
struct PostdeployView {
    /// `null` while it runs.
    exit_code: Option<i64>,
    output: &'static str,
}

#[derive(Deserialize)]
struct SetupPath {
    setup: String,
}

/// Create an app of a blueprint.
///
/// The app is there at once; config vars, formations, log drains, couplings, features, filters, routes and the build
/// follow one after another.
#[utoipa::path(post, path = "/app-setups", operation_id = "create_app_setup",
    request_body = BlueprintBody, responses((status = 201, description = "The app is there, all else follows", body = AppSetupView)))]
async fn create(
    State(state): State<ApiState>,
    author: Principal,
    body: LargeJson<Blueprint>,
) -> Result<Created<AppSetupView>, Error> {
    let LargeJson { value: mut blueprint, permit } = body;
    let build = BuildId::new(state.ids.next());
    let url = std::mem::take(&mut blueprint.source_blob.url);
    let source = receive(&state, build, url).await?;
    // The source is on disk now; the next large body may come in.
    drop(permit);
    let new = NewSetup { blueprint, build, source };
    let created = app_setups::create(&state.store, &tools(&state), &author, new).await;
    if created.is_err() {
        const REMOVAL_LIMIT: Duration = Duration::from_secs(10);
        // What is left after a failure here is swept at the next start.
        let removal = tokio::time::timeout(REMOVAL_LIMIT, state.sources.remove(build)).await;
        tracing::debug!(?removal, %build, "the source of a refused setup was removed");
    }
    Ok(Created(AppSetupView::new(created?, Vec::new())))
}

/// View an app setup.
#[utoipa::path(get, path = "/app-setups/{setup}", operation_id = "view_app_setup",
    params(("setup" = String, Path, description = "Id")),
    responses((status = 200, description = "How far it is", body = AppSetupView)))]
async fn view(
    State(state): State<ApiState>,
    principal: Principal,
    Path(path): Path<SetupPath>,
) -> Result<Json<AppSetupView>, Error> {
    let sealer = state.sealer.clone();
    let query = move |c: &_| app_setups::view(c, &sealer, &principal.reach, &path.setup);
    let seen = state.store.read(query).await?;
    let lines = match &seen.build {
        Some(build) => state.build_logs.read(build.id).await.map_err(service::Error::internal)?,
        None => Vec::new(),
    };
    Ok(Json(AppSetupView::new(seen, lines)))
}

/// View the blueprint of an app.
///
/// Sent back with another name it makes an equal app.
#[utoipa::path(get, path = "/apps/{app}/app-setups", operation_id = "view_blueprint",
    responses((status = 200, description = "What `POST /app-setups` takes", body = BlueprintBody)))]
async fn view_blueprint(
    State(state): State<ApiState>,
    AppPath(app): AppPath,
) -> Result<Json<Blueprint>, Error> {
    let (sealer, catalogue) = (state.sealer.clone(), state.catalogue.load_full());
    let query = move |c: &_| app_setups::blueprint_of(c, &sealer, &catalogue, &app);
    Ok(Json(state.store.read(query).await?))
}

/// The source, or what is wrong with it.
async fn receive(
    state: &ApiState,
    build: BuildId,
    url: String,
) -> Result<Result<BuildSource, RuleError>, Error> {
    if url.trim().is_empty() {
        return Ok(Err(RuleError::new(
            "The source_blob has no url; give a data: URI, an http(s):// address or docker://registry/repository:tag.",
        )));
    }
    match state.sources.receive(build, url).await {
        Ok(source) => Ok(Ok(source)),
        Err(SourceError::Rule(rule)) => Ok(Err(rule)),
        Err(SourceError::Io(error)) => Err(service::Error::internal(error).into()),
    }
}

fn tools(state: &ApiState) -> SetupTools {
    SetupTools {
        sealer: state.sealer.clone(),
        ids: state.ids.clone(),
        catalogue: std::sync::Arc::clone(&state.catalogue),
    }
}

impl AppSetupView {
    fn new(seen: Seen, lines: Vec<String>) -> Self {
        let (setup, app) = (seen.setup, seen.app);
        let build = seen.build.as_ref();
        let url = build.map(|build| format!("/apps/{}/builds/{}/result", app.key(), build.id));
        Self {
            id: setup.id.uuid(),
            created_at: setup.created_at,
            updated_at: setup.updated_at,
            app: SetupAppView { id: app.id.uuid(), name: app.name.to_string() },
            build: SetupBuildView {
                id: build.map(|build| build.id.uuid()),
                status: build.map_or(BuildStatus::Queued, |build| build.state.status()).as_str(),
                output_stream_url: url,
                lines,
            },
            progress: setup.progress.share(),
            status: setup.status.as_str(),
            status_message: setup.step,
            failure_message: setup.failures.iter().map(failure).collect::<Vec<_>>().join(", "),
            manifest_errors: setup.manifest_errors,
            postdeploy: setup
                .postdeploy
                .is_some()
                .then_some(PostdeployView { exit_code: seen.exit_code, output: "" }),
            resolved_success_url: setup.success_url,
        }
    }
}

/// As `behaviour.md` §4 writes it.
fn failure(failure: &StepFailure) -> String {
    let status = match failure.kind {
        FailureKind::BadRequest => http::StatusCode::BAD_REQUEST,
        FailureKind::Forbidden => http::StatusCode::FORBIDDEN,
        FailureKind::NotFound => http::StatusCode::NOT_FOUND,
        FailureKind::Conflict => http::StatusCode::CONFLICT,
        FailureKind::Invalid => http::StatusCode::UNPROCESSABLE_ENTITY,
        FailureKind::Fault => http::StatusCode::INTERNAL_SERVER_ERROR,
    };
    format!("{} failed [{} {}]", failure.step, status.as_u16(), failure.reason)
}
