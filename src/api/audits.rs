//! Audits, as the section of that name documents them, with the fields that `aka` reads beside them.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::auth::Policy;
use super::extract::Query;
use super::features::FeatureView;
use super::page::{Listed, Page, Paging, Property};
use super::range::Order;
use super::router::{Routes, routes};
use super::{ApiState, Error};
use crate::model::RuleError;
use crate::model::principal::Principal;
use crate::model::rule::shown;
use crate::model::time::Timestamp;
use crate::service::audits::{self, Audit, DEFAULT_SIZE, LARGEST_SIZE};
use crate::store::events::EventFilter;

pub(super) fn router() -> Routes {
    Routes::new("audits").route(Policy::User, routes!(list))
}

/// Which audits are wanted.
#[derive(Debug, Default, Deserialize)]
struct AuditQuery {
    app: Option<String>,
    space: Option<String>,
    user: Option<String>,
    size: Option<String>,
}

/// One change: what, who, when.
#[derive(Serialize, ToSchema)]
struct AuditView {
    /// 1, 2, 3 … in the order of the changes.
    id: i64,
    /// The documented name of the event, such as `config_change`.
    action: String,
    /// The app that it is about; null for what is about none.
    app: Option<AuditAppView>,
    space: Option<AuditSpaceView>,
    /// Each has `type` and `name`, and `value` where that is no secret.
    #[schema(value_type = Vec<Object>)]
    changes: Vec<Value>,
    /// The switched feature, for `feature_change`.
    #[serde(skip_serializing_if = "Option::is_none")]
    feature: Option<FeatureView>,
    username: String,
    #[schema(value_type = String, format = DateTime)]
    timestamp: Timestamp,
    /// The same as `timestamp`, as `aka` reads it.
    #[schema(value_type = String, format = DateTime)]
    received_at: Timestamp,
    /// The whole event as JSON text.
    info: String,
}

#[derive(Serialize, ToSchema)]
struct AuditAppView {
    id: Uuid,
    name: String,
}

#[derive(Serialize, ToSchema)]
struct AuditSpaceView {
    name: String,
}

/// List the newest changes.
#[utoipa::path(get, path = "/audits", operation_id = "list_audits",
    params(
        ("app" = Option<String>, Query, description = "Short name of an app"),
        ("space" = Option<String>, Query, description = "Name of a space"),
        ("user" = Option<String>, Query, description = "Who made the change"),
        ("size" = Option<u32>, Query, description = "Of how many, 1 to 1000; 10 when absent, 1000 with a Range")),
    responses((status = 200, description = "Newest first", body = Vec<AuditView>)))]
async fn list(
    State(state): State<ApiState>,
    principal: Principal,
    paging: Paging,
    Query(query): Query<AuditQuery>,
) -> Result<Page<AuditView>, Error> {
    let unasked = if paging.is_asked() { LARGEST_SIZE } else { DEFAULT_SIZE };
    let size = query.size.as_deref().map_or(Ok(unasked), parse_size)?;
    let filter = EventFilter {
        app: lower(query.app),
        space: lower(query.space),
        user: lower(query.user),
        within: principal.reach.memberships().cloned(),
    };
    let catalogue = state.catalogue.load_full();
    let found = state.store.read(move |c| audits::list(c, &catalogue, &filter, size)).await?;
    paging.page(found.into_iter().map(AuditView::from).collect())
}

fn parse_size(text: &str) -> Result<u32, RuleError> {
    text.parse().ok().filter(|size| (1..=LARGEST_SIZE).contains(size)).ok_or_else(|| {
        RuleError::new(format!("The size \"{}\" is not a number from 1 to {LARGEST_SIZE}.", shown(text)))
    })
}

/// Names are stored in lower case.
fn lower(name: Option<String>) -> Option<String> {
    name.map(|name| name.trim().to_ascii_lowercase())
}

impl Listed for AuditView {
    const PROPERTIES: &'static [Property<Self>] =
        &[Property::Time("received_at", |item| item.received_at), Property::Number("id", |item| item.id)];
    const ORDER: Order = Order::Descending;
}

impl From<Audit> for AuditView {
    fn from(audit: Audit) -> Self {
        let app =
            audit.app.as_ref().map(|app| AuditAppView { id: app.id.uuid(), name: app.name.to_string() });
        let space = audit.app.as_ref().map(|app| AuditSpaceView { name: app.space.to_string() });
        let mut info: Map<String, Value> = audit.details;
        info.insert("action".to_owned(), json!(audit.action));
        info.insert("app".to_owned(), json!(app));
        info.insert("space".to_owned(), json!(space));
        info.insert("changes".to_owned(), json!(audit.changes));
        let feature = audit.feature.map(FeatureView::from);
        if let Some(feature) = &feature {
            info.insert("feature".to_owned(), json!(feature));
        }
        Self {
            id: audit.id,
            action: audit.action,
            app,
            space,
            changes: audit.changes,
            feature,
            username: audit.author.to_string(),
            timestamp: audit.at,
            received_at: audit.at,
            info: Value::Object(info).to_string(),
        }
    }
}
