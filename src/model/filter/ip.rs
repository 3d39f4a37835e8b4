//! The type `ip`: which addresses of clients an app is open to.

use std::net::IpAddr;

use ipnet::IpNet;

use super::check_length;
use crate::model::rule::{RuleError, shown};

/// Networks that may come and networks that may not; the latter win.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct IpOptions {
    /// When there are any, only clients of these may come.
    pub allow: Vec<Network>,
    pub deny: Vec<Network>,
}

/// A network, or a single address; stored as its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network(IpNet);

const NETWORKS: usize = 1024;

impl IpOptions {
    /// Networks such as `10.0.0.0/8` and single addresses; at least one in all.
    pub fn new(allow: &[String], deny: &[String]) -> Result<Self, RuleError> {
        if allow.is_empty() && deny.is_empty() {
            return Err(RuleError::new(
                "The lists allow and deny are both empty: give at least one network, such as 10.0.0.0/8.",
            ));
        }
        let networks = |field: &str, texts: &[String]| {
            check_length(field, texts, NETWORKS)?;
            texts.iter().map(|text| Network::parse(text)).collect::<Result<Vec<_>, _>>()
        };
        Ok(Self { allow: networks("allow", allow)?, deny: networks("deny", deny)? })
    }

    /// Whether a client of that address may come. An IPv4 address in the form of IPv6 is taken for what it is.
    pub fn admits(&self, client: IpAddr) -> bool {
        let client = client.to_canonical();
        let within = |networks: &[Network]| networks.iter().any(|network| network.0.contains(&client));
        !within(&self.deny) && (self.allow.is_empty() || within(&self.allow))
    }
}

impl Network {
    /// `10.0.0.0/8`, `2001:db8::/32`, or an address.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        let text = text.trim();
        let address = text.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical()));
        let network = address.or_else(|_| text.parse::<IpNet>().map(|network| network.trunc()));
        network.map(Self).map_err(|_| {
            RuleError::new(format!(
                "The network \"{}\" is not usable: give an address or a network such as 10.0.0.0/8 or 2001:db8::/32.",
                shown(text)
            ))
        })
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl serde::Serialize for Network {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Network {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}
