//! The host that a request is for.
//!
//! Invariant: what comes out is lower case, without port and without trailing dot, as the routing table has it.

use std::borrow::Cow;

use http::header::HOST;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Request, Uri, Version};

use super::rescue::ProxyError;

/// The one `Host` of a request; `:authority` of HTTP/2 and the authority of an absolute target win over the
/// header (RFC 9112 §3.2.2), but a header of HTTP/2 or 3 that names another host is refused (RFC 9113 §8.3.1). Afterwards
/// the header is there and the target has the form for an upstream.
pub(super) fn settle<B>(request: &mut Request<B>) -> Result<HeaderValue, ProxyError> {
    if let Some(authority) = request.uri().authority() {
        let host = HeaderValue::from_str(authority.as_str()).map_err(|_| ProxyError::InvalidHost)?;
        if request.version() >= Version::HTTP_2 {
            agree(&host, request.headers())?;
        }
        let path = request.uri().path_and_query().cloned();
        *request.uri_mut() = Uri::from(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
        request.headers_mut().insert(HOST, host.clone());
        return Ok(host);
    }
    let mut hosts = request.headers().get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => Ok(host.clone()),
        _ => Err(ProxyError::InvalidHost),
    }
}

/// The name to look up for a `Host` value.
pub(super) fn name(host: &HeaderValue) -> Result<Cow<'_, str>, ProxyError> {
    let text = host.to_str().map_err(|_| ProxyError::InvalidHost)?;
    let (name, port) = split_port(text);
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.is_empty() || !name.bytes().all(is_host_byte) || !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ProxyError::InvalidHost);
    }
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Ok(Cow::Owned(name.to_ascii_lowercase()));
    }
    Ok(Cow::Borrowed(name))
}

/// Refuses headers `Host` beside `:authority` that name another host.
fn agree(authority: &HeaderValue, headers: &HeaderMap) -> Result<(), ProxyError> {
    for host in headers.get_all(HOST) {
        if name(host)? != name(authority)? {
            return Err(ProxyError::Misdirected);
        }
    }
    Ok(())
}

/// Name and port; the colons of a bracketed IPv6 address belong to the name.
fn split_port(host: &str) -> (&str, &str) {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, port),
        _ => (host, ""),
    }
}

fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b':' | b'[' | b']')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name_of(host: &str) -> Option<String> {
        name(&HeaderValue::from_str(host).ok()?).ok().map(Cow::into_owned)
    }

    #[test]
    fn a_name_has_no_port_no_final_dot_and_no_capitals() {
        assert_eq!(name_of("Events-Perf.LOCALHOST:8443").as_deref(), Some("events-perf.localhost"));
        assert_eq!(name_of("events.localhost.").as_deref(), Some("events.localhost"));
        assert_eq!(name_of("[::1]:80").as_deref(), Some("[::1]"));
        assert_eq!(name_of("[::1]").as_deref(), Some("[::1]"));
        for bad in ["", ":80", ".", "a b", "a/b", "a@b", "a:80x", "a?"] {
            assert_eq!(name_of(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_absolute_target_wins_over_the_header_and_becomes_a_path() {
        let mut request = Request::get("http://a.test/x?y=1").header(HOST, "b.test").body(()).unwrap();
        assert_eq!(settle(&mut request).unwrap(), "a.test");
        assert_eq!(request.uri(), "/x?y=1");
        assert_eq!(request.headers()[HOST], "a.test");
    }

    #[test]
    fn no_host_and_two_hosts_are_refused() {
        assert!(settle(&mut Request::get("/").body(()).unwrap()).is_err());
        let mut two = Request::get("/").header(HOST, "a").header(HOST, "b").body(()).unwrap();
        assert!(settle(&mut two).is_err());
    }

    #[test]
    fn an_authority_and_a_header_that_disagree_are_refused_in_http2() {
        let settled = |host: &'static str| {
            let request = Request::get("https://a.test/").version(Version::HTTP_2).header(HOST, host);
            settle(&mut request.body(()).unwrap())
        };
        assert_eq!(settled("A.test:443").unwrap(), "a.test");
        assert!(matches!(settled("b.test"), Err(ProxyError::Misdirected)));
    }

    proptest! {
        #[test]
        fn a_name_is_never_empty_and_always_in_table_form(host in "[ -~]{0,40}") {
            if let Some(name) = name_of(&host) {
                prop_assert!(!name.is_empty());
                prop_assert_eq!(name.to_ascii_lowercase(), name);
            }
        }
    }
}
