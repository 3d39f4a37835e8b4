//! Recommendations, which no document describes: `behaviour.md` §34.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use super::auth::Policy;
use super::extract::{AppPath, Json, Query, parse_id};
use super::page::{Listed, Page, Paging, Property};
use super::respond::Created;
use super::router::{Routes, routes};
use super::{ApiState, Error};
use crate::config::Dialect;
use crate::model::app::App;
use crate::model::principal::Principal;
use crate::model::recommendation::{Action, Recommendation, ResourceType, Topic};
use crate::model::time::Timestamp;
use crate::service;
use crate::service::recommendations::{self, NewRecommendation, Selector};
use crate::store;

pub(super) fn router() -> Routes {
    Routes::new("recommendations")
        .route(Policy::User, routes!(create, list, delete))
        .route(Policy::User, routes!(list_resource_types))
}

/// A recommendation to be made.
#[derive(Deserialize, ToSchema)]
struct CreateRecommendation {
    /// Who recommends.
    #[serde(default)]
    #[schema(required)]
    service: String,
    /// Name or id.
    #[serde(default)]
    #[schema(required)]
    resource_type: String,
    #[serde(default)]
    #[schema(required)]
    action: String,
    /// The fields that the action needs, and no others.
    #[serde(default)]
    #[schema(required, value_type = Object)]
    details: Map<String, Value>,
}

/// A recommendation for an app.
#[derive(Serialize, ToSchema)]
struct RecommendationView {
    id: Uuid,
    app: RecommendationAppView,
    service: String,
    resource_type: ResourceTypeReference,
    action: &'static str,
    #[schema(value_type = Object)]
    details: BTreeMap<&'static str, Value>,
    #[schema(value_type = String, format = DateTime)]
    created: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated: Timestamp,
}

/// All recommendations of an app, or the one that the query names.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it only describes the answer")]
enum FoundRecommendations {
    All(Vec<RecommendationView>),
    One(RecommendationView),
}

/// A recommendation that is no more.
#[derive(Serialize, ToSchema)]
struct DeletedRecommendationView {
    recommendation: RecommendationView,
    /// Always `successful`.
    result: &'static str,
}

/// The app of a recommendation.
#[derive(Serialize, ToSchema)]
struct RecommendationAppView {
    id: Uuid,
    name: String,
    key: String,
}

/// What a recommendation is about: the name alone in the answer to its creation.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum ResourceTypeReference {
    Name(&'static str),
    Object { id: Uuid, name: &'static str },
}

/// What recommendations can be about, and what they can say.
#[derive(Serialize, ToSchema)]
struct ResourceTypeView {
    resource_type_uuid: Uuid,
    name: &'static str,
    /// Separated by commas.
    actions: String,
    details: ResourceTypeDetailsView,
}

/// What the details of a recommendation must hold.
#[derive(Serialize, ToSchema)]
struct ResourceTypeDetailsView {
    description: &'static str,
    /// The fields of each action.
    #[schema(value_type = Object)]
    action_fields: BTreeMap<&'static str, Vec<&'static str>>,
}

#[derive(Default, Deserialize)]
struct SelectRecommendation {
    recommendation: Option<String>,
    service: Option<String>,
    resource_type: Option<String>,
    action: Option<String>,
}

/// Recommend something.
///
/// An app has one recommendation for each service, resource type and action; posting it again replaces its
/// details.
#[utoipa::path(post, path = "/apps/{app}/recommendations", operation_id = "create_recommendation",
    request_body = CreateRecommendation,
    responses((status = 201, description = "The recommendation", body = RecommendationView)))]
async fn create(
    State(state): State<ApiState>,
    author: Principal,
    dialect: Dialect,
    AppPath(app): AppPath,
    Json(body): Json<CreateRecommendation>,
) -> Result<Created<RecommendationView>, Error> {
    let new = NewRecommendation {
        service: body.service,
        resource_type: body.resource_type,
        action: body.action,
        details: body.details,
    };
    let made = recommendations::create(&state.store, &state.ids, &author, app.id, new).await?;
    let name = ResourceTypeReference::Name(made.topic.resource_type.as_str());
    Ok(Created(RecommendationView { resource_type: name, ..RecommendationView::new(made, &app, dialect) }))
}

/// List the recommendations for an app.
///
/// With an id, or with service, resource type and action together, the one that they name.
#[utoipa::path(get, path = "/apps/{app}/recommendations", operation_id = "list_recommendations",
    params(("recommendation" = Option<Uuid>, Query, description = "Id"),
        ("service" = Option<String>, Query, description = "Who recommends"),
        ("resource_type" = Option<String>, Query, description = "Name or id"),
        ("action" = Option<String>, Query, description = "What is recommended")),
    responses((status = 200, description = "All, oldest first, or one", body = inline(FoundRecommendations))))]
async fn list(
    State(state): State<ApiState>,
    dialect: Dialect,
    paging: Paging,
    AppPath(app): AppPath,
    Query(query): Query<SelectRecommendation>,
) -> Result<Response, Error> {
    let id = app.id;
    if let Some(selector) = query.selector()? {
        let one = state.store.read(move |c| recommendations::resolve(c, id, &selector)).await?;
        return Ok(Json(RecommendationView::new(one, &app, dialect)).into_response());
    }
    let all = state.store.read(move |c| store::recommendations::list(c, id)).await?;
    let views = all.into_iter().map(|one| RecommendationView::new(one, &app, dialect));
    Ok(paging.page(views.collect())?.into_response())
}

/// Take a recommendation back.
///
/// It is named by its id, or by service, resource type and action together.
#[utoipa::path(delete, path = "/apps/{app}/recommendations", operation_id = "delete_recommendation",
    params(("recommendation" = Option<Uuid>, Query, description = "Id"),
        ("service" = Option<String>, Query, description = "Who recommends"),
        ("resource_type" = Option<String>, Query, description = "Name or id"),
        ("action" = Option<String>, Query, description = "What is recommended")),
    responses((status = 200, description = "The recommendation that was", body = DeletedRecommendationView)))]
async fn delete(
    State(state): State<ApiState>,
    author: Principal,
    dialect: Dialect,
    AppPath(app): AppPath,
    Query(query): Query<SelectRecommendation>,
) -> Result<Json<DeletedRecommendationView>, Error> {
    let selector = query.selector()?.ok_or_else(unselected)?;
    let gone = recommendations::delete(&state.store, &author, app.id, selector).await?;
    let recommendation = RecommendationView::new(gone, &app, dialect);
    Ok(Json(DeletedRecommendationView { recommendation, result: "successful" }))
}

/// List what recommendations can be about.
#[utoipa::path(get, path = "/docs/recommendation_resource_types",
    operation_id = "list_recommendation_resource_types",
    responses((status = 200, description = "All", body = Vec<ResourceTypeView>)))]
async fn list_resource_types(paging: Paging) -> Result<Page<ResourceTypeView>, Error> {
    paging.page(ResourceType::ALL.iter().map(|kind| ResourceTypeView::new(*kind)).collect())
}

impl Listed for RecommendationView {
    const PROPERTIES: &'static [Property<Self>] = &[
        Property::Time("created", |item| item.created),
        Property::Time("updated", |item| item.updated),
        Property::Id(|item| item.id),
    ];
}

impl Listed for ResourceTypeView {
    const PROPERTIES: &'static [Property<Self>] =
        &[Property::Text("name", |item| item.name), Property::Id(|item| item.resource_type_uuid)];
}

impl SelectRecommendation {
    /// `None` when the query selects nothing; an error when it does so by half.
    fn selector(self) -> Result<Option<Selector>, Error> {
        if let Some(id) = self.recommendation {
            return Ok(Some(Selector::Id(parse_id("recommendation", &id)?)));
        }
        match (self.service, self.resource_type, self.action) {
            (None, None, None) => Ok(None),
            (Some(service), Some(resource_type), Some(action)) => {
                let topic = Topic::parse(&service, &resource_type, &action);
                let topic = topic.map_err(|error| service::Error::NotFound(error.to_string()))?;
                Ok(Some(Selector::Topic(topic)))
            }
            (_, _, _) => Err(unselected().into()),
        }
    }
}

fn unselected() -> service::Error {
    service::Error::BadRequest(
        "Name the recommendation in the query: by recommendation=<id>, or by service, resource_type and action."
            .to_owned(),
    )
}

impl RecommendationView {
    fn new(recommendation: Recommendation, app: &App, dialect: Dialect) -> Self {
        let Recommendation { id, topic, details, created_at, updated_at, .. } = recommendation;
        Self {
            id: id.uuid(),
            app: RecommendationAppView {
                id: app.id.uuid(),
                name: dialect.app_name(app),
                key: app.key().to_string(),
            },
            service: topic.service,
            resource_type: ResourceTypeReference::Object {
                id: topic.resource_type.id(),
                name: topic.resource_type.as_str(),
            },
            action: topic.action.as_str(),
            details: details.iter().map(|(field, value)| (field.as_str(), dialect.detail(value))).collect(),
            created: created_at,
            updated: updated_at,
        }
    }
}

impl ResourceTypeView {
    fn new(kind: ResourceType) -> Self {
        let actions = kind.actions();
        let fields =
            |action: &Action| (action.as_str(), action.fields().iter().map(|field| field.as_str()).collect());
        Self {
            resource_type_uuid: kind.id(),
            name: kind.as_str(),
            actions: actions.iter().map(|action| action.as_str()).collect::<Vec<_>>().join(","),
            details: ResourceTypeDetailsView {
                description: kind.description(),
                action_fields: actions.iter().map(fields).collect(),
            },
        }
    }
}
