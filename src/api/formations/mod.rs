//! Formations and sizes, as the section Formations documents them.

mod once;
mod request;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use self::once::ScheduleView;
use self::request::{BatchEntry, CreateFormation, UpdateFormation};
use super::auth::Policy;
use super::extract::{AppPath, Json, JsonArray, Path};
use super::page::{Listed, Page, Paging, Property};
use super::respond::Created;
use super::router::{Routes, routes};
use super::{ApiState, Error};
use crate::model::app::App;
use crate::model::catalogue::{Catalogue, Size};
use crate::model::formation::Formation;
use crate::model::names::ProcessType;
use crate::model::principal::Principal;
use crate::model::time::Timestamp;
use crate::service::formations::{self, NewFormation};
use crate::{service, store};

pub(super) fn router() -> Routes {
    Routes::new("formations")
        .route(Policy::User, routes!(create, list, update_batch))
        .route(Policy::User, routes!(view, update, delete))
        .route(Policy::User, routes!(list_sizes))
}

/// A process type of an app.
#[derive(Serialize, ToSchema)]
struct FormationView {
    id: Uuid,
    app: FormationAppView,
    /// The user's command or the Procfile's; `null` runs the image's own.
    command: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    quantity: u8,
    size: String,
    #[serde(rename = "type")]
    process_type: String,
    /// `null` for a type that is not `web`.
    port: Option<u16>,
    /// `null` probes the port.
    healthcheck: Option<String>,
    /// Whether its dynos are one-off dynos: no release starts them.
    oneoff: bool,
    /// When one is started by itself; `null` for on demand only.
    schedule: Option<ScheduleView>,
}

#[derive(Serialize, ToSchema)]
struct FormationAppView {
    id: Uuid,
    /// The short name in both dialects (`behaviour.md` §5).
    name: String,
}

/// How much memory a dyno may use, and its price.
#[derive(Serialize, ToSchema)]
struct SizeView {
    name: String,
    description: String,
    deprecated: bool,
    /// Dollars a month.
    price: u32,
    resources: ResourcesView,
    #[serde(rename = "type")]
    kind: &'static str,
    /// Names of the stacks that have it.
    stacks: Vec<String>,
}

#[derive(Serialize, ToSchema)]
struct ResourcesView {
    requests: MemoryView,
    limits: MemoryView,
}

#[derive(Serialize, ToSchema)]
struct MemoryView {
    /// As `512Mi`.
    memory: String,
}

#[derive(Deserialize)]
struct FormationPath {
    formation: String,
}

/// Create a formation.
#[utoipa::path(post, path = "/apps/{app}/formation", operation_id = "create_formation",
    request_body = CreateFormation, responses((status = 201, description = "Created", body = FormationView)))]
async fn create(
    State(state): State<ApiState>,
    author: Principal,
    AppPath(app): AppPath,
    Json(body): Json<CreateFormation>,
) -> Result<Created<FormationView>, Error> {
    let catalogue = state.catalogue.load_full();
    let new = body.read(&catalogue, &app).map_err(service::Error::from)?;
    let formation = formations::create(&state.store, (&state.ids, &state.sealer), &author, &app, new).await?;
    Ok(Created(FormationView::new(&app, formation)))
}

/// List an app's formations.
#[utoipa::path(get, path = "/apps/{app}/formation", operation_id = "list_formations",
    responses((status = 200, description = "All, oldest first", body = Vec<FormationView>)))]
async fn list(
    State(state): State<ApiState>,
    paging: Paging,
    AppPath(app): AppPath,
) -> Result<Page<FormationView>, Error> {
    let id = app.id;
    let all = state.store.read(move |c| store::formations::list(c, id)).await?;
    paging.page(all.into_iter().map(|formation| FormationView::new(&app, formation)).collect())
}

/// Change several formations at once.
#[utoipa::path(patch, path = "/apps/{app}/formation", operation_id = "update_formations",
    request_body = Vec<BatchEntry>, responses((status = 200, description = "Those that were named", body = Vec<FormationView>)))]
async fn update_batch(
    State(state): State<ApiState>,
    author: Principal,
    AppPath(app): AppPath,
    JsonArray(body): JsonArray<BatchEntry>,
) -> Result<Json<Vec<FormationView>>, Error> {
    let catalogue = state.catalogue.load_full();
    let changes = body.into_iter().map(|entry| entry.read(&catalogue, &app));
    let changes = changes.collect::<Result<Vec<_>, _>>().map_err(service::Error::from)?;
    let all = formations::update_all(&state.store, &state.sealer, &author, &app, changes).await?;
    Ok(Json(all.into_iter().map(|formation| FormationView::new(&app, formation)).collect()))
}

/// View a formation.
#[utoipa::path(get, path = "/apps/{app}/formation/{formation}", operation_id = "view_formation",
    params(("formation" = String, Path, description = "Type")), responses((status = 200, description = "The formation", body = FormationView)))]
async fn view(
    State(state): State<ApiState>,
    AppPath(app): AppPath,
    Path(path): Path<FormationPath>,
) -> Result<Json<FormationView>, Error> {
    let (id, process_type) = (app.id, named(&path)?);
    let formation = state.store.read(move |c| formations::find(c, id, &process_type)).await?;
    Ok(Json(FormationView::new(&app, formation)))
}

/// Change a formation.
#[utoipa::path(patch, path = "/apps/{app}/formation/{formation}", operation_id = "update_formation",
    params(("formation" = String, Path, description = "Type")),
    request_body = UpdateFormation, responses((status = 200, description = "The formation", body = FormationView)))]
async fn update(
    State(state): State<ApiState>,
    author: Principal,
    AppPath(app): AppPath,
    Path(path): Path<FormationPath>,
    Json(body): Json<UpdateFormation>,
) -> Result<Json<FormationView>, Error> {
    let catalogue = state.catalogue.load_full();
    let (process_type, change) =
        body.read(&catalogue, &app, &path.formation).map_err(service::Error::from)?;
    let default_size = default_size(&catalogue, &app)?;
    let wanted = NewFormation { process_type, default_size, change };
    let formation =
        formations::update(&state.store, (&state.ids, &state.sealer), &author, &app, wanted).await?;
    Ok(Json(FormationView::new(&app, formation)))
}

/// Delete a formation.
#[utoipa::path(delete, path = "/apps/{app}/formation/{formation}", operation_id = "delete_formation",
    params(("formation" = String, Path, description = "Type")), responses((status = 200, description = "What it was", body = FormationView)))]
async fn delete(
    State(state): State<ApiState>,
    author: Principal,
    AppPath(app): AppPath,
    Path(path): Path<FormationPath>,
) -> Result<Json<FormationView>, Error> {
    let formation = formations::delete(&state.store, &author, &app, named(&path)?).await?;
    Ok(Json(FormationView::new(&app, formation)))
}

/// List the sizes of dynos.
#[utoipa::path(get, path = "/sizes", operation_id = "list_sizes",
    responses((status = 200, description = "All, as in the catalogue", body = Vec<SizeView>)))]
async fn list_sizes(State(state): State<ApiState>, paging: Paging) -> Result<Page<SizeView>, Error> {
    let catalogue = state.catalogue.load();
    paging.page(catalogue.sizes.iter().map(|size| SizeView::new(size, &catalogue)).collect())
}

/// A type that cannot be is one that the app does not have.
fn named(path: &FormationPath) -> Result<ProcessType, service::Error> {
    ProcessType::parse(&path.formation).map_err(|error| service::Error::NotFound(error.to_string()))
}

/// The size of a formation that names none, as the app's space wants it.
fn default_size(catalogue: &Catalogue, app: &App) -> Result<crate::model::names::SizeName, service::Error> {
    Ok(formations::find_size(catalogue, app, catalogue.default_size.as_str())?)
}

impl Listed for FormationView {
    const PROPERTIES: &'static [Property<Self>] = &[
        Property::Time("created_at", |item| item.created_at),
        Property::Time("updated_at", |item| item.updated_at),
        Property::Text("type", |item| &item.process_type),
        Property::Id(|item| item.id),
    ];
}

impl Listed for SizeView {
    const PROPERTIES: &'static [Property<Self>] = &[Property::Text("name", |item| &item.name)];
}

impl FormationView {
    fn new(app: &App, formation: Formation) -> Self {
        Self {
            id: formation.id.uuid(),
            app: FormationAppView { id: app.id.uuid(), name: app.name.to_string() },
            command: formation.command.command().map(|command| command.as_str().to_owned()),
            created_at: formation.created_at,
            updated_at: formation.updated_at,
            quantity: formation.quantity.get(),
            size: formation.size.to_string(),
            process_type: formation.process_type.to_string(),
            port: formation.port.map(crate::model::formation::Port::get),
            oneoff: formation.is_oneoff(),
            schedule: formation.scheduled().map(ScheduleView::new),
            healthcheck: formation.healthcheck.map(|healthcheck| healthcheck.as_str().to_owned()),
        }
    }
}

impl SizeView {
    fn new(size: &Size, catalogue: &Catalogue) -> Self {
        let memory = |mib: u32| MemoryView { memory: format!("{mib}Mi") };
        Self {
            name: size.name.to_string(),
            description: size.description.clone(),
            deprecated: size.deprecated,
            price: size.price,
            resources: ResourcesView { requests: memory(size.request_mib), limits: memory(size.limit_mib) },
            kind: "general",
            stacks: vec![catalogue.stack.name.clone()],
        }
    }
}
