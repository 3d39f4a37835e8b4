//! Organizations, as the section of that name documents them.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::auth::Policy;
use super::extract::{Json, Path};
use super::page::{Listed, Page, Paging, Property};
use super::respond::Created;
use super::router::{Routes, routes};
use super::{ApiState, Error};
use crate::model::account::MemberRole;
use crate::model::organization::Organization;
use crate::model::principal::Principal;
use crate::model::time::Timestamp;
use crate::service;
use crate::service::organization_members;
use crate::service::organizations::{self, NewOrganization};
use crate::store::Connection;

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
    /// What the one who asks may do: an `admin` changes who its members are.
    role: &'static str,
    default: bool,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

#[derive(Deserialize)]
pub(super) struct OrganizationPath {
    pub(super) organization: String,
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
    // Whoever makes an organization administers it.
    Ok(Created(OrganizationView::new(organization, MemberRole::Admin)))
}

/// List the organizations that the one who asks is a member of; an owner sees all.
#[utoipa::path(get, path = "/organizations", operation_id = "list_organizations",
    responses((status = 200, description = "All, oldest first", body = Vec<OrganizationView>)))]
async fn list(
    State(state): State<ApiState>,
    principal: Principal,
    paging: Paging,
) -> Result<Page<OrganizationView>, Error> {
    let query = move |c: &Connection| {
        let all = organizations::list(c, &principal.reach)?;
        all.into_iter().map(|one| seen(c, &principal, one)).collect::<Result<_, _>>()
    };
    paging.page(state.store.read(query).await?)
}

/// View an organization.
#[utoipa::path(get, path = "/organizations/{organization}", operation_id = "view_organization",
    params(("organization" = String, Path, description = "Name or id")), responses((status = 200, description = "The organization", body = OrganizationView)))]
async fn view(
    State(state): State<ApiState>,
    principal: Principal,
    Path(path): Path<OrganizationPath>,
) -> Result<Json<OrganizationView>, Error> {
    let query = move |c: &Connection| {
        let found = organizations::resolve(c, &principal.reach, &path.organization)?;
        seen(c, &principal, found)
    };
    Ok(Json(state.store.read(query).await?))
}

fn seen(
    connection: &Connection,
    principal: &Principal,
    organization: Organization,
) -> Result<OrganizationView, service::Error> {
    let role = organization_members::role_of(connection, principal, organization.id)?;
    Ok(OrganizationView::new(organization, role.unwrap_or(MemberRole::Member)))
}

impl Listed for OrganizationView {
    const PROPERTIES: &'static [Property<Self>] = &[
        Property::Time("created_at", |item| item.created_at),
        Property::Text("name", |item| &item.name),
        Property::Id(|item| item.id),
    ];
}

impl OrganizationView {
    fn new(organization: Organization, role: MemberRole) -> Self {
        Self {
            id: organization.id.uuid(),
            name: organization.name.to_string(),
            description: organization.description,
            role: role.as_str(),
            default: false,
            created_at: organization.created_at,
            updated_at: organization.updated_at,
        }
    }
}
