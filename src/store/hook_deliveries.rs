//! Deliveries of events to hooks, which are also the results that the API shows. Payload and report are sealed.

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::{StoreError, Tx};
use crate::model::hook_delivery::{Delivery, DeliveryReport, Payload};
use crate::model::ids::{DeliveryId, HookId};
use crate::model::time::Timestamp;
use crate::seal::{SealPlace, Sealed, Sealer};

/// What one answer holds at most, together, in bytes of payloads and reports.
const LIST_BYTES: usize = 8 * 1024 * 1024;
/// Results that are kept for a hook whatever their age.
const KEPT_ALWAYS: u32 = 100;
/// Results that are kept for a hook at most, so that no hook fills the disk.
const KEPT_AT_MOST: u32 = 5000;
/// Rows that one removal takes, so that other writes are not kept waiting.
const REMOVED_AT_ONCE: u32 = 1000;

/// A delivery by id.
pub fn find(
    connection: &Connection,
    sealer: &Sealer,
    id: DeliveryId,
) -> Result<Option<Delivery>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM hook_deliveries WHERE id = ?1")?;
    let row = statement.query_row([id], StoredDelivery::from_row).optional()?;
    row.map(|row| row.open(sealer)).transpose()
}

/// The newest deliveries of a hook that were begun or are over, oldest first: at most `limit`, and fewer when they
/// are large.
pub fn list_begun(
    connection: &Connection,
    sealer: &Sealer,
    hook: HookId,
    limit: u32,
) -> Result<Vec<Delivery>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT * FROM hook_deliveries WHERE hook_id = ?1 AND (attempts > 0 OR state <> 'waiting')
         ORDER BY number DESC LIMIT ?2",
    )?;
    let rows = statement.query_map((hook, limit), StoredDelivery::from_row)?;
    let (mut found, mut bytes) = (Vec::new(), 0);
    for row in rows {
        let row = row?;
        bytes += row.payload.as_bytes().len() + row.report.as_bytes().len();
        if bytes > LIST_BYTES && !found.is_empty() {
            break;
        }
        found.push(row.open(sealer)?);
    }
    found.reverse();
    Ok(found)
}

/// Adds a delivery at the end of its hook's queue.
pub fn insert(tx: &Tx<'_>, sealer: &Sealer, delivery: &Delivery) -> Result<(), StoreError> {
    let row = delivery.id.to_string();
    tx.prepare_cached(
        "INSERT INTO hook_deliveries (id, hook_id, event, author, payload, state, attempts, report, created_at, updated_at)
         VALUES (:id, :hook_id, :event, :author, :payload, :state, :attempts, :report, :created_at, :updated_at)",
    )?
    .execute(named_params! {
        ":id": delivery.id,
        ":hook_id": delivery.hook_id,
        ":event": delivery.event,
        ":author": delivery.author,
        ":payload": sealer.seal(place(&row, "payload"), delivery.payload.reveal())?,
        ":state": delivery.state,
        ":attempts": delivery.attempts,
        ":report": seal_report(sealer, &row, &delivery.report)?,
        ":created_at": delivery.created_at,
        ":updated_at": delivery.updated_at,
    })?;
    Ok(())
}

/// Stores how a delivery stands and what its attempts met.
pub fn update(tx: &Tx<'_>, sealer: &Sealer, delivery: &Delivery) -> Result<(), StoreError> {
    tx.prepare_cached(
        "UPDATE hook_deliveries SET state = ?2, attempts = ?3, report = ?4, updated_at = ?5 WHERE id = ?1",
    )?
    .execute((
        delivery.id,
        delivery.state,
        delivery.attempts,
        seal_report(sealer, &delivery.id.to_string(), &delivery.report)?,
        tx.now(),
    ))?;
    Ok(())
}

/// Gives up the deliveries of a hook that have waited since before `oldest` without an attempt, at most `limit`
/// of them, and returns how many there were.
pub fn give_up_older(
    tx: &Tx<'_>,
    sealer: &Sealer,
    hook: HookId,
    (oldest, limit): (Timestamp, u32),
    report: &DeliveryReport,
) -> Result<usize, StoreError> {
    let mut statement = tx.prepare_cached(
        "SELECT id FROM hook_deliveries
         WHERE hook_id = ?1 AND state = 'waiting' AND attempts = 0 AND created_at < ?2 ORDER BY number LIMIT ?3",
    )?;
    let rows = statement.query_map((hook, oldest, limit), |row| row.get(0))?;
    let ids: Vec<DeliveryId> = rows.collect::<Result<_, _>>()?;
    for id in &ids {
        tx.prepare_cached(
            "UPDATE hook_deliveries SET state = 'failed', report = ?2, updated_at = ?3 WHERE id = ?1",
        )?
        .execute((id, seal_report(sealer, &id.to_string(), report)?, tx.now()))?;
    }
    Ok(ids.len())
}

/// Removes results that are older than `oldest` and beyond the newest 100 of their hook, and those beyond the
/// newest 5000 of any age; at most 1000 in one call. Returns whether it stopped at that limit.
pub fn remove_old(tx: &Tx<'_>, oldest: Timestamp) -> Result<bool, StoreError> {
    let removed = tx
        .prepare_cached(
            "DELETE FROM hook_deliveries WHERE number IN (
                SELECT number FROM (
                    SELECT number, created_at,
                        row_number() OVER (PARTITION BY hook_id ORDER BY number DESC) AS place
                    FROM hook_deliveries WHERE state <> 'waiting')
                WHERE place > :most OR (place > :always AND created_at < :oldest) LIMIT :limit)",
        )?
        .execute(named_params! {
            ":most": KEPT_AT_MOST, ":always": KEPT_ALWAYS, ":oldest": oldest, ":limit": REMOVED_AT_ONCE,
        })?;
    Ok(removed >= REMOVED_AT_ONCE as usize)
}

fn seal_report(sealer: &Sealer, row: &str, report: &DeliveryReport) -> Result<Sealed, StoreError> {
    let json = serde_json::to_string(report).map_err(|error| StoreError::Content(error.to_string()))?;
    Ok(sealer.seal(place(row, "report"), &json)?)
}

fn place<'a>(row: &'a str, column: &'a str) -> SealPlace<'a> {
    SealPlace { table: "hook_deliveries", row, column }
}

/// A row whose sealed values are still closed: the delivery with the stand-ins replaced on opening.
struct StoredDelivery {
    payload: Sealed,
    report: Sealed,
    open: Delivery,
}

impl StoredDelivery {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let open = Delivery {
            id: row.get("id")?,
            hook_id: row.get("hook_id")?,
            event: row.get("event")?,
            author: row.get("author")?,
            payload: Payload::new(String::new()),
            state: row.get("state")?,
            attempts: row.get("attempts")?,
            report: DeliveryReport::default(),
            created_at: row.get("created_at")?,
            updated_at: row.get("updated_at")?,
        };
        Ok(Self { payload: row.get("payload")?, report: row.get("report")?, open })
    }

    fn open(self, sealer: &Sealer) -> Result<Delivery, StoreError> {
        let row = self.open.id.to_string();
        let payload = Payload::new(sealer.open_text(place(&row, "payload"), &self.payload)?);
        let report = sealer.open_text(place(&row, "report"), &self.report)?;
        let report = serde_json::from_str(&report).map_err(|error| StoreError::Content(error.to_string()))?;
        Ok(Delivery { payload, report, ..self.open })
    }
}
