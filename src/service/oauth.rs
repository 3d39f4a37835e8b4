//! OAuth 2: people let applications act for them (RFC 6749 with PKCE, RFC 7636).
//!
//! Invariants: a code and a refresh token work once, and a second use ends all that was granted; nothing
//! secret is stored but as a hash.

use std::time::Duration;

use super::{Error, accounts, tokens};
use crate::ids::{self, Ids};
use crate::model::account::Account;
use crate::model::event::Event;
use crate::model::ids::{GrantId, OauthClientId, TokenId};
use crate::model::oauth::{Challenge, ClientKind, Grant, OauthClient};
use crate::model::principal::Principal;
use crate::model::rule::shown;
use crate::model::token::{Note, Scope, Token, TokenHash, TokenKind, TokenName};
use crate::store::{self, Connection, Store, Tx};

/// How long a code waits to be exchanged (RFC 6749 §4.1.2 allows ten minutes).
const CODE_LIFETIME: Duration = Duration::from_mins(2);
/// How long an application's access token works.
pub const ACCESS_LIFETIME: Duration = Duration::from_hours(8);
/// How long a refresh token works.
const REFRESH_LIFETIME: Duration = Duration::from_hours(30 * 24);
/// How long what has ended is remembered, so that a second use is noticed.
const MEMORY: Duration = Duration::from_hours(24);

/// Why an application did not get what it asked for: the error codes of RFC 6749 §5.2.
#[derive(Debug, thiserror::Error)]
pub enum OauthError {
    #[error("{0}")]
    InvalidRequest(String),
    #[error("{0}")]
    InvalidClient(String),
    #[error("{0}")]
    InvalidGrant(String),
    #[error("{0}")]
    UnsupportedGrantType(String),
    #[error(transparent)]
    Other(#[from] Error),
}

/// How an application says who it is.
#[derive(Clone)]
pub struct ClientProof {
    pub id: String,
    pub secret: Option<String>,
}

/// What an application asks a person for.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub client: OauthClient,
    pub redirect_uri: String,
    pub scope: Scope,
    pub challenge: Option<Challenge>,
}

/// What an application gets for a code or a refresh token.
#[derive(Clone)]
pub struct Issued {
    pub access_token: String,
    pub refresh_token: String,
    pub scope: Scope,
}

/// What a transaction found: a theft must be stored although the request is refused.
enum Outcome {
    Granted(Grant),
    Refused(&'static str),
}

impl std::fmt::Debug for ClientProof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientProof").field("id", &self.id).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Issued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issued").field("scope", &self.scope).finish_non_exhaustive()
    }
}

/// The application of that id.
pub fn client(connection: &Connection, id: &str) -> Result<OauthClient, OauthError> {
    let unknown = || OauthError::InvalidClient(format!("There is no application {}.", shown(id)));
    let id: OauthClientId = id.parse().map_err(|_| unknown())?;
    store::oauth_clients::find(connection, id).map_err(Error::from)?.ok_or_else(unknown)
}

/// Notes that a person allowed what was wanted, and returns the code for it, which works once for two minutes.
pub async fn grant(store: &Store, ids: &Ids, account: &Account, wanted: &Wanted) -> Result<String, Error> {
    let code = ids::random_secret();
    let (id, hash) = (GrantId::new(ids.next()), TokenHash::of(&code));
    let (wanted, account_id) = (wanted.clone(), account.id);
    store
        .write(&Principal::ordinary(account.name.clone()), move |tx| {
            let grant = Grant {
                id,
                client: wanted.client.id,
                account: account_id,
                scope: wanted.scope,
                redirect_uri: wanted.redirect_uri,
                challenge: wanted.challenge,
                code: hash,
                code_expires_at: tx.now().plus(CODE_LIFETIME),
                code_used_at: None,
                created_at: tx.now(),
                revoked_at: None,
            };
            store::oauth_grants::forget_ended(tx, tx.now().minus(MEMORY))?;
            store::oauth_grants::insert(tx, &grant)?;
            tx.record(Event::GrantCreated { client: grant.client, grant: id })?;
            Ok::<_, Error>(())
        })
        .await?;
    Ok(code)
}

/// Gives the tokens for a code.
pub async fn exchange(
    store: &Store,
    ids: &Ids,
    proof: ClientProof,
    (code, redirect_uri): (String, Option<String>),
    verifier: Option<String>,
) -> Result<Issued, OauthError> {
    let hash = TokenHash::of(&code);
    issue(store, ids, proof, move |tx, client| {
        let Some(grant) = store::oauth_grants::find_by_code(tx, &hash)? else {
            return Ok(Outcome::Refused("The code is unknown."));
        };
        if grant.client != client.id {
            return Ok(Outcome::Refused("The code was given to another application."));
        }
        if grant.code_used_at.is_some() {
            revoke_grant(tx, grant.id)?;
            return Ok(Outcome::Refused("The code was used before; all that came of it was revoked."));
        }
        if grant.code_expires_at <= tx.now() || grant.revoked_at.is_some() {
            return Ok(Outcome::Refused("The code has expired; ask for another one."));
        }
        if redirect_uri.is_some_and(|uri| uri != grant.redirect_uri) {
            return Ok(Outcome::Refused("The redirect_uri is not the one that the code was sent to."));
        }
        let proven = match (&grant.challenge, &verifier) {
            (None, None) => true,
            (Some(challenge), Some(verifier)) => challenge.is_of(verifier),
            (Some(_), None) | (None, Some(_)) => false,
        };
        if !proven {
            return Ok(Outcome::Refused("The code_verifier does not fit the code_challenge."));
        }
        store::oauth_grants::use_code(tx, grant.id)?;
        Ok(Outcome::Granted(grant))
    })
    .await
}

/// Gives new tokens for a refresh token; the old access tokens of the grant end.
pub async fn refresh(
    store: &Store,
    ids: &Ids,
    proof: ClientProof,
    refresh_token: String,
) -> Result<Issued, OauthError> {
    let hash = TokenHash::of(&refresh_token);
    issue(store, ids, proof, move |tx, client| {
        let Some(refresh) = store::oauth_grants::find_refresh(tx, &hash)? else {
            return Ok(Outcome::Refused("The refresh token is unknown."));
        };
        let grant = store::oauth_grants::find(tx, refresh.grant)?;
        let Some(grant) = grant.filter(|grant| grant.client == client.id && grant.revoked_at.is_none())
        else {
            return Ok(Outcome::Refused("The refresh token was revoked or is another application's."));
        };
        if refresh.used_at.is_some() {
            revoke_grant(tx, grant.id)?;
            return Ok(Outcome::Refused(
                "The refresh token was used before; all that was granted was revoked.",
            ));
        }
        if refresh.expires_at <= tx.now() {
            return Ok(Outcome::Refused("The refresh token has expired."));
        }
        store::oauth_grants::use_refresh(tx, &hash)?;
        store::tokens::revoke_of_grant(tx, grant.id)?;
        Ok(Outcome::Granted(grant))
    })
    .await
}

/// Ends the grant that an access or refresh token belongs to (RFC 7009); an unknown one is no error.
pub async fn revoke(store: &Store, proof: ClientProof, token: String) -> Result<(), OauthError> {
    let hash = TokenHash::of(&token);
    store
        .write(&Principal::daemon(), move |tx| {
            let client = check_client(tx, &proof)?;
            let of_refresh = store::oauth_grants::find_refresh(tx, &hash)?.map(|refresh| refresh.grant);
            let of_access = store::tokens::find_by_hash(tx, &hash)?.and_then(|token| token.grant);
            let Some(id) = of_refresh.or(of_access) else { return Ok(()) };
            if store::oauth_grants::find(tx, id)?.is_some_and(|grant| grant.client == client.id) {
                revoke_grant(tx, id)?;
            }
            Ok(())
        })
        .await
}

/// Ends a grant and its tokens, in the caller's transaction.
pub(super) fn revoke_grant(tx: &mut Tx<'_>, id: GrantId) -> Result<(), Error> {
    let Some(grant) = store::oauth_grants::find(tx, id)? else { return Ok(()) };
    store::oauth_grants::mark_revoked(tx, id)?;
    store::tokens::revoke_of_grant(tx, id)?;
    tx.record(Event::GrantRevoked { client: grant.client, grant: id })?;
    Ok(())
}

async fn issue(
    store: &Store,
    ids: &Ids,
    proof: ClientProof,
    decide: impl FnOnce(&mut Tx<'_>, &OauthClient) -> Result<Outcome, Error> + Send + 'static,
) -> Result<Issued, OauthError> {
    let (access_token, refresh_token) = (ids::random_secret(), ids::random_secret());
    let hashes = (TokenHash::of(&access_token), TokenHash::of(&refresh_token));
    let id = TokenId::new(ids.next());
    let outcome = store
        .write(&Principal::daemon(), move |tx| {
            let client = check_client(tx, &proof)?;
            let outcome = decide(tx, &client)?;
            if let Outcome::Granted(grant) = &outcome {
                store_tokens(tx, id, (&client, grant), &hashes)?;
            }
            Ok::<_, OauthError>(outcome)
        })
        .await?;
    match outcome {
        Outcome::Granted(grant) => Ok(Issued { access_token, refresh_token, scope: grant.scope }),
        Outcome::Refused(why) => Err(OauthError::InvalidGrant(why.to_owned())),
    }
}

fn store_tokens(
    tx: &mut Tx<'_>,
    id: TokenId,
    (client, grant): (&OauthClient, &Grant),
    (access, refresh): &(TokenHash, TokenHash),
) -> Result<(), Error> {
    let account = store::accounts::find(tx, grant.account)?
        .ok_or_else(|| Error::NotFound("The account is gone.".to_owned()))?;
    accounts::check_not_suspended(&account)?;
    let token = Token {
        id,
        name: TokenName::parse(&id.to_string())?,
        kind: TokenKind::Personal,
        user: account.name,
        scope: grant.scope,
        note: Note::from_stored(client.name.as_str().to_owned()),
        grant: Some(grant.id),
        created_at: tx.now(),
        expires_at: Some(tx.now().plus(ACCESS_LIFETIME)),
        revoked_at: None,
    };
    tokens::insert_token(tx, &token, access)?;
    Ok(store::oauth_grants::insert_refresh(tx, grant.id, refresh, tx.now().plus(REFRESH_LIFETIME))?)
}

/// A confidential application proves itself with its secret; a public one has none (RFC 6749 §3.2.1).
fn check_client(connection: &Connection, proof: &ClientProof) -> Result<OauthClient, OauthError> {
    let client = client(connection, &proof.id)?;
    let stored = store::oauth_clients::secret_hash(connection, client.id).map_err(Error::from)?;
    let proven = match (client.kind, &proof.secret, stored) {
        (ClientKind::Confidential, Some(secret), Some(stored)) => TokenHash::of(secret) == stored,
        (ClientKind::Public, None, None) => true,
        _ => false,
    };
    if proven {
        return Ok(client);
    }
    Err(OauthError::InvalidClient(match client.kind {
        ClientKind::Confidential => "The client_secret is missing or wrong.".to_owned(),
        ClientKind::Public => "This application is public and has no client_secret; send none.".to_owned(),
    }))
}

impl From<store::StoreError> for OauthError {
    fn from(error: store::StoreError) -> Self {
        Self::Other(error.into())
    }
}
