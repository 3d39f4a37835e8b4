//! Hooks: what other systems can be told of an app, and where.

use std::collections::BTreeSet;

use super::config_var::REDACTED;
use super::hook_url::HookUrl;
use super::ids::{AppId, HookId};
use super::rule::{RuleError, shown};
use super::time::Timestamp;

/// An address that is told of an app's events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    pub id: HookId,
    pub app_id: AppId,
    pub url: HookUrl,
    pub secret: HookSecret,
    pub events: HookEvents,
    /// While this is false no event is taken down for it, and what waits is held.
    pub active: bool,
    /// How the endpoint has behaved lately.
    pub health: HookHealth,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// How an endpoint has behaved since it last took a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HookHealth {
    /// Attempts that failed in a row.
    pub failures: u32,
    /// How often deliveries were suspended in a row.
    pub suspensions: u32,
    /// Nothing is sent before this instant.
    pub suspended_until: Option<Timestamp>,
}

/// The events that a hook asked for: at least one, each once, in the order given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookEvents(Vec<HookEvent>);

/// What a hook's deliveries are signed with: 1 to 1024 bytes. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct HookSecret(String);

/// Hooks that an app can have.
pub const HOOK_LIMIT: u32 = 32;
const SECRET_LIMIT: usize = 1024;

crate::text_enum! {
    /// The events that a hook can ask for (`behaviour.md` §22).
    pub enum HookEvent {
        AddonChange => "addon_change",
        Build => "build",
        ConfigChange => "config_change",
        Crashed => "crashed",
        Destroy => "destroy",
        Updated => "updated",
        FeatureChange => "feature_change",
        FormationChange => "formation_change",
        LogdrainChange => "logdrain_change",
        PipelinePromotion => "pipeline_promotion",
        Preview => "preview",
        PreviewReleased => "preview-released",
        Release => "release",
        Released => "released",
        SecurityScan => "security_scan",
    }
}

impl HookEvent {
    /// When it is told, for people.
    pub const fn description(self) -> &'static str {
        match self {
            Self::AddonChange => "An addon was created or deleted.",
            Self::Build => "A build was queued, succeeded or failed.",
            Self::ConfigChange => "Config vars were set or removed.",
            Self::Crashed => "A dyno ended by itself, did not start, or ran out of memory.",
            Self::Destroy => "The app was deleted.",
            Self::Updated => "The app's description, labels or maintenance changed.",
            Self::FeatureChange => "A feature was switched on or off.",
            Self::FormationChange => "A formation was made, scaled, changed or deleted.",
            Self::LogdrainChange => "A log drain was added or removed.",
            Self::PipelinePromotion => "A release was promoted to the app through a pipeline.",
            Self::Preview => "A preview app was made for a pull request.",
            Self::PreviewReleased => "A preview app was released.",
            Self::Release => "A release began.",
            Self::Released => "A release is running.",
            Self::SecurityScan => "A security scan reported a result.",
        }
    }
}

impl HookEvents {
    /// The names of at least one event; the first that is unknown is named in the error.
    pub fn parse(names: &[String]) -> Result<Self, RuleError> {
        if names.is_empty() {
            return Err(RuleError::new(
                "The events are empty: name at least one, for example release; GET /docs/hooks lists them.",
            ));
        }
        let mut events = Vec::new();
        let mut seen = BTreeSet::new();
        for name in names {
            let event: HookEvent = name.parse().map_err(|_| {
                RuleError::new(format!(
                    "The event \"{}\" does not exist; GET /docs/hooks lists what there is.",
                    shown(name)
                ))
            })?;
            if seen.insert(event) {
                events.push(event);
            }
        }
        Ok(Self(events))
    }

    /// From the stored form; an event that this version does not know is left out.
    pub fn from_stored(text: &str) -> Self {
        Self(text.split(',').filter_map(|name| name.parse().ok()).collect())
    }

    /// The stored form, names joined by commas.
    pub fn to_stored(&self) -> String {
        self.names().join(",")
    }

    /// The names, in order.
    pub fn names(&self) -> Vec<&'static str> {
        self.0.iter().map(|event| event.as_str()).collect()
    }

    /// Whether the hook asked for it.
    pub fn contains(&self, event: HookEvent) -> bool {
        self.0.contains(&event)
    }
}

impl HookSecret {
    /// 1 to 1024 bytes of any text.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        if text.is_empty() {
            return Err(RuleError::new(
                "The secret is missing: give the text that deliveries shall be signed with.",
            ));
        }
        if text.len() > SECRET_LIMIT {
            return Err(RuleError::new(format!(
                "The secret has {} bytes; at most {SECRET_LIMIT} are taken.",
                text.len()
            )));
        }
        if text == REDACTED {
            return Err(RuleError::new(format!(
                "The secret {REDACTED} is what stands for a hidden value; give the secret itself."
            )));
        }
        Ok(Self(text.to_owned()))
    }

    /// Takes a secret that was checked when it was stored.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The secret itself. Not for a log, an event or an error message.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for HookSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[sealed]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_known_ones_each_once() {
        let names = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let events = HookEvents::parse(&names("released build released")).unwrap();
        assert_eq!(events.names(), ["released", "build"]);
        assert_eq!(HookEvents::from_stored(&events.to_stored()), events);
        assert!(HookEvents::parse(&[]).is_err());
        let error = HookEvents::parse(&names("release created")).unwrap_err();
        assert!(error.to_string().starts_with("The event \"created\" does not exist"), "{error}");
    }

    #[test]
    fn a_secret_is_bounded_and_never_shown() {
        assert_eq!(format!("{:?}", HookSecret::parse("secret").unwrap()), "[sealed]");
        assert!(HookSecret::parse(&"x".repeat(SECRET_LIMIT)).is_ok());
        for bad in ["", REDACTED, &"x".repeat(SECRET_LIMIT + 1)] {
            assert!(HookSecret::parse(bad).is_err(), "{bad:?} was accepted");
        }
    }
}
