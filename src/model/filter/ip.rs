//! The type `ip`: which addresses of clients an app is open to.

use std::net::IpAddr;

use super::check_length;
use crate::model::network::Network;
use crate::model::rule::RuleError;

/// Networks that may come and networks that may not; the latter win.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct IpOptions {
    /// When there are any, only clients of these may come.
    pub allow: Vec<Network>,
    pub deny: Vec<Network>,
}

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

    /// Whether a client of that address may come.
    pub fn admits(&self, client: IpAddr) -> bool {
        let within = |networks: &[Network]| networks.iter().any(|network| network.contains(client));
        !within(&self.deny) && (self.allow.is_empty() || within(&self.allow))
    }
}
