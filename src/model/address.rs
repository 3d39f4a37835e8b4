//! What kind of IP address one is, so that an address a user names cannot lead where only the machine itself should.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whose address it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressKind {
    /// Link-local, multicast, unspecified or a cloud's metadata service: never to be reached.
    Forbidden,
    /// This machine, or a private network.
    Private,
    Public,
}

impl AddressKind {
    /// The kind of an address, seen through IPv6 forms of an IPv4 address.
    pub fn of(address: IpAddr) -> Self {
        let address = embedded(address);
        if is_forbidden(address) {
            Self::Forbidden
        } else if is_private(address) {
            Self::Private
        } else {
            Self::Public
        }
    }
}

/// The IPv4 address that an IPv6 address stands for (mapped, or through NAT64), else the address itself.
pub fn embedded(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => match v6.segments() {
            [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
                IpAddr::V4(Ipv4Addr::from_bits((u32::from(high) << 16) | u32::from(low)))
            }
            _ => IpAddr::V6(v6),
        },
        v4 @ IpAddr::V4(_) => v4,
    }
}

fn is_forbidden(address: IpAddr) -> bool {
    /// The metadata service of AWS over IPv6 and that of Alibaba.
    const METADATA: [IpAddr; 2] = [
        IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
        IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    ];
    METADATA.contains(&address)
        || match address {
            IpAddr::V4(v4) => {
                v4.is_link_local() || v4.is_multicast() || v4.is_broadcast() || v4.octets()[0] == 0
            }
            IpAddr::V6(v6) => v6.is_unicast_link_local() || v6.is_multicast() || v6.is_unspecified(),
        }
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [first, second, third, _] = v4.octets();
            v4.is_loopback()
                || v4.is_private()
                || (first == 100 && (64..128).contains(&second))
                || (first == 198 && (18..20).contains(&second))
                || (first == 192 && second == 0 && third == 0)
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local(),
    }
}
