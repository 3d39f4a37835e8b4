//! Passwords: hashed with argon2id, one at a time, off the runtime's threads.
//!
//! Invariant: a login takes as long for an account that does not exist as for one with another password.

use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

/// 12 MiB, three passes, one lane: OWASP's second choice, which fits a daemon of tens of megabytes.
const MEMORY_KIB: u32 = 12 * 1024;
const PASSES: u32 = 3;
/// How long a login waits for those before it.
const TURN_LIMIT: Duration = Duration::from_secs(10);
/// The hash of a password that nobody has, with the same costs.
const NOBODYS: &str =
    "$argon2id$v=19$m=12288,t=3,p=1$YWtrZXJpc2Qtbm9ib2R5$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Hashes and verifies. Clones share one turn, so that many logins never need more memory than one.
#[derive(Debug, Clone)]
pub struct Passwords(Arc<Semaphore>);

/// Why a password was neither hashed nor verified.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    #[error("too many logins wait for their turn")]
    Busy,
    #[error("a password could not be hashed: {0}")]
    Hash(argon2::password_hash::Error),
    #[error("the parameters of argon2 are not usable: {0}")]
    Parameters(argon2::Error),
    #[error("hashing a password panicked")]
    Panicked,
}

impl Passwords {
    /// One turn for all who share it.
    pub fn new() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }

    /// The hash to store, in the PHC form with a salt of its own. Waits at most 10 seconds for its turn.
    pub async fn hash(&self, password: String) -> Result<String, PasswordError> {
        self.in_turn(move || {
            let hash = argon2()?.hash_password(password.as_bytes()).map_err(PasswordError::Hash)?;
            Ok(hash.to_string())
        })
        .await
    }

    /// Whether the password is the one of the hash; without a hash it is not, after the same time.
    pub async fn verify(&self, password: String, hash: Option<String>) -> Result<bool, PasswordError> {
        self.in_turn(move || {
            let known = hash.is_some();
            let hash = hash.as_deref().unwrap_or(NOBODYS);
            Ok(argon2()?.verify_password(password.as_bytes(), hash).is_ok() && known)
        })
        .await
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let turn = tokio::time::timeout(TURN_LIMIT, Arc::clone(&self.0).acquire_owned()).await;
        let turn = turn.map_err(|_| PasswordError::Busy)?.map_err(|_| PasswordError::Busy)?;
        // The turn goes into the closure: a login that is cancelled goes on using memory until it ends.
        let result = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        result.await.unwrap_or(Err(PasswordError::Panicked))
    }
}

impl Default for Passwords {
    fn default() -> Self {
        Self::new()
    }
}

fn argon2() -> Result<Argon2<'static>, PasswordError> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, None).map_err(PasswordError::Parameters)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_hash_is_argon2id_salted_and_verifies_its_own_password_only() {
        let passwords = Passwords::new();
        let hash = passwords.hash("open sesame".to_owned()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=12288,t=3,p=1$"), "{hash}");
        assert_ne!(hash, passwords.hash("open sesame".to_owned()).await.unwrap());
        let verify = async |text: &str, hash: Option<String>| passwords.verify(text.to_owned(), hash).await;
        assert!(verify("open sesame", Some(hash.clone())).await.unwrap());
        assert!(!verify("open sesam", Some(hash)).await.unwrap());
        assert!(!verify("open sesame", Some("damaged".to_owned())).await.unwrap());
    }

    #[tokio::test]
    async fn nobody_s_hash_costs_what_any_hash_costs_and_verifies_nothing() {
        let parsed = argon2::password_hash::phc::PasswordHash::new(NOBODYS).unwrap();
        let params = Params::try_from(&parsed).unwrap();
        assert_eq!((params.m_cost(), params.t_cost(), params.p_cost()), (MEMORY_KIB, PASSES, 1));
        assert!(!Passwords::new().verify(String::new(), None).await.unwrap());
    }
}
