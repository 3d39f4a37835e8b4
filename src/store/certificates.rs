//! Certificates. The chain lies in the clear, the key is sealed; only who holds the [`Sealer`] can read it.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::{StoreError, Tx};
use crate::model::certificate::{Certificate, CertificateName, CertificateOrganization, Validity};
use crate::model::domain::{CertificateDomain, Domains};
use crate::model::ids::CertificateId;
use crate::model::time::Timestamp;
use crate::seal::{SealPlace, Sealed, Sealer};

/// A chain and its key, PEM.
#[derive(Clone)]
pub struct KeyedChain {
    pub chain: String,
    pub key: String,
}

const SELECT: &str = "SELECT certificates.*, organizations.name AS organization_name
     FROM certificates JOIN organizations ON organizations.id = certificates.organization_id";

/// The certificate of that id.
pub fn find(connection: &Connection, id: CertificateId) -> Result<Option<Certificate>, StoreError> {
    let mut statement = connection.prepare_cached(&format!("{SELECT} WHERE certificates.id = ?1"))?;
    Ok(statement.query_row([id], from_row).optional()?)
}

/// The certificate of that name.
pub fn find_by_name(
    connection: &Connection,
    name: &CertificateName,
) -> Result<Option<Certificate>, StoreError> {
    let mut statement = connection.prepare_cached(&format!("{SELECT} WHERE certificates.name = ?1"))?;
    Ok(statement.query_row([name.as_str()], from_row).optional()?)
}

/// Every certificate, oldest first.
pub fn list(connection: &Connection) -> Result<Vec<Certificate>, StoreError> {
    let mut statement =
        connection.prepare_cached(&format!("{SELECT} ORDER BY certificates.created_at, certificates.id"))?;
    let rows = statement.query_map([], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The ids of those that the edge shows.
pub fn list_installed(connection: &Connection) -> Result<Vec<CertificateId>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT id FROM certificates WHERE installed_at IS NOT NULL ORDER BY installed_at, id",
    )?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Those for which something is to be done at that instant, longest due first.
pub fn list_due(
    connection: &Connection,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<CertificateId>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT id FROM certificates WHERE due_at <= ?1 ORDER BY due_at, id LIMIT ?2")?;
    let rows = statement.query_map((now, i64::try_from(limit).unwrap_or(i64::MAX)), |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// When something is to be done after that instant.
pub fn next_due(connection: &Connection, after: Timestamp) -> Result<Option<Timestamp>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT due_at FROM certificates WHERE due_at > ?1 ORDER BY due_at LIMIT 1")?;
    Ok(statement.query_row([after], |row| row.get(0)).optional()?)
}

/// The domains that certificates name, those of rejected orders left out.
pub fn covered_domains(connection: &Connection) -> Result<BTreeSet<CertificateDomain>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT domain FROM certificate_domains JOIN certificates ON certificates.id = certificate_id
         WHERE status <> 'rejected'",
    )?;
    let rows =
        statement.query_map([], |row| Ok(CertificateDomain::from_stored(&row.get::<_, String>(0)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The name of a certificate that names the domain itself; an order that was rejected does not count.
pub fn covering(
    connection: &Connection,
    domain: &CertificateDomain,
) -> Result<Option<CertificateName>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT name FROM certificate_domains JOIN certificates ON certificates.id = certificate_id
         WHERE domain = ?1 AND status <> 'rejected' LIMIT 1",
    )?;
    let name = statement.query_row([domain.as_str()], |row| row.get(0)).optional()?;
    Ok(name.map(CertificateName::from_stored))
}

/// The chain of a certificate, PEM; `None` when it was not issued.
pub fn chain(connection: &Connection, id: CertificateId) -> Result<Option<String>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT chain FROM certificates WHERE id = ?1")?;
    Ok(statement.query_row([id], |row| row.get(0)).optional()?.flatten())
}

/// The chain and the key of a certificate; `None` when it was not issued.
pub fn keyed_chain(
    connection: &Connection,
    sealer: &Sealer,
    id: CertificateId,
) -> Result<Option<KeyedChain>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT chain, private_key FROM certificates WHERE id = ?1 AND chain IS NOT NULL")?;
    let row: Option<(String, Sealed)> =
        statement.query_row([id], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    row.map(|(chain, key)| Ok(KeyedChain { chain, key: sealer.open_text(place(&id.to_string()), &key)? }))
        .transpose()
}

/// Adds an order; [`StoreError::Exists`] when one has the name.
pub fn insert(tx: &Tx<'_>, certificate: &Certificate) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO certificates (id, name, common_name, domains, comments, organization_id, requester, issuer,
            origin, status, reason, attempts, due_at, created_at, updated_at)
         VALUES (:id, :name, :common_name, :domains, :comments, :organization_id, :requester, :issuer,
            :origin, :status, :reason, :attempts, :due_at, :created_at, :updated_at)",
    )?
    .execute(named_params! {
        ":id": certificate.id,
        ":name": certificate.name.as_str(),
        ":common_name": certificate.common_name.as_str(),
        ":domains": certificate.domains.to_stored(),
        ":comments": certificate.comments,
        ":organization_id": certificate.organization.id,
        ":requester": certificate.requester,
        ":issuer": certificate.issuer,
        ":origin": certificate.origin,
        ":status": certificate.status,
        ":reason": certificate.reason,
        ":attempts": certificate.attempts,
        ":due_at": certificate.due_at,
        ":created_at": certificate.created_at,
        ":updated_at": certificate.updated_at,
    })?;
    for domain in certificate.domains.as_slice() {
        tx.prepare_cached("INSERT INTO certificate_domains (domain, certificate_id) VALUES (?1, ?2)")?
            .execute((domain.as_str(), certificate.id))?;
    }
    Ok(())
}

/// Stores how far it is: issuer, status, reason, attempts, the next step and since when it is installed.
pub fn update(tx: &Tx<'_>, certificate: &Certificate) -> Result<(), StoreError> {
    tx.prepare_cached(
        "UPDATE certificates SET issuer = :issuer, status = :status, reason = :reason, attempts = :attempts,
            due_at = :due_at, installed_at = :installed_at, updated_at = :updated_at
         WHERE id = :id",
    )?
    .execute(named_params! {
        ":id": certificate.id,
        ":issuer": certificate.issuer,
        ":status": certificate.status,
        ":reason": certificate.reason,
        ":attempts": certificate.attempts,
        ":due_at": certificate.due_at,
        ":installed_at": certificate.installed_at,
        ":updated_at": certificate.updated_at,
    })?;
    Ok(())
}

/// Stores how far it is together with what was issued, in one statement, because the one is never without the other.
pub fn update_issued(
    tx: &Tx<'_>,
    sealer: &Sealer,
    (certificate, validity): (&Certificate, Validity),
    issued: &KeyedChain,
) -> Result<(), StoreError> {
    let key = sealer.seal(place(&certificate.id.to_string()), &issued.key)?;
    tx.prepare_cached(
        "UPDATE certificates SET issuer = :issuer, status = :status, reason = :reason, attempts = :attempts,
            due_at = :due_at, installed_at = :installed_at, updated_at = :updated_at, chain = :chain,
            private_key = :private_key, issued_at = :issued_at, expires_at = :expires_at
         WHERE id = :id",
    )?
    .execute(named_params! {
        ":id": certificate.id,
        ":issuer": certificate.issuer,
        ":status": certificate.status,
        ":reason": certificate.reason,
        ":attempts": certificate.attempts,
        ":due_at": certificate.due_at,
        ":installed_at": certificate.installed_at,
        ":updated_at": certificate.updated_at,
        ":chain": issued.chain,
        ":private_key": key,
        ":issued_at": validity.issued,
        ":expires_at": validity.expires,
    })?;
    Ok(())
}

/// Removes a certificate with its key and what was begun for it.
pub fn remove(tx: &Tx<'_>, id: CertificateId) -> Result<(), StoreError> {
    tx.prepare_cached("DELETE FROM certificates WHERE id = ?1")?.execute([id])?;
    Ok(())
}

fn place(row: &str) -> SealPlace<'_> {
    SealPlace { table: "certificates", row, column: "private_key" }
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Certificate> {
    let (issued, expires): (Option<Timestamp>, Option<Timestamp>) =
        (row.get("issued_at")?, row.get("expires_at")?);
    Ok(Certificate {
        id: row.get("id")?,
        name: CertificateName::from_stored(row.get("name")?),
        common_name: CertificateDomain::from_stored(&row.get::<_, String>("common_name")?),
        domains: Domains::from_stored(&row.get::<_, String>("domains")?),
        comments: row.get("comments")?,
        organization: CertificateOrganization {
            id: row.get("organization_id")?,
            name: row.get("organization_name")?,
        },
        requester: row.get("requester")?,
        issuer: row.get("issuer")?,
        origin: row.get("origin")?,
        status: row.get("status")?,
        reason: row.get("reason")?,
        attempts: row.get("attempts")?,
        due_at: row.get("due_at")?,
        validity: issued.zip(expires).map(|(issued, expires)| Validity { issued, expires }),
        installed_at: row.get("installed_at")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    })
}

impl std::fmt::Debug for KeyedChain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyedChain").finish_non_exhaustive()
    }
}
