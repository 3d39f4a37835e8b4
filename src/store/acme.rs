//! What is kept of ACME servers: our accounts, and the orders that are on their way. Keys are sealed.

use rusqlite::{Connection, OptionalExtension};

use super::{StoreError, Tx};
use crate::model::ids::CertificateId;
use crate::seal::{SealPlace, Sealed, Sealer};

/// An order that was placed at a server and has not ended.
#[derive(Clone)]
pub struct PlacedOrder {
    /// Where the server tells of it.
    pub url: String,
    /// The key of the certificate to come, PEM.
    pub key: String,
}

/// The credentials of our account at a server, as they were stored.
pub fn credentials(
    connection: &Connection,
    sealer: &Sealer,
    directory: &str,
) -> Result<Option<String>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT credentials FROM acme_accounts WHERE directory = ?1")?;
    let sealed: Option<Sealed> = statement.query_row([directory], |row| row.get(0)).optional()?;
    sealed.map(|sealed| Ok(sealer.open_text(account_place(directory), &sealed)?)).transpose()
}

/// Stores the credentials of our account at a server, in place of earlier ones.
pub fn put_credentials(
    tx: &Tx<'_>,
    sealer: &Sealer,
    directory: &str,
    credentials: &str,
) -> Result<(), StoreError> {
    let sealed = sealer.seal(account_place(directory), credentials)?;
    tx.prepare_cached(
        "INSERT INTO acme_accounts (directory, credentials, created_at) VALUES (?1, ?2, ?3)
         ON CONFLICT (directory) DO UPDATE SET credentials = excluded.credentials",
    )?
    .execute((directory, sealed, tx.now()))?;
    Ok(())
}

/// Forgets our account at a server.
pub fn forget_credentials(tx: &Tx<'_>, directory: &str) -> Result<(), StoreError> {
    tx.prepare_cached("DELETE FROM acme_accounts WHERE directory = ?1")?.execute([directory])?;
    Ok(())
}

/// The order of a certificate that is on its way at that server.
pub fn order(
    connection: &Connection,
    sealer: &Sealer,
    (id, directory): (CertificateId, &str),
) -> Result<Option<PlacedOrder>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT url, private_key FROM acme_orders WHERE certificate_id = ?1 AND directory = ?2",
    )?;
    let row: Option<(String, Sealed)> =
        statement.query_row((id, directory), |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    row.map(|(url, key)| Ok(PlacedOrder { url, key: sealer.open_text(order_place(&id.to_string()), &key)? }))
        .transpose()
}

/// Stores an order that was placed, in place of an earlier one.
pub fn put_order(
    tx: &Tx<'_>,
    sealer: &Sealer,
    (id, directory): (CertificateId, &str),
    order: &PlacedOrder,
) -> Result<(), StoreError> {
    let key = sealer.seal(order_place(&id.to_string()), &order.key)?;
    tx.prepare_cached(
        "INSERT INTO acme_orders (certificate_id, directory, url, private_key, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (certificate_id) DO UPDATE SET directory = excluded.directory, url = excluded.url,
            private_key = excluded.private_key, created_at = excluded.created_at",
    )?
    .execute((id, directory, &order.url, key, tx.now()))?;
    Ok(())
}

/// Forgets the order of a certificate; the next attempt places a new one.
pub fn forget_order(tx: &Tx<'_>, id: CertificateId) -> Result<(), StoreError> {
    tx.prepare_cached("DELETE FROM acme_orders WHERE certificate_id = ?1")?.execute([id])?;
    Ok(())
}

/// The records in the DNS that were put there for a certificate, and for those that are not there any more.
pub fn dns_records(
    connection: &Connection,
    id: CertificateId,
) -> Result<Vec<(CertificateId, String, String)>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT certificate_id, name, value FROM acme_dns_records
         WHERE certificate_id = ?1 OR certificate_id NOT IN (SELECT id FROM certificates)",
    )?;
    let rows = statement.query_map([id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Notes a record that is about to be put into the DNS.
pub fn put_dns_record(tx: &Tx<'_>, id: CertificateId, (name, value): (&str, &str)) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO acme_dns_records (certificate_id, name, value) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
    )?
    .execute((id, name, value))?;
    Ok(())
}

/// Notes that a record is in the DNS no more.
pub fn forget_dns_record(
    tx: &Tx<'_>,
    id: CertificateId,
    (name, value): (&str, &str),
) -> Result<(), StoreError> {
    tx.prepare_cached("DELETE FROM acme_dns_records WHERE certificate_id = ?1 AND name = ?2 AND value = ?3")?
        .execute((id, name, value))?;
    Ok(())
}

fn account_place(directory: &str) -> SealPlace<'_> {
    SealPlace { table: "acme_accounts", row: directory, column: "credentials" }
}

fn order_place(row: &str) -> SealPlace<'_> {
    SealPlace { table: "acme_orders", row, column: "private_key" }
}

impl std::fmt::Debug for PlacedOrder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PlacedOrder").field("url", &self.url).finish_non_exhaustive()
    }
}
