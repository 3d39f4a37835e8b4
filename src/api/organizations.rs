//! Organizations, as the section of that name documents them.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;
use uuid::Uuid;

use super::auth::Policy;
use super::extract::{Json, Path};
use super::page::{Listed, Page, Paging, Property};
use super::respond::Created;
use super::router::Routes;
use super::{ApiState, Error};
use crate::model::organization::Organization;
use crate::model::principal::Principal;
use crate::model::time::Timestamp;
use crate::service::organizations::{self, NewOrganization};
use crate::store;

pub(super) fn router() -> Routes {
    Routes::new("organizations").route(Policy::User, routes!(create, list)).route(Policy::User, routes!(view))
}

/// An organization to be made.
#[derive(Deserialize, ToSchema)]
struct CreateOrganization {
    /// Letters and digits, under 12 characters.
    #[serde(default)]
    #[schema(required)]
    name: String,
    description: Option<String>,
}

/// An organization.
#[derive(Serialize, ToSchema)]
struct OrganizationView {
    id: Uuid,
    name: String,
    description: String,
    /// The rights of the one who asks: everyone administers every organization here.
    role: &'static str,
    default: bool,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

#[derive(Deserialize)]
struct OrganizationPath {
    organization: String,
}

/// Create an organization.
#[utoipa::path(post, path = "/organizations", operation_id = "create_organization",
    request_body = CreateOrganization, responses((status = 201, description = "Created", body = OrganizationView)))]
async fn create(
    State(state): State<ApiState>,
    author: Principal,
    Json(body): Json<CreateOrganization>,
) -> Result<Created<OrganizationView>, Error> {
    let new = NewOrganization { name: body.name, description: body.description.unwrap_or_default() };
    let organization = organizations::create(&state.store, &state.ids, &author, new).await?;
    Ok(Created(organization.into()))
}

/// List all organizations.
#[utoipa::path(get, path = "/organizations", operation_id = "list_organizations",
    responses((status = 200, description = "All, oldest first", body = Vec<OrganizationView>)))]
async fn list(State(state): State<ApiState>, paging: Paging) -> Result<Page<OrganizationView>, Error> {
    let all = state.store.read(store::organizations::list).await?;
    paging.page(all.into_iter().map(OrganizationView::from).collect())
}

/// View an organization.
#[utoipa::path(get, path = "/organizations/{organization}", operation_id = "view_organization",
    params(("organization" = String, Path, description = "Name or id")), responses((status = 200, description = "The organization", body = OrganizationView)))]
async fn view(
    State(state): State<ApiState>,
    Path(path): Path<OrganizationPath>,
) -> Result<Json<OrganizationView>, Error> {
    let found = state.store.read(move |c| organizations::resolve(c, &path.organization)).await?;
    Ok(Json(found.into()))
}

impl Listed for OrganizationView {
    const PROPERTIES: &'static [Property<Self>] = &[
        Property::Time("created_at", |item| item.created_at),
        Property::Text("name", |item| &item.name),
        Property::Id(|item| item.id),
    ];
}

impl From<Organization> for OrganizationView {
    fn from(organization: Organization) -> Self {
        Self {
            id: organization.id.uuid(),
            name: organization.name.to_string(),
            description: organization.description,
            role: "admin",
            default: false,
            created_at: organization.created_at,
            updated_at: organization.updated_at,
        }
    }
}
