//! Webhooks, as the section of that name documents them.

use std::collections::BTreeMap;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::auth::Policy;
use super::extract::{AppPath, Json, Path, parse_id};
use super::page::{Listed, Page, Paging, Property};
use super::respond::Created;
use super::router::{Routes, routes};
use super::{ApiState, Error};
use crate::model::hook::{Hook, HookEvent};
use crate::model::hook_delivery::{Attempt, Delivery};
use crate::model::ids::HookId;
use crate::model::principal::Principal;
use crate::model::time::Timestamp;
use crate::service::hooks::{self, HookChange, NewHook};
use crate::store;

pub(super) fn router() -> Routes {
    Routes::new("hooks")
        .route(Policy::User, routes!(create, list))
        .route(Policy::User, routes!(view, update, delete))
        .route(Policy::User, routes!(list_results))
        .route(Policy::User, routes!(view_result))
        .route(Policy::User, routes!(list_events))
}

/// A hook to be made.
#[derive(Deserialize, ToSchema)]
struct CreateHook {
    /// Where events are posted to; an address of Slack, Microsoft Teams, Discord, `PagerDuty` or Opsgenie gets them
    /// in a form that it takes.
    #[serde(default)]
    #[schema(required)]
    url: String,
    /// At least one of those that `GET /docs/hooks` lists.
    #[serde(default)]
    #[schema(required)]
    events: Vec<String>,
    /// What deliveries are signed with, up to 1024 bytes.
    #[serde(default)]
    #[schema(required)]
    secret: String,
    /// Default `true`.
    active: Option<bool>,
}

/// What to change of a hook; what is absent stays.
#[derive(Deserialize, ToSchema)]
struct UpdateHook {
    url: Option<String>,
    events: Option<Vec<String>>,
    secret: Option<String>,
    active: Option<bool>,
}

/// A hook.
#[derive(Serialize, ToSchema)]
struct HookView {
    id: Uuid,
    /// With its secrets redacted.
    url: String,
    events: Vec<&'static str>,
    active: bool,
    /// Deliveries are suspended until then, because the endpoint keeps failing.
    #[schema(value_type = Option<String>, format = DateTime)]
    suspended_until: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    /// Only in the answer to its creation.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

/// One event for one hook, and what became of it.
#[derive(Serialize, ToSchema)]
struct ResultView {
    /// Also the delivery id in the headers, the same in every attempt.
    id: Uuid,
    last_attempt: LastAttemptView,
    num_attempts: u32,
    /// Every attempt that is over, oldest first.
    attempts: Vec<AttemptView>,
    /// What comes next, or why there is nothing more to come; `""` after a success.
    message: String,
    hook: ResultHookView,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

#[derive(Serialize, ToSchema)]
struct LastAttemptView {
    request: RequestView,
    response: ResponseView,
    /// `pending`, `succeeded` or `failed`.
    status: &'static str,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

#[derive(Serialize, ToSchema)]
struct RequestView {
    method: &'static str,
    /// Without userinfo and query.
    url: String,
    headers: BTreeMap<String, String>,
    /// The event as it was signed.
    #[schema(value_type = Object)]
    body: Value,
}

#[derive(Serialize, ToSchema)]
struct ResponseView {
    /// 0 when there was no answer.
    code: u16,
    headers: BTreeMap<String, String>,
    /// The first 16 KiB.
    body: String,
}

#[derive(Serialize, ToSchema)]
struct AttemptView {
    /// 0 when there was no answer.
    code: u16,
    /// Why it failed; `""` when it did not.
    error: String,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

#[derive(Serialize, ToSchema)]
struct ResultHookView {
    id: Uuid,
    events: Vec<&'static str>,
}

/// An event that a hook can ask for.
#[derive(Serialize, ToSchema)]
struct HookEventView {
    r#type: &'static str,
    description: &'static str,
}

#[derive(Deserialize)]
struct HookPath {
    hook: String,
}

#[derive(Deserialize)]
struct ResultPath {
    hook: String,
    result: String,
}

/// Create a hook.
#[utoipa::path(post, path = "/apps/{app}/hooks", operation_id = "create_hook",
    request_body = CreateHook, responses((status = 201, description = "Created", body = HookView)))]
async fn create(
    State(state): State<ApiState>,
    author: Principal,
    AppPath(app): AppPath,
    Json(body): Json<CreateHook>,
) -> Result<Created<HookView>, Error> {
    let active = body.active.unwrap_or(true);
    let new = NewHook { url: body.url, events: body.events, secret: body.secret, active };
    let hook = hooks::create(&state.store, (&state.sealer, &state.ids), &author, app.id, new).await?;
    let secret = Some(hook.secret.reveal().to_owned());
    Ok(Created(HookView { secret, ..hook.into() }))
}

/// List the hooks of an app.
#[utoipa::path(get, path = "/apps/{app}/hooks", operation_id = "list_hooks",
    responses((status = 200, description = "All, oldest first", body = Vec<HookView>)))]
async fn list(
    State(state): State<ApiState>,
    AppPath(app): AppPath,
    paging: Paging,
) -> Result<Page<HookView>, Error> {
    let sealer = state.sealer.clone();
    let all = state.store.read(move |c| store::hooks::list(c, &sealer, app.id)).await?;
    paging.page(all.into_iter().map(HookView::from).collect())
}

/// View a hook.
#[utoipa::path(get, path = "/apps/{app}/hooks/{hook}", operation_id = "view_hook",
    params(("hook" = String, Path, description = "Id")),
    responses((status = 200, description = "The hook", body = HookView)))]
async fn view(
    State(state): State<ApiState>,
    AppPath(app): AppPath,
    Path(path): Path<HookPath>,
) -> Result<Json<HookView>, Error> {
    let (id, sealer) = (path.id()?, state.sealer.clone());
    Ok(Json(state.store.read(move |c| hooks::resolve(c, &sealer, app.id, id)).await?.into()))
}

/// Change a hook.
///
/// A change ends a suspension: what waits is sent at once.
#[utoipa::path(patch, path = "/apps/{app}/hooks/{hook}", operation_id = "update_hook",
    params(("hook" = String, Path, description = "Id")),
    request_body = UpdateHook, responses((status = 200, description = "The hook", body = HookView)))]
async fn update(
    State(state): State<ApiState>,
    author: Principal,
    AppPath(app): AppPath,
    Path(path): Path<HookPath>,
    Json(body): Json<UpdateHook>,
) -> Result<Json<HookView>, Error> {
    let change = HookChange { url: body.url, events: body.events, secret: body.secret, active: body.active };
    let which = (app.id, path.id()?);
    Ok(Json(hooks::update(&state.store, &state.sealer, &author, which, change).await?.into()))
}

/// Delete a hook with its results.
#[utoipa::path(delete, path = "/apps/{app}/hooks/{hook}", operation_id = "delete_hook",
    params(("hook" = String, Path, description = "Id")),
    responses((status = 200, description = "The hook that was", body = HookView)))]
async fn delete(
    State(state): State<ApiState>,
    author: Principal,
    AppPath(app): AppPath,
    Path(path): Path<HookPath>,
) -> Result<Json<HookView>, Error> {
    let which = (app.id, path.id()?);
    Ok(Json(hooks::delete(&state.store, &state.sealer, &author, which).await?.into()))
}

/// List the results of a hook.
///
/// The newest 100 deliveries that were begun or are over. Of each hook the newest 100 results are kept, and for
/// 30 days up to 5000.
#[utoipa::path(get, path = "/apps/{app}/hooks/{hook}/results", operation_id = "list_hook_results",
    params(("hook" = String, Path, description = "Id")),
    responses((status = 200, description = "Oldest first", body = Vec<ResultView>)))]
async fn list_results(
    State(state): State<ApiState>,
    AppPath(app): AppPath,
    Path(path): Path<HookPath>,
    paging: Paging,
) -> Result<Page<ResultView>, Error> {
    let (id, sealer) = (path.id()?, state.sealer.clone());
    let (hook, all) = state.store.read(move |c| hooks::results(c, &sealer, app.id, id)).await?;
    paging.page(all.into_iter().map(|one| ResultView::new(&hook, one)).collect())
}

/// View a result of a hook.
#[utoipa::path(get, path = "/apps/{app}/hooks/{hook}/results/{result}", operation_id = "view_hook_result",
    params(("hook" = String, Path, description = "Id"), ("result" = String, Path, description = "Id")),
    responses((status = 200, description = "The result", body = ResultView)))]
async fn view_result(
    State(state): State<ApiState>,
    AppPath(app): AppPath,
    Path(path): Path<ResultPath>,
) -> Result<Json<ResultView>, Error> {
    let which = (parse_id("hook", &path.hook)?, parse_id("result", &path.result)?);
    let sealer = state.sealer.clone();
    let (hook, one) = state.store.read(move |c| hooks::result(c, &sealer, app.id, which)).await?;
    Ok(Json(ResultView::new(&hook, one)))
}

/// List the events that a hook can ask for.
#[utoipa::path(get, path = "/docs/hooks", operation_id = "list_hook_events",
    responses((status = 200, description = "All", body = Vec<HookEventView>)))]
async fn list_events(paging: Paging) -> Result<Page<HookEventView>, Error> {
    let view = |event: &HookEvent| HookEventView { r#type: event.as_str(), description: event.description() };
    paging.page(HookEvent::ALL.iter().map(view).collect())
}

impl Listed for HookEventView {
    const PROPERTIES: &'static [Property<Self>] = &[Property::Text("type", |item| item.r#type)];
}

impl Listed for HookView {
    const PROPERTIES: &'static [Property<Self>] =
        &[Property::Time("created_at", |item| item.created_at), Property::Id(|item| item.id)];
}

impl Listed for ResultView {
    const PROPERTIES: &'static [Property<Self>] =
        &[Property::Time("created_at", |item| item.created_at), Property::Id(|item| item.id)];
}

impl HookPath {
    fn id(&self) -> Result<HookId, Error> {
        Ok(parse_id("hook", &self.hook)?)
    }
}

impl From<Hook> for HookView {
    fn from(hook: Hook) -> Self {
        Self {
            id: hook.id.uuid(),
            url: hook.url.shown(),
            events: hook.events.names(),
            active: hook.active,
            suspended_until: hook.health.suspended_until,
            created_at: hook.created_at,
            updated_at: hook.updated_at,
            secret: None,
        }
    }
}

impl ResultView {
    fn new(hook: &Hook, delivery: Delivery) -> Self {
        let status = delivery.last_status().as_str();
        let report = delivery.report;
        let request = report
            .request
            .map_or_else(|| (hook.url.shown_in_results(), BTreeMap::new()), |sent| (sent.url, sent.headers));
        Self {
            id: delivery.id.uuid(),
            last_attempt: LastAttemptView {
                request: RequestView {
                    method: "post",
                    url: request.0,
                    headers: request.1,
                    body: serde_json::from_str(delivery.payload.reveal()).unwrap_or_default(),
                },
                response: ResponseView {
                    code: report.response.code,
                    headers: report.response.headers,
                    body: report.response.body,
                },
                status,
                updated_at: delivery.updated_at,
            },
            num_attempts: delivery.attempts,
            attempts: report.attempts.into_iter().map(AttemptView::from).collect(),
            message: report.message,
            hook: ResultHookView { id: hook.id.uuid(), events: hook.events.names() },
            created_at: delivery.created_at,
        }
    }
}

impl From<Attempt> for AttemptView {
    fn from(attempt: Attempt) -> Self {
        Self { code: attempt.code, error: attempt.error, updated_at: attempt.at }
    }
}
