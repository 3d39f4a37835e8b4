//! The PROXY protocol, versions 1 and 2: which client a balancer before the edge speaks for.
//!
//! Invariant: it is read only from trusted addresses, and not a byte beyond its header is taken from the stream.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The longest line of version 1.
const LONGEST_LINE: usize = 107;
/// Addresses and as much beside them as any balancer sends.
const LONGEST_BLOCK: usize = 1_024;

/// Whom a balancer speaks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Client(IpAddr),
    /// The balancer itself, as in its health checks.
    Balancer,
}

/// Reads the header at the start of a connection.
pub(super) async fn read(stream: &mut TcpStream) -> io::Result<Origin> {
    let mut head = [0; 16];
    stream.read_exact(head.get_mut(..6).unwrap_or_default()).await?;
    if head.starts_with(b"PROXY ") {
        return line(&read_line(stream).await?).ok_or_else(malformed);
    }
    stream.read_exact(head.get_mut(6..).unwrap_or_default()).await?;
    let length = block_length(&head).ok_or_else(malformed)?;
    let mut block = vec![0; length];
    stream.read_exact(&mut block).await?;
    addresses(&head, &block).ok_or_else(malformed)
}

async fn read_line(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut line = Vec::with_capacity(LONGEST_LINE);
    while !line.ends_with(b"\r\n") {
        if line.len() >= LONGEST_LINE {
            return Err(malformed());
        }
        line.push(stream.read_u8().await?);
    }
    Ok(line)
}

/// What follows `PROXY ` in version 1: `TCP4 192.0.2.1 192.0.2.2 56324 443`, or `UNKNOWN` and anything.
fn line(line: &[u8]) -> Option<Origin> {
    let text = std::str::from_utf8(line).ok()?.strip_suffix("\r\n")?;
    if text == "UNKNOWN" || text.starts_with("UNKNOWN ") {
        return Some(Origin::Balancer);
    }
    let words: Vec<&str> = text.split(' ').collect();
    let [family, client, server, client_port, server_port] = words.as_slice() else { return None };
    let (client, server): (IpAddr, IpAddr) = (client.parse().ok()?, server.parse().ok()?);
    let ports = client_port.parse::<u16>().is_ok() && server_port.parse::<u16>().is_ok();
    let fits = match *family {
        "TCP4" => client.is_ipv4() && server.is_ipv4(),
        "TCP6" => client.is_ipv6() && server.is_ipv6(),
        _ => false,
    };
    (ports && fits).then_some(Origin::Client(client))
}

/// The length of what follows the first sixteen bytes of version 2.
fn block_length(head: &[u8; 16]) -> Option<usize> {
    let [.., version, _, high, low] = head;
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    (head.starts_with(SIGNATURE) && version >> 4 == 2 && length <= LONGEST_BLOCK).then_some(length)
}

fn addresses(head: &[u8; 16], block: &[u8]) -> Option<Origin> {
    let [.., version, family, _, _] = head;
    match (version & 0x0f, family >> 4) {
        // LOCAL, or a family that has no addresses of the internet.
        (0, _) | (1, 0 | 3) => Some(Origin::Balancer),
        (1, 1) => Some(Origin::Client(Ipv4Addr::from(*block.get(..12)?.first_chunk::<4>()?).into())),
        (1, 2) => Some(Origin::Client(Ipv6Addr::from(*block.get(..36)?.first_chunk::<16>()?).into())),
        _ => None,
    }
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the PROXY protocol's header is not well formed")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn head(version: u8, family: u8, length: u16) -> [u8; 16] {
        let mut head = [0; 16];
        head[..12].copy_from_slice(SIGNATURE);
        (head[12], head[13]) = (version, family);
        head[14..].copy_from_slice(&length.to_be_bytes());
        head
    }

    #[test]
    fn lines_of_version_1_name_the_client() {
        let of = |text: &str| line(format!("{text}\r\n").as_bytes());
        assert_eq!(
            of("TCP4 192.0.2.7 192.0.2.1 56324 443"),
            Some(Origin::Client("192.0.2.7".parse().unwrap()))
        );
        assert_eq!(
            of("TCP6 2001:db8::7 2001:db8::1 1 2"),
            Some(Origin::Client("2001:db8::7".parse().unwrap()))
        );
        assert_eq!(of("UNKNOWN"), Some(Origin::Balancer));
        assert_eq!(of("UNKNOWN ffff::1 whatever"), Some(Origin::Balancer));
        for bad in [
            "",
            "TCP4 192.0.2.7 192.0.2.1 1",
            "TCP4 ::1 ::1 1 2",
            "TCP5 1.1.1.1 1.1.1.1 1 2",
            "UNKNOWNS",
            "TCP4 1.1.1.1 1.1.1.1 1 70000",
        ] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }

    #[test]
    fn blocks_of_version_2_name_the_client() {
        let v4 = [&[192, 0, 2, 7, 192, 0, 2, 1, 0, 1, 0, 2][..], &[9; 5]].concat();
        assert_eq!(block_length(&head(0x21, 0x11, 17)), Some(17));
        assert_eq!(addresses(&head(0x21, 0x11, 17), &v4), Some(Origin::Client("192.0.2.7".parse().unwrap())));
        assert_eq!(
            addresses(&head(0x20, 0x00, 0), &[]),
            Some(Origin::Balancer),
            "the balancer's own health check"
        );
        assert_eq!(addresses(&head(0x21, 0x11, 4), &v4[..4]), None, "too short");
        assert_eq!(addresses(&head(0x22, 0x11, 12), &v4), None, "an unknown command");
        assert_eq!(block_length(&head(0x11, 0x11, 12)), None, "an unknown version");
        assert_eq!(block_length(&head(0x21, 0x11, 5_000)), None, "too long");
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parsers_panic(
            text in prop::collection::vec(any::<u8>(), 0..120),
            head in any::<[u8; 16]>(),
        ) {
            let read = (line(&text), addresses(&head, &text));
            prop_assert!(block_length(&head).is_none_or(|length| length <= LONGEST_BLOCK));
            if let Some(Origin::Client(address)) = read.0 {
                prop_assert!(std::str::from_utf8(&text).unwrap().contains(' '), "{address}");
            }
        }
    }
}
