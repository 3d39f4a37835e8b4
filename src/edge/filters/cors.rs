//! The type `cors`: which other sites may read an app's answers (the Fetch standard, §3.2).

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method};

use super::Asked;
use crate::model::filter::{CorsOptions, OriginPattern};

#[derive(Debug)]
pub(super) struct Cors {
    origins: Vec<OriginPattern>,
    methods: Option<HeaderValue>,
    headers: Option<HeaderValue>,
    exposed: Option<HeaderValue>,
    max_age: HeaderValue,
    credentials: bool,
}

/// What the answer to one request is given.
#[derive(Debug)]
pub(super) struct Grant {
    /// The request's own, when it matches.
    origin: Option<HeaderValue>,
    preflight: bool,
}

impl Cors {
    pub(super) fn new(options: &CorsOptions) -> Self {
        let joined = |items: &[String]| {
            (!items.is_empty()).then(|| HeaderValue::try_from(items.join(",")).ok()).flatten()
        };
        Self {
            origins: options.allow_origin.clone(),
            methods: joined(&options.allow_methods),
            headers: joined(&options.allow_headers),
            exposed: joined(&options.expose_headers),
            max_age: HeaderValue::from(options.max_age),
            credentials: options.allow_credentials,
        }
    }

    /// Whether the edge answers: a preflight of another origin is the app's business.
    pub(super) fn is_preflight(&self, asked: Asked<'_>) -> bool {
        asked.method == Method::OPTIONS
            && asked.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
            && self.matching_origin(asked.headers).is_some()
    }

    pub(super) fn grant(&self, asked: Asked<'_>) -> Grant {
        Grant { origin: self.matching_origin(asked.headers).cloned(), preflight: self.is_preflight(asked) }
    }

    /// The filter decides in the app's stead where the origin matches, and leaves the app's own words elsewhere. That
    /// the answer depends on the origin is told in each case, for the caches in between.
    pub(super) fn dress(&self, grant: &Grant, headers: &mut HeaderMap) {
        headers.append(VARY, HeaderValue::from_static("Origin"));
        let Some(origin) = &grant.origin else { return };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.remove(ACCESS_CONTROL_ALLOW_CREDENTIALS);
        if self.credentials {
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        if !grant.preflight {
            set(headers, &ACCESS_CONTROL_EXPOSE_HEADERS, self.exposed.as_ref());
            return;
        }
        set(headers, &ACCESS_CONTROL_ALLOW_METHODS, self.methods.as_ref());
        set(headers, &ACCESS_CONTROL_ALLOW_HEADERS, self.headers.as_ref());
        headers.insert(ACCESS_CONTROL_MAX_AGE, self.max_age.clone());
    }

    fn matching_origin<'a>(&self, headers: &'a HeaderMap) -> Option<&'a HeaderValue> {
        let mut values = headers.get_all(ORIGIN).iter();
        let (value, None) = (values.next()?, values.next()) else { return None };
        let text = value.to_str().ok()?;
        self.origins.iter().any(|pattern| pattern.matches(text)).then_some(value)
    }
}

fn set(headers: &mut HeaderMap, name: &http::HeaderName, value: Option<&HeaderValue>) {
    if let Some(value) = value {
        headers.insert(name, value.clone());
    }
}
