//! Sites, as the section of that name documents them, and what it leaves open (`behaviour.md` §26).

use axum::extract::State;
use serde::{Deserialize, Serialize};
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
use crate::model::ids::PreviewId;
use crate::model::principal::Principal;
use crate::model::site::Site;
use crate::model::time::Timestamp;
use crate::service;
use crate::service::sites::{self, NewSite, SiteRules};

pub(super) fn router() -> Routes {
    Routes::new("sites")
        .route(Policy::User, routes!(create, list))
        .route(Policy::User, routes!(view, update, delete))
}

/// A site to be made.
#[derive(Deserialize, ToSchema)]
struct CreateSite {
    /// A host name outside the domain of the apps.
    #[serde(default)]
    #[schema(required)]
    domain: String,
    /// Name or id; this machine has one region.
    region: Option<String>,
    /// Only `false` can be had here.
    internal: Option<bool>,
    /// Name or id of the organization that the site belongs to; the oldest one of yours when absent.
    organization: Option<String>,
    description: Option<String>,
    /// Separated by commas.
    labels: Option<String>,
}

/// What is told of a site; what is absent becomes empty.
#[derive(Deserialize, ToSchema)]
struct UpdateSite {
    description: Option<String>,
    labels: Option<String>,
}

/// A site.
#[derive(Serialize, ToSchema)]
struct SiteView {
    id: Uuid,
    domain: String,
    region: PlaceView,
    organization: SiteOrganizationView,
    description: String,
    labels: String,
    /// Always empty: no site of this machine is internal.
    compliance: Vec<String>,
    /// The preview that the site was made with.
    preview: Option<Uuid>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

/// The organization of a site.
#[derive(Serialize, ToSchema)]
struct SiteOrganizationView {
    id: Uuid,
    name: String,
}

#[derive(Deserialize)]
struct SitePath {
    site: String,
}

/// Create a site.
#[utoipa::path(post, path = "/sites", operation_id = "create_site",
    request_body = CreateSite, responses((status = 201, description = "Created", body = SiteView)))]
async fn create(
    State(state): State<ApiState>,
    author: Principal,
    Json(body): Json<CreateSite>,
) -> Result<Created<SiteView>, Error> {
    let catalogue = state.catalogue.load_full();
    let rules = SiteRules { hosts: state.settings.platform_hosts(), catalogue: &catalogue };
    let new = NewSite {
        domain: body.domain,
        region: body.region,
        internal: body.internal.unwrap_or_default(),
        organization: body.organization,
        description: body.description.unwrap_or_default(),
        labels: body.labels.unwrap_or_default(),
    };
    let site = sites::create(&state.store, &state.ids, &author, rules, new).await?;
    Ok(Created(SiteView::new(site, &catalogue)))
}

/// List the sites of your organizations.
#[utoipa::path(get, path = "/sites", operation_id = "list_sites",
    responses((status = 200, description = "All, oldest first", body = Vec<SiteView>)))]
async fn list(
    State(state): State<ApiState>,
    principal: Principal,
    paging: Paging,
) -> Result<Page<SiteView>, Error> {
    let all = state.store.read(move |connection| sites::list(connection, &principal.reach)).await?;
    let catalogue = state.catalogue.load();
    paging.page(all.into_iter().map(|site| SiteView::new(site, &catalogue)).collect())
}

/// View a site.
#[utoipa::path(get, path = "/sites/{site}", operation_id = "view_site",
    params(("site" = String, Path, description = "Domain or id")),
    responses((status = 200, description = "The site", body = SiteView)))]
async fn view(
    State(state): State<ApiState>,
    principal: Principal,
    Path(path): Path<SitePath>,
) -> Result<Json<SiteView>, Error> {
    let site = find(&state, &principal, &path.site)?;
    Ok(Json(SiteView::new(site, &state.catalogue.load())))
}

/// Set what is told of a site.
#[utoipa::path(patch, path = "/sites/{site}", operation_id = "update_site",
    params(("site" = String, Path, description = "Domain or id")),
    request_body = UpdateSite, responses((status = 200, description = "The site", body = SiteView)))]
async fn update(
    State(state): State<ApiState>,
    author: Principal,
    Path(path): Path<SitePath>,
    Json(body): Json<UpdateSite>,
) -> Result<Json<SiteView>, Error> {
    let site = find(&state, &author, &path.site)?;
    let told = (body.description.unwrap_or_default(), body.labels.unwrap_or_default());
    let site = sites::update(&state.store, &author, site.id, told).await?;
    Ok(Json(SiteView::new(site, &state.catalogue.load())))
}

/// Delete a site with its routes; the apps stay.
#[utoipa::path(delete, path = "/sites/{site}", operation_id = "delete_site",
    params(("site" = String, Path, description = "Domain or id")),
    responses((status = 200, description = "The site that was", body = SiteView)))]
async fn delete(
    State(state): State<ApiState>,
    author: Principal,
    Path(path): Path<SitePath>,
) -> Result<Json<SiteView>, Error> {
    let site = find(&state, &author, &path.site)?;
    let site = sites::delete(&state.store, &author, site.id).await?;
    Ok(Json(SiteView::new(site, &state.catalogue.load())))
}

/// The site that a path names, within the reach of the one who asks.
pub(super) fn find(state: &ApiState, principal: &Principal, text: &str) -> Result<Site, service::Error> {
    state.store.look_up(|connection| sites::resolve(connection, &principal.reach, text))
}

impl Listed for SiteView {
    const PROPERTIES: &'static [Property<Self>] = &[
        Property::Time("created_at", |item| item.created_at),
        Property::Time("updated_at", |item| item.updated_at),
        Property::Text("domain", |item| &item.domain),
        Property::Id(|item| item.id),
    ];
}

impl SiteView {
    fn new(site: Site, catalogue: &Catalogue) -> Self {
        Self {
            id: site.id.uuid(),
            domain: site.domain.to_string(),
            region: PlaceView::region(catalogue),
            organization: SiteOrganizationView {
                id: site.organization.id.uuid(),
                name: site.organization.name.to_string(),
            },
            description: site.description,
            labels: site.labels,
            compliance: Vec::new(),
            preview: site.preview.map(PreviewId::uuid),
            created_at: site.created_at,
            updated_at: site.updated_at,
        }
    }
}
