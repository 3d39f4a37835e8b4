//! The filters of an app: what a request must be to reach it, and what its answer is given (`behaviour.md` §32).
//!
//! Invariant: judging a request waits for nothing. What a filter needs from elsewhere is fetched by others and read
//! here as it is; where it is not there yet, the request is refused.

mod basic_auth;
mod cors;
mod csp;
pub mod jwt;
mod rate_limit;
mod recent;
mod scope;

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method};

use self::basic_auth::BasicAuth;
use self::cors::Cors;
use self::csp::Csp;
use self::jwt::{Jwt, KeySet};
use self::rate_limit::RateLimit;
use self::scope::Scoped;
use crate::model::filter::{CspOptions, FilterAttachment, FilterOptions, IpOptions, JwksUri};
use crate::model::time::Timestamp;

/// What is in force for an app, ready for use. Published with its route.
#[derive(Debug, Default)]
pub struct Filters {
    ip: Option<Scoped<IpOptions>>,
    rate_limit: Option<Scoped<Arc<RateLimit>>>,
    cors: Option<Scoped<Cors>>,
    basic_auth: Option<Scoped<BasicAuth>>,
    jwt: Option<Scoped<Arc<Jwt>>>,
    csp: Option<Scoped<Csp>>,
}

/// What a filter looks at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) method: &'a Method,
    /// As the client sent it.
    pub(super) path: &'a str,
    pub(super) headers: &'a HeaderMap,
    pub(super) client: IpAddr,
    pub(super) now: Timestamp,
}

/// Where a request that was not refused goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Passage {
    /// To the app.
    On,
    /// It is a preflight, which the edge answers.
    Preflight,
}

/// Why a request does not reach the app.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("the request has no valid credentials")]
    Unauthorized { challenge: HeaderValue },
    #[error("the app is not open to the client's address")]
    Forbidden,
    #[error("the client sends more requests than it may")]
    TooMany { retry_after: u64 },
    #[error("the keys of the tokens' issuer could not be had yet")]
    NoKeys,
}

/// What the answer to a request gets, whoever gives it.
#[derive(Debug)]
pub(super) struct Dressing {
    filters: Arc<Filters>,
    cors: Option<cors::Grant>,
    csp: bool,
}

impl Filters {
    /// Makes what is attached ready for use; `None` when nothing is. `policy` is that of the features, which a filter
    /// of the type csp takes the place of. What is the same in `previous` goes on as it was, with what it remembers.
    pub fn new(
        attachments: &[FilterAttachment],
        policy: Option<&CspOptions>,
        previous: Option<&Self>,
        mut keys: impl FnMut(&JwksUri) -> Arc<KeySet>,
    ) -> Option<Self> {
        let mut filters = Self::default();
        if let Some(policy) = policy {
            filters.csp = Csp::new(policy).map(Scoped::everywhere);
        }
        for FilterAttachment { filter, scope, .. } in attachments {
            match &filter.options {
                FilterOptions::Ip(ip) => filters.ip = Some(Scoped::new(scope, ip.clone())),
                FilterOptions::RateLimit(options) => {
                    let kept =
                        previous.and_then(|old| old.rate_limit.as_ref()?.kept(|old| old.is_for(options)));
                    let limit = kept.unwrap_or_else(|| Arc::new(RateLimit::new(*options)));
                    filters.rate_limit = Some(Scoped::new(scope, limit));
                }
                FilterOptions::Cors(options) => filters.cors = Some(Scoped::new(scope, Cors::new(options))),
                FilterOptions::BasicAuth(options) => {
                    filters.basic_auth = Some(Scoped::new(scope, BasicAuth::new(options)));
                }
                FilterOptions::Jwt(options) => {
                    let kept = previous.and_then(|old| old.jwt.as_ref()?.kept(|old| old.is_for(options)));
                    let jwt = kept.unwrap_or_else(|| Arc::new(Jwt::new(options, keys(&options.jwks_uri))));
                    filters.jwt = Some(Scoped::new(scope, jwt));
                }
                FilterOptions::Csp(options) => {
                    filters.csp = Csp::new(options).map(|csp| Scoped::new(scope, csp));
                }
            }
        }
        (policy.is_some() || !attachments.is_empty()).then_some(filters)
    }

    /// Decides about a request. Addresses and rates come first, because they cost least; a preflight has no
    /// credentials, so it is answered before those are asked for.
    pub(super) fn judge(&self, asked: Asked<'_>) -> Result<Passage, Refusal> {
        if let Some(ip) = in_force(self.ip.as_ref(), asked.path)
            && !ip.admits(asked.client)
        {
            return Err(Refusal::Forbidden);
        }
        if let Some(limit) = in_force(self.rate_limit.as_ref(), asked.path) {
            limit.take(asked.client).map_err(|retry_after| Refusal::TooMany { retry_after })?;
        }
        if let Some(cors) = in_force(self.cors.as_ref(), asked.path)
            && cors.is_preflight(asked)
        {
            return Ok(Passage::Preflight);
        }
        if let Some(basic_auth) = in_force(self.basic_auth.as_ref(), asked.path) {
            basic_auth.check(asked.headers)?;
        }
        if let Some(jwt) = in_force(self.jwt.as_ref(), asked.path) {
            jwt.check(asked.headers, asked.now)?;
        }
        Ok(Passage::On)
    }

    /// What the answer will get; `None` when that is nothing.
    pub(super) fn dressing(self: &Arc<Self>, asked: Asked<'_>) -> Option<Box<Dressing>> {
        let cors = in_force(self.cors.as_ref(), asked.path).map(|cors| cors.grant(asked));
        let csp = in_force(self.csp.as_ref(), asked.path).is_some();
        (cors.is_some() || csp).then(|| Box::new(Dressing { filters: Arc::clone(self), cors, csp }))
    }
}

impl Dressing {
    /// Gives an answer its headers.
    pub(super) fn dress(&self, headers: &mut HeaderMap) {
        if let (Some(grant), Some(cors)) = (&self.cors, &self.filters.cors) {
            cors.filter().dress(grant, headers);
        }
        if let (true, Some(csp)) = (self.csp, &self.filters.csp) {
            csp.filter().dress(headers);
        }
    }
}

fn in_force<'a, T>(filter: Option<&'a Scoped<T>>, path: &str) -> Option<&'a T> {
    filter.filter(|filter| filter.covers(path)).map(Scoped::filter)
}
