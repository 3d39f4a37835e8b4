use proptest::prelude::*;
use uuid::Uuid;

use super::*;

const EVERY_APP: fn(AppId) -> bool = |_| true;

fn path(text: &str) -> RoutePath {
    RoutePath::parse("path", text).unwrap()
}

/// A site whose routes have these sources and targets; the n-th leads to the n-th app.
fn site(routes: &[(&str, &str)]) -> SiteRoutes {
    let mut site = SiteRoutes::new(SiteId::new(Uuid::nil()), &SiteDomain::parse("a.test").unwrap());
    for (number, (source, target)) in (0..).zip(routes) {
        let id = Uuid::from_u128(number);
        site.insert(PathRoute::new(RouteId::new(id), AppId::new(id), &path(source), &path(target)));
    }
    site
}

/// The source of the route, and the path for its app.
fn led<'s>(site: &'s SiteRoutes, path: &str) -> Result<(&'s str, String), NoRoute> {
    let route = site.find(path, EVERY_APP)?;
    Ok((&route.source, route.rewritten(path).unwrap_or_else(|| path.to_owned())))
}

#[test]
fn the_longest_source_path_on_the_border_of_a_segment_wins() {
    let site =
        site(&[("/", "/"), ("/api", "/"), ("/api/v2", "/v2/x"), ("/api-docs", "/docs"), ("/A", "/upper")]);
    for (path, source, rewritten) in [
        ("/", "", "/"),
        ("/x/y", "", "/x/y"),
        ("/api", "/api", "/"),
        ("/api/", "/api", "/"),
        ("/api/x", "/api", "/x"),
        ("/apifoo", "", "/apifoo"),
        ("/api-docs/a", "/api-docs", "/docs/a"),
        ("/api.x", "", "/api.x"),
        ("/api/v2", "/api/v2", "/v2/x"),
        ("/api/v2/", "/api/v2", "/v2/x/"),
        ("/api/v2/a/b", "/api/v2", "/v2/x/a/b"),
        ("/api/v22", "/api", "/v22"),
        ("/API/x", "", "/API/x"),
        ("/a", "", "/a"),
        ("/A/b", "/A", "/upper/b"),
        ("/~x/%20", "", "/~x/%20"),
    ] {
        assert_eq!(led(&site, path), Ok((source, rewritten.to_owned())), "{path}");
    }
}

#[test]
fn a_root_goes_to_its_target_and_a_site_without_one_knows_only_its_paths() {
    assert_eq!(led(&site(&[("/", "/t")]), "/"), Ok(("", "/t".to_owned())));
    assert_eq!(led(&site(&[("/", "/t")]), "/x"), Ok(("", "/t/x".to_owned())));
    let site = site(&[("/b/c", "/")]);
    for unknown in ["/", "/a", "/b", "/b/", "/b/cc", "/z"] {
        assert_eq!(led(&site, unknown), Err(NoRoute::Unknown), "{unknown}");
    }
    assert_eq!(led(&site, "/b/c/d"), Ok(("/b/c", "/d".to_owned())));
}

#[test]
fn a_route_whose_app_does_not_serve_is_as_if_it_was_not_there() {
    let site = site(&[("/", "/"), ("/x", "/"), ("/x/y", "/")]);
    let served = |pending: &[u128], path: &str| {
        let found = site.find(path, |app| !pending.contains(&app.uuid().as_u128()));
        found.map(|route| route.app.uuid().as_u128())
    };
    assert_eq!(served(&[], "/x/y/z"), Ok(2));
    assert_eq!(served(&[2], "/x/y/z"), Ok(1));
    assert_eq!(served(&[1, 2], "/x/y/z"), Ok(0));
    assert_eq!(served(&[0, 1, 2], "/x/y/z"), Err(NoRoute::Unknown));
}

#[test]
fn a_path_that_could_be_read_as_another_is_refused() {
    let site = site(&[("/", "/"), ("/admin", "/"), ("/api", "/v1")]);
    for hostile in [
        "/x/../admin",
        "/./admin",
        "/api/..",
        "/api/../admin",
        "/api/%2e%2e/admin",
        "/api/.%2E/x",
        "/..;/admin",
        "/api/..;x=1/y",
        "/api/..%3bx/y",
        "/api/..%2f..%2fetc",
        "/api\\..\\admin",
        "/api%5c..%5cadmin",
        "/.",
        "//admin",
        "/%61dmin",
        "/adm%69n/x",
        "/%2fadmin",
        "\\admin",
        "/\\admin",
        "/%5Cadmin",
        "/admin%2fx",
        "*",
        "",
        "//admin/x",
        "/x%2f..%2fadmin",
    ] {
        assert_eq!(led(&site, hostile), Err(NoRoute::Ambiguous), "{hostile}");
    }
}

#[test]
fn an_unusual_path_that_all_read_alike_passes_unchanged() {
    let site = site(&[("/", "/"), ("/admin", "/"), ("/api", "/v1")]);
    for (path, source, rewritten) in [
        ("/api/projects/a%2fb", "/api", "/v1/projects/a%2fb"),
        ("/api//x//y", "/api", "/v1//x//y"),
        ("/x//admin", "", "/x//admin"),
        ("/.well-known/acme", "", "/.well-known/acme"),
        ("/...", "", "/..."),
        ("/a..b/..c", "", "/a..b/..c"),
        ("/%zz/%2", "", "/%zz/%2"),
        ("/%252e%252e/admin", "", "/%252e%252e/admin"),
        ("/caf\u{e9}/%C3%A9", "", "/caf\u{e9}/%C3%A9"),
        ("/x;v=1/y", "", "/x;v=1/y"),
    ] {
        assert_eq!(led(&site, path), Ok((source, rewritten.to_owned())), "{path}");
    }
}

#[test]
fn inserting_and_removing_leave_the_other_routes() {
    let mut site = site(&[("/", "/"), ("/a", "/"), ("/b", "/")]);
    let id = |number| Uuid::from_u128(number);
    site.insert(PathRoute::new(RouteId::new(id(7)), AppId::new(id(7)), &path("/a"), &path("/new")));
    assert_eq!(led(&site, "/a/x"), Ok(("/a", "/new/x".to_owned())));
    site.insert(PathRoute::new(RouteId::new(id(7)), AppId::new(id(7)), &path("/c"), &path("/moved")));
    assert_eq!(led(&site, "/a/x"), Ok(("", "/a/x".to_owned())));
    assert_eq!(led(&site, "/c/x"), Ok(("/c", "/moved/x".to_owned())));
    site.remove(RouteId::new(id(0)));
    assert_eq!(led(&site, "/a"), Err(NoRoute::Unknown));
    assert_eq!(led(&site, "/b"), Ok(("/b", "/".to_owned())));
}

/// Every app's way to read a path, all at once.
fn normalised(path: &str) -> String {
    let mut text = path.to_ascii_lowercase();
    for (encoded, plain) in
        [("%2f", "/"), ("%5c", "/"), ("%2e", "."), ("%61", "a"), ("%3b", ";"), ("\\", "/")]
    {
        text = text.replace(encoded, plain);
    }
    let mut kept: Vec<&str> = Vec::new();
    for segment in text.split('/') {
        match segment.split(';').next().unwrap_or("") {
            "" if !segment.starts_with(';') => {}
            "." => {}
            ".." => drop(kept.pop()),
            _ => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

/// The rule itself, without any order or search.
fn naive<'s>(site: &'s SiteRoutes, path: &str) -> Option<&'s Arc<PathRoute>> {
    let covers =
        |route: &&Arc<PathRoute>| path == &*route.source || path.starts_with(&format!("{}/", route.source));
    site.routes.iter().filter(covers).max_by_key(|route| route.source.len())
}

fn any_site() -> impl Strategy<Value = SiteRoutes> {
    let source = "(/(a|b|ab|a-b|a[.]b)){0,3}".prop_map(|path| format!("{path}/"));
    let routes =
        proptest::collection::vec((source, "(/(t|u)){0,2}".prop_map(|path| format!("{path}/"))), 0..9);
    routes.prop_map(|routes| {
        let routes: Vec<_> =
            routes.iter().map(|(source, target)| (source.as_str(), target.as_str())).collect();
        site(&routes)
    })
}

proptest! {
    #[test]
    fn the_search_finds_what_the_rule_says(site in any_site(), path in "(/(a|b|ab|a-b|a[.]b|c|ac)){0,5}/?") {
        let path = if path.is_empty() { "/" } else { &path };
        let found = site.longest(path, &EVERY_APP).map(|route| &route.source);
        prop_assert_eq!(found, naive(&site, path).map(|route| &route.source));
    }

    #[test]
    fn routes_of_apps_that_do_not_serve_are_passed_over(
        site in any_site(), path in "(/(a|b|ab|a-b)){1,5}", serving in 0_u128..512
    ) {
        let serves = |app: AppId| serving >> app.uuid().as_u128() & 1 == 1;
        let mut only = site.clone();
        only.routes.retain(|route| serves(route.app));
        let found = site.longest(&path, &serves).map(|route| &route.source);
        prop_assert_eq!(found, naive(&only, &path).map(|route| &route.source));
    }

    #[test]
    fn what_an_app_gets_begins_with_the_target_path_and_ends_as_the_path_did(
        site in any_site(), path in "(/(a|b|ab|%2f|%61|[.]{1,2}|c d|;|x%zz)?){1,6}"
    ) {
        if let Ok(route) = site.find(&path, EVERY_APP) {
            let got = route.rewritten(&path).unwrap_or_else(|| path.clone());
            prop_assert!(got.starts_with('/'), "{}", got);
            let below = got.strip_prefix(&*route.target).unwrap();
            let asked = path.strip_prefix(&*route.source).unwrap();
            prop_assert!(below == asked || matches!((asked, below), ("" | "/", "" | "/")), "{} {}", asked, below);
        }
    }

    #[test]
    fn however_an_app_reads_its_path_it_stays_below_its_own_source(
        site in any_site(), path in r"([/\\]|%2f|%5C|%2F|[.]|%2e|%2E|;|%3b|a|%61|b|-){1,12}"
    ) {
        if let Ok(route) = site.find(&path, EVERY_APP) {
            let read = normalised(&path);
            prop_assert_eq!(Some(&route.source), naive(&site, &read).map(|route| &route.source), "{}", read);
            let got = normalised(&route.rewritten(&path).unwrap_or_else(|| path.clone()));
            prop_assert!(
                got == *route.target || got.starts_with(&format!("{}/", route.target)),
                "{} of {}", got, route.target
            );
        }
    }
}
