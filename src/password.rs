//! Passwords: hashed with argon2id, one at a time, off the runtime's threads.
//!
//! Invariant: a login takes as long for an account that does not exist as for one with another password.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use tokio::sync::Semaphore;

/// 7 MiB, five passes, one lane: of the choices that OWASP counts as equal, the one that fits a daemon of tens of
/// megabytes.
const MEMORY_KIB: u32 = 7 * 1024;
const PASSES: u32 = 5;
/// How long a login waits for those before it.
const TURN_LIMIT: Duration = Duration::from_secs(10);
/// The hash of a password that nobody has, with the same costs.
const NOBODYS: &str =
    "$argon2id$v=19$m=7168,t=5,p=1$YWtrZXJpc2Qtbm9ib2R5$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Hashes and verifies. Clones share one turn and its memory, which is taken at the first login and kept: given
/// back each time, it would stay with the allocator, once for every thread.
#[derive(Clone)]
pub struct Passwords {
    turn: Arc<Semaphore>,
    memory: Arc<Mutex<Vec<Block>>>,
}

/// Why a password was neither hashed nor verified.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    #[error("too many logins wait for their turn")]
    Busy,
    #[error("a password could not be hashed: {0}")]
    Hash(argon2::Error),
    #[error("the parts of a password's hash do not fit: {0}")]
    Parts(String),
    #[error("hashing a password panicked")]
    Panicked,
}

impl std::fmt::Debug for Passwords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passwords")
    }
}

impl Passwords {
    /// One turn for all who share it.
    pub fn new() -> Self {
        Self { turn: Arc::new(Semaphore::new(1)), memory: Arc::default() }
    }

    /// The hash to store, in the PHC form with a salt of its own. Waits at most 10 seconds for its turn.
    pub async fn hash(&self, password: String) -> Result<String, PasswordError> {
        self.in_turn(move |memory| {
            let salt: [u8; 16] = rand::random();
            let params = params()?;
            let hash = PasswordHash {
                algorithm: Algorithm::Argon2id.ident(),
                version: Some(Version::V0x13.into()),
                params: ParamsString::try_from(&params).map_err(parts)?,
                salt: Some(Salt::new(&salt).map_err(parts)?),
                hash: Some(digest(params, &password, &salt, memory)?),
            };
            Ok(hash.to_string())
        })
        .await
    }

    /// Whether the password is the one of the hash; without a hash it is not, after the same time.
    pub async fn verify(&self, password: String, hash: Option<String>) -> Result<bool, PasswordError> {
        self.in_turn(move |memory| {
            let stored = PasswordHash::new(hash.as_deref().unwrap_or(NOBODYS)).map_err(parts)?;
            let params = Params::try_from(&stored).map_err(parts)?;
            let salt = stored.salt.ok_or_else(|| PasswordError::Parts("there is no salt".to_owned()))?;
            let made = digest(params, &password, &salt, memory)?;
            // The comparison of two outputs takes the same time wherever they differ.
            Ok(stored.hash == Some(made) && hash.is_some())
        })
        .await
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Vec<Block>) -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let turn = tokio::time::timeout(TURN_LIMIT, Arc::clone(&self.turn).acquire_owned()).await;
        let turn = turn.map_err(|_| PasswordError::Busy)?.map_err(|_| PasswordError::Busy)?;
        let memory = Arc::clone(&self.memory);
        // The turn goes into the closure: a login that is cancelled goes on using memory until it ends.
        let result = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work(&mut memory.lock().unwrap_or_else(PoisonError::into_inner))
        });
        result.await.unwrap_or(Err(PasswordError::Panicked))
    }
}

impl Default for Passwords {
    fn default() -> Self {
        Self::new()
    }
}

fn params() -> Result<Params, PasswordError> {
    Params::new(MEMORY_KIB, PASSES, 1, None).map_err(PasswordError::Hash)
}

fn digest(
    params: Params,
    password: &str,
    salt: &[u8],
    memory: &mut Vec<Block>,
) -> Result<Output, PasswordError> {
    let blocks = params.block_count();
    if memory.len() < blocks {
        memory.resize(blocks, Block::default());
    }
    let memory = memory.get_mut(..blocks).unwrap_or_default();
    let mut digest = [0; Params::DEFAULT_OUTPUT_LEN];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(password.as_bytes(), salt, &mut digest, memory)
        .map_err(PasswordError::Hash)?;
    Output::new(&digest).map_err(parts)
}

fn parts(error: impl std::fmt::Display) -> PasswordError {
    PasswordError::Parts(error.to_string())
}

#[cfg(test)]
mod tests {
    use argon2::PasswordVerifier;

    use super::*;

    #[tokio::test]
    async fn a_hash_is_argon2id_salted_and_verifies_its_own_password_only() {
        let passwords = Passwords::new();
        let hash = passwords.hash("open sesame".to_owned()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=7168,t=5,p=1$"), "{hash}");
        assert_ne!(hash, passwords.hash("open sesame".to_owned()).await.unwrap());
        let verify = async |text: &str, hash: Option<String>| passwords.verify(text.to_owned(), hash).await;
        assert!(verify("open sesame", Some(hash.clone())).await.unwrap());
        assert!(!verify("open sesam", Some(hash.clone())).await.unwrap());
        assert!(verify("open sesame", Some("damaged".to_owned())).await.is_err());
        assert!(
            Argon2::default().verify_password(b"open sesame", hash.as_str()).is_ok(),
            "as any other program sees it"
        );
    }

    #[tokio::test]
    async fn nobody_s_hash_costs_what_any_hash_costs_and_verifies_nothing() {
        let stored = Params::try_from(&PasswordHash::new(NOBODYS).unwrap()).unwrap();
        let ours = params().unwrap();
        let costs = |params: &Params| (params.m_cost(), params.t_cost(), params.p_cost());
        assert_eq!(costs(&stored), costs(&ours));
        assert!(!Passwords::new().verify(String::new(), None).await.unwrap());
    }
}
