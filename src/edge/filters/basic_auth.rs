//! The type `basic-auth`: name and password in each request (RFC 7617).

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};

use super::Refusal;
use crate::model::filter::{BasicAuthOptions, Credential, PasswordDigest};

#[derive(Debug)]
pub(super) struct BasicAuth {
    users: Vec<Credential>,
    /// Compared with where no user has the name, so that the time does not tell which names there are.
    nobody: PasswordDigest,
    challenge: HeaderValue,
}

impl BasicAuth {
    pub(super) fn new(options: &BasicAuthOptions) -> Self {
        let challenge =
            HeaderValue::try_from(format!("Basic realm=\"{}\", charset=\"UTF-8\"", options.realm));
        Self {
            users: options.users.clone(),
            nobody: PasswordDigest::of(&rand::random::<[u8; 32]>(), rand::random()),
            challenge: challenge.unwrap_or(HeaderValue::from_static("Basic realm=\"Restricted\"")),
        }
    }

    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        if self.knows(headers).unwrap_or(false) {
            return Ok(());
        }
        Err(Refusal::Unauthorized { challenge: self.challenge.clone() })
    }

    fn knows(&self, headers: &HeaderMap) -> Option<bool> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let (value, None) = (values.next()?, values.next()) else { return None };
        let (scheme, encoded) = value.to_str().ok()?.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let decoded = BASE64_STANDARD.decode(encoded.trim()).ok()?;
        let colon = decoded.iter().position(|byte| *byte == b':')?;
        let (name, password) = (decoded.get(..colon)?, decoded.get(colon + 1..)?);
        let user = self.users.iter().find(|user| user.name.as_bytes() == name);
        let digest = user.and_then(|user| user.password.as_ref());
        Some(digest.unwrap_or(&self.nobody).is_of(password) && digest.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_name_and_password_of_a_user_pass() {
        let user = |name, password| Credential::new(name, Some(password), [1; 16]).unwrap();
        let users = vec![user("alice", "pass:word"), user("böb".replace('ö', "o").as_str(), "x")];
        let filter = BasicAuth::new(&BasicAuthOptions::new(Some("Staging"), users).unwrap());
        let sent = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
            headers
        };
        let basic = |text: &str| sent(&format!("basic {}", BASE64_STANDARD.encode(text)));
        assert!(filter.check(&basic("alice:pass:word")).is_ok());
        assert!(filter.check(&basic("bob:x")).is_ok());
        for bad in ["alice:x", "bob:pass:word", "alice:", ":", "alice", "Alice:pass:word", "carol:x", ""] {
            let Err(Refusal::Unauthorized { challenge }) = filter.check(&basic(bad)) else {
                panic!("{bad:?} passed")
            };
            assert_eq!(challenge, "Basic realm=\"Staging\", charset=\"UTF-8\"");
        }
        assert!(filter.check(&sent("Bearer abc")).is_err() && filter.check(&sent("Basic !!")).is_err());
        let mut twice = basic("alice:pass:word");
        twice.append(AUTHORIZATION, HeaderValue::from_static("Basic eDp5"));
        assert!(filter.check(&twice).is_err() && filter.check(&HeaderMap::new()).is_err());
    }
}
