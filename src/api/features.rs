//! Features, as the section of that name documents them.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::auth::Policy;
use super::extract::{AppPath, Json, Path};
use super::page::{Listed, Page, Paging, Property};
use super::router::{Routes, routes};
use super::{ApiState, Error};
use crate::model::RuleError;
use crate::model::principal::Principal;
use crate::service::features::{self, Setting};

pub(super) fn router() -> Routes {
    Routes::new("features").route(Policy::User, routes!(list)).route(Policy::User, routes!(view, update))
}

/// Whether the feature shall be on.
#[derive(Deserialize, ToSchema)]
struct UpdateFeature {
    #[serde(default)]
    #[schema(value_type = bool, required)]
    enabled: Value,
}

/// A feature, and whether it is on for the app.
#[derive(Serialize, ToSchema)]
pub(super) struct FeatureView {
    id: Uuid,
    name: &'static str,
    display_name: String,
    description: String,
    /// `alpha`, `beta`, `public`, `ga` or `deprecated`.
    state: &'static str,
    doc_url: String,
    feedback_email: String,
    enabled: bool,
}

#[derive(Deserialize)]
struct FeaturePath {
    feature: String,
}

/// List the features of an app.
#[utoipa::path(get, path = "/apps/{app}/features", operation_id = "list_features",
    responses((status = 200, description = "All, on or off", body = Vec<FeatureView>)))]
async fn list(
    State(state): State<ApiState>,
    paging: Paging,
    AppPath(app): AppPath,
) -> Result<Page<FeatureView>, Error> {
    let catalogue = state.catalogue.load_full();
    let settings = state.store.read(move |c| features::list(c, &catalogue, app.id)).await?;
    paging.page(settings.into_iter().map(FeatureView::from).collect())
}

/// View a feature of an app.
#[utoipa::path(get, path = "/apps/{app}/features/{feature}", operation_id = "view_feature",
    params(("feature" = String, Path, description = "Name or id")),
    responses((status = 200, description = "The feature", body = FeatureView)))]
async fn view(
    State(state): State<ApiState>,
    AppPath(app): AppPath,
    Path(path): Path<FeaturePath>,
) -> Result<Json<FeatureView>, Error> {
    let catalogue = state.catalogue.load_full();
    let setting = state.store.read(move |c| features::find(c, &catalogue, app.id, &path.feature)).await?;
    Ok(Json(setting.into()))
}

/// Switch a feature of an app on or off.
#[utoipa::path(patch, path = "/apps/{app}/features/{feature}", operation_id = "update_feature",
    params(("feature" = String, Path, description = "Name or id")),
    request_body = UpdateFeature, responses((status = 200, description = "The feature", body = FeatureView)))]
async fn update(
    State(state): State<ApiState>,
    author: Principal,
    AppPath(app): AppPath,
    Path(path): Path<FeaturePath>,
    Json(body): Json<UpdateFeature>,
) -> Result<Json<FeatureView>, Error> {
    let Value::Bool(enabled) = body.enabled else {
        return Err(RuleError::new("The field enabled must be true or false.").into());
    };
    let catalogue = state.catalogue.load_full();
    let wanted = (path.feature.as_str(), enabled);
    Ok(Json(features::set(&state.store, &catalogue, &author, app.id, wanted).await?.into()))
}

impl Listed for FeatureView {
    const PROPERTIES: &'static [Property<Self>] =
        &[Property::Text("name", |item| item.name), Property::Id(|item| item.id)];
}

impl From<Setting> for FeatureView {
    fn from(Setting { offered, enabled }: Setting) -> Self {
        let name = offered.feature.as_str();
        Self {
            id: offered.id,
            name,
            display_name: offered.display_name,
            description: offered.description,
            state: offered.state.as_str(),
            doc_url: format!("/features/{name}"),
            feedback_email: offered.feedback_email,
            enabled,
        }
    }
}
