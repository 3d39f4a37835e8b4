//! Paths, queries and hosts.

use std::str::FromStr;

use axum::extract::{FromRequestParts, RawPathParams};
use http::request::Parts;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::bad;
use crate::api::{ApiState, Error};
use crate::model::RuleError;
use crate::model::app::App;
use crate::model::rule::shown;
use crate::service;

/// The live app that `{app}` names: by id, key, or a short name that only one app has (reading 3).
#[derive(Debug)]
pub(in crate::api) struct AppPath(pub(in crate::api) App);

/// The parameters of the path, by name.
#[derive(Debug)]
pub(in crate::api) struct Path<T>(pub(in crate::api) T);

/// The query; one that does not fit is as good as none (`behaviour.md` §1.1).
#[derive(Debug)]
pub(in crate::api) struct Query<T>(pub(in crate::api) T);

/// Start of a link to this API, without a trailing slash.
#[derive(Debug)]
pub(in crate::api) struct BaseUrl(pub(in crate::api) String);

/// An id in a path. What is no UUID is invalid rather than unknown (`behaviour.md` §2).
pub(in crate::api) fn parse_id<T: FromStr>(noun: &str, text: &str) -> Result<T, RuleError> {
    text.parse().map_err(|_| {
        RuleError::new(format!("The {noun} \"{}\" is not a UUID, for example {}.", shown(text), Uuid::nil()))
    })
}

impl FromRequestParts<ApiState> for AppPath {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Error> {
        let params =
            RawPathParams::from_request_parts(parts, state).await.map_err(|error| bad(error.body_text()))?;
        let named = params.iter().find(|(name, _)| *name == "app").map(|(_, value)| value.to_owned());
        let text = named.ok_or_else(|| service::Error::internal("the route has no parameter {app}"))?;
        let app = state.store.read(move |connection| service::apps::resolve(connection, &text)).await?;
        Ok(Self(app))
    }
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let path = axum::extract::Path::from_request_parts(parts, state).await;
        path.map(|axum::extract::Path(value)| Self(value)).map_err(|error| bad(error.body_text()))
    }
}

impl<T: DeserializeOwned + Default, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        let query = axum::extract::Query::try_from_uri(&parts.uri);
        Ok(Self(query.map(|axum::extract::Query(value)| value).unwrap_or_default()))
    }
}

impl FromRequestParts<ApiState> for BaseUrl {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Self::Rejection> {
        if let Some(url) = &state.settings.public_url {
            return Ok(Self(url.trim_end_matches('/').to_owned()));
        }
        let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let host = parts.uri.authority().map(http::uri::Authority::as_str).or_else(|| header("host"));
        let host = host.filter(|host| is_host(host)).unwrap_or("localhost");
        let scheme = if header("x-forwarded-proto") == Some("https") { "https" } else { "http" };
        Ok(Self(format!("{scheme}://{host}")))
    }
}

fn is_host(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ids::BuildId;

    #[test]
    fn an_id_that_is_no_uuid_is_refused_with_its_noun() {
        let error = parse_id::<BuildId>("build", "x").unwrap_err();
        assert!(error.to_string().starts_with("The build \"x\" is not a UUID"), "{error}");
        let id = Uuid::now_v7();
        assert_eq!(parse_id::<BuildId>("build", &id.to_string()), Ok(BuildId::new(id)));
    }

    #[test]
    fn a_host_that_could_break_out_of_a_link_is_none() {
        for host in ["localhost:5000", "api.apps.example", "[::1]:80", "10.0.0.1"] {
            assert!(is_host(host), "{host}");
        }
        for host in ["", "a/b", "a b", "user@host", "a\"b", "a?b"] {
            assert!(!is_host(host), "{host}");
        }
    }
}
