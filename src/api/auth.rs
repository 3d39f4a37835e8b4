//! Who asks: tokens in three spellings, looked up by their hash (reading 4).
//!
//! Invariant: a route says its [`Policy`] when it is registered; there is no way to register one without.

use axum::extract::{Extension, FromRequestParts, Request};
use axum::middleware::Next;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::request::Parts;
use http::{HeaderMap, header};

use super::{ApiState, Error};
use crate::model::names::UserName;
use crate::model::principal::{Access, Principal};
use crate::model::token::{Token, TokenHash, TokenKind};
use crate::service;
use crate::store;

/// Names the user for whom a service token acts.
const USERNAME: &str = "x-username";

/// Who may call an operation. What depends on the object (a space's compliance) is the service's to decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Policy {
    /// Anyone.
    Public,
    /// Anyone with a valid token.
    User,
    /// The same, but a service token only for the user whom it names (`behaviour.md` §34).
    Person,
}

impl Policy {
    /// As the document shows it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::User => "user",
            Self::Person => "person",
        }
    }
}

/// Lets the request through or refuses it; runs after routing and before the handler reads anything.
pub(super) async fn enforce(
    policy: Policy,
    Extension(state): Extension<ApiState>,
    mut request: Request,
    next: Next,
) -> Result<Response, Error> {
    match policy {
        Policy::Public => {}
        Policy::User | Policy::Person => {
            let token = authenticate(&state, request.headers())?;
            if policy == Policy::Person {
                check_person(&token, request.headers())?;
            }
            let principal = principal_of(token, request.headers())?;
            request.extensions_mut().insert(principal);
        }
    }
    Ok(next.run(request).await)
}

impl<S: Sync> FromRequestParts<S> for Principal {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Error> {
        parts.extensions.get::<Self>().cloned().ok_or(Error::Unauthenticated)
    }
}

fn authenticate(state: &ApiState, headers: &HeaderMap) -> Result<Token, Error> {
    let secret = secret_of(headers).ok_or(Error::Unauthenticated)?;
    let hash = TokenHash::of(&secret);
    let token = state.store.look_up(|connection| store::tokens::find_by_hash(connection, &hash));
    let token = token.map_err(|error| Error::Verb(service::Error::from(error)))?;
    token.ok_or(Error::Unauthenticated)
}

fn check_person(token: &Token, headers: &HeaderMap) -> Result<(), Error> {
    if token.kind == TokenKind::Service && !headers.contains_key(USERNAME) {
        let message = "A service token has nothing of its own here: name a user in the header x-username.";
        return Err(service::Error::Forbidden(message.to_owned()).into());
    }
    Ok(())
}

fn principal_of(token: Token, headers: &HeaderMap) -> Result<Principal, Error> {
    match token.kind {
        TokenKind::Personal => Ok(Principal { user: token.user, access: Access::Ordinary }),
        TokenKind::Admin => Ok(Principal { user: token.user, access: Access::Elevated }),
        TokenKind::Service => {
            let Some(user) = headers.get(USERNAME) else {
                return Ok(Principal { user: token.user, access: Access::Ordinary });
            };
            let user = UserName::parse(&String::from_utf8_lossy(user.as_bytes()))
                .map_err(|error| service::Error::BadRequest(format!("{USERNAME}: {error}")))?;
            let elevated = headers.get("x-elevated-access").is_some_and(|value| value == "true");
            Ok(Principal { user, access: if elevated { Access::Elevated } else { Access::Ordinary } })
        }
    }
}

/// The secret in `Authorization`: `Bearer <token>`, `Basic` with the token as password, or the bare token.
fn secret_of(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?.trim();
    let Some((scheme, rest)) = value.split_once(' ') else {
        return (!value.is_empty()).then(|| value.to_owned());
    };
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return (!rest.is_empty()).then(|| rest.to_owned());
    }
    if scheme.eq_ignore_ascii_case("basic") {
        let text = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
        let (_, password) = text.split_once(':')?;
        return (!password.is_empty()).then(|| password.to_owned());
    }
    None
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_secret_is_found_in_three_spellings_and_no_other() {
        let secret = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, HeaderValue::from_static(value));
            secret_of(&headers)
        };
        for value in ["Bearer abc", "bearer  abc", "Basic OmFiYw==", "basic dXNlcjphYmM=", "abc", " abc "] {
            assert_eq!(secret(value).as_deref(), Some("abc"), "{value}");
        }
        for value in ["", "Basic dXNlcjo=", "Digest abc", "Basic !!!", "Basic YWJj"] {
            assert_eq!(secret(value), None, "{value}");
        }
    }
}
