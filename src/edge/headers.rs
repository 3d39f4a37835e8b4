//! What the edge changes in the headers of requests and answers.
//!
//! Invariant: hop-by-hop headers (RFC 9110 §7.6.1) never pass, and a client cannot set a header by which an
//! app learns about its client or about the site that a request came by.

use std::net::IpAddr;

use http::header::{
    ALT_SVC, CONNECTION, COOKIE, EXPECT, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION,
    STRICT_TRANSPORT_SECURITY, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use uuid::Uuid;

use crate::model::network::Network;

pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_REQUEST_START: HeaderName = HeaderName::from_static("x-request-start");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_PATH: HeaderName = HeaderName::from_static("x-forwarded-path");
const X_ORIG_HOST: HeaderName = HeaderName::from_static("x-orig-host");
const X_ORIG_PATH: HeaderName = HeaderName::from_static("x-orig-path");
const X_ORIG_PORT: HeaderName = HeaderName::from_static("x-orig-port");
const X_ORIG_PROTO: HeaderName = HeaderName::from_static("x-orig-proto");
const FORWARDED: HeaderName = HeaderName::from_static("forwarded");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

static HOP_BY_HOP: [HeaderName; 8] = [
    CONNECTION,
    KEEP_ALIVE,
    PROXY_CONNECTION,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// What only the edge says, of requests that came by a site (`behaviour.md` §31).
static OF_SITES: [HeaderName; 5] = [X_FORWARDED_PATH, X_ORIG_HOST, X_ORIG_PATH, X_ORIG_PORT, X_ORIG_PROTO];

/// A year, as `behaviour.md` §31 has it for sites.
const SITE_HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000; includeSubDomains");

const CLOSE: HeaderValue = HeaderValue::from_static("close");
const UPGRADE_TOKEN: HeaderValue = HeaderValue::from_static("upgrade");
const TRAILERS: HeaderValue = HeaderValue::from_static("trailers");
const MAX_REQUEST_ID: usize = 200;

/// How a client came in: the same for all its requests on one connection.
#[derive(Debug, Clone)]
pub(super) struct CameBy {
    peer: IpAddr,
    address: HeaderValue,
    proto: HeaderValue,
    port: HeaderValue,
    /// The peer is a proxy that is believed.
    trusted: bool,
}

/// What is particular to one request.
#[derive(Debug)]
pub(super) struct Particulars<'a> {
    pub(super) host: HeaderValue,
    pub(super) id: &'a HeaderValue,
    pub(super) start: HeaderValue,
    pub(super) upgrade: Option<HeaderValue>,
}

impl CameBy {
    pub(super) fn new(peer: IpAddr, proto: &'static str, port: u16) -> Self {
        // An IPv4 client of an IPv6 socket is shown as what it is.
        let peer = peer.to_canonical();
        let address = HeaderValue::try_from(peer.to_string());
        Self {
            peer,
            address: address.unwrap_or(HeaderValue::from_static("unknown")),
            proto: HeaderValue::from_static(proto),
            port: HeaderValue::from(port),
            trusted: false,
        }
    }

    /// The client's address: the peer's, or of those that trusted proxies tell of the last that is none of theirs.
    pub(super) fn client(&self, headers: &HeaderMap, proxies: &[Network]) -> IpAddr {
        if !self.trusted {
            return self.peer;
        }
        let mut client = self.peer;
        let told = headers.get_all(X_FORWARDED_FOR).iter().rev();
        for address in told.flat_map(|value| value.as_bytes().rsplit(|byte| *byte == b',')) {
            let text = std::str::from_utf8(address).unwrap_or_default();
            // What follows an address that nobody can read is not known to be of a proxy.
            let Ok(address) = text.trim().parse::<IpAddr>() else { break };
            client = address.to_canonical();
            if !proxies.iter().any(|network| network.contains(client)) {
                break;
            }
        }
        client
    }

    /// Whether the peer still has the address that it came by.
    pub(super) fn is_from(&self, address: IpAddr) -> bool {
        self.peer == address.to_canonical()
    }

    /// Whether what the peer says about its own client is believed.
    pub(super) fn trusted(self, trusted: bool) -> Self {
        Self { trusted, ..self }
    }

    /// Whether a trusted proxy says that its client speaks TLS.
    pub(super) fn is_said_secure(&self, headers: &HeaderMap) -> bool {
        self.trusted && headers.get(X_FORWARDED_PROTO).is_some_and(|proto| proto == "https")
    }

    /// The client's address as text.
    pub(super) fn address(&self) -> &str {
        self.address.to_str().unwrap_or("unknown")
    }

    /// Whether the client speaks TLS.
    pub(super) fn is_secure(&self) -> bool {
        self.proto == "https"
    }

    /// Tells a client over TLS of HTTP/3 (RFC 7838); an app that names alternatives itself is left its own words.
    pub(super) fn offer_http3(&self, offer: &HeaderValue, answer: &mut HeaderMap) {
        if self.is_secure() {
            answer.entry(ALT_SVC).or_insert_with(|| offer.clone());
        }
    }

    /// Tells an app by which path of which site a request came.
    pub(super) fn tell_site(&self, headers: &mut HeaderMap, domain: &HeaderValue, path: &HeaderValue) {
        headers.insert(X_ORIG_HOST, domain.clone());
        headers.insert(X_ORIG_PROTO, self.proto.clone());
        headers.insert(X_ORIG_PORT, self.port.clone());
        headers.insert(X_ORIG_PATH, path.clone());
        headers.insert(X_FORWARDED_PATH, path.clone());
    }

    /// Makes a client's headers those of a request to an upstream.
    pub(super) fn prepare(&self, headers: &mut HeaderMap, particulars: Particulars<'_>) {
        let trailers = headers.get(TE).is_some_and(|te| has_token(te, "trailers"));
        strip_hop_by_hop(headers);
        strip_site_claims(headers);
        // The edge has answered 100 to its client already by the time it reads a body.
        headers.remove(EXPECT);
        if self.trusted {
            self.append(headers, particulars.host);
        } else {
            headers.remove(FORWARDED);
            headers.insert(X_FORWARDED_FOR, self.address.clone());
            headers.insert(X_FORWARDED_PROTO, self.proto.clone());
            headers.insert(X_FORWARDED_PORT, self.port.clone());
            headers.insert(X_FORWARDED_HOST, particulars.host);
        }
        headers.insert(X_REQUEST_ID, particulars.id.clone());
        headers.insert(X_REQUEST_START, particulars.start);
        if trailers {
            headers.insert(TE, TRAILERS);
        }
        if let Some(protocol) = particulars.upgrade {
            set_upgrade(headers, protocol);
        }
    }

    /// Leaves what a trusted proxy says, and adds the proxy itself to the chain.
    fn append(&self, headers: &mut HeaderMap, host: HeaderValue) {
        let mut chain: Vec<u8> = Vec::new();
        for value in headers.get_all(X_FORWARDED_FOR) {
            chain.extend_from_slice(value.as_bytes());
            chain.extend_from_slice(b", ");
        }
        chain.extend_from_slice(self.address.as_bytes());
        let chain = HeaderValue::from_maybe_shared(bytes::Bytes::from(chain));
        headers.insert(X_FORWARDED_FOR, chain.unwrap_or_else(|_| self.address.clone()));
        headers.entry(X_FORWARDED_PROTO).or_insert_with(|| self.proto.clone());
        headers.entry(X_FORWARDED_PORT).or_insert_with(|| self.port.clone());
        headers.entry(X_FORWARDED_HOST).or_insert(host);
        if headers.contains_key(FORWARDED) {
            let address = self.address();
            let node =
                if address.contains(':') { format!("for=\"[{address}]\"") } else { format!("for={address}") };
            headers.extend(HeaderValue::try_from(node).ok().map(|node| (FORWARDED, node)));
        }
    }
}

/// Tells the browsers of a site to use HTTPS only; an app that says so itself is left its own words.
pub(super) fn require_https(headers: &mut HeaderMap) {
    headers.entry(STRICT_TRANSPORT_SECURITY).or_insert(SITE_HSTS);
}

/// Whether a client waits for a word before it sends the body (RFC 9110 §10.1.1).
pub(super) fn expects_continue(headers: &HeaderMap) -> bool {
    headers.get(EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// The headers whose names a header lists.
pub(super) fn named_in(headers: &HeaderMap, list: HeaderName) -> impl Iterator<Item = HeaderName> {
    headers
        .get_all(list)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::try_from(name.trim()).ok())
}

/// The bytes that a `Content-Length` names: digits and nothing else (RFC 9110 §8.6).
pub(super) fn length(value: &HeaderValue) -> Option<u64> {
    let digits = value.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    digits.parse().ok()
}

/// Whether an answer has no body whatever its headers say (RFC 9112 §6.3).
pub(super) fn is_bodiless(method: &Method, status: StatusCode) -> bool {
    *method == Method::HEAD
        || status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// Whether a value begins or ends with white space. HTTP/1.1 takes it off; in HTTP/2 and 3 such a request is malformed and
/// must not pass (RFC 9113 §8.2.1, RFC 9114 §4.2).
pub(super) fn has_padded_value(headers: &HeaderMap) -> bool {
    let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    headers.values().any(|value| blank(value.as_bytes().first()) || blank(value.as_bytes().last()))
}

/// The protocol that a message upgrades its connection to.
pub(super) fn upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let asked = headers.get_all(CONNECTION).iter().any(|value| has_token(value, "upgrade"));
    if asked { headers.get(UPGRADE).cloned() } else { None }
}

pub(super) fn set_upgrade(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(CONNECTION, UPGRADE_TOKEN);
    headers.insert(UPGRADE, protocol);
}

/// Makes one header of the parts that a client of HTTP/2 or 3 may have sent its cookies in (RFC 9113 §8.2.3).
pub(super) fn join_cookies(headers: &mut HeaderMap) {
    let mut parts = headers.get_all(COOKIE).iter();
    let (Some(first), Some(_)) = (parts.next(), parts.next()) else { return };
    let mut joined = first.as_bytes().to_vec();
    for part in headers.get_all(COOKIE).iter().skip(1) {
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(part.as_bytes());
    }
    if let Ok(joined) = HeaderValue::from_maybe_shared(bytes::Bytes::from(joined)) {
        headers.insert(COOKIE, joined);
    }
}

/// Says that the connection ends with this answer.
pub(super) fn set_close(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, CLOSE);
}

/// Removes what concerns one connection only, and whatever `Connection` names.
pub(super) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    // Most messages have none, and looking through the few names is cheaper than asking for each.
    if !headers.keys().any(|name| HOP_BY_HOP.contains(name)) {
        return;
    }
    strip_named(headers);
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

/// The client's own request id when it is usable, else a fresh one.
pub(super) fn request_id(headers: &HeaderMap) -> HeaderValue {
    match headers.get(X_REQUEST_ID) {
        Some(id) if is_usable_id(id.as_bytes()) => id.clone(),
        _ => fresh_id(),
    }
}

/// Most requests have none, and one look over the names is cheaper than asking for each.
fn strip_site_claims(headers: &mut HeaderMap) {
    let claim = |name: &HeaderName| name.as_str().starts_with("x-orig-") || *name == X_FORWARDED_PATH;
    if headers.keys().any(claim) {
        for name in &OF_SITES {
            headers.remove(name);
        }
    }
}

fn is_usable_id(id: &[u8]) -> bool {
    !id.is_empty() && id.len() <= MAX_REQUEST_ID && id.iter().all(u8::is_ascii_graphic)
}

/// The thread's generator needs no system call for each id, as the one of `uuid` does.
fn fresh_id() -> HeaderValue {
    let id = uuid::Builder::from_random_bytes(rand::random()).into_uuid();
    let mut buffer = Uuid::encode_buffer();
    let text: &str = id.hyphenated().encode_lower(&mut buffer);
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("unknown"))
}

fn strip_named(headers: &mut HeaderMap) {
    // Without its host a request would be another one; a client cannot have it taken out.
    let named: Vec<HeaderName> = named_in(headers, CONNECTION).filter(|name| *name != HOST).collect();
    for name in named {
        headers.remove(name);
    }
}

fn has_token(value: &HeaderValue, token: &str) -> bool {
    value.to_str().is_ok_and(|value| value.split(',').any(|each| each.trim().eq_ignore_ascii_case(token)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn what_connection_names_is_removed_with_the_hop_by_hop_headers() {
        let mut headers = map(&[
            ("connection", "close, X-One"),
            ("connection", "x-two,host"),
            ("x-one", "1"),
            ("x-two", "2"),
            ("host", "a"),
            ("keep-alive", "timeout=5"),
            ("te", "gzip"),
            ("transfer-encoding", "chunked"),
            ("x-kept", "3"),
        ]);
        strip_hop_by_hop(&mut headers);
        assert_eq!(headers, map(&[("host", "a"), ("x-kept", "3")]));
    }

    #[test]
    fn the_client_behind_trusted_proxies_is_the_last_that_is_none_of_them() {
        let proxies = [Network::parse("10.0.0.0/8").unwrap()];
        let direct = CameBy::new("192.0.2.1".parse().unwrap(), "https", 443);
        let proxied = CameBy::new("10.0.0.1".parse().unwrap(), "https", 443).trusted(true);
        let client = |came_by: &CameBy, chain| {
            came_by.client(&map(&[("x-forwarded-for", chain)]), &proxies).to_string()
        };
        assert_eq!(client(&direct, "198.51.100.7"), "192.0.2.1", "nobody else is believed");
        assert_eq!(client(&proxied, "203.0.113.9, 198.51.100.7, 10.0.0.2"), "198.51.100.7");
        assert_eq!(client(&proxied, "198.51.100.7, nonsense"), "10.0.0.1");
        assert_eq!(client(&proxied, "10.0.0.3"), "10.0.0.3", "a request of a proxy itself");
        let two = map(&[("x-forwarded-for", "203.0.113.9"), ("x-forwarded-for", "2001:db8::1")]);
        assert_eq!(proxied.client(&two, &proxies).to_string(), "2001:db8::1");
    }

    #[test]
    fn an_id_of_the_client_is_kept_only_when_it_is_short_and_visible() {
        let id = |value| request_id(&map(&[("x-request-id", value)]));
        assert_eq!(id("abc-1"), "abc-1");
        assert_ne!(id("has space"), "has space");
        assert_ne!(id(""), "");
        let mut headers = HeaderMap::new();
        headers.insert(X_REQUEST_ID, HeaderValue::try_from("x".repeat(201)).unwrap());
        let fresh = request_id(&headers);
        assert!(Uuid::parse_str(fresh.to_str().unwrap()).is_ok());
    }

    #[test]
    fn cookies_in_parts_become_one_header() {
        let mut headers = map(&[("cookie", "a=1"), ("x", "y"), ("cookie", "b=2; c=3")]);
        join_cookies(&mut headers);
        assert_eq!(headers, map(&[("cookie", "a=1; b=2; c=3"), ("x", "y")]));
    }

    #[test]
    fn an_upgrade_needs_both_headers() {
        assert_eq!(
            upgrade(&map(&[("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")])).unwrap(),
            "websocket"
        );
        assert!(upgrade(&map(&[("upgrade", "websocket")])).is_none());
        assert!(upgrade(&map(&[("connection", "upgrade")])).is_none());
    }
}
