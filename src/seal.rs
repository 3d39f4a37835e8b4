//! Encryption at rest: config vars, registry logins and source URLs are sealed before they reach SQLite.
//!
//! Invariant: a ciphertext is bound to its place (table, row, column), so that it cannot be moved to another.

use std::path::Path;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// A sealed value: 24 bytes of nonce, then the ciphertext.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(Vec<u8>);

impl Sealed {
    /// Takes stored bytes.
    pub fn from_stored(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes to store.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[sealed]")
    }
}

/// The key of this installation, from `<data dir>/seal.key`.
#[derive(Clone)]
pub struct Sealer {
    cipher: XChaCha20Poly1305,
    fingerprint_key: [u8; 32],
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer([sealed])")
    }
}

/// Why a value could not be sealed, opened, or the key not be had.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    #[error(
        "a sealed value cannot be opened: the key file is not the one it was sealed with, or the value was changed"
    )]
    Refused,
    #[error("a value cannot be sealed: it is too long")]
    TooLong,
    #[error("a sealed value is not valid UTF-8")]
    NotText,
    #[error("the key file {path} cannot be read or written")]
    KeyFile { path: String, source: std::io::Error },
    #[error("the key file {path} does not hold 32 bytes in hexadecimal")]
    KeyForm { path: String },
}

/// The place that a ciphertext is bound to.
#[derive(Debug, Clone, Copy)]
pub struct SealPlace<'a> {
    pub table: &'static str,
    pub row: &'a str,
    pub column: &'a str,
}

impl Sealer {
    /// Reads the key, or makes one (mode 0600) when there is none yet.
    pub fn open(path: &Path) -> Result<Self, SealError> {
        let path_text = || path.display().to_string();
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let secret = crate::ids::random_secret();
                crate::durable_file::write_private(path, secret.as_bytes())
                    .map_err(|source| SealError::KeyFile { path: path_text(), source })?;
                secret
            }
            Err(source) => return Err(SealError::KeyFile { path: path_text(), source }),
        };
        let key = parse_key(text.trim()).ok_or_else(|| SealError::KeyForm { path: path_text() })?;
        Ok(Self::from_key(&key))
    }

    /// A sealer with a given key; tests use it.
    pub fn from_key(key: &[u8; 32]) -> Self {
        Self {
            cipher: XChaCha20Poly1305::new(key.into()),
            fingerprint_key: mac(key, b"akkerisd fingerprint"),
        }
    }

    /// Encrypts a text for one place.
    pub fn seal(&self, place: SealPlace<'_>, text: &str) -> Result<Sealed, SealError> {
        let nonce: [u8; 24] = rand::random();
        let aad = place.associated_data();
        let payload = Payload { msg: text.as_bytes(), aad: &aad };
        let ciphertext =
            self.cipher.encrypt(&XNonce::from(nonce), payload).map_err(|_| SealError::TooLong)?;
        let mut bytes = nonce.to_vec();
        bytes.extend(ciphertext);
        Ok(Sealed(bytes))
    }

    /// Decrypts a value that was sealed for the same place.
    pub fn open_text(&self, place: SealPlace<'_>, sealed: &Sealed) -> Result<String, SealError> {
        let (nonce, ciphertext) = sealed.0.split_first_chunk::<24>().ok_or(SealError::Refused)?;
        let aad = place.associated_data();
        let payload = Payload { msg: ciphertext, aad: &aad };
        let text = self.cipher.decrypt(&XNonce::from(*nonce), payload).map_err(|_| SealError::Refused)?;
        String::from_utf8(text).map_err(|_| SealError::NotText)
    }

    /// A keyed digest in hexadecimal: equal inputs give equal text, which tells nothing of the input to
    /// one without the key. Dyno labels use it to notice a changed environment.
    pub fn fingerprint(&self, bytes: &[u8]) -> String {
        hex::encode(mac(&self.fingerprint_key, bytes))
    }
}

impl SealPlace<'_> {
    fn associated_data(self) -> Vec<u8> {
        format!("{}\0{}\0{}", self.table, self.row, self.column).into_bytes()
    }
}

fn mac(key: &[u8; 32], message: &[u8]) -> [u8; 32] {
    // HMAC takes keys of any length; with 32 bytes the error arm cannot be reached, and an empty
    // digest would only make every fingerprint equal.
    Hmac::<Sha256>::new_from_slice(key).map_or([0; 32], |mut digest| {
        digest.update(message);
        digest.finalize().into_bytes().into()
    })
}

fn parse_key(text: &str) -> Option<[u8; 32]> {
    hex::decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_opens_only_at_its_place_and_with_its_key() {
        let sealer = Sealer::from_key(&[7; 32]);
        let place = SealPlace { table: "config_vars", row: "a", column: "FOO" };
        let sealed = sealer.seal(place, "bar").unwrap();
        assert_eq!(sealer.open_text(place, &sealed).unwrap(), "bar");
        assert!(sealer.open_text(SealPlace { column: "BAR", ..place }, &sealed).is_err());
        assert!(Sealer::from_key(&[8; 32]).open_text(place, &sealed).is_err());
    }
}
