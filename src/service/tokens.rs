//! API tokens: made, listed and revoked by the operator (reading 4).

use super::Error;
use crate::ids::{Ids, random_secret};
use crate::model::event::Event;
use crate::model::ids::TokenId;
use crate::model::names::UserName;
use crate::model::principal::Principal;
use crate::model::token::{Token, TokenHash, TokenKind, TokenName};
use crate::store::{self, Store};

/// The verbs of tokens.
#[derive(Debug, Clone)]
pub struct Tokens {
    store: Store,
    ids: Ids,
}

/// A token to be made.
#[derive(Debug, Clone)]
pub struct CreateToken {
    pub name: TokenName,
    pub kind: TokenKind,
    /// The user that the token acts as.
    pub user: UserName,
}

/// A token with its secret, which nobody can ever read again.
#[derive(Clone)]
pub struct CreatedToken {
    pub token: Token,
    pub secret: String,
}

impl Tokens {
    /// Tokens of a store.
    pub fn new(store: Store, ids: Ids) -> Self {
        Self { store, ids }
    }

    /// Makes a token with a new random secret. [`Error::Conflict`] when a usable token has the name.
    pub async fn create(&self, new: CreateToken) -> Result<CreatedToken, Error> {
        let secret = random_secret();
        let hash = TokenHash::of(&secret);
        let id = TokenId::new(self.ids.next());
        let token = self
            .store
            .write(&Principal::daemon(), move |tx| {
                if store::tokens::find_by_name(tx, &new.name)?.is_some() {
                    return Err(Error::Conflict(format!(
                        "There is a token \"{}\" already: revoke it first or use another name.",
                        new.name.as_str()
                    )));
                }
                let token = Token {
                    id,
                    name: new.name,
                    kind: new.kind,
                    user: new.user,
                    created_at: tx.now(),
                    revoked_at: None,
                };
                store::tokens::insert(tx, &token, &hash)?;
                tx.record(Event::TokenCreated { token: id })?;
                Ok(token)
            })
            .await?;
        Ok(CreatedToken { token, secret })
    }

    /// Every token, revoked ones too, oldest first.
    pub async fn list(&self) -> Result<Vec<Token>, Error> {
        self.store.read(|connection| Ok(store::tokens::list(connection)?)).await
    }

    /// Makes the usable token of that name useless. [`Error::NotFound`] when there is none.
    pub async fn revoke(&self, name: TokenName) -> Result<(), Error> {
        self.store
            .write(&Principal::daemon(), move |tx| {
                let token = store::tokens::find_by_name(tx, &name)?.ok_or_else(|| {
                    Error::NotFound(format!("There is no usable token \"{}\".", name.as_str()))
                })?;
                store::tokens::revoke(tx, token.id)?;
                tx.record(Event::TokenRevoked { token: token.id })?;
                Ok(())
            })
            .await
    }
}

impl std::fmt::Debug for CreatedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CreatedToken").field("token", &self.token).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    fn tokens(dir: &std::path::Path) -> Tokens {
        let store = Store::open(&dir.join("akkerisd.db"), Clock::system()).unwrap();
        Tokens::new(store, Ids::counter())
    }

    fn named(name: &str) -> CreateToken {
        CreateToken {
            name: TokenName::parse(name).unwrap(),
            kind: TokenKind::Admin,
            user: UserName::parse("ada").unwrap(),
        }
    }

    #[tokio::test]
    async fn a_name_is_free_again_after_its_token_was_revoked() {
        let dir = tempfile::tempdir().unwrap();
        let tokens = tokens(dir.path());
        let created = tokens.create(named("ci")).await.unwrap();
        assert!(!format!("{created:?}").contains(&created.secret));
        assert!(matches!(tokens.create(named("ci")).await, Err(Error::Conflict(_))));
        tokens.revoke(TokenName::parse("ci").unwrap()).await.unwrap();
        assert!(matches!(tokens.revoke(TokenName::parse("ci").unwrap()).await, Err(Error::NotFound(_))));
        tokens.create(named("ci")).await.unwrap();
        let revoked: Vec<bool> =
            tokens.list().await.unwrap().iter().map(|token| token.revoked_at.is_some()).collect();
        assert_eq!(revoked, [true, false]);
    }
}
