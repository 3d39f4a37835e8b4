//! Accounts: made and suspended by the operator, kept by the people themselves.

use super::{Error, logins, organizations};
use crate::ids::Ids;
use crate::model::RuleError;
use crate::model::account::{Account, Email, MemberRole, OrganizationMember, Role};
use crate::model::event::{ChangeKind, Event};
use crate::model::ids::AccountId;
use crate::model::names::UserName;
use crate::model::organization::Organization;
use crate::model::principal::{Principal, Reach};
use crate::model::time::Timestamp;
use crate::model::two_factor::SharedSecret;
use crate::seal::Sealer;
use crate::store::{self, Connection, Store, StoreError, Tx};

/// An account to be made.
#[derive(Debug, Clone)]
pub struct NewAccount {
    pub name: UserName,
    pub role: Role,
    pub email: Email,
    /// Names of the organizations that it becomes a member of; when none is named and there is one only, that
    /// one.
    pub organizations: Vec<String>,
    /// argon2id; without it nobody logs in.
    pub password_hash: Option<String>,
}

/// What shall change; `None` leaves it.
#[derive(Debug, Clone, Default)]
pub struct AccountChange {
    pub email: Option<Email>,
    /// argon2id.
    pub password_hash: Option<String>,
}

/// Makes an account.
pub async fn create(store: &Store, ids: &Ids, new: NewAccount) -> Result<Account, Error> {
    let id = AccountId::new(ids.next());
    store
        .write(&Principal::daemon(), move |tx| {
            let password_hash = new.password_hash.clone();
            let account = insert(tx, id, new)?;
            if let Some(hash) = password_hash {
                store::accounts::set_password(tx, id, &hash)?;
            }
            Ok(account)
        })
        .await
}

/// The account of that name.
pub fn resolve(connection: &Connection, name: &UserName) -> Result<Account, Error> {
    store::accounts::find_by_name(connection, name)?
        .ok_or_else(|| Error::NotFound(format!("There is no account {name} here.")))
}

/// Changes what a person may change of an account.
pub async fn update(
    store: &Store,
    author: &Principal,
    id: AccountId,
    change: AccountChange,
) -> Result<Account, Error> {
    store
        .write(author, move |tx| {
            let mut account = still(tx, id)?;
            if let Some(email) = change.email {
                account.email = email;
            }
            account.updated_at = tx.now();
            store::accounts::update(tx, &account)?;
            if let Some(hash) = change.password_hash {
                store::accounts::set_password(tx, id, &hash)?;
                account.has_password = true;
            }
            tx.record(Event::AccountUpdated { account: id })?;
            Ok(account)
        })
        .await
}

/// Gives the account of that name another password.
pub async fn set_password(store: &Store, name: UserName, hash: String) -> Result<(), Error> {
    by_operator(store, name, move |tx, account| store::accounts::set_password(tx, account.id, &hash)).await
}

/// Accepts nothing from an account from `at` on, its tokens included; `None` accepts it again.
pub async fn suspend(store: &Store, name: UserName, at: Option<Timestamp>) -> Result<(), Error> {
    by_operator(store, name, move |tx, account| {
        let changed = Account { suspended_at: at, updated_at: tx.now(), ..account };
        store::accounts::update(tx, &changed)
    })
    .await
}

/// Makes a new secret of one-time codes, which counts once it was confirmed. Refused while another one counts.
pub async fn begin_two_factor(
    store: &Store,
    sealer: &Sealer,
    author: &Principal,
    account: &Account,
) -> Result<SharedSecret, Error> {
    let secret = SharedSecret::new(rand::random(), &account.name).map_err(Error::internal)?;
    let row = account.id.to_string();
    let sealed = sealer.seal(logins::secret_place(&row), &secret.to_base32()).map_err(Error::internal)?;
    let id = account.id;
    store
        .write(author, move |tx| {
            if still(tx, id)?.two_factor {
                return Err(Error::Conflict(
                    "Two-factor authentication is on already; switch it off first to use another authenticator."
                        .to_owned(),
                ));
            }
            Ok(store::accounts::set_two_factor(tx, id, Some(&sealed), None)?)
        })
        .await?;
    Ok(secret)
}

/// Switches one-time codes on, once the authenticator shows the right one.
pub async fn confirm_two_factor(
    store: &Store,
    sealer: &Sealer,
    author: &Principal,
    account: &Account,
    code: String,
) -> Result<Account, Error> {
    let (id, sealer) = (account.id, sealer.clone());
    store
        .write(author, move |tx| {
            use_code(tx, &sealer, id, &code)?;
            let credentials = store::accounts::credentials(tx, id)?;
            store::accounts::set_two_factor(tx, id, credentials.two_factor.as_ref(), Some(tx.now()))?;
            tx.record(Event::AccountUpdated { account: id })?;
            still(tx, id)
        })
        .await
}

/// Switches one-time codes off, against a last one.
pub async fn end_two_factor(
    store: &Store,
    sealer: &Sealer,
    author: &Principal,
    account: &Account,
    code: String,
) -> Result<Account, Error> {
    let (id, sealer) = (account.id, sealer.clone());
    store
        .write(author, move |tx| {
            if !still(tx, id)?.two_factor {
                return Err(Error::Conflict("Two-factor authentication is off already.".to_owned()));
            }
            use_code(tx, &sealer, id, &code)?;
            store::accounts::set_two_factor(tx, id, None, None)?;
            tx.record(Event::AccountUpdated { account: id })?;
            still(tx, id)
        })
        .await
}

/// Switches one-time codes off without one: for the operator, when somebody lost the authenticator.
pub async fn drop_two_factor(store: &Store, name: UserName) -> Result<(), Error> {
    by_operator(store, name, |tx, account| store::accounts::set_two_factor(tx, account.id, None, None)).await
}

/// Refuses an account that is suspended.
pub(super) fn check_not_suspended(account: &Account) -> Result<(), Error> {
    match account.suspended_at {
        None => Ok(()),
        Some(at) => Err(Error::Forbidden(format!(
            "The account {} is suspended since {at}; the operator can take that back with `akkerisd user resume`.",
            account.name
        ))),
    }
}

/// Changes the account of that name, as the operator of this installation.
async fn by_operator(
    store: &Store,
    name: UserName,
    change: impl FnOnce(&Tx<'_>, Account) -> Result<(), StoreError> + Send + 'static,
) -> Result<(), Error> {
    store
        .write(&Principal::daemon(), move |tx| {
            let account = resolve(tx, &name)?;
            let id = account.id;
            change(tx, account)?;
            Ok(tx.record(Event::AccountUpdated { account: id })?)
        })
        .await
}

/// The account of that name, made with that role when there is none, in the caller's transaction.
pub(super) fn ensure(tx: &mut Tx<'_>, ids: &Ids, name: &UserName, role: Role) -> Result<Account, Error> {
    if let Some(account) = store::accounts::find_by_name(tx, name)? {
        return Ok(account);
    }
    let new = NewAccount {
        name: name.clone(),
        role,
        email: Email::from_stored(String::new()),
        organizations: Vec::new(),
        password_hash: None,
    };
    insert(tx, AccountId::new(ids.next()), new)
}

fn insert(tx: &mut Tx<'_>, id: AccountId, new: NewAccount) -> Result<Account, Error> {
    let account = Account {
        id,
        name: new.name,
        email: new.email,
        role: new.role,
        has_password: new.password_hash.is_some(),
        two_factor: false,
        created_at: tx.now(),
        updated_at: tx.now(),
        last_login_at: None,
        suspended_at: None,
    };
    store::accounts::insert(tx, &account)
        .map_err(|error| Error::exists(error, || format!("There is an account {} already.", account.name)))?;
    tx.record(Event::AccountCreated { account: id })?;
    for organization in first_organizations(tx, account.role, &new.organizations)? {
        let member = OrganizationMember {
            organization: organization.id,
            account: id,
            name: account.name.clone(),
            role: MemberRole::Member,
            created_at: tx.now(),
        };
        store::organization_members::put(tx, &member)?;
        tx.record(Event::OrganizationMemberChanged {
            organization: organization.id,
            account: id,
            change: ChangeKind::Create,
        })?;
    }
    Ok(account)
}

/// An owner acts everywhere without being a member.
fn first_organizations(
    connection: &Connection,
    role: Role,
    names: &[String],
) -> Result<Vec<Organization>, Error> {
    if names.is_empty() {
        let all = store::organizations::list(connection)?;
        return Ok(if role == Role::Member && all.len() == 1 { all } else { Vec::new() });
    }
    names.iter().map(|name| organizations::resolve(connection, &Reach::Everything, name)).collect()
}

/// Uses up a one-time code of an account, whose secret may not be confirmed yet.
fn use_code(tx: &Tx<'_>, sealer: &Sealer, id: AccountId, code: &str) -> Result<(), Error> {
    let (account, credentials) = (still(tx, id)?, store::accounts::credentials(tx, id)?);
    if credentials.two_factor.is_none() {
        return Err(RuleError::new(
            "There is no authenticator to confirm: POST /account/two-factor-authentication makes its secret.",
        )
        .into());
    }
    let secret = logins::open_secret(sealer, &account, &credentials)?;
    let step = secret.step_of(code, tx.now()).ok_or_else(wrong_code)?;
    if store::accounts::use_step(tx, id, step)? { Ok(()) } else { Err(wrong_code()) }
}

/// Here the one who asks is known, so a wrong code is a broken rule.
fn wrong_code() -> Error {
    RuleError::new(
        "The one-time code is wrong or was used before; send the one your authenticator shows now.",
    )
    .into()
}

fn still(tx: &Tx<'_>, id: AccountId) -> Result<Account, Error> {
    store::accounts::find(tx, id)?.ok_or_else(|| Error::NotFound("The account is gone.".to_owned()))
}
