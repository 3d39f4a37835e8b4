//! OAuth 2 (RFC 6749, 7636): applications that act for people, and what people allowed them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::ids::{AccountId, GrantId, OauthClientId};
use super::rule::{RuleError, shown};
use super::time::Timestamp;
use super::token::{Scope, TokenHash};

const LONGEST_NAME: usize = 64;
const LONGEST_URI: usize = 512;
/// Places that one application may send people back to.
const MOST_URIS: usize = 10;

/// An application that people may let act for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OauthClient {
    pub id: OauthClientId,
    pub name: ClientName,
    pub redirect_uris: RedirectUris,
    pub kind: ClientKind,
    /// Who registered it and may change it.
    pub account: AccountId,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

crate::text_enum! {
    /// Whether an application can keep a secret (RFC 6749 §2.1).
    pub enum ClientKind {
        /// Runs on a server: identifies itself with its secret.
        Confidential => "confidential",
        /// Runs on people's machines: has no secret and must use PKCE.
        Public => "public",
    }
}

/// What an application is called on the consent page: 1 to 64 characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientName(String);

/// Where an application may have people sent back to: 1 to 10 addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedirectUris(Vec<String>);

/// What a person allowed an application.
#[derive(Debug, Clone)]
pub struct Grant {
    pub id: GrantId,
    pub client: OauthClientId,
    pub account: AccountId,
    pub scope: Scope,
    /// Where the code was sent; the exchange must name the same.
    pub redirect_uri: String,
    pub challenge: Option<Challenge>,
    pub code: TokenHash,
    pub code_expires_at: Timestamp,
    pub code_used_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
}

/// The SHA-256 of a verifier that only the application knows (RFC 7636, method `S256`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge(String);

impl ClientName {
    /// 1 to 64 characters without control characters.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        let text = text.trim();
        if text.is_empty() || text.chars().count() > LONGEST_NAME || text.chars().any(char::is_control) {
            return Err(RuleError::new(format!(
                "The application name \"{}\" is not usable: use 1 to {LONGEST_NAME} characters.",
                shown(text)
            )));
        }
        Ok(Self(text.to_owned()))
    }

    /// Takes a name that was checked when it was stored.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl RedirectUris {
    /// Whole addresses without a fragment: `https://` anywhere, `http://` on the person's own machine, or a
    /// scheme of the application's own that holds a dot (RFC 8252 §7).
    pub fn parse(texts: &[String]) -> Result<Self, RuleError> {
        if texts.is_empty() || texts.len() > MOST_URIS {
            return Err(RuleError::new(format!(
                "An application needs 1 to {MOST_URIS} addresses in redirect_uris; {} were given.",
                texts.len()
            )));
        }
        match texts.iter().find(|text| !is_redirect_uri(text)) {
            None => Ok(Self(texts.to_vec())),
            Some(bad) => Err(RuleError::new(format!(
                "The redirect address \"{}\" is not usable: use https://, http://localhost, http://127.0.0.1, or a scheme of your own such as com.example.app:/back, without a fragment.",
                shown(bad)
            ))),
        }
    }

    /// Takes addresses that were checked when they were stored, one a line.
    pub fn from_stored(lines: &str) -> Self {
        Self(lines.lines().map(str::to_owned).collect())
    }

    /// One a line.
    pub fn to_stored(&self) -> String {
        self.0.join("\n")
    }

    /// The addresses, in the order they were given.
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }

    /// The registered address that is meant: the given one exactly, or the only one when none is given.
    /// Programs on the person's machine may use any port of the loopback address (RFC 8252 §7.3).
    pub fn choose(&self, given: Option<&str>) -> Option<String> {
        match (given, self.0.as_slice()) {
            (None, [only]) => Some(only.clone()),
            (None, _) => None,
            (Some(given), all) => {
                all.iter().any(|one| one == given || is_same_loopback(one, given)).then(|| given.to_owned())
            }
        }
    }
}

impl Challenge {
    /// 43 characters of base64url, as `S256` makes them.
    pub fn parse(text: &str) -> Option<Self> {
        let form = URL_SAFE_NO_PAD.decode(text).is_ok_and(|bytes| bytes.len() == 32);
        form.then(|| Self(text.to_owned()))
    }

    /// Takes a challenge that was checked when it was stored.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The challenge itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the challenge of that verifier: 43 to 128 characters (RFC 7636 §4.1).
    pub fn is_of(&self, verifier: &str) -> bool {
        let made = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
        (43..=128).contains(&verifier.len()) && bool::from(made.as_bytes().ct_eq(self.0.as_bytes()))
    }
}

fn is_redirect_uri(text: &str) -> bool {
    let visible = text.len() <= LONGEST_URI && text.bytes().all(|b| b.is_ascii_graphic());
    if !visible || text.contains(['#', '"', '\'', '<', '>', '\\', ';', ',']) {
        return false;
    }
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let charset =
        scheme.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.' || b == b'-');
    match scheme {
        "https" => host_of(rest).is_some(),
        "http" => host_of(rest).is_some_and(is_loopback),
        own => charset && own.contains('.') && own.starts_with(|c: char| c.is_ascii_lowercase()),
    }
}

/// The host of what stands behind the scheme; none with a user name in it.
fn host_of(rest: &str) -> Option<&str> {
    let authority = rest.strip_prefix("//")?.split(['/', '?']).next()?;
    let host = match authority.strip_prefix('[') {
        Some(literal) => literal.split_once(']')?.0,
        None => authority.split_once(':').map_or(authority, |(host, _)| host),
    };
    (!host.is_empty() && !authority.contains('@')).then_some(host)
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether two `http` addresses on the loopback address differ in the port only.
fn is_same_loopback(one: &str, other: &str) -> bool {
    fn parts(uri: &str) -> Option<(&str, &str)> {
        let rest = uri.strip_prefix("http:")?;
        let host = host_of(rest).filter(|host| is_loopback(host))?;
        let from = rest.strip_prefix("//")?.find(['/', '?']).map_or(rest.len(), |at| at + 2);
        Some((host, rest.get(from..)?))
    }
    is_redirect_uri(other) && parts(one).is_some() && parts(one) == parts(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uris(texts: &[&str]) -> Result<RedirectUris, RuleError> {
        RedirectUris::parse(&texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn people_are_sent_back_over_tls_or_to_their_own_machine() {
        for good in [
            "https://ui.example.com/callback?x=1",
            "http://localhost:3000/cb",
            "http://127.0.0.1/cb",
            "http://[::1]:9/",
            "com.example.app:/back",
        ] {
            assert!(uris(&[good]).is_ok(), "{good}");
        }
        for bad in [
            "",
            "http://example.com/",
            "https://",
            "https://a@b/",
            "https://a/#f",
            "javascript:alert(1)",
            "data:text/html,x",
            "https://a/\nhttps://b/",
            "https://a/ b",
            "/path",
            "http://localhost.example.com/",
            "https://a/;script-src",
        ] {
            assert!(uris(&[bad]).is_err(), "{bad}");
        }
        assert!(uris(&[]).is_err());
        assert!(uris(&["https://a/"; 11]).is_err());
    }

    #[test]
    fn only_a_registered_address_is_chosen() {
        let one = uris(&["https://a/cb"]).unwrap();
        assert_eq!(one.choose(None).as_deref(), Some("https://a/cb"));
        assert_eq!(one.choose(Some("https://a/cb")).as_deref(), Some("https://a/cb"));
        for other in ["https://a/cb/", "https://a/CB", "https://a/cb?x", "https://a:444/cb", "https://b/cb"] {
            assert_eq!(one.choose(Some(other)), None, "{other}");
        }
        let two = uris(&["https://a/1", "http://127.0.0.1:1/cb"]).unwrap();
        assert_eq!(two.choose(None), None);
        assert!(two.choose(Some("http://127.0.0.1:51234/cb")).is_some(), "any port of the loopback address");
        for other in ["http://127.0.0.1:51234/other", "http://localhost:1/cb", "http://127.0.0.1:1@evil/cb"] {
            assert_eq!(two.choose(Some(other)), None, "{other}");
        }
    }

    #[test]
    fn a_challenge_is_that_of_the_rfc() {
        let challenge = Challenge::parse("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM").unwrap();
        assert!(challenge.is_of("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"));
        assert!(!challenge.is_of("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXl"));
        assert!(!challenge.is_of(""));
        for bad in ["", "short", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM="] {
            assert!(Challenge::parse(bad).is_none(), "{bad}");
        }
    }
}
