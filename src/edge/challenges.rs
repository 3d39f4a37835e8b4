//! Answers to certificate authorities that want to see that a domain is served here (HTTP-01, RFC 8555 §8.3).
//!
//! Invariant: an answer is given from the moment it is presented until its guard is dropped.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response};

use super::body::EdgeBody;

/// The answers by their tokens. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Challenges(Arc<ArcSwap<HashMap<Box<str>, Bytes>>>);

/// Takes its answer back when dropped.
#[derive(Debug)]
pub struct PresentedChallenge {
    challenges: Challenges,
    token: Box<str>,
}

const PATH: &str = "/.well-known/acme-challenge/";

impl Challenges {
    /// Answers requests for the token, whatever their host, with the key authorization.
    pub fn present(&self, token: &str, key_authorization: &str) -> PresentedChallenge {
        let answer = Bytes::copy_from_slice(key_authorization.as_bytes());
        self.change(|answers| drop(answers.insert(token.into(), answer.clone())));
        PresentedChallenge { challenges: self.clone(), token: token.into() }
    }

    /// The answer at a path, if one is presented there.
    pub(super) fn at(&self, path: &str) -> Option<Bytes> {
        let token = path.strip_prefix(PATH)?;
        self.0.load().get(token).cloned()
    }

    fn change(&self, change: impl Fn(&mut HashMap<Box<str>, Bytes>)) {
        self.0.rcu(|answers| {
            let mut answers = HashMap::clone(answers);
            change(&mut answers);
            answers
        });
    }
}

impl Drop for PresentedChallenge {
    fn drop(&mut self) {
        self.challenges.change(|answers| drop(answers.remove(&self.token)));
    }
}

/// The answer as RFC 8555 §8.3 wants it.
pub(super) fn respond(answer: Bytes) -> Response<EdgeBody> {
    let mut response = Response::new(EdgeBody::full(answer));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_given_while_it_is_presented() {
        let challenges = Challenges::default();
        let (one, two) = (challenges.present("one", "one.key"), challenges.present("two", "two.key"));
        assert_eq!(challenges.at("/.well-known/acme-challenge/one").as_deref(), Some(&b"one.key"[..]));
        drop(one);
        assert_eq!(challenges.at("/.well-known/acme-challenge/one"), None);
        assert_eq!(challenges.at("/.well-known/acme-challenge/two").as_deref(), Some(&b"two.key"[..]));
        for other in ["/.well-known/acme-challenge/", "/.well-known/acme-challenge/two/", "/two", ""] {
            assert_eq!(challenges.at(other), None, "{other}");
        }
        drop(two);
    }
}
