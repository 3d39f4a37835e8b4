//! What providers still have to do for addons.

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::{StoreError, Tx};
use crate::model::addon::PlanReference;
use crate::model::addon_job::{AddonJob, AddonWork, AddonWorkKind};
use crate::model::ids::{AddonAttachmentId, AddonId};
use crate::model::time::Timestamp;

/// The jobs that no other of their addon is before: upkeep waits for all, everything else for what was asked for earlier.
const FREE: &str = "NOT EXISTS (SELECT 1 FROM addon_jobs AS earlier
        WHERE earlier.addon_id = job.addon_id AND earlier.work <> 'upkeep'
          AND earlier.number <> job.number AND (earlier.number < job.number OR job.work = 'upkeep'))";

/// The job of that number.
pub fn find(connection: &Connection, number: i64) -> Result<Option<AddonJob>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM addon_jobs WHERE number = ?1")?;
    Ok(statement.query_row([number], from_row).optional()?)
}

/// What is due and may begin, at most one job an addon.
pub fn list_due(connection: &Connection, now: Timestamp, limit: usize) -> Result<Vec<AddonJob>, StoreError> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT * FROM addon_jobs AS job WHERE due_at <= ?1 AND {FREE} ORDER BY due_at, number LIMIT ?2"
    ))?;
    let rows = statement.query_map((now, i64::try_from(limit).unwrap_or(i64::MAX)), from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// When the next job after `now` is due.
pub fn next_due(connection: &Connection, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
    let mut statement = connection
        .prepare_cached(&format!("SELECT min(due_at) FROM addon_jobs AS job WHERE due_at > ?1 AND {FREE}"))?;
    Ok(statement.query_row([now], |row| row.get(0))?)
}

/// The jobs of an addon, in their order.
pub fn list_by_addon(connection: &Connection, addon: AddonId) -> Result<Vec<AddonJob>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT * FROM addon_jobs WHERE addon_id = ?1 ORDER BY number")?;
    let rows = statement.query_map([addon], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Asks for something, from `due_at` on.
pub fn insert(tx: &Tx<'_>, addon: AddonId, work: &AddonWork, due_at: Timestamp) -> Result<(), StoreError> {
    let plan = if let AddonWork::ChangePlan(plan) = work { Some(plan) } else { None };
    tx.prepare_cached(
        "INSERT INTO addon_jobs (addon_id, attachment_id, work, plan_id, plan_name, plan_reference, plan_price, due_at)
         VALUES (:addon, :attachment, :work, :plan_id, :plan_name, :plan_reference, :plan_price, :due_at)",
    )?
    .execute(named_params! {
        ":addon": addon,
        ":attachment": work.attachment(),
        ":work": work.kind(),
        ":plan_id": plan.map(|plan| plan.id),
        ":plan_name": plan.map(|plan| &plan.name),
        ":plan_reference": plan.map(|plan| &plan.reference),
        ":plan_price": plan.map(|plan| plan.price),
        ":due_at": due_at,
    })?;
    Ok(())
}

/// Stores how far a job is.
pub fn update(tx: &Tx<'_>, job: &AddonJob) -> Result<(), StoreError> {
    tx.prepare_cached(
        "UPDATE addon_jobs SET operation = :operation, accepted = :accepted, attempts = :attempts,
            begun_at = :begun_at, due_at = :due_at
         WHERE number = :number",
    )?
    .execute(named_params! {
        ":number": job.number,
        ":operation": job.operation,
        ":accepted": job.is_accepted,
        ":attempts": job.attempts,
        ":begun_at": job.begun_at,
        ":due_at": job.due_at,
    })?;
    Ok(())
}

/// Removes a job that is done, or that nobody needs any more.
pub fn remove(tx: &Tx<'_>, number: i64) -> Result<(), StoreError> {
    tx.prepare_cached("DELETE FROM addon_jobs WHERE number = ?1")?.execute([number])?;
    Ok(())
}

/// Removes the jobs of that kind of an addon.
pub fn remove_of_addon(tx: &Tx<'_>, addon: AddonId, kind: AddonWorkKind) -> Result<(), StoreError> {
    tx.prepare_cached("DELETE FROM addon_jobs WHERE addon_id = ?1 AND work = ?2")?.execute((addon, kind))?;
    Ok(())
}

/// Removes the wish to have the variables of an attachment.
pub fn remove_bind(tx: &Tx<'_>, attachment: AddonAttachmentId) -> Result<(), StoreError> {
    tx.prepare_cached("DELETE FROM addon_jobs WHERE attachment_id = ?1 AND work = 'bind'")?
        .execute([attachment])?;
    Ok(())
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<AddonJob> {
    let kind: AddonWorkKind = row.get("work")?;
    let work = match kind {
        AddonWorkKind::Provision => AddonWork::Provision,
        AddonWorkKind::ChangePlan => AddonWork::ChangePlan(PlanReference {
            id: row.get("plan_id")?,
            name: row.get("plan_name")?,
            reference: row.get("plan_reference")?,
            price: row.get("plan_price")?,
        }),
        AddonWorkKind::Bind => AddonWork::Bind(row.get("attachment_id")?),
        AddonWorkKind::Unbind => AddonWork::Unbind(row.get("attachment_id")?),
        AddonWorkKind::Deprovision => AddonWork::Deprovision,
        AddonWorkKind::Upkeep => AddonWork::Upkeep,
    };
    Ok(AddonJob {
        number: row.get("number")?,
        addon: row.get("addon_id")?,
        work,
        operation: row.get("operation")?,
        is_accepted: row.get("accepted")?,
        attempts: row.get("attempts")?,
        begun_at: row.get("begun_at")?,
        due_at: row.get("due_at")?,
    })
}
