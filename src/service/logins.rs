//! Logins: a name, a password and, where the account wants one, a one-time code.
//!
//! Invariant: the answer to a wrong login does not tell whether the account exists.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::Error;
use super::login_attempts::LoginAttempts;
use crate::clock::Clock;
use crate::model::account::{Account, LONGEST_PASSWORD};
use crate::model::event::Event;
use crate::model::names::UserName;
use crate::model::principal::Principal;
use crate::model::token::{TokenHash, TokenKind};
use crate::model::two_factor::{SharedSecret, from_base32};
use crate::password::{PasswordError, Passwords};
use crate::seal::{SealPlace, Sealer};
use crate::store::accounts::Credentials;
use crate::store::{self, Connection, Store};

/// Checks logins. Clones share the count of failed ones.
#[derive(Debug, Clone)]
pub struct Logins {
    store: Store,
    sealer: Sealer,
    clock: Clock,
    passwords: Passwords,
    attempts: Arc<Mutex<LoginAttempts>>,
}

/// What somebody sends to log in.
#[derive(Clone)]
pub struct Login {
    pub name: String,
    /// The account's password, or the secret of one of its admin tokens.
    pub password: String,
    pub code: Option<String>,
    pub address: IpAddr,
}

/// What the store knows of the one who logs in.
struct Known {
    account: Account,
    credentials: Credentials,
    /// Whether the password is the secret of an admin token of the account.
    is_admin_token: bool,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Logins {
    /// Checks against that store.
    pub fn new(store: Store, sealer: Sealer, clock: Clock) -> Self {
        Self { store, sealer, clock, passwords: Passwords::new(), attempts: Arc::default() }
    }

    /// Hashes passwords in turn with the logins.
    pub fn passwords(&self) -> &Passwords {
        &self.passwords
    }

    /// The account that logs in, which is noted. Refused without telling why when name or password is wrong,
    /// with [`Error::OneTimeCode`] when only the code is missing or wrong, and with
    /// [`Error::TooManyAttempts`] after too many failures.
    pub async fn check(&self, login: Login) -> Result<Account, Error> {
        let name = UserName::parse(&login.name).map_err(|_| wrong())?;
        self.take_attempt(&name, login.address)?;
        let account = self.check_password(&name, &login).await?;
        let step = match self.check_code(&account, &login).await {
            // Nothing was guessed yet: the client asks its user for the code now.
            Err(error) if login.code.is_none() => {
                self.attempts().give_back(&name, login.address);
                return Err(error);
            }
            other => other?,
        };
        let account = self.note(account, step).await?;
        self.attempts().forget(&name, login.address);
        Ok(account)
    }

    /// Does what depends on a code or password that could be guessed: it counts as a login that failed, unless it
    /// succeeds.
    pub async fn guard<T>(
        &self,
        account: &Account,
        address: IpAddr,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        self.take_attempt(&account.name, address)?;
        let done = work.await?;
        self.attempts().give_back(&account.name, address);
        Ok(done)
    }

    fn take_attempt(&self, name: &UserName, address: IpAddr) -> Result<(), Error> {
        let now = self.clock.now();
        self.attempts().take(name, address, now).map_err(|wait| Error::TooManyAttempts {
            message: format!(
                "There were too many failed logins; try again in {} minutes. Tokens go on working.",
                wait.as_secs().div_ceil(60)
            ),
            wait,
        })
    }

    async fn check_password(&self, name: &UserName, login: &Login) -> Result<Account, Error> {
        if login.password.len() > LONGEST_PASSWORD {
            return Err(wrong());
        }
        let known = self.find(name.clone(), TokenHash::of(&login.password)).await?;
        let is_admin_token = known.as_ref().is_some_and(|known| known.is_admin_token);
        let hash = known.as_ref().and_then(|known| known.credentials.password_hash.clone());
        if !is_admin_token && !self.passwords.verify(login.password.clone(), hash).await? {
            return Err(wrong());
        }
        let Known { account, .. } = known.ok_or_else(wrong)?;
        super::accounts::check_not_suspended(&account)?;
        Ok(account)
    }

    async fn find(&self, name: UserName, hash: TokenHash) -> Result<Option<Known>, Error> {
        let query = move |connection: &Connection| {
            let Some(account) = store::accounts::find_by_name(connection, &name)? else { return Ok(None) };
            let credentials = store::accounts::credentials(connection, account.id)?;
            let token = store::tokens::find_by_hash(connection, &hash)?;
            let is_admin_token = token.is_some_and(|t| t.kind == TokenKind::Admin && t.user == name);
            Ok::<_, Error>(Some(Known { account, credentials, is_admin_token }))
        };
        self.store.read(query).await
    }

    /// The step of the code, when the account wants one.
    async fn check_code(&self, account: &Account, login: &Login) -> Result<Option<i64>, Error> {
        if !account.two_factor {
            return Ok(None);
        }
        let code = login.code.as_deref().ok_or_else(|| {
            Error::OneTimeCode(
                "A 2FA one-time code (OTP) is needed: send it in the header x-akkeris-otp.".to_owned(),
            )
        })?;
        let id = account.id;
        let credentials =
            self.store.read(move |c| Ok::<_, Error>(store::accounts::credentials(c, id)?)).await?;
        let secret = open_secret(&self.sealer, account, &credentials)?;
        let step = secret.step_of(code, self.clock.now());
        step.filter(|step| *step > credentials.two_factor_step).map(Some).ok_or_else(wrong_code)
    }

    async fn note(&self, account: Account, step: Option<i64>) -> Result<Account, Error> {
        self.store
            .write(&Principal::ordinary(account.name.clone()), move |tx| {
                if let Some(step) = step
                    && !store::accounts::use_step(tx, account.id, step)?
                {
                    return Err(wrong_code());
                }
                store::accounts::note_login(tx, account.id)?;
                tx.record(Event::AccountLoggedIn { account: account.id })?;
                Ok(account)
            })
            .await
    }

    fn attempts(&self) -> std::sync::MutexGuard<'_, LoginAttempts> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the secret of an account's one-time codes is sealed.
pub(super) fn secret_place(row: &str) -> SealPlace<'_> {
    SealPlace { table: "accounts", row, column: "two_factor_secret" }
}

/// The secret of an account's one-time codes.
pub(super) fn open_secret(
    sealer: &Sealer,
    account: &Account,
    credentials: &Credentials,
) -> Result<SharedSecret, Error> {
    let sealed =
        credentials.two_factor.as_ref().ok_or_else(|| Error::internal("no secret of one-time codes"))?;
    let text = sealer.open_text(secret_place(&account.id.to_string()), sealed).map_err(Error::internal)?;
    let bytes = from_base32(&text).ok_or_else(|| Error::internal("a secret of one-time codes is damaged"))?;
    SharedSecret::new(bytes, &account.name).map_err(Error::internal)
}

pub(super) fn wrong_code() -> Error {
    Error::OneTimeCode(
        "The 2FA one-time code (OTP) is wrong or was used before; send the one your authenticator shows now."
            .to_owned(),
    )
}

fn wrong() -> Error {
    Error::Unauthenticated(
        "The user name or the password is wrong. `akkerisd user password NAME` sets a new one.".to_owned(),
    )
}

impl From<PasswordError> for Error {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Busy => {
                Self::Unavailable("Many people log in at the moment; try again in a moment.".to_owned())
            }
            PasswordError::Hash(_) | PasswordError::Parts(_) | PasswordError::Panicked => {
                Self::internal(error)
            }
        }
    }
}
