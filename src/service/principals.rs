//! Who a token stands for, and how far its rights go (reading 4).

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Error, accounts};
use crate::model::account::{Account, Role};
use crate::model::ids::AppId;
use crate::model::names::UserName;
use crate::model::principal::{Access, Memberships, Principal, Reach};
use crate::model::time::Timestamp;
use crate::model::token::{Token, TokenHash, TokenKind};
use crate::store::{self, Connection};

/// For whom a service token is to act; means nothing with other tokens.
#[derive(Debug, Clone)]
pub struct Acting {
    pub user: UserName,
    pub access: Access,
}

/// The token of that hash and whom it stands for; `None` when there is none or it has ended. What is wrong
/// with `acting` concerns service tokens only.
pub fn resolve(
    connection: &Connection,
    hash: &TokenHash,
    acting: Result<Option<Acting>, Error>,
    now: Timestamp,
) -> Result<Option<(Token, Principal)>, Error> {
    let found = store::tokens::find_by_hash(connection, hash)?;
    let Some(token) = found.filter(|token| token.expires_at.is_none_or(|end| end > now)) else {
        return Ok(None);
    };
    let principal = match token.kind {
        TokenKind::Service => of_service(connection, &token, acting?)?,
        TokenKind::Personal | TokenKind::Admin => of_person(connection, &token)?,
    };
    Ok(Some((token, principal)))
}

/// A service token is the operator's own: it is trusted to name users that only its holder knows.
fn of_service(connection: &Connection, token: &Token, acting: Option<Acting>) -> Result<Principal, Error> {
    let Some(Acting { user, access }) = acting else { return Ok(Principal::ordinary(token.user.clone())) };
    let account = store::accounts::find_by_name(connection, &user)?;
    account.as_ref().map(accounts::check_not_suspended).transpose()?;
    let reach = match account {
        Some(account) if access == Access::Ordinary => reach(connection, &account)?,
        Some(_) | None => Reach::Everything,
    };
    Ok(Principal { user, access, reach, grant: None })
}

/// Whom a temporary token stands for: an account that is still there and not suspended, without elevated access and
/// within the organization of the app that the token was issued for; `None` when that is not left of it.
pub fn of_temporary(
    connection: &Connection,
    user: &UserName,
    app: AppId,
) -> Result<Option<Principal>, Error> {
    let (account, app) =
        (store::accounts::find_by_name(connection, user)?, store::apps::find(connection, app)?);
    let Some((account, app)) = account.zip(app) else { return Ok(None) };
    accounts::check_not_suspended(&account)?;
    let organization = app.organization.id;
    if !reach(connection, &account)?.includes(organization) {
        return Ok(None);
    }
    let organizations = BTreeSet::from([organization]);
    let reach =
        Reach::Organizations(Arc::new(Memberships { account: account.id, organizations, narrowed: true }));
    Ok(Some(Principal { user: account.name, access: Access::Ordinary, reach, grant: None }))
}

fn of_person(connection: &Connection, token: &Token) -> Result<Principal, Error> {
    let account = accounts::resolve(connection, &token.user)?;
    accounts::check_not_suspended(&account)?;
    let elevated = token.kind == TokenKind::Admin || account.role == Role::Owner;
    if elevated {
        return Ok(Principal { grant: token.grant, ..Principal::elevated(account.name) });
    }
    let reach = reach(connection, &account)?;
    Ok(Principal { user: account.name, access: Access::Ordinary, reach, grant: token.grant })
}

fn reach(connection: &Connection, account: &Account) -> Result<Reach, Error> {
    if account.role == Role::Owner {
        return Ok(Reach::Everything);
    }
    let organizations = store::organization_members::organizations_of(connection, account.id)?;
    Ok(Reach::Organizations(Arc::new(Memberships { account: account.id, organizations, narrowed: false })))
}
