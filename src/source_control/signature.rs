//! Who sent a delivery: signatures over its exact bytes, compared in constant time (`behaviour.md` §12).

use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use http::HeaderMap;
use sha1::Sha1;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::model::auto_build::{SourceProvider, SourceSecret};

/// How a header proves who sent it.
#[derive(Debug, Clone, Copy)]
enum Proof {
    /// `<prefix><hexadecimal HMAC-SHA1>`.
    Sha1(&'static str),
    /// `<prefix><hexadecimal HMAC-SHA256>`.
    Sha256(&'static str),
    /// The secret itself.
    Token,
}

const GITHUB: &[(&str, Proof)] =
    &[("x-hub-signature", Proof::Sha1("sha1=")), ("x-hub-signature-256", Proof::Sha256("sha256="))];
const GITLAB: &[(&str, Proof)] = &[("x-gitlab-token", Proof::Token)];
const GITEA: &[(&str, Proof)] = &[
    ("x-gitea-signature", Proof::Sha256("")),
    ("x-forgejo-signature", Proof::Sha256("")),
    ("x-hub-signature", Proof::Sha1("sha1=")),
    ("x-hub-signature-256", Proof::Sha256("sha256=")),
];

/// Whether a delivery was sent by who knows the secret: at least one proof is there, and each that is there is right.
/// Takes as long as hashing the body does.
pub(super) fn is_genuine(
    provider: SourceProvider,
    secret: &SourceSecret,
    headers: &HeaderMap,
    body: &[u8],
) -> bool {
    let proofs = match provider {
        SourceProvider::GitHub => GITHUB,
        SourceProvider::GitLab => GITLAB,
        SourceProvider::Gitea => GITEA,
    };
    let mut judged = proofs.iter().flat_map(|(name, proof)| {
        headers.get_all(*name).iter().map(|value| proof.holds(secret, value.as_bytes(), body))
    });
    let Some(first) = judged.next() else { return false };
    judged.fold(first, |all, one| all & one)
}

impl Proof {
    fn holds(self, secret: &SourceSecret, value: &[u8], body: &[u8]) -> bool {
        let key = secret.reveal().as_bytes();
        match self {
            Self::Sha1(prefix) => is_mac::<Hmac<Sha1>>(key, value.strip_prefix(prefix.as_bytes()), body),
            Self::Sha256(prefix) => is_mac::<Hmac<Sha256>>(key, value.strip_prefix(prefix.as_bytes()), body),
            Self::Token => !key.is_empty() && bool::from(value.ct_eq(key)),
        }
    }
}

fn is_mac<M: Mac + KeyInit>(key: &[u8], digits: Option<&[u8]>, body: &[u8]) -> bool {
    let Some(sent) = digits.and_then(|digits| hex::decode(digits).ok()) else { return false };
    let Ok(mut mac) = <M as KeyInit>::new_from_slice(key) else { return false };
    mac.update(body);
    !key.is_empty() && mac.verify_slice(&sent).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 2202, test case 2, and RFC 4231, test case 2.
    const BODY: &[u8] = b"what do ya want for nothing?";
    const SHA1: &str = "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79";
    const SHA256: &str = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";

    fn genuine(provider: SourceProvider, headers: &[(&'static str, &str)]) -> bool {
        let secret = SourceSecret::from_stored("Jefe".to_owned());
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        is_genuine(provider, &secret, &headers.collect(), BODY)
    }

    #[test]
    fn each_signature_that_is_sent_must_be_right_and_one_must_be_sent() {
        let (sha1, sha256) = (format!("sha1={SHA1}"), format!("sha256={SHA256}"));
        let github = |headers: &[(&'static str, &str)]| genuine(SourceProvider::GitHub, headers);
        assert!(github(&[("x-hub-signature", &sha1)]));
        assert!(github(&[("x-hub-signature-256", &sha256)]));
        assert!(github(&[("x-hub-signature", &sha1), ("x-hub-signature-256", &sha256)]));
        for wrong in [
            &[][..],
            &[("x-hub-signature", SHA1)],
            &[("x-hub-signature", "sha1=")],
            &[("x-hub-signature", "sha1=zz")],
            &[("x-hub-signature-256", &sha1)],
            &[("x-hub-signature", &sha1), ("x-hub-signature-256", "sha256=00")],
            &[("x-gitea-signature", SHA256)],
            &[("x-gitlab-token", "Jefe")],
        ] {
            assert!(!github(wrong), "{wrong:?}");
        }
    }

    #[test]
    fn gitea_signs_without_a_prefix_and_gitlab_sends_the_secret() {
        assert!(genuine(SourceProvider::Gitea, &[("x-gitea-signature", SHA256)]));
        assert!(genuine(SourceProvider::Gitea, &[("x-forgejo-signature", SHA256)]));
        assert!(!genuine(SourceProvider::Gitea, &[("x-gitea-signature", SHA1)]));
        assert!(genuine(SourceProvider::GitLab, &[("x-gitlab-token", "Jefe")]));
        for wrong in ["", "jefe", "Jefe2", "Jef"] {
            assert!(!genuine(SourceProvider::GitLab, &[("x-gitlab-token", wrong)]), "{wrong}");
        }
        let unset = SourceSecret::from_stored(String::new());
        let headers = HeaderMap::from_iter([("x-gitlab-token".parse().unwrap(), "".parse().unwrap())]);
        assert!(!is_genuine(SourceProvider::GitLab, &unset, &headers, BODY));
    }
}
