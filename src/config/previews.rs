//! `[previews]`: how long previews of pull requests are kept.

use std::time::Duration;

use super::error::ConfigError;
use super::layers::Layers;
use super::setting::{Form, Setting};
use super::units;

/// Settings of previews.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PreviewsConfig {
    /// A preview whose pull request was not heard of for so long is removed; `None` for never. Default 7 days.
    pub max_age: Option<Duration>,
}

const MAX_AGE: Setting = Setting {
    key: "previews.max_age",
    variable: "AKKERISD_PREVIEWS_MAX_AGE",
    flag: None,
    form: Form::Text,
    default: "7d",
    expected: "a number of days, like 7d, or a duration, like 36h; 0 keeps them until their pull requests are closed",
};
pub(super) const SETTINGS: &[Setting] = &[MAX_AGE];

const MOST_DAYS: u32 = 3650;

impl PreviewsConfig {
    pub(super) fn read(layers: &Layers) -> Result<Self, ConfigError> {
        let age = layers.parse(&MAX_AGE, age)?;
        Ok(Self { max_age: Some(age).filter(|age| !age.is_zero()) })
    }
}

fn age(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let Some(days) = text.strip_suffix('d') else { return units::duration(text) };
    days.trim().parse().ok().filter(|days| *days <= MOST_DAYS).map(|days| Duration::from_hours(24) * days)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_days_or_a_duration() {
        assert_eq!(age("7d"), Some(Duration::from_hours(168)));
        assert_eq!(age("36h"), Some(Duration::from_hours(36)));
        for never in ["0", "0d", "0s"] {
            assert_eq!(age(never), Some(Duration::ZERO));
        }
        for bad in ["", "d", "7", "-1d", "3651d", "7 weeks"] {
            assert_eq!(age(bad), None, "{bad}");
        }
    }
}
