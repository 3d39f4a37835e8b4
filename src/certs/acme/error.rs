//! What goes wrong between us and an ACME server, and what it means for the order.

use std::io;
use std::path::PathBuf;

use instant_acme::{Error as Protocol, Problem};

use crate::certs::dns::DnsError;
use crate::store::StoreError;

/// Why a pass over an order failed, or why there is no issuer.
#[derive(Debug, thiserror::Error)]
pub enum AcmeError {
    #[error("{}", text(.0))]
    Protocol(#[source] Protocol),
    /// The server looked at our proofs and saw something else.
    #[error("it could not see that {domain} is served here: {reason}")]
    NotProved { domain: String, reason: String },
    /// It was placed before this process began, or is about something that ended.
    #[error("the order is no longer valid there, and a new one is to be placed")]
    OrderEnded,
    #[error("the order failed: {0}")]
    Invalid(String),
    #[error("it offers no proof for {0} that this daemon can give")]
    NoChallenge(String),
    #[error("it did not get ready in time")]
    Slow,
    #[error("the key of the certificate cannot be made or used")]
    Key(#[source] rcgen::Error),
    #[error("TLS cannot use the proof")]
    Proof(#[source] rustls::Error),
    #[error("the stored account is not readable")]
    Credentials(#[source] serde_json::Error),
    #[error("the key of the external account cannot be read from {}: it is base64url in a file", path.display())]
    ExternalKey {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Dns(#[from] DnsError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<Protocol> for AcmeError {
    fn from(error: Protocol) -> Self {
        Self::Protocol(error)
    }
}

impl AcmeError {
    /// It may well be gone a moment later: a nonce that was used up, an answer that was lost, a busy server.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Protocol(error) => match problem(error) {
                Some(problem) => {
                    matches!(kind(problem), "badNonce" | "serverInternal" | "orderNotReady")
                        || self.is_lost_account()
                }
                None => matches!(
                    error,
                    Protocol::Hyper(_) | Protocol::Json(_) | Protocol::Other(_) | Protocol::Str(_)
                ),
            },
            Self::OrderEnded => true,
            Self::NotProved { .. }
            | Self::Invalid(_)
            | Self::NoChallenge(_)
            | Self::Slow
            | Self::Key(_)
            | Self::Proof(_)
            | Self::Credentials(_)
            | Self::ExternalKey { .. }
            | Self::Dns(_)
            | Self::Store(_) => false,
        }
    }

    /// It will not be otherwise next time.
    pub(super) fn is_final(&self) -> bool {
        const FINAL: &[&str] = &[
            "rejectedIdentifier",
            "unsupportedIdentifier",
            "unsupportedContact",
            "invalidContact",
            "externalAccountRequired",
            "userActionRequired",
            "badCSR",
            "badPublicKey",
        ];
        match self {
            Self::Protocol(error) => problem(error).is_some_and(|problem| FINAL.contains(&kind(problem))),
            Self::NoChallenge(_) => true,
            Self::NotProved { .. }
            | Self::Invalid(_)
            | Self::OrderEnded
            | Self::Slow
            | Self::Key(_)
            | Self::Proof(_)
            | Self::Credentials(_)
            | Self::ExternalKey { .. }
            | Self::Dns(_)
            | Self::Store(_) => false,
        }
    }

    /// The server does not know our account any more.
    pub(super) fn is_lost_account(&self) -> bool {
        matches!(self, Self::Protocol(error) if problem(error).is_some_and(|p| kind(p) == "accountDoesNotExist"))
    }

    /// The order that is on disk leads nowhere any more.
    pub(super) fn is_lost_order(&self) -> bool {
        match self {
            Self::NotProved { .. } | Self::OrderEnded | Self::Invalid(_) => true,
            Self::Protocol(error) => problem(error).is_some_and(|problem| problem.status == Some(404)),
            Self::NoChallenge(_)
            | Self::Slow
            | Self::Key(_)
            | Self::Proof(_)
            | Self::Credentials(_)
            | Self::ExternalKey { .. }
            | Self::Dns(_)
            | Self::Store(_) => false,
        }
    }
}

fn problem(error: &Protocol) -> Option<&Problem> {
    if let Protocol::Api(problem) = error { Some(problem) } else { None }
}

/// The last part of the problem's name (RFC 8555 §6.7).
fn kind(problem: &Problem) -> &str {
    let name = problem.r#type.as_deref().unwrap_or_default();
    name.rsplit(':').next().unwrap_or_default()
}

/// What the server said, else what the connection did.
fn text(error: &Protocol) -> String {
    match problem(error) {
        Some(problem) => {
            let detail = problem.detail.as_deref().unwrap_or("no reason was given");
            format!("{detail} ({})", kind(problem))
        }
        None => deepest(error),
    }
}

/// The cause that all others came from.
fn deepest(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(kind: &str) -> AcmeError {
        let json = format!("{{\"type\":\"urn:ietf:params:acme:error:{kind}\",\"detail\":\"why\"}}");
        AcmeError::Protocol(Protocol::Api(serde_json::from_str(&json).unwrap()))
    }

    #[test]
    fn a_problem_is_passing_final_or_neither() {
        for (kind, passing, is_final) in [
            ("badNonce", true, false),
            ("serverInternal", true, false),
            ("accountDoesNotExist", true, false),
            ("rateLimited", false, false),
            ("dns", false, false),
            ("rejectedIdentifier", false, true),
            ("externalAccountRequired", false, true),
        ] {
            let error = refused(kind);
            assert_eq!((error.is_passing(), error.is_final()), (passing, is_final), "{kind}");
            assert_eq!(error.to_string(), format!("why ({kind})"));
        }
        assert!(refused("accountDoesNotExist").is_lost_account());
        assert!(AcmeError::NoChallenge("a".to_owned()).is_final());
        assert!(!AcmeError::Invalid("why".to_owned()).is_passing(), "orders are not placed in a loop");
        assert!(AcmeError::OrderEnded.is_passing() && AcmeError::OrderEnded.is_lost_order());
    }
}
