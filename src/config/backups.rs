//! `[backups]`: the S3-compatible store that backups of addons are brought to.

use std::net::IpAddr;
use std::path::PathBuf;

use super::error::ConfigError;
use super::layers::Layers;
use super::setting::{Form, Setting};
use super::{absolute_path, units};

/// Settings of backups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupsConfig {
    /// `None` without `backups.s3_endpoint`: backups stay in the data dir.
    pub s3: Option<S3Config>,
}

/// Settings of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Config {
    /// Without credentials and without a slash at the end.
    pub endpoint: String,
    /// Default `us-east-1`.
    pub region: String,
    pub bucket: String,
    /// What the keys of objects begin with, without slashes at its ends. Default: empty.
    pub prefix: String,
    /// The bucket is named in the path of addresses, not in their host. Default `true`.
    pub path_style: bool,
    pub access_key_id: String,
    /// Holds the secret access key; a file, so that no configuration shows it.
    pub secret_access_key_file: PathBuf,
    /// A PEM file with the authorities that the store itself is trusted by, instead of the machine's.
    pub ca: Option<PathBuf>,
}

const ENDPOINT: Setting = Setting::text(
    "backups.s3_endpoint",
    "AKKERISD_BACKUPS_S3_ENDPOINT",
    "",
    "an address like https://s3.eu-central-1.amazonaws.com, without user, password and query, together with \
     backups.s3_bucket, backups.s3_access_key_id and backups.s3_secret_access_key_file",
);
const REGION: Setting = Setting::text(
    "backups.s3_region",
    "AKKERISD_BACKUPS_S3_REGION",
    "us-east-1",
    "a region like eu-central-1",
);
const BUCKET: Setting = Setting::text(
    "backups.s3_bucket",
    "AKKERISD_BACKUPS_S3_BUCKET",
    "",
    "the name of a bucket: 3 to 255 letters, digits, dots, dashes and underscores; together with backups.s3_endpoint",
);
const PREFIX: Setting = Setting::text(
    "backups.s3_prefix",
    "AKKERISD_BACKUPS_S3_PREFIX",
    "",
    "names of letters, digits, dots, dashes and underscores, with slashes between them, like backups/machine-1",
);
const PATH_STYLE: Setting = Setting {
    key: "backups.s3_path_style",
    variable: "AKKERISD_BACKUPS_S3_PATH_STYLE",
    flag: None,
    form: Form::Switch,
    default: "true",
    expected: "true or false; true where the endpoint is an IP address",
};
const ACCESS_KEY_ID: Setting = Setting::text(
    "backups.s3_access_key_id",
    "AKKERISD_BACKUPS_S3_ACCESS_KEY_ID",
    "",
    "the id of an access key, together with backups.s3_endpoint",
);
const SECRET_ACCESS_KEY_FILE: Setting = Setting::text(
    "backups.s3_secret_access_key_file",
    "AKKERISD_BACKUPS_S3_SECRET_ACCESS_KEY_FILE",
    "",
    "the absolute path of a file with the secret access key, together with backups.s3_endpoint",
);
const CA: Setting =
    Setting::text("backups.s3_ca", "AKKERISD_BACKUPS_S3_CA", "", "the absolute path of a PEM file");
pub(super) const SETTINGS: &[Setting] =
    &[ENDPOINT, REGION, BUCKET, PREFIX, PATH_STYLE, ACCESS_KEY_ID, SECRET_ACCESS_KEY_FILE, CA];

/// Bytes of a prefix; a key has room for 1,024.
const LONGEST_PREFIX: usize = 512;

impl BackupsConfig {
    pub(super) fn read(layers: &Layers) -> Result<Self, ConfigError> {
        let wrong = |setting: &Setting| layers.wrong(setting, setting.expected.to_owned());
        let endpoint = layers.parse_optional(&ENDPOINT, endpoint)?;
        let bucket = layers.parse_optional(&BUCKET, bucket)?;
        let access_key_id = layers.parse_optional(&ACCESS_KEY_ID, printable)?;
        let secret_file = layers.parse_optional(&SECRET_ACCESS_KEY_FILE, absolute_path)?;
        let region = layers.parse(&REGION, printable)?;
        let prefix = layers.parse(&PREFIX, prefix)?;
        let path_style = layers.parse(&PATH_STYLE, units::switch)?;
        let ca = layers.parse_optional(&CA, absolute_path)?;
        let Some(endpoint) = endpoint else {
            return match (bucket, access_key_id, secret_file) {
                (None, None, None) => Ok(Self { s3: None }),
                (Some(_), _, _) => Err(wrong(&BUCKET)),
                (None, Some(_), _) => Err(wrong(&ACCESS_KEY_ID)),
                (None, None, Some(_)) => Err(wrong(&SECRET_ACCESS_KEY_FILE)),
            };
        };
        let (Some(bucket), Some(access_key_id), Some(secret_access_key_file)) =
            (bucket, access_key_id, secret_file)
        else {
            return Err(wrong(&ENDPOINT));
        };
        if !path_style && is_address(&endpoint) {
            return Err(wrong(&PATH_STYLE));
        }
        let s3 = S3Config {
            endpoint,
            region,
            bucket,
            prefix,
            path_style,
            access_key_id,
            secret_access_key_file,
            ca,
        };
        Ok(Self { s3: Some(s3) })
    }
}

fn endpoint(text: &str) -> Option<String> {
    units::web_address(text).filter(|text| !text.contains('#'))
}

fn is_address(endpoint: &str) -> bool {
    let uri: Option<http::Uri> = endpoint.parse().ok();
    let host = uri.as_ref().and_then(http::Uri::host).unwrap_or_default();
    host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok()
}

fn bucket(text: &str) -> Option<String> {
    ((3..=255).contains(&text.len()) && is_name(text)).then(|| text.to_owned())
}

/// Segments that mean something else in a path are none.
fn prefix(text: &str) -> Option<String> {
    let text = text.trim_matches('/');
    let usable = text.is_empty() || (text.len() <= LONGEST_PREFIX && text.split('/').all(is_name));
    usable.then(|| text.to_owned())
}

fn is_name(text: &str) -> bool {
    let letters = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    letters && !matches!(text, "" | "." | "..")
}

fn printable(text: &str) -> Option<String> {
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic())).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_an_address_without_password_and_query() {
        assert_eq!(endpoint("https://s3.example.com/").as_deref(), Some("https://s3.example.com"));
        assert_eq!(endpoint("http://[::1]:9000/s3").as_deref(), Some("http://[::1]:9000/s3"));
        for wrong in ["s3.example.com", "ftp://a", "https://u:p@a", "https://a?b", "https://a#b", "https://"]
        {
            assert_eq!(endpoint(wrong), None, "{wrong}");
        }
        assert!(is_address("http://[::1]:9000/s3") && is_address("http://127.0.0.1"));
        assert!(!is_address("https://s3.example.com"));
    }

    #[test]
    fn names_mean_nothing_else_in_a_path() {
        assert_eq!(prefix("/a/b.c/").as_deref(), Some("a/b.c"));
        assert_eq!(prefix("").as_deref(), Some(""));
        for wrong in ["a//b", "..", "a/../b", "a b", "a?b", "ä"] {
            assert_eq!(prefix(wrong), None, "{wrong}");
        }
        assert_eq!(bucket("my-bucket").as_deref(), Some("my-bucket"));
        for wrong in ["ab", "...a/b", "a b c", &"a".repeat(256)] {
            assert_eq!(bucket(wrong), None, "{wrong}");
        }
    }
}
