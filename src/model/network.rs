//! A network of addresses, as operators write it.

use std::net::IpAddr;

use ipnet::IpNet;

use super::rule::{RuleError, shown};

/// A network, or a single address; stored as its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network(IpNet);

impl Network {
    /// `10.0.0.0/8`, `2001:db8::/32`, or an address.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        let text = text.trim();
        let address = text.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical()));
        let network = address.or_else(|_| text.parse::<IpNet>().map(|network| network.trunc()));
        network.map(Self).map_err(|_| {
            RuleError::new(format!(
                "The network {} is not usable: give an address or a network such as 10.0.0.0/8 or 2001:db8::/32.",
                shown(text)
            ))
        })
    }

    /// Whether the address is one of the network. An IPv4 address in the form of IPv6 is taken for what it is.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_holds_its_addresses_in_either_form() {
        let holds = |network: &str, address: &str| {
            Network::parse(network).unwrap().contains(address.parse().unwrap())
        };
        assert!(holds("10.1.2.3/8", "10.255.0.1"));
        assert!(holds("10.0.0.0/8", "::ffff:10.0.0.1"));
        assert!(holds("127.0.0.1", "127.0.0.1"));
        assert!(holds("::/0", "2001:db8::1"));
        assert!(!holds("10.0.0.0/8", "11.0.0.1"));
        assert!(!holds("::1", "::2"));
        for wrong in ["", "10.0.0.0/33", "localhost", "10.0.0/8", "10.0.0.0/-1"] {
            assert!(Network::parse(wrong).is_err(), "{wrong}");
        }
    }
}
