//! Formations: how many dynos of which type, size and command an app runs.

use super::command::Command;
use super::ids::{AppId, FormationId};
use super::names::{ProcessType, SizeName};
use super::rule::{RuleError, shown};
use super::schedule::Scheduled;
use super::time::Timestamp;

/// One process type of an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Formation {
    pub id: FormationId,
    pub app_id: AppId,
    pub process_type: ProcessType,
    pub size: SizeName,
    pub quantity: Quantity,
    pub command: FormationCommand,
    /// The port that the web process listens on; `None` for any other type.
    pub port: Option<Port>,
    /// Path that answers 200–399 when a web dyno is healthy; `None` probes the TCP port.
    pub healthcheck: Option<HealthCheck>,
    pub origin: Origin,
    pub runs: Runs,
    /// Grows with each restart that a user asks for; dynos of an older value are replaced.
    pub restarts: u32,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// How the dynos of a formation come to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Runs {
    /// A release starts as many as the quantity says, and they run until another replaces them.
    Always,
    /// Each is a one-off dyno: somebody asks for it, or the schedule does. The quantity is 0.
    Once(Option<Box<Scheduled>>),
}

impl Formation {
    /// Whether its dynos are one-off dynos.
    pub fn is_oneoff(&self) -> bool {
        self.scheduled().is_some() || self.runs == Runs::Once(None)
    }

    /// Its schedule, and when that is due.
    pub fn scheduled(&self) -> Option<&Scheduled> {
        match &self.runs {
            Runs::Always => None,
            Runs::Once(scheduled) => scheduled.as_deref(),
        }
    }
}

/// Where a formation's command comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FormationCommand {
    /// The image's own command.
    Image,
    /// From the Procfile of the last build; follows the file (reading 20).
    Procfile(Command),
    /// Set by the user; stays whatever the Procfile says.
    User(Command),
}

impl FormationCommand {
    /// The command to run, `None` for the image's own.
    pub fn command(&self) -> Option<&Command> {
        match self {
            Self::Image => None,
            Self::Procfile(command) | Self::User(command) => Some(command),
        }
    }
}

crate::text_enum! {
    /// Who made a formation: one from a Procfile that no user touched goes when its line goes (reading 20).
    pub enum Origin {
        Procfile => "procfile",
        User => "user",
    }
}

/// How many dynos of a type run: 0 to 32 (reading 23).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct Quantity(u8);

impl Quantity {
    pub const ZERO: Self = Self(0);
    pub const ONE: Self = Self(1);
    const MOST: i64 = 32;

    /// 0 to 32.
    pub fn new(quantity: i64) -> Result<Self, RuleError> {
        match u8::try_from(quantity) {
            Ok(quantity) if i64::from(quantity) <= Self::MOST => Ok(Self(quantity)),
            _ => Err(RuleError::new(format!(
                "The quantity {quantity} is out of range: use a whole number from 0 to {}.",
                Self::MOST
            ))),
        }
    }

    /// The number itself.
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// A port that a web process may listen on: 1024 to 65535 (`behaviour.md` §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct Port(u16);

impl Port {
    /// The port of a web process that names none (reading 22).
    pub const DEFAULT: Self = Self(9000);

    /// 1024 to 65535.
    pub fn new(port: i64) -> Result<Self, RuleError> {
        match u16::try_from(port) {
            Ok(port) if port >= 1024 => Ok(Self(port)),
            _ => Err(RuleError::new(format!(
                "The port {port} is out of range: use a whole number from 1024 to 65535."
            ))),
        }
    }

    /// The number itself.
    pub const fn get(self) -> u16 {
        self.0
    }
}

/// A path on a web dyno, starting with `/`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct HealthCheck(String);

impl HealthCheck {
    /// A relative URL; a missing leading slash is added.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        let path = text.trim();
        let refused =
            |why: &str| RuleError::new(format!("The healthcheck \"{}\" is not usable: {why}.", shown(text)));
        if path.is_empty() {
            return Err(refused("give a path such as /health, or use removeHealthcheck"));
        }
        if path.contains("://") || path.starts_with("//") {
            return Err(refused("give only the path, such as /health, without scheme and host"));
        }
        if path.len() > 1024 || path.bytes().any(|b| b <= b' ' || b == 0x7f || b == b'#' || !b.is_ascii()) {
            return Err(refused("use up to 1024 visible ASCII characters without #"));
        }
        Ok(Self(if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }))
    }

    /// Takes a path that was checked when it was stored.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The path with its leading slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantity_port_and_healthcheck_are_bounded() {
        assert!(Quantity::new(32).is_ok() && Quantity::new(33).is_err() && Quantity::new(-1).is_err());
        assert!(Port::new(1024).is_ok() && Port::new(1023).is_err() && Port::new(65536).is_err());
        assert_eq!(HealthCheck::parse("health").unwrap().as_str(), "/health");
        for bad in ["", "http://x/", "//x", "/a b", "/#x", "/ä"] {
            assert!(HealthCheck::parse(bad).is_err(), "{bad:?} was accepted");
        }
    }
}
