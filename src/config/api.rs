//! `[api]`: the control API.

use std::net::SocketAddr;

use super::error::ConfigError;
use super::layers::Layers;
use super::setting::{Form, Setting};

/// Settings of the control API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiConfig {
    /// Where the API listens, in plain HTTP. Default `127.0.0.1:5000`.
    pub addr: SocketAddr,
    /// The address that clients reach the API at, for links, without a slash at its end. Default: unset,
    /// links follow the request.
    pub public_url: Option<String>,
    /// The shapes that a request gets which asks for none. Default `document`.
    pub dialect: Dialect,
}

crate::text_enum! {
    /// The two dialects of the specification's "Two dialects, one API".
    pub enum Dialect {
        /// The shapes of the documents.
        Document => "document",
        /// The shapes that production clients rely on.
        Reference => "reference",
    }
}

pub(super) const ADDR: Setting = Setting {
    key: "api.addr",
    variable: "AKKERISD_API_ADDR",
    flag: Some("--api-addr"),
    form: Form::Text,
    default: "127.0.0.1:5000",
    expected: "an IP address and a port, like 127.0.0.1:5000 or [::1]:5000",
};
const PUBLIC_URL: Setting = Setting {
    key: "api.public_url",
    variable: "AKKERISD_PUBLIC_URL",
    flag: Some("--public-url"),
    form: Form::Text,
    default: "",
    expected: "an address like https://api.example.com, without user name, path, query or fragment",
};
const DIALECT: Setting = Setting {
    key: "api.dialect",
    variable: "AKKERISD_API_DIALECT",
    flag: None,
    form: Form::Text,
    default: "document",
    expected: "document or reference",
};
pub(super) const SETTINGS: &[Setting] = &[ADDR, PUBLIC_URL, DIALECT];

impl ApiConfig {
    pub(super) fn read(layers: &Layers) -> Result<Self, ConfigError> {
        Ok(Self {
            addr: layers.parse(&ADDR, |text| text.parse().ok())?,
            public_url: layers.parse_optional(&PUBLIC_URL, web_origin)?,
            dialect: layers.parse(&DIALECT, |text| text.parse().ok())?,
        })
    }
}

fn web_origin(text: &str) -> Option<String> {
    let uri: http::Uri = text.parse().ok()?;
    let scheme = uri.scheme_str().filter(|scheme| ["http", "https"].contains(scheme))?;
    let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'))?;
    let bare = uri.path() == "/" && uri.query().is_none() && !text.contains('#');
    (bare && !authority.host().is_empty()).then(|| format!("{scheme}://{authority}"))
}
