//! Members of organizations, which no document describes: the form is that of Heroku's teams.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::auth::Policy;
use super::extract::{Json, Path};
use super::organizations::OrganizationPath;
use super::page::{Listed, Page, Paging, Property};
use super::router::{Routes, routes};
use super::{ApiState, Error};
use crate::model::account::{MemberRole, OrganizationMember};
use crate::model::principal::Principal;
use crate::model::rule::parse_word;
use crate::model::time::Timestamp;
use crate::service;
use crate::service::{organization_members, organizations};
use crate::store::{self, Connection};

pub(super) fn router() -> Routes {
    Routes::new("organizations")
        .route(Policy::User, routes!(list))
        .route(Policy::Holder, routes!(update, delete))
}

/// What an account is to be in an organization.
#[derive(Deserialize, ToSchema)]
struct UpdateMember {
    /// `admin` or `member`, which is the default.
    role: Option<String>,
}

/// A member of an organization.
#[derive(Serialize, ToSchema)]
struct MemberView {
    /// The account's id.
    id: Uuid,
    user: MemberUserView,
    /// `admin` or `member`.
    role: &'static str,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

#[derive(Serialize, ToSchema)]
struct MemberUserView {
    id: Uuid,
    name: String,
}

#[derive(Deserialize)]
struct MemberPath {
    organization: String,
    user: String,
}

/// List the members of an organization. Owners act in every organization without being members.
#[utoipa::path(get, path = "/organizations/{organization}/members", operation_id = "list_organization_members",
    params(("organization" = String, Path, description = "Name or id")),
    responses((status = 200, description = "All, oldest first", body = Vec<MemberView>)))]
async fn list(
    State(state): State<ApiState>,
    principal: Principal,
    paging: Paging,
    Path(path): Path<OrganizationPath>,
) -> Result<Page<MemberView>, Error> {
    let query = move |c: &Connection| {
        let organization = organizations::resolve(c, &principal.reach, &path.organization)?;
        Ok::<_, service::Error>(store::organization_members::list(c, organization.id)?)
    };
    paging.page(state.store.read(query).await?.into_iter().map(MemberView::from).collect())
}

/// Make an account a member of an organization, or give it another role there.
#[utoipa::path(put, path = "/organizations/{organization}/members/{user}", operation_id = "update_organization_member",
    params(("organization" = String, Path, description = "Name or id"), ("user" = String, Path, description = "Name of an account")),
    request_body = UpdateMember, responses((status = 200, description = "The member", body = MemberView)))]
async fn update(
    State(state): State<ApiState>,
    author: Principal,
    Path(path): Path<MemberPath>,
    Json(body): Json<UpdateMember>,
) -> Result<Json<MemberView>, Error> {
    let role = body.role.as_deref().map_or(Ok(MemberRole::Member), |role| parse_word("role", role))?;
    let member = organization_members::put(&state.store, &author, path.organization, path.user, role).await?;
    Ok(Json(member.into()))
}

/// Take an account out of an organization.
#[utoipa::path(delete, path = "/organizations/{organization}/members/{user}", operation_id = "delete_organization_member",
    params(("organization" = String, Path, description = "Name or id"), ("user" = String, Path, description = "Name of an account")),
    responses((status = 200, description = "As it was", body = MemberView)))]
async fn delete(
    State(state): State<ApiState>,
    author: Principal,
    Path(path): Path<MemberPath>,
) -> Result<Json<MemberView>, Error> {
    let member = organization_members::delete(&state.store, &author, path.organization, path.user).await?;
    Ok(Json(member.into()))
}

impl Listed for MemberView {
    const PROPERTIES: &'static [Property<Self>] =
        &[Property::Time("created_at", |item| item.created_at), Property::Id(|item| item.id)];
}

impl From<OrganizationMember> for MemberView {
    fn from(member: OrganizationMember) -> Self {
        Self {
            id: member.account.uuid(),
            user: MemberUserView { id: member.account.uuid(), name: member.name.to_string() },
            role: member.role.as_str(),
            created_at: member.created_at,
        }
    }
}
