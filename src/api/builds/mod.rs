//! Builds and slugs, as the section Builds documents them.

mod view;

use std::time::Duration;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use self::view::{BuildView, BuildViewer};
use super::auth::Policy;
use super::extract::{AppPath, Json, LargeJson, Path, parse_id};
use super::page::{Listed, Page, Paging, Property};
use super::respond::{Created, ResetContent};
use super::router::{Routes, routes};
use super::{ApiState, Error};
use crate::builds::source::SourceError;
use crate::model::RuleError;
use crate::model::app::App;
use crate::model::build::{Build, Commit};
use crate::model::ids::BuildId;
use crate::model::principal::Principal;
use crate::service::builds::{self, NewBuild};
use crate::{service, store};

pub(super) fn router() -> Routes {
    Routes::new("builds")
        .route(Policy::User, routes!(create, list))
        .route(Policy::User, routes!(view, delete, rebuild))
        .route(Policy::User, routes!(view_result))
        .route(Policy::User, routes!(view_slug))
}

/// A build to be made.
#[derive(Deserialize, ToSchema)]
struct CreateBuild {
    /// `data:`, `http(s)://` or `docker://registry/repository:tag`.
    #[serde(default)]
    #[schema(required)]
    url: String,
    /// `sha256:` and the digest of the decoded content; verified when it has that form.
    checksum: Option<String>,
    repo: Option<String>,
    sha: Option<String>,
    branch: Option<String>,
    version: Option<String>,
    message: Option<String>,
    author: Option<String>,
}

/// The log of a build, so far.
#[derive(Serialize, ToSchema)]
struct BuildResultView {
    build: BuildResultBuildView,
    /// The last line of a finished build is `Finished: SUCCESS` or `Finished: FAILURE`.
    lines: Vec<String>,
}

#[derive(Serialize, ToSchema)]
struct BuildResultBuildView {
    id: uuid::Uuid,
    status: &'static str,
    output_stream_url: String,
}

#[derive(Deserialize)]
struct BuildPath {
    build: String,
}

#[derive(Deserialize)]
struct SlugPath {
    slug: String,
}

/// Create a build.
#[utoipa::path(post, path = "/apps/{app}/builds", operation_id = "create_build",
    request_body = CreateBuild, responses((status = 201, description = "Created, queued", body = BuildView)))]
async fn create(
    State(state): State<ApiState>,
    author: Principal,
    AppPath(app): AppPath,
    body: LargeJson<CreateBuild>,
) -> Result<Created<BuildView>, Error> {
    builds::may_build(&author, &app)?;
    let LargeJson { value: body, permit } = body;
    if body.url.trim().is_empty() {
        let text = "The url is missing; give a data: URI, an http(s):// address or docker://registry/repository:tag.";
        return Err(service::Error::from(RuleError::new(text)).into());
    }
    let id = BuildId::new(state.ids.next());
    let source = state.sources.receive(id, body.url).await.map_err(refused)?;
    // The source is on disk now; the next large body may come in.
    drop(permit);
    let text = Option::unwrap_or_default;
    let commit = Commit {
        repo: text(body.repo),
        sha: text(body.sha),
        branch: text(body.branch),
        version: text(body.version),
        message: text(body.message),
        author: text(body.author),
    };
    let new = NewBuild { id, source, checksum: text(body.checksum), commit };
    let created = builds::create(&state.store, &state.sealer, &author, &app, new).await;
    let build = keep_source_of(&state, id, created).await?;
    Ok(Created(BuildViewer::new(&app, &[]).view(&build)))
}

/// List an app's builds.
#[utoipa::path(get, path = "/apps/{app}/builds", operation_id = "list_builds",
    responses((status = 200, description = "All, oldest first", body = Vec<BuildView>)))]
async fn list(
    State(state): State<ApiState>,
    paging: Paging,
    AppPath(app): AppPath,
) -> Result<Page<BuildView>, Error> {
    let (id, sealer) = (app.id, state.sealer.clone());
    let query = move |c: &store::Connection| {
        Ok::<_, store::StoreError>((store::builds::list(c, &sealer, id)?, store::releases::list(c, id)?))
    };
    let (all, releases) = state.store.read(query).await?;
    let viewer = BuildViewer::new(&app, &releases);
    Ok(paging.page(all)?.map(|build| viewer.view(&build)))
}

/// View a build.
#[utoipa::path(get, path = "/apps/{app}/builds/{build}", operation_id = "view_build",
    params(("build" = String, Path, description = "Id")), responses((status = 200, description = "The build", body = BuildView)))]
async fn view(
    State(state): State<ApiState>,
    AppPath(app): AppPath,
    Path(path): Path<BuildPath>,
) -> Result<Json<BuildView>, Error> {
    let build = find(&state, &app, &path.build).await?;
    show(&state, &app, &build).await.map(Json)
}

/// View a build's log.
#[utoipa::path(get, path = "/apps/{app}/builds/{build}/result", operation_id = "view_build_result",
    params(("build" = String, Path, description = "Id")), responses((status = 200, description = "The log so far", body = BuildResultView)))]
async fn view_result(
    State(state): State<ApiState>,
    AppPath(app): AppPath,
    Path(path): Path<BuildPath>,
) -> Result<Json<BuildResultView>, Error> {
    let build = find(&state, &app, &path.build).await?;
    let lines = state.build_logs.read(build.id).await.map_err(service::Error::internal)?;
    let view = show(&state, &app, &build).await?;
    let build =
        BuildResultBuildView { id: view.id, status: view.status, output_stream_url: view.output_stream_url };
    Ok(Json(BuildResultView { build, lines }))
}

/// Stop a running build.
#[utoipa::path(delete, path = "/apps/{app}/builds/{build}", operation_id = "delete_build",
    params(("build" = String, Path, description = "Id")), responses((status = 205, description = "Stopped")))]
async fn delete(
    State(state): State<ApiState>,
    author: Principal,
    AppPath(app): AppPath,
    Path(path): Path<BuildPath>,
) -> Result<ResetContent, Error> {
    let id = parse_id("build", &path.build).map_err(service::Error::from)?;
    builds::stop(&state.store, &state.sealer, &author, app.id, id).await?;
    Ok(ResetContent)
}

/// Build the same source again.
#[utoipa::path(put, path = "/apps/{app}/builds/{build}", operation_id = "rebuild_build",
    params(("build" = String, Path, description = "Id")), responses((status = 201, description = "The new build, queued", body = BuildView)))]
async fn rebuild(
    State(state): State<ApiState>,
    author: Principal,
    AppPath(app): AppPath,
    Path(path): Path<BuildPath>,
) -> Result<Created<BuildView>, Error> {
    builds::may_build(&author, &app)?;
    let old = find(&state, &app, &path.build).await?;
    let id = BuildId::new(state.ids.next());
    let uploaded = matches!(old.source, crate::model::build::BuildSource::Upload);
    if uploaded && !state.sources.copy(old.id, id).await.map_err(service::Error::internal)? {
        let text =
            format!("The source of the build {} is no longer stored; create a build from scratch.", old.id);
        return Err(service::Error::from(RuleError::new(text)).into());
    }
    let created = builds::create_again(&state.store, &state.sealer, &author, &old, id).await;
    let build = keep_source_of(&state, id, created).await?;
    Ok(Created(BuildViewer::new(&app, &[]).view(&build)))
}

/// View a slug.
#[utoipa::path(get, path = "/slugs/{slug}", operation_id = "view_slug",
    params(("slug" = String, Path, description = "Id")), responses((status = 200, description = "The build that made it", body = BuildView)))]
async fn view_slug(
    State(state): State<ApiState>,
    principal: Principal,
    Path(path): Path<SlugPath>,
) -> Result<Json<BuildView>, Error> {
    let id: BuildId = parse_id("slug", &path.slug).map_err(service::Error::from)?;
    let sealer = state.sealer.clone();
    let query = move |c: &store::Connection| {
        let Some(build) = store::builds::find(c, &sealer, id)? else { return Ok(None) };
        Ok::<_, store::StoreError>(store::apps::find_any(c, build.app_id)?.map(|app| (app, build)))
    };
    let found = state.store.read(query).await?;
    let (app, build) =
        found.ok_or_else(|| service::Error::NotFound(format!("The slug {id} does not exist.")))?;
    let app = service::apps::check_reach(&principal.reach, app)?;
    show(&state, &app, &build).await.map(Json)
}

async fn find(state: &ApiState, app: &App, text: &str) -> Result<Build, Error> {
    let id: BuildId = parse_id("build", text).map_err(service::Error::from)?;
    let (app, sealer) = (app.id, state.sealer.clone());
    Ok(state.store.read(move |c| builds::find(c, &sealer, app, id)).await?)
}

async fn show(state: &ApiState, app: &App, build: &Build) -> Result<BuildView, Error> {
    let id = app.id;
    let releases = state.store.read(move |c| store::releases::list(c, id)).await?;
    Ok(BuildViewer::new(app, &releases).view(build))
}

/// A source whose build was refused is removed again.
async fn keep_source_of(
    state: &ApiState,
    id: BuildId,
    created: Result<Build, service::Error>,
) -> Result<Build, Error> {
    const REMOVAL_LIMIT: Duration = Duration::from_secs(10);
    if created.is_err() {
        // What is left after a failure here is swept at the next start.
        let removal = tokio::time::timeout(REMOVAL_LIMIT, state.sources.remove(id)).await;
        tracing::debug!(?removal, build = %id, "the source of a refused build was removed");
    }
    Ok(created?)
}

fn refused(error: SourceError) -> service::Error {
    match error {
        SourceError::Rule(rule) => rule.into(),
        SourceError::Io(error) => service::Error::internal(error),
    }
}

impl Listed for Build {
    const PROPERTIES: &'static [Property<Self>] = &[
        Property::Time("created_at", |build| build.created_at),
        Property::Time("updated_at", |build| build.updated_at),
        Property::Id(|build| build.id.uuid()),
    ];
}
