//! `[builds]`: how sources become images.

use std::time::Duration;

use super::error::ConfigError;
use super::layers::Layers;
use super::setting::{Form, Setting};
use super::units;

/// Settings of builds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildsConfig {
    /// Builds that run at once, over all apps. Default 2.
    pub concurrency: usize,
    /// After which a running build is ended as failed. Default 20 min.
    pub timeout: Duration,
    /// What happens with a source's checksum (reading 9). Default `verify`.
    pub checksum: ChecksumRule,
    /// Bytes of the body of `POST /apps/{app}/builds`. Default 256 MiB.
    pub max_upload: u64,
    /// Bytes of an archive that is fetched. Default 1 GiB.
    pub max_archive: u64,
    /// Bytes that an archive may unpack to. Default 2 GiB.
    pub max_unpacked: u64,
    /// Files and folders that an archive may hold. Default 100,000.
    pub max_entries: usize,
}

crate::text_enum! {
    /// What happens with a source's checksum.
    pub enum ChecksumRule {
        /// A mismatch fails the build.
        Verify => "verify",
        /// It is only recorded, as production does.
        Record => "record",
    }
}

const CONCURRENCY: Setting = Setting {
    key: "builds.concurrency",
    variable: "AKKERISD_BUILDS_CONCURRENCY",
    flag: None,
    form: Form::Number,
    default: "2",
    expected: "a number from 1 to 64",
};
const TIMEOUT: Setting = Setting {
    key: "builds.timeout",
    variable: "AKKERISD_BUILDS_TIMEOUT",
    flag: None,
    form: Form::Text,
    default: "20m",
    expected: "a duration above zero, like 20m or 90s",
};
const CHECKSUM: Setting = Setting {
    key: "builds.checksum",
    variable: "AKKERISD_BUILDS_CHECKSUM",
    flag: None,
    form: Form::Text,
    default: "verify",
    expected: "verify or record",
};
const MAX_UPLOAD: Setting = Setting {
    key: "builds.max_upload",
    variable: "AKKERISD_BUILDS_MAX_UPLOAD",
    flag: None,
    form: Form::Text,
    default: "256 MiB",
    expected: SIZE,
};
const MAX_ARCHIVE: Setting = Setting {
    key: "builds.max_archive",
    variable: "AKKERISD_BUILDS_MAX_ARCHIVE",
    flag: None,
    form: Form::Text,
    default: "1 GiB",
    expected: SIZE,
};
const MAX_UNPACKED: Setting = Setting {
    key: "builds.max_unpacked",
    variable: "AKKERISD_BUILDS_MAX_UNPACKED",
    flag: None,
    form: Form::Text,
    default: "2 GiB",
    expected: SIZE,
};
const MAX_ENTRIES: Setting = Setting {
    key: "builds.max_entries",
    variable: "AKKERISD_BUILDS_MAX_ENTRIES",
    flag: None,
    form: Form::Number,
    default: "100000",
    expected: "a number from 1 to 10000000",
};
pub(super) const SETTINGS: &[Setting] =
    &[CONCURRENCY, TIMEOUT, CHECKSUM, MAX_UPLOAD, MAX_ARCHIVE, MAX_UNPACKED, MAX_ENTRIES];

const SIZE: &str = "a size above zero, like 256 MiB or 1 GiB";
const MOST_AT_ONCE: usize = 64;
const MOST_ENTRIES: usize = 10_000_000;

impl BuildsConfig {
    pub(super) fn read(layers: &Layers) -> Result<Self, ConfigError> {
        Ok(Self {
            concurrency: layers.parse(&CONCURRENCY, |text| units::positive_count(text, MOST_AT_ONCE))?,
            timeout: layers.parse(&TIMEOUT, units::positive_duration)?,
            checksum: layers.parse(&CHECKSUM, |text| text.parse().ok())?,
            max_upload: layers.parse(&MAX_UPLOAD, units::bytes)?,
            max_archive: layers.parse(&MAX_ARCHIVE, units::bytes)?,
            max_unpacked: layers.parse(&MAX_UNPACKED, units::bytes)?,
            max_entries: layers.parse(&MAX_ENTRIES, |text| units::positive_count(text, MOST_ENTRIES))?,
        })
    }
}
