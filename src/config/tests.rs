use super::*;
use crate::model::certificate::IssuerKind;

fn layers(
    file: &str,
    variables: &[(&'static str, &str)],
    flags: &[(&'static str, &str)],
) -> Result<Layers, ConfigError> {
    let mut layers = Layers::defaults();
    layers.lay_file("akkerisd.toml", file)?;
    layers.lay_environment(&Environment::of(variables));
    let flags: Vec<_> = flags.iter().map(|(flag, text)| (*flag, (*text).to_owned())).collect();
    layers.lay_flags(&flags);
    Ok(layers)
}

fn config(
    file: &str,
    variables: &[(&'static str, &str)],
    flags: &[(&'static str, &str)],
) -> Result<Config, ConfigError> {
    Config::from_layers(&layers(file, variables, flags)?)
}

fn refusal(file: &str, variables: &[(&'static str, &str)], flags: &[(&'static str, &str)]) -> String {
    config(file, variables, flags).unwrap_err().to_string()
}

#[test]
fn the_defaults_are_those_of_the_operators_interface() {
    let config = config("", &[], &[]).unwrap();
    assert_eq!(config.data_dir, PathBuf::from("/var/lib/akkerisd"));
    assert_eq!(config.api.addr.to_string(), "127.0.0.1:5000");
    assert_eq!(config.edge.http_addr.to_string(), "0.0.0.0:80");
    assert_eq!(config.edge.https_addr.to_string(), "0.0.0.0:443");
    assert_eq!(config.edge.apps_domain, "localhost");
    assert_eq!(config.edge.workers, None);
    assert_eq!(config.docker.host, "unix:///var/run/docker.sock");
    assert_eq!(config.builds.timeout.as_secs(), 1200);
    assert_eq!(config.builds.max_upload, 256 << 20);
    assert_eq!(config.dynos.stop_grace.as_secs(), 60);
    assert_eq!(config.api.dialect, Dialect::Document);
    assert!(config.outbound.allow_private);
    assert_eq!(config.metrics.interval.as_secs(), 10);
    assert!(!config.metrics.public);
    assert_eq!((config.certs.issuer, config.certs.auto), (IssuerKind::Local, false));
    assert_eq!(config.certs.acme, None);
    assert_eq!(config.telemetry.otlp_endpoint, None);
    assert!(config.admin_token.is_none());
}

#[test]
fn brokers_are_a_list_and_hold_no_password() {
    let file = "[addons]\nbrokers = [\"big=https://broker.example.com/\", \"small=http://127.0.0.1:1/x\"]";
    let brokers = config(file, &[], &[]).unwrap().addons.brokers;
    let shown: Vec<(&str, &str)> = brokers.iter().map(|one| (one.name.as_str(), one.url.as_str())).collect();
    assert_eq!(shown, [("big", "https://broker.example.com"), ("small", "http://127.0.0.1:1/x")]);
    let variable = ("AKKERISD_ADDONS_BROKERS", "a=http://h, b=http://h");
    assert_eq!(config(file, &[variable], &[]).unwrap().addons.brokers.len(), 2);
    for wrong in [
        "a",
        "a=ftp://h",
        "A=http://h",
        "a=http://u:p@h",
        "a=http://h,a=http://i",
        "=http://h",
        "a=http://h?x=1",
    ] {
        let text = refusal("", &[("AKKERISD_ADDONS_BROKERS", wrong)], &[]);
        assert!(text.contains("expected brokers like"), "{wrong}: {text}");
    }
    assert!(refusal("[addons]\nbrokers = \"a=http://h\"", &[], &[]).contains("expected brokers like"));
}

#[test]
fn a_flag_wins_over_a_variable_over_the_file_over_the_default() {
    let file = "[api]\naddr = \"127.0.0.1:1\"";
    let variable = ("AKKERISD_API_ADDR", "127.0.0.1:2");
    let flag = ("--api-addr", "127.0.0.1:3");
    assert_eq!(config(file, &[], &[]).unwrap().api.addr.port(), 1);
    assert_eq!(config(file, &[variable], &[]).unwrap().api.addr.port(), 2);
    assert_eq!(config(file, &[variable], &[flag]).unwrap().api.addr.port(), 3);
}

#[test]
fn docker_host_counts_below_the_variable_of_our_own() {
    let theirs = ("DOCKER_HOST", "tcp://127.0.0.1:2375");
    let ours = ("AKKERISD_DOCKER_HOST", "unix:///run/other.sock");
    assert_eq!(config("", &[theirs], &[]).unwrap().docker.host, "tcp://127.0.0.1:2375");
    assert_eq!(config("", &[theirs, ours], &[]).unwrap().docker.host, "unix:///run/other.sock");
}

#[test]
fn an_unknown_key_is_named_with_those_that_exist() {
    let text = refusal("[api]\nadress = \"x\"", &[], &[]);
    assert_eq!(
        text,
        "akkerisd.toml has the unknown key \"api.adress\": [api] knows addr, public_url, dialect"
    );
    let text = refusal("colour = 1", &[], &[]);
    assert!(text.contains("\"colour\"") && text.contains("data_dir"), "{text}");
    assert!(refusal("[nothing]", &[], &[]).contains("\"nothing\""));
}

#[test]
fn an_error_names_the_place_the_value_and_what_is_expected() {
    let expected = "expected an IP address and a port, like 127.0.0.1:5000 or [::1]:5000";
    assert_eq!(
        refusal("[api]\naddr = \"here\"", &[], &[]),
        format!("api.addr in akkerisd.toml is \"here\": {expected}")
    );
    assert_eq!(
        refusal("", &[("AKKERISD_API_ADDR", "here")], &[]),
        format!("the variable AKKERISD_API_ADDR is \"here\": {expected}")
    );
    assert_eq!(
        refusal("", &[], &[("--api-addr", "here")]),
        format!("the flag --api-addr is \"here\": {expected}")
    );
}

#[test]
fn a_value_of_another_type_is_refused() {
    assert!(
        refusal("[builds]\nconcurrency = \"two\"", &[], &[]).contains("builds.concurrency in akkerisd.toml")
    );
    assert!(refusal("[builds]\ntimeout = 20", &[], &[]).contains("a duration above zero"));
    assert!(refusal("[edge]\nno_redirect = 1", &[], &[]).contains("true or false"));
    assert!(refusal("api = 3", &[], &[]).contains("unknown key \"api\""));
}

#[test]
fn listeners_cannot_share_a_port() {
    let text = refusal("[api]\naddr = \"127.0.0.1:80\"", &[], &[]);
    assert!(text.contains("a port that api.addr does not use already"), "{text}");
    let any =
        "[api]\naddr = \"127.0.0.1:0\"\n[edge]\nhttp_addr = \"127.0.0.1:0\"\nhttps_addr = \"127.0.0.1:0\"";
    assert!(config(any, &[], &[]).is_ok());
}

#[test]
fn serving_plain_http_needs_a_loopback_listener() {
    assert!(refusal("[edge]\nno_redirect = true", &[], &[]).contains("on loopback"));
    let loopback = "[edge]\nno_redirect = true\nhttp_addr = \"127.0.0.1:8080\"";
    assert!(config(loopback, &[], &[]).unwrap().edge.no_redirect);
}

#[test]
fn addresses_and_domains_are_checked() {
    for wrong in ["apps.example.com.", "-a.b", "a..b", "https://a", "a:80", "", "10.0.0.1", "a_b"] {
        let flags = [("--apps-domain", wrong)];
        assert!(config("", &[], &flags).is_err(), "{wrong}");
    }
    assert_eq!(
        config("", &[], &[("--apps-domain", "Apps.Example.com")]).unwrap().edge.apps_domain,
        "apps.example.com"
    );
    for wrong in
        ["api.example.com", "ftp://a", "https://user@a", "https://a/path", "https://a?b", "https://a#b"]
    {
        assert!(config("", &[], &[("--public-url", wrong)]).is_err(), "{wrong}");
    }
    let config = config("", &[], &[("--public-url", "https://api.example.com:8443/")]).unwrap();
    assert_eq!(config.api.public_url.as_deref(), Some("https://api.example.com:8443"));
    for wrong in ["ssh://a", "tcp://a", "unix://relative", "tcp://user@a:1"] {
        assert!(self::config("", &[], &[("--docker-host", wrong)]).is_err(), "{wrong}");
    }
}

#[test]
fn dynos_are_measured_once_a_second_at_most_and_every_ten_minutes_at_least() {
    for wrong in ["0s", "999ms", "11m", "ten"] {
        assert!(
            refusal("", &[("AKKERISD_METRICS_INTERVAL", wrong)], &[]).contains("from 1s to 10m"),
            "{wrong}"
        );
    }
    assert_eq!(
        config("", &[("AKKERISD_METRICS_INTERVAL", "1s")], &[]).unwrap().metrics.interval.as_secs(),
        1
    );
}

#[test]
fn the_admin_token_is_never_shown() {
    let token = "0123456789abcdef-secret";
    let config = config("", &[("AKKERISD_ADMIN_TOKEN", token)], &[]).unwrap();
    assert_eq!(config.admin_token.as_ref().map(Secret::reveal), Some(token));
    assert!(!format!("{config:?}").contains("secret-"));
    assert!(!format!("{config:?}").contains(token));
    let refused = refusal("", &[("AKKERISD_ADMIN_TOKEN", "short one")], &[]);
    assert!(!refused.contains("short one"), "{refused}");
}

#[test]
fn every_setting_has_names_of_its_own() {
    for (index, setting) in Setting::all().enumerate() {
        for earlier in Setting::all().take(index) {
            assert_ne!(setting.key, earlier.key);
            assert_ne!(setting.variable, earlier.variable);
            assert!(setting.flag.is_none() || setting.flag != earlier.flag);
        }
        assert!(setting.variable.starts_with("AKKERISD_"));
    }
}

#[test]
fn an_acme_server_is_set_up_as_a_whole() {
    let file =
        "[certs]\nissuer = \"acme\"\n[acme]\ndirectory = \"https://ca.example/dir\"\nemail = \"a@b.c\"";
    let certs = config(file, &[], &[]).unwrap().certs;
    let acme = certs.acme.unwrap();
    assert_eq!((certs.issuer, acme.directory.as_str()), (IssuerKind::Acme, "https://ca.example/dir"));
    assert_eq!((acme.challenge, acme.eab, acme.ca), (ChallengeKind::Http01, None, None));
    let eab = ("AKKERISD_ACME_EAB_KID", "kid-1");
    let key = ("AKKERISD_ACME_EAB_KEY_FILE", "/etc/akkerisd/eab.key");
    let bound = config(file, &[eab, key], &[]).unwrap().certs.acme.unwrap().eab.unwrap();
    assert_eq!((bound.kid.as_str(), bound.key_file), ("kid-1", PathBuf::from("/etc/akkerisd/eab.key")));
    assert!(refusal(file, &[eab], &[]).contains("acme.eab_key_file"));
    assert!(refusal(file, &[key], &[]).contains("acme.eab_kid"));
    assert!(refusal("[certs]\nissuer = \"acme\"", &[], &[]).contains("acme.directory"));
    let hook = ("AKKERISD_ACME_DNS_HOOK", "/usr/bin/hook,-v");
    let dns = config(file, &[hook], &[]).unwrap().certs.acme.unwrap().dns.unwrap();
    assert_eq!(dns.way, DnsWay::Hook(vec!["/usr/bin/hook".to_owned(), "-v".to_owned()]));
    let listed = format!("{file}\ndns_hook = [\"/usr/bin/hook\", \"-v\"]\nchallenge = \"dns-01\"");
    assert_eq!(config(&listed, &[], &[]).unwrap().certs.acme.unwrap().dns, Some(dns));
    let parted = format!("{file}\ndns_hook = [\"/usr/bin/hook\", \"a,b\"]");
    assert!(refusal(&parted, &[], &[]).contains("without commas"), "it would be two arguments");
    assert!(refusal(file, &[("AKKERISD_ACME_DNS_HOOK", "hook")], &[]).contains("absolute path"));
    let zone = ("AKKERISD_ACME_DNS_ZONE", "Example.com.");
    assert!(refusal(file, &[zone], &[]).contains("acme.dns_server"));
    let server = ("AKKERISD_ACME_DNS_SERVER", "127.0.0.1:53");
    let dns = config(file, &[zone, server], &[]).unwrap().certs.acme.unwrap().dns.unwrap();
    let update = DnsWay::Update { server: server.1.to_owned(), zone: "example.com".to_owned(), key: None };
    assert_eq!(dns.way, update);
    assert!(refusal(file, &[zone, server, hook], &[]).contains("acme.dns_zone"));
    assert!(refusal(file, &[("AKKERISD_ACME_CHALLENGE", "dns-01")], &[]).contains("acme.dns_hook"));
    assert!(refusal(file, &[("AKKERISD_ACME_DNS_KEY_NAME", "k")], &[]).contains("acme.dns_key_file"));
    for (key, bad) in
        [("directory", "http://ca.example/dir"), ("email", "nobody"), ("ca", "ca.pem"), ("challenge", "x")]
    {
        assert!(refusal(&format!("[acme]\n{key} = \"{bad}\""), &[], &[]).contains(bad), "{key}");
    }
}

#[test]
fn an_s3_store_is_set_up_as_a_whole() {
    let file =
        "[backups]\ns3_endpoint = \"https://s3.example.com/\"\ns3_bucket = \"dumps\"\ns3_prefix = \"/a/\"";
    let key = ("AKKERISD_BACKUPS_S3_ACCESS_KEY_ID", "AKIA1");
    let secret = ("AKKERISD_BACKUPS_S3_SECRET_ACCESS_KEY_FILE", "/etc/akkerisd/s3.key");
    let s3 = config(file, &[key, secret], &[]).unwrap().backups.s3.unwrap();
    assert_eq!((s3.endpoint.as_str(), s3.prefix.as_str()), ("https://s3.example.com", "a"));
    assert_eq!((s3.region.as_str(), s3.path_style, s3.ca), ("us-east-1", true, None));
    assert_eq!(s3.secret_access_key_file, PathBuf::from("/etc/akkerisd/s3.key"));
    assert_eq!(config("", &[], &[]).unwrap().backups.s3, None);
    for lonely in [key, secret, ("AKKERISD_BACKUPS_S3_BUCKET", "dumps")] {
        assert!(refusal("", &[lonely], &[]).contains("together with backups.s3_endpoint"), "{lonely:?}");
    }
    assert!(refusal(file, &[key], &[]).contains("backups.s3_secret_access_key_file"));
    let hosts = ("AKKERISD_BACKUPS_S3_PATH_STYLE", "false");
    assert!(!config(file, &[key, secret, hosts], &[]).unwrap().backups.s3.unwrap().path_style);
    let address = ("AKKERISD_BACKUPS_S3_ENDPOINT", "http://127.0.0.1:9000");
    assert!(refusal(file, &[key, secret, hosts, address], &[]).contains("an IP address"));
    assert!(refusal(&format!("{file}\ns3_region = \"\""), &[key, secret], &[]).contains("region"));
}
