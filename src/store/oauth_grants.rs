//! What people allowed applications, with the codes and refresh tokens of it; only hashes of those are here.

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::{StoreError, Tx};
use crate::model::ids::{GrantId, OauthClientId};
use crate::model::oauth::{Challenge, Grant};
use crate::model::time::Timestamp;
use crate::model::token::TokenHash;

/// A refresh token of a grant.
#[derive(Debug)]
pub struct RefreshToken {
    pub grant: GrantId,
    pub expires_at: Timestamp,
    pub used_at: Option<Timestamp>,
}

/// The grant of that id.
pub fn find(connection: &Connection, id: GrantId) -> Result<Option<Grant>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM oauth_grants WHERE id = ?1")?;
    Ok(statement.query_row([id], from_row).optional()?)
}

/// The grant whose code has that hash.
pub fn find_by_code(connection: &Connection, code: &TokenHash) -> Result<Option<Grant>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM oauth_grants WHERE code_hash = ?1")?;
    Ok(statement.query_row([code], from_row).optional()?)
}

/// The grants of an application that were not revoked.
pub fn list_of_client(connection: &Connection, client: OauthClientId) -> Result<Vec<Grant>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT * FROM oauth_grants WHERE client_id = ?1 AND revoked_at IS NULL")?;
    let rows = statement.query_map([client], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Adds a grant.
pub fn insert(tx: &Tx<'_>, grant: &Grant) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO oauth_grants (id, client_id, account_id, scope, redirect_uri, challenge, code_hash,
                code_expires_at, created_at)
         VALUES (:id, :client_id, :account_id, :scope, :redirect_uri, :challenge, :code_hash,
                :code_expires_at, :created_at)",
    )?
    .execute(named_params! {
        ":id": grant.id,
        ":client_id": grant.client,
        ":account_id": grant.account,
        ":scope": grant.scope,
        ":redirect_uri": grant.redirect_uri,
        ":challenge": grant.challenge.as_ref().map(Challenge::as_str),
        ":code_hash": grant.code,
        ":code_expires_at": grant.code_expires_at,
        ":created_at": grant.created_at,
    })?;
    Ok(())
}

/// Notes that the code was exchanged.
pub fn use_code(tx: &Tx<'_>, id: GrantId) -> Result<(), StoreError> {
    tx.prepare_cached("UPDATE oauth_grants SET code_used_at = ?2 WHERE id = ?1")?.execute((id, tx.now()))?;
    Ok(())
}

/// Ends a grant.
pub fn mark_revoked(tx: &Tx<'_>, id: GrantId) -> Result<(), StoreError> {
    tx.prepare_cached("UPDATE oauth_grants SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL")?
        .execute((id, tx.now()))?;
    Ok(())
}

/// The refresh token of that hash.
pub fn find_refresh(connection: &Connection, hash: &TokenHash) -> Result<Option<RefreshToken>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM oauth_refresh_tokens WHERE hash = ?1")?;
    let found = statement.query_row([hash], |row| {
        Ok(RefreshToken {
            grant: row.get("grant_id")?,
            expires_at: row.get("expires_at")?,
            used_at: row.get("used_at")?,
        })
    });
    Ok(found.optional()?)
}

/// Adds a refresh token of a grant.
pub fn insert_refresh(
    tx: &Tx<'_>,
    grant: GrantId,
    hash: &TokenHash,
    expires_at: Timestamp,
) -> Result<(), StoreError> {
    tx.prepare_cached("INSERT INTO oauth_refresh_tokens (hash, grant_id, expires_at) VALUES (?1, ?2, ?3)")?
        .execute((hash, grant, expires_at))?;
    Ok(())
}

/// Notes that a refresh token was used.
pub fn use_refresh(tx: &Tx<'_>, hash: &TokenHash) -> Result<(), StoreError> {
    tx.prepare_cached("UPDATE oauth_refresh_tokens SET used_at = ?2 WHERE hash = ?1")?
        .execute((hash, tx.now()))?;
    Ok(())
}

/// Forgets the grants of which nothing can be used any more, with their tokens, and old refresh tokens of
/// the others.
pub fn forget_ended(tx: &Tx<'_>, before: Timestamp) -> Result<(), StoreError> {
    tx.prepare_cached(
        "DELETE FROM oauth_grants WHERE created_at < ?1 AND (revoked_at < ?1 OR NOT EXISTS
            (SELECT 1 FROM oauth_refresh_tokens
             WHERE oauth_refresh_tokens.grant_id = oauth_grants.id AND expires_at >= ?1))",
    )?
    .execute([before])?;
    tx.prepare_cached("DELETE FROM oauth_refresh_tokens WHERE expires_at < ?1")?.execute([before])?;
    tx.prepare_cached("DELETE FROM tokens WHERE grant_id IS NOT NULL AND expires_at < ?1")?
        .execute([before])?;
    Ok(())
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Grant> {
    Ok(Grant {
        id: row.get("id")?,
        client: row.get("client_id")?,
        account: row.get("account_id")?,
        scope: row.get("scope")?,
        redirect_uri: row.get("redirect_uri")?,
        challenge: row.get::<_, Option<String>>("challenge")?.map(Challenge::from_stored),
        code: row.get("code_hash")?,
        code_expires_at: row.get("code_expires_at")?,
        code_used_at: row.get("code_used_at")?,
        created_at: row.get("created_at")?,
        revoked_at: row.get("revoked_at")?,
    })
}
