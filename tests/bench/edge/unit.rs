//! What `systemd/akkerisd.service` sets for the daemon, so that it is measured as it runs.

/// The environment that the unit gives.
pub(crate) fn environment() -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = include_str!("../../../systemd/akkerisd.service").lines();
    lines.filter_map(|line| line.strip_prefix("Environment=")?.split_once('='))
}
