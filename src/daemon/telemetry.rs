//! Telemetry as the operator wants it: the collector, and the headers that it asks for.

use std::path::Path;

use super::DaemonError;
use crate::config::{Config, TelemetryConfig};
use crate::outbound::Outbound;
use crate::tasks::Tasks;
use crate::telemetry::{Telemetry, TelemetrySettings};

/// Begins to send; nothing without an endpoint. Blocks while it reads the headers.
pub(super) fn start(config: &Config, tasks: &Tasks) -> Result<Telemetry, DaemonError> {
    let TelemetryConfig { otlp_endpoint, otlp_headers_file, sample_ratio, metrics_interval } =
        &config.telemetry;
    let Some(endpoint) = otlp_endpoint.clone() else { return Ok(Telemetry::off()) };
    let headers = otlp_headers_file.as_deref().map(headers_of).transpose()?.unwrap_or_default();
    tracing::info!(endpoint, "telemetry is on");
    let settings = TelemetrySettings {
        endpoint,
        headers,
        sample_ratio: *sample_ratio,
        metrics_interval: *metrics_interval,
    };
    // The operator named the address: a collector on this machine is the usual case.
    Ok(Telemetry::start(settings, Outbound::new(true)?, tasks))
}

fn headers_of(path: &Path) -> Result<Vec<(String, String)>, DaemonError> {
    let file = || path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|source| DaemonError::TelemetryHeaders { path: file(), source })?;
    parse(&text).map_err(|line| DaemonError::TelemetryHeader { path: file(), line })
}

/// A header a line; empty lines count for nothing. The error is the number of the first line that is none.
fn parse(text: &str) -> Result<Vec<(String, String)>, usize> {
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(number, line)| header(line).ok_or(number)).collect()
}

fn header(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    let name = http::HeaderName::try_from(name.trim()).ok()?;
    http::HeaderValue::try_from(value.trim()).ok()?;
    Some((name.as_str().to_owned(), value.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_a_header_and_a_wrong_one_is_named_by_its_number() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let text = "Authorization: Bearer a:b\n\n x-scope-orgid:1 \n";
        assert_eq!(parse(text), Ok(vec![pair("authorization", "Bearer a:b"), pair("x-scope-orgid", "1")]));
        assert_eq!(parse("a: b\nno header\n"), Err(2));
        assert_eq!(parse("a b: c"), Err(1));
        assert_eq!(parse("\n\na: \u{7f}"), Err(3));
    }
}
