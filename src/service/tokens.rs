//! API tokens: made, listed and revoked by the operator.

use super::{Error, accounts};
use crate::ids::{self, Ids};
use crate::model::account::Role;
use crate::model::event::Event;
use crate::model::ids::TokenId;
use crate::model::names::UserName;
use crate::model::principal::Principal;
use crate::model::token::{Note, Scope, Token, TokenHash, TokenKind, TokenName};
use crate::store::{self, Store, StoreError, Tx};

/// A token to be made.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// Not in use by a token that was not revoked.
    pub name: TokenName,
    pub kind: TokenKind,
    /// The user that the token acts as; gets an account when there is none of that name, an owner's for an
    /// admin token.
    pub user: UserName,
    pub scope: Scope,
}

/// Makes a token and returns its secret, which is stored nowhere and cannot be had again.
pub async fn create(store: &Store, ids: &Ids, new: NewToken) -> Result<(Token, String), Error> {
    let secret = ids::random_secret();
    let hash = TokenHash::of(&secret);
    let ids = ids.clone();
    let token = store.write(&Principal::daemon(), move |tx| insert(tx, &ids, new, &hash)).await?;
    Ok((token, secret))
}

/// Every token, revoked ones too, oldest first.
pub async fn list(store: &Store) -> Result<Vec<Token>, Error> {
    Ok(store.read(store::tokens::list).await?)
}

/// Makes the token of that name useless from now on.
pub async fn revoke(store: &Store, name: TokenName) -> Result<Token, Error> {
    store
        .write(&Principal::daemon(), move |tx| {
            let found = store::tokens::find_by_name(tx, &name)?;
            let mut token = found.ok_or_else(|| {
                Error::NotFound(format!("There is no token named {} in use.", name.as_str()))
            })?;
            revoke_in(tx, token.id)?;
            token.revoked_at = Some(tx.now());
            Ok(token)
        })
        .await
}

/// Adds a token with a given secret's hash, in the caller's transaction.
pub(super) fn insert(tx: &mut Tx<'_>, ids: &Ids, new: NewToken, hash: &TokenHash) -> Result<Token, Error> {
    match new.kind {
        TokenKind::Personal => accounts::ensure(tx, ids, &new.user, Role::Member).map(drop)?,
        TokenKind::Admin => accounts::ensure(tx, ids, &new.user, Role::Owner).map(drop)?,
        // It stands for others; its own user is a name in the records.
        TokenKind::Service => {}
    }
    let token = Token {
        id: TokenId::new(ids.next()),
        name: new.name,
        kind: new.kind,
        user: new.user,
        scope: new.scope,
        note: Note::default(),
        grant: None,
        created_at: tx.now(),
        expires_at: None,
        revoked_at: None,
    };
    insert_token(tx, &token, hash)?;
    Ok(token)
}

/// Adds a token of an account that exists, in the caller's transaction.
pub(super) fn insert_token(tx: &mut Tx<'_>, token: &Token, hash: &TokenHash) -> Result<(), Error> {
    store::tokens::insert(tx, token, hash).map_err(|error| {
        Error::exists(error, || {
            let name = token.name.as_str();
            format!("A token named {name} is in use; revoke it first or choose another name.")
        })
    })?;
    Ok(tx.record(Event::TokenCreated { token: token.id })?)
}

/// Revokes in the caller's transaction.
pub(super) fn revoke_in(tx: &mut Tx<'_>, id: TokenId) -> Result<(), StoreError> {
    store::tokens::revoke(tx, id)?;
    tx.record(Event::TokenRevoked { token: id })
}
