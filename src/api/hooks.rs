//! What hooks can ask for.

use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::Error;
use super::auth::Policy;
use super::page::{Listed, Page, Paging, Property};
use super::router::Routes;
use crate::model::hook::HookEvent;

pub(super) fn router() -> Routes {
    Routes::new("hooks").route(Policy::User, routes!(list_events))
}

/// An event that a hook can ask for.
#[derive(Serialize, ToSchema)]
struct HookEventView {
    r#type: &'static str,
    description: &'static str,
}

/// List the events that a hook can ask for.
#[utoipa::path(get, path = "/docs/hooks", operation_id = "list_hook_events",
    responses((status = 200, description = "All", body = Vec<HookEventView>)))]
async fn list_events(paging: Paging) -> Result<Page<HookEventView>, Error> {
    let view = |event: &HookEvent| HookEventView { r#type: event.as_str(), description: event.description() };
    paging.page(HookEvent::ALL.iter().map(view).collect())
}

impl Listed for HookEventView {
    const PROPERTIES: &'static [Property<Self>] = &[Property::Text("type", |item| item.r#type)];
}
