//! Log drains, as the section of that name documents them, with how they do beside it.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::auth::Policy;
use super::extract::{AppPath, Json, Path, parse_id};
use super::page::{Listed, Page, Paging, Property};
use super::respond::Created;
use super::router::{Routes, routes};
use super::{ApiState, Error, sites};
use crate::model::ids::LogDrainId;
use crate::model::log::LogOwner;
use crate::model::log_drain::LogDrain;
use crate::model::principal::Principal;
use crate::model::time::Timestamp;
use crate::service::log_drains;
use crate::store;

pub(super) fn router() -> Routes {
    Routes::new("log_drains")
        .route(Policy::User, routes!(create, list))
        .route(Policy::User, routes!(view, delete))
        .route(Policy::User, routes!(create_of_site, list_of_site))
        .route(Policy::User, routes!(view_of_site, delete_of_site))
}

/// A log drain of an app or a site to be made.
#[derive(Deserialize, ToSchema)]
struct CreateLogDrain {
    /// `syslog+tls://`, `syslog://` (TCP), `syslog+udp://`, `https://` or `http://`, with a host. Over TLS `?ca=` takes
    /// the certificates to trust there (PEM, percent-encoded or in base64, or the name of a file that the operator
    /// has put into `drain-cas`), and `?insecure=true` trusts anybody.
    #[serde(default)]
    #[schema(required)]
    url: String,
}

/// A log drain.
#[derive(Serialize, ToSchema)]
struct LogDrainView {
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    id: Uuid,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    /// By which a receiver of batches knows the drain: the header `Logplex-Drain-Token`.
    token: String,
    /// With its passwords redacted.
    url: String,
    /// `connecting`, `connected`, or `failing`: then it is tried again with growing pauses.
    state: &'static str,
    /// What is wrong; `""` when nothing is.
    state_description: String,
    /// Lines that did not get there, or are not known to have got there, since the drain was made.
    dropped: u64,
}

#[derive(Deserialize)]
struct LogDrainPath {
    drain: String,
}

#[derive(Deserialize)]
struct SitePath {
    site: String,
}

/// Create a log drain.
///
/// It gets each line of the app from now on: of dynos, builds, the router and the platform.
#[utoipa::path(post, path = "/apps/{app}/log-drains", operation_id = "create_log_drain",
    request_body = CreateLogDrain, responses((status = 201, description = "Created", body = LogDrainView)))]
async fn create(
    State(state): State<ApiState>,
    author: Principal,
    AppPath(app): AppPath,
    Json(body): Json<CreateLogDrain>,
) -> Result<Created<LogDrainView>, Error> {
    made(&state, &author, app.id.into(), body).await
}

/// List the log drains of an app.
#[utoipa::path(get, path = "/apps/{app}/log-drains", operation_id = "list_log_drains",
    responses((status = 200, description = "All, oldest first", body = Vec<LogDrainView>)))]
async fn list(
    State(state): State<ApiState>,
    AppPath(app): AppPath,
    paging: Paging,
) -> Result<Page<LogDrainView>, Error> {
    listed(&state, app.id.into(), paging).await
}

/// View a log drain.
#[utoipa::path(get, path = "/apps/{app}/log-drains/{drain}", operation_id = "view_log_drain",
    params(("drain" = String, Path, description = "Id")),
    responses((status = 200, description = "The log drain", body = LogDrainView)))]
async fn view(
    State(state): State<ApiState>,
    AppPath(app): AppPath,
    Path(path): Path<LogDrainPath>,
) -> Result<Json<LogDrainView>, Error> {
    found(&state, app.id.into(), path.id()?).await
}

/// Delete a log drain.
#[utoipa::path(delete, path = "/apps/{app}/log-drains/{drain}", operation_id = "delete_log_drain",
    params(("drain" = String, Path, description = "Id")),
    responses((status = 200, description = "The log drain that was", body = LogDrainView)))]
async fn delete(
    State(state): State<ApiState>,
    author: Principal,
    AppPath(app): AppPath,
    Path(path): Path<LogDrainPath>,
) -> Result<Json<LogDrainView>, Error> {
    removed(&state, &author, (app.id.into(), path.id()?)).await
}

/// Create a log drain of a site.
///
/// It gets the router lines of each request to the site from now on, whatever app answers it.
#[utoipa::path(post, path = "/sites/{site}/log-drains", operation_id = "create_site_log_drain",
    params(("site" = String, Path, description = "Domain or id")),
    request_body = CreateLogDrain, responses((status = 201, description = "Created", body = LogDrainView)))]
async fn create_of_site(
    State(state): State<ApiState>,
    author: Principal,
    Path(path): Path<SitePath>,
    Json(body): Json<CreateLogDrain>,
) -> Result<Created<LogDrainView>, Error> {
    let site = sites::find(&state, &author, &path.site)?;
    made(&state, &author, site.id.into(), body).await
}

/// List the log drains of a site.
#[utoipa::path(get, path = "/sites/{site}/log-drains", operation_id = "list_site_log_drains",
    params(("site" = String, Path, description = "Domain or id")),
    responses((status = 200, description = "All, oldest first", body = Vec<LogDrainView>)))]
async fn list_of_site(
    State(state): State<ApiState>,
    principal: Principal,
    Path(path): Path<SitePath>,
    paging: Paging,
) -> Result<Page<LogDrainView>, Error> {
    let site = sites::find(&state, &principal, &path.site)?;
    listed(&state, site.id.into(), paging).await
}

/// View a log drain of a site.
#[utoipa::path(get, path = "/sites/{site}/log-drains/{drain}", operation_id = "view_site_log_drain",
    params(("site" = String, Path, description = "Domain or id"), ("drain" = String, Path, description = "Id")),
    responses((status = 200, description = "The log drain", body = LogDrainView)))]
async fn view_of_site(
    State(state): State<ApiState>,
    principal: Principal,
    Path(path): Path<SitePath>,
    Path(drain): Path<LogDrainPath>,
) -> Result<Json<LogDrainView>, Error> {
    let site = sites::find(&state, &principal, &path.site)?;
    found(&state, site.id.into(), drain.id()?).await
}

/// Delete a log drain of a site.
#[utoipa::path(delete, path = "/sites/{site}/log-drains/{drain}", operation_id = "delete_site_log_drain",
    params(("site" = String, Path, description = "Domain or id"), ("drain" = String, Path, description = "Id")),
    responses((status = 200, description = "The log drain that was", body = LogDrainView)))]
async fn delete_of_site(
    State(state): State<ApiState>,
    author: Principal,
    Path(path): Path<SitePath>,
    Path(drain): Path<LogDrainPath>,
) -> Result<Json<LogDrainView>, Error> {
    let site = sites::find(&state, &author, &path.site)?;
    removed(&state, &author, (site.id.into(), drain.id()?)).await
}

async fn made(
    state: &ApiState,
    author: &Principal,
    owner: LogOwner,
    body: CreateLogDrain,
) -> Result<Created<LogDrainView>, Error> {
    let made_of = (&state.sealer, &state.ids);
    Ok(Created(log_drains::create(&state.store, made_of, author, owner, &body.url).await?.into()))
}

async fn listed(state: &ApiState, owner: LogOwner, paging: Paging) -> Result<Page<LogDrainView>, Error> {
    let sealer = state.sealer.clone();
    let all = state.store.read(move |c| store::log_drains::list(c, &sealer, owner)).await?;
    paging.page(all.into_iter().map(LogDrainView::from).collect())
}

async fn found(state: &ApiState, owner: LogOwner, id: LogDrainId) -> Result<Json<LogDrainView>, Error> {
    let sealer = state.sealer.clone();
    Ok(Json(state.store.read(move |c| log_drains::resolve(c, &sealer, owner, id)).await?.into()))
}

async fn removed(
    state: &ApiState,
    author: &Principal,
    which: (LogOwner, LogDrainId),
) -> Result<Json<LogDrainView>, Error> {
    Ok(Json(log_drains::delete(&state.store, &state.sealer, author, which).await?.into()))
}

impl Listed for LogDrainView {
    const PROPERTIES: &'static [Property<Self>] =
        &[Property::Time("created_at", |item| item.created_at), Property::Id(|item| item.id)];
}

impl LogDrainPath {
    fn id(&self) -> Result<LogDrainId, Error> {
        Ok(parse_id("log drain", &self.drain)?)
    }
}

impl From<LogDrain> for LogDrainView {
    fn from(drain: LogDrain) -> Self {
        Self {
            created_at: drain.created_at,
            id: drain.id.uuid(),
            updated_at: drain.updated_at,
            token: drain.token.reveal().to_owned(),
            url: drain.url.shown(),
            state: drain.progress.state.as_str(),
            state_description: drain.progress.description,
            dropped: drain.progress.dropped,
        }
    }
}
