//! What runs for addons of built-in services. Passwords are sealed.

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::{StoreError, Tx};
use crate::model::addon_instance::{AddonHost, AddonInstance, InstancePhase, InstanceSecrets};
use crate::model::build::ImageReference;
use crate::model::ids::AddonId;
use crate::model::time::Timestamp;
use crate::seal::{SealPlace, Sealed, Sealer};

/// The instance of an addon.
pub fn find(
    connection: &Connection,
    sealer: &Sealer,
    addon: AddonId,
) -> Result<Option<AddonInstance>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM addon_instances WHERE addon_id = ?1")?;
    let row = statement.query_row([addon], StoredInstance::from_row).optional()?;
    row.map(|row| row.open(sealer)).transpose()
}

/// All instances, oldest first.
pub fn list(connection: &Connection, sealer: &Sealer) -> Result<Vec<AddonInstance>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT * FROM addon_instances ORDER BY created_at, addon_id")?;
    let rows = statement.query_map([], StoredInstance::from_row)?;
    rows.map(|row| row?.open(sealer)).collect()
}

/// Whether an instance has that host name.
pub fn has_host(connection: &Connection, host: &AddonHost) -> Result<bool, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM addon_instances WHERE host = ?1)")?;
    Ok(statement.query_row([host.as_str()], |row| row.get(0))?)
}

/// The ready instances whose next backup is due, oldest first.
pub fn list_backup_due(connection: &Connection, now: Timestamp) -> Result<Vec<AddonId>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT addon_id FROM addon_instances WHERE phase = 'ready' AND backup_due_at <= ?1 ORDER BY backup_due_at",
    )?;
    let rows = statement.query_map([now], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Adds an instance; [`StoreError::Exists`] when the addon has one.
pub fn insert(tx: &Tx<'_>, sealer: &Sealer, instance: &AddonInstance) -> Result<(), StoreError> {
    let secrets = format!("{}\n{}", instance.secrets.password, instance.secrets.admin_password);
    let secrets = sealer.seal(place(&instance.addon.to_string()), &secrets)?;
    tx.prepare_cached(
        "INSERT INTO addon_instances (addon_id, service, plan, host, image, secrets, generation, phase, reason,
            memory_mib, backup_due_at, created_at)
         VALUES (:addon_id, :service, :plan, :host, :image, :secrets, :generation, :phase, :reason, :memory_mib,
            :backup_due_at, :created_at)",
    )?
    .execute(named_params! {
        ":addon_id": instance.addon,
        ":service": instance.service,
        ":plan": instance.plan,
        ":host": instance.host.as_str(),
        ":image": instance.image.as_str(),
        ":secrets": secrets,
        ":generation": instance.generation,
        ":phase": instance.phase,
        ":reason": instance.reason,
        ":memory_mib": instance.memory_mib,
        ":backup_due_at": instance.backup_due_at,
        ":created_at": instance.created_at,
    })?;
    Ok(())
}

/// Stores plan, generation, phase, reason, memory and the time of the next backup.
pub fn update(tx: &Tx<'_>, instance: &AddonInstance) -> Result<(), StoreError> {
    tx.prepare_cached(
        "UPDATE addon_instances SET plan = :plan, generation = :generation, phase = :phase, reason = :reason,
            memory_mib = :memory_mib, backup_due_at = :backup_due_at
         WHERE addon_id = :addon_id",
    )?
    .execute(named_params! {
        ":addon_id": instance.addon,
        ":plan": instance.plan,
        ":generation": instance.generation,
        ":phase": instance.phase,
        ":reason": instance.reason,
        ":memory_mib": instance.memory_mib,
        ":backup_due_at": instance.backup_due_at,
    })?;
    Ok(())
}

/// Stores the time of the next backup.
pub fn set_backup_due(tx: &Tx<'_>, addon: AddonId, due: Option<Timestamp>) -> Result<(), StoreError> {
    tx.prepare_cached("UPDATE addon_instances SET backup_due_at = ?2 WHERE addon_id = ?1")?
        .execute((addon, due))?;
    Ok(())
}

/// Forgets an instance of which nothing is left.
pub fn delete(tx: &Tx<'_>, addon: AddonId) -> Result<(), StoreError> {
    tx.prepare_cached("DELETE FROM addon_instances WHERE addon_id = ?1")?.execute([addon])?;
    Ok(())
}

/// A row whose sealed value is still closed.
struct StoredInstance {
    instance: AddonInstance,
    secrets: Sealed,
}

impl StoredInstance {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let empty = InstanceSecrets { password: String::new(), admin_password: String::new() };
        Ok(Self {
            secrets: row.get("secrets")?,
            instance: AddonInstance {
                addon: row.get("addon_id")?,
                service: row.get("service")?,
                plan: row.get("plan")?,
                host: AddonHost::from_stored(row.get("host")?),
                image: ImageReference::from_stored(row.get("image")?),
                secrets: empty,
                generation: row.get("generation")?,
                phase: row.get::<_, InstancePhase>("phase")?,
                reason: row.get("reason")?,
                memory_mib: row.get("memory_mib")?,
                backup_due_at: row.get("backup_due_at")?,
                created_at: row.get("created_at")?,
            },
        })
    }

    fn open(self, sealer: &Sealer) -> Result<AddonInstance, StoreError> {
        let text = sealer.open_text(place(&self.instance.addon.to_string()), &self.secrets)?;
        let (password, admin_password) = text.split_once('\n').unwrap_or((&text, ""));
        let secrets =
            InstanceSecrets { password: password.to_owned(), admin_password: admin_password.to_owned() };
        Ok(AddonInstance { secrets, ..self.instance })
    }
}

fn place(row: &str) -> SealPlace<'_> {
    SealPlace { table: "addon_instances", row, column: "secrets" }
}
