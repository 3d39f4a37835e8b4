//! The sets of keys of issuers, as they came last. They are public; what filter trusts them is not said here.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension};
use sha2::{Digest, Sha256};

use super::{StoreError, Tx};
use crate::model::filter::JwksUri;
use crate::model::time::Timestamp;

/// A set of keys, not read yet.
#[derive(Debug)]
pub struct KeyDocument {
    pub document: Vec<u8>,
    pub fetched_at: Timestamp,
}

/// What the address answered last.
pub fn find(connection: &Connection, uri: &JwksUri) -> Result<Option<KeyDocument>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT document, fetched_at FROM issuer_keys WHERE uri_digest = ?1")?;
    let found = statement.query_row([digest(uri)], |row| {
        Ok(KeyDocument { document: row.get("document")?, fetched_at: row.get("fetched_at")? })
    });
    Ok(found.optional()?)
}

/// Whether there is any set.
pub fn is_any(connection: &Connection) -> Result<bool, StoreError> {
    Ok(connection.query_row("SELECT EXISTS (SELECT 1 FROM issuer_keys)", [], |row| row.get(0))?)
}

/// Notes what the address has answered now.
pub fn put(tx: &Tx<'_>, uri: &JwksUri, document: &[u8]) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT OR REPLACE INTO issuer_keys (uri_digest, document, fetched_at) VALUES (?1, ?2, ?3)",
    )?
    .execute((digest(uri), document, tx.now()))?;
    Ok(())
}

/// Takes out the set of an address.
pub fn delete(tx: &Tx<'_>, uri: &JwksUri) -> Result<(), StoreError> {
    tx.prepare_cached("DELETE FROM issuer_keys WHERE uri_digest = ?1")?.execute([digest(uri)])?;
    Ok(())
}

/// Takes out the sets of all other addresses.
pub fn delete_all_but(tx: &Tx<'_>, used: &[JwksUri]) -> Result<(), StoreError> {
    let used: HashSet<[u8; 32]> = used.iter().map(digest).collect();
    let mut statement = tx.prepare_cached("SELECT uri_digest FROM issuer_keys")?;
    let kept: Vec<[u8; 32]> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for digest in kept.iter().filter(|digest| !used.contains(*digest)) {
        tx.prepare_cached("DELETE FROM issuer_keys WHERE uri_digest = ?1")?.execute([digest])?;
    }
    Ok(())
}

fn digest(uri: &JwksUri) -> [u8; 32] {
    Sha256::digest(uri.as_str()).into()
}
