//! Addon services and their plans, as the section Services, Addons and Attachments documents them.

use std::collections::BTreeMap;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::auth::Policy;
use super::extract::{Json, Path};
use super::page::{Listed, Page, Paging, Property};
use super::router::{Routes, routes};
use super::{ApiState, Error};
use crate::model::addon_service::{AddonOffer, AddonPlan, AddonService};
use crate::model::ids::AddonPlanId;
use crate::model::principal::Principal;
use crate::model::rule::shown;
use crate::model::time::Timestamp;
use crate::service;
use crate::store::{self, StoreError};

pub(super) fn router() -> Routes {
    Routes::new("addon-services")
        .route(Policy::User, routes!(list))
        .route(Policy::User, routes!(view))
        .route(Policy::User, routes!(list_plans))
        .route(Policy::User, routes!(view_plan))
}

/// Something that apps can have an addon of.
#[derive(Serialize, ToSchema)]
struct AddonServiceView {
    id: Uuid,
    name: String,
    human_name: String,
    description: String,
    /// `alpha`, `beta`, `public`, `ga`, `deprecated` or `shutdown`.
    state: &'static str,
    /// The plugin of `aka` that knows more of it; may be empty.
    cli_plugin_name: String,
    available_regions: Vec<String>,
    supports_multiple_installations: bool,
    supports_sharing: bool,
    /// Whether a plan of it can be changed for another.
    supports_upgrading: bool,
    plans: Vec<AddonPlanView>,
    /// When the daemon was first started.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

/// A variant of a service, at a price.
#[expect(clippy::struct_excessive_bools, reason = "the documented fields")]
#[derive(Serialize, ToSchema)]
struct AddonPlanView {
    id: Uuid,
    /// `<service>:<plan>`.
    name: String,
    /// The same.
    key: String,
    human_name: String,
    description: String,
    addon_service: PlanServiceView,
    attributes: BTreeMap<String, String>,
    available_regions: Vec<String>,
    /// What the space of the app must have.
    compliance: Vec<String>,
    /// Whether it is taken when only the service is named.
    default: bool,
    space_default: bool,
    installable_inside_private_network: bool,
    installable_outside_private_network: bool,
    price: PriceView,
    /// `alpha`, `beta`, `public`, `ga`, `deprecated` or `shutdown`.
    state: &'static str,
    /// The addons of yours with this plan; only where one plan is viewed.
    #[serde(skip_serializing_if = "Option::is_none")]
    provisioned_by: Option<Vec<ProvisionedView>>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

/// The service of a plan.
#[derive(Serialize, ToSchema)]
struct PlanServiceView {
    id: Uuid,
    name: String,
}

/// What something costs.
#[derive(Serialize, ToSchema)]
#[schema(as = PriceView)]
pub(super) struct PriceView {
    cents: u32,
    unit: &'static str,
    /// Whether it is agreed on elsewhere.
    contract: bool,
}

/// An addon of a plan.
#[derive(Serialize, ToSchema)]
struct ProvisionedView {
    id: Uuid,
    name: String,
}

#[derive(Deserialize)]
struct ServicePath {
    service: String,
    plan: Option<String>,
}

/// What is the same for every service here.
struct Place {
    region: String,
    since: Timestamp,
}

/// List the addon services.
#[utoipa::path(get, path = "/addon-services", operation_id = "list_addon_services",
    responses((status = 200, description = "The operator's own first, then those of brokers", body = Vec<AddonServiceView>)))]
async fn list(State(state): State<ApiState>, paging: Paging) -> Result<Page<AddonServiceView>, Error> {
    let place = Place::of(&state).await?;
    let offer = state.addons.offer();
    paging.page(offer.services().iter().map(|service| AddonServiceView::new(service, &place)).collect())
}

/// View an addon service.
#[utoipa::path(get, path = "/addon-services/{service}", operation_id = "view_addon_service",
    params(("service" = String, Path, description = "Name or id")),
    responses((status = 200, description = "The service", body = AddonServiceView)))]
async fn view(
    State(state): State<ApiState>,
    Path(path): Path<ServicePath>,
) -> Result<Json<AddonServiceView>, Error> {
    let offer = state.addons.offer();
    let service = found(&offer, &path.service)?;
    Ok(Json(AddonServiceView::new(service, &Place::of(&state).await?)))
}

/// List the plans of an addon service.
#[utoipa::path(get, path = "/addon-services/{service}/plans", operation_id = "list_addon_service_plans",
    params(("service" = String, Path, description = "Name or id")),
    responses((status = 200, description = "All plans", body = Vec<AddonPlanView>)))]
async fn list_plans(
    State(state): State<ApiState>,
    paging: Paging,
    Path(path): Path<ServicePath>,
) -> Result<Page<AddonPlanView>, Error> {
    let offer = state.addons.offer();
    let service = found(&offer, &path.service)?;
    let place = Place::of(&state).await?;
    paging.page(service.plans.iter().map(|plan| AddonPlanView::new(service, plan, &place)).collect())
}

/// View a plan of an addon service.
#[utoipa::path(get, path = "/addon-services/{service}/plans/{plan}", operation_id = "view_addon_service_plan",
    params(("service" = String, Path, description = "Name or id"),
        ("plan" = String, Path, description = "Id, name with the service, or name without it")),
    responses((status = 200, description = "The plan", body = AddonPlanView)))]
async fn view_plan(
    State(state): State<ApiState>,
    principal: Principal,
    Path(path): Path<ServicePath>,
) -> Result<Json<AddonPlanView>, Error> {
    let offer = state.addons.offer();
    let service = found(&offer, &path.service)?;
    let text = path.plan.unwrap_or_default();
    let unknown =
        || service::Error::NotFound(format!("The plan {} of {} does not exist.", shown(&text), service.name));
    let plan = service.plan(&text).ok_or_else(unknown)?;
    let mut view = AddonPlanView::new(service, plan, &Place::of(&state).await?);
    view.provisioned_by = Some(provisioned_by(&state, principal, plan.id).await?);
    Ok(Json(view))
}

fn found<'a>(offer: &'a AddonOffer, text: &str) -> Result<&'a AddonService, service::Error> {
    let unknown = || service::Error::NotFound(format!("The addon service {} does not exist.", shown(text)));
    offer.service(text).ok_or_else(unknown)
}

async fn provisioned_by(
    state: &ApiState,
    principal: Principal,
    plan: AddonPlanId,
) -> Result<Vec<ProvisionedView>, StoreError> {
    let mut all = state.store.read(move |c| store::addons::list_by_plan(c, plan)).await?;
    all.retain(|addon| principal.reach.includes(addon.app.organization));
    let view = |addon: &crate::model::addon::Addon| ProvisionedView {
        id: addon.id.uuid(),
        name: addon.name.to_string(),
    };
    Ok(all.iter().map(view).collect())
}

impl Place {
    async fn of(state: &ApiState) -> Result<Self, StoreError> {
        let since = state.store.read(store::installation::created_at).await?;
        Ok(Self { region: state.catalogue.load().region.name.clone(), since })
    }
}

impl PriceView {
    /// Of so many cents a month.
    pub(super) fn monthly(cents: u32) -> Self {
        Self { cents, unit: "month", contract: false }
    }
}

impl Listed for AddonServiceView {
    const PROPERTIES: &'static [Property<Self>] =
        &[Property::Text("name", |item| &item.name), Property::Id(|item| item.id)];
}

impl Listed for AddonPlanView {
    const PROPERTIES: &'static [Property<Self>] =
        &[Property::Text("name", |item| &item.name), Property::Id(|item| item.id)];
}

impl AddonServiceView {
    fn new(service: &AddonService, place: &Place) -> Self {
        Self {
            id: service.id.uuid(),
            name: service.name.to_string(),
            human_name: service.human_name.clone(),
            description: service.description.clone(),
            state: service.state.as_str(),
            cli_plugin_name: service.cli_plugin_name.clone(),
            available_regions: vec![place.region.clone()],
            supports_multiple_installations: service.supports_multiple_installations,
            supports_sharing: service.supports_sharing,
            supports_upgrading: service.plans.iter().any(|plan| plan.updateable),
            plans: service.plans.iter().map(|plan| AddonPlanView::new(service, plan, place)).collect(),
            created_at: place.since,
            updated_at: place.since,
        }
    }
}

impl AddonPlanView {
    fn new(service: &AddonService, plan: &AddonPlan, place: &Place) -> Self {
        let everywhere = || vec![place.region.clone()];
        Self {
            id: plan.id.uuid(),
            name: plan.name.to_string(),
            key: plan.name.to_string(),
            human_name: plan.human_name.clone(),
            description: plan.description.clone(),
            addon_service: PlanServiceView { id: service.id.uuid(), name: service.name.to_string() },
            attributes: plan.attributes.clone(),
            available_regions: if plan.regions.is_empty() { everywhere() } else { plan.regions.clone() },
            compliance: plan.compliance.clone(),
            default: plan.is_default,
            space_default: false,
            installable_inside_private_network: true,
            installable_outside_private_network: true,
            price: PriceView::monthly(plan.price),
            state: plan.state.as_str(),
            provisioned_by: None,
            created_at: place.since,
            updated_at: place.since,
        }
    }
}
