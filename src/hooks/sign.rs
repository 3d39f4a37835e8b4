//! Signatures over the exact bytes of an event (`behaviour.md` §22).

use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use sha1::Sha1;
use sha2::Sha256;

use crate::model::hook::HookSecret;

/// `sha1=` and the HMAC-SHA1 in lower-case hexadecimal: what the documents ask for.
pub(super) fn sha1(secret: &HookSecret, body: &[u8]) -> String {
    format!("sha1={}", hex::encode(mac::<Hmac<Sha1>>(secret, body)))
}

/// `sha256=` and the HMAC-SHA256: ours, for those who no longer trust SHA-1.
pub(super) fn sha256(secret: &HookSecret, body: &[u8]) -> String {
    format!("sha256={}", hex::encode(mac::<Hmac<Sha256>>(secret, body)))
}

fn mac<M: Mac + KeyInit>(secret: &HookSecret, body: &[u8]) -> Vec<u8> {
    // HMAC takes keys of any length, so that the error arm cannot be reached; an empty signature verifies nowhere.
    <M as KeyInit>::new_from_slice(secret.reveal().as_bytes()).map_or_else(
        |_| Vec::new(),
        |mut mac| {
            mac.update(body);
            mac.finalize().into_bytes().to_vec()
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_those_of_the_published_test_vectors() {
        let secret = HookSecret::from_stored("Jefe".to_owned());
        let message = b"what do ya want for nothing?";
        // RFC 2202, test case 2, and RFC 4231, test case 2.
        assert_eq!(sha1(&secret, message), "sha1=effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
        assert_eq!(
            sha256(&secret, message),
            "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }
}
