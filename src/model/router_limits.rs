//! How long the router waits for one app, where its owner has said so by config vars.
//!
//! `ROUTER_FIRST_BYTE_TIMEOUT`, `ROUTER_IDLE_TIMEOUT` and `ROUTER_DRAIN_TIMEOUT` hold a number of seconds, or one with a
//! unit as in `500ms`, `90s`, `5m` or `1h`; `ROUTER_BODY_LIMIT` a number of bytes, or one as in `10MiB`. As any config
//! var, a changed one restarts the dynos.
//!
//! Invariant: a limit is at least a tenth of a second and at most an hour; a drain may also be cut to zero.

use std::time::Duration;

use super::config_var::ConfigVars;
use super::names::ConfigVarName;
use super::rule::{RuleError, shown};

const FIRST_BYTE: &str = "ROUTER_FIRST_BYTE_TIMEOUT";
const IDLE: &str = "ROUTER_IDLE_TIMEOUT";
const DRAIN: &str = "ROUTER_DRAIN_TIMEOUT";
const BODY: &str = "ROUTER_BODY_LIMIT";

const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_hours(1);

/// The limits of one app; what is `None` is as the operator has set it for all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RouterLimits {
    /// From the last byte of a request to the first of its answer.
    pub first_byte: Option<Duration>,
    /// Between two bytes of a request, an answer or a tunnel.
    pub idle: Option<Duration>,
    /// How long a dyno that was taken out keeps its open requests.
    pub drain: Option<Duration>,
    /// Bytes of a request's body; without it there is no limit.
    pub body: Option<u64>,
}

impl RouterLimits {
    /// The limits that the config vars of an app set. A value from before the rules were there counts as unset.
    pub fn of(vars: &ConfigVars) -> Self {
        let find = |name: &str| vars.iter().find(|(var, _)| var.as_str() == name);
        let limit = |name| find(name).and_then(|(_, value)| limit(name, value.reveal()));
        let body = find(BODY).and_then(|(_, value)| bytes(value.reveal()));
        Self { first_byte: limit(FIRST_BYTE), idle: limit(IDLE), drain: limit(DRAIN), body }
    }

    /// Refuses a value that is no limit, for the config vars that are one.
    pub fn check(name: &ConfigVarName, value: &str) -> Result<(), RuleError> {
        let name = name.as_str();
        if name == BODY && bytes(value).is_none() {
            return Err(RuleError::new(format!(
                "The value of {name} is {}; it must be a number of bytes, like 5000000 or 10MiB.",
                shown(value)
            )));
        }
        if ![FIRST_BYTE, IDLE, DRAIN].contains(&name) || limit(name, value).is_some() {
            return Ok(());
        }
        let shortest = if name == DRAIN { "0" } else { "100ms" };
        Err(RuleError::new(format!(
            "The value of {name} is {}; it must be a time from {shortest} to 1h, like 90 (seconds), 500ms or 5m.",
            shown(value)
        )))
    }
}

fn bytes(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits)?;
    let factor = match unit {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

fn limit(name: &str, text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits)?;
    let number: u64 = number.parse().ok()?;
    let millis = match unit {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    let limit = Duration::from_millis(number.checked_mul(millis)?);
    let shortest = if name == DRAIN { Duration::ZERO } else { SHORTEST };
    (shortest..=LONGEST).contains(&limit).then_some(limit)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::config_var::ConfigValue;
    use super::*;

    #[test]
    fn limits_are_read_from_their_config_vars() {
        let var = |name: &str, value: &str| {
            (ConfigVarName::parse(name).unwrap(), ConfigValue::from_stored(value.to_owned()))
        };
        let vars =
            ConfigVars::from([var(FIRST_BYTE, "90"), var(IDLE, "5m"), var("OTHER", "1"), var(DRAIN, "0")]);
        let limits = RouterLimits::of(&vars);
        assert_eq!(limits.first_byte, Some(Duration::from_secs(90)));
        assert_eq!(limits.idle, Some(Duration::from_mins(5)));
        assert_eq!(limits.drain, Some(Duration::ZERO));
    }

    #[test]
    fn only_these_config_vars_are_checked_and_only_times_within_the_bounds_pass() {
        let check =
            |name: &str, value: &str| RouterLimits::check(&ConfigVarName::parse(name).unwrap(), value);
        for good in ["1", "100ms", "55s", "60m", "1h", "3600"] {
            assert!(check(FIRST_BYTE, good).is_ok(), "{good}");
        }
        for bad in ["", "0", "99ms", "-5", "soon", "2h", "1 h", "1d", "99999999999999999999h"] {
            assert!(check(IDLE, bad).is_err(), "{bad}");
        }
        assert!(check(DRAIN, "0").is_ok());
        assert!(check("TIMEOUT", "soon").is_ok());
        assert!(check(BODY, "10MiB").is_ok() && check(BODY, "0").is_ok());
        assert!(check(BODY, "10MB").is_err() && check(BODY, "").is_err());
        assert_eq!(bytes("10MiB"), Some(10 << 20));
    }

    proptest! {
        #[test]
        fn no_text_makes_a_limit_beyond_the_bounds(text in ".{0,12}") {
            for name in [FIRST_BYTE, DRAIN] {
                prop_assert!(limit(name, &text).is_none_or(|limit| limit <= LONGEST));
            }
        }
    }
}
