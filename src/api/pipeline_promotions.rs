//! Pipeline promotions and their targets, as the section Pipelines documents them.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::auth::Policy;
use super::extract::{Json, Path, parse_id};
use super::page::{Listed, Page, Paging, Property};
use super::pipelines::PipelineReferenceView;
use super::router::{Routes, routes};
use super::{ApiState, Error};
use crate::config::Dialect;
use crate::model::pipeline::{Promotion, PromotionTarget, Safety, TargetState};
use crate::model::principal::{Principal, Reach};
use crate::model::time::Timestamp;
use crate::service;
use crate::service::pipeline_promotions::{self, NewPromotion};
use crate::service::releases::Maker;

pub(super) fn router() -> Routes {
    Routes::new("pipelines")
        .route(Policy::User, routes!(create, list))
        .route(Policy::User, routes!(view))
        .route(Policy::User, routes!(list_targets))
}

/// A promotion to be made.
#[derive(Deserialize, ToSchema)]
struct CreatePromotion {
    pipeline: PromotionPipeline,
    source: PromotionSource,
    /// At least one app of the stage after the source's.
    targets: Vec<PromotionTargetApp>,
    /// `true` refuses when the config vars of source and target have different names; `false` lets an
    /// administrator pass over required status checks.
    safe: Option<bool>,
}

#[derive(Deserialize, ToSchema)]
struct PromotionPipeline {
    /// Id or name.
    id: String,
}

#[derive(Deserialize, ToSchema)]
struct PromotionSource {
    app: PromotionSourceApp,
}

#[derive(Deserialize, ToSchema)]
struct PromotionSourceApp {
    /// Id, key or name.
    id: String,
    release: Option<PromotionSourceRelease>,
}

/// The release to promote; the app's current one when absent.
#[derive(Deserialize, ToSchema)]
struct PromotionSourceRelease {
    id: String,
}

#[derive(Deserialize, ToSchema)]
struct PromotionTargetApp {
    app: PromotionApp,
}

#[derive(Deserialize, ToSchema)]
struct PromotionApp {
    /// Id, key or name.
    id: String,
}

/// A promotion.
#[derive(Serialize, ToSchema)]
struct PromotionView {
    id: Uuid,
    pipeline: PipelineReferenceView,
    source: PromotionSourceView,
    /// `pending` until every target has ended, then `successful` or `failed`.
    status: &'static str,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

#[derive(Serialize, ToSchema)]
struct PromotionSourceView {
    app: PromotionAppView,
    space: PromotionSpaceView,
    release: PromotionReleaseView,
}

#[derive(Serialize, ToSchema)]
struct PromotionAppView {
    id: Uuid,
    /// The short name, in both dialects: `aka` joins it with the space.
    name: String,
}

#[derive(Serialize, ToSchema)]
struct PromotionSpaceView {
    name: String,
}

#[derive(Serialize, ToSchema)]
struct PromotionReleaseView {
    id: Uuid,
}

/// One app that a promotion released to.
#[derive(Serialize, ToSchema)]
struct PromotionTargetView {
    id: Uuid,
    app: PromotionTargetAppView,
    pipeline_promotion: PromotionReferenceView,
    release: PromotionReleaseView,
    /// `pending`, `successful` or `failed`.
    status: &'static str,
    /// Why it failed; `""` otherwise.
    error_message: String,
}

#[derive(Serialize, ToSchema)]
struct PromotionTargetAppView {
    id: Uuid,
}

#[derive(Serialize, ToSchema)]
struct PromotionReferenceView {
    id: Uuid,
}

#[derive(Deserialize)]
struct PromotionPath {
    promotion: String,
}

/// Promote a release to the next stage.
///
/// Its slug is released on every target, or on none; the config vars of the targets stay.
#[utoipa::path(post, path = "/pipeline-promotions", operation_id = "create_pipeline_promotion",
    request_body = CreatePromotion, responses((status = 200, description = "Begun", body = PromotionView)))]
async fn create(
    State(state): State<ApiState>,
    dialect: Dialect,
    author: Principal,
    Json(body): Json<CreatePromotion>,
) -> Result<Json<PromotionView>, Error> {
    let release = body.source.app.release.map(|release| parse_id("release", &release.id)).transpose()?;
    let new = NewPromotion {
        pipeline: body.pipeline.id,
        source: body.source.app.id,
        release,
        targets: body.targets.into_iter().map(|target| target.app.id).collect(),
        safety: match body.safe {
            Some(true) => Safety::Safe,
            None => Safety::Unstated,
            Some(false) => Safety::Unsafe,
        },
    };
    let maker = Maker {
        sealer: state.sealer.clone(),
        ids: state.ids.clone(),
        default_size: state.catalogue.load().default_size.clone(),
    };
    let promotion = pipeline_promotions::create(&state.store, &maker, &author, new).await?;
    // A 200 although it creates, as documented (reading 14).
    Ok(Json(PromotionView::new(promotion, dialect)))
}

/// List all promotions.
#[utoipa::path(get, path = "/pipeline-promotions", operation_id = "list_pipeline_promotions",
    responses((status = 200, description = "All, oldest first", body = Vec<PromotionView>)))]
async fn list(
    State(state): State<ApiState>,
    principal: Principal,
    dialect: Dialect,
    paging: Paging,
) -> Result<Page<PromotionView>, Error> {
    let all = state.store.read(move |c| pipeline_promotions::list(c, &principal.reach)).await?;
    paging.page(all.into_iter().map(|promotion| PromotionView::new(promotion, dialect)).collect())
}

/// View a promotion.
#[utoipa::path(get, path = "/pipeline-promotions/{promotion}", operation_id = "view_pipeline_promotion",
    params(("promotion" = String, Path, description = "Id")),
    responses((status = 200, description = "The promotion", body = PromotionView)))]
async fn view(
    State(state): State<ApiState>,
    principal: Principal,
    dialect: Dialect,
    Path(path): Path<PromotionPath>,
) -> Result<Json<PromotionView>, Error> {
    Ok(Json(PromotionView::new(find(&state, principal.reach, path.promotion).await?, dialect)))
}

/// List the targets of a promotion.
#[utoipa::path(get, path = "/pipeline-promotions/{promotion}/promotion-targets",
    operation_id = "list_promotion_targets", params(("promotion" = String, Path, description = "Id")),
    responses((status = 200, description = "All, oldest first", body = Vec<PromotionTargetView>)))]
async fn list_targets(
    State(state): State<ApiState>,
    principal: Principal,
    paging: Paging,
    Path(path): Path<PromotionPath>,
) -> Result<Page<PromotionTargetView>, Error> {
    let promotion = find(&state, principal.reach, path.promotion).await?;
    paging.page(promotion.targets.into_iter().map(PromotionTargetView::from).collect())
}

async fn find(state: &ApiState, reach: Reach, text: String) -> Result<Promotion, service::Error> {
    state.store.read(move |connection| pipeline_promotions::resolve(connection, &reach, &text)).await
}

impl Listed for PromotionView {
    const PROPERTIES: &'static [Property<Self>] = &[
        Property::Time("created_at", |item| item.created_at),
        Property::Time("updated_at", |item| item.updated_at),
        Property::Id(|item| item.id),
    ];
}

impl Listed for PromotionTargetView {
    const PROPERTIES: &'static [Property<Self>] = &[Property::Id(|item| item.id)];
}

impl PromotionView {
    fn new(promotion: Promotion, dialect: Dialect) -> Self {
        Self {
            id: promotion.id.uuid(),
            status: dialect.promotion_status(promotion.status()).as_str(),
            created_at: promotion.created_at,
            updated_at: promotion.updated_at(),
            pipeline: promotion.pipeline.into(),
            source: PromotionSourceView {
                app: PromotionAppView {
                    id: promotion.source.id.uuid(),
                    name: promotion.source.name.to_string(),
                },
                space: PromotionSpaceView { name: promotion.source.space.to_string() },
                release: PromotionReleaseView { id: promotion.release.uuid() },
            },
        }
    }
}

impl From<PromotionTarget> for PromotionTargetView {
    fn from(target: PromotionTarget) -> Self {
        Self {
            id: target.id.uuid(),
            app: PromotionTargetAppView { id: target.app.uuid() },
            pipeline_promotion: PromotionReferenceView { id: target.promotion.uuid() },
            release: PromotionReleaseView { id: target.release.uuid() },
            status: target.state.status().as_str(),
            error_message: match target.state {
                TargetState::Failed { reason } => reason,
                TargetState::Pending | TargetState::Successful => String::new(),
            },
        }
    }
}
