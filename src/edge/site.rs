//! The routes of one site: which of them a path of a request leads to, and the path that its app gets.
//!
//! The longest source path that covers a path wins, on the borders of segments, and case counts (reading 27 of the
//! specification, `behaviour.md` §27).
//!
//! Invariant: a request never reaches an app by a path that another reading of it would have given to another. Apps
//! read paths in their own ways (they decode `%2f`, merge `//`, take `\` for a slash, resolve `..`), so:
//! - a path with a segment `.` or `..`, in whatever spelling, is refused: it could leave the target path;
//! - a path that leads to another route once it is decoded and its slashes are merged is refused;
//! - any other path is forwarded byte for byte, but for the source path that the target path takes the place of.

use std::borrow::Cow;
use std::sync::Arc;

use http::HeaderValue;

use crate::model::ids::{AppId, RouteId, SiteId};
use crate::model::route::RoutePath;
use crate::model::site::SiteDomain;

/// A site in the routing table.
#[derive(Debug, Clone)]
pub struct SiteRoutes {
    pub id: SiteId,
    domain: HeaderValue,
    /// In the order of their source paths, of which each is there once.
    routes: Vec<Arc<PathRoute>>,
}

/// One route of a site.
#[derive(Debug)]
pub struct PathRoute {
    pub id: RouteId,
    pub app: AppId,
    /// Without a slash at the end; empty for everything.
    source: Box<str>,
    target: Box<str>,
    /// The source path as apps are told.
    told: HeaderValue,
}

/// Why a path leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoRoute {
    /// No route covers it.
    Unknown,
    /// It can be read as one of another route, or leaves the target path.
    Ambiguous,
}

impl SiteRoutes {
    /// A site without routes.
    pub fn new(id: SiteId, domain: &SiteDomain) -> Self {
        let domain = HeaderValue::from_str(domain.as_str()).unwrap_or(HeaderValue::from_static(""));
        Self { id, domain, routes: Vec::new() }
    }

    /// Adds a route, in the place of one of the same id or source path.
    pub fn insert(&mut self, route: PathRoute) {
        self.remove(route.id);
        match self.routes.binary_search_by(|present| present.source.cmp(&route.source)) {
            Ok(place) => {
                if let Some(present) = self.routes.get_mut(place) {
                    *present = Arc::new(route);
                }
            }
            Err(place) => self.routes.insert(place, Arc::new(route)),
        }
    }

    /// Removes a route.
    pub fn remove(&mut self, id: RouteId) {
        self.routes.retain(|route| route.id != id);
    }

    /// How many routes it has, pending ones too.
    pub fn len(&self) -> usize {
        self.routes.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }

    /// The domain, for a header.
    pub(super) fn domain(&self) -> &HeaderValue {
        &self.domain
    }

    /// The route that a path leads to, among those whose app `serves`; the others are as if they were not there.
    pub(super) fn find(
        &self,
        path: &str,
        serves: impl Fn(AppId) -> bool,
    ) -> Result<&Arc<PathRoute>, NoRoute> {
        let read = as_read(path).ok_or(NoRoute::Ambiguous)?;
        let route = self.longest(path, &serves);
        if let Cow::Owned(read) = read
            && self.longest(&read, &serves).map(|route| route.id) != route.map(|route| route.id)
        {
            return Err(NoRoute::Ambiguous);
        }
        route.ok_or(NoRoute::Unknown)
    }

    /// A route that covers `path` is not behind it in the order, and whatever lies between the two begins with that
    /// route's source. So each step looks at the last one that is not behind, and goes up as far as the two differ.
    fn longest(&self, path: &str, serves: &impl Fn(AppId) -> bool) -> Option<&Arc<PathRoute>> {
        let mut rest = path;
        loop {
            let reached = self.routes.partition_point(|route| *route.source <= *rest);
            let candidate = self.routes.get(..reached)?.last()?;
            let shared = shared_length(&candidate.source, rest);
            if candidate.covers(rest) {
                if serves(candidate.app) {
                    return Some(candidate);
                }
                rest = parent(&candidate.source)?;
            } else {
                rest = parent_within(rest, shared)?;
            }
        }
    }
}

impl PathRoute {
    /// A route from a path of a site to one of an app.
    pub fn new(id: RouteId, app: AppId, source: &RoutePath, target: &RoutePath) -> Self {
        let told = HeaderValue::from_str(source.as_str()).unwrap_or(HeaderValue::from_static("/"));
        Self { id, app, source: source.prefix().into(), target: target.prefix().into(), told }
    }

    /// The source path, for a header.
    pub(super) fn told(&self) -> &HeaderValue {
        &self.told
    }

    /// The path that the app gets for one that this route covers; `None` when it is the same.
    pub(super) fn rewritten(&self, path: &str) -> Option<String> {
        if self.source == self.target {
            return None;
        }
        let below = path.strip_prefix(&*self.source)?;
        // The source path itself becomes the target path itself, also where the source is the root.
        let below = if self.source.is_empty() && below == "/" { "" } else { below };
        let path = format!("{}{below}", self.target);
        Some(if path.is_empty() { "/".to_owned() } else { path })
    }

    fn covers(&self, path: &str) -> bool {
        let below = path.strip_prefix(&*self.source);
        below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
    }
}

/// A path as an app may read it: percent-encoded characters of source paths and slashes decoded, backslashes taken
/// for slashes, slashes merged. Borrowed when that changes nothing; `None` when it is no path that begins with a
/// slash, or a segment of it is `.` or `..`, with or without parameters behind a semicolon.
fn as_read(path: &str) -> Option<Cow<'_, str>> {
    if !path.starts_with('/') {
        return None;
    }
    let plain = !path.contains(['%', '\\']) && !path.contains("//");
    let read = if plain { Cow::Borrowed(path) } else { Cow::Owned(decoded(path)) };
    let dots = |segment: &str| matches!(segment.split(';').next(), Some("." | ".."));
    if read.contains("/.") && read.split('/').any(dots) { None } else { Some(read) }
}

fn decoded(path: &str) -> String {
    let mut read = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(character) = rest.chars().next() {
        let encoded = rest.get(..3).and_then(percent_decoded);
        let (character, length) = encoded.map_or((character, character.len_utf8()), |decoded| (decoded, 3));
        rest = rest.get(length..).unwrap_or_default();
        let character = if character == '\\' { '/' } else { character };
        if character != '/' || !read.ends_with('/') {
            read.push(character);
        }
    }
    read
}

/// The character of `%2f` and the like, when a source path or a border of its segments could be made of it.
fn percent_decoded(text: &str) -> Option<char> {
    let digits = text.strip_prefix('%').filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
    let character = char::from(u8::from_str_radix(digits, 16).ok()?);
    (character.is_ascii_alphanumeric() || "_.-/\\;".contains(character)).then_some(character)
}

/// How many bytes two texts begin with in common.
fn shared_length(a: &str, b: &str) -> usize {
    a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count()
}

/// The path one segment above; `None` above everything.
fn parent(path: &str) -> Option<&str> {
    path.rfind('/').and_then(|slash| path.get(..slash))
}

/// The longest path above that is no longer than `length`.
fn parent_within(path: &str, length: usize) -> Option<&str> {
    let slash = path.as_bytes().iter().take(length + 1).rposition(|byte| *byte == b'/')?;
    path.get(..slash)
}

#[cfg(test)]
mod tests;
