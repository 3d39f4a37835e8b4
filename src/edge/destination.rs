//! Where a request goes: its host and path are looked up once, in one table.
//!
//! Invariant: whatever happens to the table later, a request stays with the app that it was for when it came; only
//! that app's dynos are read anew.

use std::net::SocketAddr;
use std::sync::Arc;

use http::Uri;
use http::uri::PathAndQuery;

use super::rescue::ProxyError;
use super::site::NoRoute;
use super::table::{AppRoute, HostRoute, PathRoute, RoutingTable, SiteRoutes};

/// Who gets a request. Two words, because each task of a request holds several copies.
#[derive(Debug)]
pub(super) enum Destination {
    /// The control API.
    Api(Box<SocketAddr>),
    /// An app, by its own host or by a route of a site.
    App { app: Arc<AppRoute>, by: Option<Box<SitePath>> },
}

/// The site and the route that a request came by.
#[derive(Debug)]
pub(super) struct SitePath {
    pub(super) site: Arc<SiteRoutes>,
    pub(super) route: Arc<PathRoute>,
}

impl Destination {
    /// Looks up a lower-case host name without port, and a path where the host is a site.
    pub(super) fn find(table: &RoutingTable, host: &str, path: &str) -> Result<Self, ProxyError> {
        match table.host(host).ok_or(ProxyError::UnknownHost)? {
            HostRoute::Api { address } => Ok(Self::Api(Box::new(*address))),
            HostRoute::App(app) => Ok(Self::App { app: Arc::clone(app), by: None }),
            HostRoute::Site(site) => Self::on_site(table, site, path),
        }
    }

    fn on_site(table: &RoutingTable, site: &Arc<SiteRoutes>, path: &str) -> Result<Self, ProxyError> {
        let route = site.find(path, |app| table.app(app).is_some_and(|app| app.released));
        let route = route.map_err(|reason| match reason {
            NoRoute::Unknown => ProxyError::NoRoute,
            NoRoute::Ambiguous => ProxyError::AmbiguousPath,
        })?;
        let app = table.app(route.app).ok_or(ProxyError::NoRoute)?;
        let by = Box::new(SitePath { site: Arc::clone(site), route: Arc::clone(route) });
        Ok(Self::App { app: Arc::clone(app), by: Some(by) })
    }

    /// Whether the request came by a site.
    pub(super) fn is_on_site(&self) -> bool {
        matches!(self, Self::App { by: Some(_), .. })
    }

    /// Bytes that the app takes of a request's body; `None` for any number.
    pub(super) fn body_limit(&self) -> Option<u64> {
        match self {
            Self::App { app, .. } => app.limits.body,
            Self::Api(_) => None,
        }
    }

    /// Takes the app's present state, whose dynos may be others by now.
    pub(super) fn refresh(&mut self, table: &RoutingTable) -> Result<(), ProxyError> {
        if let Self::App { app, .. } = self {
            *app = Arc::clone(table.app(app.id).ok_or(ProxyError::UnknownHost)?);
        }
        Ok(())
    }
}

impl SitePath {
    /// Makes the target of a request that of the app; the query stays as it is.
    pub(super) fn rewrite(&self, target: &mut Uri) -> Result<(), ProxyError> {
        let Some(mut path) = self.route.rewritten(target.path()) else { return Ok(()) };
        if let Some(query) = target.query() {
            path.push('?');
            path.push_str(query);
        }
        let path = PathAndQuery::from_maybe_shared(bytes::Bytes::from(path));
        *target = Uri::from(path.map_err(|_| ProxyError::AmbiguousPath)?);
        Ok(())
    }
}
