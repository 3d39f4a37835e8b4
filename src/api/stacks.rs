//! Stacks, as the section of that name documents them; administrators also change them.

use axum::extract::State;
use axum::routing::get;
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
use crate::model::RuleError;
use crate::model::catalogue::Catalogue;
use crate::model::principal::Principal;
use crate::model::stack::{Stack, StackState};
use crate::model::time::Timestamp;
use crate::service::stacks::{self, NewStack, StackChange};
use crate::store;

pub(super) fn router() -> Routes {
    Routes::new("stacks")
        .route(Policy::User, routes!(create, list))
        .route(Policy::User, routes!(view, update, delete))
        // The document's heading spells it so.
        .alias(Policy::User, "/stack/{stack}", get(view))
}

/// A stack to be made.
#[derive(Deserialize, ToSchema)]
struct CreateStack {
    /// Letters, digits and dashes.
    #[serde(default)]
    #[schema(required)]
    name: String,
    /// Name or id of the region.
    #[schema(value_type = Option<String>)]
    region: Option<Value>,
    #[schema(value_type = Option<bool>)]
    beta: Option<Value>,
    #[schema(value_type = Option<bool>)]
    deprecated: Option<Value>,
}

/// What shall change; what is absent stays.
#[derive(Deserialize, ToSchema)]
struct UpdateStack {
    #[schema(value_type = Option<bool>)]
    beta: Option<Value>,
    #[schema(value_type = Option<bool>)]
    deprecated: Option<Value>,
}

/// A stack.
#[derive(Serialize, ToSchema)]
struct StackView {
    id: Uuid,
    name: String,
    region: PlaceView,
    /// `public`, `beta` or `deprecated`.
    state: &'static str,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

#[derive(Deserialize)]
struct StackPath {
    stack: String,
}

/// Create a stack; for administrators.
#[utoipa::path(post, path = "/stacks", operation_id = "create_stack",
    request_body = CreateStack, responses((status = 201, description = "Created", body = StackView)))]
async fn create(
    State(state): State<ApiState>,
    author: Principal,
    Json(body): Json<CreateStack>,
) -> Result<Created<StackView>, Error> {
    let (beta, deprecated) =
        (flag("beta", body.beta.as_ref())?, flag("deprecated", body.deprecated.as_ref())?);
    let new = NewStack {
        name: body.name,
        region: body.region.map(region).transpose()?,
        state: StackState::Public.switched(beta, deprecated),
    };
    let catalogue = state.catalogue.load_full();
    let stack = stacks::create(&state.store, &catalogue, &author, new).await?;
    Ok(Created(StackView::new(stack, &catalogue)))
}

/// List all stacks.
#[utoipa::path(get, path = "/stacks", operation_id = "list_stacks",
    responses((status = 200, description = "All, oldest first", body = Vec<StackView>)))]
async fn list(State(state): State<ApiState>, paging: Paging) -> Result<Page<StackView>, Error> {
    let all = state.store.read(store::stacks::list).await?;
    let catalogue = state.catalogue.load();
    paging.page(all.into_iter().map(|stack| StackView::new(stack, &catalogue)).collect())
}

/// View a stack.
#[utoipa::path(get, path = "/stacks/{stack}", operation_id = "view_stack",
    params(("stack" = String, Path, description = "Name or id")),
    responses((status = 200, description = "The stack", body = StackView)))]
async fn view(State(state): State<ApiState>, Path(path): Path<StackPath>) -> Result<Json<StackView>, Error> {
    let stack = state.store.read(move |connection| stacks::resolve(connection, &path.stack)).await?;
    Ok(Json(StackView::new(stack, &state.catalogue.load())))
}

/// Change the state of a stack; for administrators.
#[utoipa::path(patch, path = "/stacks/{stack}", operation_id = "update_stack",
    params(("stack" = String, Path, description = "Name or id")),
    request_body = UpdateStack, responses((status = 200, description = "The stack", body = StackView)))]
async fn update(
    State(state): State<ApiState>,
    author: Principal,
    Path(path): Path<StackPath>,
    Json(body): Json<UpdateStack>,
) -> Result<Json<StackView>, Error> {
    let change = StackChange {
        beta: flag("beta", body.beta.as_ref())?,
        deprecated: flag("deprecated", body.deprecated.as_ref())?,
    };
    let catalogue = state.catalogue.load_full();
    let stack = stacks::update(&state.store, &catalogue, &author, path.stack, change).await?;
    Ok(Json(StackView::new(stack, &catalogue)))
}

/// Delete a stack that no space is on; for administrators.
#[utoipa::path(delete, path = "/stacks/{stack}", operation_id = "delete_stack",
    params(("stack" = String, Path, description = "Name or id")),
    responses((status = 200, description = "The deleted stack", body = StackView)))]
async fn delete(
    State(state): State<ApiState>,
    author: Principal,
    Path(path): Path<StackPath>,
) -> Result<Json<StackView>, Error> {
    let catalogue = state.catalogue.load_full();
    let stack = stacks::delete(&state.store, &catalogue, &author, path.stack).await?;
    Ok(Json(StackView::new(stack, &catalogue)))
}

fn flag(field: &str, value: Option<&Value>) -> Result<Option<bool>, RuleError> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(*flag)),
        Some(_) => Err(RuleError::new(format!("The field {field} must be true or false."))),
    }
}

fn region(value: Value) -> Result<String, RuleError> {
    let Value::String(text) = value else {
        return Err(RuleError::new("The field region must be the name or the id of a region."));
    };
    Ok(text)
}

impl Listed for StackView {
    const PROPERTIES: &'static [Property<Self>] = &[
        Property::Time("created_at", |item| item.created_at),
        Property::Time("updated_at", |item| item.updated_at),
        Property::Text("name", |item| &item.name),
        Property::Id(|item| item.id),
    ];
}

impl StackView {
    fn new(stack: Stack, catalogue: &Catalogue) -> Self {
        Self {
            id: stack.id.uuid(),
            name: stack.name,
            region: PlaceView::region(catalogue),
            state: stack.state.as_str(),
            created_at: stack.created_at,
            updated_at: stack.updated_at,
        }
    }
}
