//! The plain port's answer: the same address over HTTPS.

use http::header::LOCATION;
use http::{HeaderValue, Response, StatusCode, Uri};

use super::body::EdgeBody;
use super::host;
use super::rescue::ProxyError;

/// The address over `https` on the public port; 443 is left out.
pub(super) fn location(host: &HeaderValue, target: &Uri, port: u16) -> Result<HeaderValue, ProxyError> {
    let name = host::name(host)?;
    let path = target.path_and_query().map_or("/", |path| path.as_str());
    // `OPTIONS *` has a target that is no path.
    let path = if path.starts_with('/') { path } else { "/" };
    let location =
        if port == 443 { format!("https://{name}{path}") } else { format!("https://{name}:{port}{path}") };
    HeaderValue::try_from(location).map_err(|_| ProxyError::InvalidHost)
}

/// A 308, which keeps method and body.
pub(super) fn to(location: HeaderValue) -> Response<EdgeBody> {
    let mut response = Response::new(EdgeBody::empty());
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    response.headers_mut().insert(LOCATION, location);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_location_keeps_path_and_query_and_names_an_unusual_port() {
        let host = HeaderValue::from_static("A.test:8080");
        let target = Uri::from_static("/x?y=1");
        assert_eq!(location(&host, &target, 443).unwrap(), "https://a.test/x?y=1");
        assert_eq!(location(&host, &target, 8443).unwrap(), "https://a.test:8443/x?y=1");
    }
}
