//! Addons, from the catalogue and the providers to the API.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::DaemonError;
use super::state::State;
use crate::addons::broker::{Broker, BrokerAddress, BrokerClient, Refresh};
use crate::addons::{self, AddonParts, Addons, Offer, Provider, Providers};
use crate::config::Config;
use crate::outbound::Outbound;
use crate::tasks::Tasks;

/// The pause before what failed at a provider is tried again; it doubles.
const RETRY: Duration = Duration::from_secs(5);

/// Starts the work at addons, and gives the API its part of it. Blocks while it reads the brokers' credentials.
pub(super) async fn start(
    config: &Config,
    (state, engine): (&State, Arc<dyn Provider>),
    tasks: &Tasks,
) -> Result<Addons, DaemonError> {
    let offer = Offer::new(state.catalogue.shared());
    let clients = clients(config)?;
    let broker = |client: &BrokerClient| {
        let broker: Arc<dyn Provider> = Arc::new(Broker::new(client.clone(), config.addons.poll_interval));
        (client.name().clone(), broker)
    };
    let providers = Providers {
        engine: Some(engine),
        brokers: clients.iter().map(broker).collect(),
        ..Providers::without_brokers()
    };
    for client in clients {
        let (store, period) = (state.store.clone(), config.addons.refresh_interval);
        Refresh { client, store, offer: offer.clone(), period }.start(tasks).await?;
    }
    let parts = AddonParts {
        store: state.store.clone(),
        sealer: state.sealer.clone(),
        clock: state.clock.clone(),
        offer,
        providers,
        retry: RETRY,
    };
    addons::start(parts.clone(), tasks);
    Ok(Addons::new(parts))
}

fn clients(config: &Config) -> Result<Vec<BrokerClient>, DaemonError> {
    let file = config.addons.credentials_file.as_deref();
    let mut known = file.map(credentials).transpose()?.unwrap_or_default();
    // The operator named the addresses: a broker on this machine or beside it is the usual case.
    let outbound = Outbound::new(true)?;
    let client = |broker: &crate::config::BrokerConfig| {
        let authorization = known.remove(broker.name.as_str());
        let address = BrokerAddress { name: broker.name.clone(), url: broker.url.clone(), authorization };
        BrokerClient::new(address, outbound.clone())
    };
    Ok(config.addons.brokers.iter().map(client).collect())
}

/// The values of `Authorization` by the names of the brokers.
fn credentials(path: &Path) -> Result<BTreeMap<String, String>, DaemonError> {
    let file = || path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|source| DaemonError::BrokerCredentials { path: file(), source })?;
    parse(&text).map_err(|line| DaemonError::BrokerCredential { path: file(), line })
}

/// A broker a line; empty lines count for nothing. The error is the number of the first line that is none.
fn parse(text: &str) -> Result<BTreeMap<String, String>, usize> {
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(number, line)| credential(line).ok_or(number)).collect()
}

fn credential(line: &str) -> Option<(String, String)> {
    let (name, rest) = line.split_once(':')?;
    let rest = rest.trim();
    let bearer = rest.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let value = match (bearer, rest.split_once(':')) {
        (Some((_, token)), _) => format!("Bearer {}", token.trim()),
        (None, Some((user, password))) => BrokerAddress::basic(user, password),
        (None, None) => return None,
    };
    http::HeaderValue::try_from(&value).ok()?;
    Some((name.trim().to_owned(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_a_broker_and_a_wrong_one_is_named_by_its_number() {
        let parsed = parse("big: user:pa:ss\n\n small: Bearer abc \n").unwrap();
        assert_eq!(parsed.get("big").map(String::as_str), Some("Basic dXNlcjpwYTpzcw=="));
        assert_eq!(parsed.get("small").map(String::as_str), Some("Bearer abc"));
        assert_eq!(parse("a: b:c\nnothing\n"), Err(2));
        assert_eq!(parse("a: only"), Err(1));
    }
}
