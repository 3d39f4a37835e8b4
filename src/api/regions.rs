//! Regions, as the section of that name documents them: this machine is one.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::auth::Policy;
use super::extract::{Json, Path};
use super::page::{Listed, Page, Paging, Property};
use super::router::{Routes, routes};
use super::{ApiState, Error};
use crate::model::rule::shown;
use crate::model::time::Timestamp;
use crate::service;
use crate::store::{self, StoreError};

pub(super) fn router() -> Routes {
    Routes::new("regions").route(Policy::User, routes!(list)).route(Policy::User, routes!(view))
}

/// A region.
#[derive(Serialize, ToSchema)]
struct RegionView {
    id: Uuid,
    name: String,
    description: String,
    country: String,
    locale: String,
    /// Whether spaces and sites without a public address can be made.
    private_capable: bool,
    provider: ProviderView,
    high_availability: bool,
    /// The spelling of the document.
    high_availiability: bool,
    /// When the daemon was first started.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

/// Whose machines a region is on.
#[derive(Serialize, ToSchema)]
struct ProviderView {
    name: String,
    region: String,
    availability_zones: Vec<String>,
}

#[derive(Deserialize)]
struct RegionPath {
    region: String,
}

/// List all regions.
#[utoipa::path(get, path = "/regions", operation_id = "list_regions",
    responses((status = 200, description = "The one region of this machine", body = Vec<RegionView>)))]
async fn list(State(state): State<ApiState>, paging: Paging) -> Result<Page<RegionView>, Error> {
    paging.page(vec![only(&state).await?])
}

/// View a region.
#[utoipa::path(get, path = "/regions/{region}", operation_id = "view_region",
    params(("region" = String, Path, description = "Name or id")),
    responses((status = 200, description = "The region", body = RegionView)))]
async fn view(
    State(state): State<ApiState>,
    Path(path): Path<RegionPath>,
) -> Result<Json<RegionView>, Error> {
    let region = only(&state).await?;
    if region.name.eq_ignore_ascii_case(&path.region) || region.id.to_string() == path.region {
        return Ok(Json(region));
    }
    let text = format!("The region {} does not exist; there is {}.", shown(&path.region), region.name);
    Err(service::Error::NotFound(text).into())
}

async fn only(state: &ApiState) -> Result<RegionView, StoreError> {
    let since = state.store.read(store::installation::created_at).await?;
    let region = state.catalogue.load().region.clone();
    Ok(RegionView {
        id: region.id,
        name: region.name.clone(),
        description: region.description,
        country: region.country,
        locale: region.locale,
        private_capable: false,
        provider: ProviderView {
            name: region.provider,
            region: region.name.clone(),
            availability_zones: vec![region.name],
        },
        high_availability: false,
        high_availiability: false,
        created_at: since,
        updated_at: since,
    })
}

impl Listed for RegionView {
    const PROPERTIES: &'static [Property<Self>] =
        &[Property::Text("name", |item| &item.name), Property::Id(|item| item.id)];
}
