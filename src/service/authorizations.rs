//! Authorizations: the tokens that people make for themselves, and those that applications hold for them.

use super::{Error, oauth, tokens};
use crate::ids::{self, Ids};
use crate::model::RuleError;
use crate::model::account::Account;
use crate::model::ids::TokenId;
use crate::model::names::UserName;
use crate::model::principal::Principal;
use crate::model::rule::shown;
use crate::model::time::Timestamp;
use crate::model::token::{Note, Scope, Token, TokenHash, TokenKind, TokenName};
use crate::store::{self, Connection, Store};

/// Authorizations that one account has at a time.
pub const MOST: usize = 500;

/// An authorization to be made.
#[derive(Debug, Clone)]
pub struct NewAuthorization {
    pub note: Note,
    pub scope: Scope,
}

/// Makes a token of the account that just logged in, and returns its secret, which is stored nowhere.
pub async fn create(
    store: &Store,
    ids: &Ids,
    account: &Account,
    new: NewAuthorization,
) -> Result<(Token, String), Error> {
    let secret = ids::random_secret();
    let hash = TokenHash::of(&secret);
    let (ids, user) = (ids.clone(), account.name.clone());
    let author = Principal::ordinary(user.clone());
    let token = store
        .write(&author, move |tx| {
            if store::tokens::list_of_user(tx, &user)?.len() >= MOST {
                return Err(RuleError::new(format!(
                    "The account {user} has {MOST} authorizations, which is the limit; delete one first."
                ))
                .into());
            }
            let id = TokenId::new(ids.next());
            let token = Token {
                id,
                name: TokenName::parse(&id.to_string())?,
                kind: TokenKind::Personal,
                user,
                scope: new.scope,
                note: new.note,
                grant: None,
                created_at: tx.now(),
                expires_at: None,
                revoked_at: None,
            };
            tokens::insert_token(tx, &token, &hash)?;
            Ok::<_, Error>(token)
        })
        .await?;
    Ok((token, secret))
}

/// The usable tokens of the one who asks, oldest first; an application sees those of its own grant.
pub fn list(connection: &Connection, principal: &Principal, now: Timestamp) -> Result<Vec<Token>, Error> {
    let mut all = store::tokens::list_of_user(connection, &principal.user)?;
    all.retain(|token| token.expires_at.is_none_or(|end| end > now) && is_own(token, principal));
    Ok(all)
}

/// The token of that id or secret, of the one who asks.
pub fn resolve(connection: &Connection, principal: &Principal, text: &str) -> Result<Token, Error> {
    let found = match text.parse::<TokenId>() {
        Ok(id) => store::tokens::find(connection, id)?,
        Err(_) => store::tokens::find_by_hash(connection, &TokenHash::of(text))?,
    };
    found.filter(|token| is_own(token, principal)).ok_or_else(|| {
        // The text may be the secret of another token.
        let known = text.parse::<TokenId>().map_or_else(|_| "of that secret".to_owned(), |_| shown(text));
        Error::NotFound(format!("The authorization {known} does not exist."))
    })
}

/// Ends a token of the one who asks; with that of an application, all that it was granted.
pub async fn delete(store: &Store, author: &Principal, text: String) -> Result<(), Error> {
    let principal = author.clone();
    store
        .write(author, move |tx| {
            let token = resolve(tx, &principal, &text)?;
            match token.grant {
                Some(grant) => oauth::revoke_grant(tx, grant),
                None => Ok(tokens::revoke_in(tx, token.id)?),
            }
        })
        .await
}

fn is_own(token: &Token, principal: &Principal) -> bool {
    let of_user = |user: &UserName| token.user == *user;
    of_user(&principal.user) && (principal.grant.is_none() || token.grant == principal.grant)
}
