//! How full the volumes of built-in addons are. No driver that every engine has bounds a volume, so it is watched.

use super::ids::AddonId;
use super::time::Timestamp;

/// A volume as it was when it was measured last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddonVolume {
    pub addon: AddonId,
    pub bytes: u64,
    /// What the plan allows, where it says so.
    pub limit: Option<u64>,
    pub measured_at: Timestamp,
}

impl AddonVolume {
    /// The share of its limit in percent, rounded down; `None` without one.
    pub fn percent(&self) -> Option<u64> {
        let limit = self.limit?.max(1);
        Some(u64::try_from(u128::from(self.bytes) * 100 / u128::from(limit)).unwrap_or(u64::MAX))
    }

    /// Whether 90 % of the limit are used.
    pub fn is_nearly_full(&self) -> bool {
        self.percent().is_some_and(|percent| percent >= 90)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn nine_tenths_of_a_limit_are_nearly_all_and_without_a_limit_nothing_is() {
        let volume = |bytes, limit| AddonVolume {
            addon: AddonId::new(Uuid::from_u128(1)),
            bytes,
            limit,
            measured_at: Timestamp::from_millis(0),
        };
        assert!(!volume(899, Some(1000)).is_nearly_full());
        assert!(volume(900, Some(1000)).is_nearly_full());
        assert_eq!(volume(2500, Some(1000)).percent(), Some(250));
        assert!(!volume(u64::MAX, None).is_nearly_full());
        assert!(volume(1, Some(0)).is_nearly_full());
    }
}
