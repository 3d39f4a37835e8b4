//! The catalogue of each broker as it was last fetched.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::{StoreError, Tx};
use crate::model::addon_service::BrokerName;

/// The catalogues by their brokers' names, each in the broker's own words.
pub fn list(connection: &Connection) -> Result<BTreeMap<String, String>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT broker, catalogue FROM broker_catalogues")?;
    let rows = statement.query_map([], |row| Ok((row.get("broker")?, row.get("catalogue")?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Keeps a broker's catalogue instead of the one before.
pub fn set(tx: &Tx<'_>, broker: &BrokerName, catalogue: &str) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO broker_catalogues (broker, catalogue, fetched_at) VALUES (?1, ?2, ?3)
         ON CONFLICT (broker) DO UPDATE SET catalogue = excluded.catalogue, fetched_at = excluded.fetched_at",
    )?
    .execute((broker.as_str(), catalogue, tx.now()))?;
    Ok(())
}
