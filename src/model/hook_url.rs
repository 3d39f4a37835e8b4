//! Where a hook's deliveries go, and which service listens there.
//!
//! Invariant: what is shown of an address holds no password, no secret parameter, and nothing of a path that
//! is itself the secret.

use super::build::without_userinfo;
use super::config_var::{REDACTED, redacted};
use super::rule::{RuleError, shown};

/// An `http://` or `https://` address of up to 2048 characters. `Debug` shows it redacted.
#[derive(Clone, PartialEq, Eq)]
pub struct HookUrl(String);

/// The services that want a body of their own form; the address tells which (`behaviour.md` §22).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receiver {
    /// Anything else: gets the event as it is documented.
    Plain,
    /// `hooks.slack.com`.
    Slack,
    /// `outlook.office….com/webhook…` and `….webhook.office.com`: the connectors, which take message cards.
    TeamsConnector,
    /// `….logic.azure.com` and `….api.powerplatform.com`: the workflows of Teams, which take adaptive cards.
    TeamsWorkflow,
    /// `discord.com/api/webhooks/…`.
    Discord,
    /// `events.pagerduty.com`, also of the European service region.
    PagerDuty,
    /// `api.opsgenie.com`, also of the European service region.
    Opsgenie,
}

const LIMIT: usize = 2048;

impl HookUrl {
    /// A scheme, a host, and ASCII without spaces.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        let text = text.trim();
        let refused = |why: &str| {
            RuleError::new(format!(
                "The url \"{}\" is not usable: {why}.",
                shown(&redacted("url", &without_userinfo(text)))
            ))
        };
        let example = "give an address such as https://example.com/hook";
        if text.is_empty() {
            return Err(RuleError::new(format!("The url is missing: {example}.")));
        }
        if text.len() > LIMIT {
            return Err(refused(&format!("it has {} characters, and at most {LIMIT} are taken", text.len())));
        }
        let parts = UrlParts::of(text).ok_or_else(|| refused(example))?;
        if !matches!(parts.scheme.as_str(), "http" | "https") {
            return Err(refused("its scheme must be http or https"));
        }
        if parts.host.is_empty() || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(refused(example));
        }
        Ok(Self(text.to_owned()))
    }

    /// Takes an address that was checked when it was stored.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The address itself, secrets included. Not for a log, an event or an answer.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// As answers show it: secrets redacted, in every space (`behaviour.md` §13).
    pub fn shown(&self) -> String {
        match self.receiver() {
            Receiver::Plain => redacted("url", &self.0),
            // The key of an alerting service stands where a password or a parameter does.
            Receiver::PagerDuty | Receiver::Opsgenie => match self.0.split_once('?') {
                Some((before, _)) => format!("{}?{REDACTED}", without_userinfo(before)),
                None => without_userinfo(&self.0),
            },
            Receiver::Slack | Receiver::TeamsConnector | Receiver::TeamsWorkflow | Receiver::Discord => {
                let parts = UrlParts::of(&self.0).unwrap_or_default();
                format!("{}://{}/{REDACTED}", parts.scheme, parts.host)
            }
        }
    }

    /// As a result shows the request: without query and userinfo (`behaviour.md` §22).
    pub fn shown_in_results(&self) -> String {
        let shown = self.shown();
        let plain = without_userinfo(&shown);
        plain.split(['?', '#']).next().unwrap_or_default().to_owned()
    }

    /// Which service listens there.
    pub fn receiver(&self) -> Receiver {
        let Some(UrlParts { host, path, .. }) = UrlParts::of(&self.0) else { return Receiver::Plain };
        match host.as_str() {
            "hooks.slack.com" => Receiver::Slack,
            "outlook.office.com" | "outlook.office365.com" if path.starts_with("/webhook") => {
                Receiver::TeamsConnector
            }
            "discord.com" | "discordapp.com" | "canary.discord.com" | "ptb.discord.com"
                if path.starts_with("/api/") && path.contains("webhooks/") =>
            {
                Receiver::Discord
            }
            "events.pagerduty.com" | "events.eu.pagerduty.com" => Receiver::PagerDuty,
            "api.opsgenie.com" | "api.eu.opsgenie.com" => Receiver::Opsgenie,
            host if host.ends_with(".webhook.office.com") => Receiver::TeamsConnector,
            host if host.ends_with(".logic.azure.com") || host.ends_with(".api.powerplatform.com") => {
                Receiver::TeamsWorkflow
            }
            _ => Receiver::Plain,
        }
    }
}

/// The parts of an address that tell where it leads.
#[derive(Default)]
struct UrlParts<'a> {
    /// Lower case.
    scheme: String,
    /// Lower case, without userinfo and port.
    host: String,
    /// Without query and fragment; may be empty.
    path: &'a str,
}

impl<'a> UrlParts<'a> {
    /// `None` for what has no `://`.
    fn of(text: &'a str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let (authority, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let address = authority.rsplit_once('@').map_or(authority, |(_, address)| address);
        let host = match address.split_once(']') {
            Some((v6, _)) => v6.trim_start_matches('['),
            None => address.split_once(':').map_or(address, |(host, _)| host),
        };
        let path = tail.split(['?', '#']).next().unwrap_or_default();
        Some(Self { scheme: scheme.to_ascii_lowercase(), host: host.to_ascii_lowercase(), path })
    }
}

impl std::fmt::Debug for HookUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> HookUrl {
        HookUrl::parse(text).unwrap()
    }

    #[test]
    fn an_address_has_a_scheme_a_host_and_a_bound() {
        assert_eq!(url(" http://localhost:8000/a?b ").reveal(), "http://localhost:8000/a?b");
        assert_eq!(url("https://u:p@h/").reveal(), "https://u:p@h/");
        for bad in ["", "x", "/x", "ftp://h/", "file:///etc/passwd", "http://", "http:///x", "http://a b/"] {
            assert!(HookUrl::parse(bad).is_err(), "{bad:?} was accepted");
        }
        assert!(HookUrl::parse(&format!("http://h/{}", "x".repeat(LIMIT))).is_err());
        let error = HookUrl::parse("ftp://user:hidden@h/").unwrap_err().to_string();
        assert!(!error.contains("hidden"), "{error}");
    }

    #[test]
    fn what_is_shown_holds_no_secret() {
        for (sent, shown, in_results) in [
            ("https://u:p@h/x?token=t&a=1", "https://u:[redacted]@h/x?token=[redacted]&a=1", "https://h/x"),
            (
                "https://hooks.slack.com/services/T/B/s",
                "https://hooks.slack.com/[redacted]",
                "https://hooks.slack.com/[redacted]",
            ),
            (
                "https://key@api.opsgenie.com/v2/alerts",
                "https://api.opsgenie.com/v2/alerts",
                "https://api.opsgenie.com/v2/alerts",
            ),
            (
                "https://events.pagerduty.com/v2/enqueue?routing_key=k",
                "https://events.pagerduty.com/v2/enqueue?[redacted]",
                "https://events.pagerduty.com/v2/enqueue",
            ),
        ] {
            assert_eq!(url(sent).shown(), shown);
            assert_eq!(url(sent).shown_in_results(), in_results);
            assert_eq!(format!("{:?}", url(sent)), shown);
        }
    }

    #[test]
    fn the_address_tells_the_service() {
        for (text, receiver) in [
            ("https://example.com/hooks.slack.com", Receiver::Plain),
            ("https://hooks.slack.com/services/a", Receiver::Slack),
            ("https://outlook.office.com/webhook/a", Receiver::TeamsConnector),
            ("https://outlook.office.com/mail", Receiver::Plain),
            ("https://contoso.webhook.office.com/webhookb2/a", Receiver::TeamsConnector),
            ("https://prod-1.westus.logic.azure.com/workflows/a", Receiver::TeamsWorkflow),
            ("https://discord.com/api/webhooks/1/a", Receiver::Discord),
            ("https://discord.com/channels/1", Receiver::Plain),
            ("https://events.eu.pagerduty.com/v2/enqueue", Receiver::PagerDuty),
            ("https://api.eu.opsgenie.com/v2/alerts", Receiver::Opsgenie),
        ] {
            assert_eq!(url(text).receiver(), receiver, "{text}");
        }
    }
}
