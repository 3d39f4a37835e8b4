//! Paths and queries.

use std::str::FromStr;

use axum::extract::{FromRequestParts, RawPathParams};
use http::request::Parts;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::bad;
use crate::api::{ApiState, Error};
use crate::model::RuleError;
use crate::model::app::App;
use crate::model::principal::Principal;
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

impl<T: DeserializeOwned + Default> Query<T> {
    /// That of an address.
    pub(in crate::api) fn of(uri: &http::Uri) -> T {
        let query = axum::extract::Query::try_from_uri(uri);
        query.map(|axum::extract::Query(value)| value).unwrap_or_default()
    }
}

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
        let principal = Principal::from_request_parts(parts, state).await?;
        let app = state.store.look_up(|c| service::apps::resolve(c, &principal.reach, &text))?;
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
        Ok(Self(Self::of(&parts.uri)))
    }
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
}
