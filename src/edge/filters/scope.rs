//! For which paths a filter is in force.
//!
//! Invariant: in doubt it is in force. A path that an app may read in another way than it is written is left out only
//! when each reading of it is, and taken in when any is. So a path with dot segments, in whatever spelling, is never
//! left out, and neither is one with an encoded percent sign, which an app may decode twice.

use std::borrow::Cow;

use crate::edge::site::as_read;
use crate::model::filter::PathScope;

/// A filter with its paths.
#[derive(Debug)]
pub(super) struct Scoped<T> {
    scope: PathScope,
    filter: T,
}

impl<T> Scoped<T> {
    pub(super) fn new(scope: &PathScope, filter: T) -> Self {
        Self { scope: scope.clone(), filter }
    }

    pub(super) fn everywhere(filter: T) -> Self {
        Self { scope: PathScope::default(), filter }
    }

    pub(super) fn filter(&self) -> &T {
        &self.filter
    }

    /// Whether the filter is in force for a path as the client sent it.
    pub(super) fn covers(&self, path: &str) -> bool {
        if self.scope.is_everything() {
            return true;
        }
        let Some(read) = as_read(path) else { return true };
        if path.contains("%25") {
            return true;
        }
        let (bare, bare_read) = (without_parameters(path), without_parameters(&read));
        let readings = [path, &read, &bare, &bare_read];
        let excluded =
            |path: &str| self.scope.excludes.iter().any(|prefix| lies_below(path, prefix.prefix()));
        if readings.iter().all(|path| excluded(path)) {
            return false;
        }
        let includes = &self.scope.includes;
        let included =
            |path: &str| includes.iter().any(|prefix| lies_below_in_any_case(path, prefix.prefix()));
        includes.is_empty() || readings.iter().any(|path| included(path))
    }
}

impl<T: Clone> Scoped<T> {
    /// The filter, when it is the one that is wanted.
    pub(super) fn kept(&self, is_wanted: impl Fn(&T) -> bool) -> Option<T> {
        is_wanted(&self.filter).then(|| self.filter.clone())
    }
}

/// Some servers drop what follows a semicolon in each segment before they look at a path.
fn without_parameters(path: &str) -> Cow<'_, str> {
    if !path.contains(';') {
        return Cow::Borrowed(path);
    }
    let segments: Vec<&str> =
        path.split('/').map(|segment| segment.split(';').next().unwrap_or_default()).collect();
    Cow::Owned(segments.join("/"))
}

/// On the border of a segment; case counts.
fn lies_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Some apps read paths in any case, so a path in another case is taken in too.
fn lies_below_in_any_case(path: &str, prefix: &str) -> bool {
    let Some((start, rest)) = path.split_at_checked(prefix.len()) else { return false };
    start.eq_ignore_ascii_case(prefix) && (rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scoped(includes: &[&str], excludes: &[&str]) -> Scoped<()> {
        let texts = |paths: &[&str]| paths.iter().map(|&path| path.to_owned()).collect::<Vec<_>>();
        Scoped::new(&PathScope::parse(&texts(includes), &texts(excludes)).unwrap(), ())
    }

    #[test]
    fn what_lies_below_an_excluded_path_is_left_out_on_segment_boundaries() {
        let scope = scoped(&[], &["/public", "/a/b/"]);
        for free in ["/public", "/public/", "/public/x.png", "/public/a%20b", "/a/b/c", "/public/x;v=1"] {
            assert!(!scope.covers(free), "{free}");
        }
        for guarded in ["/", "/publicity", "/a", "/a/bc", "/x/public", "*", ""] {
            assert!(scope.covers(guarded), "{guarded}");
        }
    }

    #[test]
    fn a_path_that_can_be_read_as_a_guarded_one_is_not_left_out() {
        let scope = scoped(&[], &["/public"]);
        for trick in [
            "/public/../private",
            "/public/%2e%2e/private",
            "/public/.%2E/private",
            "/public/..;x/private",
            "/public%2f..%2fprivate",
            "/public/..%5cprivate",
            "/public\\..\\private",
            "/public/%252e%252e/private",
            "/PUBLIC/x",
            "/Public",
            "//public/x",
            "/%70ublic/x",
            "/public%2fx",
            "/public%5cx",
            "/public;x/y",
            "/./public",
        ] {
            assert!(scope.covers(trick), "{trick}");
        }
    }

    #[test]
    fn only_included_paths_are_taken_in_and_excluded_ones_among_them_are_not() {
        let scope = scoped(&["/admin"], &["/admin/login"]);
        for guarded in [
            "/admin",
            "/admin/x",
            "/ADMIN/x",
            "/%61dmin",
            "//admin",
            "/x/../admin",
            "/admin%2fx",
            "/x%252f",
            "/admin;x=1",
            "/admin/loginx",
        ] {
            assert!(scope.covers(guarded), "{guarded}");
        }
        for free in ["/", "/administrator", "/x/admin", "/admin/login", "/admin/login/x"] {
            assert!(!scope.covers(free), "{free}");
        }
        assert!(!scoped(&[], &["/"]).covers("/x"));
        assert!(scoped(&["/"], &[]).covers("/x"));
    }

    /// An app that decodes everything once, merges slashes and resolves dot segments.
    fn resolved(path: &str) -> String {
        let mut decoded = String::new();
        let mut rest = path;
        while let Some(character) = rest.chars().next() {
            let code = rest.strip_prefix('%').and_then(|rest| u8::from_str_radix(rest.get(..2)?, 16).ok());
            decoded.push(code.map_or(character, char::from));
            rest = rest.get(if code.is_some() { 3 } else { character.len_utf8() }..).unwrap();
        }
        let mut segments: Vec<&str> = Vec::new();
        for segment in decoded.split(['/', '\\']) {
            match segment {
                "" | "." => {}
                ".." => drop(segments.pop()),
                other => segments.push(other),
            }
        }
        format!("/{}", segments.join("/"))
    }

    proptest! {
        #[test]
        fn what_an_app_reads_outside_of_the_excluded_paths_is_guarded(
            parts in prop::collection::vec(
                prop::sample::select(vec!["/", "a", "b", "..", ".", "%2e", "%2F", "%5c", "\\", "A", "%61", ";", "%25"]), 0..10)
        ) {
            let path = format!("/{}", parts.concat());
            let read = resolved(&path);
            let below = read == "/a" || read.starts_with("/a/");
            if !below {
                prop_assert!(scoped(&[], &["/a"]).covers(&path), "{} is read as {}", path, read);
            }
            if below {
                prop_assert!(scoped(&["/a"], &[]).covers(&path), "{} is read as {}", path, read);
            }
        }
    }
}
