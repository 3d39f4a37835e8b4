//! Dynos, as the section of that name documents them.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::auth::Policy;
use super::extract::{AppPath, Json, Path};
use super::origin::Origin;
use super::page::{Listed, Page, Paging, Property};
use super::respond::{Accepted, Created};
use super::router::{Routes, routes};
use super::{ApiState, Error};
use crate::model::RuleError;
use crate::model::app::App;
use crate::model::catalogue::Catalogue;
use crate::model::command::Command;
use crate::model::config_var::{ConfigValue, ConfigVars};
use crate::model::dyno::Dyno;
use crate::model::ids::{AppId, DynoId};
use crate::model::names::{ConfigVarName, ProcessType};
use crate::model::oneoff::{self, Terminal};
use crate::model::principal::Principal;
use crate::model::release::Release;
use crate::model::signal::Signal;
use crate::seal::Sealer;
use crate::service::oneoffs::{self, NewOneOff};
use crate::service::{dynos, formations};
use crate::{service, store};

pub(super) fn router() -> Routes {
    Routes::new("dynos")
        .route(Policy::User, routes!(create, list, delete_all))
        .route(Policy::User, routes!(view, delete))
        .route(Policy::User, routes!(attach))
        .alias(Policy::User, "/apps/{app}/dyno/{dyno}", axum::routing::get(view))
}

/// A dyno.
#[derive(Serialize, ToSchema)]
struct DynoView {
    id: Uuid,
    name: String,
    /// Where a WebSocket reaches the terminal of a one-off dyno that waits for one; `""` for any other.
    attach_url: String,
    /// `""` for the image's own command.
    command: String,
    /// To the second.
    created_at: String,
    updated_at: String,
    release: DynoReleaseView,
    app: DynoAppView,
    size: String,
    /// `start-failure`, `app-crashed`, `waiting`, `pending`, `probe-failure`, `stopping`, `stopped` or `running`.
    state: &'static str,
    /// Whether it receives requests (web), or runs (any other type).
    ready: bool,
    restarts: u32,
    #[serde(rename = "type")]
    process_type: String,
    /// Why it is in this state.
    additional_info: String,
    /// What the process of a one-off dyno ended with; absent for any other dyno.
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i64>,
}

#[derive(Serialize, ToSchema)]
struct DynoReleaseView {
    id: Uuid,
    version: Option<u32>,
}

#[derive(Serialize, ToSchema)]
struct DynoAppView {
    id: Uuid,
    /// The key in both dialects (`behaviour.md` §6).
    name: String,
}

/// What is going to be restarted.
#[derive(Serialize, ToSchema)]
struct RestartView {
    /// `pending`; `stopping` for one-off dynos.
    status: &'static str,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    process_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dyno: Option<String>,
}

/// What shall be run in a one-off dyno.
#[derive(Deserialize, ToSchema)]
struct CreateDyno {
    /// Split into words as a formation's, without a shell. May be left out with a `type`.
    command: Option<String>,
    /// A formation with `oneoff`, whose command, size and options are taken where none are given here.
    #[serde(rename = "type")]
    process_type: Option<String>,
    /// A name of `GET /sizes`.
    size: Option<String>,
    /// Set over the app's config vars, for this run only.
    #[serde(default)]
    env: BTreeMap<String, String>,
    /// Wait for a WebSocket at `attach_url`, up to a minute; else the output goes to the app's log.
    #[serde(default)]
    attach: bool,
    /// Attach without a terminal: both outputs apart, and an input that can end.
    #[serde(default)]
    force_no_tty: bool,
    /// Seconds after which it is stopped: 1 to 86400, which is the default.
    time_to_live: Option<i64>,
}

impl CreateDyno {
    fn read(self, catalogue: &Catalogue, app: &App) -> Result<NewOneOff, RuleError> {
        let size = |name: &str| formations::find_size(catalogue, app, name);
        let mut env = ConfigVars::new();
        for (name, value) in self.env {
            let name = ConfigVarName::parse(&name)?;
            let value = ConfigValue::parse(&name, &value)?;
            env.insert(name, value);
        }
        Ok(NewOneOff {
            process_type: self.process_type.as_deref().map(ProcessType::parse).transpose()?,
            command: self.command.as_deref().map(Command::parse).transpose()?,
            size: self.size.as_deref().map(size).transpose()?,
            default_size: size(catalogue.default_size.as_str())?,
            env,
            terminal: match (self.attach, self.force_no_tty) {
                (false, _) => Terminal::Detached,
                (true, false) => Terminal::Tty,
                (true, true) => Terminal::Pipes,
            },
            time_limit: oneoff::time_limit(self.time_to_live)?,
        })
    }
}

/// What shall be run beside a dyno's own processes.
#[derive(Deserialize, ToSchema)]
struct AttachDyno {
    /// Only `["sh", "-c", "kill -<number> -1"]`, which sends the signal of that number to all processes.
    #[schema(required)]
    command: Option<Vec<String>>,
    /// A name for a command; none is offered.
    alias: Option<String>,
}

/// What the command wrote: nothing, for it is run a moment after the answer.
#[derive(Serialize, ToSchema)]
struct AttachmentView {
    /// Always `""`.
    stdout: &'static str,
    /// Always `""`.
    stderr: &'static str,
}

#[derive(Deserialize)]
struct DynoPath {
    dyno: String,
}

/// List an app's dynos.
#[utoipa::path(get, path = "/apps/{app}/dynos", operation_id = "list_dynos",
    responses((status = 200, description = "All, by type and age", body = Vec<DynoView>)))]
async fn list(
    State(state): State<ApiState>,
    paging: Paging,
    AppPath(app): AppPath,
) -> Result<Page<DynoView>, Error> {
    let id = app.id;
    let query = move |c: &store::Connection| {
        Ok::<_, store::StoreError>((store::dynos::list(c, id)?, store::releases::list(c, id)?))
    };
    let (all, releases) = state.store.read(query).await?;
    paging.page(all.into_iter().map(|dyno| DynoView::new(&app, dyno, &releases)).collect())
}

/// View a dyno.
#[utoipa::path(get, path = "/apps/{app}/dynos/{dyno}", operation_id = "view_dyno",
    params(("dyno" = String, Path, description = "Id, name or type.name")), responses((status = 200, description = "The dyno", body = DynoView)))]
async fn view(
    State(state): State<ApiState>,
    AppPath(app): AppPath,
    Path(path): Path<DynoPath>,
) -> Result<Json<DynoView>, Error> {
    let (id, sealer) = (app.id, state.sealer.clone());
    let query = move |c: &store::Connection| {
        Ok::<_, service::Error>((seen(c, &sealer, id, &path.dyno)?, store::releases::list(c, id)?))
    };
    let ((dyno, exit_code), releases) = state.store.read(query).await?;
    Ok(Json(DynoView { exit_code, ..DynoView::new(&app, dyno, &releases) }))
}

/// A dyno, or a one-off dyno that has ended, with the code that it ended with.
fn seen(
    connection: &store::Connection,
    sealer: &Sealer,
    app: AppId,
    text: &str,
) -> Result<(Dyno, Option<i64>), service::Error> {
    match oneoffs::find(connection, sealer, app, text)? {
        Some(oneoff) if oneoff.ended.is_some() => {
            let code = oneoff.ended.as_ref().and_then(|ended| ended.exit_code);
            Ok((oneoffs::shown(&oneoff), code))
        }
        Some(_) | None => Ok((dynos::find(connection, app, text)?, None)),
    }
}

/// Run a command in a one-off dyno.
#[utoipa::path(post, path = "/apps/{app}/dynos", operation_id = "create_dyno", request_body = CreateDyno,
    responses((status = 201, description = "It is going to be started", body = DynoView)))]
async fn create(
    State(state): State<ApiState>,
    author: Principal,
    origin: Origin,
    AppPath(app): AppPath,
    Json(body): Json<CreateDyno>,
) -> Result<Created<DynoView>, Error> {
    let new = body.read(&state.catalogue.load(), &app).map_err(service::Error::from)?;
    let maker = oneoffs::Maker { sealer: state.sealer.clone(), ids: state.ids.clone() };
    let (oneoff, dyno) = oneoffs::create(&state.store, &maker, &author, &app, new).await?;
    let id = app.id;
    let releases = state.store.read(move |c| store::releases::list(c, id)).await?;
    let mut view = DynoView::new(&app, dyno, &releases);
    if oneoff.terminal.is_attached() {
        let path = format!("/apps/{}/dynos/{}/attach", app.key(), oneoff.name);
        view.attach_url = origin.socket_url(&path);
    }
    Ok(Created(view))
}

/// Restart all dynos of an app, rolling.
#[utoipa::path(delete, path = "/apps/{app}/dynos", operation_id = "delete_dynos",
    responses((status = 202, description = "Going to be restarted", body = RestartView)))]
async fn delete_all(
    State(state): State<ApiState>,
    author: Principal,
    AppPath(app): AppPath,
) -> Result<Accepted<RestartView>, Error> {
    dynos::restart_all(&state.store, &author, app.id).await?;
    Ok(Accepted(RestartView { status: "pending", process_type: None, dyno: None }))
}

/// Restart the dynos of one type, rolling, or replace one dyno. One-off dynos are stopped.
#[utoipa::path(delete, path = "/apps/{app}/dynos/{dyno}", operation_id = "delete_dyno",
    params(("dyno" = String, Path, description = "Type, or type.name")), responses((status = 202, description = "Going to be restarted; one-off dynos of a type are stopped, with the status 200", body = RestartView)))]
async fn delete(
    State(state): State<ApiState>,
    author: Principal,
    AppPath(app): AppPath,
    Path(path): Path<DynoPath>,
) -> Result<Response, Error> {
    if let Ok(process_type) = ProcessType::parse(&path.dyno) {
        let (store, stopped) = (&state.store, process_type.clone());
        if oneoffs::stop_type(store, &state.sealer, &author, app.id, stopped).await?.is_some() {
            let process_type = Some(process_type.to_string());
            let stopping = RestartView { status: "stopping", process_type, dyno: None };
            return Ok(Json(stopping).into_response());
        }
        dynos::restart_type(&state.store, &author, app.id, process_type.clone()).await?;
        let process_type = Some(process_type.to_string());
        return Ok(Accepted(RestartView { status: "pending", process_type, dyno: None }).into_response());
    }
    let dyno = dynos::restart_one(&state.store, &state.sealer, &author, (app.id, path.dyno)).await?;
    let process_type = Some(dyno.process_type.to_string());
    let pending = RestartView { status: "pending", process_type, dyno: Some(dyno.name.to_string()) };
    Ok(Accepted(pending).into_response())
}

/// Send a signal to all processes of a dyno.
#[utoipa::path(post, path = "/apps/{app}/dynos/{dyno}/actions/attach", operation_id = "attach_dyno",
    params(("dyno" = String, Path, description = "Id, name or type.name")), request_body = AttachDyno,
    responses((status = 200, description = "It is going to be sent", body = AttachmentView)))]
async fn attach(
    State(state): State<ApiState>,
    author: Principal,
    AppPath(app): AppPath,
    Path(path): Path<DynoPath>,
    Json(body): Json<AttachDyno>,
) -> Result<Json<AttachmentView>, Error> {
    let signal = allowed(&body)?;
    dynos::signal(&state.store, &author, app.id, path.dyno, signal).await?;
    Ok(Json(AttachmentView { stdout: "", stderr: "" }))
}

fn allowed(body: &AttachDyno) -> Result<Signal, service::Error> {
    if body.command.is_some() && body.alias.is_some() {
        let message = "The body has a command and an alias; send one of them.";
        return Err(service::Error::BadRequest(message.to_owned()));
    }
    body.command.as_deref().and_then(Signal::of_command).ok_or_else(|| {
        let message = "Only the command [\"sh\", \"-c\", \"kill -<number> -1\"] with a number from 1 to 64 may be run beside a dyno.";
        service::Error::Forbidden(message.to_owned())
    })
}

impl Listed for DynoView {
    const PROPERTIES: &'static [Property<Self>] = &[
        Property::Text("created_at", |item| &item.created_at),
        Property::Text("updated_at", |item| &item.updated_at),
        Property::Text("name", |item| &item.name),
        Property::Id(|item| item.id),
    ];
}

impl DynoView {
    fn new(app: &App, dyno: Dyno, releases: &[Release]) -> Self {
        let release = releases.iter().find(|release| release.id == dyno.release_id);
        Self {
            id: DynoId::of(&dyno.name).uuid(),
            name: dyno.name.to_string(),
            attach_url: String::new(),
            command: dyno.command,
            created_at: dyno.created_at.to_seconds_text(),
            updated_at: dyno.updated_at.to_seconds_text(),
            release: DynoReleaseView {
                id: dyno.release_id.uuid(),
                version: release.map(|release| release.version),
            },
            app: DynoAppView { id: app.id.uuid(), name: app.key().to_string() },
            size: dyno.size.to_string(),
            state: dyno.state.as_str(),
            ready: dyno.ready,
            restarts: dyno.restarts,
            process_type: dyno.process_type.to_string(),
            additional_info: dyno.info,
            exit_code: None,
        }
    }
}
