//! Applications that people may let act for them: registered by whoever writes them.

use super::{Error, oauth};
use crate::ids::{self, Ids};
use crate::model::RuleError;
use crate::model::account::Account;
use crate::model::event::Event;
use crate::model::ids::OauthClientId;
use crate::model::oauth::{ClientKind, ClientName, OauthClient, RedirectUris};
use crate::model::principal::Principal;
use crate::model::rule::shown;
use crate::model::token::TokenHash;
use crate::store::{self, Connection, Store};

/// Applications that one account registers.
pub const MOST: usize = 100;

/// An application to be registered.
#[derive(Debug, Clone)]
pub struct NewClient {
    pub name: ClientName,
    pub redirect_uris: RedirectUris,
    pub kind: ClientKind,
}

/// What shall change; `None` leaves it.
#[derive(Debug, Clone, Default)]
pub struct ClientChange {
    pub name: Option<ClientName>,
    pub redirect_uris: Option<RedirectUris>,
}

/// Registers an application, and returns its secret when it can keep one; it is stored nowhere.
pub async fn create(
    store: &Store,
    ids: &Ids,
    author: &Principal,
    account: &Account,
    new: NewClient,
) -> Result<(OauthClient, Option<String>), Error> {
    let secret = (new.kind == ClientKind::Confidential).then(ids::random_secret);
    let hash = secret.as_deref().map(TokenHash::of);
    let (id, account) = (OauthClientId::new(ids.next()), account.id);
    let client = store
        .write(author, move |tx| {
            if store::oauth_clients::list(tx, account)?.len() >= MOST {
                return Err(RuleError::new(format!(
                    "You registered {MOST} applications, which is the limit; delete one first."
                ))
                .into());
            }
            let client = OauthClient {
                id,
                name: new.name,
                redirect_uris: new.redirect_uris,
                kind: new.kind,
                account,
                created_at: tx.now(),
                updated_at: tx.now(),
            };
            store::oauth_clients::insert(tx, &client, hash.as_ref())?;
            tx.record(Event::OauthClientCreated { client: id })?;
            Ok::<_, Error>(client)
        })
        .await?;
    Ok((client, secret))
}

/// The application of that id that the account registered.
pub fn resolve(connection: &Connection, account: &Account, text: &str) -> Result<OauthClient, Error> {
    let unknown = || Error::NotFound(format!("You registered no application {}.", shown(text)));
    let id: OauthClientId = text.parse().map_err(|_| unknown())?;
    let found = store::oauth_clients::find(connection, id)?;
    found.filter(|client| client.account == account.id).ok_or_else(unknown)
}

/// Changes an application's name or addresses.
pub async fn update(
    store: &Store,
    author: &Principal,
    account: Account,
    id: String,
    change: ClientChange,
) -> Result<OauthClient, Error> {
    store
        .write(author, move |tx| {
            let mut client = resolve(tx, &account, &id)?;
            client.name = change.name.unwrap_or(client.name);
            client.redirect_uris = change.redirect_uris.unwrap_or(client.redirect_uris);
            client.updated_at = tx.now();
            store::oauth_clients::update(tx, &client)?;
            tx.record(Event::OauthClientUpdated { client: client.id })?;
            Ok(client)
        })
        .await
}

/// Deletes an application, and ends all that people granted it.
pub async fn delete(
    store: &Store,
    author: &Principal,
    account: Account,
    id: String,
) -> Result<OauthClient, Error> {
    store
        .write(author, move |tx| {
            let client = resolve(tx, &account, &id)?;
            for grant in store::oauth_grants::list_of_client(tx, client.id)? {
                oauth::revoke_grant(tx, grant.id)?;
            }
            store::oauth_clients::mark_deleted(tx, client.id)?;
            tx.record(Event::OauthClientDeleted { client: client.id })?;
            Ok(client)
        })
        .await
}
