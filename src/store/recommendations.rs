//! Recommendations.

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::{StoreError, Tx};
use crate::model::ids::{AppId, RecommendationId};
use crate::model::recommendation::{Recommendation, Topic};

/// The recommendation of that id, if it is one for the app.
pub fn find(
    connection: &Connection,
    app: AppId,
    id: RecommendationId,
) -> Result<Option<Recommendation>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT * FROM recommendations WHERE app_id = ?1 AND id = ?2")?;
    Ok(statement.query_row((app, id), from_row).optional()?)
}

/// The one recommendation for the app on a topic.
pub fn find_by_topic(
    connection: &Connection,
    app: AppId,
    topic: &Topic,
) -> Result<Option<Recommendation>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT * FROM recommendations WHERE app_id = ?1 AND service = ?2 AND resource_type = ?3 AND action = ?4",
    )?;
    let key = (app, &topic.service, topic.resource_type, topic.action);
    Ok(statement.query_row(key, from_row).optional()?)
}

/// Every recommendation for the app, oldest first.
pub fn list(connection: &Connection, app: AppId) -> Result<Vec<Recommendation>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT * FROM recommendations WHERE app_id = ?1 ORDER BY created_at, id")?;
    let rows = statement.query_map([app], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Adds a recommendation; [`StoreError::Exists`] when the app has one on the topic.
pub fn insert(tx: &Tx<'_>, recommendation: &Recommendation) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO recommendations (id, app_id, service, resource_type, action, details, created_at, updated_at)
         VALUES (:id, :app_id, :service, :resource_type, :action, :details, :created_at, :updated_at)",
    )?
    .execute(named_params! {
        ":id": recommendation.id,
        ":app_id": recommendation.app_id,
        ":service": recommendation.topic.service,
        ":resource_type": recommendation.topic.resource_type,
        ":action": recommendation.topic.action,
        ":details": recommendation.details,
        ":created_at": recommendation.created_at,
        ":updated_at": recommendation.updated_at,
    })?;
    Ok(())
}

/// Stores the details and the time of the change.
pub fn update(tx: &Tx<'_>, recommendation: &Recommendation) -> Result<(), StoreError> {
    tx.prepare_cached("UPDATE recommendations SET details = ?2, updated_at = ?3 WHERE id = ?1")?
        .execute((recommendation.id, &recommendation.details, recommendation.updated_at))?;
    Ok(())
}

/// Forgets a recommendation.
pub fn remove(tx: &Tx<'_>, id: RecommendationId) -> Result<(), StoreError> {
    tx.prepare_cached("DELETE FROM recommendations WHERE id = ?1")?.execute([id])?;
    Ok(())
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Recommendation> {
    Ok(Recommendation {
        id: row.get("id")?,
        app_id: row.get("app_id")?,
        topic: Topic {
            service: row.get("service")?,
            resource_type: row.get("resource_type")?,
            action: row.get("action")?,
        },
        details: row.get("details")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    })
}
