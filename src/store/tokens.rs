//! API tokens; only hashes of their secrets are here.

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::{StoreError, Tx};
use crate::model::ids::{GrantId, TokenId};
use crate::model::names::UserName;
use crate::model::token::{Note, Token, TokenHash, TokenName};

/// What [`from_row`] reads, by position: finding a column by its name costs more than reading it.
const SELECT: &str =
    "SELECT id, name, kind, user, scope, note, grant_id, created_at, expires_at, revoked_at FROM tokens";

/// The token of that hash that was not revoked; it may have expired.
pub fn find_by_hash(connection: &Connection, hash: &TokenHash) -> Result<Option<Token>, StoreError> {
    let mut statement =
        connection.prepare_cached(&format!("{SELECT} WHERE hash = ?1 AND revoked_at IS NULL"))?;
    Ok(statement.query_row([hash], from_row).optional()?)
}

/// The token of that id that was not revoked.
pub fn find(connection: &Connection, id: TokenId) -> Result<Option<Token>, StoreError> {
    let mut statement =
        connection.prepare_cached(&format!("{SELECT} WHERE id = ?1 AND revoked_at IS NULL"))?;
    Ok(statement.query_row([id], from_row).optional()?)
}

/// The token of that name that was not revoked.
pub fn find_by_name(connection: &Connection, name: &TokenName) -> Result<Option<Token>, StoreError> {
    let mut statement =
        connection.prepare_cached(&format!("{SELECT} WHERE name = ?1 AND revoked_at IS NULL"))?;
    Ok(statement.query_row([name.as_str()], from_row).optional()?)
}

/// Every token, revoked ones too, oldest first.
pub fn list(connection: &Connection) -> Result<Vec<Token>, StoreError> {
    let mut statement = connection.prepare_cached(&format!("{SELECT} ORDER BY created_at, id"))?;
    let rows = statement.query_map([], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The tokens of a user that were not revoked, oldest first.
pub fn list_of_user(connection: &Connection, user: &UserName) -> Result<Vec<Token>, StoreError> {
    let mut statement = connection.prepare_cached(&format!(
        "{SELECT} WHERE user = ?1 AND revoked_at IS NULL ORDER BY created_at, id"
    ))?;
    let rows = statement.query_map([user], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Adds a token; [`StoreError::Exists`] when one of the name is in use.
pub fn insert(tx: &Tx<'_>, token: &Token, hash: &TokenHash) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO tokens (id, name, kind, user, scope, note, grant_id, hash, created_at, expires_at)
         VALUES (:id, :name, :kind, :user, :scope, :note, :grant_id, :hash, :created_at, :expires_at)",
    )?
    .execute(named_params! {
        ":id": token.id,
        ":name": token.name.as_str(),
        ":kind": token.kind,
        ":user": token.user,
        ":scope": token.scope,
        ":note": token.note.as_str(),
        ":grant_id": token.grant,
        ":hash": hash,
        ":created_at": token.created_at,
        ":expires_at": token.expires_at,
    })?;
    Ok(())
}

/// Makes a token useless from now on.
pub fn revoke(tx: &Tx<'_>, id: TokenId) -> Result<(), StoreError> {
    tx.prepare_cached("UPDATE tokens SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL")?
        .execute((id, tx.now()))?;
    Ok(())
}

/// Makes every token of a grant useless from now on.
pub fn revoke_of_grant(tx: &Tx<'_>, grant: GrantId) -> Result<(), StoreError> {
    tx.prepare_cached("UPDATE tokens SET revoked_at = ?2 WHERE grant_id = ?1 AND revoked_at IS NULL")?
        .execute((grant, tx.now()))?;
    Ok(())
}

/// Makes room for a secret that an operator gives again after it was revoked.
pub fn forget_revoked(tx: &Tx<'_>, hash: &TokenHash) -> Result<(), StoreError> {
    tx.prepare_cached("DELETE FROM tokens WHERE hash = ?1 AND revoked_at IS NOT NULL")?.execute([hash])?;
    Ok(())
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Token> {
    Ok(Token {
        id: row.get(0)?,
        name: TokenName::from_stored(row.get(1)?),
        kind: row.get(2)?,
        user: row.get(3)?,
        scope: row.get(4)?,
        note: Note::from_stored(row.get(5)?),
        grant: row.get(6)?,
        created_at: row.get(7)?,
        expires_at: row.get(8)?,
        revoked_at: row.get(9)?,
    })
}
