//! `[edge]`: the reverse proxy that brings the web to the apps.

use std::net::SocketAddr;
use std::time::Duration;

use super::error::ConfigError;
use super::layers::Layers;
use super::setting::{Form, Setting};
use super::units;
use crate::model::domain::is_label;
use crate::model::network::Network;

/// Settings of the edge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeConfig {
    /// Plain HTTP, which redirects to HTTPS. Default `0.0.0.0:80`.
    pub http_addr: SocketAddr,
    /// HTTPS. Default `0.0.0.0:443`.
    pub https_addr: SocketAddr,
    /// HTTP/3 beside it, on the UDP port of the same number. Default `false`.
    pub http3: bool,
    /// Apps answer on `<app key>.<apps domain>`; lower case. Default `localhost`.
    pub apps_domain: String,
    /// Plain HTTP is served rather than redirected; only with a loopback `http_addr`. Default `false`.
    pub no_redirect: bool,
    /// Threads that serve, each with its own runtime; `None` is one a core. Default: unset (0).
    pub workers: Option<usize>,
    /// Open connections of clients over all threads; more wait to be accepted. Default 10,000.
    pub max_connections: usize,
    /// Open connections of one client address; more are closed. 0 sets no limit. Default 0.
    pub max_connections_per_address: usize,
    /// Proxies that are believed when they say for whom they speak. Default: none.
    pub trusted_proxies: Vec<Network>,
    /// Connections from trusted proxies begin with a header of the PROXY protocol, 1 or 2. Default `false`.
    pub proxy_protocol: bool,
    /// How long an app may take to the first byte of its answer, where it has no limit of its own. Default 30 s.
    pub first_byte_timeout: Duration,
    /// How long open requests, downloads and tunnels may go on after an upgrade of the daemon. Default 1 h.
    pub linger: Duration,
    /// How long a request, an answer or a tunnel may stand still, where the app has no limit of its own. Default 55 s.
    pub idle_timeout: Duration,
}

pub(super) const HTTP_ADDR: Setting = Setting {
    key: "edge.http_addr",
    variable: "AKKERISD_HTTP_ADDR",
    flag: Some("--http-addr"),
    form: Form::Text,
    default: "0.0.0.0:80",
    expected: "an IP address and a port, like 0.0.0.0:80 or [::]:80",
};
pub(super) const HTTPS_ADDR: Setting = Setting {
    key: "edge.https_addr",
    variable: "AKKERISD_HTTPS_ADDR",
    flag: Some("--https-addr"),
    form: Form::Text,
    default: "0.0.0.0:443",
    expected: "an IP address and a port, like 0.0.0.0:443 or [::]:443",
};
const HTTP3: Setting = Setting {
    key: "edge.http3",
    variable: "AKKERISD_EDGE_HTTP3",
    flag: None,
    form: Form::Switch,
    default: "false",
    expected: "true or false",
};
const APPS_DOMAIN: Setting = Setting {
    key: "edge.apps_domain",
    variable: "AKKERISD_APPS_DOMAIN",
    flag: Some("--apps-domain"),
    form: Form::Text,
    default: "localhost",
    expected: "a domain like apps.example.com, without scheme, port or dot at its end",
};
const NO_REDIRECT: Setting = Setting {
    key: "edge.no_redirect",
    variable: "AKKERISD_NO_REDIRECT",
    flag: Some("--no-redirect"),
    form: Form::Switch,
    default: "false",
    expected: "true or false; true only with edge.http_addr on loopback (127.0.0.1 or [::1])",
};
const WORKERS: Setting = Setting {
    key: "edge.workers",
    variable: "AKKERISD_EDGE_WORKERS",
    flag: None,
    form: Form::Number,
    default: "0",
    expected: "a number of threads from 1 to 256, or 0 for one a core",
};
const MAX_CONNECTIONS: Setting = Setting {
    key: "edge.max_connections",
    variable: "AKKERISD_EDGE_MAX_CONNECTIONS",
    flag: None,
    form: Form::Number,
    default: "10000",
    expected: "a number from 1 to 1000000",
};
const MAX_CONNECTIONS_PER_ADDRESS: Setting = Setting {
    key: "edge.max_connections_per_address",
    variable: "AKKERISD_EDGE_MAX_CONNECTIONS_PER_ADDRESS",
    flag: None,
    form: Form::Number,
    default: "0",
    expected: "a number from 1 to 1000000, or 0 for no limit",
};
const TRUSTED_PROXIES: Setting = Setting {
    key: "edge.trusted_proxies",
    variable: "AKKERISD_EDGE_TRUSTED_PROXIES",
    flag: None,
    form: Form::Text,
    default: "",
    expected: "addresses and networks with commas between them, like 10.0.0.0/8, 192.0.2.1",
};
const PROXY_PROTOCOL: Setting = Setting {
    key: "edge.proxy_protocol",
    variable: "AKKERISD_EDGE_PROXY_PROTOCOL",
    flag: None,
    form: Form::Switch,
    default: "false",
    expected: "true or false; true only with edge.trusted_proxies",
};
const FIRST_BYTE_TIMEOUT: Setting = Setting {
    key: "edge.first_byte_timeout",
    variable: "AKKERISD_EDGE_FIRST_BYTE_TIMEOUT",
    flag: None,
    form: Form::Text,
    default: "30s",
    expected: "a duration above zero, like 60s or 2m",
};
const LINGER: Setting = Setting {
    key: "edge.linger",
    variable: "AKKERISD_EDGE_LINGER",
    flag: None,
    form: Form::Text,
    default: "1h",
    expected: "a duration, like 1h or 10m",
};
const IDLE_TIMEOUT: Setting = Setting {
    key: "edge.idle_timeout",
    variable: "AKKERISD_EDGE_IDLE_TIMEOUT",
    flag: None,
    form: Form::Text,
    default: "55s",
    expected: "a duration above zero, like 55s or 5m",
};
pub(super) const SETTINGS: &[Setting] = &[
    HTTP_ADDR,
    HTTPS_ADDR,
    HTTP3,
    APPS_DOMAIN,
    NO_REDIRECT,
    WORKERS,
    MAX_CONNECTIONS,
    MAX_CONNECTIONS_PER_ADDRESS,
    TRUSTED_PROXIES,
    PROXY_PROTOCOL,
    FIRST_BYTE_TIMEOUT,
    IDLE_TIMEOUT,
    LINGER,
];

const MOST_WORKERS: usize = 256;
const MOST_CONNECTIONS: usize = 1_000_000;

impl EdgeConfig {
    pub(super) fn read(layers: &Layers) -> Result<Self, ConfigError> {
        let config = Self {
            http_addr: layers.parse(&HTTP_ADDR, |text| text.parse().ok())?,
            https_addr: layers.parse(&HTTPS_ADDR, |text| text.parse().ok())?,
            http3: layers.parse(&HTTP3, units::switch)?,
            apps_domain: layers.parse(&APPS_DOMAIN, domain)?,
            no_redirect: layers.parse(&NO_REDIRECT, units::switch)?,
            workers: Some(layers.parse(&WORKERS, |text| units::count(text, MOST_WORKERS))?)
                .filter(|workers| *workers > 0),
            max_connections: layers
                .parse(&MAX_CONNECTIONS, |text| units::positive_count(text, MOST_CONNECTIONS))?,
            max_connections_per_address: layers
                .parse(&MAX_CONNECTIONS_PER_ADDRESS, |text| units::count(text, MOST_CONNECTIONS))?,
            trusted_proxies: layers.parse_optional(&TRUSTED_PROXIES, networks)?.unwrap_or_default(),
            proxy_protocol: layers.parse(&PROXY_PROTOCOL, units::switch)?,
            first_byte_timeout: layers.parse(&FIRST_BYTE_TIMEOUT, units::positive_duration)?,
            linger: layers.parse(&LINGER, units::duration)?,
            idle_timeout: layers.parse(&IDLE_TIMEOUT, units::positive_duration)?,
        };
        if config.no_redirect && !config.http_addr.ip().is_loopback() {
            return Err(layers.wrong(&NO_REDIRECT, NO_REDIRECT.expected.to_owned()));
        }
        if config.proxy_protocol && config.trusted_proxies.is_empty() {
            return Err(layers.wrong(&PROXY_PROTOCOL, PROXY_PROTOCOL.expected.to_owned()));
        }
        Ok(config)
    }

    /// The port that redirects and links name: the one that HTTPS is configured on. With port 0 the
    /// caller has to put in the port that was really bound.
    pub fn public_https_port(&self) -> u16 {
        self.https_addr.port()
    }
}

fn networks(text: &str) -> Option<Vec<Network>> {
    text.split(',').map(|network| Network::parse(network).ok()).collect()
}

/// Lower-cased; labels of letters, digits and inner dashes. Room is left for the app's own label.
fn domain(text: &str) -> Option<String> {
    const LONGEST: usize = 189;
    let usable =
        text.len() <= LONGEST && text.split('.').all(is_label) && text.parse::<std::net::IpAddr>().is_err();
    usable.then(|| text.to_ascii_lowercase())
}
