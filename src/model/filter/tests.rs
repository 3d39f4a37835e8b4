use proptest::prelude::*;

use super::*;
use crate::model::feature::Feature;

fn texts(items: &[&str]) -> Vec<String> {
    items.iter().map(|&item| item.to_owned()).collect()
}

#[test]
fn a_filter_name_is_lower_cased_bounded_and_no_uuid() {
    assert_eq!(FilterName::parse(" My-Filter_1.x ").unwrap().as_str(), "my-filter_1.x");
    for bad in ["", ".", "..", "a b", "a/b", "ä", "6875216c-d683-060a-a133-ff770775833e", &"a".repeat(129)] {
        assert!(FilterName::parse(bad).is_err(), "{bad:?} was accepted");
    }
}

#[test]
fn an_address_of_keys_is_a_web_address_without_user_info() {
    for good in ["https://a.example/jwks", "http://127.0.0.1:8080", "https://[::1]/x?y", "https://a"] {
        assert_eq!(JwksUri::parse(good).unwrap().as_str(), good);
    }
    for bad in
        ["", "ftp://a", "https://", "https:///x", "//a", "https://u:p@a/x", "https://a b", "https://?x"]
    {
        assert!(JwksUri::parse(bad).is_err(), "{bad:?} was accepted");
    }
}

#[test]
fn an_origin_matches_by_scheme_host_and_port() {
    let matches = |pattern: &str, origin: &str| OriginPattern::parse(pattern).unwrap().matches(origin);
    for (pattern, origin) in [
        ("*", "null"),
        ("*", "https://any.example"),
        ("example.com", "https://example.com"),
        ("example.com", "http://EXAMPLE.com"),
        ("example.com:8443", "https://example.com:8443"),
        ("https://example.com", "https://example.com"),
        ("*.example.com", "https://a.b.example.com"),
        ("https://*.example.com:81", "https://a.example.com:81"),
        ("localhost", "http://localhost"),
    ] {
        assert!(matches(pattern, origin), "{pattern} and {origin}");
    }
    for (pattern, origin) in [
        ("example.com", "null"),
        ("example.com", "example.com"),
        ("example.com", "https://example.com.evil.test"),
        ("example.com", "https://evilexample.com"),
        ("example.com", "https://example.com:8443"),
        ("example.com", "https://example.com/"),
        ("example.com", "ftp://example.com"),
        ("https://example.com", "http://example.com"),
        ("*.example.com", "https://example.com"),
        ("*.example.com", "https://evilexample.com"),
        ("*.example.com", "https://evil.test/.example.com"),
        ("*.example.com", "https://evil.test#.example.com"),
        ("*.example.com", "https://.example.com"),
        ("*.example.com", "https://a@b.example.com"),
    ] {
        assert!(!matches(pattern, origin), "{pattern} and {origin}");
    }
    for bad in
        ["", "**", "a*.b", "https://", "ftp://a", "a/b", "a:0", "a:x", "a:+8", "a..b", "u@a", "^.*$", "*."]
    {
        assert!(OriginPattern::parse(bad).is_err(), "{bad:?} was accepted");
    }
}

#[test]
fn cors_options_are_checked_and_spelled_as_they_are_sent() {
    let new = |origins: &[&str]| NewCors { allow_origin: texts(origins), ..NewCors::default() };
    let options =
        CorsOptions::new(NewCors { allow_methods: texts(&["get"]), ..new(&["a.example"]) }).unwrap();
    assert_eq!((options.allow_methods, options.max_age), (texts(&["GET"]), 86_400));
    assert!(CorsOptions::new(new(&[])).is_err());
    assert!(CorsOptions::new(NewCors { max_age: Some(0), ..new(&["*"]) }).is_err());
    assert!(CorsOptions::new(NewCors { allow_credentials: true, ..new(&["a.example", "*"]) }).is_err());
    assert!(CorsOptions::new(NewCors { allow_headers: texts(&["a, b"]), ..new(&["*"]) }).is_err());
    assert!(CorsOptions::new(NewCors { allow_methods: texts(&["GET\r\nX: y"]), ..new(&["*"]) }).is_err());
}

#[test]
fn denied_networks_win_and_allowed_ones_shut_out_the_rest() {
    let admits = |allow: &[&str], deny: &[&str], client: &str| {
        IpOptions::new(&texts(allow), &texts(deny)).unwrap().admits(client.parse().unwrap())
    };
    assert!(admits(&["10.0.0.0/8"], &[], "10.9.9.9"));
    assert!(admits(&["10.0.0.0/8"], &[], "::ffff:10.9.9.9"));
    assert!(!admits(&["10.0.0.0/8"], &[], "11.0.0.1"));
    assert!(!admits(&["10.0.0.0/8"], &[], "2001:db8::1"));
    assert!(!admits(&["10.0.0.0/8"], &["10.1.0.0/16"], "10.1.2.3"));
    assert!(admits(&[], &["10.1.2.3"], "10.1.2.4"));
    assert!(!admits(&[], &["::ffff:10.1.2.3"], "10.1.2.3"));
    assert!(!admits(&[], &["2001:db8::/32"], "2001:db8:1::1"));
    for bad in ["", "10.0.0.0/33", "10.0.0", "a", "10.0.0.0/", "::/129"] {
        assert!(IpOptions::new(&texts(&[bad]), &[]).is_err(), "{bad:?} was accepted");
    }
    assert!(IpOptions::new(&[], &[]).is_err());
}

#[test]
fn a_rate_is_bounded_and_has_a_period_of_a_minute() {
    let options = RateLimitOptions::new(120, None, None).unwrap();
    assert_eq!((options.period, options.burst, options.interval().as_millis()), (60, 120, 500));
    for (requests, period, burst) in [
        (0, None, None),
        (1, Some(0), None),
        (1, None, Some(0)),
        (2_000_000, None, None),
        (1, Some(90_000), None),
    ] {
        assert!(RateLimitOptions::new(requests, period, burst).is_err());
    }
}

#[test]
fn the_features_narrow_one_policy() {
    let policy = |features: &[Feature]| feature_policy(features).map(|options| options.policy);
    assert_eq!(policy(&[Feature::AutoRelease]), None);
    assert_eq!(
        policy(&[Feature::CspJavascript]).unwrap(),
        "default-src https:; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src https: 'unsafe-inline'"
    );
    assert_eq!(
        policy(&[Feature::CspUnsafe, Feature::CspMedia, Feature::CspEmbedded]).unwrap(),
        "default-src https:; script-src https:; style-src https:; img-src 'self' data:; media-src 'self'; object-src 'none'; frame-src 'none'"
    );
}

#[test]
fn a_password_stays_where_a_change_names_none() {
    let user = |name: &str, password: Option<&str>| Credential::new(name, password, [3; 16]).unwrap();
    let options =
        |users: Vec<Credential>| FilterOptions::BasicAuth(BasicAuthOptions::new(None, users).unwrap());
    let old = options(vec![user("a", Some("one")), user("b", Some("two"))]);
    assert!(!format!("{old:?}").contains("one"));
    let FilterOptions::BasicAuth(new) =
        options(vec![user("b", None), user("c", Some("three"))]).replacing(&old).unwrap()
    else {
        panic!("the type changed")
    };
    let right = |name: &str, password: &str| {
        let user = new.users.iter().find(|user| user.name == name).unwrap();
        user.password.as_ref().unwrap().is_of(password.as_bytes())
    };
    assert!(right("b", "two") && right("c", "three") && !right("b", "Two"));
    assert!(options(vec![user("d", None)]).replacing(&old).is_err());
    assert!(FilterOptions::Csp(CspOptions::new("x").unwrap()).replacing(&old).is_err());
    assert!(
        Credential::new("a:b", Some("x"), [0; 16]).is_err()
            && Credential::new("a", Some(""), [0; 16]).is_err()
    );
}

proptest! {
    #[test]
    fn what_is_stored_is_read_back_as_it_was(requests in 1_u32..1000, origin in "[a-z]{1,8}(\\.[a-z]{1,8}){0,2}") {
        let rate = FilterOptions::RateLimit(RateLimitOptions::new(requests, None, None).unwrap());
        let cors = CorsOptions::new(NewCors { allow_origin: vec![origin], ..NewCors::default() }).unwrap();
        for options in [rate, FilterOptions::Cors(cors)] {
            let text = serde_json::to_string(&options).unwrap();
            prop_assert_eq!(serde_json::from_str::<FilterOptions>(&text).unwrap(), options);
        }
    }

    #[test]
    fn an_address_is_admitted_by_the_network_that_it_lies_in(bits: u32, length in 0_u8..=32, client: u32) {
        let network = format!("{}/{length}", std::net::Ipv4Addr::from_bits(bits));
        let options = IpOptions::new(&[network], &[]).unwrap();
        let mask = u32::MAX.checked_shl(u32::from(32 - length)).unwrap_or(0);
        let within = bits & mask == client & mask;
        prop_assert_eq!(options.admits(std::net::Ipv4Addr::from_bits(client).into()), within);
    }
}
