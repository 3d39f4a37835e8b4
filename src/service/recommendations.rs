//! Recommendations: naming one, making it or renewing it, and taking it back.

use serde_json::{Map, Value};

use super::{Error, apps};
use crate::ids::Ids;
use crate::model::event::Event;
use crate::model::ids::{AppId, RecommendationId};
use crate::model::principal::Principal;
use crate::model::recommendation::{Details, Recommendation, Topic};
use crate::store::{self, Connection, Store};

/// A recommendation to be made, as the client wrote it.
#[derive(Debug, Clone)]
pub struct NewRecommendation {
    pub service: String,
    /// Name or id.
    pub resource_type: String,
    pub action: String,
    pub details: Map<String, Value>,
}

/// Which recommendation of an app.
#[derive(Debug, Clone)]
pub enum Selector {
    Id(RecommendationId),
    Topic(Topic),
}

/// The recommendation that a selector names, if it is one for the app.
pub fn resolve(connection: &Connection, app: AppId, selector: &Selector) -> Result<Recommendation, Error> {
    let (found, what) = match selector {
        Selector::Id(id) => (store::recommendations::find(connection, app, *id)?, id.to_string()),
        Selector::Topic(topic) => (
            store::recommendations::find_by_topic(connection, app, topic)?,
            format!("of {} to {} the {}", topic.service, topic.action, topic.resource_type),
        ),
    };
    found.ok_or_else(|| Error::NotFound(format!("The recommendation {what} does not exist for this app.")))
}

/// Makes a recommendation. The app has one on each topic: when it is there already, its details are replaced
/// (`behaviour.md` §34).
pub async fn create(
    store: &Store,
    ids: &Ids,
    author: &Principal,
    app: AppId,
    new: NewRecommendation,
) -> Result<Recommendation, Error> {
    let topic = Topic::parse(&new.service, &new.resource_type, &new.action)?;
    let details = Details::parse(topic.action, &new.details)?;
    let id = RecommendationId::new(ids.next());
    store
        .write(author, move |tx| {
            apps::still(tx, app)?;
            if let Some(mut recommendation) = store::recommendations::find_by_topic(tx, app, &topic)? {
                recommendation.details = details;
                recommendation.updated_at = tx.now();
                store::recommendations::update(tx, &recommendation)?;
                tx.record(Event::RecommendationUpdated { app, recommendation: recommendation.id })?;
                return Ok(recommendation);
            }
            let (created_at, updated_at) = (tx.now(), tx.now());
            let recommendation = Recommendation { id, app_id: app, topic, details, created_at, updated_at };
            store::recommendations::insert(tx, &recommendation)?;
            tx.record(Event::RecommendationCreated { app, recommendation: id })?;
            Ok(recommendation)
        })
        .await
}

/// Takes a recommendation back.
pub async fn delete(
    store: &Store,
    author: &Principal,
    app: AppId,
    selector: Selector,
) -> Result<Recommendation, Error> {
    store
        .write(author, move |tx| {
            apps::still(tx, app)?;
            let recommendation = resolve(tx, app, &selector)?;
            store::recommendations::remove(tx, recommendation.id)?;
            tx.record(Event::RecommendationDeleted { app, recommendation: recommendation.id })?;
            Ok(recommendation)
        })
        .await
}
