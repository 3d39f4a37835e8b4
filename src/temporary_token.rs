//! The temporary tokens that hooks get: JWTs, signed with the platform's own RSA key (`behaviour.md` §1.3).
//!
//! Invariant: the key is made when it is first needed to sign or to be shown, and never leaves its file and memory.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize, PublicKey};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::durable_file;
use crate::model::hook::HookEvent;
use crate::model::ids::{AppId, HookId};
use crate::model::names::UserName;
use crate::model::time::Timestamp;

/// How long a token is valid.
const VALID: Duration = Duration::from_mins(61);
/// How far the receiver's clock may be behind.
const CLOCK_DIFFERENCE: Duration = Duration::from_mins(1);
/// Longer texts are none of ours.
const LONGEST: usize = 4096;

/// Issues and checks temporary tokens. Clones share the key.
#[derive(Clone)]
pub struct TemporaryTokens(Arc<Shared>);

struct Shared {
    path: PathBuf,
    /// The API's own address: who issues, and for whom.
    issuer: String,
    key: Mutex<Option<Arc<KeyPair>>>,
}

/// For whom and by reason of what a token is issued.
#[derive(Debug, Clone)]
pub struct TokenReason {
    pub user: UserName,
    pub hook: HookId,
    pub event: HookEvent,
    pub app: AppId,
}

/// What a valid token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemporaryAccess {
    pub user: UserName,
    pub app: AppId,
}

/// Why there is no key to sign with.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("the key file {path} cannot be read or written")]
    File { path: String, source: std::io::Error },
    #[error("the key file {path} holds no RSA key; move it away to have a new one made")]
    Form { path: String },
    #[error("no RSA key could be made or used")]
    Crypto,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    sub: String,
    /// Elevated access, which a temporary token never gives.
    ele: bool,
    aud: String,
    iss: String,
    exp: i64,
    nbf: i64,
    jti: Uuid,
    hook_id: HookId,
    hook_type: String,
    app_uuid: AppId,
}

impl TemporaryTokens {
    /// Keeps its key at `path`; `issuer` is the API's own address.
    pub fn new(path: PathBuf, issuer: String) -> Self {
        Self(Arc::new(Shared { path, issuer, key: Mutex::default() }))
    }

    /// A token that is valid for 61 minutes. Blocks: the first one of an installation takes long.
    pub fn issue(&self, reason: &TokenReason, id: Uuid, now: Timestamp) -> Result<String, KeyError> {
        let key = self.key()?;
        let issuer = &self.0.issuer;
        let claims = Claims {
            sub: reason.user.to_string(),
            ele: false,
            aud: issuer.clone(),
            iss: issuer.clone(),
            exp: seconds(now.plus(VALID)),
            nbf: seconds(now.minus(CLOCK_DIFFERENCE)),
            jti: id,
            hook_id: reason.hook,
            hook_type: reason.event.to_string(),
            app_uuid: reason.app,
        };
        let head = json!({ "alg": "RS256", "typ": "JWT", "kid": key_id(key.public_key()) });
        let claims = serde_json::to_vec(&claims).map_err(|_| KeyError::Crypto)?;
        let signed = format!("{}.{}", encode(head.to_string()), encode(claims));
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .map_err(|_| KeyError::Crypto)?;
        Ok(format!("{signed}.{}", encode(signature)))
    }

    /// What a token says that this installation issued and that is valid now; `None` for everything else. Whatever
    /// its head says, it must be signed as ours are.
    pub fn check(&self, token: &str, now: Timestamp) -> Option<TemporaryAccess> {
        let (signed, signature) = token.rsplit_once('.').filter(|_| token.len() <= LONGEST)?;
        let (_, claims) = signed.split_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        // Where no key is there yet, nothing was ever issued.
        let key = self.existing().ok()??;
        let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key().as_ref());
        public.verify(signed.as_bytes(), &signature).ok()?;
        let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
        let (issuer, now) = (&self.0.issuer, seconds(now));
        let valid = claims.aud == *issuer && claims.iss == *issuer && !claims.ele;
        let valid = valid && (claims.nbf..claims.exp).contains(&now);
        let access = TemporaryAccess { user: UserName::parse(&claims.sub).ok()?, app: claims.app_uuid };
        valid.then_some(access)
    }

    /// The public key as a JSON Web Key Set (RFC 7517). Blocks like [`TemporaryTokens::issue`].
    pub fn key_set(&self) -> Result<Value, KeyError> {
        let key = self.key()?;
        let public = key.public_key();
        Ok(json!({ "keys": [{
            "kty": "RSA",
            "use": "sig",
            "alg": "RS256",
            "kid": key_id(public),
            "n": encode(public.modulus().big_endian_without_leading_zero()),
            "e": encode(public.exponent().big_endian_without_leading_zero()),
        }] }))
    }

    fn key(&self) -> Result<Arc<KeyPair>, KeyError> {
        let mut kept = self.0.key.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = &*kept {
            return Ok(Arc::clone(key));
        }
        let key = match read(&self.0.path)? {
            Some(key) => key,
            None => make(&self.0.path)?,
        };
        Ok(Arc::clone(kept.insert(Arc::new(key))))
    }

    fn existing(&self) -> Result<Option<Arc<KeyPair>>, KeyError> {
        let mut kept = self.0.key.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.is_none() {
            *kept = read(&self.0.path)?.map(Arc::new);
        }
        Ok(kept.clone())
    }
}

impl std::fmt::Debug for TemporaryTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TemporaryTokens([key])")
    }
}

fn read(path: &Path) -> Result<Option<KeyPair>, KeyError> {
    let shown = || path.display().to_string();
    match std::fs::read(path) {
        Ok(der) => KeyPair::from_pkcs8(&der).map(Some).map_err(|_| KeyError::Form { path: shown() }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(KeyError::File { path: shown(), source }),
    }
}

fn make(path: &Path) -> Result<KeyPair, KeyError> {
    let key = KeyPair::generate(KeySize::Rsa2048).map_err(|_| KeyError::Crypto)?;
    let der = key.as_der().map_err(|_| KeyError::Crypto)?;
    durable_file::write_private(path, der.as_ref())
        .map_err(|source| KeyError::File { path: path.display().to_string(), source })?;
    Ok(key)
}

/// Tells keys apart.
fn key_id(key: &PublicKey) -> String {
    encode(Sha256::digest(key.as_ref()))
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn seconds(at: Timestamp) -> i64 {
    at.as_millis() / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason() -> TokenReason {
        TokenReason {
            user: UserName::parse("alice").unwrap(),
            hook: HookId::new(Uuid::from_u128(1)),
            event: HookEvent::Release,
            app: AppId::new(Uuid::from_u128(2)),
        }
    }

    #[test]
    fn a_token_is_valid_for_a_while_at_its_issuer_and_unchanged() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let tokens = TemporaryTokens::new(path.clone(), "http://a".to_owned());
        let now = Timestamp::from_millis(1_800_000_000_000);
        assert!(tokens.check("a.b.c", now).is_none());
        assert!(!path.exists(), "checking makes no key");
        let token = tokens.issue(&reason(), Uuid::from_u128(3), now).unwrap();
        let access = TemporaryAccess { user: reason().user, app: reason().app };
        // A daemon that starts anew has the same key.
        let again = TemporaryTokens::new(path, "http://a".to_owned());
        for later in [0, 3659] {
            assert_eq!(again.check(&token, now.plus(Duration::from_secs(later))), Some(access.clone()));
        }
        assert_eq!(again.check(&token, now.plus(Duration::from_mins(61))), None);
        assert_eq!(again.check(&token, now.minus(Duration::from_secs(61))), None);
        let elsewhere = TemporaryTokens::new(dir.path().join("key"), "http://b".to_owned());
        assert_eq!(elsewhere.check(&token, now), None);
        let stranger = TemporaryTokens::new(dir.path().join("other"), "http://a".to_owned());
        stranger.key_set().unwrap();
        assert_eq!(stranger.check(&token, now), None);

        let parts: Vec<&str> = token.split('.').collect();
        let claims = String::from_utf8(URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
        for (from, to) in [("alice", "mallory"), ("\"ele\":false", "\"ele\":true")] {
            let changed = format!("{}.{}.{}", parts[0], encode(claims.replace(from, to)), parts[2]);
            assert_ne!(changed, token);
            assert_eq!(again.check(&changed, now), None);
        }
        let unsigned = format!("{}.{}.", encode("{\"alg\":\"none\"}"), parts[1]);
        assert_eq!(again.check(&unsigned, now), None);
    }
}
