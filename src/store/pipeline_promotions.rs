//! Promotions with their targets, whose states are those of the releases they made.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Row};

use super::{StoreError, Tx, releases};
use crate::model::ids::PromotionId;
use crate::model::pipeline::{AppReference, PipelineReference, Promotion, PromotionTarget, TargetState};

const SELECT: &str = "SELECT pipeline_promotions.*, pipelines.name AS pipeline_name,
        apps.name AS app_name, apps.organization_id, spaces.name AS space_name
    FROM pipeline_promotions JOIN pipelines ON pipelines.id = pipeline_promotions.pipeline_id
    JOIN apps ON apps.id = pipeline_promotions.source_app_id JOIN spaces ON spaces.id = apps.space_id";

const SELECT_TARGETS: &str = "SELECT pipeline_promotion_targets.*, releases.app_id, releases.status,
        releases.status_at, releases.reason, releases.updated_at, apps.deleted_at IS NOT NULL AS app_is_deleted
    FROM pipeline_promotion_targets JOIN releases ON releases.id = pipeline_promotion_targets.release_id
    JOIN apps ON apps.id = releases.app_id";

/// The promotion of that id.
pub fn find(connection: &Connection, id: PromotionId) -> Result<Option<Promotion>, StoreError> {
    let mut statement = connection.prepare_cached(&format!("{SELECT} WHERE pipeline_promotions.id = ?1"))?;
    let Some(mut promotion) = statement.query_row([id], from_row).optional()? else { return Ok(None) };
    let mut statement = connection.prepare_cached(&format!(
        "{SELECT_TARGETS} WHERE pipeline_promotion_targets.promotion_id = ?1 ORDER BY pipeline_promotion_targets.id"
    ))?;
    promotion.targets = statement.query_map([id], target_from_row)?.collect::<Result<_, _>>()?;
    Ok(Some(promotion))
}

/// Every promotion, oldest first.
pub fn list(connection: &Connection) -> Result<Vec<Promotion>, StoreError> {
    let mut statement =
        connection.prepare_cached(&format!("{SELECT_TARGETS} ORDER BY pipeline_promotion_targets.id"))?;
    let mut targets: HashMap<PromotionId, Vec<PromotionTarget>> = HashMap::new();
    for target in statement.query_map([], target_from_row)? {
        let target = target?;
        targets.entry(target.promotion).or_default().push(target);
    }
    let mut statement = connection.prepare_cached(&format!(
        "{SELECT} ORDER BY pipeline_promotions.created_at, pipeline_promotions.id"
    ))?;
    let rows = statement.query_map([], |row| {
        let mut promotion = from_row(row)?;
        promotion.targets = targets.remove(&promotion.id).unwrap_or_default();
        Ok(promotion)
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Adds a promotion with its targets, whose releases exist.
pub fn insert(tx: &Tx<'_>, promotion: &Promotion) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO pipeline_promotions (id, pipeline_id, source_app_id, source_release_id, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute((
        promotion.id,
        promotion.pipeline.id,
        promotion.source.id,
        promotion.release,
        promotion.created_at,
    ))?;
    for target in &promotion.targets {
        tx.prepare_cached(
            "INSERT INTO pipeline_promotion_targets (id, promotion_id, release_id) VALUES (?1, ?2, ?3)",
        )?
        .execute((target.id, promotion.id, target.release))?;
    }
    Ok(())
}

/// Without its targets, which lie in rows of their own.
fn from_row(row: &Row<'_>) -> rusqlite::Result<Promotion> {
    Ok(Promotion {
        id: row.get("id")?,
        pipeline: PipelineReference { id: row.get("pipeline_id")?, name: row.get("pipeline_name")? },
        source: AppReference {
            id: row.get("source_app_id")?,
            name: row.get("app_name")?,
            space: row.get("space_name")?,
            organization: row.get("organization_id")?,
        },
        release: row.get("source_release_id")?,
        targets: Vec::new(),
        created_at: row.get("created_at")?,
    })
}

fn target_from_row(row: &Row<'_>) -> rusqlite::Result<PromotionTarget> {
    let release = releases::state_from_row(row)?;
    let state = if row.get("app_is_deleted")? {
        TargetState::of_deleted_app(release)
    } else {
        TargetState::of(release)
    };
    Ok(PromotionTarget {
        id: row.get("id")?,
        promotion: row.get("promotion_id")?,
        app: row.get("app_id")?,
        release: row.get("release_id")?,
        state,
        updated_at: row.get("updated_at")?,
    })
}
