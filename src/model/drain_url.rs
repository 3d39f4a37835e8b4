//! Where a log drain leads: scheme, host, port, and whom TLS trusts there.
//!
//! Invariant: an address never names a file of this machine by its path; a certificate authority stands in the
//! address itself, or is the name of a file that the operator has put into one folder for this purpose.

use std::net::IpAddr;

use base64::Engine as _;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::address::AddressKind;
use super::build::without_userinfo;
use super::config_var::redacted;
use super::rule::{RuleError, shown};

/// An address of up to 16 KiB. `Debug` shows it redacted.
#[derive(Clone, PartialEq, Eq)]
pub struct DrainUrl {
    text: String,
    target: DrainTarget,
}

/// What the address says, taken apart.
#[derive(Clone, PartialEq, Eq)]
pub struct DrainTarget {
    pub transport: Transport,
    /// A name or an address, without brackets.
    pub host: String,
    pub port: u16,
    /// The address that batches are posted to, without our own parameters; empty for syslog.
    pub post_to: String,
}

/// How lines travel (`behaviour.md` §20).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// `syslog+tls://`: a message a line over TLS.
    Tls(Trust),
    /// `syslog://`, `syslog+tcp://`: the same in the clear.
    Tcp,
    /// `syslog+udp://`: a message a datagram.
    Udp,
    /// `https://`: logplex batches.
    Https(Trust),
    /// `http://`: the same in the clear.
    Http,
}

/// Whom TLS trusts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// The authorities of this machine.
    System,
    /// These authorities alone (`?ca=` with certificates).
    Given(Vec<CertificateDer<'static>>),
    /// The authorities in a file of the folder for them alone (`?ca=name.pem`).
    Named(CaName),
    /// Anybody (`?insecure=true`).
    Anybody,
}

/// The name of a file with certificates: letters, digits, `-`, `_` and dots, ending in `.pem` or `.crt`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaName(String);

const LIMIT: usize = 16 * 1024;
const CA_NAME_LIMIT: usize = 64;
/// Default ports: nothing specifies them but RFC 3164, RFC 5425 and RFC 9110.
const SYSLOG: u16 = 514;
const SYSLOG_TLS: u16 = 6514;

impl DrainUrl {
    /// Takes `syslog+tls`, `syslog`, `syslog+tcp`, `syslog+udp`, `https` and `http`.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(RuleError::new(
                "The url is missing: give an address such as syslog+tls://logs.example.com:6514.",
            ));
        }
        let target = DrainTarget::parse(text).map_err(|why| {
            RuleError::new(format!("The url \"{}\" is not usable: {why}.", shown(&redact(text))))
        })?;
        Ok(Self { text: text.to_owned(), target })
    }

    /// Where it leads.
    pub fn target(&self) -> &DrainTarget {
        &self.target
    }

    /// The address itself, secrets included. Not for a log, an event or an answer.
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// As answers show it: passwords and secret parameters redacted.
    pub fn shown(&self) -> String {
        redacted("url", &self.text)
    }

    /// Whether both are the same but for the case of letters (`behaviour.md` §20).
    pub fn is_same(&self, other: &Self) -> bool {
        self.text.eq_ignore_ascii_case(&other.text)
    }
}

impl std::fmt::Debug for DrainUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown())
    }
}

impl CaName {
    fn parse(text: &str) -> Option<Self> {
        let stem = text.strip_suffix(".pem").or_else(|| text.strip_suffix(".crt"))?;
        let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let fits = stem.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(letter);
        (fits && text.len() <= CA_NAME_LIMIT).then(|| Self(text.to_owned()))
    }

    /// The name of the file within its folder.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What the parameters that are ours say.
#[derive(Default)]
struct Options {
    ca: Option<Trust>,
    insecure: bool,
    /// Those that are not ours, as they were written.
    others: Vec<String>,
}

impl DrainTarget {
    fn parse(text: &str) -> Result<Self, String> {
        const SCHEMES: &str = "its scheme must be syslog+tls, syslog, syslog+udp, https or http";
        if text.len() > LIMIT {
            return Err(format!("it has {} bytes, and at most {LIMIT} are taken", text.len()));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("it may hold no spaces, no line ends and nothing but ASCII".to_owned());
        }
        let (scheme, rest) = text.split_once("://").ok_or(SCHEMES)?;
        let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = place.split_at(place.find('/').unwrap_or(place.len()));
        let options = Options::parse(query)?;
        let web = match scheme.to_ascii_lowercase().as_str() {
            "https" | "http" => true,
            "syslog+tls" | "syslog" | "syslog+tcp" | "syslog+udp" => false,
            _ => return Err(SCHEMES.to_owned()),
        };
        if !web && (!matches!(path, "" | "/") || authority.contains('@') || !fragment.is_empty()) {
            return Err("a syslog server has a host and a port, and nothing more".to_owned());
        }
        if let Some(other) = options.others.first().filter(|_| !web) {
            return Err(format!("the parameter {} is none of ca and insecure", shown(other)));
        }
        let post_to = if web { without_ours(scheme, place, &options.others) } else { String::new() };
        let (transport, default_port) = options.transport(&scheme.to_ascii_lowercase())?;
        let (host, port) = host_and_port(authority)?;
        Ok(Self { transport, host, port: port.unwrap_or(default_port), post_to })
    }
}

impl Options {
    fn parse(query: &str) -> Result<Self, String> {
        let mut options = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match name {
                "ca" => options.ca = Some(parse_ca(&decoded(value)?)?),
                "insecure" => {
                    options.insecure = value.parse().map_err(|_| "insecure must be true or false")?;
                }
                _ => options.others.push(pair.to_owned()),
            }
        }
        Ok(options)
    }

    /// The transport of a scheme and its default port.
    fn transport(self, scheme: &str) -> Result<(Transport, u16), String> {
        let encrypted = matches!(scheme, "https" | "syslog+tls");
        if !encrypted && (self.ca.is_some() || self.insecure) {
            return Err(format!("ca and insecure are about TLS, which {scheme} does not use"));
        }
        let trust = match (self.ca, self.insecure) {
            (Some(_), true) => return Err("ca and insecure exclude each other".to_owned()),
            (Some(ca), false) => ca,
            (None, true) => Trust::Anybody,
            (None, false) => Trust::System,
        };
        Ok(match scheme {
            "syslog+tls" => (Transport::Tls(trust), SYSLOG_TLS),
            "syslog+udp" => (Transport::Udp, SYSLOG),
            "https" => (Transport::Https(trust), 443),
            "http" => (Transport::Http, 80),
            _ => (Transport::Tcp, SYSLOG),
        })
    }
}

fn without_ours(scheme: &str, place: &str, others: &[String]) -> String {
    let mark = if others.is_empty() { "" } else { "?" };
    format!("{}://{place}{mark}{}", scheme.to_ascii_lowercase(), others.join("&"))
}

fn host_and_port(authority: &str) -> Result<(String, Option<u16>), String> {
    const MISSING: &str = "it names no host";
    let address = authority.rsplit_once('@').map_or(authority, |(_, address)| address);
    let (host, port) = match address.strip_prefix('[') {
        Some(v6) => {
            let (host, rest) = v6.split_once(']').ok_or(MISSING)?;
            (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':').ok_or(MISSING)?) })
        }
        None => address.split_once(':').map_or((address, None), |(host, port)| (host, Some(port))),
    };
    let literal = host.parse::<IpAddr>().ok();
    let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if host.is_empty() || (literal.is_none() && !host.chars().all(named)) {
        return Err(MISSING.to_owned());
    }
    if literal.is_some_and(|address| AddressKind::of(address) == AddressKind::Forbidden) {
        return Err(format!("{host} is link-local, multicast or a cloud's metadata service"));
    }
    let port = match port {
        None => None,
        Some(port) => match port.parse::<u16>() {
            Ok(0) | Err(_) => return Err(format!("its port {} is none of 1 to 65535", shown(port))),
            Ok(port) => Some(port),
        },
    };
    Ok((host.to_ascii_lowercase(), port))
}

/// The name of a file, certificates as PEM, or the base64 of either form of a certificate.
fn parse_ca(text: &str) -> Result<Trust, String> {
    const WANTED: &str =
        "ca must be certificates as PEM (percent-encoded, or in base64), or the name of a .pem or .crt file";
    if let Some(name) = CaName::parse(text) {
        return Ok(Trust::Named(name));
    }
    let bytes = if text.starts_with("-----BEGIN") {
        text.as_bytes().to_vec()
    } else {
        base64::engine::general_purpose::STANDARD.decode(text).map_err(|_| WANTED)?
    };
    let certificates = if bytes.starts_with(b"-----BEGIN") {
        CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>().map_err(|_| WANTED)?
    } else {
        vec![CertificateDer::from(bytes)]
    };
    let valid = |der: &CertificateDer<'_>| x509_parser::parse_x509_certificate(der.as_ref()).is_ok();
    if certificates.is_empty() || !certificates.iter().all(valid) {
        return Err(WANTED.to_owned());
    }
    Ok(Trust::Given(certificates))
}

/// Undoes percent-encoding; a plus stays one, because it stands in base64.
fn decoded(text: &str) -> Result<String, String> {
    const BROKEN: &str = "a parameter is not percent-encoded";
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, after) = after.split_first_chunk::<2>().ok_or(BROKEN)?;
        let mut byte = [0];
        hex::decode_to_slice(digits, &mut byte).map_err(|_| BROKEN)?;
        bytes.extend(byte);
        rest = after;
    }
    String::from_utf8(bytes).map_err(|_| BROKEN.to_owned())
}

/// For a text that may be no address at all.
fn redact(text: &str) -> String {
    redacted("url", &without_userinfo(text))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn target(text: &str) -> DrainTarget {
        DrainUrl::parse(text).unwrap().target
    }

    fn certificate() -> rcgen::Certificate {
        let key = rcgen::KeyPair::generate().unwrap();
        rcgen::CertificateParams::new(vec!["ca".to_owned()]).unwrap().self_signed(&key).unwrap()
    }

    fn escaped(text: &str) -> String {
        text.bytes().flat_map(|byte| ['%'.to_string(), hex::encode([byte])]).collect()
    }

    #[test]
    fn each_scheme_has_its_transport_and_its_port() {
        for (text, transport, port) in [
            ("syslog+tls://h", Transport::Tls(Trust::System), 6514),
            ("SYSLOG+TLS://H:1", Transport::Tls(Trust::System), 1),
            ("syslog://h", Transport::Tcp, 514),
            ("syslog+tcp://h/", Transport::Tcp, 514),
            ("syslog+udp://h", Transport::Udp, 514),
            ("https://h", Transport::Https(Trust::System), 443),
            ("http://h/x", Transport::Http, 80),
            ("https://h?insecure=true", Transport::Https(Trust::Anybody), 443),
        ] {
            let target = target(text);
            assert_eq!(
                (target.transport, target.port, target.host.as_str()),
                (transport, port, "h"),
                "{text}"
            );
        }
        assert_eq!(target("syslog://[::1]:99").host, "::1");
        assert_eq!(target("https://u:p@h:9/a?b=c&insecure=true&d").post_to, "https://u:p@h:9/a?b=c&d");
    }

    #[test]
    fn what_is_no_drain_is_refused_with_the_reason() {
        for (text, why) in [
            ("", "is missing"),
            ("x", "its scheme must be"),
            ("es+http://h", "its scheme must be"),
            ("file:///etc/passwd", "its scheme must be"),
            ("syslog://", "names no host"),
            ("syslog://h:0", "its port 0"),
            ("syslog://h:99999", "its port 99999"),
            ("syslog://h/path", "nothing more"),
            ("syslog://u:secret@h", "nothing more"),
            ("syslog://h?insecure=true", "about TLS"),
            ("syslog+tls://h?x=1", "none of ca and insecure"),
            ("syslog+tls://h?insecure=maybe", "true or false"),
            ("syslog+tls://h?ca=/etc/passwd", "ca must be"),
            ("syslog+tls://h?ca=..%2fx.pem", "ca must be"),
            ("syslog+tls://h?ca=.pem", "ca must be"),
            ("syslog+tls://169.254.169.254", "metadata"),
            ("syslog+udp://[fe80::1]:5", "link-local"),
            ("syslog://a b", "no spaces"),
        ] {
            let error = DrainUrl::parse(text).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
        assert!(DrainUrl::parse(&format!("https://h/{}", "x".repeat(LIMIT))).is_err());
    }

    #[test]
    fn an_authority_is_given_in_the_address_or_named() {
        let certificate = certificate();
        let standard = base64::engine::general_purpose::STANDARD;
        let escaped = escaped(&certificate.pem());
        for ca in [escaped, standard.encode(certificate.pem()), standard.encode(certificate.der())] {
            let target = target(&format!("syslog+tls://h?ca={ca}"));
            assert_eq!(target.transport, Transport::Tls(Trust::Given(vec![certificate.der().clone()])));
        }
        let Transport::Tls(Trust::Named(name)) = target("syslog+tls://h?ca=my-ca.pem").transport else {
            panic!("a name is a name");
        };
        assert_eq!(name.as_str(), "my-ca.pem");
    }

    #[test]
    fn what_is_shown_holds_no_password_and_case_makes_no_difference() {
        let url = DrainUrl::parse("https://u:p@h/x?token=t&a=1").unwrap();
        assert_eq!(url.shown(), "https://u:[redacted]@h/x?token=[redacted]&a=1");
        assert_eq!(format!("{url:?}"), url.shown());
        assert!(url.is_same(&DrainUrl::parse("HTTPS://U:P@H/X?TOKEN=T&A=1 ").unwrap()));
    }

    proptest! {
        #[test]
        fn any_text_is_taken_or_refused_and_what_is_taken_stays_itself(text in "(syslog|https)(\\+tls)?://\\PC{0,40}") {
            if let Ok(url) = DrainUrl::parse(&text) {
                prop_assert_eq!(DrainUrl::parse(url.reveal()), Ok(url));
            }
        }

        #[test]
        fn percent_encoding_is_undone(text in "\\PC{0,40}") {
            prop_assert_eq!(decoded(&escaped(&text)), Ok(text));
        }
    }
}
