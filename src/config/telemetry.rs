//! `[telemetry]`: traces and metrics for an OpenTelemetry collector.

use std::path::PathBuf;
use std::time::Duration;

use super::error::ConfigError;
use super::layers::Layers;
use super::setting::{Form, Setting};
use super::{absolute_path, units};

/// Settings of telemetry.
#[derive(Debug, Clone, PartialEq)]
pub struct TelemetryConfig {
    /// Where OTLP/HTTP is spoken, without `/v1/traces`. Default: none, which is off.
    pub otlp_endpoint: Option<String>,
    /// A file with a header `name: value` a line, for collectors that want a key. Default: none.
    pub otlp_headers_file: Option<PathBuf>,
    /// The share of traces that begin here and are recorded; a request that comes with a trace is recorded when its
    /// caller is. Default 1.
    pub sample_ratio: f64,
    /// Between two messages with metrics. Default 60 s.
    pub metrics_interval: Duration,
}

/// No share is other than a number.
impl Eq for TelemetryConfig {}

const OTLP_ENDPOINT: Setting = Setting {
    key: "telemetry.otlp_endpoint",
    variable: "AKKERISD_TELEMETRY_OTLP_ENDPOINT",
    flag: None,
    form: Form::Text,
    default: "",
    expected: "an http:// or https:// URL without password and query, like http://127.0.0.1:4318",
};
const OTLP_HEADERS_FILE: Setting = Setting {
    key: "telemetry.otlp_headers_file",
    variable: "AKKERISD_TELEMETRY_OTLP_HEADERS_FILE",
    flag: None,
    form: Form::Text,
    default: "",
    expected: "an absolute path",
};
const SAMPLE_RATIO: Setting = Setting {
    key: "telemetry.sample_ratio",
    variable: "AKKERISD_TELEMETRY_SAMPLE_RATIO",
    flag: None,
    form: Form::Text,
    default: "1",
    expected: "a number from 0 to 1 in quotes, like \"0.1\"",
};
const METRICS_INTERVAL: Setting = Setting {
    key: "telemetry.metrics_interval",
    variable: "AKKERISD_TELEMETRY_METRICS_INTERVAL",
    flag: None,
    form: Form::Text,
    default: "60s",
    expected: "a duration from 1s to 1h",
};
pub(super) const SETTINGS: &[Setting] = &[OTLP_ENDPOINT, OTLP_HEADERS_FILE, SAMPLE_RATIO, METRICS_INTERVAL];

impl TelemetryConfig {
    pub(super) fn read(layers: &Layers) -> Result<Self, ConfigError> {
        Ok(Self {
            otlp_endpoint: layers.parse_optional(&OTLP_ENDPOINT, endpoint)?,
            otlp_headers_file: layers.parse_optional(&OTLP_HEADERS_FILE, absolute_path)?,
            sample_ratio: layers.parse(&SAMPLE_RATIO, ratio)?,
            metrics_interval: layers.parse(&METRICS_INTERVAL, interval)?,
        })
    }
}

fn endpoint(text: &str) -> Option<String> {
    let uri: http::Uri = text.parse().ok()?;
    let usable = matches!(uri.scheme_str(), Some("http" | "https"))
        && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
        && uri.query().is_none();
    usable.then(|| text.to_owned())
}

fn ratio(text: &str) -> Option<f64> {
    text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio))
}

fn interval(text: &str) -> Option<Duration> {
    let allowed = Duration::from_secs(1)..=Duration::from_hours(1);
    units::duration(text).filter(|duration| allowed.contains(duration))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_url_without_password_and_query() {
        for usable in ["http://127.0.0.1:4318", "https://otel.example.com/api/v1/otlp", "http://[::1]:4318/"]
        {
            assert_eq!(endpoint(usable).as_deref(), Some(usable));
        }
        for wrong in
            ["4318", "127.0.0.1:4318", "grpc://a", "http://", "http://u:p@a", "http://a?key=b", "/v1"]
        {
            assert_eq!(endpoint(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_share_lies_between_none_and_all() {
        assert_eq!(ratio("0.25"), Some(0.25));
        for wrong in ["", "-0.1", "1.1", "NaN", "inf", "half"] {
            assert_eq!(ratio(wrong), None, "{wrong}");
        }
    }
}
