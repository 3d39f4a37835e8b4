//! The queues of the hooks: which delivery is due, and who has it.
//!
//! Invariant: a lease is on the hook, so that one delivery of a hook is on its way at a time and they leave in
//! the order of their events. A lease that is not given back lapses.

use rusqlite::{Connection, OptionalExtension};

use super::{StoreError, Tx};
use crate::model::hook::HookHealth;
use crate::model::ids::{DeliveryId, HookId};
use crate::model::time::Timestamp;

/// A delivery that its holder shall attempt now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    pub hook: HookId,
    pub delivery: DeliveryId,
}

/// When the next lease can be had, now or later; `None` when nothing waits.
pub fn next_due(connection: &Connection) -> Result<Option<Timestamp>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT due_at FROM hooks WHERE due_at IS NOT NULL AND active = 1 ORDER BY due_at LIMIT 1",
    )?;
    Ok(statement.query_row([], |row| row.get(0)).optional()?)
}

/// Leases the oldest waiting delivery of each hook that is due, longest due first and at most `limit`, and counts
/// an attempt for each.
pub fn lease(tx: &Tx<'_>, until: Timestamp, limit: usize) -> Result<Vec<Lease>, StoreError> {
    let mut due = tx.prepare_cached(
        "SELECT id FROM hooks WHERE due_at <= ?1 AND active = 1 ORDER BY due_at, id LIMIT ?2",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let hooks: Vec<HookId> = due.query_map((tx.now(), limit), |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut leases = Vec::with_capacity(hooks.len());
    for hook in hooks {
        match oldest_waiting(tx, hook)? {
            Some(delivery) => {
                tx.prepare_cached("UPDATE hook_deliveries SET attempts = attempts + 1 WHERE id = ?1")?
                    .execute([delivery])?;
                tx.prepare_cached("UPDATE hooks SET leased = 1, due_at = ?2 WHERE id = ?1")?
                    .execute((hook, until))?;
                leases.push(Lease { hook, delivery });
            }
            None => give_back(tx, hook, None)?,
        }
    }
    Ok(leases)
}

/// Gives every lease back: those who had them are gone with the process that this one follows.
pub fn give_all_back(tx: &Tx<'_>) -> Result<(), StoreError> {
    tx.execute("UPDATE hooks SET leased = 0, due_at = ?1 WHERE leased = 1", [tx.now()])?;
    Ok(())
}

/// Gives a lease back and stores how the endpoint behaves. `finished` deliveries have left the queue, which is due
/// at `retry_at`, or when that is `None` at once, but not before the end of a suspension.
pub fn settle(
    tx: &Tx<'_>,
    hook: HookId,
    health: HookHealth,
    finished: usize,
    retry_at: Option<Timestamp>,
) -> Result<(), StoreError> {
    let finished = i64::try_from(finished).unwrap_or(i64::MAX);
    tx.prepare_cached(
        "UPDATE hooks SET failures = ?2, suspensions = ?3, suspended_until = ?4, waiting = max(0, waiting - ?5)
         WHERE id = ?1",
    )?
    .execute((hook, health.failures, health.suspensions, health.suspended_until, finished))?;
    let due = match retry_at {
        Some(at) => Some(at),
        None if oldest_waiting(tx, hook)?.is_some() => Some(earliest(tx.now(), health.suspended_until)),
        None => None,
    };
    give_back(tx, hook, due)
}

/// Counts a new waiting delivery, and makes its hook due unless it is already.
pub fn lengthen(tx: &Tx<'_>, hook: HookId) -> Result<(), StoreError> {
    tx.prepare_cached(
        "UPDATE hooks SET waiting = waiting + 1,
            due_at = coalesce(due_at, max(?2, coalesce(suspended_until, ?2))) WHERE id = ?1",
    )?
    .execute((hook, tx.now()))?;
    Ok(())
}

fn oldest_waiting(connection: &Connection, hook: HookId) -> Result<Option<DeliveryId>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT id FROM hook_deliveries WHERE hook_id = ?1 AND state = 'waiting' ORDER BY number LIMIT 1",
    )?;
    Ok(statement.query_row([hook], |row| row.get(0)).optional()?)
}

fn give_back(tx: &Tx<'_>, hook: HookId, due: Option<Timestamp>) -> Result<(), StoreError> {
    tx.prepare_cached("UPDATE hooks SET leased = 0, due_at = ?2 WHERE id = ?1")?.execute((hook, due))?;
    Ok(())
}

fn earliest(now: Timestamp, suspended_until: Option<Timestamp>) -> Timestamp {
    suspended_until.map_or(now, |until| until.max(now))
}
