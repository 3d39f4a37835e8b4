//! Applications that people may let act for them.

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::{StoreError, Tx};
use crate::model::ids::{AccountId, OauthClientId};
use crate::model::oauth::{ClientName, OauthClient, RedirectUris};
use crate::model::token::TokenHash;

/// The application of that id.
pub fn find(connection: &Connection, id: OauthClientId) -> Result<Option<OauthClient>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT * FROM oauth_clients WHERE id = ?1 AND deleted_at IS NULL")?;
    Ok(statement.query_row([id], from_row).optional()?)
}

/// The hash of an application's secret; `None` for one that has none.
pub fn secret_hash(connection: &Connection, id: OauthClientId) -> Result<Option<TokenHash>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT secret_hash FROM oauth_clients WHERE id = ?1")?;
    Ok(statement.query_row([id], |row| row.get(0))?)
}

/// The applications that an account registered, oldest first.
pub fn list(connection: &Connection, account: AccountId) -> Result<Vec<OauthClient>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT * FROM oauth_clients WHERE account_id = ?1 AND deleted_at IS NULL ORDER BY created_at, id",
    )?;
    let rows = statement.query_map([account], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Adds an application; a confidential one comes with the hash of its secret.
pub fn insert(tx: &Tx<'_>, client: &OauthClient, secret: Option<&TokenHash>) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO oauth_clients (id, name, kind, secret_hash, redirect_uris, account_id, created_at, updated_at)
         VALUES (:id, :name, :kind, :secret_hash, :redirect_uris, :account_id, :created_at, :created_at)",
    )?
    .execute(named_params! {
        ":id": client.id,
        ":name": client.name.as_str(),
        ":kind": client.kind,
        ":secret_hash": secret,
        ":redirect_uris": client.redirect_uris.to_stored(),
        ":account_id": client.account,
        ":created_at": client.created_at,
    })?;
    Ok(())
}

/// Stores an application's name and addresses.
pub fn update(tx: &Tx<'_>, client: &OauthClient) -> Result<(), StoreError> {
    tx.prepare_cached(
        "UPDATE oauth_clients SET name = :name, redirect_uris = :redirect_uris, updated_at = :updated_at
         WHERE id = :id",
    )?
    .execute(named_params! {
        ":id": client.id,
        ":name": client.name.as_str(),
        ":redirect_uris": client.redirect_uris.to_stored(),
        ":updated_at": client.updated_at,
    })?;
    Ok(())
}

/// Hides an application.
pub fn mark_deleted(tx: &Tx<'_>, id: OauthClientId) -> Result<(), StoreError> {
    tx.prepare_cached("UPDATE oauth_clients SET deleted_at = ?2 WHERE id = ?1")?.execute((id, tx.now()))?;
    Ok(())
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<OauthClient> {
    Ok(OauthClient {
        id: row.get("id")?,
        name: ClientName::from_stored(row.get("name")?),
        redirect_uris: RedirectUris::from_stored(&row.get::<_, String>("redirect_uris")?),
        kind: row.get("kind")?,
        account: row.get("account_id")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    })
}
