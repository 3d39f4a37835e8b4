//! Who asks: tokens in three spellings, looked up by their hash (reading 4).
//!
//! Invariant: a route says its [`Policy`] when it is registered; there is no way to register one without.

use axum::extract::{Extension, FromRequestParts, MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::request::Parts;
use http::{HeaderMap, Method, header};

use super::{ApiState, Error, git, lasting};
use crate::model::names::UserName;
use crate::model::principal::{Access, Principal};
use crate::model::token::{Scope, Token, TokenHash, TokenKind};
use crate::service;
use crate::service::principals::{self, Acting};
use crate::temporary_token::TemporaryAccess;

/// Names the user for whom a service token acts.
const USERNAME: &str = "x-username";

/// Who may call an operation. What depends on the object (its organization, a space's compliance) is the
/// service's to decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Policy {
    /// Anyone.
    Public,
    /// Anyone with a name and a password in `Authorization: Basic`, which the handler checks.
    Password,
    /// Anyone with a valid token.
    User,
    /// The same, with a token that may change things, whatever the method says: a WebSocket begins with GET.
    Changer,
    /// The same as `User`, or anyone at all where the operator says so (`metrics.public`).
    Scraper,
    /// Like `User`, but a service token only for the user whom it names (`behaviour.md` §34).
    Person,
    /// Like `User`, asked for as git asks; what changes nothing needs a token that reads.
    Git,
    /// A person with a token of their own: no application that acts for one.
    Holder,
}

/// Lets the request through or refuses it; runs after routing and before the handler reads anything.
pub(super) async fn enforce(
    policy: Policy,
    Extension(state): Extension<ApiState>,
    mut request: Request,
    next: Next,
) -> Result<Response, Error> {
    match policy {
        Policy::Public | Policy::Password => {}
        Policy::Scraper if state.settings.public_metrics => {
            let anyone = Principal::ordinary(UserName::from_stored("anonymous".to_owned()));
            request.extensions_mut().insert(anyone);
        }
        Policy::Git => {
            let (token, principal) = match authenticate(&state, request.headers()) {
                Err(Error::Unauthenticated) => return Ok(git::challenge()),
                found => found?,
            };
            if git::is_push(request.uri()) {
                check_scope(&token, &Method::POST)?;
            }
            request.extensions_mut().insert(principal);
        }
        Policy::User | Policy::Changer | Policy::Scraper | Policy::Person | Policy::Holder => {
            if let Some(principal) = temporary(&state, request.headers())? {
                check_temporary(policy, &request)?;
                request.extensions_mut().insert(principal);
                return Ok(next.run(request).await);
            }
            let (token, principal) = authenticate(&state, request.headers())?;
            check_scope(&token, request.method())?;
            if policy == Policy::Changer {
                check_scope(&token, &Method::POST)?;
            }
            if matches!(policy, Policy::Person | Policy::Holder) {
                check_person(&token, request.headers())?;
            }
            if policy == Policy::Holder {
                check_holder(&token)?;
            }
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

/// The name and password of `Authorization: Basic`.
pub(super) struct Basic {
    pub(super) name: String,
    pub(super) password: String,
}

impl<S: Sync> FromRequestParts<S> for Basic {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Error> {
        let missing = || {
            service::Error::Unauthenticated(
                "No user name and password were sent: use the header \"Authorization: Basic\".".to_owned(),
            )
        };
        Ok(basic(&parts.headers).ok_or_else(missing)?)
    }
}

/// A name and a password in `Authorization: Basic`.
pub(super) fn basic(headers: &HeaderMap) -> Option<Basic> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?.trim();
    let (scheme, rest) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
    let (name, password) = text.split_once(':')?;
    Some(Basic { name: name.to_owned(), password: password.to_owned() })
}

fn authenticate(state: &ApiState, headers: &HeaderMap) -> Result<(Token, Principal), Error> {
    let secret = secret_of(headers).ok_or(Error::Unauthenticated)?;
    let (hash, acting, now) = (TokenHash::of(&secret), acting(headers), state.clock.now());
    let found = state.store.look_up(|c| principals::resolve(c, &hash, acting, now))?;
    found.ok_or(Error::Unauthenticated)
}

/// Whom the temporary token of a hook stands for; `None` where none is sent.
fn temporary(state: &ApiState, headers: &HeaderMap) -> Result<Option<Principal>, Error> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = bearer.and_then(|value| value.trim().split_once(' '));
    let Some((_, token)) = bearer
        .filter(|(scheme, rest)| scheme.eq_ignore_ascii_case("bearer") && rest.matches('.').count() == 2)
    else {
        return Ok(None);
    };
    let access = state.temporary_tokens.check(token.trim(), state.clock.now());
    // An operator's own token may have two dots as well.
    let Some(TemporaryAccess { user, app }) = access else { return Ok(None) };
    let found = state.store.look_up(|c| principals::of_temporary(c, &user, app))?;
    Ok(Some(found.ok_or(Error::Unauthenticated)?))
}

/// A temporary token is nobody's own, and may not take away what others depend on (`behaviour.md` §1.3).
fn check_temporary(policy: Policy, request: &Request) -> Result<(), Error> {
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let own = matches!(policy, Policy::Changer | Policy::Person | Policy::Holder);
    if own || route.is_none_or(|route| lasting::is_needed(request.method(), route)) {
        let message = "The temporary token of a hook may not do this; use a token of your own.";
        return Err(service::Error::Forbidden(message.to_owned()).into());
    }
    Ok(())
}

/// For whom a service token is to act; an error counts only when it is one.
fn acting(headers: &HeaderMap) -> Result<Option<Acting>, service::Error> {
    let Some(user) = headers.get(USERNAME) else { return Ok(None) };
    let user = UserName::parse(&String::from_utf8_lossy(user.as_bytes()))
        .map_err(|error| service::Error::BadRequest(format!("{USERNAME}: {error}")))?;
    let elevated = headers.get("x-elevated-access").is_some_and(|value| value == "true");
    Ok(Some(Acting { user, access: if elevated { Access::Elevated } else { Access::Ordinary } }))
}

fn check_scope(token: &Token, method: &Method) -> Result<(), Error> {
    if token.scope == Scope::Read && !method.is_safe() {
        let message =
            format!("This token may only read, and {method} changes something; use one of the scope global.");
        return Err(service::Error::Forbidden(message).into());
    }
    Ok(())
}

fn check_person(token: &Token, headers: &HeaderMap) -> Result<(), Error> {
    if token.kind == TokenKind::Service && !headers.contains_key(USERNAME) {
        let message = "A service token has nothing of its own here: name a user in the header x-username.";
        return Err(service::Error::Forbidden(message.to_owned()).into());
    }
    Ok(())
}

fn check_holder(token: &Token) -> Result<(), Error> {
    if token.grant.is_some() {
        let message = "An application may not do this for a person; use a token of your own.";
        return Err(service::Error::Forbidden(message.to_owned()).into());
    }
    Ok(())
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
    basic(headers).map(|basic| basic.password).filter(|password| !password.is_empty())
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
