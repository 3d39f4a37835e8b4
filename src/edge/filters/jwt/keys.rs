//! The public keys of an issuer (RFC 7517), and the place where they are put for the filters that need them.

use std::sync::{Arc, Weak};

use arc_swap::ArcSwapOption;
use aws_lc_rs::signature::{
    self, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::IgnoredAny;
use sha2::{Digest, Sha256};
use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Keys that are taken of a set.
const KEYS: usize = 100;
/// Keys that a token without a key's name is tried with.
const TRIED: usize = 4;
/// The shortest modulus, in bytes: 2048 bits (RFC 7518 §3.3).
const RSA_LEAST: usize = 256;
const RSA_MOST: usize = 1024;

/// A set of keys, as an issuer published it.
#[derive(Debug)]
pub struct Keys {
    id: u64,
    keys: Vec<Key>,
}

/// Why a document is no set of keys.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    #[error("it is no JSON object with an array of keys")]
    Form,
    #[error("it has more than {KEYS} keys")]
    TooMany,
}

/// Where filters find the present keys of an issuer; empty until they were fetched for the first time.
#[derive(Debug)]
pub struct KeySet {
    keys: ArcSwapOption<Keys>,
    wanted: Arc<Notify>,
    _gone: DropGuard,
}

/// The other end of a [`KeySet`], for who fetches the keys.
#[derive(Debug)]
pub struct KeyFeed {
    set: Weak<KeySet>,
    wanted: Arc<Notify>,
    gone: CancellationToken,
}

/// The algorithms that signatures of tokens are checked with (RFC 7518 §3.1, RFC 8037).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    EdDsa,
}

#[derive(Debug)]
pub(super) struct Key {
    kid: Option<String>,
    /// The one algorithm that the issuer says it is for; any that fits when it says none.
    declared: Option<Algorithm>,
    material: Material,
}

#[derive(Debug)]
enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

#[derive(Deserialize)]
struct JwkSet {
    keys: Vec<Entry>,
}

/// What is no key that is known here is passed over (RFC 7517 §5).
#[derive(Deserialize)]
#[serde(untagged)]
enum Entry {
    Key(Box<Jwk>),
    Other(IgnoredAny),
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl Keys {
    /// Reads a JWK set. Keys of unknown kinds, for encryption, or too short to be safe are left out.
    pub fn parse(document: &[u8]) -> Result<Self, KeysError> {
        let set: JwkSet = serde_json::from_slice(document).map_err(|_| KeysError::Form)?;
        if set.keys.len() > KEYS {
            return Err(KeysError::TooMany);
        }
        let key = |entry| match entry {
            Entry::Key(jwk) => Key::of(*jwk),
            Entry::Other(_) => None,
        };
        let digest: [u8; 32] = Sha256::digest(document).into();
        let id = digest.first_chunk().map_or(0, |first| u64::from_be_bytes(*first));
        Ok(Self { id, keys: set.keys.into_iter().filter_map(key).collect() })
    }

    /// The usable keys.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether none is usable.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The same for the same document.
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// The keys of that name; a few of all when there is none.
    pub(super) fn named(&self, kid: Option<&str>) -> impl Iterator<Item = &Key> {
        let limit = if kid.is_some() { KEYS } else { TRIED };
        self.keys.iter().filter(move |key| kid.is_none() || key.kid.as_deref() == kid).take(limit)
    }
}

impl KeySet {
    /// An empty set, and its other end.
    pub fn new() -> (Arc<Self>, KeyFeed) {
        let (wanted, gone) = (Arc::new(Notify::new()), CancellationToken::new());
        let set = Arc::new(Self {
            keys: ArcSwapOption::empty(),
            wanted: Arc::clone(&wanted),
            _gone: gone.clone().drop_guard(),
        });
        let feed = KeyFeed { set: Arc::downgrade(&set), wanted, gone };
        (set, feed)
    }

    /// The keys as they were fetched last.
    pub fn load(&self) -> Option<Arc<Keys>> {
        self.keys.load_full()
    }

    /// Asks for the keys to be fetched again: a token names one that is not there.
    pub(super) fn want(&self) {
        self.wanted.notify_one();
    }
}

impl KeyFeed {
    /// Takes the place of the keys that were.
    pub fn publish(&self, keys: Keys) {
        if let Some(set) = self.set.upgrade() {
            set.keys.store(Some(Arc::new(keys)));
        }
    }

    /// Waits until a filter misses a key. Cancel-safe.
    pub async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// Waits until no filter needs the set any more.
    pub async fn gone(&self) {
        self.gone.cancelled().await;
    }
}

impl Algorithm {
    pub(super) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "RS256" => Self::Rs256,
            "RS384" => Self::Rs384,
            "RS512" => Self::Rs512,
            "PS256" => Self::Ps256,
            "PS384" => Self::Ps384,
            "PS512" => Self::Ps512,
            "ES256" => Self::Es256,
            "ES384" => Self::Es384,
            "EdDSA" => Self::EdDsa,
            _ => return None,
        })
    }

    fn rsa(self) -> Option<&'static RsaParameters> {
        match self {
            Self::Rs256 => Some(&signature::RSA_PKCS1_2048_8192_SHA256),
            Self::Rs384 => Some(&signature::RSA_PKCS1_2048_8192_SHA384),
            Self::Rs512 => Some(&signature::RSA_PKCS1_2048_8192_SHA512),
            Self::Ps256 => Some(&signature::RSA_PSS_2048_8192_SHA256),
            Self::Ps384 => Some(&signature::RSA_PSS_2048_8192_SHA384),
            Self::Ps512 => Some(&signature::RSA_PSS_2048_8192_SHA512),
            Self::Es256 | Self::Es384 | Self::EdDsa => None,
        }
    }
}

impl Key {
    fn of(jwk: Jwk) -> Option<Self> {
        let for_signatures = jwk.usage.as_deref().is_none_or(|usage| usage == "sig")
            && jwk.key_ops.as_ref().is_none_or(|operations| operations.iter().any(|one| one == "verify"));
        let declared = match jwk.alg.as_deref() {
            None => None,
            Some(alg) => Some(Algorithm::parse(alg)?),
        };
        let material = Material::of(&jwk).filter(|_| for_signatures)?;
        Some(Self { kid: jwk.kid, declared, material })
    }

    pub(super) fn is_for(&self, algorithm: Algorithm) -> bool {
        let fits = match self.material {
            Material::Rsa { .. } => algorithm.rsa().is_some(),
            Material::P256(_) => algorithm == Algorithm::Es256,
            Material::P384(_) => algorithm == Algorithm::Es384,
            Material::Ed25519(_) => algorithm == Algorithm::EdDsa,
        };
        fits && self.declared.is_none_or(|declared| declared == algorithm)
    }

    /// Checks a signature under an algorithm that the key is for.
    pub(super) fn verifies(&self, algorithm: Algorithm, message: &[u8], sent: &[u8]) -> bool {
        let verified = |with: &'static dyn VerificationAlgorithm, key: &[u8]| {
            UnparsedPublicKey::new(with, key).verify(message, sent).is_ok()
        };
        match &self.material {
            Material::Rsa { n, e } => algorithm
                .rsa()
                .is_some_and(|rsa| RsaPublicKeyComponents { n, e }.verify(rsa, message, sent).is_ok()),
            Material::P256(point) => verified(&signature::ECDSA_P256_SHA256_FIXED, point),
            Material::P384(point) => verified(&signature::ECDSA_P384_SHA384_FIXED, point),
            Material::Ed25519(key) => verified(&signature::ED25519, key),
        }
    }
}

impl Material {
    fn of(jwk: &Jwk) -> Option<Self> {
        match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", _) => {
                let (n, e) = (number(jwk.n.as_deref())?, number(jwk.e.as_deref())?);
                (RSA_LEAST..=RSA_MOST).contains(&n.len()).then_some(Self::Rsa { n, e })
            }
            ("EC", Some("P-256")) => Some(Self::P256(point(jwk, 32)?)),
            ("EC", Some("P-384")) => Some(Self::P384(point(jwk, 48)?)),
            ("OKP", Some("Ed25519")) => {
                let key = bytes(jwk.x.as_deref())?;
                (key.len() == 32).then_some(Self::Ed25519(key))
            }
            _ => None,
        }
    }
}

fn bytes(text: Option<&str>) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(text?.trim_end_matches('=')).ok()
}

/// A number without the zeros that some issuers put before it.
fn number(text: Option<&str>) -> Option<Vec<u8>> {
    let bytes = bytes(text)?;
    let first = bytes.iter().position(|byte| *byte != 0)?;
    bytes.get(first..).map(<[u8]>::to_vec)
}

/// The uncompressed form of a point whose coordinates have that many bytes.
fn point(jwk: &Jwk, length: usize) -> Option<Vec<u8>> {
    let (x, y) = (bytes(jwk.x.as_deref())?, bytes(jwk.y.as_deref())?);
    (x.len() == length && y.len() == length).then(|| [&[4], x.as_slice(), y.as_slice()].concat())
}
