//! Spaces, as the section of that name documents them.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::auth::Policy;
use super::extract::{Json, Path};
use super::page::{Listed, Page, Paging, Property};
use super::place::PlaceView;
use super::respond::Created;
use super::router::{Routes, routes};
use super::{ApiState, Error};
use crate::model::catalogue::Catalogue;
use crate::model::principal::Principal;
use crate::model::space::Space;
use crate::model::time::Timestamp;
use crate::service;
use crate::service::spaces::{self, ComplianceTags, NewSpace, SpaceChange};
use crate::store;

pub(super) fn router() -> Routes {
    Routes::new("spaces")
        .route(Policy::User, routes!(create, list))
        .route(Policy::User, routes!(view, update))
}

/// A space to be made.
#[derive(Deserialize, ToSchema)]
struct CreateSpace {
    /// Letters, digits and dashes, under 12 characters.
    #[serde(default)]
    #[schema(required)]
    name: String,
    description: Option<String>,
    /// Tags; `socs` and `prod` protect the apps of the space.
    #[schema(value_type = Option<Vec<String>>)]
    compliance: Option<Value>,
    /// Name or id of the stack.
    stack: Option<String>,
}

/// What shall change; what is absent stays.
#[derive(Deserialize, ToSchema)]
struct UpdateSpace {
    description: Option<String>,
    #[schema(value_type = Option<Vec<String>>)]
    compliance: Option<Value>,
}

/// A space.
#[derive(Serialize, ToSchema)]
struct SpaceView {
    id: Uuid,
    name: String,
    description: String,
    compliance: Vec<String>,
    /// The number of its apps.
    apps: u32,
    region: PlaceView,
    stack: PlaceView,
    /// Always `allocated`: a space of this machine is there as soon as it is made.
    state: &'static str,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

#[derive(Deserialize)]
struct SpacePath {
    space: String,
}

/// Create a space.
#[utoipa::path(post, path = "/spaces", operation_id = "create_space",
    request_body = CreateSpace, responses((status = 201, description = "Created", body = SpaceView)))]
async fn create(
    State(state): State<ApiState>,
    author: Principal,
    Json(body): Json<CreateSpace>,
) -> Result<Created<SpaceView>, Error> {
    let new = NewSpace {
        name: body.name,
        description: body.description.unwrap_or_default(),
        compliance: body.compliance.map_or_else(|| ComplianceTags::Tags(Vec::new()), tags),
        stack: body.stack,
    };
    let catalogue = state.catalogue.load_full();
    let space = spaces::create(&state.store, &state.ids, &catalogue, &author, new).await?;
    Ok(Created(SpaceView::new(space, 0, &catalogue)))
}

/// List all spaces.
#[utoipa::path(get, path = "/spaces", operation_id = "list_spaces",
    responses((status = 200, description = "All, oldest first", body = Vec<SpaceView>)))]
async fn list(State(state): State<ApiState>, paging: Paging) -> Result<Page<SpaceView>, Error> {
    let all = state.store.read(store::spaces::list).await?;
    let catalogue = state.catalogue.load();
    paging.page(all.into_iter().map(|(space, apps)| SpaceView::new(space, apps, &catalogue)).collect())
}

/// View a space.
#[utoipa::path(get, path = "/spaces/{space}", operation_id = "view_space",
    params(("space" = String, Path, description = "Name or id")), responses((status = 200, description = "The space", body = SpaceView)))]
async fn view(State(state): State<ApiState>, Path(path): Path<SpacePath>) -> Result<Json<SpaceView>, Error> {
    let (space, apps) = find(&state, path.space).await?;
    Ok(Json(SpaceView::new(space, apps, &state.catalogue.load())))
}

/// Change a space.
#[utoipa::path(patch, path = "/spaces/{space}", operation_id = "update_space",
    params(("space" = String, Path, description = "Name or id")),
    request_body = UpdateSpace, responses((status = 200, description = "The space", body = SpaceView)))]
async fn update(
    State(state): State<ApiState>,
    author: Principal,
    Path(path): Path<SpacePath>,
    Json(body): Json<UpdateSpace>,
) -> Result<Json<SpaceView>, Error> {
    let (space, apps) = find(&state, path.space).await?;
    let change = SpaceChange { description: body.description, compliance: body.compliance.map(tags) };
    let space = spaces::update(&state.store, &author, space.id, change).await?;
    Ok(Json(SpaceView::new(space, apps, &state.catalogue.load())))
}

async fn find(state: &ApiState, text: String) -> Result<(Space, u32), service::Error> {
    let query = move |connection: &store::Connection| {
        let space = spaces::resolve(connection, &text)?;
        let apps = store::spaces::count_apps(connection, space.id)?;
        Ok((space, apps))
    };
    state.store.read(query).await
}

/// Anything but an array of texts is for the service to refuse, in the order of its checks.
fn tags(value: Value) -> ComplianceTags {
    serde_json::from_value(value).map_or(ComplianceTags::Malformed, ComplianceTags::Tags)
}

impl Listed for SpaceView {
    const PROPERTIES: &'static [Property<Self>] = &[
        Property::Time("created_at", |item| item.created_at),
        Property::Time("updated_at", |item| item.updated_at),
        Property::Text("name", |item| &item.name),
        Property::Id(|item| item.id),
    ];
}

impl SpaceView {
    fn new(space: Space, apps: u32, catalogue: &Catalogue) -> Self {
        Self {
            id: space.id.uuid(),
            name: space.name.to_string(),
            description: space.description,
            compliance: space.compliance.tags().to_vec(),
            apps,
            region: PlaceView::region(catalogue),
            stack: PlaceView::stack(catalogue, &space.stack),
            state: "allocated",
            created_at: space.created_at,
            updated_at: space.updated_at,
        }
    }
}
